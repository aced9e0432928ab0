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

/* 16 octets, compared at once; the compiler knows how. */
typedef uint64_t alike_part __attribute__((vector_size(16)));

#define ALIKE_FRAME  3u /* parts of a frame, from the destination MAC to TCP's flags */
#define ALIKE_BEGIN  offsetof(struct packet, size) /* of what a port wrote, but the frame */
#define ALIKE_END    (offsetof(struct packet, gate) + 1)
#define ALIKE_PARSED offsetof(struct packet, offload) /* what parse writes, but flags */

/* A packet that others are compared with, before and after parse. */
struct alike {
	uint8_t flags;
	const alike_part *masks;
	alike_part frame[ALIKE_FRAME];
	alike_part received[2]; /* the first and the last 16 octets of what the port wrote */
	alike_part parsed[2];
	uint32_t flow_hash;
};

static_assert(ALIKE_END - ALIKE_BEGIN <= 32, "two parts hold what a port writes");
static_assert(offsetof(struct packet, flow_hash) == ALIKE_PARSED + 32,
	      "two parts and the hash are what parse writes");

static inline alike_part alike_load(const void *at)
{
	alike_part part;

	memcpy(&part, at, sizeof(part));
	return part;
}

static inline const uint8_t *alike_at(const struct packet *packet, size_t offset)
{
	return (const uint8_t *)packet + offset;
}

/* Whether a packet and the one behind it, before parse, may be of a run: it is worth looking. */
static inline bool alike_likely(const struct packet *packet, const struct packet *next)
{
	return packet->size == next->size && packet->size >= sizeof(uint64_t) &&
	       memcmp(packet->data, next->data, sizeof(uint64_t)) == 0;
}

/* Called with a packet before parse. */
static inline void alike_remember(struct alike *alike, const struct packet *packet)
{
	alike->received[0] = alike_load(alike_at(packet, ALIKE_BEGIN));
	alike->received[1] = alike_load(alike_at(packet, ALIKE_END - sizeof(alike_part)));
}

/* Which octets of the frame count, as they lie in memory, the lowest first. */
static inline const alike_part *alike_masks(uint8_t ip_protocol)
{
	/* MACs, type, IPv4's first octets; no id, TTL or header checksum; addresses, … */
#define ALIKE_IPV4                                                                                 \
	{~0ull, ~0ull},                                                                            \
	{                                                                                          \
		0xff00ffff0000ffff, 0xffffffffffff0000                                             \
	}
	/* … and ports, and the size of TCP's header, … */
	static const alike_part tcp[ALIKE_FRAME] = {ALIKE_IPV4,
						    {0x0000ffffffffffff, 0x00f0000000000000}};
	/* … or the size in UDP's. */
	static const alike_part udp[ALIKE_FRAME] = {ALIKE_IPV4, {~0ull, 0}};
	static const alike_part other[ALIKE_FRAME] = {ALIKE_IPV4, {0xffff, 0}};

	if (ip_protocol == IPPROTO_TCP)
		return tcp;
	return ip_protocol == IPPROTO_UDP ? udp : other;
}

/* Called with the same packet when parse has accepted it. Returns whether it can have a run. */
static inline bool alike_begin(struct alike *alike, const struct packet *packet)
{
	if ((packet->flags & (PACKET_TAGGED | PACKET_FROM_OVERLAY)) != 0 ||
	    packet->ether_type != ETH_P_IP || packet->l3_offset != ETH_HLEN ||
	    packet->head_size < ALIKE_FRAME * sizeof(alike_part) || packet->data[ETH_HLEN] != 0x45)
		return false;
	alike->masks = alike_masks(packet->ip_protocol);
	alike->flags = packet->flags;
	for (unsigned i = 0; i < ALIKE_FRAME; i++)
		alike->frame[i] = alike_load(packet->data + i * sizeof(alike_part));
	for (unsigned i = 0; i < 2; i++)
		alike->parsed[i] =
			alike_load(alike_at(packet, ALIKE_PARSED + i * sizeof(alike_part)));
	alike->flow_hash = packet->flow_hash;
	return true;
}

/* Whether a packet, before parse, is of the run. */
static inline bool alike_fits(const struct alike *alike, const struct packet *packet)
{
	alike_part difference = alike->received[0] ^ alike_load(alike_at(packet, ALIKE_BEGIN));

	difference |=
		alike->received[1] ^ alike_load(alike_at(packet, ALIKE_END - sizeof(alike_part)));
	/* The frame is as long as the other one's, or this is not looked at. */
	if ((difference[0] | difference[1]) != 0)
		return false;
	difference = (alike->frame[0] ^ alike_load(packet->data)) & alike->masks[0];
	difference |= (alike->frame[1] ^ alike_load(packet->data + 16)) & alike->masks[1];
	difference |= (alike->frame[2] ^ alike_load(packet->data + 32)) & alike->masks[2];
	return (difference[0] | difference[1]) == 0;
}

/* Gives a packet of the run what parse found in its first. */
static inline void alike_copy(const struct alike *alike, struct packet *packet)
{
	uint8_t *parsed = (uint8_t *)packet + ALIKE_PARSED;

	memcpy(parsed, alike->parsed, sizeof(alike->parsed));
	packet->flow_hash = alike->flow_hash;
	packet->flags = alike->flags;
}

/* Returns how many of the packets, from the first on, are of the run, and completes these. */
static inline unsigned alike_follow(const struct alike *alike, struct packet *const *packets,
				    unsigned count)
{
	unsigned followers = 0;

	while (followers < count && alike_fits(alike, packets[followers]))
		alike_copy(alike, packets[followers++]);
	return followers;
}

#endif
