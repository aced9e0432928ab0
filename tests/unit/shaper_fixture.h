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

/*
 * A frame of so many wire octets, all of one flow; its number is in outer_vni. It is for the gate
 * of this index: the tenant's that has it, or the port's, and each tenant has one port.
 */
static inline struct packet *test_packet(uint32_t index, uint32_t wire_size, uint64_t number)
{
	struct packet *packet = calloc(1, sizeof(*packet));

	assert_non_null(packet);
	packet->wire_size = packet->cost = wire_size;
	packet->frame_count = 1;
	packet->tenant = packet->port_in = packet->port_out = index;
	packet->outer_vni = (uint32_t)number;
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

/* Empties the worker. Returns how many packets waited. */
static inline uint32_t test_drain_all(struct shaper_worker *worker)
{
	struct packet_list lost, list;

	packet_list_init(&lost);
	shaper_take_lost(worker, &lost);
	test_free_list(&lost);
	packet_list_init(&list);
	shaper_drain_all(worker, &list);
	assert_int_equal(test_backlog(worker), 0);
	return test_free_list(&list);
}

/* Frees what was lost since the last call, and adds it to what was lost for each reason. */
static inline uint32_t test_lost(struct shaper_worker *worker, uint64_t *reasons)
{
	struct packet_list list;
	struct packet *packet;
	uint32_t count = 0;

	packet_list_init(&list);
	shaper_take_lost(worker, &list);
	for (; (packet = packet_list_pop(&list)) != NULL; count++) {
		reasons[packet->drop]++;
		free(packet);
	}
	return count;
}

#endif
