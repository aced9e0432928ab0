/* SPDX-License-Identifier: Apache-2.0 */

/* The FDB at a million entries, and small ones against a map that is slow and simple. */

#include "effort.h"
#include "fdb_fixture.h"

/* Returns how many of the numbers [from, to) are found, all at the right place. */
static uint32_t found_of(const struct table *table, uint32_t from, uint32_t to)
{
	uint32_t found = 0;

	for (uint32_t i = from; i < to; i++) {
		uint32_t destination;

		if (!fdb_lookup(table->fdb, key_of(i % 64, i), &destination))
			continue;
		assert_int_equal(destination, PORT(i % 1000));
		found++;
	}
	return found;
}

static void a_million_fit(void **state)
{
	const uint32_t count = EFFORT(1000000);
	uint32_t full = 0;
	struct table table;

	(void)state;
	table_new(&table, FDB_BUCKETS_DEFAULT);
	for (uint32_t i = 0; i < count; i++) {
		enum fdb_learned learned =
			fdb_learn(table.fdb, key_of(i % 64, i), PORT(i % 1000), 1);

		assert_true(learned == FDB_NEW || learned == FDB_FULL);
		full += learned == FDB_FULL;
	}
	print_message("of %u: %u without a place, %u gave way\n", count, full,
		      count - full - fdb_count(table.fdb));
	assert_int_equal(found_of(&table, 0, count), fdb_count(table.fdb));
	assert_in_range(fdb_count(table.fdb), count - count / 2000, count);
	assert_int_equal(found_of(&table, count, 2 * count), 0);
	table_free(&table);
}

#define MODEL_KEYS 60u

/* What the FDB should hold: the destination, -1 if not there. */
struct model {
	struct {
		int64_t destination;
		uint32_t seen;
		bool fixed;
	} keys[MODEL_KEYS];
	uint32_t count;
};

static void model_set(struct model *model, uint32_t number, int64_t destination, uint32_t now,
		      bool fixed)
{
	model->count += destination >= 0;
	model->count -= model->keys[number].destination >= 0;
	model->keys[number].destination = destination;
	model->keys[number].seen = now;
	model->keys[number].fixed = fixed;
}

/* Compares all keys; one learned entry other than `added` may have given way. */
static void model_compare(struct model *model, const struct table *table, uint32_t added,
			  bool may_give_way)
{
	uint32_t gone = model->count - fdb_count(table->fdb);

	assert_in_range(gone, 0, may_give_way);
	for (uint32_t i = 0; i < MODEL_KEYS; i++) {
		uint32_t destination;

		if (model->keys[i].destination < 0) {
			assert_unknown(table, key_of(1, i));
		} else if (fdb_lookup(table->fdb, key_of(1, i), &destination)) {
			assert_int_equal(destination, model->keys[i].destination);
		} else {
			assert_int_equal(gone--, 1);
			assert_false(model->keys[i].fixed);
			assert_int_not_equal(i, added);
			model_set(model, i, -1, 0, false);
		}
	}
	assert_int_equal(gone, 0);
}

static bool model_learn(struct model *model, const struct table *table, uint32_t number,
			uint32_t destination, uint32_t now)
{
	enum fdb_learned learned = fdb_learn(table->fdb, key_of(1, number), destination, now);
	int64_t old = model->keys[number].destination;

	if (old == destination) {
		assert_int_equal(learned, FDB_KNOWN);
	} else if (model->keys[number].fixed) {
		assert_int_equal(learned, FDB_FIXED);
		return false;
	} else if (old >= 0) {
		assert_int_equal(learned, FDB_MOVED);
	} else if (learned == FDB_FULL) {
		/* Only at a load at which eight meet. */
		assert_true(fdb_count(table->fdb) >= 8);
		return false;
	} else {
		assert_int_equal(learned, FDB_NEW);
	}
	if (!model->keys[number].fixed)
		model_set(model, number, destination, now, false);
	return old < 0;
}

static uint32_t model_age(struct model *model, uint32_t now, uint32_t ageing)
{
	uint32_t removed = 0;

	for (uint32_t i = 0; i < MODEL_KEYS; i++) {
		if (model->keys[i].destination < 0 || model->keys[i].fixed ||
		    now - model->keys[i].seen <= ageing)
			continue;
		model_set(model, i, -1, 0, false);
		removed++;
	}
	return removed;
}

/* One random action; returns whether something may have given way. */
static bool model_act(struct model *model, const struct table *table, uint64_t random, uint32_t now)
{
	uint32_t number = (uint32_t)(random >> 8) % MODEL_KEYS;
	uint32_t destination = (random >> 20 & 7) | (random >> 23 & 1 ? FDB_TO_PEER : FDB_TO_PORT);
	uint32_t ageing[2] = {0, 150};
	bool was_new;

	if (random % 64 == 0) {
		assert_int_equal(fdb_age(table->fdb, UINT32_MAX, now, ageing_by_segment, ageing),
				 model_age(model, now, ageing[1]));
	} else if (random % 16 == 1) {
		was_new = model->keys[number].destination < 0;
		if (fdb_set_static(table->fdb, key_of(1, number), destination, now) == 0)
			model_set(model, number, destination, now, true);
		return was_new;
	} else if (random % 4 == 2) {
		assert_int_equal(fdb_remove(table->fdb, key_of(1, number)),
				 model->keys[number].destination >= 0);
		model_set(model, number, -1, 0, false);
	} else {
		return model_learn(model, table, number, destination, now);
	}
	return false;
}

static void it_behaves_like_a_map(void **state)
{
	static const uint32_t homes[] = {1, 2, 4, 8, 16, 64};
	uint64_t random = 88172645463325252ull;

	(void)state;
	for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
		struct model model = {0};
		struct table table;

		for (uint32_t j = 0; j < MODEL_KEYS; j++)
			model.keys[j].destination = -1;
		table_new(&table, homes[i]);
		/* A second each: nothing is held. Across the wrap of 24 bits. */
		for (uint32_t now = (1u << 24) - 5000; now < (1u << 24) + 5000; now++) {
			uint64_t action = next_random(&random) >> 16;
			uint32_t number = (uint32_t)(action >> 8) % MODEL_KEYS;
			bool may_give_way = model_act(&model, &table, action, now);

			model_compare(&model, &table, number, may_give_way);
		}
		assert_consistent(&table);
		table_free(&table);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_fit),
		cmocka_unit_test(it_behaves_like_a_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
