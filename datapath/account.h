/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_ACCOUNT_H
#define VSWITCH_DATAPATH_ACCOUNT_H

/*
 * Counting what happens to packets (common/stats_layout.h), and dropping them.
 * Called by stages; each worker writes a block of its own, so plain loads and
 * stores do, made atomic only so that a reader sees no half of a word.
 *
 * Packets that follow each other in a batch mostly count for the same object. A stage adds them up,
 * and adds the sum to the counters when another object's turn comes:
 *
 *	struct account_sum sum = {0};
 *
 *	for each packet:
 *		if (!account_same_port(&sum, packet)) {
 *			account_received(worker, sum);
 *			account_begin_port(&sum, packet);
 *		}
 *		account_sum_add(&sum, packet->frame_count, octets);
 *	account_received(worker, sum);
 */

#include "datapath/worker.h"

/* Frames and octets on the wire of packets in a row, of one port or segment; none at first. */
struct account_sum {
	uint32_t index, incarnation; /* of the port that they came in on, or of the segment */
	uint64_t frames, octets;
};

static inline bool account_same_port(const struct account_sum *sum, const struct packet *packet)
{
	return sum->index == packet->port_in && sum->incarnation == packet->port_in_incarnation;
}

static inline void account_begin_port(struct account_sum *sum, const struct packet *packet)
{
	*sum = (struct account_sum){packet->port_in, packet->port_in_incarnation, 0, 0};
}

static inline bool account_same_segment(const struct account_sum *sum, const struct packet *packet)
{
	return sum->index == packet->segment && sum->incarnation == packet->segment_incarnation;
}

static inline void account_begin_segment(struct account_sum *sum, const struct packet *packet)
{
	*sum = (struct account_sum){packet->segment, packet->segment_incarnation, 0, 0};
}

static inline void account_sum_add(struct account_sum *sum, uint64_t frames, uint64_t octets)
{
	sum->frames += frames;
	sum->octets += octets;
}

/* clang-tidy does not see the store. NOLINTNEXTLINE(readability-non-const-parameter) */
static inline void account_add(uint64_t *counter, uint64_t amount)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + amount,
			 __ATOMIC_RELAXED);
}

static inline bool account_segment_known(const struct worker *worker, const struct packet *packet)
{
	const struct config_segment *segment = config_segment(worker->config, packet->segment);

	return segment != NULL && segment->incarnation == packet->segment_incarnation;
}

/* What is summed up of one port came in. */
void account_received(struct worker *worker, struct account_sum sum);
/* What is summed up of one segment was admitted to it. */
void account_admitted(struct worker *worker, struct account_sum sum);
/* What is summed up of one port passed its tenant's send gate. */
void account_passed(struct worker *worker, struct account_sum sum);
/* The kernel took what is summed up of one port, at port_out, which exists. */
void account_sent(struct worker *worker, struct account_sum sum, uint32_t port_out);

/* A copy beyond the first was made for another port, or a frame was made by the switch itself. */
void account_copied(struct worker *worker, const struct packet *packet);
/*
 * A packet comes to the gate of its tenant that packet->gate says, which has a limit, or passes it
 * after so many ns. Nothing is counted at ports' gates.
 */
void account_offered(struct worker *worker, const struct packet *packet);
void account_let_through(struct worker *worker, struct packet *packet, uint64_t waited);
/* Both, of so many frames of packets that are like this one in tenant and gate, and not marked. */
void account_let_all_through(struct worker *worker, const struct packet *like, uint64_t frames,
			     uint64_t octets);
/* The packet starts or stops waiting in the shaper, at packet->gate. */
void account_queued(struct worker *worker, const struct packet *packet, int direction);
/* The packet stops waiting, and is dropped. */
void account_waiting_lost(struct worker *worker, struct packet *packet, enum drop_reason reason);
/* Part of a packet that was lost in cutting it. */
void account_lost(struct worker *worker, const struct packet *packet, uint32_t frames,
		  enum drop_reason reason);

/* Counts the packet's frames as dropped and frees it. */
void account_drop(struct worker *worker, struct packet *packet, enum drop_reason reason);
/* The same with many packets. */
void account_drop_all(struct worker *worker, struct packet *const *packets, unsigned count,
		      enum drop_reason reason);

#endif
