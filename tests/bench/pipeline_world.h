/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_BENCH_PIPELINE_WORLD_H
#define VSWITCH_TESTS_BENCH_PIPELINE_WORLD_H

/*
 * What the pipeline's benchmark measures: a datapath of the pipeline tests' rig whose ports hand
 * over 64-octet frames (60 without FCS: Ethernet, IPv4, UDP) and take what they are sent, with no
 * kernel behind them. A frame's octets stay in the packet, as if a kernel had just written them;
 * only its addresses, and a tag, are set anew for each. One row of the result is one world.
 */

#include <stdint.h>

#include "tests/pipeline/rig.h"

#define WORLD_FRAME_SIZE 60u

/* A frame to be received: MACs by number, and the tag's VID (0: none). */
struct world_frame {
	uint32_t destination, source;
	uint32_t vid;
};

/*
 * Batches are received in the ring's order, BATCH_SIZE frames each, all by one port; after the last
 * comes the first again.
 */
struct world_ring {
	struct world_frame *frames;
	uint32_t *ports; /* of each batch */
	uint32_t batch_count, next;
};

struct world {
	struct rig rig;
	struct world_ring ring;
	bool tagged;   /* frames carry a tag */
	uint64_t sent; /* packets that the ports were given */
};

struct world_row {
	const char *name;  /* what grows */
	uint32_t count;	   /* how many of it */
	const char *about; /* one line for the table */
	void (*make)(struct world *world, uint32_t count);
};

/* In groups of one name, the smallest first. */
extern const struct world_row world_rows[];
extern const unsigned world_row_count;

/* Makes a row's world; ends the program when out of memory. */
void world_init(struct world *world, const struct world_row *row);
/* Checks that every packet went out of a port, that next to none was flooded, and frees it. */
void world_fini(struct world *world);

/* Receives the next `batches` of the ring. */
void world_run(struct world *world, uint32_t batches);

#endif
