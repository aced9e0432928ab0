/* SPDX-License-Identifier: Apache-2.0 */

/* What an interface's queues are to its kernel, beyond their descriptors. */

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/links_internal.h"
#include "control/netlink.h"

static int read_count(struct nl_msg *message, void *context);

void links_queues_close(struct links_queues *queues)
{
	while (queues->count > 0)
		close(queues->fds[--queues->count]);
}

uint32_t links_queues_held(struct links *links, int netns, const char *ifname)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
	struct nl_sock *socket;
	struct nl_msg *message;
	uint32_t count = 0;

	if (netlink_open(links->namespaces, netns, &socket) < 0)
		return 0;
	message = nlmsg_alloc_simple(RTM_GETLINK, 0);
	if (message != NULL && nlmsg_append(message, &header, sizeof(header), NLMSG_ALIGNTO) == 0 &&
	    nla_put_string(message, IFLA_IFNAME, ifname) == 0 &&
	    nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, read_count, &count) == 0 &&
	    nl_send_auto(socket, message) >= 0)
		(void)nl_recvmsgs_default(socket);
	nlmsg_free(message);
	nl_socket_free(socket);
	return count;
}

int links_queues_make_cheap(struct nl_sock *socket, const char *ifname)
{
	struct rtnl_link *link;
	struct rtnl_qdisc *qdisc;
	int error = netlink_link(socket, ifname, &link);

	if (error < 0)
		return error;
	error = -ENOMEM;
	qdisc = rtnl_qdisc_alloc();
	if (qdisc != NULL) {
		rtnl_tc_set_link(TC_CAST(qdisc), link);
		rtnl_tc_set_parent(TC_CAST(qdisc), TC_H_ROOT);
		error = netlink_error(rtnl_tc_set_kind(TC_CAST(qdisc), "noqueue"));
		if (error == 0)
			error = netlink_error(
				rtnl_qdisc_add(socket, qdisc, NLM_F_CREATE | NLM_F_REPLACE));
		rtnl_qdisc_put(qdisc);
	}
	rtnl_link_put(link);
	return error;
}

/* libnl's own link knows nothing of what is particular to a TAP. */
static int read_count(struct nl_msg *message, void *context)
{
	struct nlattr *link[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1], *tun[IFLA_TUN_MAX + 1];
	uint32_t *count = context;

	if (nlmsg_parse(nlmsg_hdr(message), sizeof(struct ifinfomsg), link, IFLA_MAX, NULL) == 0 &&
	    link[IFLA_LINKINFO] != NULL &&
	    nla_parse_nested(info, IFLA_INFO_MAX, link[IFLA_LINKINFO], NULL) == 0 &&
	    info[IFLA_INFO_DATA] != NULL &&
	    nla_parse_nested(tun, IFLA_TUN_MAX, info[IFLA_INFO_DATA], NULL) == 0 &&
	    tun[IFLA_TUN_NUM_QUEUES] != NULL)
		*count = nla_get_u32(tun[IFLA_TUN_NUM_QUEUES]);
	return NL_OK;
}
