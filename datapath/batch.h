/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_BATCH_H
#define VSWITCH_DATAPATH_BATCH_H

/*
 * What stages work on: up to 64 packets, owned by the batch, in order.
 *
 * A batch mostly holds packets that are alike. Parse finds its runs: packets in a row that
 * differ in nothing that stages decide by but addresses and ports (stages/alike.h); and of each
 * run the flows: packets in a row in which these are the same as well. What the first of a run
 * meets, all of it meet, unless MACs decide, and then what the first of a flow meets, all of it
 * meet. So stages decide once for each run, or once for each flow; what they write, they write
 * into every packet. Where nobody looked for runs, each packet is one. A stage drops whole runs,
 * or whole flows:
 *
 *	struct batch_run run = batch_runs(batch);
 *
 *	while (batch_next(&run)) {
 *		decide by run.packets[0], write to run.packets[0 ... run.count - 1]
 *		if (dropped)
 *			batch_drop(&run);
 *	}
 *	batch_end(&run);
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BATCH_SIZE 64u

struct packet;

struct batch {
	unsigned count;
	struct packet *packets[BATCH_SIZE];
	/* Bits of packets that begin a run, or a flow; each run begins one. */
	uint64_t runs, flows;
};

/* Where a stage is in a batch: at a run or a flow. */
struct batch_run {
	struct packet **packets; /* in the batch */
	unsigned count;
	/* Private. */
	struct batch *batch;
	uint64_t begin, rest; /* as bits: where this one begins, and all behind it do */
	uint64_t dropped;     /* packets, as bits */
};

/* Makes every packet a run by itself, those that are added later as well. */
static inline void batch_single(struct batch *batch)
{
	batch->runs = batch->flows = ~0ull;
}

static inline void batch_init(struct batch *batch)
{
	batch->count = 0;
	batch_single(batch);
}

static inline bool batch_full(const struct batch *batch)
{
	return batch->count == BATCH_SIZE;
}

/* Adds a packet to a batch of which nobody has looked for runs. */
static inline void batch_add(struct batch *batch, struct packet *packet)
{
	batch->packets[batch->count++] = packet;
}

static inline struct batch_run batch_begin(struct batch *batch, uint64_t begins)
{
	struct batch_run run = {.batch = batch};

	if (batch->count > 0)
		run.rest = begins & ~0ull >> (BATCH_SIZE - batch->count);
	return run;
}

/* Before the first run of a batch. */
static inline struct batch_run batch_runs(struct batch *batch)
{
	return batch_begin(batch, batch->runs);
}

/* Before the first flow, of whatever run. */
static inline struct batch_run batch_flows(struct batch *batch)
{
	return batch_begin(batch, batch->flows);
}

/* Goes to the next run or flow. Returns whether there is one. */
static inline bool batch_next(struct batch_run *run)
{
	unsigned begin, end = run->batch->count;

	if (run->rest == 0)
		return false;
	begin = (unsigned)__builtin_ctzll(run->rest);
	run->begin = run->rest & -run->rest;
	run->rest ^= run->begin;
	if (run->rest != 0)
		end = (unsigned)__builtin_ctzll(run->rest);
	run->packets = &run->batch->packets[begin];
	run->count = end - begin;
	return true;
}

/* Whether the present flow is the first of its run. */
static inline bool batch_begins_run(const struct batch_run *flow)
{
	return (flow->batch->runs & flow->begin) != 0;
}

/* Lets a run begin with the present flow. */
static inline void batch_split(const struct batch_run *flow)
{
	flow->batch->runs |= flow->begin;
}

/* The present run or flow leaves the batch; its packets are the caller's. */
static inline void batch_drop(struct batch_run *run)
{
	run->dropped |= (run->begin << (run->count - 1) << 1) - run->begin;
}

/* Moves the pointers to packets; the places may overlap. */
static inline void batch_move(struct packet **to, struct packet *const *from, unsigned count)
{
	/* The lint takes the size of a pointer to a struct for a mistake. */
	memmove(to, from, count * sizeof(void *));
}

/* All runs or flows were seen: closes the gaps where some were dropped. */
static inline void batch_end(const struct batch_run *run)
{
	struct batch *batch = run->batch;
	uint64_t runs = 0, flows = 0, run_begins = 0;
	unsigned kept = 0;

	if (run->dropped == 0)
		return;
	for (unsigned i = 0; i < batch->count; i++) {
		run_begins |= batch->runs >> i & 1;
		if ((run->dropped >> i & 1) != 0)
			continue;
		batch->packets[kept] = batch->packets[i];
		/* Where a run has lost its first flow, it begins with the next. */
		runs |= run_begins << kept;
		flows |= (batch->flows >> i & 1) << kept;
		run_begins = 0;
		kept++;
	}
	batch->runs = runs;
	batch->flows = flows;
	batch->count = kept;
}

#endif
