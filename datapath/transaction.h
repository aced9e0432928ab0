/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_TRANSACTION_H
#define VSWITCH_DATAPATH_TRANSACTION_H

/*
 * The switch as its main thread sees it: shared memories, workers and the
 * committed configuration, and the transaction that changes it. Messages of
 * the control protocol (common/proto.h) edit a configuration that nobody else
 * sees; COMMIT checks it, publishes it to the workers and settles what hangs
 * on it: queues, rates, counters and the FDB. Main thread only.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/channel.h"
#include "datapath/worker.h"

#define SWITCH_HOLDS_MAX 16u
#define SWITCH_HOLD_FDS	 8u

struct switch_hold {
	uint32_t key;
	uint32_t fd_count; /* 0: the place is free */
	int fds[SWITCH_HOLD_FDS];
};

/* Limits that take effect with the commit. */
struct staged_limits {
	enum shaper_kind kind;
	uint32_t index;
	struct shaper_limits limits;
};

/* An edit of the FDB that takes effect with the commit. */
struct staged_entry {
	uint64_t key;
	uint32_t destination;
	bool removed;
};

struct transaction {
	struct config *config; /* NULL: none has begun */
	uint64_t generation;
	bool whole; /* base 0 */
	int error;  /* the first that was made; a negative errno */
	char text[PROTO_TEXT_SIZE];
	struct staged_limits *limits;
	uint32_t limits_count, limits_room;
	struct proto_host host; /* what there is to divide */
	bool host_given;
	struct staged_entry *entries;
	uint32_t entry_count, entry_room;
};

struct switch_state {
	struct worker_shared shared;
	struct config *config; /* committed, published as shared.config; NULL before the first */
	struct worker *workers[STATS_WORKERS];
	unsigned worker_count;
	int stats_fd, fdb_fd; /* -1: not given yet */
	void *fdb_memory;
	size_t fdb_size;
	struct switch_hold holds[SWITCH_HOLDS_MAX];
	struct transaction transaction;
	bool restarts;			    /* something starts the datapath again when it ends */
	const struct proto_device *devices; /* that it was to open when it started */
	uint32_t device_count;
};

/* Prepares a switch without memories, whose workers start with them. Returns 0 or a negative errno.
 */
int switch_init(struct switch_state *state, unsigned worker_count);
/* Stops the workers and lets go of everything. */
void switch_fini(struct switch_state *state);

/*
 * Takes one message from the control daemon, and its descriptors. Returns 1 when *reply is to be
 * sent, 0, or -EPROTO when the message has no business here.
 */
int switch_message(struct switch_state *state, struct channel_message *message,
		   struct proto_reply *reply);
/* Whether the transaction, whose entries have been set, sets this static entry. */
bool transaction_sets(const struct transaction *transaction, uint64_t key, uint32_t destination);
/* Forgets a transaction that has not been committed: the control daemon is gone. */
void switch_abort(struct switch_state *state);

/* Ages a part of the FDB; called once a second. */
void switch_age(struct switch_state *state);

/* Published so that tests can drive it without messages: commits what the transaction holds. */
void transaction_begin(struct switch_state *state, uint64_t generation, uint64_t base);
int transaction_commit(struct switch_state *state, uint64_t generation);

#endif
