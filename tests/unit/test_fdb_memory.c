/* SPDX-License-Identifier: Apache-2.0 */

/* The FDB's memory: made afresh, taken over, and taken over from one that wrote anything into it.
 */

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fdb_fixture.h"

/* What a datapath that starts does with the memory of a former one. */
static int take_over(struct table *table, bool (*accept)(void *, uint32_t, uint32_t), void *context)
{
	fdb_free(table->fdb);
	table->fdb = NULL;
	return fdb_new(&table->fdb, table->memory, table->size, accept, context);
}

static uint64_t value_to(uint32_t destination, uint64_t flags)
{
	return (uint64_t)destination << 32 | 100 << FDB_SEEN_SHIFT | flags;
}

static void fresh_memory_gets_a_random_key(void **state)
{
	size_t size = FDB_MEMORY_SIZE(256);
	struct fdb_memory *memory[2];
	struct fdb *fdb[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		memory[i] = aligned_alloc(64, size);
		assert_non_null(memory[i]);
		memset(memory[i], 0, size);
		assert_int_equal(fdb_new(&fdb[i], memory[i], size, accept_all, NULL), 0);
		assert_true(memory[i]->magic == FDB_MAGIC);
		assert_true(memory[i]->bucket_count == 256);
	}
	assert_memory_not_equal(memory[0]->hash_key, memory[1]->hash_key, 16);
	for (int i = 0; i < 2; i++) {
		fdb_free(fdb[i]);
		free(memory[i]);
	}
}

/* In a file, as in production; what a former datapath left behind a magic of 0 is gone. */
static void memory_without_magic_is_emptied(void **state)
{
	size_t size = FDB_MEMORY_SIZE(1024);
	int fd = memfd_create("fdb", MFD_CLOEXEC);
	struct fdb_memory *memories[2];
	struct fdb *fdb;

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	memories[0] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memories[1] = aligned_alloc(64, size);
	close(fd);
	assert_ptr_not_equal(memories[0], MAP_FAILED);
	assert_non_null(memories[1]);
	for (int i = 0; i < 2; i++) {
		struct fdb_memory *memory = memories[i];

		memset(memory, 0xa5, size);
		memory->magic = 0;
		assert_int_equal(fdb_new(&fdb, memory, size, accept_all, NULL), 0);
		for (const uint64_t *word = (uint64_t *)memory->buckets;
		     (uint8_t *)word < (uint8_t *)memory + size; word++)
			assert_true(*word == 0);
		assert_int_equal(fdb_learn(fdb, key_of(1, 1), PORT(1), 1), FDB_NEW);
		assert_int_equal(fdb_count(fdb), 1);
		fdb_free(fdb);
	}
	munmap(memories[0], size);
	free(memories[1]);
}

static void headers_that_do_not_fit_are_refused(void **state)
{
	struct table table;
	struct fdb *fdb = (struct fdb *)&table;
	struct fdb_memory header;

	(void)state;
	table_new(&table, 64);
	header = *table.memory;
	table.memory->magic++;
	assert_int_equal(fdb_new(&fdb, table.memory, table.size, accept_all, NULL), -EINVAL);
	table.memory->magic = header.magic;
	for (uint64_t count = 1; count != 0; count <<= 1) {
		table.memory->bucket_count = count;
		if (count != 64)
			assert_int_equal(fdb_new(&fdb, table.memory, table.size, accept_all, NULL),
					 -EINVAL);
	}
	for (uint64_t count = 63; count > 0; count = count == 63 ? 65 : 0) {
		table.memory->bucket_count = count;
		assert_int_equal(fdb_new(&fdb, table.memory, table.size, accept_all, NULL),
				 -EINVAL);
	}
	table.memory->bucket_count = 64;
	assert_int_equal(fdb_new(&fdb, table.memory, table.size - 1, accept_all, NULL), -EINVAL);
	assert_int_equal(fdb_new(&fdb, table.memory, 0, accept_all, NULL), -EINVAL);
	assert_int_equal(fdb_new(&fdb, table.memory, FDB_MEMORY_SIZE(1) - 1, accept_all, NULL),
			 -EINVAL);
	memset(table.memory, 0, table.size);
	assert_int_equal(
		fdb_new(&fdb, (uint8_t *)table.memory + 8, table.size - 8, accept_all, NULL),
		-EINVAL);
	assert_ptr_equal(fdb, &table);
	fdb_free(NULL);
	table_free(&table);
}

static bool accept_some(void *context, uint32_t segment, uint32_t destination)
{
	(void)context;
	return segment != 2 && destination != PEER(3);
}

static void a_good_table_is_taken_over(void **state)
{
	uint64_t hash_key[2];
	struct table table;

	(void)state;
	table_new(&table, 256);
	memcpy(hash_key, table.memory->hash_key, sizeof(hash_key));
	for (uint32_t i = 0; i < 400; i++)
		assert_int_equal(fdb_learn(table.fdb, key_of(i % 3, i),
					   i % 2 == 0 ? PORT(i % 5) : PEER(i % 5), 100),
				 FDB_NEW);
	assert_int_equal(fdb_count(table.fdb), 400); /* nothing had to give way */
	assert_int_equal(fdb_set_static(table.fdb, key_of(1, 1000), PORT(9), 100), 0);
	assert_int_equal(take_over(&table, accept_some, NULL), 0);
	assert_memory_equal(hash_key, table.memory->hash_key, sizeof(hash_key));
	for (uint32_t i = 0; i < 400; i++) {
		uint32_t destination = i % 2 == 0 ? PORT(i % 5) : PEER(i % 5);

		if (i % 3 == 2 || destination == PEER(3))
			assert_unknown(&table, key_of(i % 3, i));
		else
			assert_found(&table, key_of(i % 3, i), destination);
	}
	assert_consistent(&table);

	/* What was configured is configured again, or moves and ages like any other. */
	assert_found(&table, key_of(1, 1000), PORT(9));
	assert_int_equal(fdb_learn(table.fdb, key_of(1, 1000), PORT(8), 101), FDB_MOVED);
	table_free(&table);
}

static void whatever_is_wrong_is_removed(void **state)
{
	uint64_t good, key;
	struct table table;

	(void)state;
	table_new(&table, 64);
	good = key_at(&table, 10, 0);
	key = key_at(&table, 30, 0);
	assert_int_equal(fdb_learn(table.fdb, good, PORT(1), 100), FDB_NEW);

	*entry_at(&table, 29, 0) = (struct fdb_entry){key, value_to(1, 1)}; /* before its home */
	*entry_at(&table, 32, 0) = (struct fdb_entry){key, value_to(1, 1)}; /* too far behind */
	*entry_at(&table, 64, 0) = (struct fdb_entry){key, value_to(1, 1)};
	*entry_at(&table, 30, 0) = (struct fdb_entry){key, value_to(1, 0)};
	*entry_at(&table, 30, 1) = (struct fdb_entry){key, value_to(1, FDB_FLAG_STATIC)};
	*entry_at(&table, 30, 2) = (struct fdb_entry){key, value_to(1, 0x81)};
	*entry_at(&table, 30, 3) = (struct fdb_entry){key, value_to(1, 0x05)};
	*entry_at(&table, 31, 0) = (struct fdb_entry){key, value_to(PEER(1 << 17), 1)};
	*entry_at(&table, 31, 1) = (struct fdb_entry){key, value_to(PORT(1 << 30), 1)};
	*entry_at(&table, 31, 2) = (struct fdb_entry){key, 0};
	*entry_at(&table, fdb_home_of(table.fdb, 0), 1) = (struct fdb_entry){0, value_to(1, 1)};
	*entry_at(&table, fdb_home_of(table.fdb, 1ull << 47), 1) =
		(struct fdb_entry){1ull << 47, value_to(1, 1)};
	assert_int_equal(take_over(&table, accept_all, NULL), 0);
	assert_int_equal(fdb_count(table.fdb), 1);
	assert_found(&table, good, PORT(1));
	for (uint32_t i = 0; i < 65 * FDB_BUCKET_ENTRIES; i++) {
		if (entry_at(&table, 0, i)->key != good)
			assert_true(entry_at(&table, 0, i)->key == 0);
		assert_int_equal(entry_at(&table, 0, i)->value != 0,
				 entry_at(&table, 0, i)->key == good);
	}
	assert_consistent(&table);
	table_free(&table);
}

static void doubles_are_removed_and_strays_go_home(void **state)
{
	uint64_t stray, twice, four, behind;
	struct table table;

	(void)state;
	table_new(&table, 64);
	stray = key_at(&table, 10, 0);
	twice = key_at(&table, 20, 0);
	four = key_at(&table, 63, 0);
	behind = key_at(&table, 40, 4);
	/* No search would find it: its home is empty. */
	*entry_at(&table, 11, 2) = (struct fdb_entry){stray, value_to(PORT(1), 1)};
	*entry_at(&table, 20, 3) = (struct fdb_entry){twice, value_to(PORT(2), 1)};
	*entry_at(&table, 21, 0) = (struct fdb_entry){twice, value_to(PORT(3), 1)};
	*entry_at(&table, 63, 0) = (struct fdb_entry){four, value_to(PORT(2), 1)};
	*entry_at(&table, 63, 1) = (struct fdb_entry){four, value_to(PORT(2), 1)};
	*entry_at(&table, 64, 1) = (struct fdb_entry){four, value_to(PORT(2), 1)};
	*entry_at(&table, 64, 3) = (struct fdb_entry){four, value_to(PORT(2), 3)};
	/* Two in their home alone; two behind a full home. */
	for (uint32_t i = 0; i < 2; i++) {
		*entry_at(&table, 50, i) =
			(struct fdb_entry){key_at(&table, 50, 0), value_to(PORT(5), 1)};
		*entry_at(&table, 41, i) = (struct fdb_entry){behind, value_to(PORT(6), 1)};
	}
	for (uint32_t i = 0; i < 4; i++)
		*entry_at(&table, 40, i) =
			(struct fdb_entry){key_at(&table, 40, i), value_to(PORT(4), 1)};
	assert_int_equal(take_over(&table, accept_all, NULL), 0);
	assert_int_equal(fdb_count(table.fdb), 9);
	assert_found(&table, behind, PORT(6));
	assert_int_equal(fdb_count_of(table.fdb, PORT(4)), 4);
	assert_found(&table, key_at(&table, 50, 0), PORT(5));
	assert_found(&table, stray, PORT(1));
	assert_found(&table, four, PORT(2));
	assert_int_equal(fdb_count_of(table.fdb, PORT(2)) + fdb_count_of(table.fdb, PORT(3)), 2);
	assert_consistent(&table);
	table_free(&table);
}

/* A former datapath died while an entry stepped aside: it is there twice, or without a value. */
static void what_a_crash_leaves_is_put_right(void **state)
{
	struct table table;

	(void)state;
	table_new(&table, 64);
	for (uint32_t i = 0; i < 4; i++)
		fdb_learn(table.fdb, key_at(&table, 11, i), PORT(i), 100);
	*entry_at(&table, 12, 0) = *entry_at(&table, 11, 2);
	entry_at(&table, 11, 1)->value = 0;
	assert_int_equal(take_over(&table, accept_all, NULL), 0);
	assert_int_equal(fdb_count(table.fdb), 3);
	assert_unknown(&table, key_at(&table, 11, 1));
	for (uint32_t i = 0; i < 4; i++) {
		if (i != 1)
			assert_found(&table, key_at(&table, 11, i), PORT(i));
	}
	assert_consistent(&table);
	table_free(&table);
}

/* Anything may happen to the table now: nothing crashes, and it is consistent again. */
static void use(struct table *table, uint64_t *random)
{
	static const uint32_t ageing[8] = {300, 1, 2, 3, 4, 5, 6, 7};
	uint32_t destination;

	for (uint32_t i = 0; i < 500; i++) {
		uint64_t key = key_of(i % 8, (uint32_t)next_random(random) % 200);

		fdb_learn(table->fdb, key, PORT(next_random(random) % 100), 100 + i / 100);
		fdb_lookup(table->fdb, key, &destination);
		if (i % 5 == 0)
			fdb_remove(table->fdb, key);
		if (i % 7 == 0)
			fdb_set_static(table->fdb, key, PEER(1), 100);
	}
	fdb_age(table->fdb, UINT32_MAX, 200, ageing_by_segment, (void *)ageing);
	assert_consistent(table);
}

static void random_octets_are_survived(void **state)
{
	uint64_t random = 0x9e3779b97f4a7c15ull;

	(void)state;
	for (uint32_t round = 0; round < 40; round++) {
		struct table table;
		uint64_t *words;

		table_new(&table, 32);
		words = (uint64_t *)table.memory->buckets;
		for (uint32_t i = 0; i < 33 * 8; i++)
			words[i] = next_random(&random);
		/* In half of the rounds the values could be entries': some are where they belong.
		 */
		for (uint32_t i = 1; i < 33 * 8 && round % 2 == 0; i += 2)
			words[i] = (words[i] & ~(FDB_EXCESS_BITS | 0xfc)) | FDB_FLAG_VALID;
		assert_int_equal(take_over(&table, accept_all, NULL), 0);
		assert_consistent(&table);
		for (uint32_t i = 0; i < 33 * FDB_BUCKET_ENTRIES; i++)
			assert_int_equal(entry_at(&table, 0, i)->value & 0xfe, 0);
		if (round % 2 == 0)
			assert_int_not_equal(fdb_count(table.fdb), 0);
		/* Segments of random keys are anywhere: keep those that ageing knows. */
		assert_int_equal(take_over(&table, accept_all, NULL), 0);
		for (uint32_t i = 0; i < 33 * FDB_BUCKET_ENTRIES; i++) {
			if (fdb_key_segment(entry_at(&table, 0, i)->key) >= 8)
				fdb_remove(table.fdb, entry_at(&table, 0, i)->key);
		}
		use(&table, &random);
		table_free(&table);
	}
}

/* Flips one of the bits that all keys have in common, in some: exactly the others are found. */
static void entries_that_were_not_hit_stay(void **state)
{
	uint64_t random = 0x123456789abcdefull;

	(void)state;
	for (uint32_t round = 0; round < 40; round++) {
		bool hit[100] = {false};
		struct table table;

		table_new(&table, 64);
		for (uint32_t i = 0; i < 100; i++)
			fdb_learn(table.fdb, key_of(i % 8, i), PORT(i), 100);
		assert_int_equal(fdb_count(table.fdb), 100);
		for (uint32_t i = 0; i < 65 * FDB_BUCKET_ENTRIES; i += 1 + round % 5) {
			struct fdb_entry *entry = entry_at(&table, 0, i);

			if (entry->value == 0)
				continue;
			hit[fdb_value_destination(entry->value)] = true;
			entry->key ^= 1ull << (8 + next_random(&random) % 32);
		}
		assert_int_equal(take_over(&table, accept_all, NULL), 0);
		assert_consistent(&table);
		for (uint32_t i = 0; i < 100; i++) {
			if (hit[i])
				assert_unknown(&table, key_of(i % 8, i));
			else
				assert_found(&table, key_of(i % 8, i), PORT(i));
		}
		table_free(&table);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fresh_memory_gets_a_random_key),
		cmocka_unit_test(memory_without_magic_is_emptied),
		cmocka_unit_test(headers_that_do_not_fit_are_refused),
		cmocka_unit_test(a_good_table_is_taken_over),
		cmocka_unit_test(whatever_is_wrong_is_removed),
		cmocka_unit_test(doubles_are_removed_and_strays_go_home),
		cmocka_unit_test(what_a_crash_leaves_is_put_right),
		cmocka_unit_test(random_octets_are_survived),
		cmocka_unit_test(entries_that_were_not_hit_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
