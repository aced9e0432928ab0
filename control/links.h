/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_LINKS_H
#define VSWITCH_CONTROL_LINKS_H

/*
 * The interfaces that the switch makes: TAPs and veth pairs, with the
 * workload's end in its namespace under its name, and the descriptors that the
 * datapath gets, one a queue. Every interface carries an alias "vswitch:INSTANCE:INDEX.
 * INCARNATION", by which a returning daemon knows its own; it touches no
 * other. Called by reconcile on the control daemon's one thread; every call
 * blocks for some netlink exchanges.
 *
 * A TAP and our end of a veth are made in the private namespace. The
 * workload's end of a veth is made where it belongs; a TAP is moved there,
 * since a TAP's descriptor keeps the namespace alive that /dev/net/tun was
 * opened in, and a workload's namespace shall be able to die. Only a TAP that
 * outlived both daemons has to be opened from inside its namespace.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/proto.h"
#include "control/model.h"

struct links;
struct namespaces;

#define LINKS_GSO_FRAMES_MAX 65535u /* no limit: what the kernel begins with */

/* A port's interface: what it is, where it is, how it is set up. Strings and addresses are
 * borrowed. */
struct links_port {
	struct proto_ref ref;
	enum model_port_type type; /* TAP, veth, or netdev (links_netdev.h) */
	const char *netns;	   /* as in namespaces_open() */
	const char *ifname;
	struct addr_mac mac;
	uint32_t mtu;	     /* octets of a layer-3 packet */
	uint32_t gso_frames; /* that its kernel may put into a super-packet; 0: as it is */
	const struct addr_prefix *ips;
	uint32_t ip_count;
	struct proto_addr gateway; /* family 0: none */
	struct addr_mac match_mac; /* of an adopted interface */
	bool match_mac_given;
	bool shared;	      /* with the host */
	uint32_t queue_count; /* that it shall have, 1 to PROTO_QUEUES_MAX */
};

/*
 * The descriptors of a port's interface, one a queue, the caller's; count 0: none are open. The
 * kernel spreads flows over the queues, and keeps each flow in one.
 */
struct links_queues {
	uint32_t count;
	int fds[PROTO_QUEUES_MAX];
};
/* Closes what is open. */
void links_queues_close(struct links_queues *queues);

/* `instance` tells this switch's interfaces from another's; the namespaces must outlive it. */
int links_new(struct links **links, const struct namespaces *namespaces, uint64_t instance);
void links_free(struct links *links);

/*
 * Opens the queues of a TAP or veth port, as many as it shall have (one where the interface has no
 * more): attaches to the interface if it is there and is this port's, else makes it. Its interface
 * is not configured yet. Returns 0,
 * -ENOENT when the namespace is not there, -EMEDIUMTYPE for what is none, -EEXIST when the name is
 * taken there, -EBUSY when somebody else still holds the TAP, or another negative errno.
 */
int links_open(struct links *links, const struct links_port *port, struct links_queues *queues);

/*
 * Opens the queues that are missing of what is open already, while traffic goes on. What is too
 * much is for the caller to close, from the end: the kernel feeds a queue as long as anybody holds
 * it. Returns 0, -EOPNOTSUPP when the interface has one queue only, or another negative errno; what
 * was open stays so.
 */
int links_grow(struct links *links, const struct links_port *port, struct links_queues *queues);

/*
 * Sets MAC, MTU, addresses and gateway up as the port says, and brings the interface up. What
 * `former` had and the port has not is removed; NULL: nothing is. Returns 0, -ENODEV when the
 * interface is not where it was made, or the first negative errno of what failed; all is tried.
 * An adopted interface is left as it is; the host is kept out of it.
 */
int links_configure(struct links *links, const struct links_port *port,
		    const struct links_port *former);

/* Whether there are descriptors and each is one of this port's interface, in its place: for what
 * was handed back. */
bool links_match(struct links *links, const struct links_port *port,
		 const struct links_queues *queues);
/* Whether the interface behind the port's descriptors still exists, wherever it is. */
bool links_alive(struct links *links, const struct links_port *port,
		 const struct links_queues *queues);
/* Whether a descriptor keeps a workload's namespace alive (of a TAP that was attached again, of an
 * adopted interface). */
bool links_pins(struct links *links, const struct links_port *port,
		const struct links_queues *queues);

/*
 * Removes a port's interface, or puts back what was changed on an adopted one; found by a
 * descriptor (TAP; if there is one) or by its place and alias. The caller closes the descriptors.
 */
void links_remove(struct links *links, const struct links_port *port,
		  const struct links_queues *queues);
/* Removes the TAP behind a descriptor that was handed back for a port that is no more, or
 * elsewhere. */
void links_discard(struct links *links, const struct proto_ref *ref, int fd);

/* Whether our end of a veth, in the private namespace, has such a name; *index says of which port.
 */
bool links_our_end(const char *ifname, uint32_t *index);

enum links_owner { LINKS_FREE, LINKS_FOREIGN, LINKS_OURS };
/* Whose interface has this name there now; *ref says which port's. FREE too when the namespace is
 * not there. */
enum links_owner links_owner(struct links *links, const char *netns, const char *ifname,
			     struct proto_ref *ref);

/*
 * Removes this instance's interfaces that keep() does not know, in the private namespace, the
 * daemon's own, and those with a name: what a port left behind that was removed while the daemon
 * died. ifname is NULL for our end of a veth. Gives back adopted ones that keep_adopted() does not
 * know.
 */
void links_sweep(struct links *links,
		 bool (*keep)(void *context, const struct proto_ref *ref, int netns,
			      const char *ifname),
		 bool (*keep_adopted)(void *context, int netns, const char *ifname), void *context);

/* Puts the instance's mark into the private namespace, or says whether it is there. */
int links_mark_private(struct links *links);
bool links_private_is_ours(struct links *links, int netns);

#endif
