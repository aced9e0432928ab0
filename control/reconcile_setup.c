/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "control/link_watch.h"
#include "control/namespaces.h"
#include "control/reconcile_internal.h"

#define INSTANCE_FILE "instance"

static void on_private_link(void *context, const struct link_watch_event *event);
static bool is_wanted(void *context, const struct proto_ref *ref, int netns, const char *ifname);

int reconcile_prepare(struct reconcile *reconcile)
{
	int kind, error = 0;

	for (kind = PROTO_MEMORY_STATS; kind <= PROTO_MEMORY_FDB && error == 0; kind++)
		if (reconcile->memories[kind - 1].fd < 0)
			error = memory_make(&reconcile->memories[kind - 1], kind);
	if (error == 0 && namespaces_private(reconcile->namespaces) < 0) {
		error = namespaces_make_private(reconcile->namespaces);
		if (error == 0)
			error = links_mark_private(reconcile->links);
		if (error < 0)
			namespaces_drop_private(reconcile->namespaces);
	}
	if (error == 0 && reconcile->link_watch == NULL)
		error = link_watch_new(
			&reconcile->link_watch, reconcile->base, reconcile->namespaces,
			namespaces_private(reconcile->namespaces), on_private_link, reconcile);
	if (error == 0)
		reconcile_kept_put(reconcile);
	if (error == 0)
		reconcile_problem(reconcile->setup_problem, NULL);
	else
		reconcile_problem(
			reconcile->setup_problem,
			"the switch's private network namespace or memory cannot be made: %s",
			strerror(-error));
	return error;
}

/* The number that marks this switch's interfaces: drawn once, and kept with the state. */
int reconcile_read_instance(const char *state_dir, uint64_t *instance)
{
	char path[4096], text[17] = "", *end;
	uint64_t drawn;
	int fd, error = 0;

	if ((size_t)snprintf(path, sizeof(path), "%s/" INSTANCE_FILE, state_dir) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (read(fd, text, 16) == 16) {
		drawn = strtoull(text, &end, 16);
		if (*end == '\0')
			goto found;
	}
	if (getrandom(&drawn, sizeof(drawn), 0) != sizeof(drawn)) {
		error = -EIO;
		goto close_fd;
	}
	snprintf(text, sizeof(text), "%016" PRIx64, drawn);
	if (pwrite(fd, text, 16, 0) != 16 || fsync(fd) < 0) {
		error = -EIO;
		goto close_fd;
	}
found:
	*instance = drawn;
close_fd:
	close(fd);
	return error;
}

void reconcile_sweep(struct reconcile *reconcile)
{
	links_sweep(reconcile->links, is_wanted, reconcile_netdev_wants, reconcile);
	reconcile_netdev_sweep(reconcile);
}

/* Asked about an interface that carries our mark: whether a port wants it there. */
static bool is_wanted(void *context, const struct proto_ref *ref, int netns, const char *ifname)
{
	const struct reconcile *reconcile = context;
	const struct model_port *port = model_port_by_index(reconcile->model, ref->index);
	bool same;
	int place;

	if (port == NULL || port->ref.incarnation != ref->incarnation)
		return false;
	if (ifname == NULL)
		return port->type == MODEL_PORT_VETH;
	if (strcmp(port->ifname, ifname) != 0)
		return false;
	place = namespaces_open(reconcile->namespaces, port->netns);
	if (place < 0)
		return false;
	same = namespaces_same(place, netns);
	close(place);
	return same;
}

static void on_private_link(void *context, const struct link_watch_event *event)
{
	uint32_t index;

	if (event == NULL)
		reconcile_port_gone(context, PROTO_NO_INDEX);
	else if (event->gone && links_our_end(event->ifname, &index))
		reconcile_port_gone(context, index);
}
