/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_BATCH_H
#define VSWITCH_DATAPATH_BATCH_H

/*
 * What stages work on: up to 64 packets, owned by the batch, in order.
 *
 * A batch mostly holds packets of few flows. Parse finds its runs: packets in a row that are alike
 * in everything that stages decide by (stages/alike.h). What the first of a run meets, all of it
 * meet, so stages decide once for each run; what they write, they write into every packet. A batch
 * whose runs nobody looked for has run_count 0, and each of its packets is a run by itself.
 *
 * A stage keeps or drops whole runs:
 *
 *	struct batch_run run = {0};
 *
 *	while (batch_next(batch, &run)) {
 *		decide by run.packets[0], write to run.packets[0 ... run.count - 1]
 *		if (kept)
 *			batch_keep(batch, &run);
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
	unsigned run_count; /* 0: not looked for */
	struct packet *packets[BATCH_SIZE];
	uint8_t run_sizes[BATCH_SIZE]; /* packets in each run, in order; their sum is count */
};

/* Where a stage is in a batch. Zero at first. */
struct batch_run {
	struct packet **packets; /* of the run, in the batch */
	unsigned count;
	/* Private: what was seen, and what was kept. */
	unsigned next, next_run, kept, kept_runs;
};

static inline void batch_init(struct batch *batch)
{
	batch->count = batch->run_count = 0;
}

static inline bool batch_full(const struct batch *batch)
{
	return batch->count == BATCH_SIZE;
}

/* Adds a packet to a batch whose runs nobody has looked for. */
static inline void batch_add(struct batch *batch, struct packet *packet)
{
	batch->packets[batch->count++] = packet;
}

/* Goes to the next run. Returns whether there is one. */
static inline bool batch_next(struct batch *batch, struct batch_run *run)
{
	if (run->next == batch->count)
		return false;
	run->packets = &batch->packets[run->next];
	run->count = batch->run_count == 0 ? 1 : batch->run_sizes[run->next_run];
	run->next += run->count;
	run->next_run++;
	return true;
}

/* Makes so many packets that follow a part of the present run; of a batch without runs. */
static inline void batch_extend(struct batch_run *run, unsigned followers)
{
	run->count += followers;
	run->next += followers;
}

/* The present run stays in the batch; else it is the caller's. */
static inline void batch_keep(struct batch *batch, struct batch_run *run)
{
	struct packet **place = &batch->packets[run->kept];

	if (place != run->packets) {
		for (unsigned i = 0; i < run->count; i++)
			place[i] = run->packets[i];
	}
	run->kept += run->count;
	batch->run_sizes[run->kept_runs++] = (uint8_t)run->count;
}

/* All runs were seen; the batch is what was kept of it. */
static inline void batch_end(struct batch *batch, const struct batch_run *run)
{
	batch->count = run->kept;
	batch->run_count = run->kept_runs;
}

#endif
