/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_VHOST_H
#define VSWITCH_DATAPATH_PORTS_VHOST_H

/*
 * What the parts of vhost-user ports share: vhost.c makes the port and follows what the guest does
 * with its device, vhost_rings.c moves packets.
 */

#include "datapath/ports/port.h"
#include "datapath/ports/vhost_relay.h"

#define VHOST_PAIRS_MAX 128u /* of queues; what the library takes of a frontend */
#define VHOST_RINGS_MAX (2 * VHOST_PAIRS_MAX)

/* Rings of a queue pair, from the guest's point of view: the even ones receive, the odd ones send.
 */
#define VHOST_RING_TO_GUEST(pair)   (2 * (pair))
#define VHOST_RING_FROM_GUEST(pair) (2 * (pair) + 1)

/* A queue of the port: one worker's share of the rings that the guest sends by. */
struct vhost_queue {
	int wait_fd; /* an epoll instance: the guest's kicks, and wake_fd */
	int wake_fd; /* an eventfd */
	bool told;   /* the worker's: kicks are asked for */
	bool fresh;  /* atomic: a ring came into use, whose guest was not asked yet */
};

struct vhost_port {
	struct port *port;
	char path[108]; /* by which the library knows it */
	bool registered;
	struct vhost_relay *relay;
	/* Written by the library's thread, read by workers. */
	int device;	       /* the library's number; -1: the guest has no driver */
	uint32_t pairs_in_use; /* by the guest's driver: the first of them */
	bool enabled[VHOST_RINGS_MAX];
	/* The library's thread only. */
	int kick_fds[VHOST_RINGS_MAX]; /* copies, in a queue's epoll instance; -1: none */
	struct vhost_queue queues[PORT_QUEUES_MAX];
};

/* Makes a queue's descriptor ready. */
void vhost_wake(const struct vhost_queue *queue);

int vhost_receive(struct port *port, unsigned queue, struct receiver *receiver,
		  struct batch *batch);
void vhost_rest(struct port *port, unsigned queue);
void vhost_transmit(struct port *port, const struct config *config, unsigned queue,
		    struct packet **packets, unsigned count, uint8_t *results);

#endif
