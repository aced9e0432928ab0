/* SPDX-License-Identifier: Apache-2.0 */

/* Ports of adopted interfaces as the API takes, keeps, shows and refuses them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/api_fixture.h"

#define T      "/v1/tenants/acme"
#define P      T "/ports/vm1"
#define U      "/v1/uplinks/up1"
#define WHOLE  "{\"type\":\"netdev\",\"segment\":\"web\",\"ifname\":\"vm1\""
#define UPLINK "{\"type\":\"netdev\",\"ifname\":\"eth1\",\"trunk\":[\"acme/web=100\"]"

static int setup(void **state)
{
	api_setup(state);
	api_populate(*state);
	return 0;
}

static void is_kept_and_shown(void **state)
{
	struct api_fixture *fixture = *state;
	uint64_t generation;
	json_t *json;
	char *text;

	api_expect(fixture, 201, "PUT", P, WHOLE ",\"match-mac\":\"02:00:00:00:00:AA\"}");
	api_expect(fixture, 201, "PUT", U, UPLINK ",\"shared\":true}");
	generation = model_generation(fixture->model);
	for (int round = 0; round < 2; round++) {
		json = api_get(fixture, P);
		assert_string_equal(api_text(json, "type"), "netdev");
		assert_string_equal(api_text(json, "ifname"), "vm1");
		assert_string_equal(api_text(json, "match-mac"), "02:00:00:00:00:aa");
		/* Its own MAC is known once it is there. */
		assert_null(json_object_get(json, "mac"));
		assert_null(api_at(json, "status.mac"));
		assert_null(json_object_get(json, "shared"));
		text = json_dumps(json, 0);
		api_expect(fixture, 200, "PUT", P, text);
		free(text);
		json_decref(json);
		json = api_get(fixture, U);
		assert_true(json_is_true(json_object_get(json, "shared")));
		text = json_dumps(json, 0);
		api_expect(fixture, 200, "PUT", U, text);
		free(text);
		json_decref(json);
		assert_int_equal(model_generation(fixture->model), generation);
		api_restart(fixture);
	}
}

static void changes(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *json;

	api_expect(fixture, 201, "PUT", P, WHOLE ",\"match-mac\":\"02:00:00:00:00:aa\"}");
	api_expect(fixture, 201, "PUT", U, UPLINK ",\"shared\":true}");
	api_expect(fixture, 200, "PATCH", P, "{\"match-mac\":\"02:00:00:00:00:bb\"}");
	assert_int_equal(fixture->reconcile->change_count, 1);
	json = api_get(fixture, P);
	assert_string_equal(api_text(json, "match-mac"), "02:00:00:00:00:bb");
	json_decref(json);
	api_expect(fixture, 200, "PATCH", P, "{\"match-mac\":null}");
	json = api_get(fixture, P);
	assert_null(json_object_get(json, "match-mac"));
	json_decref(json);
	api_expect(fixture, 200, "PATCH", U, "{\"shared\":false}");
	assert_int_equal(fixture->reconcile->change_count, 1);
	json = api_get(fixture, U);
	assert_null(json_object_get(json, "shared"));
	json_decref(json);
}

static void shows_what_is_wrong(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *json;

	api_expect(fixture, 201, "PUT", P, WHOLE "}");
	fixture->reconcile->port_state = RECONCILE_PORT_DOWN;
	fixture->reconcile->port_reason = "no carrier";
	json = api_get(fixture, P);
	assert_string_equal(api_text(json, "status.state"), "down");
	assert_string_equal(api_text(json, "status.reason"), "no carrier");
	json_decref(json);
	fixture->reconcile->port_state = RECONCILE_PORT_UP;
	fixture->reconcile->port_reason = "";
	fixture->reconcile->seen = true;
	json = api_get(fixture, P);
	assert_null(api_at(json, "status.reason"));
	assert_string_equal(api_text(json, "status.mac"), FAKE_SEEN_MAC);
	assert_int_equal(api_number(json, "status.mtu"), FAKE_SEEN_MTU);
	json_decref(json);
}

static void refusals(void **state)
{
	static const struct {
		int status;
		const char *code, *path, *body;
	} rows[] = {
		{400, "no-interface", P, WHOLE ",\"mac\":\"02:00:00:00:00:01\"}"},
		{400, "no-interface", P, WHOLE ",\"ip\":\"10.0.0.1/24\"}"},
		{400, "no-interface", P, WHOLE ",\"gateway\":\"10.0.0.1\"}"},
		{400, "bad-value", P, WHOLE ",\"match-mac\":\"vm1\"}"},
		{400, "bad-value", P, WHOLE ",\"match-mac\":\"01:00:5e:00:00:01\"}"},
		{400, "bad-value", P, WHOLE ",\"match-mac\":\"00:00:00:00:00:00\"}"},
		{400, "bad-type", P, WHOLE ",\"match-mac\":1}"},
		{400, "unknown-key", P, WHOLE ",\"shared\":true}"},
		{400, "bad-type", U, UPLINK ",\"shared\":\"yes\"}"},
		{400, "no-interface", U,
		 "{\"type\":\"veth\",\"trunk\":[\"acme/web\"],\"shared\":true}"},
		{400, "no-interface", P,
		 "{\"type\":\"tap\",\"segment\":\"web\",\"match-mac\":\"02:00:00:00:00:01\"}"},
		{400, "no-interface", P,
		 "{\"type\":\"memory\",\"segment\":\"web\",\"match-mac\":\"02:00:00:00:00:01\"}"},
		{400, "bad-value", P,
		 "{\"type\":\"netdev\",\"segment\":\"web\",\"ifname\":\"a b\"}"},
		/* By the name that it has now it is web1's already. */
		{409, "ifname-taken", P,
		 "{\"type\":\"netdev\",\"segment\":\"web\",\"netns\":\"web1\",\"ifname\":"
		 "\"eth0\"}"},
		{409, "type-fixed", T "/ports/web2", "{\"type\":\"netdev\",\"segment\":\"web\"}"},
		{400, "bad-value", U, "{\"type\":\"netdev\",\"trunk\":[\"acme/web=0\"]}"},
		{400, "bad-value", U, "{\"type\":\"netdev\",\"trunk\":[\"acme/web=4095\"]}"},
		{400, "bad-value", U, "{\"type\":\"netdev\",\"trunk\":[\"acme/web=5000\"]}"},
		{409, "vid-taken", U,
		 "{\"type\":\"netdev\",\"trunk\":[\"acme/web=100\",\"beta/web=100\"]}"},
		{400, "segment-twice", U,
		 "{\"type\":\"netdev\",\"trunk\":[\"acme/web=100\"],\"native\":\"acme/web\"}"},
		{400, "unknown-segment", U,
		 "{\"type\":\"netdev\",\"trunk\":[\"acme/web\"],\"native\":\"acme/x\"}"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		api_refuse(*state, rows[i].status, rows[i].code, "PUT", rows[i].path, rows[i].body);
}

/* The host is asked where a port is new to its interface, and its answer has a code of its own. */
static void the_host_is_asked(void **state)
{
	struct api_fixture *fixture = *state;

	api_expect(fixture, 201, "PUT", U, UPLINK "}");
	fixture->reconcile->taken_ifname = "vm1";
	fixture->reconcile->taken_error = -EBUSY;
	api_refuse(fixture, 409, "interface-in-use", "PUT", P, WHOLE "}");
	fixture->reconcile->taken_error = -EINVAL;
	api_refuse(fixture, 400, "bad-interface", "PUT", P, WHOLE "}");
	fixture->reconcile->taken_ifname = "eth1";
	api_refuse(fixture, 400, "bad-interface", "PATCH", U, "{\"shared\":true}");
	api_expect(fixture, 200, "PATCH", U, "{\"match-mac\":\"02:00:00:00:00:01\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_kept_and_shown, setup, api_teardown),
		cmocka_unit_test_setup_teardown(changes, setup, api_teardown),
		cmocka_unit_test_setup_teardown(shows_what_is_wrong, setup, api_teardown),
		cmocka_unit_test_setup_teardown(refusals, setup, api_teardown),
		cmocka_unit_test_setup_teardown(the_host_is_asked, setup, api_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
