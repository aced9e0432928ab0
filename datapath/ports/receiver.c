/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/receiver.h"

#include <errno.h>
#include <string.h>

int receiver_init(struct receiver *receiver, struct packet_pool *pool)
{
	memset(receiver, 0, sizeof(*receiver));
	receiver->pool = pool;
	for (unsigned i = 0; i < BATCH_SIZE; i++) {
		struct receiver_slot *slot = &receiver->slots[i];

		slot->packet = packet_new(pool);
		slot->buffer = packet_buffer_new(pool);
		if (slot->packet == NULL || slot->buffer == NULL) {
			receiver_fini(receiver);
			return -ENOMEM;
		}
		receiver_prepare(receiver, i);
	}
	return 0;
}

void receiver_fini(struct receiver *receiver)
{
	for (unsigned i = 0; i < BATCH_SIZE; i++) {
		packet_free(receiver->pool, receiver->slots[i].packet);
		if (receiver->slots[i].buffer != NULL)
			packet_buffer_release(receiver->pool, receiver->slots[i].buffer);
		receiver->slots[i].packet = NULL;
		receiver->slots[i].buffer = NULL;
	}
}

void receiver_prepare(struct receiver *receiver, unsigned i)
{
	struct receiver_slot *slot = &receiver->slots[i];

	slot->iov[0] = (struct iovec){&slot->header, sizeof(slot->header)};
	slot->iov[1] = (struct iovec){slot->packet->data, packet_tailroom(slot->packet)};
	slot->iov[2] = (struct iovec){slot->buffer->data, PACKET_BUFFER_SIZE};
	receiver->messages[i].msg_hdr = (struct msghdr){
		.msg_iov = slot->iov,
		.msg_iovlen = 3,
		.msg_control = slot->control,
		.msg_controllen = sizeof(slot->control),
	};
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
	size_t head = slot->iov[1].iov_len;
	struct packet *fresh;
	struct packet_buffer *buffer = NULL;

	if (size > PACKET_SIZE_MAX) {
		receiver_drop(receiver, DROP_TOO_LONG, size);
		return NULL;
	}
	fresh = packet_new(receiver->pool);
	if (fresh != NULL && size > head)
		buffer = packet_buffer_new(receiver->pool);
	if (fresh == NULL || (size > head && buffer == NULL)) {
		packet_free(receiver->pool, fresh);
		receiver_drop(receiver, DROP_NO_BUFFER, size);
		return NULL;
	}
	packet->size = (uint32_t)size;
	packet->head_size = (uint16_t)(size < head ? size : head);
	packet->offload = slot->header;
	slot->packet = fresh;
	if (size > head) {
		packet->slices[0] = (struct packet_slice){
			.owner_buffer = slot->buffer,
			.data = slot->buffer->data,
			.size = (uint32_t)(size - head),
		};
		packet->slice_count = 1;
		slot->buffer = buffer;
		slot->iov[2].iov_base = buffer->data;
	}
	slot->iov[1].iov_base = fresh->data;
	return packet;
}
