/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_ACCOUNT_H
#define VSWITCH_DATAPATH_ACCOUNT_H

/*
 * Counting what happens to packets (common/stats_layout.h), and dropping them.
 * Called by stages; each worker writes a block of its own, so plain loads and
 * stores do, made atomic only so that a reader sees no half of a word.
 */

#include "datapath/worker.h"

/* clang-tidy does not see the store. NOLINTNEXTLINE(readability-non-const-parameter) */
static inline void account_add(uint64_t *counter, uint64_t amount)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + amount,
			 __ATOMIC_RELAXED);
}

/* The counters of the port that the packet came in on; NULL when that port is gone. */
static inline struct stats_port *account_port_in(struct worker *worker, const struct packet *packet)
{
	const struct config_port *port = config_port(worker->config, packet->port_in);

	if (port == NULL || port->incarnation != packet->port_in_incarnation)
		return NULL;
	return &worker->stats->ports[packet->port_in];
}

static inline bool account_segment_known(const struct worker *worker, const struct packet *packet)
{
	const struct config_segment *segment = config_segment(worker->config, packet->segment);

	return segment != NULL && segment->incarnation == packet->segment_incarnation;
}

/* The packet came in with so many octets on the wire; frame_count is known. */
void account_received(struct worker *worker, const struct packet *packet, uint32_t octets);
/* A copy beyond the first was made for another port, or a frame was made by the switch itself. */
void account_copied(struct worker *worker, const struct packet *packet);
/* The kernel took the packet at port_out. */
void account_sent(struct worker *worker, const struct packet *packet);
/* The packet starts or stops waiting in the shaper. */
void account_queued(struct worker *worker, const struct packet *packet, int direction);
/* Part of a packet that was lost in cutting it. */
void account_lost(struct worker *worker, const struct packet *packet, uint32_t frames,
		  enum drop_reason reason);

/* Counts the packet's frames as dropped and frees it. */
void account_drop(struct worker *worker, struct packet *packet, enum drop_reason reason);

#endif
