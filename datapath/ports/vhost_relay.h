/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_VHOST_RELAY_H
#define VSWITCH_DATAPATH_PORTS_VHOST_RELAY_H

/*
 * Passes vhost-user messages between a frontend, whose connection came as a descriptor, and the
 * library that serves it, which knows only sockets that it connected itself. Messages are passed on
 * whole, so that a frontend that stops in the middle of one cannot stop the thread that serves all
 * others. Looked into are only those that could harm: memory that is not there, and descriptors
 * that block.
 *
 * Only control goes this way, none of the packets. Main thread only.
 */

#include <stdbool.h>

#include "common/proto.h"

struct vhost_relay;

/*
 * Begins to relay. outer: the frontend's connection, which stays the caller's; inner: the library's
 * other end, taken over also on failure. Returns 0 or a negative errno.
 */
int vhost_relay_new(struct vhost_relay **relay, const struct proto_ref *port, int outer, int inner);
/* Ends it. NULL is accepted. */
void vhost_relay_free(struct vhost_relay *relay);

#ifdef HAVE_DPDK
/* What becomes readable when a relay has something to do; -1 before the first relay. */
int vhost_relay_fd(void);
/*
 * Passes on what there is, a bounded number of messages. Returns whether a connection ended
 * meanwhile: then *port is whose, and *error a positive errno. To be called again then.
 */
bool vhost_relay_serve(struct proto_ref *port, int *error);
#else
/* Without the library there is nothing to relay. */
static inline int vhost_relay_fd(void)
{
	return -1;
}

static inline bool vhost_relay_serve(struct proto_ref *port, int *error)
{
	(void)port;
	(void)error;
	return false;
}
#endif

#endif
