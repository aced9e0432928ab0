/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_STAGES_STAGES_H
#define VSWITCH_DATAPATH_STAGES_STAGES_H

/*
 * The stages of the packet's way (pipeline.c shows their order). Each works on
 * a batch in place: what it drops or keeps back leaves the batch. Called by
 * workers; stages never allocate beyond the packet pool, log, block or make
 * system calls, but for output, which calls the ports.
 */

#include "datapath/account.h"
#include "datapath/worker.h"

/* Parses and counts what a port received. */
void stage_parse(struct worker *worker, struct batch *batch);
/* Finds the segment, by port and tag, or by VNI and peer. */
void stage_classify(struct worker *worker, struct batch *batch);
/* Keeps out what no segment may carry. Answers to what is too long are appended to replies. */
void stage_admit(struct worker *worker, struct batch *batch, struct packet_list *replies);
/* Learns where the source is. */
void stage_learn(struct worker *worker, struct batch *batch);
/*
 * Finds the port or peer of the destination; port_out is PROTO_NO_INDEX for a flood. Returns
 * whether there is any: else nothing is to be replicated.
 */
bool stage_lookup(struct worker *worker, struct batch *batch);

/* Where the replication of a batch goes on. */
struct replication {
	unsigned packet;
	uint32_t member; /* how many of the segment's ports, then peers, were looked at */
	bool pending;	 /* a target was found that gets its packet when the next one is known */
	uint32_t target;
};

/*
 * Moves packets from batch to out, one copy for each port and peer that they go to, until out is
 * full. Returns whether there may be more: call again. *state starts as zero.
 */
bool stage_replicate(struct worker *worker, struct batch *batch, struct replication *state,
		     struct batch *out);

/*
 * Passes the batch through one shaper gate, and calls next() with what passes at once; the rest
 * waits in the shaper.
 */
void stage_shape(struct worker *worker, struct batch *batch, enum shaper_kind kind,
		 void (*next)(struct worker *worker, struct batch *batch));
/* Drops what came out of a shaper and whose ports, segment or tenant are gone since. */
void stage_recheck(struct worker *worker, struct batch *batch);

/* Drops and counts what was lost while it waited in the shaper. */
void stage_lost(struct worker *worker);

/* Sends what waits for room in its port, where it is time to try. */
void stage_retry(struct worker *worker);

/* Tags, finishes offloads that the port does not take, and sends. Empties the batch. */
void stage_output(struct worker *worker, struct batch *batch);

#endif
