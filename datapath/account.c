/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/account.h"

void account_received(struct worker *worker, const struct packet *packet, uint32_t octets)
{
	struct stats_port *port = account_port_in(worker, packet);

	if (port == NULL)
		return;
	account_add(&port->rx_packets, packet->frame_count);
	account_add(&port->rx_bytes, octets);
}

void account_copied(struct worker *worker, const struct packet *packet)
{
	struct stats_port *port = account_port_in(worker, packet);

	if (port != NULL)
		account_add(&port->copies, packet->frame_count);
}

void account_sent(struct worker *worker, const struct packet *packet)
{
	struct stats_port *in = account_port_in(worker, packet);
	struct stats_port *out = &worker->stats->ports[packet->port_out];
	const struct config_port *port = config_port(worker->config, packet->port_out);

	if (in != NULL)
		account_add(&in->forwarded, packet->frame_count);
	account_add(&out->tx_packets, packet->frame_count);
	account_add(&out->tx_bytes, packet->wire_size);
	if (port->tenant != PROTO_NO_INDEX) {
		struct stats_tenant *tenant = &worker->stats->tenants[port->tenant];

		account_add(&tenant->receive_packets, packet->frame_count);
		account_add(&tenant->receive_bytes, packet->wire_size);
	}
}

void account_queued(struct worker *worker, const struct packet *packet, int direction)
{
	struct stats_port *port = account_port_in(worker, packet);

	if (port != NULL)
		account_add(&port->queued,
			    (uint64_t)((int64_t)packet->frame_count * (int64_t)direction));
}

void account_lost(struct worker *worker, const struct packet *packet, uint32_t frames,
		  enum drop_reason reason)
{
	struct stats_port *port = account_port_in(worker, packet);

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
