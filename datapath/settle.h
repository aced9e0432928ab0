/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_SETTLE_H
#define VSWITCH_DATAPATH_SETTLE_H

/*
 * What hangs on a configuration and follows it at a commit (transaction.c, which
 * calls these in the order that matters): the shared memories, workers' queues,
 * gates, counters and the FDB. Main thread only.
 */

#include "datapath/transaction.h"

/* Takes a memory. Returns 0, or -EPROTO for what is not sealed, too small or unknown. */
int settle_memory(struct switch_state *state, struct channel_message *message);
/* Takes descriptors to hold. Returns 0 or -EPROTO. */
int settle_hold(struct switch_state *state, struct channel_message *message);
/* Flushes learned entries. Returns 0. */
int settle_flush(struct switch_state *state, struct channel_message *message);

/* Before the first commit: takes over FDB and counters, and starts the workers. */
int settle_first(struct switch_state *state, const struct config *config);

/* Whether an index that workers count under becomes another object's at once. */
bool settle_reuses(const struct config *former, const struct config *config);
/* Zeroes the counters of every object that is new; workers do not count under its index. */
void settle_counters(struct switch_state *state, const struct config *former,
		     const struct config *config);
/* Opens the gates of every tenant and port that is gone. */
void settle_gates(struct switch_state *state, const struct config *former,
		  const struct config *config);
/* Takes queues from the workers whose port is gone or has other descriptors. */
void settle_queues_removed(struct switch_state *state, const struct config *former,
			   const struct config *config);
/* Gives the workers the queues that are new. */
void settle_queues_added(struct switch_state *state, const struct config *config);
/* Removes what does not fit the configuration any more; with whole, every static entry too. */
void settle_fdb(struct switch_state *state, const struct config *former,
		const struct config *config, bool whole);

#endif
