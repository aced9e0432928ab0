/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output_counters.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/counter.h"
#include "cli/output_channel.h"
#include "cli/table.h"

/* A column, and how its cells come from a row's object. */
struct counter_column {
	const char *title;
	const char *member; /* of the object, or of one in it: "send.rate" */
	const struct counter_unit *unit;
	const char *rate_title; /* while watching; NULL: title */
	void (*put)(struct table *table, const json_t *now, const json_t *before); /* instead */
};

static void put_limit(struct table *table, const json_t *now, const json_t *before);
static void put_p99(struct table *table, const json_t *now, const json_t *before);

static const struct counter_column tenant_columns[] = {
	{"SEND-PACKETS", "send_packets", &counter_packets, "SEND-PACKETS/S", NULL},
	{"SEND-BYTES", "send_bytes", &counter_octets, "SEND", NULL},
	{"RECEIVE-PACKETS", "receive_packets", &counter_packets, "RECEIVE-PACKETS/S", NULL},
	{"RECEIVE-BYTES", "receive_bytes", &counter_octets, "RECEIVE", NULL},
	{"DROPS", "drops", &counter_packets, "DROPS/S", NULL},
	{.title = NULL},
};

/* What ceilings and shares did. */
static const struct counter_column channel_columns[] = {
	{"SEND-RATE", "send.rate", NULL, NULL, put_limit},
	{"OFFERED", "send.offered_bytes", &counter_octets, NULL, NULL},
	{"DROPPED", "send.dropped_packets", &counter_packets, "DROPPED/S", NULL},
	{"MARKED", "send.marked_packets", &counter_packets, "MARKED/S", NULL},
	{"P99", "send.delays", NULL, NULL, put_p99},
	{"RECEIVE-RATE", "receive.rate", NULL, NULL, put_limit},
	{"OFFERED", "receive.offered_bytes", &counter_octets, NULL, NULL},
	{"DROPPED", "receive.dropped_packets", &counter_packets, "DROPPED/S", NULL},
	{"MARKED", "receive.marked_packets", &counter_packets, "MARKED/S", NULL},
	{"P99", "receive.delays", NULL, NULL, put_p99},
	{.title = NULL},
};

static const struct counter_column segment_columns[] = {
	{"PACKETS", "packets", &counter_packets, "PACKETS/S", NULL},
	{"BYTES", "bytes", &counter_octets, "TRAFFIC", NULL},
	{"FLOODED", "flooded", &counter_packets, "FLOODED/S", NULL},
	{"LEARNED", "learned", &counter_packets, "LEARNED/S", NULL},
	{"MOVED", "moved", &counter_packets, "MOVED/S", NULL},
	{"DROPS", "drops", &counter_packets, "DROPS/S", NULL},
	{.title = NULL},
};

static const struct counter_column port_columns[] = {
	{"RX-PACKETS", "rx_packets", &counter_packets, "RX-PACKETS/S", NULL},
	{"RX-BYTES", "rx_bytes", &counter_octets, "RX", NULL},
	{"TX-PACKETS", "tx_packets", &counter_packets, "TX-PACKETS/S", NULL},
	{"TX-BYTES", "tx_bytes", &counter_octets, "TX", NULL},
	{"QUEUED", "queued", &counter_gauge, NULL, NULL},
	{"DROPS", "drops", &counter_packets, "DROPS/S", NULL},
	{.title = NULL},
};

static const struct {
	const char *key;
	const char *title;
	const struct counter_column *columns; /* beside the other kinds */
	const struct counter_column *alone;
} kinds[] = {
	{"tenants", "TENANT", tenant_columns, channel_columns},
	{"segments", "SEGMENT", segment_columns, segment_columns},
	{"ports", "PORT", port_columns, port_columns},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

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

static void put_limit(struct table *table, const json_t *now, const json_t *before)
{
	(void)before;
	counter_put_limit(table, now);
}

static void put_p99(struct table *table, const json_t *now, const json_t *before)
{
	counter_put_quantile(table, now, before, 100);
}

/* The member, or the member of a member, that the column is about. */
static const json_t *member_of(const json_t *object, const char *member)
{
	const char *dot = strchr(member, '.');
	const json_t *inner = NULL;

	if (dot == NULL)
		return json_object_get(object, member);
	inner = json_object_getn(object, member, (size_t)(dot - member));
	return json_object_get(inner, dot + 1);
}

static void put_cell(struct table *table, const struct counter_column *column, const json_t *entry,
		     const json_t *before, double seconds)
{
	const json_t *now = member_of(entry, column->member);
	const json_t *former = member_of(before, column->member);

	table_cell(table, true);
	if (column->put != NULL)
		column->put(table, now, former);
	else
		counter_put(table, column->unit, now,
			    before != NULL && former == NULL ? now : former, seconds);
}

/* Objects of one kind, a row each: totals at the first look, rates at the next ones. */
static void print_kind(size_t kind, const struct counter_column *columns, const json_t *list,
		       const struct output_look *look)
{
	const struct counter_column *column;
	const json_t *former = json_object_get(look->before, kinds[kind].key);
	struct table *table = table_new();
	size_t index;
	json_t *entry;

	table_cell(table, false);
	table_put(table, "%s", kinds[kind].title);
	for (column = columns; column->title != NULL; column++) {
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
		for (column = columns; column->title != NULL; column++)
			put_cell(table, column, entry, before, look->seconds);
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
			table_put(table, "%.0f", counter_sum(value));
		}
		if (before != NULL && (json_is_number(value) || json_is_object(value))) {
			table_cell(table, true);
			table_put_scaled(table, counter_per_second(value, former, seconds), "/s");
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
	bool alone = json_object_size(look->body) == 1;
	size_t printed = 0;

	for (size_t i = 0; i < KIND_COUNT; i++) {
		const json_t *list = json_object_get(look->body, kinds[i].key);

		if (!json_is_array(list))
			continue;
		if (printed++ > 0)
			putchar('\n');
		print_kind(i, alone ? kinds[i].alone : kinds[i].columns, list, look);
	}
	if (printed == 0 && output_channel_is(look->body)) {
		output_channel(look);
	} else if (printed == 0) {
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
			table_put_scaled(table,
					 counter_per_second(packets,
							    json_object_get(find_drop(former, drop),
									    "packets"),
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
