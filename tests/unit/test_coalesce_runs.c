/* SPDX-License-Identifier: Apache-2.0 */

/* Coalescing: which runs a frame ends, so that no flow is reordered, and the limits. */

#include "coalesce_flows.h"

static void test_limits(void **state)
{
	struct frame_spec spec = tcp4;

	/* 65,535 octets of layer 3, and one more. */
	for (uint32_t more = 0; more < 2; more++) {
		for (unsigned kind = 0; kind < 2; kind++) {
			uint32_t headers = kinds[kind]->ipv6 ? 72 : 52;

			spec = *kinds[kind];
			spec.payload_size = 1000;
			for (uint32_t i = 0; i < 65; i++)
				add_next(&spec, i);
			spec.sequence += 65000;
			spec.identification = 65;
			spec.payload_size = 65535 - headers - 65000 + more;
			add(&spec);
			assert_int_equal(packets_of(*state), 1 + more);
		}
	}
	for (uint32_t i = 0; i < 65; i++)
		add_next(&udp4, i);
	assert_int_equal(packets_of(*state), 2);
	/* Many of them, and small. */
	spec = tcp6;
	spec.payload_size = 1;
	for (uint32_t i = 0; i < ARRIVALS_MAX; i++)
		add_next(&spec, i);
	assert_int_equal(packets_of(*state), 1);
}

/* Without a buffer for their payload frames stay apart. */
static void test_exhausted_pool(void **state)
{
	(void)state;
	for (uint32_t buffers = 0; buffers < 3; buffers++) {
		struct packet_pool *pool = packet_pool_new(100, buffers);
		struct frame_spec spec = tcp4;

		for (uint32_t flow = 0; flow < 2; flow++) {
			for (uint32_t i = 0; i < 3; i++)
				add_next(flow == 0 ? &tcp4 : &tcp6, i);
		}
		assert_int_equal(packets_of(pool), 6 - 2 * buffers);
		/* A second frame that is refused gives the buffer back. */
		add_next(&spec, 0);
		add_next(&spec, 1)->octets[150] ^= 1;
		assert_int_equal(packets_of(pool), 2);
		assert_int_equal(packet_pool_in_use(pool), 0);
		packet_pool_free(pool);
	}
}

/* Little payload lies in the packet's head in the end, so that many such packets need no buffers.
 */
static void test_small_runs_keep_no_buffer(void **state)
{
	struct packet_pool *pool = packet_pool_new(100, 1);
	struct frame_spec spec = tcp4;
	struct packet_list list;

	(void)state;
	spec.payload_size = 150;
	for (uint32_t i = 0; i < 40; i++) {
		/* PSH ends a run of four. */
		spec.tcp_flags = i % 4 == 3 ? 0x18 : 0x10;
		add_next(&spec, i);
	}
	assert_true(arrivals_coalesce(&arrivals, pool, &list));
	assert_int_equal(list.count, 10);
	assert_int_equal(packet_pool_in_use(pool), 10);
	for (struct packet *packet = list.first; packet != NULL; packet = packet->next) {
		assert_int_equal(packet->slice_count, 0);
		assert_int_equal(packet->head_size, packet->size);
	}
	assert_null(arrivals_check(&arrivals, pool, &list));
	arrivals_clear(&arrivals);
	packet_pool_free(pool);
}

static void add_flow(uint32_t flow, uint32_t index)
{
	struct arrival *arrival = add_next(&tcp4, index);

	arrival->octets[frame.l4 + 1] = (uint8_t)flow;
	send_again(arrival);
}

/* As many flows as there are runs, and one more; the one that waited longest gives way. */
static void test_flows_by_turns(void **state)
{
	for (uint32_t flows = 1; flows <= COALESCE_RUNS + 1; flows++) {
		for (uint32_t i = 0; i < 5 * flows; i++)
			add_flow(i % flows, i / flows);
		assert_int_equal(packets_of(*state), flows <= COALESCE_RUNS ? flows : 5 * flows);
	}
	for (uint32_t flow = 0; flow < COALESCE_RUNS; flow++)
		add_flow(flow, 0);
	add_flow(0, 1);
	add_flow(COALESCE_RUNS, 0); /* instead of 1 */
	add_flow(0, 2);
	add_flow(2, 1);
	add_flow(1, 1);
	assert_int_equal(packets_of(*state), COALESCE_RUNS + 2);
	/* What gives way is whole. */
	for (uint32_t i = 0; i < 2 * (COALESCE_RUNS + 1); i++)
		add_flow(i / 2, i % 2);
	assert_int_equal(packets_of(*state), COALESCE_RUNS + 1);
}

/* What no frame can be appended to takes no run from others. */
static void test_frames_without_a_run(void **state)
{
	struct frame_spec spec = tcp6;

	for (uint32_t flow = 0; flow < COALESCE_RUNS; flow++)
		add_flow(flow, 0);
	spec.payload_size = 0;
	add(&spec);
	spec.protocol = 17;
	spec.ipv6 = false;
	spec.payload_size = 100;
	frame_put16(add(&spec)->octets + frame.l4 + 6, 0); /* no checksum */
	for (uint32_t flow = 0; flow < COALESCE_RUNS; flow++)
		add_flow(flow, 1);
	assert_int_equal(packets_of(*state), COALESCE_RUNS + 2);
}

/* What comes between two frames of a TCP flow, and whether it may be overtaken by the second. */
enum between {
	OTHER_FLOW,
	ANSWER,
	OTHER_VERSION,
	OTHER_PROTOCOL,
	OTHER_VNI,
	OTHER_FRAGMENT,
	FRAGMENT_OF_OTHER_VNI,
	ARP_TO_ALL,
	NO_ADDRESSES,
	MAY_BE_OVERTAKEN,

	ACK_ONLY = MAY_BE_OVERTAKEN,
	RESET,
	OTHER_OPTIONS,
	OTHER_PEER,
	OTHER_TOS,
	TAGGED,
	TAGGED_TWICE,
	FRAGMENT,
	ICMP,
	ARP,
	RUNT,
	DAMAGED,
	BETWEEN_COUNT
};

static struct frame_spec between_spec(enum between between)
{
	struct frame_spec spec = tcp4;

	spec.identification = 100;
	spec.sequence = 100;
	spec.ipv6 = between == OTHER_VERSION;
	spec.payload_size = between == ACK_ONLY ? 0 : between == ANSWER ? 60 : 100;
	spec.tcp_flags = between == RESET ? 0x14 : 0x10;
	spec.tcp_option_size = between == OTHER_OPTIONS ? 16 : 12;
	spec.tags = between == TAGGED ? 1 : between == TAGGED_TWICE ? 2 : 0;
	spec.fragment = between == FRAGMENT || between == OTHER_FRAGMENT ? 0x00b9 : 0;
	if (between == FRAGMENT_OF_OTHER_VNI)
		spec.fragment = 0x00b9;
	spec.protocol = between == ICMP ? 1 : between == OTHER_PROTOCOL ? 17 : 6;
	return spec;
}

static void add_between(enum between between)
{
	struct frame_spec spec = between_spec(between);
	struct arrival *arrival = add(&spec);
	uint8_t *octets = arrival->octets, address[4];

	arrival->key.outer_vni = between == OTHER_VNI || between == FRAGMENT_OF_OTHER_VNI;
	arrival->key.outer_source = between == OTHER_PEER;
	arrival->key.outer_tos = between == OTHER_TOS;
	if (between == OTHER_FLOW)
		octets[frame.l4] ^= 1;
	if (between == ANSWER) {
		memcpy(address, octets + frame.l3 + 12, 4);
		memcpy(octets + frame.l3 + 12, octets + frame.l3 + 16, 4);
		memcpy(octets + frame.l3 + 16, address, 4);
	}
	if (between == OTHER_FRAGMENT)
		octets[0] ^= 4;
	if (between == ARP || between == ARP_TO_ALL)
		frame_put16(octets + 12, 0x0806);
	if (between == ARP_TO_ALL)
		memset(octets, 0xff, 6);
	if (between == RUNT)
		arrival->size = 13;
	else if (between == NO_ADDRESSES)
		arrival->size = 11;
	else
		send_again(arrival);
	if (between == DAMAGED)
		octets[arrival->size - 1] ^= 1;
}

static void test_what_must_not_be_overtaken(void **state)
{
	for (enum between between = 0; between < BETWEEN_COUNT; between++) {
		add_next(&tcp4, 0);
		add_between(between);
		add_next(&tcp4, 1);
		assert_int_equal(packets_of(*state), between < MAY_BE_OVERTAKEN ? 2 : 3);
	}
}

/* A call ends what it began. */
static void test_calls_are_apart(void **state)
{
	for (uint32_t i = 0; i < 4; i++) {
		add_next(&udp6, 2 * i);
		add_next(&udp6, 2 * i + 1);
		assert_int_equal(packets_of(*state), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_limits),
		TEST(test_exhausted_pool),
		TEST(test_small_runs_keep_no_buffer),
		TEST(test_flows_by_turns),
		TEST(test_frames_without_a_run),
		TEST(test_what_must_not_be_overtaken),
		TEST(test_calls_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
