/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tests/unit/shaper_fixture.h"

/* Tenants that share a capacity, on a synthetic clock that goes on in steps. */

#define KIND	SHAPER_TENANT_SEND
#define MBIT	1000000ull
#define GBIT	1000000000ull
#define STEP	50000ull
#define SLOTS	64u /* of the finest measurement, a millisecond each */
#define PENDING 8u  /* packets that a greedy source keeps waiting */

struct tenant {
	struct shaper_limits limits;
	uint64_t demand;  /* bit/s; UINT64_MAX: greedy; 0: silent */
	uint64_t on, off; /* ns; a source that stops now and then */
	uint32_t size_min, size_max;
	double owed; /* octets that the source has not offered yet */
	uint32_t waiting;
	uint64_t passed, dropped, offered;
};

struct world {
	struct shaper *shaper;
	struct shaper_worker *workers[2];
	unsigned worker_count;
	uint32_t count;
	struct tenant *tenants;
	uint64_t now, random;
	uint64_t passed; /* by all */
	double greed;	 /* octets that a greedy source may offer in a step */
};

static void world_new(struct world *world, uint32_t count, uint64_t capacity)
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

static void world_limit(struct world *world, uint32_t index, struct shaper_limits limits)
{
	world->tenants[index].limits = limits;
	shaper_set_limits(world->shaper, KIND, index, &limits, world->now);
}

static void world_free(struct world *world)
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

static void count_passed(struct world *world, struct packet *packet, bool waited)
{
	struct tenant *tenant = &world->tenants[packet->tenant];

	tenant->passed += packet->wire_size;
	tenant->waiting -= waited;
	world->passed += packet->wire_size;
	free(packet);
}

static bool offer(struct world *world, unsigned w, uint32_t index)
{
	struct tenant *tenant = &world->tenants[index];
	uint32_t range = tenant->size_max - tenant->size_min + 1;
	uint32_t size = tenant->size_min + (uint32_t)random_below(&world->random, range);
	struct packet *packet = test_packet(index, size, 0);

	tenant->owed -= size;
	tenant->offered += size;
	switch (shaper_offer(world->workers[w], KIND, index, packet, world->now)) {
	case SHAPER_PASS:
		count_passed(world, packet, false);
		break;
	case SHAPER_QUEUED:
		tenant->waiting++;
		break;
	case SHAPER_FULL:
		tenant->dropped += size;
		free(packet);
		return false;
	}
	return true;
}

static bool is_on(const struct world *world, const struct tenant *tenant)
{
	return tenant->off == 0 || world->now % (tenant->on + tenant->off) < tenant->on;
}

static void demand(struct world *world, uint32_t index)
{
	struct tenant *tenant = &world->tenants[index];
	unsigned w = 0;

	if (tenant->demand == 0 || !is_on(world, tenant))
		return;
	if (tenant->demand == UINT64_MAX) {
		/* As much as may pass in a step, and some more. */
		for (tenant->owed = world->greed; tenant->owed > 0 && tenant->waiting < PENDING;)
			if (!offer(world, w++ % world->worker_count, index))
				break;
		return;
	}
	for (tenant->owed += (double)tenant->demand * STEP / 8e9; tenant->owed > 0;)
		offer(world, w++ % world->worker_count, index);
}

static void step(struct world *world)
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
	}
	for (uint32_t i = 0; i < world->count; i++)
		demand(world, i);
}

static void run(struct world *world, uint64_t time)
{
	for (uint64_t end = world->now + time; world->now < end;)
		step(world);
}

/* Runs, and says what passed in bit/s: of each tenant in rates[], and of all. */
static double measure(struct world *world, uint64_t time, double *rates)
{
	uint64_t all = world->passed;

	for (uint32_t i = 0; i < world->count; i++)
		rates[i] = -(double)world->tenants[i].passed;
	run(world, time);
	for (uint32_t i = 0; i < world->count; i++)
		rates[i] = (rates[i] + (double)world->tenants[i].passed) * 8e9 / (double)time;
	return (double)(world->passed - all) * 8e9 / (double)time;
}

static void assert_near(double seen, double expected, double part)
{
	if (seen < expected * (1 - part) || seen > expected * (1 + part))
		fail_msg("%.3f Mbit/s instead of %.3f within %.1f %%", seen / 1e6, expected / 1e6,
			 part * 100);
}

static void guarantees(void **state)
{
	struct world world;
	double rates[3];

	(void)state;
	for (unsigned sizes = 0; sizes < 4; sizes++) {
		world_new(&world, 3, 600 * MBIT);
		for (uint32_t i = 0; i < 3; i++) {
			world_limit(&world, i, (struct shaper_limits){.min = (i + 1) * 100 * MBIT});
			world.tenants[i].demand = UINT64_MAX;
			world.tenants[i].size_min = (sizes + i) % 2 == 0 ? 64 : 1514;
			world.tenants[i].size_max = sizes < 2 ? world.tenants[i].size_min : 9000;
		}
		run(&world, 20 * MILLISECOND);
		assert_near(measure(&world, SECOND, rates), 600e6, 0.005);
		for (uint32_t i = 0; i < 3; i++)
			assert_near(rates[i], (i + 1) * 100e6, 0.005);
		world_free(&world);
	}
}

/* What guarantees leave goes by weight, up to the ceilings. */
static void weights_and_ceilings(void **state)
{
	static const struct shaper_limits limits[] = {
		{.min = 100 * MBIT, .weight = 1},
		{.weight = 2},
		{.weight = 5, .rate = 90 * MBIT},
		{.weight = 10000, .rate = 10 * MBIT, .min = 5 * MBIT},
		{.min = 50 * MBIT}, /* weighs 1 */
	};
	/* 1000 - 90 - 10 - 100 - 50 = 750, over weights of 4. */
	static const double expected[] = {287.5e6, 375e6, 90e6, 10e6, 237.5e6};
	struct world world;
	double rates[5];

	(void)state;
	world_new(&world, 5, GBIT);
	for (uint32_t i = 0; i < 5; i++) {
		world_limit(&world, i, limits[i]);
		world.tenants[i].demand = UINT64_MAX;
	}
	run(&world, 30 * MILLISECOND);
	assert_near(measure(&world, SECOND, rates), 1e9, 0.01);
	for (uint32_t i = 0; i < 5; i++)
		assert_near(rates[i], expected[i], 0.01);
	world_free(&world);
}

/* Who wants less than its share gets it all and loses nothing; the others get the rest. */
static void modest(void **state)
{
	struct world world;
	double rates[4];

	(void)state;
	world_new(&world, 4, GBIT);
	for (uint32_t i = 0; i < 4; i++)
		world_limit(&world, i, (struct shaper_limits){.weight = 1});
	world.tenants[0].demand = 100 * MBIT;
	world.tenants[1].demand = 3 * MBIT;
	world.tenants[2].demand = UINT64_MAX;
	world.tenants[3].demand = UINT64_MAX;
	run(&world, 30 * MILLISECOND);
	assert_near(measure(&world, SECOND, rates), 1e9, 0.01);
	assert_near(rates[0], 100e6, 0.005);
	assert_near(rates[1], 3e6, 0.01);
	assert_near(rates[2], 448.5e6, 0.02);
	assert_near(rates[3], 448.5e6, 0.02);
	assert_int_equal(world.tenants[0].dropped + world.tenants[1].dropped, 0);
	world_free(&world);
}

/* Each less than a fair share of one would be, together more than there is. */
static void many_modest(void **state)
{
	struct world world;
	double rates[20];

	(void)state;
	world_new(&world, 20, GBIT);
	for (uint32_t i = 0; i < 20; i++) {
		world_limit(&world, i, (struct shaper_limits){.weight = 1});
		world.tenants[i].demand = 60 * MBIT;
	}
	run(&world, 100 * MILLISECOND);
	assert_near(measure(&world, SECOND, rates), 1e9, 0.01);
	for (uint32_t i = 0; i < 20; i++)
		assert_near(rates[i], 50e6, 0.02);
	world_free(&world);
}

/* What one leaves the others have within 10 ms, and one that comes back its guarantee. */
static void comes_and_goes(void **state)
{
	struct world world;
	double rates[3];

	(void)state;
	world_new(&world, 3, GBIT);
	world_limit(&world, 0, (struct shaper_limits){.min = 700 * MBIT});
	world_limit(&world, 1, (struct shaper_limits){.weight = 1});
	world_limit(&world, 2, (struct shaper_limits){.weight = 2});
	world.tenants[1].demand = world.tenants[2].demand = UINT64_MAX;
	run(&world, 30 * MILLISECOND);
	for (unsigned round = 0; round < 20; round++) {
		world.tenants[0].demand = UINT64_MAX;
		run(&world, 10 * MILLISECOND);
		assert_near(measure(&world, 10 * MILLISECOND, rates), 1e9, 0.02);
		assert_true(rates[0] > 770e6 * 0.99);
		run(&world, 10 * MILLISECOND + round * 333000);
		world.tenants[0].demand = 0;
		run(&world, 10 * MILLISECOND);
		assert_near(measure(&world, 10 * MILLISECOND, rates), 1e9, 0.02);
		assert_true(rates[0] == 0);
		assert_near(rates[1], 1e9 / 3, 0.03);
		run(&world, round * 777000);
	}
	world_free(&world);
}

/* One whose queue runs empty again and again neither wastes what there is nor takes too much. */
static void intermittent(void **state)
{
	static const uint64_t periods[][2] = {
		{200000, 100000}, {1000000, 1000000}, {3000000, 2000000}, {7000000, 9000000}};
	struct world world;
	double rates[2];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		world_new(&world, 2, GBIT);
		world_limit(&world, 0, (struct shaper_limits){.weight = 1});
		world_limit(&world, 1, (struct shaper_limits){.weight = 1});
		world.tenants[0].demand = UINT64_MAX;
		world.tenants[0].on = periods[i][0];
		world.tenants[0].off = periods[i][1];
		world.tenants[1].demand = UINT64_MAX;
		run(&world, 50 * MILLISECOND);
		/* At the worst it is not known for 4 ms of 16 that half of it is free. */
		assert_near(measure(&world, SECOND, rates), 1e9, 0.03);
		world_free(&world);
	}
}

/* Thousands share, and then one has it all. */
static void many(void **state)
{
	struct world world;
	uint32_t count = 3000;
	double *rates = calloc(count, sizeof(*rates)), least = 1e18, most = 0;

	(void)state;
	world_new(&world, count, 3 * GBIT);
	for (uint32_t i = 0; i < count; i++) {
		world_limit(&world, i, (struct shaper_limits){.weight = 1});
		world.tenants[i].demand = UINT64_MAX;
		world.tenants[i].size_min = 64;
		world.tenants[i].size_max = 1400;
	}
	run(&world, 100 * MILLISECOND);
	assert_near(measure(&world, SECOND, rates), 3e9, 0.01);
	for (uint32_t i = 0; i < count; i++) {
		least = rates[i] < least ? rates[i] : least;
		most = rates[i] > most ? rates[i] : most;
	}
	/* A packet in a second is a hundredth. */
	assert_near(least, 1e6, 0.03);
	assert_near(most, 1e6, 0.03);
	for (uint32_t i = 1; i < count; i++)
		world.tenants[i].demand = 0;
	/* What waits goes first. */
	run(&world, 80 * MILLISECOND);
	assert_near(measure(&world, 20 * MILLISECOND, rates), 3e9, 0.02);
	assert_near(rates[0], 3e9, 0.02);
	world_free(&world);
	free(rates);
}

static void two_workers(void **state)
{
	struct world world;
	double rates[3];

	(void)state;
	world_new(&world, 3, 600 * MBIT);
	world.workers[world.worker_count++] = shaper_worker_new(world.shaper);
	for (uint32_t i = 0; i < 3; i++) {
		world_limit(&world, i, (struct shaper_limits){.min = (i + 1) * 100 * MBIT});
		world.tenants[i].demand = UINT64_MAX;
	}
	run(&world, 20 * MILLISECOND);
	assert_near(measure(&world, SECOND, rates), 600e6, 0.005);
	for (uint32_t i = 0; i < 3; i++)
		assert_near(rates[i], (i + 1) * 100e6, 0.005);
	world_free(&world);
}

/* Limits and the capacity change under traffic, which nobody loses by. */
static void changes(void **state)
{
	struct world world;
	double rates[3];

	(void)state;
	world_new(&world, 3, 0);
	for (uint32_t i = 0; i < 3; i++) {
		world_limit(&world, i, (struct shaper_limits){.rate = 200 * MBIT});
		world.tenants[i].demand = UINT64_MAX;
	}
	assert_near(measure(&world, 100 * MILLISECOND, rates), 600e6, 0.02);
	shaper_set_capacity(world.shaper, KIND, 300 * MBIT, world.now);
	run(&world, 10 * MILLISECOND);
	assert_near(measure(&world, 100 * MILLISECOND, rates), 300e6, 0.02);
	assert_near(rates[0], 100e6, 0.02);
	world_limit(&world, 0, (struct shaper_limits){.weight = 4});
	run(&world, 10 * MILLISECOND);
	assert_near(measure(&world, 100 * MILLISECOND, rates), 300e6, 0.02);
	assert_near(rates[0], 200e6, 0.02);
	world_limit(&world, 0, (struct shaper_limits){.weight = 4, .rate = 30 * MBIT});
	run(&world, 10 * MILLISECOND);
	assert_near(measure(&world, 100 * MILLISECOND, rates), 300e6, 0.02);
	assert_near(rates[0], 30e6, 0.02);
	assert_near(rates[1], 135e6, 0.02);
	shaper_set_capacity(world.shaper, KIND, 0, world.now);
	run(&world, 10 * MILLISECOND);
	assert_near(measure(&world, 100 * MILLISECOND, rates), 430e6, 0.02);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(world.tenants[i].dropped, 0);
	world_free(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guarantees),	  cmocka_unit_test(weights_and_ceilings),
		cmocka_unit_test(modest),	  cmocka_unit_test(many_modest),
		cmocka_unit_test(comes_and_goes), cmocka_unit_test(intermittent),
		cmocka_unit_test(many),		  cmocka_unit_test(two_workers),
		cmocka_unit_test(changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
