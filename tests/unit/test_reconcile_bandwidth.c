/* SPDX-License-Identifier: Apache-2.0 */

/* What the datapath hears of bandwidth: the host's capacity, and what tenants get of it. */

#include "tests/unit/reconcile_fixture.h"

#include <errno.h>
#include <stdio.h>

#include "control/model_edit.h"

static void put_host(struct fixture *fixture, uint64_t send, uint64_t receive)
{
	const struct model_host host = {.send_capacity = send, .receive_capacity = receive};

	assert_int_equal(model_host_put(fixture->model, &host), 0);
}

static void put_tenant(struct fixture *fixture, const char *name,
		       const struct model_bandwidth *bandwidth)
{
	struct model_tenant values = {.bandwidth = *bandwidth};
	struct problem problem;

	problem_init(&problem);
	snprintf(values.name, sizeof(values.name), "%s", name);
	assert_int_equal(model_tenant_put(fixture->model, &values, NULL, &problem), 0);
}

static void set_host(struct fixture *fixture, uint64_t send, uint64_t receive)
{
	fixture_begin(fixture);
	put_host(fixture, send, receive);
	fixture_commit(fixture);
}

static void expect_applied(struct fixture *fixture)
{
	fixture_reply(fixture, 0, "");
	assert_int_equal(fixture_status(fixture).applied_generation,
			 model_generation(fixture->model));
	fixture_expect_silence(fixture);
}

static void capacity_is_told_when_it_changes(void **state)
{
	struct fixture *fixture = *state;

	fixture_start(fixture);
	fixture_meet(fixture);
	set_host(fixture, 1000, 0);
	fixture_expect(fixture, "begin 2 on 1\nhost send 1000 receive 0\ncommit\n");
	/* Not in effect before the datapath says so. */
	assert_true(fixture_status(fixture).applied_generation < model_generation(fixture->model));
	expect_applied(fixture);
	set_host(fixture, 1000, 0);
	fixture_expect_silence(fixture);
	set_host(fixture, 0, 0);
	fixture_expect(fixture, "begin 3 on 2\nhost send 0 receive 0\ncommit\n");
	/* What is changed meanwhile is told next. */
	set_host(fixture, 5, 6);
	fixture_expect_silence(fixture);
	fixture_reply(fixture, 0, "");
	fixture_expect(fixture, "begin 4 on 3\nhost send 5 receive 6\ncommit\n");
	expect_applied(fixture);
}

static void capacity_is_told_to_each_datapath(void **state)
{
	struct fixture *fixture = *state;

	set_host(fixture, 1000, 2000);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture, "memory 1\nmemory 2\nhold\n"
				"begin 1 on 0\nhost send 1000 receive 2000\ncommit\n");
	expect_applied(fixture);
	/* It refuses the next: everything is told again. */
	set_host(fixture, 3000, 2000);
	fixture_expect(fixture, "begin 2 on 1\nhost send 3000 receive 2000\ncommit\n");
	fixture_reply(fixture, ESTALE, "");
	fixture_expect(fixture, "begin 3 on 0\nhost send 3000 receive 2000\ncommit\n");
	expect_applied(fixture);
	/* Another datapath comes. */
	fixture_vanish(fixture);
	fixture_drop_everything(fixture);
	fixture->started++;
	fixture->committed = 0;
	fixture_listen(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture, "memory 1\nmemory 2\nhold\n"
				"begin 4 on 0\nhost send 3000 receive 2000\ncommit\n");
	expect_applied(fixture);
}

static void tenants_are_told_whole(void **state)
{
	struct fixture *fixture = *state;
	struct model_bandwidth bandwidth = {
		.send = {.rate = 900, .min = 100, .burst = 1500},
		.receive = {.rate = 800, .min = 200, .burst = 3000},
		.weight = 10000,
		.overhead = -64,
	};

	fixture_start(fixture);
	fixture_meet(fixture);
	/* The capacity comes with the guarantees that need it. */
	fixture_begin(fixture);
	put_tenant(fixture, "a", &bandwidth);
	put_host(fixture, 1000, 1000);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 2 on 1\n"
				"host send 1000 receive 1000\n"
				"tenant 0.1 send 900 receive 800 send-min 100 receive-min 200 "
				"send-burst 1500 receive-burst 3000 weight 10000 overhead -64\n"
				"commit\n");
	expect_applied(fixture);
	bandwidth = (struct model_bandwidth){.weight = 1};
	fixture_begin(fixture);
	put_tenant(fixture, "a", &bandwidth);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 3 on 2\ntenant 0.1 send 0\ncommit\n");
	expect_applied(fixture);
}

/* Each attribute alone is a change that is told. */
static void each_change_is_told(void **state)
{
	static const struct {
		struct model_bandwidth bandwidth;
		const char *heard;
	} changes[] = {
		{{.weight = 2}, "weight 2"},
		{{.weight = 2, .overhead = 24}, "weight 2 overhead 24"},
		{{.weight = 2, .send.burst = 1}, "send-burst 1 weight 2"},
		{{.weight = 2, .receive.burst = 1}, "receive-burst 1 weight 2"},
		{{.weight = 2, .send.min = 8}, "send-min 8 weight 2"},
		{{.weight = 2, .receive.min = 8}, "receive-min 8 weight 2"},
		{{.weight = 2, .receive.rate = 8}, "receive 8 weight 2"},
	};
	struct fixture *fixture = *state;
	char expected[128];

	fixture_begin(fixture);
	put_host(fixture, 8, 8);
	fixture_tenant(fixture, "a", 0);
	fixture_commit(fixture);
	fixture_start(fixture);
	fixture_meet(fixture);
	for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		fixture_begin(fixture);
		put_tenant(fixture, "a", &changes[i].bandwidth);
		fixture_commit(fixture);
		snprintf(expected, sizeof(expected),
			 "begin %u on %u\ntenant 0.1 send 0 %s\ncommit\n", i + 2, i + 1,
			 changes[i].heard);
		fixture_expect(fixture, expected);
		expect_applied(fixture);
		fixture_begin(fixture);
		put_tenant(fixture, "a", &changes[i].bandwidth);
		fixture_commit(fixture);
		fixture_expect_silence(fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(capacity_is_told_when_it_changes, fixture_set_up,
						fixture_tear_down),
		cmocka_unit_test_setup_teardown(capacity_is_told_to_each_datapath, fixture_set_up,
						fixture_tear_down),
		cmocka_unit_test_setup_teardown(tenants_are_told_whole, fixture_set_up,
						fixture_tear_down),
		cmocka_unit_test_setup_teardown(each_change_is_told, fixture_set_up,
						fixture_tear_down),
	};

	if (!fixture_isolate())
		return FIXTURE_SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
