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
	struct stats_segment *stats = &worker->stats->segments[sum.index];

	if (sum.frames == 0)
		return;
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

void account_queued(struct worker *worker, const struct packet *packet, int direction)
{
	struct stats_port *port = port_in(worker, packet);

	if (port != NULL)
		account_add(&port->queued,
			    (uint64_t)((int64_t)packet->frame_count * (int64_t)direction));
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
