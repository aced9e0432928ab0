/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a packet meets must not depend on what else is in its batch: stages treat runs of packets
 * alike at once. Two switches get the same frames, one a batch at a time and the other one by one;
 * every frame that leaves, and every counter, must be the same.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/ports/port.h"
#include "tests/pipeline/rig.h"
#include "tests/unit/effort.h"
#include "tests/unit/frames.h"

#define ROUNDS	 EFFORT(400u)
#define MACS	 5u /* at each place */
#define TEST_MTU 1500u

/* ACCESS to OTHER are a tenant's workloads, FOREIGN another's. DOWN is a port that is down. */
enum { ACCESS, PLAIN, TRUNK, OTHER, DOWN, UPLINK, FOREIGN, VTEP, PORTS };
enum { WEB, DATA, TRANSPARENT, THEIRS, SEGMENTS };
#define PEERS 6u /* of which the last is of no segment */

struct pair {
	struct rig batched, single;
	uint32_t random;
};

static const uint32_t features[] = {
	[ACCESS] = PORT_CAN_ALL, [PLAIN] = 0,		[TRUNK] = PORT_CAN_CHECKSUM,
	[OTHER] = PORT_CAN_ALL,	 [DOWN] = PORT_CAN_ALL, [UPLINK] = PORT_CAN_ALL,
	[FOREIGN] = 0,
};

static uint32_t below(struct pair *pair, uint32_t bound)
{
	return frame_random(&pair->random) % bound;
}

/* The place's MAC of a number: ports, then peers. */
static void put_mac(uint8_t *mac, uint32_t place, uint32_t number)
{
	const uint8_t address[6] = {0x02, 0, 0, 0, (uint8_t)place, (uint8_t)number};

	memcpy(mac, address, sizeof(address));
}

static void learn(struct rig *rig, uint32_t segment, uint32_t place, uint32_t destination)
{
	uint8_t mac[6];

	for (uint32_t i = 0; i < MACS; i++) {
		put_mac(mac, place, i);
		fdb_learn(rig->shared.fdb, fdb_key(segment, mac), destination, rig->seconds);
	}
}

static void make_ports(struct rig *rig)
{
	static const struct {
		uint32_t port, segment;
		uint16_t vid;
	} members[] = {
		{ACCESS, WEB, 0},	  {PLAIN, WEB, 0},	   {TRUNK, WEB, 10},
		{TRUNK, DATA, 11},	  {OTHER, DATA, 0},	   {DOWN, WEB, 0},
		{UPLINK, WEB, 100},	  {UPLINK, DATA, 101},	   {UPLINK, THEIRS, 102},
		{UPLINK, TRANSPARENT, 0}, {TRUNK, TRANSPARENT, 0}, {FOREIGN, THEIRS, 0},
	};

	for (uint32_t port = ACCESS; port < VTEP; port++)
		rig_port(rig, port, port == UPLINK ? RIG_UPLINK : port == FOREIGN, features[port]);
	for (unsigned i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		rig_member(rig, members[i].port, members[i].segment, members[i].vid);
		learn(rig, members[i].segment, members[i].port, FDB_TO_PORT | members[i].port);
	}
	rig_port_admin(rig, DOWN, false);
}

static void make_switch(struct rig *rig)
{
	rig_init(rig);
	rig_tenant(rig, 0);
	rig_tenant(rig, 1);
	rig_segment(rig, WEB, 0, 5001, TEST_MTU, 0);
	rig_segment(rig, DATA, 0, 5002, TEST_MTU, 0);
	rig_segment(rig, TRANSPARENT, 0, 0, TEST_MTU, PROTO_SEGMENT_VLAN_TRANSPARENT);
	rig_segment(rig, THEIRS, 1, 5003, TEST_MTU, 0);
	make_ports(rig);
	rig_vtep(rig, VTEP);
	for (uint32_t peer = 0; peer < PEERS; peer++) {
		uint32_t segment = peer == PEERS - 1 ? THEIRS : peer % 2;

		rig_peer(rig, peer, segment);
		learn(rig, segment, PORTS + peer, FDB_TO_PEER | peer);
	}
	rig_commit(rig);
}

static int set_up(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	make_switch(&pair->batched);
	make_switch(&pair->single);
	pair->random = 4711;
	*state = pair;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *pair = *state;

	rig_fini(&pair->batched);
	rig_fini(&pair->single);
	free(pair);
	return 0;
}

static void put_tag(struct frame *frame, uint16_t tci)
{
	memmove(frame->octets + 16, frame->octets + 12, frame->size - 12);
	frame_put16(frame->octets + 12, 0x8100);
	frame_put16(frame->octets + 14, tci);
	frame->size += 4;
	if (frame->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		frame->offload.csum_start += 4;
}

/* A frame that comes in at the port: mostly to and from what is known there, often as before. */
static void make_frame(struct pair *pair, uint32_t port, bool oversize, struct frame *frame)
{
	static const uint16_t vids[] = {10, 11, 100, 101, 102, 0, 10, 100, 77, 0x0fff};
	uint32_t kind = below(pair, 16), place = below(pair, PORTS + PEERS);
	struct frame_spec spec = {
		.protocol = kind < 8 ? 6 : 17,
		.ipv6 = kind % 4 == 3,
		.payload_size = below(pair, 60),
		.partial = kind % 4 == 2,
		.tags = kind == 15,
		.option_size = below(pair, 8) == 0 ? 8 : 0,
	};

	if (kind < 2) {
		spec.payload_size = 1000 + below(pair, 4000);
		spec.gso_size = (uint16_t)(100 + below(pair, 1300));
		spec.partial = true;
	} else if (kind == 2 && oversize) {
		spec.payload_size = 2000;
	}
	frame_build(frame, &spec);
	put_mac(frame->octets, place, below(pair, MACS));
	put_mac(frame->octets + 6, port, below(pair, MACS));
	if (below(pair, 12) == 0)
		memset(frame->octets, 0xff, 6);
	if (below(pair, 40) == 0)
		memcpy(frame->octets, "\x01\x80\xc2\x00\x00\x02", 6);
	if (below(pair, 40) == 0)
		frame->octets[6] |= 1;
	if (port == TRUNK || port == UPLINK || below(pair, 20) == 0)
		put_tag(frame, vids[below(pair, 10)]);
	if (below(pair, 60) == 0)
		frame->size = below(pair, 40);
}

static void inject(struct rig *rig, uint32_t port, const struct frame *frame)
{
	rig_inject(rig, port, &frame->offload, frame->octets, frame->size);
}

static void inject_overlay(struct rig *rig, uint32_t peer, uint32_t vni, const struct frame *frame)
{
	const uint8_t address[4] = {192, 0, 2, (uint8_t)(1 + peer)};
	uint32_t source;

	memcpy(&source, address, sizeof(source));
	assert_int_equal(memory_inject_overlay(rig->shared.config->ports[VTEP].port, source, vni, 0,
					       frame->octets, frame->size),
			 0);
}

/* Gives both switches the same batch of frames at one port. */
static void send_batch(struct pair *pair, uint32_t port, bool oversize)
{
	static struct frame frame; /* too large for a stack */
	uint32_t count = 1 + below(pair, BATCH_SIZE);
	uint32_t peer = 0, vni = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (i == 0 || below(pair, 3) == 0) {
			peer = below(pair, PEERS + 1);
			vni = 5001 + below(pair, 4);
			make_frame(pair, port == VTEP ? PORTS + peer : port, oversize, &frame);
		}
		if (port == VTEP) {
			inject_overlay(&pair->batched, peer, vni, &frame);
			inject_overlay(&pair->single, peer, vni, &frame);
		} else {
			inject(&pair->batched, port, &frame);
			inject(&pair->single, port, &frame);
		}
		rig_receive(&pair->single, port);
	}
	rig_receive(&pair->batched, port);
}

static void compare_frames(struct pair *pair)
{
	for (uint32_t port = 0; port < PORTS; port++) {
		struct memory_frame *batched, *single;

		while ((single = rig_collect(&pair->single, port)) != NULL) {
			batched = rig_collect(&pair->batched, port);
			assert_non_null(batched);
			assert_int_equal(batched->size, single->size);
			assert_memory_equal(batched->data, single->data, single->size);
			assert_memory_equal(&batched->offload, &single->offload,
					    sizeof(single->offload));
			assert_int_equal(batched->peer, single->peer);
			assert_int_equal(batched->vni, single->vni);
			assert_int_equal(batched->flow_hash, single->flow_hash);
			free(batched);
			free(single);
		}
		assert_null(rig_collect(&pair->batched, port));
	}
}

static void compare_counters(const struct pair *pair)
{
	const struct stats_worker *batched = &pair->batched.shared.stats->workers[0];
	const struct stats_worker *single = &pair->single.shared.stats->workers[0];

	assert_memory_equal(batched->ports, single->ports, PORTS * sizeof(single->ports[0]));
	assert_memory_equal(batched->segments, single->segments,
			    SEGMENTS * sizeof(single->segments[0]));
	assert_memory_equal(batched->tenants, single->tenants, 2 * sizeof(single->tenants[0]));
	rig_check(&pair->batched);
	rig_check(&pair->single);
}

static void advance(struct pair *pair, uint64_t ns)
{
	rig_advance(&pair->batched, ns);
	rig_advance(&pair->single, ns);
}

static void set_rate(struct pair *pair, enum shaper_kind kind, uint32_t index, uint64_t rate)
{
	rig_rate(&pair->batched, kind, index, rate);
	rig_rate(&pair->single, kind, index, rate);
}

static void batches_are_as_single_packets(void **state)
{
	struct pair *pair = *state;

	for (unsigned round = 0; round < ROUNDS; round++) {
		send_batch(pair, below(pair, PORTS), true);
		compare_frames(pair);
		compare_counters(pair);
		advance(pair, 1000000);
	}
	/* All kinds of ways were gone. */
	for (uint32_t port = 0; port < PORTS; port++)
		assert_int_equal(pair->single.shared.stats->workers[0].ports[port].tx_packets != 0,
				 port != DOWN);
}

/* Changes one octet of a frame's headers, its size, or its offload state. */
static void vary(struct pair *pair, struct frame *frame)
{
	uint8_t *offload = (uint8_t *)&frame->offload;
	uint32_t octet = below(pair, 60);

	switch (below(pair, 16)) {
	case 0:
		offload[below(pair, sizeof(frame->offload))] ^= (uint8_t)(1u << below(pair, 8));
		break;
	case 1:
		frame->size -= frame->size < 8 ? 0 : 1 + below(pair, 8);
		break;
	default:
		/*
		 * All that stages read of a frame without a tag, and some octets more; but not the
		 * source's place, since a batch learns all of its MACs before it looks up any.
		 */
		if (octet != 10)
			frame->octets[octet] ^= (uint8_t)(1u << below(pair, 8));
		break;
	}
}

/* Frames that differ in one place follow each other: what they meet may differ, too. */
static void nearly_alike_packets_are_told_apart(void **state)
{
	static struct frame frame, varied; /* too large for a stack */
	struct pair *pair = *state;

	for (unsigned round = 0; round < 20 * ROUNDS; round++) {
		uint32_t port = below(pair, 2) == 0 ? ACCESS : OTHER;

		make_frame(pair, port, true, &frame);
		/* The frame, and the same variant twice. */
		for (unsigned i = 0; i < 6; i++) {
			if (i % 3 != 2)
				varied = frame;
			if (i % 3 == 1)
				vary(pair, &varied);
			inject(&pair->batched, port, &varied);
			inject(&pair->single, port, &varied);
			rig_receive(&pair->single, port);
		}
		rig_receive(&pair->batched, port);
		compare_frames(pair);
		compare_counters(pair);
		advance(pair, 1000000);
	}
}

/* Changes what tells the flows of a run apart, or what keeps a frame out. */
static void change_flow(struct pair *pair, uint32_t port, bool flood, struct frame *frame)
{
	static const uint32_t from_access[] = {PLAIN, TRUNK, UPLINK, DOWN, ACCESS, PORTS + 2};
	static const uint32_t from_other[] = {TRUNK, UPLINK, PORTS + 1, OTHER, PORTS + 3, TRUNK};
	const uint32_t *known = port == ACCESS ? from_access : from_other;

	switch (below(pair, 12)) {
	case 0:
		if (flood)
			memset(frame->octets, 0xff, 6);
		break;
	case 1:
		memcpy(frame->octets, "\x01\x80\xc2\x00\x00\x0e", 6);
		break;
	case 2:
		frame->octets[6] ^= 1;
		break;
	case 3:
		memset(frame->octets + 6, 0, 6);
		break;
	case 4:
		put_mac(frame->octets + 6, port, below(pair, MACS));
		break;
	case 5:
	case 6:
		/* IPv4 addresses. */
		frame->octets[26 + below(pair, 8)] ^= (uint8_t)(1 + below(pair, 255));
		break;
	case 7:
		/* Ports. */
		frame->octets[34 + below(pair, 4)] ^= (uint8_t)(1 + below(pair, 255));
		break;
	default:
		put_mac(frame->octets, flood ? below(pair, PORTS + PEERS) : known[below(pair, 6)],
			below(pair, MACS));
		break;
	}
}

/* A batch of frames that are alike but for addresses and ports, some of which cannot pass. */
static void flows_of_a_run_are_told_apart(void **state)
{
	static const uint8_t protocols[] = {6, 17, 1};
	static struct frame base, frame; /* too large for a stack */
	struct pair *pair = *state;

	for (unsigned round = 0; round < 5 * ROUNDS; round++) {
		uint32_t port = below(pair, 2) == 0 ? ACCESS : OTHER;
		/* What is flooded is no run any more. */
		bool flood = below(pair, 3) == 0;
		struct frame_spec spec = {
			.protocol = protocols[below(pair, 3)],
			.payload_size = 30 + below(pair, 30),
			.fragment = below(pair, 4) == 0 ? 0x2000 : 0,
		};

		spec.partial = spec.protocol != 1 && spec.fragment == 0 && below(pair, 2) == 0;
		frame_build(&base, &spec);
		put_mac(base.octets, UPLINK, below(pair, MACS));
		put_mac(base.octets + 6, port, below(pair, MACS));
		frame = base;
		for (unsigned i = 0; i < BATCH_SIZE; i++) {
			if (below(pair, 4) == 0)
				frame = base;
			if (below(pair, 3) != 0)
				change_flow(pair, port, flood, &frame);
			inject(&pair->batched, port, &frame);
			inject(&pair->single, port, &frame);
			rig_receive(&pair->single, port);
		}
		rig_receive(&pair->batched, port);
		compare_frames(pair);
		compare_counters(pair);
		advance(pair, 1000000);
	}
}

/* Some gates have a rate: what passes, waits and is dropped there is the same as well. */
static void limited_batches_are_as_single_packets(void **state)
{
	struct pair *pair = *state;

	for (unsigned round = 0; round < ROUNDS; round++) {
		enum shaper_kind kind = below(pair, SHAPER_KIND_COUNT);
		bool tenant = kind == SHAPER_TENANT_SEND || kind == SHAPER_TENANT_RECEIVE;
		uint32_t index = tenant ? below(pair, 2) : below(pair, VTEP);
		uint64_t rate = 1000000 + below(pair, 100000000);

		set_rate(pair, kind, index, rate);
		send_batch(pair, below(pair, PORTS), false);
		if (below(pair, 3) == 0)
			send_batch(pair, below(pair, PORTS), false);
		compare_counters(pair);
		set_rate(pair, kind, index, 0);
		for (unsigned i = 0; i < 10; i++)
			advance(pair, 100000000);
		compare_frames(pair);
		compare_counters(pair);
	}
}

#define WAITING 8u /* of each port */

/*
 * What waited at a tenant's gate comes from many ports and goes on in one batch. Packets of two
 * ports to the same MAC take turns: it is where the one came in, which gets nothing back.
 */
static void packets_that_waited_go_their_own_way(void **state)
{
	static struct frame frame; /* too large for a stack */
	struct pair *pair = *state;
	struct rig *rig = &pair->batched;
	struct memory_frame *sent;
	unsigned received = 0;

	frame_build(&frame, &(struct frame_spec){.protocol = 17, .payload_size = 1000});
	put_mac(frame.octets, ACCESS, 0);
	rig_rate(rig, SHAPER_TENANT_SEND, 0, 8000);
	for (unsigned i = 0; i < 2 * WAITING; i++) {
		uint32_t port = i % 2 == 0 ? ACCESS : PLAIN;

		put_mac(frame.octets + 6, port, 1);
		/* Each is a flow of its own, so that they take turns at the gate. */
		frame.octets[29] = (uint8_t)i;
		inject(rig, port, &frame);
		rig_receive(rig, port);
	}
	rig_rate(rig, SHAPER_TENANT_SEND, 0, 0);
	for (unsigned i = 0; i < 10; i++)
		rig_advance(rig, 100000000);
	for (; (sent = rig_collect(rig, ACCESS)) != NULL; received++)
		free(sent);
	assert_int_equal(received, WAITING);
	assert_int_equal(rig_drops(rig, ACCESS, DROP_SAME_PORT), WAITING);
	assert_int_equal(rig_all_drops(rig, PLAIN), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(batches_are_as_single_packets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nearly_alike_packets_are_told_apart, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(flows_of_a_run_are_told_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limited_batches_are_as_single_packets, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(packets_that_waited_go_their_own_way, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
