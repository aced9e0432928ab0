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

static uint32_t source_of(const struct packet *packet)
{
	return (packet->flags & PACKET_FROM_OVERLAY) != 0 ? FDB_TO_PEER | packet->peer_out
							  : FDB_TO_PORT | packet->port_in;
}

/* What is to be learned from a run of packets, and from those like it that follow. */
struct lesson {
	const struct packet *packet;
	uint64_t key;
	uint32_t destination, home;
};

void stage_learn(struct worker *worker, struct batch *batch)
{
	struct lesson lessons[BATCH_SIZE];
	struct batch_run run = {0};
	unsigned count = 0;

	while (batch_next(batch, &run)) {
		const struct packet *packet = run.packets[0];
		uint64_t key = fdb_key(packet->segment, packet->data + 6);
		uint32_t destination = source_of(packet);

		if (count > 0 && key == lessons[count - 1].key &&
		    destination == lessons[count - 1].destination)
			continue;
		lessons[count++] = (struct lesson){packet, key, destination,
						   fdb_prefetch(worker->shared->fdb, key)};
	}
	for (unsigned i = 0; i < count; i++)
		learned(worker, lessons[i].packet,
			fdb_learn_at(worker->shared->fdb, lessons[i].home, lessons[i].key,
				     lessons[i].destination, worker->now_seconds));
}
