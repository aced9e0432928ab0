/* SPDX-License-Identifier: Apache-2.0 */

/* Headers: what is read, what is refused, and with which reason. */

#include "parse_fixture.h"

static void test_reads_tcp(void **state)
{
	struct packet *packet;

	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		for (unsigned options = 0; options <= 40; options += 8) {
			struct frame_spec spec = tcp4;

			spec.ipv6 = ipv6;
			spec.option_size = options;
			spec.tcp_option_size = 40 - options;
			frame_build(&frame, &spec);
			packet = parsed(state, DROP_NONE);
			assert_int_equal(packet->ether_type, ipv6 ? 0x86dd : 0x0800);
			assert_int_equal(packet->flags, ipv6 ? PACKET_IS_IPV6 : PACKET_IS_IPV4);
			assert_int_equal(packet->l3_offset, 14);
			assert_int_equal(packet->l4_offset, frame.l4);
			assert_int_equal(packet->payload_offset, frame.payload);
			assert_int_equal(packet->ip_protocol, 6);
			assert_int_equal(packet->ip_ecn_dscp, 2);
			assert_int_equal(packet->frame_count, 1);
			assert_int_equal(packet->wire_size, frame.size);
			packet_free(*state, packet);
		}
	}
}

static void test_other_protocols_pass(void **state)
{
	static const uint8_t protocols[] = {1, 2, 4, 41, 47, 50, 51, 58, 89, 132, 255};

	for (unsigned i = 0; i < sizeof(protocols) * 2; i++) {
		struct frame_spec spec = {.protocol = protocols[i / 2], .payload_size = 3};
		struct packet *packet;

		spec.ipv6 = i & 1;
		frame_build(&frame, &spec);
		packet = parsed(state, DROP_NONE);
		assert_int_equal(packet->ip_protocol, protocols[i / 2]);
		assert_int_equal(packet->l4_offset, frame.l4);
		assert_int_equal(packet->payload_offset, frame.l4);
		packet_free(*state, packet);
	}
}

static void test_tag_is_taken_off(void **state)
{
	struct frame_spec spec = tcp4_super;
	struct packet *packet;

	spec.tags = 1;
	frame_build(&frame, &spec);
	packet = parsed(state, DROP_NONE);
	assert_int_equal(packet->flags, PACKET_TAGGED | PACKET_IS_IPV4);
	assert_int_equal(packet->vlan_tpid, 0x8100);
	assert_int_equal(packet->vlan_tci, 0x6064);
	assert_int_equal(packet->size, frame.size - 4);
	assert_memory_equal(packet->data, frame.octets, 12);
	assert_memory_equal(packet->data + 12, frame.octets + 16, 100);
	assert_int_equal(packet->ether_type, 0x0800);
	assert_int_equal(packet->l3_offset, 14);
	assert_int_equal(packet->l4_offset, frame.l4 - 4);
	assert_int_equal(packet->offload.csum_start, frame.l4 - 4);
	assert_int_equal(packet->offload.hdr_len, frame.payload - 4);
	assert_int_equal(packet->frame_count, 28);
	assert_int_equal(packet->wire_size, 28 * 66 + 40000);
	packet_free(*state, packet);
}

static void test_inner_tag_stays(void **state)
{
	struct frame_spec spec = tcp4_super;
	struct packet *packet;

	spec.tags = 2;
	frame_build(&frame, &spec);
	packet = parsed(state, DROP_NONE);
	assert_int_equal(packet->vlan_tpid, 0x88a8);
	assert_int_equal(packet->vlan_tci, 0x6064);
	assert_int_equal(frame_get16(packet->data + 12), 0x8100);
	assert_int_equal(frame_get16(packet->data + 14), 0x6065);
	assert_int_equal(packet->ether_type, 0x0800);
	assert_int_equal(packet->l3_offset, 18);
	assert_int_equal(packet->offload.csum_start, packet->l4_offset);
	assert_int_equal(packet->wire_size, 28 * 70 + 40000);
	packet_free(*state, packet);

	/* A third tag is not looked behind. */
	spec = tcp4;
	spec.tags = 3;
	frame_build(&frame, &spec);
	packet = parsed(state, DROP_NONE);
	assert_int_equal(packet->ether_type, 0x8100);
	assert_int_equal(packet->l3_offset, 18);
	assert_int_equal(packet->l4_offset, 0);
	assert_int_equal(packet->flags, PACKET_TAGGED);
	packet_free(*state, packet);
}

/* VID 0, VID 4095 and all bits are the classifier's matter. */
static void test_tag_values(void **state)
{
	static const uint16_t values[] = {0, 0x0fff, 0xffff, 0xe000};

	for (unsigned i = 0; i < 4; i++) {
		struct frame_spec spec = tcp4;
		struct packet *packet;

		spec.tags = 1;
		frame_build(&frame, &spec);
		frame_put16(frame.octets + 14, values[i]);
		packet = parsed(state, DROP_NONE);
		assert_int_equal(packet->vlan_tci, values[i]);
		packet_free(*state, packet);
	}
}

/* Whatever was parsed before, nothing of it remains. */
static void test_parses_again(void **state)
{
	struct frame_spec spec = tcp4;
	struct packet *packet;

	spec.tags = 1;
	frame_build(&frame, &spec);
	frame.octets[0] |= 1;
	packet = parsed(state, DROP_NONE);
	assert_int_equal(packet->flags, PACKET_TAGGED | PACKET_GROUP | PACKET_IS_IPV4);
	packet->flags |= PACKET_FROM_OVERLAY;
	packet->data[0] = 2;
	frame_put16(packet->data + 12, 0x88cc);
	assert_int_equal(parse_packet(packet), DROP_NONE);
	assert_int_equal(packet->flags, PACKET_FROM_OVERLAY);
	assert_int_equal(packet->vlan_tci, 0);
	assert_int_equal(packet->l4_offset, 0);
	assert_int_equal(packet->ip_protocol, 0);
	assert_int_equal(packet->ip_ecn_dscp, 0);
	assert_int_equal(packet->payload_offset, 14);
	packet_free(*state, packet);
}

/* Every frame that ends too early is refused or read without its missing header; none crashes. */
static void test_truncation(void **state)
{
	static const struct frame_spec specs[] = {
		{.protocol = 6, .option_size = 8, .tcp_option_size = 12, .tags = 2},
		{.protocol = 17, .tags = 1},
		{.ipv6 = true, .protocol = 6, .option_size = 16, .fragment = 8},
		{.ipv6 = true, .protocol = 17, .option_size = 8, .payload_size = 4},
	};

	for (unsigned i = 0; i < 4; i++) {
		frame_build(&frame, &specs[i]);
		while (frame.size > 0) {
			frame.size--;
			if (frame.size < frame.l3 + (specs[i].ipv6 ? 40 : 20))
				expect(state, DROP_TOO_SHORT);
			else
				expect(state, DROP_BAD_HEADER);
		}
	}
}

/* The same, when the IP length says that nothing is missing. */
static void test_short_transport_passes(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct frame_spec spec = {.ipv6 = i & 1, .protocol = i & 2 ? 6 : 17};
		struct packet *packet;

		frame_build(&frame, &spec);
		for (frame.size--; frame.size >= frame.l4; frame.size--) {
			uint8_t *ip = frame.octets + frame.l3;

			if (spec.ipv6)
				frame_put16(ip + 4, frame.size - frame.l3 - 40);
			else
				frame_put16(ip + 2, frame.size - frame.l3);
			packet = parsed(state, DROP_NONE);
			assert_int_equal(packet->l4_offset, 0);
			assert_int_equal(packet->payload_offset, frame.l4);
			packet_free(*state, packet);
			frame.offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
			frame.offload.csum_start = (uint16_t)frame.l4;
			frame.offload.csum_offset = 0;
			expect(state, DROP_BAD_OFFLOAD);
			frame.offload.flags = 0;
		}
	}
}

/* TCP options that the IP packet does not have, though the frame has octets for them. */
static void test_tcp_header_in_padding(void **state)
{
	struct packet *packet;

	frame_build(&frame, &(struct frame_spec){.protocol = 6});
	frame.octets[frame.l4 + 12] = 0xf0;
	frame.size += 100;
	packet = parsed(state, DROP_NONE);
	assert_int_equal(packet->l4_offset, 0);
	assert_int_equal(packet->payload_offset, frame.l4);
	packet_free(*state, packet);
}

static void test_bad_ipv4(void **state)
{
	uint8_t *ip;

	frame_build(&frame, &tcp4);
	ip = frame.octets + 14;
	for (unsigned version = 0; version < 16; version++) {
		ip[0] = (uint8_t)(version << 4 | 5);
		expect(state, version == 4 ? DROP_NONE : DROP_BAD_HEADER);
	}
	for (unsigned words = 0; words < 5; words++) {
		ip[0] = (uint8_t)(0x40 | words);
		expect(state, DROP_BAD_HEADER);
	}
	ip[0] = 0x45;
	frame_put16(ip + 2, 19);
	expect(state, DROP_BAD_HEADER);
	frame_put16(ip + 2, 0);
	expect(state, DROP_BAD_HEADER);
	frame_put16(ip + 2, frame.size - 13);
	expect(state, DROP_BAD_HEADER);
	frame_put16(ip + 2, 65535);
	expect(state, DROP_BAD_HEADER);
	/* A header that is longer than the packet, and padding behind it. */
	ip[0] = 0x4f;
	frame_put16(ip + 2, 59);
	expect(state, DROP_BAD_HEADER);
	frame_put16(ip + 2, 60);
	expect(state, DROP_NONE);
}

static void test_bad_ipv6(void **state)
{
	struct frame_spec spec = tcp4;
	uint8_t *ip;

	spec.ipv6 = true;
	frame_build(&frame, &spec);
	ip = frame.octets + 14;
	for (unsigned version = 0; version < 16; version++) {
		ip[0] = (uint8_t)(version << 4);
		expect(state, version == 6 ? DROP_NONE : DROP_BAD_HEADER);
	}
	ip[0] = 0x60;
	frame_put16(ip + 4, frame.size - 53);
	expect(state, DROP_BAD_HEADER);
	frame_put16(ip + 4, 65535);
	expect(state, DROP_BAD_HEADER);
	frame_put16(ip + 4, 0);
	expect(state, DROP_NONE);
}

static void test_padding_is_fine(void **state)
{
	struct frame_spec spec = {.protocol = 17, .payload_size = 1};
	struct packet *packet;

	frame_build(&frame, &spec);
	memset(frame.octets + frame.size, 0, 60 - frame.size);
	frame.size = 60;
	packet = parsed(state, DROP_NONE);
	assert_int_equal(packet->l4_offset, frame.l4);
	assert_int_equal(packet->wire_size, 60);
	packet_free(*state, packet);
}

static void test_extension_headers(void **state)
{
	struct frame_spec spec = {.ipv6 = true, .protocol = 17, .payload_size = 200};
	struct packet *packet;
	uint8_t *at;

	/* 8 are walked, and the ninth is payload. */
	for (unsigned count = 7; count <= 9; count++) {
		frame_build(&frame, &spec);
		at = frame.octets + 14 + 40;
		frame.octets[14 + 6] = 0;
		for (unsigned i = 0; i < count; i++) {
			at[i * 8] = i + 1 == count ? 17 : (i & 1 ? 60 : 43);
			at[i * 8 + 1] = 0;
		}
		packet = parsed(state, DROP_NONE);
		assert_int_equal(packet->l4_offset, count == 9 ? 0 : 54 + count * 8);
		if (count < 9)
			assert_int_equal(packet->ip_protocol, 17);
		packet_free(*state, packet);
	}
	/* The last that is walked reaches behind the head: where payload begins is out of sight. */
	spec.payload_size = 4000;
	frame_build(&frame, &spec);
	frame.octets[14 + 6] = 60;
	memset(frame.octets + 54, 0, 64);
	for (unsigned i = 0; i < 8; i++)
		frame.octets[54 + i * 8] = 60;
	expect(state, DROP_NONE);
	frame.octets[54 + 7 * 8 + 1] = 220;
	expect(state, DROP_TOO_SHORT);
	/* One that reaches behind the packet, also into padding. */
	spec.payload_size = 200;
	frame_build(&frame, &spec);
	frame.octets[14 + 6] = 60;
	frame.octets[54 + 1] = 25;
	expect(state, DROP_NONE);
	frame.octets[54 + 1] = 26;
	expect(state, DROP_BAD_HEADER);
	frame.size += 100;
	expect(state, DROP_BAD_HEADER);
	frame.octets[54 + 1] = 255;
	expect(state, DROP_BAD_HEADER);
}

/* Headers that are longer than the head are not looked for in the payload. */
static void test_headers_behind_the_head(void **state)
{
	struct frame_spec spec = {.ipv6 = true, .protocol = 17, .payload_size = 3000};
	struct packet *packet;

	frame_build(&frame, &spec);
	frame.octets[14 + 6] = 60;
	frame.octets[54] = 60;
	frame.octets[54 + 1] = 199;
	expect(state, DROP_TOO_SHORT);
	for (uint32_t head = 14; head < 42; head++) {
		spec = tcp4;
		spec.protocol = 17;
		frame_build(&frame, &spec);
		packet = frame_packet(*state, &frame, head, 1);
		assert_int_equal(parse_packet(packet), DROP_TOO_SHORT);
		packet_free(*state, packet);
	}
	packet = frame_packet(*state, &frame, 42, 1);
	assert_int_equal(parse_packet(packet), DROP_NONE);
	packet_free(*state, packet);
	spec = tcp4;
	spec.tcp_option_size = 12;
	for (uint32_t head = 34; head < 66; head++) {
		frame_build(&frame, &spec);
		packet = frame_packet(*state, &frame, head, 1);
		assert_int_equal(parse_packet(packet), DROP_TOO_SHORT);
		packet_free(*state, packet);
	}
}

static void test_fragments(void **state)
{
	static const uint16_t fields4[] = {0x2000, 0x0001, 0x3fff, 0x6000};
	static const uint16_t fields6[] = {0x0001, 0x0008, 0xfff8, 0xfff9};
	struct packet *packet;

	for (unsigned i = 0; i < 8; i++) {
		struct frame_spec spec = {.ipv6 = i & 1, .protocol = 17, .payload_size = 64};

		spec.fragment = spec.ipv6 ? fields6[i / 2] : fields4[i / 2];
		frame_build(&frame, &spec);
		packet = parsed(state, DROP_NONE);
		assert_true(packet->flags & PACKET_FRAGMENT);
		assert_int_equal(packet->l4_offset, 0);
		assert_int_equal(packet->payload_offset, frame.l4);
		assert_int_equal(packet->ip_protocol, 17);
		packet_free(*state, packet);
		/* No offload of what is not whole. */
		frame.offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		frame.offload.csum_start = (uint16_t)frame.l4;
		frame.offload.csum_offset = 6;
		expect(state, DROP_BAD_OFFLOAD);
		frame.octets[spec.ipv6 ? 54 : 23] = 132;
		expect(state, DROP_BAD_OFFLOAD);
		spec.partial = true;
		spec.gso_size = 10;
		frame_build(&frame, &spec);
		expect(state, DROP_BAD_OFFLOAD);
	}
}

static void test_whole_packets_are_no_fragments(void **state)
{
	struct frame_spec spec = tcp4_super;
	struct packet *packet;

	spec.fragment = 0x4000;
	frame_build(&frame, &spec);
	packet = parsed(state, DROP_NONE);
	assert_false(packet->flags & PACKET_FRAGMENT);
	assert_int_equal(packet->frame_count, 28);
	packet_free(*state, packet);

	/* RFC 6946: offset 0, and no more fragments; reserved bits are ignored. */
	spec = (struct frame_spec){.ipv6 = true, .protocol = 17, .fragment = 6};
	frame_build(&frame, &spec);
	packet = parsed(state, DROP_NONE);
	assert_false(packet->flags & PACKET_FRAGMENT);
	assert_int_equal(packet->l4_offset, frame.l4);
	packet_free(*state, packet);
}

static uint32_t flow_hash(void **state)
{
	struct packet *packet = parsed(state, DROP_NONE);
	uint32_t hash = packet->flow_hash;

	packet_free(*state, packet);
	return hash;
}

static void test_flow_hash(void **state)
{
	static const unsigned places[] = {26, 29, 30, 33, 34, 35, 36, 37};
	struct frame_spec spec = tcp4;
	uint32_t hash, tags;

	/* The same for all of a flow: tags, options, sizes and offloads do not matter. */
	frame_build(&frame, &tcp4);
	hash = flow_hash(state);
	frame_build(&frame, &tcp4_super);
	assert_int_equal(flow_hash(state), hash);
	spec.tags = 2;
	spec.option_size = 8;
	spec.sequence = 99;
	frame_build(&frame, &spec);
	tags = flow_hash(state);
	assert_int_equal(tags, hash);
	/* Another for each other address or port. */
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		frame_build(&frame, &tcp4);
		frame.octets[places[i]] ^= 1;
		assert_int_not_equal(flow_hash(state), hash);
	}
	/* Fragments have no ports. */
	spec = (struct frame_spec){.protocol = 17, .fragment = 0x2000, .payload_size = 100};
	frame_build(&frame, &spec);
	hash = flow_hash(state);
	spec.fragment = 10;
	frame_build(&frame, &spec);
	frame.octets[34] ^= 0xff;
	assert_int_equal(flow_hash(state), hash);
	frame.octets[26] ^= 1;
	assert_int_not_equal(flow_hash(state), hash);
}

static void test_flow_hash_spreads(void **state)
{
	struct frame_spec spec = {.ipv6 = true, .protocol = 17};
	unsigned used[64] = {0}, empty = 0;

	for (unsigned i = 0; i < 640; i++) {
		frame_build(&frame, &spec);
		frame_put16(frame.octets + frame.l4, 40000 + i);
		used[flow_hash(state) & 63]++;
	}
	for (unsigned i = 0; i < 64; i++) {
		assert_in_range(used[i], 0, 30);
		empty += used[i] == 0;
	}
	assert_int_equal(empty, 0);
	/* Without IP: MACs. */
	frame_put16(frame.octets + 12, 0x88cc);
	used[0] = flow_hash(state);
	frame.octets[11] ^= 1;
	assert_int_not_equal(flow_hash(state), used[0]);
	frame.octets[11] ^= 1;
	frame.octets[20] ^= 1;
	assert_int_equal(flow_hash(state), used[0]);
}

static void test_link_layer_only(void **state)
{
	static const uint16_t types[] = {0x0806, 0x88cc, 0x0000, 0x05dc, 0x9100, 0xffff};

	for (unsigned i = 0; i < 6; i++) {
		struct packet *packet;

		frame_build(&frame, &tcp4);
		memset(frame.octets, 0xff, 6);
		frame_put16(frame.octets + 12, types[i]);
		frame.size = i & 1 ? 14 : 60;
		packet = parsed(state, DROP_NONE);
		assert_int_equal(packet->ether_type, types[i]);
		assert_int_equal(packet->flags, PACKET_GROUP);
		assert_int_equal(packet->l3_offset, 14);
		assert_int_equal(packet->l4_offset, 0);
		assert_int_equal(packet->frame_count, 1);
		assert_int_equal(packet->wire_size, frame.size);
		packet_free(*state, packet);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reads_tcp),
		TEST(test_other_protocols_pass),
		TEST(test_tag_is_taken_off),
		TEST(test_inner_tag_stays),
		TEST(test_tag_values),
		TEST(test_parses_again),
		TEST(test_truncation),
		TEST(test_short_transport_passes),
		TEST(test_tcp_header_in_padding),
		TEST(test_bad_ipv4),
		TEST(test_bad_ipv6),
		TEST(test_padding_is_fine),
		TEST(test_extension_headers),
		TEST(test_headers_behind_the_head),
		TEST(test_fragments),
		TEST(test_whole_packets_are_no_fragments),
		TEST(test_flow_hash),
		TEST(test_flow_hash_spreads),
		TEST(test_link_layer_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
