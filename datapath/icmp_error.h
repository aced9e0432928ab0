/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_ICMP_ERROR_H
#define VSWITCH_DATAPATH_ICMP_ERROR_H

/*
 * The answer to a packet that is too long for its segment: what a router at its place would send
 * back, so that path MTU discovery works over the switch. There is no router and no address of
 * ours: the error seems to come from the packet's own destination. Called by workers.
 */

#include "datapath/packet.h"

/*
 * Builds the error for `packet` (parsed; not consumed), which does not fit `mtu` octets of layer 3:
 * ICMP fragmentation needed (RFC 792, RFC 1191), quoting up to 576 octets in all (RFC 1812, section
 * 4.3.2.3), or ICMPv6 packet too big (RFC 4443, section 3.2), up to 1,280. MACs are swapped, tags
 * that are part of the frame or kept (PACKET_TAG_KEPT) are put on, checksums are complete. For IPv6
 * no MTU below 1,280 is reported (RFC 8201, section 4). The caller parses the result, says where it
 * goes, and bounds how many there are in a second (RFC 4443, section 2.4(f)).
 *
 * Returns NULL when the pool is exhausted, or when none must be sent (RFC 1122, section 3.2.2; RFC
 * 4443, section 2.4(e)): not IP; IPv4 that may be fragmented; a group's, an unspecified or loopback
 * address; a fragment but the first; an ICMP message that is not informational.
 */
struct packet *icmp_error_too_big(struct packet_pool *pool, const struct packet *packet,
				  uint32_t mtu);

#endif
