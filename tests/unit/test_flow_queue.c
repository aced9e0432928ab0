/* SPDX-License-Identifier: Apache-2.0 */

/* Who is next in a flow queue, what overflow takes, and what becomes of ports and flows. */

#include "tests/unit/flow_queue_fixture.h"

#include <string.h>

#define QUANTUM 1514u

/*
 * Keeps the flows of a port or the flow of every port backlogged, each with packets of its own
 * size, and asserts that what they got differs by no more than a turn's rounding: a quantum and the
 * largest packet. Flows are cost_count; count members share costs[] in turn.
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

	assert_equal_shares(*state, false, costs, 6, 64, 200);
}

static void ports_share_octets(void **state)
{
	static const uint32_t costs[] = {60, 1514, 590, 64, 9000, 1};

	assert_equal_shares(*state, true, costs, 6, 100, 200);
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
}

static void memory_of_the_idle_is_free(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t port = 0; port < 1000; port++)
		append(fixture, port, port, 1000);
	assert_int_equal(flow_memory_in_use(fixture->memory), 1000);
	while (fixture->packets > 1)
		free(take(fixture));
	/* Ports without packets may stand in the round, flows of theirs do not. */
	assert_int_equal(flow_memory_in_use(fixture->memory), 1);
	free(take(fixture));
	assert_int_equal(flow_memory_in_use(fixture->memory), 0);
	assert_null(take(fixture));
}

/* What overflow takes is the head of the longest flow of the longest port. */
static void overflow_takes_from_the_longest(void **state)
{
	struct fixture *fixture = *state;
	struct packet_list list;
	struct packet *packet;
	uint32_t number;

	for (uint32_t port = 0; port < 10; port++)
		append_many(fixture, port, 1, 500, 3);
	append_many(fixture, 3, 2, 100, 20);
	number = (uint32_t)fixture->number;
	append_many(fixture, 3, 3, 1514, 10);
	append(fixture, 7, 4, 60);
	packet_list_init(&list);
	flow_queue_drop_longest(fixture->memory, &fixture->queue, &list);
	assert_int_equal(list.count, 5);
	fixture->octets -= 5 * 1514;
	fixture->packets -= 5;
	assert_counts(fixture);
	while ((packet = packet_list_pop(&list)) != NULL) {
		assert_int_equal(packet->port_in, 3);
		assert_int_equal(packet->port_out, number++);
		free(packet);
	}
	/* What goes on from there is in order. */
	for (unsigned i = 0; i < 30;) {
		packet = take(fixture);
		if (packet->port_in == 3 && packet->flow_hash == 3) {
			assert_int_equal(packet->port_out, number++);
			i += 6;
		}
		free(packet);
	}
}

static void overflow_takes_64_at_most_and_one_at_least(void **state)
{
	struct fixture *fixture = *state;
	struct packet_list list;

	packet_list_init(&list);
	flow_queue_drop_longest(fixture->memory, &fixture->queue, &list);
	assert_int_equal(list.count, 0);
	append_many(fixture, 5, 1, 10, 1000);
	flow_queue_drop_longest(fixture->memory, &fixture->queue, &list);
	assert_int_equal(list.count, 64);
	while (fixture->queue.packets > 0) {
		uint32_t before = list.count;

		flow_queue_drop_longest(fixture->memory, &fixture->queue, &list);
		assert_true(list.count > before);
	}
	assert_int_equal(test_free_list(&list), 1000);
	fixture->packets = fixture->octets = 0;
	assert_counts(fixture);
	assert_int_equal(flow_memory_in_use(fixture->memory), 0);
	assert_null(peek(fixture));
}

/* When the longest port has sent all, another is found. */
static void overflow_finds_another_port(void **state)
{
	struct fixture *fixture = *state;
	struct packet_list list;

	append_many(fixture, 1, 1, 1000, 5);
	append_many(fixture, 2, 1, 1500, 5);
	for (unsigned i = 0; i < 6; i++) {
		struct packet *packet = take(fixture);

		if (packet->port_in == 1)
			append(fixture, 1, 1, 1000);
		free(packet);
	}
	while (fixture->queue.packets > 0) {
		packet_list_init(&list);
		flow_queue_drop_longest(fixture->memory, &fixture->queue, &list);
		assert_true(list.count > 0);
		test_free_list(&list);
	}
	fixture->packets = fixture->octets = 0;
}

static void drain_gives_all_in_order(void **state)
{
	struct fixture *fixture = *state;
	struct packet_list list;
	struct packet *packet;
	uint32_t last[10][7] = {{0}};

	for (unsigned i = 0; i < 1000; i++)
		append(fixture, i % 10, i % 7, 100 + i);
	for (unsigned i = 0; i < 100; i++)
		free(take(fixture));
	packet_list_init(&list);
	flow_queue_drain(fixture->memory, &fixture->queue, &list);
	assert_int_equal(list.count, 900);
	fixture->packets = fixture->octets = 0;
	assert_counts(fixture);
	assert_int_equal(flow_memory_in_use(fixture->memory), 0);
	while ((packet = packet_list_pop(&list)) != NULL) {
		assert_true(packet->port_out >= last[packet->port_in][packet->flow_hash]);
		last[packet->port_in][packet->flow_hash] = packet->port_out;
		free(packet);
	}
	append(fixture, 3, 3, 100);
	assert_next(fixture, 3, 3);
}

/* A port's index goes to another tenant while packets wait for the former one. */
static void index_is_used_again(void **state)
{
	struct fixture *fixture = *state;
	struct flow_queue other = {0};
	struct packet_list list;

	packet_list_init(&list);
	assert_null(flow_queue_evict(fixture->memory, &fixture->queue, 5, &list));
	for (uint32_t port = 4; port < 8; port++)
		append_many(fixture, port, 1, 1000, 4);
	free(take(fixture));
	assert_null(flow_queue_evict(fixture->memory, &fixture->queue, 5, &list));
	assert_int_equal(list.count, 0);
	assert_ptr_equal(flow_queue_evict(fixture->memory, &other, 5, &list), &fixture->queue);
	assert_int_equal(list.count, 4);
	fixture->packets -= 4;
	fixture->octets -= 4000;
	assert_counts(fixture);
	assert_int_equal(list.first->port_in, 5);
	test_free_list(&list);
	append(fixture, 4, 1, 1000);
	/* The new port's packets and the other ones' do not meet. */
	flow_queue_append(fixture->memory, &other, 5, test_packet(0, 70, 1), 70, fixture->now);
	while (fixture->packets > 0) {
		struct packet *packet = take(fixture);

		assert_int_not_equal(packet->port_in, 5);
		free(packet);
	}
	assert_int_equal(other.packets, 1);
	packet_list_init(&list);
	flow_queue_drain(fixture->memory, &other, &list);
	assert_int_equal(test_free_list(&list), 1);
}

/* The port that leaves is the only one, stands first, last, or has no packets any more. */
static void index_leaves_wherever_it_is(void **state)
{
	struct fixture *fixture = *state;
	struct flow_queue other = {0};
	struct packet_list list;

	for (uint32_t ports = 1; ports <= 4; ports++) {
		for (uint32_t leaving = 0; leaving < ports; leaving++) {
			for (unsigned taken = 0; taken < 5; taken++) {
				for (uint32_t port = 0; port < ports; port++)
					append_many(fixture, port, 1, 1000,
						    port == leaving ? 1 : 2);
				for (unsigned i = 0; i < taken; i++)
					free(take(fixture));
				packet_list_init(&list);
				flow_queue_evict(fixture->memory, &other, leaving, &list);
				fixture->packets -= list.count;
				fixture->octets -= list.count * 1000;
				assert_counts(fixture);
				test_free_list(&list);
				flow_queue_append(fixture->memory, &other, leaving,
						  test_packet(0, 9, 1), 9, fixture->now);
				while (fixture->packets > 0)
					free(take(fixture));
				assert_null(take(fixture));
				packet_list_init(&list);
				flow_queue_drain(fixture->memory, &other, &list);
				assert_int_equal(test_free_list(&list), 1);
			}
		}
	}
}

/* The whole number of ports of 4 kinds is address space, and what is used is lines. */
static void address_space_is_no_memory(void **state)
{
	struct flow_memory *memories[16];
	struct flow_queue *queues = calloc(10000, sizeof(*queues));
	struct packet_list list;

	(void)state;
	assert_non_null(queues);
	for (unsigned i = 0; i < 16; i++) {
		memories[i] = flow_memory_new(4 * 131072);
		assert_non_null(memories[i]);
	}
	for (uint32_t i = 0; i < 10000; i++)
		flow_queue_append(memories[0], &queues[i], i * 50, test_packet(0, 60, i), 60, 1);
	assert_int_equal(flow_memory_in_use(memories[0]), 10000);
	packet_list_init(&list);
	for (uint32_t i = 0; i < 10000; i++)
		flow_queue_drain(memories[0], &queues[i], &list);
	assert_int_equal(test_free_list(&list), 10000);
	for (unsigned i = 0; i < 16; i++)
		flow_memory_free(memories[i]);
	free(queues);
	flow_memory_free(NULL);
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
		TEST(memory_of_the_idle_is_free),
		TEST(overflow_takes_from_the_longest),
		TEST(overflow_takes_64_at_most_and_one_at_least),
		TEST(overflow_finds_another_port),
		TEST(drain_gives_all_in_order),
		TEST(index_is_used_again),
		TEST(index_leaves_wherever_it_is),
		TEST(address_space_is_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
