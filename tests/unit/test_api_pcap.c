/* SPDX-License-Identifier: Apache-2.0 */

/* Ports on capture files over the API: what is taken, kept, told to the reconciler, and refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/api_fixture.h"

#define P	      "/v1/tenants/acme/ports/p"
#define PCAP(members) "{\"type\":\"pcap\",\"segment\":\"web\"" members "}"

static int setup(void **state)
{
	api_setup(state);
	api_populate(*state);
	return 0;
}

static void expect_members(struct api_fixture *fixture, const char *path, const char *read,
			   const char *replay, const char *write, int limit)
{
	json_t *json = api_get(fixture, path);

	assert_string_equal(api_text(json, "type"), "pcap");
	assert_null(json_object_get(json, "ifname"));
	assert_null(json_object_get(json, "mac"));
	assert_null(api_at(json, "status.mac"));
	assert_true((json_object_get(json, "read") == NULL) == (read == NULL));
	assert_true((json_object_get(json, "replay") == NULL) == (read == NULL));
	assert_true((json_object_get(json, "write") == NULL) == (write == NULL));
	assert_true((json_object_get(json, "write-limit") == NULL) == (write == NULL));
	if (read != NULL) {
		assert_string_equal(api_text(json, "read"), read);
		assert_string_equal(api_text(json, "replay"), replay);
	}
	if (write != NULL) {
		assert_string_equal(api_text(json, "write"), write);
		assert_int_equal(api_number(json, "write-limit"), limit);
	}
	json_decref(json);
}

static void ports_have_files(void **state)
{
	struct api_fixture *fixture = *state;

	api_expect(fixture, 201, "PUT", P, PCAP(",\"read\":\"in.pcap\""));
	expect_members(fixture, P, "in.pcap", "own", NULL, 0);
	api_expect(fixture, 200, "PATCH", P,
		   "{\"replay\":\"1500kbit\",\"write\":\"sub/out.pcap\"}");
	expect_members(fixture, P, "in.pcap", "1.5mbit", "sub/out.pcap", 1024);
	api_expect(fixture, 200, "PATCH", P, "{\"replay\":\"max\",\"write-limit\":1048576}");
	expect_members(fixture, P, "in.pcap", "max", "sub/out.pcap", 1048576);
	api_restart(fixture);
	expect_members(fixture, P, "in.pcap", "max", "sub/out.pcap", 1048576);
	/* What concerns a file goes with it. */
	api_expect(fixture, 200, "PATCH", P, "{\"write\":null}");
	expect_members(fixture, P, "in.pcap", "max", NULL, 0);
	api_expect(fixture, 200, "PATCH", P, "{\"read\":null,\"write\":\"out.pcap\"}");
	expect_members(fixture, P, NULL, NULL, "out.pcap", 1024);
	api_expect(fixture, 201, "PUT", "/v1/uplinks/tape",
		   "{\"type\":\"pcap\",\"trunk\":[\"acme/web=7\"],\"read\":\"in.pcap\"}");
	expect_members(fixture, "/v1/uplinks/tape", "in.pcap", "own", NULL, 0);
}

static const struct model_change *last_change(const struct api_fixture *fixture)
{
	assert_int_equal(fixture->reconcile->change_count, 1);
	return &fixture->reconcile->changes[0];
}

/* A recording takes the place of what there is when the port gets it, and at no other change. */
static void recordings_begin_anew_once(void **state)
{
	struct api_fixture *fixture = *state;

	api_expect(fixture, 201, "PUT", P, PCAP(",\"write\":\"a\""));
	assert_true(last_change(fixture)->records_anew);
	api_expect(fixture, 200, "PATCH", P, "{\"write-limit\":5}");
	assert_false(last_change(fixture)->records_anew);
	api_expect(fixture, 200, "PATCH", P, "{\"admin\":\"down\",\"read\":\"b\"}");
	assert_false(last_change(fixture)->records_anew);
	api_expect(fixture, 200, "PATCH", P, "{\"write\":\"c\"}");
	assert_true(last_change(fixture)->records_anew);
}

static void files_are_written_by_one_port(void **state)
{
	struct api_fixture *fixture = *state;

	api_expect(fixture, 201, "PUT", P, PCAP(",\"write\":\"a\""));
	api_refuse(fixture, 409, "file-taken", "PUT", P "2", PCAP(",\"write\":\"a\""));
	api_expect(fixture, 201, "PUT", P "2", PCAP(",\"write\":\"b\",\"read\":\"a\""));
	api_refuse(fixture, 409, "file-taken", "PATCH", P "2", "{\"write\":\"a\",\"read\":null}");
	/* No interface is in the way of a file, whatever it is called. */
	api_expect(fixture, 201, "PUT", "/v1/tenants/acme/ports/tap",
		   "{\"type\":\"tap\",\"segment\":\"web\",\"ifname\":\"a\"}");
	api_expect(fixture, 204, "DELETE", P, NULL);
	api_expect(fixture, 200, "PATCH", P "2", "{\"write\":\"a\",\"read\":null}");
}

static void bad_files_are_refused(void **state)
{
	static const struct {
		const char *code, *body;
	} rows[] = {
		{"missing", PCAP("")},
		{"missing", PCAP(",\"read\":null,\"replay\":\"max\"")},
		{"bad-value", PCAP(",\"read\":\"\"")},
		{"bad-value", PCAP(",\"read\":\"..\"")},
		{"bad-value", PCAP(",\"read\":\"../state.db\"")},
		{"bad-value", PCAP(",\"write\":\"a/../../state.db\"")},
		{"bad-value", PCAP(",\"write\":\"a//b\"")},
		{"bad-value", PCAP(",\"write\":\"a b\"")},
		{"malformed", PCAP(",\"write\":\"a\\u0000b\"")},
		{"bad-value", PCAP(",\"read\":\"a\",\"write\":\"a\"")},
		{"bad-value", PCAP(",\"read\":\"a\",\"replay\":\"none\"")},
		{"bad-value", PCAP(",\"read\":\"a\",\"replay\":\"slow\"")},
		{"bad-value", PCAP(",\"read\":\"a\",\"replay\":\"0bit\"")},
		{"bad-value", PCAP(",\"write\":\"a\",\"write-limit\":0")},
		{"bad-value", PCAP(",\"write\":\"a\",\"write-limit\":1048577")},
		{"bad-type", PCAP(",\"write\":\"a\",\"write-limit\":\"1gib\"")},
		{"bad-type", PCAP(",\"read\":[\"a\"]")},
		{"bad-file", PCAP(",\"read\":\"bad\"")},
		{"no-interface", PCAP(",\"read\":\"a\",\"ifname\":\"eth0\"")},
		{"no-interface", PCAP(",\"read\":\"a\",\"mac\":\"02:00:00:00:00:01\"")},
		{"no-file", "{\"type\":\"tap\",\"segment\":\"web\",\"read\":\"a\"}"},
		{"no-file", "{\"type\":\"memory\",\"segment\":\"web\",\"write-limit\":1}"},
	};
	struct api_fixture *fixture = *state;

	fixture->reconcile->bad_file = "bad";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		api_refuse(fixture, 400, rows[i].code, "PUT", P, rows[i].body);
	api_expect(fixture, 201, "PUT", P, PCAP(",\"read\":\"a\""));
	api_refuse(fixture, 409, "type-fixed", "PUT", P,
		   "{\"type\":\"memory\",\"segment\":\"web\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ports_have_files, setup, api_teardown),
		cmocka_unit_test_setup_teardown(recordings_begin_anew_once, setup, api_teardown),
		cmocka_unit_test_setup_teardown(files_are_written_by_one_port, setup, api_teardown),
		cmocka_unit_test_setup_teardown(bad_files_are_refused, setup, api_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
