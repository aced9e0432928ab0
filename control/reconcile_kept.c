/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "common/log.h"
#include "control/fd_store.h"
#include "control/namespaces.h"
#include "control/reconcile_internal.h"

/*
 * TAPs are not among these: they are persistent, and are attached again. The ends of veths live as
 * long as the private namespace, and the sockets on them are opened anew.
 */
#define NAMESPACE_NAME "namespace"
static const char *const memory_names[] = {
	[PROTO_MEMORY_STATS - 1] = "counters",
	[PROTO_MEMORY_FDB - 1] = "fdb",
};

static void take_namespace(struct reconcile *reconcile, int fd);

/* Checked as what a datapath hands back: a manager may return what another version kept. */
void reconcile_kept_take(struct reconcile *reconcile)
{
	uint32_t kind;
	int fd = fd_store_take(reconcile->fd_store, NAMESPACE_NAME);

	if (fd >= 0)
		take_namespace(reconcile, fd);
	for (kind = PROTO_MEMORY_STATS; kind <= PROTO_MEMORY_FDB; kind++) {
		fd = fd_store_take(reconcile->fd_store, memory_names[kind - 1]);
		if (fd < 0 || memory_take(&reconcile->memories[kind - 1], kind, fd) == 0)
			continue;
		log_warning("the service manager kept a memory that is not one");
		close(fd);
	}
}

void reconcile_kept_put(struct reconcile *reconcile)
{
	uint32_t kind;

	fd_store_put(reconcile->fd_store, NAMESPACE_NAME,
		     namespaces_private(reconcile->namespaces));
	for (kind = PROTO_MEMORY_STATS; kind <= PROTO_MEMORY_FDB; kind++)
		fd_store_put(reconcile->fd_store, memory_names[kind - 1],
			     reconcile->memories[kind - 1].fd);
}

static void take_namespace(struct reconcile *reconcile, int fd)
{
	if (namespaces_take_private(reconcile->namespaces, fd) < 0) {
		log_warning("the service manager kept a namespace that is not one");
		close(fd);
	} else if (!links_private_is_ours(reconcile->links, fd)) {
		log_warning("the service manager kept a namespace that is not this switch's");
		namespaces_drop_private(reconcile->namespaces);
	}
}
