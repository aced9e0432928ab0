/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two workers that share every port, each with a queue of its own, over socketpairs. Meant to be
 * run under TSan, too.
 *
 * How this works: queue q of every port is one socketpair, whose far end belongs to feeder q, a
 * thread. What comes in by a queue leaves by the queue of the same number, so that a feeder sees
 * all that becomes of what it sends, and looks at the numbers in it.
 */

#include <arpa/inet.h>
#include <pthread.h>

#include "switch_fixture.h"

#define LASTING 4u /* ports that stay; the next index changes hands */
#define QUEUES	WORKERS
#define FRAME	60u
#define FLOODED 64u /* one frame of so many goes to everybody */
#define MILLION 1000000u

struct workers;

struct feeder {
	pthread_t thread;
	struct workers *workers;
	uint32_t queue;
	uint32_t sent[LASTING], received, overtaken, odd;
	/* Number + 1, by where from and where to; of those to one, and of those to everybody. */
	uint32_t newest[LASTING][LASTING + 1][2];
};

struct workers {
	struct fixture *fixture;
	int far[LASTING + 1][QUEUES];
	struct feeder feeders[QUEUES];
	bool stop;
};

/* Sends a port with a socketpair for each of so many queues. */
static void tell_queues(struct workers *workers, struct proto_port port, uint32_t count)
{
	int fds[QUEUES][2], near[QUEUES];

	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
					    0, fds[i]),
				 0);
		near[i] = fds[i][0];
		workers->far[port.ref.index][i] = fds[i][1];
	}
	port.fd_count = count;
	tell_fds(workers->fixture, PROTO_PORT_SET, &port, sizeof(port), near, count);
	for (uint32_t i = 0; i < count; i++)
		close(near[i]);
	tell(workers->fixture, PROTO_MEMBER_SET,
	     (struct proto_member){.port = port.ref, .segment = ref_of(0)});
}

static void make_workers(struct workers *workers, struct fixture *fixture, uint32_t queues)
{
	memset(workers, 0, sizeof(*workers));
	memset(workers->far, -1, sizeof(workers->far));
	workers->fixture = fixture;
	begin(fixture, 1, 0);
	tell_tenant(fixture, 0);
	tell_segment(fixture, 0);
	for (uint32_t i = 0; i < LASTING; i++)
		tell_queues(workers, port_record(i, 0), queues);
	assert_int_equal(commit(fixture, 1), 0);
}

static void close_far(struct workers *workers, uint32_t port)
{
	for (uint32_t i = 0; i < QUEUES; i++) {
		if (workers->far[port][i] >= 0)
			close(workers->far[port][i]);
		workers->far[port][i] = -1;
	}
}

static void free_workers(struct workers *workers)
{
	for (uint32_t i = 0; i <= LASTING; i++)
		close_far(workers, i);
}

/* False: the switch has not taken what is there. */
static bool send_numbered(int fd, uint32_t from, uint32_t to, uint32_t number)
{
	uint8_t frame[HEADER_SIZE + FRAME] = {0};
	uint8_t *octets = frame + HEADER_SIZE;
	const uint8_t macs[14] = {
		2, 0, 0, 0, 0, (uint8_t)(1 + to), 2, 0, 0, 0, 0, (uint8_t)(1 + from), 0x88, 0xb5};

	memcpy(octets, macs, sizeof(macs));
	if (number % FLOODED == 0)
		memset(octets, 0xff, 6);
	memcpy(octets + 14, &number, sizeof(number));
	octets[18] = (uint8_t)from;
	return write(fd, frame, sizeof(frame)) == (ssize_t)sizeof(frame);
}

/* Takes all that left by the feeder's queue of a port. */
static void drain(struct feeder *feeder, uint32_t port, int fd)
{
	uint8_t frame[2048];
	uint32_t number;

	while (read(fd, frame, sizeof(frame)) == (ssize_t)(HEADER_SIZE + FRAME)) {
		uint8_t from = frame[HEADER_SIZE + 18];
		uint32_t *newest;

		memcpy(&number, frame + HEADER_SIZE + 14, sizeof(number));
		if (from >= LASTING || number >= feeder->sent[from]) {
			feeder->odd++;
			continue;
		}
		newest = &feeder->newest[from][port][number % FLOODED == 0];
		feeder->overtaken += number < *newest;
		*newest = number + 1;
		feeder->received++;
	}
}

/* From each port to the next, as fast as it goes. */
static void *feed(void *context)
{
	struct feeder *feeder = context;
	struct workers *workers = feeder->workers;

	while (!__atomic_load_n(&workers->stop, __ATOMIC_ACQUIRE)) {
		for (uint32_t i = 0; i < LASTING; i++) {
			int fd = workers->far[i][feeder->queue];

			for (unsigned burst = 0; burst < 16; burst++)
				feeder->sent[i] +=
					send_numbered(fd, i, (i + 1) % LASTING, feeder->sent[i]);
			drain(feeder, i, fd);
		}
	}
	return NULL;
}

static void start_feeders(struct workers *workers)
{
	for (uint32_t i = 0; i < QUEUES; i++) {
		workers->feeders[i].workers = workers;
		workers->feeders[i].queue = i;
		assert_int_equal(pthread_create(&workers->feeders[i].thread, NULL, feed,
						&workers->feeders[i]),
				 0);
	}
}

/* Ends the feeders, and takes what is still on its way. */
static void stop_feeders(struct workers *workers)
{
	struct fixture *fixture = workers->fixture;

	__atomic_store_n(&workers->stop, true, __ATOMIC_RELEASE);
	for (uint32_t q = 0; q < QUEUES; q++)
		assert_int_equal(pthread_join(workers->feeders[q].thread, NULL), 0);
	for (uint32_t i = 0; i < LASTING; i++) {
		uint64_t sent = workers->feeders[0].sent[i] + workers->feeders[1].sent[i];

		for (unsigned ms = 0; counter(fixture, ports[i].rx_packets) != sent ||
				      counter(fixture, ports[i].queued) != 0;
		     ms++) {
			assert_true(ms < DEADLINE_MS);
			for (uint32_t q = 0; q < QUEUES; q++)
				for (uint32_t p = 0; p < LASTING; p++)
					drain(&workers->feeders[q], p, workers->far[p][q]);
			poll(NULL, 0, 1);
		}
	}
}

static uint64_t dropped(struct fixture *fixture, uint32_t port)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		sum += counter(fixture, ports[port].drops[i]);
	return sum;
}

/* Waits until all that came in has become something, and asserts that it adds up. */
static void assert_adds_up(struct fixture *fixture, uint32_t port)
{
	uint64_t in, out;
	unsigned ms = 0;

	do {
		in = counter(fixture, ports[port].rx_packets) +
		     counter(fixture, ports[port].copies);
		out = counter(fixture, ports[port].forwarded) + dropped(fixture, port) +
		      counter(fixture, ports[port].queued);
		poll(NULL, 0, in != out);
	} while (in != out && ms++ < DEADLINE_MS);
	assert_int_equal(in, out);
}

static uint64_t by_worker(const struct fixture *fixture, uint32_t worker, uint32_t port)
{
	return __atomic_load_n(&fixture->state.shared.stats->workers[worker].ports[port].rx_packets,
			       __ATOMIC_RELAXED);
}

/* The number of the next frame that leaves there. */
static uint32_t next_number(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	uint8_t frame[2048];
	uint32_t number;

	assert_int_equal(poll(&poller, 1, DEADLINE_MS), 1);
	assert_int_equal(read(fd, frame, sizeof(frame)), HEADER_SIZE + FRAME);
	memcpy(&number, frame + HEADER_SIZE + 14, sizeof(number));
	return number;
}

static void a_queue_is_its_workers(void **state)
{
	struct fixture *fixture = *state;
	struct workers workers;

	make_workers(&workers, fixture, QUEUES);
	for (uint32_t q = 0; q < QUEUES; q++) {
		/* To everybody, then to one who is known. */
		assert_true(send_numbered(workers.far[1][q], 1, 0, 0));
		for (uint32_t i = 0; i < LASTING; i++)
			if (i != 1)
				assert_int_equal(next_number(workers.far[i][q]), 0);
		assert_true(send_numbered(workers.far[0][q], 0, 1, 5));
		assert_int_equal(next_number(workers.far[1][q]), 5);
	}
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t q = 0; q < QUEUES; q++)
			assert_int_equal(by_worker(fixture, q, i), 1);
	free_workers(&workers);
}

/* A port with fewer queues than workers: the first ports' are dealt to one, the next to another. */
static void fewer_queues_are_dealt_out(void **state)
{
	struct fixture *fixture = *state;
	struct workers workers;

	make_workers(&workers, fixture, 1);
	for (uint32_t i = 0; i < LASTING; i++) {
		assert_true(send_numbered(workers.far[i][0], i, 0, 0));
		for (uint32_t j = 0; j < LASTING; j++)
			if (j != i)
				assert_int_equal(next_number(workers.far[j][0]), 0);
		assert_int_equal(by_worker(fixture, i % 2, i), 1);
		assert_int_equal(by_worker(fixture, (i + 1) % 2, i), 0);
	}
	free_workers(&workers);
}

/* One generation: rates, an entry, and a port that comes or goes. */
static void change(struct workers *workers, uint64_t generation)
{
	const struct proto_ref none = {PROTO_NO_INDEX, 0};
	struct fixture *fixture = workers->fixture;
	struct proto_tenant tenant = {.ref = ref_of(0)};
	struct proto_port port = port_record(1, 0), other = port_record(LASTING, 0);
	bool comes = generation % 2 == 0;

	tenant.send_rate = generation % 4 < 2 ? 0 : (50 + generation) * MILLION;
	tenant.receive_rate = generation % 8 < 4 ? 0 : (40 + generation) * MILLION;
	port.receive_rate = generation % 3 == 0 ? 0 : (20 + generation) * MILLION;
	other.ref.incarnation += (uint32_t)(generation / 2);
	begin(fixture, generation, generation - 1);
	if (!comes)
		tell(fixture, PROTO_PORT_DEL, other.ref);
	tell(fixture, PROTO_TENANT_SET, tenant);
	tell(fixture, PROTO_PORT_SET, port);
	if (comes)
		tell_queues(workers, other, QUEUES);
	tell(fixture, comes ? PROTO_FDB_SET : PROTO_FDB_DEL,
	     (struct proto_fdb){ref_of(0), ref_of(2), none, .mac = {2, 0, 0, 0, 0, 99}});
	assert_int_equal(commit(fixture, generation), 0);
	if (!comes)
		close_far(workers, LASTING);
	switch_age(&fixture->state);
	if (generation % 16 == 0) {
		tell(fixture, PROTO_FDB_FLUSH, (struct proto_fdb_flush){none, none, none});
		serve(fixture);
	}
}

/* Whoever let packets wait while limits came and went. */
static void assert_channels_add_up(struct fixture *fixture)
{
	assert_int_equal(counter(fixture, tenants[0].send.offered_packets),
			 counter(fixture, tenants[0].send.passed_packets) +
				 counter(fixture, tenants[0].send.dropped_packets));
	assert_int_equal(counter(fixture, tenants[0].receive.offered_packets),
			 counter(fixture, tenants[0].receive.passed_packets) +
				 counter(fixture, tenants[0].receive.dropped_packets));
	assert_int_equal(counter(fixture, tenants[0].send.queued_packets), 0);
	assert_int_equal(counter(fixture, tenants[0].receive.queued_packets), 0);
	assert_true(counter(fixture, tenants[0].send.offered_packets) > 1000);
	assert_true(counter(fixture, tenants[0].receive.offered_packets) > 1000);
}

static void configurations_change_under_both(void **state)
{
	struct fixture *fixture = *state;
	struct workers workers;
	struct proto_tenant tenant = {.ref = ref_of(0)};
	struct proto_port port = port_record(1, 0);
	uint64_t generation;

	make_workers(&workers, fixture, QUEUES);
	start_feeders(&workers);
	for (generation = 2; generation < 122; generation++) {
		change(&workers, generation);
		poll(NULL, 0, 4); /* time for traffic, not for an event */
	}
	begin(fixture, generation, generation - 1);
	tell(fixture, PROTO_TENANT_SET, tenant);
	tell(fixture, PROTO_PORT_SET, port);
	assert_int_equal(commit(fixture, generation), 0);
	stop_feeders(&workers);
	for (uint32_t i = 0; i < LASTING; i++) {
		assert_adds_up(fixture, i);
		assert_true(by_worker(fixture, 0, i) > 100 && by_worker(fixture, 1, i) > 100);
		assert_true(counter(fixture, ports[i].forwarded) > 100);
	}
	assert_channels_add_up(fixture);
	for (uint32_t q = 0; q < QUEUES; q++) {
		assert_int_equal(workers.feeders[q].overtaken, 0);
		assert_int_equal(workers.feeders[q].odd, 0);
		assert_true(workers.feeders[q].received > 1000);
	}
	free_workers(&workers);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Each worker alone has more than the rate to send. */
static void a_rate_is_one_over_both(void **state)
{
	const uint64_t rate = 2 * MILLION, burst = SHAPER_BURST_NS;
	struct fixture *fixture = *state;
	uint64_t started, elapsed, octets, first[QUEUES];
	struct workers workers;

	make_workers(&workers, fixture, QUEUES);
	begin(fixture, 2, 1);
	tell(fixture, PROTO_TENANT_SET, (struct proto_tenant){.ref = ref_of(0), .send_rate = rate});
	assert_int_equal(commit(fixture, 2), 0);
	started = now_ns();
	start_feeders(&workers);
	poll(NULL, 0, 600); /* the span that is measured */
	octets = counter(fixture, tenants[0].send_bytes);
	elapsed = now_ns() - started;
	for (uint32_t q = 0; q < QUEUES; q++)
		first[q] = __atomic_load_n(
			&fixture->state.shared.stats->workers[q].tenants[0].send_bytes,
			__ATOMIC_RELAXED);
	begin(fixture, 3, 2);
	tell(fixture, PROTO_TENANT_SET, (struct proto_tenant){.ref = ref_of(0)});
	assert_int_equal(commit(fixture, 3), 0);
	stop_feeders(&workers);
	/* A packet that is on its way is ahead of the clock. */
	assert_in_range(octets, 0, (elapsed + burst) * rate / 8000000000u + 2 * FRAME);
	/* How near it gets is for the shaper's tests: here feeders and workers share the
	 * processors. */
	assert_true(octets > elapsed * rate / 8000000000u / 10);
	for (uint32_t q = 0; q < QUEUES; q++)
		assert_true(first[q] > octets / 10);
	free_workers(&workers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_queue_is_its_workers),
		TEST(fewer_queues_are_dealt_out),
		TEST(configurations_change_under_both),
		TEST(a_rate_is_one_over_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
