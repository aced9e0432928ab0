/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_FDB_FIXTURE_H
#define VSWITCH_TESTS_FDB_FIXTURE_H

/*
 * What the FDB's unit tests share: a table in zeroed memory of this process
 * with a hash key that is always the same, so that every run does the same,
 * and keys whose home is known.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/fdb.h"
#include "datapath/fdb_table.h"

#define PORT(index) (FDB_TO_PORT | (index))
#define PEER(index) (FDB_TO_PEER | (index))

struct table {
	struct fdb *fdb;
	struct fdb_memory *memory;
	size_t size;
};

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dull;
}

static inline bool accept_all(void *context, uint32_t segment, uint32_t destination)
{
	(void)context, (void)segment, (void)destination;
	return true;
}

static inline uint32_t ageing_by_segment(void *context, uint32_t segment)
{
	return ((const uint32_t *)context)[segment];
}

static inline void table_new(struct table *table, uint32_t homes)
{
	table->size = FDB_MEMORY_SIZE(homes);
	table->memory = aligned_alloc(4096, (table->size + 4095) / 4096 * 4096);
	assert_non_null(table->memory);
	memset(table->memory, 0, table->size);
	table->memory->magic = FDB_MAGIC;
	table->memory->bucket_count = homes;
	table->memory->hash_key[0] = 0x0706050403020100ull;
	table->memory->hash_key[1] = 0x0f0e0d0c0b0a0908ull;
	assert_int_equal(fdb_new(&table->fdb, table->memory, table->size, accept_all, NULL), 0);
}

static inline void table_free(struct table *table)
{
	fdb_free(table->fdb);
	free(table->memory);
}

/* Returns the key of number in a segment; different for different numbers. */
static inline uint64_t key_of(uint32_t segment, uint32_t number)
{
	uint8_t mac[6] = {0x02,
			  0x5e,
			  (uint8_t)(number >> 24),
			  (uint8_t)(number >> 16),
			  (uint8_t)(number >> 8),
			  (uint8_t)number};

	return fdb_key(segment, mac);
}

/* Returns the key whose home is `home` and that is the nth such; for tables of few homes. */
static inline uint64_t key_at(const struct table *table, uint32_t home, uint32_t nth)
{
	for (uint32_t number = 1;; number++) {
		uint64_t key = key_of(7, number);

		if (fdb_home_of(table->fdb, key) == home && nth-- == 0)
			return key;
	}
}

/* Returns the entry at an index counted from the first of a bucket, across buckets. */
static inline struct fdb_entry *entry_at(const struct table *table, uint32_t bucket, uint32_t index)
{
	return &table->memory->buckets[bucket + index / FDB_BUCKET_ENTRIES]
			.entries[index % FDB_BUCKET_ENTRIES];
}

/* Returns the value that the memory holds for key; 0: none. Fails if there are two. */
static inline uint64_t value_in_memory(const struct table *table, uint64_t key)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < table->fdb->bucket_count * FDB_BUCKET_ENTRIES; i++) {
		const struct fdb_entry *entry = entry_at(table, 0, i);

		if (entry->key != key || entry->value == 0)
			continue;
		assert_true(value == 0);
		value = entry->value;
	}
	return value;
}

static inline void assert_found(const struct table *table, uint64_t key, uint32_t expected)
{
	uint32_t destination = ~expected;

	assert_true(fdb_lookup(table->fdb, key, &destination));
	assert_int_equal(destination, expected);
}

static inline void assert_unknown(const struct table *table, uint64_t key)
{
	uint32_t destination = 4711;

	assert_false(fdb_lookup(table->fdb, key, &destination));
	assert_int_equal(destination, 4711);
}

/* Checks that entries are where searches find them, once each, and counted. */
static inline void assert_consistent(const struct table *table)
{
	const struct fdb *fdb = table->fdb;
	uint32_t *counts = calloc((size_t)2 * FDB_INDEX_CAPACITY, sizeof(*counts));
	uint32_t count = 0;

	assert_non_null(counts);
	for (uint32_t i = 0; i < fdb->bucket_count * FDB_BUCKET_ENTRIES; i++) {
		const struct fdb_entry *entry = entry_at(table, 0, i);
		uint32_t destination = fdb_value_destination(entry->value);
		uint64_t found_value;

		if (entry->value == 0)
			continue;
		assert_true(fdb_value_valid(entry->value));
		assert_ptr_equal(
			fdb_find(fdb, fdb_home_of(fdb, entry->key), entry->key, &found_value),
			entry);
		counts[(destination >> 31) * FDB_INDEX_CAPACITY + (destination & FDB_INDEX_MASK)]++;
		count++;
	}
	assert_int_equal(fdb_count(fdb), count);
	for (uint32_t i = 0; i < FDB_INDEX_CAPACITY; i++) {
		assert_int_equal(fdb_count_of(fdb, FDB_TO_PORT | i), counts[i]);
		assert_int_equal(fdb_count_of(fdb, FDB_TO_PEER | i),
				 counts[FDB_INDEX_CAPACITY + i]);
	}
	free(counts);
}

#endif
