/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <netlink/cache.h>
#include <string.h>
#include <unistd.h>

#include "control/links_internal.h"
#include "control/links_netdev.h"
#include "control/namespaces.h"
#include "control/netlink.h"

struct sweep {
	struct links *links;
	bool (*keep)(void *context, const struct proto_ref *ref, int netns, const char *ifname);
	bool (*keep_adopted)(void *context, int netns, const char *ifname);
	void *context;
};

static void sweep_named(const struct sweep *sweep);
static void sweep_one(const struct sweep *sweep, int netns, bool private);
static bool is_remnant(const struct sweep *sweep, struct rtnl_link *link, int netns, bool private);

void links_sweep(struct links *links,
		 bool (*keep)(void *context, const struct proto_ref *ref, int netns,
			      const char *ifname),
		 bool (*keep_adopted)(void *context, int netns, const char *ifname), void *context)
{
	const struct sweep sweep = {links, keep, keep_adopted, context};

	sweep_one(&sweep, namespaces_private(links->namespaces), true);
	sweep_one(&sweep, namespaces_own(links->namespaces), false);
	sweep_named(&sweep);
}

static void sweep_named(const struct sweep *sweep)
{
	DIR *directory = opendir("/run/netns");
	struct dirent *entry;

	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL) {
		int netns;

		if (entry->d_name[0] == '.')
			continue;
		netns = namespaces_open(sweep->links->namespaces, entry->d_name);
		if (netns < 0)
			continue;
		sweep_one(sweep, netns, false);
		close(netns);
	}
	closedir(directory);
}

static void sweep_one(const struct sweep *sweep, int netns, bool private)
{
	struct nl_sock *socket;
	struct nl_cache *cache;
	struct nl_object *object, *next;

	if (netlink_open(sweep->links->namespaces, netns, &socket) < 0)
		return;
	if (rtnl_link_alloc_cache(socket, AF_UNSPEC, &cache) == 0) {
		for (object = nl_cache_get_first(cache); object != NULL; object = next) {
			struct rtnl_link *link = (struct rtnl_link *)object;

			next = nl_cache_get_next(object);
			if (is_remnant(sweep, link, netns, private))
				(void)rtnl_link_delete(socket, link);
		}
		nl_cache_free(cache);
	}
	nl_socket_free(socket);
	if (!private)
		links_netdev_sweep(sweep->links, netns, sweep->keep_adopted, sweep->context);
}

/* In the private namespace what has such a name is ours, with or without an alias. */
static bool is_remnant(const struct sweep *sweep, struct rtnl_link *link, int netns, bool private)
{
	const char *ifname = rtnl_link_get_name(link);
	struct proto_ref ref;
	bool labelled = links_alias_read(sweep->links, link, &ref);

	if (ifname == NULL || strcmp(ifname, "lo") == 0)
		return false;
	if (private && strncmp(ifname, LINKS_TEMPORARY, strlen(LINKS_TEMPORARY)) == 0)
		return true;
	if (!labelled)
		return private && strncmp(ifname, LINKS_OUR_END, strlen(LINKS_OUR_END)) == 0;
	return !sweep->keep(sweep->context, &ref, netns, private ? NULL : ifname);
}
