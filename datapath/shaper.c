/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/shaper_internal.h"

#include "datapath/map_zeroed.h"

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
	atomic_store_explicit(&shaper->changes[count % SHAPER_CHANGES], (uint32_t)id,
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
	uint64_t octets = gate_octets(rate, SHAPER_QUANTUM_NS);

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
	shaper_worker_bound(worker, UINT32_MAX, UINT64_MAX);
	worker->place = take_place(shaper);
	packet_list_init(&worker->lost);
	worker->memory = flow_memory_new(SHAPER_KIND_COUNT * shaper->capacity);
	if (worker->memory == NULL) {
		shaper_worker_free(worker);
		return NULL;
	}
	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++) {
		worker->leaving[kind] = (struct leaving){SHAPER_NO_GATE, SHAPER_NO_GATE};
		worker->wheels[kind] = wheel_new(shaper->capacity);
		if (worker->wheels[kind] == NULL) {
			shaper_worker_free(worker);
			return NULL;
		}
	}
	return worker;
}

void shaper_worker_bound(struct shaper_worker *worker, uint32_t packets, uint64_t octets)
{
	worker->packets_max = packets;
	worker->octets_max = octets;
}

void shaper_worker_free(struct shaper_worker *worker)
{
	if (worker == NULL)
		return;
	assert(worker->packets == 0 && worker->lost.count == 0);
	flow_memory_free(worker->memory);
	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++)
		wheel_free(worker->wheels[kind]);
	give_place(worker->shaper, worker->place);
	munmap(worker, worker->size);
}
