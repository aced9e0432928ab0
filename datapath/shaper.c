/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/shaper.h"

#include <assert.h>
#include <sys/mman.h>

#include "datapath/gate.h"
#include "datapath/share.h"
#include "datapath/wheel.h"

#define CHANGES	     4096u /* of limits, that a worker may fall behind before it looks at every gate */
#define LOOK_NS	     10000000ull
#define LOOK_GATES   256u      /* that one shaper_release() looks at */
#define TURN_PACKETS 8u	       /* that one gate releases before the next gate's turn */
#define YIELD_NS     100000ull /* what a worker that had a turn leaves to others at the same gate */
#define NO_GATE	     UINT32_MAX

struct shaper {
	uint32_t capacity;
	size_t size;	      /* of this mapping */
	pthread_mutex_t lock; /* between callers of shaper_set_limits() */
	uint32_t workers;     /* places of share workers that are taken, as bits */
	/* Identities of gates whose limits changed, the last CHANGES of all that were counted. */
	alignas(64) _Atomic uint64_t change_count;
	_Atomic uint32_t limited[SHAPER_KIND_COUNT]; /* gates of the kind that have a ceiling */
	_Atomic uint32_t changes[CHANGES];
	struct share shares[SHAPER_KIND_COUNT]; /* of tenants' kinds; ports share nothing */
	struct gate gates[];
};

struct queue {
	struct packet_list list; /* not initialised while the queue is empty */
	uint64_t octets;
	uint64_t turn_end; /* when the gate opens again after what this queue released last */
	/* Of a gate that shares a capacity: */
	/* What passed in a turn without contending, and in the one before. */
	uint64_t others_turn, others_octets, others_before;
	uint64_t left;	       /* when it ran empty, ns */
	uint32_t next_leaving; /* gate */
	bool contends, leaving;
};

/* Gates whose queue ran empty lately, in the order in which they did. */
struct leaving {
	uint32_t first, last;
};

/* Every queue that is not empty is in the wheel of its kind. */
struct shaper_worker {
	struct shaper *shaper;
	size_t size; /* of this mapping */
	struct wheel *wheels[SHAPER_KIND_COUNT];
	uint64_t packets, octets;
	uint64_t change_count; /* changes up to here were looked at; no need while nothing waits */
	uint64_t looked;       /* when that was */
	uint64_t dither;       /* see next_dither() */
	unsigned place;	       /* in shares */
	uint64_t rise_counts[SHAPER_KIND_COUNT]; /* of shares, that were noticed */
	uint32_t contending[SHAPER_KIND_COUNT];	 /* gates */
	struct leaving leaving[SHAPER_KIND_COUNT];
	struct queue queues[];
};

/* Zeroed memory that takes space as it is touched, aligned to pages; NULL when there is none. */
static void *map_zeroed(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static size_t gate_id(const struct shaper *shaper, enum shaper_kind kind, uint32_t index)
{
	assert(kind < SHAPER_KIND_COUNT && index < shaper->capacity);
	return (size_t)kind * shaper->capacity + index;
}

struct shaper *shaper_new(uint32_t capacity)
{
	size_t size =
		sizeof(struct shaper) + (size_t)SHAPER_KIND_COUNT * capacity * sizeof(struct gate);
	struct shaper *shaper = map_zeroed(size);

	if (shaper == NULL)
		return NULL;
	shaper->capacity = capacity;
	shaper->size = size;
	pthread_mutex_init(&shaper->lock, NULL);
	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++)
		share_init(&shaper->shares[kind]);
	return shaper;
}

void shaper_free(struct shaper *shaper)
{
	if (shaper == NULL)
		return;
	pthread_mutex_destroy(&shaper->lock);
	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++)
		share_fini(&shaper->shares[kind]);
	munmap(shaper, shaper->size);
}

/* Tells the workers that a gate changed; the caller holds the lock. */
static void note_change(struct shaper *shaper, size_t id)
{
	uint64_t count = atomic_load_explicit(&shaper->change_count, memory_order_relaxed);

	/* A worker that reads this entry must see that it took the place of an older one. */
	atomic_store_explicit(&shaper->changes[count % CHANGES], (uint32_t)id,
			      memory_order_release);
	atomic_store_explicit(&shaper->change_count, count + 1, memory_order_release);
}

void shaper_set_limits(struct shaper *shaper, enum shaper_kind kind, uint32_t index,
		       const struct shaper_limits *limits, uint64_t now)
{
	size_t id = gate_id(shaper, kind, index);
	struct gate *gate = &shaper->gates[id];
	struct shaper_limits old;

	pthread_mutex_lock(&shaper->lock);
	old = gate_read_limits(gate);
	if (limits->rate != old.rate || limits->min != old.min || limits->burst != old.burst ||
	    limits->weight != old.weight) {
		share_set_limits(&shaper->shares[kind], gate, limits, now);
		if (old.rate == 0 && limits->rate != 0)
			atomic_fetch_add_explicit(&shaper->limited[kind], 1, memory_order_relaxed);
		else if (old.rate != 0 && limits->rate == 0)
			atomic_fetch_sub_explicit(&shaper->limited[kind], 1, memory_order_relaxed);
		note_change(shaper, id);
	}
	pthread_mutex_unlock(&shaper->lock);
}

void shaper_set(struct shaper *shaper, enum shaper_kind kind, uint32_t index, uint64_t rate,
		uint64_t now)
{
	const struct shaper_limits limits = {.rate = rate};

	shaper_set_limits(shaper, kind, index, &limits, now);
}

void shaper_set_capacity(struct shaper *shaper, enum shaper_kind kind, uint64_t capacity,
			 uint64_t now)
{
	assert(kind == SHAPER_TENANT_SEND || kind == SHAPER_TENANT_RECEIVE);
	share_set_capacity(&shaper->shares[kind], capacity, now);
}

uint64_t shaper_share(const struct shaper *shaper, enum shaper_kind kind)
{
	struct gate_share share = share_now(&shaper->shares[kind]);

	return share.capacity == 0 ? UINT64_MAX : share.part;
}

uint64_t shaper_rate(const struct shaper *shaper, enum shaper_kind kind, uint32_t index)
{
	return gate_rate(&shaper->gates[gate_id(shaper, kind, index)],
			 share_now(&shaper->shares[kind]));
}

uint32_t shaper_quantum(const struct shaper *shaper, enum shaper_kind kind, uint32_t index)
{
	uint64_t rate = shaper_rate(shaper, kind, index);
	uint64_t octets = (uint64_t)((unsigned __int128)rate * SHAPER_QUANTUM_NS / 8000000000ull);

	if (rate == 0 || octets > UINT32_MAX)
		return UINT32_MAX;
	return octets == 0 ? 1 : (uint32_t)octets;
}

/* A place of its own for what a worker counts. */
static unsigned take_place(struct shaper *shaper)
{
	unsigned place;

	pthread_mutex_lock(&shaper->lock);
	place = (unsigned)__builtin_ctz(~shaper->workers);
	assert(place < SHARE_WORKERS);
	shaper->workers |= 1u << place;
	pthread_mutex_unlock(&shaper->lock);
	return place;
}

static void give_place(struct shaper *shaper, unsigned place)
{
	pthread_mutex_lock(&shaper->lock);
	shaper->workers &= ~(1u << place);
	pthread_mutex_unlock(&shaper->lock);
}

struct shaper_worker *shaper_worker_new(struct shaper *shaper)
{
	size_t size = sizeof(struct shaper_worker) +
		      (size_t)SHAPER_KIND_COUNT * shaper->capacity * sizeof(struct queue);
	struct shaper_worker *worker = map_zeroed(size);

	if (worker == NULL)
		return NULL;
	worker->shaper = shaper;
	worker->size = size;
	worker->place = take_place(shaper);
	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++) {
		worker->leaving[kind] = (struct leaving){NO_GATE, NO_GATE};
		worker->wheels[kind] = wheel_new(shaper->capacity);
		if (worker->wheels[kind] == NULL) {
			shaper_worker_free(worker);
			return NULL;
		}
	}
	return worker;
}

void shaper_worker_free(struct shaper_worker *worker)
{
	if (worker == NULL)
		return;
	assert(worker->packets == 0);
	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++)
		wheel_free(worker->wheels[kind]);
	give_place(worker->shaper, worker->place);
	munmap(worker, worker->size);
}

/* Octets left or came to the queue: counted for the worker and for all workers. */
static void count_packets(struct shaper_worker *worker, size_t id, int64_t packets, int64_t octets)
{
	worker->packets += (uint64_t)packets;
	worker->octets += (uint64_t)octets;
	worker->queues[id].octets += (uint64_t)octets;
	atomic_fetch_add_explicit(&worker->shaper->gates[id].waiting, (uint64_t)octets,
				  memory_order_relaxed);
}

/* Numbers that fill their range evenly, and so does every regular choice of them. */
static uint64_t next_dither(struct shaper_worker *worker)
{
	return worker->dither += 0x9e3779b97f4a7c15ull; /* 2^64 / golden ratio */
}

/* Has one writer; atomic only so that a reader sees no half of it. */
static void add(_Atomic uint64_t *counter, uint64_t amount)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount,
			      memory_order_relaxed);
}

/* What passed at a gate that shares a capacity is measured. */
static void count_shared(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
			 uint32_t octets)
{
	size_t id = gate_id(worker->shaper, kind, index);
	struct share *share = &worker->shaper->shares[kind];
	struct share_worker *sums = &share->workers[worker->place];
	struct queue *queue = &worker->queues[id];
	uint64_t turn = atomic_load_explicit(&share->turn_count, memory_order_relaxed);

	if (queue->contends) {
		add(&sums->contending, octets);
		share_review(share, &worker->shaper->gates[id]);
		return;
	}
	if (queue->others_turn != turn) {
		queue->others_before = queue->others_turn + 1 == turn ? queue->others_octets : 0;
		queue->others_octets = 0;
	}
	queue->others_turn = turn;
	queue->others_octets += octets;
	add(&sums->others, octets);
}

/* Charges the gate when it is open; else sets *due to when it will be. */
static bool charge(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		   uint32_t octets, uint64_t now, uint64_t *due)
{
	struct shaper *shaper = worker->shaper;
	size_t id = gate_id(shaper, kind, index);
	struct gate_share share = share_now(&shaper->shares[kind]);

	share.contends = worker->queues[id].contends;
	if (!gate_charge(&shaper->gates[id], share, octets, next_dither(worker), now, due))
		return false;
	if (share.capacity != 0)
		count_shared(worker, kind, index, octets);
	return true;
}

/* Packets begin to wait at a gate that shares a capacity. */
static void contend(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index)
{
	size_t id = gate_id(worker->shaper, kind, index);
	struct share *share = &worker->shaper->shares[kind];
	struct queue *queue = &worker->queues[id];
	uint64_t turn = atomic_load_explicit(&share->turn_count, memory_order_relaxed);
	uint64_t before = 0;

	/* What it passed in this turn and before is no others' use. */
	if (queue->others_turn == turn) {
		add(&share->workers[worker->place].others, -queue->others_octets);
		before = queue->others_before;
	} else if (queue->others_turn + 1 == turn) {
		before = queue->others_octets;
	}
	queue->others_octets = queue->others_before = 0;
	queue->contends = true;
	worker->contending[kind]++;
	share_enter(share, &worker->shaper->gates[id], before * (8000000000ull / SHARE_TURN_NS));
}

/* The queue ran empty: the gate ceases to contend in some time, unless packets wait again. */
static void begin_leaving(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
			  uint64_t now)
{
	struct leaving *leaving = &worker->leaving[kind];
	struct queue *queue = &worker->queues[gate_id(worker->shaper, kind, index)];

	queue->left = now;
	if (!queue->contends || queue->leaving)
		return;
	queue->leaving = true;
	queue->next_leaving = NO_GATE;
	if (leaving->first == NO_GATE)
		leaving->first = index;
	else
		worker->queues[gate_id(worker->shaper, kind, leaving->last)].next_leaving = index;
	leaving->last = index;
}

/* Gates that are empty for long enough cease to contend. */
static void end_leaving(struct shaper_worker *worker, enum shaper_kind kind, uint64_t now)
{
	struct leaving *leaving = &worker->leaving[kind];

	while (leaving->first != NO_GATE) {
		uint32_t index = leaving->first;
		size_t id = gate_id(worker->shaper, kind, index);
		struct queue *queue = &worker->queues[id];

		if (queue->list.count == 0 && now - queue->left < SHARE_LEAVE_NS)
			return;
		leaving->first = queue->next_leaving;
		queue->leaving = false;
		if (queue->list.count != 0)
			continue;
		queue->contends = false;
		worker->contending[kind]--;
		share_leave(&worker->shaper->shares[kind], &worker->shaper->gates[id]);
	}
}

void shaper_turn(struct shaper_worker *worker, uint64_t now)
{
	for (unsigned kind = SHAPER_TENANT_SEND; kind <= SHAPER_TENANT_RECEIVE; kind++) {
		struct share *share = &worker->shaper->shares[kind];
		uint64_t rises;

		end_leaving(worker, (enum shaper_kind)kind, now);
		share_turn(share, now);
		rises = atomic_load_explicit(&share->rise_count, memory_order_acquire);
		if (rises != worker->rise_counts[kind])
			wheel_expire(worker->wheels[kind]);
		worker->rise_counts[kind] = rises;
	}
}

/* Lets the packet wait, unless it would for longer than the queue's bound. */
static enum shaper_verdict enqueue(struct shaper_worker *worker, enum shaper_kind kind,
				   uint32_t index, struct packet *packet, uint64_t now)
{
	size_t id = gate_id(worker->shaper, kind, index);
	struct gate *gate = &worker->shaper->gates[id];
	struct queue *queue = &worker->queues[id];
	struct gate_share share = share_now(&worker->shaper->shares[kind]);
	uint64_t due = gate_due(gate, share, now), rate = gate_rate(gate, share);
	uint64_t waiting = atomic_load_explicit(&gate->waiting, memory_order_relaxed);

	if (rate != 0 && queue->list.count >= SHAPER_QUEUE_FRAMES &&
	    (due - now > SHAPER_QUEUE_NS ||
	     gate_time(waiting, rate) > SHAPER_QUEUE_NS - (due - now)))
		return SHAPER_FULL;
	if (queue->list.count == 0) {
		packet_list_init(&queue->list);
		wheel_insert(worker->wheels[kind], index, due, now);
	}
	if (share.capacity != 0 && !queue->contends)
		contend(worker, kind, index);
	packet->gate = (uint8_t)kind;
	packet_list_append(&queue->list, packet);
	count_packets(worker, id, 1, packet->wire_size);
	return SHAPER_QUEUED;
}

bool shaper_is_idle(const struct shaper_worker *worker, enum shaper_kind kind)
{
	return worker->packets == 0 &&
	       atomic_load_explicit(&worker->shaper->limited[kind], memory_order_relaxed) == 0 &&
	       share_now(&worker->shaper->shares[kind]).capacity == 0;
}

bool shaper_is_open(const struct shaper_worker *worker, enum shaper_kind kind, uint32_t index)
{
	size_t id = gate_id(worker->shaper, kind, index);

	return shaper_rate(worker->shaper, kind, index) == 0 &&
	       (worker->packets == 0 || worker->queues[id].list.count == 0);
}

enum shaper_verdict shaper_offer(struct shaper_worker *worker, enum shaper_kind kind,
				 uint32_t index, struct packet *packet, uint64_t now)
{
	struct shaper *shaper = worker->shaper;
	size_t id = gate_id(shaper, kind, index);
	bool limited = shaper_rate(shaper, kind, index) != 0;
	uint64_t due;

	if (worker->packets == 0) {
		if (!limited)
			return SHAPER_PASS;
		/* Nothing waits that an earlier change could concern. This comes before the clock
		 * is read, so that no later one is missed. */
		worker->change_count =
			atomic_load_explicit(&shaper->change_count, memory_order_acquire);
		worker->looked = now;
	} else if (worker->queues[id].list.count != 0) {
		return enqueue(worker, kind, index, packet, now);
	}
	/* With workers that sleep, one that is awake would take every chance before them. */
	if (limited && atomic_load_explicit(&shaper->gates[id].waiting, memory_order_relaxed) != 0)
		return enqueue(worker, kind, index, packet, now);
	if (charge(worker, kind, index, packet->wire_size, now, &due))
		return SHAPER_PASS;
	return enqueue(worker, kind, index, packet, now);
}

/* Looks at the gates whose rate was changed since the last time as if they were due. */
static void notice_changes(struct shaper_worker *worker, uint64_t now)
{
	struct shaper *shaper = worker->shaper;
	uint64_t count = atomic_load_explicit(&shaper->change_count, memory_order_acquire);

	worker->looked = now;
	while (worker->change_count != count) {
		uint32_t id = atomic_load_explicit(&shaper->changes[worker->change_count % CHANGES],
						   memory_order_acquire);
		unsigned kind = id / shaper->capacity;
		uint32_t index = id % shaper->capacity;

		/* Was it overwritten while it was read, or long before? */
		count = atomic_load_explicit(&shaper->change_count, memory_order_acquire);
		if (count - worker->change_count >= CHANGES) {
			for (kind = 0; kind < SHAPER_KIND_COUNT; kind++)
				wheel_expire(worker->wheels[kind]);
			worker->change_count = count;
			return;
		}
		worker->change_count++;
		if (wheel_contains(worker->wheels[kind], index)) {
			wheel_remove(worker->wheels[kind], index);
			wheel_insert(worker->wheels[kind], index, now, now);
		}
	}
}

/* The kind whose gate is due first; SHAPER_KIND_COUNT: none is due. */
static unsigned first_due(const struct shaper_worker *worker, uint64_t now)
{
	uint64_t first = now;
	unsigned found = SHAPER_KIND_COUNT;

	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++) {
		uint64_t next = wheel_next(worker->wheels[kind]);

		if (next <= first && (found == SHAPER_KIND_COUNT || next < first)) {
			first = next;
			found = kind;
		}
	}
	return found;
}

/* One gate's turn; it was taken out of the wheel. */
static void serve(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		  struct batch *batch, uint64_t now)
{
	size_t id = gate_id(worker->shaper, kind, index);
	struct gate *gate = &worker->shaper->gates[id];
	struct queue *queue = &worker->queues[id];
	int64_t count = 0, octets = 0;
	uint64_t due = now;

	while (queue->list.first != NULL && count < TURN_PACKETS && !batch_full(batch) &&
	       charge(worker, kind, index, queue->list.first->wire_size, now, &due)) {
		struct packet *packet = packet_list_pop(&queue->list);

		batch_add(batch, packet);
		octets += packet->wire_size;
		count++;
	}
	if (count != 0)
		count_packets(worker, id, -count, -octets);
	if (queue->list.first == NULL) {
		begin_leaving(worker, kind, index, now);
		return;
	}
	if (due > now && count != 0)
		queue->turn_end = due;
	if (due > now && due == queue->turn_end &&
	    atomic_load_explicit(&gate->waiting, memory_order_relaxed) != queue->octets)
		due += YIELD_NS;
	wheel_insert(worker->wheels[kind], index, due, now);
}

bool shaper_release(struct shaper_worker *worker, uint64_t now, struct batch *batch,
		    enum shaper_kind *kind)
{
	unsigned before = batch->count, current = SHAPER_KIND_COUNT;

	if (worker->packets == 0)
		return false;
	notice_changes(worker, now);
	for (unsigned look = 0; look < LOOK_GATES && !batch_full(batch); look++) {
		uint32_t index;

		if (batch->count == before)
			current = first_due(worker, now);
		if (current == SHAPER_KIND_COUNT)
			break;
		index = wheel_pop(worker->wheels[current], now);
		if (index == WHEEL_NONE)
			break;
		serve(worker, (enum shaper_kind)current, index, batch, now);
	}
	if (batch->count == before)
		return false;
	*kind = (enum shaper_kind)current;
	return true;
}

uint64_t shaper_next(const struct shaper_worker *worker, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (unsigned kind = SHAPER_TENANT_SEND; kind <= SHAPER_TENANT_RECEIVE; kind++) {
		uint64_t turn = atomic_load_explicit(&worker->shaper->shares[kind].turn,
						     memory_order_relaxed);

		if (worker->contending[kind] != 0 && turn < next)
			next = turn;
	}
	if (worker->packets == 0)
		return next;
	if (atomic_load_explicit(&worker->shaper->change_count, memory_order_acquire) !=
	    worker->change_count)
		return now;
	if (worker->looked + LOOK_NS < next)
		next = worker->looked + LOOK_NS;
	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++) {
		uint64_t first = wheel_next(worker->wheels[kind]);

		next = first < next ? first : next;
	}
	return next;
}

uint64_t shaper_backlog(const struct shaper_worker *worker, uint64_t *packets)
{
	*packets = worker->packets;
	return worker->octets;
}

void shaper_drain(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		  struct packet_list *list)
{
	size_t id = gate_id(worker->shaper, kind, index);
	struct queue *queue = &worker->queues[id];
	struct packet *packet;

	if (queue->list.count == 0)
		return;
	wheel_remove(worker->wheels[kind], index);
	count_packets(worker, id, -(int64_t)queue->list.count, -(int64_t)queue->octets);
	while ((packet = packet_list_pop(&queue->list)) != NULL)
		packet_list_append(list, packet);
}

void shaper_drain_all(struct shaper_worker *worker, struct packet_list *list)
{
	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++) {
		uint32_t index;

		while ((index = wheel_pop(worker->wheels[kind], UINT64_MAX)) != WHEEL_NONE)
			shaper_drain(worker, (enum shaper_kind)kind, index, list);
	}
}
