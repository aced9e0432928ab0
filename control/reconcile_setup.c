/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "control/namespaces.h"
#include "control/reconcile_internal.h"

#define INSTANCE_FILE "instance"

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
	char path[4096], text[17] = "";
	int fd, error = 0;

	if ((size_t)snprintf(path, sizeof(path), "%s/" INSTANCE_FILE, state_dir) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (read(fd, text, 16) == 16 && sscanf(text, "%16" SCNx64, instance) == 1)
		goto close_fd;
	if (getrandom(instance, sizeof(*instance), 0) != sizeof(*instance)) {
		error = -EIO;
		goto close_fd;
	}
	snprintf(text, sizeof(text), "%016" PRIx64, *instance);
	if (pwrite(fd, text, 16, 0) != 16 || fsync(fd) < 0)
		error = -EIO;
close_fd:
	close(fd);
	return error;
}

void reconcile_sweep(struct reconcile *reconcile)
{
	links_sweep(reconcile->links, is_wanted, reconcile);
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
