/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/shaper.h"

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "datapath/wheel.h"

/*
 * A gate's word holds its clock and everything that must change together with it:
 *
 *	bits 8 … 63	the clock in units of 2^-8 ns, wrapping after 3 days
 *	bits 2 … 7	counts changes of the rate, so that a compare-and-swap by a worker that read
 *			an old rate fails even when the clock is the same again
 *	bit 1		the gate has a rate; zeroed memory is an unlimited gate
 *	bit 0		which of rates[] is in force; a change fills the other one first
 *
 * Shifted by TIME_SHIFT, nanoseconds compare with the word, flags masked, by signed difference.
 * Debts are below DEBT_MAX and an idle gate is known by `passed`, so no difference that is used
 * comes near half the range, however long a gate rests.
 */
#define TIME_SHIFT   16
#define WORD_FLAGS   0xffull
#define WORD_SLOT    0x01ull
#define WORD_LIMITED 0x02ull
#define WORD_CHANGE  0x04ull
#define UNIT_SHIFT   8				 /* units of 2^-8 ns, as a part of the word */
#define DEBT_MAX     (1ull << (45 + TIME_SHIFT)) /* 9.8 hours: a super-packet at 16 bit/s */
#define STALE_NS     (1ll << 46)
#define CREDIT_MAX   ((int64_t)(SHAPER_BURST_NS << TIME_SHIFT))

/* Units per octet, with MULTIPLIER_SHIFT bits of fraction: fits 64 bits at 1 bit/s, and is exact
 * to 3e-8 at 1 Tbit/s. */
#define MULTIPLIER_SHIFT 23
#define UNITS_PER_OCTET_AT_1_BIT                                                                   \
	((unsigned __int128)8000000000ull << (UNIT_SHIFT + MULTIPLIER_SHIFT))

#define CHANGES                                                                                    \
	4096u /* rate changes that a worker may fall behind before it looks at every gate          \
	       */
#define LOOK_NS	     10000000ull
#define LOOK_GATES   256u      /* that one shaper_release() looks at */
#define TURN_PACKETS 8u	       /* that one gate releases before the next gate's turn */
#define YIELD_NS     100000ull /* what a worker that had a turn leaves to others at the same gate */

struct rate {
	_Atomic uint64_t rate; /* bit/s */
	_Atomic uint64_t multiplier;
};

struct gate {
	alignas(64) _Atomic uint64_t word;
	_Atomic uint64_t passed;  /* when something passed or changed last, ns */
	_Atomic uint64_t waiting; /* octets in the queues of all workers */
	struct rate rates[2];
};

struct shaper {
	uint32_t capacity;
	size_t size;	      /* of this mapping */
	pthread_mutex_t lock; /* between callers of shaper_set() */
	/* Identities of gates whose rate changed, the last CHANGES of all that were counted. */
	alignas(64) _Atomic uint64_t change_count;
	_Atomic uint32_t limited[SHAPER_KIND_COUNT]; /* gates of the kind that have a rate */
	_Atomic uint32_t changes[CHANGES];
	struct gate gates[];
};

struct queue {
	struct packet_list list; /* not initialised while the queue is empty */
	uint64_t octets;
	uint64_t turn_end; /* when the gate opens again after what this queue released last */
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

static const struct rate *gate_rate(const struct gate *gate, uint64_t word)
{
	return &gate->rates[word & WORD_SLOT];
}

/* How far the clock is ahead of now, in 2^-16 ns; not below what a late worker makes up for. */
static int64_t gate_debt(const struct gate *gate, uint64_t word, uint64_t now)
{
	int64_t debt = (int64_t)((word & ~WORD_FLAGS) - (now << TIME_SHIFT));
	uint64_t passed = atomic_load_explicit(&gate->passed, memory_order_relaxed);

	if ((int64_t)(now - passed) > STALE_NS || debt < -CREDIT_MAX)
		return -CREDIT_MAX;
	return debt;
}

/*
 * What octets take at the gate's rate, in 2^-16 ns, a whole number of units. `dither` decides which
 * way it is rounded; when it is spread evenly, errors do not add up.
 */
static int64_t gate_cost(const struct gate *gate, uint64_t word, uint64_t octets, uint64_t dither)
{
	uint64_t multiplier =
		atomic_load_explicit(&gate_rate(gate, word)->multiplier, memory_order_relaxed);
	unsigned __int128 units = (unsigned __int128)octets * multiplier;

	units = (units + (dither >> (64 - MULTIPLIER_SHIFT))) >> MULTIPLIER_SHIFT;
	if (units > DEBT_MAX >> UNIT_SHIFT)
		return (int64_t)DEBT_MAX;
	return (int64_t)(units << UNIT_SHIFT);
}

/* The first nanosecond at which a debt has run out. */
static uint64_t debt_end(int64_t debt, uint64_t now)
{
	return debt <= 0 ? now : now + (((uint64_t)debt + (1u << TIME_SHIFT) - 1) >> TIME_SHIFT);
}

/* Charges octets when the gate is open; else sets *due to when it will be. */
static bool gate_charge(struct gate *gate, uint32_t octets, uint64_t dither, uint64_t now,
			uint64_t *due)
{
	uint64_t word = atomic_load_explicit(&gate->word, memory_order_acquire), next;

	do {
		int64_t debt;

		if ((word & WORD_LIMITED) == 0)
			return true;
		debt = gate_debt(gate, word, now);
		if (debt > 0) {
			*due = debt_end(debt, now);
			return false;
		}
		/* Before the clock, or another worker would take the new clock for a stale one. */
		atomic_store_explicit(&gate->passed, now, memory_order_relaxed);
		next = (now << TIME_SHIFT) + (uint64_t)debt +
		       (uint64_t)gate_cost(gate, word, octets, dither);
		next |= word & WORD_FLAGS;
	} while (!atomic_compare_exchange_weak_explicit(
		&gate->word, &word, next, memory_order_acq_rel, memory_order_acquire));
	return true;
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
	return shaper;
}

void shaper_free(struct shaper *shaper)
{
	if (shaper == NULL)
		return;
	pthread_mutex_destroy(&shaper->lock);
	munmap(shaper, shaper->size);
}

/* The debt (or credit) of as many octets at another rate. */
static int64_t rescale(int64_t debt, uint64_t old_rate, uint64_t new_rate)
{
	__int128 scaled = (__int128)debt * old_rate / new_rate;

	if (scaled > (__int128)DEBT_MAX)
		return (int64_t)DEBT_MAX;
	return scaled < -CREDIT_MAX ? -CREDIT_MAX : (int64_t)scaled;
}

/* Makes rate that of the gate; its caller holds the lock. */
static void gate_set(struct gate *gate, uint64_t old_rate, uint64_t rate, uint64_t now)
{
	uint64_t word = atomic_load_explicit(&gate->word, memory_order_acquire), next;
	struct rate *slot = &gate->rates[(word ^ WORD_SLOT) & WORD_SLOT];
	uint64_t multiplier = 0;

	if (rate != 0)
		multiplier = (uint64_t)((UNITS_PER_OCTET_AT_1_BIT + rate / 2) / rate);
	atomic_store_explicit(&slot->rate, rate, memory_order_relaxed);
	atomic_store_explicit(&slot->multiplier, multiplier, memory_order_relaxed);
	do {
		int64_t debt = 0;

		if (old_rate != 0 && rate != 0)
			debt = rescale(gate_debt(gate, word, now), old_rate, rate);
		atomic_store_explicit(&gate->passed, now, memory_order_relaxed);
		next = ((now << TIME_SHIFT) + (uint64_t)debt) & ~WORD_FLAGS;
		next |= ((word + WORD_CHANGE) ^ WORD_SLOT) & WORD_FLAGS & ~WORD_LIMITED;
		next |= rate != 0 ? WORD_LIMITED : 0;
	} while (!atomic_compare_exchange_weak_explicit(
		&gate->word, &word, next, memory_order_acq_rel, memory_order_acquire));
}

void shaper_set(struct shaper *shaper, enum shaper_kind kind, uint32_t index, uint64_t rate,
		uint64_t now)
{
	size_t id = gate_id(shaper, kind, index);
	uint64_t old_rate, count;

	pthread_mutex_lock(&shaper->lock);
	old_rate = shaper_rate(shaper, kind, index);
	if (rate != old_rate) {
		gate_set(&shaper->gates[id], old_rate, rate, now);
		if (old_rate == 0)
			atomic_fetch_add_explicit(&shaper->limited[kind], 1, memory_order_relaxed);
		else if (rate == 0)
			atomic_fetch_sub_explicit(&shaper->limited[kind], 1, memory_order_relaxed);
		/* A worker that reads this entry must see that it took the place of an older one.
		 */
		count = atomic_load_explicit(&shaper->change_count, memory_order_relaxed);
		atomic_store_explicit(&shaper->changes[count % CHANGES], (uint32_t)id,
				      memory_order_release);
		atomic_store_explicit(&shaper->change_count, count + 1, memory_order_release);
	}
	pthread_mutex_unlock(&shaper->lock);
}

uint64_t shaper_rate(const struct shaper *shaper, enum shaper_kind kind, uint32_t index)
{
	const struct gate *gate = &shaper->gates[gate_id(shaper, kind, index)];
	uint64_t word = atomic_load_explicit(&gate->word, memory_order_acquire);

	if ((word & WORD_LIMITED) == 0)
		return 0;
	return atomic_load_explicit(&gate_rate(gate, word)->rate, memory_order_relaxed);
}

uint32_t shaper_quantum(const struct shaper *shaper, enum shaper_kind kind, uint32_t index)
{
	uint64_t rate = shaper_rate(shaper, kind, index);
	uint64_t octets = (uint64_t)((unsigned __int128)rate * SHAPER_QUANTUM_NS / 8000000000ull);

	if (rate == 0 || octets > UINT32_MAX)
		return UINT32_MAX;
	return octets == 0 ? 1 : (uint32_t)octets;
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
	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++) {
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

/* Lets the packet wait, unless it would for longer than the queue's bound. */
static enum shaper_verdict enqueue(struct shaper_worker *worker, enum shaper_kind kind,
				   uint32_t index, struct packet *packet, uint64_t now)
{
	size_t id = gate_id(worker->shaper, kind, index);
	struct gate *gate = &worker->shaper->gates[id];
	struct queue *queue = &worker->queues[id];
	uint64_t word = atomic_load_explicit(&gate->word, memory_order_acquire), wait = 0;
	int64_t debt = (word & WORD_LIMITED) != 0 ? gate_debt(gate, word, now) : 0;

	if ((word & WORD_LIMITED) != 0) {
		uint64_t waiting = atomic_load_explicit(&gate->waiting, memory_order_relaxed);

		wait = (uint64_t)gate_cost(gate, word, waiting, 0) +
		       (debt > 0 ? (uint64_t)debt : 0);
	}
	if (queue->list.count >= SHAPER_QUEUE_FRAMES && wait > SHAPER_QUEUE_NS << TIME_SHIFT)
		return SHAPER_FULL;
	if (queue->list.count == 0) {
		packet_list_init(&queue->list);
		wheel_insert(worker->wheels[kind], index, debt_end(debt, now), now);
	}
	packet->gate = (uint8_t)kind;
	packet_list_append(&queue->list, packet);
	count_packets(worker, id, 1, packet->wire_size);
	return SHAPER_QUEUED;
}

bool shaper_is_idle(const struct shaper_worker *worker, enum shaper_kind kind)
{
	return worker->packets == 0 &&
	       atomic_load_explicit(&worker->shaper->limited[kind], memory_order_relaxed) == 0;
}

bool shaper_is_open(const struct shaper_worker *worker, enum shaper_kind kind, uint32_t index)
{
	size_t id = gate_id(worker->shaper, kind, index);
	uint64_t word = atomic_load_explicit(&worker->shaper->gates[id].word, memory_order_relaxed);

	return (word & WORD_LIMITED) == 0 &&
	       (worker->packets == 0 || worker->queues[id].list.count == 0);
}

enum shaper_verdict shaper_offer(struct shaper_worker *worker, enum shaper_kind kind,
				 uint32_t index, struct packet *packet, uint64_t now)
{
	struct shaper *shaper = worker->shaper;
	size_t id = gate_id(shaper, kind, index);
	struct gate *gate = &shaper->gates[id];
	uint64_t word = atomic_load_explicit(&gate->word, memory_order_relaxed), due;

	if (worker->packets == 0) {
		if ((word & WORD_LIMITED) == 0)
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
	if ((word & WORD_LIMITED) != 0 &&
	    atomic_load_explicit(&gate->waiting, memory_order_relaxed) != 0)
		return enqueue(worker, kind, index, packet, now);
	if (gate_charge(gate, packet->wire_size, next_dither(worker), now, &due))
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
static void serve(struct shaper_worker *worker, unsigned kind, uint32_t index, struct batch *batch,
		  uint64_t now)
{
	size_t id = gate_id(worker->shaper, kind, index);
	struct gate *gate = &worker->shaper->gates[id];
	struct queue *queue = &worker->queues[id];
	int64_t count = 0, octets = 0;
	uint64_t due = now;

	while (queue->list.first != NULL && count < TURN_PACKETS && !batch_full(batch) &&
	       gate_charge(gate, queue->list.first->wire_size, next_dither(worker), now, &due)) {
		struct packet *packet = packet_list_pop(&queue->list);

		batch_add(batch, packet);
		octets += packet->wire_size;
		count++;
	}
	if (count != 0)
		count_packets(worker, id, -count, -octets);
	if (queue->list.first == NULL)
		return;
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
		serve(worker, current, index, batch, now);
	}
	if (batch->count == before)
		return false;
	*kind = (enum shaper_kind)current;
	return true;
}

uint64_t shaper_next(const struct shaper_worker *worker, uint64_t now)
{
	uint64_t next = worker->looked + LOOK_NS;

	if (worker->packets == 0)
		return UINT64_MAX;
	if (atomic_load_explicit(&worker->shaper->change_count, memory_order_acquire) !=
	    worker->change_count)
		return now;
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
