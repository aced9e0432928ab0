/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_OFFLOAD_CHECKSUM_H
#define VSWITCH_DATAPATH_OFFLOAD_CHECKSUM_H

/* Internet checksums (RFC 1071) over a packet's head and slices. Called by workers; pure functions.
 */

#include <stddef.h>
#include <stdint.h>

#include "datapath/packet.h"

/*
 * Adds octets to a running one's-complement sum. Sums are of 16-bit words in the order of the data.
 * odd: the first octet is the second of such a word.
 */
uint64_t checksum_add(uint64_t sum, const void *data, size_t size, bool odd);
/* Adds octets as checksum_add() does and copies them, in one pass; the two places do not overlap.
 */
uint64_t checksum_copy(uint64_t sum, void *to, const void *from, size_t size, bool odd);
/* Folds a sum to 16 bits, in the order of the data (not complemented): to be copied, not swapped.
 */
uint16_t checksum_fold(uint64_t sum);
/* The field for a sum: its complement, in the order of the data; 0 is 0xffff but for TCP. */
uint16_t checksum_final(uint64_t sum, uint8_t ip_protocol);
/*
 * Returns the sum of the pseudo-header of an IP packet (RFC 9293, section 3.1; RFC 8200, section
 * 8.1) whose header begins at `ip`, for `size` octets of layer 4. Routing headers are not looked
 * at.
 */
uint64_t checksum_pseudo(const uint8_t *ip, uint8_t protocol, uint32_t size);
/* Adds octets offset … end of the frame. */
uint64_t checksum_packet(const struct packet *packet, uint32_t offset, uint64_t sum);

/*
 * Completes a partial checksum (VIRTIO_NET_HDR_F_NEEDS_CSUM) exactly once: the field at csum_start
 * + csum_offset holds the sum of the pseudo-header (RFC 9293, section 3.1; RFC 768), and gets the
 * complement of the sum from csum_start to the frame's end. 0 is written as 0xffff, but for TCP.
 * Clears the flag; without it nothing happens. The offsets must have passed parse. Not for GSO.
 */
void checksum_complete(struct packet *packet);

#endif
