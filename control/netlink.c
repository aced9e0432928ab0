/* SPDX-License-Identifier: Apache-2.0 */
#include "control/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>

#include "control/namespaces.h"

static int connect_here(void *context);

int netlink_open(const struct namespaces *namespaces, int netns, struct nl_sock **socket)
{
	struct nl_sock *made = nl_socket_alloc();
	int error;

	if (made == NULL)
		return -ENOMEM;
	error = namespaces_run(namespaces, netns, connect_here, made);
	if (error < 0) {
		nl_socket_free(made);
		return error;
	}
	*socket = made;
	return 0;
}

int netlink_error(int result)
{
	static const struct {
		int nle, error;
	} table[] = {
		{NLE_EXIST, EEXIST},	     {NLE_OBJ_NOTFOUND, ENOENT},
		{NLE_NODEV, ENODEV},	     {NLE_NOMEM, ENOMEM},
		{NLE_PERM, EPERM},	     {NLE_NOACCESS, EACCES},
		{NLE_BUSY, EBUSY},	     {NLE_INVAL, EINVAL},
		{NLE_RANGE, ERANGE},	     {NLE_OPNOTSUPP, EOPNOTSUPP},
		{NLE_NOADDR, EADDRNOTAVAIL}, {NLE_AF_NOSUPPORT, EAFNOSUPPORT},
		{NLE_AGAIN, EAGAIN},	     {NLE_INTR, EINTR},
	};
	size_t i;

	if (result >= 0)
		return 0;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].nle == -result)
			return -table[i].error;
	return -EIO;
}

int netlink_link(struct nl_sock *socket, const char *ifname, struct rtnl_link **link)
{
	int error = netlink_error(rtnl_link_get_kernel(socket, 0, ifname, link));

	return error == -ENOENT ? -ENODEV : error;
}

static int connect_here(void *context)
{
	return netlink_error(nl_connect(context, NETLINK_ROUTE));
}
