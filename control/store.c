/* SPDX-License-Identifier: Apache-2.0 */
#include "control/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/json_object.h"
#include "control/model_edit.h"
#include "control/store_internal.h"

/*
 * Attributes are kept as the JSON that the API takes, so that an attribute is described in one
 * place; what decides identity has columns of its own. A name is unique within its owner by the
 * schema too, so that no mistake here can store what cannot be loaded.
 */
static const char schema[] =
	"CREATE TABLE counter(one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER NOT NULL,"
	" incarnation INTEGER NOT NULL) STRICT;"
	"INSERT INTO counter VALUES(1, 1, 0);"
	"CREATE TABLE host(one INTEGER PRIMARY KEY CHECK (one = 1), attributes TEXT NOT NULL) "
	"STRICT;"
	"CREATE TABLE vtep(incarnation INTEGER PRIMARY KEY, idx INTEGER NOT NULL,"
	" attributes TEXT NOT NULL) STRICT;"
	"CREATE TABLE tenant(incarnation INTEGER PRIMARY KEY, idx INTEGER NOT NULL UNIQUE,"
	" name TEXT NOT NULL UNIQUE, attributes TEXT NOT NULL) STRICT;"
	"CREATE TABLE segment(incarnation INTEGER PRIMARY KEY, idx INTEGER NOT NULL UNIQUE,"
	" tenant INTEGER NOT NULL, name TEXT NOT NULL, attributes TEXT NOT NULL,"
	" UNIQUE(tenant, name)) STRICT;"
	"CREATE TABLE port(incarnation INTEGER PRIMARY KEY, idx INTEGER NOT NULL UNIQUE,"
	" tenant INTEGER NOT NULL, name TEXT NOT NULL, mac TEXT NOT NULL, attributes TEXT NOT NULL,"
	" UNIQUE(tenant, name)) STRICT;"
	"CREATE TABLE peer(incarnation INTEGER PRIMARY KEY, idx INTEGER NOT NULL UNIQUE,"
	" address TEXT NOT NULL UNIQUE) STRICT;"
	"CREATE TABLE fdb(segment INTEGER NOT NULL, mac TEXT NOT NULL, attributes TEXT NOT NULL,"
	" PRIMARY KEY(segment, mac)) STRICT;"
	"PRAGMA user_version = 1;";

static const char *const statement_texts[STORE_STATEMENT_COUNT] = {
	[STORE_BEGIN] = "BEGIN IMMEDIATE",
	[STORE_COMMIT] = "COMMIT",
	[STORE_ROLLBACK] = "ROLLBACK",
	[STORE_COUNTER_PUT] = "UPDATE counter SET generation = ?1, incarnation = ?2",
	[STORE_HOST_PUT] = "INSERT INTO host VALUES(1, ?1)"
			   " ON CONFLICT(one) DO UPDATE SET attributes = excluded.attributes",
	[STORE_VTEP_PUT] =
		"INSERT INTO vtep VALUES(?1, ?2, ?3)"
		" ON CONFLICT(incarnation) DO UPDATE SET attributes = excluded.attributes",
	[STORE_VTEP_DEL] = "DELETE FROM vtep WHERE incarnation = ?1",
	[STORE_TENANT_PUT] =
		"INSERT INTO tenant VALUES(?1, ?2, ?3, ?4)"
		" ON CONFLICT(incarnation) DO UPDATE SET attributes = excluded.attributes",
	[STORE_TENANT_DEL] = "DELETE FROM tenant WHERE incarnation = ?1",
	[STORE_SEGMENT_PUT] =
		"INSERT INTO segment VALUES(?1, ?2, ?3, ?4, ?5)"
		" ON CONFLICT(incarnation) DO UPDATE SET attributes = excluded.attributes",
	[STORE_SEGMENT_DEL] = "DELETE FROM segment WHERE incarnation = ?1",
	[STORE_PORT_PUT] = "INSERT INTO port VALUES(?1, ?2, ?3, ?4, ?5, ?6)"
			   " ON CONFLICT(incarnation) DO UPDATE SET mac = excluded.mac, attributes "
			   "= excluded.attributes",
	[STORE_PORT_DEL] = "DELETE FROM port WHERE incarnation = ?1",
	[STORE_PEER_PUT] = "INSERT INTO peer VALUES(?1, ?2, ?3)"
			   " ON CONFLICT(incarnation) DO UPDATE SET address = excluded.address",
	[STORE_PEER_DEL] = "DELETE FROM peer WHERE incarnation = ?1",
	[STORE_FDB_PUT] =
		"INSERT INTO fdb VALUES(?1, ?2, ?3)"
		" ON CONFLICT(segment, mac) DO UPDATE SET attributes = excluded.attributes",
	[STORE_FDB_DEL] = "DELETE FROM fdb WHERE segment = ?1 AND mac = ?2",
};

static int check_directory(const char *state_dir, char *text);
static int lock_directory(const char *state_dir, int *fd, char *text);
static int open_database(struct store *store, const char *state_dir, char *text);
static int check_version(struct store *store, const char *path, char *text);
static int set_up(struct store *store);
static int read_version(struct store *store, int *version);
static int write_changes(struct store *store, const struct model *model);

int store_open(struct store **store, const char *state_dir, char text[MODEL_TEXT_SIZE])
{
	struct store *opened = calloc(1, sizeof(*opened));
	int result;

	if (opened == NULL)
		return -ENOMEM;
	opened->lock_fd = -1;
	result = check_directory(state_dir, text);
	if (result == 0)
		result = lock_directory(state_dir, &opened->lock_fd, text);
	if (result == 0)
		result = open_database(opened, state_dir, text);
	if (result < 0) {
		store_free(opened);
		return result;
	}
	*store = opened;
	return 0;
}

void store_free(struct store *store)
{
	if (store == NULL)
		return;
	for (int i = 0; i < STORE_STATEMENT_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->database);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	free(store);
}

int store_commit(struct store *store, const struct model *model, char text[MODEL_TEXT_SIZE])
{
	int result;

	if (store_run(store, STORE_BEGIN) == 0 && write_changes(store, model) == 0 &&
	    store_run(store, STORE_COMMIT) == 0)
		return 0;
	result = store_error(store);
	snprintf(text, MODEL_TEXT_SIZE,
		 "the state cannot be written (%s): nothing was changed; see to the state "
		 "directory and try again",
		 sqlite3_errmsg(store->database));
	if (sqlite3_get_autocommit(store->database) == 0)
		store_run(store, STORE_ROLLBACK);
	return result;
}

int store_run(struct store *store, enum store_statement which)
{
	sqlite3_stmt *statement = store->statements[which];
	int result = sqlite3_step(statement);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return result == SQLITE_DONE ? 0 : -EIO;
}

int store_error(const struct store *store)
{
	switch (sqlite3_errcode(store->database)) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

/* Secrets may come to be in it, and whoever can write it is root. */
static int check_directory(const char *state_dir, char *text)
{
	struct stat status;

	if (mkdir(state_dir, 0700) < 0 && errno != EEXIST) {
		snprintf(text, MODEL_TEXT_SIZE, "state directory %.200s cannot be made: %s",
			 state_dir, strerror(errno));
		return -errno;
	}
	if (lstat(state_dir, &status) < 0 || !S_ISDIR(status.st_mode)) {
		snprintf(text, MODEL_TEXT_SIZE,
			 "state directory %.200s is no directory: name another", state_dir);
		return -ENOTDIR;
	}
	if (status.st_uid != geteuid() || (status.st_mode & 022) != 0) {
		snprintf(text, MODEL_TEXT_SIZE,
			 "state directory %.200s belongs to uid %u with mode %03o: it must be this "
			 "user's own, and nobody else may write it (chmod 700)",
			 state_dir, (unsigned)status.st_uid, (unsigned)status.st_mode & 0777);
		return -EPERM;
	}
	return 0;
}

/* SQLite's own locks do not tell two daemons apart that both only wait. */
static int lock_directory(const char *state_dir, int *fd, char *text)
{
	int opened = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (opened < 0)
		return -errno;
	if (flock(opened, LOCK_EX | LOCK_NB) < 0) {
		snprintf(text, MODEL_TEXT_SIZE,
			 "state directory %.200s is used by another daemon: stop that one, or name "
			 "another directory",
			 state_dir);
		close(opened);
		return -EBUSY;
	}
	*fd = opened;
	return 0;
}

static int open_database(struct store *store, const char *state_dir, char *text)
{
	char path[PATH_MAX];
	mode_t mask;
	int result;

	if (snprintf(path, sizeof(path), "%s/%s", state_dir, STORE_FILE) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	mask = umask(0077);
	result = sqlite3_open_v2(path, &store->database,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW,
				 NULL);
	if (result == SQLITE_OK) {
		result = check_version(store, path, text);
		umask(mask);
		return result;
	}
	umask(mask);
	snprintf(text, MODEL_TEXT_SIZE, "state %.200s cannot be opened: %s", path,
		 sqlite3_errmsg(store->database));
	return store_error(store);
}

static int check_version(struct store *store, const char *path, char *text)
{
	int version, result;

	sqlite3_busy_timeout(store->database, 1000);
	result = read_version(store, &version);
	if (result == 0 && version > STORE_VERSION) {
		snprintf(text, MODEL_TEXT_SIZE,
			 "state %.200s has version %d, and this daemon knows up to %d: run a newer "
			 "vswitch-control",
			 path, version, STORE_VERSION);
		return -EPROTONOSUPPORT;
	}
	if (result == 0)
		result = set_up(store);
	if (result == 0)
		return 0;
	snprintf(text, MODEL_TEXT_SIZE,
		 "state %.200s cannot be read (%s): restore it from a copy, or move it away to "
		 "start "
		 "empty",
		 path, sqlite3_errmsg(store->database));
	return result;
}

/*
 * A write-ahead log with full synchronisation: one wait for the disk a request, and a request that
 * was answered survives a power cut as well.
 */
static int set_up(struct store *store)
{
	int version;

	if (sqlite3_exec(store->database,
			 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			 "PRAGMA trusted_schema = OFF; BEGIN IMMEDIATE",
			 NULL, NULL, NULL) != SQLITE_OK ||
	    read_version(store, &version) < 0)
		return store_error(store);
	if (version == 0 && sqlite3_exec(store->database, schema, NULL, NULL, NULL) != SQLITE_OK)
		return store_error(store);
	if (sqlite3_exec(store->database, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		return store_error(store);
	for (int i = 0; i < STORE_STATEMENT_COUNT; i++) {
		if (sqlite3_prepare_v3(store->database, statement_texts[i], -1,
				       SQLITE_PREPARE_PERSISTENT, &store->statements[i],
				       NULL) != SQLITE_OK)
			return -EUCLEAN;
	}
	return 0;
}

static int read_version(struct store *store, int *version)
{
	sqlite3_stmt *statement = NULL;
	int result = -EUCLEAN;

	if (sqlite3_prepare_v2(store->database, "PRAGMA user_version", -1, &statement, NULL) ==
		    SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW) {
		*version = sqlite3_column_int(statement, 0);
		result = 0;
	}
	sqlite3_finalize(statement);
	return result;
}

static int write_changes(struct store *store, const struct model *model)
{
	sqlite3_stmt *counter = store->statements[STORE_COUNTER_PUT];
	const struct model_change *changes;
	uint32_t count;

	changes = model_changes(model, &count);
	for (uint32_t i = 0; i < count; i++) {
		if (store_write(store, model, &changes[i]) < 0)
			return -EIO;
	}
	sqlite3_bind_int64(counter, 1, (sqlite3_int64)model_generation(model) + 1);
	sqlite3_bind_int64(counter, 2, model_incarnation(model));
	return store_run(store, STORE_COUNTER_PUT);
}
