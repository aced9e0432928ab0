/* SPDX-License-Identifier: Apache-2.0 */

/* Who is next in a flow queue: shares, priority, order. */

#include "tests/unit/effort.h"
#include "tests/unit/flow_queue_fixture.h"

/*
 * Keeps the flows of a port or the flow of every port backlogged, each with packets of its own
 * size, and asserts that what they got differs by no more than a turn's rounding: a quantum, what
 * they begin with, and the largest packet. Member i sends packets of costs[i % cost_count].
 */
static void assert_equal_shares(struct fixture *fixture, bool ports, const uint32_t *costs,
				unsigned cost_count, unsigned members, unsigned rounds)
{
	uint64_t *sent = calloc(members, sizeof(*sent)), least = UINT64_MAX, most = 0;
	uint32_t largest = 0, quantum = fixture->parameters.quantum;

	assert_non_null(sent);
	for (unsigned i = 0; i < members; i++) {
		uint32_t cost = costs[i % cost_count];

		largest = cost > largest ? cost : largest;
		append_many(fixture, ports ? i : 0, ports ? 0 : i, cost, 2);
	}
	for (uint64_t total = 0; total < (uint64_t)rounds * members * quantum;) {
		struct packet *packet = take(fixture);
		unsigned member = ports ? packet->port_in : packet->flow_hash;

		sent[member] += packet->cost;
		total += packet->cost;
		append(fixture, packet->port_in, packet->flow_hash, packet->cost);
		free(packet);
	}
	for (unsigned i = 0; i < members; i++) {
		least = sent[i] < least ? sent[i] : least;
		most = sent[i] > most ? sent[i] : most;
	}
	assert_true(most - least <= quantum + TURN_CREDIT + largest);
	assert_true(least > 0);
	free(sent);
}

static void flows_share_octets(void **state)
{
	static const uint32_t costs[] = {60, 1514, 590, 64, 9000, 1};

	assert_equal_shares(*state, false, costs, 6, 64, EFFORT(200));
}

static void ports_share_octets(void **state)
{
	static const uint32_t costs[] = {60, 1514, 590, 64, 9000, 1};

	assert_equal_shares(*state, true, costs, 6, 100, EFFORT(200));
}

static void super_packets_share_with_small_ones(void **state)
{
	static const uint32_t costs[] = {68000, 60};

	assert_equal_shares(*state, false, costs, 2, 20, 2000);
}

static void large_quantum_shares_the_same(void **state)
{
	struct fixture *fixture = *state;
	static const uint32_t costs[] = {60, 1514, 68000};

	fixture->parameters.quantum = 65536;
	assert_equal_shares(fixture, true, costs, 3, 30, 50);
}

/* A port with one flow gets as much as one with a thousand, and as one with large packets. */
static void flows_give_a_port_nothing(void **state)
{
	struct fixture *fixture = *state;
	uint64_t sent[3] = {0}, total = 0;

	append_many(fixture, 0, 7, 1514, 4);
	append_many(fixture, 2, 7, 30000, 4);
	for (uint32_t flow = 0; flow < 1000; flow++)
		append_many(fixture, 1, flow * 2654435761u, 100, 3);
	while (total < 30000000) {
		struct packet *packet = take(fixture);

		sent[packet->port_in] += packet->cost;
		total += packet->cost;
		append(fixture, packet->port_in, packet->flow_hash, packet->cost);
		free(packet);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_true(sent[i] > 10000000 - 40000 && sent[i] < 10000000 + 40000);
}

/* Who opens a new flow for every packet gets no more than who has one. */
static void new_flows_give_a_port_nothing(void **state)
{
	struct fixture *fixture = *state;
	uint64_t sent[2] = {0}, total = 0, random = 1;

	append_many(fixture, 0, 7, 1514, 4);
	while (total < 10000000) {
		struct packet *packet;

		for (unsigned i = 0; i < 4; i++)
			if (fixture->queue.packets < 200)
				append(fixture, 1, (uint32_t)random_next(&random), 1000);
		packet = take(fixture);
		sent[packet->port_in] += packet->cost;
		total += packet->cost;
		if (packet->port_in == 0)
			append(fixture, 0, 7, 1514);
		free(packet);
	}
	assert_true(sent[0] > 5000000 - 10000 && sent[0] < 5000000 + 10000);
}

/* Nor does who, in his own port, comes and goes, beside one that stays. */
static void new_flows_starve_no_old_one(void **state)
{
	struct fixture *fixture = *state;
	uint64_t bulk = 0, total = 0, random = 1;

	append_many(fixture, 0, 7, 1514, 4);
	while (total < 10000000) {
		struct packet *packet;

		while (fixture->queue.packets < 30)
			append(fixture, 0, (uint32_t)random_next(&random) | 0x100, 1514);
		packet = take(fixture);
		total += packet->cost;
		if (packet->flow_hash == 7) {
			bulk += packet->cost;
			append(fixture, 0, 7, 1514);
		}
		free(packet);
	}
	assert_true(bulk > total / 65);
}

static void sparse_flow_goes_first(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t flow = 0; flow < 20; flow++)
		append_many(fixture, 0, flow, 1514, 10);
	for (unsigned i = 0; i < 50; i++)
		free(take(fixture));
	/* Again and again, whatever the round has come to. */
	for (unsigned i = 0; i < 10; i++) {
		append(fixture, 0, 99, 98);
		assert_next(fixture, 0, 99);
		free(take(fixture));
	}
	/* Until it has used what its share is. */
	for (unsigned i = 0; i < 30; i++)
		append(fixture, 0, 99, 98);
	for (unsigned i = 0; i < 10; i++)
		assert_next(fixture, 0, 99);
	assert_int_not_equal(peek(fixture)->flow_hash, 99);
}

/* The same among a thousand ports: of one that has nothing else, and of one that has. */
static void sparse_flow_goes_first_across_ports(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t port = 0; port < 1000; port++)
		append_many(fixture, port, 1, 1514, 10);
	for (unsigned i = 0; i < 2500; i++)
		free(take(fixture));
	append(fixture, 1500, 5, 98);
	append(fixture, 3, 5, 98);
	assert_next(fixture, 1500, 5);
	assert_next(fixture, 3, 5);
	append(fixture, 3, 5, 98);
	assert_next(fixture, 3, 5);
	assert_int_equal(peek(fixture)->flow_hash, 1);
}

/* A better packet replaces what was asked for before. */
static void peek_may_find_better(void **state)
{
	struct fixture *fixture = *state;
	const struct packet *bulk, *sparse;

	append_many(fixture, 0, 1, 1514, 10);
	assert_next(fixture, 0, 1);
	assert_next(fixture, 0, 1);
	bulk = peek(fixture);
	assert_int_equal(bulk->flow_hash, 1);
	sparse = append(fixture, 0, 2, 98);
	assert_ptr_equal(peek(fixture), sparse);
	assert_next(fixture, 0, 2);
	assert_ptr_equal(peek(fixture), bulk);
}

/* A super-packet is no reason for others to wait, new as its flow may be. */
static void super_packet_waits_for_its_turn(void **state)
{
	struct fixture *fixture = *state;

	append_many(fixture, 0, 1, 1514, 10);
	assert_next(fixture, 0, 1);
	append(fixture, 0, 2, 60000);
	append(fixture, 0, 3, 98);
	assert_next(fixture, 0, 3);
	assert_next(fixture, 0, 1);
	assert_next(fixture, 0, 2);
	for (unsigned i = 0; i < 8; i++)
		assert_next(fixture, 0, 1);
	assert_null(peek(fixture));
}

/* 10,000 flows in 64 queues: who shares one, keeps its order. */
static void flow_keeps_its_order(void **state)
{
	struct fixture *fixture = *state;
	uint32_t *last = calloc(10000, sizeof(*last));
	uint64_t random = 3;

	assert_non_null(last);
	for (unsigned i = 0; i < 400000; i++) {
		bool filling = i / 1000 % 2 == 0;
		struct packet *packet;

		if (filling || random_below(&random, 2) == 0)
			append(fixture, 0, (uint32_t)random_below(&random, i % 7 ? 100 : 10000),
			       (uint32_t)random_below(&random, 1514) + 1);
		if (filling && random_below(&random, 8) != 0)
			continue;
		packet = take(fixture);
		if (packet == NULL)
			continue;
		assert_true(packet->port_out + 1 > last[packet->flow_hash]);
		last[packet->flow_hash] = packet->port_out + 1;
		free(packet);
		assert_true(flow_memory_in_use(fixture->memory) <= FLOW_SETS * FLOW_WAYS);
	}
	free(last);
}

static void flows_have_64_queues(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t flow = 0; flow < 64; flow++)
		append_many(fixture, 0, flow, 100, 2);
	assert_int_equal(flow_memory_in_use(fixture->memory), 64);
	append(fixture, 0, 64, 100);
	assert_int_equal(flow_memory_in_use(fixture->memory), 64);
	/* Another port does not care. */
	append(fixture, 1, 64, 100);
	assert_int_equal(flow_memory_in_use(fixture->memory), 65);
}

/* Rounds of a quantum of one octet, with debts of 4 GiB: nobody walks them. */
static void debts_are_paid_at_once(void **state)
{
	struct fixture *fixture = *state;

	fixture->parameters.quantum = 1;
	for (uint32_t port = 0; port < 20; port++)
		for (uint32_t flow = 0; flow < 20; flow++)
			append_many(fixture, port, flow, UINT32_MAX, 2);
	while (fixture->packets > 0)
		free(take(fixture));
	/* But they are paid. */
	append_many(fixture, 0, 1, UINT32_MAX, 2);
	assert_next(fixture, 0, 1);
	append_many(fixture, 0, 2, 1514, 100);
	append_many(fixture, 1, 2, 1514, 100);
	for (unsigned i = 0; i < 200; i++)
		assert_next(fixture, i < 100, 2);
	assert_next(fixture, 0, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(flows_share_octets),
		TEST(ports_share_octets),
		TEST(super_packets_share_with_small_ones),
		TEST(large_quantum_shares_the_same),
		TEST(flows_give_a_port_nothing),
		TEST(new_flows_give_a_port_nothing),
		TEST(new_flows_starve_no_old_one),
		TEST(sparse_flow_goes_first),
		TEST(sparse_flow_goes_first_across_ports),
		TEST(peek_may_find_better),
		TEST(super_packet_waits_for_its_turn),
		TEST(flow_keeps_its_order),
		TEST(flows_have_64_queues),
		TEST(debts_are_paid_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
