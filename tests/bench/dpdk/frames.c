/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/dpdk/frames.h"

#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <stdbool.h>
#include <string.h>

#define MAC_MULTIPLIER 2654435761u /* odd: different numbers stay different */

/* Locally administered: the port, and the number mixed, so that neighbours share nothing. */
static void put_mac(uint8_t *mac, uint16_t port, uint32_t number)
{
	uint32_t mixed = number * MAC_MULTIPLIER;

	mac[0] = 0x02;
	mac[1] = (uint8_t)(port + 1);
	memcpy(mac + 2, &mixed, sizeof(mixed));
}

static void put_macs(struct frames *frames, uint8_t *frame)
{
	bool spread = frames->to_count > 1;
	uint32_t number = spread ? 0 : frames->next;

	if (frames->to == UINT16_MAX)
		memset(frame, 0xff, 6);
	else
		put_mac(frame, (uint16_t)(frames->to + (spread ? frames->next : 0)), number);
	put_mac(frame + 6, frames->from, number);
	if (++frames->next >= (spread ? frames->to_count : frames->macs))
		frames->next = 0;
}

/* Where the headers of a super-packet end, for the one who segments it. */
static void ask_for_segments(const struct frames *frames, struct rte_mbuf *mbuf)
{
	mbuf->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM |
			 RTE_MBUF_F_TX_TCP_CKSUM;
	mbuf->l2_len = RTE_ETHER_HDR_LEN;
	mbuf->l3_len = sizeof(struct rte_ipv4_hdr);
	mbuf->l4_len = sizeof(struct rte_tcp_hdr);
	mbuf->tso_segsz = (uint16_t)frames->mss;
}

static unsigned put_headers(const struct frames *frames, uint8_t *frame)
{
	struct rte_ether_hdr *ethernet = (struct rte_ether_hdr *)frame;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(ethernet + 1);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

	ethernet->ether_type = htons(RTE_ETHER_TYPE_IPV4);
	memset(ip, 0, sizeof(*ip));
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->total_length = htons((uint16_t)(frames->size - RTE_ETHER_HDR_LEN));
	ip->fragment_offset = htons(RTE_IPV4_HDR_DF_FLAG);
	ip->time_to_live = 64;
	ip->next_proto_id = frames->mss > 0 ? IPPROTO_TCP : IPPROTO_UDP;
	ip->src_addr = htonl(0x0a000001u + frames->from);
	ip->dst_addr = htonl(0x0a000001u + (frames->to & 0xffu));
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	if (frames->mss > 0) {
		*tcp = (struct rte_tcp_hdr){.src_port = htons(9),
					    .dst_port = htons(9),
					    .data_off = sizeof(*tcp) << 2,
					    .tcp_flags = RTE_TCP_ACK_FLAG};
		return (unsigned)((uint8_t *)(tcp + 1) - frame);
	}
	*udp = (struct rte_udp_hdr){
		.src_port = htons(9),
		.dst_port = htons(9),
		.dgram_len = htons((uint16_t)(frames->size - RTE_ETHER_HDR_LEN - sizeof(*ip)))};
	return (unsigned)((uint8_t *)(udp + 1) - frame);
}

/* The frame's buffers behind its first one. Returns NULL when there are none left. */
static struct rte_mbuf *extend(struct rte_mbuf *mbuf, unsigned size)
{
	struct rte_mbuf *last = mbuf;

	while (mbuf->pkt_len < size) {
		unsigned part = RTE_MIN(size - mbuf->pkt_len, rte_pktmbuf_tailroom(last));
		struct rte_mbuf *next;

		if (part > 0) {
			memset(rte_pktmbuf_mtod_offset(last, void *, last->data_len), 0, part);
			last->data_len += (uint16_t)part;
			mbuf->pkt_len += part;
			continue;
		}
		next = rte_pktmbuf_alloc(mbuf->pool);
		if (next == NULL)
			return NULL;
		last->next = next;
		mbuf->nb_segs++;
		last = next;
	}
	return mbuf;
}

unsigned frames_make(struct frames *frames, struct rte_mbuf **mbufs, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(frames->pool);

		if (mbuf == NULL)
			return i;
		if (extend(mbuf, frames->size) == NULL) {
			rte_pktmbuf_free(mbuf);
			return i;
		}
		put_headers(frames, rte_pktmbuf_mtod(mbuf, uint8_t *));
		put_macs(frames, rte_pktmbuf_mtod(mbuf, uint8_t *));
		if (frames->mss > 0)
			ask_for_segments(frames, mbuf);
		mbufs[i] = mbuf;
	}
	return count;
}

void frames_renew(struct frames *frames, struct rte_mbuf **mbufs, unsigned count)
{
	bool others = frames->macs > 0 || frames->to_count > 1;

	/* They are the switch's to write until now, and still in its core's cache. */
	for (unsigned i = 0; others && i < count; i++)
		__builtin_prefetch(rte_pktmbuf_mtod(mbufs[i], void *), 1);
	for (unsigned i = 0; others && i < count; i++)
		put_macs(frames, rte_pktmbuf_mtod(mbufs[i], uint8_t *));
	for (unsigned i = 0; frames->mss > 0 && i < count; i++)
		if (mbufs[i]->pkt_len > frames->mss + 100u)
			ask_for_segments(frames, mbufs[i]);
}
