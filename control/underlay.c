/* SPDX-License-Identifier: Apache-2.0 */
#include "control/underlay.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/namespaces.h"
#include "control/netlink.h"

#define LOOPBACK_NET 127 /* 127.0.0.0/8, RFC 1122, section 3.2.1.3 */

/* One look for all the events of an interface that comes up, or of a thousand of them. */
static const struct timeval settle_time = {0, 50000};

struct underlay {
	const struct namespaces *namespaces;
	struct nl_sock *socket;
	struct event *readable, *settled;
	void (*changed)(void *);
	void *context;
};

static int subscribe(struct underlay *underlay, struct event_base *base);
static void on_readable(evutil_socket_t fd, short what, void *context);
static void on_settled(evutil_socket_t fd, short what, void *context);
static int find_interface(struct nl_sock *socket, const struct proto_addr *local);
static uint32_t read_mtu(struct nl_sock *socket, int ifindex);

int underlay_new(struct underlay **underlay, struct event_base *base,
		 const struct namespaces *namespaces, void (*changed)(void *), void *context)
{
	struct underlay *made = calloc(1, sizeof(*made));
	int error;

	if (made == NULL)
		return -ENOMEM;
	made->namespaces = namespaces;
	made->changed = changed;
	made->context = context;
	error = subscribe(made, base);
	if (error < 0) {
		underlay_free(made);
		return error;
	}
	*underlay = made;
	return 0;
}

void underlay_free(struct underlay *underlay)
{
	if (underlay == NULL)
		return;
	if (underlay->readable != NULL)
		event_free(underlay->readable);
	if (underlay->settled != NULL)
		event_free(underlay->settled);
	nl_socket_free(underlay->socket);
	free(underlay);
}

bool underlay_has(const struct underlay *underlay, const struct proto_addr *local)
{
	struct nl_sock *socket;
	bool has;

	if (local->family == AF_INET && local->bytes[0] == LOOPBACK_NET)
		return true; /* the loopback interface takes the whole network, not only its address
			      */
	if (netlink_open(underlay->namespaces, namespaces_own(underlay->namespaces), &socket) < 0)
		return false;
	has = find_interface(socket, local) > 0;
	nl_socket_free(socket);
	return has;
}

uint32_t underlay_mtu(const struct underlay *underlay, const struct proto_addr *local)
{
	struct nl_sock *socket;
	uint32_t mtu = 0;
	int ifindex;

	if (netlink_open(underlay->namespaces, namespaces_own(underlay->namespaces), &socket) < 0)
		return 0;
	ifindex = find_interface(socket, local);
	if (ifindex > 0)
		mtu = read_mtu(socket, ifindex);
	nl_socket_free(socket);
	return mtu;
}

static int subscribe(struct underlay *underlay, struct event_base *base)
{
	int error = netlink_open(underlay->namespaces, namespaces_own(underlay->namespaces),
				 &underlay->socket);

	if (error < 0)
		return error;
	error = netlink_error(
		nl_socket_add_memberships(underlay->socket, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, 0));
	if (error < 0)
		return error;
	underlay->readable = event_new(base, nl_socket_get_fd(underlay->socket),
				       EV_READ | EV_PERSIST, on_readable, underlay);
	underlay->settled = evtimer_new(base, on_settled, underlay);
	if (underlay->readable == NULL || underlay->settled == NULL ||
	    event_add(underlay->readable, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/* Only that something changed counts: what is there now is asked for afterwards, even after an
 * overrun. */
static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct underlay *underlay = context;
	char ignored[4096];

	(void)what;
	while (recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT | MSG_TRUNC) > 0)
		;
	if (!evtimer_pending(underlay->settled, NULL))
		evtimer_add(underlay->settled, &settle_time);
}

static void on_settled(evutil_socket_t fd, short what, void *context)
{
	struct underlay *underlay = context;

	(void)fd;
	(void)what;
	underlay->changed(underlay->context);
}

static int find_interface(struct nl_sock *socket, const struct proto_addr *local)
{
	struct nl_cache *cache;
	struct nl_object *object;
	int ifindex = 0;

	if (rtnl_addr_alloc_cache(socket, &cache) < 0)
		return 0;
	for (object = nl_cache_get_first(cache); object != NULL && ifindex == 0;
	     object = nl_cache_get_next(object)) {
		struct rtnl_addr *address = (struct rtnl_addr *)object;
		struct nl_addr *ip = rtnl_addr_get_local(address);
		unsigned int size = local->family == AF_INET ? 4 : 16;

		if (ip != NULL && nl_addr_get_family(ip) == local->family &&
		    nl_addr_get_len(ip) == size &&
		    memcmp(nl_addr_get_binary_addr(ip), local->bytes, size) == 0)
			ifindex = rtnl_addr_get_ifindex(address);
	}
	nl_cache_free(cache);
	return ifindex;
}

static uint32_t read_mtu(struct nl_sock *socket, int ifindex)
{
	struct rtnl_link *link;
	uint32_t mtu = 0;

	if (rtnl_link_get_kernel(socket, ifindex, NULL, &link) < 0)
		return 0;
	if ((rtnl_link_get_flags(link) & IFF_LOOPBACK) == 0)
		mtu = rtnl_link_get_mtu(link);
	rtnl_link_put(link);
	return mtu;
}
