/* SPDX-License-Identifier: Apache-2.0 */

/*
 * TAP ports: one read or write a packet, with a virtio-net header of 10 octets. Tags are inline.
 * Each descriptor is a queue of the same TAP.
 */

#include <errno.h>
#include <sys/uio.h>

#include "datapath/ports/gather.h"
#include "datapath/ports/port.h"
#include "datapath/ports/receiver.h"

static int tap_open(struct port *port)
{
	port_limit_features(port);
	return 0;
}

static int tap_receive(struct port *port, unsigned queue, struct receiver *receiver,
		       struct batch *batch)
{
	size_t bytes = 0, last = 0;

	while (!batch_full(batch) && bytes + last <= RECEIVER_BYTES_MAX) {
		struct packet *packet;
		ssize_t size;

		receiver_prepare(receiver, 0);
		size = readv(port->fds[queue], receiver->slots[0].iov, 2);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? PORT_DRAINED : -errno;
		/* No TAP ends like this: whatever it is, it would be ready for ever. */
		if (size == 0)
			return -ENODEV;
		last = (size_t)size;
		bytes += last;
		if (last < sizeof(struct virtio_net_hdr)) {
			receiver_drop(receiver, DROP_TOO_SHORT, 0);
			continue;
		}
		packet = receiver_take(receiver, 0, last - sizeof(struct virtio_net_hdr));
		if (packet != NULL)
			batch_add(batch, packet);
	}
	return PORT_MORE;
}

static void tap_transmit(struct port *port, const struct config *config, unsigned queue,
			 struct packet **packets, unsigned count, uint8_t *results)
{
	int fd = port->fds[queue % port->queue_count];

	(void)config;
	for (unsigned i = 0; i < count; i++) {
		struct iovec iov[GATHER_IOV_MAX];
		int iov_count = (int)gather_with_header(packets[i], iov);
		ssize_t sent;

		do {
			sent = writev(fd, iov, iov_count);
		} while (sent < 0 && errno == EINTR);
		results[i] = sent < 0 ? gather_drop_reason(errno) : DROP_NONE;
	}
}

const struct port_ops port_tap_ops = {
	.name = "tap",
	.features = PORT_CAN_ALL,
	.open = tap_open,
	.receive = tap_receive,
	.transmit = tap_transmit,
};
