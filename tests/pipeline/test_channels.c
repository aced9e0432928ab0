/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A tenant's channels: what its gates charge for a frame, what is counted there, and whose packets
 * make room or are told of congestion.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/ports/port.h"
#include "tests/pipeline/rig.h"
#include "tests/unit/frames.h"

#define MS     1000000ull
#define SECOND 1000000000ull
#define MBIT   1000000ull
#define MAC_B  0x020000000001ull /* where frame_build() sends to */
#define MAC_A  0x020000000002ull
#define TYPE   0x88b5u

/* Tenant 0 has A, B and C in segment 0, tenant 1 has THEIRS in segment 1; SPARE changes hands. */
enum { A, B, C, THEIRS, SPARE, PORTS };

static struct frame frame; /* too large for a stack */

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

static void make_known(struct rig *rig, uint32_t port, uint64_t mac)
{
	uint8_t octets[60];

	rig_send(rig, port, octets, rig_frame(octets, 60, 0xffffffffffffull, mac, TYPE));
	discard(rig);
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig_init(rig);
	rig_tenant(rig, 0);
	rig_tenant(rig, 1);
	rig_segment(rig, 0, 0, 0, 1500, 0);
	rig_segment(rig, 1, 1, 0, 1500, 0);
	for (uint32_t port = A; port <= THEIRS; port++) {
		rig_port(rig, port, port == THEIRS, PORT_CAN_ALL);
		rig_member(rig, port, port == THEIRS, 0);
	}
	rig_commit(rig);
	make_known(rig, B, MAC_B);
	make_known(rig, A, MAC_A);
	memset(rig->worker.stats->tenants, 0, 2 * sizeof(struct stats_tenant));
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

static struct stats_tenant *tenant_of(struct rig *rig, uint32_t tenant)
{
	return &rig->worker.stats->tenants[tenant];
}

static uint64_t queued(struct rig *rig, uint32_t port)
{
	return rig->worker.stats->ports[port].queued;
}

static void send_built(struct rig *rig, uint32_t port, const struct frame_spec *spec)
{
	frame_build(&frame, spec);
	if (port != A)
		frame.octets[11] = (uint8_t)(0x10 + port);
	rig_send_offload(rig, port, &frame.offload, frame.octets, frame.size);
}

/* A has always more to send. Returns how many frames left by B in a second. */
static uint64_t frames_in_a_second(struct rig *rig, const struct frame_spec *spec)
{
	uint64_t end, before;

	while (queued(rig, A) < 12)
		send_built(rig, A, spec);
	rig_advance(rig, 50 * MS);
	before = rig->worker.stats->ports[B].tx_packets;
	for (end = rig->now + SECOND; rig->now < end;) {
		while (queued(rig, A) < 12)
			send_built(rig, A, spec);
		rig_advance(rig, 500000);
		discard(rig);
	}
	rig_check(rig);
	assert_int_equal(rig_all_drops(rig, A), 0);
	return rig->worker.stats->ports[B].tx_packets - before;
}

/* Frames alone and as super-packets, which are cut, and of which the last may be smaller. */
static void charges_an_overhead(void **state)
{
	static const int32_t overheads[] = {0, 24, -14, 1024, -64};
	static const struct {
		enum shaper_kind kind;
		uint32_t index;
	} gates[] = {{SHAPER_TENANT_SEND, 0}, {SHAPER_TENANT_RECEIVE, 0}, {SHAPER_PORT_SEND, A}};
	static const struct {
		struct frame_spec spec;
		uint32_t octets, frames; /* on the wire */
	} rows[] = {
		{{.protocol = 17, .payload_size = 958}, 1000, 1},
		{{.protocol = 6, .partial = true, .gso_size = 946, .payload_size = 9460},
		 10000,
		 10},
		{{.protocol = 6, .partial = true, .gso_size = 1446, .payload_size = 7240},
		 6 * 54 + 7240,
		 6},
	};

	for (unsigned i = 0; i < 5; i++) {
		for (unsigned j = 0; j < 3; j++) {
			for (unsigned k = 0; k < 3; k++) {
				struct rig *rig = *state;
				uint64_t cost, frames, expected;

				rig_tenant_overhead(rig, 0, overheads[i]);
				rig_commit(rig);
				rig_rate(rig, gates[k].kind, gates[k].index, 8 * MBIT);
				frames = frames_in_a_second(rig, &rows[j].spec);
				cost = (uint64_t)((int64_t)rows[j].octets +
						  (int64_t)rows[j].frames * overheads[i]);
				expected = MBIT * rows[j].frames / cost;
				assert_in_range(frames, expected - 6, expected + 6);
				rig_rate(rig, gates[k].kind, gates[k].index, 0);
				rig_advance(rig, MS);
				discard(rig);
			}
		}
	}
}

/* However much is taken off, a frame costs something. */
static void charges_an_octet_at_least(void **state)
{
	struct rig *rig = *state;
	uint8_t octets[60];

	rig_tenant_overhead(rig, 0, PROTO_OVERHEAD_MIN);
	rig_commit(rig);
	rig_rate(rig, SHAPER_TENANT_SEND, 0, 8000);
	rig_frame(octets, sizeof(octets), MAC_B, MAC_A, TYPE);
	for (unsigned i = 0; i < 100; i++)
		rig_send(rig, A, octets, sizeof(octets));
	discard(rig);
	/* A millisecond for each. */
	assert_int_equal(queued(rig, A), 99);
	for (unsigned ms = 0; ms < 50; ms++)
		rig_advance(rig, MS);
	assert_in_range(queued(rig, A), 48, 50);
	rig_check(rig);
}

/* What is offered is the wire's octets; an overhead is charged but not counted. */
static void counts_what_became_of_it(void **state)
{
	struct rig *rig = *state;
	struct stats_channel *send = &tenant_of(rig, 0)->send;
	uint64_t delays[STATS_DELAYS] = {5}, waiting;
	uint8_t octets[1238];

	rig_tenant_overhead(rig, 0, 12);
	rig_commit(rig);
	rig_frame(octets, sizeof(octets), MAC_B, MAC_A, TYPE);
	/* Nothing is counted where there is no limit. */
	rig_send(rig, A, octets, sizeof(octets));
	assert_int_equal(send->offered_packets, 0);
	/* 1,250 octets are a millisecond: 4 and one pass, as of one that rested. */
	rig_rate(rig, SHAPER_TENANT_SEND, 0, 10 * MBIT);
	rig_advance(rig, 100 * MS);
	for (unsigned i = 0; i < 200; i++)
		rig_send(rig, A, octets, sizeof(octets));
	rig_check(rig);
	waiting = queued(rig, A);
	assert_in_range(waiting, 92, 99);
	assert_int_equal(send->offered_packets, 200);
	assert_int_equal(send->offered_bytes, 200 * sizeof(octets));
	assert_int_equal(send->passed_packets, 5);
	assert_int_equal(send->queued_packets, waiting);
	assert_int_equal(send->queued_bytes, waiting * sizeof(octets));
	assert_int_equal(send->dropped_packets, 195 - waiting);
	assert_int_equal(send->dropped_packets, rig_drops(rig, A, DROP_TENANT_SEND_QUEUE));
	for (unsigned i = 0; i < 125 * waiting; i++)
		rig_advance(rig, 8192);
	for (uint64_t ms = 1; ms <= waiting; ms++) {
		unsigned place = 1;

		/* They leave up to 16 us late. */
		while (ms * 1000 >= 16ull << place)
			place++;
		assert_true(ms * 1000 + 20 < 16ull << place);
		delays[place]++;
	}
	assert_memory_equal(send->delays, delays, sizeof(delays));
	assert_int_equal(send->passed_packets, 5 + waiting);
	assert_int_equal(send->passed_bytes, (5 + waiting) * sizeof(octets));
	assert_int_equal(send->queued_packets + send->queued_bytes, 0);
	assert_int_equal(tenant_of(rig, 0)->send_packets, 1 + 5 + waiting);
	/* The other direction, the other tenant and ports have none of it. */
	assert_int_equal(tenant_of(rig, 0)->receive.offered_packets, 0);
	assert_int_equal(tenant_of(rig, 1)->send.offered_packets, 0);
	rig_check(rig);
}

/* Frames that can be marked are marked and not lost, and only those of the tenant's own gates
 * count. */
static void counts_marks(void **state)
{
	static const struct {
		enum shaper_kind kind;
		uint32_t index;
	} gates[] = {{SHAPER_TENANT_SEND, 0}, {SHAPER_TENANT_RECEIVE, 0}, {SHAPER_PORT_SEND, A}};
	struct rig *rig = *state;

	for (unsigned i = 0; i < 6; i++) {
		struct frame_spec spec = {.protocol = 6, .partial = true, .ipv6 = i % 2};
		uint64_t end = rig->now + SECOND, marked = 0;
		struct stats_tenant *tenant = tenant_of(rig, 0);

		spec.gso_size = 1000;
		spec.payload_size = 2000;
		memset(tenant, 0, sizeof(*tenant));
		rig_rate(rig, gates[i / 2].kind, gates[i / 2].index, 50 * MBIT);
		while (rig->now < end) {
			struct memory_frame *out;

			while (queued(rig, A) < 80)
				send_built(rig, A, &spec);
			rig_advance(rig, 200000);
			while ((out = rig_collect(rig, B)) != NULL) {
				const uint8_t *ip = out->data + 14;
				bool ce = spec.ipv6 ? (ip[1] & 0x30) == 0x30 : (ip[1] & 3) == 3;

				if (!spec.ipv6)
					assert_int_equal(frame_sum(0, ip, 20), 0xffff);
				marked += ce ? 2 : 0;
				free(out);
			}
			rig_check(rig);
		}
		assert_true(marked > 50);
		assert_int_equal(tenant->send.marked_packets, i / 2 == 0 ? marked : 0);
		assert_int_equal(tenant->receive.marked_packets, i / 2 == 1 ? marked : 0);
		assert_int_equal(tenant->send.dropped_packets + tenant->receive.dropped_packets, 0);
		rig_rate(rig, gates[i / 2].kind, gates[i / 2].index, 0);
		rig_advance(rig, MS);
		discard(rig);
	}
	assert_int_equal(rig_all_drops(rig, A), 0);
}

/* Frames that cannot be marked are lost to the delay, by that name. */
static void counts_what_the_delay_took(void **state)
{
	struct rig *rig = *state;
	struct stats_channel *send = &tenant_of(rig, 0)->send;
	uint64_t end = rig->now + SECOND, lost;
	uint8_t octets[1250];

	rig_rate(rig, SHAPER_TENANT_SEND, 0, 10 * MBIT);
	rig_frame(octets, sizeof(octets), MAC_B, MAC_A, TYPE);
	while (rig->now < end) {
		while (queued(rig, A) < 30)
			rig_send(rig, A, octets, sizeof(octets));
		rig_advance(rig, MS);
		rig_check(rig);
	}
	lost = rig_drops(rig, A, DROP_QUEUE_DELAY);
	assert_true(lost > 10);
	assert_int_equal(send->dropped_packets, lost);
	assert_int_equal(send->dropped_bytes, lost * sizeof(octets));
	assert_int_equal(tenant_of(rig, 0)->drops[DROP_QUEUE_DELAY], lost);
	assert_int_equal(rig_all_drops(rig, A), lost);
	discard(rig);
}

/* One port's flood costs the others nothing, with as much as they get. */
static void ports_share_a_channel(void **state)
{
	struct frame_spec bulk = {.protocol = 6, .partial = true, .gso_size = 1000};
	struct frame_spec small = {.protocol = 17, .payload_size = 100};
	struct rig *rig = *state;
	uint64_t end = rig->now + SECOND;
	uint32_t sequence = 0;

	bulk.payload_size = 10000;
	rig_rate(rig, SHAPER_TENANT_SEND, 0, 100 * MBIT);
	while (rig->now < end) {
		/* Thousands of flows of A; C sends 40 Mbit/s. */
		for (unsigned i = 0; i < 4; i++) {
			bulk.seed = sequence++;
			frame_build(&frame, &bulk);
			frame_put16(frame.octets + frame.l4, sequence);
			rig_send_offload(rig, A, &frame.offload, frame.octets, frame.size);
		}
		for (unsigned i = 0; i < 35; i++)
			send_built(rig, C, &small);
		rig_advance(rig, MS);
		discard(rig);
	}
	rig_check(rig);
	assert_int_equal(rig_all_drops(rig, C), 0);
	assert_true(queued(rig, C) <= 4 * 35);
	assert_true(rig_all_drops(rig, A) > 1000);
	assert_in_range(rig->worker.stats->ports[B].tx_bytes, 12300000, 12600000);
	rig_rate(rig, SHAPER_TENANT_SEND, 0, 0);
	rig_advance(rig, MS);
	discard(rig);
}

/*
 * A port of tenant 0 goes while packets of it wait, and its index comes back as one of tenant 1:
 * what waits is dropped as soon as that one needs to wait, if not before.
 */
static void an_index_changes_hands(void **state)
{
	struct rig *rig = *state;
	struct frame_spec spec = {.protocol = 17, .payload_size = 1000};
	struct stats_tenant *first = tenant_of(rig, 0), *second = tenant_of(rig, 1);
	uint64_t waiting, dropped;

	for (unsigned round = 0; round < 4; round++) {
		rig->life = 100000 * (2 * round + 1);
		rig_port(rig, SPARE, 0, PORT_CAN_ALL);
		rig_member(rig, SPARE, 0, 0);
		rig_commit(rig);
		memset(&rig->worker.stats->ports[SPARE], 0, sizeof(struct stats_port));
		rig_rate(rig, SHAPER_TENANT_SEND, 0, 10 * MBIT);
		rig_rate(rig, SHAPER_TENANT_SEND, 1, 10 * MBIT);
		dropped = first->drops[DROP_PORT_GONE];
		for (unsigned i = 0; i < 40; i++)
			send_built(rig, SPARE, &spec);
		/* With others at the gate, or without. */
		for (unsigned i = 0; i < 10 * (round % 2); i++)
			send_built(rig, A, &spec);
		waiting = queued(rig, SPARE);
		assert_true(waiting > 30);

		rig->life = 100000 * (2 * round + 2);
		rig_remove_port(rig, SPARE);
		rig_commit(rig);
		rig_port(rig, SPARE, 1, PORT_CAN_ALL);
		rig_member(rig, SPARE, 1, 0);
		rig_commit(rig);
		memset(&rig->worker.stats->ports[SPARE], 0, sizeof(struct stats_port));
		/* That others leave, or that this one sends. */
		for (unsigned i = 0; i < (round < 2 ? 20 : 0); i++)
			send_built(rig, SPARE, &spec);
		rig_check(rig);
		if (round < 2)
			assert_int_equal(first->drops[DROP_PORT_GONE] - dropped, waiting);
		for (unsigned ms = 0; ms < 80; ms++) {
			rig_advance(rig, MS);
			rig_check(rig);
		}
		assert_int_equal(first->drops[DROP_PORT_GONE] - dropped, waiting);
		assert_int_equal(first->send.queued_packets + second->send.queued_packets, 0);
		assert_int_equal(second->drops[DROP_PORT_GONE], 0);
		assert_int_equal(rig_all_drops(rig, SPARE), 0);
		rig_remove_port(rig, SPARE);
		rig_commit(rig);
		rig_rate(rig, SHAPER_TENANT_SEND, 0, 0);
		rig_rate(rig, SHAPER_TENANT_SEND, 1, 0);
		discard(rig);
	}
}

/* A host's capacity is divided by guarantees and weights, whatever is sent. */
static void tenants_share_a_capacity(void **state)
{
	const struct shaper_limits limits[] = {{.min = 40 * MBIT, .weight = 1}, {.weight = 3}};
	struct frame_spec spec = {.protocol = 17, .payload_size = 1000};
	struct rig *rig = *state;
	struct stats_tenant *first = tenant_of(rig, 0), *second = tenant_of(rig, 1);
	uint64_t before[2] = {0, 0}, end;

	rig_port(rig, SPARE, 1, PORT_CAN_ALL);
	rig_member(rig, SPARE, 1, 0);
	rig_commit(rig);
	rig_capacity(rig, SHAPER_TENANT_SEND, 100 * MBIT);
	rig_limit(rig, SHAPER_TENANT_SEND, 0, &limits[0]);
	rig_limit(rig, SHAPER_TENANT_SEND, 1, &limits[1]);
	for (end = rig->now + 2 * SECOND; rig->now < end;) {
		if (before[0] == 0 && rig->now + SECOND > end) {
			before[0] = first->send_bytes;
			before[1] = second->send_bytes;
		}
		for (unsigned i = 0; i < 12; i++) {
			if (first->send.queued_packets < 30)
				send_built(rig, A, &spec);
			if (second->send.queued_packets < 30)
				send_built(rig, THEIRS, &spec);
		}
		rig_advance(rig, 500000);
		rig_check(rig);
		discard(rig);
	}
	/* 40 + 60 / 4, and 60 / 4 * 3. */
	assert_in_range(first->send_bytes - before[0], 55 * 125000 * 98 / 100,
			55 * 125000 * 102 / 100);
	assert_in_range(second->send_bytes - before[1], 45 * 125000 * 98 / 100,
			45 * 125000 * 102 / 100);
	assert_in_range(rig->shared.stats->send_share, (15 * MBIT << 16) * 8 / 10,
			(15 * MBIT << 16) * 12 / 10);
	assert_true(rig->shared.stats->receive_share == UINT64_MAX);
	assert_true(first->send.passed_packets > 0 && first->send.dropped_packets < 200);
	/* Without a capacity nobody waits. */
	rig_capacity(rig, SHAPER_TENANT_SEND, 0);
	rig_advance(rig, MS);
	assert_int_equal(first->send.queued_packets + second->send.queued_packets, 0);
	assert_true(rig->shared.stats->send_share == UINT64_MAX);
	discard(rig);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(charges_an_overhead),	  TEST(charges_an_octet_at_least),
		TEST(counts_what_became_of_it),	  TEST(counts_marks),
		TEST(counts_what_the_delay_took), TEST(ports_share_a_channel),
		TEST(an_index_changes_hands),	  TEST(tenants_share_a_capacity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
