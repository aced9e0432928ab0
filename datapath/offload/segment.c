/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/offload/segment.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "datapath/offload/checksum.h"

#define TCP_FLAG_FIN 0x01
#define TCP_FLAG_PSH 0x08
#define TCP_FLAG_CWR 0x80

/* Where a piece is in the packet that is cut. */
struct piece {
	uint32_t index;	 /* of its first wire frame */
	uint32_t count;	 /* wire frames */
	uint32_t offset; /* of its payload, in the packet's payload */
	uint32_t size;	 /* of its payload */
	uint32_t header; /* octets that each wire frame has before its payload */
	bool last;
};

static struct packet *make_piece(struct packet_pool *pool, struct packet *packet,
				 const struct piece *piece);

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

int segment_cut(struct packet_pool *pool, struct packet *packet, uint32_t frames,
		struct packet_list *out, uint32_t *lost_frames, uint32_t *lost_bytes)
{
	uint32_t left = packet->size - packet->payload_offset;
	uint32_t gso_size = packet->offload.gso_size;
	/* With a tag that is metadata now and will be on the wire. */
	struct piece piece = {.header = (packet->wire_size - left) / packet->frame_count};

	*lost_frames = 0;
	*lost_bytes = 0;
	if (frames == 0)
		frames = 1;
	if (packet->frame_count <= frames) {
		packet_list_append(out, packet);
		return 0;
	}
	while (left > 0) {
		struct packet *cut;

		piece.count = smaller(frames, packet->frame_count - piece.index);
		piece.size = smaller(left, piece.count * gso_size);
		piece.last = piece.size == left;
		cut = make_piece(pool, packet, &piece);
		if (cut == NULL) {
			*lost_frames = packet->frame_count - piece.index;
			*lost_bytes = left + *lost_frames * piece.header;
			break;
		}
		packet_list_append(out, cut);
		piece.index += piece.count;
		piece.offset += piece.size;
		left -= piece.size;
	}
	packet_free(pool, packet);
	return *lost_frames > 0 ? -ENOBUFS : 0;
}

static inline uint16_t load_be16(const uint8_t *octets)
{
	return (uint16_t)(octets[0] << 8 | octets[1]);
}

static inline void store_be16(uint8_t *octets, uint32_t value)
{
	octets[0] = (uint8_t)(value >> 8);
	octets[1] = (uint8_t)value;
}

/* size: octets of the IP packet that the piece is. */
static void fix_ip(uint8_t *ip, const struct piece *piece, uint32_t size)
{
	uint16_t checksum;

	if (ip[0] >> 4 == 6) {
		store_be16(ip + 4, size - 40);
		return;
	}
	store_be16(ip + 2, size);
	store_be16(ip + 4, load_be16(ip + 4) + piece->index);
	store_be16(ip + 10, 0);
	checksum = (uint16_t)~checksum_fold(checksum_add(0, ip, (ip[0] & 0xf) * 4u, false));
	memcpy(ip + 10, &checksum, sizeof(checksum));
}

/* The pseudo-header's sum, in the checksum's field, covers the length of layer 4. */
static void fix_partial_sum(uint8_t *field, uint32_t old_size, uint32_t new_size)
{
	uint8_t lengths[4];
	uint16_t sum;

	store_be16(lengths, ~old_size);
	store_be16(lengths + 2, new_size);
	memcpy(&sum, field, sizeof(sum));
	sum = checksum_fold(checksum_add(sum, lengths, sizeof(lengths), false));
	memcpy(field, &sum, sizeof(sum));
}

static void fix_tcp(uint8_t *tcp, const struct piece *piece)
{
	uint32_t sequence;

	memcpy(&sequence, tcp + 4, sizeof(sequence));
	sequence = htonl(ntohl(sequence) + piece->offset);
	memcpy(tcp + 4, &sequence, sizeof(sequence));
	if (piece->index > 0)
		tcp[13] &= (uint8_t)~TCP_FLAG_CWR;
	if (!piece->last)
		tcp[13] &= (uint8_t) ~(TCP_FLAG_FIN | TCP_FLAG_PSH);
}

/*
 * Gives the headers at `frame`, copied from `packet`, what the piece has of its own; `size`: octets
 * of the piece with its headers. The checksum stays partial.
 */
static void fix_headers(uint8_t *frame, const struct packet *packet, const struct piece *piece,
			uint32_t size)
{
	uint8_t *layer4 = frame + packet->l4_offset;

	fix_ip(frame + packet->l3_offset, piece, size - packet->l3_offset);
	if (packet->ip_protocol == IPPROTO_TCP)
		fix_tcp(layer4, piece);
	else
		store_be16(layer4 + 4, size - packet->l4_offset);
	fix_partial_sum(layer4 + packet->offload.csum_offset, packet->size - packet->l4_offset,
			size - packet->l4_offset);
}

static void fix_offload(struct packet *cut, const struct piece *piece)
{
	cut->frame_count = (uint16_t)piece->count;
	cut->wire_size = piece->count * piece->header + piece->size;
	if (piece->count == 1) {
		cut->offload.gso_type = VIRTIO_NET_HDR_GSO_NONE;
		cut->offload.gso_size = 0;
		cut->offload.hdr_len = 0;
	} else if (piece->index > 0) {
		cut->offload.gso_type &= (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	}
}

/*
 * Appends the piece's payload. What lies in the packet's head is copied when the piece goes on
 * behind it, so that no piece needs more slices than the packet has; there is room, since it was
 * behind the same headers in the packet.
 */
static void add_payload(struct packet *cut, struct packet *packet, const struct piece *piece)
{
	uint32_t offset = packet->payload_offset + piece->offset, size = piece->size;
	int error;

	if (offset < packet->head_size && offset + size > packet->head_size) {
		uint16_t part = (uint16_t)(packet->head_size - offset);

		memcpy(cut->data + cut->head_size, packet->data + offset, part);
		cut->head_size += part;
		cut->size += part;
		offset += part;
		size -= part;
	}
	error = packet_share(cut, packet, offset, size);
	assert(error == 0);
	(void)error;
}

static struct packet *make_piece(struct packet_pool *pool, struct packet *packet,
				 const struct piece *piece)
{
	struct packet *cut = packet_new_from(pool, packet, packet->payload_offset);

	if (cut == NULL)
		return NULL;
	add_payload(cut, packet, piece);
	fix_headers(cut->data, packet, piece, cut->size);
	fix_offload(cut, piece);
	return cut;
}

/* Where the next octet of a packet's payload is: part 0 is the head, the others are slices. */
struct cursor {
	const struct packet *packet;
	unsigned part;
	uint32_t offset; /* in the part */
};

/* Copies the next `size` octets, which are there, and returns their sum. */
static uint64_t copy_payload(struct cursor *cursor, uint8_t *to, uint32_t size)
{
	const struct packet *packet = cursor->packet;
	uint64_t sum = 0;
	uint32_t done = 0;

	while (done < size) {
		bool head = cursor->part == 0;
		const uint8_t *data = head ? packet->data : packet->slices[cursor->part - 1].data;
		uint32_t here = head ? packet->head_size : packet->slices[cursor->part - 1].size;
		uint32_t part = smaller(here - cursor->offset, size - done);

		sum = checksum_copy(sum, to + done, data + cursor->offset, part, done & 1);
		done += part;
		cursor->offset += part;
		if (cursor->offset == here) {
			cursor->part++;
			cursor->offset = 0;
		}
	}
	return sum;
}

/* Writes one frame and returns its octets. */
static uint32_t write_frame(struct cursor *cursor, const struct piece *piece, uint8_t *to)
{
	const struct packet *packet = cursor->packet;
	uint32_t headers = packet->payload_offset;
	uint8_t *layer4 = to + packet->l4_offset;
	uint64_t sum;
	uint16_t checksum;

	memcpy(to, packet->data, headers);
	sum = copy_payload(cursor, to + headers, piece->size);
	fix_headers(to, packet, piece, headers + piece->size);
	/* Headers of layer 4 are an even number of octets, so that the payload's sum is in place.
	 */
	sum = checksum_add(sum, layer4, headers - packet->l4_offset, false);
	checksum = checksum_final(sum, packet->ip_protocol);
	memcpy(layer4 + packet->offload.csum_offset, &checksum, sizeof(checksum));
	return headers + piece->size;
}

uint32_t segment_write(const struct packet *packet, const void *prefix, uint32_t prefix_size,
		       uint8_t *to)
{
	uint32_t left = packet->size - packet->payload_offset;
	struct cursor cursor = {packet, 0, packet->payload_offset};
	struct piece piece = {.count = 1};
	uint8_t *next = to;

	/* Without payload in the head. */
	if (cursor.offset == packet->head_size) {
		cursor.part = 1;
		cursor.offset = 0;
	}
	while (left > 0) {
		piece.size = smaller(left, packet->offload.gso_size);
		piece.last = piece.size == left;
		memcpy(next, prefix, prefix_size);
		next += prefix_size;
		next += write_frame(&cursor, &piece, next);
		piece.index++;
		piece.offset += piece.size;
		left -= piece.size;
	}
	return (uint32_t)(next - to);
}
