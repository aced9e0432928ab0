/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_NETLINK_H
#define VSWITCH_CONTROL_NETLINK_H

/*
 * libnl sockets inside a given network namespace, and libnl's errors as errno.
 * Called by links and underlay on the control daemon's one thread.
 */

#include <netlink/route/link.h>
#include <netlink/socket.h>

struct namespaces;

/*
 * Opens a NETLINK_ROUTE socket inside the namespace. Like a descriptor of the namespace it keeps
 * the namespace alive: the caller frees it soon (nl_socket_free). Returns 0 or a negative errno.
 */
int netlink_open(const struct namespaces *namespaces, int netns, struct nl_sock **socket);
/* A libnl result as 0 or a negative errno. */
int netlink_error(int result);
/* The interface of this name; the caller puts it back (rtnl_link_put). Returns 0, -ENODEV, ... */
int netlink_link(struct nl_sock *socket, const char *ifname, struct rtnl_link **link);

#endif
