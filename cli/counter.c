/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/counter.h"

#include "common/stats_layout.h"

/* Where the last place of delays, which has no bound, begins. */
#define DELAY_LAST_US (16u << (STATS_DELAYS - 2))

const struct counter_unit counter_packets = {NULL, "", 1};
const struct counter_unit counter_octets = {"B", "bit/s", 8};
const struct counter_unit counter_gauge = {NULL, NULL, 0};
const struct counter_unit counter_octets_gauge = {"B", NULL, 0};

double counter_sum(const json_t *value)
{
	double sum = json_number_value(value);
	const char *name;
	json_t *element;

	json_object_foreach ((json_t *)value, name, element)
		sum += json_number_value(element);
	return sum;
}

double counter_per_second(const json_t *now, const json_t *before, double seconds)
{
	double difference = counter_sum(now) - counter_sum(before);

	return difference > 0 && seconds > 0 ? difference / seconds : 0;
}

void counter_put(struct table *table, const struct counter_unit *unit, const json_t *now,
		 const json_t *before, double seconds)
{
	if (now == NULL)
		table_put(table, "-");
	else if (before != NULL && unit->rate != NULL)
		table_put_scaled(table,
				 unit->rate_factor * counter_per_second(now, before, seconds),
				 unit->rate);
	else if (unit->total != NULL)
		table_put_scaled(table, counter_sum(now), unit->total);
	else
		table_put(table, "%.0f", counter_sum(now));
}

void counter_put_limit(struct table *table, const json_t *rate)
{
	if (json_is_number(rate))
		table_put_scaled(table, json_number_value(rate), "bit/s");
	else
		table_put(table, json_is_null(rate) ? "none" : "-");
}

void counter_put_delay(struct table *table, const json_t *bound)
{
	double us = json_is_number(bound) ? json_number_value(bound) : DELAY_LAST_US;

	if (!json_is_number(bound))
		table_put(table, ">");
	if (us < 1000)
		table_put(table, "%.0f us", us);
	else
		table_put(table, us < 9950 ? "%.1f ms" : "%.0f ms", us / 1000);
}

/* 0: a number; 1: none, as the last place has; 2: no place. */
static int bound_rank(const json_t *bound)
{
	if (bound == NULL)
		return 2;
	return json_is_number(bound) ? 0 : 1;
}

int counter_compare_bounds(const json_t *a, const json_t *b)
{
	double left = json_number_value(a), right = json_number_value(b);

	if (bound_rank(a) != bound_rank(b))
		return bound_rank(a) - bound_rank(b);
	return (left > right) - (left < right);
}

double counter_delayed(const json_t *delays, const json_t *bound)
{
	size_t index;
	json_t *place;

	json_array_foreach (delays, index, place) {
		if (counter_compare_bounds(json_object_get(place, "up_to_us"), bound) == 0)
			return json_number_value(json_object_get(place, "packets"));
	}
	return 0;
}

/* Of one place, those that came since. */
static double fresh(const json_t *place, const json_t *before)
{
	double difference = json_number_value(json_object_get(place, "packets")) -
			    counter_delayed(before, json_object_get(place, "up_to_us"));

	return difference > 0 ? difference : 0;
}

void counter_put_quantile(struct table *table, const json_t *delays, const json_t *before,
			  double above)
{
	double total = 0, passed = 0;
	size_t index;
	json_t *place;

	json_array_foreach (delays, index, place)
		total += fresh(place, before);
	json_array_foreach (delays, index, place) {
		passed += fresh(place, before);
		if (passed > 0 && passed >= total - total / above) {
			counter_put_delay(table, json_object_get(place, "up_to_us"));
			return;
		}
	}
	table_put(table, "-");
}
