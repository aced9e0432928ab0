/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/share.h"

#define PART_SHIFT 16
/* In which what is too much or too little is made up for: some time, and what so many bits take …
 */
#define BALANCE_NS   2000000ull
#define BALANCE_BITS 3000000ull
#define FRAME_BITS   12112ull /* … or in which every gate that contends passes four of these */
#define IDLE_NS	     100000000ull /* after so long what was measured says nothing any more */

void share_init(struct share *share)
{
	pthread_mutex_init(&share->lock, NULL);
}

void share_fini(struct share *share)
{
	pthread_mutex_destroy(&share->lock);
}

/* The part when there is enough for all. */
static uint64_t full_part(uint64_t capacity)
{
	return capacity > SHARE_FULL_PART ? UINT64_MAX : capacity << PART_SHIFT;
}

/* Guarantee and share together, in bit/s. */
static unsigned __int128 fair_rate(const struct gate_part *part, struct gate_share share)
{
	return (((unsigned __int128)share.part * part->weight) >> PART_SHIFT) + part->min;
}

/* Whether a gate's ceiling is what holds it. */
static bool is_capped(const struct gate_part *part, struct gate_share share)
{
	return part->ceiling != 0 && part->ceiling <= fair_rate(part, share);
}

/* What the gate counts with in the sums, in bit/s. */
static int64_t part_rate(const struct gate_part *part, struct gate_share share)
{
	unsigned __int128 rate =
		part->state == SHARE_CAPPED ? part->ceiling : fair_rate(part, share);

	return rate > INT64_MAX ? INT64_MAX : (int64_t)rate;
}

static void set_part(struct share *share, uint64_t part)
{
	uint64_t former = atomic_load_explicit(&share->part, memory_order_relaxed);

	atomic_store_explicit(&share->part, part, memory_order_relaxed);
	if (former != 0 && part / former >= 2)
		atomic_fetch_add_explicit(&share->rise_count, 1, memory_order_release);
}

/* Sets the part at which all is used, but not to less than `least`. */
static void divide(struct share *share, uint64_t least)
{
	uint64_t capacity = atomic_load_explicit(&share->capacity, memory_order_relaxed);
	uint64_t full = full_part(capacity);
	__int128 part;

	if (capacity == 0 || share->weight == 0)
		return;
	part = (__int128)capacity - share->others - share->min - share->ceiling;
	/* What was too much is made up for by a quarter at most. */
	part += share->balance < -(int64_t)(capacity / 4) ? -(int64_t)(capacity / 4)
							  : share->balance;
	part = part * (1 << PART_SHIFT) / share->weight;
	if (part < (__int128)least)
		part = least;
	set_part(share, part > full ? full : (uint64_t)part);
}

/* What the part may fall to when `passed` bit/s passed. */
static uint64_t least_part(const struct share *share, int64_t capacity, int64_t passed)
{
	uint64_t least = atomic_load_explicit(&share->part, memory_order_relaxed) / 4;

	if (passed > capacity)
		least = (uint64_t)((unsigned __int128)least * (uint64_t)capacity /
				   (uint64_t)passed);
	return least == 0 ? 1 : least;
}

/* What the gate brings into the sums by its limits. */
static void read_part(const struct gate *gate, struct gate_part *part)
{
	const struct shaper_limits limits = gate_read_limits(gate);

	part->weight = limits.weight == 0 ? 1 : limits.weight;
	part->min = limits.min;
	part->ceiling = limits.rate;
}

/* Adds the gate to the sum that it belongs to. */
static void contribute(struct share *share, struct gate *gate)
{
	struct gate_part *part = &gate->part;

	read_part(gate, part);
	share->gates++;
	if (is_capped(part, share_now(share))) {
		share->ceiling += part->ceiling;
		atomic_store_explicit(&part->state, SHARE_CAPPED, memory_order_relaxed);
	} else {
		share->weight += part->weight;
		share->min += part->min;
		atomic_store_explicit(&part->state, SHARE_DIVIDED, memory_order_relaxed);
	}
}

/* Takes it out of the sum again. */
static void withdraw(struct share *share, struct gate *gate)
{
	struct gate_part *part = &gate->part;

	share->gates--;
	if (atomic_load_explicit(&part->state, memory_order_relaxed) == SHARE_CAPPED) {
		share->ceiling -= part->ceiling;
	} else {
		share->weight -= part->weight;
		share->min -= part->min;
	}
	atomic_store_explicit(&part->state, SHARE_NONE, memory_order_relaxed);
}

void share_enter(struct share *share, struct gate *gate, uint64_t used)
{
	int64_t others;

	pthread_mutex_lock(&share->lock);
	others = share->others - (used > INT64_MAX ? INT64_MAX : (int64_t)used);
	share->others = others < 0 ? 0 : others;
	if (gate->part.workers++ == 0)
		contribute(share, gate);
	divide(share, least_part(share, 1, 0));
	pthread_mutex_unlock(&share->lock);
}

void share_leave(struct share *share, struct gate *gate)
{
	pthread_mutex_lock(&share->lock);
	if (--gate->part.workers == 0) {
		int64_t unused = part_rate(&gate->part, share_now(share));

		/* What it did not use was left to others already. */
		if (share->balance > 0)
			share->balance = share->balance > unused ? share->balance - unused : 0;
		withdraw(share, gate);
		divide(share, 1);
	}
	pthread_mutex_unlock(&share->lock);
}

void share_review(struct share *share, struct gate *gate)
{
	struct gate_part part;
	unsigned state;

	read_part(gate, &part);
	state = is_capped(&part, share_now(share)) ? SHARE_CAPPED : SHARE_DIVIDED;
	if (state == atomic_load_explicit(&gate->part.state, memory_order_relaxed))
		return;
	pthread_mutex_lock(&share->lock);
	if (gate->part.workers != 0) {
		withdraw(share, gate);
		contribute(share, gate);
	}
	pthread_mutex_unlock(&share->lock);
}

void share_set_limits(struct share *share, struct gate *gate, const struct shaper_limits *limits,
		      uint64_t now)
{
	pthread_mutex_lock(&share->lock);
	if (gate->part.workers != 0)
		withdraw(share, gate);
	gate_set(gate, share_now(share), limits, now);
	if (gate->part.workers != 0)
		contribute(share, gate);
	pthread_mutex_unlock(&share->lock);
}

/* Forgets what was measured: it begins anew from now. */
static void look(struct share *share, uint64_t now)
{
	share->looked_contending = share->looked_others = 0;
	for (unsigned i = 0; i < SHARE_WORKERS; i++) {
		const struct share_worker *worker = &share->workers[i];

		share->looked_contending +=
			atomic_load_explicit(&worker->contending, memory_order_relaxed);
		share->looked_others += atomic_load_explicit(&worker->others, memory_order_relaxed);
	}
	share->looked = now;
}

void share_set_capacity(struct share *share, uint64_t capacity, uint64_t now)
{
	pthread_mutex_lock(&share->lock);
	if (capacity != atomic_load_explicit(&share->capacity, memory_order_relaxed)) {
		atomic_store_explicit(&share->part, full_part(capacity), memory_order_relaxed);
		atomic_store_explicit(&share->capacity, capacity, memory_order_release);
		atomic_fetch_add_explicit(&share->rise_count, 1, memory_order_release);
		share->others = share->balance = 0;
		divide(share, 1);
		look(share, now);
		atomic_store_explicit(&share->turn, now + SHARE_TURN_NS, memory_order_relaxed);
	}
	pthread_mutex_unlock(&share->lock);
}

/* A gate that begins to contend takes what it passed back: the sum may have become less. */
static int64_t bit_rate(uint64_t octets, uint64_t ns)
{
	unsigned __int128 rate = (unsigned __int128)octets * 8000000000ull / ns;

	if ((int64_t)octets <= 0)
		return 0;
	return rate > INT64_MAX ? INT64_MAX : (int64_t)rate;
}

/*
 * How long to take for making up. Where a turn has few packets, one more or less is much of it, and
 * it takes more turns to tell. And a gate is charged at the share of that moment: until all have
 * been, what passes does not show what the share does, and who makes up faster than that goes on
 * to take too much, and then too little.
 */
static uint64_t balance_time(const struct share *share, int64_t capacity)
{
	unsigned __int128 second = 1000000000, bits = BALANCE_BITS;
	unsigned __int128 time = BALANCE_NS + bits * second / (uint64_t)capacity;
	unsigned __int128 round = share->gates * 4 * FRAME_BITS * second / (uint64_t)capacity;

	time = round > time ? round : time;
	return time > IDLE_NS * 100 ? IDLE_NS * 100 : (uint64_t)time;
}

/* Measures what passed since the last turn. Returns all of it, in bit/s. */
static int64_t measure(struct share *share, int64_t capacity, uint64_t now)
{
	uint64_t elapsed = now - share->looked, contending = share->looked_contending,
		 others = share->looked_others;
	int64_t used, free;

	look(share, now);
	used = bit_rate(share->looked_contending - contending, elapsed);
	free = bit_rate(share->looked_others - others, elapsed);
	if (elapsed > IDLE_NS) {
		share->others = free;
		share->balance = 0;
		return used + free;
	}
	share->others += (free - share->others) / 2;
	share->balance += (int64_t)((__int128)(capacity - used - free) * elapsed /
				    balance_time(share, capacity));
	if (share->balance > capacity)
		share->balance = capacity;
	if (share->balance < -capacity)
		share->balance = -capacity;
	/* Nobody left what nobody wanted. */
	if (share->weight == 0 && share->balance > 0)
		share->balance = 0;
	return used + free;
}

void share_turn(struct share *share, uint64_t now)
{
	uint64_t capacity = atomic_load_explicit(&share->capacity, memory_order_relaxed);

	if (capacity == 0 || now < atomic_load_explicit(&share->turn, memory_order_relaxed) ||
	    pthread_mutex_trylock(&share->lock) != 0)
		return;
	capacity = atomic_load_explicit(&share->capacity, memory_order_relaxed);
	if (capacity != 0 && now >= atomic_load_explicit(&share->turn, memory_order_relaxed) &&
	    now > share->looked) {
		int64_t whole = capacity > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)capacity;
		int64_t passed = measure(share, whole, now);
		uint64_t least = least_part(share, whole, passed);

		if (share->weight == 0)
			set_part(share, passed > whole ? least : full_part(capacity));
		divide(share, least);
		atomic_fetch_add_explicit(&share->turn_count, 1, memory_order_relaxed);
		atomic_store_explicit(&share->turn, now + SHARE_TURN_NS, memory_order_relaxed);
	}
	pthread_mutex_unlock(&share->lock);
}
