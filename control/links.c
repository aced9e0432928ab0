/* SPDX-License-Identifier: Apache-2.0 */
#include "control/links.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <netlink/route/link/veth.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/links_internal.h"
#include "control/links_netdev.h"
#include "control/namespaces.h"
#include "control/netlink.h"

static int open_or_make(struct links *links, const struct links_port *port, int netns,
			struct links_queues *queues);
static int attach(struct links *links, const struct links_port *port, int netns,
		  struct links_queues *queues);
static int make_veth(struct links *links, const struct links_port *port, int netns,
		     struct links_queues *queues);
static int label_veth(struct links *links, const struct links_port *port, int netns);
static int add_veth(struct links *links, const struct links_port *port, int netns);
static int private_socket(struct links *links, struct nl_sock **socket);
static void remove_veth(struct links *links, const struct proto_ref *ref);
static void our_end(const struct proto_ref *ref, char ifname[ADDR_IFNAME_SIZE]);
static bool our_end_match(struct links *links, const struct links_port *port,
			  const struct links_queues *queues);

int links_new(struct links **links, const struct namespaces *namespaces, uint64_t instance)
{
	struct links *made = calloc(1, sizeof(*made));

	if (made == NULL)
		return -ENOMEM;
	(void)libbpf_set_print(NULL); /* what fails is said by who asked for it */
	made->namespaces = namespaces;
	made->instance = instance;
	*links = made;
	return 0;
}

void links_free(struct links *links)
{
	free(links);
}

int links_open(struct links *links, const struct links_port *port, struct links_queues *queues)
{
	int netns = namespaces_open(links->namespaces, port->netns);
	int error;

	queues->count = 0;
	if (netns < 0)
		return netns;
	error = open_or_make(links, port, netns, queues);
	close(netns);
	return error;
}

int links_grow(struct links *links, const struct links_port *port, struct links_queues *queues)
{
	char ifname[ADDR_IFNAME_SIZE];
	int netns, error;

	if (port->type == MODEL_PORT_NETDEV)
		return links_netdev_grow(links, port, queues);
	if (port->type == MODEL_PORT_VETH) {
		our_end(&port->ref, ifname);
		return links_packet_open(links, ifname, port->queue_count, queues);
	}
	netns = namespaces_open(links->namespaces, port->netns);
	if (netns < 0)
		return netns;
	error = links_tap_grow(links, port, netns, queues);
	close(netns);
	return error;
}

bool links_match(struct links *links, const struct links_port *port,
		 const struct links_queues *queues)
{
	char reason[MODEL_TEXT_SIZE];
	struct links_seen seen;
	bool match;
	int netns;

	if (queues->count == 0)
		return false;
	if (port->type == MODEL_PORT_NETDEV)
		return links_netdev_look(links, port, queues, &seen, reason) == 0;
	netns = namespaces_open(links->namespaces, port->netns);
	if (netns < 0)
		return false;
	match = links_owner_in(links, netns, port->ifname, &port->ref) == LINKS_OURS;
	if (match && port->type == MODEL_PORT_TAP)
		match = links_tap_match(port, queues, netns);
	else if (match)
		match = our_end_match(links, port, queues);
	close(netns);
	return match;
}

bool links_alive(struct links *links, const struct links_port *port,
		 const struct links_queues *queues)
{
	if (queues->count == 0)
		return false;
	if (port->type == MODEL_PORT_NETDEV)
		return links_packet_ifindex(queues->fds[0]) != 0;
	return port->type == MODEL_PORT_TAP ? links_tap_alive(queues->fds[0])
					    : our_end_match(links, port, queues);
}

void links_remove(struct links *links, const struct links_port *port,
		  const struct links_queues *queues)
{
	int fd = queues->count > 0 ? queues->fds[0] : -1;
	int netns;

	if (port->type == MODEL_PORT_NETDEV) {
		links_netdev_leave(links, port, queues);
		return;
	}
	if (port->type == MODEL_PORT_VETH) {
		remove_veth(links, &port->ref);
		return;
	}
	if (fd >= 0 && links_tap_remove(links, fd, &port->ref) == 0)
		return;
	netns = namespaces_open(links->namespaces, port->netns);
	if (netns >= 0) {
		(void)links_delete_in(links, netns, port->ifname, &port->ref);
		close(netns);
	}
	if (fd >= 0)
		links_tap_release(fd);
}

bool links_our_end(const char *ifname, uint32_t *index)
{
	const char *digits = ifname + strlen(LINKS_OUR_END);
	unsigned long number;
	char *end;

	if (strncmp(ifname, LINKS_OUR_END, strlen(LINKS_OUR_END)) != 0)
		return false;
	number = strtoul(digits, &end, 10);
	if (end == digits || *end != '\0' || number >= PROTO_INDEX_CAPACITY)
		return false;
	*index = (uint32_t)number;
	return true;
}

enum links_owner links_owner(struct links *links, const char *netns, const char *ifname,
			     struct proto_ref *ref)
{
	struct proto_ref found = {PROTO_NO_INDEX, 0};
	struct rtnl_link *link;
	struct nl_sock *socket;
	enum links_owner owner = LINKS_FREE;
	int fd = namespaces_open(links->namespaces, netns);

	if (fd < 0)
		return LINKS_FREE;
	if (netlink_open(links->namespaces, fd, &socket) == 0) {
		if (netlink_link(socket, ifname, &link) == 0) {
			owner = links_alias_read(links, link, &found) ? LINKS_OURS : LINKS_FOREIGN;
			rtnl_link_put(link);
		}
		nl_socket_free(socket);
	}
	close(fd);
	if (owner == LINKS_OURS)
		*ref = found;
	return owner;
}

int links_mark_private(struct links *links)
{
	const struct proto_ref none = {PROTO_NO_INDEX, 0};
	struct nl_sock *socket;
	int error = private_socket(links, &socket);

	if (error < 0)
		return error;
	error = links_label(links, socket, "lo", &none);
	nl_socket_free(socket);
	return error;
}

bool links_private_is_ours(struct links *links, int netns)
{
	const struct proto_ref none = {PROTO_NO_INDEX, 0};

	return links_owner_in(links, netns, "lo", &none) == LINKS_OURS;
}

enum links_owner links_owner_in(struct links *links, int netns, const char *ifname,
				const struct proto_ref *ref)
{
	struct proto_ref found;
	struct rtnl_link *link;
	struct nl_sock *socket;
	enum links_owner owner = LINKS_FREE;

	if (netlink_open(links->namespaces, netns, &socket) < 0)
		return LINKS_FOREIGN;
	if (netlink_link(socket, ifname, &link) == 0) {
		owner = LINKS_FOREIGN;
		if (links_alias_read(links, link, &found) && found.index == ref->index &&
		    found.incarnation == ref->incarnation)
			owner = LINKS_OURS;
		rtnl_link_put(link);
	}
	nl_socket_free(socket);
	return owner;
}

int links_delete_in(struct links *links, int netns, const char *ifname, const struct proto_ref *ref)
{
	struct proto_ref found;
	struct rtnl_link *link;
	struct nl_sock *socket;
	int error = netlink_open(links->namespaces, netns, &socket);

	if (error < 0)
		return error;
	error = netlink_link(socket, ifname, &link);
	if (error == 0) {
		error = -EPERM;
		if (links_alias_read(links, link, &found) && found.index == ref->index &&
		    found.incarnation == ref->incarnation)
			error = netlink_error(rtnl_link_delete(socket, link));
		rtnl_link_put(link);
	}
	nl_socket_free(socket);
	return error;
}

void links_alias_write(const struct links *links, const struct proto_ref *ref,
		       char alias[LINKS_ALIAS_SIZE])
{
	snprintf(alias, LINKS_ALIAS_SIZE, LINKS_ALIAS_PREFIX "%016" PRIx64 ":%" PRIu32 ".%" PRIu32,
		 links->instance, ref->index, ref->incarnation);
}

bool links_alias_read(const struct links *links, struct rtnl_link *link, struct proto_ref *ref)
{
	const char *alias = rtnl_link_get_ifalias(link);
	char expected[LINKS_ALIAS_SIZE];
	struct proto_ref found;
	const char *text;
	char *end;

	if (alias == NULL || strncmp(alias, LINKS_ALIAS_PREFIX, strlen(LINKS_ALIAS_PREFIX)) != 0)
		return false;
	text = strchr(alias + strlen(LINKS_ALIAS_PREFIX), ':');
	if (text == NULL)
		return false;
	found.index = (uint32_t)strtoul(text + 1, &end, 10);
	if (*end != '.')
		return false;
	found.incarnation = (uint32_t)strtoul(end + 1, &end, 10);
	/* Whatever was read, it is ours if it is what we write: the instance is compared here as
	 * well. */
	links_alias_write(links, &found, expected);
	if (strcmp(alias, expected) != 0)
		return false;
	*ref = found;
	return true;
}

int links_label(struct links *links, struct nl_sock *socket, const char *ifname,
		const struct proto_ref *ref)
{
	char alias[LINKS_ALIAS_SIZE];
	struct rtnl_link *link, *change;
	int error = netlink_link(socket, ifname, &link);

	if (error < 0)
		return error;
	change = rtnl_link_alloc();
	if (change == NULL) {
		rtnl_link_put(link);
		return -ENOMEM;
	}
	links_alias_write(links, ref, alias);
	rtnl_link_set_ifalias(change, alias);
	error = netlink_error(rtnl_link_change(socket, link, change, 0));
	rtnl_link_put(change);
	rtnl_link_put(link);
	return error;
}

static int open_or_make(struct links *links, const struct links_port *port, int netns,
			struct links_queues *queues)
{
	switch (links_owner_in(links, netns, port->ifname, &port->ref)) {
	case LINKS_FOREIGN:
		return -EEXIST;
	case LINKS_OURS:
		return attach(links, port, netns, queues);
	case LINKS_FREE:
		break;
	}
	if (port->type == MODEL_PORT_TAP)
		return links_tap_make(links, port, netns, queues);
	return make_veth(links, port, netns, queues);
}

/* The interface carries this port's alias: it is taken as it is, or made again when it is a
 * remnant. */
static int attach(struct links *links, const struct links_port *port, int netns,
		  struct links_queues *queues)
{
	char ifname[ADDR_IFNAME_SIZE];
	int error;

	if (port->type == MODEL_PORT_TAP)
		return links_tap_attach(links, port, netns, queues);
	our_end(&port->ref, ifname);
	if (links_owner_in(links, namespaces_private(links->namespaces), ifname, &port->ref) ==
	    LINKS_OURS)
		return links_packet_open(links, ifname, port->queue_count, queues);
	error = links_delete_in(links, netns, port->ifname, &port->ref);
	return error < 0 ? error : make_veth(links, port, netns, queues);
}

static int make_veth(struct links *links, const struct links_port *port, int netns,
		     struct links_queues *queues)
{
	char ifname[ADDR_IFNAME_SIZE];
	int error;

	remove_veth(links, &port->ref);
	error = add_veth(links, port, netns);
	if (error < 0)
		return error;
	error = label_veth(links, port, netns);
	if (error == 0) {
		our_end(&port->ref, ifname);
		error = links_packet_open(links, ifname, port->queue_count, queues);
	}
	if (error < 0)
		remove_veth(links, &port->ref);
	return error;
}

/* Makes both ends, each in its namespace: no end is ever anywhere else, and a taken name refuses it
 * all. */
static int add_veth(struct links *links, const struct links_port *port, int netns)
{
	char ifname[ADDR_IFNAME_SIZE];
	struct nl_sock *socket;
	struct rtnl_link *ours, *peer;
	struct nl_addr *mac;
	int error = private_socket(links, &socket);

	if (error < 0)
		return error;
	error = -ENOMEM;
	ours = rtnl_link_veth_alloc();
	mac = nl_addr_build(AF_LLC, port->mac.bytes, sizeof(port->mac.bytes));
	if (ours == NULL || mac == NULL)
		goto put;
	our_end(&port->ref, ifname);
	rtnl_link_set_name(ours, ifname);
	rtnl_link_set_mtu(ours, LINKS_OUR_MTU);
	peer = rtnl_link_veth_get_peer(ours);
	rtnl_link_set_name(peer, port->ifname);
	rtnl_link_set_mtu(peer, port->mtu);
	rtnl_link_set_addr(peer, mac);
	rtnl_link_set_ns_fd(peer, netns);
	error = netlink_error(rtnl_link_add(socket, ours, NLM_F_CREATE | NLM_F_EXCL));
	rtnl_link_put(peer);
put:
	if (ours != NULL)
		rtnl_link_veth_release(ours);
	nl_addr_put(mac);
	nl_socket_free(socket);
	return error;
}

/* Our end comes last: while it has no alias, whoever follows a daemon that died sweeps the pair. */
static int label_veth(struct links *links, const struct links_port *port, int netns)
{
	char ifname[ADDR_IFNAME_SIZE];
	struct nl_sock *ours, *theirs;
	int error = private_socket(links, &ours);

	if (error < 0)
		return error;
	error = netlink_open(links->namespaces, netns, &theirs);
	if (error < 0)
		goto free_ours;
	our_end(&port->ref, ifname);
	error = links_label(links, theirs, port->ifname, &port->ref);
	if (error == 0)
		error = links_label(links, ours, ifname, &port->ref);
	if (error == 0)
		error = links_set_up(ours, ifname, 0);
	nl_socket_free(theirs);
free_ours:
	nl_socket_free(ours);
	return error;
}

static int private_socket(struct links *links, struct nl_sock **socket)
{
	return netlink_open(links->namespaces, namespaces_private(links->namespaces), socket);
}

/* Whatever has the name of our end in the private namespace is ours; the other end goes with it. */
static void remove_veth(struct links *links, const struct proto_ref *ref)
{
	char ifname[ADDR_IFNAME_SIZE];
	struct nl_sock *socket;
	struct rtnl_link *link;

	if (private_socket(links, &socket) < 0)
		return;
	our_end(ref, ifname);
	if (netlink_link(socket, ifname, &link) == 0) {
		(void)rtnl_link_delete(socket, link);
		rtnl_link_put(link);
	}
	nl_socket_free(socket);
}

static void our_end(const struct proto_ref *ref, char ifname[ADDR_IFNAME_SIZE])
{
	snprintf(ifname, ADDR_IFNAME_SIZE, LINKS_OUR_END "%" PRIu32, ref->index);
}

static bool our_end_match(struct links *links, const struct links_port *port,
			  const struct links_queues *queues)
{
	int private = namespaces_private(links->namespaces);
	char ifname[ADDR_IFNAME_SIZE];

	our_end(&port->ref, ifname);
	return links_owner_in(links, private, ifname, &port->ref) == LINKS_OURS &&
	       links_packet_match(links, private, ifname, 0, queues);
}
