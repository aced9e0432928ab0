/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_GATE_H
#define VSWITCH_DATAPATH_GATE_H

/*
 * The clock of one limit, shared by all workers: a part of the shaper (shaper.h), which says what
 * it means. Nothing here knows packets or queues.
 *
 * A gate has a rate of its own, its ceiling, or shares a capacity with others (share.h), or both.
 * What it may do now is the lesser of its ceiling and of its guarantee and its weight's part in the
 * share; since the share changes every few milliseconds the rate is worked out with each charge,
 * which costs a division and no memory.
 */

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "datapath/shaper.h"

/* What one gate was configured to; immutable while it is in force. */
struct gate_limits {
	_Atomic uint64_t ceiling; /* bit/s; 0: none */
	_Atomic uint64_t min;	  /* bit/s */
	_Atomic uint64_t burst;	  /* octets; 0: what SHAPER_BURST_NS take */
	_Atomic uint64_t weight;  /* 0 reads as 1 */
};

/* How a gate takes part in its kind's share. Under the share's lock but for `state`. */
struct gate_part {
	_Atomic uint32_t state; /* enum share_state */
	uint32_t workers;	/* at which it contends */
	uint64_t weight, min, ceiling;
};

/*
 * The word holds the clock and everything that must change together with it:
 *
 *	bits 8 … 63	the clock in units of 2^-8 ns, wrapping after 3 days
 *	bits 2 … 7	counts changes of the limits, so that a compare-and-swap by a worker that
 *			read old ones fails even when the clock is the same again
 *	bit 1		the gate has a ceiling; zeroed memory is an unlimited gate
 *	bit 0		which of limits[] is in force; a change fills the other one first
 */
struct gate {
	alignas(64) _Atomic uint64_t word;
	_Atomic uint64_t passed;  /* when something passed or changed last, ns */
	_Atomic uint64_t waiting; /* octets in the queues of all workers */
	_Atomic uint64_t charged; /* bit/s at which the last charge was made */
	struct gate_part part;
	alignas(64) struct gate_limits limits[2];
};

/*
 * What a kind's gates share: each weight's part in 2^-16 bit/s, and the whole in bit/s; 0: nothing
 * is shared. What is shared is not there to be saved up: a gate that does not contend has a credit
 * of SHAPER_REST_NS only.
 */
struct gate_share {
	uint64_t part, capacity;
	bool contends;
};

/* The limits in force, of a word that was read. */
static inline const struct gate_limits *gate_limits(const struct gate *gate, uint64_t word)
{
	return &gate->limits[word & 1u];
}

/* The rate in bit/s that the gate has now; 0: it is unlimited. */
uint64_t gate_rate(const struct gate *gate, struct gate_share share);

/* The limits in force. */
struct shaper_limits gate_read_limits(const struct gate *gate);

/* What octets take at a rate, in whole ns; saturates. */
uint64_t gate_time(uint64_t octets, uint64_t rate);

/* What passes at a rate in so many ns, in octets; the reverse of it. Saturates. */
uint64_t gate_octets(uint64_t rate, uint64_t ns);

/* When a debt will have run out, at the earliest now. */
uint64_t gate_due(const struct gate *gate, struct gate_share share, uint64_t now);

/*
 * Charges octets when the gate is open, or has no limit; else sets *due to when it will be.
 * `dither` decides which way the time is rounded; when it is spread evenly, errors do not add up.
 * `before`: of these octets, those of all packets but the last. When the gate would close before
 * the last packet, nothing is charged: they have to be offered one by one.
 */
bool gate_charge(struct gate *gate, struct gate_share share, uint32_t octets, uint32_t before,
		 uint64_t dither, uint64_t now, uint64_t *due);

/*
 * Makes these the gate's limits; one caller at a time. A debt or a credit is worth as many octets
 * at the new rate as it was at the old one.
 */
void gate_set(struct gate *gate, struct gate_share share, const struct shaper_limits *limits,
	      uint64_t now);

#endif
