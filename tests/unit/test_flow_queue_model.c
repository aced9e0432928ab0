/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Flow queues against a model that does the same with plain arrays: what waits in any order, every
 * round walked one by one. Millions of random calls must give the same packets.
 */

#include "tests/unit/shaper_fixture.h"

#include <string.h>

#include "datapath/codel.h"
#include "datapath/flow_queue.h"
#include "tests/unit/effort.h"

enum { QUEUES = 3, PORTS = 6, FLOWS = FLOW_SETS * FLOW_WAYS, WAITING = 2000 };

/* Numbers in a row. */
struct row {
	int count, at[FLOWS];
};

struct model_flow {
	uint32_t hash;
	int64_t deficit;
	struct packet *packets[WAITING];
	int first, count;
	struct codel codel;
};

struct model_port {
	int queue; /* or -1 */
	int64_t deficit;
	struct row round, front;    /* of flows */
	struct row sets[FLOW_SETS]; /* of flows, as they began */
	bool shared[FLOW_SETS];
	bool used[FLOWS];
	uint64_t joined; /* packets that came to a queue of another flow */
	struct model_flow flows[FLOWS];
};

struct model_queue {
	struct row round, front; /* of ports */
	int longest;
	uint64_t marked;
};

struct test {
	struct flow_memory *memory;
	struct flow_queue queues[QUEUES];
	struct model_queue models[QUEUES];
	struct model_port ports[PORTS];
	struct flow_parameters parameters;
	uint64_t now, random;
	uint8_t ecn[WAITING]; /* of packets by their number, as the model has it */
	bool waiting[WAITING];
	unsigned count;					       /* that wait */
	uint64_t taken, dropped, overflowed, evicted, drained; /* it was about something */
};

static bool row_has(const struct row *row, int number)
{
	for (int i = 0; i < row->count; i++)
		if (row->at[i] == number)
			return true;
	return false;
}

static void row_add(struct row *row, int number)
{
	assert_true(row->count < FLOWS);
	row->at[row->count++] = number;
}

static void row_remove(struct row *row, int number)
{
	int kept = 0;

	for (int i = 0; i < row->count; i++)
		if (row->at[i] != number)
			row->at[kept++] = row->at[i];
	row->count = kept;
}

static void row_rotate(struct row *row)
{
	int first = row->at[0];

	row_remove(row, first);
	row_add(row, first);
}

static struct packet *flow_head(const struct model_flow *flow)
{
	return flow->count == 0 ? NULL : flow->packets[flow->first % WAITING];
}

static uint64_t flow_octets(const struct model_flow *flow)
{
	uint64_t octets = 0;

	for (int i = 0; i < flow->count; i++)
		octets += flow->packets[(flow->first + i) % WAITING]->cost;
	return octets;
}

static uint64_t port_octets(const struct model_port *port)
{
	uint64_t octets = 0;

	for (int i = 0; i < FLOWS; i++)
		octets += port->used[i] ? flow_octets(&port->flows[i]) : 0;
	return octets;
}

static uint64_t model_octets(const struct test *test, int queue)
{
	uint64_t octets = 0;

	for (int i = 0; i < PORTS; i++)
		if (test->ports[i].queue == queue)
			octets += port_octets(&test->ports[i]);
	return octets;
}

static uint32_t flows_used(const struct test *test)
{
	uint32_t count = 0;

	for (int i = 0; i < PORTS; i++)
		for (int j = 0; j < FLOWS; j++)
			count += test->ports[i].used[j];
	return count;
}

static void port_forget(struct model_port *port)
{
	port->round.count = port->front.count = 0;
	memset(port->sets, 0, sizeof(port->sets));
	memset(port->shared, 0, sizeof(port->shared));
	memset(port->used, 0, sizeof(port->used));
}

static void model_settle(struct test *test, int queue, struct model_port *port)
{
	if (port_octets(port) == 0)
		port_forget(port);
	if (model_octets(test, queue) != 0)
		return;
	for (int i = 0; i < PORTS; i++)
		if (test->ports[i].queue == queue)
			test->ports[i].queue = -1;
	test->models[queue].round.count = test->models[queue].front.count = 0;
}

static int model_find(struct model_port *port, uint32_t hash)
{
	unsigned number = hash % FLOW_SETS;
	struct row *set = &port->sets[number];
	int flow = 0;

	for (int i = 0; i < set->count; i++)
		if (port->flows[set->at[i]].hash == hash)
			return set->at[i];
	if (set->count > 0 && port->shared[number] &&
	    port->flows[set->at[set->count - 1]].count > 0) {
		port->joined++;
		return set->at[set->count - 1];
	}
	port->shared[number] = set->count == FLOW_WAYS;
	if (port->shared[number])
		return set->at[set->count - 1];
	while (port->used[flow])
		flow++;
	port->used[flow] = true;
	port->flows[flow].hash = hash;
	port->flows[flow].codel = (struct codel){0};
	row_add(set, flow);
	return flow;
}

static void model_wake(struct row *round, int number, int64_t *deficit)
{
	if (!row_has(round, number)) {
		row_add(round, number);
		*deficit = TURN_CREDIT;
	} else if (*deficit > TURN_CREDIT) {
		*deficit = TURN_CREDIT;
	}
}

static void model_append(struct test *test, int queue_number, int number, struct packet *packet)
{
	struct model_queue *queue = &test->models[queue_number];
	struct model_port *port = &test->ports[number];
	int index = model_find(port, packet->flow_hash);
	struct model_flow *flow = &port->flows[index];

	if (port_octets(port) == 0) {
		port->queue = queue_number;
		model_wake(&queue->round, number, &port->deficit);
	}
	if (flow->count == 0) {
		model_wake(&port->round, index, &flow->deficit);
		if (!row_has(&port->front, index))
			row_add(&port->front, index);
		if (!row_has(&queue->front, number))
			row_add(&queue->front, number);
	}
	assert_true(flow->count < WAITING);
	flow->packets[(flow->first + flow->count++) % WAITING] = packet;
	if (queue->longest < 0 || test->ports[queue->longest].queue != queue_number ||
	    port_octets(&test->ports[queue->longest]) < port_octets(port))
		queue->longest = number;
}

static struct packet *model_pop(struct model_flow *flow)
{
	struct packet *packet = flow_head(flow);

	flow->first = (flow->first + 1) % WAITING;
	flow->count--;
	return packet;
}

static int model_hurried(struct model_port *port)
{
	while (port->front.count > 0) {
		const struct model_flow *flow = &port->flows[port->front.at[0]];

		if (flow->count > 0 && flow_head(flow)->cost <= flow->deficit)
			return port->front.at[0];
		row_remove(&port->front, port->front.at[0]);
	}
	return -1;
}

static int model_flow(struct test *test, struct model_port *port)
{
	int index = model_hurried(port);

	while (index < 0) {
		struct model_flow *flow = &port->flows[port->round.at[0]];

		if (flow->deficit <= 0) {
			flow->deficit += test->parameters.quantum;
			row_rotate(&port->round);
		} else if (flow->count > 0) {
			return port->round.at[0];
		} else {
			unsigned number = flow->hash % FLOW_SETS;
			struct row *set = &port->sets[number];

			if (set->at[set->count - 1] == port->round.at[0])
				port->shared[number] = false;
			row_remove(set, port->round.at[0]);
			port->used[port->round.at[0]] = false;
			row_remove(&port->round, port->round.at[0]);
		}
	}
	return index;
}

static int model_port(struct test *test, struct model_queue *queue, int *flow)
{
	while (queue->front.count > 0) {
		struct model_port *port = &test->ports[queue->front.at[0]];

		*flow = port_octets(port) == 0 ? -1 : model_hurried(port);
		if (*flow >= 0 && flow_head(&port->flows[*flow])->cost <= port->deficit)
			return queue->front.at[0];
		row_remove(&queue->front, queue->front.at[0]);
	}
	while (queue->round.count > 0) {
		struct model_port *port = &test->ports[queue->round.at[0]];

		if (port->deficit <= 0) {
			port->deficit += test->parameters.quantum;
			row_rotate(&queue->round);
		} else if (port_octets(port) > 0) {
			*flow = model_flow(test, port);
			return queue->round.at[0];
		} else {
			port->queue = -1;
			row_remove(&queue->round, queue->round.at[0]);
		}
	}
	return -1;
}

/* Writes what CoDel drops to dropped, in order, and says who sends what is returned. */
static struct packet *model_peek(struct test *test, int number, struct packet **dropped, int *port,
				 int *flow_index)
{
	for (;;) {
		struct packet *packet;
		struct model_flow *flow;
		uint8_t *ecn;

		*port = model_port(test, &test->models[number], flow_index);
		if (*port < 0)
			return NULL;
		flow = &test->ports[*port].flows[*flow_index];
		packet = flow_head(flow);
		ecn = &test->ecn[packet->port_out];
		if (!codel_due(&flow->codel,
			       test->now - packet->queued_at >= test->parameters.target &&
				       flow_octets(flow) - packet->cost > 2048,
			       test->now, test->parameters.interval) ||
		    *ecn == 3)
			return packet;
		codel_signal(&flow->codel, test->now, test->parameters.interval);
		if (*ecn != 0) {
			*ecn = 3;
			test->models[number].marked += packet->frame_count;
			return packet;
		}
		*dropped++ = model_pop(flow);
	}
}

static void model_charge(struct row *round, int number, int64_t *deficit, uint32_t cost,
			 uint32_t quantum)
{
	*deficit -= cost;
	if (*deficit <= 0 && round->at[0] == number) {
		*deficit += quantum;
		row_rotate(round);
	}
}

static void model_take(struct test *test, int number, int port_number, int index)
{
	struct model_queue *queue = &test->models[number];
	struct model_port *port = &test->ports[port_number];
	struct model_flow *flow = &port->flows[index];
	uint32_t cost = model_pop(flow)->cost;

	model_charge(&port->round, index, &flow->deficit, cost, test->parameters.quantum);
	model_charge(&queue->round, port_number, &port->deficit, cost, test->parameters.quantum);
	model_settle(test, number, port);
}

static void assert_same(const struct test *test)
{
	for (int i = 0; i < QUEUES; i++) {
		uint32_t packets = 0;

		for (int port = 0; port < PORTS; port++)
			for (int flow = 0; flow < FLOWS && test->ports[port].queue == i; flow++)
				if (test->ports[port].used[flow])
					packets += (uint32_t)test->ports[port].flows[flow].count;
		assert_int_equal(test->queues[i].packets, packets);
		assert_int_equal(test->queues[i].octets, model_octets(test, i));
		assert_int_equal(test->queues[i].marked, test->models[i].marked);
	}
	assert_int_equal(flow_memory_in_use(test->memory), flows_used(test));
}

static uint64_t below(struct test *test, uint64_t bound)
{
	return random_below(&test->random, bound);
}

/* The number of a packet is in port_out, the port in port_in. */
static void test_append(struct test *test, int queue, int port)
{
	struct packet *packet = calloc(1, sizeof(*packet) + 64);
	uint32_t cost = (uint32_t)below(test, below(test, 100) == 0 ? 68000 : 1514) + 1;
	uint32_t number = (uint32_t)below(test, WAITING);
	uint64_t kind = below(test, 4);

	while (test->waiting[number])
		number = (number + 1) % WAITING;
	assert_non_null(packet);
	packet->data = packet->storage;
	packet->head_size = 34;
	packet->l3_offset = 14;
	packet->flags = PACKET_IS_IPV4;
	packet->ip_ecn_dscp = test->ecn[number] = (uint8_t)below(test, 4);
	packet->frame_count = (uint16_t)(number % 5);
	/* Few flows, more than there are ways, and many. */
	packet->flow_hash = (uint32_t)below(test, kind == 0 ? 3 : kind == 1 ? 1000 : 80);
	packet->port_in = (uint32_t)port;
	packet->port_out = number;
	test->waiting[number] = true;
	test->count++;
	flow_queue_append(test->memory, &test->queues[queue], (uint32_t)port, packet, cost,
			  test->now);
	model_append(test, queue, port, packet);
}

static void test_done(struct test *test, struct packet *packet)
{
	assert_true(test->waiting[packet->port_out]);
	assert_int_equal(packet->ip_ecn_dscp, test->ecn[packet->port_out]);
	test->waiting[packet->port_out] = false;
	test->count--;
	free(packet);
}

static void test_take(struct test *test, int number, bool take)
{
	static struct packet *expected[WAITING];
	struct flow_queue *queue = &test->queues[number];
	struct packet_list dropped;
	struct packet *packet, *lost;
	int port, flow = -1;

	packet_list_init(&dropped);
	packet = flow_queue_peek(test->memory, queue, test->now, &test->parameters, &dropped);
	assert_ptr_equal(packet, model_peek(test, number, expected, &port, &flow));
	for (int i = 0; (lost = packet_list_pop(&dropped)) != NULL; i++) {
		assert_ptr_equal(lost, expected[i]);
		test->dropped++;
		test_done(test, lost);
	}
	if (packet == NULL || !take)
		return;
	assert_ptr_equal(flow_queue_take(test->memory, queue, &test->parameters), packet);
	model_take(test, number, port, flow);
	test->taken++;
	test_done(test, packet);
}

/* Every packet of the list is first of its flow in the model, and leaves it there. */
static void test_lose(struct test *test, struct packet_list *list)
{
	struct packet *packet;

	while ((packet = packet_list_pop(list)) != NULL) {
		struct model_port *port = &test->ports[packet->port_in];
		int flow = 0;

		while (flow < FLOWS &&
		       (!port->used[flow] || flow_head(&port->flows[flow]) != packet))
			flow++;
		assert_int_not_equal(flow, FLOWS);
		model_pop(&port->flows[flow]);
		test_done(test, packet);
	}
}

static int row_longest(const struct model_port *port)
{
	int longest = port->round.at[0];

	for (int i = 0; i < port->round.count; i++)
		if (flow_octets(&port->flows[port->round.at[i]]) >
		    flow_octets(&port->flows[longest]))
			longest = port->round.at[i];
	return longest;
}

static void test_overflow(struct test *test, int number)
{
	struct model_queue *queue = &test->models[number];
	struct packet_list dropped;
	struct model_port *port;
	struct model_flow *flow;
	uint64_t half;
	uint32_t count = 0;
	int longest;

	packet_list_init(&dropped);
	flow_queue_drop_longest(test->memory, &test->queues[number], &dropped);
	if (model_octets(test, number) == 0) {
		assert_int_equal(dropped.count, 0);
		return;
	}
	longest = queue->longest;
	for (int i = 0;
	     test->ports[longest].queue != number || port_octets(&test->ports[longest]) == 0; i++)
		longest = queue->round.at[i];
	port = &test->ports[longest];
	flow = &port->flows[row_longest(port)];
	half = flow_octets(flow) / 2;
	test->overflowed += dropped.count;
	for (struct packet *packet; (packet = packet_list_pop(&dropped)) != NULL; count++) {
		assert_true(count < FLOW_DROP_BATCH && flow_octets(flow) > half);
		assert_ptr_equal(model_pop(flow), packet);
		test_done(test, packet);
	}
	assert_true(count == FLOW_DROP_BATCH || flow_octets(flow) <= half);
	model_settle(test, number, port);
}

/* The port goes to a queue, whatever queue it was in. */
static void test_evict(struct test *test, int port, int queue)
{
	struct flow_queue *from, *expected = NULL;
	int former = test->ports[port].queue;
	struct packet_list list;

	packet_list_init(&list);
	from = flow_queue_evict(test->memory, &test->queues[queue], (uint32_t)port, &list);
	if (former >= 0 && former != queue)
		expected = &test->queues[former];
	assert_ptr_equal(from, expected);
	if (from == NULL) {
		assert_int_equal(list.count, 0);
		return;
	}
	test->evicted += list.count;
	test_lose(test, &list);
	assert_int_equal(port_octets(&test->ports[port]), 0);
	port_forget(&test->ports[port]);
	row_remove(&test->models[former].round, port);
	row_remove(&test->models[former].front, port);
	test->ports[port].queue = -1;
	if (model_octets(test, former) == 0)
		model_settle(test, former, &test->ports[port]);
}

static void test_drain(struct test *test, int queue)
{
	struct packet_list list;

	packet_list_init(&list);
	flow_queue_drain(test->memory, &test->queues[queue], &list);
	test->drained += list.count;
	test_lose(test, &list);
	assert_int_equal(model_octets(test, queue), 0);
	for (int i = 0; i < PORTS; i++)
		if (test->ports[i].queue == queue)
			port_forget(&test->ports[i]);
	model_settle(test, queue, &test->ports[0]);
}

static void test_step(struct test *test, unsigned fill)
{
	static const uint32_t quanta[] = {500, 1514, 1514, 12500, 65536};
	int queue = (int)below(test, QUEUES), port = (int)below(test, PORTS);
	uint64_t kind = below(test, 100000);

	test->now += below(test, 200000);
	if (kind < 10)
		test_drain(test, queue);
	else if (kind < 60)
		test_evict(test, port, queue);
	else if (kind < 500)
		test_overflow(test, queue);
	else if (kind < 900)
		test->parameters.quantum = quanta[below(test, 5)];
	else if (below(test, 100) < fill && test->count < WAITING / 2)
		test_append(test, test->ports[port].queue < 0 ? queue : test->ports[port].queue,
			    port);
	else
		test_take(test, queue, kind % 8 != 0);
}

static void queue_does_what_the_model_does(void **state)
{
	struct test *test = calloc(1, sizeof(*test));

	(void)state;
	assert_non_null(test);
	test->memory = flow_memory_new(PORTS);
	assert_non_null(test->memory);
	test->parameters = (struct flow_parameters){5 * MILLISECOND, 20 * MILLISECOND, 1514};
	test->now = SECOND;
	test->random = 5;
	for (int i = 0; i < PORTS; i++)
		test->ports[i].queue = -1;
	for (int i = 0; i < QUEUES; i++)
		test->models[i].longest = -1;
	/* Queues fill and run empty by turns. */
	for (unsigned i = 0; i < EFFORT(2000000); i++) {
		test_step(test, i / 3000 % 3 == 0 ? 70 : 45);
		if (i % 16 == 0)
			assert_same(test);
	}
	for (int i = 0; i < QUEUES; i++)
		test_drain(test, i);
	assert_same(test);
	assert_int_equal(test->count, 0);
	assert_int_equal(flow_memory_in_use(test->memory), 0);
	assert_true(test->taken > EFFORT(300000) && test->dropped > EFFORT(1000) &&
		    test->overflowed > EFFORT(10000) && test->evicted > EFFORT(10000) &&
		    test->drained > EFFORT(10000));
	assert_true(test->models[0].marked > EFFORT(1000) && test->ports[0].joined > EFFORT(1000));
	flow_memory_free(test->memory);
	free(test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queue_does_what_the_model_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
