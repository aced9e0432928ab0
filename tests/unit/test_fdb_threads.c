/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Workers that learn, look up and remove while the main thread ages, visits and sets static
 * entries, in a table so small that everything meets. Meant to be run under TSan, too.
 */

#include <pthread.h>

#include "fdb_fixture.h"

#define HOMES	      128u /* in three stripes: locks of two are taken */
#define WORKERS	      3u
#define MOVING	      500u /* keys that come, go and move; more than there is room for */
#define STAYING	      60u  /* static ones that nobody removes */
#define ROUNDS	      20000u
#define PLACES	      4u /* destinations of one key: its own, so that a wrong one shows */
#define TIME	      1000u
#define STAYING_INDEX 100000u

struct shared {
	struct table table;
	uint32_t running; /* workers */
};

struct worker {
	pthread_t thread;
	struct shared *shared;
	uint64_t random;
	uint64_t found, wrong, missed, learned[FDB_FULL + 1];
};

static uint64_t staying_key(uint32_t number)
{
	return key_of(2, number);
}

static uint64_t moving_key(uint32_t number)
{
	return key_of(1, number);
}

/* A key that left and came back during a lookup may show its successor's destination: rare. */
static void look_up_moving(struct worker *worker, uint32_t number)
{
	uint32_t destination;

	if (!fdb_lookup(worker->shared->table.fdb, moving_key(number), &destination))
		return;
	worker->found++;
	worker->wrong += destination / PLACES != number;
}

/* One that stays is found at any time, though it steps aside for others. */
static void look_up_staying(struct worker *worker, uint32_t number)
{
	uint32_t destination;

	if (!fdb_lookup(worker->shared->table.fdb, staying_key(number), &destination) ||
	    destination != PORT(STAYING_INDEX + number))
		worker->missed++;
}

static void *worker_main(void *context)
{
	struct worker *worker = context;
	struct fdb *fdb = worker->shared->table.fdb;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint64_t random = next_random(&worker->random) >> 8;
		uint32_t number = (uint32_t)(random >> 8) % MOVING;
		uint32_t place = (uint32_t)(random >> 40) % PLACES;

		if (random % 8 == 0)
			fdb_remove(fdb, moving_key(number));
		else
			worker->learned[fdb_learn(fdb, moving_key(number),
						  PORT(number * PLACES + place),
						  TIME + i / 1000)]++;
		look_up_moving(worker, (uint32_t)(random >> 24) % MOVING);
		look_up_staying(worker, (uint32_t)(random >> 32) % STAYING);
		if (random % 4 == 1 &&
		    fdb_learn(fdb, staying_key(number % STAYING), PORT(1), TIME) != FDB_FIXED)
			worker->missed++;
	}
	__atomic_fetch_sub(&worker->shared->running, 1, __ATOMIC_RELEASE);
	return NULL;
}

struct visited {
	bool staying[STAYING];
	uint64_t wrong;
};

/* Refuses every eighth of those that move. */
static bool visit(void *context, uint64_t key, uint64_t value)
{
	struct visited *visited = context;
	uint32_t destination = fdb_value_destination(value);
	uint8_t mac[6];

	fdb_key_mac(key, mac);
	if (fdb_key_segment(key) == 1)
		return mac[5] % 8 != 0;
	visited->wrong += !(value & FDB_FLAG_STATIC) || destination < STAYING_INDEX ||
			  destination - STAYING_INDEX >= STAYING;
	if (visited->wrong == 0)
		visited->staying[destination - STAYING_INDEX] = true;
	return true;
}

/* What the main thread does meanwhile, until the workers are done. */
static void housekeep(struct shared *shared)
{
	static const uint32_t ageing[8] = {[1] = 3, [2] = 3};
	struct fdb *fdb = shared->table.fdb;

	for (uint32_t i = 0; __atomic_load_n(&shared->running, __ATOMIC_ACQUIRE) > 0; i++) {
		struct visited visited = {0};

		fdb_age(fdb, 40, TIME + i / 1000, ageing_by_segment, (void *)ageing);
		assert_int_equal(fdb_set_static(fdb, staying_key(i % STAYING),
						PORT(STAYING_INDEX + i % STAYING), TIME),
				 0);
		if (i % 16 != 0)
			continue;
		fdb_visit(fdb, visit, &visited);
		assert_int_equal(visited.wrong, 0);
		for (uint32_t j = 0; j < STAYING; j++)
			assert_true(visited.staying[j]);
	}
}

static void workers_and_the_main_thread_meet(void **state)
{
	struct shared shared = {.running = WORKERS};
	struct worker workers[WORKERS] = {0};
	uint64_t found = 0, wrong = 0, fresh = 0, moved = 0;

	(void)state;
	table_new(&shared.table, HOMES);
	for (uint32_t i = 0; i < STAYING; i++)
		assert_int_equal(fdb_set_static(shared.table.fdb, staying_key(i),
						PORT(STAYING_INDEX + i), TIME),
				 0);
	for (uint32_t i = 0; i < WORKERS; i++) {
		workers[i].shared = &shared;
		workers[i].random = 0x9e3779b97f4a7c15ull * (i + 1);
		assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]),
				 0);
	}
	housekeep(&shared);
	for (uint32_t i = 0; i < WORKERS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		assert_int_equal(workers[i].missed, 0);
		found += workers[i].found;
		wrong += workers[i].wrong;
		fresh += workers[i].learned[FDB_NEW];
		moved += workers[i].learned[FDB_MOVED];
	}
	/* The test has tested something. */
	assert_true(found > ROUNDS / 2);
	assert_true(fresh > ROUNDS / 10 && moved > 0);
	assert_in_range(wrong, 0, found / 1000);
	assert_consistent(&shared.table);
	for (uint32_t i = 0; i < STAYING; i++)
		assert_found(&shared.table, staying_key(i), PORT(STAYING_INDEX + i));
	table_free(&shared.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_and_the_main_thread_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
