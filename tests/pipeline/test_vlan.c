/* SPDX-License-Identifier: Apache-2.0 */

/* Tags: access ports, trunks, native, priority tags, double tags, what a transparent segment keeps.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/ports/port.h"
#include "tests/pipeline/rig.h"

#define A	  0x020000000001ull
#define BROADCAST 0xffffffffffffull
#define TYPE	  0x88b5u

enum { ACCESS_RED, ACCESS_BLUE, TRUNK, TRUNK_2, ACCESS_CLEAR, ACCESS_CLEAR_2, PORTS };
enum { RED, BLUE, CLEAR };

/*
 * Segments red (VID 100 on both trunks, native on the second), blue (VID 200 on the first trunk)
 * and clear (vlan-transparent, VID 300 on the first trunk).
 */
static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig_init(rig);
	rig_tenant(rig, 0);
	rig_segment(rig, RED, 0, 0, 1500, 0);
	rig_segment(rig, BLUE, 0, 0, 1500, 0);
	rig_segment(rig, CLEAR, 0, 0, 1500, PROTO_SEGMENT_VLAN_TRANSPARENT);
	for (uint32_t i = 0; i < PORTS; i++)
		rig_port(rig, i, i == TRUNK || i == TRUNK_2 ? RIG_UPLINK : 0, PORT_CAN_ALL);
	rig_member(rig, ACCESS_RED, RED, 0);
	rig_member(rig, ACCESS_BLUE, BLUE, 0);
	rig_member(rig, TRUNK, RED, 100);
	rig_member(rig, TRUNK, BLUE, 200);
	rig_member(rig, TRUNK, CLEAR, 300);
	rig_member(rig, TRUNK_2, RED, 0);
	rig_member(rig, ACCESS_CLEAR, CLEAR, 0);
	rig_member(rig, ACCESS_CLEAR_2, CLEAR, 0);
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

/* Copies frame with a tag behind the MACs; returns the size. */
static size_t tag(uint8_t *to, const uint8_t *frame, size_t size, uint16_t tpid, uint16_t tci)
{
	memcpy(to, frame, 12);
	memcpy(to + 16, frame + 12, size - 12);
	to[12] = (uint8_t)(tpid >> 8);
	to[13] = (uint8_t)tpid;
	to[14] = (uint8_t)(tci >> 8);
	to[15] = (uint8_t)tci;
	return size + 4;
}

static void access_to_trunk_and_back(void **state)
{
	struct rig *rig = *state;
	uint8_t plain[60], tagged[64];
	size_t size = rig_frame(plain, sizeof(plain), BROADCAST, A, TYPE);

	rig_send(rig, ACCESS_RED, plain, size);
	tag(tagged, plain, size, 0x8100, 100);
	rig_expect(rig, TRUNK, tagged, size + 4);
	rig_expect(rig, TRUNK_2, plain, size);
	rig_expect_nothing(rig);

	tag(tagged, plain, size, 0x8100, 200);
	rig_send(rig, TRUNK, tagged, size + 4);
	rig_expect(rig, ACCESS_BLUE, plain, size);
	rig_expect_nothing(rig);
}

static void refuses_unknown_tags(void **state)
{
	struct rig *rig = *state;
	uint8_t plain[60], tagged[64];
	size_t size = rig_frame(plain, sizeof(plain), BROADCAST, A, TYPE);

	tag(tagged, plain, size, 0x8100, 101);
	rig_send(rig, TRUNK, tagged, size + 4);
	rig_send(rig, TRUNK, plain, size); /* no native segment */
	tag(tagged, plain, size, 0x88a8, 100);
	rig_send(rig, TRUNK, tagged, size + 4);
	assert_int_equal(rig_drops(rig, TRUNK, DROP_VLAN_UNKNOWN), 3);
	tag(tagged, plain, size, 0x8100, 4095);
	rig_send(rig, TRUNK, tagged, size + 4);
	assert_int_equal(rig_drops(rig, TRUNK, DROP_VLAN_INVALID), 1);
	rig_send(rig, ACCESS_CLEAR, tagged, size + 4);
	assert_int_equal(rig_drops(rig, ACCESS_CLEAR, DROP_VLAN_INVALID), 1);
	tag(tagged, plain, size, 0x8100, 100);
	rig_send(rig, ACCESS_RED, tagged, size + 4);
	assert_int_equal(rig_drops(rig, ACCESS_RED, DROP_VLAN_TAGGED), 1);
	/* A tag inside the trunk's tag. */
	tag(tagged, plain, size, 0x8100, 7);
	uint8_t twice[68];
	tag(twice, tagged, size + 4, 0x8100, 100);
	rig_send(rig, TRUNK, twice, size + 8);
	assert_int_equal(rig_drops(rig, TRUNK, DROP_VLAN_TAGGED), 1);
	rig_expect_nothing(rig);
}

static void reads_priority_tags(void **state)
{
	struct rig *rig = *state;
	uint8_t plain[60], tagged[64];
	size_t size = rig_frame(plain, sizeof(plain), BROADCAST, A, TYPE);

	tag(tagged, plain, size, 0x8100, 0xa000);
	rig_send(rig, ACCESS_RED, tagged, size + 4);
	tag(tagged, plain, size, 0x8100, 0xa000 | 100);
	rig_expect(rig, TRUNK, tagged, size + 4); /* PCP kept where it is tagged */
	rig_expect(rig, TRUNK_2, plain, size);
	rig_expect_nothing(rig);
}

static void keeps_tags_of_transparent_segments(void **state)
{
	struct rig *rig = *state;
	uint8_t plain[60], tagged[64], twice[68], more[72];
	size_t size = rig_frame(plain, sizeof(plain), BROADCAST, A, TYPE);

	tag(tagged, plain, size, 0x8100, 0x6007);
	rig_send(rig, ACCESS_CLEAR, tagged, size + 4);
	rig_expect(rig, ACCESS_CLEAR_2, tagged, size + 4);
	tag(twice, tagged, size + 4, 0x8100, 300);
	rig_expect(rig, TRUNK, twice, size + 8);
	rig_expect_nothing(rig);
	rig_send(rig, TRUNK, twice, size + 8);
	rig_expect(rig, ACCESS_CLEAR, tagged, size + 4);
	rig_expect(rig, ACCESS_CLEAR_2, tagged, size + 4);
	rig_expect_nothing(rig);
	/* The workload's own double tag, 802.1ad outside. */
	tag(twice, tagged, size + 4, 0x88a8, 9);
	rig_send(rig, ACCESS_CLEAR, twice, size + 8);
	rig_expect(rig, ACCESS_CLEAR_2, twice, size + 8);
	tag(more, twice, size + 8, 0x8100, 300);
	rig_expect(rig, TRUNK, more, size + 12);
	rig_expect_nothing(rig);
}

static void drops_tags_that_are_cut_off(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[18];

	rig_frame(frame, sizeof(frame), BROADCAST, A, 0x8100);
	for (size_t size = 14; size < 18; size++)
		rig_send(rig, TRUNK, frame, size);
	assert_int_equal(rig_drops(rig, TRUNK, DROP_TOO_SHORT), 4);
	rig_expect_nothing(rig);
}

/* A TCP super-packet whose offsets must move with the tag. */
static void shifts_offsets_of_super_packets(void **state)
{
	struct rig *rig = *state;
	static uint8_t frame[14 + 20 + 20 + 4000];
	struct virtio_net_hdr offload = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1000,
		.csum_start = 34,
		.csum_offset = 16,
	};
	struct memory_frame *out;

	rig_frame(frame, sizeof(frame), BROADCAST, A, 0x0800);
	memset(frame + 14, 0, 40);
	frame[14] = 0x45;
	frame[16] = (sizeof(frame) - 14) >> 8;
	frame[17] = (sizeof(frame) - 14) & 0xff;
	frame[22] = 64;
	frame[23] = 6;
	frame[46] = 0x50;
	frame[47] = 0x10;
	rig_send_offload(rig, ACCESS_RED, &offload, frame, sizeof(frame));

	out = rig_collect(rig, TRUNK);
	assert_non_null(out);
	assert_int_equal(out->size, sizeof(frame) + 4);
	assert_int_equal(out->data[12] << 8 | out->data[13], 0x8100);
	assert_int_equal(out->data[14] << 8 | out->data[15], 100);
	assert_memory_equal(out->data + 16, frame + 12, sizeof(frame) - 12);
	assert_int_equal(out->offload.csum_start, 38);
	assert_int_equal(out->offload.hdr_len, 58);
	assert_int_equal(out->offload.gso_size, 1000);
	free(out);
	out = rig_collect(rig, TRUNK_2);
	assert_non_null(out);
	assert_int_equal(out->size, sizeof(frame));
	assert_memory_equal(out->data, frame, sizeof(frame));
	assert_memory_equal(&out->offload, &offload, sizeof(offload));
	free(out);
	rig_expect_nothing(rig);
	/* Counted as the four frames that it stands for, with a tag each on the trunk. */
	assert_int_equal(rig->worker.stats->ports[ACCESS_RED].rx_packets, 4);
	assert_int_equal(rig->worker.stats->ports[ACCESS_RED].rx_bytes, 4 * 1054);
	assert_int_equal(rig->worker.stats->ports[TRUNK].tx_bytes, 4 * 1058);
	assert_int_equal(rig->worker.stats->ports[TRUNK_2].tx_bytes, 4 * 1054);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(access_to_trunk_and_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_unknown_tags, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_priority_tags, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keeps_tags_of_transparent_segments, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(drops_tags_that_are_cut_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shifts_offsets_of_super_packets, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
