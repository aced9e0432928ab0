/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/stages/parse.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "datapath/vlan.h"

#define IPV4_HEADER_SIZE   20u
#define IPV4_FRAGMENT_MASK 0x3fff /* more fragments, and the offset */
#define IPV6_HEADER_SIZE   40u
#define IPV6_FRAGMENT_MASK 0xfff9
#define EXTENSION_MAX	   8 /* IPv6 extension headers that are walked; behind them is payload */
#define TCP_HEADER_SIZE	   20u
#define TCP_CHECKSUM	   16u
#define UDP_HEADER_SIZE	   8u
#define UDP_CHECKSUM	   6u

#define FLAGS_WRITTEN                                                                              \
	(PACKET_TAGGED | PACKET_GROUP | PACKET_IS_IPV4 | PACKET_IS_IPV6 | PACKET_FRAGMENT)

static enum drop_reason parse_link(struct packet *packet);
static enum drop_reason parse_ipv4(struct packet *packet, uint32_t *end);
static enum drop_reason parse_ipv6(struct packet *packet, uint32_t *end);
static bool checksum_fits(const struct packet *packet);
static bool gso_fits(const struct packet *packet, uint32_t end);
static uint32_t hash_flow(const struct packet *packet);

enum drop_reason parse_packet(struct packet *packet)
{
	enum drop_reason reason;
	uint32_t end; /* of the IP packet; padding may follow */

	packet->flags &= (uint8_t)~FLAGS_WRITTEN;
	packet->vlan_tci = 0;
	packet->vlan_tpid = 0;
	packet->l4_offset = 0;
	packet->ip_protocol = 0;
	packet->ip_ecn_dscp = 0;
	reason = parse_link(packet);
	if (reason != DROP_NONE)
		return reason;
	end = packet->size;
	if (packet->ether_type == ETH_P_IP)
		reason = parse_ipv4(packet, &end);
	else if (packet->ether_type == ETH_P_IPV6)
		reason = parse_ipv6(packet, &end);
	if (reason != DROP_NONE)
		return reason;
	packet->flow_hash = hash_flow(packet);
	return parse_offload(packet, end);
}

enum drop_reason parse_offload(struct packet *packet, uint32_t end)
{
	struct virtio_net_hdr *offload = &packet->offload;
	uint32_t count = 1;

	if (offload->flags & ~(VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID))
		return DROP_BAD_OFFLOAD;
	if ((offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0) {
		offload->csum_start = 0;
		offload->csum_offset = 0;
	} else if (!checksum_fits(packet)) {
		return DROP_BAD_OFFLOAD;
	}
	if (offload->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		if (!gso_fits(packet, end))
			return DROP_BAD_OFFLOAD;
		count = (packet->size - packet->payload_offset + offload->gso_size - 1u) /
			offload->gso_size;
	}
	if (count > UINT16_MAX)
		return DROP_BAD_OFFLOAD;
	if (count <= 1) {
		count = 1;
		offload->gso_type = VIRTIO_NET_HDR_GSO_NONE;
		offload->gso_size = 0;
		offload->hdr_len = 0;
	} else {
		offload->hdr_len = packet->payload_offset;
	}
	packet->frame_count = (uint16_t)count;
	packet->wire_size = packet->size + (count - 1) * packet->payload_offset;
	return DROP_NONE;
}

static inline uint16_t load_be16(const uint8_t *octets)
{
	return (uint16_t)(octets[0] << 8 | octets[1]);
}

/* Moves the MACs over the tag. */
static void pop_tag(struct packet *packet)
{
	packet->vlan_tpid = load_be16(packet->data + 2 * ETH_ALEN);
	packet->vlan_tci = load_be16(packet->data + 2 * ETH_ALEN + 2);
	packet->flags |= PACKET_TAGGED;
	memmove(packet->data + VLAN_TAG_SIZE, packet->data, 2 * ETH_ALEN);
	packet->data += VLAN_TAG_SIZE;
	packet->size -= VLAN_TAG_SIZE;
	packet->head_size -= VLAN_TAG_SIZE;
	/* What wraps points behind every head, and is refused for that. */
	packet->offload.csum_start -= VLAN_TAG_SIZE;
}

static enum drop_reason parse_link(struct packet *packet)
{
	uint32_t offset = 2 * ETH_ALEN;

	if (packet->head_size < ETH_HLEN)
		return DROP_TOO_SHORT;
	if (vlan_is_tpid(load_be16(packet->data + offset))) {
		if (packet->head_size < ETH_HLEN + VLAN_TAG_SIZE)
			return DROP_TOO_SHORT;
		pop_tag(packet);
	}
	if (packet->data[0] & 1)
		packet->flags |= PACKET_GROUP;
	packet->ether_type = load_be16(packet->data + offset);
	if (vlan_is_tpid(packet->ether_type)) {
		offset += VLAN_TAG_SIZE;
		if (packet->head_size < offset + 2)
			return DROP_TOO_SHORT;
		packet->ether_type = load_be16(packet->data + offset);
	}
	packet->l3_offset = (uint16_t)(offset + 2);
	packet->payload_offset = packet->l3_offset;
	return DROP_NONE;
}

/* Looks at the layer-4 header at payload_offset, which is not behind end. */
static enum drop_reason parse_transport(struct packet *packet, uint32_t end)
{
	uint32_t offset = packet->payload_offset, size = 0;
	const uint8_t *header;

	if (packet->ip_protocol == IPPROTO_TCP)
		size = TCP_HEADER_SIZE;
	else if (packet->ip_protocol == IPPROTO_UDP)
		size = UDP_HEADER_SIZE;
	if (size > end - offset)
		return DROP_NONE;
	header = packet_at(packet, offset, size);
	if (header == NULL)
		return DROP_TOO_SHORT;
	if (packet->ip_protocol == IPPROTO_TCP) {
		size = (header[12] >> 4) * 4u;
		if (size < TCP_HEADER_SIZE || size > end - offset)
			return DROP_NONE;
		if (packet_at(packet, offset, size) == NULL)
			return DROP_TOO_SHORT;
	}
	packet->l4_offset = (uint16_t)offset;
	packet->payload_offset = (uint16_t)(offset + size);
	return DROP_NONE;
}

static enum drop_reason parse_ipv4(struct packet *packet, uint32_t *end)
{
	const uint8_t *ip = packet_at(packet, packet->l3_offset, IPV4_HEADER_SIZE);
	uint32_t header, total;

	if (ip == NULL)
		return DROP_TOO_SHORT;
	header = (ip[0] & 0xf) * 4u;
	total = load_be16(ip + 2);
	if (ip[0] >> 4 != 4 || header < IPV4_HEADER_SIZE || total < header ||
	    total > packet->size - packet->l3_offset)
		return DROP_BAD_HEADER;
	if (packet_at(packet, packet->l3_offset, header) == NULL)
		return DROP_TOO_SHORT;
	packet->flags |= PACKET_IS_IPV4;
	packet->ip_ecn_dscp = ip[1];
	packet->ip_protocol = ip[9];
	packet->payload_offset = (uint16_t)(packet->l3_offset + header);
	*end = packet->l3_offset + total;
	if (load_be16(ip + 6) & IPV4_FRAGMENT_MASK) {
		packet->flags |= PACKET_FRAGMENT;
		return DROP_NONE;
	}
	return parse_transport(packet, *end);
}

static inline bool is_extension(uint8_t protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_FRAGMENT;
}

/* Walks from the IPv6 header to the header behind the extension headers (RFC 8200, section 4). */
static enum drop_reason walk_extensions(struct packet *packet, uint8_t protocol, uint32_t end)
{
	uint32_t offset = packet->l3_offset + IPV6_HEADER_SIZE;

	for (int i = 0; i < EXTENSION_MAX && is_extension(protocol); i++) {
		const uint8_t *header = packet_at(packet, offset, 8);
		uint32_t size;

		if (header == NULL)
			return DROP_TOO_SHORT;
		size = protocol == IPPROTO_FRAGMENT ? 8 : (header[1] + 1u) * 8;
		if (size > end - offset)
			return DROP_BAD_HEADER;
		/* A fragment that is the whole packet (RFC 6946) is not one to us. */
		if (protocol == IPPROTO_FRAGMENT && load_be16(header + 2) & IPV6_FRAGMENT_MASK)
			packet->flags |= PACKET_FRAGMENT;
		protocol = header[0];
		offset += size;
		if (packet->flags & PACKET_FRAGMENT)
			break;
	}
	if (packet_at(packet, offset, 0) == NULL)
		return DROP_TOO_SHORT;
	packet->ip_protocol = protocol;
	packet->payload_offset = (uint16_t)offset;
	return DROP_NONE;
}

static enum drop_reason parse_ipv6(struct packet *packet, uint32_t *end)
{
	const uint8_t *ip = packet_at(packet, packet->l3_offset, IPV6_HEADER_SIZE);
	enum drop_reason reason;
	uint32_t payload;

	if (ip == NULL)
		return DROP_TOO_SHORT;
	payload = load_be16(ip + 4);
	if (ip[0] >> 4 != 6 || payload > packet->size - packet->l3_offset - IPV6_HEADER_SIZE)
		return DROP_BAD_HEADER;
	/* "BIG TCP": a super-packet that does not fit the field (RFC 2675) does not fit us. */
	if (payload == 0 && packet->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return DROP_BAD_HEADER;
	packet->flags |= PACKET_IS_IPV6;
	packet->ip_ecn_dscp = (uint8_t)(load_be16(ip) >> 4);
	*end = packet->l3_offset + IPV6_HEADER_SIZE + payload;
	reason = walk_extensions(packet, ip[6], *end);
	if (reason != DROP_NONE || packet->flags & PACKET_FRAGMENT ||
	    is_extension(packet->ip_protocol))
		return reason;
	return parse_transport(packet, *end);
}

static bool checksum_fits(const struct packet *packet)
{
	uint32_t start = packet->offload.csum_start, offset = packet->offload.csum_offset;

	if (packet_at(packet, start + offset, 2) == NULL || packet->flags & PACKET_FRAGMENT)
		return false;
	if (packet->ip_protocol == IPPROTO_TCP)
		return packet->l4_offset != 0 && start == packet->l4_offset &&
		       offset == TCP_CHECKSUM;
	if (packet->ip_protocol == IPPROTO_UDP) {
		if (packet->l4_offset == 0)
			return false;
		if (start == packet->l4_offset)
			return offset == UDP_CHECKSUM;
	}
	return start >= packet->payload_offset;
}

/* The checksum's place has been checked. */
static bool gso_fits(const struct packet *packet, uint32_t end)
{
	uint8_t type = packet->offload.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	uint8_t protocol = IPPROTO_TCP;
	uint8_t version = PACKET_IS_IPV4 | PACKET_IS_IPV6;

	if (type == VIRTIO_NET_HDR_GSO_TCPV4)
		version = PACKET_IS_IPV4;
	else if (type == VIRTIO_NET_HDR_GSO_TCPV6)
		version = PACKET_IS_IPV6;
	else if (packet->offload.gso_type == VIRTIO_NET_HDR_GSO_UDP_L4)
		protocol = IPPROTO_UDP;
	else
		return false;
	if ((packet->flags & version) == 0 || packet->ip_protocol != protocol ||
	    packet->l4_offset == 0 || packet->offload.csum_start != packet->l4_offset)
		return false;
	if ((packet->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 ||
	    packet->offload.gso_size == 0 || end != packet->size)
		return false;
	return protocol == IPPROTO_TCP ||
	       load_be16(packet->data + packet->l4_offset + 4) == end - packet->l4_offset;
}

/* Multiplies to 128 bits and folds: every bit of both reaches every bit of the result. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t hash_flow(const struct packet *packet)
{
	/* Odd constants without pattern: the fraction digits of the square roots of 2, 3, 5. */
	const uint64_t key_a = 0x6a09e667f3bcc909, key_b = 0xbb67ae8584caa73b,
		       key_c = 0x3c6ef372fe94f82b;
	uint64_t words[4] = {0}, last;
	uint32_t ports = 0;

	if (packet->flags & PACKET_IS_IPV4)
		memcpy(words, packet->data + packet->l3_offset + 12, 8);
	else if (packet->flags & PACKET_IS_IPV6)
		memcpy(words, packet->data + packet->l3_offset + 8, 32);
	else
		memcpy(words, packet->data, 2 * ETH_ALEN);
	if (packet->l4_offset != 0 &&
	    (packet->ip_protocol == IPPROTO_TCP || packet->ip_protocol == IPPROTO_UDP))
		memcpy(&ports, packet->data + packet->l4_offset, sizeof(ports));
	last = (uint64_t)packet->ether_type << 48 | (uint64_t)packet->ip_protocol << 32 | ports;
	if (packet->flags & PACKET_IS_IPV4) {
		last = mix(words[0] ^ key_a, last ^ key_b);
	} else {
		uint64_t first = mix(words[0] ^ key_a, words[1] ^ key_b);

		last = mix(mix(words[2] ^ first, words[3] ^ key_a) ^ key_c, last ^ key_b);
	}
	return (uint32_t)(last ^ last >> 32);
}
