/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_SHARE_FIXTURE_H
#define VSWITCH_TESTS_UNIT_SHARE_FIXTURE_H

/* Tenants that share a capacity, on a synthetic clock that goes on in steps. */

#include <string.h>

#include "tests/unit/shaper_fixture.h"

#define KIND	SHAPER_TENANT_SEND
#define MBIT	1000000ull
#define GBIT	1000000000ull
#define STEP	50000ull
#define PENDING 8u /* packets that a greedy source keeps waiting */

struct tenant {
	struct shaper_limits limits;
	uint64_t demand;  /* bit/s; UINT64_MAX: greedy; 0: silent */
	uint64_t on, off; /* ns; a source that stops now and then */
	uint32_t size_min, size_max;
	double owed; /* octets that the source has not offered yet */
	uint32_t waiting;
	uint64_t passed, dropped; /* octets */
};

struct world {
	struct shaper *shaper;
	struct shaper_worker *workers[2];
	unsigned worker_count; /* 1 or 2 */
	uint32_t count;
	struct tenant *tenants;
	uint64_t now, random;
	uint64_t passed; /* by all */
	double greed;	 /* octets that a greedy source may offer in a step */
};

static inline void world_new(struct world *world, uint32_t count, uint64_t capacity)
{
	memset(world, 0, sizeof(*world));
	world->shaper = shaper_new(count);
	world->workers[0] = shaper_worker_new(world->shaper);
	world->worker_count = 1;
	world->count = count;
	world->tenants = calloc(count, sizeof(*world->tenants));
	world->now = 5 * SECOND;
	world->greed = 1.5 * (double)(capacity == 0 ? GBIT : capacity) * STEP / 8e9 + 3000;
	assert_non_null(world->tenants);
	for (uint32_t i = 0; i < count; i++)
		world->tenants[i] = (struct tenant){.size_min = 1514, .size_max = 1514};
	shaper_set_capacity(world->shaper, KIND, capacity, world->now);
}

static inline void world_limit(struct world *world, uint32_t index, struct shaper_limits limits)
{
	world->tenants[index].limits = limits;
	shaper_set_limits(world->shaper, KIND, index, &limits, world->now);
}

static inline void world_free(struct world *world)
{
	for (unsigned w = 0; w < world->worker_count; w++) {
		struct packet_list list;

		packet_list_init(&list);
		shaper_drain_all(world->workers[w], &list);
		test_free_list(&list);
		shaper_worker_free(world->workers[w]);
	}
	shaper_free(world->shaper);
	free(world->tenants);
}

static inline void count_passed(struct world *world, struct packet *packet, bool waited)
{
	struct tenant *tenant = &world->tenants[packet->tenant];

	tenant->passed += packet->wire_size;
	tenant->waiting -= waited;
	world->passed += packet->wire_size;
	free(packet);
}

/* What was lost makes room for more. */
static inline void count_lost(struct world *world, unsigned w)
{
	struct packet_list lost;
	struct packet *packet;

	packet_list_init(&lost);
	shaper_take_lost(world->workers[w], &lost);
	while ((packet = packet_list_pop(&lost)) != NULL) {
		struct tenant *tenant = &world->tenants[packet->tenant];

		tenant->dropped += packet->wire_size;
		tenant->waiting--;
		free(packet);
	}
}

static inline void offer(struct world *world, unsigned w, uint32_t index)
{
	struct tenant *tenant = &world->tenants[index];
	uint32_t range = tenant->size_max - tenant->size_min + 1;
	uint32_t size = tenant->size_min + (uint32_t)random_below(&world->random, range);
	struct packet *packet = test_packet(index, size, 0);

	tenant->owed -= size;
	if (shaper_offer(world->workers[w], KIND, index, packet, world->now) == SHAPER_PASS)
		count_passed(world, packet, false);
	else
		tenant->waiting++;
	count_lost(world, w);
}

static inline bool is_on(const struct world *world, const struct tenant *tenant)
{
	return tenant->off == 0 || world->now % (tenant->on + tenant->off) < tenant->on;
}

static inline void demand(struct world *world, uint32_t index)
{
	struct tenant *tenant = &world->tenants[index];
	unsigned w = 0;

	if (tenant->demand == 0 || !is_on(world, tenant))
		return;
	if (tenant->demand == UINT64_MAX) {
		/* As much as may pass in a step, and some more. */
		for (tenant->owed = world->greed; tenant->owed > 0 && tenant->waiting < PENDING;)
			offer(world, w++ & (world->worker_count - 1), index);
		return;
	}
	for (tenant->owed += (double)tenant->demand * STEP / 8e9; tenant->owed > 0;)
		offer(world, w++ & (world->worker_count - 1), index);
}

static inline void step(struct world *world)
{
	world->now += STEP;
	for (unsigned w = 0; w < world->worker_count; w++) {
		struct batch batch = {0};
		enum shaper_kind kind;

		shaper_turn(world->workers[w], world->now);
		while (shaper_release(world->workers[w], world->now, &batch, &kind)) {
			for (unsigned i = 0; i < batch.count; i++)
				count_passed(world, batch.packets[i], true);
			batch.count = 0;
		}
		count_lost(world, w);
	}
	for (uint32_t i = 0; i < world->count; i++)
		demand(world, i);
}

static inline void run(struct world *world, uint64_t time)
{
	for (uint64_t end = world->now + time; world->now < end;)
		step(world);
}

/* Runs, and says what passed in bit/s: of each tenant in rates[], and of all. */
static inline double measure(struct world *world, uint64_t time, double *rates)
{
	uint64_t all = world->passed;
	const uint32_t count = world->count;

	for (uint32_t i = 0; i < count; i++)
		rates[i] = -(double)world->tenants[i].passed;
	run(world, time);
	for (uint32_t i = 0; i < count; i++)
		rates[i] = (rates[i] + (double)world->tenants[i].passed) * 8e9 / (double)time;
	return (double)(world->passed - all) * 8e9 / (double)time;
}

static inline void assert_near(double seen, double expected, double part)
{
	if (seen < expected * (1 - part) || seen > expected * (1 + part))
		fail_msg("%.3f Mbit/s instead of %.3f within %.1f %%", seen / 1e6, expected / 1e6,
			 part * 100);
}

#endif
