/* SPDX-License-Identifier: Apache-2.0 */

/* Local switching: floods, learning, isolation, what is not forwarded; exact frames on every port.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/pipeline/rig.h"

#define A	  0x020000000001ull
#define B	  0x020000000002ull
#define C	  0x020000000003ull
#define BROADCAST 0xffffffffffffull
#define TYPE	  0x88b5u /* local experimental: nothing behind layer 2 is looked at */

/* Tenant 0 has segment 0 with ports 0, 1, 2; tenant 1 has segment 1 with ports 3, 4. */
static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig_init(rig);
	rig_tenant(rig, 0);
	rig_tenant(rig, 1);
	rig_segment(rig, 0, 0, 0, 1500, 0);
	rig_segment(rig, 1, 1, 0, 1500, 0);
	for (uint32_t i = 0; i < 5; i++) {
		rig_port(rig, i, i < 3 ? 0 : 1, 0);
		rig_member(rig, i, i < 3 ? 0 : 1, 0);
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

static void floods_what_it_does_not_know(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[100];
	size_t size = rig_frame(frame, sizeof(frame), B, A, TYPE);

	rig_send(rig, 0, frame, size);
	rig_expect(rig, 1, frame, size);
	rig_expect(rig, 2, frame, size);
	rig_expect_nothing(rig);
	assert_int_equal(rig->worker.stats->ports[0].copies, 1);
	assert_int_equal(rig->worker.stats->ports[0].forwarded, 2);
}

static void sends_to_where_it_learned(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60];
	size_t size = rig_frame(frame, sizeof(frame), A, B, TYPE);

	rig_send(rig, 1, frame, size);
	rig_expect(rig, 0, frame, size);
	rig_expect(rig, 2, frame, size);
	size = rig_frame(frame, sizeof(frame), B, A, TYPE);
	rig_send(rig, 0, frame, size);
	rig_expect(rig, 1, frame, size);
	rig_expect_nothing(rig);
	/* It moved. */
	size = rig_frame(frame, sizeof(frame), BROADCAST, B, TYPE);
	rig_send(rig, 2, frame, size);
	rig_expect(rig, 0, frame, size);
	rig_expect(rig, 1, frame, size);
	size = rig_frame(frame, sizeof(frame), B, A, TYPE);
	rig_send(rig, 0, frame, size);
	rig_expect(rig, 2, frame, size);
	rig_expect_nothing(rig);
}

static void never_sends_back(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60];

	rig_send(rig, 0, frame, rig_frame(frame, sizeof(frame), BROADCAST, A, TYPE));
	free(rig_collect(rig, 1));
	free(rig_collect(rig, 2));
	rig_send(rig, 0, frame, rig_frame(frame, sizeof(frame), A, B, TYPE));
	rig_expect_nothing(rig);
	assert_int_equal(rig_drops(rig, 0, DROP_SAME_PORT), 1);
}

static void keeps_tenants_apart(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60];
	size_t size = rig_frame(frame, sizeof(frame), B, A, TYPE);

	/* The same addresses in both: each tenant's frames stay in its own segment. */
	rig_send(rig, 3, frame, size);
	rig_expect(rig, 4, frame, size);
	rig_expect_nothing(rig);
	size = rig_frame(frame, sizeof(frame), A, B, TYPE);
	rig_send(rig, 1, frame, size);
	rig_expect(rig, 0, frame, size);
	rig_expect(rig, 2, frame, size);
	rig_expect_nothing(rig);
	rig_send(rig, 4, frame, size);
	rig_expect(rig, 3, frame, size);
	rig_expect_nothing(rig);
}

static void drops_what_no_bridge_forwards(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60];

	for (unsigned i = 0; i < 16; i++)
		rig_send(rig, 0, frame,
			 rig_frame(frame, sizeof(frame), 0x0180c2000000ull + i, A, TYPE));
	assert_int_equal(rig_drops(rig, 0, DROP_LINK_LOCAL), 16);
	rig_send(rig, 0, frame, rig_frame(frame, sizeof(frame), B, 0, TYPE));
	rig_send(rig, 0, frame, rig_frame(frame, sizeof(frame), B, BROADCAST, TYPE));
	rig_send(rig, 0, frame, rig_frame(frame, sizeof(frame), B, 0x010000000001ull, TYPE));
	assert_int_equal(rig_drops(rig, 0, DROP_SOURCE_MAC), 3);
	rig_send(rig, 0, frame, 13);
	rig_send(rig, 0, frame, 0);
	assert_int_equal(rig_drops(rig, 0, DROP_TOO_SHORT), 2);
	rig_expect_nothing(rig);
	assert_int_equal(fdb_count(rig->shared.fdb), 0);
	/* 01:80:c2:00:00:10 is an ordinary group. */
	rig_send(rig, 0, frame, rig_frame(frame, sizeof(frame), 0x0180c2000010ull, A, TYPE));
	rig_expect(rig, 1, frame, sizeof(frame));
	rig_expect(rig, 2, frame, sizeof(frame));
}

static void respects_the_mtu(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[1600];

	rig_send(rig, 0, frame, rig_frame(frame, 1514, BROADCAST, A, TYPE));
	rig_expect(rig, 1, frame, 1514);
	rig_expect(rig, 2, frame, 1514);
	rig_send(rig, 0, frame, rig_frame(frame, 1515, BROADCAST, A, TYPE));
	rig_expect_nothing(rig);
	assert_int_equal(rig_drops(rig, 0, DROP_OVERSIZE), 1);
}

static void ports_go_and_come(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60];
	size_t size = rig_frame(frame, sizeof(frame), BROADCAST, B, TYPE);

	rig_send(rig, 1, frame, size);
	rig_expect(rig, 0, frame, size);
	rig_expect(rig, 2, frame, size);
	rig_port_admin(rig, 1, false);
	rig_commit(rig);
	rig_send(rig, 0, frame, rig_frame(frame, sizeof(frame), B, A, TYPE));
	assert_int_equal(rig_drops(rig, 0, DROP_PORT_DOWN), 1);
	rig_send(rig, 1, frame, rig_frame(frame, sizeof(frame), A, B, TYPE));
	assert_int_equal(rig_drops(rig, 1, DROP_PORT_DOWN), 1);
	rig_expect_nothing(rig);

	rig_remove_port(rig, 1);
	rig_commit(rig);
	/* The entry is older than the configuration: unknown again. */
	rig_send(rig, 0, frame, rig_frame(frame, sizeof(frame), B, A, TYPE));
	rig_expect(rig, 2, frame, size);
	rig_expect_nothing(rig);
	rig_remove_port(rig, 2);
	rig_commit(rig);
	rig_send(rig, 0, frame, rig_frame(frame, sizeof(frame), C, A, TYPE));
	rig_expect_nothing(rig);
	assert_int_equal(rig_drops(rig, 0, DROP_NO_MEMBER), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(floods_what_it_does_not_know, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sends_to_where_it_learned, set_up, tear_down),
		cmocka_unit_test_setup_teardown(never_sends_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keeps_tenants_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(drops_what_no_bridge_forwards, set_up, tear_down),
		cmocka_unit_test_setup_teardown(respects_the_mtu, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ports_go_and_come, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
