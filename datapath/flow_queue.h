/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_FLOW_QUEUE_H
#define VSWITCH_DATAPATH_FLOW_QUEUE_H

/*
 * The packets that wait at a gate (shaper.h) at one worker, and which of them is next. The ports of
 * a tenant share its gate in equal parts, whatever they send; the flows of a port share what the
 * port has. Shares are of octets as the gate charges them. Everything here belongs to one worker;
 * time is CLOCK_MONOTONIC in nanoseconds or any other clock that does not go back.
 *
 * How this works.
 *
 * - Two levels of deficit round robin with priority for who uses less than its share (turns.h):
 *   ports in a queue, flows in a port. A packet goes out of turn only if it fits the shares of
 *   both its flow and its port, so that a port gains nothing by many flows.
 * - A port has FLOW_SETS sets of FLOW_WAYS flows, by packet->flow_hash. When a set is full, another
 *   flow shares the queue of the one that began last there, and so do all further ones until that
 *   queue has run empty, so that every flow's packets keep their order.
 * - Each flow has CoDel (codel.h). It marks packets that can be marked (ecn.h) and drops others,
 *   but never when no more than a frame waits behind.
 * - A port is in one queue at a time. Where packets of its index wait in another one, they are
 *   those of a predecessor, and have to be taken out first: flow_queue_evict().
 *
 * A flow takes one cache line while it has packets or its turn has not come since it had, and so
 * does a port. What CoDel knows of a flow goes with that.
 */

#include <stdbool.h>
#include <stdint.h>

#include "datapath/packet.h"
#include "datapath/turns.h"

#define FLOW_SETS	4u
#define FLOW_WAYS	16u
#define FLOW_DROP_BATCH 8u /* packets that flow_queue_drop_longest() takes at most */

/* The fields are to be read only. Zeroed memory is an empty queue. */
struct flow_queue {
	uint64_t octets; /* charged, of all packets that wait */
	uint64_t marked; /* frames that CoDel marked so far */
	uint32_t packets;
	uint32_t longest; /* private: the port that grew longer than its predecessor here */
	struct turns ports;
};

struct flow_parameters {
	uint64_t target;   /* ns that a flow's packets may wait for long: CoDel's; to INT64_MAX */
	uint64_t interval; /* ns that are long: CoDel's */
	uint32_t quantum;  /* octets of a turn; 1 … TURN_COST_MAX */
};

struct flow_memory;

/*
 * Makes the memory of a worker's ports and flows. A port that waits at several kinds of gates is
 * one for each, so that ports number 0 … port_count - 1. Reserves address space only; memory is
 * taken when it is first used, and then used again. Returns NULL when out of memory.
 */
struct flow_memory *flow_memory_new(uint32_t port_count);
/* Every queue must be empty. NULL is accepted. */
void flow_memory_free(struct flow_memory *memory);
/* Flows that have memory now. */
uint32_t flow_memory_in_use(const struct flow_memory *memory);

/*
 * If the port is in another queue than this one, takes it out there, moves its packets to list and
 * returns that other queue, of which the counts are right again; else NULL. Costs a walk over the
 * other queue's ports, where there is something to do.
 */
struct flow_queue *flow_queue_evict(struct flow_memory *memory, const struct flow_queue *queue,
				    uint32_t port, struct packet_list *list);

/*
 * Lets the packet, which is the queue's from here on, wait; the port must not be in another queue.
 * cost is what the gate will charge, in octets, at least 1, and is kept in packet->cost.
 */
void flow_queue_append(struct flow_memory *memory, struct flow_queue *queue, uint32_t port,
		       struct packet *packet, uint32_t cost, uint64_t now);

/*
 * The packet that is next, which stays; NULL when the queue is empty. What CoDel drops goes to
 * dropped. Asking again gives the same packet or one that should go before it, unless CoDel drops
 * it meanwhile.
 */
struct packet *flow_queue_peek(struct flow_memory *memory, struct flow_queue *queue, uint64_t now,
			       const struct flow_parameters *parameters,
			       struct packet_list *dropped);

/*
 * Takes out what flow_queue_peek() has just returned, and gives it to the caller. There must have
 * been no other call for this queue since.
 */
struct packet *flow_queue_take(struct flow_memory *memory, struct flow_queue *queue,
			       const struct flow_parameters *parameters);

/*
 * Moves packets from the head of the longest flow of the longest port to dropped: half of the
 * flow's octets, but no more than FLOW_DROP_BATCH packets (RFC 8290 section 4.1.2), and at least
 * one unless the queue is empty. The longest port is the one that grew longest of those to which
 * packets came last: other ports are not compared with it until packets come to them (Suter et al.,
 * "Buffer Management Schemes for Supporting TCP in Gigabit Routers with Per-Flow Queueing", 1999).
 */
void flow_queue_drop_longest(struct flow_memory *memory, struct flow_queue *queue,
			     struct packet_list *dropped);

/* Moves everything to list; every flow's packets are in order. */
void flow_queue_drain(struct flow_memory *memory, struct flow_queue *queue,
		      struct packet_list *list);

#endif
