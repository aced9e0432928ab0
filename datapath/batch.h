/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_BATCH_H
#define VSWITCH_DATAPATH_BATCH_H

/*
 * What stages work on: up to 64 packets, owned by the batch, in order.
 *
 * A batch mostly holds packets of few flows. Parse finds its runs: packets in a row that are alike
 * in everything that stages decide by (stages/alike.h). What the first of a run meets, all of it
 * meet, so stages decide once for each run; what they write, they write into every packet. Where
 * nobody looked for runs, each packet is one. A stage drops whole runs:
 *
 *	struct batch_run run = {0};
 *
 *	while (batch_next(batch, &run)) {
 *		decide by run.packets[0], write to run.packets[0 ... run.count - 1]
 *		if (dropped)
 *			batch_drop(&run);
 *	}
 *	batch_end(batch, &run);
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BATCH_SIZE 64u

struct packet;

struct batch {
	unsigned count;
	struct packet *packets[BATCH_SIZE];
	uint8_t run_sizes[BATCH_SIZE]; /* packets in each run, in order */
};

/* Where a stage is in a batch. Zero at first. */
struct batch_run {
	struct packet **packets; /* of the run, in the batch */
	unsigned count;
	/* Private. */
	unsigned next, next_run;
	uint64_t dropped; /* runs, as bits */
};

/* Makes every packet a run by itself, those that are added later as well. */
static inline void batch_single(struct batch *batch)
{
	memset(batch->run_sizes, 1, sizeof(batch->run_sizes));
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

/* Goes to the next run. Returns whether there is one. */
static inline bool batch_next(struct batch *batch, struct batch_run *run)
{
	if (run->next >= batch->count)
		return false;
	run->packets = &batch->packets[run->next];
	run->count = batch->run_sizes[run->next_run++];
	run->next += run->count;
	return true;
}

/* The present run leaves the batch; its packets are the caller's. */
static inline void batch_drop(struct batch_run *run)
{
	run->dropped |= 1ull << (run->next_run - 1);
}

/* Moves the pointers to packets; the places may overlap. */
static inline void batch_move(struct packet **to, struct packet *const *from, unsigned count)
{
	/* The lint takes the size of a pointer to a struct for a mistake. */
	memmove(to, from, count * sizeof(void *));
}

/* All runs were seen: closes the gaps where some were dropped. */
static inline void batch_end(struct batch *batch, const struct batch_run *run)
{
	unsigned from = 0, to = 0, to_run = 0;

	if (run->dropped == 0)
		return;
	for (unsigned i = 0; i < run->next_run; i++) {
		uint8_t size = batch->run_sizes[i];

		if ((run->dropped & 1ull << i) == 0) {
			batch_move(&batch->packets[to], &batch->packets[from], size);
			batch->run_sizes[to_run++] = size;
			to += size;
		}
		from += size;
	}
	batch->count = to;
}

#endif
