/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_FAKE_RECONCILE_H
#define VSWITCH_TESTS_FAKE_RECONCILE_H

/*
 * A reconciler (control/reconcile.h) that changes nothing in the world: it
 * notes what it is told, and says what a test told it to say.
 */

#include "common/fdb_layout.h"
#include "common/stats_layout.h"
#include "control/reconcile.h"

#define FAKE_CHANGES_MAX 64

struct reconcile {
	uint32_t apply_count;  /* calls */
	uint32_t change_count; /* in the last call, of which the first are kept */
	struct model_change changes[FAKE_CHANGES_MAX];
	uint64_t generation_seen; /* of the model, when the last changes came */
	const struct model *model;
	const char *taken_ifname; /* reconcile_check_port() refuses it */
	struct reconcile_status status;
	enum reconcile_port_state port_state;
	const char *port_reason;
	int flush_result;
	uint32_t flush_count;
	struct proto_fdb_flush flush;
	struct stats_memory *stats; /* made by fake_reconcile_memories() */
	struct fdb_memory *fdb;
};

/* Maps sparse memories, which reconcile_free() unmaps. */
void fake_reconcile_memories(struct reconcile *reconcile);

#endif
