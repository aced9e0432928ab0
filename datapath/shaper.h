/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_SHAPER_H
#define VSWITCH_DATAPATH_SHAPER_H

/*
 * Rate limits by virtual clock, guarantees and weights. A gate is one limit:
 * of a tenant or a port, in one direction. A packet passes its gates one after
 * another; at a gate that is not open yet it waits in the gate's queues. What
 * an operator sees of it is in docs/shaping.md.
 *
 * How this works. A gate's clock says when the gate is free for the next
 * packet: next = max(next, now - burst) + cost / rate, in fixed-point
 * sub-nanosecond time, advanced by compare-and-swap, so that one aggregate is
 * exact over all workers. A packet passes when next <= now. The lower bound
 * is now - burst and not now, because a worker that wakes late would
 * otherwise forfeit the time that it slept too long. Queues belong to a
 * worker; a worker keeps its gates with backlog in timing wheels (wheel.h, one
 * for each kind), so that it schedules gates, not packets.
 *
 * What the choices mean:
 *
 * - Burst. A gate that rested lets SHAPER_BURST_NS at its rate and one packet
 *   through at once, and a worker may be that late without loss of rate.
 *   A packet passes whole as soon as the clock allows any of it, so that a
 *   gate is ahead by at most one packet.
 * - Rounding. The clock counts 2^-8 ns. What a packet takes is rounded up or
 *   down by chance in proportion, or every 64-octet frame at 1 Tbit/s would
 *   be wrong by the same 0.05 %.
 * - Queues. Each gate has at each worker the fair queues of flow_queue.h; a
 *   packet never overtakes one of its flow that waits at its worker. When a
 *   newcomer would wait longer than SHAPER_QUEUE_NS at the present rate, for
 *   what waits at all workers and the debt, the longest flow loses packets,
 *   but each worker has room for SHAPER_QUEUE_FRAMES.
 * - Sharing. Tenants' gates may share a capacity (share.h): a gate's rate is
 *   then the lesser of its ceiling and of its guarantee and part.
 * - Several workers at one gate. While packets wait anywhere, newcomers queue
 *   with every worker, and a worker that had its turn stays back for 0.1 ms;
 *   otherwise the worker that is awake would starve those that sleep.
 * - Change of rate. Clock and rate change in one atomic step. A debt, and a
 *   credit, is worth as many octets at the new rate as it was at the old one.
 *   Workers are told by a list of the last changes, which they look at when
 *   shaper_next() makes them, every 10 ms at the latest; a gate that became
 *   unlimited empties its queues before newcomers pass.
 *   A queue that was filled at a higher rate is not cut by the change: what
 *   waits too long for the new rate goes as newcomers need its room.
 * - Order and turns. Gates are served in the order of their time, to 8 us;
 *   one that released 8 packets goes to the back of all that are due.
 *   Nothing goes out early, and nothing more than 8 us late by itself.
 *
 * struct shaper is shared: shaper_set() is called by the main thread while
 * workers pass packets. struct shaper_worker belongs to one worker.
 * Time is CLOCK_MONOTONIC in nanoseconds, or any synthetic clock. Gates and
 * queues that are never used take no memory but address space.
 */

#include <stdbool.h>
#include <stdint.h>

#include "datapath/batch.h"
#include "datapath/packet.h"

enum shaper_kind {
	SHAPER_PORT_SEND,
	SHAPER_TENANT_SEND,
	SHAPER_TENANT_RECEIVE,
	SHAPER_PORT_RECEIVE,
	SHAPER_KIND_COUNT
};

#define SHAPER_BURST_NS	    4000000ull	 /* what a late worker makes up for */
#define SHAPER_REST_NS	    500000ull	 /* … less for one that rested and shares a capacity */
#define SHAPER_QUEUE_NS	    100000000ull /* a queue's bound, in time at the gate's rate … */
#define SHAPER_QUEUE_FRAMES 16u		 /* … but so many packets may always take longer */
#define SHAPER_QUANTUM_NS   1000000ull	 /* a super-packet that takes longer is cut first */

enum shaper_verdict { SHAPER_PASS, SHAPER_QUEUED };

/* What a gate may do. */
struct shaper_limits {
	uint64_t rate;	 /* its ceiling, bit/s; 0: none */
	uint64_t min;	 /* bit/s, guaranteed while its kind has a capacity */
	uint64_t burst;	 /* octets that pass at once after a rest; 0: what SHAPER_BURST_NS take */
	uint32_t weight; /* in the division of what guarantees leave; 0 reads as 1 */
};

struct shaper;
struct shaper_worker;

/* Makes unlimited gates 0 … capacity - 1 of every kind. Returns NULL when out of memory. */
struct shaper *shaper_new(uint32_t capacity);
void shaper_free(struct shaper *shaper);

/*
 * Sets a gate's limits. Any thread, under traffic. A debt is rescaled by old rate / new rate; to or
 * from unlimited it is cleared. Packets that wait stay, and go out at the new rate: no packet is
 * lost to the change. The workers notice by themselves, see shaper_release().
 */
void shaper_set_limits(struct shaper *shaper, enum shaper_kind kind, uint32_t index,
		       const struct shaper_limits *limits, uint64_t now);
/* The same with a ceiling in bit/s and nothing else; 0 is unlimited. */
void shaper_set(struct shaper *shaper, enum shaper_kind kind, uint32_t index, uint64_t rate,
		uint64_t now);
/* What the gates of a tenants' kind share, in bit/s; 0: nothing is shared. Any thread. */
void shaper_set_capacity(struct shaper *shaper, enum shaper_kind kind, uint64_t capacity,
			 uint64_t now);

/* The rate that a gate has now, in bit/s; 0: unlimited. */
uint64_t shaper_rate(const struct shaper *shaper, enum shaper_kind kind, uint32_t index);
/* What each weight gets of the capacity now, in 2^-16 bit/s; UINT64_MAX: nothing is shared. */
uint64_t shaper_share(const struct shaper *shaper, enum shaper_kind kind);

/*
 * The largest wire_size of a packet that the gate should be offered, at its present rate: what
 * takes SHAPER_QUANTUM_NS; UINT32_MAX when unlimited.
 */
uint32_t shaper_quantum(const struct shaper *shaper, enum shaper_kind kind, uint32_t index);

/* Returns NULL when out of memory. */
struct shaper_worker *shaper_worker_new(struct shaper *shaper);
/*
 * Lets so many packets and octets wait at most; at first there is no bound. One gate takes no more
 * than half of it, since it may only take what is left free.
 */
void shaper_worker_bound(struct shaper_worker *worker, uint32_t packets, uint64_t octets);
/* Every queue must be empty: see shaper_drain(). */
void shaper_worker_free(struct shaper_worker *worker);

/* Whether every gate of the kind is open to all: none has a rate, and nothing waits here. */
bool shaper_is_idle(const struct shaper_worker *worker, enum shaper_kind kind);
/* Whether the gate has no rate and nothing waits here for it: shaper_offer() would let any pass. */
bool shaper_is_open(const struct shaper_worker *worker, enum shaper_kind kind, uint32_t index);

/*
 * Octets that a source which can wait should deliver for the gate now, so that what waits here is
 * enough to use the rate, and too little to be told to slow down; 0: it should wait.
 */
uint64_t shaper_room(const struct shaper_worker *worker, enum shaper_kind kind, uint32_t index);

/*
 * Offers several packets together, that cost so many octets, of which `before` are of all but the
 * last one. Returns whether they all pass, charged: as they would one by one. Else nothing
 * happened.
 */
bool shaper_offer_all(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		      uint32_t octets, uint32_t before, uint64_t now);

/*
 * Offers a packet, which costs packet->cost octets. SHAPER_PASS: charged, the caller goes on with
 * it. SHAPER_QUEUED: it waits, the shaper owns it; others, or itself, may have been lost for it.
 */
enum shaper_verdict shaper_offer(struct shaper_worker *worker, enum shaper_kind kind,
				 uint32_t index, struct packet *packet, uint64_t now);

/*
 * Divides capacities anew when it is time. To be called before shaper_release(), with every turn of
 * a worker that has traffic.
 */
void shaper_turn(struct shaper_worker *worker, uint64_t now);

/*
 * Moves packets whose time has come, charged, from the queue of one gate kind into batch (until it
 * is full) and says which kind in *kind, so that the caller goes on behind that gate. Returns true
 * when something was moved; call again until false. Gates are served in the order of their time;
 * one gate cannot keep others from being served. A call that looked at many gates in vain returns
 * false and leaves shaper_next() at or before now.
 */
bool shaper_release(struct shaper_worker *worker, uint64_t now, struct batch *batch,
		    enum shaper_kind *kind);

/*
 * Moves the packets that were lost since the last call into list, uncharged: packet->gate says at
 * which kind of gate, and packet->drop why: DROP_QUEUE_DELAY, DROP_PORT_GONE, or DROP_NONE for want
 * of room. To be called after shaper_offer() and shaper_release().
 */
void shaper_take_lost(struct shaper_worker *worker, struct packet_list *list);

/*
 * The time at which shaper_release() has something to do next; UINT64_MAX: nothing waits. While
 * something waits it is at most 10 ms ahead, so that changed rates are noticed in time.
 */
uint64_t shaper_next(const struct shaper_worker *worker, uint64_t now);

/* Wire octets and packets that wait at all gates of this worker. */
uint64_t shaper_backlog(const struct shaper_worker *worker, uint64_t *packets);

/* Moves everything that waits at the gate into list, uncharged: the object is gone. */
void shaper_drain(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		  struct packet_list *list);
/* The same for all gates. */
void shaper_drain_all(struct shaper_worker *worker, struct packet_list *list);

#endif
