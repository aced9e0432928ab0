/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_STORE_INTERNAL_H
#define VSWITCH_CONTROL_STORE_INTERNAL_H

/*
 * What store.c (the file), store_write.c (rows out) and store_load.c (rows
 * in) share; nobody else includes it.
 */

#include <sqlite3.h>

#include "control/store.h"

#define STORE_VERSION 1

enum store_statement {
	STORE_BEGIN,
	STORE_COMMIT,
	STORE_ROLLBACK,
	STORE_COUNTER_PUT,
	STORE_HOST_PUT,
	STORE_VTEP_PUT,
	STORE_VTEP_DEL,
	STORE_TENANT_PUT,
	STORE_TENANT_DEL,
	STORE_SEGMENT_PUT,
	STORE_SEGMENT_DEL,
	STORE_PORT_PUT,
	STORE_PORT_DEL,
	STORE_PEER_PUT,
	STORE_PEER_DEL,
	STORE_FDB_PUT,
	STORE_FDB_DEL,
	STORE_STATEMENT_COUNT
};

struct store {
	sqlite3 *database;
	sqlite3_stmt *statements[STORE_STATEMENT_COUNT];
	int lock_fd;
};

/* Runs a statement whose parameters are bound, and forgets them. Returns 0 or -EIO. */
int store_run(struct store *store, enum store_statement which);
/* The negative errno for SQLite's last error. */
int store_error(const struct store *store);
/* Writes or deletes the row of what a change touched. Returns 0 or -EIO. */
int store_write(struct store *store, const struct model *model, const struct model_change *change);

#endif
