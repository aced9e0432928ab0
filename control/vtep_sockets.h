/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_VTEP_SOCKETS_H
#define VSWITCH_CONTROL_VTEP_SOCKETS_H

/*
 * The UDP sockets of the VTEP, in the control daemon's own network namespace:
 * one that receives, and several that send, whose source ports spread the
 * flows over the underlay (RFC 7348, section 4.2). Called by reconcile on the
 * control daemon's one thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/proto.h"

#define VTEP_SOCKETS_SENDERS 8u
#define VTEP_SOCKETS_COUNT   (1u + VTEP_SOCKETS_SENDERS)

struct vtep_sockets {
	struct proto_addr local;
	uint16_t udp_port; /* host order */
	uint32_t count;	   /* 0: none are open */
	int fds[VTEP_SOCKETS_COUNT];
};

/*
 * Opens the sockets. Returns 0, -EADDRNOTAVAIL while no interface has the address, -EADDRINUSE when
 * another VTEP listens there, -EAFNOSUPPORT for what is not IPv4, or another negative errno.
 */
int vtep_sockets_open(struct vtep_sockets *sockets, const struct proto_addr *local,
		      uint16_t udp_port);
/* Closes what is open. */
void vtep_sockets_close(struct vtep_sockets *sockets);
/*
 * Whether these descriptors, handed back by the datapath, are such sockets as vtep_sockets_open()
 * makes, in the network namespace of this cookie.
 */
bool vtep_sockets_match(const int *fds, uint32_t count, const struct proto_addr *local,
			uint16_t udp_port, uint64_t netns_cookie);

#endif
