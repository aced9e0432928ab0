/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/effect.h"
#include "cli/output.h"
#include "cli/output_counters.h"
#include "cli/table.h"

/* Follows members with dots between: "status.mtu". */
static const json_t *follow(const json_t *value, const char *path, size_t length)
{
	while (value != NULL && length > 0) {
		const char *dot = memchr(path, '.', length);
		size_t part = dot != NULL ? (size_t)(dot - path) : length;
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)part, path);
		value = json_object_get(value, name);
		path += part + (dot != NULL);
		length -= part + (dot != NULL);
	}
	return value;
}

/* The first of the alternatives that is there. */
static const json_t *find(const json_t *object, const char *path)
{
	for (;; path++) {
		size_t length = strcspn(path, "|");
		const json_t *value = follow(object, path, length);

		if (value != NULL && !json_is_null(value))
			return value;
		path += length;
		if (*path == '\0')
			return NULL;
	}
}

static json_int_t sum_members(const json_t *object)
{
	json_int_t sum = json_integer_value(object);
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)object, name, value)
		sum += json_integer_value(value);
	return sum;
}

static void put_formatted(struct table *table, const json_t *value, enum output_format format)
{
	if (value == NULL)
		table_put(table, "-");
	else if (format == OUTPUT_BYTES)
		table_put_scaled(table, json_number_value(value), "B");
	else if (format == OUTPUT_DROPS)
		table_put(table, "%" JSON_INTEGER_FORMAT, sum_members(value));
	else if (format == OUTPUT_AGE)
		table_put_age(table, json_number_value(value));
	else
		table_put_json(table, value);
}

static bool is_right(enum output_format format)
{
	return format != OUTPUT_TEXT;
}

static void print_list(const json_t *body, const char *key, const struct output_column *columns)
{
	const json_t *list = json_object_get(body, key);
	struct table *table = table_new();
	size_t index;
	json_t *row;

	for (const struct output_column *column = columns; column->title != NULL; column++) {
		table_cell(table, is_right(column->format));
		table_put(table, "%s", column->title);
	}
	json_array_foreach (list, index, row) {
		table_row(table);
		for (const struct output_column *column = columns; column->title; column++) {
			table_cell(table, is_right(column->format));
			put_formatted(table, find(row, column->path), column->format);
		}
	}
	table_finish(table, stdout);
}

/* One row a member; those of members that are objects are indented below them. */
static void put_members(struct table *table, const json_t *object, int depth)
{
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)object, name, value) {
		table_row(table);
		table_cell(table, false);
		table_put(table, "%*s%s", 2 * depth, "", name);
		if (json_is_object(value)) {
			put_members(table, value, depth + 1);
			continue;
		}
		table_cell(table, false);
		table_put_json(table, value);
	}
}

static void print_object(const json_t *body)
{
	struct table *table = table_new();

	put_members(table, body, 0);
	table_finish(table, stdout);
}

static void print_nothing(const json_t *body, uint64_t generation)
{
	(void)body;
	(void)generation;
}

static void print_changes(const json_t *body)
{
	const json_t *list = json_object_get(body, "changes");
	struct table *table = table_new();
	size_t index;
	json_t *change;

	if (json_array_size(list) == 0)
		puts("nothing to change");
	json_array_foreach (list, index, change) {
		table_row(table);
		table_cell(table, false);
		table_put_json(table, json_object_get(change, "action"));
		table_cell(table, false);
		table_put_json(table, json_object_get(change, "kind"));
		table_cell(table, false);
		table_put_json(table, json_object_get(change, "name"));
	}
	table_finish(table, stdout);
}

static void put_daemon(struct table *table, const char *name, const json_t *daemon,
		       const char *state)
{
	const json_t *version = json_object_get(daemon, "version");
	const json_t *pid = json_object_get(daemon, "pid");
	const json_t *workers = json_object_get(daemon, "workers");
	const json_t *uptime = json_object_get(daemon, "uptime");

	table_row(table);
	table_cell(table, false);
	table_put(table, "%s", name);
	table_cell(table, false);
	table_put(table, "%s", state);
	if (strcmp(state, "connected") != 0 && strcmp(state, "running") != 0)
		return;
	if (version != NULL) {
		table_put(table, ", version ");
		table_put_json(table, version);
	}
	if (pid != NULL) {
		table_put(table, ", pid ");
		table_put_json(table, pid);
	}
	if (uptime != NULL) {
		table_put(table, ", up ");
		table_put_age(table, json_number_value(uptime));
	}
	if (workers != NULL)
		table_put(table, ", %" JSON_INTEGER_FORMAT " worker%s", json_integer_value(workers),
			  json_integer_value(workers) == 1 ? "" : "s");
}

static void put_counts(struct table *table, const json_t *body)
{
	static const struct {
		const char *member;
		const char *noun;
	} kinds[] = {
		{"tenants", "tenant"},
		{"segments", "segment"},
		{"ports", "port"},
		{"uplinks", "uplink"},
	};
	const json_t *counts = json_object_get(body, "counts");
	const char *state =
		json_string_value(json_object_get(json_object_get(body, "datapath"), "state"));
	json_int_t generation = json_integer_value(json_object_get(body, "generation"));
	json_int_t applied = json_integer_value(json_object_get(body, "applied-generation"));
	json_int_t waiting = json_integer_value(json_object_get(counts, "waiting-ports"));

	table_row(table);
	table_cell(table, false);
	table_put(table, "generation");
	table_cell(table, false);
	table_put(table, "%" JSON_INTEGER_FORMAT, generation);
	if (applied == generation)
		table_put(table, ", in effect");
	else if (applied != 0)
		table_put(table, ", but %" JSON_INTEGER_FORMAT " is in effect", applied);
	else if (state == NULL || strcmp(state, "connected") != 0)
		table_put(table, ", not in effect: no datapath is running");
	else
		table_put(table, ", not in effect yet");
	table_row(table);
	table_cell(table, false);
	table_put(table, "objects");
	table_cell(table, false);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		json_int_t count = json_integer_value(json_object_get(counts, kinds[i].member));

		table_put(table, "%s%" JSON_INTEGER_FORMAT " %s%s", i > 0 ? ", " : "", count,
			  kinds[i].noun, count == 1 ? "" : "s");
	}
	if (waiting > 0)
		table_put(table, ", %" JSON_INTEGER_FORMAT " waiting", waiting);
}

static void print_status(const json_t *body, const json_t *ports)
{
	const json_t *datapath = json_object_get(body, "datapath");
	const char *state = json_string_value(json_object_get(datapath, "state"));
	struct table *table = table_new();
	const char *reason;
	size_t index;
	json_t *element;

	put_daemon(table, "control", body, "running");
	put_daemon(table, "datapath", datapath, state != NULL ? state : "unknown");
	put_counts(table, body);
	json_array_foreach (ports, index, element) {
		if (!effect_waits(element, &reason))
			continue;
		table_row(table);
		table_cell(table, false);
		table_put(table, "waiting");
		table_cell(table, false);
		table_put_json(table, json_object_get(element, "name"));
		table_put(table, ": %s", reason);
	}
	json_array_foreach (json_object_get(body, "problems"), index, element) {
		table_row(table);
		table_cell(table, false);
		table_put(table, "problem");
		table_cell(table, false);
		table_put_json(table, element);
	}
	table_finish(table, stdout);
}

const struct output output_text = {
	.list = print_list,
	.object = print_object,
	.changed = print_nothing,
	.changes = print_changes,
	.status = print_status,
	.stats = output_counters_stats,
	.drops = output_counters_drops,
};
