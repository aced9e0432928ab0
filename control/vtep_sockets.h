/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_VTEP_SOCKETS_H
#define VSWITCH_CONTROL_VTEP_SOCKETS_H

/*
 * The UDP sockets of the VTEP, in the control daemon's own network namespace:
 * those that receive, one a worker, and several that send, whose source ports
 * spread the flows over the underlay (RFC 7348, section 4.2), and over the
 * sockets that receive at the other end: the kernel gives everything with the
 * same addresses and ports to the same one (SO_REUSEPORT). Called by reconcile on the
 * control daemon's one thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/proto.h"

#define VTEP_SOCKETS_SENDERS 8u
#define VTEP_SOCKETS_MAX     (PROTO_QUEUES_MAX + VTEP_SOCKETS_SENDERS)

struct vtep_sockets {
	struct proto_addr local;
	uint16_t udp_port;	/* host order */
	uint32_t receive_count; /* the first of fds */
	uint32_t count;		/* 0: none are open */
	int fds[VTEP_SOCKETS_MAX];
};

/*
 * Opens the sockets, `receive_count` (1 to PROTO_QUEUES_MAX) that receive. Returns 0,
 * -EADDRNOTAVAIL while no interface has the address, -EADDRINUSE when another VTEP listens there,
 * -EAFNOSUPPORT for what is not IPv4, or another negative errno.
 */
int vtep_sockets_open(struct vtep_sockets *sockets, const struct proto_addr *local,
		      uint16_t udp_port, uint32_t receive_count);
/* Opens more that receive, while traffic goes on. Returns 0 or a negative errno; what is open stays
 * so. */
int vtep_sockets_grow(struct vtep_sockets *sockets, uint32_t receive_count);
/* Takes those that receive and are too much out of the set, into surplus. Returns how many. */
uint32_t vtep_sockets_shrink(struct vtep_sockets *sockets, uint32_t receive_count,
			     int surplus[PROTO_QUEUES_MAX]);
/* Closes what is open. */
void vtep_sockets_close(struct vtep_sockets *sockets);
/*
 * How many of these descriptors, handed back by the datapath, receive, if they are such sockets as
 * vtep_sockets_open() makes, in the network namespace of this cookie; 0: they are not.
 */
uint32_t vtep_sockets_match(const int *fds, uint32_t count, const struct proto_addr *local,
			    uint16_t udp_port, uint64_t netns_cookie);

#endif
