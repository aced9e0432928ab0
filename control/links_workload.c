/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/msg.h>
#include <netlink/route/addr.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <unistd.h>

#include "control/links_internal.h"
#include "control/links_netdev.h"
#include "control/namespaces.h"
#include "control/netlink.h"

static int configure_in(struct links *links, int netns, const struct links_port *port,
			const struct links_port *former);
static int set_link(struct nl_sock *socket, struct rtnl_link *link, const struct links_port *port);
static int limit_super_packets(struct nl_sock *socket, struct rtnl_link *link, uint32_t frames);
static void remove_former(struct nl_sock *socket, int ifindex, const struct links_port *port,
			  const struct links_port *former);
static int change_address(struct nl_sock *socket, int ifindex, const struct addr_prefix *prefix,
			  bool add);
static int change_gateway(struct nl_sock *socket, int ifindex, const struct proto_addr *gateway,
			  bool add);
static struct nl_addr *build_addr(const struct proto_addr *addr, uint8_t length);
static bool has_address(const struct links_port *port, const struct addr_prefix *prefix);

int links_configure(struct links *links, const struct links_port *port,
		    const struct links_port *former)
{
	char ifname[ADDR_IFNAME_SIZE];
	struct nl_sock *socket;
	int netns, error;

	if (port->type == MODEL_PORT_NETDEV)
		return links_netdev_keep_out(links, port);
	netns = namespaces_open(links->namespaces, port->netns);
	if (netns < 0)
		return netns;
	error = configure_in(links, netns, port, former);
	close(netns);
	if (port->type != MODEL_PORT_VETH)
		return error;
	snprintf(ifname, sizeof(ifname), LINKS_OUR_END "%" PRIu32, port->ref.index);
	if (netlink_open(links->namespaces, namespaces_private(links->namespaces), &socket) == 0) {
		int ours = links_set_up(socket, ifname, LINKS_OUR_MTU);

		nl_socket_free(socket);
		if (error == 0)
			error = ours;
	}
	return error;
}

int links_set_up(struct nl_sock *socket, const char *ifname, uint32_t mtu)
{
	struct rtnl_link *link, *change;
	int error = netlink_link(socket, ifname, &link);

	if (error < 0)
		return error;
	error = -ENOMEM;
	change = rtnl_link_alloc();
	if (change != NULL) {
		rtnl_link_set_flags(change, IFF_UP);
		if (mtu != 0 && rtnl_link_get_mtu(link) != mtu)
			rtnl_link_set_mtu(change, mtu);
		error = netlink_error(rtnl_link_change(socket, link, change, 0));
		rtnl_link_put(change);
	}
	rtnl_link_put(link);
	return error;
}

static int configure_in(struct links *links, int netns, const struct links_port *port,
			const struct links_port *former)
{
	struct nl_sock *socket;
	struct rtnl_link *link;
	struct proto_ref owner;
	int ifindex, error, one;
	uint32_t i;

	error = netlink_open(links->namespaces, netns, &socket);
	if (error < 0)
		return error;
	error = netlink_link(socket, port->ifname, &link);
	if (error < 0)
		goto free_socket;
	error = -ENODEV;
	if (!links_alias_read(links, link, &owner) || owner.incarnation != port->ref.incarnation)
		goto put_link;
	ifindex = rtnl_link_get_ifindex(link);
	error = set_link(socket, link, port);
	one = limit_super_packets(socket, link, port->gso_frames);
	error = error < 0 ? error : one;
	if (port->type == MODEL_PORT_VETH) {
		one = links_features_limit(links, netns, port->ifname);
		error = error < 0 ? error : one;
	}
	if (former != NULL)
		remove_former(socket, ifindex, port, former);
	for (i = 0; i < port->ip_count; i++) {
		one = change_address(socket, ifindex, &port->ips[i], true);
		error = error < 0 ? error : one;
	}
	if (port->gateway.family != 0) {
		one = change_gateway(socket, ifindex, &port->gateway, true);
		error = error < 0 ? error : one;
	}
put_link:
	rtnl_link_put(link);
free_socket:
	nl_socket_free(socket);
	return error;
}

/* Only what differs is named: an interface that is up takes a MAC, but says so to its whole
 * segment. */
static int set_link(struct nl_sock *socket, struct rtnl_link *link, const struct links_port *port)
{
	struct nl_addr *mac = nl_addr_build(AF_LLC, port->mac.bytes, sizeof(port->mac.bytes));
	struct rtnl_link *change = rtnl_link_alloc();
	int error = -ENOMEM;

	if (mac != NULL && change != NULL) {
		if (rtnl_link_get_addr(link) == NULL ||
		    nl_addr_cmp(rtnl_link_get_addr(link), mac) != 0)
			rtnl_link_set_addr(change, mac);
		if (rtnl_link_get_mtu(link) != port->mtu)
			rtnl_link_set_mtu(change, port->mtu);
		rtnl_link_set_flags(change, IFF_UP);
		error = netlink_error(rtnl_link_change(socket, link, change, 0));
	}
	rtnl_link_put(change);
	nl_addr_put(mac);
	return error;
}

/* libnl reads the attribute and has no function that sets it. A kernel that does not know it
 * ignores it. */
static int limit_super_packets(struct nl_sock *socket, struct rtnl_link *link, uint32_t frames)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC,
				   .ifi_index = rtnl_link_get_ifindex(link)};
	struct nl_msg *message;
	uint32_t former = 0;

	if (frames == 0 || (rtnl_link_get_gso_max_segs(link, &former) == 0 && former == frames))
		return 0;
	message = nlmsg_alloc_simple(RTM_NEWLINK, 0);
	if (message == NULL)
		return -ENOMEM;
	if (nlmsg_append(message, &header, sizeof(header), NLMSG_ALIGNTO) < 0 ||
	    nla_put_u32(message, IFLA_GSO_MAX_SEGS, frames) < 0) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	return netlink_error(nl_send_sync(socket, message));
}

static void remove_former(struct nl_sock *socket, int ifindex, const struct links_port *port,
			  const struct links_port *former)
{
	uint32_t i;

	if (former->gateway.family != 0 && !addr_ip_equal(&former->gateway, &port->gateway))
		(void)change_gateway(socket, ifindex, &former->gateway, false);
	for (i = 0; i < former->ip_count; i++)
		if (!has_address(port, &former->ips[i]))
			(void)change_address(socket, ifindex, &former->ips[i], false);
}

static int change_address(struct nl_sock *socket, int ifindex, const struct addr_prefix *prefix,
			  bool add)
{
	struct rtnl_addr *change = rtnl_addr_alloc();
	struct nl_addr *local = build_addr(&prefix->addr, prefix->length);
	int error = -ENOMEM;

	if (change != NULL && local != NULL) {
		rtnl_addr_set_ifindex(change, ifindex);
		error = netlink_error(rtnl_addr_set_local(change, local));
		/* Given by who runs the network: probing for duplicates would only delay the start.
		 */
		if (prefix->addr.family == AF_INET6)
			rtnl_addr_set_flags(change, IFA_F_NODAD);
		if (error == 0 && add)
			error = netlink_error(rtnl_addr_add(socket, change, NLM_F_REPLACE));
		else if (error == 0)
			error = netlink_error(rtnl_addr_delete(socket, change, 0));
	}
	if (change != NULL)
		rtnl_addr_put(change);
	nl_addr_put(local);
	return error;
}

/* Another default route of the workload's stays: ours goes behind it, and is there already if it
 * exists. */
static int change_gateway(struct nl_sock *socket, int ifindex, const struct proto_addr *gateway,
			  bool add)
{
	const struct proto_addr any = {.family = gateway->family};
	struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct nl_addr *destination = build_addr(&any, 0);
	struct nl_addr *via = build_addr(gateway, gateway->family == AF_INET ? 32 : 128);
	int error = -ENOMEM;

	if (route != NULL && hop != NULL && destination != NULL && via != NULL) {
		rtnl_route_set_family(route, gateway->family);
		rtnl_route_set_dst(route, destination);
		rtnl_route_nh_set_ifindex(hop, ifindex);
		rtnl_route_nh_set_gateway(hop, via);
		rtnl_route_add_nexthop(route, hop);
		hop = NULL; /* the route's now */
		if (add)
			error = netlink_error(rtnl_route_add(socket, route, NLM_F_APPEND));
		else
			error = netlink_error(rtnl_route_delete(socket, route, 0));
	}
	if (hop != NULL)
		rtnl_route_nh_free(hop);
	if (route != NULL)
		rtnl_route_put(route);
	nl_addr_put(destination);
	nl_addr_put(via);
	return error == -EEXIST ? 0 : error;
}

static struct nl_addr *build_addr(const struct proto_addr *addr, uint8_t length)
{
	struct nl_addr *built =
		nl_addr_build(addr->family, addr->bytes, addr->family == AF_INET ? 4 : 16);

	if (built != NULL)
		nl_addr_set_prefixlen(built, length);
	return built;
}

static bool has_address(const struct links_port *port, const struct addr_prefix *prefix)
{
	uint32_t i;

	for (i = 0; i < port->ip_count; i++)
		if (port->ips[i].length == prefix->length &&
		    addr_ip_equal(&port->ips[i].addr, &prefix->addr))
			return true;
	return false;
}
