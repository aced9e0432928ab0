/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/stages/parse.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "datapath/stages/flow_hash.h"
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

/* The packet as parse sees it: what it reads again and again, out of reach of what it writes. */
struct view {
	const uint8_t *data;
	uint32_t head_size;
	uint32_t size;
	uint32_t end; /* of the IP packet; padding may follow */
};

static enum drop_reason parse_link(struct packet *packet, struct view *view);
static enum drop_reason parse_ipv4(struct packet *packet, struct view *view);
static enum drop_reason parse_ipv6(struct packet *packet, struct view *view);
static bool checksum_fits(const struct packet *packet);
static bool gso_fits(const struct packet *packet, uint32_t end);

enum drop_reason parse_packet(struct packet *packet)
{
	enum drop_reason reason;
	struct view view;

	packet->flags &= (uint8_t)~FLAGS_WRITTEN;
	packet->vlan_tci = 0;
	packet->vlan_tpid = 0;
	packet->l4_offset = 0;
	packet->ip_protocol = 0;
	packet->ip_ecn_dscp = 0;
	reason = parse_link(packet, &view);
	if (reason != DROP_NONE)
		return reason;
	if (packet->ether_type == ETH_P_IP)
		reason = parse_ipv4(packet, &view);
	else if (packet->ether_type == ETH_P_IPV6)
		reason = parse_ipv6(packet, &view);
	else
		packet->flow_hash = flow_hash_long(packet, view.data, 2 * ETH_ALEN, 0);
	return reason != DROP_NONE ? reason : parse_offload(packet, view.end);
}

enum drop_reason parse_offload(struct packet *packet, uint32_t end)
{
	struct virtio_net_hdr *offload = &packet->offload;
	uint32_t count = 1;

	/* A frame as it is on the wire. */
	if ((offload->flags | offload->gso_type) == 0) {
		memset(offload, 0, sizeof(*offload));
		packet->frame_count = 1;
		packet->wire_size = packet->size;
		return DROP_NONE;
	}
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

static enum drop_reason parse_link(struct packet *packet, struct view *view)
{
	uint32_t offset = 2 * ETH_ALEN;
	uint16_t type;

	if (packet->head_size < ETH_HLEN)
		return DROP_TOO_SHORT;
	if (vlan_is_tpid(load_be16(packet->data + offset))) {
		if (packet->head_size < ETH_HLEN + VLAN_TAG_SIZE)
			return DROP_TOO_SHORT;
		pop_tag(packet);
	}
	*view = (struct view){packet->data, packet->head_size, packet->size, packet->size};
	if (view->data[0] & 1)
		packet->flags |= PACKET_GROUP;
	type = load_be16(view->data + offset);
	if (vlan_is_tpid(type)) {
		offset += VLAN_TAG_SIZE;
		if (view->head_size < offset + 2)
			return DROP_TOO_SHORT;
		type = load_be16(view->data + offset);
	}
	packet->ether_type = type;
	packet->l3_offset = (uint16_t)(offset + 2);
	packet->payload_offset = packet->l3_offset;
	return DROP_NONE;
}

/* Returns the head at offset if size octets of the frame are there in the head, else NULL. */
static inline const uint8_t *view_at(const struct view *view, uint32_t offset, uint32_t size)
{
	if (offset > view->head_size || size > view->head_size - offset)
		return NULL;
	return view->data + offset;
}

/*
 * Looks at the layer-4 header at `offset`, which is not behind the packet's end nor the head's, and
 * writes the ports of TCP and UDP as they lie there.
 */
static inline enum drop_reason parse_transport(struct packet *packet, const struct view *view,
					       uint8_t protocol, uint32_t offset, uint32_t *ports)
{
	uint32_t size = 0;

	packet->ip_protocol = protocol;
	packet->payload_offset = (uint16_t)offset;
	if (protocol == IPPROTO_TCP)
		size = TCP_HEADER_SIZE;
	else if (protocol == IPPROTO_UDP)
		size = UDP_HEADER_SIZE;
	if (size > view->end - offset)
		return DROP_NONE;
	if (size > 0) {
		const uint8_t *header = view_at(view, offset, size);

		if (header == NULL)
			return DROP_TOO_SHORT;
		if (protocol == IPPROTO_TCP) {
			size = (header[12] >> 4) * 4u;
			if (size < TCP_HEADER_SIZE || size > view->end - offset)
				return DROP_NONE;
			if (view_at(view, offset, size) == NULL)
				return DROP_TOO_SHORT;
		}
		memcpy(ports, header, sizeof(*ports));
	}
	packet->l4_offset = (uint16_t)offset;
	packet->payload_offset = (uint16_t)(offset + size);
	return DROP_NONE;
}

static enum drop_reason parse_ipv4(struct packet *packet, struct view *view)
{
	uint32_t offset = packet->l3_offset, header, total, ports = 0;
	const uint8_t *ip = view_at(view, offset, IPV4_HEADER_SIZE);
	enum drop_reason reason = DROP_NONE;

	if (ip == NULL)
		return DROP_TOO_SHORT;
	header = (ip[0] & 0xf) * 4u;
	total = load_be16(ip + 2);
	if (ip[0] >> 4 != 4 || header < IPV4_HEADER_SIZE || total < header ||
	    total > view->size - offset)
		return DROP_BAD_HEADER;
	if (view_at(view, offset, header) == NULL)
		return DROP_TOO_SHORT;
	packet->flags |= PACKET_IS_IPV4;
	packet->ip_ecn_dscp = ip[1];
	view->end = offset + total;
	if (load_be16(ip + 6) & IPV4_FRAGMENT_MASK) {
		packet->flags |= PACKET_FRAGMENT;
		packet->ip_protocol = ip[9];
		packet->payload_offset = (uint16_t)(offset + header);
	} else {
		reason = parse_transport(packet, view, ip[9], offset + header, &ports);
	}
	packet->flow_hash = flow_hash_short(packet, ip + 12, ports);
	return reason;
}

static inline bool is_extension(uint8_t protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_FRAGMENT;
}

/* Walks from the IPv6 header to the header behind the extension headers (RFC 8200, section 4). */
static enum drop_reason walk_extensions(struct packet *packet, const struct view *view,
					uint8_t protocol)
{
	uint32_t offset = packet->l3_offset + IPV6_HEADER_SIZE;

	for (int i = 0; i < EXTENSION_MAX && is_extension(protocol); i++) {
		const uint8_t *header = view_at(view, offset, 8);
		uint32_t size;

		if (header == NULL)
			return DROP_TOO_SHORT;
		size = protocol == IPPROTO_FRAGMENT ? 8 : (header[1] + 1u) * 8;
		if (size > view->end - offset)
			return DROP_BAD_HEADER;
		/* A fragment that is the whole packet (RFC 6946) is not one to us. */
		if (protocol == IPPROTO_FRAGMENT && load_be16(header + 2) & IPV6_FRAGMENT_MASK)
			packet->flags |= PACKET_FRAGMENT;
		protocol = header[0];
		offset += size;
		if (packet->flags & PACKET_FRAGMENT)
			break;
	}
	if (view_at(view, offset, 0) == NULL)
		return DROP_TOO_SHORT;
	packet->ip_protocol = protocol;
	packet->payload_offset = (uint16_t)offset;
	return DROP_NONE;
}

static enum drop_reason parse_ipv6(struct packet *packet, struct view *view)
{
	uint32_t offset = packet->l3_offset, payload, ports = 0;
	const uint8_t *ip = view_at(view, offset, IPV6_HEADER_SIZE);
	enum drop_reason reason;

	if (ip == NULL)
		return DROP_TOO_SHORT;
	payload = load_be16(ip + 4);
	if (ip[0] >> 4 != 6 || payload > view->size - offset - IPV6_HEADER_SIZE)
		return DROP_BAD_HEADER;
	/* "BIG TCP": a super-packet that does not fit the field (RFC 2675) does not fit us. */
	if (payload == 0 && packet->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return DROP_BAD_HEADER;
	packet->flags |= PACKET_IS_IPV6;
	packet->ip_ecn_dscp = (uint8_t)(load_be16(ip) >> 4);
	view->end = offset + IPV6_HEADER_SIZE + payload;
	reason = walk_extensions(packet, view, ip[6]);
	if (reason == DROP_NONE && (packet->flags & PACKET_FRAGMENT) == 0 &&
	    !is_extension(packet->ip_protocol))
		reason = parse_transport(packet, view, packet->ip_protocol, packet->payload_offset,
					 &ports);
	packet->flow_hash = flow_hash_long(packet, ip + 8, 32, ports);
	return reason;
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
