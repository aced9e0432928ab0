/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_VLAN_H
#define VSWITCH_DATAPATH_VLAN_H

/* VLAN tags in frames (IEEE 802.1Q clause 9). Called by workers; inline since it is a few stores.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "datapath/packet.h"

#define VLAN_TPID_8021Q	 0x8100u
#define VLAN_TPID_8021AD 0x88a8u
#define VLAN_VID_MASK	 0x0fffu
#define VLAN_TAG_SIZE	 4u

static inline bool vlan_is_tpid(uint16_t ether_type)
{
	return ether_type == VLAN_TPID_8021Q || ether_type == VLAN_TPID_8021AD;
}

/* Shifts what points into the frame behind the MACs by `octets`. */
static inline void vlan_shift(struct packet *packet, int octets)
{
	if ((packet->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
		packet->offload.csum_start = (uint16_t)(packet->offload.csum_start + octets);
	if (packet->offload.hdr_len != 0)
		packet->offload.hdr_len = (uint16_t)(packet->offload.hdr_len + octets);
	if (packet->l3_offset != 0)
		packet->l3_offset = (uint16_t)(packet->l3_offset + octets);
	if (packet->l4_offset != 0)
		packet->l4_offset = (uint16_t)(packet->l4_offset + octets);
	if (packet->payload_offset != 0)
		packet->payload_offset = (uint16_t)(packet->payload_offset + octets);
}

/* Puts a tag behind the MACs, into the headroom; the frame has both MACs in its head. */
static inline void vlan_push(struct packet *packet, uint16_t tpid, uint16_t tci)
{
	if (packet->head_size < 12)
		return;
	memmove(packet->data - VLAN_TAG_SIZE, packet->data, 12);
	packet->data -= VLAN_TAG_SIZE;
	packet->data[12] = (uint8_t)(tpid >> 8);
	packet->data[13] = (uint8_t)tpid;
	packet->data[14] = (uint8_t)(tci >> 8);
	packet->data[15] = (uint8_t)tci;
	packet->head_size = (uint16_t)(packet->head_size + VLAN_TAG_SIZE);
	packet->size += VLAN_TAG_SIZE;
	vlan_shift(packet, VLAN_TAG_SIZE);
}

#endif
