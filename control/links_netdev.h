/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_LINKS_NETDEV_H
#define VSWITCH_CONTROL_LINKS_NETDEV_H

/*
 * Interfaces that somebody else made and the switch adopts where they are:
 * whether one may be, its descriptor, what is kept out of it (keep_out.h) and
 * put back. Called by links and reconcile on the control daemon's one thread.
 */

#include "control/links.h"

/* What an adopted interface is now. */
struct links_seen {
	uint32_t ifindex;
	uint32_t mtu;
	struct addr_mac mac;
	bool up, carrier;
};

/*
 * Whether a port may have the interface, as far as it is there. Returns 0; -EINVAL for what can
 * never be a port; -EBUSY while the host, or another switch, uses it; -EADDRNOTAVAIL when it has
 * another MAC than the port says; -ENODEV, or an error of namespaces_open(), when it is not there.
 * *reason then is the end of a sentence, "interface vm1 is ...".
 */
int links_netdev_check(struct links *links, const struct links_port *port,
		       char reason[MODEL_TEXT_SIZE]);
/*
 * Opens the interface's descriptors, keeps the host out unless it is shared, and brings up what was
 * down. Returns 0, or as links_netdev_check() does.
 */
int links_netdev_open(struct links *links, const struct links_port *port,
		      struct links_queues *queues, char reason[MODEL_TEXT_SIZE]);
/* As links_grow(). */
int links_netdev_grow(struct links *links, const struct links_port *port,
		      struct links_queues *queues);
/* Keeps the host out, where that is not so already. Returns 0 or a negative errno. */
int links_netdev_keep_out(struct links *links, const struct links_port *port);
/*
 * Looks at the interface of open descriptors. Returns 0 when it is where the port says, else as
 * links_netdev_check() does.
 */
int links_netdev_look(struct links *links, const struct links_port *port,
		      const struct links_queues *queues, struct links_seen *seen,
		      char reason[MODEL_TEXT_SIZE]);
/* Puts back what was changed on the descriptors' interface, or (none) on what has the port's place.
 */
void links_netdev_leave(struct links *links, const struct links_port *port,
			const struct links_queues *queues);

/* The namespace of a descriptor, which the caller closes, or a negative errno. */
int links_netdev_place(int fd);

/* Puts back what was changed on interfaces that no port has, in this namespace. */
void links_netdev_sweep(struct links *links, int netns,
			bool (*keep)(void *context, int netns, const char *ifname), void *context);

#endif
