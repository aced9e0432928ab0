/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/stages/stages.h"

/*
 * Where packets go that have the same destination MAC in the same segment and come from the same
 * port: runs of them that follow each other are looked up once.
 */
struct route {
	uint64_t key; /* 0: a group address, which is flooded */
	uint32_t home;
	uint32_t port_in;
	bool overlay;
	uint32_t port_out, peer_out, port_out_incarnation;
	enum drop_reason reason;
};

static void to_peer(const struct config *config, const struct packet *packet, uint32_t peer,
		    struct route *route)
{
	const struct config_segment *segment = &config->segments[packet->segment];

	/* An entry may be older than the configuration: then the destination is unknown. */
	if (!config_segment_has_peer(segment, peer))
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

static void to_port(const struct config *config, const struct packet *packet, uint32_t index,
		    struct route *route)
{
	const struct config_port *port = config_port(config, index);
	uint16_t vid;

	if (port == NULL || !config_port_carries(port, packet->segment, &vid))
		return;
	if (index == packet->port_in) {
		route->reason = DROP_SAME_PORT;
	} else if (!port->admin_up || port->port == NULL) {
		route->reason = DROP_PORT_DOWN;
	} else {
		route->port_out = index;
		route->port_out_incarnation = port->incarnation;
	}
}

/* Finds the way of a packet whose key and home are in the route. */
static void find_route(struct worker *worker, const struct packet *packet, struct route *route)
{
	const struct config *config = worker->config;
	uint32_t destination;

	route->port_out = route->peer_out = PROTO_NO_INDEX;
	route->port_out_incarnation = 0;
	route->reason = DROP_NONE;
	if (route->key == 0 ||
	    !fdb_lookup_at(worker->shared->fdb, route->home, route->key, worker->now_seconds,
			   config->segments[packet->segment].ageing, &destination))
		return;
	if ((destination & FDB_TO_PEER) != 0)
		to_peer(config, packet, destination & FDB_INDEX_MASK, route);
	else
		to_port(config, packet, destination & FDB_INDEX_MASK, route);
}

/* Asks for the places of all that will be looked up; which[i]: the route of run i. */
static void ask(const struct worker *worker, struct batch *batch, struct route *routes,
		uint8_t *which)
{
	struct batch_run run = {0};
	unsigned count = 0;

	for (unsigned i = 0; batch_next(batch, &run); i++) {
		const struct packet *packet = run.packets[0];
		bool overlay = (packet->flags & PACKET_FROM_OVERLAY) != 0;
		bool group = (packet->flags & PACKET_GROUP) != 0;
		uint64_t key = group ? 0 : fdb_key(packet->segment, packet->data);

		if (count == 0 || key != routes[count - 1].key ||
		    packet->port_in != routes[count - 1].port_in ||
		    overlay != routes[count - 1].overlay) {
			routes[count].key = key;
			routes[count].port_in = packet->port_in;
			routes[count].overlay = overlay;
			routes[count++].home = group ? 0 : fdb_prefetch(worker->shared->fdb, key);
		}
		which[i] = (uint8_t)(count - 1);
	}
}

static void follow(const struct batch_run *run, const struct route *route)
{
	for (unsigned i = 0; i < run->count; i++) {
		struct packet *packet = run->packets[i];

		packet->port_out = route->port_out;
		packet->peer_out = route->peer_out;
		packet->port_out_incarnation = route->port_out_incarnation;
	}
}

bool stage_lookup(struct worker *worker, struct batch *batch)
{
	struct account_sum passed = {0};
	struct batch_run run = {0};
	struct route routes[BATCH_SIZE];
	uint8_t which[BATCH_SIZE];
	unsigned found = 0;
	bool flood = false;

	ask(worker, batch, routes, which);
	for (unsigned i = 0; batch_next(batch, &run); i++) {
		const struct packet *packet = run.packets[0];
		struct route *route = &routes[which[i]];

		if (which[i] == found) {
			find_route(worker, packet, route);
			found++;
		}
		/* What the sender's tenant put into the switch, now that its shaper let it pass. */
		if (!account_same_port(&passed, packet)) {
			account_passed(worker, &passed);
			account_begin_port(&passed, packet);
		}
		account_sum_add(&passed, (uint64_t)run.count * packet->frame_count,
				(uint64_t)run.count * packet->wire_size);
		if (route->reason != DROP_NONE) {
			account_drop_run(worker, &run, route->reason);
			continue;
		}
		follow(&run, route);
		flood |= route->port_out == PROTO_NO_INDEX;
		batch_keep(batch, &run);
	}
	batch_end(batch, &run);
	account_passed(worker, &passed);
	return flood;
}
