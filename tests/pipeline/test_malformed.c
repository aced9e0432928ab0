/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What no well-behaved workload sends: headers that are cut off, virtio-net headers that lie,
 * frames that are too long. Whatever comes in is forwarded or dropped with a reason, and counted
 * once.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/ports/port.h"
#include "tests/pipeline/rig.h"
#include "tests/unit/frames.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define NEEDS_CSUM VIRTIO_NET_HDR_F_NEEDS_CSUM
#define LARGEST	   65558u /* 65,535 octets behind an Ethernet header, with two tags */

/* IN sends to the other three; the VTEP has a peer. */
enum { IN, ALL_OFFLOADS, NO_OFFLOADS, UPLINK, VTEP };

static struct frame frame; /* too large for a stack */
static uint8_t octets[70000];

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig_init(rig);
	rig_tenant(rig, 0);
	rig_segment(rig, 0, 0, 5001, 65521, PROTO_SEGMENT_VLAN_TRANSPARENT);
	for (uint32_t i = IN; i <= UPLINK; i++) {
		rig_port(rig, i, i == UPLINK ? RIG_UPLINK : 0, i == NO_OFFLOADS ? 0 : PORT_CAN_ALL);
		rig_member(rig, i, 0, i == UPLINK ? 7 : 0);
	}
	rig_vtep(rig, VTEP);
	rig_peer(rig, 0, 0);
	rig_commit(rig);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

/* Frees what left by every port; returns how many frames there were. */
static uint64_t discard(struct rig *rig)
{
	uint64_t count = 0;

	for (uint32_t port = IN; port <= VTEP; port++) {
		struct memory_frame *out;

		for (; (out = rig_collect(rig, port)) != NULL; count++)
			free(out);
	}
	return count;
}

/* Sends it, and asserts that it is counted. Returns whether it was dropped. */
static bool try(struct rig *rig, const struct virtio_net_hdr *offload, const uint8_t *data,
		size_t size)
{
	struct stats_port *stats = &rig->worker.stats->ports[IN];
	uint64_t received = stats->rx_packets, drops = rig_all_drops(rig, IN);
	uint64_t forwarded = stats->forwarded, left;

	rig_send_offload(rig, IN, offload, data, size);
	left = discard(rig);
	rig_check(rig);
	assert_true(stats->rx_packets > received);
	if (left == 0) {
		assert_int_equal(rig_all_drops(rig, IN) - drops, stats->rx_packets - received);
		assert_int_equal(stats->forwarded, forwarded);
	} else {
		assert_int_equal(rig_all_drops(rig, IN), drops);
		assert_int_equal(stats->forwarded - forwarded, 4 * (stats->rx_packets - received));
	}
	return left == 0;
}

/* Every kind of header that parse knows. */
static const struct frame_spec kinds[] = {
	{.protocol = 6, .payload_size = 40, .tcp_option_size = 40, .option_size = 40},
	{.protocol = 6, .payload_size = 20, .partial = true, .tags = 1},
	{.protocol = 6, .payload_size = 100, .gso_size = 30, .partial = true, .tags = 2},
	{.protocol = 17, .payload_size = 20, .partial = true},
	{.protocol = 17, .payload_size = 100, .gso_size = 40, .partial = true, .tags = 1},
	{.protocol = 17, .payload_size = 30, .fragment = 0x2000},
	{.protocol = 1, .payload_size = 30},
	{.ipv6 = true, .protocol = 6, .payload_size = 20, .option_size = 24, .partial = true},
	{.ipv6 = true,
	 .protocol = 6,
	 .payload_size = 100,
	 .gso_size = 30,
	 .partial = true,
	 .tags = 1},
	{.ipv6 = true, .protocol = 17, .payload_size = 20, .fragment = 0x0009, .option_size = 8},
	{.ipv6 = true,
	 .protocol = 17,
	 .payload_size = 90,
	 .gso_size = 44,
	 .partial = true,
	 .tags = 2},
	{.ipv6 = true, .protocol = 58, .payload_size = 30},
};

static void survives_every_truncation(void **state)
{
	static const struct virtio_net_hdr none;

	for (unsigned i = 0; i < COUNT(kinds); i++) {
		frame_build(&frame, &kinds[i]);
		assert_false(try(*state, &frame.offload, frame.octets, frame.size));
		for (uint32_t size = 0; size < frame.size; size++) {
			bool dropped = try(*state, &frame.offload, frame.octets, size);

			/* The length in the IP header, or the offload state, says more. */
			assert_true(dropped);
			dropped = try(*state, &none, frame.octets, size);
			assert_true(dropped);
		}
	}
}

/* The same with lengths in IP headers that agree: only layer 4 is cut off. */
static void takes_cut_transport_headers(void **state)
{
	static const struct virtio_net_hdr none;

	for (unsigned i = 0; i < COUNT(kinds); i++) {
		if (kinds[i].gso_size != 0)
			continue;
		frame_build(&frame, &kinds[i]);
		for (uint32_t size = frame.l4; size < frame.size; size++) {
			uint8_t *ip = frame.octets + frame.l3;

			frame_put16(ip + (kinds[i].ipv6 ? 4 : 2),
				    size - frame.l3 - (kinds[i].ipv6 ? 40 : 0));
			assert_false(try(*state, &none, frame.octets, size));
			/* The checksum's field must be there to be offloaded. */
			if (kinds[i].partial)
				assert_int_equal(try(*state, &frame.offload, frame.octets, size),
						 size < frame.payload);
		}
	}
}

struct lie {
	const char *what;
	struct virtio_net_hdr offload;
};

/* For a plain TCP segment of 14 + 20 + 20 + 100 octets. */
static const struct lie lies[] = {
	{"unknown flags", {.flags = 0x80}},
	{"RSC", {.flags = 4}},
	{"checksum behind the frame", {NEEDS_CSUM, .csum_start = 34, .csum_offset = 119}},
	{"checksum far behind", {NEEDS_CSUM, .csum_start = 65535, .csum_offset = 65535}},
	{"checksum that wraps", {NEEDS_CSUM, .csum_start = 65534, .csum_offset = 18}},
	{"checksum in the MACs", {NEEDS_CSUM, .csum_start = 0, .csum_offset = 0}},
	{"checksum in the IP header", {NEEDS_CSUM, .csum_start = 14, .csum_offset = 10}},
	{"checksum in the sequence", {NEEDS_CSUM, .csum_start = 34, .csum_offset = 4}},
	{"UDP's checksum", {NEEDS_CSUM, .csum_start = 34, .csum_offset = 6}},
	{"TCP behind TCP", {NEEDS_CSUM, .csum_start = 54, .csum_offset = 16}},
	{"GSO without checksum", {.gso_type = 1, .gso_size = 10, .hdr_len = 54}},
	{"GSO of size 0", {NEEDS_CSUM, .gso_type = 1, .csum_start = 34, .csum_offset = 16}},
	{"GSO for IPv6",
	 {NEEDS_CSUM, .gso_type = 4, .gso_size = 10, .csum_start = 34, .csum_offset = 16}},
	{"GSO for UDP",
	 {NEEDS_CSUM, .gso_type = 5, .gso_size = 10, .csum_start = 34, .csum_offset = 16}},
	{"UFO", {NEEDS_CSUM, .gso_type = 3, .gso_size = 10, .csum_start = 34, .csum_offset = 16}},
	{"no GSO with ECN", {NEEDS_CSUM, .gso_type = 0x80, .csum_start = 34, .csum_offset = 16}},
	{"unknown GSO",
	 {NEEDS_CSUM, .gso_type = 0x7f, .gso_size = 9, .csum_start = 34, .csum_offset = 16}},
	{"GSO with the checksum elsewhere",
	 {NEEDS_CSUM, .gso_type = 1, .gso_size = 9, .csum_start = 54, .csum_offset = 16}},
};

static void refuses_lies(void **state)
{
	struct frame_spec spec = {.protocol = 6, .payload_size = 100};
	struct rig *rig = *state;
	uint64_t refused = 0;

	frame_build(&frame, &spec);
	for (unsigned i = 0; i < COUNT(lies); i++) {
		if (!try(rig, &lies[i].offload, frame.octets, frame.size))
			print_error("not refused: %s\n", lies[i].what);
		refused++;
		assert_int_equal(rig_drops(rig, IN, DROP_BAD_OFFLOAD), refused);
		assert_int_equal(rig->worker.stats->tenants[0].drops[DROP_BAD_OFFLOAD], refused);
	}
	assert_int_equal(rig_all_drops(rig, IN), refused);
	assert_int_equal(rig->worker.stats->ports[IN].rx_packets, refused);
	assert_int_equal(rig->worker.stats->ports[IN].rx_bytes, refused * frame.size);
}

/* hdr_len is a hint that nobody needs: it is not believed, and what leaves has a right one. */
static void corrects_the_header_length(void **state)
{
	struct frame_spec spec = {
		.protocol = 6, .payload_size = 3000, .gso_size = 1000, .partial = true};
	struct rig *rig = *state;

	for (uint32_t hint = 0; hint <= UINT16_MAX; hint += 257) {
		struct memory_frame *out;

		frame_build(&frame, &spec);
		frame.offload.hdr_len = (uint16_t)hint;
		rig_send_offload(rig, IN, &frame.offload, frame.octets, frame.size);
		out = rig_collect(rig, ALL_OFFLOADS);
		assert_non_null(out);
		frame.offload.hdr_len = 54;
		assert_memory_equal(&out->offload, &frame.offload, sizeof(out->offload));
		free(out);
		discard(rig);
	}
	/* A frame that is not GSO has none, and the fields that go unused do not travel. */
	frame.offload = (struct virtio_net_hdr){.hdr_len = 9, .gso_size = 9, .csum_start = 9};
	rig_send_offload(rig, IN, &frame.offload, frame.octets, 60);
	assert_int_equal(rig_drops(rig, IN, DROP_BAD_HEADER), 1);
	spec = (struct frame_spec){.protocol = 6, .payload_size = 30};
	frame_build(&frame, &spec);
	frame.offload = (struct virtio_net_hdr){.hdr_len = 9, .gso_size = 9, .csum_start = 9};
	rig_send_offload(rig, IN, &frame.offload, frame.octets, frame.size);
	rig_expect(rig, ALL_OFFLOADS, frame.octets, frame.size);
	rig_expect(rig, NO_OFFLOADS, frame.octets, frame.size);
	discard(rig);
}

/* Any virtio-net header on any frame, and any octet of its headers changed. */
static void accounts_for_random_damage(void **state)
{
	uint32_t random = 4711, dropped = 0;

	for (unsigned round = 0; round < 20000; round++) {
		const struct frame_spec *spec = &kinds[frame_random(&random) % COUNT(kinds)];
		uint8_t *offload = (uint8_t *)&frame.offload;

		frame_build(&frame, spec);
		for (unsigned i = frame_random(&random) % 3; i > 0; i--)
			frame.octets[12 + frame_random(&random) % (frame.payload - 12)] ^=
				(uint8_t)(1u << frame_random(&random) % 8);
		for (unsigned i = frame_random(&random) % 3; i > 0; i--)
			offload[frame_random(&random) % sizeof(frame.offload)] ^=
				(uint8_t)(1u << frame_random(&random) % 8);
		dropped += try(*state, &frame.offload, frame.octets, frame.size);
	}
	assert_in_range(dropped, 5000, 15000);
}

/* One octet a segment: the pool runs out in the middle, and what is lost is counted. */
static void survives_the_smallest_segments(void **state)
{
	struct frame_spec spec = {
		.protocol = 6, .payload_size = 65495, .gso_size = 1, .partial = true};
	struct rig *rig = *state;
	struct stats_port *stats = &rig->worker.stats->ports[IN];

	frame_build(&frame, &spec);
	rig_send_offload(rig, IN, &frame.offload, frame.octets, frame.size);
	assert_int_equal(stats->rx_packets, spec.payload_size);
	assert_int_equal(stats->copies, 3ull * spec.payload_size);
	assert_int_equal(stats->forwarded + rig_drops(rig, IN, DROP_NO_BUFFER),
			 4ull * spec.payload_size);
	discard(rig);
	rig_check(rig);
	frame_build(&frame, &kinds[0]);
	assert_false(try(rig, &frame.offload, frame.octets, frame.size));
}

static void fill(size_t size)
{
	rig_frame(octets, size, 0xffffffffffffull, 0x020000000001ull, 0x88b5);
	for (size_t i = 14; i < size; i++)
		octets[i] = (uint8_t)(i * 7 + (i >> 8) * 31);
}

/* Frames around the sizes where the head ends and the buffer begins, and the longest ones. */
static void carries_every_size_whole(void **state)
{
	static const size_t ends[] = {128, 512, 1514, 2048, 2120, 4096, 32768, 65535};
	struct rig *rig = *state;

	for (unsigned i = 0; i < COUNT(ends); i++) {
		for (size_t size = ends[i] - 40; size <= ends[i] + 40 && size <= 65535; size++) {
			fill(size);
			rig_send(rig, IN, octets, size);
			rig_expect(rig, ALL_OFFLOADS, octets, size);
			rig_expect(rig, NO_OFFLOADS, octets, size);
			discard(rig);
		}
	}
	rig_check(rig);
	assert_int_equal(rig_all_drops(rig, IN), 0);
}

static void refuses_what_is_too_long(void **state)
{
	struct rig *rig = *state;

	fill(sizeof(octets));
	assert_true(try(rig, NULL, octets, 65536));
	assert_true(try(rig, NULL, octets, LARGEST));
	assert_int_equal(rig_drops(rig, IN, DROP_OVERSIZE), 2);
	assert_true(try(rig, NULL, octets, LARGEST + 1));
	assert_true(try(rig, NULL, octets, 66000));
	assert_true(try(rig, NULL, octets, sizeof(octets)));
	assert_int_equal(rig_drops(rig, IN, DROP_TOO_LONG), 3);
	assert_int_equal(rig->worker.stats->ports[IN].rx_bytes,
			 65536 + 2 * LARGEST + 1 + 66000 + sizeof(octets));
	assert_false(try(rig, NULL, octets, 60));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(survives_every_truncation, set_up, tear_down),
		cmocka_unit_test_setup_teardown(takes_cut_transport_headers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_lies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(corrects_the_header_length, set_up, tear_down),
		cmocka_unit_test_setup_teardown(accounts_for_random_damage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(survives_the_smallest_segments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(carries_every_size_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_what_is_too_long, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
