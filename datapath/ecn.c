/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ecn.h"

#define ECN_MASK    0x03u
#define ECN_NOT_ECT 0x00u
#define ECN_ECT_1   0x01u
#define ECN_ECT_0   0x02u
#define ECN_CE	    0x03u

#define PACKET_IS_IP (PACKET_IS_IPV4 | PACKET_IS_IPV6)

uint8_t ecn_encapsulate(const struct packet *packet)
{
	return (packet->flags & PACKET_IS_IP) != 0 ? packet->ip_ecn_dscp : 0;
}

/* Writes the IPv4 TOS octet and updates the header checksum (RFC 1624, equation 3). */
static void set_ipv4(uint8_t *header, uint8_t tos)
{
	uint32_t sum = (uint16_t) ~(header[10] << 8 | header[11]);

	sum += (uint16_t) ~(header[0] << 8 | header[1]);
	sum += (uint32_t)(header[0] << 8 | tos);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	header[1] = tos;
	header[10] = (uint8_t)(~sum >> 8);
	header[11] = (uint8_t)~sum;
}

static void set_ipv6(uint8_t *header, uint8_t traffic_class)
{
	header[0] = (uint8_t)((header[0] & 0xf0) | traffic_class >> 4);
	header[1] = (uint8_t)((header[1] & 0x0f) | traffic_class << 4);
}

/* Sets the ECN field of an IP packet. Returns false when its header is not at hand. */
static bool set_ecn(struct packet *packet, uint8_t ecn)
{
	uint8_t *header = packet_at(packet, packet->l3_offset, 20);

	if (header == NULL)
		return false;
	packet->ip_ecn_dscp = (uint8_t)((packet->ip_ecn_dscp & ~ECN_MASK) | ecn);
	if ((packet->flags & PACKET_IS_IPV4) != 0)
		set_ipv4(header, packet->ip_ecn_dscp);
	else
		set_ipv6(header, packet->ip_ecn_dscp);
	return true;
}

bool ecn_decapsulate(struct packet *packet, uint8_t outer_tos)
{
	uint8_t outer = outer_tos & ECN_MASK;
	uint8_t inner = packet->ip_ecn_dscp & ECN_MASK;
	uint8_t combined = inner;

	if ((packet->flags & PACKET_IS_IP) == 0)
		return true;
	if (outer == ECN_CE && inner == ECN_NOT_ECT)
		return false;
	if (outer == ECN_CE)
		combined = ECN_CE;
	else if (outer == ECN_ECT_1 && inner == ECN_ECT_0)
		combined = ECN_ECT_1;
	if (combined != inner)
		(void)set_ecn(packet, combined);
	return true;
}

bool ecn_is_marked(const struct packet *packet)
{
	return (packet->flags & PACKET_IS_IP) != 0 && (packet->ip_ecn_dscp & ECN_MASK) == ECN_CE;
}

bool ecn_mark(struct packet *packet)
{
	if (ecn_is_marked(packet))
		return true;
	if ((packet->flags & PACKET_IS_IP) == 0 || (packet->ip_ecn_dscp & ECN_MASK) == ECN_NOT_ECT)
		return false;
	return set_ecn(packet, ECN_CE);
}
