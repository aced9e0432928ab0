/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_MBUF_OFFLOAD_H
#define VSWITCH_DATAPATH_PORTS_MBUF_OFFLOAD_H

/* Offload state between packets, in virtio-net terms, and mbufs, in DPDK's. Called by workers. */

#include "datapath/packet.h"

struct rte_mbuf;

/*
 * Takes what an mbuf that was received says: that a checksum is partial, or that it is a TCP
 * super-packet. Where its headers are it does not say: they are looked for. Not believed, as what
 * every port gives (stages/parse.h).
 */
void mbuf_offload_take(struct packet *packet, const struct rte_mbuf *mbuf);

/* For struct port_ops: 1 for a super-packet whose headers are longer than mbufs can tell. */
uint32_t mbuf_offload_super_frames(const struct packet *packet);

/*
 * Gives the packet's state to an mbuf that is to be sent. A partial checksum that mbufs cannot tell
 * of, since it is neither TCP's nor UDP's or too far behind, is completed in the packet.
 */
void mbuf_offload_give(struct packet *packet, struct rte_mbuf *mbuf);

#endif
