/* SPDX-License-Identifier: Apache-2.0 */

/* Offload state: what fits the frame, and what a hostile port might say. */

#include "parse_fixture.h"

static const struct frame_spec tcp6_super = {.ipv6 = true,
					     .protocol = 6,
					     .payload_size = 40000,
					     .gso_size = 1428,
					     .tcp_option_size = 12,
					     .partial = true};
static const struct frame_spec udp4_super = {
	.protocol = 17, .payload_size = 10000, .gso_size = 1000, .partial = true};

static void test_super_packets(void **state)
{
	const struct frame_spec *specs[] = {&tcp4_super, &tcp6_super, &udp4_super};
	static const unsigned counts[] = {28, 29, 10};

	for (unsigned i = 0; i < 3; i++) {
		struct packet *packet;

		frame_build(&frame, specs[i]);
		frame.offload.hdr_len = (uint16_t)(i * 30000); /* a lie */
		packet = parsed(state, DROP_NONE);
		assert_int_equal(packet->frame_count, counts[i]);
		assert_int_equal(packet->wire_size,
				 counts[i] * frame.payload + specs[i]->payload_size);
		assert_int_equal(packet->offload.hdr_len, frame.payload);
		assert_int_equal(packet->offload.gso_size, specs[i]->gso_size);
		assert_int_equal(packet->offload.csum_start, frame.l4);
		packet_free(*state, packet);
	}
}

/* What is no larger than one frame is a plain frame, whatever its GSO type says. */
static void test_super_packet_of_one_frame(void **state)
{
	static const uint32_t sizes[] = {0, 1, 999, 1000};

	for (unsigned i = 0; i < 4; i++) {
		struct frame_spec spec = udp4_super;
		struct packet *packet;

		spec.payload_size = sizes[i];
		frame_build(&frame, &spec);
		packet = parsed(state, DROP_NONE);
		assert_int_equal(packet->frame_count, 1);
		assert_int_equal(packet->wire_size, frame.size);
		assert_int_equal(packet->offload.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_int_equal(packet->offload.gso_size, 0);
		assert_int_equal(packet->offload.hdr_len, 0);
		assert_int_equal(packet->offload.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		packet_free(*state, packet);
	}
}

static void test_unknown_flags_and_types(void **state)
{
	for (unsigned flags = 0; flags < 256; flags++) {
		frame_build(&frame, &tcp4);
		frame.offload.flags = (uint8_t)flags;
		frame.offload.csum_start = 34;
		frame.offload.csum_offset = 16;
		expect(state, flags <= 3 ? DROP_NONE : DROP_BAD_OFFLOAD);
	}
	for (unsigned type = 0; type < 256; type++) {
		frame_build(&frame, &tcp4_super);
		frame.offload.gso_type = (uint8_t)type;
		expect(state,
		       type == 0 || type == 1 || type == 0x81 ? DROP_NONE : DROP_BAD_OFFLOAD);
		frame_build(&frame, &tcp6_super);
		frame.offload.gso_type = (uint8_t)type;
		expect(state,
		       type == 0 || type == 4 || type == 0x84 ? DROP_NONE : DROP_BAD_OFFLOAD);
		frame_build(&frame, &udp4_super);
		frame.offload.gso_type = (uint8_t)type;
		expect(state, type == 0 || type == 5 ? DROP_NONE : DROP_BAD_OFFLOAD);
	}
}

static void test_data_valid_is_kept(void **state)
{
	struct packet *packet;

	frame_build(&frame, &tcp4);
	frame.offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	frame.offload.csum_start = 60000;
	frame.offload.csum_offset = 60000;
	frame.offload.hdr_len = 60000;
	frame.offload.gso_size = 60000;
	packet = parsed(state, DROP_NONE);
	assert_int_equal(packet->offload.flags, VIRTIO_NET_HDR_F_DATA_VALID);
	assert_int_equal(packet->offload.csum_start, 0);
	assert_int_equal(packet->offload.csum_offset, 0);
	assert_int_equal(packet->offload.hdr_len, 0);
	assert_int_equal(packet->offload.gso_size, 0);
	packet_free(*state, packet);
}

static void test_hostile_gso(void **state)
{
	struct frame_spec spec = tcp4_super;

	frame_build(&frame, &tcp4_super);
	frame.offload.gso_size = 0;
	expect(state, DROP_BAD_OFFLOAD);
	frame_build(&frame, &tcp4_super);
	frame.offload.flags = 0;
	expect(state, DROP_BAD_OFFLOAD);
	frame.offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	expect(state, DROP_BAD_OFFLOAD);
	/* Octets behind the IP packet would become payload. */
	frame_build(&frame, &tcp4_super);
	frame.size++;
	expect(state, DROP_BAD_OFFLOAD);
	frame_build(&frame, &tcp6_super);
	frame.size++;
	expect(state, DROP_BAD_OFFLOAD);
	/* Lengths of BIG TCP. */
	frame_build(&frame, &tcp6_super);
	frame_put16(frame.octets + 18, 0);
	expect(state, DROP_BAD_HEADER);
	frame_build(&frame, &tcp4_super);
	frame_put16(frame.octets + 16, 0);
	expect(state, DROP_BAD_HEADER);
	/* TCP header that ends in itself. */
	frame_build(&frame, &tcp4_super);
	frame.octets[frame.l4 + 12] = 0x40;
	expect(state, DROP_BAD_OFFLOAD);
	/* UDP's own length. */
	frame_build(&frame, &udp4_super);
	frame_put16(frame.octets + frame.l4 + 4, 1008);
	expect(state, DROP_BAD_OFFLOAD);
	/* Another protocol than the type says. */
	frame_build(&frame, &tcp4_super);
	frame.octets[14 + 9] = 132;
	expect(state, DROP_BAD_OFFLOAD);
	frame_put16(frame.octets + 12, 0x88b5);
	expect(state, DROP_BAD_OFFLOAD);
	/* The smallest segments of the largest packet. */
	spec.payload_size = 65535 - 20 - 20;
	spec.tcp_option_size = 0;
	spec.gso_size = 1;
	frame_build(&frame, &spec);
	expect(state, DROP_NONE);
}

static void test_hostile_checksum(void **state)
{
	struct frame_spec spec = tcp4;

	for (unsigned udp = 0; udp < 2; udp++) {
		spec.protocol = udp ? 17 : 6;
		spec.partial = true;
		frame_build(&frame, &spec);
		for (uint32_t start = 0; start < 65536; start += start < 200 ? 1 : 997) {
			for (uint32_t offset = 0; offset < 65536; offset += offset < 20 ? 1 : 991) {
				uint32_t own = udp ? 6 : 16;
				bool good = start == frame.l4 && offset == own;

				/* A tunnel's inner checksum. */
				if (udp && start >= frame.payload &&
				    start + offset + 2 <= frame.size)
					good = true;
				frame.offload.csum_start = (uint16_t)start;
				frame.offload.csum_offset = (uint16_t)offset;
				expect(state, good ? DROP_NONE : DROP_BAD_OFFLOAD);
			}
		}
	}
}

static void test_checksum_of_unknown_protocols(void **state)
{
	struct frame_spec spec = {.protocol = 132, .payload_size = 20, .partial = true};

	frame_build(&frame, &spec);
	frame.offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	frame.offload.csum_start = 34;
	frame.offload.csum_offset = 8;
	expect(state, DROP_NONE);
	frame.offload.csum_offset = 18;
	expect(state, DROP_NONE);
	frame.offload.csum_offset = 19;
	expect(state, DROP_BAD_OFFLOAD);
	frame.offload.csum_offset = 0;
	frame.offload.csum_start = 33;
	expect(state, DROP_BAD_OFFLOAD);
	frame_put16(frame.octets + 12, 0x88b5);
	expect(state, DROP_NONE);
	frame.offload.csum_start = 13;
	expect(state, DROP_BAD_OFFLOAD);
}

/* A tag shifts the offsets, also those that would wrap. */
static void test_checksum_behind_a_tag(void **state)
{
	struct frame_spec spec = tcp4;

	spec.tags = 1;
	spec.partial = true;
	for (uint32_t start = 0; start < 18; start++) {
		frame_build(&frame, &spec);
		frame.offload.csum_start = (uint16_t)start;
		expect(state, DROP_BAD_OFFLOAD);
		frame_put16(frame.octets + 16, 0x88b5);
		expect(state, DROP_BAD_OFFLOAD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_super_packets),
		TEST(test_super_packet_of_one_frame),
		TEST(test_unknown_flags_and_types),
		TEST(test_data_valid_is_kept),
		TEST(test_hostile_gso),
		TEST(test_hostile_checksum),
		TEST(test_checksum_of_unknown_protocols),
		TEST(test_checksum_behind_a_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
