/* SPDX-License-Identifier: Apache-2.0 */

/* Marks in packets of all kinds, each compared octet by octet with a frame that was built so. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "datapath/ecn.h"
#include "datapath/stages/parse.h"
#include "tests/unit/frames.h"

#define NOT_ECT 0u
#define CE	3u

static int set_up(void **state)
{
	*state = packet_pool_new(16, 4);
	return *state == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	uint32_t in_use = packet_pool_in_use(*state);

	packet_pool_free(*state);
	return in_use == 0 ? 0 : -1;
}

/* Writes TOS or traffic class, and computes the header checksum from nothing. */
static void frame_set_tos(struct frame *frame, uint8_t tos)
{
	uint8_t *ip = frame->octets + frame->l3;

	if (ip[0] >> 4 == 6) {
		frame_put16(ip, 0x6000u | (uint32_t)tos << 4 | (ip[1] & 0x0fu));
		return;
	}
	ip[1] = tos;
	frame_put16(ip + 10, 0);
	frame_put16(ip + 10, ~frame_sum(0, ip, (ip[0] & 0x0fu) * 4));
}

/* Asserts that the packet is what the frame without its first tag is. */
static void assert_frame(const struct packet *packet, const struct frame *frame)
{
	static uint8_t octets[FRAME_MAX];
	uint32_t tag = (packet->flags & PACKET_TAGGED) != 0 ? 4 : 0;

	assert_int_equal(packet->size, frame->size - tag);
	assert_int_equal(packet_read(packet, 0, octets, sizeof(octets)), packet->size);
	assert_memory_equal(octets, frame->octets, 12);
	assert_memory_equal(octets + 12, frame->octets + 12 + tag, packet->size - 12);
}

/* Every TOS octet in one kind of packet. */
static void mark_all(struct packet_pool *pool, const struct frame_spec *spec, uint32_t head_size)
{
	static struct frame frame;

	frame_build(&frame, spec);
	for (unsigned tos = 0; tos < 256; tos++) {
		struct packet *packet;
		bool able = (tos & 3) != NOT_ECT;

		frame_set_tos(&frame, (uint8_t)tos);
		packet = frame_packet(pool, &frame, head_size, 1);
		assert_non_null(packet);
		assert_int_equal(parse_packet(packet), DROP_NONE);
		assert_int_equal(ecn_is_marked(packet), (tos & 3) == CE);
		assert_int_equal(ecn_mark(packet), able);
		assert_int_equal(ecn_is_marked(packet), able);
		if (able)
			frame_set_tos(&frame, (uint8_t)(tos | CE));
		assert_int_equal(packet->ip_ecn_dscp, able ? tos | CE : tos);
		assert_frame(packet, &frame);
		packet_free(pool, packet);
	}
}

static void ipv4_is_marked(void **state)
{
	for (unsigned tags = 0; tags <= 2; tags++) {
		struct frame_spec spec = {
			.protocol = 6, .tags = tags, .option_size = tags * 4, .payload_size = 100};

		mark_all(*state, &spec, 4096);
	}
}

static void ipv6_is_marked(void **state)
{
	for (unsigned tags = 0; tags <= 2; tags++) {
		struct frame_spec spec = {.ipv6 = true,
					  .protocol = 17,
					  .tags = tags,
					  .option_size = tags * 8,
					  .payload_size = 100};

		mark_all(*state, &spec, 4096);
	}
}

static void super_packet_is_marked(void **state)
{
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		struct frame_spec spec = {.ipv6 = ipv6 != 0,
					  .protocol = 6,
					  .payload_size = 60000,
					  .gso_size = 1448,
					  .partial = true};

		mark_all(*state, &spec, 200);
	}
}

/* Checksums at the edges of one's-complement arithmetic: every identification. */
static void every_checksum_is_mended(void **state)
{
	static struct frame frame;
	struct frame_spec spec = {.protocol = 17, .payload_size = 10};
	struct packet *packet;

	frame_build(&frame, &spec);
	frame_set_tos(&frame, 1);
	packet = frame_packet(*state, &frame, 4096, 1);
	assert_non_null(packet);
	assert_int_equal(parse_packet(packet), DROP_NONE);
	for (uint32_t id = 0; id <= UINT16_MAX; id++) {
		for (uint8_t ect = 1; ect <= 2; ect++) {
			const uint8_t *ip = packet->data + packet->l3_offset;

			frame_put16(frame.octets + frame.l3 + 4, id);
			frame_set_tos(&frame, ect);
			memcpy(packet->data, frame.octets, packet->size);
			packet->ip_ecn_dscp = ect;
			assert_true(ecn_mark(packet));
			/* Of the two zeros either is right (RFC 1624). */
			assert_int_equal(frame_sum(0, ip, 20), 0xffff);
		}
	}
	packet_free(*state, packet);
}

/* A copy has headers of its own, whatever else is shared. */
static void copies_are_marked_apart(void **state)
{
	static struct frame frame, marked;
	struct frame_spec spec = {.protocol = 6, .payload_size = 1400};

	frame_build(&frame, &spec);
	frame_set_tos(&frame, 0xb9);
	marked = frame;
	frame_set_tos(&marked, 0xbb);
	for (unsigned original = 0; original < 2; original++) {
		struct packet *packets[2];

		packets[0] = frame_packet(*state, &frame, 4096, 1);
		assert_non_null(packets[0]);
		assert_int_equal(parse_packet(packets[0]), DROP_NONE);
		packets[1] = packet_clone(*state, packets[0]);
		assert_non_null(packets[1]);
		assert_true(ecn_mark(packets[original]));
		assert_frame(packets[original], &marked);
		assert_frame(packets[1 - original], &frame);
		assert_false(ecn_is_marked(packets[1 - original]));
		packet_free(*state, packets[0]);
		packet_free(*state, packets[1]);
	}
}

/* Octets that look like a marked or markable header in what is not IP. */
static void other_packets_are_not_marked(void **state)
{
	static struct frame frame;
	struct frame_spec spec = {.protocol = 17, .payload_size = 100};
	struct packet *packet;

	frame_build(&frame, &spec);
	frame_put16(frame.octets + 12, 0x0806);
	packet = frame_packet(*state, &frame, 4096, 1);
	assert_non_null(packet);
	assert_int_equal(parse_packet(packet), DROP_NONE);
	packet->ip_ecn_dscp = 2;
	assert_false(ecn_mark(packet));
	packet->ip_ecn_dscp = 3;
	assert_false(ecn_mark(packet));
	assert_false(ecn_is_marked(packet));
	assert_frame(packet, &frame);
	packet_free(*state, packet);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(ipv4_is_marked),	       TEST(ipv6_is_marked),
		TEST(super_packet_is_marked),  TEST(every_checksum_is_mended),
		TEST(copies_are_marked_apart), TEST(other_packets_are_not_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
