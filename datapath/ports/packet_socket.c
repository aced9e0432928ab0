/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports on a packet socket with PACKET_VNET_HDR, as veths use it: recvmmsg and sendmmsg. The kernel
 * takes the outermost VLAN tag off a received frame and hands it over in PACKET_AUXDATA, with
 * offsets relative to the stripped frame; it is put back here, so that all ports look alike.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "datapath/ports/gather.h"
#include "datapath/ports/port.h"
#include "datapath/ports/receiver.h"
#include "datapath/vlan.h"

struct packet_socket {
	uint32_t average[PORT_QUEUES_MAX]; /* octets of a message, of a queue's last ones */
};

static int packet_socket_open(struct port *port)
{
	port_limit_features(port);
	port->private = calloc(1, sizeof(struct packet_socket));
	return port->private == NULL ? -ENOMEM : 0;
}

static void packet_socket_close(struct port *port)
{
	free(port->private);
}

static void restore_tag(struct packet *packet, struct msghdr *message)
{
	for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control != NULL;
	     control = CMSG_NXTHDR(message, control)) {
		struct tpacket_auxdata aux;

		if (control->cmsg_level != SOL_PACKET || control->cmsg_type != PACKET_AUXDATA ||
		    control->cmsg_len < CMSG_LEN(sizeof(aux)))
			continue;
		memcpy(&aux, CMSG_DATA(control), sizeof(aux));
		if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0)
			continue;
		vlan_push(packet,
			  (aux.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? aux.tp_vlan_tpid
									   : VLAN_TPID_8021Q,
			  aux.tp_vlan_tci);
	}
}

static void take_message(struct receiver *receiver, unsigned i, struct batch *batch)
{
	struct mmsghdr *message = &receiver->messages[i];
	size_t size = message->msg_len;
	struct packet *packet;

	if ((message->msg_hdr.msg_flags & MSG_TRUNC) != 0) {
		receiver_drop(receiver, DROP_TOO_LONG, size);
	} else if (size < sizeof(struct virtio_net_hdr)) {
		receiver_drop(receiver, DROP_TOO_SHORT, 0);
	} else {
		packet = receiver_take(receiver, i, size - sizeof(struct virtio_net_hdr));
		if (packet != NULL) {
			restore_tag(packet, &message->msg_hdr);
			batch_add(batch, packet);
		}
	}
}

static int packet_socket_receive(struct port *port, unsigned queue, struct receiver *receiver,
				 struct batch *batch)
{
	uint32_t *average = &((struct packet_socket *)port->private)->average[queue];
	unsigned room = receiver_wanted(*average, RECEIVER_BYTES_MAX);
	uint64_t octets = 0;
	int received;

	if (room > BATCH_SIZE - batch->count)
		room = BATCH_SIZE - batch->count;
	room = receiver_prepare_all(receiver, room);

	do {
		received = recvmmsg(port->fds[queue], receiver->messages, room, MSG_DONTWAIT, NULL);
	} while (received < 0 && errno == EINTR);
	if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return PORT_DRAINED;
	/*
	 * ENETDOWN is reported once when the interface goes down, also for the last time: which of
	 * the two it was cannot be seen from here. The control daemon looks, and gives it back if
	 * it lives.
	 */
	if (received < 0)
		return errno == ENETDOWN ? -ENETDOWN : PORT_MORE;
	for (int i = 0; i < received; i++) {
		octets += receiver->messages[i].msg_len;
		take_message(receiver, (unsigned)i, batch);
	}
	if (received > 0)
		*average = (uint32_t)(octets / (unsigned)received);
	return (unsigned)received < room ? PORT_DRAINED : PORT_MORE;
}

static void packet_socket_transmit(struct port *port, const struct config *config, unsigned queue,
				   struct packet **packets, unsigned count, uint8_t *results)
{
	int fd = port->fds[queue % port->queue_count];
	struct mmsghdr messages[BATCH_SIZE];
	struct iovec iov[BATCH_SIZE][GATHER_IOV_MAX];
	unsigned done = 0;

	(void)config;
	for (unsigned i = 0; i < count; i++) {
		messages[i].msg_hdr = (struct msghdr){
			.msg_iov = iov[i],
			.msg_iovlen = gather_with_header(packets[i], iov[i]),
		};
	}
	while (done < count) {
		int sent = sendmmsg(fd, messages + done, count - done, MSG_DONTWAIT);

		for (int i = 0; i < sent; i++)
			results[done++] = DROP_NONE;
		/* The error belongs to the first that was not sent; the others get their turn. */
		if (sent < 0 && errno != EINTR)
			results[done++] = (uint8_t)gather_drop_reason(errno);
	}
}

const struct port_ops port_packet_socket_ops = {
	.name = "packet",
	.features = PORT_CAN_ALL,
	.open = packet_socket_open,
	.close = packet_socket_close,
	.receive = packet_socket_receive,
	.transmit = packet_socket_transmit,
};
