/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_COALESCE_FIXTURE_H
#define VSWITCH_TESTS_UNIT_COALESCE_FIXTURE_H

/*
 * Frames that arrive, what coalescing makes of them, and whether that is the same frames still. The
 * unit tests and the fuzz target share it, so that it asserts nothing itself.
 */

#include <stdlib.h>

#include "datapath/offload/checksum.h"
#include "datapath/offload/coalesce.h"
#include "datapath/offload/segment.h"
#include "datapath/stages/parse.h"
#include "datapath/vlan.h"
#include "frames.h"

#define ARRIVALS_MAX 1200u

struct arrival {
	struct coalesce_key key;
	uint32_t size;
	uint8_t *octets; /* allocated, exactly as many */
	bool left;	 /* found again in what came out */
};

struct arrivals {
	uint32_t count;
	struct arrival items[ARRIVALS_MAX];
};

static inline struct arrival *arrivals_add(struct arrivals *arrivals, const uint8_t *octets,
					   uint32_t size)
{
	struct arrival *arrival = &arrivals->items[arrivals->count++];

	*arrival = (struct arrival){.size = size, .octets = calloc(size + (size == 0), 1)};
	memcpy(arrival->octets, octets, size);
	return arrival;
}

static inline void arrivals_clear(struct arrivals *arrivals)
{
	for (uint32_t i = 0; i < arrivals->count; i++)
		free(arrivals->items[i].octets);
	arrivals->count = 0;
}

/* A packet as the receiver of the overlay makes it: what is long has its rest in a buffer. */
static inline struct packet *arrival_packet(struct packet_pool *pool, const struct arrival *arrival)
{
	struct packet *packet = packet_new(pool);
	uint32_t head = arrival->size;

	if (packet == NULL)
		return NULL;
	if (head > packet_tailroom(packet))
		head = 256;
	memcpy(packet->data, arrival->octets, head);
	packet->size = head;
	packet->head_size = (uint16_t)head;
	packet->outer_source = arrival->key.outer_source;
	packet->outer_vni = arrival->key.outer_vni;
	packet->outer_tos = arrival->key.outer_tos;
	if (head < arrival->size) {
		struct packet_buffer *buffer = packet_buffer_new(pool);

		if (buffer == NULL) {
			packet_free(pool, packet);
			return NULL;
		}
		memcpy(buffer->data + 3, arrival->octets + head, arrival->size - head);
		packet_attach(packet, buffer, 3, arrival->size - head);
	}
	return packet;
}

/* Coalesces all arrivals as one receive call would. Returns false when the pool ran out. */
static inline bool arrivals_coalesce(const struct arrivals *arrivals, struct packet_pool *pool,
				     struct packet_list *list)
{
	static struct coalesce coalesce; /* stays empty, as a worker's does between calls */
	bool enough = true;

	packet_list_init(list);
	for (uint32_t i = 0; i < arrivals->count && enough; i++) {
		const struct arrival *arrival = &arrivals->items[i];
		/* The receive buffer is used again. */
		uint8_t *received = malloc(arrival->size + (arrival->size == 0));
		struct packet *packet;
		bool used_up;

		memcpy(received, arrival->octets, arrival->size);
		used_up = coalesce_append(&coalesce, pool, &arrival->key, received, arrival->size);
		memset(received, 0xdd, arrival->size);
		free(received);
		if (used_up)
			continue;
		packet = arrival_packet(pool, arrival);
		enough = packet != NULL;
		if (!enough)
			continue;
		packet_list_append(list, packet);
		coalesce_open(&coalesce, &arrival->key, packet);
	}
	coalesce_finish(&coalesce);
	return enough;
}

/* Where the ports of a whole TCP or UDP packet are, else 0. */
static inline uint32_t arrival_ports(const uint8_t *octets, uint32_t size, uint32_t *ip)
{
	uint32_t type = size < 18 ? 0 : frame_get16(octets + 12), ports;

	*ip = 14;
	if (type == 0x8100 || type == 0x88a8) {
		type = frame_get16(octets + 16);
		*ip = 18;
	}
	if (type == 0x0800 && size >= *ip + 28 && octets[*ip] >> 4 == 4 &&
	    (octets[*ip] & 15) >= 5 && (frame_get16(octets + *ip + 6) & 0x3fff) == 0 &&
	    (octets[*ip + 9] == 6 || octets[*ip + 9] == 17)) {
		ports = *ip + (octets[*ip] & 15) * 4u;
		return ports + 8 <= size ? ports : 0;
	}
	if (type == 0x86dd && size >= *ip + 48 && octets[*ip] >> 4 == 6 &&
	    (octets[*ip + 6] == 6 || octets[*ip + 6] == 17))
		return *ip + 40;
	return 0;
}

/* Whether the later frame must not overtake the earlier one. */
static inline bool arrivals_ordered(const struct arrival *a, const struct arrival *b)
{
	uint32_t ip_a, ip_b, ports_a = arrival_ports(a->octets, a->size, &ip_a);
	uint32_t ports_b = arrival_ports(b->octets, b->size, &ip_b);
	bool ipv6 = a->octets[ip_a] >> 4 == 6;

	if (a->key.outer_vni != b->key.outer_vni)
		return false;
	if (ports_a == 0 || ports_b == 0)
		return a->size >= 12 && b->size >= 12 && memcmp(a->octets, b->octets, 12) == 0;
	return a->octets[ip_a] >> 4 == b->octets[ip_b] >> 4 &&
	       a->octets[ip_a + (ipv6 ? 6 : 9)] == b->octets[ip_b + (ipv6 ? 6 : 9)] &&
	       memcmp(a->octets + ports_a, b->octets + ports_b, 4) == 0 &&
	       memcmp(a->octets + ip_a + (ipv6 ? 8 : 12), b->octets + ip_b + (ipv6 ? 8 : 12),
		      ipv6 ? 32 : 8) == 0;
}

/*
 * Finds the frame among those that arrived, and marks it. Returns NULL, or what is wrong: none is
 * equal, or one that had to leave before is still there.
 */
static inline const char *arrivals_leave(struct arrivals *arrivals, const struct coalesce_key *key,
					 const uint8_t *octets, uint32_t size)
{
	struct arrival *found = NULL;

	for (uint32_t i = 0; i < arrivals->count && found == NULL; i++) {
		struct arrival *arrival = &arrivals->items[i];

		if (!arrival->left && arrival->size == size &&
		    arrival->key.outer_vni == key->outer_vni &&
		    arrival->key.outer_source == key->outer_source &&
		    arrival->key.outer_tos == key->outer_tos &&
		    memcmp(arrival->octets, octets, size) == 0)
			found = arrival;
	}
	if (found == NULL)
		return "a frame that never arrived";
	found->left = true;
	for (struct arrival *earlier = arrivals->items; earlier < found; earlier++) {
		if (!earlier->left && arrivals_ordered(earlier, found))
			return "a frame that overtook another of its flow";
	}
	return NULL;
}

/* Takes a packet that came out apart and finds all of its frames. Consumes it. */
static inline const char *arrivals_check_packet(struct arrivals *arrivals, struct packet_pool *pool,
						struct packet *packet)
{
	static uint8_t octets[FRAME_MAX];
	struct coalesce_key key = {packet->outer_source, packet->outer_vni, packet->outer_tos};
	const char *wrong = NULL;
	uint32_t lost_frames, lost_bytes;
	struct packet_list frames;
	bool merged = packet->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE;

	packet_list_init(&frames);
	if (!merged) {
		static const struct virtio_net_hdr none;

		if (memcmp(&packet->offload, &none, sizeof(none)) != 0)
			wrong = "offload state of a frame that was left as it is";
		packet_list_append(&frames, packet);
	} else if (parse_packet(packet) != DROP_NONE || packet->frame_count < 2) {
		wrong = "a super-packet that no port would take";
		packet_list_append(&frames, packet);
	} else if (segment_cut(pool, packet, 1, &frames, &lost_frames, &lost_bytes) != 0) {
		wrong = "a pool that ran out";
	}
	while ((packet = packet_list_pop(&frames)) != NULL) {
		checksum_complete(packet);
		if (merged && (packet->flags & PACKET_TAGGED) != 0)
			vlan_push(packet, packet->vlan_tpid, packet->vlan_tci);
		packet_read(packet, 0, octets, FRAME_MAX);
		if (wrong == NULL)
			wrong = arrivals_leave(arrivals, &key, octets, packet->size);
		packet_free(pool, packet);
	}
	return wrong;
}

/* The property: what came out, cut again, is what arrived. Returns NULL or what is wrong. */
static inline const char *arrivals_check(struct arrivals *arrivals, struct packet_pool *pool,
					 struct packet_list *list)
{
	const char *wrong = NULL;
	struct packet *packet;

	while ((packet = packet_list_pop(list)) != NULL) {
		const char *now = arrivals_check_packet(arrivals, pool, packet);

		wrong = wrong == NULL ? now : wrong;
	}
	for (uint32_t i = 0; i < arrivals->count && wrong == NULL; i++) {
		if (!arrivals->items[i].left)
			wrong = "a frame that was lost";
	}
	return wrong;
}

/* Makes every checksum of an untagged or once tagged frame right, as a sender writes it. */
static inline void arrival_fix_checksums(uint8_t *octets, uint32_t size, bool network,
					 bool transport)
{
	uint32_t ip, ports = arrival_ports(octets, size, &ip), at, sum, protocol;

	if (size < ip + 20)
		return;
	if (network && octets[ip] >> 4 == 4 && ip + (octets[ip] & 15) * 4u <= size) {
		frame_put16(octets + ip + 10, 0);
		frame_put16(octets + ip + 10, ~frame_sum(0, octets + ip, (octets[ip] & 15) * 4u));
	}
	if (!transport || ports == 0)
		return;
	protocol = octets[ip] >> 4 == 4 ? octets[ip + 9] : octets[ip + 6];
	at = ports + (protocol == 6 ? 16 : 6);
	if (at + 2 > size)
		return;
	frame_put16(octets + at, 0);
	sum = protocol + (size - ports);
	sum = octets[ip] >> 4 == 4 ? frame_sum(sum, octets + ip + 12, 8)
				   : frame_sum(sum, octets + ip + 8, 32);
	sum = ~frame_sum(sum, octets + ports, size - ports);
	frame_put16(octets + at, protocol == 17 && (uint16_t)sum == 0 ? 0xffff : sum);
}

#endif
