/* SPDX-License-Identifier: Apache-2.0 */

/* What the API says of a tenant's channels, from a memory that somebody else writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/model_edit.h"
#include "tests/unit/api_fixture.h"

#define STATS "/v1/stats/tenants/acme"
#define MBIT  1000000ull
#define SHARE (1ull << 16) /* of one bit/s */

static int setup(void **state)
{
	struct api_fixture *fixture;

	api_setup(state);
	fixture = *state;
	api_expect(fixture, 201, "PUT", "/v1/tenants/acme", "{\"send\":\"300mbit\"}");
	api_expect(fixture, 201, "PUT", "/v1/tenants/beta", "{}");
	fake_reconcile_memories(fixture->reconcile);
	return 0;
}

/* The worker's counters of acme. */
static struct stats_tenant *acme(struct api_fixture *fixture, unsigned worker)
{
	const struct model_tenant *tenant = model_tenant_find(fixture->model, "acme");

	fixture->reconcile->stats->workers[0].tenants[tenant->ref.index].incarnation =
		tenant->ref.incarnation;
	return &fixture->reconcile->stats->workers[worker].tenants[tenant->ref.index];
}

static void expect_number(struct api_fixture *fixture, const char *member, long long number)
{
	json_t *json = api_get(fixture, STATS);

	if (api_number(json, member) != number)
		fail_msg("%s is %lld, not %lld", member, api_number(json, member), number);
	json_decref(json);
}

static void expect_null(struct api_fixture *fixture, const char *member)
{
	json_t *json = api_get(fixture, STATS);

	assert_true(json_is_null(api_at(json, member)));
	json_decref(json);
}

/* Every counter has a value of its own, so that none can stand for another. */
static void counters_are_sums(void **state)
{
	static const char *const members[] = {
		"offered_packets", "offered_bytes",   "passed_packets",
		"passed_bytes",	   "dropped_packets", "dropped_bytes",
		"queued_packets",  "queued_bytes",    "marked_packets",
	};
	struct api_fixture *fixture = *state;
	char path[64];

	fixture->reconcile->stats->worker_count = 2;
	for (unsigned worker = 0; worker < 3; worker++) {
		uint64_t *send = &acme(fixture, worker)->send.offered_packets;
		uint64_t *receive = &acme(fixture, worker)->receive.offered_packets;

		for (unsigned i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
			send[i] = 10 + i;
			receive[i] = 1000 + i;
		}
	}
	for (unsigned i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		snprintf(path, sizeof(path), "send.%s", members[i]);
		expect_number(fixture, path, 2 * (10 + i));
		snprintf(path, sizeof(path), "receive.%s", members[i]);
		expect_number(fixture, path, 2 * (1000 + i));
	}
	/* Counters of whoever had the index before. */
	acme(fixture, 0)->incarnation++;
	fixture->reconcile->stats->workers[0]
		.tenants[model_tenant_find(fixture->model, "acme")->ref.index]
		.incarnation = 999;
	expect_number(fixture, "send.offered_packets", 0);
	expect_null(fixture, "send.delay_p50_us");
	expect_number(fixture, "send.rate", 300 * MBIT);
}

static void delays_have_bounds(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *json;

	fixture->reconcile->stats->worker_count = 2;
	acme(fixture, 0)->send.delays[0] = 49;
	acme(fixture, 1)->send.delays[1] = 1;
	acme(fixture, 0)->send.delays[14] = 49;
	acme(fixture, 1)->send.delays[15] = 1;
	json = api_get(fixture, STATS);
	assert_int_equal(json_array_size(api_at(json, "send.delays")), 4);
	assert_int_equal(api_number(json, "send.delays.0.up_to_us"), 0);
	assert_int_equal(api_number(json, "send.delays.0.packets"), 49);
	assert_int_equal(api_number(json, "send.delays.1.up_to_us"), 32);
	assert_int_equal(api_number(json, "send.delays.2.up_to_us"), 262144);
	assert_true(json_is_null(api_at(json, "send.delays.3.up_to_us")));
	assert_int_equal(api_number(json, "send.delay_p50_us"), 32);
	assert_int_equal(api_number(json, "send.delay_p99_us"), 262144);
	assert_int_equal(json_array_size(api_at(json, "receive.delays")), 0);
	assert_true(json_is_null(api_at(json, "receive.delay_p50_us")));
	json_decref(json);
	/* One more in a hundred, and the last place has no bound. */
	acme(fixture, 0)->send.delays[15]++;
	expect_number(fixture, "send.delay_p99_us", 524288);
	/* A single packet is every quantile. */
	memset(acme(fixture, 0)->send.delays, 0, sizeof(acme(fixture, 0)->send.delays));
	memset(acme(fixture, 1)->send.delays, 0, sizeof(acme(fixture, 1)->send.delays));
	acme(fixture, 1)->send.delays[2] = 1;
	expect_number(fixture, "send.delay_p50_us", 64);
	expect_number(fixture, "send.delay_p99_us", 64);
	acme(fixture, 1)->send.delays[0] = 99;
	expect_number(fixture, "send.delay_p50_us", 0);
	expect_number(fixture, "send.delay_p99_us", 0);
	/* Nonsense is an answer, too. */
	acme(fixture, 0)->send.delays[3] = UINT64_MAX;
	acme(fixture, 0)->send.delays[4] = UINT64_MAX;
	api_expect(fixture, 200, "GET", STATS, NULL);
}

/* min(ceiling, guarantee + weight x share) */
static void the_rate_follows_the_share(void **state)
{
	struct api_fixture *fixture = *state;
	struct stats_memory *memory = fixture->reconcile->stats;

	/* No datapath yet: what is in the memory is no share. */
	api_expect(fixture, 200, "PUT", "/v1/host", "{\"send-capacity\":\"1gbit\"}");
	expect_number(fixture, "send.rate", 300 * MBIT);
	expect_null(fixture, "receive.rate");
	memory->worker_count = 1;
	expect_number(fixture, "send.rate", 0);
	api_expect(fixture, 200, "PATCH", "/v1/tenants/acme",
		   "{\"send-min\":\"100mbit\",\"weight\":3}");
	expect_number(fixture, "send.rate", 100 * MBIT);
	memory->send_share = 50 * MBIT * SHARE + SHARE / 2;
	expect_number(fixture, "send.rate", 250 * MBIT + 1);
	memory->send_share = 70 * MBIT * SHARE;
	expect_number(fixture, "send.rate", 300 * MBIT);
	memory->send_share = UINT64_MAX - 1;
	expect_number(fixture, "send.rate", 300 * MBIT);
	memory->send_share = UINT64_MAX;
	expect_number(fixture, "send.rate", 300 * MBIT);
	/* Without a ceiling there is a rate only while there is something to divide. */
	api_expect(fixture, 200, "PATCH", "/v1/tenants/acme", "{\"send\":null,\"weight\":10000}");
	expect_null(fixture, "send.rate");
	memory->send_share = UINT64_MAX - 1;
	expect_number(fixture, "send.rate", (UINT64_MAX >> 16) * 10000 + 100 * MBIT + 9999);
	memory->send_share = SHARE / 2;
	expect_number(fixture, "send.rate", 100 * MBIT + 5000);
	/* The other direction has a share of its own, and no capacity yet. */
	memory->receive_share = 8 * SHARE;
	expect_null(fixture, "receive.rate");
	api_expect(fixture, 200, "PATCH", "/v1/host", "{\"receive-capacity\":\"1gbit\"}");
	expect_number(fixture, "receive.rate", 80000);
}

static void lists_have_channels(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *json;

	fixture->reconcile->stats->worker_count = 1;
	acme(fixture, 0)->receive.marked_packets = 5;
	json = api_get(fixture, "/v1/stats/tenants");
	assert_int_equal(api_number(json, "tenants.0.receive.marked_packets"), 5);
	assert_int_equal(api_number(json, "tenants.0.send.rate"), 300 * MBIT);
	assert_true(json_is_null(api_at(json, "tenants.1.send.rate")));
	json_decref(json);
	json = api_get(fixture, "/v1/stats");
	assert_int_equal(api_number(json, "tenants.0.receive.marked_packets"), 5);
	json_decref(json);
}

/* Before there is any memory. */
static void nothing_is_counted_yet(void **state)
{
	struct api_fixture *fixture = *state;

	api_restart(fixture);
	expect_number(fixture, "send.offered_bytes", 0);
	expect_number(fixture, "send.rate", 300 * MBIT);
	expect_null(fixture, "receive.delay_p99_us");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, api_teardown)
	const struct CMUnitTest tests[] = {
		TEST(counters_are_sums),	  TEST(delays_have_bounds),
		TEST(the_rate_follows_the_share), TEST(lists_have_channels),
		TEST(nothing_is_counted_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
