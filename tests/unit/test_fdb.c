/* SPDX-License-Identifier: Apache-2.0 */

/* Keys, learning, moves, static entries, replacement. */

#include <errno.h>

#include "fdb_fixture.h"

static void keys_agree_with_the_layout(void **state)
{
	static const uint8_t all[6] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
	uint8_t back[6], one[6];

	(void)state;
	assert_true(fdb_key(FDB_INDEX_CAPACITY - 1, all) == UINT64_MAX);
	assert_true(fdb_key(0, all) == (1ull << 47) - 1);
	assert_true(fdb_key(5, mac) == (5ull << 47 | 0x29ull << 40 | 0x5400123456ull));
	for (unsigned segment = 0; segment < FDB_INDEX_CAPACITY; segment += 4369) {
		fdb_key_mac(fdb_key(segment, mac), back);
		assert_memory_equal(back, mac, 6);
		assert_int_equal(fdb_key_segment(fdb_key(segment, mac)), segment);
	}
	/* Every bit but the group bit makes a key of its own. */
	for (unsigned bit = 0; bit < 48; bit++) {
		memset(one, 0, sizeof(one));
		one[bit / 8] = (uint8_t)(1u << (bit % 8));
		assert_int_equal(__builtin_popcountll(fdb_key(0, one)), bit != 0);
		fdb_key_mac(fdb_key(0, one), back);
		assert_int_equal(memcmp(back, one, 6) == 0, bit != 0);
	}
}

static void what_is_learned_is_found(void **state)
{
	uint8_t zero[6] = {0};
	struct table table;

	(void)state;
	table_new(&table, 1024);
	assert_unknown(&table, key_of(1, 1));
	assert_int_equal(fdb_learn(table.fdb, key_of(1, 1), PORT(9), 1), FDB_NEW);
	assert_int_equal(fdb_learn(table.fdb, key_of(2, 1), PEER(9), 1), FDB_NEW);
	assert_int_equal(fdb_learn(table.fdb, key_of(1, 1), PORT(9), 1), FDB_KNOWN);
	assert_found(&table, key_of(1, 1), PORT(9));
	assert_found(&table, key_of(2, 1), PEER(9));
	assert_unknown(&table, key_of(3, 1));
	assert_int_equal(fdb_count_of(table.fdb, PORT(9)), 1);
	assert_int_equal(fdb_count_of(table.fdb, PEER(9)), 1);

	/* What the layout has no place for is not taken. */
	assert_int_equal(fdb_learn(table.fdb, fdb_key(3, zero), PORT(1), 1), FDB_FULL);
	assert_int_equal(fdb_learn(table.fdb, key_of(3, 1), PORT(FDB_INDEX_CAPACITY), 1), FDB_FULL);
	assert_int_equal(fdb_learn(table.fdb, key_of(3, 1), PEER(FDB_INDEX_CAPACITY), 1), FDB_FULL);
	assert_int_equal(fdb_set_static(table.fdb, fdb_key(3, zero), PORT(1), 1), -EINVAL);
	assert_int_equal(fdb_set_static(table.fdb, key_of(3, 1), PORT(FDB_INDEX_MASK), 1), -EINVAL);
	assert_unknown(&table, fdb_key(0, zero));
	assert_int_equal(fdb_learn(table.fdb, key_of(3, 1), PEER(FDB_INDEX_CAPACITY - 1), 1),
			 FDB_NEW);
	assert_int_equal(fdb_count(table.fdb), 3);

	assert_true(fdb_remove(table.fdb, key_of(1, 1)));
	assert_false(fdb_remove(table.fdb, key_of(1, 1)));
	assert_unknown(&table, key_of(1, 1));
	assert_found(&table, key_of(2, 1), PEER(9));
	assert_consistent(&table);
	table_free(&table);
}

static void last_seen_is_refreshed_once_a_second(void **state)
{
	uint64_t key = key_of(1, 1), value;
	struct table table;

	(void)state;
	table_new(&table, 64);
	fdb_learn(table.fdb, key, PORT(3), 1000);
	value = value_in_memory(&table, key);
	assert_true(value == (3ull << 32 | 1000 << 8 | FDB_FLAG_VALID));
	fdb_learn(table.fdb, key, PORT(3), 1000);
	assert_true(value_in_memory(&table, key) == value);
	fdb_learn(table.fdb, key, PORT(3), 1001);
	assert_true(value_in_memory(&table, key) == value + (1 << 8));
	/* A worker whose clock is a little behind does not set it back. */
	fdb_learn(table.fdb, key, PORT(3), 1001 - FDB_CLOCK_SKEW);
	assert_true(value_in_memory(&table, key) == value + (1 << 8));
	fdb_learn(table.fdb, key, PORT(3), (1u << 24) + 5);
	assert_true(value_in_memory(&table, key) == (3ull << 32 | 5 << 8 | FDB_FLAG_VALID));
	table_free(&table);
}

static void a_mac_that_moves_too_often_is_held(void **state)
{
	uint64_t key = key_of(1, 1), other = key_of(1, 2);
	struct table table;

	(void)state;
	table_new(&table, 64);
	fdb_learn(table.fdb, key, PORT(0), 50);
	fdb_learn(table.fdb, other, PORT(0), 50);
	for (uint32_t i = 1; i <= FDB_MOVES_MAX; i++) {
		assert_int_equal(fdb_learn(table.fdb, key, PORT(i), 50), FDB_MOVED);
		assert_found(&table, key, PORT(i));
	}
	assert_int_equal(fdb_learn(table.fdb, key, PORT(99), 50), FDB_HELD_NEW);
	assert_int_equal(fdb_learn(table.fdb, key, PORT(99), 50), FDB_HELD);
	assert_int_equal(fdb_learn(table.fdb, key, PORT(5), 50), FDB_KNOWN);
	assert_int_equal(fdb_learn(table.fdb, other, PORT(7), 50), FDB_MOVED);
	assert_int_equal(fdb_learn(table.fdb, key, PORT(99), 51), FDB_HELD);
	assert_found(&table, key, PORT(5));
	assert_int_equal(fdb_count_of(table.fdb, PORT(99)), 0);
	assert_int_equal(fdb_learn(table.fdb, key, PORT(99), 52), FDB_MOVED);
	assert_found(&table, key, PORT(99));

	/* Held again after five more, and named again. */
	for (uint32_t i = 2; i <= FDB_MOVES_MAX; i++)
		assert_int_equal(fdb_learn(table.fdb, key, PORT(i), 52), FDB_MOVED);
	assert_int_equal(fdb_learn(table.fdb, key, PORT(98), 52), FDB_HELD_NEW);

	/* Five in every second are fine for ever. */
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(fdb_learn(table.fdb, other, PORT(8 + i % 2), 60 + i / 5),
				 FDB_MOVED);
	assert_consistent(&table);
	table_free(&table);
}

static void a_held_mac_stays_held_among_others_that_move(void **state)
{
	uint64_t key = key_of(1, 1000);
	struct table table;

	(void)state;
	table_new(&table, 64); /* one stripe: they share the places for moves */
	fdb_learn(table.fdb, key, PORT(0), 50);
	for (uint32_t i = 1; i <= FDB_MOVES_MAX; i++)
		fdb_learn(table.fdb, key, PORT(i), 50);
	assert_int_equal(fdb_learn(table.fdb, key, PORT(99), 50), FDB_HELD_NEW);
	for (uint32_t i = 0; i < 100; i++) {
		fdb_learn(table.fdb, key_of(1, i), PORT(0), 50);
		assert_int_equal(fdb_learn(table.fdb, key_of(1, i), PORT(1), 50), FDB_MOVED);
		assert_int_equal(fdb_learn(table.fdb, key, PORT(99), 50 + i / 50), FDB_HELD);
	}
	table_free(&table);
}

static void static_entries_win(void **state)
{
	uint64_t key = key_of(1, 1), value;
	struct table table;

	(void)state;
	table_new(&table, 64);
	fdb_learn(table.fdb, key, PORT(1), 10);
	assert_int_equal(fdb_set_static(table.fdb, key, PORT(2), 10), 0);
	assert_found(&table, key, PORT(2));
	value = value_in_memory(&table, key);
	assert_true(value & FDB_FLAG_STATIC);
	assert_int_equal(fdb_learn(table.fdb, key, PORT(1), 11), FDB_FIXED);
	assert_int_equal(fdb_learn(table.fdb, key, PORT(2), 12), FDB_KNOWN);
	assert_true(value_in_memory(&table, key) == value);
	assert_int_equal(fdb_set_static(table.fdb, key, PEER(2), 12), 0);
	assert_found(&table, key, PEER(2));
	assert_int_equal(fdb_count(table.fdb), 1);
	assert_int_equal(fdb_count_of(table.fdb, PORT(2)), 0);
	assert_true(fdb_remove(table.fdb, key));
	assert_int_equal(fdb_learn(table.fdb, key, PORT(1), 13), FDB_NEW);
	table_free(&table);
}

static void entries_step_aside_for_a_full_bucket(void **state)
{
	struct table table;

	(void)state;
	table_new(&table, 64);
	/* Bucket 11 is full of its own; bucket 10 takes four; the next four need room in 11. */
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(fdb_learn(table.fdb, key_at(&table, 11, i), PORT(11), 1), FDB_NEW);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(fdb_learn(table.fdb, key_at(&table, 10, i), PORT(10), 1), FDB_NEW);
	for (uint32_t i = 0; i < 4; i++)
		assert_found(&table, key_at(&table, 11, i), PORT(11));
	for (uint32_t i = 0; i < 8; i++)
		assert_found(&table, key_at(&table, 10, i), PORT(10));
	assert_int_equal(fdb_count(table.fdb), 12);
	assert_consistent(&table);

	/* A ninth has no place, however empty the table: its destination's oldest gives way. */
	assert_int_equal(fdb_learn(table.fdb, key_at(&table, 10, 8), PORT(10), 2), FDB_NEW);
	assert_int_equal(fdb_count(table.fdb), 12);
	assert_consistent(&table);
	table_free(&table);
}

static void the_destination_that_holds_most_gives_way(void **state)
{
	struct table table;

	(void)state;
	table_new(&table, 1); /* two buckets, every key at home in the first */
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(fdb_learn(table.fdb, key_of(1, i), PORT(1), 100 - i), FDB_NEW);
	for (uint32_t i = 5; i < 8; i++)
		assert_int_equal(fdb_learn(table.fdb, key_of(1, i), PORT(2), 10), FDB_NEW);
	/* Port 1 holds 5, its oldest is number 4, though those of port 2 are older. */
	assert_int_equal(fdb_learn(table.fdb, key_of(1, 8), PORT(3), 101), FDB_NEW);
	assert_unknown(&table, key_of(1, 4));
	/* Port 1 holds most itself: its own oldest. */
	assert_int_equal(fdb_learn(table.fdb, key_of(1, 9), PORT(1), 101), FDB_NEW);
	assert_unknown(&table, key_of(1, 3));
	assert_int_equal(fdb_count_of(table.fdb, PORT(1)), 4);
	/* Port 1 holds more than port 3 still. */
	assert_int_equal(fdb_learn(table.fdb, key_of(1, 10), PORT(3), 102), FDB_NEW);
	assert_unknown(&table, key_of(1, 2));
	assert_int_equal(fdb_count_of(table.fdb, PORT(1)), 3);
	assert_int_equal(fdb_count_of(table.fdb, PORT(2)), 3);
	/* Static ones never give way, and take the place of any other. */
	assert_int_equal(fdb_set_static(table.fdb, key_of(1, 0), PORT(1), 1), 0);
	for (uint32_t i = 20; i < 27; i++)
		assert_int_equal(fdb_set_static(table.fdb, key_of(1, i), PORT(4), 102), 0);
	assert_int_equal(fdb_set_static(table.fdb, key_of(1, 27), PORT(4), 102), -ENOSPC);
	assert_int_equal(fdb_learn(table.fdb, key_of(1, 28), PORT(5), 102), FDB_FULL);
	assert_int_equal(fdb_set_static(table.fdb, key_of(1, 26), PORT(6), 102), 0);
	assert_found(&table, key_of(1, 26), PORT(6));
	assert_found(&table, key_of(1, 0), PORT(1));
	assert_consistent(&table);
	table_free(&table);
}

static void who_holds_most_takes_nothing_from_others(void **state)
{
	struct table table;

	(void)state;
	table_new(&table, 2); /* buckets 0, 1, 2 */
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(fdb_learn(table.fdb, key_at(&table, 1, i), PORT(10 + i), 9 - i),
				 FDB_NEW);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(fdb_learn(table.fdb, key_at(&table, 0, i), PORT(1), 9), FDB_NEW);
	assert_int_equal(fdb_learn(table.fdb, key_at(&table, 1, 8), PORT(1), 10), FDB_FULL);
	assert_int_equal(fdb_count(table.fdb), 10);
	/* One that holds nothing yet replaces the oldest. */
	assert_int_equal(fdb_learn(table.fdb, key_at(&table, 1, 8), PORT(2), 10), FDB_NEW);
	assert_unknown(&table, key_at(&table, 1, 7));
	/* One that holds as many as each of them replaces none but its own. */
	assert_int_equal(fdb_learn(table.fdb, key_at(&table, 1, 9), PORT(2), 10), FDB_NEW);
	assert_unknown(&table, key_at(&table, 1, 8));
	assert_int_equal(fdb_count(table.fdb), 10);
	assert_int_equal(fdb_learn(table.fdb, key_at(&table, 0, 2), PORT(3), 10), FDB_NEW);
	assert_int_equal(fdb_learn(table.fdb, key_at(&table, 1, 10), PORT(3), 10), FDB_FULL);
	assert_int_equal(fdb_count(table.fdb), 11);
	assert_consistent(&table);
	table_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_agree_with_the_layout),
		cmocka_unit_test(what_is_learned_is_found),
		cmocka_unit_test(last_seen_is_refreshed_once_a_second),
		cmocka_unit_test(a_mac_that_moves_too_often_is_held),
		cmocka_unit_test(a_held_mac_stays_held_among_others_that_move),
		cmocka_unit_test(static_entries_win),
		cmocka_unit_test(entries_step_aside_for_a_full_bucket),
		cmocka_unit_test(the_destination_that_holds_most_gives_way),
		cmocka_unit_test(who_holds_most_takes_nothing_from_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
