/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/gate.h"

/*
 * Shifted by TIME_SHIFT, nanoseconds compare with the word, flags masked, by signed difference.
 * Debts are below DEBT_MAX, credits below CREDIT_MAX, and an idle gate is known by `passed`, so no
 * difference that is used comes near half the range, however long a gate rests.
 */
#define TIME_SHIFT   16
#define WORD_FLAGS   0xffull
#define WORD_SLOT    0x01ull
#define WORD_LIMITED 0x02ull
#define WORD_CHANGE  0x04ull
#define UNIT_SHIFT   8				 /* units of 2^-8 ns, as a part of the word */
#define DEBT_MAX     (1ull << (45 + TIME_SHIFT)) /* 9.8 hours: a super-packet at 16 bit/s */
#define CREDIT_MAX   (1ull << (42 + TIME_SHIFT)) /* 73 minutes */
#define STALE_NS     (1ll << 46)

#define UNITS_PER_OCTET_AT_1_BIT (8000000000ull << UNIT_SHIFT)
/* Octets whose time is worked out with 64 bits. */
#define OCTETS_FAST (UINT64_MAX / UNITS_PER_OCTET_AT_1_BIT / 2)

/* The rate by the limits of this word; 0: none. */
static uint64_t word_rate(const struct gate *gate, uint64_t word, struct gate_share share)
{
	const struct gate_limits *limits = gate_limits(gate, word);
	uint64_t ceiling = 0, min, weight;
	unsigned __int128 fair;

	if ((word & WORD_LIMITED) != 0)
		ceiling = atomic_load_explicit(&limits->ceiling, memory_order_relaxed);
	if (share.capacity == 0)
		return ceiling;
	min = atomic_load_explicit(&limits->min, memory_order_relaxed);
	weight = atomic_load_explicit(&limits->weight, memory_order_relaxed);
	fair = (((unsigned __int128)share.part * (weight == 0 ? 1 : weight)) >> 16) + min;
	if (fair > share.capacity)
		fair = share.capacity;
	if (fair == 0)
		fair = 1;
	return ceiling != 0 && ceiling < fair ? ceiling : (uint64_t)fair;
}

uint64_t gate_rate(const struct gate *gate, struct gate_share share)
{
	return word_rate(gate, atomic_load_explicit(&gate->word, memory_order_acquire), share);
}

struct shaper_limits gate_read_limits(const struct gate *gate)
{
	uint64_t word = atomic_load_explicit(&gate->word, memory_order_acquire);
	const struct gate_limits *limits = gate_limits(gate, word);

	return (struct shaper_limits){
		.rate = atomic_load_explicit(&limits->ceiling, memory_order_relaxed),
		.min = atomic_load_explicit(&limits->min, memory_order_relaxed),
		.burst = atomic_load_explicit(&limits->burst, memory_order_relaxed),
		.weight = (uint32_t)atomic_load_explicit(&limits->weight, memory_order_relaxed),
	};
}

uint64_t gate_time(uint64_t octets, uint64_t rate)
{
	unsigned __int128 time = (unsigned __int128)octets * 8000000000ull / rate;

	return time > UINT64_MAX ? UINT64_MAX : (uint64_t)time;
}

uint64_t gate_octets(uint64_t rate, uint64_t ns)
{
	unsigned __int128 octets = (unsigned __int128)rate * ns / 8000000000ull;

	return octets > UINT64_MAX ? UINT64_MAX : (uint64_t)octets;
}

/* What a gate that rested is ahead by, in 2^-16 ns: what a late worker makes up for. */
static int64_t gate_credit(const struct gate *gate, uint64_t word, uint64_t rate,
			   struct gate_share share)
{
	uint64_t burst =
		atomic_load_explicit(&gate_limits(gate, word)->burst, memory_order_relaxed);
	uint64_t credit;

	if (burst == 0 && share.capacity != 0 && !share.contends)
		return (int64_t)(SHAPER_REST_NS << TIME_SHIFT);
	if (burst == 0 || rate == 0)
		return (int64_t)(SHAPER_BURST_NS << TIME_SHIFT);
	credit = gate_time(burst, rate);
	return credit >= CREDIT_MAX >> TIME_SHIFT ? (int64_t)CREDIT_MAX
						  : (int64_t)(credit << TIME_SHIFT);
}

/* How far the clock is ahead of now, in 2^-16 ns; not below what a late worker makes up for. */
static int64_t gate_debt(const struct gate *gate, uint64_t word, uint64_t rate,
			 struct gate_share share, uint64_t now)
{
	int64_t debt = (int64_t)((word & ~WORD_FLAGS) - (now << TIME_SHIFT));
	uint64_t passed = atomic_load_explicit(&gate->passed, memory_order_relaxed);
	int64_t credit;

	if (debt > 0 && (int64_t)(now - passed) <= STALE_NS)
		return debt;
	credit = gate_credit(gate, word, rate, share);
	return (int64_t)(now - passed) > STALE_NS || debt < -credit ? -credit : debt;
}

/* What octets take at the rate, in 2^-16 ns, a whole number of units, rounded by chance. */
static uint64_t gate_cost(uint64_t rate, uint64_t octets, uint64_t dither)
{
	uint64_t chance = (uint64_t)(((unsigned __int128)rate * dither) >> 64);
	unsigned __int128 units;

	if (octets < OCTETS_FAST && rate < 1ull << 62)
		units = (octets * UNITS_PER_OCTET_AT_1_BIT + chance) / rate;
	else
		units = ((unsigned __int128)octets * UNITS_PER_OCTET_AT_1_BIT + chance) / rate;
	return units > DEBT_MAX >> UNIT_SHIFT ? DEBT_MAX : (uint64_t)units << UNIT_SHIFT;
}

/* The first nanosecond at which a debt has run out. */
static uint64_t debt_end(int64_t debt, uint64_t now)
{
	return debt <= 0 ? now : now + (((uint64_t)debt + (1u << TIME_SHIFT) - 1) >> TIME_SHIFT);
}

uint64_t gate_due(const struct gate *gate, struct gate_share share, uint64_t now)
{
	uint64_t word = atomic_load_explicit(&gate->word, memory_order_acquire);
	uint64_t rate = word_rate(gate, word, share);

	return rate == 0 ? now : debt_end(gate_debt(gate, word, rate, share, now), now);
}

/* The debt (or credit) of as many octets at another rate. */
static int64_t rescale(int64_t debt, uint64_t old_rate, uint64_t new_rate)
{
	__int128 scaled = (__int128)debt * old_rate / new_rate;

	if (scaled > (__int128)DEBT_MAX)
		return (int64_t)DEBT_MAX;
	return scaled < -(__int128)CREDIT_MAX ? -(int64_t)CREDIT_MAX : (int64_t)scaled;
}

/*
 * A debt that was made while the share was less than half of what it is: it counts what it would
 * have cost now, or what others left could not be taken before it has run out.
 */
static bool debt_is_old(const struct gate *gate, uint64_t rate, struct gate_share share)
{
	uint64_t charged = atomic_load_explicit(&gate->charged, memory_order_relaxed);

	return share.capacity != 0 && charged != 0 && charged < rate / 2;
}

bool gate_charge(struct gate *gate, struct gate_share share, uint32_t octets, uint32_t before,
		 uint64_t dither, uint64_t now, uint64_t *due)
{
	uint64_t word = atomic_load_explicit(&gate->word, memory_order_acquire), next, rate;
	bool open;

	do {
		int64_t debt;

		rate = word_rate(gate, word, share);
		if (rate == 0)
			return true;
		debt = gate_debt(gate, word, rate, share, now);
		if (debt > 0 && debt_is_old(gate, rate, share))
			debt = rescale(debt,
				       atomic_load_explicit(&gate->charged, memory_order_relaxed),
				       rate);
		else if (debt > 0) {
			*due = debt_end(debt, now);
			return false;
		}
		if (before > 0 && debt + (int64_t)gate_cost(rate, before, 0) > 0) {
			*due = now;
			return false;
		}
		open = debt <= 0;
		/* Before the clock, or another worker would take the new clock for a stale one. */
		atomic_store_explicit(&gate->passed, now, memory_order_relaxed);
		next = (now << TIME_SHIFT) + (uint64_t)debt +
		       (open ? gate_cost(rate, octets, dither) : 0);
		next = (next & ~WORD_FLAGS) | (word & WORD_FLAGS);
		*due = debt_end(debt, now);
	} while (!atomic_compare_exchange_weak_explicit(
		&gate->word, &word, next, memory_order_acq_rel, memory_order_acquire));
	if (share.capacity != 0)
		atomic_store_explicit(&gate->charged, rate, memory_order_relaxed);
	return open;
}

void gate_set(struct gate *gate, struct gate_share share, const struct shaper_limits *limits,
	      uint64_t now)
{
	uint64_t word = atomic_load_explicit(&gate->word, memory_order_acquire), next;
	struct gate_limits *slot = &gate->limits[(word ^ WORD_SLOT) & WORD_SLOT];
	uint64_t old_rate = word_rate(gate, word, share), rate;

	atomic_store_explicit(&slot->ceiling, limits->rate, memory_order_relaxed);
	atomic_store_explicit(&slot->min, limits->min, memory_order_relaxed);
	atomic_store_explicit(&slot->burst, limits->burst, memory_order_relaxed);
	atomic_store_explicit(&slot->weight, limits->weight, memory_order_relaxed);
	do {
		uint64_t flags = ((word + WORD_CHANGE) ^ WORD_SLOT) & WORD_FLAGS & ~WORD_LIMITED;
		int64_t debt = 0;

		flags |= limits->rate != 0 ? WORD_LIMITED : 0;
		rate = word_rate(gate, flags, share);
		if (old_rate != 0 && rate != 0)
			debt = rescale(gate_debt(gate, word, old_rate, share, now), old_rate, rate);
		if (debt < 0 && debt < -gate_credit(gate, flags, rate, share))
			debt = -gate_credit(gate, flags, rate, share);
		atomic_store_explicit(&gate->passed, now, memory_order_relaxed);
		next = (((now << TIME_SHIFT) + (uint64_t)debt) & ~WORD_FLAGS) | flags;
	} while (!atomic_compare_exchange_weak_explicit(
		&gate->word, &word, next, memory_order_acq_rel, memory_order_acquire));
	atomic_store_explicit(&gate->charged, rate, memory_order_relaxed);
}
