/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "datapath/fdb.h"
#include "datapath/fdb_table.h"

#define BUCKETS_MAX (1u << 30)

typedef bool accept_function(void *context, uint32_t segment, uint32_t destination);

/* Returns the largest power of two of buckets that fits, or 0. */
static uint32_t homes_in(size_t size)
{
	uint32_t count = BUCKETS_MAX;

	while (count > 0 && FDB_MEMORY_SIZE(count) > size)
		count /= 2;
	return count;
}

/*
 * Makes memory an FDB. A file gives its pages back; in other memory only what is not zero is
 * written, so that no page is made for nothing. The magic comes last: a datapath that dies before
 * leaves memory that is none yet.
 */
static int memory_format(struct fdb_memory *memory, uint32_t homes)
{
	uint64_t hash_key[2];
	size_t size = ((size_t)homes + 1) * sizeof(struct fdb_bucket);
	uint64_t *words = (uint64_t *)memory->buckets;

	if (getrandom(hash_key, sizeof(hash_key), 0) != (ssize_t)sizeof(hash_key))
		return errno != 0 ? -errno : -EIO;
	if (madvise(words, size, MADV_REMOVE) != 0) {
		for (size_t i = 0; i < size / sizeof(*words); i++) {
			if (words[i] != 0)
				words[i] = 0;
		}
	}
	memory->bucket_count = homes;
	memcpy(memory->hash_key, hash_key, sizeof(hash_key));
	fdb_store(&memory->magic, FDB_MAGIC);
	return 0;
}

/*
 * First round: clears what cannot be an entry of its bucket or what accept() refuses, makes static
 * entries learned ones, and lets searches end at empty entries.
 */
static void take_over_bucket(struct fdb *fdb, uint32_t bucket, accept_function *accept,
			     void *context)
{
	struct fdb_stripe *stripe = &fdb->stripes[bucket / FDB_STRIPE_BUCKETS];

	for (unsigned i = 0; i < FDB_BUCKET_ENTRIES; i++) {
		struct fdb_entry *entry = &fdb->buckets[bucket].entries[i];
		uint64_t key = fdb_load(&entry->key), value = fdb_load(&entry->value);
		uint32_t home = fdb_home_of(fdb, key);

		if (key == 0 && value == 0)
			continue;
		if (fdb_key_valid(key) && fdb_value_valid(value) &&
		    (value & 0xff & ~FDB_FLAG_BITS) == 0 &&
		    (home == bucket || home + 1 == bucket) &&
		    accept(context, fdb_key_segment(key), fdb_value_destination(value))) {
			fdb_store(&entry->value, value & ~(uint64_t)FDB_FLAG_STATIC);
			stripe->touched = true;
		} else {
			fdb_store(&entry->value, 0);
			fdb_store(&entry->key, 0);
		}
	}
}

/*
 * Second round: takes each entry out and puts it back if there is no other of its key, into its
 * home if there is room. Afterwards only full buckets have entries in the next one.
 */
static void settle_bucket(struct fdb *fdb, uint32_t bucket)
{
	for (unsigned i = 0; i < FDB_BUCKET_ENTRIES; i++) {
		struct fdb_entry *entry = &fdb->buckets[bucket].entries[i];
		uint64_t key = fdb_load(&entry->key), value = fdb_load(&entry->value), other;
		uint32_t home = fdb_home_of(fdb, key);
		struct fdb_entry *place;

		if (!fdb_value_valid(value) || home > bucket)
			continue;
		fdb_store(&entry->value, 0);
		fdb_store(&entry->key, 0);
		if (fdb_find_in(&fdb->buckets[home], key, &other) != NULL ||
		    fdb_find_in(&fdb->buckets[home + 1], key, &other) != NULL)
			continue;
		place = fdb_empty_in(fdb, home);
		fdb_replace(fdb, place != NULL ? place : entry, key, value);
	}
}

static void take_over(struct fdb *fdb, accept_function *accept, void *context)
{
	for (uint32_t bucket = 0; bucket < fdb->bucket_count; bucket++)
		take_over_bucket(fdb, bucket, accept, context);
	for (uint32_t bucket = 0; bucket < fdb->bucket_count; bucket++) {
		if (fdb->stripes[bucket / FDB_STRIPE_BUCKETS].touched)
			settle_bucket(fdb, bucket);
	}
}

/* Makes four secrets of the two in memory; the constants are the square roots' digits of 2 and 3.
 */
static void hash_init(struct fdb *fdb, const uint64_t hash_key[2])
{
	fdb->secrets[0] = hash_key[0];
	fdb->secrets[1] = hash_key[1] | 1;
	fdb->secrets[2] = fdb_mix(hash_key[0] ^ 0x6a09e667f3bcc909ull, fdb->secrets[1]);
	fdb->secrets[3] = fdb_mix(hash_key[1] ^ 0xbb67ae8584caa73bull, hash_key[0] | 1) | 1;
}

/* Returns zeroed memory that begins on a cache line, for free(), or NULL. */
static void *allocate(size_t size)
{
	void *memory = aligned_alloc(64, size);

	return memory == NULL ? NULL : memset(memory, 0, size);
}

static int stripes_new(struct fdb *fdb)
{
	uint32_t count = (fdb->bucket_count + FDB_STRIPE_BUCKETS - 1) / FDB_STRIPE_BUCKETS;

	fdb->stripes = allocate(count * sizeof(*fdb->stripes));
	if (fdb->stripes == NULL)
		return -ENOMEM;
	for (; fdb->stripe_count < count; fdb->stripe_count++) {
		int error = pthread_mutex_init(&fdb->stripes[fdb->stripe_count].lock, NULL);

		if (error != 0)
			return -error;
	}
	return 0;
}

int fdb_new(struct fdb **made, void *memory, size_t size, accept_function *accept, void *context)
{
	struct fdb_memory *shared = memory;
	uint32_t homes = homes_in(size);
	struct fdb *fdb;
	bool fresh;
	int error;

	if (homes == 0 || (uintptr_t)memory % sizeof(struct fdb_bucket) != 0)
		return -EINVAL;
	fresh = fdb_load(&shared->magic) == 0;
	if (!fresh && (shared->magic != FDB_MAGIC || shared->bucket_count != homes))
		return -EINVAL;
	fdb = allocate(sizeof(*fdb));
	if (fdb == NULL)
		return -ENOMEM;
	fdb->buckets = shared->buckets;
	fdb->home_mask = homes - 1;
	fdb->bucket_count = homes + 1;
	error = stripes_new(fdb);
	if (error == 0 && fresh)
		error = memory_format(shared, homes);
	if (error != 0) {
		fdb_free(fdb);
		return error;
	}
	hash_init(fdb, shared->hash_key);
	if (!fresh)
		take_over(fdb, accept, context);
	*made = fdb;
	return 0;
}

void fdb_free(struct fdb *fdb)
{
	if (fdb == NULL)
		return;
	while (fdb->stripe_count > 0)
		pthread_mutex_destroy(&fdb->stripes[--fdb->stripe_count].lock);
	free(fdb->stripes);
	free(fdb);
}
