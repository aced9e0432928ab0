/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_STAGES_ALIKE_H
#define VSWITCH_DATAPATH_STAGES_ALIKE_H

/*
 * Which packets in a row are alike: they came in on the same port with the same sizes and the same
 * offload state, and the octets of their headers that parse looks at are the same, but for
 * addresses and ports. What parse found in the first is true of the others then, but for the flow's
 * hash. They are a run (batch.h). In a flow addresses and ports are the same as well, so that
 * no stage up to output can tell its packets from one another. What is not looked at: frames with a
 * tag, anything but IPv4 without options, and the overlay, since there the checksum's value matters
 * (recover.h). Called by stage_parse(); inline since it is what most packets meet.
 *
 * Whoever makes a stage look at another octet of a header has to take it into the masks. Where a
 * stage answers to packets or charges for them, it does so for each.
 */

#include <assert.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "datapath/packet.h"
#include "datapath/stages/flow_hash.h"

/* 16 octets, compared at once; the compiler knows how. */
typedef uint64_t alike_part __attribute__((vector_size(16)));

#define ALIKE_FRAME  3u /* parts of a frame, from the destination MAC to TCP's flags */
#define ALIKE_BEGIN  offsetof(struct packet, size) /* of what a port wrote, but the frame */
#define ALIKE_END    (offsetof(struct packet, gate) + 1)
#define ALIKE_PARSED offsetof(struct packet, offload) /* what parse writes, but flags */

#define ALIKE_ADDRESSES (ETH_HLEN + 12) /* IPv4's, in the frame */

/* Which octets of the frame count, as they lie in memory, the lowest first. */
struct alike_masks {
	alike_part run[ALIKE_FRAME];
	alike_part flow[ALIKE_FRAME];
};

enum alike_kind {
	ALIKE_NOT,
	ALIKE_OTHER_FLOW, /* but for addresses and ports */
	ALIKE_SAME_FLOW,
};

/* A packet that was parsed, and that others are compared with. */
struct alike {
	bool has_ports;
	uint8_t flags;
	const struct alike_masks *masks;
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

static inline bool alike_is_zero(alike_part part)
{
	return (part[0] | part[1]) == 0;
}

/* Whether a packet and the one behind it, before parse, may be of a run: it is worth looking. */
static inline bool alike_likely(const struct packet *packet, const struct packet *next)
{
	/* The type, and IPv4's first two octets. */
	return packet->size == next->size && packet->size >= ETH_HLEN + 2 &&
	       memcmp(packet->data + 2 * ETH_ALEN, next->data + 2 * ETH_ALEN, 4) == 0;
}

/* Called with a packet before parse. */
static inline void alike_remember(struct alike *alike, const struct packet *packet)
{
	alike->received[0] = alike_load(alike_at(packet, ALIKE_BEGIN));
	alike->received[1] = alike_load(alike_at(packet, ALIKE_END - sizeof(alike_part)));
}

static inline const struct alike_masks *alike_masks(uint8_t ip_protocol)
{
	/* Of a run the group bit, type, IPv4's first octets; no id, TTL, header checksum, … */
#define ALIKE_IPV4_RUN                                                                             \
	{0x1, 0xffffffff00000000},                                                                 \
	{                                                                                          \
		0xff00ffff0000ffff, 0                                                              \
	}
	/* … of a flow MACs and addresses as well, … */
#define ALIKE_IPV4_FLOW                                                                            \
	{~0ull, ~0ull},                                                                            \
	{                                                                                          \
		0xff00ffff0000ffff, 0xffffffffffff0000                                             \
	}
	/* … and ports; the size of TCP's header, … */
	static const struct alike_masks tcp = {
		{ALIKE_IPV4_RUN, {0, 0x00f0000000000000}},
		{ALIKE_IPV4_FLOW, {0x0000ffffffffffff, 0x00f0000000000000}},
	};
	/* … or the size in UDP's. */
	static const struct alike_masks udp = {
		{ALIKE_IPV4_RUN, {0xffff000000000000, 0}},
		{ALIKE_IPV4_FLOW, {~0ull, 0}},
	};
	static const struct alike_masks other = {
		{ALIKE_IPV4_RUN, {0, 0}},
		{ALIKE_IPV4_FLOW, {0xffff, 0}},
	};

	if (ip_protocol == IPPROTO_TCP)
		return &tcp;
	return ip_protocol == IPPROTO_UDP ? &udp : &other;
}

static inline void alike_load_frame(struct alike *alike, const struct packet *packet)
{
	for (unsigned i = 0; i < ALIKE_FRAME; i++)
		alike->frame[i] = alike_load(packet->data + i * sizeof(alike_part));
	alike->flow_hash = packet->flow_hash;
}

/* Called with the same packet when parse has accepted it. Returns whether others can be like it. */
static inline bool alike_begin(struct alike *alike, const struct packet *packet)
{
	if ((packet->flags & (PACKET_TAGGED | PACKET_FROM_OVERLAY)) != 0 ||
	    packet->ether_type != ETH_P_IP || packet->l3_offset != ETH_HLEN ||
	    packet->head_size < ALIKE_FRAME * sizeof(alike_part) || packet->data[ETH_HLEN] != 0x45)
		return false;
	alike->masks = alike_masks(packet->ip_protocol);
	alike->has_ports = packet->l4_offset != 0 && (packet->ip_protocol == IPPROTO_TCP ||
						      packet->ip_protocol == IPPROTO_UDP);
	alike->flags = packet->flags;
	for (unsigned i = 0; i < 2; i++)
		alike->parsed[i] =
			alike_load(alike_at(packet, ALIKE_PARSED + i * sizeof(alike_part)));
	alike_load_frame(alike, packet);
	return true;
}

/*
 * How a packet, before parse, is like the one that was parsed. Its frame may be shorter: what lies
 * behind it is the packet's, too.
 */
static inline enum alike_kind alike_compare(const struct alike *alike, const struct packet *packet)
{
	const struct alike_masks *masks = alike->masks;
	alike_part received = alike->received[0] ^ alike_load(alike_at(packet, ALIKE_BEGIN));
	alike_part frame[ALIKE_FRAME];

	received |=
		alike->received[1] ^ alike_load(alike_at(packet, ALIKE_END - sizeof(alike_part)));
	for (unsigned i = 0; i < ALIKE_FRAME; i++)
		frame[i] = alike->frame[i] ^ alike_load(packet->data + i * sizeof(alike_part));
	if (alike_is_zero(received | (frame[0] & masks->flow[0]) | (frame[1] & masks->flow[1]) |
			  (frame[2] & masks->flow[2])))
		return ALIKE_SAME_FLOW;
	if (alike_is_zero(received | (frame[0] & masks->run[0]) | (frame[1] & masks->run[1]) |
			  (frame[2] & masks->run[2])))
		return ALIKE_OTHER_FLOW;
	return ALIKE_NOT;
}

/* Gives a packet what parse found in the one it is like. */
static inline void alike_copy(const struct alike *alike, struct packet *packet)
{
	uint8_t *parsed = (uint8_t *)packet + ALIKE_PARSED;

	memcpy(parsed, alike->parsed, sizeof(alike->parsed));
	packet->flow_hash = alike->flow_hash;
	packet->flags = alike->flags;
}

/* Completes a packet that is alike but for its flow, and with which others are compared now. */
static inline void alike_turn(struct alike *alike, struct packet *packet)
{
	uint32_t ports = 0;

	alike_copy(alike, packet);
	if (alike->has_ports)
		memcpy(&ports, packet->data + packet->l4_offset, sizeof(ports));
	packet->flow_hash = flow_hash_short(packet, packet->data + ALIKE_ADDRESSES, ports);
	alike_load_frame(alike, packet);
}

/*
 * Returns how many of the packets, from the first on, are of the run, and completes these. Writes
 * which of them begin a flow, as bits.
 */
static inline unsigned alike_follow(struct alike *alike, struct packet *const *packets,
				    unsigned count, uint64_t *flows)
{
	unsigned followers = 0;

	*flows = 0;
	for (; followers < count; followers++) {
		struct packet *packet = packets[followers];

		switch (alike_compare(alike, packet)) {
		case ALIKE_SAME_FLOW:
			alike_copy(alike, packet);
			break;
		case ALIKE_OTHER_FLOW:
			alike_turn(alike, packet);
			*flows |= 1ull << followers;
			break;
		case ALIKE_NOT:
			return followers;
		}
	}
	return followers;
}

#endif
