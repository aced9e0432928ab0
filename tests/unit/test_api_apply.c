/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "control/model_edit.h"
#include "tests/unit/api_fixture.h"
#include "tests/unit/effort.h"

#define TENANT_COUNT EFFORT(10000)

static size_t apply(struct api_fixture *fixture, const char *query, const char *topology)
{
	char path[128];
	struct api_answer answer;
	size_t count;

	snprintf(path, sizeof(path), "/v1/apply%s", query);
	answer = api_request(fixture, "POST", path, "", topology);
	if (answer.status != 200)
		print_error("%s\n", answer.text);
	assert_int_equal(answer.status, 200);
	assert_int_equal(api_number(answer.json, "generation"),
			 (long long)model_generation(fixture->model));
	count = json_array_size(json_object_get(answer.json, "changes"));
	api_answer_fini(&answer);
	return count;
}

static void expect_change(const json_t *answer, size_t index, const char *expected)
{
	char text[256], path[32];

	snprintf(path, sizeof(path), "changes.%zu", index);
	snprintf(text, sizeof(text), "%s %s %s", api_text(api_at(answer, path), "action"),
		 api_text(api_at(answer, path), "kind"), api_text(api_at(answer, path), "name"));
	assert_string_equal(text, expected);
}

static void what_is_exported_changes_nothing(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *config, *again;
	uint64_t generation;
	char *text;

	api_populate(fixture);
	config = api_get(fixture, "/v1/config");
	text = json_dumps(config, 0);
	generation = model_generation(fixture->model);
	assert_int_equal(apply(fixture, "", text), 0);
	assert_int_equal(apply(fixture, "?prune=true", text), 0);
	assert_int_equal(apply(fixture, "?prune=true&tenant=acme", text), 0);
	assert_int_equal(apply(fixture, "?dry-run=true", text), 0);
	assert_int_equal(model_generation(fixture->model), generation);

	/* Into an empty switch it makes the same one. */
	api_expect(fixture, 200, "POST", "/v1/apply?prune=true", "{\"version\":1}");
	assert_int_not_equal(apply(fixture, "", text), 0);
	again = api_get(fixture, "/v1/config");
	assert_true(json_equal(config, again));
	free(text);
	json_decref(config);
	json_decref(again);
}

static void export_has_the_shape_of_files(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *config;

	api_populate(fixture);
	config = api_get(fixture, "/v1/config");
	assert_int_equal(api_number(config, "version"), 1);
	assert_string_equal(api_text(config, "vtep.local"), "172.31.0.1");
	assert_string_equal(api_text(config, "tenants.acme.segments.web.ports.web1.ip.0"),
			    "10.0.0.1/24");
	assert_null(api_at(config, "tenants.acme.segments.web.ports.web1.segment"));
	assert_null(api_at(config, "tenants.acme.segments.web.ports.web1.mac"));
	assert_string_equal(api_text(config, "tenants.acme.ports.both.trunk.0"), "web=7");
	assert_string_equal(api_text(config, "tenants.acme.ports.both.trunk.1"), "db");
	assert_string_equal(
		api_text(json_object_get(api_at(config, "tenants.acme.segments.web.fdb"),
					 "02:00:00:00:00:0b"),
			 "vtep"),
		"172.31.0.2");
	assert_string_equal(api_text(config, "uplinks.up0.native"), "acme/db");
	assert_string_equal(api_text(config, "uplinks.up0.trunk.0"), "acme/web");
	json_decref(config);
}

/* Without prune a topology adds and changes what it says; with it, it is all there is. */
static void prune_removes_what_is_not_named(void **state)
{
	static const char topology[] =
		"{\"version\":1,\"tenants\":{\"acme\":{\"receive\":\"7mbit\","
		"\"segments\":{\"db\":null}}}}";
	struct api_fixture *fixture = *state;
	struct api_answer answer;
	json_t *config;

	api_populate(fixture);
	answer = api_request(fixture, "POST", "/v1/apply", "", topology);
	assert_int_equal(json_array_size(json_object_get(answer.json, "changes")), 1);
	expect_change(answer.json, 0, "change tenant acme");
	api_answer_fini(&answer);
	config = api_get(fixture, "/v1/tenants/acme");
	assert_string_equal(api_text(config, "send"), "1gbit");
	assert_string_equal(api_text(config, "receive"), "7mbit");
	json_decref(config);

	/* Within one tenant: what another's uplink carries is in the way. */
	api_refuse(fixture, 409, "in-use", "POST", "/v1/apply?prune=true&tenant=acme", topology);
	api_refuse(fixture, 404, "not-found", "POST", "/v1/apply?prune=true&tenant=none", topology);
	api_refuse(fixture, 400, "bad-parameter", "POST", "/v1/apply?tenant=acme", topology);
	api_expect(fixture, 200, "PATCH", "/v1/uplinks/up0", "{\"trunk\":[]}");
	assert_int_equal(apply(fixture, "?prune=true&tenant=acme&dry-run=true", topology), 8);
	assert_int_equal(apply(fixture, "?prune=true&tenant=acme", topology), 8);
	config = api_get(fixture, "/v1/config");
	assert_string_equal(api_text(config, "tenants.acme.send"), "none");
	assert_null(api_at(config, "tenants.acme.segments.web"));
	assert_non_null(api_at(config, "tenants.beta.segments.web.ports.web1"));
	assert_non_null(api_at(config, "uplinks.up0"));
	assert_string_equal(api_text(config, "host.send-capacity"), "10gbit");
	json_decref(config);

	assert_int_not_equal(apply(fixture, "?prune=true", topology), 0);
	config = api_get(fixture, "/v1/config");
	assert_null(api_at(config, "vtep"));
	assert_null(api_at(config, "tenants.beta"));
	assert_null(api_at(config, "uplinks.up0"));
	assert_string_equal(api_text(config, "host.send-capacity"), "none");
	json_decref(config);
}

static void dry_run_changes_nothing(void **state)
{
	static const char topology[] = "{\"version\":1,\"tenants\":{\"new\":{}},\"uplinks\":"
				       "{\"up1\":{\"type\":\"memory\",\"trunk\":[]}}}";
	struct api_fixture *fixture = *state;
	struct api_answer answer;
	json_t *before, *after;

	api_populate(fixture);
	before = api_get(fixture, "/v1/config");
	answer = api_request(fixture, "POST", "/v1/apply?dry-run=true", "", topology);
	assert_int_equal(json_array_size(json_object_get(answer.json, "changes")), 2);
	expect_change(answer.json, 0, "add tenant new");
	expect_change(answer.json, 1, "add uplink up1");
	api_answer_fini(&answer);
	after = api_get(fixture, "/v1/config");
	assert_true(json_equal(before, after));
	assert_int_equal(model_generation(fixture->model), 2);
	assert_int_equal(fixture->reconcile->apply_count, 1);
	json_decref(before);
	json_decref(after);
}

/* Two segments exchange their VNIs and two ports their interfaces: no order of steps would do. */
static void values_are_exchanged(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *config;

	api_populate(fixture);
	assert_int_equal(apply(fixture, "",
			       "{\"version\":1,\"tenants\":{"
			       "\"acme\":{\"segments\":{\"web\":{\"vni\":5002,\"ports\":{\"web1\":"
			       "{\"type\":\"tap\",\"netns\":\"beta1\"}}}}},"
			       "\"beta\":{\"segments\":{\"web\":{\"vni\":5001,\"ports\":{\"web1\":"
			       "{\"type\":\"tap\",\"netns\":\"web1\"}}}}}}}"),
			 4);
	config = api_get(fixture, "/v1/config");
	assert_int_equal(api_number(config, "tenants.acme.segments.web.vni"), 5002);
	assert_int_equal(api_number(config, "tenants.beta.segments.web.vni"), 5001);
	json_decref(config);
}

static const struct {
	int status;
	const char *code, *body;
} whole_refusals[] = {
	{400, "missing", "{}"},
	{400, "bad-value", "{\"version\":2}"},
	{400, "bad-type", "{\"version\":\"1\"}"},
	{400, "unknown-key", "{\"version\":1,\"ports\":{}}"},
	{400, "bad-type", "{\"version\":1,\"tenants\":[]}"},
	{400, "bad-type", "{\"version\":1,\"tenants\":{\"a\":7}}"},
	{400, "bad-type", "{\"version\":1,\"tenants\":{\"a\":{\"segments\":[]}}}"},
	{400, "bad-type", "{\"version\":1,\"host\":[]}"},
	{400, "bad-name", "{\"version\":1,\"tenants\":{\"\":{}}}"},
	{400, "bad-name", "{\"version\":1,\"tenants\":{\"a\":{\"segments\":{\"b/c\":{}}}}}"},
	{400, "unknown-key", "{\"version\":1,\"tenants\":{\"a\":{\"vni\":1}}}"},
	{400, "unknown-key",
	 "{\"version\":1,\"tenants\":{\"a\":{\"segments\":{\"s\":{\"port\":{}}}}}}"},
	{400, "duplicate-key", "{\"version\":1,\"tenants\":{\"a\":{},\"a\":{}}}"},
	{409, "vni-taken",
	 "{\"version\":1,\"tenants\":{\"a\":{\"segments\":{\"s\":{\"vni\":9},"
	 "\"t\":{\"vni\":9}}}}}"},
	{400, "port-twice",
	 "{\"version\":1,\"tenants\":{\"a\":{\"segments\":{"
	 "\"s\":{\"ports\":{\"p\":{\"type\":\"memory\"}}},"
	 "\"t\":{\"ports\":{\"p\":{\"type\":\"memory\"}}}}}}}"},
	{400, "bad-membership",
	 "{\"version\":1,\"tenants\":{\"a\":{\"segments\":{\"t\":{},\"s\":{\"ports\":"
	 "{\"p\":{\"type\":\"memory\",\"segment\":\"t\"}}}}}}}"},
	{400, "bad-membership",
	 "{\"version\":1,\"tenants\":{\"a\":{\"segments\":{\"t\":{},\"s\":{\"ports\":"
	 "{\"p\":{\"type\":\"memory\",\"trunk\":[\"t=1\"]}}}}}}}"},
	{400, "bad-value",
	 "{\"version\":1,\"tenants\":{\"acme\":{\"segments\":{\"web\":{\"fdb\":"
	 "{\"zz\":{\"port\":\"acme/web1\"}}}}}}}"},
	{400, "bad-type",
	 "{\"version\":1,\"tenants\":{\"acme\":{\"segments\":{\"web\":{\"fdb\":"
	 "{\"02:00:00:00:00:01\":null}}}}}}"},
	{409, "peer-is-local", "{\"version\":1,\"vtep\":{\"local\":\"172.31.0.3\"}}"},
	/* The last of many: those before it are undone. */
	{400, "unknown-segment",
	 "{\"version\":1,\"tenants\":{\"n1\":{\"send\":\"1gbit\",\"segments\":{\"s\":"
	 "{\"vni\":77,\"peers\":[\"10.1.1.1\"],\"ports\":{\"p\":{\"type\":\"tap\"}}}}},"
	 "\"acme\":{\"send\":\"2gbit\"}},\"uplinks\":{\"u\":{\"type\":\"tap\","
	 "\"trunk\":[\"n1/s=4\",\"n1/none=5\"]}}}"},
};
#define WHOLE_COUNT (sizeof(whole_refusals) / sizeof(whole_refusals[0]))

static void refuses_whole_topologies(void **state)
{
	struct api_fixture *fixture = *state;
	struct api_answer answer;

	api_populate(fixture);
	for (size_t i = 0; i < WHOLE_COUNT; i++)
		api_refuse(fixture, whole_refusals[i].status, whole_refusals[i].code, "POST",
			   "/v1/apply", whole_refusals[i].body);
	/* A prune that comes before the mistake is undone as well. */
	api_refuse(fixture, 400, "unknown-segment", "POST", "/v1/apply?prune=true",
		   whole_refusals[WHOLE_COUNT - 1].body);
	answer = api_request(fixture, "POST", "/v1/apply", "",
			     "{\"version\":1,\"tenants\":{\"a\":{\"segments\":{\"s\":{\"ports\":"
			     "{\"p\":{\"type\":\"tap\",\"mac\":\"x\"}}}}}}}");
	assert_string_equal(api_text(answer.json, "pointer"), "/tenants/a/segments/s/ports/p/mac");
	assert_string_equal(api_text(answer.json, "object"), "port a/p");
	api_answer_fini(&answer);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The cost of a change is that of what it touches. The bounds leave room for a busy machine. */
static void many_tenants(void **state)
{
	struct api_fixture *fixture = *state;
	size_t capacity = 64 + TENANT_COUNT * 128;
	char *topology = malloc(capacity);
	size_t size = (size_t)snprintf(topology, capacity, "{\"version\":1,\"tenants\":{");
	double start;

	for (int i = 0; i < TENANT_COUNT; i++)
		size += (size_t)snprintf(topology + size, capacity - size,
					 "%s\"t%d\":{\"segments\":{\"s\":{\"vni\":%d,\"ports\":"
					 "{\"p\":{\"type\":\"tap\",\"netns\":\"n%d\"}}}}}",
					 i != 0 ? "," : "", i, i + 1, i);
	snprintf(topology + size, capacity - size, "}}");
	start = seconds();
	assert_int_equal(apply(fixture, "", topology), 3 * TENANT_COUNT);
	print_message("apply: %.3f s\n", seconds() - start);
	assert_true(seconds() - start < 10);
	start = seconds();
	assert_int_equal(apply(fixture, "", topology), 0);
	assert_true(seconds() - start < 10);
	start = seconds();
	for (int i = 0; i < 100; i++)
		api_expect(fixture, 200, "PATCH", "/v1/tenants/t500",
			   i % 2 == 0 ? "{\"send\":\"1gbit\"}" : "{\"send\":\"2gbit\"}");
	print_message("change: %.3f ms\n", (seconds() - start) * 10);
	assert_true(seconds() - start < 10);
	api_restart(fixture);
	assert_int_equal(apply(fixture, "?prune=true", "{\"version\":1}"), 3 * TENANT_COUNT);
	free(topology);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_exported_changes_nothing, api_setup,
						api_teardown),
		cmocka_unit_test_setup_teardown(export_has_the_shape_of_files, api_setup,
						api_teardown),
		cmocka_unit_test_setup_teardown(prune_removes_what_is_not_named, api_setup,
						api_teardown),
		cmocka_unit_test_setup_teardown(dry_run_changes_nothing, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(values_are_exchanged, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(refuses_whole_topologies, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(many_tenants, api_setup, api_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
