/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "control/json_object.h"
#include "control/store_internal.h"

static int delete (struct store *store, const struct model_change *change);
static int write_tenant(struct store *store, const struct model_tenant *tenant);
static int write_segment(struct store *store, const struct model_segment *segment);
static int write_port(struct store *store, const struct model_port *port);
static int write_peer(struct store *store, const struct model_peer *peer);
static int write_fdb(struct store *store, const struct model *model,
		     const struct model_change *change);
static void bind_ref(sqlite3_stmt *statement, const struct proto_ref *ref);
static void bind_text(sqlite3_stmt *statement, int column, const char *text);
static int run_with_json(struct store *store, enum store_statement which, int column, json_t *json);

int store_write(struct store *store, const struct model *model, const struct model_change *change)
{
	if (change->removed)
		return delete (store, change);
	switch (change->kind) {
	case MODEL_HOST:
		return run_with_json(store, STORE_HOST_PUT, 1, json_host_write(model_host(model)));
	case MODEL_VTEP:
		bind_ref(store->statements[STORE_VTEP_PUT], &change->ref);
		return run_with_json(store, STORE_VTEP_PUT, 3, json_vtep_write(model_vtep(model)));
	case MODEL_TENANT:
		return write_tenant(store, model_tenant_by_index(model, change->ref.index));
	case MODEL_SEGMENT:
		return write_segment(store, model_segment_by_index(model, change->ref.index));
	case MODEL_PORT:
		return write_port(store, model_port_by_index(model, change->ref.index));
	case MODEL_PEER:
		return write_peer(store, model_peer_by_index(model, change->ref.index));
	case MODEL_FDB:
		return write_fdb(store, model, change);
	}
	return -EIO;
}

static int delete (struct store *store, const struct model_change *change)
{
	static const enum store_statement statements[] = {
		[MODEL_VTEP] = STORE_VTEP_DEL,	     [MODEL_TENANT] = STORE_TENANT_DEL,
		[MODEL_SEGMENT] = STORE_SEGMENT_DEL, [MODEL_PORT] = STORE_PORT_DEL,
		[MODEL_PEER] = STORE_PEER_DEL,	     [MODEL_FDB] = STORE_FDB_DEL,
	};
	sqlite3_stmt *statement = store->statements[statements[change->kind]];
	char mac[ADDR_MAC_TEXT_SIZE];

	sqlite3_bind_int64(statement, 1, change->ref.incarnation);
	if (change->kind == MODEL_FDB)
		bind_text(statement, 2, addr_mac_format(&change->mac, mac));
	return store_run(store, statements[change->kind]);
}

static int write_tenant(struct store *store, const struct model_tenant *tenant)
{
	sqlite3_stmt *statement = store->statements[STORE_TENANT_PUT];

	bind_ref(statement, &tenant->ref);
	bind_text(statement, 3, tenant->name);
	return run_with_json(store, STORE_TENANT_PUT, 4, json_tenant_write(tenant));
}

static int write_segment(struct store *store, const struct model_segment *segment)
{
	sqlite3_stmt *statement = store->statements[STORE_SEGMENT_PUT];

	bind_ref(statement, &segment->ref);
	sqlite3_bind_int64(statement, 3, segment->tenant->ref.incarnation);
	bind_text(statement, 4, segment->name);
	return run_with_json(store, STORE_SEGMENT_PUT, 5, json_segment_write(segment));
}

/* An uplink's tenant is 0, which is no incarnation. */
static int write_port(struct store *store, const struct model_port *port)
{
	sqlite3_stmt *statement = store->statements[STORE_PORT_PUT];
	char mac[ADDR_MAC_TEXT_SIZE];

	bind_ref(statement, &port->ref);
	sqlite3_bind_int64(statement, 3, port->tenant != NULL ? port->tenant->ref.incarnation : 0);
	bind_text(statement, 4, port->name);
	bind_text(statement, 5, addr_mac_format(&port->mac, mac));
	return run_with_json(store, STORE_PORT_PUT, 6, json_port_write(port));
}

static int write_peer(struct store *store, const struct model_peer *peer)
{
	sqlite3_stmt *statement = store->statements[STORE_PEER_PUT];
	char text[ADDR_IP_TEXT_SIZE];

	bind_ref(statement, &peer->ref);
	bind_text(statement, 3, addr_ip_format(&peer->addr, text));
	return store_run(store, STORE_PEER_PUT);
}

static int write_fdb(struct store *store, const struct model *model,
		     const struct model_change *change)
{
	const struct model_segment *segment = model_segment_by_index(model, change->ref.index);
	sqlite3_stmt *statement = store->statements[STORE_FDB_PUT];
	char mac[ADDR_MAC_TEXT_SIZE];

	sqlite3_bind_int64(statement, 1, change->ref.incarnation);
	bind_text(statement, 2, addr_mac_format(&change->mac, mac));
	return run_with_json(store, STORE_FDB_PUT, 3,
			     json_fdb_write(model_fdb_find(segment, &change->mac)));
}

static void bind_ref(sqlite3_stmt *statement, const struct proto_ref *ref)
{
	sqlite3_bind_int64(statement, 1, ref->incarnation);
	sqlite3_bind_int64(statement, 2, ref->index);
}

static void bind_text(sqlite3_stmt *statement, int column, const char *text)
{
	sqlite3_bind_text(statement, column, text, -1, SQLITE_TRANSIENT);
}

/* Takes json; NULL fails, as the columns are NOT NULL. */
static int run_with_json(struct store *store, enum store_statement which, int column, json_t *json)
{
	char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
	int result;

	json_decref(json);
	sqlite3_bind_text(store->statements[which], column, text, -1, SQLITE_STATIC);
	result = store_run(store, which);
	free(text);
	return result;
}
