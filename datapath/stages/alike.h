/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_STAGES_ALIKE_H
#define VSWITCH_DATAPATH_STAGES_ALIKE_H

/*
 * Which packets in a row are a run (batch.h): such as parse and every stage up to output cannot
 * tell from one another. They came in on the same port with the same sizes and the same offload
 * state, and the octets of their headers that a stage looks at are the same. What a run is not
 * looked for: frames with a tag, anything but IPv4 without options, and the overlay, since there
 * the checksum's value matters (recover.h). Called by stage_parse(); inline since it is what most
 * packets meet.
 *
 * Whoever makes a stage look at another octet of a header has to take it into the masks. Where a
 * stage answers to packets or charges for them, it does so for each.
 */

#include <assert.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "datapath/packet.h"

#define ALIKE_WORDS 6u /* of 8 octets, from the destination MAC to TCP's flags */

/* The first packet of a run, and what parse found in it; `first` NULL: the next one is a run. */
struct alike {
	const struct packet *first;
	const uint64_t *mask;
	uint64_t shape; /* size, head_size, slice_count and flags, before parse */
	struct virtio_net_hdr offload;
};

static_assert(offsetof(struct packet, flags) + 1 == offsetof(struct packet, size) + 8,
	      "the shape is one word");

static inline uint64_t alike_word(const void *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* Called with a packet before parse, which may become the first of a run. */
static inline void alike_remember(struct alike *alike, const struct packet *packet)
{
	alike->first = NULL;
	alike->shape = alike_word(&packet->size);
	alike->offload = packet->offload;
}

/*
 * Called with the same packet when parse has accepted it. The masks are of the frame's first 48
 * octets as they lie in memory, the lowest first: MACs, type, IPv4's first octets; no id nor TTL;
 * no header checksum; addresses, ports, UDP's size; the size of TCP's header.
 */
static inline void alike_begin(struct alike *alike, const struct packet *packet)
{
	static const uint64_t tcp[ALIKE_WORDS] = {~0ull,
						  ~0ull,
						  0xff00ffff0000ffff,
						  0xffffffffffff0000,
						  0x0000ffffffffffff,
						  0x00f0000000000000};
	static const uint64_t udp[ALIKE_WORDS] = {
		~0ull, ~0ull, 0xff00ffff0000ffff, 0xffffffffffff0000, ~0ull, 0};
	static const uint64_t other[ALIKE_WORDS] = {
		~0ull, ~0ull, 0xff00ffff0000ffff, 0xffffffffffff0000, 0xffff, 0};

	if (packet->flags & (PACKET_TAGGED | PACKET_FROM_OVERLAY) ||
	    packet->ether_type != ETH_P_IP || packet->l3_offset != ETH_HLEN ||
	    packet->head_size < 8 * ALIKE_WORDS || packet->data[ETH_HLEN] != 0x45)
		return;
	alike->first = packet;
	alike->mask = packet->ip_protocol == IPPROTO_TCP   ? tcp
		      : packet->ip_protocol == IPPROTO_UDP ? udp
							   : other;
}

/* Whether the packet, before parse, is of the run. */
static inline bool alike_fits(const struct alike *alike, const struct packet *packet)
{
	const struct packet *first = alike->first;
	uint64_t difference = 0;

	if (first == NULL || alike_word(&packet->size) != alike->shape ||
	    alike_word(packet->data) != alike_word(first->data))
		return false;
	for (unsigned i = 1; i < ALIKE_WORDS; i++)
		difference |= (alike_word(packet->data + 8 * i) ^ alike_word(first->data + 8 * i)) &
			      alike->mask[i];
	return difference == 0 && packet->port_in == first->port_in &&
	       packet->port_in_incarnation == first->port_in_incarnation &&
	       packet->drop == DROP_NONE &&
	       memcmp(&packet->offload, &alike->offload, sizeof(alike->offload)) == 0;
}

/* Gives a packet of the run what parse found in its first. */
static inline void alike_copy(const struct alike *alike, struct packet *packet)
{
	const size_t begin = offsetof(struct packet, offload);
	const size_t end = offsetof(struct packet, flow_hash) + sizeof(packet->flow_hash);

	memcpy((uint8_t *)packet + begin, (const uint8_t *)alike->first + begin, end - begin);
	packet->flags = alike->first->flags;
}

#endif
