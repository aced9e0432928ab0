/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The VTEP (RFC 7348) over kernel UDP sockets: the first receive_count descriptors receive, a
 * worker each, the others send, each from a source port of its own, chosen by the inner flow
 * (section 5: entropy for the underlay). The kernel does outer headers, routes, neighbours and path
 * MTU. Equal datagrams in a row leave as one send with UDP_SEGMENT, and arrive as one with UDP_GRO.
 */

#include "datapath/ports/vxlan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A kernel before 4.18 cuts nothing for us: then super-packets are cut before they get here. */
static bool kernel_segments(int fd)
{
	int size = 0;

	return setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) == 0;
}

static int vxlan_open(struct port *port)
{
	struct vxlan_port *vxlan;

	if (port->receive_count < 1 || port->receive_count > PORT_QUEUES_MAX ||
	    port->receive_count >= port->queue_count)
		return -EINVAL;
	vxlan = aligned_alloc(PACKET_CACHE_LINE, sizeof(*vxlan));
	if (vxlan == NULL)
		return -ENOMEM;
	/* Only what is used of the scratch space takes memory. */
	memset(vxlan->queues, 0, sizeof(vxlan->queues));
	port->private = vxlan;
	if (!kernel_segments(port->fds[port->receive_count]))
		port->features = 0;
	return 0;
}

static void vxlan_close(struct port *port)
{
	free(port->private);
}

static uint32_t vxlan_super_frames(const struct packet *packet)
{
	uint32_t size = VXLAN_HEADER_SIZE + packet->payload_offset + packet->offload.gso_size;
	uint32_t frames = VXLAN_SEND_SIZE / size;

	if (frames < 1)
		return 1;
	return frames < VXLAN_SEND_FRAMES ? frames : VXLAN_SEND_FRAMES;
}

const struct port_ops port_vxlan_ops = {
	.name = "vxlan",
	.features = PORT_CAN_ALL, /* transmit() finishes what the underlay does not */
	.super_frames = vxlan_super_frames,
	.open = vxlan_open,
	.close = vxlan_close,
	.receive = vxlan_receive,
	.transmit = vxlan_transmit,
};
