/* SPDX-License-Identifier: Apache-2.0 */

/* The answer to packets that are too long: its octets, and when there is none. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datapath/icmp_error.h"
#include "datapath/stages/parse.h"
#include "frames.h"

static struct frame frame, wire; /* too large for a stack */

static const struct frame_spec long4 = {
	.protocol = 17, .fragment = 0x4000, .payload_size = 1600, .seed = 3};
static const struct frame_spec long6 = {
	.ipv6 = true, .protocol = 6, .payload_size = 1600, .seed = 4, .tcp_option_size = 12};

static int set_up(void **state)
{
	*state = packet_pool_new(4, 4);
	return *state == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	uint32_t in_use = packet_pool_in_use(*state);

	packet_pool_free(*state);
	return in_use == 0 ? 0 : -1;
}

/* Returns the answer to the frame, whose head is 200 octets, or NULL. */
static struct packet *answer(void **state, uint32_t mtu, uint8_t more_flags)
{
	struct packet *packet = frame_packet(*state, &frame, 200, 1), *reply;

	assert_int_equal(parse_packet(packet), DROP_NONE);
	packet->flags |= more_flags;
	reply = icmp_error_too_big(*state, packet, mtu);
	packet_free(*state, packet);
	return reply;
}

static void expect_none(void **state)
{
	assert_null(answer(state, 1400, 0));
}

static void expect_some(void **state)
{
	struct packet *reply = answer(state, 1400, 0);

	assert_non_null(reply);
	packet_free(*state, reply);
}

/* Parses the answer, moves it to `wire`, and checks what all of them have in common. */
static void take_answer(void **state, struct packet *reply, uint32_t quoted)
{
	uint32_t ip_size;

	assert_non_null(reply);
	assert_int_equal(parse_packet(reply), DROP_NONE);
	assert_int_equal(reply->offload.flags, 0);
	wire.size = packet_read(reply, 0, wire.octets, FRAME_MAX);
	assert_int_equal(wire.size, reply->size);
	wire.l3 = reply->l3_offset;
	wire.l4 = reply->l4_offset;
	packet_free(*state, reply);
	ip_size = frame.octets[frame.l3] >> 4 == 4 ? 20 : 40;
	assert_int_equal(wire.l4, wire.l3 + ip_size);
	assert_int_equal(wire.size, wire.l4 + 8 + quoted);
	assert_memory_equal(wire.octets, frame.octets + 6, 6);
	assert_memory_equal(wire.octets + 6, frame.octets, 6);
	assert_memory_equal(wire.octets + wire.l4 + 8, frame.octets + frame.l3, quoted);
}

static void test_fragmentation_needed(void **state)
{
	static const uint8_t mtus[] = {0x05, 0x78};
	uint8_t *ip = wire.octets + 14;

	frame_build(&frame, &long4);
	take_answer(state, answer(state, 1400, 0), 576 - 28);
	assert_int_equal(frame_get16(ip - 2), 0x0800);
	assert_int_equal(ip[0], 0x45);
	assert_int_equal(frame_get16(ip + 2), 576);
	assert_int_equal(ip[8], 64);
	assert_int_equal(ip[9], 1);
	assert_int_equal(frame_sum(0, ip, 20), 0xffff);
	assert_memory_equal(ip + 12, frame.octets + 30, 4);
	assert_memory_equal(ip + 16, frame.octets + 26, 4);
	assert_int_equal(ip[20], 3);
	assert_int_equal(ip[21], 4);
	assert_int_equal(frame_get16(ip + 24), 0);
	assert_memory_equal(ip + 26, mtus, 2);
	assert_int_equal(frame_sum(0, ip + 20, 556), 0xffff);
}

static void test_packet_too_big(void **state)
{
	uint8_t *ip = wire.octets + 14;

	frame_build(&frame, &long6);
	take_answer(state, answer(state, 1400, 0), 1280 - 48);
	assert_int_equal(frame_get16(ip - 2), 0x86dd);
	assert_int_equal(frame_get32(ip), 0x60000000);
	assert_int_equal(frame_get16(ip + 4), 1240);
	assert_int_equal(ip[6], 58);
	assert_int_equal(ip[7], 64);
	assert_memory_equal(ip + 8, frame.octets + 14 + 24, 16);
	assert_memory_equal(ip + 24, frame.octets + 14 + 8, 16);
	assert_int_equal(ip[40], 2);
	assert_int_equal(ip[41], 0);
	assert_int_equal(frame_get32(ip + 44), 1400);
	assert_int_equal(frame_sum(frame_pseudo_sum(&wire, 58), ip + 40, 1240), 0xffff);
}

/* The MTU that is reported, and the answer's own size, for segments of unusual MTUs. */
static void test_unusual_mtus(void **state)
{
	frame_build(&frame, &long4);
	take_answer(state, answer(state, 300, 0), 300 - 28);
	assert_int_equal(frame_get16(wire.octets + 40), 300);
	/* The header and 8 octets at least. */
	take_answer(state, answer(state, 10, 0), 28);
	take_answer(state, answer(state, 100000, 0), 576 - 28);
	assert_int_equal(frame_get16(wire.octets + 40), 65535);
	frame_build(&frame, &long6);
	take_answer(state, answer(state, 500, 0), 1280 - 48);
	assert_int_equal(frame_get32(wire.octets + 58), 1280);
	take_answer(state, answer(state, 100000, 0), 1280 - 48);
	assert_int_equal(frame_get32(wire.octets + 58), 100000);
}

/* Padding is not quoted. */
static void test_short_packets(void **state)
{
	struct frame_spec spec = long4;

	spec.payload_size = 5;
	frame_build(&frame, &spec);
	frame.size = 60;
	take_answer(state, answer(state, 20, 0), 28);
	take_answer(state, answer(state, 1400, 0), 33);
	spec = long6;
	spec.payload_size = 5;
	frame_build(&frame, &spec);
	frame.size += 20;
	take_answer(state, answer(state, 20, 0), 40 + 32 + 5);
}

static void test_options_and_super_packets(void **state)
{
	struct frame_spec spec = {.protocol = 6,
				  .fragment = 0x4000,
				  .option_size = 40,
				  .payload_size = 30000,
				  .gso_size = 1448,
				  .partial = true};

	frame_build(&frame, &spec);
	take_answer(state, answer(state, 10, 0), 68);
	take_answer(state, answer(state, 1400, 0), 576 - 28);
	assert_int_equal(frame_sum(0, wire.octets + 34, 556), 0xffff);
	spec.ipv6 = true;
	spec.fragment = 0;
	frame_build(&frame, &spec);
	take_answer(state, answer(state, 1400, 0), 1280 - 48);
	assert_int_equal(frame_sum(frame_pseudo_sum(&wire, 58), wire.octets + 54, 1240), 0xffff);
}

/* A tag that classified the packet is not the frame's any more; others are sent back. */
static void test_tags(void **state)
{
	struct frame_spec spec = long6;
	struct packet *reply;

	spec.tags = 1;
	frame_build(&frame, &spec);
	take_answer(state, answer(state, 1400, 0), 1280 - 48);
	assert_int_equal(frame_get16(wire.octets + 12), 0x86dd);
	reply = answer(state, 1400, PACKET_TAG_KEPT);
	assert_memory_equal(reply->data + 12, frame.octets + 12, 6);
	take_answer(state, reply, 1280 - 48);
	spec.tags = 2;
	frame_build(&frame, &spec);
	reply = answer(state, 1400, PACKET_TAG_KEPT);
	assert_memory_equal(reply->data + 12, frame.octets + 12, 10);
	assert_true(reply->flags & PACKET_TAG_KEPT);
	take_answer(state, reply, 1280 - 48);
	assert_int_equal(wire.l3, 18);
}

static void test_none_without_ip(void **state)
{
	frame_build(&frame, &long4);
	frame_put16(frame.octets + 12, 0x88b5);
	expect_none(state);
}

static void test_none_when_it_may_be_fragmented(void **state)
{
	struct frame_spec spec = long4;

	spec.fragment = 0;
	frame_build(&frame, &spec);
	expect_none(state);
	spec.fragment = 0x8000;
	frame_build(&frame, &spec);
	expect_none(state);
}

static void test_none_for_later_fragments(void **state)
{
	static const struct {
		bool ipv6;
		uint16_t field;
		bool some;
	} cases[] = {{false, 0x6000, true}, {false, 0x6001, false}, {false, 0x4001, false},
		     {true, 0x0001, true},  {true, 0x0009, false},  {true, 0x0008, false}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct frame_spec spec = {.ipv6 = cases[i].ipv6,
					  .protocol = 17,
					  .fragment = cases[i].field,
					  .payload_size = 1600};

		frame_build(&frame, &spec);
		if (cases[i].some)
			expect_some(state);
		else
			expect_none(state);
	}
}

static void test_none_for_groups(void **state)
{
	static const uint8_t bad4[] = {0, 127, 224, 239, 240, 255};

	frame_build(&frame, &long4);
	frame.octets[0] |= 1;
	expect_none(state);
	for (unsigned i = 0; i < sizeof(bad4); i++) {
		for (unsigned place = 26; place <= 30; place += 4) {
			frame_build(&frame, &long4);
			frame.octets[place] = bad4[i];
			expect_none(state);
		}
	}
	for (unsigned place = 22; place <= 38; place += 16) {
		frame_build(&frame, &long6);
		frame.octets[place] = 0xff;
		expect_none(state);
		memset(frame.octets + place, 0, 16);
		expect_none(state);
		frame.octets[place + 15] = 1;
		expect_none(state);
		frame.octets[place + 15] = 2;
		expect_some(state);
	}
}

/* Only types that are known to be questions and answers get one. */
static void test_none_for_icmp_errors(void **state)
{
	static const uint8_t queries[] = {0, 8, 13, 14, 15, 16, 17, 18};

	for (unsigned fragment = 0; fragment < 2; fragment++) {
		struct frame_spec spec = {.protocol = 1, .payload_size = 1600};
		struct frame_spec spec6 = {.ipv6 = true, .protocol = 58, .payload_size = 1600};

		spec.fragment = fragment ? 0x6000 : 0x4000;
		spec6.fragment = (uint16_t)fragment;
		for (unsigned type = 0; type < 256; type++) {
			frame_build(&frame, &spec);
			frame.octets[frame.l4] = (uint8_t)type;
			if (memchr(queries, (int)type, sizeof(queries)) != NULL)
				expect_some(state);
			else
				expect_none(state);
			frame_build(&frame, &spec6);
			frame.octets[frame.l4] = (uint8_t)type;
			if (type >= 128 && type != 137)
				expect_some(state);
			else
				expect_none(state);
		}
	}
	/* A type that is not there. */
	frame_build(&frame, &(struct frame_spec){.protocol = 1, .fragment = 0x4000});
	expect_none(state);
	frame_build(&frame, &(struct frame_spec){.ipv6 = true, .protocol = 58});
	expect_none(state);
}

static void test_none_from_an_empty_pool(void **state)
{
	struct packet *packet, *others[3];

	frame_build(&frame, &long4);
	packet = frame_packet(*state, &frame, 200, 1);
	assert_int_equal(parse_packet(packet), DROP_NONE);
	for (unsigned i = 0; i < 3; i++)
		others[i] = packet_new(*state);
	assert_null(icmp_error_too_big(*state, packet, 1400));
	packet->flags |= PACKET_TAG_KEPT;
	assert_null(icmp_error_too_big(*state, packet, 1400));
	for (unsigned i = 0; i < 3; i++)
		packet_free(*state, others[i]);
	packet_free(*state, packet);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fragmentation_needed),
		TEST(test_packet_too_big),
		TEST(test_unusual_mtus),
		TEST(test_short_packets),
		TEST(test_options_and_super_packets),
		TEST(test_tags),
		TEST(test_none_without_ip),
		TEST(test_none_when_it_may_be_fragmented),
		TEST(test_none_for_later_fragments),
		TEST(test_none_for_groups),
		TEST(test_none_for_icmp_errors),
		TEST(test_none_from_an_empty_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
