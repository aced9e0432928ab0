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

/* Packets of a batch, in a row, that go by the same gate. */
struct group {
	struct packet *const *packets;
	unsigned count;
	uint32_t gate; /* PROTO_NO_INDEX: none */
};

static struct group group_at(const struct worker *worker, const struct batch *batch, unsigned begin,
			     enum shaper_kind kind)
{
	bool sending = kind == SHAPER_PORT_SEND || kind == SHAPER_TENANT_SEND;
	const struct packet *first = batch->packets[begin];
	struct group group = {&batch->packets[begin], 1, gate_of(worker->config, first, kind)};
	uint32_t port = sending ? first->port_in : first->port_out;

	while (begin + group.count < batch->count) {
		const struct packet *packet = batch->packets[begin + group.count];
		uint32_t other = sending ? packet->port_in : packet->port_out;

		if (other != port && gate_of(worker->config, packet, kind) != group.gate)
			break;
		port = other;
		group.count++;
	}
	return group;
}

/* Counts a group that passed a gate without waiting. */
static void account_group(struct worker *worker, const struct group *group, enum shaper_kind kind)
{
	uint64_t frames = 0, octets = 0;

	for (unsigned i = 0; i < group->count; i++) {
		struct packet *packet = group->packets[i];

		packet->gate = (uint8_t)kind;
		if ((packet->flags & PACKET_MARKED) != 0) {
			account_offered(worker, packet);
			account_let_through(worker, packet, 0);
		} else {
			frames += packet->frame_count;
			octets += packet->wire_size;
		}
	}
	account_let_all_through(worker, group->packets[0], frames, octets);
}

/*
 * Lets a group pass as a whole, as it mostly does: the clock is then moved once. Returns false, and
 * has done nothing, when it would not, or something of it has to be cut.
 */
static bool pass_group(struct worker *worker, const struct group *group, enum shaper_kind kind)
{
	uint64_t octets = 0, before = 0;
	uint32_t quantum;

	if (group->gate == PROTO_NO_INDEX || shaper_is_open(worker->gates, kind, group->gate))
		return true;
	quantum = shaper_quantum(worker->shared->shaper, kind, group->gate);
	for (unsigned i = 0; i < group->count; i++) {
		const struct packet *packet = group->packets[i];

		if (packet->frame_count > 1 && packet->wire_size > quantum)
			return false;
		before = octets;
		octets += cost_of(worker->config, packet);
	}
	if (octets > UINT32_MAX ||
	    !shaper_offer_all(worker->gates, kind, group->gate, (uint32_t)octets, (uint32_t)before,
			      worker->now))
		return false;
	account_group(worker, group, kind);
	return true;
}

/* Lets as many packets of a batch pass as do so in groups. Returns how many: the first. */
static unsigned pass_groups(struct worker *worker, const struct batch *batch, enum shaper_kind kind)
{
	unsigned passed = 0;

	if (shaper_is_idle(worker->gates, kind))
		return batch->count;
	while (passed < batch->count) {
		struct group group = group_at(worker, batch, passed, kind);

		if (!pass_group(worker, &group, kind))
			break;
		passed += group.count;
	}
	return passed;
}

/* Offers one packet, which may be cut first. */
static void shape_one(struct worker *worker, struct packet *packet, enum shaper_kind kind,
		      struct batch *out, void (*next)(struct worker *worker, struct batch *batch))
{
	uint32_t gate = gate_of(worker->config, packet, kind), quantum;
	struct packet_list pieces;

	if (gate == PROTO_NO_INDEX) {
		batch_add(out, packet);
		return;
	}
	packet_list_init(&pieces);
	quantum = shaper_quantum(worker->shared->shaper, kind, gate);
	if (packet->frame_count > 1 && packet->wire_size > quantum)
		cut(worker, packet, quantum, &pieces);
	else
		packet_list_append(&pieces, packet);
	offer(worker, &pieces, kind, gate, out, next);
}

void stage_shape(struct worker *worker, struct batch *batch, enum shaper_kind kind,
		 void (*next)(struct worker *worker, struct batch *batch))
{
	unsigned passed = pass_groups(worker, batch, kind);
	struct batch out;

	/* All of it goes on, with its runs. */
	if (passed == batch->count) {
		next(worker, batch);
		return;
	}
	batch_init(&out);
	batch_move(out.packets, batch->packets, passed);
	out.count = passed;
	for (unsigned i = passed; i < batch->count; i++) {
		shape_one(worker, batch->packets[i], kind, &out, next);
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
