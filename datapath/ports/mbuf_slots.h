/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_MBUF_SLOTS_H
#define VSWITCH_DATAPATH_PORTS_MBUF_SLOTS_H

/*
 * Lets librte_vhost receive into a receiver's slots, so that it copies out of a guest's memory
 * right into packets. The library takes mbufs from a pool and fills them; this pool has an mbuf for
 * each slot, whose data lie in the slot's packet, and one for each slot's large buffer, which takes
 * what does not fit. mbufs never leave: when a burst is taken they are all free again. Belongs to
 * one worker, as its receiver.
 */

#include "datapath/ports/receiver.h"

#define MBUF_SLOTS_BURST 32u /* what the library receives at once */

struct mbuf_slots;
struct rte_mbuf;
struct rte_mempool;

/* Returns the receiver's slots, which are made when first asked for and go with it; NULL: no
 * memory. */
struct mbuf_slots *mbuf_slots_of(struct receiver *receiver);

/* Begins a burst of at most MBUF_SLOTS_BURST frames. Returns the pool to receive it from. */
struct rte_mempool *mbuf_slots_begin(struct mbuf_slots *slots);

/*
 * Returns the packet of a received frame, without its offload state, and gives the slot another
 * one; NULL, counted as dropped, when that is not possible. To be called for every mbuf of a burst.
 */
struct packet *mbuf_slots_take(struct mbuf_slots *slots, struct rte_mbuf *mbuf);

#endif
