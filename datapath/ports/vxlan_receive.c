/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Receiving from the overlay. A message is one datagram, or with UDP_GRO many of one size; each
 * holds one frame. Frames are copied out of the message: most of them straight behind the frames
 * that they continue (offload/coalesce.h), so that a TCP stream goes on as super-packets. A
 * datagram that holds a whole super-packet keeps the buffer that it came in.
 */

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "datapath/ports/receiver.h"
#include "datapath/ports/vxlan.h"

#define HEAD_COPY	256u		  /* of a large frame: more than its headers take */
#define PACKETS_AT_ONCE (2u * BATCH_SIZE) /* received before other ports have their turn */

static void read_control(struct msghdr *message, uint32_t *segment_size, uint8_t *tos)
{
	for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control != NULL;
	     control = CMSG_NXTHDR(message, control)) {
		if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS) {
			*tos = *CMSG_DATA(control);
		} else if (control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(control), sizeof(size));
			*segment_size = size > 0 ? (uint32_t)size : *segment_size;
		}
	}
}

/* RFC 7348 section 5: the I flag must be set; reserved bits are ignored. */
static bool header_is_valid(const uint8_t *header, uint32_t size)
{
	return size >= VXLAN_HEADER_SIZE && (header[0] & VXLAN_FLAG_VNI) != 0;
}

static uint32_t header_vni(const uint8_t *header)
{
	return (uint32_t)header[4] << 16 | (uint32_t)header[5] << 8 | (uint32_t)header[6];
}

/*
 * Gives a packet what does not fit into its head: the message's own buffer when nothing else is in
 * it, else a copy. Returns false when no buffer is left.
 */
static bool attach_rest(struct receiver *receiver, struct packet *packet,
			struct receiver_slot *slot, const uint8_t *rest, uint32_t size,
			bool whole_message)
{
	struct packet_buffer *fresh;

	if (whole_message && slot->buffer != NULL) {
		packet_attach(packet, slot->buffer, (uint32_t)(rest - slot->buffer->data), size);
		slot->buffer = NULL;
		return true;
	}
	fresh = packet_buffer_new(receiver->pool);
	if (fresh == NULL)
		return false;
	memcpy(fresh->data, rest, size);
	packet_attach(packet, fresh, 0, size);
	return true;
}

/* Makes a packet of one datagram; NULL, counted as dropped, when there is no room for it. */
static struct packet *take_datagram(struct receiver *receiver, struct receiver_slot *slot,
				    const uint8_t *data, uint32_t size, bool whole_message)
{
	struct packet *packet = packet_new(receiver->pool);
	uint32_t skip = size < VXLAN_HEADER_SIZE ? size : VXLAN_HEADER_SIZE;
	uint32_t frame = size - skip;
	uint32_t head = frame;

	if (packet == NULL)
		goto drop;
	if (frame > packet_tailroom(packet))
		head = HEAD_COPY;
	memcpy(packet->data, data + skip, head);
	packet->head_size = (uint16_t)head;
	packet->size = head;
	packet->flags = PACKET_FROM_OVERLAY;
	if (head < frame &&
	    !attach_rest(receiver, packet, slot, data + skip + head, frame - head, whole_message)) {
		packet_free(receiver->pool, packet);
		goto drop;
	}
	if (header_is_valid(data, size))
		packet->outer_vni = header_vni(data);
	else
		packet->drop = DROP_VXLAN_HEADER;
	return packet;
drop:
	receiver_drop(receiver, DROP_NO_BUFFER, frame);
	return NULL;
}

static void next_message(struct vxlan_queue *queue)
{
	queue->offset = 0;
	queue->message++;
}

/* Takes one datagram: it continues what was received before, or becomes a packet of its own. */
static void take(struct vxlan_queue *queue, struct receiver *receiver, struct receiver_slot *slot,
		 const uint8_t *data, uint32_t size, bool whole_message, struct coalesce_key *key,
		 struct batch *batch)
{
	struct packet *packet;
	bool valid = header_is_valid(data, size);

	if (valid) {
		key->outer_vni = header_vni(data);
		if (coalesce_append(&queue->coalesce, receiver->pool, key, data + VXLAN_HEADER_SIZE,
				    size - VXLAN_HEADER_SIZE))
			return;
	}
	packet = take_datagram(receiver, slot, data, size, whole_message);
	if (packet == NULL)
		return;
	packet->outer_source = key->outer_source;
	packet->outer_tos = key->outer_tos;
	batch_add(batch, packet);
	if (valid)
		coalesce_open(&queue->coalesce, key, packet);
}

/* Takes datagrams out of one received message until the batch is full. */
static void split_message(struct vxlan_queue *queue, struct receiver *receiver, struct batch *batch)
{
	struct mmsghdr *message = &receiver->messages[queue->message];
	struct receiver_slot *slot = &receiver->slots[queue->message];
	const struct sockaddr_in *from = (const struct sockaddr_in *)&slot->address;
	uint32_t size = message->msg_len, segment_size = size;
	struct coalesce_key key = {.outer_source = from->sin_addr.s_addr};
	/* Stays what it is until the message has been taken apart. */
	const uint8_t *data = slot->iov[1].iov_base;

	read_control(&message->msg_hdr, &segment_size, &key.outer_tos);
	if (size == 0) {
		receiver_drop(receiver, DROP_VXLAN_HEADER, 0);
		next_message(queue);
		return;
	}
	while (queue->offset < size && !batch_full(batch)) {
		uint32_t left = size - queue->offset;
		uint32_t here = left < segment_size ? left : segment_size;

		take(queue, receiver, slot, data + queue->offset, here, here == size, &key, batch);
		queue->offset += here;
	}
	if (queue->offset == size)
		next_message(queue);
}

/*
 * Few messages at a time when they are large, so that they are still in the cache when looked at,
 * and when many packets came of those before, so that other ports wait no longer for this one than
 * for any other.
 */
static unsigned messages_wanted(struct vxlan_queue *queue)
{
	unsigned wanted = receiver_wanted(queue->average, RECEIVER_BYTES_MAX);
	unsigned most = BATCH_SIZE;

	if (queue->message_count > 0)
		queue->packets_each = queue->packets / queue->message_count;
	if (queue->packets_each > 0)
		most = PACKETS_AT_ONCE / queue->packets_each;
	if (most < 1)
		return 1;
	return wanted < most ? wanted : most;
}

/* Returns whether there may be more. */
static bool receive_messages(struct vxlan_queue *queue, struct receiver *receiver, int fd)
{
	unsigned wanted = receiver_prepare_all(receiver, messages_wanted(queue));
	uint64_t bytes = 0;
	int received;

	for (unsigned i = 0; i < wanted; i++) {
		struct receiver_slot *slot = &receiver->slots[i];

		struct msghdr *message = &receiver->messages[i].msg_hdr;

		/* Into the buffer only: there is no virtio-net header, and often more than one
		 * frame. */
		message->msg_iov = &slot->iov[1];
		message->msg_iovlen = 1;
		message->msg_name = &slot->address;
		message->msg_namelen = sizeof(slot->address);
	}
	received = recvmmsg(fd, receiver->messages, wanted, MSG_DONTWAIT, NULL);
	/* An error is one of an earlier send (ICMP), and gone with this call. */
	queue->message = queue->packets = 0;
	queue->message_count = received < 0 ? 0 : (unsigned)received;
	for (unsigned i = 0; i < queue->message_count; i++)
		bytes += receiver->messages[i].msg_len;
	if (queue->message_count > 0)
		queue->average = (uint32_t)(bytes / queue->message_count);
	return queue->message_count == wanted;
}

int vxlan_receive(struct port *port, unsigned index, struct receiver *receiver, struct batch *batch)
{
	struct vxlan_queue *queue = &((struct vxlan_port *)port->private)->queues[index];
	unsigned before = batch->count;

	if (queue->message == queue->message_count)
		queue->more = receive_messages(queue, receiver, port->fds[index]);
	while (queue->message < queue->message_count && !batch_full(batch))
		split_message(queue, receiver, batch);
	coalesce_finish(&queue->coalesce);
	queue->packets += batch->count - before;
	if (queue->message < queue->message_count)
		return PORT_IN_HAND;
	return queue->more ? PORT_MORE : PORT_DRAINED;
}
