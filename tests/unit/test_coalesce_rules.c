/* SPDX-License-Identifier: Apache-2.0 */

/* Coalescing, rule by rule: what is merged and what is not, which runs a frame ends, the limits. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coalesce_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Too large for a stack. */
static struct arrivals arrivals;
static struct frame frame;

static const struct frame_spec tcp4 = {
	.protocol = 6, .tcp_flags = 0x10, .tcp_option_size = 12, .payload_size = 100};
static const struct frame_spec tcp6 = {
	.ipv6 = true, .protocol = 6, .tcp_flags = 0x10, .tcp_option_size = 12, .payload_size = 100};
static const struct frame_spec udp4 = {.protocol = 17, .payload_size = 100};
static const struct frame_spec udp6 = {.ipv6 = true, .protocol = 17, .payload_size = 100};
static const struct frame_spec *const kinds[] = {&tcp4, &tcp6, &udp4, &udp6};

static int set_up(void **state)
{
	*state = packet_pool_new(2048, 16);
	return *state == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	uint32_t in_use = packet_pool_in_use(*state);

	packet_pool_free(*state);
	arrivals_clear(&arrivals);
	return in_use == 0 ? 0 : -1;
}

/* Adds a frame, which stays in `frame` as well. */
static struct arrival *add(const struct frame_spec *spec)
{
	frame_build(&frame, spec);
	return arrivals_add(&arrivals, frame.octets, frame.size);
}

/* Adds the flow's frame number `index`, if all are as long as the first. */
static struct arrival *add_next(const struct frame_spec *first, uint32_t index)
{
	struct frame_spec spec = *first;

	spec.sequence += index * spec.payload_size;
	spec.identification = (uint16_t)(spec.identification + index);
	spec.seed += index;
	return add(&spec);
}

/* Makes a change the sender's: checksums are right. */
static void send_again(struct arrival *arrival)
{
	arrival_fix_checksums(arrival->octets, arrival->size, true, true);
}

/* Coalesces what was added, checks it, forgets it. Returns how many packets it became. */
static uint32_t packets_of(struct packet_pool *pool)
{
	struct packet_list list;
	const char *wrong;
	uint32_t count;

	assert_true(arrivals_coalesce(&arrivals, pool, &list));
	count = list.count;
	wrong = arrivals_check(&arrivals, pool, &list);
	if (wrong != NULL)
		print_error("%s\n", wrong);
	assert_null(wrong);
	arrivals_clear(&arrivals);
	return count;
}

/* How many packets three frames become when the second is sent with one bit of its headers changed.
 */
static uint32_t wanted_packets(const struct frame_spec *spec, uint32_t at, uint8_t bit)
{
	uint32_t checksum = frame.l4 + (spec->protocol == 6 ? 16 : 6);

	/* The change is gone with the right checksum. */
	if ((at & ~1u) == checksum || (!spec->ipv6 && (at & ~1u) == frame.l3 + 10))
		return 1;
	/* PSH and FIN end the run, CWR begins one. */
	if (spec->protocol == 6 && at == frame.l4 + 13 && (bit & 0x89) != 0)
		return 2;
	/* It is another flow's, and nothing tells that the first and the third had one between. */
	if (spec->protocol == 17 && spec->ipv6 && at >= frame.l3 + 8 && at < frame.l4 + 4)
		return 2;
	return 3;
}

static void test_every_bit_of_the_headers(void **state)
{
	for (unsigned kind = 0; kind < 2 * COUNT(kinds); kind++) {
		struct frame_spec spec = *kinds[kind / 2];
		uint32_t payload;

		spec.tags = kind & 1;
		frame_build(&frame, &spec);
		payload = frame.payload;
		for (uint32_t bit = 0; bit < payload * 8; bit++) {
			uint8_t mask = (uint8_t)(1u << bit % 8);
			struct arrival *changed;

			add_next(&spec, 0);
			changed = add_next(&spec, 1);
			add_next(&spec, 2);
			changed->octets[bit / 8] ^= mask;
			send_again(changed);
			assert_int_equal(packets_of(*state), wanted_packets(&spec, bit / 8, mask));
		}
	}
}

/* Of the two checksums that a sum of zero has, a sender writes one. */
static void test_both_zeros(void **state)
{
	for (unsigned round = 0; round < 2 * COUNT(kinds); round++) {
		const struct frame_spec *spec = kinds[round / 2];

		for (unsigned other = 0; other < 2; other++) {
			struct arrival *pair[2] = {add_next(spec, 0), add_next(spec, 1)}, *zero;
			uint32_t field = frame.l4 + (spec->protocol == 6 ? 16 : 6);
			uint32_t written = spec->protocol == 6 ? 0 : 0xffff;

			zero = pair[round & 1];
			frame_put16(zero->octets + frame.payload, 0);
			send_again(zero);
			/* With its complement in the payload the sum is zero. */
			memcpy(zero->octets + frame.payload, zero->octets + field, 2);
			send_again(zero);
			assert_int_equal(frame_get16(zero->octets + field), written);
			if (other)
				frame_put16(zero->octets + field, ~written);
			assert_int_equal(packets_of(*state), other ? 2 : 1);
		}
	}
}

/* What cannot begin a run: how many packets it and its next frame become. */
static void test_first_frames(void **state)
{
	struct frame_spec spec;

	for (unsigned flags = 0; flags < 256; flags++) {
		bool good = (flags & ~0xc0u) == 0x10;
		struct arrival *next;

		for (unsigned kind = 0; kind < 2; kind++) {
			spec = *kinds[kind];
			spec.tcp_flags = (uint8_t)flags;
			add_next(&spec, 0);
			next = add_next(&spec, 1);
			next->octets[frame.l4 + 13] &= 0x7f; /* not CWR */
			send_again(next);
			assert_int_equal(packets_of(*state), good ? 1 : 2);
		}
	}
	for (unsigned i = 0; i < 7; i++) {
		spec = i < 4 ? tcp4 : i < 5 ? tcp6 : udp4;
		spec.fragment = i == 0 ? 0x2000 : i == 1 ? 0x0001 : 0;
		spec.tags = i == 2 ? 2 : 0;
		spec.payload_size = i == 3 ? 0 : 100;
		spec.option_size = i == 4 ? 8 : 0;
		for (uint32_t index = 0; index < 2; index++) {
			struct arrival *arrival = add_next(&spec, index);

			if (i == 5) /* no checksum */
				frame_put16(arrival->octets + frame.l4 + 6, 0);
			if (i == 6) { /* ends before IP does */
				frame_put16(arrival->octets + frame.l4 + 4, 107);
				send_again(arrival);
			}
		}
		assert_int_equal(packets_of(*state), 2);
	}
	/* Padding. */
	frame_build(&frame, &tcp4);
	arrivals_add(&arrivals, frame.octets, frame.size + 1);
	add_next(&tcp4, 1);
	assert_int_equal(packets_of(*state), 2);
}

/* CWR of the first frame is the super-packet's, and says so. */
static void test_cwr(void **state)
{
	struct frame_spec spec = tcp4;
	struct packet_list list;
	struct packet *packet;

	spec.tcp_flags = 0xd0;
	add_next(&spec, 0);
	spec.tcp_flags = 0x50;
	add_next(&spec, 1);
	assert_true(arrivals_coalesce(&arrivals, *state, &list));
	assert_int_equal(list.count, 1);
	packet = list.first;
	assert_int_equal(packet->offload.gso_type,
			 VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
	assert_null(arrivals_check(&arrivals, *state, &list));
	arrivals_clear(&arrivals);
	spec.tcp_flags = 0xd0;
	add_next(&spec, 0);
	add_next(&spec, 1);
	assert_int_equal(packets_of(*state), 2);
}

/* Lengths: the last may be shorter, none longer. */
static void test_sizes(void **state)
{
	static const uint32_t sizes[][3] = {{100, 100, 100}, {100, 100, 1}, {100, 60, 100},
					    {100, 101, 100}, {1, 1, 1},	    {1, 2, 1}};
	static const uint32_t packets[] = {1, 1, 2, 3, 1, 3};

	for (unsigned i = 0; i < COUNT(sizes); i++) {
		for (unsigned kind = 0; kind < COUNT(kinds); kind++) {
			struct frame_spec spec = *kinds[kind];

			for (uint32_t index = 0; index < 3; index++) {
				spec.payload_size = sizes[i][index];
				add(&spec);
				spec.sequence += spec.payload_size;
				spec.identification++;
			}
			/* 101 and 100 are a run of their own, as 2 and 1 are. */
			assert_int_equal(packets_of(*state), packets[i] == 3 ? 2 : packets[i]);
		}
	}
}

/* A wrong checksum of the first frame shows when the second comes. */
static void test_first_frame_is_verified(void **state)
{
	for (unsigned kind = 0; kind < COUNT(kinds); kind++) {
		for (unsigned place = kinds[kind]->ipv6; place < 3; place++) {
			struct arrival *first = add_next(kinds[kind], 0);
			uint32_t at = place == 0   ? frame.l3 + 10
				      : place == 1 ? frame.l4 + 7
						   : frame.size - 1;

			if (place == 1 && kinds[kind]->protocol == 6)
				at = frame.l4 + 17;
			first->octets[at] ^= 0x40;
			add_next(kinds[kind], 1);
			add_next(kinds[kind], 2);
			assert_int_equal(packets_of(*state), 2);
		}
	}
}

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

/* What does not fit into a head lies in a slice, and the run goes on behind it. */
static void test_jumbo_frames(void **state)
{
	for (unsigned kind = 0; kind < COUNT(kinds); kind++) {
		struct frame_spec spec = *kinds[kind];

		for (spec.payload_size = 8900; spec.payload_size < 8902; spec.payload_size++) {
			for (uint32_t i = 0; i < 7; i++)
				add_next(&spec, i);
			assert_int_equal(packets_of(*state), 1);
			add_next(&spec, 0)->octets[8000] ^= 1;
			add_next(&spec, 1);
			assert_int_equal(packets_of(*state), 2);
		}
	}
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
}

/* What comes between two frames of a TCP flow, and whether it may be overtaken by the second. */
enum between {
	OTHER_FLOW,
	ANSWER,
	OTHER_VERSION,
	OTHER_VNI,
	OTHER_FRAGMENT,
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
	spec.protocol = between == ICMP ? 1 : 6;
	return spec;
}

static void add_between(enum between between)
{
	struct frame_spec spec = between_spec(between);
	struct arrival *arrival = add(&spec);
	uint8_t *octets = arrival->octets, address[4];

	arrival->key.outer_vni = between == OTHER_VNI;
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_bit_of_the_headers),
		TEST(test_both_zeros),
		TEST(test_first_frames),
		TEST(test_cwr),
		TEST(test_sizes),
		TEST(test_first_frame_is_verified),
		TEST(test_limits),
		TEST(test_jumbo_frames),
		TEST(test_exhausted_pool),
		TEST(test_flows_by_turns),
		TEST(test_what_must_not_be_overtaken),
		TEST(test_calls_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
