/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/mbuf_offload.h"

#include <rte_mbuf.h>
#include <rte_net.h>

#include "datapath/offload/checksum.h"

#define TCP_CHECKSUM 16u /* where it is in the header */
#define UDP_CHECKSUM 6u

void mbuf_offload_take(struct packet *packet, const struct rte_mbuf *mbuf)
{
	bool partial =
		(mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE;
	bool super = (mbuf->ol_flags & RTE_MBUF_F_RX_LRO) != 0;
	struct rte_net_hdr_lens sizes;
	uint32_t type;

	if (!partial && !super)
		return;
	type = rte_net_get_ptype(mbuf, &sizes, RTE_PTYPE_ALL_MASK);
	if (partial) {
		bool udp = (type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP;

		packet->offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		packet->offload.csum_start = (uint16_t)(sizes.l2_len + sizes.l3_len);
		packet->offload.csum_offset = udp ? UDP_CHECKSUM : TCP_CHECKSUM;
	}
	if (super) {
		packet->offload.gso_type = RTE_ETH_IS_IPV4_HDR(type) ? VIRTIO_NET_HDR_GSO_TCPV4
								     : VIRTIO_NET_HDR_GSO_TCPV6;
		packet->offload.gso_size = mbuf->tso_segsz;
	}
}

/* Whether an mbuf's fields can hold where the checksum is. */
static bool can_tell(const struct packet *packet)
{
	const struct virtio_net_hdr *offload = &packet->offload;

	return (offload->csum_offset == TCP_CHECKSUM || offload->csum_offset == UDP_CHECKSUM) &&
	       packet->l3_offset < 1u << RTE_MBUF_L2_LEN_BITS &&
	       offload->csum_start - (uint32_t)packet->l3_offset < 1u << RTE_MBUF_L3_LEN_BITS;
}

uint32_t mbuf_offload_super_frames(const struct packet *packet)
{
	return can_tell(packet) ? packet->frame_count : 1;
}

void mbuf_offload_give(struct packet *packet, struct rte_mbuf *mbuf)
{
	const struct virtio_net_hdr *offload = &packet->offload;

	mbuf->ol_flags = 0;
	mbuf->tx_offload = 0;
	if ((offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0)
		return;
	if (!can_tell(packet)) {
		checksum_complete(packet);
		return;
	}
	mbuf->l2_len = packet->l3_offset;
	mbuf->l3_len = offload->csum_start - (uint32_t)packet->l3_offset;
	mbuf->ol_flags = offload->csum_offset == TCP_CHECKSUM ? RTE_MBUF_F_TX_TCP_CKSUM
							      : RTE_MBUF_F_TX_UDP_CKSUM;
	mbuf->ol_flags |=
		(packet->flags & PACKET_IS_IPV4) != 0 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	if (offload->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return;
	mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	mbuf->l4_len = offload->hdr_len - (uint32_t)offload->csum_start;
	mbuf->tso_segsz = offload->gso_size;
}
