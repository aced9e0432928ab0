/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/receiver.h"

#include <errno.h>
#include <string.h>

#define HEADER_SIZE sizeof(struct virtio_net_hdr)

int receiver_init(struct receiver *receiver, struct packet_pool *pool)
{
	memset(receiver, 0, sizeof(*receiver));
	receiver->pool = pool;
	receiver->batch_max = BATCH_SIZE;
	receiver->last_resort = packet_buffer_new(pool);
	if (receiver->last_resort == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < BATCH_SIZE; i++) {
		receiver->slots[i].packet = packet_new(pool);
		if (receiver->slots[i].packet == NULL) {
			receiver_fini(receiver);
			return -ENOMEM;
		}
	}
	return 0;
}

void receiver_fini(struct receiver *receiver)
{
	if (receiver->mbufs != NULL)
		receiver->mbufs_free(receiver);
	for (unsigned i = 0; i < BATCH_SIZE; i++) {
		packet_free(receiver->pool, receiver->slots[i].packet);
		packet_buffer_release(receiver->pool, receiver->slots[i].buffer);
		receiver->slots[i].packet = NULL;
		receiver->slots[i].buffer = NULL;
	}
	packet_buffer_release(receiver->pool, receiver->last_resort);
	receiver->last_resort = NULL;
}

uint32_t receiver_held(const struct receiver *receiver)
{
	uint32_t held = BATCH_SIZE + 1; /* packets, and the buffer of last resort */

	for (unsigned i = 0; i < BATCH_SIZE; i++)
		held += receiver->slots[i].buffer != NULL;
	return held;
}

bool receiver_prepare(struct receiver *receiver, unsigned i)
{
	struct receiver_slot *slot = &receiver->slots[i];
	struct packet *packet = slot->packet;

	if (slot->buffer == NULL)
		slot->buffer = packet_buffer_new(receiver->pool);
	slot->iov[0] =
		(struct iovec){packet->data - HEADER_SIZE, HEADER_SIZE + packet_tailroom(packet)};
	slot->iov[1] = (struct iovec){slot->buffer != NULL ? slot->buffer->data
							   : receiver->last_resort->data,
				      PACKET_BUFFER_SIZE};
	receiver->messages[i].msg_hdr = (struct msghdr){
		.msg_iov = slot->iov,
		.msg_iovlen = 2,
		.msg_control = slot->control,
		.msg_controllen = sizeof(slot->control),
	};
	return slot->buffer != NULL;
}

unsigned receiver_prepare_all(struct receiver *receiver, unsigned wanted)
{
	for (unsigned i = 0; i < wanted; i++) {
		/* The buffer of last resort serves one slot at a time. */
		if (!receiver_prepare(receiver, i))
			return i == 0 ? 1 : i;
	}
	return wanted;
}

unsigned receiver_wanted(uint32_t average, uint32_t octets)
{
	uint32_t count = octets / (average + 1);

	if (count < 1)
		return 1;
	return count < BATCH_SIZE ? count : BATCH_SIZE;
}

void receiver_drop(struct receiver *receiver, enum drop_reason reason, size_t size)
{
	receiver->dropped_frames++;
	receiver->dropped_bytes += (uint32_t)size;
	receiver->dropped[reason]++;
}

struct packet *receiver_take(struct receiver *receiver, unsigned i, size_t size)
{
	struct receiver_slot *slot = &receiver->slots[i];
	struct packet *packet = slot->packet;
	size_t head = slot->iov[0].iov_len - HEADER_SIZE;
	struct packet *fresh;

	if (size > PACKET_SIZE_MAX) {
		receiver_drop(receiver, DROP_TOO_LONG, size);
		return NULL;
	}
	fresh = size > head && slot->buffer == NULL ? NULL : packet_new(receiver->pool);
	if (fresh == NULL) {
		receiver_drop(receiver, DROP_NO_BUFFER, size);
		return NULL;
	}
	slot->packet = fresh;
	memcpy(&packet->offload, packet->data - HEADER_SIZE, HEADER_SIZE);
	packet->head_size = (uint16_t)(size < head ? size : head);
	packet->size = packet->head_size;
	if (size > head) {
		packet_attach(packet, slot->buffer, 0, (uint32_t)(size - head));
		slot->buffer = NULL;
	}
	return packet;
}

struct packet *receiver_copy(struct receiver *receiver, const struct virtio_net_hdr *offload,
			     const void *frame, size_t size)
{
	struct receiver_slot *slot = &receiver->slots[0];
	size_t head;

	receiver_prepare(receiver, 0);
	head = slot->iov[0].iov_len - HEADER_SIZE;
	if (head > size)
		head = size;
	memcpy(slot->iov[0].iov_base, offload, HEADER_SIZE);
	memcpy((uint8_t *)slot->iov[0].iov_base + HEADER_SIZE, frame, head);
	if (size - head <= PACKET_BUFFER_SIZE)
		memcpy(slot->iov[1].iov_base, (const uint8_t *)frame + head, size - head);
	return receiver_take(receiver, 0, size);
}
