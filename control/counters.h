/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_COUNTERS_H
#define VSWITCH_CONTROL_COUNTERS_H

/*
 * Reads the counters' memory (common/stats_layout.h), for what the API tells
 * of it. The datapath may write anything there: nothing is taken from it but
 * numbers, and nothing is read beyond its end.
 *
 * Every worker writes a block of its own; a counter is the sum over the blocks. A block that is not
 * in use is not read: reading would give the sparse memory its pages. Counters whose incarnation is
 * another's are those of an object that had the index before: the datapath has not counted yet.
 */

#include <stddef.h>

#include "common/proto.h"
#include "common/stats_layout.h"

/* A counted object: whose memory, and where it is in a worker's block. */
struct counters {
	const struct stats_memory *memory; /* NULL: nothing is counted yet */
	uint32_t incarnation;
	size_t object;		   /* its place in a block */
	size_t incarnation_offset; /* within the object */
};

struct counters counters_of_port(const struct stats_memory *memory, const struct proto_ref *ref);
struct counters counters_of_tenant(const struct stats_memory *memory, const struct proto_ref *ref);
struct counters counters_of_segment(const struct stats_memory *memory, const struct proto_ref *ref);

/* How many blocks any datapath has used so far. */
uint64_t counters_block_count(const struct stats_memory *memory);
/* What each weight gets now, the share at this place in the memory; UINT64_MAX: nothing is divided.
 */
uint64_t counters_share(const struct stats_memory *memory, size_t offset);
/* The counter at this place within the object, over all workers, or of one. */
uint64_t counters_sum(const struct counters *counters, size_t offset);
uint64_t counters_of_worker(const struct counters *counters, uint64_t worker, size_t offset);

#endif
