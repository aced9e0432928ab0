/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/offload/segment.h"
#include "datapath/stages/stages.h"

/* The index of the packet's gate of a kind, or PROTO_NO_INDEX: it is not charged there. */
static uint32_t gate_of(const struct config *config, const struct packet *packet,
			enum shaper_kind kind)
{
	bool sending = kind == SHAPER_PORT_SEND || kind == SHAPER_TENANT_SEND;
	uint32_t index = sending ? packet->port_in : packet->port_out;
	const struct config_port *port = config_port(config, index);

	/* Only workload ports are charged: not uplinks, not the VTEP. */
	if (port == NULL || port->tenant == PROTO_NO_INDEX)
		return PROTO_NO_INDEX;
	return kind == SHAPER_PORT_SEND || kind == SHAPER_PORT_RECEIVE ? index : port->tenant;
}

static enum drop_reason full_reason(enum shaper_kind kind)
{
	switch (kind) {
	case SHAPER_PORT_SEND:
		return DROP_PORT_SEND_QUEUE;
	case SHAPER_TENANT_SEND:
		return DROP_TENANT_SEND_QUEUE;
	case SHAPER_TENANT_RECEIVE:
		return DROP_TENANT_RECEIVE_QUEUE;
	case SHAPER_PORT_RECEIVE:
	case SHAPER_KIND_COUNT:
		break;
	}
	return DROP_PORT_RECEIVE_QUEUE;
}

/* Cuts a super-packet that would occupy the gate for too long. */
static void cut(struct worker *worker, struct packet *packet, uint32_t quantum,
		struct packet_list *pieces)
{
	uint32_t payload = packet->size - packet->payload_offset;
	/* All but the last are of this size. */
	uint32_t frame_size =
		(packet->wire_size - payload) / packet->frame_count + packet->offload.gso_size;
	uint32_t frames = quantum / frame_size;
	uint32_t lost_frames = 0, lost_bytes = 0;
	struct packet former = *packet;

	if (segment_cut(worker->pool, packet, frames == 0 ? 1 : frames, pieces, &lost_frames,
			&lost_bytes) < 0)
		account_lost(worker, &former, lost_frames, DROP_NO_BUFFER);
}

/* What the gate charges for the packet: its frames, and what its tenant's overhead adds to each. */
static uint32_t cost_of(const struct config *config, const struct packet *packet)
{
	int64_t cost = packet->wire_size;

	if (packet->tenant < config->tenant_count)
		cost += (int64_t)config->tenants[packet->tenant].overhead * packet->frame_count;
	if (cost < packet->frame_count)
		return packet->frame_count == 0 ? 1 : packet->frame_count;
	return (uint32_t)cost;
}

/* Offers the pieces of one packet, in order; what passes is added to out. */
static void offer(struct worker *worker, struct packet_list *pieces, enum shaper_kind kind,
		  uint32_t gate, struct batch *out,
		  void (*next)(struct worker *worker, struct batch *batch))
{
	bool open = shaper_is_open(worker->gates, kind, gate);
	struct packet *piece;

	while ((piece = packet_list_pop(pieces)) != NULL) {
		piece->gate = (uint8_t)kind;
		piece->cost = cost_of(worker->config, piece);
		if (!open)
			account_offered(worker, piece);
		switch (shaper_offer(worker->gates, kind, gate, piece, worker->now)) {
		case SHAPER_PASS:
			if (!open)
				account_let_through(worker, piece, 0);
			batch_add(out, piece);
			if (batch_full(out)) {
				next(worker, out);
				batch_init(out);
			}
			break;
		case SHAPER_QUEUED:
			/* The gate was given a limit meanwhile. */
			if (open)
				account_offered(worker, piece);
			account_queued(worker, piece, 1);
			stage_lost(worker);
			break;
		}
	}
}

void stage_lost(struct worker *worker)
{
	struct packet_list lost;
	struct packet *packet;

	packet_list_init(&lost);
	shaper_take_lost(worker->gates, &lost);
	while ((packet = packet_list_pop(&lost)) != NULL) {
		enum drop_reason reason = packet->drop;

		if (reason == DROP_NONE)
			reason = full_reason(packet->gate);
		account_waiting_lost(worker, packet, reason);
	}
}

/* Whether all of the batch pass, since no gate of theirs has a rate or a queue. */
static bool all_pass(const struct worker *worker, const struct batch *batch, enum shaper_kind kind)
{
	bool sending = kind == SHAPER_PORT_SEND || kind == SHAPER_TENANT_SEND;
	uint32_t former = PROTO_NO_INDEX;

	if (shaper_is_idle(worker->gates, kind))
		return true;
	for (unsigned i = 0; i < batch->count; i++) {
		const struct packet *packet = batch->packets[i];
		uint32_t port = sending ? packet->port_in : packet->port_out;
		uint32_t gate;

		if (port == former)
			continue;
		gate = gate_of(worker->config, packet, kind);
		if (gate != PROTO_NO_INDEX && !shaper_is_open(worker->gates, kind, gate))
			return false;
		former = port;
	}
	return true;
}

void stage_shape(struct worker *worker, struct batch *batch, enum shaper_kind kind,
		 void (*next)(struct worker *worker, struct batch *batch))
{
	struct batch out;

	if (all_pass(worker, batch, kind)) {
		next(worker, batch);
		return;
	}
	batch_init(&out);

	for (unsigned i = 0; i < batch->count; i++) {
		struct packet *packet = batch->packets[i];
		uint32_t gate = gate_of(worker->config, packet, kind);
		struct packet_list pieces;

		packet_list_init(&pieces);
		if (gate == PROTO_NO_INDEX) {
			batch_add(&out, packet);
		} else {
			uint32_t quantum = shaper_quantum(worker->shared->shaper, kind, gate);

			if (packet->frame_count > 1 && packet->wire_size > quantum)
				cut(worker, packet, quantum, &pieces);
			else
				packet_list_append(&pieces, packet);
			offer(worker, &pieces, kind, gate, &out, next);
		}
		if (batch_full(&out)) {
			next(worker, &out);
			batch_init(&out);
		}
	}
	batch_init(batch);
	if (out.count > 0)
		next(worker, &out);
}

void stage_recheck(struct worker *worker, struct batch *batch)
{
	const struct config *config = worker->config;
	unsigned kept = 0;

	for (unsigned i = 0; i < batch->count; i++) {
		struct packet *packet = batch->packets[i];
		const struct config_port *in = config_port(config, packet->port_in);
		const struct config_port *out = config_port(config, packet->port_out);

		account_queued(worker, packet, -1);
		account_let_through(worker, packet, worker->now - packet->queued_at);
		/* A port that it leaves by is only known behind the lookup. */
		if (in == NULL || in->incarnation != packet->port_in_incarnation ||
		    !account_segment_known(worker, packet) ||
		    (packet->port_out != PROTO_NO_INDEX &&
		     (out == NULL || out->incarnation != packet->port_out_incarnation)))
			account_drop(worker, packet, DROP_PORT_GONE);
		else
			batch->packets[kept++] = packet;
	}
	batch->count = kept;
	batch_single(batch);
}
