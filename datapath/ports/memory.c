/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/config.h"
#include "datapath/ports/gather.h"
#include "datapath/ports/receiver.h"

struct frame_queue {
	struct memory_frame *first, **last;
};

struct memory_port {
	struct frame_queue in, out;
	bool capture;
	enum drop_reason fail;
	uint16_t fail_frames; /* of each super-packet, the last ones; 0: of everything all */
	unsigned room;	      /* for so many packets; UINT_MAX: for any */
};

static struct memory_frame *queue_pop(struct frame_queue *queue)
{
	struct memory_frame *frame = queue->first;

	if (frame == NULL)
		return NULL;
	queue->first = frame->next;
	if (queue->first == NULL)
		queue->last = &queue->first;
	return frame;
}

static struct memory_frame *queue_push(struct frame_queue *queue, size_t size)
{
	struct memory_frame *frame = calloc(1, sizeof(*frame) + size);

	if (frame == NULL)
		return NULL;
	frame->size = size;
	*queue->last = frame;
	queue->last = &frame->next;
	return frame;
}

void memory_capture(struct port *port, uint32_t features)
{
	struct memory_port *memory = port->private;

	memory->capture = true;
	port->features = features;
}

void memory_fill(struct port *port, unsigned room)
{
	struct memory_port *memory = port->private;

	memory->room = room;
}

void memory_fail(struct port *port, enum drop_reason reason)
{
	memory_fail_part(port, reason, 0);
}

void memory_fail_part(struct port *port, enum drop_reason reason, uint16_t frames)
{
	struct memory_port *memory = port->private;

	memory->fail = reason;
	memory->fail_frames = frames;
}

int memory_inject(struct port *port, const struct virtio_net_hdr *offload, const void *data,
		  size_t size)
{
	struct memory_port *memory = port->private;
	struct memory_frame *frame = queue_push(&memory->in, size);

	if (frame == NULL)
		return -ENOMEM;
	if (offload != NULL)
		frame->offload = *offload;
	if (size > 0)
		memcpy(frame->data, data, size);
	return 0;
}

int memory_inject_overlay(struct port *port, uint32_t outer_source, uint32_t vni, uint8_t outer_tos,
			  const void *data, size_t size)
{
	struct memory_port *memory = port->private;
	struct memory_frame *frame = queue_push(&memory->in, size);

	if (frame == NULL)
		return -ENOMEM;
	frame->overlay = true;
	frame->outer_source = outer_source;
	frame->vni = vni;
	frame->outer_tos = outer_tos;
	memcpy(frame->data, data, size);
	return 0;
}

struct memory_frame *memory_collect(struct port *port)
{
	struct memory_port *memory = port->private;

	return queue_pop(&memory->out);
}

static int memory_open(struct port *port)
{
	struct memory_port *memory = calloc(1, sizeof(*memory));

	if (memory == NULL)
		return -ENOMEM;
	memory->in.last = &memory->in.first;
	memory->out.last = &memory->out.first;
	memory->room = UINT_MAX;
	port->private = memory;
	port->receive_count = 1;
	return 0;
}

static void memory_close(struct port *port)
{
	struct memory_port *memory = port->private;
	struct memory_frame *frame;

	while ((frame = queue_pop(&memory->in)) != NULL ||
	       (frame = queue_pop(&memory->out)) != NULL)
		free(frame);
	free(memory);
}

static int memory_receive(struct port *port, unsigned queue, struct receiver *receiver,
			  struct batch *batch)
{
	struct memory_port *memory = port->private;

	(void)queue;
	while (!batch_full(batch)) {
		struct memory_frame *frame = queue_pop(&memory->in);
		struct packet *packet;

		if (frame == NULL)
			break;
		packet = receiver_copy(receiver, &frame->offload, frame->data, frame->size);
		if (packet != NULL && frame->overlay) {
			packet->flags = PACKET_FROM_OVERLAY;
			packet->outer_source = frame->outer_source;
			packet->outer_vni = frame->vni;
			packet->outer_tos = frame->outer_tos;
		}
		if (packet != NULL)
			batch_add(batch, packet);
		free(frame);
	}
	return memory->in.first == NULL ? PORT_DRAINED : PORT_MORE;
}

static void memory_transmit(struct port *port, const struct config *config, unsigned queue,
			    struct packet **packets, unsigned count, uint8_t *results)
{
	struct memory_port *memory = port->private;

	(void)queue;
	for (unsigned i = 0; i < count; i++) {
		struct iovec iov[GATHER_IOV_MAX];
		unsigned iov_count = gather_packet(packets[i], iov);
		struct memory_frame *frame = NULL;
		size_t at = 0;

		if (memory->room == 0) {
			results[i] = PORT_WAIT;
			continue;
		}
		if (memory->room != UINT_MAX)
			memory->room--;
		results[i] = (uint8_t)memory->fail;
		packets[i]->lost_frames = memory->fail_frames;
		if (memory->fail != DROP_NONE || !memory->capture)
			continue;
		frame = queue_push(&memory->out, packets[i]->size);
		if (frame == NULL) {
			results[i] = DROP_PORT_FULL;
			continue;
		}
		frame->offload = packets[i]->offload;
		frame->overlay = packets[i]->peer_out != PROTO_NO_INDEX;
		frame->peer = packets[i]->peer_out;
		frame->flow_hash = packets[i]->flow_hash;
		frame->vni = config->segments[packets[i]->segment].vni;
		for (unsigned j = 0; j < iov_count; at += iov[j++].iov_len)
			memcpy(frame->data + at, iov[j].iov_base, iov[j].iov_len);
	}
}

const struct port_ops port_memory_ops = {
	.name = "memory",
	.features = PORT_CAN_ALL,
	.open = memory_open,
	.close = memory_close,
	.receive = memory_receive,
	.transmit = memory_transmit,
};
