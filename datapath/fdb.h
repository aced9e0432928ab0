/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_FDB_H
#define VSWITCH_DATAPATH_FDB_H

/*
 * The forwarding database: one hash table for the MACs of all segments, in
 * memory that the control daemon shares (common/fdb_layout.h).
 *
 * Workers look up and learn; the main thread ages, flushes and sets static
 * entries. Readers take no lock. What adds, moves or removes an entry locks a
 * stripe of buckets, in memory of this process, for some tens of nanoseconds.
 * A reader can see an entry that is just being replaced: output verifies that
 * the port is in the packet's segment.
 *
 * Destinations have an index below FDB_INDEX_CAPACITY. Times are seconds of
 * CLOCK_BOOTTIME; callers may differ by a few.
 */

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/fdb_layout.h"

struct fdb;

/*
 * Uses `memory` of `size` octets (a shared mapping, or any zeroed memory in tests; aligned to 64),
 * which stays the caller's and must outlive the FDB. Memory that is not an FDB yet (magic 0) is
 * emptied and made one, with as many buckets as fit and a random hash key. Memory of a former
 * datapath is taken over: entries that accept() refuses, that are malformed, misplaced or double
 * are removed, and static ones become learned ones until they are set again. Returns 0, -EINVAL
 * when size, alignment or header do not fit, -ENOMEM, or the error of getrandom().
 */
int fdb_new(struct fdb **fdb, void *memory, size_t size,
	    bool (*accept)(void *context, uint32_t segment, uint32_t destination), void *context);
void fdb_free(struct fdb *fdb);

/* The key of a unicast MAC, not zero, in a segment (index below FDB_INDEX_CAPACITY). */
static inline uint64_t fdb_key(uint32_t segment, const uint8_t mac[6])
{
	uint32_t upper;
	uint16_t lower;
	uint64_t address;

	memcpy(&upper, mac, sizeof(upper));
	memcpy(&lower, mac + sizeof(upper), sizeof(lower));
	address = (uint64_t)ntohl(upper) << 16 | ntohs(lower);
	/* The group bit is the lowest of the first octet: bit 40. What is above moves down. */
	return (uint64_t)segment << 47 | (address >> 41) << 40 | (address & 0xffffffffffull);
}

void fdb_key_mac(uint64_t key, uint8_t mac[6]);

static inline uint32_t fdb_key_segment(uint64_t key)
{
	return (uint32_t)(key >> 47);
}

/* Returns true and the destination (FDB_TO_PORT or FDB_TO_PEER and an index) if the key is known.
 */
bool fdb_lookup(const struct fdb *fdb, uint64_t key, uint32_t *destination);

/*
 * What follows works on many keys at once, so that memory is asked for all of them before any is
 * waited for.
 *
 * Writes where each key is searched for, which the other functions want, and asks for the cache
 * lines that they will read.
 */
void fdb_prefetch(const struct fdb *fdb, const uint64_t *keys, uint32_t *homes, unsigned count);
/* Writes each key's value (common/fdb_layout.h), or 0 where it is not known. */
void fdb_lookup_all(const struct fdb *fdb, const uint64_t *keys, const uint32_t *homes,
		    uint64_t *values, unsigned count);

enum fdb_learned {
	FDB_KNOWN, /* nothing new; last seen is written at most once a second */
	FDB_NEW,   /* added; an old entry of the destination that holds most may have given way */
	FDB_MOVED, /* was elsewhere, accepted */
	FDB_HELD,  /* moves too often: ignored */
	FDB_HELD_NEW, /* the same, for the first time: worth a line in the log */
	FDB_FIXED,    /* a static entry says otherwise */
	FDB_FULL      /* no place, and nothing in the two buckets can give way */
};

/* Moves of one key that are accepted within a second of `now`. */
#define FDB_MOVES_MAX 5u

/*
 * Learns that key was seen at destination. Any worker. The first move beyond FDB_MOVES_MAX within a
 * second holds the entry where it is for the rest of that second and for all of the next.
 *
 * When both buckets are full, and no entry can step aside, one gives way: of the destinations that
 * have entries there, the one that holds most in the whole FDB loses its oldest there. When the
 * newcomer's own destination holds as many or more, only an entry of its own gives way.
 */
enum fdb_learned fdb_learn(struct fdb *fdb, uint64_t key, uint32_t destination, uint32_t now);
/*
 * The same for many keys, in order, at the places of fdb_prefetch(). Writes what became of each
 * (enum fdb_learned), and returns whether any of them is not FDB_KNOWN.
 */
bool fdb_learn_all(struct fdb *fdb, const uint64_t *keys, const uint32_t *homes,
		   const uint32_t *destinations, uint32_t now, uint8_t *learned, unsigned count);

/*
 * Adds an entry or changes the one that is there, and makes it static. Returns 0, -EINVAL when the
 * key or the destination's index is not valid, or -ENOSPC when both buckets are full of static
 * entries.
 */
int fdb_set_static(struct fdb *fdb, uint64_t key, uint32_t destination, uint32_t now);

/* Removes an entry of any kind. Returns whether there was one. */
bool fdb_remove(struct fdb *fdb, uint64_t key);

/*
 * Looks at up to `buckets` buckets, from where the last call stopped, and removes learned entries
 * that were not seen for longer than ageing(context, segment) seconds (0: segment is gone, remove
 * static ones too; 2^24 and more: never). Returns the number removed. Main thread.
 */
uint32_t fdb_age(struct fdb *fdb, uint32_t buckets, uint32_t now,
		 uint32_t (*ageing)(void *context, uint32_t segment), void *context);

/*
 * Calls visit() for every entry; when it returns false, the entry is removed, unless a worker moved
 * it in the meantime. visit() may call other functions of the FDB. An entry that is there all the
 * time is visited once, or twice when it makes room for another meanwhile. Main thread.
 */
void fdb_visit(struct fdb *fdb, bool (*visit)(void *context, uint64_t key, uint64_t value),
	       void *context);

/* Buckets that one round of fdb_age() looks at. */
uint32_t fdb_bucket_count(const struct fdb *fdb);

/* Entries in use, and of one destination; may be a little behind. */
uint32_t fdb_count(const struct fdb *fdb);
uint32_t fdb_count_of(const struct fdb *fdb, uint32_t destination);

#endif
