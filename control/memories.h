/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_MEMORIES_H
#define VSWITCH_CONTROL_MEMORIES_H

/*
 * The memories that the datapath writes and the control daemon reads: counters
 * (stats_layout.h) and forwarding database (fdb_layout.h). Made here as
 * memfds and sealed against resizing, since a shrunk memfd kills its reader.
 * Called by reconcile on the control daemon's one thread.
 */

#include <stddef.h>

#include "common/proto.h"

struct memory {
	int fd;		 /* -1: none */
	const void *map; /* NULL: none */
	size_t size;	 /* octets */
};

/* Makes an empty memory of this kind, sealed and mapped. Returns 0 or a negative errno. */
int memory_make(struct memory *memory, enum proto_memory_kind kind);
/*
 * Takes over a descriptor that the datapath handed back: a memfd of at least the right size,
 * sealed. Returns 0 and owns the descriptor, -EINVAL for what is none such, or another negative
 * errno.
 */
int memory_take(struct memory *memory, enum proto_memory_kind kind, int fd);
/* Unmaps and closes what is there. */
void memory_fini(struct memory *memory);

#endif
