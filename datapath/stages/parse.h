/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_STAGES_PARSE_H
#define VSWITCH_DATAPATH_STAGES_PARSE_H

/*
 * Reads a frame's headers and checks its offload state. Nothing that a port or a peer says is
 * believed: offsets are held against what the headers say. Called by workers and by the decap of
 * the overlay; touches headers only.
 */

#include "datapath/packet.h"

/*
 * Parses the frame at packet->data with packet->offload as the port gave it. Takes the outermost
 * VLAN tag (0x8100 or 0x88a8) off the frame into metadata (PACKET_TAGGED), shifting the offload
 * state. Writes ether_type … flow_hash and the flags PACKET_TAGGED, PACKET_GROUP, PACKET_IS_IPV4/6
 * and PACKET_FRAGMENT; frame_count and wire_size (the tag that was taken off is not counted). One
 * more tag may stay in the frame: offsets and ether_type are then what is behind it.
 *
 * flow_hash is of addresses and protocol, and ports of TCP and UDP unless it is a fragment; of
 * MACs and ether_type if it is not IP.
 *
 * The offload state is left in one normal form, so that later stages can rely on it:
 *  - NEEDS_CSUM: the field is inside the head; for TCP and UDP it is the header's own, or, for UDP
 *    without GSO, one behind the header (a tunnel's inner checksum). Else csum_* are 0.
 *  - GSO: TCPV4, TCPV6 or UDP_L4 with NEEDS_CSUM and more than one frame; hdr_len is
 *    payload_offset; the IP and UDP lengths cover the whole frame. Else gso_* and hdr_len are 0.
 *
 * Returns DROP_NONE, or the reason to drop:
 *  DROP_TOO_SHORT   less than an Ethernet header (or a tag that is cut off), or headers missing
 *  DROP_BAD_HEADER  IP version, header length or total length that cannot be
 *  DROP_BAD_OFFLOAD a virtio-net header that does not fit the frame
 * A frame of an unknown EtherType without offload state is fine: only layer 2 is looked at. So is
 * a layer-4 header that is cut off: l4_offset is 0 then.
 */
enum drop_reason parse_packet(struct packet *packet);

/*
 * The part of parse_packet() that checks packet->offload and brings it into its form, for offload
 * state that was found out later. end: the offset at which the IP packet ends. Returns as above.
 */
enum drop_reason parse_offload(struct packet *packet, uint32_t end);

#endif
