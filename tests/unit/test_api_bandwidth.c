/* SPDX-License-Identifier: Apache-2.0 */

/* Guarantees, weights, bursts and overheads through the API: kept, merged, refused, judged whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "control/model_edit.h"
#include "control/store.h"
#include "tests/unit/api_fixture.h"

#define T "/v1/tenants/acme"

static const char full[] =
	"{\"send\":\"1gbit\",\"send-min\":\"100mbit\",\"send-burst\":\"64kb\","
	"\"receive\":\"900mbit\",\"receive-min\":\"50mbit\",\"receive-burst\":\"1500b\","
	"\"weight\":10000,\"overhead\":-14}";

static int setup(void **state)
{
	api_setup(state);
	api_expect(*state, 200, "PUT", "/v1/host",
		   "{\"send-capacity\":\"1gbit\",\"receive-capacity\":\"1gbit\"}");
	api_expect(*state, 201, "PUT", T, full);
	return 0;
}

static const struct model_bandwidth *acme(const struct api_fixture *fixture)
{
	return &model_tenant_find(fixture->model, "acme")->bandwidth;
}

static void expect_full(const struct api_fixture *fixture)
{
	const struct model_bandwidth *bandwidth = acme(fixture);

	assert_int_equal(bandwidth->send.rate, 1000000000);
	assert_int_equal(bandwidth->send.min, 100000000);
	assert_int_equal(bandwidth->send.burst, 65536);
	assert_int_equal(bandwidth->receive.rate, 900000000);
	assert_int_equal(bandwidth->receive.min, 50000000);
	assert_int_equal(bandwidth->receive.burst, 1500);
	assert_int_equal(bandwidth->weight, 10000);
	assert_int_equal(bandwidth->overhead, -14);
}

/* Compares the attributes with the given ones; everything else must be at its default. */
static void expect_answer(struct api_fixture *fixture, const char *given)
{
	json_t *expected =
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i}", "send", "none", "send-min",
			  "none", "send-burst", "none", "receive", "none", "receive-min", "none",
			  "receive-burst", "none", "weight", 1, "overhead", 0);
	json_t *more = json_loads(given, 0, NULL), *seen = api_get(fixture, T);

	json_object_update(expected, more);
	json_object_del(seen, "name");
	json_object_del(seen, "status");
	json_object_del(seen, "generation");
	if (!json_equal(expected, seen))
		fail_msg("%s gives %s", given, json_dumps(seen, 0));
	json_decref(expected);
	json_decref(more);
	json_decref(seen);
}

static void values_are_kept(void **state)
{
	struct api_fixture *fixture = *state;

	expect_full(fixture);
	expect_answer(fixture, full);
	api_restart(fixture);
	expect_full(fixture);
	expect_answer(fixture, full);
	/* The same again is no change; a patch changes what it names, and null puts a default back.
	 */
	api_expect(fixture, 200, "PUT", T, full);
	assert_int_equal(model_generation(fixture->model), 3);
	api_expect(fixture, 200, "PATCH", T,
		   "{\"weight\":7,\"send-burst\":null,\"overhead\":1024,\"receive-min\":\"none\"}");
	expect_answer(fixture,
		      "{\"send\":\"1gbit\",\"send-min\":\"100mbit\",\"receive\":\"900mbit\","
		      "\"receive-burst\":\"1500b\",\"weight\":7,\"overhead\":1024}");
	api_expect(fixture, 200, "PUT", T, "{}");
	expect_answer(fixture, "{}");
	api_restart(fixture);
	expect_answer(fixture, "{}");
}

/* What an earlier version has stored has none of these attributes. */
static void earlier_states_have_the_defaults(void **state)
{
	struct api_fixture *fixture = *state;
	char path[128];
	sqlite3 *database;

	snprintf(path, sizeof(path), "%s/%s", fixture->state_dir, STORE_FILE);
	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database,
				      "UPDATE tenant SET attributes = "
				      "'{\"send\":\"1gbit\",\"receive\":\"none\"}'",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_close(database), SQLITE_OK);
	api_restart(fixture);
	expect_answer(fixture, "{\"send\":\"1gbit\"}");
	assert_int_equal(acme(fixture)->weight, 1);
}

static void bad_values(void **state)
{
	static const struct {
		const char *code, *body;
	} refusals[] = {
		{"bad-value", "{\"weight\":0}"},
		{"bad-value", "{\"weight\":10001}"},
		{"bad-value", "{\"weight\":-1}"},
		{"bad-value", "{\"weight\":4294967297}"},
		{"bad-type", "{\"weight\":\"heavy\"}"},
		{"bad-type", "{\"weight\":\"1\"}"},
		{"bad-type", "{\"weight\":1.5}"},
		{"bad-type", "{\"weight\":true}"},
		{"bad-value", "{\"overhead\":-65}"},
		{"bad-value", "{\"overhead\":1025}"},
		{"bad-type", "{\"overhead\":\"24\"}"},
		{"bad-value", "{\"send-burst\":\"0\"}"},
		{"bad-value", "{\"send-burst\":\"0kb\"}"},
		{"bad-value", "{\"receive-burst\":\"4gb\"}"},
		{"bad-value", "{\"receive-burst\":\"-1\"}"},
		{"bad-value", "{\"receive-burst\":\"10mbit/s\"}"},
		{"bad-value", "{\"receive-burst\":\"\"}"},
		{"bad-type", "{\"send-burst\":1500}"},
		{"bad-value", "{\"send-min\":\"7bit\"}"},
		{"bad-value", "{\"send-min\":\"1.1tbit\"}"},
		{"bad-type", "{\"receive-min\":1000000}"},
		{"unknown-key", "{\"min\":\"1mbit\"}"},
	};
	struct api_fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		api_refuse(fixture, 400, refusals[i].code, "PATCH", T, refusals[i].body);
		api_refuse(fixture, 400, refusals[i].code, "PUT", "/v1/tenants/new",
			   refusals[i].body);
	}
	expect_full(fixture);
}

/* The sentence and the member that a refused PATCH is answered with. */
static void expect_detail(struct api_fixture *fixture, const char *path, const char *body,
			  const char *pointer, const char *detail)
{
	struct api_answer answer = api_request(fixture, "PATCH", path, "", body);

	assert_int_equal(answer.status, 409);
	assert_string_equal(api_text(answer.json, "pointer"), pointer);
	assert_string_equal(api_text(answer.json, "detail"), detail);
	api_answer_fini(&answer);
}

static void guarantees_stay_below_ceilings(void **state)
{
	struct api_fixture *fixture = *state;

	api_refuse(fixture, 409, "above-ceiling", "PATCH", T, "{\"send-min\":\"1000000001\"}");
	api_refuse(fixture, 409, "above-ceiling", "PATCH", T, "{\"send\":\"99mbit\"}");
	api_refuse(fixture, 409, "above-ceiling", "PATCH", T, "{\"receive\":\"49999999\"}");
	expect_detail(fixture, T, "{\"send\":\"99mbit\"}", "/send-min",
		      "tenant acme cannot be guaranteed 100mbit to send, above its ceiling of "
		      "99mbit: lower send-min, or raise send");
	api_expect(fixture, 200, "PATCH", T, "{\"send\":\"100mbit\"}");
	api_expect(fixture, 200, "PATCH", T, "{\"send\":\"none\",\"send-min\":\"1gbit\"}");
	api_expect(fixture, 200, "PATCH", T, "{\"send\":\"5mbit\",\"send-min\":null}");
}

static void sums_stay_within_the_capacity(void **state)
{
	struct api_fixture *fixture = *state;

	api_refuse(fixture, 409, "over-capacity", "PUT", "/v1/tenants/beta",
		   "{\"send-min\":\"901mbit\"}");
	expect_detail(fixture, T,
		      "{\"send-min\":\"1gbit\",\"receive\":null,\"receive-min\":"
		      "\"1.1gbit\"}",
		      "/receive-min",
		      "tenant acme cannot be guaranteed 1.1gbit to receive: all guarantees would "
		      "come to 1.1gbit, and the host's receive-capacity is 1gbit; lower some "
		      "receive-min, or raise that with 'vswitchctl host set --receive-capacity'");
	api_expect(fixture, 201, "PUT", "/v1/tenants/beta", "{\"send-min\":\"900mbit\"}");
	api_refuse(fixture, 409, "over-capacity", "PATCH", "/v1/host",
		   "{\"send-capacity\":\"999mbit\"}");
	api_refuse(fixture, 409, "over-capacity", "PATCH", "/v1/host", "{\"send-capacity\":null}");
	api_refuse(fixture, 409, "over-capacity", "PUT", "/v1/host", "{}");
	/* It holds after a restart, which adds everything up anew. */
	api_restart(fixture);
	api_refuse(fixture, 409, "over-capacity", "PUT", "/v1/tenants/c", "{\"send-min\":\"8\"}");
	api_expect(fixture, 204, "DELETE", "/v1/tenants/beta", NULL);
	api_expect(fixture, 201, "PUT", "/v1/tenants/c", "{\"send-min\":\"900mbit\"}");
	api_expect(fixture, 200, "PATCH", T, "{\"send-min\":null,\"receive-min\":null}");
	api_refuse(fixture, 409, "over-capacity", "PUT", "/v1/host", "{}");
	api_expect(fixture, 200, "PATCH", "/v1/tenants/c", "{\"send-min\":null}");
	api_expect(fixture, 200, "PUT", "/v1/host", "{}");
	api_refuse(fixture, 409, "no-capacity", "PATCH", T, "{\"send-min\":\"8\"}");
}

static void files_are_judged_whole(void **state)
{
	struct api_fixture *fixture = *state;

	api_expect(fixture, 201, "PUT", "/v1/tenants/beta", "{\"send-min\":\"900mbit\"}");
	/* They change places, which neither could alone. */
	api_expect(fixture, 200, "POST", "/v1/apply",
		   "{\"version\":1,\"tenants\":{\"acme\":{\"send-min\":\"900mbit\"},"
		   "\"beta\":{\"send-min\":\"100mbit\"}}}");
	api_expect(fixture, 200, "POST", "/v1/apply",
		   "{\"version\":1,\"tenants\":{\"beta\":{\"send-min\":\"900mbit\"},"
		   "\"acme\":{\"send-min\":\"100mbit\"}}}");
	api_refuse(fixture, 409, "over-capacity", "POST", "/v1/apply",
		   "{\"version\":1,\"tenants\":{\"c\":{\"send-min\":\"1mbit\"}}}");
	/* The capacity comes with what needs it, wherever it stands, and goes with it. */
	api_expect(fixture, 200, "POST", "/v1/apply",
		   "{\"version\":1,\"tenants\":{\"c\":{\"send-min\":\"1gbit\"}},"
		   "\"host\":{\"send-capacity\":\"2gbit\"}}");
	api_refuse(fixture, 409, "over-capacity", "POST", "/v1/apply?prune=true",
		   "{\"version\":1,\"tenants\":{\"c\":{\"send-min\":\"1gbit\"}}}");
	api_expect(fixture, 200, "POST", "/v1/apply?prune=true",
		   "{\"version\":1,\"tenants\":{\"c\":{}}}");
	assert_int_equal(model_host(fixture->model)->send_capacity, 0);
	api_expect(fixture, 200, "POST", "/v1/apply?prune=true&dry-run=true",
		   "{\"version\":1,\"host\":{\"send-capacity\":\"8\"},"
		   "\"tenants\":{\"d\":{\"send-min\":\"8\"}}}");
	assert_null(model_tenant_find(fixture->model, "d"));
	assert_int_equal(model_host(fixture->model)->send_capacity, 0);
}

static void exports_can_be_applied(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *config = api_get(fixture, "/v1/config"), *again;
	char *text = json_dumps(config, 0);

	api_expect(fixture, 200, "POST", "/v1/apply?prune=true", text);
	assert_int_equal(model_generation(fixture->model), 3);
	api_expect(fixture, 200, "POST", "/v1/apply?prune=true", "{\"version\":1}");
	assert_null(model_tenant_find(fixture->model, "acme"));
	api_expect(fixture, 200, "POST", "/v1/apply", text);
	expect_full(fixture);
	again = api_get(fixture, "/v1/config");
	assert_true(json_equal(config, again));
	json_decref(config);
	json_decref(again);
	free(text);
}

static void stale_changes_are_refused(void **state)
{
	struct api_fixture *fixture = *state;
	struct api_answer answer =
		api_request(fixture, "PATCH", T, "If-Match: \"3\"\r\n", "{\"weight\":2}");

	assert_int_equal(answer.status, 200);
	assert_non_null(strstr(answer.text, "ETag: \"4\""));
	api_answer_fini(&answer);
	answer = api_request(fixture, "PATCH", T, "If-Match: \"3\"\r\n", "{\"weight\":3}");
	assert_int_equal(answer.status, 412);
	api_answer_fini(&answer);
	assert_int_equal(acme(fixture)->weight, 2);
	/* New with other values: it exists. */
	answer = api_request(fixture, "PUT", T, "If-None-Match: *\r\n", "{\"weight\":3}");
	assert_int_equal(answer.status, 412);
	api_answer_fini(&answer);
	assert_int_equal(acme(fixture)->weight, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, api_teardown)
	const struct CMUnitTest tests[] = {
		TEST(values_are_kept),
		TEST(earlier_states_have_the_defaults),
		TEST(bad_values),
		TEST(guarantees_stay_below_ceilings),
		TEST(sums_stay_within_the_capacity),
		TEST(files_are_judged_whole),
		TEST(exports_can_be_applied),
		TEST(stale_changes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
