/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sending into the overlay. A send is one datagram, or many of one size to one peer, which the
 * kernel takes apart (UDP_SEGMENT): plain frames of one size in a row, or the frames of a
 * super-packet, which are written one behind the other first. Sends are collected, and each socket
 * gets its own in one system call.
 */

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "datapath/config.h"
#include "datapath/ecn.h"
#include "datapath/offload/checksum.h"
#include "datapath/offload/segment.h"
#include "datapath/ports/gather.h"
#include "datapath/ports/vxlan.h"

#define CONTROL_SIZE (CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t)))

/* One send: frames of equal size (the last may be shorter) to one peer. */
struct outgoing {
	struct sockaddr_in to;
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE];
	unsigned first, count;	   /* of the packets: one that is a super-packet, or plain ones */
	uint32_t frames;	   /* datagrams */
	uint32_t frame_size, size; /* octets with VXLAN headers */
	uint32_t peer, vni;
	unsigned socket;
	uint8_t tos;
	const uint8_t *written; /* the frames of a super-packet; NULL: packets as they are */
	unsigned iov_first, iov_count;
};

/* What one call of transmit() sends. */
struct outbox {
	struct port *port;
	struct packet **packets;
	uint8_t *results;
	uint8_t *scratch;
	uint32_t scratch_used;
	unsigned count, iov_count;
	struct outgoing items[BATCH_SIZE];
	struct iovec iov[BATCH_SIZE * GATHER_IOV_MAX];
};

static void write_header(uint8_t *header, uint32_t vni)
{
	memset(header, 0, VXLAN_HEADER_SIZE);
	header[0] = VXLAN_FLAG_VNI;
	header[4] = (uint8_t)(vni >> 16);
	header[5] = (uint8_t)(vni >> 8);
	header[6] = (uint8_t)vni;
}

static void push_header(struct packet *packet, uint32_t vni)
{
	packet->data -= VXLAN_HEADER_SIZE;
	packet->head_size = (uint16_t)(packet->head_size + VXLAN_HEADER_SIZE);
	packet->size += VXLAN_HEADER_SIZE;
	write_header(packet->data, vni);
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

/* Makes the message of a send of `frames` datagrams. */
static void make_message(struct outgoing *item, struct iovec *iov, size_t iov_count,
			 uint32_t frames, struct msghdr *message)
{
	*message = (struct msghdr){
		.msg_name = &item->to,
		.msg_namelen = sizeof(item->to),
		.msg_iov = iov,
		.msg_iovlen = iov_count,
		.msg_control = item->control,
	};
	if (item->tos != 0) {
		int tos = item->tos;

		put_control(message, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	}
	if (frames > 1) {
		uint16_t size = (uint16_t)item->frame_size;

		put_control(message, SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
	}
	if (message->msg_controllen == 0)
		message->msg_control = NULL;
}

/* Sends one datagram of several that do not go together. Returns 0 or a negative errno. */
static int send_frame(struct outbox *box, struct outgoing *item, uint32_t frame)
{
	struct iovec iov[GATHER_IOV_MAX];
	struct msghdr message;
	size_t iov_count = 1;

	if (item->written != NULL) {
		uint32_t offset = frame * item->frame_size;
		uint32_t left = item->size - offset;

		iov[0] = (struct iovec){(void *)(item->written + offset),
					left < item->frame_size ? left : item->frame_size};
	} else {
		iov_count = gather_packet(box->packets[item->first + frame], iov);
	}
	make_message(item, iov, iov_count, 1, &message);
	return sendmsg(box->port->fds[item->socket], &message, MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void set_results(struct outbox *box, const struct outgoing *item, uint8_t reason)
{
	memset(box->results + item->first, reason, item->count);
}

/* Where the kernel or a device refuses the datagrams together, they go one by one. */
static void send_apart(struct outbox *box, struct outgoing *item)
{
	for (uint32_t i = 0; i < item->frames; i++) {
		int error = send_frame(box, item, i);
		uint8_t reason = error < 0 ? (uint8_t)gather_drop_reason(-error) : DROP_NONE;

		if (item->written == NULL) {
			box->results[item->first + i] = reason;
		} else if (error < 0) {
			/* What follows the first frame that is lost is not tried. */
			box->packets[item->first]->lost_frames = (uint16_t)(item->frames - i);
			box->results[item->first] = reason;
			return;
		}
	}
}

/* Deals with a send that failed. */
static void send_again(struct outbox *box, struct outgoing *item, struct msghdr *message, int error)
{
	/* An ICMP error for an earlier datagram fails a send that has nothing to do with it. */
	if (error != EAGAIN && error != EMSGSIZE) {
		if (sendmsg(box->port->fds[item->socket], message, MSG_DONTWAIT) >= 0)
			return;
		error = errno;
	}
	if (error != EAGAIN && item->frames > 1)
		send_apart(box, item);
	else
		set_results(box, item, (uint8_t)gather_drop_reason(error));
}

/* Sends what one socket has to. */
static void send_from(struct outbox *box, unsigned socket)
{
	struct mmsghdr messages[BATCH_SIZE];
	struct outgoing *items[BATCH_SIZE];
	unsigned count = 0, done = 0;

	for (unsigned i = 0; i < box->count; i++) {
		struct outgoing *item = &box->items[i];

		if (item->socket != socket)
			continue;
		make_message(item, box->iov + item->iov_first, item->iov_count, item->frames,
			     &messages[count].msg_hdr);
		set_results(box, item, DROP_NONE);
		items[count++] = item;
	}
	while (done < count) {
		int sent = sendmmsg(box->port->fds[socket], messages + done, count - done,
				    MSG_DONTWAIT);

		/* The error belongs to the first that was not sent; the others get their turn. */
		if (sent < 0) {
			send_again(box, items[done], &messages[done].msg_hdr, errno);
			sent = 1;
		}
		done += (unsigned)sent;
	}
}

static void flush(struct outbox *box)
{
	uint32_t sockets = 0;

	static_assert(PORT_FDS_MAX <= 32, "a bit for each socket");
	for (unsigned i = 0; i < box->count; i++)
		sockets |= 1u << box->items[i].socket;
	for (unsigned i = 0; sockets != 0; i++, sockets >>= 1) {
		if ((sockets & 1) != 0)
			send_from(box, i);
	}
	box->count = box->iov_count = box->scratch_used = 0;
}

/* Whether the packet can be the send's next datagram: all but the last are of one size. */
static bool fits(const struct outgoing *item, const struct packet *packet,
		 const struct outgoing *wanted)
{
	return item->written == NULL && item->peer == wanted->peer && item->vni == wanted->vni &&
	       item->socket == wanted->socket && item->tos == wanted->tos &&
	       item->frames < VXLAN_SEND_FRAMES && packet->size <= item->frame_size &&
	       item->size == item->frames * item->frame_size &&
	       item->size + packet->size <= VXLAN_SEND_SIZE;
}

static void add_plain(struct outbox *box, struct packet *packet, const struct outgoing *wanted)
{
	struct outgoing *item = &box->items[box->count];
	unsigned iov_count;

	checksum_complete(packet);
	push_header(packet, wanted->vni);
	iov_count = gather_packet(packet, box->iov + box->iov_count);
	if (box->count > 0 && fits(item - 1, packet, wanted)) {
		item--;
	} else {
		*item = *wanted;
		item->frame_size = packet->size;
		item->iov_first = box->iov_count;
		box->count++;
	}
	item->count++;
	item->frames++;
	item->size += packet->size;
	item->iov_count += iov_count;
	box->iov_count += iov_count;
}

static void add_super(struct outbox *box, struct packet *packet, const struct outgoing *wanted)
{
	uint32_t frame_size = VXLAN_HEADER_SIZE + packet->payload_offset + packet->offload.gso_size;
	struct outgoing *item;
	uint8_t *frames;
	uint8_t header[VXLAN_HEADER_SIZE];

	if (box->scratch_used + packet->frame_count * frame_size > VXLAN_SCRATCH_SIZE)
		flush(box);
	frames = box->scratch + box->scratch_used;
	write_header(header, wanted->vni);
	item = &box->items[box->count++];
	*item = *wanted;
	item->count = 1;
	item->frames = packet->frame_count;
	item->frame_size = frame_size;
	item->size = segment_write(packet, header, sizeof(header), frames);
	item->written = frames;
	item->iov_first = box->iov_count;
	item->iov_count = 1;
	box->iov[box->iov_count++] = (struct iovec){frames, item->size};
	box->scratch_used += item->size;
}

void vxlan_transmit(struct port *port, const struct config *config, unsigned queue,
		    struct packet **packets, unsigned count, uint8_t *results)
{
	struct vxlan_port *vxlan = port->private;
	unsigned senders = port->queue_count - port->receive_count;
	struct outbox box; /* too large to be cleared as a whole */

	box.port = port;
	box.packets = packets;
	box.results = results;
	box.scratch = vxlan->scratch[queue];
	box.scratch_used = 0;
	box.count = box.iov_count = 0;
	for (unsigned i = 0; i < count; i++) {
		struct packet *packet = packets[i];
		const struct config_peer *peer = &config->peers[packet->peer_out];
		struct outgoing wanted = {
			.to = {.sin_family = AF_INET,
			       .sin_port = htons((uint16_t)config->vtep_udp_port)},
			.first = i,
			.peer = packet->peer_out,
			.vni = config->segments[packet->segment].vni,
			.socket = port->receive_count + packet->flow_hash % senders,
			.tos = ecn_encapsulate(packet),
		};

		memcpy(&wanted.to.sin_addr, peer->addr.bytes, sizeof(wanted.to.sin_addr));
		if (packet->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)
			add_super(&box, packet, &wanted);
		else
			add_plain(&box, packet, &wanted);
	}
	flush(&box);
}
