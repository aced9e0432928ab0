/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Super-packets and partial checksums between ports that take different offloads. Every frame that
 * leaves is compared with one that tests/unit/frames.h built for itself.
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

/* Ports 1 … 16 take the offloads 0 … 15; 0 and 19 are where frames come in. */
enum { ACCESS, FIRST, UPLINK = 17, UPLINK_ALL, TRUNK, PORTS };
enum { PLAIN, TRANSPARENT };

#define UPLINK_VID	300
#define TRUNK_VID	100
#define TRANSPARENT_VID 301

static struct frame super, wanted; /* too large for a stack */

static uint32_t features_of(uint32_t port)
{
	if (port >= FIRST && port < UPLINK)
		return port - FIRST;
	return port == UPLINK ? 0 : PORT_CAN_ALL;
}

/* The VID of the plain segment at the port. */
static uint16_t vid_of(uint32_t port)
{
	if (port == TRUNK)
		return TRUNK_VID;
	return port == UPLINK || port == UPLINK_ALL ? UPLINK_VID : 0;
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig_init(rig);
	rig_tenant(rig, 0);
	rig_segment(rig, PLAIN, 0, 0, 9000, 0);
	rig_segment(rig, TRANSPARENT, 0, 0, 9000, PROTO_SEGMENT_VLAN_TRANSPARENT);
	for (uint32_t i = 0; i < PORTS; i++) {
		rig_port(rig, i, i == UPLINK || i == UPLINK_ALL ? RIG_UPLINK : 0, features_of(i));
		rig_member(rig, i, PLAIN, vid_of(i));
	}
	rig_commit(rig);
	*state = rig;
	return 0;
}

/* The same ports in the segment that keeps workloads' tags. */
static int set_up_transparent(void **state)
{
	struct rig *rig;

	set_up(state);
	rig = *state;
	for (uint32_t i = 0; i < PORTS; i++) {
		rig_remove_port(rig, i);
		rig_port(rig, i, i == UPLINK || i == UPLINK_ALL ? RIG_UPLINK : 0, features_of(i));
		rig_member(rig, i, TRANSPARENT, vid_of(i) == 0 ? 0 : TRANSPARENT_VID);
	}
	rig_commit(rig);
	return 0;
}

static int tear_down(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

/* Puts an outermost tag on; offsets follow. */
static void put_tag(struct frame *frame, uint16_t tpid, uint16_t tci)
{
	memmove(frame->octets + 16, frame->octets + 12, frame->size - 12);
	frame_put16(frame->octets + 12, tpid);
	frame_put16(frame->octets + 14, tci);
	frame->size += 4;
	frame->l3 += 4;
	frame->l4 += 4;
	frame->payload += 4;
	if (frame->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		frame->offload.csum_start += 4;
	if (frame->offload.hdr_len != 0)
		frame->offload.hdr_len += 4;
}

/* Builds in `wanted` what carries `size` octets from `offset` of the whole's payload. */
static void build_piece(const struct frame_spec *whole, uint32_t index, uint32_t offset,
			uint32_t size, bool partial)
{
	struct frame_spec spec = *whole;

	spec.payload_size = size;
	spec.gso_size = 0;
	spec.partial = partial;
	spec.ecn = false;
	spec.sequence += offset;
	spec.identification = (uint16_t)(spec.identification + index);
	if (index > 0)
		spec.tcp_flags &= (uint8_t)~0x80; /* CWR */
	if (offset + size < whole->payload_size)
		spec.tcp_flags &= (uint8_t)~0x09; /* FIN and PSH */
	frame_build(&wanted, &spec);
	memcpy(wanted.octets + wanted.payload, super.octets + super.payload + offset, size);
	frame_put_transport(&wanted, &spec);
}

/* Asserts that `wanted`, with a tag if tci is not 0, left by the port next. */
static void expect_wanted(struct rig *rig, uint32_t port, uint16_t tci)
{
	struct memory_frame *out = rig_collect(rig, port);

	if (tci != 0)
		put_tag(&wanted, 0x8100, tci);
	assert_non_null(out);
	assert_int_equal(out->size, wanted.size);
	assert_memory_equal(out->data, wanted.octets, wanted.size);
	assert_memory_equal(&out->offload, &wanted.offload, sizeof(out->offload));
	free(out);
}

static bool takes(uint32_t features, const struct frame_spec *spec)
{
	uint32_t kind = spec->protocol == 17 ? PORT_CAN_USO
			: spec->ipv6	     ? PORT_CAN_TSO6
					     : PORT_CAN_TSO4;

	/* A super-packet's checksum is partial by nature. */
	return (features & (kind | PORT_CAN_CHECKSUM)) == (kind | PORT_CAN_CHECKSUM);
}

static uint32_t frames_of(const struct frame_spec *spec)
{
	if (spec->gso_size == 0)
		return 1;
	return (spec->payload_size + spec->gso_size - 1) / spec->gso_size;
}

/* What leaves by one port for `super`, which is as it came in but for its outermost tag. */
static void expect_super(struct rig *rig, uint32_t port, const struct frame_spec *spec,
			 uint16_t tci)
{
	uint32_t features = features_of(port), part = spec->gso_size;
	bool partial = spec->partial && (features & PORT_CAN_CHECKSUM) != 0;

	if (frames_of(spec) == 1) {
		build_piece(spec, 0, 0, spec->payload_size, partial);
		expect_wanted(rig, port, tci);
	} else if (takes(features, spec)) {
		wanted = super;
		expect_wanted(rig, port, tci);
	} else {
		for (uint32_t i = 0; i < frames_of(spec); i++) {
			uint32_t offset = i * part, left = spec->payload_size - offset;

			build_piece(spec, i, offset, left < part ? left : part, partial);
			expect_wanted(rig, port, tci);
		}
	}
}

static uint64_t wire_size(const struct frame_spec *spec, uint32_t tags)
{
	return (uint64_t)frames_of(spec) * (super.payload + tags * 4) + spec->payload_size;
}

/*
 * Floods a super-packet from the port, tagged when tci_in is not 0, and asserts what every other
 * port sends. pcp_out is what stays of the tag where it leaves tagged.
 */
static void flood(struct rig *rig, uint32_t ingress, const struct frame_spec *spec, uint16_t tci_in,
		  bool transparent)
{
	struct stats_worker *stats = rig->worker.stats;
	struct stats_port before[PORTS];
	struct frame *in = &wanted;

	memcpy(before, stats->ports, sizeof(before));
	frame_build(&super, spec);
	*in = super;
	if (tci_in != 0)
		put_tag(in, 0x8100, tci_in);
	rig_send_offload(rig, ingress, &in->offload, in->octets, in->size);
	assert_int_equal(stats->ports[ingress].rx_packets - before[ingress].rx_packets,
			 frames_of(spec));
	assert_int_equal(stats->ports[ingress].rx_bytes - before[ingress].rx_bytes,
			 wire_size(spec, tci_in != 0));
	for (uint32_t port = 0; port < PORTS; port++) {
		uint16_t vid = vid_of(port) != 0 && transparent ? TRANSPARENT_VID : vid_of(port);

		if (port == ingress)
			continue;
		expect_super(rig, port, spec, vid == 0 ? 0 : (uint16_t)((tci_in & 0xf000) | vid));
		assert_int_equal(stats->ports[port].tx_packets - before[port].tx_packets,
				 frames_of(spec));
		assert_int_equal(stats->ports[port].tx_bytes - before[port].tx_bytes,
				 wire_size(spec, vid != 0));
	}
	rig_expect_nothing(rig);
	rig_check(rig);
	assert_int_equal(rig_all_drops(rig, ingress), 0);
}

static const struct frame_spec specs[] = {
	/* Sequence and identification wrap; every flag; an odd rest. */
	{.protocol = 6,
	 .payload_size = 20001,
	 .gso_size = 1448,
	 .tcp_option_size = 12,
	 .tcp_flags = 0xd9,
	 .sequence = 0xfffff000,
	 .identification = 65530,
	 .partial = true,
	 .ecn = true},
	{.protocol = 6, .payload_size = 2000, .gso_size = 1000, .option_size = 8, .partial = true},
	/* The largest of all, and cut into many. */
	{.protocol = 6,
	 .payload_size = 65495,
	 .gso_size = 1460,
	 .tcp_flags = 0x18,
	 .partial = true},
	{.protocol = 6, .payload_size = 65495, .gso_size = 100, .tcp_flags = 0x18, .partial = true},
	{.ipv6 = true,
	 .protocol = 6,
	 .payload_size = 60000,
	 .gso_size = 1428,
	 .tcp_option_size = 12,
	 .tcp_flags = 0x11,
	 .partial = true},
	{.ipv6 = true, .protocol = 6, .payload_size = 1411, .gso_size = 1410, .partial = true},
	/* ECN over IPv6; CWR of which the virtio-net header says nothing. */
	{.ipv6 = true,
	 .protocol = 6,
	 .payload_size = 5001,
	 .gso_size = 1000,
	 .tcp_option_size = 40,
	 .tcp_flags = 0xd9,
	 .partial = true,
	 .ecn = true},
	{.protocol = 6,
	 .payload_size = 5001,
	 .gso_size = 1000,
	 .option_size = 40,
	 .tcp_flags = 0x98,
	 .partial = true},
	/* Jumbo frames. */
	{.protocol = 6,
	 .payload_size = 62000,
	 .gso_size = 8948,
	 .tcp_option_size = 12,
	 .tcp_flags = 0x18,
	 .partial = true},
	{.ipv6 = true, .protocol = 17, .payload_size = 62000, .gso_size = 8900, .partial = true},
	/* Extension headers, and a sum of zero in the first of two segments. */
	{.ipv6 = true,
	 .protocol = 17,
	 .payload_size = 3000,
	 .option_size = 16,
	 .gso_size = 1400,
	 .partial = true},
	{.protocol = 17, .payload_size = 8, .gso_size = 4, .seed = 92832, .partial = true},
	{.protocol = 17,
	 .payload_size = 9999,
	 .gso_size = 1001,
	 .identification = 9,
	 .partial = true},
	{.ipv6 = true, .protocol = 17, .payload_size = 12000, .gso_size = 1200, .partial = true},
	/* A single frame: nothing to cut. */
	{.protocol = 6, .payload_size = 1000, .gso_size = 1448, .partial = true},
	{.protocol = 6, .payload_size = 1448, .partial = true},
	{.ipv6 = true, .protocol = 6, .payload_size = 1, .partial = true},
	{.protocol = 17, .payload_size = 0, .partial = true},
	{.ipv6 = true, .protocol = 17, .payload_size = 777, .partial = true},
	/* Nothing is offloaded. */
	{.protocol = 6, .payload_size = 1448},
	{.ipv6 = true, .protocol = 17, .payload_size = 333},
};

static void every_port_gets_what_it_takes(void **state)
{
	for (unsigned i = 0; i < COUNT(specs); i++) {
		struct frame_spec spec = specs[i];

		/* A single frame has no GSO left when it leaves. */
		flood(*state, ACCESS, &spec, 0, false);
	}
}

static void tags_go_around_super_packets(void **state)
{
	for (unsigned i = 0; i < COUNT(specs); i++) {
		flood(*state, TRUNK, &specs[i], TRUNK_VID, false);
		flood(*state, TRUNK, &specs[i], 0xb000 | TRUNK_VID, false);
		flood(*state, UPLINK_ALL, &specs[i], UPLINK_VID, false);
	}
}

static void workloads_tags_stay_inside(void **state)
{
	for (unsigned i = 0; i < COUNT(specs); i++) {
		struct frame_spec spec = specs[i];

		for (spec.tags = 1; spec.tags <= 2; spec.tags++) {
			if (spec.payload_size > 65000)
				spec.payload_size = 65000;
			flood(*state, ACCESS, &spec, 0, true);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_port_gets_what_it_takes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tags_go_around_super_packets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(workloads_tags_stay_inside, set_up_transparent,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
