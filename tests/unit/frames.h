/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_FRAMES_H
#define VSWITCH_TESTS_UNIT_FRAMES_H

/*
 * Frames for tests: built from a description, and checked octet by octet with code that shares
 * nothing with the switch's own. Every call is deterministic.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "datapath/packet.h"

#define FRAME_MAX 70000u

struct frame_spec {
	bool ipv6;
	uint8_t protocol;     /* 6 and 17 get their header, any other none */
	unsigned tags;	      /* VLAN tags, outermost first: VID 100, 101, … */
	unsigned option_size; /* of IP options (multiple of 4) or of an extension header (of 8) */
	unsigned tcp_option_size;
	uint8_t tcp_flags;
	uint32_t sequence;
	uint16_t identification;
	uint16_t fragment; /* the IPv4 field, or the IPv6 fragment header's: 0 is none */
	uint32_t payload_size;
	uint32_t seed; /* of the payload's octets */
	uint16_t gso_size;
	bool partial; /* offload the checksum */
	bool ecn;     /* VIRTIO_NET_HDR_GSO_ECN */
};

struct frame {
	struct virtio_net_hdr offload;
	uint32_t size, l3, l4, payload;
	uint8_t octets[FRAME_MAX];
};

static inline uint32_t frame_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static inline void frame_put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline uint32_t frame_get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static inline uint32_t frame_get32(const uint8_t *at)
{
	return frame_get16(at) << 16 | frame_get16(at + 2);
}

/* The one's-complement sum of 16-bit words, as RFC 1071 spells it. */
static inline uint32_t frame_sum(uint32_t sum, const uint8_t *at, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++) {
		sum += i & 1 ? at[i] : (uint32_t)at[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static inline uint32_t frame_pseudo_sum(const struct frame *frame, uint8_t protocol)
{
	const uint8_t *ip = frame->octets + frame->l3;
	uint32_t sum = protocol;

	sum = ip[0] >> 4 == 4 ? frame_sum(sum, ip + 12, 8) : frame_sum(sum, ip + 8, 32);
	sum += frame->size - frame->l4;
	return (sum & 0xffff) + (sum >> 16);
}

static inline uint32_t frame_put_link(struct frame *frame, const struct frame_spec *spec)
{
	static const uint8_t macs[12] = {0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2};
	uint8_t *at = frame->octets;

	memcpy(at, macs, sizeof(macs));
	at += sizeof(macs);
	for (unsigned i = 0; i < spec->tags; i++) {
		frame_put16(at, i + 1 < spec->tags ? 0x88a8 : 0x8100);
		frame_put16(at + 2, 0x6000 + 100 + i);
		at += 4;
	}
	frame_put16(at, spec->ipv6 ? 0x86dd : 0x0800);
	return (uint32_t)(at + 2 - frame->octets);
}

static inline void frame_put_ipv4(struct frame *frame, const struct frame_spec *spec)
{
	static const uint8_t addresses[8] = {10, 0, 0, 1, 10, 0, 0, 2};
	uint8_t *ip = frame->octets + frame->l3;
	uint32_t size = 20 + spec->option_size;

	memset(ip, 1, size); /* options: all no-operation */
	memset(ip, 0, 20);
	ip[0] = (uint8_t)(0x40 | size / 4);
	ip[1] = 0x02;
	frame_put16(ip + 2, frame->size - frame->l3);
	frame_put16(ip + 4, spec->identification);
	frame_put16(ip + 6, spec->fragment);
	ip[8] = 64;
	ip[9] = spec->protocol;
	memcpy(ip + 12, addresses, 8);
	frame_put16(ip + 10, ~frame_sum(0, ip, size));
}

static inline void frame_put_ipv6(struct frame *frame, const struct frame_spec *spec)
{
	uint8_t *ip = frame->octets + frame->l3, *next = ip + 6, *at = ip + 40;

	memset(ip, 0, 40 + spec->option_size);
	ip[0] = 0x60;
	ip[1] = 0x20;
	frame_put16(ip + 4, frame->size - frame->l3 - 40);
	ip[7] = 64;
	ip[8] = ip[24] = 0xfd;
	ip[23] = 1;
	ip[39] = 2;
	if (spec->option_size > 0) {
		*next = 60;
		next = at;
		at[1] = (uint8_t)(spec->option_size / 8 - 1);
		at[2] = 1; /* PadN */
		at[3] = (uint8_t)(spec->option_size - 4);
		at += spec->option_size;
	}
	if (spec->fragment != 0) {
		*next = 44;
		next = at;
		memset(at, 0, 8);
		frame_put16(at + 2, spec->fragment);
	}
	*next = spec->protocol;
}

static inline void frame_put_transport(struct frame *frame, const struct frame_spec *spec)
{
	uint8_t *at = frame->octets + frame->l4, *field;
	uint32_t header = frame->payload - frame->l4, sum;

	if (header == 0)
		return;
	memset(at, 0, header);
	frame_put16(at, 40000);
	frame_put16(at + 2, 5201);
	if (spec->protocol == 6) {
		memset(at + 20, 1, header - 20);
		frame_put16(at + 4, spec->sequence >> 16);
		frame_put16(at + 6, spec->sequence);
		at[12] = (uint8_t)(header / 4 << 4);
		at[13] = spec->tcp_flags;
		at[15] = 200;
		field = at + 16;
	} else {
		frame_put16(at + 4, frame->size - frame->l4);
		field = at + 6;
	}
	sum = frame_pseudo_sum(frame, spec->protocol);
	frame_put16(field, sum);
	if (!spec->partial) {
		frame_put16(field, 0);
		sum = ~frame_sum(sum, at, frame->size - frame->l4);
		/* UDP's 0 says that there is none. */
		frame_put16(field, spec->protocol == 17 && (uint16_t)sum == 0 ? 0xffff : sum);
		return;
	}
	frame->offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	frame->offload.csum_start = (uint16_t)frame->l4;
	frame->offload.csum_offset = (uint16_t)(field - at);
}

static inline void frame_build(struct frame *frame, const struct frame_spec *spec)
{
	uint32_t random = spec->seed * 2654435761u + 1;

	memset(&frame->offload, 0, sizeof(frame->offload));
	frame->l3 = frame_put_link(frame, spec);
	frame->l4 = frame->l3 + (spec->ipv6 ? 40 : 20) + spec->option_size;
	if (spec->ipv6 && spec->fragment != 0)
		frame->l4 += 8;
	frame->payload = frame->l4;
	if (spec->protocol == 6)
		frame->payload += 20 + spec->tcp_option_size;
	else if (spec->protocol == 17)
		frame->payload += 8;
	frame->size = frame->payload + spec->payload_size;
	for (uint32_t i = frame->payload; i < frame->size; i++)
		frame->octets[i] = (uint8_t)frame_random(&random);
	if (spec->ipv6)
		frame_put_ipv6(frame, spec);
	else
		frame_put_ipv4(frame, spec);
	frame_put_transport(frame, spec);
	if (spec->gso_size == 0)
		return;
	frame->offload.gso_size = spec->gso_size;
	frame->offload.hdr_len = (uint16_t)frame->payload;
	if (spec->protocol == 17)
		frame->offload.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	else
		frame->offload.gso_type =
			spec->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	if (spec->ecn)
		frame->offload.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
}

/*
 * Puts a frame into a packet as a port does: head_size octets into the head, the rest into a
 * buffer, in 1 or 2 slices of about the same size. Returns NULL when the pool is exhausted.
 */
static inline struct packet *frame_packet(struct packet_pool *pool, const struct frame *frame,
					  uint32_t head_size, unsigned slices)
{
	struct packet *packet = packet_new(pool);
	uint32_t offset, rest;

	if (packet == NULL)
		return NULL;
	if (head_size > packet_tailroom(packet))
		head_size = (uint32_t)packet_tailroom(packet);
	if (head_size > frame->size)
		head_size = frame->size;
	/* What is read behind the head shows. */
	memset(packet->data, 0xee, packet_tailroom(packet));
	memcpy(packet->data, frame->octets, head_size);
	packet->head_size = (uint16_t)head_size;
	packet->size = head_size;
	packet->offload = frame->offload;
	rest = frame->size - head_size;
	offset = head_size;
	for (unsigned i = 0; i < slices && rest > 0; i++) {
		struct packet_buffer *buffer = packet_buffer_new(pool);
		uint32_t size = i + 1 == slices ? rest : (rest + 1) / 2;

		if (buffer == NULL) {
			packet_free(pool, packet);
			return NULL;
		}
		memcpy(buffer->data + 7, frame->octets + offset, size);
		packet_attach(packet, buffer, 7, size);
		offset += size;
		rest -= size;
	}
	return packet;
}

#endif
