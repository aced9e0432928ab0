/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/stages/stages.h"

static enum drop_reason to_peer(const struct config *config, struct packet *packet, uint32_t peer)
{
	const struct config_segment *segment = &config->segments[packet->segment];

	/* An entry may be older than the configuration: then the destination is unknown. */
	if (!config_segment_has_peer(segment, peer))
		return DROP_NONE;
	if ((packet->flags & PACKET_FROM_OVERLAY) != 0)
		return DROP_OVERLAY_LOOP;
	if (config->vtep == PROTO_NO_INDEX)
		return DROP_NO_VTEP;
	packet->peer_out = peer;
	packet->port_out = config->vtep;
	packet->port_out_incarnation = config->ports[config->vtep].incarnation;
	return DROP_NONE;
}

static enum drop_reason to_port(const struct config *config, struct packet *packet, uint32_t index)
{
	const struct config_port *port = config_port(config, index);
	uint16_t vid;

	if (port == NULL || !config_port_carries(port, packet->segment, &vid))
		return DROP_NONE;
	if (index == packet->port_in)
		return DROP_SAME_PORT;
	if (!port->admin_up || port->port == NULL)
		return DROP_PORT_DOWN;
	packet->port_out = index;
	packet->port_out_incarnation = port->incarnation;
	return DROP_NONE;
}

static enum drop_reason lookup(struct worker *worker, struct packet *packet)
{
	uint32_t destination;

	packet->port_out = packet->peer_out = PROTO_NO_INDEX;
	if ((packet->flags & PACKET_GROUP) == 0 &&
	    fdb_lookup_fresh(worker->shared->fdb, packet->fdb_key, worker->now_seconds,
			     worker->config->segments[packet->segment].ageing, &destination))
		return (destination & FDB_TO_PEER) != 0
			       ? to_peer(worker->config, packet, destination & FDB_INDEX_MASK)
			       : to_port(worker->config, packet, destination & FDB_INDEX_MASK);
	return DROP_NONE;
}

/* Counts what the sender's tenant put into the switch, now that its shaper let it pass. */
static void count_sent(struct worker *worker, const struct packet *packet)
{
	const struct config_port *port = config_port(worker->config, packet->port_in);

	if (port != NULL && port->incarnation == packet->port_in_incarnation &&
	    port->tenant != PROTO_NO_INDEX) {
		struct stats_tenant *tenant = &worker->stats->tenants[port->tenant];

		account_add(&tenant->send_packets, packet->frame_count);
		account_add(&tenant->send_bytes, packet->wire_size);
	}
}

bool stage_lookup(struct worker *worker, struct batch *batch)
{
	unsigned kept = 0;
	bool flood = false;

	for (unsigned i = 0; i < batch->count; i++) {
		struct packet *packet = batch->packets[i];

		packet->fdb_key = fdb_key(packet->segment, packet->data);
		fdb_prefetch(worker->shared->fdb, packet->fdb_key);
	}
	for (unsigned i = 0; i < batch->count; i++) {
		struct packet *packet = batch->packets[i];
		enum drop_reason reason;

		count_sent(worker, packet);
		reason = lookup(worker, packet);
		if (reason != DROP_NONE) {
			account_drop(worker, packet, reason);
			continue;
		}
		flood |= packet->port_out == PROTO_NO_INDEX;
		batch->packets[kept++] = packet;
	}
	batch->count = kept;
	return flood;
}
