/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_OFFLOAD_SEGMENT_H
#define VSWITCH_DATAPATH_OFFLOAD_SEGMENT_H

/*
 * Cuts super-packets (VIRTIO_NET_HDR_GSO_TCPV4, _TCPV6, _UDP_L4) into smaller super-packets or into
 * plain frames, as the kernel's GSO does: sequence numbers, IP identification, lengths, FIN and PSH
 * on the last only, CWR on the first only. Payload is shared, headers are copied. Called by
 * workers.
 */

#include "datapath/packet.h"

/*
 * Cuts `packet` (parsed; consumed in every case) into pieces of at most `frames` wire frames each,
 * appended to `out` in order. frames 1 gives plain frames (gso_type NONE). Partial checksums stay
 * partial (NEEDS_CSUM with a right pseudo-header sum), so that checksum_complete() or the kernel
 * finishes them; IPv4 header checksums are right. Every piece carries the packet's metadata with
 * frame_count and wire_size of its own. A packet that is no larger is appended as it is. Returns 0,
 * or -ENOBUFS when the pool is exhausted: what was appended so far stays, the rest is lost.
 * *lost_frames and *lost_bytes say how much that is (wire terms); 0 with success.
 */
int segment_cut(struct packet_pool *pool, struct packet *packet, uint32_t frames,
		struct packet_list *out, uint32_t *lost_frames, uint32_t *lost_bytes);

/*
 * Writes the frames that a super-packet (parsed, GSO) stands for to `to`, one behind the other,
 * each behind a copy of `prefix`: what segment_cut() makes of it, with complete checksums, in one
 * pass over the payload. `to` has room for packet->size + (frame_count - 1) * payload_offset octets
 * and frame_count prefixes. All frames but the last are of one size. Returns the octets written;
 * the packet is unchanged.
 */
uint32_t segment_write(const struct packet *packet, const void *prefix, uint32_t prefix_size,
		       uint8_t *to);

#endif
