/* SPDX-License-Identifier: Apache-2.0 */

/* Whether the host uses an interface: what a port would take away from it. */

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "control/links_internal.h"
#include "control/netlink.h"

#define SHARE "move it off, or share the interface with the host (--shared)"

struct route_search {
	int ifindex;
	bool found;
	char text[80];
};

static bool has_master(struct nl_sock *socket, struct rtnl_link *link, char *reason);
static bool has_upper(struct nl_sock *socket, struct rtnl_link *link, char *reason);
static bool has_address(struct nl_sock *socket, struct rtnl_link *link, char *reason);
static bool has_route(struct nl_sock *socket, struct rtnl_link *link, char *reason);
static int search_routes(struct nl_sock *socket, uint8_t family, struct route_search *search);
static int on_route(struct nl_msg *message, void *context);
static bool stands_on(struct rtnl_link *link, int ifindex);
static bool is_link_local(struct nl_addr *addr);

bool links_host_uses(struct nl_sock *socket, struct rtnl_link *link, char reason[MODEL_TEXT_SIZE])
{
	return has_master(socket, link, reason) || has_address(socket, link, reason) ||
	       has_route(socket, link, reason) || has_upper(socket, link, reason);
}

static bool has_master(struct nl_sock *socket, struct rtnl_link *link, char *reason)
{
	int master = rtnl_link_get_master(link);
	struct rtnl_link *above = NULL;

	if (master == 0)
		return false;
	(void)rtnl_link_get_kernel(socket, master, NULL, &above);
	snprintf(reason, MODEL_TEXT_SIZE,
		 "interface %s belongs to %s: take it out of that (ip link set %s nomaster), or "
		 "name another",
		 rtnl_link_get_name(link), above != NULL ? rtnl_link_get_name(above) : "another",
		 rtnl_link_get_name(link));
	if (above != NULL)
		rtnl_link_put(above);
	return true;
}

static bool has_address(struct nl_sock *socket, struct rtnl_link *link, char *reason)
{
	struct nl_cache *cache;
	struct nl_object *object;
	char text[80];
	bool has = false;

	if (rtnl_addr_alloc_cache(socket, &cache) < 0)
		return false;
	for (object = nl_cache_get_first(cache); object != NULL && !has;
	     object = nl_cache_get_next(object)) {
		struct rtnl_addr *addr = (struct rtnl_addr *)object;
		struct nl_addr *local = rtnl_addr_get_local(addr);

		if (rtnl_addr_get_ifindex(addr) != rtnl_link_get_ifindex(link) || local == NULL ||
		    is_link_local(local))
			continue;
		has = true;
		snprintf(reason, MODEL_TEXT_SIZE,
			 "interface %s carries the host's address %s: " SHARE,
			 rtnl_link_get_name(link), nl_addr2str(local, text, sizeof(text)));
	}
	nl_cache_free(cache);
	return has;
}

static bool has_route(struct nl_sock *socket, struct rtnl_link *link, char *reason)
{
	struct route_search search = {.ifindex = rtnl_link_get_ifindex(link)};

	if (search_routes(socket, AF_INET, &search) < 0 ||
	    (!search.found && search_routes(socket, AF_INET6, &search) < 0) || !search.found)
		return false;
	snprintf(reason, MODEL_TEXT_SIZE, "interface %s carries the host's route to %s: " SHARE,
		 rtnl_link_get_name(link), search.text);
	return true;
}

/* Asked for this interface's routes only: a router's table may hold a million. */
static int search_routes(struct nl_sock *socket, uint8_t family, struct route_search *search)
{
	const struct rtmsg header = {.rtm_family = family};
	const int one = 1, zero = 0;
	struct nl_msg *message = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_DUMP);
	struct nl_cb *callbacks = nl_cb_alloc(NL_CB_DEFAULT);
	int error = -ENOMEM;

	(void)setsockopt(nl_socket_get_fd(socket), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one,
			 sizeof(one));
	if (message != NULL && callbacks != NULL &&
	    nlmsg_append(message, (void *)&header, sizeof(header), NLMSG_ALIGNTO) == 0 &&
	    nla_put_u32(message, RTA_OIF, (uint32_t)search->ifindex) == 0) {
		nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, on_route, search);
		error = netlink_error(nl_send_auto(socket, message));
		if (error == 0)
			error = netlink_error(nl_recvmsgs(socket, callbacks));
	}
	(void)setsockopt(nl_socket_get_fd(socket), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &zero,
			 sizeof(zero));
	nlmsg_free(message);
	nl_cb_put(callbacks);
	return error;
}

/* A kernel that does not know the filter sends them all. */
static int on_route(struct nl_msg *message, void *context)
{
	struct route_search *search = context;
	struct rtnl_route *route;
	struct nl_addr *destination;
	int i;

	if (search->found || rtnl_route_parse(nlmsg_hdr(message), &route) < 0)
		return NL_OK;
	destination = rtnl_route_get_dst(route);
	if (rtnl_route_get_type(route) == RTN_UNICAST && !is_link_local(destination)) {
		for (i = 0; i < rtnl_route_get_nnexthops(route); i++)
			if (rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(route, i)) ==
			    search->ifindex)
				search->found = true;
	}
	if (search->found && nl_addr_get_prefixlen(destination) == 0)
		snprintf(search->text, sizeof(search->text), "everywhere");
	else if (search->found)
		nl_addr2str(destination, search->text, sizeof(search->text));
	rtnl_route_put(route);
	return NL_OK;
}

static bool has_upper(struct nl_sock *socket, struct rtnl_link *link, char *reason)
{
	struct nl_cache *cache;
	struct nl_object *object;
	bool has = false;

	if (rtnl_link_alloc_cache(socket, AF_UNSPEC, &cache) < 0)
		return false;
	for (object = nl_cache_get_first(cache); object != NULL && !has;
	     object = nl_cache_get_next(object)) {
		struct rtnl_link *upper = (struct rtnl_link *)object;

		if (!stands_on(upper, rtnl_link_get_ifindex(link)))
			continue;
		has = true;
		snprintf(reason, MODEL_TEXT_SIZE,
			 "interface %s carries the host's interface %s: remove that, or share the "
			 "interface with the host (--shared)",
			 rtnl_link_get_name(link), rtnl_link_get_name(upper));
	}
	nl_cache_free(cache);
	return has;
}

/* A veth names its peer in the same way, and does not stand on it. */
static bool stands_on(struct rtnl_link *link, int ifindex)
{
	static const char *const types[] = {"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"};
	const char *type = rtnl_link_get_type(link);
	int netns;
	size_t i;

	if (type == NULL || rtnl_link_get_link(link) != ifindex ||
	    rtnl_link_get_link_netnsid(link, &netns) == 0)
		return false;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* IPv6 gives each interface such an address, and routes to it and to groups, by itself. */
static bool is_link_local(struct nl_addr *addr)
{
	const uint8_t *bytes = nl_addr_get_binary_addr(addr);

	return nl_addr_get_family(addr) == AF_INET6 && nl_addr_get_len(addr) == 16 &&
	       ((bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) || bytes[0] == 0xff);
}
