/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_FLOW_QUEUE_FIXTURE_H
#define VSWITCH_TESTS_UNIT_FLOW_QUEUE_FIXTURE_H

/*
 * What the tests of flow queues share: a queue on a synthetic clock, packets without a pool, and
 * checks of every packet that leaves.
 */

#include "tests/unit/shaper_fixture.h"

#include "datapath/flow_queue.h"

#define FIXTURE_PORTS 2000u
#define FIXTURE_FLOWS 4096u

struct fixture {
	struct flow_memory *memory;
	struct flow_queue queue;
	struct flow_parameters parameters;
	uint64_t now, number;
	uint64_t octets, packets; /* that should wait in queue */
	struct packet_list dropped;
};

/* CoDel stays silent until a test sets its target. */
static inline int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (fixture == NULL)
		return -1;
	*state = fixture;
	fixture->memory = flow_memory_new(FIXTURE_PORTS);
	fixture->parameters = (struct flow_parameters){SECOND * 1000, 100 * MILLISECOND, 1514};
	fixture->now = SECOND;
	packet_list_init(&fixture->dropped);
	return fixture->memory == NULL ? -1 : 0;
}

static inline void assert_counts(const struct fixture *fixture)
{
	assert_int_equal(fixture->queue.octets, fixture->octets);
	assert_int_equal(fixture->queue.packets, fixture->packets);
}

/* Whatever a test did, memory is given back. */
static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;
	struct packet_list list;

	packet_list_init(&list);
	flow_queue_drain(fixture->memory, &fixture->queue, &list);
	assert_int_equal(test_free_list(&list), fixture->packets);
	assert_int_equal(fixture->queue.packets, 0);
	assert_int_equal(fixture->queue.octets, 0);
	assert_int_equal(flow_memory_in_use(fixture->memory), 0);
	test_free_list(&fixture->dropped);
	flow_memory_free(fixture->memory);
	free(fixture);
	return 0;
}

/* Lets a packet wait; its port is in port_in, and its number among all in port_out. */
static inline struct packet *append(struct fixture *fixture, uint32_t port, uint32_t flow,
				    uint32_t cost)
{
	struct packet *packet = test_packet(port, cost, 0);

	packet->port_in = port;
	packet->frame_count = 1;
	packet->next = packet; /* undefined in a new packet */
	packet->flow_hash = flow;
	packet->port_out = (uint32_t)fixture->number++;
	flow_queue_append(fixture->memory, &fixture->queue, port, packet, cost, fixture->now);
	fixture->octets += cost;
	fixture->packets++;
	assert_counts(fixture);
	return packet;
}

static inline void append_many(struct fixture *fixture, uint32_t port, uint32_t flow, uint32_t cost,
			       unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		append(fixture, port, flow, cost);
}

/* What CoDel or an overflow dropped since the last time that somebody looked is accounted for. */
static inline struct packet *peek(struct fixture *fixture)
{
	uint32_t before = fixture->dropped.count;
	struct packet **place = fixture->dropped.last;
	struct packet *packet = flow_queue_peek(fixture->memory, &fixture->queue, fixture->now,
						&fixture->parameters, &fixture->dropped);

	for (const struct packet *lost = *place; lost != NULL; lost = lost->next)
		fixture->octets -= lost->cost;
	fixture->packets -= fixture->dropped.count - before;
	assert_counts(fixture);
	return packet;
}

/* Takes the next packet out and returns it, for the caller to free, or NULL. */
static inline struct packet *take(struct fixture *fixture)
{
	struct packet *packet = peek(fixture), *again = peek(fixture);

	assert_ptr_equal(again, packet);
	if (packet == NULL)
		return NULL;
	assert_ptr_equal(flow_queue_take(fixture->memory, &fixture->queue, &fixture->parameters),
			 packet);
	assert_null(packet->next);
	fixture->octets -= packet->cost;
	fixture->packets--;
	assert_counts(fixture);
	return packet;
}

/* Takes the next packet and asserts whose it is. */
static inline void assert_next(struct fixture *fixture, uint32_t port, uint32_t flow)
{
	struct packet *packet = take(fixture);

	assert_non_null(packet);
	assert_int_equal(packet->port_in, port);
	assert_int_equal(packet->flow_hash, flow);
	free(packet);
}

#endif
