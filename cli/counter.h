/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_COUNTER_H
#define VSWITCH_CLI_COUNTER_H

/*
 * Counters of the API in cells of a table: totals at one look, and what came
 * between two. For output_counters.c and output_channel.c.
 */

#include <jansson.h>

#include "cli/table.h"

/* How a counter is written. */
struct counter_unit {
	const char *total;  /* of a total: "B"; NULL: a plain number */
	const char *rate;   /* of a count a second: "bit/s"; NULL: a gauge, which has none */
	double rate_factor; /* from a count a second to that unit */
};

extern const struct counter_unit counter_packets, counter_octets;
extern const struct counter_unit counter_gauge, counter_octets_gauge;

/* A counter, or the sum of those by reason. */
double counter_sum(const json_t *value);
/* A counter that was reset, or an object made anew, did not run backwards. */
double counter_per_second(const json_t *now, const json_t *before, double seconds);
/* Appends a counter: since `before` a rate, where that is not NULL. */
void counter_put(struct table *table, const struct counter_unit *unit, const json_t *now,
		 const json_t *before, double seconds);
/* Appends a rate limit in bit/s: "200 Mbit/s"; null is "none". */
void counter_put_limit(struct table *table, const json_t *rate);

/* Appends a delay, the bound of a place in a list of delays: "4.1 ms"; NULL: the last one's. */
void counter_put_delay(struct table *table, const json_t *bound);
/* The order of two bounds: numbers, then null, which the last place has, then NULL. */
int counter_compare_bounds(const json_t *a, const json_t *b);
/* How many packets are in the place of this bound. */
double counter_delayed(const json_t *delays, const json_t *bound);
/* Appends the delay than which one packet in `above` waited longer, since before; "-": none
 * passed. */
void counter_put_quantile(struct table *table, const json_t *delays, const json_t *before,
			  double above);

#endif
