/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_TURNS_H
#define VSWITCH_DATAPATH_TURNS_H

/*
 * Whose turn it is among members that share in equal parts, by deficit round robin (Shreedhar and
 * Varghese, 1995), with priority for those that use less than their share. A member is a cell of
 * 64 octets in an array, named by its index; 0 is none. What it holds is the caller's
 * (flow_queue.h: the ports at a gate, the flows of a port). Used by one worker; inline since it is
 * a few loads and stores.
 *
 * How this works. All members stand in a ring. A member that has a deficit above zero, what is left
 * of its share, may send; what it sends is taken off. At zero or below it gets another quantum and
 * goes to the ring's end. Whoever has nothing to send when its turn comes leaves.
 *
 * A member that had nothing and gets something also goes to the front, a second ring: what fits its
 * share goes out before everybody else's turn. Such a member keeps no more than TURN_CREDIT of its
 * share. So a sparse flow does not wait for a round, but by being away and coming back nobody gets
 * more than its share: it stays in the ring, with its deficit, until its turn. (RFC 8290 gives the
 * same to flows that are new, whatever the size of their first packet; here a flow that is quiet
 * between two packets need not be gone for a round to be one, and a super-packet is nothing that
 * others should wait for.)
 */

#include <stdbool.h>
#include <stdint.h>

#define TURN_CREDIT   2048 /* octets: a full frame, with tags and what a gate adds to its size */
#define TURN_COST_MAX (1u << 30)

enum turn_ring { TURN_ROUND, TURN_FRONT, TURN_RINGS };

/* First in its cell. */
struct turn {
	uint32_t next[TURN_RINGS]; /* the member behind, in a circle; 0: not in the ring */
	int32_t deficit;
};

/* Zeroed memory has no members. */
struct turns {
	uint32_t last[TURN_RINGS];
};

static inline struct turn *turn_at(void *cells, uint32_t id)
{
	return (struct turn *)((char *)cells + (uint64_t)id * 64);
}

/* The ring's first member, or 0. */
static inline uint32_t turns_first(const struct turns *turns, void *cells, enum turn_ring ring)
{
	uint32_t last = turns->last[ring];

	return last == 0 ? 0 : turn_at(cells, last)->next[ring];
}

/* Puts a member that is not in the ring to its end. */
static inline void turns_append(struct turns *turns, void *cells, enum turn_ring ring, uint32_t id)
{
	struct turn *turn = turn_at(cells, id);

	if (turns->last[ring] == 0) {
		turn->next[ring] = id;
	} else {
		struct turn *last = turn_at(cells, turns->last[ring]);

		turn->next[ring] = last->next[ring];
		last->next[ring] = id;
	}
	turns->last[ring] = id;
}

/* Takes the ring's first member out; there must be one. */
static inline void turns_pop(struct turns *turns, void *cells, enum turn_ring ring)
{
	struct turn *last = turn_at(cells, turns->last[ring]);
	uint32_t id = last->next[ring];
	struct turn *first = turn_at(cells, id);

	last->next[ring] = first->next[ring];
	first->next[ring] = 0;
	if (id == turns->last[ring])
		turns->last[ring] = 0;
}

/* Takes a member out of a ring wherever it is there, if it is; walks the ring. */
void turns_remove(struct turns *turns, void *cells, enum turn_ring ring, uint32_t id);

/* A member that had nothing to send has something; it joins if it was away. */
static inline void turns_wake(struct turns *turns, void *cells, uint32_t id)
{
	struct turn *turn = turn_at(cells, id);

	if (turn->next[TURN_ROUND] == 0) {
		turn->deficit = TURN_CREDIT;
		turns_append(turns, cells, TURN_ROUND, id);
	} else if (turn->deficit > TURN_CREDIT) {
		turn->deficit = TURN_CREDIT;
	}
}

/* The member wants to send before its turn. */
static inline void turns_hurry(struct turns *turns, void *cells, uint32_t id)
{
	if (turn_at(cells, id)->next[TURN_FRONT] == 0)
		turns_append(turns, cells, TURN_FRONT, id);
}

/* Whether what costs so many octets fits what is left of the member's share. */
static inline bool turn_fits(const struct turn *turn, uint32_t cost)
{
	return turn->deficit > 0 && cost <= (uint32_t)turn->deficit;
}

/*
 * The member whose turn it is in the round, or 0 when there is none; the caller looks whether it
 * has something to send. The quantum is in octets, from 1 to TURN_COST_MAX. Rounds in which all
 * members only pay their debts are not walked one by one.
 */
uint32_t turns_next(struct turns *turns, void *cells, uint32_t quantum);

/* The member sends what costs so many octets. */
static inline void turns_charge(struct turns *turns, void *cells, uint32_t id, uint32_t cost,
				uint32_t quantum)
{
	struct turn *turn = turn_at(cells, id);

	turn->deficit -= (int32_t)(cost < TURN_COST_MAX ? cost : TURN_COST_MAX);
	/* At once, so that its share is at hand for what comes meanwhile. */
	if (turn->deficit <= 0 && id == turns_first(turns, cells, TURN_ROUND)) {
		turn->deficit += (int32_t)quantum;
		turns->last[TURN_ROUND] = id;
	}
}

#endif
