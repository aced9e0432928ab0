/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Super-packets in the shaper, and what becomes of packets that wait when their objects go. Ends
 * with everything at random, counted at every step.
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

#define MS   1000000ull
#define MBIT 1000000ull
#define TYPE 0x88b5u

/* Tenant 0's ports are in segment 0; SPARE joins and leaves. */
enum { A, B, C, UPLINK, SPARE, PORTS };

static const enum shaper_kind kinds[] = {SHAPER_PORT_SEND, SHAPER_TENANT_SEND,
					 SHAPER_TENANT_RECEIVE, SHAPER_PORT_RECEIVE};

static struct frame super; /* too large for a stack */

static void add_port(struct rig *rig, uint32_t port)
{
	rig_port(rig, port, port == UPLINK ? RIG_UPLINK : 0, PORT_CAN_ALL);
	rig_member(rig, port, 0, port == UPLINK ? 100 : 0);
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig_init(rig);
	rig_tenant(rig, 0);
	rig_segment(rig, 0, 0, 0, 1500, 0);
	for (uint32_t i = A; i <= UPLINK; i++)
		add_port(rig, i);
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

static struct stats_port *stats_of(struct rig *rig, uint32_t port)
{
	return &rig->worker.stats->ports[port];
}

static void discard(struct rig *rig)
{
	for (uint32_t port = A; port < rig->shared.config->port_count; port++) {
		struct memory_frame *out;

		if (rig->shared.config->ports[port].port == NULL)
			continue;
		while ((out = rig_collect(rig, port)) != NULL)
			free(out);
	}
}

/* An index for the gate of this kind that a packet from A to B passes. */
static uint32_t gate_index(enum shaper_kind kind)
{
	if (kind == SHAPER_PORT_SEND)
		return A;
	return kind == SHAPER_PORT_RECEIVE ? B : 0;
}

static uint32_t wire_size_of(const struct memory_frame *frame)
{
	uint32_t payload = (uint32_t)frame->size - super.payload, count = 1;

	if (frame->offload.gso_size != 0)
		count = (payload + frame->offload.gso_size - 1) / frame->offload.gso_size;
	return count * super.payload + payload;
}

/*
 * Takes what left by B: pieces of `super` in order, from *offset on, none larger than 1 ms or one
 * frame. Returns the octets of the last one.
 */
static uint32_t collect_pieces(struct rig *rig, uint32_t *offset, uint64_t quantum)
{
	struct memory_frame *out;
	uint32_t last = 0;

	while ((out = rig_collect(rig, B)) != NULL) {
		uint32_t payload = (uint32_t)out->size - super.payload;

		last = wire_size_of(out);
		assert_int_equal(frame_get32(out->data + super.l4 + 4), *offset);
		assert_memory_equal(out->data + super.payload,
				    super.octets + super.payload + *offset, payload);
		assert_true(out->offload.gso_size == 0 || last <= quantum);
		assert_true(out->offload.gso_size != 0 || payload <= super.offload.gso_size);
		*offset += payload;
		free(out);
	}
	return last;
}

/* At a gate without credit: pieces of a millisecond, each frame charged with its headers. */
static void cuts(struct rig *rig, enum shaper_kind kind, uint64_t rate,
		 const struct frame_spec *spec)
{
	uint32_t frames = (spec->payload_size + spec->gso_size - 1) / spec->gso_size;
	uint32_t offset = 0, last, wire, copies = 2 * frames;
	struct stats_tenant before = rig->worker.stats->tenants[0], *tenant;
	uint64_t ns = 0, expected;

	frame_build(&super, spec);
	wire = frames * super.payload + spec->payload_size;
	rig_rate(rig, kind, gate_index(kind), rate);
	rig_send_offload(rig, A, &super.offload, super.octets, super.size);
	for (last = collect_pieces(rig, &offset, rate / 8000); offset < spec->payload_size;
	     ns += 8192) {
		rig_advance(rig, 8192);
		last = collect_pieces(rig, &offset, rate / 8000);
		rig_check(rig);
		assert_true(ns < 100 * MS);
	}
	assert_int_equal(offset, spec->payload_size);
	expected = (uint64_t)(wire - last) * 8 * 1000000000 / rate;
	if (kind == SHAPER_TENANT_RECEIVE)
		expected = ns; /* shared with the copy for C */
	assert_in_range(ns, expected, expected + 3 * 8192);
	for (unsigned ms = 0; ms < 60; ms++)
		rig_advance(rig, MS);
	tenant = &rig->worker.stats->tenants[0];
	assert_int_equal(tenant->send_packets - before.send_packets, frames);
	assert_int_equal(tenant->send_bytes - before.send_bytes, wire);
	assert_int_equal(tenant->receive_packets - before.receive_packets, copies);
	assert_int_equal(tenant->receive_bytes - before.receive_bytes, 2 * wire);
	assert_int_equal(stats_of(rig, A)->queued, 0);
	assert_int_equal(rig_all_drops(rig, A), 0);
	rig_rate(rig, kind, gate_index(kind), 0);
	discard(rig);
}

static void cuts_super_packets(void **state)
{
	static const uint64_t rates[] = {300 * MBIT, 100 * MBIT, 33 * MBIT, 12 * MBIT, 9 * MBIT};
	/* The last frames have other sizes than the rest. */
	static const struct frame_spec specs[] = {
		{.protocol = 6, .partial = true, .gso_size = 1448, .payload_size = 12 * 1448},
		{.protocol = 6, .partial = true, .gso_size = 1448, .payload_size = 2 * 1448 + 1},
		{.protocol = 6, .partial = true, .gso_size = 536, .payload_size = 31 * 536 + 7},
		{.protocol = 6,
		 .partial = true,
		 .gso_size = 1000,
		 .payload_size = 12345,
		 .ipv6 = true},
	};

	for (unsigned i = 0; i < 4; i++) {
		for (unsigned j = 0; j < 5; j++) {
			for (unsigned k = 0; k < 4; k++)
				cuts(*state, kinds[i], rates[j], &specs[k]);
		}
	}
}

/* A workload's own tag is on the wire of every frame, also when it is cut. */
static void charges_the_workloads_tag(void **state)
{
	struct frame_spec spec = {
		.protocol = 6, .partial = true, .gso_size = 1000, .payload_size = 10000, .tags = 1};
	struct rig *rig = *state;
	uint32_t wire = 10 * 58 + 10000;

	rig_segment(rig, 0, 0, 0, 1500, PROTO_SEGMENT_VLAN_TRANSPARENT);
	rig_commit(rig);
	frame_build(&super, &spec);
	rig_rate(rig, SHAPER_PORT_SEND, A, 100 * MBIT / 4);
	rig_send_offload(rig, A, &super.offload, super.octets, super.size);
	for (unsigned ms = 0; ms < 10; ms++)
		rig_advance(rig, MS);
	assert_int_equal(rig->worker.stats->tenants[0].send_bytes, wire);
	assert_int_equal(stats_of(rig, B)->tx_packets, 10);
	assert_int_equal(stats_of(rig, B)->tx_bytes, wire);
	assert_int_equal(stats_of(rig, UPLINK)->tx_bytes, wire + 10 * 4);
	discard(rig);
}

/* Lets 20 frames from A flood into a gate where they wait. Returns how many copies wait. */
static uint64_t fill(struct rig *rig, enum shaper_kind kind)
{
	uint8_t frame[1000];
	size_t size = rig_frame(frame, sizeof(frame), 0xffffffffffffull, 0x020000000001ull, TYPE);
	uint64_t queued;

	rig_rate(rig, kind, gate_index(kind), 8 * MBIT);
	for (unsigned i = 0; i < 20; i++)
		rig_send(rig, A, frame, size);
	queued = stats_of(rig, A)->queued;
	assert_in_range(queued, 10, 40);
	discard(rig);
	rig_check(rig);
	return queued;
}

/* What waited comes out of a gate that is open, as a removal leaves it. */
static void open_gate(struct rig *rig, enum shaper_kind kind)
{
	rig_rate(rig, kind, gate_index(kind), 0);
	rig_advance(rig, 10 * MS);
	rig_check(rig);
}

static void drops_for_a_port_out_that_goes(void **state)
{
	struct rig *rig = *state;
	uint64_t queued = fill(rig, SHAPER_PORT_RECEIVE);

	rig_remove_port(rig, B);
	rig_commit(rig);
	open_gate(rig, SHAPER_PORT_RECEIVE);
	assert_int_equal(stats_of(rig, A)->queued, 0);
	assert_int_equal(rig_drops(rig, A, DROP_PORT_GONE), queued);
	assert_int_equal(rig->worker.stats->tenants[0].drops[DROP_PORT_GONE], queued);
	rig_expect_nothing(rig);
}

/* The counters of a port that is gone stay as they were; its segment's and tenant's go on. */
static void drops_for_a_port_in_that_goes(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct rig *rig = *state;
		uint64_t queued = fill(rig, kinds[i]);
		struct stats_segment *segment = &rig->worker.stats->segments[0];
		uint64_t dropped = segment->drops[DROP_PORT_GONE];

		rig_remove_port(rig, A);
		rig_commit(rig);
		open_gate(rig, kinds[i]);
		assert_int_equal(segment->drops[DROP_PORT_GONE] - dropped, queued);
		rig_expect_nothing(rig);
		assert_int_equal(stats_of(rig, A)->queued, queued);
		memset(stats_of(rig, A), 0, sizeof(struct stats_port));
		add_port(rig, A);
		rig_commit(rig);
	}
}

static void drops_for_a_segment_that_goes(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct rig *rig = *state;
		uint64_t queued = fill(rig, kinds[i]), dropped = rig_drops(rig, A, DROP_PORT_GONE);
		struct proto_member member = {.segment = {0, 1000}};

		/* The ports go into another segment. */
		rig_segment(rig, 1, 0, 0, 1500, 0);
		for (uint32_t port = A; port <= UPLINK; port++) {
			member.port = (struct proto_ref){port, 1000 + port};
			assert_int_equal(config_del_member(rig->config, &member), 0);
			rig_member(rig, port, 1, 0);
		}
		rig_remove_segment(rig, 0);
		rig_commit(rig);
		open_gate(rig, kinds[i]);
		assert_int_equal(stats_of(rig, A)->queued, 0);
		assert_int_equal(rig_drops(rig, A, DROP_PORT_GONE) - dropped, queued);
		rig_expect_nothing(rig);

		rig_segment(rig, 0, 0, 0, 1500, 0);
		for (uint32_t port = A; port <= UPLINK; port++) {
			rig_member(rig, port, 0, port == UPLINK ? 100 : 0);
			member.port = (struct proto_ref){port, 1000 + port};
			member.segment = (struct proto_ref){1, 1001};
			assert_int_equal(config_del_member(rig->config, &member), 0);
		}
		rig_remove_segment(rig, 1);
		rig_commit(rig);
	}
}

/* B leaves the segment and stays: nothing of it leaves by B. */
static void drops_for_a_member_that_leaves(void **state)
{
	struct rig *rig = *state;
	uint64_t queued = fill(rig, SHAPER_PORT_RECEIVE);
	struct proto_member member = {.port = {B, 1000 + B}, .segment = {0, 1000}};

	rig_segment(rig, 1, 0, 0, 1500, 0);
	assert_int_equal(config_del_member(rig->config, &member), 0);
	rig_member(rig, B, 1, 0);
	rig_commit(rig);
	open_gate(rig, SHAPER_PORT_RECEIVE);
	assert_int_equal(stats_of(rig, A)->queued, 0);
	assert_int_equal(rig_drops(rig, A, DROP_NO_MEMBER), queued);
	rig_expect_nothing(rig);
}

static void drops_for_a_tenant_that_goes(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct rig *rig = *state;

		fill(rig, kinds[i]);
		for (uint32_t port = A; port <= UPLINK; port++)
			rig_remove_port(rig, port);
		rig_remove_segment(rig, 0);
		rig_remove_tenant(rig, 0);
		rig_commit(rig);
		open_gate(rig, kinds[i]);
		assert_int_equal(packet_pool_in_use(rig->worker.pool),
				 receiver_held(&rig->worker.receiver));

		memset(rig->worker.stats->ports, 0, PORTS * sizeof(struct stats_port));
		rig_tenant(rig, 0);
		rig_segment(rig, 0, 0, 0, 1500, 0);
		for (uint32_t port = A; port <= UPLINK; port++)
			add_port(rig, port);
		rig_commit(rig);
	}
}

/* A worker that ends gives everything back, and says what it lost. */
static void counts_what_a_restart_loses(void **state)
{
	struct rig *rig = *state;
	uint64_t queued = fill(rig, SHAPER_TENANT_SEND);

	struct stats_channel *send = &rig->worker.stats->tenants[0].send;

	assert_int_equal(send->queued_packets, queued);
	worker_fini(&rig->worker);
	assert_int_equal(send->queued_packets + send->queued_bytes, 0);
	assert_int_equal(send->dropped_packets, queued);
	assert_int_equal(stats_of(rig, A)->queued, 0);
	assert_int_equal(rig_drops(rig, A, DROP_RESTART), queued);
	assert_int_equal(worker_init(&rig->worker, 0, &rig->shared), 0);
}

static uint64_t random_rate(uint32_t *random)
{
	static const uint64_t rates[] = {0, 8000, MBIT, 5 * MBIT, 50 * MBIT, 1000 * MBIT};

	return rates[frame_random(random) % 6];
}

/* Limits of a gate, a capacity, or a tenant's overhead. */
static void change_limits(struct rig *rig, uint32_t *random)
{
	uint32_t index = frame_random(random) % PORTS;
	struct shaper_limits limits = {
		.rate = random_rate(random),
		.min = random_rate(random),
		.burst = frame_random(random) % 2 == 0 ? 0 : frame_random(random) % 100000,
		.weight = frame_random(random) % 4,
	};

	switch (frame_random(random) % 8) {
	case 0:
		rig_capacity(rig, kinds[1 + *random % 2], random_rate(random));
		break;
	case 1:
		rig_tenant_overhead(rig, 0, PROTO_OVERHEAD_MIN + (int32_t)(*random % 200));
		rig_commit(rig);
		break;
	case 2:
	case 3:
		rig_limit(rig, kinds[1 + *random % 2], index % 2, &limits);
		break;
	default:
		rig_rate(rig, kinds[*random % 4], index, limits.rate);
		break;
	}
}

static void change_something(struct rig *rig, uint32_t *random)
{
	bool there = rig->shared.config->port_count > SPARE &&
		     rig->shared.config->ports[SPARE].incarnation != 0;

	if (frame_random(random) % 8 != 0) {
		change_limits(rig, random);
		return;
	}
	if (there) {
		rig_remove_port(rig, SPARE);
	} else {
		/* Another port than before, and often of the other tenant. */
		uint32_t tenant = frame_random(random) % 2;

		memset(stats_of(rig, SPARE), 0, sizeof(struct stats_port));
		rig->life += 1000;
		rig_port(rig, SPARE, tenant, PORT_CAN_ALL);
		rig_member(rig, SPARE, tenant == 0 ? 0 : 2, 0);
	}
	rig_commit(rig);
}

/* Anything that can happen, in any order. */
static void adds_up_at_every_step(void **state)
{
	struct rig *rig = *state;
	uint32_t random = 99;

	rig_tenant(rig, 1);
	rig_segment(rig, 2, 1, 0, 1500, 0);
	rig_commit(rig);

	for (unsigned round = 0; round < EFFORT(20000); round++) {
		struct frame_spec spec = {.protocol = frame_random(&random) & 1 ? 6 : 17,
					  .ipv6 = frame_random(&random) & 1,
					  .payload_size = frame_random(&random) % 1400};
		uint32_t port = frame_random(&random) % PORTS;

		if (port == UPLINK || port >= rig->shared.config->port_count ||
		    rig->shared.config->ports[port].incarnation == 0)
			port = A;
		if (frame_random(&random) % 4 == 0) {
			spec.partial = true;
			spec.gso_size = (uint16_t)(200 + frame_random(&random) % 1200);
			spec.payload_size = frame_random(&random) % 40000;
		}
		frame_build(&super, &spec);
		super.octets[5] = (uint8_t)(10 + frame_random(&random) % 4);
		super.octets[11] = (uint8_t)(10 + port);
		rig_send_offload(rig, port, &super.offload, super.octets, super.size);
		rig_check(rig);
		if (frame_random(&random) % 3 == 0)
			rig_advance(rig, frame_random(&random) % (2 * MS));
		if (frame_random(&random) % 50 == 0)
			change_something(rig, &random);
		discard(rig);
		rig_check(rig);
	}
	rig_capacity(rig, SHAPER_TENANT_SEND, 0);
	rig_capacity(rig, SHAPER_TENANT_RECEIVE, 0);
	for (unsigned i = 0; i < 4 * PORTS; i++)
		rig_rate(rig, kinds[i % 4], i / 4, 0);
	for (unsigned ms = 0; ms < 50; ms++)
		rig_advance(rig, MS);
	for (uint32_t port = A; port <= UPLINK; port++)
		assert_int_equal(stats_of(rig, port)->queued, 0);
	discard(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(cuts_super_packets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(charges_the_workloads_tag, set_up, tear_down),
		cmocka_unit_test_setup_teardown(drops_for_a_port_out_that_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(drops_for_a_port_in_that_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(drops_for_a_segment_that_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(drops_for_a_member_that_leaves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(drops_for_a_tenant_that_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts_what_a_restart_loses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(adds_up_at_every_step, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
