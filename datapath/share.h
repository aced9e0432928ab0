/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_SHARE_H
#define VSWITCH_DATAPATH_SHARE_H

/*
 * How the gates of one kind share a capacity: a part of the shaper (shaper.h). Each gate may have
 *
 *	min(ceiling, guarantee + weight * part)
 *
 * with one `part` for all, so that to divide anew is one store, however many gates there are. A
 * gate contends while packets wait at it. Every SHARE_TURN_NS, while there is traffic, a worker
 * finds the part at which the capacity is used up:
 *
 *	part = (capacity - what others use - guarantees - ceilings + what is left) / weights
 *
 * Weights and guarantees are the sums over gates that contend and are below their ceilings,
 * ceilings the sum over those that are at them. A gate changes from one sum to the other when it
 * finds at a charge that its ceiling is less, or more, than its share. What others use is measured:
 * gates at which nothing waits pass what they like up to the same rate, so that one that comes
 * back has at least its guarantee at once. What is left is measured too: a gate goes on to count
 * as one that contends for SHARE_LEAVE_NS after its queue ran empty, since a TCP's does again and
 * again, and what it then does not use the others get.
 *
 * Where nothing waits and more passes than there is, the part falls to a quarter at each turn until
 * something waits. It never falls faster.
 */

#include <pthread.h>

#include "datapath/gate.h"

#define SHARE_TURN_NS	2000000ull
#define SHARE_LEAVE_NS	(2 * SHARE_TURN_NS)
#define SHARE_WORKERS	16u
#define SHARE_FULL_PART (UINT64_MAX >> 16)

enum share_state { SHARE_NONE, SHARE_DIVIDED, SHARE_CAPPED };

/* What one worker's gates passed, in octets; counts up for ever. */
struct share_worker {
	alignas(64) _Atomic uint64_t contending, others;
};

struct share {
	alignas(64) _Atomic uint64_t capacity; /* bit/s; 0: nothing is divided */
	_Atomic uint64_t part;		       /* 2^-16 bit/s for each weight */
	_Atomic uint64_t turn;		       /* when to divide anew, ns */
	_Atomic uint64_t turn_count;
	_Atomic uint64_t rise_count; /* of turns in which the part was doubled or more */

	pthread_mutex_t lock; /* what follows */
	uint32_t gates;	      /* that contend */
	uint64_t weight, min; /* of those below their ceilings */
	uint64_t ceiling;     /* of those that are at it */
	uint64_t looked, looked_contending, looked_others;
	int64_t others;	 /* what gates that do not contend use, bit/s, an average */
	int64_t balance; /* what was left, or was too much, and is to be made up for, bit/s */
	struct share_worker workers[SHARE_WORKERS];
};

void share_init(struct share *share);
void share_fini(struct share *share);

/* Sets what there is to divide, in bit/s; 0: nothing is divided. Any thread. */
void share_set_capacity(struct share *share, uint64_t capacity, uint64_t now);

static inline struct gate_share share_now(const struct share *share)
{
	return (struct gate_share){
		.part = atomic_load_explicit(&share->part, memory_order_relaxed),
		.capacity = atomic_load_explicit(&share->capacity, memory_order_relaxed),
	};
}

/*
 * A worker begins, or ends, to count a gate as one that contends, and which lately used so much
 * (bit/s) as one that did not.
 */
void share_enter(struct share *share, struct gate *gate, uint64_t used);
void share_leave(struct share *share, struct gate *gate);

/* A gate that contends was charged: it may have come to its ceiling, or fallen below. */
void share_review(struct share *share, struct gate *gate);

/* Sets a gate's limits, whether it contends or not. */
void share_set_limits(struct share *share, struct gate *gate, const struct shaper_limits *limits,
		      uint64_t now);

/* Divides anew when it is time. Any worker. */
void share_turn(struct share *share, uint64_t now);

#endif
