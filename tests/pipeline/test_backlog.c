/* SPDX-License-Identifier: Apache-2.0 */

/* Packets wait with the worker while a port has no room for them: in order, bounded, and counted.
 */

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/ports/port.h"
#include "tests/pipeline/rig.h"
#include "tests/unit/frames.h"

#define RETRY	       BACKLOG_RETRY_NS
#define MTU	       9000u
#define MAC_OF	       0x020000000000ull /* and the port */
#define SIZE_MAX_FRAME 9014u

enum { A, B, C, PORTS };
enum { WEB, OTHER };

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig_init(rig);
	rig_tenant(rig, 0);
	rig_segment(rig, WEB, 0, 0, MTU, 0);
	rig_segment(rig, OTHER, 0, 0, MTU, 0);
	for (uint32_t port = A; port < PORTS; port++) {
		uint8_t mac[6] = {0x02, 0, 0, 0, 0, (uint8_t)port};

		rig_port(rig, port, 0, PORT_CAN_ALL);
		rig_member(rig, port, WEB, 0);
		fdb_learn(rig->shared.fdb, fdb_key(WEB, mac), FDB_TO_PORT | port, rig->seconds);
	}
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

static void fill(struct rig *rig, uint32_t port, unsigned room)
{
	memory_fill(rig->shared.config->ports[port].port, room);
}

/* Sends a frame from A to a port; its last two octets are the number. */
static void send_to(struct rig *rig, uint32_t to, uint32_t number, size_t size)
{
	uint8_t frame[SIZE_MAX_FRAME];

	rig_frame(frame, size, MAC_OF | to, MAC_OF | A, 0x88b5);
	frame[size - 2] = (uint8_t)(number >> 8);
	frame[size - 1] = (uint8_t)number;
	rig_inject(rig, A, NULL, frame, size);
	rig_receive(rig, A);
}

static void expect(struct rig *rig, uint32_t port, uint32_t first, uint32_t behind)
{
	for (uint32_t number = first; number < behind; number++) {
		struct memory_frame *frame = rig_collect(rig, port);

		assert_non_null(frame);
		assert_int_equal(frame->data[frame->size - 2] << 8 | frame->data[frame->size - 1],
				 number);
		free(frame);
	}
	assert_null(rig_collect(rig, port));
}

static const struct stats_port *counters(const struct rig *rig, uint32_t port)
{
	return &rig->shared.stats->workers[0].ports[port];
}

static void packets_wait_in_order(void **state)
{
	struct rig *rig = *state;

	fill(rig, B, 3);
	for (uint32_t i = 0; i < 10; i++)
		send_to(rig, B, i, 100);
	expect(rig, B, 0, 3);
	assert_int_equal(counters(rig, A)->queued, 7);
	assert_int_equal(counters(rig, B)->tx_packets, 3);
	rig_check(rig);

	/* There is room again, but what came first has its turn first. */
	fill(rig, B, 4);
	send_to(rig, B, 10, 100);
	expect(rig, B, 0, 0);
	rig_advance(rig, RETRY);
	expect(rig, B, 3, 7);
	assert_int_equal(counters(rig, A)->queued, 4);
	rig_check(rig);

	fill(rig, B, UINT_MAX);
	rig_advance(rig, RETRY);
	expect(rig, B, 7, 11);
	assert_int_equal(counters(rig, A)->queued, 0);
	assert_int_equal(counters(rig, A)->forwarded, 11);
	assert_int_equal(counters(rig, B)->tx_packets, 11);
	assert_int_equal(backlog_next(&rig->worker.backlog), UINT64_MAX);
	send_to(rig, B, 11, 100);
	expect(rig, B, 11, 12);
}

static void others_do_not_wait(void **state)
{
	struct rig *rig = *state;

	fill(rig, B, 0);
	send_to(rig, B, 0, 100);
	send_to(rig, C, 1, 100);
	expect(rig, C, 1, 2);
	fill(rig, C, 0);
	send_to(rig, C, 2, 100);
	fill(rig, B, UINT_MAX);
	rig_advance(rig, RETRY);
	expect(rig, B, 0, 1);
	expect(rig, C, 0, 0);
	fill(rig, C, UINT_MAX);
	rig_advance(rig, RETRY);
	expect(rig, C, 2, 3);
}

static void a_port_is_not_tried_all_the_time(void **state)
{
	struct rig *rig = *state;

	fill(rig, B, 0);
	send_to(rig, B, 0, 100);
	fill(rig, B, UINT_MAX);
	assert_int_equal(backlog_next(&rig->worker.backlog), rig->now + RETRY);
	rig_advance(rig, RETRY - 1);
	expect(rig, B, 0, 0);
	rig_advance(rig, 1);
	expect(rig, B, 0, 1);
}

static void what_is_too_much_is_dropped(void **state)
{
	const uint32_t octets = BACKLOG_OCTETS_MAX / SIZE_MAX_FRAME;
	struct rig *rig = *state;

	fill(rig, B, 0);
	for (uint32_t i = 0; i < BACKLOG_PACKETS_MAX + 5; i++)
		send_to(rig, B, i, 60);
	assert_int_equal(counters(rig, A)->queued, BACKLOG_PACKETS_MAX);
	assert_int_equal(rig_drops(rig, A, DROP_PORT_FULL), 5);
	fill(rig, B, UINT_MAX);
	rig_advance(rig, RETRY);
	expect(rig, B, 0, BACKLOG_PACKETS_MAX);

	fill(rig, B, 0);
	for (uint32_t i = 0; i < octets + 5; i++)
		send_to(rig, B, i, SIZE_MAX_FRAME);
	assert_int_equal(counters(rig, A)->queued, octets);
	assert_int_equal(rig_drops(rig, A, DROP_PORT_FULL), 10);
	/* Where some have left others may wait. */
	fill(rig, B, 7);
	rig_advance(rig, RETRY);
	expect(rig, B, 0, 7);
	for (uint32_t i = 0; i < 10; i++)
		send_to(rig, B, octets + i, SIZE_MAX_FRAME);
	assert_int_equal(counters(rig, A)->queued, octets);
	assert_int_equal(rig_drops(rig, A, DROP_PORT_FULL), 13);
	fill(rig, B, UINT_MAX);
	rig_advance(rig, RETRY);
	expect(rig, B, 7, octets + 7);
}

/* As long as it takes something now and then nothing is lost. */
static void a_port_that_takes_nothing_is_given_up(void **state)
{
	struct rig *rig = *state;

	fill(rig, B, 0);
	for (uint32_t i = 0; i < 3; i++)
		send_to(rig, B, i, 100);
	rig_advance(rig, BACKLOG_STALLED_NS - 1);
	assert_int_equal(counters(rig, A)->queued, 3);
	fill(rig, B, 1);
	rig_advance(rig, BACKLOG_RETRY_MAX_NS);
	expect(rig, B, 0, 1);
	rig_advance(rig, BACKLOG_STALLED_NS - 1);
	assert_int_equal(counters(rig, A)->queued, 2);
	rig_advance(rig, BACKLOG_RETRY_MAX_NS);
	assert_int_equal(counters(rig, A)->queued, 0);
	assert_int_equal(rig_drops(rig, A, DROP_PORT_FULL), 2);
	assert_int_equal(backlog_next(&rig->worker.backlog), UINT64_MAX);
}

/* The longer it takes nothing the less often it is tried. */
static void a_port_that_is_stopped_costs_little(void **state)
{
	struct rig *rig = *state;
	unsigned attempts = 0;
	uint64_t begin;

	fill(rig, B, 0);
	send_to(rig, B, 0, 100);
	begin = rig->now;
	for (; rig->now - begin < BACKLOG_STALLED_NS; attempts++) {
		uint64_t next = backlog_next(&rig->worker.backlog);

		assert_in_range(next - rig->now, RETRY, BACKLOG_RETRY_MAX_NS);
		rig_advance(rig, next - rig->now);
	}
	assert_in_range(attempts, BACKLOG_STALLED_NS / BACKLOG_RETRY_MAX_NS, 50);
	assert_int_equal(rig_drops(rig, A, DROP_PORT_FULL), 1);
}

static void a_port_may_go_while_packets_wait(void **state)
{
	struct rig *rig = *state;

	fill(rig, B, 0);
	fill(rig, C, 0);
	send_to(rig, B, 0, 100);
	send_to(rig, C, 1, 100);
	rig_remove_port(rig, B);
	rig_port_admin(rig, C, false);
	rig_commit(rig);
	rig_advance(rig, RETRY);
	assert_int_equal(rig_drops(rig, A, DROP_PORT_GONE), 1);
	assert_int_equal(rig_drops(rig, A, DROP_PORT_DOWN), 1);
	assert_int_equal(counters(rig, A)->queued, 0);
}

/* What was allowed when it came is not when it leaves: isolation holds for what waits. */
static void a_port_may_leave_the_segment_while_packets_wait(void **state)
{
	struct rig *rig = *state;

	fill(rig, B, 0);
	send_to(rig, B, 0, 100);
	rig_remove_port(rig, B);
	rig_commit(rig);
	rig_port(rig, B, 0, PORT_CAN_ALL);
	rig_member(rig, B, OTHER, 0);
	rig_commit(rig);
	rig_advance(rig, RETRY);
	expect(rig, B, 0, 0);
	assert_int_equal(rig_all_drops(rig, A), 1);
}

/* Another guest may have come, which takes less. */
static void what_is_not_taken_any_more_is_dropped(void **state)
{
	static struct frame frame; /* too large for a stack */
	const struct frame_spec super = {
		.protocol = 6, .payload_size = 5000, .gso_size = 1000, .partial = true};
	const struct frame_spec partial = {.protocol = 17, .payload_size = 500, .partial = true};
	const struct frame_spec whole = {.protocol = 17, .payload_size = 500};
	const struct frame_spec *specs[] = {&super, &partial, &whole};
	struct rig *rig = *state;

	fill(rig, B, 0);
	for (unsigned i = 0; i < 3; i++) {
		frame_build(&frame, specs[i]);
		memcpy(frame.octets, (const uint8_t[]){0x02, 0, 0, 0, 0, B}, 6);
		rig_inject(rig, A, &frame.offload, frame.octets, frame.size);
		rig_receive(rig, A);
	}
	assert_int_equal(counters(rig, A)->queued, 7);
	memory_capture(rig->shared.config->ports[B].port, 0);
	fill(rig, B, UINT_MAX);
	rig_advance(rig, RETRY);
	rig_expect(rig, B, frame.octets, frame.size);
	rig_expect_nothing(rig);
	assert_int_equal(rig_drops(rig, A, DROP_PORT_DOWN), 6);
	assert_int_equal(counters(rig, A)->queued, 0);
}

/* A frame to all is one that waits for some of them. */
static void floods_wait_for_each_port(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[100];

	fill(rig, C, 0);
	rig_frame(frame, sizeof(frame), 0xffffffffffff, MAC_OF | A, 0x88b5);
	rig_inject(rig, A, NULL, frame, sizeof(frame));
	rig_receive(rig, A);
	rig_expect(rig, B, frame, sizeof(frame));
	rig_check(rig);
	fill(rig, C, UINT_MAX);
	rig_advance(rig, RETRY);
	rig_expect(rig, C, frame, sizeof(frame));
	rig_expect_nothing(rig);
}

static void what_waits_is_counted_when_the_worker_ends(void **state)
{
	struct rig *rig = *state;

	fill(rig, B, 0);
	fill(rig, C, 0);
	for (uint32_t i = 0; i < 5; i++) {
		send_to(rig, B, i, 100);
		send_to(rig, C, i, 100);
	}
	assert_int_equal(counters(rig, A)->queued, 10);
	worker_fini(&rig->worker);
	assert_int_equal(counters(rig, A)->queued, 0);
	assert_int_equal(rig_drops(rig, A, DROP_RESTART), 10);
	assert_int_equal(worker_init(&rig->worker, 0, &rig->shared), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(packets_wait_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(others_do_not_wait, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_port_is_not_tried_all_the_time, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_is_too_much_is_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_port_that_takes_nothing_is_given_up, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_port_that_is_stopped_costs_little, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_port_may_go_while_packets_wait, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_port_may_leave_the_segment_while_packets_wait,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_taken_any_more_is_dropped, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(floods_wait_for_each_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_waits_is_counted_when_the_worker_ends, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
