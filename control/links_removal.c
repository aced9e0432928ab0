/* SPDX-License-Identifier: Apache-2.0 */
#include "control/links_removal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/links_internal.h"
#include "control/namespaces.h"
#include "control/netlink.h"
#include "control/reaper.h"

static int find_interface(struct links *links, const struct links_port *port,
			  const struct links_queues *queues, char ifname[ADDR_IFNAME_SIZE]);
static int draw_group(struct links_removal *removal);
static int find_place(struct links_removal *removal, struct links *links, int netns,
		      struct nl_sock **socket);
static int put_into_group(struct links_removal *removal, struct links *links,
			  struct nl_sock *socket, const char *ifname, const struct proto_ref *ref);

int links_removal_add(struct links_removal *removal, struct links *links,
		      const struct links_port *port, const struct links_queues *queues)
{
	char ifname[ADDR_IFNAME_SIZE];
	int netns = find_interface(links, port, queues, ifname);
	struct nl_sock *socket = NULL;
	int error;

	if (netns < 0)
		return netns == -ENOENT ? 0 : netns;
	error = draw_group(removal);
	if (error == 0)
		error = find_place(removal, links, netns, &socket);
	if (error == 0)
		error = put_into_group(removal, links, socket, ifname, &port->ref);
	close(netns);
	return error == -ENODEV ? 0 : error;
}

void links_removal_start(struct links_removal *removal, struct reaper *reaper)
{
	uint32_t i;

	for (i = 0; i < removal->count; i++)
		reaper_delete(reaper, removal->places[i].socket, removal->group);
	free(removal->places);
	*removal = (struct links_removal){0};
}

/* Returns the namespace, which the caller closes, or a negative errno. */
static int find_interface(struct links *links, const struct links_port *port,
			  const struct links_queues *queues, char ifname[ADDR_IFNAME_SIZE])
{
	int netns;

	if (port->type == MODEL_PORT_VETH) {
		snprintf(ifname, ADDR_IFNAME_SIZE, LINKS_OUR_END "%" PRIu32, port->ref.index);
		netns = dup(namespaces_private(links->namespaces));
		return netns < 0 ? -errno : netns;
	}
	if (port->type != MODEL_PORT_TAP)
		return -EOPNOTSUPP;
	netns = queues->count == 0 ? -1 : links_tap_find(queues->fds[0], ifname);
	if (netns >= 0)
		return netns;
	snprintf(ifname, ADDR_IFNAME_SIZE, "%s", port->ifname);
	return namespaces_open(links->namespaces, port->netns);
}

/* Group 0 is where every interface is that nobody put elsewhere. */
static int draw_group(struct links_removal *removal)
{
	while (removal->group == 0)
		if (getrandom(&removal->group, sizeof(removal->group), 0) < 0)
			return -errno;
	return 0;
}

static int find_place(struct links_removal *removal, struct links *links, int netns,
		      struct nl_sock **socket)
{
	struct links_removal_place *places, *place;
	struct stat status;
	uint32_t i;
	int error;

	if (fstat(netns, &status) < 0)
		return -errno;
	for (i = 0; i < removal->count; i++) {
		place = &removal->places[i];
		if (place->device == status.st_dev && place->inode == status.st_ino) {
			*socket = place->socket;
			return 0;
		}
	}
	places = reallocarray(removal->places, removal->count + 1, sizeof(*places));
	if (places == NULL)
		return -ENOMEM;
	removal->places = places;
	place = &places[removal->count];
	error = netlink_open(links->namespaces, netns, &place->socket);
	if (error < 0)
		return error;
	place->device = status.st_dev;
	place->inode = status.st_ino;
	removal->count++;
	*socket = place->socket;
	return 0;
}

/* Only what carries the port's alias: nobody else's interface is ever put into the group. */
static int put_into_group(struct links_removal *removal, struct links *links,
			  struct nl_sock *socket, const char *ifname, const struct proto_ref *ref)
{
	struct rtnl_link *link, *change;
	struct proto_ref found;
	int error = netlink_link(socket, ifname, &link);

	if (error < 0)
		return error;
	error = -ENODEV;
	if (links_alias_read(links, link, &found) && found.index == ref->index &&
	    found.incarnation == ref->incarnation) {
		error = -ENOMEM;
		change = rtnl_link_alloc();
		if (change != NULL) {
			rtnl_link_set_group(change, removal->group);
			error = netlink_error(rtnl_link_change(socket, link, change, 0));
			rtnl_link_put(change);
		}
	}
	rtnl_link_put(link);
	return error;
}
