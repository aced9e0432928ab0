/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/fdb.h"

#include <errno.h>

#include "datapath/fdb_table.h"

#define SEEN_BITS ((uint64_t)FDB_SEEN_MASK << FDB_SEEN_SHIFT)

/* So many entries step aside, each into its next bucket, before one must give way. */
#define STEPS_MAX 4u
/* The last bucket that a writer looks at, counted from the home. */
#define REACH (1u + STEPS_MAX)

static_assert(REACH < FDB_STRIPE_BUCKETS, "a writer reaches into two stripes at most");

bool fdb_lookup(const struct fdb *fdb, uint64_t key, uint32_t *destination)
{
	uint64_t value;

	if (fdb_find(fdb, fdb_home_of(fdb, key), key, &value) == NULL)
		return false;
	*destination = fdb_value_destination(value);
	return true;
}

void fdb_prefetch(const struct fdb *fdb, const uint64_t *keys, uint32_t *homes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		homes[i] = fdb_home_of(fdb, keys[i]);
		__builtin_prefetch(&fdb->buckets[homes[i]]);
	}
}

void fdb_lookup_all(const struct fdb *fdb, const uint64_t *keys, const uint32_t *homes,
		    uint64_t *values, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t value;

		values[i] = fdb_find(fdb, homes[i], keys[i], &value) == NULL ? 0 : value;
	}
}

static inline uint64_t value_of(uint32_t destination, uint32_t now, uint64_t flags)
{
	return (uint64_t)destination << 32 | (uint64_t)(now & FDB_SEEN_MASK) << FDB_SEEN_SHIFT |
	       flags;
}

static bool destination_valid(uint32_t destination)
{
	return (destination & FDB_INDEX_MASK) < FDB_INDEX_CAPACITY;
}

static uint32_t counter_of(uint32_t destination)
{
	uint32_t index = destination & (FDB_INDEX_CAPACITY - 1);

	return destination & FDB_TO_PEER ? FDB_INDEX_CAPACITY + index : index;
}

static void count_add(struct fdb *fdb, uint64_t value, uint32_t change)
{
	uint32_t counter = counter_of(fdb_value_destination(value));

	__atomic_fetch_add(&fdb->count, change, __ATOMIC_RELAXED);
	__atomic_fetch_add(&fdb->counts[counter], change, __ATOMIC_RELAXED);
}

static struct fdb_stripe *stripe_of(const struct fdb *fdb, uint32_t bucket)
{
	return &fdb->stripes[bucket / FDB_STRIPE_BUCKETS];
}

/* The stripe of the last bucket in reach: that of the bucket itself, or the next one. */
static struct fdb_stripe *stripe_in_reach(const struct fdb *fdb, uint32_t bucket)
{
	uint32_t last = bucket + REACH;

	return stripe_of(fdb, last < fdb->bucket_count ? last : fdb->bucket_count - 1);
}

static void lock_reach(struct fdb *fdb, uint32_t bucket)
{
	pthread_mutex_lock(&stripe_of(fdb, bucket)->lock);
	if (stripe_in_reach(fdb, bucket) != stripe_of(fdb, bucket))
		pthread_mutex_lock(&stripe_in_reach(fdb, bucket)->lock);
}

static void unlock_reach(struct fdb *fdb, uint32_t bucket)
{
	if (stripe_in_reach(fdb, bucket) != stripe_of(fdb, bucket))
		pthread_mutex_unlock(&stripe_in_reach(fdb, bucket)->lock);
	pthread_mutex_unlock(&stripe_of(fdb, bucket)->lock);
}

/* From here on: called with the stripes of the buckets locked. */

void fdb_replace(struct fdb *fdb, struct fdb_entry *entry, uint64_t key, uint64_t value)
{
	size_t offset = (size_t)((uintptr_t)entry - (uintptr_t)fdb->buckets);
	uint32_t bucket = (uint32_t)(offset / sizeof(struct fdb_bucket));
	uint64_t old = fdb_load(&entry->value);

	if (fdb_load(&entry->key) != key) {
		fdb_store(&entry->value, 0);
		fdb_store(&entry->key, key);
	}
	fdb_store(&entry->value, value);
	__atomic_store_n(&stripe_of(fdb, bucket)->touched, true, __ATOMIC_RELAXED);
	count_add(fdb, value, 1);
	if (old != 0)
		count_add(fdb, old, -1u);
}

static void erase(struct fdb *fdb, struct fdb_entry *entry)
{
	count_add(fdb, fdb_load(&entry->value), -1u);
	fdb_store(&entry->value, 0);
}

struct fdb_entry *fdb_empty_in(struct fdb *fdb, uint32_t bucket)
{
	for (unsigned i = 0; i < FDB_BUCKET_ENTRIES; i++) {
		struct fdb_entry *entry = &fdb->buckets[bucket].entries[i];

		if (fdb_load(&entry->value) == 0)
			return entry;
	}
	return NULL;
}

/* Returns an entry in `bucket` whose home is `home`, or NULL. */
static struct fdb_entry *at_home_in(struct fdb *fdb, uint32_t bucket, uint32_t home)
{
	for (unsigned i = 0; i < FDB_BUCKET_ENTRIES; i++) {
		struct fdb_entry *entry = &fdb->buckets[bucket].entries[i];

		if (fdb_load(&entry->value) != 0 && fdb_home_of(fdb, fdb_load(&entry->key)) == home)
			return entry;
	}
	return NULL;
}

/*
 * Lets an entry of a full bucket step into the next one, for which an entry there may have to do
 * the same, and so on. Returns its place, where the entry still is, to be replaced; or NULL.
 * The last bucket is nobody's home, so that none steps out of the table. Entries only ever step
 * forwards, so that fdb_visit() misses none.
 */
static struct fdb_entry *step_aside(struct fdb *fdb, uint32_t bucket)
{
	struct fdb_entry *steps[STEPS_MAX];
	struct fdb_entry *place;
	unsigned count = 0;

	do {
		if (count == STEPS_MAX)
			return NULL;
		steps[count] = at_home_in(fdb, bucket, bucket);
		if (steps[count++] == NULL)
			return NULL;
		place = fdb_empty_in(fdb, ++bucket);
	} while (place == NULL);

	while (count-- > 0) {
		fdb_replace(fdb, place, fdb_load(&steps[count]->key),
			    fdb_load(&steps[count]->value));
		place = steps[count];
	}
	return place;
}

/* Returns which learned entry of two full buckets gives way to `value`, or NULL. */
static struct fdb_entry *victim_of(struct fdb *fdb, uint32_t home, uint64_t value, uint32_t now)
{
	uint32_t newcomer = fdb_value_destination(value);
	uint32_t most = 0, oldest = 0;
	struct fdb_entry *victim = NULL;
	bool victim_own = false;

	for (unsigned i = 0; i < 2 * FDB_BUCKET_ENTRIES; i++) {
		struct fdb_entry *entry = &fdb->buckets[home + i / FDB_BUCKET_ENTRIES]
						   .entries[i % FDB_BUCKET_ENTRIES];
		uint64_t candidate = fdb_load(&entry->value);
		uint32_t destination = fdb_value_destination(candidate);
		uint32_t holds = fdb_count_of(fdb, destination);
		uint32_t age = fdb_value_age(candidate, now);
		bool own = destination == newcomer;

		if (candidate & FDB_FLAG_STATIC)
			continue;
		/* Of destinations that hold the same, the newcomer's own comes first. */
		if (victim == NULL || holds > most || (holds == most && own > victim_own) ||
		    (holds == most && own == victim_own && age > oldest)) {
			victim = entry;
			victim_own = own;
			most = holds;
			oldest = age;
		}
	}
	if (value & FDB_FLAG_STATIC || victim_own || most > fdb_count_of(fdb, newcomer))
		return victim;
	return NULL;
}

static int insert(struct fdb *fdb, uint32_t home, uint64_t key, uint64_t value, uint32_t now)
{
	struct fdb_entry *place = fdb_empty_in(fdb, home);

	if (place == NULL)
		place = fdb_empty_in(fdb, home + 1);
	if (place == NULL)
		place = step_aside(fdb, home + 1);
	if (place == NULL)
		place = victim_of(fdb, home, value, now);
	if (place == NULL)
		return -ENOSPC;
	fdb_replace(fdb, place, key, value);
	return 0;
}

static enum fdb_learned learn_locked(struct fdb *fdb, uint32_t home, uint64_t key,
				     uint32_t destination, uint32_t now)
{
	uint64_t wanted = value_of(destination, now, FDB_FLAG_VALID);
	enum fdb_learned learned;
	uint64_t value;
	struct fdb_entry *entry = fdb_find(fdb, home, key, &value);

	if (entry == NULL)
		return insert(fdb, home, key, wanted, now) == 0 ? FDB_NEW : FDB_FULL;
	if (fdb_value_destination(value) == destination)
		return FDB_KNOWN;
	if (value & FDB_FLAG_STATIC)
		return FDB_FIXED;
	learned = fdb_judge_move(stripe_of(fdb, home), key, now);
	if (learned == FDB_MOVED)
		fdb_replace(fdb, entry, key, wanted);
	return learned;
}

/* Up to here: called with the stripes of the buckets locked. */

/* Where a key is not known as it was seen now. */
static enum fdb_learned learn_new(struct fdb *fdb, uint32_t home, uint64_t key,
				  uint32_t destination, uint32_t now)
{
	enum fdb_learned learned;

	if (!fdb_key_valid(key) || !destination_valid(destination))
		return FDB_FULL;
	lock_reach(fdb, home);
	learned = learn_locked(fdb, home, key, destination, now);
	unlock_reach(fdb, home);
	return learned;
}

static inline enum fdb_learned learn_at(struct fdb *fdb, uint32_t home, uint64_t key,
					uint32_t destination, uint32_t now)
{
	uint64_t value;
	struct fdb_entry *entry = fdb_find(fdb, home, key, &value);

	if (entry != NULL && fdb_value_destination(value) == destination) {
		if (!(value & FDB_FLAG_STATIC) && fdb_value_age(value, now) != 0) {
			uint64_t seen = value_of(destination, now, value & FDB_FLAG_BITS);

			__atomic_compare_exchange_n(&entry->value, &value, seen, false,
						    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
		}
		return FDB_KNOWN;
	}
	if (entry != NULL && value & FDB_FLAG_STATIC)
		return FDB_FIXED;
	return learn_new(fdb, home, key, destination, now);
}

enum fdb_learned fdb_learn(struct fdb *fdb, uint64_t key, uint32_t destination, uint32_t now)
{
	return learn_at(fdb, fdb_home_of(fdb, key), key, destination, now);
}

bool fdb_learn_all(struct fdb *fdb, const uint64_t *keys, const uint32_t *homes,
		   const uint32_t *destinations, uint32_t now, uint8_t *learned, unsigned count)
{
	bool news = false;

	for (unsigned i = 0; i < count; i++) {
		learned[i] = (uint8_t)learn_at(fdb, homes[i], keys[i], destinations[i], now);
		news |= learned[i] != FDB_KNOWN;
	}
	return news;
}

int fdb_set_static(struct fdb *fdb, uint64_t key, uint32_t destination, uint32_t now)
{
	uint64_t wanted = value_of(destination, now, FDB_FLAG_VALID | FDB_FLAG_STATIC);
	uint32_t home = fdb_home_of(fdb, key);
	struct fdb_entry *entry;
	uint64_t value;
	int error = 0;

	if (!fdb_key_valid(key) || !destination_valid(destination))
		return -EINVAL;
	lock_reach(fdb, home);
	entry = fdb_find(fdb, home, key, &value);
	if (entry != NULL)
		fdb_replace(fdb, entry, key, wanted);
	else
		error = insert(fdb, home, key, wanted, now);
	unlock_reach(fdb, home);
	return error;
}

bool fdb_remove(struct fdb *fdb, uint64_t key)
{
	uint32_t home = fdb_home_of(fdb, key);
	struct fdb_entry *entry;
	uint64_t value;

	lock_reach(fdb, home);
	entry = fdb_find(fdb, home, key, &value);
	if (entry != NULL)
		erase(fdb, entry);
	unlock_reach(fdb, home);
	return entry != NULL;
}

/* Reads an entry without a lock. Returns whether it is in use and was read whole. */
static bool read_entry(const struct fdb_entry *entry, uint64_t *key, uint64_t *value)
{
	*key = fdb_load(&entry->key);
	return fdb_read(entry, *key, value);
}

/* Removes an entry if it is still what was read, but for the bits to ignore. */
static bool remove_unchanged(struct fdb *fdb, uint32_t bucket, struct fdb_entry *entry,
			     uint64_t key, uint64_t value, uint64_t ignore)
{
	bool same;

	pthread_mutex_lock(&stripe_of(fdb, bucket)->lock);
	same = fdb_load(&entry->key) == key && ((fdb_load(&entry->value) ^ value) & ~ignore) == 0;
	if (same)
		erase(fdb, entry);
	pthread_mutex_unlock(&stripe_of(fdb, bucket)->lock);
	return same;
}

/* Lets searches end in the bucket again if nothing of it is in the next one. */
static void reopen(struct fdb *fdb, uint32_t bucket)
{
	bool last = bucket + 1 == fdb->bucket_count;
	unsigned closed = 0;

	for (unsigned i = 0; i < FDB_BUCKET_ENTRIES; i++) {
		const struct fdb_entry *entry = &fdb->buckets[bucket].entries[i];

		closed += fdb_load(&entry->value) == 0 && fdb_load(&entry->key) != 0;
	}
	if (closed == 0)
		return;
	lock_reach(fdb, bucket);
	for (unsigned i = 0; i < FDB_BUCKET_ENTRIES; i++) {
		struct fdb_entry *entry = &fdb->buckets[bucket].entries[i];

		if (fdb_load(&entry->value) == 0 &&
		    (last || at_home_in(fdb, bucket + 1, bucket) == NULL))
			fdb_store(&entry->key, 0);
	}
	unlock_reach(fdb, bucket);
}

static bool is_touched(const struct fdb *fdb, uint32_t bucket)
{
	return __atomic_load_n(&stripe_of(fdb, bucket)->touched, __ATOMIC_RELAXED);
}

uint32_t fdb_age(struct fdb *fdb, uint32_t buckets, uint32_t now,
		 uint32_t (*ageing)(void *context, uint32_t segment), void *context)
{
	uint32_t removed = 0;

	if (buckets > fdb->bucket_count)
		buckets = fdb->bucket_count;
	for (; buckets > 0; buckets--) {
		uint32_t bucket = fdb->cursor;

		fdb->cursor = bucket + 1 == fdb->bucket_count ? 0 : bucket + 1;
		if (!is_touched(fdb, bucket))
			continue;
		for (unsigned i = 0; i < FDB_BUCKET_ENTRIES; i++) {
			struct fdb_entry *entry = &fdb->buckets[bucket].entries[i];
			uint64_t key, value;
			uint32_t limit;

			if (!read_entry(entry, &key, &value))
				continue;
			limit = ageing(context, fdb_key_segment(key));
			if (limit == 0 ||
			    (!(value & FDB_FLAG_STATIC) && fdb_value_age(value, now) > limit))
				removed += remove_unchanged(fdb, bucket, entry, key, value, 0);
		}
		reopen(fdb, bucket);
	}
	return removed;
}

void fdb_visit(struct fdb *fdb, bool (*visit)(void *context, uint64_t key, uint64_t value),
	       void *context)
{
	for (uint32_t bucket = 0; bucket < fdb->bucket_count; bucket++) {
		for (unsigned i = 0; is_touched(fdb, bucket) && i < FDB_BUCKET_ENTRIES; i++) {
			struct fdb_entry *entry = &fdb->buckets[bucket].entries[i];
			uint64_t key, value;

			if (read_entry(entry, &key, &value) && !visit(context, key, value))
				remove_unchanged(fdb, bucket, entry, key, value, SEEN_BITS);
		}
	}
}

uint32_t fdb_bucket_count(const struct fdb *fdb)
{
	return fdb->bucket_count;
}

uint32_t fdb_count(const struct fdb *fdb)
{
	return __atomic_load_n(&fdb->count, __ATOMIC_RELAXED);
}

uint32_t fdb_count_of(const struct fdb *fdb, uint32_t destination)
{
	return __atomic_load_n(&fdb->counts[counter_of(destination)], __ATOMIC_RELAXED);
}

void fdb_key_mac(uint64_t key, uint8_t mac[6])
{
	mac[0] = (uint8_t)(key >> 40 << 1);
	for (unsigned i = 1; i < 6; i++)
		mac[i] = (uint8_t)(key >> (40 - 8 * i));
}
