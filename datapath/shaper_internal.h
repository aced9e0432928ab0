/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_SHAPER_INTERNAL_H
#define VSWITCH_DATAPATH_SHAPER_INTERNAL_H

/*
 * What the shaper's own files share: shaper.c has gates and what is common to all workers,
 * shaper_queue.c the queues of one worker, shaper_contend.c its part in sharing a capacity.
 */

#include <assert.h>
#include <stddef.h>

#include "datapath/flow_queue.h"
#include "datapath/gate.h"
#include "datapath/share.h"
#include "datapath/wheel.h"

#define SHAPER_CHANGES                                                                             \
	4096u /* of limits, that a worker may fall behind before it looks at every gate */
#define SHAPER_NO_GATE UINT32_MAX

struct shaper {
	uint32_t capacity;
	size_t size;	      /* of this mapping */
	pthread_mutex_t lock; /* between callers of shaper_set_limits() */
	uint32_t workers;     /* places of share workers that are taken, as bits */
	/* Identities of gates whose limits changed, the last SHAPER_CHANGES of all that were
	 * counted. */
	alignas(64) _Atomic uint64_t change_count;
	_Atomic uint32_t limited[SHAPER_KIND_COUNT]; /* gates of the kind that have a ceiling */
	_Atomic uint32_t changes[SHAPER_CHANGES];
	struct share shares[SHAPER_KIND_COUNT]; /* of tenants' kinds; ports share nothing */
	struct gate gates[];
};

struct queue {
	struct flow_queue flows;
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
	struct flow_memory *memory;
	struct packet_list lost; /* see shaper_take_lost() */
	uint32_t packets_max;
	uint64_t octets_max;
	uint64_t packets, octets; /* that wait */
	uint64_t change_count; /* changes up to here were looked at; no need while nothing waits */
	uint64_t looked;       /* when that was */
	uint64_t dither;       /* see next_dither() */
	unsigned place;	       /* in shares */
	uint64_t rise_counts[SHAPER_KIND_COUNT]; /* of shares, that were noticed */
	uint32_t contending[SHAPER_KIND_COUNT];	 /* gates */
	struct leaving leaving[SHAPER_KIND_COUNT];
	struct queue queues[];
};

static inline size_t gate_id(const struct shaper *shaper, enum shaper_kind kind, uint32_t index)
{
	assert(kind < SHAPER_KIND_COUNT && index < shaper->capacity);
	return (size_t)kind * shaper->capacity + index;
}

/*
 * Charges the gate when it is open; else sets *due to when it will be. What shares a capacity is
 * measured. before: as for gate_charge().
 */
bool shaper_charge(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		   uint32_t octets, uint32_t before, uint64_t now, uint64_t *due);
/* Packets begin to wait at a gate that shares a capacity. */
void shaper_contend(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index);
/* The queue ran empty: the gate ceases to contend in some time, unless packets wait again. */
void shaper_begin_leaving(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
			  uint64_t now);

#endif
