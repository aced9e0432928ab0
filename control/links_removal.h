/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_LINKS_REMOVAL_H
#define VSWITCH_CONTROL_LINKS_REMOVAL_H

/*
 * Interfaces of ports that are removed together. To delete one takes the
 * kernel some 20 ms, to delete a whole group of a namespace hardly longer: so
 * what goes is put into a group, whose number is drawn for the occasion, and
 * each namespace is then asked once, by a thread that may wait. Called by
 * reconcile on the control daemon's event loop.
 */

#include "control/links.h"

struct nl_sock;
struct reaper;

/* A namespace and a socket in it. */
struct links_removal_place {
	uint64_t device, inode;
	struct nl_sock *socket;
};

/* Zero-initialised it is empty. */
struct links_removal {
	uint32_t group;
	uint32_t count;
	struct links_removal_place *places;
};

/*
 * Adds a port's interface, found as by links_remove(). Returns 0, also when there is none any more,
 * or a negative errno: remove it by links_remove().
 */
int links_removal_add(struct links_removal *removal, struct links *links,
		      const struct links_port *port, const struct links_queues *queues);
/* Has what was added deleted; the removal is empty again. */
void links_removal_start(struct links_removal *removal, struct reaper *reaper);

#endif
