/* SPDX-License-Identifier: Apache-2.0 */
#include "control/link_watch.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/netlink.h"

#define MESSAGE_SIZE 16384

struct link_watch {
	struct nl_sock *socket;
	struct event *readable;
	void (*changed)(void *, const struct link_watch_event *);
	void *context;
};

static int subscribe(struct link_watch *watch, struct event_base *base,
		     const struct namespaces *namespaces, int netns);
static void on_readable(evutil_socket_t fd, short what, void *context);
static void look_through(struct link_watch *watch, struct nlmsghdr *message, int size);

int link_watch_new(struct link_watch **watch, struct event_base *base,
		   const struct namespaces *namespaces, int netns,
		   void (*changed)(void *context, const struct link_watch_event *event),
		   void *context)
{
	struct link_watch *made = calloc(1, sizeof(*made));
	int error;

	if (made == NULL)
		return -ENOMEM;
	made->changed = changed;
	made->context = context;
	error = subscribe(made, base, namespaces, netns);
	if (error < 0) {
		link_watch_free(made);
		return error;
	}
	*watch = made;
	return 0;
}

void link_watch_free(struct link_watch *watch)
{
	if (watch == NULL)
		return;
	if (watch->readable != NULL)
		event_free(watch->readable);
	nl_socket_free(watch->socket);
	free(watch);
}

static int subscribe(struct link_watch *watch, struct event_base *base,
		     const struct namespaces *namespaces, int netns)
{
	int error = netlink_open(namespaces, netns, &watch->socket);

	if (error < 0)
		return error;
	error = netlink_error(nl_socket_add_memberships(watch->socket, RTNLGRP_LINK, 0));
	if (error < 0)
		return error;
	watch->readable = event_new(base, nl_socket_get_fd(watch->socket), EV_READ | EV_PERSIST,
				    on_readable, watch);
	return watch->readable == NULL || event_add(watch->readable, NULL) < 0 ? -ENOMEM : 0;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	_Alignas(struct nlmsghdr) char message[MESSAGE_SIZE];
	struct link_watch *watch = context;
	ssize_t size;

	(void)what;
	while ((size = recv(fd, message, sizeof(message), MSG_DONTWAIT)) > 0)
		look_through(watch, (struct nlmsghdr *)message, (int)size);
	if (size < 0 && errno == ENOBUFS)
		watch->changed(watch->context, NULL);
}

static void look_through(struct link_watch *watch, struct nlmsghdr *message, int size)
{
	for (; nlmsg_ok(message, size); message = nlmsg_next(message, &size)) {
		const struct ifinfomsg *info = nlmsg_data(message);
		struct link_watch_event event;
		struct nlattr *name;

		if ((message->nlmsg_type != RTM_DELLINK && message->nlmsg_type != RTM_NEWLINK) ||
		    message->nlmsg_len < NLMSG_LENGTH(sizeof(*info)) ||
		    info->ifi_family != AF_UNSPEC) /* a bridge tells of its ports in the same way */
			continue;
		name = nlmsg_find_attr(message, sizeof(*info), IFLA_IFNAME);
		if (name == NULL)
			continue;
		event.ifname = nla_get_string(name);
		event.ifindex = (uint32_t)info->ifi_index;
		event.gone = message->nlmsg_type == RTM_DELLINK;
		watch->changed(watch->context, &event);
	}
}
