/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/stages/recover.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "datapath/offload/checksum.h"
#include "datapath/stages/parse.h"

#define TCP_CHECKSUM 16u
#define UDP_CHECKSUM 6u

static uint32_t load_be16(const uint8_t *octets)
{
	return (uint32_t)octets[0] << 8 | octets[1];
}

/* Where the IP packet ends: padding may follow. */
static uint32_t network_end(const struct packet *packet)
{
	const uint8_t *ip = packet->data + packet->l3_offset;

	if ((packet->flags & PACKET_IS_IPV4) != 0)
		return packet->l3_offset + load_be16(ip + 2);
	return packet->l3_offset + 40 + load_be16(ip + 4);
}

enum drop_reason recover_offload(struct packet *packet, uint32_t mtu)
{
	bool tcp = packet->ip_protocol == IPPROTO_TCP;
	uint16_t offset = tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
	uint32_t end, headers;
	uint16_t field;

	/* What came with its state, like a packet that was coalesced, has lost none. */
	if ((packet->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
		return DROP_NONE;
	if (packet->l4_offset == 0 || (!tcp && packet->ip_protocol != IPPROTO_UDP))
		return DROP_NONE;
	end = network_end(packet);
	memcpy(&field, packet->data + packet->l4_offset + offset, sizeof(field));
	if (field != checksum_fold(checksum_pseudo(packet->data + packet->l3_offset,
						   packet->ip_protocol, end - packet->l4_offset)))
		return DROP_NONE;
	packet->offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	packet->offload.csum_start = packet->l4_offset;
	packet->offload.csum_offset = offset;
	headers = packet->payload_offset - packet->l3_offset;
	if (end - packet->l3_offset > mtu && mtu > headers) {
		if (!tcp)
			return DROP_BAD_OFFLOAD;
		packet->offload.gso_type = (packet->flags & PACKET_IS_IPV4) != 0
						   ? VIRTIO_NET_HDR_GSO_TCPV4
						   : VIRTIO_NET_HDR_GSO_TCPV6;
		packet->offload.gso_size = (uint16_t)(mtu - headers);
	}
	return parse_offload(packet, end);
}
