/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/json_object.h"
#include "control/model_edit.h"
#include "control/store_internal.h"

/* What the readers of rows share. */
struct loader {
	struct model *model;
	struct problem problem;
	uint64_t generation;
	uint32_t incarnation;
};

struct table {
	const char *query;
	int (*load)(struct loader *, sqlite3_stmt *);
};

static int load_table(struct store *store, struct loader *loader, const struct table *table);
static int load_counter(struct loader *loader, sqlite3_stmt *row);
static int load_host(struct loader *loader, sqlite3_stmt *row);
static int load_vtep(struct loader *loader, sqlite3_stmt *row);
static int load_peer(struct loader *loader, sqlite3_stmt *row);
static int load_tenant(struct loader *loader, sqlite3_stmt *row);
static int load_segment(struct loader *loader, sqlite3_stmt *row);
static int load_port(struct loader *loader, sqlite3_stmt *row);
static int load_fdb(struct loader *loader, sqlite3_stmt *row);
static struct proto_ref column_ref(struct loader *loader, sqlite3_stmt *row);
static const char *column_text(sqlite3_stmt *row, int column);
static int column_name(sqlite3_stmt *row, int column, char name[ADDR_NAME_SIZE]);
static json_t *column_json(sqlite3_stmt *row, int column);

/* What refers to another comes after it. The names that rows of ports and segments join are ids. */
static const struct table tables[] = {
	{"SELECT generation, incarnation FROM counter", load_counter},
	{"SELECT attributes FROM host", load_host},
	{"SELECT incarnation, idx, attributes FROM vtep", load_vtep},
	{"SELECT incarnation, idx, address FROM peer", load_peer},
	{"SELECT incarnation, idx, name, attributes FROM tenant", load_tenant},
	{"SELECT s.incarnation, s.idx, t.name, s.name, s.attributes FROM segment s"
	 " LEFT JOIN tenant t ON s.tenant = t.incarnation",
	 load_segment},
	{"SELECT p.incarnation, p.idx, t.name, p.name, p.mac, p.attributes, p.tenant FROM port p"
	 " LEFT JOIN tenant t ON p.tenant = t.incarnation",
	 load_port},
	{"SELECT t.name, s.name, f.mac, f.attributes FROM fdb f"
	 " LEFT JOIN segment s ON f.segment = s.incarnation"
	 " LEFT JOIN tenant t ON s.tenant = t.incarnation",
	 load_fdb},
};

int store_load(struct store *store, struct model *model, char text[MODEL_TEXT_SIZE])
{
	struct loader loader = {.model = model};
	int result = 0;

	model_begin(model);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && result == 0; i++)
		result = load_table(store, &loader, &tables[i]);
	if (result == 0 && model_check(model, &loader.problem) < 0)
		result = -EUCLEAN;
	if (result == 0) {
		model_restored(model, loader.generation, loader.incarnation);
		return 0;
	}
	model_rollback(model);
	snprintf(text, MODEL_TEXT_SIZE,
		 "the state is damaged (%.300s): restore %s from a copy, or move it away to start "
		 "empty",
		 loader.problem.detail[0] != '\0' ? loader.problem.detail
						  : sqlite3_errmsg(store->database),
		 STORE_FILE);
	return result;
}

static int load_table(struct store *store, struct loader *loader, const struct table *table)
{
	sqlite3_stmt *statement = NULL;
	int result = 0, step;

	if (sqlite3_prepare_v2(store->database, table->query, -1, &statement, NULL) != SQLITE_OK)
		return -EUCLEAN;
	while ((step = sqlite3_step(statement)) == SQLITE_ROW && result == 0)
		result = table->load(loader, statement);
	if (result == 0 && step != SQLITE_DONE)
		result = -EUCLEAN;
	if (result < 0 && loader->problem.detail[0] == '\0' && step == SQLITE_ROW)
		problem_set(&loader->problem, 500, "damaged", NULL,
			    "a row of \"%.60s\" is not valid", table->query);
	sqlite3_finalize(statement);
	return result < 0 ? -EUCLEAN : 0;
}

static int load_counter(struct loader *loader, sqlite3_stmt *row)
{
	sqlite3_int64 generation = sqlite3_column_int64(row, 0);
	sqlite3_int64 incarnation = sqlite3_column_int64(row, 1);

	if (generation < 1 || incarnation < 0 || incarnation > UINT32_MAX)
		return -EUCLEAN;
	loader->generation = (uint64_t)generation;
	loader->incarnation = (uint32_t)incarnation;
	return 0;
}

static int load_host(struct loader *loader, sqlite3_stmt *row)
{
	json_t *json = column_json(row, 0);
	struct model_host values;
	int result;

	problem_object(&loader->problem, "host");
	result = json_host_read(json, &values, &loader->problem);
	json_decref(json);
	return result < 0 ? -EUCLEAN : model_host_put(loader->model, &values);
}

static int load_vtep(struct loader *loader, sqlite3_stmt *row)
{
	struct model_vtep values = {.ref = column_ref(loader, row)};
	json_t *json = column_json(row, 2);
	int result;

	problem_object(&loader->problem, "vtep");
	result = json_vtep_read(json, &values, &loader->problem);
	json_decref(json);
	return result < 0 ? -EUCLEAN : model_vtep_put(loader->model, &values, &loader->problem);
}

static int load_peer(struct loader *loader, sqlite3_stmt *row)
{
	struct model_peer values = {.ref = column_ref(loader, row)};

	problem_object(&loader->problem, "peer");
	if (json_peer_parse(column_text(row, 2), &values.addr, &loader->problem) < 0)
		return -EUCLEAN;
	return model_peer_restore(loader->model, &values, &loader->problem);
}

static int load_tenant(struct loader *loader, sqlite3_stmt *row)
{
	struct model_tenant values = {.ref = column_ref(loader, row)};
	json_t *json;
	int result;

	if (column_name(row, 2, values.name) < 0)
		return -EUCLEAN;
	problem_object(&loader->problem, "tenant %s", values.name);
	json = column_json(row, 3);
	result = json_tenant_read(json, &values, &loader->problem);
	json_decref(json);
	return result < 0 ? -EUCLEAN
			  : model_tenant_put(loader->model, &values, NULL, &loader->problem);
}

static int load_segment(struct loader *loader, sqlite3_stmt *row)
{
	struct model_segment values = {.ref = column_ref(loader, row)};
	struct json_peers peers;
	json_t *json;
	int result;

	values.tenant = model_tenant_find(loader->model, column_text(row, 2));
	if (values.tenant == NULL || column_name(row, 3, values.name) < 0)
		return -EUCLEAN;
	problem_object(&loader->problem, "segment %s/%s", values.tenant->name, values.name);
	json = column_json(row, 4);
	result = json_segment_read(json, &values, &peers, &loader->problem);
	json_decref(json);
	if (result < 0)
		return -EUCLEAN;
	result = model_segment_put(loader->model, &values, peers.addrs, peers.count, NULL,
				   &loader->problem);
	free(peers.addrs);
	return result;
}

static int load_port(struct loader *loader, sqlite3_stmt *row)
{
	struct model_port values = {.ref = column_ref(loader, row)};
	struct model_port former = {0};
	json_t *json;
	int result;

	values.tenant = model_tenant_find(loader->model, column_text(row, 2));
	if (column_name(row, 3, values.name) < 0 ||
	    addr_mac_parse(column_text(row, 4), &former.mac) < 0 ||
	    (values.tenant == NULL) != (sqlite3_column_int64(row, 6) == 0))
		return -EUCLEAN;
	problem_object(&loader->problem, "port %s", values.name);
	json = column_json(row, 5);
	result = json_port_read(loader->model, json, &former, &values, &loader->problem);
	json_decref(json);
	if (result < 0)
		return -EUCLEAN;
	values.ref = column_ref(loader, row);
	result = model_port_put(loader->model, &values, NULL, &loader->problem);
	json_port_fini(&values);
	return result;
}

static int load_fdb(struct loader *loader, sqlite3_stmt *row)
{
	const struct model_tenant *tenant = model_tenant_find(loader->model, column_text(row, 0));
	struct model_fdb values = {0};
	json_t *json;
	int result;

	if (tenant != NULL)
		values.segment = model_segment_find(tenant, column_text(row, 1));
	if (values.segment == NULL || addr_mac_parse(column_text(row, 2), &values.mac) < 0 ||
	    !addr_mac_is_unicast(&values.mac))
		return -EUCLEAN;
	problem_object(&loader->problem, "fdb %s/%s", tenant->name, values.segment->name);
	json = column_json(row, 3);
	result = json_fdb_read(loader->model, json, &values, &loader->problem);
	json_decref(json);
	return result < 0 ? -EUCLEAN : model_fdb_put(loader->model, &values);
}

/* Both are in the first columns. What is out of range becomes what the model refuses. */
static struct proto_ref column_ref(struct loader *loader, sqlite3_stmt *row)
{
	sqlite3_int64 incarnation = sqlite3_column_int64(row, 0);
	sqlite3_int64 index = sqlite3_column_int64(row, 1);
	struct proto_ref ref = {.index = PROTO_NO_INDEX, .incarnation = UINT32_MAX};

	if (incarnation >= 1 && incarnation <= loader->incarnation && index >= 0 &&
	    index < (sqlite3_int64)PROTO_INDEX_CAPACITY) {
		ref.index = (uint32_t)index;
		ref.incarnation = (uint32_t)incarnation;
	}
	return ref;
}

static const char *column_text(sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	return text != NULL ? text : "";
}

static int column_name(sqlite3_stmt *row, int column, char name[ADDR_NAME_SIZE])
{
	const char *text = column_text(row, column);

	if (!addr_name_valid(text))
		return -EUCLEAN;
	strcpy(name, text);
	return 0;
}

/* NULL is no object to any reader. */
static json_t *column_json(sqlite3_stmt *row, int column)
{
	return json_loads(column_text(row, column), JSON_REJECT_DUPLICATES, NULL);
}
