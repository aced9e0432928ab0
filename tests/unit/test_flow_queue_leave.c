/* SPDX-License-Identifier: Apache-2.0 */

/* What leaves a flow queue without its turn, and what becomes of ports and flows. */

#include "tests/unit/flow_queue_fixture.h"

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

static void overflow_takes_few_and_one_at_least(void **state)
{
	struct fixture *fixture = *state;
	struct packet_list list;

	packet_list_init(&list);
	flow_queue_drop_longest(fixture->memory, &fixture->queue, &list);
	assert_int_equal(list.count, 0);
	append_many(fixture, 5, 1, 10, 1000);
	flow_queue_drop_longest(fixture->memory, &fixture->queue, &list);
	assert_int_equal(list.count, FLOW_DROP_BATCH);
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

/* What was the longest port is in another queue. */
static void overflow_stays_in_its_queue(void **state)
{
	struct fixture *fixture = *state;
	struct flow_queue other = {0};
	struct packet_list list;

	packet_list_init(&list);
	append_many(fixture, 1, 1, 1000, 2);
	append_many(fixture, 2, 1, 1000, 4);
	flow_queue_evict(fixture->memory, &other, 2, &list);
	flow_queue_append(fixture->memory, &other, 2, test_packet(0, 9, 1), 9, fixture->now);
	flow_queue_drop_longest(fixture->memory, &fixture->queue, &list);
	assert_int_equal(other.packets, 1);
	assert_int_equal(fixture->queue.packets, 1);
	fixture->packets = 1;
	fixture->octets = 1000;
	assert_counts(fixture);
	flow_queue_drain(fixture->memory, &other, &list);
	assert_int_equal(test_free_list(&list), 6);
}

/* With its last packets a queue loses all its ports, those that have none any more as well. */
static void empty_queue_has_no_ports(void **state)
{
	struct fixture *fixture = *state;
	struct flow_queue other = {0};
	struct packet_list list;

	packet_list_init(&list);
	append(fixture, 1, 1, 1000);
	append(fixture, 2, 1, 1000);
	assert_next(fixture, 1, 1);
	assert_ptr_equal(flow_queue_evict(fixture->memory, &other, 2, &list), &fixture->queue);
	assert_null(flow_queue_evict(fixture->memory, &other, 1, &list));
	assert_int_equal(test_free_list(&list), 1);
	fixture->packets = fixture->octets = 0;
	assert_counts(fixture);
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
		TEST(memory_of_the_idle_is_free),
		TEST(overflow_takes_from_the_longest),
		TEST(overflow_takes_few_and_one_at_least),
		TEST(overflow_finds_another_port),
		TEST(drain_gives_all_in_order),
		TEST(index_is_used_again),
		TEST(index_leaves_wherever_it_is),
		TEST(overflow_stays_in_its_queue),
		TEST(empty_queue_has_no_ports),
		TEST(address_space_is_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
