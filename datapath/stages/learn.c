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

void stage_learn(struct worker *worker, struct batch *batch)
{
	uint64_t keys[BATCH_SIZE];

	for (unsigned i = 0; i < batch->count; i++) {
		keys[i] = fdb_key(batch->packets[i]->segment, batch->packets[i]->data + 6);
		fdb_prefetch(worker->shared->fdb, keys[i]);
	}
	for (unsigned i = 0; i < batch->count; i++) {
		struct packet *packet = batch->packets[i];
		uint32_t destination = (packet->flags & PACKET_FROM_OVERLAY) != 0
					       ? FDB_TO_PEER | packet->peer_out
					       : FDB_TO_PORT | packet->port_in;

		learned(worker, packet,
			fdb_learn(worker->shared->fdb, keys[i], destination, worker->now_seconds));
	}
}
