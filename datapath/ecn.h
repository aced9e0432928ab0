/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_ECN_H
#define VSWITCH_DATAPATH_ECN_H

/*
 * ECN: through tunnels, RFC 6040 normal mode, and marks of our own queues. Called by workers. What
 * is written lies in the IP header, which every packet has of its own (see packet_clone()).
 */

#include <stdbool.h>
#include <stdint.h>

#include "datapath/packet.h"

/* The outer TOS octet for a packet: DSCP and ECN copied (RFC 6040 section 4.1); 0 if it is not IP.
 */
uint8_t ecn_encapsulate(const struct packet *packet);

/*
 * Combines the outer ECN field into the packet (RFC 6040 section 4.2) and mends the IPv4 header
 * checksum. Returns false when the packet must be dropped: outer CE and inner Not-ECT.
 */
bool ecn_decapsulate(struct packet *packet, uint8_t outer_tos);

/* Whether the packet says already that it met congestion: CE. */
bool ecn_is_marked(const struct packet *packet);

/*
 * Sets CE in a packet that is ECT(0), ECT(1) or CE (RFC 3168 section 5) and mends the IPv4 header
 * checksum. Returns false, and changes nothing, when the packet is none of these.
 */
bool ecn_mark(struct packet *packet);

#endif
