/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output_channel.h"

#include "cli/counter.h"
#include "cli/table.h"

/* The two columns: the direction's object, and the counters of all its traffic. */
static const struct {
	const char *title, *member, *packets, *bytes;
} directions[] = {
	{"SEND", "send", "send_packets", "send_bytes"},
	{"RECEIVE", "receive", "receive_packets", "receive_bytes"},
};
#define DIRECTION_COUNT (sizeof(directions) / sizeof(directions[0]))

static const struct {
	const char *title, *member;
	const struct counter_unit *unit;
} rows[] = {
	{"offered packets", "offered_packets", &counter_packets},
	{"offered bytes", "offered_bytes", &counter_octets},
	{"passed packets", "passed_packets", &counter_packets},
	{"passed bytes", "passed_bytes", &counter_octets},
	{"queued packets", "queued_packets", &counter_gauge},
	{"queued bytes", "queued_bytes", &counter_octets_gauge},
	{"dropped packets", "dropped_packets", &counter_packets},
	{"dropped bytes", "dropped_bytes", &counter_octets},
	{"marked packets", "marked_packets", &counter_packets},
};

bool output_channel_is(const json_t *object)
{
	return json_is_object(json_object_get(object, "send")) &&
	       json_is_object(json_object_get(object, "receive"));
}

static const json_t *channel_of(const json_t *tenant, size_t direction)
{
	return json_object_get(tenant, directions[direction].member);
}

static void begin_row(struct table *table, const char *title)
{
	table_row(table);
	table_cell(table, false);
	table_put(table, "%s", title);
}

static void put_titles(struct table *table, const json_t *name)
{
	table_cell(table, false);
	table_put(table, "tenant ");
	table_put_json(table, name);
	for (size_t i = 0; i < DIRECTION_COUNT; i++) {
		table_cell(table, true);
		table_put(table, "%s", directions[i].title);
	}
	begin_row(table, "rate");
}

/* A row of the tenant's own counters, which are there for unlimited tenants as well. */
static void put_traffic(struct table *table, const struct output_look *look, bool packets)
{
	begin_row(table, packets ? "all packets" : "all bytes");
	for (size_t i = 0; i < DIRECTION_COUNT; i++) {
		const char *member = packets ? directions[i].packets : directions[i].bytes;

		table_cell(table, true);
		counter_put(table, packets ? &counter_packets : &counter_octets,
			    json_object_get(look->body, member),
			    json_object_get(look->before, member), look->seconds);
	}
}

static void put_row(struct table *table, const struct output_look *look, size_t row)
{
	begin_row(table, rows[row].title);
	for (size_t i = 0; i < DIRECTION_COUNT; i++) {
		const char *member = rows[row].member;

		table_cell(table, true);
		counter_put(table, rows[row].unit,
			    json_object_get(channel_of(look->body, i), member),
			    json_object_get(channel_of(look->before, i), member), look->seconds);
	}
}

static void put_quantile(struct table *table, const struct output_look *look, const char *title,
			 double above)
{
	begin_row(table, title);
	for (size_t i = 0; i < DIRECTION_COUNT; i++) {
		table_cell(table, true);
		counter_put_quantile(table, json_object_get(channel_of(look->body, i), "delays"),
				     json_object_get(channel_of(look->before, i), "delays"), above);
	}
}

/* How many packets of each direction are in this place, while watching since the last look. */
static void put_place(struct table *table, const struct output_look *look, const json_t *bound)
{
	begin_row(table, "  ");
	if (json_is_number(bound) && json_number_value(bound) == 0) {
		table_put(table, "not at all");
	} else {
		table_put(table, json_is_number(bound) ? "up to " : "");
		counter_put_delay(table, bound);
	}
	for (size_t i = 0; i < DIRECTION_COUNT; i++) {
		const json_t *now = json_object_get(channel_of(look->body, i), "delays");
		const json_t *before = json_object_get(channel_of(look->before, i), "delays");

		table_cell(table, true);
		table_put(table, "%.0f",
			  counter_delayed(now, bound) - counter_delayed(before, bound));
	}
}

/* Places come in order in both lists, the one without bound last; those in either get a row. */
static void put_delays(struct table *table, const struct output_look *look)
{
	const json_t *send = json_object_get(channel_of(look->body, 0), "delays");
	const json_t *receive = json_object_get(channel_of(look->body, 1), "delays");
	size_t i = 0, j = 0;

	begin_row(table, "waited");
	while (i < json_array_size(send) || j < json_array_size(receive)) {
		const json_t *left = json_object_get(json_array_get(send, i), "up_to_us");
		const json_t *right = json_object_get(json_array_get(receive, j), "up_to_us");
		int order = counter_compare_bounds(left, right);

		put_place(table, look, order <= 0 ? left : right);
		i += order <= 0;
		j += order >= 0;
	}
}

static void put_drop(struct table *table, const char *reason, const json_t *packets,
		     const json_t *before, double seconds)
{
	table_row(table);
	table_cell(table, false);
	table_put(table, "%s", reason);
	table_cell(table, true);
	counter_put(table, &counter_packets, packets, before, seconds);
}

/* By reason, which says whether it is about sending or receiving where that matters. */
static void put_drops(const struct output_look *look)
{
	const json_t *drops = json_object_get(look->body, "drops");
	const json_t *before = json_object_get(look->before, "drops");
	struct table *table = table_new();
	json_t *none = json_integer(0), *packets;
	const char *reason;
	char title[80];

	put_drop(table, "drops", drops, before, look->seconds);
	json_object_foreach ((json_t *)drops, reason, packets) {
		const json_t *former = json_object_get(before, reason);

		if (before != NULL && former == NULL)
			former = none; /* the first since then */
		snprintf(title, sizeof(title), "  %s", reason);
		put_drop(table, title, packets, former, look->seconds);
	}
	json_decref(none);
	table_finish(table, stdout);
}

void output_channel(const struct output_look *look)
{
	struct table *table = table_new();

	put_titles(table, json_object_get(look->body, "name"));
	for (size_t i = 0; i < DIRECTION_COUNT; i++) {
		table_cell(table, true);
		counter_put_limit(table, json_object_get(channel_of(look->body, i), "rate"));
	}
	put_traffic(table, look, true);
	put_traffic(table, look, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		put_row(table, look, i);
	put_quantile(table, look, "delay p50", 2);
	put_quantile(table, look, "delay p99", 100);
	put_delays(table, look);
	table_finish(table, stdout);
	put_drops(look);
}
