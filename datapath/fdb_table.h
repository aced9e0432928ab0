/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_FDB_TABLE_H
#define VSWITCH_DATAPATH_FDB_TABLE_H

/*
 * The inside of the forwarding database, for its own files only: fdb_memory.c
 * makes and takes over the table, fdb.c works on it, fdb_moves.c says which
 * moves are too many. Any thread.
 *
 * How this works
 *
 * Searching. A key's home is the bucket of its hash. An entry is in its home, or in the next
 * bucket if its home was full. Removing sets the value to 0 and leaves the key: as long as no key
 * of a bucket is 0, a search goes on to the next one. Once nothing of a bucket is in the next one,
 * fdb_age() sets the keys of its empty entries to 0. So a search that fails reads a second cache
 * line only where a bucket is or was full.
 *
 * Readers and writers. An entry is replaced by value 0, the new key, the new value; the stores of
 * key and value release, the loads of a reader acquire. A reader that loads key, value, key and
 * finds the same key twice has not combined a key with an older value (loading the key has made
 * the 0 visible) nor with a newer one (loading that value has made the newer key visible), unless
 * the key left and came back meanwhile: then the value may be that of the key between. When an
 * entry steps aside, its copy in the next bucket is there before its old place is overwritten, so
 * that a reader that misses the one finds the other.
 *
 * Everything but the refreshing of `last seen` is written under the lock of the home's stripe, and
 * of the next one's where the buckets in reach cross into it. Locks are taken in ascending order.
 * Refreshing is a compare-and-swap of the value, which fails harmlessly against any writer.
 *
 * Memory. What the shared memory says is used for finding entries, never for addressing: bucket
 * count and hash key are copied, destinations are masked before they index a counter.
 */

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>

#include "datapath/fdb.h"

#define FDB_FLAG_BITS ((uint64_t)(FDB_FLAG_VALID | FDB_FLAG_STATIC))
/* Bits of a destination's index that must be 0. */
#define FDB_EXCESS_BITS ((uint64_t)(FDB_INDEX_MASK & ~(FDB_INDEX_CAPACITY - 1u)) << 32)
#define FDB_MAC_BITS	((1ull << 47) - 1)

/* One page of buckets. */
#define FDB_STRIPE_BUCKETS 64u
#define FDB_STRIPE_MOVES   4u

/* How often a key moved in the second `second`; more than FDB_MOVES_MAX: held. */
struct fdb_moves {
	uint64_t key;
	uint32_t second;
	uint32_t count;
};

struct fdb_stripe {
	alignas(64) pthread_mutex_t lock;
	struct fdb_moves moves[FDB_STRIPE_MOVES]; /* of keys at home in the stripe */
	bool touched; /* has or had entries; until then its page need not exist */
};

static_assert(sizeof(struct fdb_bucket) == 64, "a bucket is a cache line");
static_assert(sizeof(struct fdb_memory) == 4096, "buckets begin on a page");

struct fdb {
	/* Constant, read by every lookup. */
	struct fdb_bucket *buckets;
	uint64_t secrets[4]; /* of the hash; those that multiply are odd */
	uint32_t home_mask;
	uint32_t bucket_count; /* with the one behind the last home */
	struct fdb_stripe *stripes;
	uint32_t stripe_count;

	alignas(64) uint32_t cursor; /* of fdb_age() */
	uint32_t count;
	uint32_t counts[2 * FDB_INDEX_CAPACITY]; /* ports, then peers */
};

static inline uint64_t fdb_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* clang-tidy does not see that the builtin writes. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static inline void fdb_store(uint64_t *word, uint64_t to)
{
	__atomic_store_n(word, to, __ATOMIC_RELEASE);
}

/* Multiplies to 128 bits and folds: every bit of both reaches every bit of the result. */
static inline uint64_t fdb_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * Two rounds of multiplying and folding with secret numbers, so that nobody can craft MACs that
 * meet in a bucket. See docs/decisions.md for what that costs and what it is worth.
 */
static inline uint32_t fdb_home_of(const struct fdb *fdb, uint64_t key)
{
	uint64_t hash = fdb_mix(key ^ fdb->secrets[0], fdb->secrets[1]);

	return (uint32_t)fdb_mix(hash ^ fdb->secrets[2], fdb->secrets[3]) & fdb->home_mask;
}

static inline bool fdb_value_valid(uint64_t value)
{
	return (value & (FDB_EXCESS_BITS | FDB_FLAG_VALID)) == FDB_FLAG_VALID;
}

static inline unsigned fdb_match(const struct fdb_bucket *bucket, unsigned i, uint64_t key)
{
	return (unsigned)(fdb_load(&bucket->entries[i].key) == key) << i;
}

/* Reads the value of an entry that has the key. Returns whether it is in use and was read whole. */
static inline bool fdb_read(const struct fdb_entry *entry, uint64_t key, uint64_t *value)
{
	*value = fdb_load(&entry->value);
	return fdb_value_valid(*value) && fdb_load(&entry->key) == key;
}

/*
 * Where few entries share a bucket, it is the first that has the key. Which of the others nobody
 * can guess, so these are compared before anything depends on one. The same key may stand in an
 * empty entry besides.
 */
static inline struct fdb_entry *fdb_find_in(struct fdb_bucket *bucket, uint64_t key,
					    uint64_t *value)
{
	unsigned matches;

	static_assert(FDB_BUCKET_ENTRIES == 4, "all entries are compared");
	if (fdb_load(&bucket->entries[0].key) == key && fdb_read(&bucket->entries[0], key, value))
		return &bucket->entries[0];
	matches = fdb_match(bucket, 1, key) | fdb_match(bucket, 2, key) | fdb_match(bucket, 3, key);
	for (; matches != 0; matches &= matches - 1) {
		struct fdb_entry *entry = &bucket->entries[__builtin_ctz(matches)];

		if (fdb_read(entry, key, value))
			return entry;
	}
	return NULL;
}

static inline bool fdb_search_ends(const struct fdb_bucket *bucket)
{
	bool ends = false;

	for (unsigned i = 0; i < FDB_BUCKET_ENTRIES; i++)
		ends |= fdb_load(&bucket->entries[i].key) == 0;
	return ends;
}

/*
 * Returns the entry of key, whose home is given, and its value at the time, or NULL. Whether the
 * search ends is read after the keys: an entry that stepped aside before its key was read has left
 * a bucket behind where no search ends.
 */
static inline struct fdb_entry *fdb_find(const struct fdb *fdb, uint32_t home, uint64_t key,
					 uint64_t *value)
{
	struct fdb_entry *entry = fdb_find_in(&fdb->buckets[home], key, value);

	if (entry != NULL || fdb_search_ends(&fdb->buckets[home]))
		return entry;
	return fdb_find_in(&fdb->buckets[home + 1], key, value);
}

static inline bool fdb_key_valid(uint64_t key)
{
	return (key & FDB_MAC_BITS) != 0;
}

/* Writes an entry over what is there, empty or not. The bucket's stripe is locked. */
void fdb_replace(struct fdb *fdb, struct fdb_entry *entry, uint64_t key, uint64_t value);

/* Returns an empty entry of the bucket or NULL. The bucket's stripe is locked. */
struct fdb_entry *fdb_empty_in(struct fdb *fdb, uint32_t bucket);

/*
 * Counts a move of key, at home in the stripe, which is locked. Returns FDB_MOVED if it is to be
 * done, or FDB_HELD or FDB_HELD_NEW.
 */
enum fdb_learned fdb_judge_move(struct fdb_stripe *stripe, uint64_t key, uint32_t now);

#endif
