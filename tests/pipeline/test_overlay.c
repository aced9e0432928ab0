/* SPDX-License-Identifier: Apache-2.0 */

/* The overlay: head-end replication, learning of peers, who is refused, ECN through the tunnel. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/ports/port.h"
#include "tests/pipeline/rig.h"

#define A	  0x020000000001ull
#define B	  0x020000000002ull
#define BROADCAST 0xffffffffffffull
#define TYPE	  0x88b5u

enum { LOCAL, LOCAL_2, OTHER, VTEP };
enum { WEB, DB };

/* Segment web (VNI 5001, peers 0 and 1) with two ports, db (VNI 5002, peer 1) with one. */
static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig_init(rig);
	rig_tenant(rig, 0);
	rig_tenant(rig, 1);
	rig_segment(rig, WEB, 0, 5001, 1450, 0);
	rig_segment(rig, DB, 1, 5002, 1450, 0);
	rig_port(rig, LOCAL, 0, PORT_CAN_ALL);
	rig_port(rig, LOCAL_2, 0, PORT_CAN_ALL);
	rig_port(rig, OTHER, 1, PORT_CAN_ALL);
	rig_member(rig, LOCAL, WEB, 0);
	rig_member(rig, LOCAL_2, WEB, 0);
	rig_member(rig, OTHER, DB, 0);
	rig_vtep(rig, VTEP);
	rig_peer(rig, 0, WEB);
	rig_peer(rig, 1, WEB);
	rig_peer(rig, 1, DB);
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

static void expect_peer(struct rig *rig, uint32_t peer, uint32_t vni, const void *frame,
			size_t size)
{
	struct memory_frame *out = rig_collect(rig, VTEP);

	assert_non_null(out);
	assert_true(out->overlay);
	assert_int_equal(out->peer, peer);
	assert_int_equal(out->vni, vni);
	assert_int_equal(out->size, size);
	assert_memory_equal(out->data, frame, size);
	free(out);
}

static void replicates_to_every_peer_once(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60];
	size_t size = rig_frame(frame, sizeof(frame), BROADCAST, A, TYPE);

	rig_send(rig, LOCAL, frame, size);
	rig_expect(rig, LOCAL_2, frame, size);
	expect_peer(rig, 0, 5001, frame, size);
	expect_peer(rig, 1, 5001, frame, size);
	rig_expect_nothing(rig);
}

static void learns_the_peer_of_a_source(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60];
	size_t size = rig_frame(frame, sizeof(frame), BROADCAST, B, TYPE);

	rig_send_overlay(rig, VTEP, 1, 5001, 0, frame, size);
	rig_expect(rig, LOCAL, frame, size);
	rig_expect(rig, LOCAL_2, frame, size); /* and never back into the overlay */
	rig_expect_nothing(rig);
	size = rig_frame(frame, sizeof(frame), B, A, TYPE);
	rig_send(rig, LOCAL, frame, size);
	expect_peer(rig, 1, 5001, frame, size);
	rig_expect_nothing(rig);
	/* Another peer sends to it: what came from the overlay stays out of it. */
	size = rig_frame(frame, sizeof(frame), B, A + 7, TYPE);
	rig_send_overlay(rig, VTEP, 0, 5001, 0, frame, size);
	rig_expect_nothing(rig);
	assert_int_equal(rig_drops(rig, VTEP, DROP_OVERLAY_LOOP), 1);
}

static void refuses_strangers(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60];
	size_t size = rig_frame(frame, sizeof(frame), BROADCAST, B, TYPE);

	rig_send_overlay(rig, VTEP, 9, 5001, 0, frame, size);
	rig_send_overlay(rig, VTEP, 0, 5002, 0, frame, size); /* a peer, but not of this segment */
	assert_int_equal(rig_drops(rig, VTEP, DROP_PEER_UNKNOWN), 2);
	rig_send_overlay(rig, VTEP, 0, 5003, 0, frame, size);
	rig_send_overlay(rig, VTEP, 0, 0, 0, frame, size);
	assert_int_equal(rig_drops(rig, VTEP, DROP_VNI_UNKNOWN), 2);
	rig_expect_nothing(rig);
	assert_int_equal(fdb_count(rig->shared.fdb), 0);
}

static void keeps_segments_apart(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60];
	size_t size = rig_frame(frame, sizeof(frame), BROADCAST, B, TYPE);

	rig_send_overlay(rig, VTEP, 1, 5002, 0, frame, size);
	rig_expect(rig, OTHER, frame, size);
	rig_expect_nothing(rig);
	rig_send(rig, OTHER, frame, rig_frame(frame, sizeof(frame), A, A + 1, TYPE));
	expect_peer(rig, 1, 5002, frame, size);
	rig_expect_nothing(rig);
}

/* An IPv4 header with a right checksum and this TOS octet. */
static size_t ip_frame(uint8_t *frame, size_t size, uint8_t tos)
{
	uint32_t sum = 0;

	rig_frame(frame, size, BROADCAST, B, 0x0800);
	memset(frame + 14, 0, 20);
	frame[14] = 0x45;
	frame[15] = tos;
	frame[17] = (uint8_t)(size - 14);
	frame[22] = 64;
	frame[23] = 253; /* for experiments: no layer 4 */
	frame[26] = 10;
	frame[30] = 10;
	for (unsigned i = 14; i < 34; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	frame[24] = (uint8_t)(~sum >> 8);
	frame[25] = (uint8_t)~sum;
	return size;
}

/* RFC 6040, figure 4: every combination of the two fields. */
static void combines_ecn(void **state)
{
	static const struct {
		uint8_t inner, outer;
		int result; /* -1: dropped */
	} rows[] = {
		{0, 0, 0}, {0, 1, 0}, {0, 2, 0}, {0, 3, -1}, {2, 0, 2}, {2, 1, 1},
		{2, 2, 2}, {2, 3, 3}, {1, 0, 1}, {1, 1, 1},  {1, 2, 1}, {1, 3, 3},
		{3, 0, 3}, {3, 1, 3}, {3, 2, 3}, {3, 3, 3},
	};
	struct rig *rig = *state;
	uint8_t frame[60], expected[60];
	unsigned dropped = 0;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t size = ip_frame(frame, sizeof(frame), 0xb8 | rows[i].inner);

		rig_send_overlay(rig, VTEP, 0, 5001, rows[i].outer, frame, size);
		if (rows[i].result < 0) {
			dropped++;
			rig_expect_nothing(rig);
			continue;
		}
		ip_frame(expected, sizeof(expected), (uint8_t)(0xb8 | rows[i].result));
		rig_expect(rig, LOCAL, expected, size);
		rig_expect(rig, LOCAL_2, expected, size);
	}
	assert_int_equal(rig_drops(rig, VTEP, DROP_ECN_INVALID), dropped);
}

static void drops_tags_from_the_overlay(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[64];
	size_t size = rig_frame(frame, sizeof(frame), BROADCAST, B, 0x8100);

	frame[14] = 0;
	frame[15] = 42;
	rig_send_overlay(rig, VTEP, 0, 5001, 0, frame, size);
	assert_int_equal(rig_drops(rig, VTEP, DROP_VLAN_TAGGED), 1);
	rig_expect_nothing(rig);
}

/*
 * What a kernel's vxlan device sends over a veth: a whole inner super-packet whose checksum is the
 * pseudo-header's sum, with nothing beside it that says so.
 */
static void recovers_what_a_kernel_left_undone(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[14 + 40 + 4000];
	const struct virtio_net_hdr expected = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1450 - 40,
		.csum_start = 34,
		.csum_offset = 16,
	};
	struct memory_frame *out;
	uint32_t sum;

	ip_frame(frame, 54, 0);
	for (size_t i = 54; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 13);
	memset(frame + 34, 0, 20);
	frame[16] = (uint8_t)((sizeof(frame) - 14) >> 8);
	frame[17] = (uint8_t)(sizeof(frame) - 14);
	frame[23] = 6;
	frame[46] = 0x50;
	frame[47] = 0x10;
	/* 10.0.0.0 to 10.0.0.0, protocol 6, 4,020 octets. */
	sum = 0x0a00 + 0x0a00 + 6 + 4020;
	frame[50] = (uint8_t)(sum >> 8);
	frame[51] = (uint8_t)sum;
	rig_send_overlay(rig, VTEP, 0, 5001, 0, frame, sizeof(frame));
	for (uint32_t port = LOCAL; port <= LOCAL_2; port++) {
		out = rig_collect(rig, port);
		assert_non_null(out);
		assert_int_equal(out->size, sizeof(frame));
		assert_memory_equal(out->data, frame, sizeof(frame));
		assert_memory_equal(&out->offload, &expected, sizeof(expected));
		free(out);
	}
	rig_expect_nothing(rig);
	assert_int_equal(rig->worker.stats->ports[VTEP].rx_packets, 3);

	/* One with a checksum of its own stays as it is, whatever its size. */
	frame[51] ^= 1;
	rig_send_overlay(rig, VTEP, 0, 5001, 0, frame, sizeof(frame));
	rig_expect(rig, LOCAL, frame, sizeof(frame));
	rig_expect(rig, LOCAL_2, frame, sizeof(frame));
	assert_int_equal(rig->worker.stats->ports[VTEP].rx_packets, 4);

	/* Datagrams of a UDP super-packet have no size that anything tells. */
	frame[23] = 17;
	frame[38] = (uint8_t)(4020 >> 8);
	frame[39] = (uint8_t)4020;
	sum = 0x0a00 + 0x0a00 + 17 + 4020;
	frame[40] = (uint8_t)(sum >> 8);
	frame[41] = (uint8_t)sum;
	rig_send_overlay(rig, VTEP, 0, 5001, 0, frame, sizeof(frame));
	assert_int_equal(rig_drops(rig, VTEP, DROP_BAD_OFFLOAD), 1);
	rig_expect_nothing(rig);
}

static void counts_a_missing_vtep(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60];
	size_t size = rig_frame(frame, sizeof(frame), BROADCAST, B, TYPE);

	rig_send_overlay(rig, VTEP, 1, 5001, 0, frame, size);
	rig_expect(rig, LOCAL, frame, size);
	rig_expect(rig, LOCAL_2, frame, size);
	rig_tenant(rig, 0); /* begins an edit */
	assert_int_equal(config_del_vtep(rig->config), 0);
	rig_commit(rig);
	rig_send(rig, LOCAL, frame, rig_frame(frame, sizeof(frame), B, A, TYPE));
	assert_int_equal(rig_drops(rig, LOCAL, DROP_NO_VTEP), 1);
	/* A flood goes to those who are there. */
	rig_send(rig, LOCAL, frame, rig_frame(frame, sizeof(frame), BROADCAST, A, TYPE));
	rig_expect(rig, LOCAL_2, frame, size);
	rig_expect_nothing(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(replicates_to_every_peer_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(learns_the_peer_of_a_source, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_strangers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keeps_segments_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(combines_ecn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(drops_tags_from_the_overlay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(recovers_what_a_kernel_left_undone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(counts_a_missing_vtep, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
