/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The VTEP (RFC 7348) over kernel UDP sockets: the first descriptor receives, the others send, each
 * from a source port of its own, chosen by the inner flow (section 5: entropy for the underlay).
 * The kernel does outer headers, routes, neighbours and path MTU. Equal datagrams in a row leave as
 * one send with UDP_SEGMENT, and arrive as one with UDP_GRO.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "datapath/config.h"
#include "datapath/ecn.h"
#include "datapath/ports/gather.h"
#include "datapath/ports/port.h"
#include "datapath/ports/receiver.h"

#ifndef SOL_UDP
#define SOL_UDP 17
#endif

#define VXLAN_HEADER_SIZE 8u
#define VXLAN_FLAG_VNI	  0x08u
#define GROUP_SEGMENTS	  64u	 /* the kernel refuses more */
#define GROUP_SIZE_MAX	  65000u /* the kernel refuses more than fits an IP packet */
#define RECEIVE_MESSAGES  16u
#define HEAD_COPY	  256u /* of a datagram that is one of many: more than its headers take */

/* What was received and not taken apart yet. */
struct vxlan_port {
	unsigned message, message_count;
	uint32_t offset;	      /* in the message */
	struct packet_buffer *buffer; /* of the message, when slices refer to it; NULL before */
};

/* One send: packets of equal size to one peer. */
struct group {
	struct sockaddr_in to;
	_Alignas(struct cmsghdr)
		uint8_t control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t))];
	unsigned first, count; /* of the packets */
	uint32_t segment_size, size;
	uint32_t peer, vni;
	unsigned queue;
	uint8_t tos;
};

static int vxlan_open(struct port *port)
{
	struct vxlan_port *vxlan = calloc(1, sizeof(*vxlan));

	if (vxlan == NULL)
		return -ENOMEM;
	port->receive_count = 1;
	port->private = vxlan;
	return 0;
}

static void vxlan_close(struct port *port)
{
	free(port->private);
}

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
static enum drop_reason read_header(struct packet *packet, const uint8_t *header, uint32_t size)
{
	if (size < VXLAN_HEADER_SIZE || (header[0] & VXLAN_FLAG_VNI) == 0)
		return DROP_VXLAN_HEADER;
	packet->outer_vni =
		(uint32_t)header[4] << 16 | (uint32_t)header[5] << 8 | (uint32_t)header[6];
	return DROP_NONE;
}

/* Makes a packet of one datagram; what does not fit into the head stays in the buffer. */
static struct packet *take_datagram(struct receiver *receiver, struct packet_buffer *shared,
				    const uint8_t *data, uint32_t size)
{
	struct packet *packet = packet_new(receiver->pool);
	uint32_t skip = size < VXLAN_HEADER_SIZE ? size : VXLAN_HEADER_SIZE;
	uint32_t frame = size - skip;
	uint32_t head = frame;

	if (packet == NULL) {
		receiver_drop(receiver, DROP_NO_BUFFER, frame);
		return NULL;
	}
	packet->drop = (uint8_t)read_header(packet, data, size);
	if (shared != NULL && frame > HEAD_COPY) {
		head = HEAD_COPY;
		packet->slices[0] = (struct packet_slice){
			.owner_buffer = shared,
			.data = data + skip + head,
			.size = frame - head,
		};
		packet->slice_count = 1;
		shared->references++;
	}
	memcpy(packet->data, data + skip, head);
	packet->head_size = (uint16_t)head;
	packet->size = frame;
	packet->flags = PACKET_FROM_OVERLAY;
	return packet;
}

/* Gets the message's buffer for slices to refer to, if it needs one. Returns false when none is
 * left. */
static bool share_buffer(struct receiver *receiver, struct vxlan_port *vxlan, uint32_t size)
{
	struct receiver_slot *slot = &receiver->slots[vxlan->message];
	struct packet_buffer *fresh;

	if (vxlan->buffer != NULL || size <= slot->iov[1].iov_len)
		return true;
	fresh = packet_buffer_new(receiver->pool);
	if (fresh == NULL)
		return false;
	vxlan->buffer = slot->buffer;
	slot->buffer = fresh;
	/* Other ports receive into the slot as it is. */
	slot->iov[2].iov_base = fresh->data;
	return true;
}

static void next_message(struct receiver *receiver, struct vxlan_port *vxlan)
{
	if (vxlan->buffer != NULL)
		packet_buffer_release(receiver->pool, vxlan->buffer);
	vxlan->buffer = NULL;
	vxlan->offset = 0;
	vxlan->message++;
}

/* Counts each datagram of a message that cannot be kept. */
static void drop_message(struct receiver *receiver, enum drop_reason reason, uint32_t size,
			 uint32_t segment_size)
{
	do {
		uint32_t take = size < segment_size ? size : segment_size;

		receiver_drop(receiver, reason,
			      take <= VXLAN_HEADER_SIZE ? 0 : take - VXLAN_HEADER_SIZE);
		size -= take;
	} while (size > 0);
}

/* Takes datagrams out of one received message until the batch is full. */
static void split_message(struct receiver *receiver, struct vxlan_port *vxlan, struct batch *batch)
{
	struct mmsghdr *message = &receiver->messages[vxlan->message];
	struct receiver_slot *slot = &receiver->slots[vxlan->message];
	const struct sockaddr_in *from = (const struct sockaddr_in *)&slot->address;
	uint32_t size = message->msg_len, segment_size = size;
	const uint8_t *data;
	uint8_t tos = 0;

	read_control(&message->msg_hdr, &segment_size, &tos);
	if (size == 0 || (message->msg_hdr.msg_flags & MSG_TRUNC) != 0 ||
	    !share_buffer(receiver, vxlan, size)) {
		drop_message(receiver, size == 0 ? DROP_VXLAN_HEADER : DROP_NO_BUFFER, size,
			     segment_size);
		next_message(receiver, vxlan);
		return;
	}
	data = vxlan->buffer != NULL ? vxlan->buffer->data : slot->buffer->data;
	while (vxlan->offset < size && !batch_full(batch)) {
		uint32_t left = size - vxlan->offset;
		uint32_t take = left < segment_size ? left : segment_size;
		struct packet *packet =
			take_datagram(receiver, vxlan->buffer, data + vxlan->offset, take);

		vxlan->offset += take;
		if (packet == NULL)
			continue;
		packet->outer_source = from->sin_addr.s_addr;
		packet->outer_tos = tos;
		batch_add(batch, packet);
	}
	if (vxlan->offset == size)
		next_message(receiver, vxlan);
}

static int vxlan_receive(struct port *port, unsigned queue, struct receiver *receiver,
			 struct batch *batch)
{
	struct vxlan_port *vxlan = port->private;

	if (vxlan->message == vxlan->message_count) {
		int received;

		for (unsigned i = 0; i < RECEIVE_MESSAGES; i++) {
			struct receiver_slot *slot = &receiver->slots[i];

			slot->iov[2].iov_base = slot->buffer->data;
			receiver->messages[i].msg_hdr = (struct msghdr){
				.msg_name = &slot->address,
				.msg_namelen = sizeof(slot->address),
				.msg_iov = &slot->iov[2],
				.msg_iovlen = 1,
				.msg_control = slot->control,
				.msg_controllen = sizeof(slot->control),
			};
		}
		received = recvmmsg(port->fds[queue], receiver->messages, RECEIVE_MESSAGES,
				    MSG_DONTWAIT, NULL);
		/* An error is one of an earlier send (ICMP), and gone with this call. */
		vxlan->message = 0;
		vxlan->message_count = received < 0 ? 0 : (unsigned)received;
	}
	while (vxlan->message < vxlan->message_count && !batch_full(batch))
		split_message(receiver, vxlan, batch);
	return vxlan->message < vxlan->message_count ? 1 : 0;
}

static void push_header(struct packet *packet, uint32_t vni)
{
	uint8_t *header = packet->data - VXLAN_HEADER_SIZE;

	memset(header, 0, VXLAN_HEADER_SIZE);
	header[0] = VXLAN_FLAG_VNI;
	header[4] = (uint8_t)(vni >> 16);
	header[5] = (uint8_t)(vni >> 8);
	header[6] = (uint8_t)vni;
	packet->data = header;
	packet->head_size = (uint16_t)(packet->head_size + VXLAN_HEADER_SIZE);
	packet->size += VXLAN_HEADER_SIZE;
}

/* Whether the packet can be the group's next: all but the last are of one size. */
static bool fits_group(const struct group *group, const struct packet *packet, unsigned queue,
		       uint32_t vni, uint8_t tos)
{
	return group->peer == packet->peer_out && group->vni == vni && group->queue == queue &&
	       group->tos == tos && group->count < GROUP_SEGMENTS &&
	       packet->size <= group->segment_size &&
	       group->size == group->count * group->segment_size &&
	       group->size + packet->size <= GROUP_SIZE_MAX;
}

static unsigned make_groups(struct port *port, const struct config *config, struct packet **packets,
			    unsigned count, struct group *groups)
{
	unsigned group_count = 0;

	for (unsigned i = 0; i < count; i++) {
		struct packet *packet = packets[i];
		const struct config_peer *peer = &config->peers[packet->peer_out];
		uint32_t vni = config->segments[packet->segment].vni;
		unsigned queue = 1 + packet->flow_hash % (port->queue_count - 1);
		uint8_t tos = ecn_encapsulate(packet);
		struct group *group = &groups[group_count];

		push_header(packet, vni);
		if (group_count > 0 && fits_group(group - 1, packet, queue, vni, tos)) {
			group[-1].count++;
			group[-1].size += packet->size;
			continue;
		}
		*group = (struct group){
			.first = i,
			.count = 1,
			.segment_size = packet->size,
			.size = packet->size,
			.peer = packet->peer_out,
			.vni = vni,
			.queue = queue,
			.tos = tos,
		};
		group->to.sin_family = AF_INET;
		group->to.sin_port = htons((uint16_t)config->vtep_udp_port);
		memcpy(&group->to.sin_addr, peer->addr.bytes, sizeof(group->to.sin_addr));
		group_count++;
	}
	return group_count;
}

static void put_control(struct msghdr *message, int level, int type, const void *value, size_t size)
{
	uint8_t *at = (uint8_t *)message->msg_control + message->msg_controllen;
	struct cmsghdr header = {
		.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};

	memset(at, 0, CMSG_SPACE(size));
	memcpy(at, &header, sizeof(header));
	memcpy(at + CMSG_LEN(0), value, size);
	message->msg_controllen += CMSG_SPACE(size);
}

/* Sends the packets of a group from `first` on, as one message. Returns 0 or a negative errno. */
static int send_group(int fd, struct group *group, struct packet **packets, unsigned first,
		      unsigned count)
{
	struct iovec iov[GROUP_SEGMENTS * (1 + PACKET_SLICES)];
	struct msghdr message = {
		.msg_name = &group->to,
		.msg_namelen = sizeof(group->to),
		.msg_iov = iov,
		.msg_control = group->control,
	};

	for (unsigned i = 0; i < count; i++)
		message.msg_iovlen += gather_packet(packets[first + i], iov + message.msg_iovlen);
	if (group->tos != 0) {
		int tos = group->tos;

		put_control(&message, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	}
	if (count > 1) {
		uint16_t size = (uint16_t)group->segment_size;

		put_control(&message, SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
	}
	if (message.msg_controllen == 0)
		message.msg_control = NULL;
	/* An ICMP error for an earlier datagram fails a send that has nothing to do with it: once
	 * more. */
	for (int attempt = 0;; attempt++) {
		if (sendmsg(fd, &message, MSG_DONTWAIT) >= 0)
			return 0;
		if (attempt > 0 || errno == EAGAIN || errno == EMSGSIZE)
			return -errno;
	}
}

static void vxlan_transmit(struct port *port, const struct config *config, unsigned queue,
			   struct packet **packets, unsigned count, uint8_t *results)
{
	struct group groups[BATCH_SIZE];
	unsigned group_count = make_groups(port, config, packets, count, groups);

	(void)queue;
	for (unsigned g = 0; g < group_count; g++) {
		struct group *group = &groups[g];
		int fd = port->fds[group->queue];
		int error = send_group(fd, group, packets, group->first, group->count);
		bool apart = error < 0 && error != -EAGAIN && group->count > 1;

		/* Where the kernel or a device refuses the segments together, they go one by one.
		 */
		for (unsigned i = 0; i < group->count; i++) {
			if (apart)
				error = send_group(fd, group, packets, group->first + i, 1);
			results[group->first + i] =
				error < 0 ? (uint8_t)gather_drop_reason(-error) : DROP_NONE;
		}
	}
}

const struct port_ops port_vxlan_ops = {
	.name = "vxlan",
	.features = 0,
	.open = vxlan_open,
	.close = vxlan_close,
	.receive = vxlan_receive,
	.transmit = vxlan_transmit,
};
