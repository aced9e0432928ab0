/* SPDX-License-Identifier: Apache-2.0 */
#include "control/links_netdev.h"

#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/route/qdisc.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "control/keep_out.h"
#include "control/links_internal.h"
#include "control/namespaces.h"
#include "control/netlink.h"

static int open_place(struct links *links, const struct links_port *port, int *netns,
		      struct nl_sock **socket, struct rtnl_link **link,
		      char reason[MODEL_TEXT_SIZE]);
static int check_link(struct links *links, const struct links_port *port, int netns,
		      struct nl_sock *socket, struct rtnl_link *link, char reason[MODEL_TEXT_SIZE]);
static int check_mac(const struct links_port *port, struct rtnl_link *link,
		     char reason[MODEL_TEXT_SIZE]);
static int take(struct links *links, const struct links_port *port, int netns,
		struct nl_sock *socket, struct rtnl_link *link, struct links_queues *queues);
static void read_link(struct rtnl_link *link, struct links_seen *seen);
static void read_mac(struct rtnl_link *link, struct addr_mac *mac);
static struct keep_out_place place_of(const struct links *links, int netns, uint32_t ifindex);
static uint32_t mark_of(const struct links_port *port);
static void sweep_one(struct links *links, int netns, int ifindex, struct nl_sock *socket,
		      bool (*keep)(void *, int, const char *), void *context);

int links_netdev_check(struct links *links, const struct links_port *port,
		       char reason[MODEL_TEXT_SIZE])
{
	struct nl_sock *socket;
	struct rtnl_link *link;
	int netns;
	int error = open_place(links, port, &netns, &socket, &link, reason);

	if (error != 0)
		return error;
	error = check_link(links, port, netns, socket, link, reason);
	rtnl_link_put(link);
	nl_socket_free(socket);
	close(netns);
	return error;
}

/* What may not be adopted any more is the host's again. */
int links_netdev_open(struct links *links, const struct links_port *port,
		      struct links_queues *queues, char reason[MODEL_TEXT_SIZE])
{
	struct keep_out_place place;
	struct nl_sock *socket;
	struct rtnl_link *link;
	int netns;
	int error = open_place(links, port, &netns, &socket, &link, reason);

	queues->count = 0;
	if (error != 0)
		return error;
	place = place_of(links, netns, (uint32_t)rtnl_link_get_ifindex(link));
	error = check_link(links, port, netns, socket, link, reason);
	if (error == 0) {
		error = take(links, port, netns, socket, link, queues);
		if (error < 0)
			snprintf(reason, MODEL_TEXT_SIZE, "interface %s cannot be adopted: %s",
				 port->ifname, strerror(-error));
	}
	if (error < 0)
		keep_out_end(&place);
	rtnl_link_put(link);
	nl_socket_free(socket);
	close(netns);
	return error;
}

int links_netdev_grow(struct links *links, const struct links_port *port,
		      struct links_queues *queues)
{
	int netns = links_netdev_place(queues->fds[0]);
	int error;

	if (netns < 0)
		return netns;
	error = links_packet_adopt(links, netns, port->ifname, mark_of(port), port->queue_count,
				   queues);
	close(netns);
	return error;
}

int links_netdev_keep_out(struct links *links, const struct links_port *port)
{
	char reason[MODEL_TEXT_SIZE];
	struct keep_out_place place;
	struct nl_sock *socket;
	struct rtnl_link *link;
	int netns;
	int error;

	if (port->shared)
		return 0;
	error = open_place(links, port, &netns, &socket, &link, reason);
	if (error != 0)
		return error;
	place = place_of(links, netns, (uint32_t)rtnl_link_get_ifindex(link));
	error = keep_out_begin(&place, false);
	rtnl_link_put(link);
	nl_socket_free(socket);
	close(netns);
	return error < 0 ? error : 0;
}

int links_netdev_look(struct links *links, const struct links_port *port,
		      const struct links_queues *queues, struct links_seen *seen,
		      char reason[MODEL_TEXT_SIZE])
{
	struct nl_sock *socket;
	struct rtnl_link *link;
	int netns;
	int error = open_place(links, port, &netns, &socket, &link, reason);

	if (error != 0)
		return error;
	if (!links_packet_match(links, netns, port->ifname, mark_of(port), queues)) {
		snprintf(reason, MODEL_TEXT_SIZE, "interface %s is another one now", port->ifname);
		error = -ENODEV;
	} else {
		error = check_mac(port, link, reason);
	}
	if (error == 0)
		read_link(link, seen);
	rtnl_link_put(link);
	nl_socket_free(socket);
	close(netns);
	return error;
}

void links_netdev_leave(struct links *links, const struct links_port *port,
			const struct links_queues *queues)
{
	char reason[MODEL_TEXT_SIZE];
	struct keep_out_place place;
	struct nl_sock *socket;
	struct rtnl_link *link;
	int netns = queues->count > 0 ? links_netdev_place(queues->fds[0]) : -1;

	if (netns >= 0) {
		place = place_of(links, netns, links_packet_ifindex(queues->fds[0]));
		if (place.ifindex != 0)
			keep_out_end(&place);
		close(netns);
		return;
	}
	if (open_place(links, port, &netns, &socket, &link, reason) != 0)
		return;
	place = place_of(links, netns, (uint32_t)rtnl_link_get_ifindex(link));
	keep_out_end(&place);
	rtnl_link_put(link);
	nl_socket_free(socket);
	close(netns);
}

int links_netdev_place(int fd)
{
	int netns = ioctl(fd, SIOCGSKNS);

	return netns < 0 ? -errno : netns;
}

/* What the host is kept out of has a clsact, and those are few. */
void links_netdev_sweep(struct links *links, int netns,
			bool (*keep)(void *context, int netns, const char *ifname), void *context)
{
	struct nl_sock *socket;
	struct nl_cache *cache;
	struct nl_object *object;

	if (netlink_open(links->namespaces, netns, &socket) < 0)
		return;
	if (rtnl_qdisc_alloc_cache(socket, &cache) == 0) {
		for (object = nl_cache_get_first(cache); object != NULL;
		     object = nl_cache_get_next(object)) {
			struct rtnl_tc *qdisc = TC_CAST(object);
			const char *kind = rtnl_tc_get_kind(qdisc);

			if (kind != NULL && strcmp(kind, "clsact") == 0)
				sweep_one(links, netns, rtnl_tc_get_ifindex(qdisc), socket, keep,
					  context);
		}
		nl_cache_free(cache);
	}
	nl_socket_free(socket);
}

/* Finds the interface; on success the caller lets go of all three. */
static int open_place(struct links *links, const struct links_port *port, int *netns,
		      struct nl_sock **socket, struct rtnl_link **link,
		      char reason[MODEL_TEXT_SIZE])
{
	char where[NAMESPACES_TEXT_SIZE];
	int error;

	namespaces_describe(port->netns, where);
	*netns = namespaces_open(links->namespaces, port->netns);
	if (*netns < 0) {
		if (*netns == -ENOENT)
			snprintf(reason, MODEL_TEXT_SIZE, "no %s", where);
		else
			snprintf(reason, MODEL_TEXT_SIZE, "%s is no network namespace",
				 port->netns);
		return *netns;
	}
	error = netlink_open(links->namespaces, *netns, socket);
	if (error == 0) {
		error = netlink_link(*socket, port->ifname, link);
		if (error == 0)
			return 0;
		nl_socket_free(*socket);
	}
	close(*netns);
	if (error == -ENODEV)
		snprintf(reason, MODEL_TEXT_SIZE, "no interface %s%s%s", port->ifname,
			 port->netns[0] != '\0' ? " in " : "", port->netns[0] != '\0' ? where : "");
	else
		snprintf(reason, MODEL_TEXT_SIZE, "interface %s cannot be read: %s", port->ifname,
			 strerror(-error));
	return error;
}

static int check_link(struct links *links, const struct links_port *port, int netns,
		      struct nl_sock *socket, struct rtnl_link *link, char reason[MODEL_TEXT_SIZE])
{
	struct keep_out_place place = place_of(links, netns, (uint32_t)rtnl_link_get_ifindex(link));
	const char *alias = rtnl_link_get_ifalias(link);
	const char *why = NULL;

	if ((rtnl_link_get_flags(link) & IFF_LOOPBACK) != 0)
		why = "is a loopback";
	else if (rtnl_link_get_arptype(link) != ARPHRD_ETHER)
		why = "carries no Ethernet frames";
	else if (alias != NULL &&
		 strncmp(alias, LINKS_ALIAS_PREFIX, strlen(LINKS_ALIAS_PREFIX)) == 0)
		why = "was made by a switch for a port of its own";
	if (why != NULL) {
		snprintf(reason, MODEL_TEXT_SIZE, "interface %s %s: name another", port->ifname,
			 why);
		return -EINVAL;
	}
	if (keep_out_owner(&place) == KEEP_OUT_ANOTHER) {
		snprintf(reason, MODEL_TEXT_SIZE,
			 "interface %s is a port of another switch: delete it there, or name "
			 "another",
			 port->ifname);
		return -EBUSY;
	}
	if (!port->shared && links_host_uses(socket, link, reason))
		return -EBUSY;
	return check_mac(port, link, reason);
}

static int check_mac(const struct links_port *port, struct rtnl_link *link,
		     char reason[MODEL_TEXT_SIZE])
{
	char has[ADDR_MAC_TEXT_SIZE], wanted[ADDR_MAC_TEXT_SIZE];
	struct addr_mac mac;

	if (!port->match_mac_given)
		return 0;
	read_mac(link, &mac);
	if (memcmp(&mac, &port->match_mac, sizeof(mac)) == 0)
		return 0;
	snprintf(reason, MODEL_TEXT_SIZE, "interface %s has MAC %s, not %s", port->ifname,
		 addr_mac_format(&mac, has), addr_mac_format(&port->match_mac, wanted));
	return -EADDRNOTAVAIL;
}

/* The host is out before the first frame is taken. Up comes what was down, once: who takes it down
 * later means it. */
static int take(struct links *links, const struct links_port *port, int netns,
		struct nl_sock *socket, struct rtnl_link *link, struct links_queues *queues)
{
	struct keep_out_place place = place_of(links, netns, (uint32_t)rtnl_link_get_ifindex(link));
	bool down = (rtnl_link_get_flags(link) & IFF_UP) == 0;
	int result = 0;

	if (!port->shared) {
		result = keep_out_begin(&place, down);
		if (result < 0)
			return result;
	}
	if (result == 1 && down)
		result = links_set_up(socket, port->ifname, 0);
	if (result >= 0)
		result = links_packet_adopt(links, netns, port->ifname, mark_of(port),
					    port->queue_count, queues);
	return result < 0 ? result : 0;
}

static void read_link(struct rtnl_link *link, struct links_seen *seen)
{
	unsigned int flags = rtnl_link_get_flags(link);

	seen->ifindex = (uint32_t)rtnl_link_get_ifindex(link);
	seen->mtu = rtnl_link_get_mtu(link);
	seen->up = (flags & IFF_UP) != 0;
	seen->carrier = rtnl_link_get_carrier(link) != 0;
	read_mac(link, &seen->mac);
}

static void read_mac(struct rtnl_link *link, struct addr_mac *mac)
{
	struct nl_addr *addr = rtnl_link_get_addr(link);

	memset(mac, 0, sizeof(*mac));
	if (addr != NULL && nl_addr_get_len(addr) == sizeof(mac->bytes))
		memcpy(mac->bytes, nl_addr_get_binary_addr(addr), sizeof(mac->bytes));
}

static struct keep_out_place place_of(const struct links *links, int netns, uint32_t ifindex)
{
	return (struct keep_out_place){.namespaces = links->namespaces,
				       .netns = netns,
				       .instance = links->instance,
				       .ifindex = ifindex};
}

static uint32_t mark_of(const struct links_port *port)
{
	return port->shared ? 0 : KEEP_OUT_MARK;
}

static void sweep_one(struct links *links, int netns, int ifindex, struct nl_sock *socket,
		      bool (*keep)(void *, int, const char *), void *context)
{
	struct keep_out_place place = place_of(links, netns, (uint32_t)ifindex);
	struct rtnl_link *link;

	if (keep_out_owner(&place) != KEEP_OUT_OURS ||
	    rtnl_link_get_kernel(socket, ifindex, NULL, &link) < 0)
		return;
	if (!keep(context, netns, rtnl_link_get_name(link)))
		keep_out_end(&place);
	rtnl_link_put(link);
}
