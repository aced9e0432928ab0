/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "datapath/stages/stages.h"

static void learned(struct worker *worker, const struct packet *packet, enum fdb_learned what)
{
	struct stats_segment *stats = &worker->stats->segments[packet->segment];

	switch (what) {
	case FDB_NEW:
		account_add(&stats->learned, 1);
		break;
	case FDB_MOVED:
		account_add(&stats->moved, 1);
		break;
	case FDB_HELD_NEW: {
		struct worker_event event = {
			.type = WORKER_MAC_HELD,
			.ref = {packet->segment, packet->segment_incarnation},
		};

		memcpy(event.mac, packet->data + 6, sizeof(event.mac));
		worker_note(worker, &event);
		break;
	}
	case FDB_KNOWN:
	case FDB_HELD:
	case FDB_FIXED:
	case FDB_FULL:
		break;
	}
}

static inline uint32_t source_of(const struct packet *packet)
{
	return (packet->flags & PACKET_FROM_OVERLAY) != 0 ? FDB_TO_PEER | packet->peer_out
							  : FDB_TO_PORT | packet->port_in;
}

void stage_learn(struct worker *worker, struct batch *batch)
{
	uint64_t keys[BATCH_SIZE];
	uint32_t homes[BATCH_SIZE], sources[BATCH_SIZE];
	uint8_t what[BATCH_SIZE];
	struct batch_run flow = batch_flows(batch);
	unsigned count = 0;

	for (; batch_next(&flow); count++) {
		keys[count] = fdb_key(flow.packets[0]->segment, flow.packets[0]->data + 6);
		sources[count] = source_of(flow.packets[0]);
	}
	if (count == 0)
		return;
	fdb_prefetch(worker->shared->fdb, keys, homes, count);
	if (!fdb_learn_all(worker->shared->fdb, keys, homes, sources, worker->now_seconds, what,
			   count))
		return;
	flow = batch_flows(batch);
	for (unsigned i = 0; batch_next(&flow); i++)
		learned(worker, flow.packets[0], what[i]);
}
