/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/account.h"

/* A port that packets came in on, unless it is gone. */
static const struct config_port *find_port(const struct worker *worker, uint32_t index,
					   uint32_t incarnation)
{
	const struct config_port *port = config_port(worker->config, index);

	return port != NULL && port->incarnation == incarnation ? port : NULL;
}

/* The counters of the port that the packet came in on; NULL when that port is gone. */
static struct stats_port *port_in(struct worker *worker, const struct packet *packet)
{
	return find_port(worker, packet->port_in, packet->port_in_incarnation) == NULL
		       ? NULL
		       : &worker->stats->ports[packet->port_in];
}

void account_received(struct worker *worker, struct account_sum sum)
{
	struct stats_port *stats;

	if (sum.frames == 0 || find_port(worker, sum.index, sum.incarnation) == NULL)
		return;
	stats = &worker->stats->ports[sum.index];
	account_add(&stats->rx_packets, sum.frames);
	account_add(&stats->rx_bytes, sum.octets);
}

void account_admitted(struct worker *worker, struct account_sum sum)
{
	struct stats_segment *stats;

	if (sum.frames == 0)
		return;
	stats = &worker->stats->segments[sum.index];
	account_add(&stats->packets, sum.frames);
	account_add(&stats->bytes, sum.octets);
}

void account_passed(struct worker *worker, struct account_sum sum)
{
	const struct config_port *port = find_port(worker, sum.index, sum.incarnation);
	struct stats_tenant *stats;

	if (sum.frames == 0 || port == NULL || port->tenant == PROTO_NO_INDEX)
		return;
	stats = &worker->stats->tenants[port->tenant];
	account_add(&stats->send_packets, sum.frames);
	account_add(&stats->send_bytes, sum.octets);
}

void account_sent(struct worker *worker, struct account_sum sum, uint32_t port_out)
{
	const struct config_port *port = config_port(worker->config, port_out);
	struct stats_port *out = &worker->stats->ports[port_out];

	if (sum.frames == 0)
		return;
	if (find_port(worker, sum.index, sum.incarnation) != NULL)
		account_add(&worker->stats->ports[sum.index].forwarded, sum.frames);
	account_add(&out->tx_packets, sum.frames);
	account_add(&out->tx_bytes, sum.octets);
	if (port->tenant != PROTO_NO_INDEX) {
		struct stats_tenant *tenant = &worker->stats->tenants[port->tenant];

		account_add(&tenant->receive_packets, sum.frames);
		account_add(&tenant->receive_bytes, sum.octets);
	}
}

void account_copied(struct worker *worker, const struct packet *packet)
{
	struct stats_port *port = port_in(worker, packet);

	if (port != NULL)
		account_add(&port->copies, packet->frame_count);
}

/* What the packet's tenant has in the direction of packet->gate; NULL at a port's gate. */
static struct stats_channel *channel_of(struct worker *worker, const struct packet *packet)
{
	const struct config *config = worker->config;
	struct stats_tenant *tenant;

	if (packet->tenant >= config->tenant_count ||
	    config->tenants[packet->tenant].incarnation != packet->tenant_incarnation)
		return NULL;
	tenant = &worker->stats->tenants[packet->tenant];
	if (packet->gate == SHAPER_TENANT_SEND)
		return &tenant->send;
	return packet->gate == SHAPER_TENANT_RECEIVE ? &tenant->receive : NULL;
}

void account_offered(struct worker *worker, const struct packet *packet)
{
	struct stats_channel *channel = channel_of(worker, packet);

	if (channel == NULL)
		return;
	account_add(&channel->offered_packets, packet->frame_count);
	account_add(&channel->offered_bytes, packet->wire_size);
}

/* The place in stats_channel.delays. */
static unsigned delay_place(uint64_t waited)
{
	uint64_t steps = waited / 16000;
	unsigned place = steps < 2 ? 1 : 64 - (unsigned)__builtin_clzll(steps);

	if (waited == 0)
		return 0;
	return place < STATS_DELAYS ? place : STATS_DELAYS - 1;
}

void account_let_through(struct worker *worker, struct packet *packet, uint64_t waited)
{
	struct stats_channel *channel = channel_of(worker, packet);

	if (channel != NULL) {
		account_add(&channel->passed_packets, packet->frame_count);
		account_add(&channel->passed_bytes, packet->wire_size);
		account_add(&channel->delays[delay_place(waited)], packet->frame_count);
		if ((packet->flags & PACKET_MARKED) != 0)
			account_add(&channel->marked_packets, packet->frame_count);
	}
	packet->flags &= (uint8_t)~PACKET_MARKED;
}

void account_let_all_through(struct worker *worker, const struct packet *like, uint64_t frames,
			     uint64_t octets)
{
	struct stats_channel *channel = channel_of(worker, like);

	if (channel == NULL)
		return;
	account_add(&channel->offered_packets, frames);
	account_add(&channel->offered_bytes, octets);
	account_add(&channel->passed_packets, frames);
	account_add(&channel->passed_bytes, octets);
	account_add(&channel->delays[delay_place(0)], frames);
}

void account_queued(struct worker *worker, const struct packet *packet, int direction)
{
	struct stats_channel *channel = channel_of(worker, packet);
	struct stats_port *port = port_in(worker, packet);
	uint64_t frames = (uint64_t)((int64_t)packet->frame_count * (int64_t)direction);

	if (port != NULL)
		account_add(&port->queued, frames);
	if (channel != NULL) {
		account_add(&channel->queued_packets, frames);
		account_add(&channel->queued_bytes,
			    (uint64_t)((int64_t)packet->wire_size * (int64_t)direction));
	}
}

void account_waiting_lost(struct worker *worker, struct packet *packet, enum drop_reason reason)
{
	struct stats_channel *channel = channel_of(worker, packet);

	account_queued(worker, packet, -1);
	if (channel != NULL) {
		account_add(&channel->dropped_packets, packet->frame_count);
		account_add(&channel->dropped_bytes, packet->wire_size);
	}
	account_drop(worker, packet, reason);
}

void account_lost(struct worker *worker, const struct packet *packet, uint32_t frames,
		  enum drop_reason reason)
{
	struct stats_port *port = port_in(worker, packet);

	if (port != NULL)
		account_add(&port->drops[reason], frames);
	if (packet->segment == PROTO_NO_INDEX || !account_segment_known(worker, packet)) {
		const struct config_port *in = config_port(worker->config, packet->port_in);

		if (port != NULL && in->tenant != PROTO_NO_INDEX)
			account_add(&worker->stats->tenants[in->tenant].drops[reason], frames);
		return;
	}
	account_add(&worker->stats->segments[packet->segment].drops[reason], frames);
	account_add(&worker->stats->tenants[packet->tenant].drops[reason], frames);
}

void account_drop(struct worker *worker, struct packet *packet, enum drop_reason reason)
{
	account_lost(worker, packet, packet->frame_count, reason);
	packet_free(worker->pool, packet);
}

void account_drop_all(struct worker *worker, struct packet *const *packets, unsigned count,
		      enum drop_reason reason)
{
	for (unsigned i = 0; i < count; i++)
		account_drop(worker, packets[i], reason);
}
