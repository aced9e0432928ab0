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

/* The sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1). */
static uint16_t pseudo_sum(const struct packet *packet, uint32_t size)
{
	const uint8_t *ip = packet->data + packet->l3_offset;
	const uint8_t rest[8] = {(uint8_t)(size >> 24),
				 (uint8_t)(size >> 16),
				 (uint8_t)(size >> 8),
				 (uint8_t)size,
				 0,
				 0,
				 0,
				 packet->ip_protocol};
	uint64_t sum = checksum_add(0, rest, sizeof(rest), false);

	sum = (packet->flags & PACKET_IS_IPV4) != 0 ? checksum_add(sum, ip + 12, 8, false)
						    : checksum_add(sum, ip + 8, 32, false);
	return checksum_fold(sum);
}

enum drop_reason recover_offload(struct packet *packet, uint32_t mtu)
{
	bool tcp = packet->ip_protocol == IPPROTO_TCP;
	uint16_t offset = tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
	uint32_t end, headers;
	uint16_t field;

	if (packet->l4_offset == 0 || (!tcp && packet->ip_protocol != IPPROTO_UDP))
		return DROP_NONE;
	end = network_end(packet);
	memcpy(&field, packet->data + packet->l4_offset + offset, sizeof(field));
	if (field != pseudo_sum(packet, end - packet->l4_offset))
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
