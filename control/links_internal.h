/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_LINKS_INTERNAL_H
#define VSWITCH_CONTROL_LINKS_INTERNAL_H

/*
 * What the files of links share: links.c (ownership and veths), links_tap.c,
 * links_packet.c, links_queues.c, links_workload.c (how an interface is set up), links_features.c,
 * links_sweep.c.
 */

#include <stdbool.h>
#include <stdint.h>

#include "control/links.h"

struct nl_sock;
struct rtnl_link;

#define LINKS_ALIAS_PREFIX "vswitch:"
#define LINKS_ALIAS_SIZE   64
/* Of our end of a veth, which drops what is longer: that is for the datapath, who tells the sender.
 */
#define LINKS_OUR_MTU	65535u
#define LINKS_OUR_END	"vs"  /* and the port's index, in the private namespace */
#define LINKS_TEMPORARY "vst" /* a TAP that is not moved yet, likewise */

struct links {
	const struct namespaces *namespaces;
	uint64_t instance;
};

void links_alias_write(const struct links *links, const struct proto_ref *ref,
		       char alias[LINKS_ALIAS_SIZE]);
/* Whether the interface carries this instance's alias; *ref says of which port. */
bool links_alias_read(const struct links *links, struct rtnl_link *link, struct proto_ref *ref);
int links_label(struct links *links, struct nl_sock *socket, const char *ifname,
		const struct proto_ref *ref);
/* OURS: of exactly this port. */
enum links_owner links_owner_in(struct links *links, int netns, const char *ifname,
				const struct proto_ref *ref);
/* Deletes the interface if it is of exactly this port, else returns -EPERM or -ENODEV. */
int links_delete_in(struct links *links, int netns, const char *ifname,
		    const struct proto_ref *ref);

/* Brings an interface up, with this MTU unless 0. */
int links_set_up(struct nl_sock *socket, const char *ifname, uint32_t mtu);

/* Switches off what the interface's own kernel must do before a packet leaves it by a veth. */
int links_features_limit(struct links *links, int netns, const char *ifname);

/* Whether the host uses the interface for something of its own; reason says for what. */
bool links_host_uses(struct nl_sock *socket, struct rtnl_link *link, char reason[MODEL_TEXT_SIZE]);

/* How many queues of a TAP that was made for several are held by anybody; 0: it is not there. */
uint32_t links_queues_held(struct links *links, int netns, const char *ifname);
/*
 * Lets the kernel do without a qdisc: what a TAP's queue does not take is dropped either way, and a
 * TAP made for several would have one of 25 kB for each of 256, whether there are so many or not.
 * Before it is brought up. Returns 0 or a negative errno.
 */
int links_queues_make_cheap(struct nl_sock *socket, const char *ifname);

int links_tap_make(struct links *links, const struct links_port *port, int netns,
		   struct links_queues *queues);
int links_tap_attach(struct links *links, const struct links_port *port, int netns,
		     struct links_queues *queues);
int links_tap_grow(struct links *links, const struct links_port *port, int netns,
		   struct links_queues *queues);
bool links_tap_match(const struct links_port *port, const struct links_queues *queues, int netns);
/* Deletes the TAP behind the descriptor where it is now, if it is this port's. */
int links_tap_remove(struct links *links, int fd, const struct proto_ref *ref);
/* The namespace of the TAP behind the descriptor, which the caller closes, or a negative errno. */
int links_tap_find(int fd, char ifname[ADDR_IFNAME_SIZE]);
bool links_tap_alive(int fd);
/* Makes the TAP behind the descriptor go away with its last descriptor. */
void links_tap_release(int fd);

/*
 * Opens `count` packet sockets on an interface of the private namespace, less those that are open
 * already; on failure those stay. The kernel deals flows out over them.
 */
int links_packet_open(struct links *links, const char *ifname, uint32_t count,
		      struct links_queues *queues);
/* The same on an interface that somebody else made; what is sent carries the mark. */
int links_packet_adopt(struct links *links, int netns, const char *ifname, uint32_t mark,
		       uint32_t count, struct links_queues *queues);
/* Whether they are packet sockets as the two make them (mark 0: the first), on that interface. */
bool links_packet_match(struct links *links, int netns, const char *ifname, uint32_t mark,
			const struct links_queues *queues);
/* The interface that the socket is bound to; 0: that is gone, or left the socket's namespace. */
uint32_t links_packet_ifindex(int fd);

#endif
