/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/stages/stages.h"

/* A target is a port, or the VTEP with a peer. */
#define TARGET_PEER 0x80000000u

static bool is_flood(const struct packet *packet)
{
	return packet->port_out == PROTO_NO_INDEX;
}

/* Whether a copy of the packet goes to this member. */
static bool wants_copy(const struct config *config, const struct packet *packet, uint32_t index)
{
	const struct config_port *port = &config->ports[index];

	return index != packet->port_in && port->admin_up && port->port != NULL;
}

/* Finds the next target of a flood, from state->member on. */
static bool next_target(const struct config *config, const struct packet *packet,
			struct replication *state, uint32_t *target)
{
	const struct config_segment *segment = &config->segments[packet->segment];
	uint32_t members = segment->members == NULL ? 0 : segment->members->count;
	uint32_t peers = segment->peers == NULL ? 0 : segment->peers->count;

	while (state->member < members) {
		uint32_t index = segment->members->items[state->member++].index;

		if (wants_copy(config, packet, index)) {
			*target = index;
			return true;
		}
	}
	if ((packet->flags & PACKET_FROM_OVERLAY) != 0 || config->vtep == PROTO_NO_INDEX ||
	    segment->vni == 0 || state->member >= members + peers)
		return false;
	*target = TARGET_PEER | segment->peers->items[state->member++ - members].index;
	return true;
}

static void set_target(const struct config *config, struct packet *packet, uint32_t target)
{
	bool peer = (target & TARGET_PEER) != 0;

	packet->port_out = peer ? config->vtep : target;
	packet->peer_out = peer ? target & ~TARGET_PEER : PROTO_NO_INDEX;
	packet->port_out_incarnation = config->ports[packet->port_out].incarnation;
}

static void add_copy(struct worker *worker, struct packet *packet, uint32_t target,
		     struct batch *out)
{
	struct packet *copy = packet_clone(worker->pool, packet);

	account_copied(worker, packet);
	if (copy == NULL) {
		account_lost(worker, packet, packet->frame_count, DROP_NO_BUFFER);
		return;
	}
	set_target(worker->config, copy, target);
	batch_add(out, copy);
}

/* Goes on with one flooded packet. Returns whether it is finished with it. */
static bool flood(struct worker *worker, struct packet *packet, struct replication *state,
		  struct batch *out)
{
	uint32_t target;

	while (next_target(worker->config, packet, state, &target)) {
		uint32_t former = state->target;
		bool pending = state->pending;

		state->pending = true;
		state->target = target;
		if (pending)
			add_copy(worker, packet, former, out);
		if (batch_full(out))
			return false;
	}
	/* The packet itself is the last copy. */
	if (state->pending) {
		set_target(worker->config, packet, state->target);
		batch_add(out, packet);
	} else {
		account_drop(worker, packet, DROP_NO_MEMBER);
	}
	return true;
}

bool stage_replicate(struct worker *worker, struct batch *batch, struct replication *state,
		     struct batch *out)
{
	for (; state->packet < batch->count; state->packet++) {
		struct packet *packet = batch->packets[state->packet];

		if (batch_full(out))
			return true;
		if (!is_flood(packet)) {
			batch_add(out, packet);
			continue;
		}
		if (state->member == 0 && !state->pending)
			account_add(&worker->stats->segments[packet->segment].flooded,
				    packet->frame_count);
		if (!flood(worker, packet, state, out))
			return true;
		state->member = 0;
		state->pending = false;
	}
	batch_init(batch);
	return false;
}
