/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/stages/stages.h"

/* A destination that is a group, or not known; others are 32 bits (common/fdb_layout.h). */
#define TO_ALL UINT64_MAX

/* The way of packets with the same destination, in the same segment, from the same port. */
struct route {
	uint64_t destination;
	uint32_t segment, port_in;
	bool overlay;
	uint32_t port_out, peer_out, port_out_incarnation;
	enum drop_reason reason;
};

static void to_peer(const struct config *config, struct route *route)
{
	uint32_t peer = (uint32_t)route->destination & FDB_INDEX_MASK;

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
	uint32_t index = (uint32_t)route->destination & FDB_INDEX_MASK;
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

/* Whether a packet to a destination goes the route that was found last. */
static bool same_route(const struct route *route, const struct packet *packet, uint64_t destination)
{
	return destination == route->destination && packet->port_in == route->port_in &&
	       packet->segment == route->segment && is_overlay(packet) == route->overlay;
}

static void find_route(const struct config *config, const struct packet *packet,
		       uint64_t destination, struct route *route)
{
	*route = (struct route){
		.destination = destination,
		.segment = packet->segment,
		.port_in = packet->port_in,
		.overlay = is_overlay(packet),
		.port_out = PROTO_NO_INDEX,
		.peer_out = PROTO_NO_INDEX,
	};
	if (destination == TO_ALL)
		return;
	if ((destination & FDB_TO_PEER) != 0)
		to_peer(config, route);
	else
		to_port(config, route);
}

static inline void follow(struct packet *const *packets, unsigned count, const struct route *route)
{
	for (unsigned i = 0; i < count; i++) {
		packets[i]->port_out = route->port_out;
		packets[i]->peer_out = route->peer_out;
		packets[i]->port_out_incarnation = route->port_out_incarnation;
	}
}

/* Where a packet is to go whose destination has that value in the FDB. */
static inline uint64_t destination_of(const struct config *config, const struct packet *packet,
				      uint64_t value, uint32_t now)
{
	uint32_t age;

	if (value == 0 || (packet->flags & PACKET_GROUP) != 0)
		return TO_ALL;
	/* A learned entry that was not seen for too long is as good as gone: fdb_age() comes by. */
	age = fdb_value_age(value, now);
	if (age != 0 && (value & FDB_FLAG_STATIC) == 0 &&
	    age > config->segments[packet->segment].ageing)
		return TO_ALL;
	return fdb_value_destination(value);
}

/* Finds the destinations of all flows. */
static void find_destinations(const struct worker *worker, struct batch *batch,
			      uint64_t *destinations)
{
	struct batch_run flow = batch_flows(batch);
	const struct packet *packets[BATCH_SIZE];
	uint64_t keys[BATCH_SIZE];
	uint32_t homes[BATCH_SIZE];
	unsigned count = 0;

	for (; batch_next(&flow); count++) {
		packets[count] = flow.packets[0];
		keys[count] = fdb_key(flow.packets[0]->segment, flow.packets[0]->data);
	}
	if (count == 0)
		return;
	fdb_prefetch(worker->shared->fdb, keys, homes, count);
	fdb_lookup_all(worker->shared->fdb, keys, homes, destinations, count);
	for (unsigned i = 0; i < count; i++)
		destinations[i] = destination_of(worker->config, packets[i], destinations[i],
						 worker->now_seconds);
}

/*
 * Lets a run begin where the destination changes. Leaves of the destinations of flows those of
 * runs.
 */
static void split_runs(struct batch *batch, uint64_t *destinations)
{
	struct batch_run flow = batch_flows(batch);
	unsigned runs = 0;

	for (unsigned i = 0; batch_next(&flow); i++) {
		if (i > 0 && destinations[i] != destinations[runs - 1])
			batch_split(&flow);
		if (batch_begins_run(&flow))
			destinations[runs++] = destinations[i];
	}
}

/* Counts what the senders' tenants put into the switch, now that their shapers let it pass. */
static void count_passed(struct worker *worker, struct batch *batch)
{
	struct account_sum passed = {0};
	struct batch_run run = batch_runs(batch);

	while (batch_next(&run)) {
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
	uint64_t destinations[BATCH_SIZE];
	struct batch_run run;
	bool flood = false;

	count_passed(worker, batch);
	find_destinations(worker, batch, destinations);
	split_runs(batch, destinations);
	run = batch_runs(batch);
	for (unsigned i = 0; batch_next(&run); i++) {
		if (!same_route(&route, run.packets[0], destinations[i]))
			find_route(worker->config, run.packets[0], destinations[i], &route);
		if (route.reason != DROP_NONE) {
			account_drop_all(worker, run.packets, run.count, route.reason);
			batch_drop(&run);
			continue;
		}
		follow(run.packets, run.count, &route);
		flood |= route.port_out == PROTO_NO_INDEX;
	}
	batch_end(&run);
	return flood;
}
