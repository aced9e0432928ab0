/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/worker.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "datapath/account.h"
#include "datapath/pipeline.h"
#include "datapath/ports/port.h"
#include "datapath/quiet.h"

#define QUEUE_BITS 4u /* of an epoll token: PORT_QUEUES_MAX */
#define STOP_TOKEN UINT64_MAX

#define NS_PER_SECOND  1000000000u
#define BOOT_REVIEW_NS 100000000u

#define SOURCE_FRAME 1514u /* what a source that can wait is taken to deliver */

/* How long a queue that can be polled is, after it had something: what a kick of the guest and a
 * wake-up cost both sides, a few times. */
#define POLL_NS 50000u

#define LOOK_NS	      50000u /* how long busy queues may keep others from being noticed */
#define SPIN_LEAST_NS 1000u  /* where spinning begins when it would have paid … */
#define SPIN_MOST_NS  5000u  /* … and what it may grow to: what a sleep and a wake-up cost */

int worker_init(struct worker *worker, unsigned index, struct worker_shared *shared)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = STOP_TOKEN};
	int error = -ENOMEM;

	memset(worker, 0, sizeof(*worker));
	worker->index = index;
	worker->shared = shared;
	worker->stats = &shared->stats->workers[index];
	worker->pool = packet_pool_new(WORKER_PACKETS_MAX, WORKER_BUFFERS_MAX);
	if (worker->pool == NULL)
		return -ENOMEM;
	worker->gates = shaper_worker_new(shared->shaper);
	if (worker->gates == NULL)
		goto free_pool;
	shaper_worker_bound(worker->gates, WORKER_WAITING_MAX, WORKER_WAITING_OCTETS_MAX);
	error = receiver_init(&worker->receiver, worker->pool);
	if (error < 0)
		goto free_gates;
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	worker->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->epoll_fd < 0 || worker->stop_fd < 0 ||
	    epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->stop_fd, &event) < 0) {
		error = -errno;
		goto close_fds;
	}
	return 0;
close_fds:
	close(worker->epoll_fd);
	close(worker->stop_fd);
	receiver_fini(&worker->receiver);
free_gates:
	shaper_worker_free(worker->gates);
free_pool:
	packet_pool_free(worker->pool);
	return error;
}

void worker_fini(struct worker *worker)
{
	struct packet_list waiting;
	struct packet *packet;

	packet_list_init(&waiting);
	shaper_drain_all(worker->gates, &waiting);
	backlog_drain_all(&worker->backlog, &waiting);
	worker_begin_turn(worker);
	while ((packet = packet_list_pop(&waiting)) != NULL) {
		account_waiting_lost(worker, packet, DROP_RESTART);
	}
	close(worker->epoll_fd);
	close(worker->stop_fd);
	receiver_fini(&worker->receiver);
	shaper_worker_free(worker->gates);
	packet_pool_free(worker->pool);
}

static uint64_t monotonic_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

void worker_begin_turn(struct worker *worker)
{
	worker->now = monotonic_now();
	/* The two clocks drift apart while the machine is suspended, and only then. */
	if (worker->now >= worker->boot_due) {
		struct timespec boot;

		clock_gettime(CLOCK_BOOTTIME, &boot);
		worker->boot_ahead = (uint64_t)boot.tv_sec * NS_PER_SECOND +
				     (uint64_t)boot.tv_nsec - worker->now;
		worker->boot_due = worker->now + BOOT_REVIEW_NS;
	}
	worker->now_seconds = (uint32_t)((worker->now + worker->boot_ahead) / NS_PER_SECOND);
	worker->config = quiet_config(worker->shared);
}

void worker_note(struct worker *worker, const struct worker_event *event)
{
	if (worker->event_count < WORKER_EVENTS_MAX)
		worker->events[worker->event_count++] = *event;
}

void worker_end_turn(struct worker *worker)
{
	struct worker_shared *shared = worker->shared;
	uint64_t one = 1;

	if (worker->event_count == 0)
		return;
	pthread_mutex_lock(&shared->event_lock);
	for (unsigned i = 0; i < worker->event_count && shared->event_count < WORKER_EVENTS_MAX;
	     i++)
		shared->events[shared->event_count++] = worker->events[i];
	pthread_mutex_unlock(&shared->event_lock);
	worker->event_count = 0;
	if (shared->event_fd >= 0 && write(shared->event_fd, &one, sizeof(one)) < 0)
		return; /* it is readable already */
}

static uint64_t queue_token(const struct proto_ref *ref, unsigned queue)
{
	return (uint64_t)ref->incarnation << 32 | (uint64_t)ref->index << QUEUE_BITS | queue;
}

int worker_add_queue(struct worker *worker, const struct port *port, unsigned queue)
{
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.u64 = queue_token(&port->ref, queue),
	};

	if (port->wait_fds[queue] < 0)
		return 0;
	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, port->wait_fds[queue], &event) < 0
		       ? -errno
		       : 0;
}

/* Has epoll look at a queue or not; does nothing when the main thread took it away meanwhile. */
static void watch_queue(struct worker *worker, const struct port *port, unsigned queue,
			uint32_t events)
{
	struct epoll_event event = {
		.events = events,
		.data.u64 = queue_token(&port->ref, queue),
	};

	epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, port->wait_fds[queue], &event);
}

void worker_remove_queue(struct worker *worker, const struct port *port, unsigned queue)
{
	/* A worker that found the port lost has removed it already. */
	if (port->wait_fds[queue] >= 0)
		epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, port->wait_fds[queue], NULL);
}

/* Counts what the receiver could not keep, as received and dropped. */
static void count_refused(struct worker *worker, uint32_t index)
{
	struct receiver *receiver = &worker->receiver;
	struct stats_port *stats = &worker->stats->ports[index];
	uint32_t tenant = worker->config->ports[index].tenant;

	if (receiver->dropped_frames == 0)
		return;
	account_add(&stats->rx_packets, receiver->dropped_frames);
	account_add(&stats->rx_bytes, receiver->dropped_bytes);
	for (unsigned reason = 0; reason < DROP_REASON_COUNT; reason++) {
		uint32_t frames = receiver->dropped[reason];

		account_add(&stats->drops[reason], frames);
		if (tenant != PROTO_NO_INDEX)
			account_add(&worker->stats->tenants[tenant].drops[reason], frames);
	}
	memset(receiver->dropped, 0, sizeof(receiver->dropped));
	receiver->dropped_frames = receiver->dropped_bytes = 0;
}

static void port_lost(struct worker *worker, struct port *port, unsigned queue, int error)
{
	struct worker_event event = {.type = WORKER_PORT_LOST, .ref = port->ref, .error = -error};

	/* Such a descriptor would be ready for ever. */
	worker_remove_queue(worker, port, queue);
	worker_note(worker, &event);
}

/* The port with that queue; NULL: it has gone since. */
static const struct config_port *find_queue(const struct worker *worker, uint32_t index,
					    uint32_t incarnation, unsigned queue)
{
	const struct config_port *port = config_port(worker->config, index);

	if (port == NULL || port->incarnation != incarnation || port->port == NULL ||
	    queue >= port->port->receive_count)
		return NULL;
	return port;
}

static uint32_t token_index(uint64_t token)
{
	return (uint32_t)token >> QUEUE_BITS;
}

static uint32_t token_incarnation(uint64_t token)
{
	return (uint32_t)(token >> 32);
}

static unsigned token_queue(uint64_t token)
{
	return (unsigned)token & ((1u << QUEUE_BITS) - 1);
}

static const struct config_port *find_token(const struct worker *worker, uint64_t token)
{
	return find_queue(worker, token_index(token), token_incarnation(token), token_queue(token));
}

/* Packets that a source which can wait should deliver now. */
static unsigned source_room(const struct worker *worker, const struct config_port *port,
			    uint32_t index)
{
	uint64_t room = shaper_room(worker->gates, SHAPER_PORT_SEND, index), packets;

	if (port->tenant != PROTO_NO_INDEX) {
		uint64_t tenant = shaper_room(worker->gates, SHAPER_TENANT_SEND, port->tenant);

		room = tenant < room ? tenant : room;
	}
	packets = room / SOURCE_FRAME + (room % SOURCE_FRAME != 0);
	return packets < BATCH_SIZE ? (unsigned)packets : BATCH_SIZE;
}

/* Leaves a source's packets where they are until resume_held(). Returns whether it is so. */
static bool hold(struct worker *worker, const struct config_port *port, unsigned queue)
{
	if (worker->held_count == WORKER_HELD_MAX)
		return false;
	watch_queue(worker, port->port, queue, 0);
	worker->held[worker->held_count++] = queue_token(&port->port->ref, queue);
	return true;
}

/* Looks at queues again whose source waited for room in the shaper. */
static void resume_held(struct worker *worker)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < worker->held_count; i++) {
		uint64_t token = worker->held[i];
		const struct config_port *port = find_token(worker, token);

		if (port == NULL)
			continue;
		if (source_room(worker, port, token_index(token)) == 0)
			worker->held[kept++] = token;
		else
			watch_queue(worker, port->port, token_queue(token), EPOLLIN);
	}
	worker->held_count = kept;
}

/* Receives a batch. Returns what the port says, or PORT_DRAINED when it is gone or held. */
static int receive(struct worker *worker, uint32_t index, uint32_t incarnation, unsigned queue)
{
	/* The port may have gone since the kernel reported it. */
	const struct config_port *port = find_queue(worker, index, incarnation, queue);
	struct batch batch;
	int more;

	if (port == NULL)
		return PORT_DRAINED;
	worker->receiver.batch_max = BATCH_SIZE;
	if (port->port->source_waits) {
		unsigned room = source_room(worker, port, index);

		if (room == 0 && hold(worker, port, queue))
			return PORT_DRAINED;
		worker->receiver.batch_max = room == 0 ? 1 : room;
	}
	do {
		batch.count = 0;
		more = port->port->ops->receive(port->port, queue, &worker->receiver, &batch);
		count_refused(worker, index);
		for (unsigned i = 0; i < batch.count; i++) {
			batch.packets[i]->port_in = index;
			batch.packets[i]->port_in_incarnation = incarnation;
		}
		pipeline_receive(worker, &batch);
	} while (more == PORT_IN_HAND);
	if (more < 0)
		port_lost(worker, port->port, queue, more);
	return more;
}

bool worker_receive(struct worker *worker, uint32_t index, uint32_t incarnation, unsigned queue)
{
	return receive(worker, index, incarnation, queue) == PORT_MORE;
}

/* Written only when it changed: several workers would else fight for the line. */
/* clang-tidy does not see the store. NOLINTNEXTLINE(readability-non-const-parameter) */
static void tell(uint64_t *place, uint64_t share)
{
	if (__atomic_load_n(place, __ATOMIC_RELAXED) != share)
		__atomic_store_n(place, share, __ATOMIC_RELAXED);
}

/* What each weight gets now is for all to see; who of the workers says so does not matter. */
static void tell_shares(struct worker *worker)
{
	struct stats_memory *stats = worker->shared->stats;
	const struct shaper *shaper = worker->shared->shaper;

	tell(&stats->send_share, shaper_share(shaper, SHAPER_TENANT_SEND));
	tell(&stats->receive_share, shaper_share(shaper, SHAPER_TENANT_RECEIVE));
}

void worker_release(struct worker *worker)
{
	struct batch batch = {0};
	enum shaper_kind kind;

	pipeline_retry(worker);
	shaper_turn(worker->gates, worker->now);
	while (shaper_release(worker->gates, worker->now, &batch, &kind)) {
		pipeline_resume(worker, &batch, kind);
		batch.count = 0;
	}
	pipeline_lost(worker);
	tell_shares(worker);
}

/*
 * How this works: queues that had something are received from in turns, a batch each, without
 * asking epoll, until they have nothing more; every LOOK_NS it is asked for others. Queues in the
 * memory of a guest are looked at on and on, and left to epoll when nothing came for POLL_NS: until
 * then the guest need not kick for what it sends. When nothing is
 * left the worker looks on for as long as a sleep and a wake-up would cost, if packets lately came
 * that soon: the time grows when a sleep was shorter, and goes when it was longer, so that neither
 * an idle switch nor a paced flow costs a core.
 */

/* Takes the queues that have something as the busy ones. Returns false when the worker is to stop.
 */
static bool take_events(struct worker *worker, const struct epoll_event *events, int count)
{
	bool stop = false;

	worker->busy_count = 0;
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 == STOP_TOKEN)
			stop = true;
		else
			worker->busy[worker->busy_count++] = events[i].data.u64;
	}
	return !stop;
}

/* Learns from a sleep that an event ended how long to look before the next one. */
static void adapt_spin(struct worker *worker, uint64_t slept)
{
	if (slept > SPIN_MOST_NS)
		worker->spin_ns = worker->spin_ns / 2 < SPIN_LEAST_NS ? 0 : worker->spin_ns / 2;
	else if (worker->spin_ns == 0)
		worker->spin_ns = SPIN_LEAST_NS;
	else
		worker->spin_ns =
			worker->spin_ns < SPIN_MOST_NS / 2 ? 2 * worker->spin_ns : SPIN_MOST_NS;
}

/* When worker_release() has something to do; UINT64_MAX: it has not. */
static uint64_t next_release(const struct worker *worker)
{
	uint64_t shaper = shaper_next(worker->gates, worker->now);
	uint64_t backlog = backlog_next(&worker->backlog);

	return backlog < shaper ? backlog : shaper;
}

/* Sleeps until a queue has something or is to get it. Returns the number of events. */
static int sleep_for_events(struct worker *worker, struct epoll_event *events)
{
	uint64_t next = next_release(worker);
	uint64_t wait = next <= worker->now ? 0 : next - worker->now;
	struct timespec timeout = {(time_t)(wait / NS_PER_SECOND), (long)(wait % NS_PER_SECOND)};
	int count;

	quiet_offline(worker->shared);
	count = epoll_pwait2(worker->epoll_fd, events, WORKER_BUSY_MAX,
			     next == UINT64_MAX ? NULL : &timeout, NULL);
	rcu_thread_online();
	return count;
}

/*
 * Finds something to do, or sleeps until there is, and begins the turn. Returns false when the
 * worker is to stop.
 */
static bool begin_with_work(struct worker *worker)
{
	struct epoll_event events[WORKER_BUSY_MAX];
	bool busy = worker->busy_count + worker->polled_count > 0;
	bool awake = busy || worker->now - worker->worked < worker->spin_ns;
	uint64_t before = worker->now;
	bool look = !busy || worker->now - worker->looked >= LOOK_NS;
	bool go_on = true;

	if (look) {
		int count = awake ? epoll_wait(worker->epoll_fd, events, WORKER_BUSY_MAX, 0)
				  : sleep_for_events(worker, events);

		go_on = take_events(worker, events, count);
	}
	worker_begin_turn(worker);
	if (look)
		worker->looked = worker->now;
	if (!awake && worker->busy_count > 0)
		adapt_spin(worker, worker->now - before);
	return go_on;
}

static bool is_polled(const struct worker *worker, uint64_t token)
{
	for (unsigned i = 0; i < worker->polled_count; i++) {
		if (worker->polled[i].token == token)
			return true;
	}
	return false;
}

static void rest(const struct worker *worker, uint64_t token)
{
	const struct config_port *port = find_token(worker, token);

	if (port != NULL)
		port->port->ops->rest(port->port, token_queue(token));
}

/* Looks at a queue in every turn from now on, if it is one to be polled. Returns whether it is. */
static bool poll_queue(struct worker *worker, uint64_t token)
{
	const struct config_port *port = find_token(worker, token);

	if (port == NULL || port->port->ops->rest == NULL)
		return false;
	if (worker->polled_count == WORKER_POLLED_MAX)
		rest(worker, token);
	else
		worker->polled[worker->polled_count++] = (struct worker_polled){token, worker->now};
	return true;
}

/* Receives a batch from every busy queue, and forgets those that are drained. */
static void receive_busy(struct worker *worker)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < worker->busy_count; i++) {
		uint64_t token = worker->busy[i];
		int more;

		/* Told of before it was polled. */
		if (is_polled(worker, token))
			continue;
		worker->worked = worker->now;
		more = receive(worker, token_index(token), token_incarnation(token),
			       token_queue(token));
		if ((more == PORT_MORE || more == PORT_POLL) && !poll_queue(worker, token))
			worker->busy[kept++] = token;
	}
	worker->busy_count = kept;
}

/* Receives a batch from every queue that is polled, and lets those rest that had nothing lately. */
static void receive_polled(struct worker *worker)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < worker->polled_count; i++) {
		struct worker_polled polled = worker->polled[i];
		int more = receive(worker, token_index(polled.token),
				   token_incarnation(polled.token), token_queue(polled.token));

		if (more == PORT_MORE)
			polled.had = worker->worked = worker->now;
		if (more != PORT_MORE && more != PORT_POLL)
			continue;
		if (worker->now - polled.had < POLL_NS || worker->shared->poll_always)
			worker->polled[kept++] = polled;
		else
			rest(worker, polled.token);
	}
	worker->polled_count = kept;
}

static void *run(void *context)
{
	struct worker *worker = context;

	prctl(PR_SET_TIMERSLACK, 1);
	rcu_register_thread();
	port_thread_begin();
	worker_begin_turn(worker);
	while (begin_with_work(worker)) {
		receive_polled(worker);
		receive_busy(worker);
		worker_release(worker);
		resume_held(worker);
		worker_end_turn(worker);
		quiet_point(worker->shared);
	}
	worker->busy_count = 0;
	port_thread_end();
	rcu_unregister_thread();
	return NULL;
}

int worker_start(struct worker *worker)
{
	uint64_t former;
	int error;

	/* Of a worker_stop() before; there is nothing to read otherwise. */
	if (read(worker->stop_fd, &former, sizeof(former)) < 0 && errno != EAGAIN)
		return -errno;
	error = pthread_create(&worker->thread, NULL, run, worker);
	worker->running = error == 0;
	return -error;
}

void worker_stop(struct worker *worker)
{
	uint64_t one = 1;

	if (!worker->running || write(worker->stop_fd, &one, sizeof(one)) < 0)
		return;
	pthread_join(worker->thread, NULL);
	worker->running = false;
}
