/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_LINK_WATCH_H
#define VSWITCH_CONTROL_LINK_WATCH_H

/*
 * Notices when our end of a veth goes, because its other end went with its
 * namespace: the datapath may miss it, since a failing send takes the error
 * that a receive waits for, and it may not be there. Made by reconcile once
 * there is a private namespace; the control daemon's one thread.
 */

#include "common/proto.h"

struct event_base;
struct link_watch;
struct namespaces;

/*
 * Calls gone(context, index) from the event loop for the port whose end went; PROTO_NO_INDEX when
 * messages were lost and any may have gone. Returns 0 or a negative errno.
 */
int link_watch_new(struct link_watch **watch, struct event_base *base,
		   const struct namespaces *namespaces, void (*gone)(void *, uint32_t index),
		   void *context);
void link_watch_free(struct link_watch *watch);

#endif
