/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/icmp_error.h"

#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "datapath/offload/checksum.h"
#include "datapath/vlan.h"

#define IPV4_HEADER_SIZE     20u
#define IPV6_HEADER_SIZE     40u
#define ICMP_HEADER_SIZE     8u
#define IPV4_ERROR_SIZE_MAX  576u
#define IPV6_MTU_MIN	     1280u
#define IPV4_DONT_FRAGMENT   0x4000u
#define IPV4_OFFSET_MASK     0x1fffu
#define IPV6_OFFSET_MASK     0xfff8u
#define ICMPV6_REDIRECT	     137
#define HOP_LIMIT	     64u
#define TOS_INTERNET_CONTROL 0xc0u /* RFC 1812, section 4.3.2.5 */

static struct packet *answer_ipv4(struct packet_pool *pool, const struct packet *packet,
				  uint32_t mtu);
static struct packet *answer_ipv6(struct packet_pool *pool, const struct packet *packet,
				  uint32_t mtu);

struct packet *icmp_error_too_big(struct packet_pool *pool, const struct packet *packet,
				  uint32_t mtu)
{
	struct packet *reply = NULL;

	if (packet->flags & PACKET_GROUP)
		return NULL;
	if (packet->flags & PACKET_IS_IPV4)
		reply = answer_ipv4(pool, packet, mtu);
	else if (packet->flags & PACKET_IS_IPV6)
		reply = answer_ipv6(pool, packet, mtu);
	if (reply != NULL && packet->flags & PACKET_TAG_KEPT) {
		vlan_push(reply, packet->vlan_tpid, packet->vlan_tci);
		reply->flags |= PACKET_TAG_KEPT;
	}
	return reply;
}

static inline uint16_t load_be16(const uint8_t *octets)
{
	return (uint16_t)(octets[0] << 8 | octets[1]);
}

static inline void store_be16(uint8_t *octets, uint32_t value)
{
	octets[0] = (uint8_t)(value >> 8);
	octets[1] = (uint8_t)value;
}

static void store_checksum(uint8_t *field, uint64_t sum)
{
	uint16_t checksum = (uint16_t)~checksum_fold(sum);

	memcpy(field, &checksum, sizeof(checksum));
}

/*
 * Returns a frame with swapped MACs, the packet's tags and EtherType, room for IP and ICMP headers
 * (all zero), and behind them at most quote_max octets of the packet from its IP header on.
 */
static struct packet *make_frame(struct packet_pool *pool, const struct packet *packet,
				 uint32_t ip_size, uint32_t quote_max)
{
	struct packet *reply = packet_new(pool);
	uint32_t header = packet->l3_offset + ip_size + ICMP_HEADER_SIZE;

	if (reply == NULL)
		return NULL;
	memcpy(reply->data, packet->data + ETH_ALEN, ETH_ALEN);
	memcpy(reply->data + ETH_ALEN, packet->data, ETH_ALEN);
	memcpy(reply->data + 2 * ETH_ALEN, packet->data + 2 * ETH_ALEN,
	       packet->l3_offset - 2 * ETH_ALEN);
	memset(reply->data + packet->l3_offset, 0, ip_size + ICMP_HEADER_SIZE);
	reply->size =
		header + packet_read(packet, packet->l3_offset, reply->data + header, quote_max);
	reply->head_size = (uint16_t)reply->size;
	return reply;
}

static uint32_t clamp(uint32_t value, uint32_t low, uint32_t high)
{
	if (value < low)
		return low;
	return value < high ? value : high;
}

/* Neither "this network", nor loopback, nor a group, nor reserved. */
static bool is_ipv4_host(const uint8_t *address)
{
	return address[0] != 0 && address[0] != 127 && address[0] < 224;
}

/* An unknown type may be an error. What is cut off is taken for one. */
static bool is_icmp_query(const struct packet *packet)
{
	const uint8_t *icmp = packet_at(packet, packet->payload_offset, 1);

	if (icmp == NULL)
		return false;
	switch (*icmp) {
	case ICMP_ECHO:
	case ICMP_ECHOREPLY:
	case ICMP_TIMESTAMP:
	case ICMP_TIMESTAMPREPLY:
	case ICMP_INFO_REQUEST:
	case ICMP_INFO_REPLY:
	case ICMP_ADDRESS:
	case ICMP_ADDRESSREPLY:
		return true;
	default:
		return false;
	}
}

static struct packet *answer_ipv4(struct packet_pool *pool, const struct packet *packet,
				  uint32_t mtu)
{
	const uint8_t *from = packet->data + packet->l3_offset;
	uint32_t header = (from[0] & 0xf) * 4u, total = load_be16(from + 2), size;
	struct packet *reply;
	uint8_t *ip, *icmp;

	if ((load_be16(from + 6) & IPV4_DONT_FRAGMENT) == 0 ||
	    load_be16(from + 6) & IPV4_OFFSET_MASK || !is_ipv4_host(from + 12) ||
	    !is_ipv4_host(from + 16))
		return NULL;
	if (packet->ip_protocol == IPPROTO_ICMP && !is_icmp_query(packet))
		return NULL;
	/* The header and 8 octets are quoted in any case (RFC 792). */
	size = clamp(mtu, IPV4_HEADER_SIZE + ICMP_HEADER_SIZE + header + 8, IPV4_ERROR_SIZE_MAX) -
	       IPV4_HEADER_SIZE - ICMP_HEADER_SIZE;
	reply = make_frame(pool, packet, IPV4_HEADER_SIZE, size < total ? size : total);
	if (reply == NULL)
		return NULL;
	ip = reply->data + packet->l3_offset;
	icmp = ip + IPV4_HEADER_SIZE;
	size = reply->size - packet->l3_offset;
	icmp[0] = ICMP_DEST_UNREACH;
	icmp[1] = ICMP_FRAG_NEEDED;
	store_be16(icmp + 6, clamp(mtu, 0, UINT16_MAX));
	store_checksum(icmp + 2, checksum_add(0, icmp, size - IPV4_HEADER_SIZE, false));
	ip[0] = 0x45;
	ip[1] = TOS_INTERNET_CONTROL;
	store_be16(ip + 2, size);
	store_be16(ip + 6, IPV4_DONT_FRAGMENT);
	ip[8] = HOP_LIMIT;
	ip[9] = IPPROTO_ICMP;
	memcpy(ip + 12, from + 16, 4);
	memcpy(ip + 16, from + 12, 4);
	store_checksum(ip + 10, checksum_add(0, ip, IPV4_HEADER_SIZE, false));
	return reply;
}

/* Neither unspecified, nor loopback, nor a group. */
static bool is_ipv6_host(const uint8_t *address)
{
	static const uint8_t zero[15];

	return address[0] != 0xff && (memcmp(address, zero, 15) != 0 || address[15] > 1);
}

/* Errors, and redirects. What is cut off is taken for one. */
static bool is_icmpv6_error(const struct packet *packet)
{
	const uint8_t *icmp = packet_at(packet, packet->payload_offset, 1);

	return icmp == NULL || *icmp < ICMPV6_INFOMSG_MASK || *icmp == ICMPV6_REDIRECT;
}

static struct packet *answer_ipv6(struct packet_pool *pool, const struct packet *packet,
				  uint32_t mtu)
{
	const uint8_t *from = packet->data + packet->l3_offset;
	uint32_t total = IPV6_HEADER_SIZE + load_be16(from + 4), size;
	uint8_t pseudo[4] = {0, IPPROTO_ICMPV6};
	struct packet *reply;
	uint8_t *ip, *icmp;
	uint64_t sum;

	/* The fragment header is the last one that parse walked over. */
	if (packet->flags & PACKET_FRAGMENT &&
	    load_be16(packet->data + packet->payload_offset - 6) & IPV6_OFFSET_MASK)
		return NULL;
	if (!is_ipv6_host(from + 8) || !is_ipv6_host(from + 24))
		return NULL;
	if (packet->ip_protocol == IPPROTO_ICMPV6 && is_icmpv6_error(packet))
		return NULL;
	size = IPV6_MTU_MIN - IPV6_HEADER_SIZE - ICMP_HEADER_SIZE;
	reply = make_frame(pool, packet, IPV6_HEADER_SIZE, size < total ? size : total);
	if (reply == NULL)
		return NULL;
	ip = reply->data + packet->l3_offset;
	icmp = ip + IPV6_HEADER_SIZE;
	size = reply->size - packet->l3_offset - IPV6_HEADER_SIZE;
	ip[0] = 0x60;
	store_be16(ip + 4, size);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = HOP_LIMIT;
	memcpy(ip + 8, from + 24, 16);
	memcpy(ip + 24, from + 8, 16);
	icmp[0] = ICMPV6_PKT_TOOBIG;
	mtu = clamp(mtu, IPV6_MTU_MIN, UINT32_MAX);
	store_be16(icmp + 4, mtu >> 16);
	store_be16(icmp + 6, mtu);
	store_be16(pseudo + 2, size);
	sum = checksum_add(0, pseudo, sizeof(pseudo), false);
	sum = checksum_add(sum, ip + 8, 32, false);
	store_checksum(icmp + 2, checksum_add(sum, icmp, size, false));
	return reply;
}
