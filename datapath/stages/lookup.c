/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/stages/stages.h"

#define TO_ALL 0u /* as a value: the destination is a group, or not known */

/* The way of packets with the same destination, in the same segment, from the same port. */
struct route {
	uint32_t destination; /* in the FDB's terms; known says whether there is one */
	bool known;
	uint32_t segment, port_in;
	bool overlay;
	uint32_t port_out, peer_out, port_out_incarnation;
	enum drop_reason reason;
};

static void to_peer(const struct config *config, struct route *route)
{
	uint32_t peer = route->destination & FDB_INDEX_MASK;

	/* An entry may be older than the configuration: then the destination is unknown. */
	if (!config_segment_has_peer(&config->segments[route->segment], peer))
		return;
	if (route->overlay) {
		route->reason = DROP_OVERLAY_LOOP;
	} else if (config->vtep == PROTO_NO_INDEX) {
		route->reason = DROP_NO_VTEP;
	} else {
		route->peer_out = peer;
		route->port_out = config->vtep;
		route->port_out_incarnation = config->ports[config->vtep].incarnation;
	}
}

static void to_port(const struct config *config, struct route *route)
{
	uint32_t index = route->destination & FDB_INDEX_MASK;
	const struct config_port *port = config_port(config, index);
	uint16_t vid;

	if (port == NULL || !config_port_carries(port, route->segment, &vid))
		return;
	if (index == route->port_in) {
		route->reason = DROP_SAME_PORT;
	} else if (!port->admin_up || port->port == NULL) {
		route->reason = DROP_PORT_DOWN;
	} else {
		route->port_out = index;
		route->port_out_incarnation = port->incarnation;
	}
}

static bool is_overlay(const struct packet *packet)
{
	return (packet->flags & PACKET_FROM_OVERLAY) != 0;
}

/* Whether the packet, whose MAC has that value in the FDB, goes the route that was found last. */
static bool same_route(const struct route *route, const struct packet *packet, uint64_t value)
{
	return (value != TO_ALL) == route->known &&
	       fdb_value_destination(value) == route->destination &&
	       packet->segment == route->segment && packet->port_in == route->port_in &&
	       is_overlay(packet) == route->overlay;
}

static struct route find_route(const struct config *config, const struct packet *packet,
			       uint64_t value)
{
	struct route route = {
		.known = value != TO_ALL,
		.destination = fdb_value_destination(value),
		.segment = packet->segment,
		.port_in = packet->port_in,
		.overlay = is_overlay(packet),
		.port_out = PROTO_NO_INDEX,
		.peer_out = PROTO_NO_INDEX,
	};

	if (route.known && (route.destination & FDB_TO_PEER) != 0)
		to_peer(config, &route);
	else if (route.known)
		to_port(config, &route);
	return route;
}

static void follow(struct packet *const *packets, unsigned count, const struct route *route)
{
	for (unsigned i = 0; i < count; i++) {
		packets[i]->port_out = route->port_out;
		packets[i]->peer_out = route->peer_out;
		packets[i]->port_out_incarnation = route->port_out_incarnation;
	}
}

/* A learned entry that was not seen for too long is as good as gone: fdb_age() comes by later. */
static bool is_stale(const struct config *config, const struct packet *packet, uint64_t value,
		     uint32_t now)
{
	return (value & FDB_FLAG_STATIC) == 0 &&
	       fdb_value_age(value, now) > config->segments[packet->segment].ageing;
}

/* Looks the destinations of all runs up. */
static void find_values(const struct worker *worker, struct batch *batch, uint64_t *values)
{
	const struct config *config = worker->config;
	uint32_t now = worker->now_seconds;
	uint64_t keys[BATCH_SIZE];
	uint32_t homes[BATCH_SIZE];
	struct batch_run run = {0};
	unsigned count = 0;

	for (; batch_next(batch, &run); count++)
		keys[count] = fdb_key(run.packets[0]->segment, run.packets[0]->data);
	if (count == 0)
		return;
	fdb_prefetch(worker->shared->fdb, keys, homes, count);
	fdb_lookup_all(worker->shared->fdb, keys, homes, values, count);
	run = (struct batch_run){0};
	for (unsigned i = 0; batch_next(batch, &run); i++) {
		const struct packet *packet = run.packets[0];

		if ((packet->flags & PACKET_GROUP) != 0 || is_stale(config, packet, values[i], now))
			values[i] = TO_ALL;
	}
}

/* Counts what the senders' tenants put into the switch, now that their shapers let it pass. */
static void count_passed(struct worker *worker, struct batch *batch)
{
	struct account_sum passed = {0};
	struct batch_run run = {0};

	while (batch_next(batch, &run)) {
		const struct packet *packet = run.packets[0];

		if (!account_same_port(&passed, packet)) {
			account_passed(worker, passed);
			account_begin_port(&passed, packet);
		}
		account_sum_add(&passed, (uint64_t)run.count * packet->frame_count,
				(uint64_t)run.count * packet->wire_size);
	}
	account_passed(worker, passed);
}

bool stage_lookup(struct worker *worker, struct batch *batch)
{
	struct route route = {.segment = PROTO_NO_INDEX};
	struct batch_run run = {0};
	uint64_t values[BATCH_SIZE];
	bool flood = false;

	count_passed(worker, batch);
	find_values(worker, batch, values);
	for (unsigned i = 0; batch_next(batch, &run); i++) {
		const struct packet *packet = run.packets[0];

		if (!same_route(&route, packet, values[i]))
			route = find_route(worker->config, packet, values[i]);
		if (route.reason != DROP_NONE) {
			account_drop_all(worker, run.packets, run.count, route.reason);
			batch_drop(&run);
			continue;
		}
		follow(run.packets, run.count, &route);
		flood |= route.port_out == PROTO_NO_INDEX;
	}
	batch_end(batch, &run);
	return flood;
}
