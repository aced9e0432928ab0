/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_FDB_LAYOUT_H
#define VSWITCH_COMMON_FDB_LAYOUT_H

/*
 * The layout of the forwarding database's memory: a memfd that the control
 * daemon makes and seals against resizing, that the datapath writes and the
 * control daemon reads for `fdb list`. It outlives a datapath; a new one keeps
 * the entries whose segment and destination it knows. A reader believes
 * nothing in it: every index is checked against the model.
 *
 * A table of buckets of one cache line with four entries each. An entry is in
 * the bucket of its hash or in the next one.
 *
 * key:   bits 63..47 segment index (17 bits), bits 46..0 the unicast MAC
 *        without its group bit: the first octet's upper seven bits, then the
 *        other five octets.
 * value: bits 63..32 destination (see below), bits 31..8 last seen, in seconds
 *        of CLOCK_BOOTTIME modulo 2^24, bits 7..0 flags. 0: the entry is empty,
 *        whatever its key. An empty entry whose key is 0, too, ends a search:
 *        no entry of its bucket is in the next one.
 * A destination is FDB_TO_PORT | port index or FDB_TO_PEER | peer index.
 */

#include <stdint.h>

#define FDB_MAGIC 0x7673776664620101ull

#define FDB_FLAG_VALID	0x01u /* set in every entry in use */
#define FDB_FLAG_STATIC 0x02u /* configured: traffic never moves or refreshes it */

#define FDB_TO_PORT	   0x00000000u
#define FDB_TO_PEER	   0x80000000u
#define FDB_INDEX_MASK	   0x7fffffffu
#define FDB_INDEX_CAPACITY (1u << 17) /* segments, ports and peers have indices below */

#define FDB_SEEN_SHIFT 8
#define FDB_SEEN_MASK  0xffffffu
#define FDB_CLOCK_SKEW 60u /* seconds */

#define FDB_BUCKET_ENTRIES 4u

struct fdb_entry {
	uint64_t key;
	uint64_t value;
};

static inline uint32_t fdb_value_destination(uint64_t value)
{
	return (uint32_t)(value >> 32);
}

/*
 * Seconds since the entry was last seen, below 2^24 - FDB_CLOCK_SKEW. What was seen up to
 * FDB_CLOCK_SKEW seconds from now is seen now: clocks of threads and processes differ.
 */
static inline uint32_t fdb_value_age(uint64_t value, uint32_t now)
{
	uint32_t age = (now - (uint32_t)(value >> FDB_SEEN_SHIFT)) & FDB_SEEN_MASK;

	return age > FDB_SEEN_MASK - FDB_CLOCK_SKEW ? 0 : age;
}

struct fdb_bucket {
	struct fdb_entry entries[FDB_BUCKET_ENTRIES];
};

struct fdb_memory {
	uint64_t magic;
	uint64_t bucket_count; /* a power of two; bucket_count + 1 buckets follow */
	uint64_t hash_key[2];
	uint64_t reserved[508]; /* fills a page */
	struct fdb_bucket buckets[];
};

/* 2^19 buckets have room for a million entries at half load (32 MiB, sparse). */
#define FDB_BUCKETS_DEFAULT (1u << 19)
#define FDB_MEMORY_SIZE(bucket_count)                                                              \
	(sizeof(struct fdb_memory) + ((size_t)(bucket_count) + 1) * sizeof(struct fdb_bucket))

#endif
