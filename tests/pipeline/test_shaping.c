/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ceilings of ports and tenants: exact rates over virtual seconds, order, the queue's bound, who is
 * charged for what, and what becomes of packets that wait when their objects change or go.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/ports/port.h"
#include "tests/pipeline/rig.h"

#define MAC_A	  0x020000000001ull
#define MAC_B	  0x020000000002ull
#define BROADCAST 0xffffffffffffull
#define TYPE	  0x88b5u
#define MS	  1000000ull
#define MBIT	  1000000ull
#define FRAME	  1250u /* 1 ms at 10 Mbit/s */

/* Tenant 0's ports A, B, C, the uplink and the VTEP are in segment 0; OTHER is tenant 1's. */
enum { A, B, C, UPLINK, VTEP, OTHER, PORTS };

struct gate {
	enum shaper_kind kind;
	uint32_t index;
	enum drop_reason full;
};

/* What a packet from A to B passes. */
static const struct gate gates[] = {
	{SHAPER_PORT_SEND, A, DROP_PORT_SEND_QUEUE},
	{SHAPER_TENANT_SEND, 0, DROP_TENANT_SEND_QUEUE},
	{SHAPER_TENANT_RECEIVE, 0, DROP_TENANT_RECEIVE_QUEUE},
	{SHAPER_PORT_RECEIVE, B, DROP_PORT_RECEIVE_QUEUE},
};

#define GATES (sizeof(gates) / sizeof(gates[0]))

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	uint8_t frame[60];

	rig_init(rig);
	rig_tenant(rig, 0);
	rig_tenant(rig, 1);
	rig_segment(rig, 0, 0, 5001, 1500, 0);
	rig_segment(rig, 1, 1, 0, 1500, 0);
	for (uint32_t i = A; i <= UPLINK; i++) {
		rig_port(rig, i, i == UPLINK ? RIG_UPLINK : 0, PORT_CAN_ALL);
		rig_member(rig, i, 0, i == UPLINK ? 100 : 0);
	}
	rig_port(rig, OTHER, 1, PORT_CAN_ALL);
	rig_member(rig, OTHER, 1, 0);
	rig_vtep(rig, VTEP);
	rig_peer(rig, 0, 0);
	rig_commit(rig);
	/* Where A and B are is known; what that took is not looked at. */
	rig_send(rig, B, frame, rig_frame(frame, sizeof(frame), MAC_A, MAC_B, TYPE));
	rig_send(rig, A, frame, rig_frame(frame, sizeof(frame), MAC_B, MAC_A, TYPE));
	for (uint32_t i = A; i < PORTS; i++) {
		struct memory_frame *out;

		while ((out = rig_collect(rig, i)) != NULL)
			free(out);
	}
	memset(rig->worker.stats->tenants, 0, sizeof(rig->worker.stats->tenants[0]));
	rig_advance(rig, 1000 * MS);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

static void send_numbered(struct rig *rig, uint32_t port, uint64_t destination, uint32_t number,
			  size_t size)
{
	uint8_t frame[1514];

	rig_frame(frame, size, destination, port == B ? MAC_B : MAC_A, TYPE);
	memcpy(frame + 14, &number, sizeof(number));
	rig_send(rig, port, frame, size);
}

/* Takes what left by the port: frames numbered from *next on, in order. Returns their octets. */
static uint64_t collect(struct rig *rig, uint32_t port, uint32_t *next)
{
	uint32_t shift = port == UPLINK ? 4 : 0, number;
	struct memory_frame *out;
	uint64_t octets = 0;

	while ((out = rig_collect(rig, port)) != NULL) {
		memcpy(&number, out->data + 14 + shift, sizeof(number));
		assert_int_equal(number, *next);
		*next += 1;
		octets += out->size;
		free(out);
	}
	return octets;
}

/* Takes the next frame that left by the port, which must have this number. */
static void collect_one(struct rig *rig, uint32_t port, uint32_t number)
{
	struct memory_frame *out = rig_collect(rig, port);

	assert_non_null(out);
	assert_memory_equal(out->data + 14, &number, sizeof(number));
	free(out);
}

static struct stats_port *stats_of(struct rig *rig, uint32_t port)
{
	return &rig->worker.stats->ports[port];
}

/* Moves the clock as a worker that wakes every millisecond sees it. */
static void run(struct rig *rig, unsigned ms)
{
	while (ms-- > 0) {
		rig_advance(rig, MS);
		rig_check(rig);
	}
}

/* Offers twice the rate for 3 s; what passes in the last two must be the rate, to a frame. */
static void holds_the_rate(struct rig *rig, const struct gate *gate, uint64_t rate, size_t size)
{
	uint32_t sent = 0, last = 0;
	uint64_t step = size * 8 * 1000000000 / rate / 2, octets = 0, bound;
	uint64_t begin = rig->now;

	rig_rate(rig, gate->kind, gate->index, rate);
	while (rig->now - begin < 3000 * MS) {
		struct memory_frame *out;

		send_numbered(rig, A, MAC_B, sent++, size);
		rig_advance(rig, step);
		while ((out = rig_collect(rig, B)) != NULL) {
			uint32_t number;

			memcpy(&number, out->data + 14, sizeof(number));
			assert_true(number >= last);
			last = number + 1;
			if (rig->now - begin > 1000 * MS)
				octets += out->size;
			free(out);
		}
	}
	bound = rate / 8 * 2;
	assert_in_range(octets, bound - 2 * size, bound + 2 * size);
	assert_int_equal(rig_all_drops(rig, A),
			 rig_drops(rig, A, gate->full) + rig_drops(rig, A, DROP_QUEUE_DELAY));
	assert_true(rig_drops(rig, A, gate->full) > 0);
	assert_true(rig_drops(rig, A, DROP_QUEUE_DELAY) > 0);
	rig_check(rig);
}

static void holds_port_send(void **state)
{
	holds_the_rate(*state, &gates[0], 10 * MBIT, 1514);
}

static void holds_tenant_send(void **state)
{
	holds_the_rate(*state, &gates[1], 1 * MBIT, 60);
}

static void holds_tenant_receive(void **state)
{
	holds_the_rate(*state, &gates[2], 100 * MBIT, 1000);
}

static void holds_port_receive(void **state)
{
	holds_the_rate(*state, &gates[3], 7777777, 999);
}

/* 200 frames at once: what rested passes, and of the others the last, for 100 ms; in order. */
static void bounds_the_queue(void **state)
{
	for (unsigned i = 0; i < GATES; i++) {
		struct rig *rig = *state;
		uint64_t drops = rig_drops(rig, A, gates[i].full), queued;
		uint32_t next = 0;

		rig_rate(rig, gates[i].kind, gates[i].index, 10 * MBIT);
		rig_advance(rig, 100 * MS);
		for (uint32_t n = 0; n < 200; n++)
			send_numbered(rig, A, MAC_B, n, FRAME);
		/* 4 ms and one packet at once. */
		assert_int_equal(collect(rig, B, &next), 5 * FRAME);
		queued = stats_of(rig, A)->queued;
		assert_in_range(queued, 92, 99);
		drops = rig_drops(rig, A, gates[i].full) - drops;
		assert_int_equal(drops, 200 - 5 - queued);
		rig_check(rig);
		next += (uint32_t)drops;
		for (uint32_t ms = 1; ms <= queued; ms++) {
			rig_advance(rig, MS);
			/* The wheel turns in steps of 8 us. */
			rig_advance(rig, 8192);
			assert_int_equal(collect(rig, B, &next), FRAME);
			rig->now -= 8192;
		}
		assert_int_equal(stats_of(rig, A)->queued, 0);
		rig_expect_nothing(rig);
		rig_check(rig);
		rig_rate(rig, gates[i].kind, gates[i].index, 0);
	}
}

/* All four gates in a row: the narrowest decides, and nothing is lost but in its queue. */
static void passes_gates_in_a_row(void **state)
{
	struct rig *rig = *state;
	uint32_t next = 0;

	for (unsigned i = 0; i < GATES; i++)
		rig_rate(rig, gates[i].kind, gates[i].index, (10 - i) * MBIT);
	for (uint32_t n = 0; n < 40; n++)
		send_numbered(rig, A, MAC_B, n, FRAME);
	run(rig, 100);
	collect(rig, B, &next);
	assert_int_equal(next, 40);
	assert_int_equal(rig_all_drops(rig, A), 0);
	assert_int_equal(rig->worker.stats->tenants[0].send_packets, 40);
	assert_int_equal(rig->worker.stats->tenants[0].receive_bytes, 40 * FRAME);
}

static void a_copy_that_waits_delays_no_other(void **state)
{
	struct rig *rig = *state;
	uint32_t at_b = 0, at_c = 0, at_uplink = 0;

	rig_rate(rig, SHAPER_PORT_RECEIVE, B, MBIT);
	for (uint32_t n = 0; n < 6; n++)
		send_numbered(rig, A, BROADCAST, n, 1000);
	collect(rig, B, &at_b);
	collect(rig, C, &at_c);
	collect(rig, UPLINK, &at_uplink);
	assert_int_equal(at_b, 1); /* 4 ms are 500 octets */
	assert_int_equal(at_c, 6);
	assert_int_equal(at_uplink, 6);
	assert_int_equal(stats_of(rig, A)->queued, 5);
	/* Nor does the queue for B hold up what A sends to C. B gets it, too, before its turn. */
	send_numbered(rig, A, 0x020000000003ull, 6, 1000);
	collect(rig, C, &at_c);
	assert_int_equal(at_c, 7);
	run(rig, 8 * 3 + 1);
	collect_one(rig, B, 1);
	collect_one(rig, B, 2);
	collect_one(rig, B, 6);
	run(rig, 8 * 3);
	at_b = 3;
	collect(rig, B, &at_b);
	assert_int_equal(at_b, 6);
	assert_int_equal(rig_all_drops(rig, A), 0);
}

static void changes_lose_nothing(void **state)
{
	static const uint64_t rates[] = {10 * MBIT,   MBIT,	   100 * MBIT, 64000,
					 3 * MBIT,    1000 * MBIT, 20 * MBIT,  0,
					 1000 * MBIT, 10 * MBIT,   0};

	for (unsigned i = 0; i < GATES; i++) {
		struct rig *rig = *state;
		uint32_t next = 0, sent = 0;

		rig_rate(rig, gates[i].kind, gates[i].index, 20 * MBIT);
		rig_advance(rig, 100 * MS);
		while (sent < 40)
			send_numbered(rig, A, MAC_B, sent++, FRAME);
		for (unsigned r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
			rig_rate(rig, gates[i].kind, gates[i].index, rates[r]);
			rig_advance(rig, 2 * MS);
			collect(rig, B, &next);
			rig_check(rig);
		}
		/* Unlimited: newcomers come last. */
		send_numbered(rig, A, MAC_B, sent++, FRAME);
		rig_advance(rig, 10 * MS);
		collect(rig, B, &next);
		assert_int_equal(next, sent);
		assert_int_equal(stats_of(rig, A)->queued, 0);
		assert_int_equal(rig_all_drops(rig, A), 0);
		rig_expect_nothing(rig);
	}
}

/* A rate that is lowered holds from now on; the debt is worth as many octets as before. */
static void a_changed_rate_holds_at_once(void **state)
{
	struct rig *rig = *state;
	uint32_t next = 0;

	rig_rate(rig, SHAPER_TENANT_SEND, 0, 10 * MBIT);
	for (uint32_t n = 0; n < 50; n++)
		send_numbered(rig, A, MAC_B, n, FRAME);
	run(rig, 10);
	collect(rig, B, &next);
	assert_in_range(next, 10, 11);
	rig_rate(rig, SHAPER_TENANT_SEND, 0, MBIT);
	run(rig, 60);
	collect(rig, B, &next);
	assert_in_range(next, 16, 17);
	rig_rate(rig, SHAPER_TENANT_SEND, 0, 100 * MBIT);
	run(rig, 4);
	collect(rig, B, &next);
	assert_int_equal(next, 50);
}

static void charges_each_copy_once(void **state)
{
	struct rig *rig = *state;
	struct stats_tenant *tenant = &rig->worker.stats->tenants[0];
	struct memory_frame *out;
	uint32_t at_b = 0, at_c = 0, at_uplink = 0;

	/* Two copies of 1,000 octets each 2 ms are the rate; uplink and VTEP cost nothing. */
	rig_rate(rig, SHAPER_TENANT_RECEIVE, 0, 8 * MBIT);
	for (uint32_t n = 0; n < 100; n++) {
		send_numbered(rig, A, BROADCAST, n, 1000);
		rig_advance(rig, 2 * MS);
		collect(rig, B, &at_b);
		collect(rig, C, &at_c);
		collect(rig, UPLINK, &at_uplink);
		assert_int_equal(stats_of(rig, A)->queued, 0);
		out = rig_collect(rig, VTEP);
		assert_non_null(out);
		free(out);
	}
	assert_int_equal(at_b + at_c + at_uplink, 300);
	assert_int_equal(tenant->send_packets, 100);
	assert_int_equal(tenant->send_bytes, 100 * 1000);
	assert_int_equal(tenant->receive_packets, 200);
	assert_int_equal(tenant->receive_bytes, 200 * 1000);
	/* A tenth faster, and copies wait. */
	for (uint32_t n = 100; n < 150; n++) {
		send_numbered(rig, A, BROADCAST, n, 1000);
		rig_advance(rig, 2 * MS * 9 / 10);
		collect(rig, UPLINK, &at_uplink);
		free(rig_collect(rig, VTEP));
	}
	assert_int_equal(at_uplink, 150);
	assert_in_range(stats_of(rig, A)->queued, 6, 12);
	run(rig, 13);
	collect(rig, B, &at_b);
	collect(rig, C, &at_c);
	assert_int_equal(at_b + at_c, 300);
}

static void uplinks_and_peers_are_not_charged(void **state)
{
	struct rig *rig = *state;
	struct stats_tenant *tenant = &rig->worker.stats->tenants[0];
	static const uint8_t tag[4] = {0x81, 0x00, 0x00, 0x64};
	uint8_t frame[1000], tagged[1004];
	size_t size = rig_frame(frame, sizeof(frame), MAC_B, 0x020000000009ull, TYPE);

	/* Rates that nothing passes twice; those of an uplink are nobody's. */
	rig_rate(rig, SHAPER_TENANT_SEND, 0, 8000);
	rig_rate(rig, SHAPER_PORT_SEND, UPLINK, 8000);
	rig_rate(rig, SHAPER_PORT_RECEIVE, UPLINK, 8000);
	rig_rate(rig, SHAPER_PORT_SEND, VTEP, 8000);
	rig_rate(rig, SHAPER_PORT_RECEIVE, VTEP, 8000);
	memcpy(tagged, frame, 12);
	memcpy(tagged + 12, tag, sizeof(tag));
	memcpy(tagged + 16, frame + 12, size - 12);
	for (unsigned i = 0; i < 5; i++) {
		rig_send(rig, UPLINK, tagged, sizeof(tagged));
		rig_expect(rig, B, frame, size);
		rig_send_overlay(rig, VTEP, 0, 5001, 0, frame, size);
		rig_expect(rig, B, frame, size);
		rig_expect_nothing(rig);
	}
	assert_int_equal(tenant->send_packets, 0);
	assert_int_equal(tenant->receive_packets, 10);
	assert_int_equal(tenant->receive_bytes, 10 * size);
	/* What they put out to the tenant is charged to it. */
	rig_rate(rig, SHAPER_TENANT_RECEIVE, 0, 8000);
	for (unsigned i = 0; i < 3; i++)
		rig_send(rig, UPLINK, tagged, sizeof(tagged));
	rig_expect(rig, B, frame, size);
	rig_expect_nothing(rig);
	assert_int_equal(stats_of(rig, UPLINK)->queued, 2);
	rig_rate(rig, SHAPER_TENANT_RECEIVE, 0, 0);
	rig_advance(rig, 10 * MS);
	rig_expect(rig, B, frame, size);
	rig_expect(rig, B, frame, size);
}

/* One tenant's ceiling is none of another's. */
static void tenants_do_not_share(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[1000];
	size_t size = rig_frame(frame, sizeof(frame), BROADCAST, MAC_A, TYPE);

	rig_port(rig, OTHER + 1, 1, 0);
	rig_member(rig, OTHER + 1, 1, 0);
	rig_commit(rig);
	rig_rate(rig, SHAPER_TENANT_SEND, 0, 8000);
	rig_rate(rig, SHAPER_TENANT_RECEIVE, 0, 8000);
	for (uint32_t n = 0; n < 5; n++)
		send_numbered(rig, A, MAC_B, n, 1000);
	for (unsigned i = 0; i < 10; i++) {
		rig_send(rig, OTHER, frame, size);
		rig_expect(rig, OTHER + 1, frame, size);
	}
	assert_int_equal(rig->worker.stats->tenants[1].send_packets, 10);
	rig_rate(rig, SHAPER_TENANT_SEND, 0, 0);
	rig_rate(rig, SHAPER_TENANT_RECEIVE, 0, 0);
	rig_advance(rig, 10 * MS);
	for (struct memory_frame *out; (out = rig_collect(rig, B)) != NULL;)
		free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(holds_port_send, set_up, tear_down),
		cmocka_unit_test_setup_teardown(holds_tenant_send, set_up, tear_down),
		cmocka_unit_test_setup_teardown(holds_tenant_receive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(holds_port_receive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bounds_the_queue, set_up, tear_down),
		cmocka_unit_test_setup_teardown(passes_gates_in_a_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_copy_that_waits_delays_no_other, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(changes_lose_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_changed_rate_holds_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(charges_each_copy_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(uplinks_and_peers_are_not_charged, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(tenants_do_not_share, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
