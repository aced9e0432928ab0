/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_BATCH_H
#define VSWITCH_DATAPATH_BATCH_H

/* What stages work on: up to 64 packets, owned by the batch, in order. */

#include <stdbool.h>

#define BATCH_SIZE 64u

struct packet;

struct batch {
	unsigned count;
	struct packet *packets[BATCH_SIZE];
};

static inline bool batch_full(const struct batch *batch)
{
	return batch->count == BATCH_SIZE;
}

static inline void batch_add(struct batch *batch, struct packet *packet)
{
	batch->packets[batch->count++] = packet;
}

#endif
