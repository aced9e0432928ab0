/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_SHAPER_FIXTURE_H
#define VSWITCH_TESTS_UNIT_SHAPER_FIXTURE_H

/*
 * What the shaper's tests share: packets without a pool, repeatable random
 * numbers, and a worker that runs on a synthetic clock.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "datapath/shaper.h"

#define SECOND	    1000000000ull
#define MILLISECOND 1000000ull
/* How late the shaper may be by itself. */
#define WHEEL_SLACK 8192ull

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t mixed = (*state += 0x9e3779b97f4a7c15ull);

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ull;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebull;
	return mixed ^ (mixed >> 31);
}

static inline uint64_t random_below(uint64_t *state, uint64_t bound)
{
	return random_next(state) % bound;
}

/* A packet of so many wire octets; its number is in flow_hash, its gate's index in tenant. */
static inline struct packet *test_packet(uint32_t index, uint32_t wire_size, uint64_t number)
{
	struct packet *packet = calloc(1, sizeof(*packet));

	assert_non_null(packet);
	packet->wire_size = wire_size;
	packet->tenant = index;
	packet->flow_hash = (uint32_t)number;
	packet->gate = 0xff;
	return packet;
}

static inline uint64_t test_backlog(const struct shaper_worker *worker)
{
	uint64_t packets;

	shaper_backlog(worker, &packets);
	return packets;
}

/* Frees the list and returns how many packets it had. */
static inline uint32_t test_free_list(struct packet_list *list)
{
	uint32_t count = list->count, seen = 0;
	struct packet *packet;

	while ((packet = packet_list_pop(list)) != NULL) {
		free(packet);
		seen++;
	}
	assert_int_equal(seen, count);
	return count;
}

static inline uint32_t test_drain_all(struct shaper_worker *worker)
{
	struct packet_list list;

	packet_list_init(&list);
	shaper_drain_all(worker, &list);
	assert_int_equal(test_backlog(worker), 0);
	assert_true(shaper_next(worker, 0) == UINT64_MAX);
	return test_free_list(&list);
}

#endif
