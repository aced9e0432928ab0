/* SPDX-License-Identifier: Apache-2.0 */

/* What goes through the whole FDB: ageing and visiting. */

#include "fdb_fixture.h"

static void searches_end_again_after_removal(void **state)
{
	uint32_t ageing[8] = {[7] = 300};
	struct fdb_bucket *home;
	struct table table;

	(void)state;
	table_new(&table, 64);
	home = &table.memory->buckets[20];
	for (uint32_t i = 0; i < 5; i++)
		fdb_learn(table.fdb, key_at(&table, 20, i), PORT(i), 1);
	assert_true(fdb_remove(table.fdb, key_at(&table, 20, 0)));
	assert_found(&table, key_at(&table, 20, 4), PORT(4));
	assert_int_equal(fdb_age(table.fdb, 65, 1, ageing_by_segment, ageing), 0);
	assert_found(&table, key_at(&table, 20, 4), PORT(4));
	assert_false(fdb_search_ends(home));
	assert_true(fdb_remove(table.fdb, key_at(&table, 20, 4)));
	assert_false(fdb_search_ends(home));
	fdb_age(table.fdb, 65, 1, ageing_by_segment, ageing);
	assert_true(fdb_search_ends(home));
	assert_consistent(&table);
	table_free(&table);
}

/* Learns at `seen`, sweeps at `now`, and returns whether the entry is still there. */
static bool survives(uint32_t seen, uint32_t now, uint32_t ageing)
{
	uint32_t by_segment[8] = {[3] = ageing};
	struct table table;
	uint32_t removed;
	bool there;
	uint32_t destination;

	table_new(&table, 64);
	fdb_learn(table.fdb, key_of(3, 1), PORT(1), seen);
	removed = fdb_age(table.fdb, UINT32_MAX, now, ageing_by_segment, by_segment);
	there = fdb_lookup(table.fdb, key_of(3, 1), &destination);
	assert_int_equal(removed, !there);
	assert_int_equal(fdb_count(table.fdb), there);
	table_free(&table);
	return there;
}

static void ageing_is_exact(void **state)
{
	static const uint32_t starts[] = {0,
					  1000,
					  (1u << 24) - 301,
					  (1u << 24) - 300,
					  (1u << 24) - 1,
					  (1u << 24) + 5,
					  UINT32_MAX - 400,
					  UINT32_MAX - 100};

	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		uint32_t start = starts[i];

		assert_true(survives(start, start, 300));
		assert_true(survives(start, start + 300, 300));
		assert_false(survives(start, start + 301, 300));
		assert_true(survives(start, start + 1, 1));
		assert_false(survives(start, start + 2, 1));
		assert_false(survives(start, start, 0));
		/* Seen by a worker whose clock is ahead. */
		assert_true(survives(start + FDB_CLOCK_SKEW, start, 1));
		assert_true(survives(start, start + 10000000, 10000000));
		assert_false(survives(start, start + 10000001, 10000000));
		assert_true(survives(start, start + 16000000, 1u << 24));
	}
}

static void ageing_goes_round_in_parts(void **state)
{
	uint32_t ageing[8] = {[1] = 10, [2] = 20, [3] = 0};
	uint32_t removed = 0;
	struct table table;

	(void)state;
	table_new(&table, 256);
	assert_int_equal(fdb_bucket_count(table.fdb), 257);
	for (uint32_t i = 0; i < 300; i++)
		fdb_learn(table.fdb, key_of(1 + i % 2, i), PORT(i), 100);
	fdb_set_static(table.fdb, key_of(1, 1000), PORT(1), 100);
	fdb_set_static(table.fdb, key_of(3, 1000), PORT(1), 100);
	assert_int_equal(fdb_count(table.fdb), 302);
	for (uint32_t i = 0; i < 26; i++) /* 26 × 10 buckets: once round and a bit */
		removed += fdb_age(table.fdb, 10, 111, ageing_by_segment, ageing);
	assert_int_equal(removed, 151);
	for (uint32_t i = 0; i < 300; i++) {
		if (i % 2 == 0)
			assert_unknown(&table, key_of(1, i));
		else
			assert_found(&table, key_of(2, i), PORT(i));
	}
	assert_found(&table, key_of(1, 1000), PORT(1));
	assert_unknown(&table, key_of(3, 1000));
	assert_int_equal(fdb_age(table.fdb, 257, 10000, ageing_by_segment, ageing), 150);
	assert_int_equal(fdb_count(table.fdb), 1);
	assert_consistent(&table);
	table_free(&table);
}

struct visited {
	struct fdb *fdb;
	uint32_t count, destination;
};

static bool keep_others(void *context, uint64_t key, uint64_t value)
{
	struct visited *visited = context;
	uint32_t destination;

	/* The FDB may be used from here. */
	assert_true(fdb_lookup(visited->fdb, key, &destination));
	assert_int_equal(destination, fdb_value_destination(value));
	visited->count++;
	return destination != visited->destination;
}

static void visiting_removes_what_is_refused(void **state)
{
	struct visited visited = {.destination = PEER(2)};
	struct table table;

	(void)state;
	table_new(&table, 256);
	visited.fdb = table.fdb;
	for (uint32_t i = 0; i < 300; i++)
		fdb_learn(table.fdb, key_of(1, i), i % 3 == 0 ? PEER(2) : PORT(2), 100);
	fdb_visit(table.fdb, keep_others, &visited);
	assert_int_equal(visited.count, 300);
	assert_int_equal(fdb_count(table.fdb), 200);
	assert_int_equal(fdb_count_of(table.fdb, PEER(2)), 0);
	for (uint32_t i = 0; i < 300; i++) {
		if (i % 3 == 0)
			assert_unknown(&table, key_of(1, i));
		else
			assert_found(&table, key_of(1, i), PORT(2));
	}
	assert_consistent(&table);
	table_free(&table);
}

/* Learns the entry itself before it is refused: once at its place, once elsewhere. */
static bool refuse_after_learning(void *context, uint64_t key, uint64_t value)
{
	const struct visited *visited = context;
	enum fdb_learned learned = fdb_learn(visited->fdb, key, visited->destination, 101);

	assert_int_equal(learned, fdb_value_destination(value) == visited->destination ? FDB_KNOWN
										       : FDB_MOVED);
	return false;
}

static void visiting_removes_what_is_the_same_still(void **state)
{
	struct visited visited = {.destination = PORT(1)};
	struct table table;

	(void)state;
	table_new(&table, 64);
	visited.fdb = table.fdb;
	fdb_learn(table.fdb, key_of(1, 1), PORT(1), 100);
	fdb_learn(table.fdb, key_of(1, 2), PORT(2), 100);
	fdb_visit(table.fdb, refuse_after_learning, &visited);
	assert_unknown(&table, key_of(1, 1));
	assert_found(&table, key_of(1, 2), PORT(1));
	assert_consistent(&table);
	table_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(searches_end_again_after_removal),
		cmocka_unit_test(ageing_is_exact),
		cmocka_unit_test(ageing_goes_round_in_parts),
		cmocka_unit_test(visiting_removes_what_is_refused),
		cmocka_unit_test(visiting_removes_what_is_the_same_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
