/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/flow_queue.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/codel.h"
#include "datapath/ecn.h"
#include "datapath/map_zeroed.h"

#define FULL_FRAME 2048ull /* with tags, and with what a gate adds to its size */

/* In a port's ring from its first packet until its turn comes when it has none. */
struct flow {
	alignas(PACKET_CACHE_LINE) struct turn turn;
	uint32_t hash;
	struct packet *first, *last; /* first is NULL when there are none; then last is undefined */
	uint64_t octets;
	struct codel codel;
	uint32_t next; /* in its set, or free */
};

/* In its queue's ring, likewise. All of its flows are let go as soon as it has no packets. */
struct port {
	alignas(PACKET_CACHE_LINE) struct turn turn;
	uint32_t shared;	  /* bits: sets of which the first flow takes all newcomers */
	uint32_t sets[FLOW_SETS]; /* the first flow */
	struct turns flows;
	uint64_t octets;
	struct flow_queue *queue; /* that it is in, or NULL */
};

static_assert(sizeof(struct flow) == PACKET_CACHE_LINE, "a flow is a cell for turns.h, and a line");
static_assert(sizeof(struct port) == PACKET_CACHE_LINE, "a port is a cell for turns.h, and a line");
static_assert(sizeof(struct flow_queue) == PACKET_CACHE_LINE / 2, "two queues in a line");

/* Cells 0 are none. Flows that were never used begin at flows_fresh and are zero. */
struct flow_memory {
	uint32_t port_count;
	struct port *ports;
	struct flow *flows;
	size_t ports_size, flows_size;
	uint32_t flows_free; /* a list of flows that are free again */
	uint32_t flows_fresh;
	uint32_t flows_in_use;
};

struct flow_memory *flow_memory_new(uint32_t port_count)
{
	struct flow_memory *memory = calloc(1, sizeof(*memory));

	if (memory == NULL)
		return NULL;
	memory->port_count = port_count;
	memory->ports_size = ((size_t)port_count + 1) * sizeof(struct port);
	memory->flows_size = ((size_t)port_count * FLOW_SETS * FLOW_WAYS + 1) * sizeof(struct flow);
	memory->ports = map_zeroed(memory->ports_size);
	memory->flows = map_zeroed(memory->flows_size);
	memory->flows_fresh = 1;
	if (memory->ports == NULL || memory->flows == NULL) {
		flow_memory_free(memory);
		return NULL;
	}
	return memory;
}

void flow_memory_free(struct flow_memory *memory)
{
	if (memory == NULL)
		return;
	assert(memory->flows_in_use == 0);
	if (memory->ports != NULL)
		munmap(memory->ports, memory->ports_size);
	if (memory->flows != NULL)
		munmap(memory->flows, memory->flows_size);
	free(memory);
}

uint32_t flow_memory_in_use(const struct flow_memory *memory)
{
	return memory->flows_in_use;
}

/* The flow of the port's set that takes packets of the hash; a new one where there is room. */
static uint32_t find_flow(struct flow_memory *memory, struct port *port, uint32_t hash)
{
	uint32_t set = hash % FLOW_SETS, first = port->sets[set], count = 0, id;

	for (id = first; id != 0; id = memory->flows[id].next) {
		if (memory->flows[id].hash == hash)
			return id;
		count++;
	}
	if ((port->shared >> set & 1) != 0 && memory->flows[first].first != NULL)
		return first;
	port->shared &= ~(1u << set);
	if (count == FLOW_WAYS) {
		port->shared |= 1u << set;
		return first;
	}
	id = memory->flows_free;
	if (id != 0) {
		memory->flows_free = memory->flows[id].next;
		memset(&memory->flows[id], 0, sizeof(struct flow));
	} else {
		id = memory->flows_fresh++;
	}
	memory->flows_in_use++;
	memory->flows[id].hash = hash;
	memory->flows[id].next = first;
	port->sets[set] = id;
	return id;
}

static void free_flow(struct flow_memory *memory, uint32_t id)
{
	memory->flows[id].next = memory->flows_free;
	memory->flows_free = id;
	memory->flows_in_use--;
}

/* A flow without packets, whose turn it is, leaves its port. */
static void leave_port(struct flow_memory *memory, struct port *port, uint32_t id)
{
	uint32_t set = memory->flows[id].hash % FLOW_SETS, *place = &port->sets[set];

	turns_pop(&port->flows, memory->flows, TURN_ROUND);
	/* What comes next into the set must not be taken for the flow that all share. */
	if (*place == id)
		port->shared &= ~(1u << set);
	while (*place != id)
		place = &memory->flows[*place].next;
	*place = memory->flows[id].next;
	free_flow(memory, id);
}

/* The port's flows leave; none has packets. */
static void clear_port(struct flow_memory *memory, struct port *port)
{
	uint32_t id = port->flows.last[TURN_ROUND];

	if (id == 0)
		return;
	do {
		uint32_t next = memory->flows[id].turn.next[TURN_ROUND];

		free_flow(memory, id);
		id = next;
	} while (id != port->flows.last[TURN_ROUND]);
	memset(port->sets, 0, sizeof(port->sets));
	memset(&port->flows, 0, sizeof(port->flows));
	port->shared = 0;
}

/* The queue's ports leave; none has packets. */
static void clear_queue(struct flow_memory *memory, struct flow_queue *queue)
{
	uint32_t id;

	while (turns_first(&queue->ports, memory->ports, TURN_FRONT) != 0)
		turns_pop(&queue->ports, memory->ports, TURN_FRONT);
	while ((id = turns_first(&queue->ports, memory->ports, TURN_ROUND)) != 0) {
		turns_pop(&queue->ports, memory->ports, TURN_ROUND);
		memory->ports[id].queue = NULL;
	}
}

static struct packet *pop_packet(struct flow_queue *queue, struct port *port, struct flow *flow)
{
	struct packet *packet = flow->first;

	flow->first = packet->next;
	packet->next = NULL;
	flow->octets -= packet->cost;
	port->octets -= packet->cost;
	queue->octets -= packet->cost;
	queue->packets--;
	return packet;
}

/* Packets left the port: who has none any more is let go as far as that can be. */
static void settle(struct flow_memory *memory, struct flow_queue *queue, struct port *port)
{
	if (port->octets == 0)
		clear_port(memory, port);
	if (queue->packets == 0)
		clear_queue(memory, queue);
}

/* Moves all packets of the port to list. */
static void empty_port(struct flow_memory *memory, struct flow_queue *queue, struct port *port,
		       struct packet_list *list)
{
	uint32_t id = port->flows.last[TURN_ROUND];

	while (port->octets != 0) {
		struct flow *flow = &memory->flows[id];

		while (flow->first != NULL)
			packet_list_append(list, pop_packet(queue, port, flow));
		id = flow->turn.next[TURN_ROUND];
	}
	clear_port(memory, port);
}

struct flow_queue *flow_queue_evict(struct flow_memory *memory, const struct flow_queue *queue,
				    uint32_t port_index, struct packet_list *list)
{
	struct port *port = &memory->ports[port_index + 1];
	struct flow_queue *other = port->queue;

	if (other == NULL || other == queue)
		return NULL;
	empty_port(memory, other, port, list);
	turns_remove(&other->ports, memory->ports, TURN_ROUND, port_index + 1);
	turns_remove(&other->ports, memory->ports, TURN_FRONT, port_index + 1);
	port->queue = NULL;
	if (other->packets == 0)
		clear_queue(memory, other);
	return other;
}

void flow_queue_append(struct flow_memory *memory, struct flow_queue *queue, uint32_t port_index,
		       struct packet *packet, uint32_t cost, uint64_t now)
{
	uint32_t port_id = port_index + 1;
	struct port *port = &memory->ports[port_id];
	uint32_t flow_id = find_flow(memory, port, packet->flow_hash);
	struct flow *flow = &memory->flows[flow_id];

	assert(port_index < memory->port_count && cost != 0);
	assert(port->queue == NULL || port->queue == queue);
	packet->cost = cost;
	packet->queued_at = now;
	packet->next = NULL;
	if (port->octets == 0) {
		port->queue = queue;
		turns_wake(&queue->ports, memory->ports, port_id);
	}
	if (flow->first == NULL) {
		flow->first = packet;
		turns_wake(&port->flows, memory->flows, flow_id);
		turns_hurry(&port->flows, memory->flows, flow_id);
		turns_hurry(&queue->ports, memory->ports, port_id);
	} else {
		flow->last->next = packet;
	}
	flow->last = packet;
	flow->octets += cost;
	port->octets += cost;
	queue->octets += cost;
	queue->packets++;
	if (port_id != queue->longest) {
		const struct port *longest = &memory->ports[queue->longest];

		if (longest->queue != queue || longest->octets < port->octets)
			queue->longest = port_id;
	}
}

/* The flow of the port that may send before its turn, or 0. */
static uint32_t hurried_flow(struct flow_memory *memory, struct port *port)
{
	uint32_t id;

	while ((id = turns_first(&port->flows, memory->flows, TURN_FRONT)) != 0) {
		const struct flow *flow = &memory->flows[id];

		if (flow->first != NULL && turn_fits(&flow->turn, flow->first->cost))
			break;
		turns_pop(&port->flows, memory->flows, TURN_FRONT);
	}
	return id;
}

/* The flow of a port with packets that is next there. */
static uint32_t next_flow(struct flow_memory *memory, struct port *port, uint32_t quantum)
{
	uint32_t id = hurried_flow(memory, port);

	while (id == 0) {
		id = turns_next(&port->flows, memory->flows, quantum);
		if (memory->flows[id].first == NULL) {
			leave_port(memory, port, id);
			id = 0;
		}
	}
	return id;
}

/* The port that is next, and its flow; 0 when the queue is empty. */
static uint32_t next_port(struct flow_memory *memory, struct flow_queue *queue, uint32_t quantum,
			  uint32_t *flow)
{
	uint32_t id;

	while ((id = turns_first(&queue->ports, memory->ports, TURN_FRONT)) != 0) {
		struct port *port = &memory->ports[id];

		*flow = hurried_flow(memory, port);
		if (*flow != 0 && turn_fits(&port->turn, memory->flows[*flow].first->cost))
			return id;
		turns_pop(&queue->ports, memory->ports, TURN_FRONT);
	}
	while ((id = turns_next(&queue->ports, memory->ports, quantum)) != 0) {
		struct port *port = &memory->ports[id];

		if (port->octets != 0) {
			*flow = next_flow(memory, port, quantum);
			return id;
		}
		turns_pop(&queue->ports, memory->ports, TURN_ROUND);
		port->queue = NULL;
	}
	return 0;
}

/* Whether CoDel lets the flow's first packet go; it may be marked. */
static bool may_leave(struct flow_queue *queue, struct flow *flow, uint64_t now,
		      const struct flow_parameters *parameters)
{
	struct packet *packet = flow->first;
	/* RFC 8289 section 4.2: what is behind it must be worth more than a frame. */
	bool waited = flow->octets > packet->cost + FULL_FRAME &&
		      (int64_t)(now - packet->queued_at) >= (int64_t)parameters->target;

	if (!codel_due(&flow->codel, waited, now, parameters->interval))
		return true;
	/* One that tells its receiver already, and may have been marked here, when it was looked at
	 * before: the next packet bears the signal. */
	if (ecn_is_marked(packet))
		return true;
	codel_signal(&flow->codel, now, parameters->interval);
	if (!ecn_mark(packet))
		return false;
	packet->flags |= PACKET_MARKED;
	queue->marked += packet->frame_count;
	return true;
}

struct packet *flow_queue_peek(struct flow_memory *memory, struct flow_queue *queue, uint64_t now,
			       const struct flow_parameters *parameters,
			       struct packet_list *dropped)
{
	uint32_t port_id, flow_id;

	while ((port_id = next_port(memory, queue, parameters->quantum, &flow_id)) != 0) {
		struct flow *flow = &memory->flows[flow_id];

		if (may_leave(queue, flow, now, parameters))
			return flow->first;
		packet_list_append(dropped, pop_packet(queue, &memory->ports[port_id], flow));
	}
	return NULL;
}

struct packet *flow_queue_take(struct flow_memory *memory, struct flow_queue *queue,
			       const struct flow_parameters *parameters)
{
	uint32_t port_id = turns_first(&queue->ports, memory->ports, TURN_FRONT), flow_id;
	struct packet *packet;
	struct port *port;

	if (port_id == 0)
		port_id = turns_first(&queue->ports, memory->ports, TURN_ROUND);
	port = &memory->ports[port_id];
	flow_id = turns_first(&port->flows, memory->flows, TURN_FRONT);
	if (flow_id == 0)
		flow_id = turns_first(&port->flows, memory->flows, TURN_ROUND);
	packet = pop_packet(queue, port, &memory->flows[flow_id]);
	turns_charge(&port->flows, memory->flows, flow_id, packet->cost, parameters->quantum);
	turns_charge(&queue->ports, memory->ports, port_id, packet->cost, parameters->quantum);
	settle(memory, queue, port);
	return packet;
}

static struct flow *longest_flow(const struct flow_memory *memory, const struct port *port)
{
	uint32_t last = port->flows.last[TURN_ROUND], id = last;
	struct flow *longest = &memory->flows[0];

	do {
		id = memory->flows[id].turn.next[TURN_ROUND];
		if (memory->flows[id].octets > longest->octets)
			longest = &memory->flows[id];
	} while (id != last);
	return longest;
}

void flow_queue_drop_longest(struct flow_memory *memory, struct flow_queue *queue,
			     struct packet_list *dropped)
{
	struct port *port = &memory->ports[queue->longest];
	struct flow *longest;
	uint64_t enough;

	if (queue->packets == 0)
		return;
	if (port->queue != queue || port->octets == 0) {
		uint32_t id = turns_first(&queue->ports, memory->ports, TURN_ROUND);

		while (memory->ports[id].octets == 0)
			id = memory->ports[id].turn.next[TURN_ROUND];
		port = &memory->ports[id];
	}
	longest = longest_flow(memory, port);
	enough = longest->octets / 2;
	for (unsigned count = 0; count < FLOW_DROP_BATCH && longest->octets > enough; count++)
		packet_list_append(dropped, pop_packet(queue, port, longest));
	settle(memory, queue, port);
}

void flow_queue_drain(struct flow_memory *memory, struct flow_queue *queue,
		      struct packet_list *list)
{
	uint32_t id = queue->ports.last[TURN_ROUND];

	while (queue->packets != 0) {
		empty_port(memory, queue, &memory->ports[id], list);
		id = memory->ports[id].turn.next[TURN_ROUND];
	}
	clear_queue(memory, queue);
}
