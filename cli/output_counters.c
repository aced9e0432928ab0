/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output_counters.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/table.h"

struct counter_column {
	const char *title;
	const char *member;
	const char *unit; /* of a total */
	const char *rate_title;
	const char *rate_unit; /* of a rate */
	double factor;	       /* from a count a second to the rate's unit */
};

static const struct counter_column tenant_columns[] = {
	{"SEND-PACKETS", "send_packets", NULL, "SEND-PACKETS/S", "", 1},
	{"SEND-BYTES", "send_bytes", "B", "SEND", "bit/s", 8},
	{"RECEIVE-PACKETS", "receive_packets", NULL, "RECEIVE-PACKETS/S", "", 1},
	{"RECEIVE-BYTES", "receive_bytes", "B", "RECEIVE", "bit/s", 8},
	{"DROPS", "drops", NULL, "DROPS/S", "", 1},
	{.title = NULL},
};

static const struct counter_column segment_columns[] = {
	{"PACKETS", "packets", NULL, "PACKETS/S", "", 1},
	{"BYTES", "bytes", "B", "TRAFFIC", "bit/s", 8},
	{"FLOODED", "flooded", NULL, "FLOODED/S", "", 1},
	{"LEARNED", "learned", NULL, "LEARNED/S", "", 1},
	{"MOVED", "moved", NULL, "MOVED/S", "", 1},
	{"DROPS", "drops", NULL, "DROPS/S", "", 1},
	{.title = NULL},
};

static const struct counter_column port_columns[] = {
	{"RX-PACKETS", "rx_packets", NULL, "RX-PACKETS/S", "", 1},
	{"RX-BYTES", "rx_bytes", "B", "RX", "bit/s", 8},
	{"TX-PACKETS", "tx_packets", NULL, "TX-PACKETS/S", "", 1},
	{"TX-BYTES", "tx_bytes", "B", "TX", "bit/s", 8},
	{"QUEUED", "queued", NULL, NULL, NULL, 0},
	{"DROPS", "drops", NULL, "DROPS/S", "", 1},
	{.title = NULL},
};

static const struct {
	const char *key;
	const char *title;
	const struct counter_column *columns;
} kinds[] = {
	{"tenants", "TENANT", tenant_columns},
	{"segments", "SEGMENT", segment_columns},
	{"ports", "PORT", port_columns},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* A counter, or the sum of those by reason. */
static double count(const json_t *value)
{
	double sum = json_number_value(value);
	const char *name;
	json_t *element;

	json_object_foreach ((json_t *)value, name, element)
		sum += json_number_value(element);
	return sum;
}

/* A counter that was reset, or an object made anew, did not run backwards. */
static double per_second(const json_t *now, const json_t *before, double seconds)
{
	double difference = count(now) - count(before);

	return difference > 0 && seconds > 0 ? difference / seconds : 0;
}

/* Lists are sorted, and seldom change: it is at the same place as before, or has to be searched. */
static const json_t *find_named(const json_t *list, size_t place, const json_t *name)
{
	const json_t *element = json_array_get(list, place);

	if (json_equal(json_object_get(element, "name"), name))
		return element;
	for (size_t i = 0; i < json_array_size(list); i++) {
		element = json_array_get(list, i);
		if (json_equal(json_object_get(element, "name"), name))
			return element;
	}
	return NULL;
}

static void put_counter(struct table *table, const struct counter_column *column,
			const json_t *entry, const json_t *before, double seconds)
{
	const json_t *value = json_object_get(entry, column->member);

	table_cell(table, true);
	if (value == NULL)
		table_put(table, "-");
	else if (before != NULL && column->rate_title != NULL)
		table_put_scaled(
			table,
			column->factor *
				per_second(value, json_object_get(before, column->member), seconds),
			column->rate_unit);
	else if (before == NULL && column->unit != NULL)
		table_put_scaled(table, count(value), column->unit);
	else
		table_put(table, "%.0f", count(value));
}

/* Objects of one kind, a row each: totals at the first look, rates at the next ones. */
static void print_kind(size_t kind, const json_t *list, const struct output_look *look)
{
	const struct counter_column *column;
	const json_t *former = json_object_get(look->before, kinds[kind].key);
	struct table *table = table_new();
	size_t index;
	json_t *entry;

	table_cell(table, false);
	table_put(table, "%s", kinds[kind].title);
	for (column = kinds[kind].columns; column->title != NULL; column++) {
		table_cell(table, true);
		table_put(table, "%s",
			  former != NULL && column->rate_title ? column->rate_title
							       : column->title);
	}
	json_array_foreach (list, index, entry) {
		const json_t *name = json_object_get(entry, "name");
		const json_t *before = find_named(former, index, name);

		if (former != NULL && before == NULL)
			before = entry; /* made since: no rate yet */
		table_row(table);
		table_cell(table, false);
		table_put_json(table, name);
		for (column = kinds[kind].columns; column->title != NULL; column++)
			put_counter(table, column, entry, before, look->seconds);
	}
	table_finish(table, stdout);
}

/* Every counter of one object, a row each, drops by reason indented below their sum. */
static void put_object(struct table *table, const json_t *object, const json_t *before,
		       double seconds, int depth)
{
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)object, name, value) {
		const json_t *former = json_object_get(before, name);

		table_row(table);
		table_cell(table, false);
		table_put(table, "%*s%s", 2 * depth, "", name);
		table_cell(table, !json_is_string(value));
		if (!json_is_object(value)) {
			table_put_json(table, value);
		} else {
			table_put(table, "%.0f", count(value));
		}
		if (before != NULL && (json_is_number(value) || json_is_object(value))) {
			table_cell(table, true);
			table_put_scaled(table, per_second(value, former, seconds), "/s");
		}
		if (json_is_object(value))
			put_object(table, value, former, seconds, depth + 1);
	}
}

/* Where nothing clears the screen, looks are parted by an empty line. */
static void end_look(const struct output_look *look)
{
	if (look->watch && !isatty(STDOUT_FILENO))
		putchar('\n');
}

void output_counters_stats(const struct output_look *look)
{
	struct table *table;
	size_t printed = 0;

	for (size_t i = 0; i < KIND_COUNT; i++) {
		const json_t *list = json_object_get(look->body, kinds[i].key);

		if (!json_is_array(list))
			continue;
		if (printed++ > 0)
			putchar('\n');
		print_kind(i, list, look);
	}
	if (printed == 0) {
		table = table_new();
		put_object(table, look->body, look->before, look->seconds, 0);
		table_finish(table, stdout);
	}
	end_look(look);
}

static const json_t *find_drop(const json_t *list, const json_t *drop)
{
	static const char *const members[] = {"port", "tenant", "segment", "reason"};
	size_t index, i;
	json_t *element;

	json_array_foreach (list, index, element) {
		for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
			const json_t *a = json_object_get(element, members[i]);
			const json_t *b = json_object_get(drop, members[i]);

			if (a != b && !json_equal(a, b))
				break;
		}
		if (i == sizeof(members) / sizeof(members[0]))
			return element;
	}
	return NULL;
}

/* Where a packet was dropped: the port that it came in on, or else what is known. */
static void put_place(struct table *table, const json_t *drop)
{
	static const char *const members[] = {"port", "segment", "tenant"};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const char *name = json_string_value(json_object_get(drop, members[i]));

		if (name == NULL || name[0] == '\0')
			continue;
		table_put(table, "%s %s", members[i], name);
		return;
	}
	table_put(table, "-");
}

void output_counters_drops(const struct output_look *look)
{
	static const char *const titles[] = {"REASON", "WHERE", "WHY, AND WHAT TO DO"};
	const json_t *list = json_object_get(look->body, "drops");
	const json_t *former = json_object_get(look->before, "drops");
	struct table *table = table_new();
	size_t index;
	json_t *drop;

	table_cell(table, true);
	table_put(table, "PACKETS");
	if (look->before != NULL) {
		table_cell(table, true);
		table_put(table, "NOW");
	}
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
		table_cell(table, false);
		table_put(table, "%s", titles[i]);
	}
	json_array_foreach (list, index, drop) {
		const json_t *packets = json_object_get(drop, "packets");

		table_row(table);
		table_cell(table, true);
		table_put_json(table, packets);
		if (look->before != NULL) {
			table_cell(table, true);
			table_put_scaled(
				table,
				per_second(packets,
					   json_object_get(find_drop(former, drop), "packets"),
					   look->seconds),
				"/s");
		}
		table_cell(table, false);
		table_put_json(table, json_object_get(drop, "reason"));
		table_cell(table, false);
		put_place(table, drop);
		table_cell(table, false);
		table_put_json(table, json_object_get(drop, "explanation"));
	}
	table_finish(table, stdout);
	end_look(look);
}
