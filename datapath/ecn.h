/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_ECN_H
#define VSWITCH_DATAPATH_ECN_H

/* ECN through tunnels, RFC 6040 normal mode. Called by workers. */

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

#endif
