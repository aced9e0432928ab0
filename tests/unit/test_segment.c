/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Segmentation: against what Linux makes of the same super-packets, and by properties that hold for
 * any of them.
 */

#include <errno.h>

#include "datapath/offload/segment.h"
#include "datapath/vlan.h"
#include "kernel_segments.h"
#include "segment_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Too large for a stack. */
static uint8_t stream_a[2 * FRAME_MAX], stream_b[2 * FRAME_MAX];

/* Cuts and returns a list; the pool must not run out. */
static struct packet_list cut(void **state, struct packet *packet, uint32_t frames)
{
	uint32_t lost_frames = 7, lost_bytes = 7;
	struct packet_list list;

	packet_list_init(&list);
	assert_int_equal(segment_cut(*state, packet, frames, &list, &lost_frames, &lost_bytes), 0);
	assert_int_equal(lost_frames, 0);
	assert_int_equal(lost_bytes, 0);
	return list;
}

/* FNV-1a over sizes and octets. */
static uint64_t digest_add(uint64_t digest, const uint8_t *octets, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		digest = (digest ^ octets[i]) * 0x100000001b3;
	return (digest ^ size) * 0x100000001b3;
}

/* Linux's segments of the same super-packets, octet by octet. */
static void test_equals_linux(void **state)
{
	for (unsigned i = 0; i < COUNT(kernel_segments); i++) {
		const struct kernel_segments *golden = &kernel_segments[i];
		struct packet_list list;
		uint64_t digest = 0;
		struct packet *packet;

		frame_build(&frame, &golden->spec);
		packet = frame_packet(*state, &frame, 1000, 2);
		assert_int_equal(parse_packet(packet), DROP_NONE);
		list = cut(state, packet, 1);
		assert_int_equal(list.count, golden->count);
		while ((packet = packet_list_pop(&list)) != NULL) {
			checksum_complete(packet);
			flatten(packet);
			digest = digest_add(digest, wire.octets, wire.size);
			packet_free(*state, packet);
		}
		if (digest != golden->digest)
			print_error("super-packet %u\n", i);
		assert_int_equal(digest, golden->digest);
	}
}

static struct frame_spec random_spec(uint32_t *random)
{
	struct frame_spec spec = {
		.ipv6 = frame_random(random) & 1,
		.protocol = frame_random(random) & 1 ? 6 : 17,
		.tags = frame_random(random) % 3,
		.option_size = frame_random(random) % 4 * 8,
		.tcp_flags = (uint8_t)frame_random(random),
		.sequence = frame_random(random),
		.identification = (uint16_t)frame_random(random),
		.fragment = 0,
		.seed = frame_random(random),
		.partial = true,
	};

	if (spec.protocol == 6) {
		spec.tcp_option_size = frame_random(random) % 11 * 4;
		spec.ecn = frame_random(random) & 1;
	}
	spec.payload_size = 1 + frame_random(random) % (frame_random(random) & 1 ? 65000 : 3000);
	spec.gso_size = (uint16_t)(spec.payload_size / (1 + frame_random(random) % 60) + 1);
	return spec;
}

/* Moves the list's frames, with complete checksums, to `stream`; returns octets. */
static uint32_t drain(void **state, struct packet_list *list, uint8_t *stream)
{
	struct packet *packet;
	uint32_t size = 0;

	while ((packet = packet_list_pop(list)) != NULL) {
		assert_int_equal(packet->frame_count, 1);
		assert_int_equal(packet->wire_size, packet->size);
		assert_int_equal(packet->offload.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_int_equal(packet->offload.gso_size, 0);
		checksum_complete(packet);
		flatten(packet);
		assert_sound();
		memcpy(stream + size, wire.octets, wire.size);
		size += wire.size;
		packet_free(*state, packet);
	}
	return size;
}

/* A piece must be what a port could have sent. */
static void assert_parses(void **state, struct packet *packet)
{
	struct packet *copy = packet_clone(*state, packet);

	/* The outermost tag is taken off: one is put on, so that an inner one stays. */
	vlan_push(copy, VLAN_TPID_8021AD, 5);
	assert_int_equal(parse_packet(copy), DROP_NONE);
	assert_int_equal(copy->frame_count, packet->frame_count);
	assert_int_equal(copy->wire_size, packet->wire_size);
	assert_int_equal(copy->l4_offset, packet->l4_offset);
	assert_int_equal(copy->flow_hash, packet->flow_hash);
	assert_memory_equal(&copy->offload, &packet->offload, sizeof(copy->offload));
	packet_free(*state, copy);
}

/* Cuts a copy into pieces of `frames`, and each of them into frames. */
static uint32_t cut_twice(void **state, struct packet *packet, uint32_t frames, uint8_t *stream)
{
	uint32_t count = packet->frame_count, wire_size = packet->wire_size, pieces = 0;
	uint8_t ecn = packet->offload.gso_type & VIRTIO_NET_HDR_GSO_ECN;
	struct packet_list first = cut(state, packet, frames), second;
	uint32_t lost_frames, lost_bytes;

	packet_list_init(&second);
	assert_int_equal(first.count, (count + frames - 1) / frames);
	while ((packet = packet_list_pop(&first)) != NULL) {
		assert_in_range(packet->frame_count, 1, frames);
		if (packet->frame_count > 1)
			assert_int_equal(packet->offload.gso_type & VIRTIO_NET_HDR_GSO_ECN,
					 pieces == 0 ? ecn : 0);
		assert_int_equal(packet->segment, 4711);
		assert_parses(state, packet);
		count -= packet->frame_count;
		wire_size -= packet->wire_size;
		pieces++;
		assert_int_equal(segment_cut(*state, packet, 1, &second, &lost_frames, &lost_bytes),
				 0);
	}
	assert_int_equal(count, 0);
	assert_int_equal(wire_size, 0);
	return drain(state, &second, stream);
}

/* Writes the packet's frames at once, each behind a prefix, and asserts that they are those in
 * `stream`. */
static void assert_written(struct packet *packet, const uint8_t *stream, uint32_t size)
{
	static const uint8_t prefix[] = {0x08, 0, 0, 0, 0xab, 0xcd, 0xef, 0};
	static uint8_t written[3 * FRAME_MAX];
	uint32_t frame_size = packet->payload_offset + packet->offload.gso_size, at = 0, from = 0;
	uint32_t total = segment_write(packet, prefix, sizeof(prefix), written);

	assert_int_equal(total, size + packet->frame_count * sizeof(prefix));
	for (unsigned i = 0; i < packet->frame_count; i++) {
		uint32_t here = size - from < frame_size ? size - from : frame_size;

		assert_memory_equal(written + at, prefix, sizeof(prefix));
		assert_memory_equal(written + at + sizeof(prefix), stream + from, here);
		at += here + (uint32_t)sizeof(prefix);
		from += here;
	}
	assert_int_equal(from, size);
}

static void test_random_super_packets(void **state)
{
	uint32_t random = 20260101;

	for (unsigned round = 0; round < 1500; round++) {
		struct frame_spec spec = random_spec(&random);
		uint32_t head = 160 + frame_random(&random) % 1900, size_a, size_b, at = 0,
			 sent = 0;
		unsigned slices = 1 + frame_random(&random) % 2;
		struct packet *packet, *copy;
		struct packet_list list;

		frame_build(&frame, &spec);
		packet = frame_packet(*state, &frame, head, slices);
		assert_int_equal(parse_packet(packet), DROP_NONE);
		packet->segment = 4711;
		copy = packet_clone(*state, packet);
		assert_non_null(copy);
		list = cut(state, packet, 1);
		size_a = drain(state, &list, stream_a);
		if (copy->frame_count > 1)
			assert_written(copy, stream_a, size_a);
		size_b = cut_twice(state, copy, 1 + frame_random(&random) % 20, stream_b);
		assert_int_equal(size_a, size_b);
		assert_memory_equal(stream_a, stream_b, size_a);
		/* The payload is all there, in order; `wire` still has the last frame's offsets. */
		while (at < size_a) {
			uint32_t part = spec.gso_size;

			if (part > spec.payload_size - sent)
				part = spec.payload_size - sent;
			assert_memory_equal(stream_a + at + wire.payload,
					    frame.octets + frame.payload + sent, part);
			at += wire.payload + part;
			sent += part;
		}
		assert_int_equal(sent, spec.payload_size);
		assert_int_equal(packet_pool_in_use(*state), 0);
	}
}

/* What TCP carries once is carried once, at its place. */
static void test_tcp_flags(void **state)
{
	struct frame_spec spec = {.protocol = 6,
				  .payload_size = 10000,
				  .gso_size = 1000,
				  .tcp_flags = 0xff,
				  .sequence = 0xfffff000,
				  .identification = 65530,
				  .partial = true,
				  .ecn = true};
	struct packet_list list;
	struct packet *packet;

	frame_build(&frame, &spec);
	packet = frame_packet(*state, &frame, 1000, 1);
	assert_int_equal(parse_packet(packet), DROP_NONE);
	list = cut(state, packet, 1);
	assert_int_equal(list.count, 10);
	for (unsigned i = 0; i < 10; i++) {
		packet = packet_list_pop(&list);
		assert_int_equal(packet->data[frame.l4 + 13],
				 0x76 | (i == 0 ? 0x80 : 0) | (i == 9 ? 0x09 : 0));
		assert_int_equal(frame_get32(packet->data + frame.l4 + 4), 0xfffff000 + i * 1000);
		assert_int_equal(frame_get16(packet->data + 18), (65530 + i) & 0xffff);
		packet_free(*state, packet);
	}
}

static void test_small_packets_are_not_copied(void **state)
{
	struct frame_spec spec = {
		.protocol = 6, .payload_size = 10000, .gso_size = 1000, .partial = true};
	struct packet *packet;
	struct packet_list list;

	frame_build(&frame, &spec);
	packet = frame_packet(*state, &frame, 1000, 1);
	assert_int_equal(parse_packet(packet), DROP_NONE);
	list = cut(state, packet, 10);
	assert_ptr_equal(list.first, packet);
	assert_int_equal(packet->offload.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	packet_list_init(&list);
	list = cut(state, packet, UINT32_MAX);
	assert_ptr_equal(list.first, packet);
	/* 0 is 1. */
	list = cut(state, packet, 0);
	assert_int_equal(list.count, 10);
	assert_int_equal(drain(state, &list, stream_a), 10000 + 10 * 54);
	spec.gso_size = 0;
	frame_build(&frame, &spec);
	frame.size = frame.payload + 1000;
	frame_put16(frame.octets + 16, frame.size - 14);
	packet = frame_packet(*state, &frame, 2000, 1);
	assert_int_equal(parse_packet(packet), DROP_NONE);
	list = cut(state, packet, 1);
	assert_ptr_equal(list.first, packet);
	packet_free(*state, packet);
}

/* With every number of free packets: what comes out, and what is lost, is all there was. */
static void test_exhausted_pool(void **state)
{
	struct frame_spec spec = {
		.protocol = 17, .payload_size = 9500, .gso_size = 1000, .partial = true};

	(void)state;
	for (uint32_t packets = 1; packets < 13; packets++) {
		struct packet_pool *pool = packet_pool_new(packets, 2);
		uint32_t frames = 0, bytes = 0, lost_frames, lost_bytes;
		struct packet_list list;
		struct packet *packet;
		int result;

		packet_list_init(&list);
		frame_build(&frame, &spec);
		packet = frame_packet(pool, &frame, 1000, 1);
		assert_int_equal(parse_packet(packet), DROP_NONE);
		result = segment_cut(pool, packet, 1, &list, &lost_frames, &lost_bytes);
		assert_int_equal(result, packets > 10 ? 0 : -ENOBUFS);
		assert_int_equal(list.count, packets > 10 ? 10 : packets - 1);
		while ((packet = packet_list_pop(&list)) != NULL) {
			frames += packet->frame_count;
			bytes += packet->wire_size;
			packet_free(pool, packet);
		}
		assert_int_equal(frames + lost_frames, 10);
		assert_int_equal(bytes + lost_bytes, 9500 + 10 * 42);
		assert_int_equal(packet_pool_in_use(pool), 0);
		packet_pool_free(pool);
	}
}

/* Hostile octets in headers and offload state: refused, or cut into what was counted. */
static void test_random_hostile_headers(void **state)
{
	uint32_t random = 42, accepted = 0;

	for (unsigned round = 0; round < 20000; round++) {
		struct frame_spec spec = random_spec(&random);
		uint32_t flips = frame_random(&random) % 4, frames = 0, bytes = 0;
		uint32_t lost_frames, lost_bytes, count, wire_size;
		struct packet_list list;
		struct packet *packet;

		spec.payload_size %= 2500;
		frame_build(&frame, &spec);
		for (uint32_t i = 0; i < flips; i++)
			frame.octets[12 + frame_random(&random) % 100] ^=
				(uint8_t)(1 << frame_random(&random) % 8);
		for (uint32_t i = frame_random(&random) % 3; i > 0; i--)
			((uint8_t *)&frame.offload)[frame_random(&random) % 10] =
				(uint8_t)frame_random(&random);
		packet = frame_packet(*state, &frame, 60 + frame_random(&random) % 2000, 1);
		if (parse_packet(packet) != DROP_NONE) {
			packet_free(*state, packet);
			continue;
		}
		accepted++;
		count = packet->frame_count;
		wire_size = packet->wire_size;
		packet_list_init(&list);
		segment_cut(*state, packet, 1, &list, &lost_frames, &lost_bytes);
		while ((packet = packet_list_pop(&list)) != NULL) {
			checksum_complete(packet);
			frames += packet->frame_count;
			bytes += packet->size;
			packet_free(*state, packet);
		}
		assert_int_equal(frames + lost_frames, count);
		assert_int_equal(bytes + lost_bytes, wire_size);
		assert_int_equal(packet_pool_in_use(*state), 0);
	}
	/* Neither all nor nothing, or this test shows nothing. */
	assert_in_range(accepted, 4000, 16000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_equals_linux),
		TEST(test_random_super_packets),
		TEST(test_tcp_flags),
		TEST(test_small_packets_are_not_copied),
		cmocka_unit_test(test_exhausted_pool),
		TEST(test_random_hostile_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
