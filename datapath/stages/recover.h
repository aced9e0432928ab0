/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_STAGES_RECOVER_H
#define VSWITCH_DATAPATH_STAGES_RECOVER_H

/*
 * Offload state that a tunnel lost on its way. A kernel's vxlan device leaves checksums and
 * segmentation of inner packets to the interface below, and an interface like a veth leaves both to
 * whoever receives: a UDP socket then reads a datagram with a whole inner super-packet whose
 * checksum is that of its pseudo-header, and nothing that says so. Called by workers.
 */

#include "datapath/packet.h"

/*
 * Marks a parsed packet whose TCP or UDP checksum field holds just the sum of its pseudo-header as
 * having a partial checksum, and one of TCP beyond `mtu` (octets of a layer-3 packet) as a
 * super-packet of segments that fill it. One that is marked already, like what was coalesced, is
 * left alone. A packet whose complete checksum happens to look like that (one of 65,536) gets the
 * same checksum again. Returns DROP_NONE, or DROP_BAD_OFFLOAD for a UDP super-packet, whose segment
 * size nothing tells.
 */
enum drop_reason recover_offload(struct packet *packet, uint32_t mtu);

#endif
