/* SPDX-License-Identifier: Apache-2.0 */
#include "control/access.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int peer_groups(int fd, gid_t **groups, size_t *count);
static bool group_find(const char *name, gid_t *gid);
static bool in_group(const char *name, gid_t own, const gid_t *groups, size_t count);

unsigned access_rights(int fd, const char *change_group, const char *read_group)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	gid_t *groups = NULL;
	size_t count = 0;
	unsigned rights = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return 0;
	if (peer.uid == 0 || peer.uid == geteuid())
		return ACCESS_READ | ACCESS_CHANGE;
	if (peer_groups(fd, &groups, &count) < 0)
		return 0;
	if (in_group(change_group, peer.gid, groups, count))
		rights = ACCESS_READ | ACCESS_CHANGE;
	else if (in_group(read_group, peer.gid, groups, count))
		rights = ACCESS_READ;
	free(groups);
	return rights;
}

/* Asked without room, the kernel says how much it needs; the groups of a connection never change.
 */
static int peer_groups(int fd, gid_t **groups, size_t *count)
{
	socklen_t size = 0;
	gid_t *list;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0 && errno != ERANGE)
		return -errno;
	list = malloc(size + sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	if (size != 0 && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &size) < 0) {
		free(list);
		return -EIO;
	}
	*groups = list;
	*count = size / sizeof(*list);
	return 0;
}

static bool group_find(const char *name, gid_t *gid)
{
	struct group group, *found = NULL;
	size_t size = 4096;
	char *buffer = malloc(size), *grown;
	int error = ERANGE;

	/* A group of many members needs more room; a megabyte is beyond any. */
	while (buffer != NULL && size <= 1024 * 1024) {
		error = getgrnam_r(name, &group, buffer, size, &found);
		if (error != ERANGE)
			break;
		size *= 4;
		grown = realloc(buffer, size);
		if (grown == NULL)
			break;
		buffer = grown;
	}
	if (error == 0 && found != NULL)
		*gid = group.gr_gid;
	free(buffer);
	return error == 0 && found != NULL;
}

static bool in_group(const char *name, gid_t own, const gid_t *groups, size_t count)
{
	gid_t gid;

	if (!group_find(name, &gid))
		return false;
	if (own == gid)
		return true;
	for (size_t i = 0; i < count; i++) {
		if (groups[i] == gid)
			return true;
	}
	return false;
}
