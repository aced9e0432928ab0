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
#define FAKE_SEEN_MAC	 "06:00:00:00:00:07"
#define FAKE_SEEN_MTU	 1400

struct reconcile {
	uint32_t apply_count;  /* calls */
	uint32_t change_count; /* in the last call, of which the first are kept */
	struct model_change changes[FAKE_CHANGES_MAX];
	uint64_t generation_seen; /* of the model, when the last changes came */
	const struct model *model;
	const char *taken_ifname; /* reconcile_check_port() refuses it */
	int taken_error;	  /* with this; 0: -EEXIST */
	bool seen;		  /* adopted interfaces are there, as FAKE_SEEN_ says */
	const char *bad_file;	  /* reconcile_check_captures() refuses it as a file to read */
	const char *absent_netns; /* reconcile_check_place() says that ports would wait for it */
	const char *no_netns;	  /* it says that this is no network namespace */
	struct reconcile_status status;
	enum reconcile_port_state port_state;
	const char *port_reason;
	const char *vtep_reason; /* NULL: it is up */
	int flush_result;
	uint32_t flush_count;
	struct proto_fdb_flush flush;
	struct stats_memory *stats; /* made by fake_reconcile_memories() */
	struct fdb_memory *fdb;
};

/* Maps sparse memories, which reconcile_free() unmaps. */
void fake_reconcile_memories(struct reconcile *reconcile);

#endif
