/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet parser, and what relies on it: a frame with hostile headers is refused, or it is
 * counted, copied, cut and completed without an octet too many or too few.
 *
 * An input is a virtio-net header of 10 octets and a frame.
 */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/icmp_error.h"
#include "datapath/offload/checksum.h"
#include "datapath/offload/segment.h"
#include "datapath/packet.h"
#include "datapath/stages/parse.h"
#include "fuzz.h"

#define POOL_PACKETS 300u /* small enough to run out */

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* Puts the input into a packet as a port does. Returns NULL when it is no frame at all. */
static struct packet *receive(struct packet_pool *pool, const uint8_t *data, size_t size)
{
	struct packet *packet;
	size_t head;

	if (size < sizeof(packet->offload) || size - sizeof(packet->offload) > PACKET_SIZE_MAX)
		return NULL;
	packet = packet_new(pool);
	memcpy(&packet->offload, data, sizeof(packet->offload));
	data += sizeof(packet->offload);
	size -= sizeof(packet->offload);
	head = size < packet_tailroom(packet) ? size : packet_tailroom(packet);
	memcpy(packet->data, data, head);
	packet->head_size = (uint16_t)head;
	packet->size = (uint32_t)head;
	if (size > head) {
		struct packet_buffer *buffer = packet_buffer_new(pool);

		memcpy(buffer->data, data + head, size - head);
		packet_attach(packet, buffer, 0, (uint32_t)(size - head));
	}
	return packet;
}

static void check_metadata(const struct packet *packet)
{
	require(packet->l3_offset >= 14 && packet->l3_offset <= packet->payload_offset);
	require(packet->l4_offset == 0 || packet->l4_offset >= packet->l3_offset + 20);
	require(packet->l4_offset <= packet->payload_offset);
	require(packet->payload_offset <= packet->head_size);
	require(packet->frame_count >= 1);
	require((packet->frame_count > 1) == (packet->offload.gso_type != 0));
}

/* Cuts into pieces of `frames`, these into frames, and completes each. Consumes the packet. */
static void cut(struct packet_pool *pool, struct packet *packet, uint32_t frames)
{
	uint32_t count = packet->frame_count, octets = packet->wire_size;
	uint32_t lost_frames, lost_octets;
	struct packet_list pieces, list;

	packet_list_init(&pieces);
	packet_list_init(&list);
	segment_cut(pool, packet, frames, &pieces, &lost_frames, &lost_octets);
	count -= lost_frames;
	octets -= lost_octets;
	while ((packet = packet_list_pop(&pieces)) != NULL) {
		require(packet->frame_count <= frames);
		segment_cut(pool, packet, 1, &list, &lost_frames, &lost_octets);
		count -= lost_frames;
		octets -= lost_octets;
		while ((packet = packet_list_pop(&list)) != NULL) {
			check_metadata(packet);
			checksum_complete(packet);
			require(packet->frame_count == 1 && packet->wire_size == packet->size);
			count--;
			octets -= packet->size;
			packet_free(pool, packet);
		}
	}
	require(count == 0 && octets == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet_pool *pool = packet_pool_new(POOL_PACKETS, 1);
	struct packet *packet, *copy, *reply;

	require(pool != NULL);
	packet = receive(pool, data, size);
	if (packet != NULL && parse_packet(packet) == DROP_NONE) {
		check_metadata(packet);
		reply = icmp_error_too_big(pool, packet, 1400);
		require(reply == NULL || parse_packet(reply) == DROP_NONE);
		packet_free(pool, reply);
		copy = packet_clone(pool, packet);
		require(copy->size == packet->size);
		cut(pool, packet, 1);
		cut(pool, copy, 7);
	} else {
		packet_free(pool, packet);
	}
	require(packet_pool_in_use(pool) == 0);
	packet_pool_free(pool);
	return 0;
}
