/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Everything that users can get wrong: each is refused with its status and
 * code, and changes nothing (api_refuse() compares).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/api_fixture.h"

struct refusal {
	int status;
	const char *code, *path, *body; /* of a PUT */
};

#define T	"/v1/tenants/acme"
#define S	T "/segments/web"
#define P	T "/ports/new"
#define NAME_63 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"

static void refuse_all(struct api_fixture *fixture, const struct refusal *refusals, size_t count)
{
	for (size_t i = 0; i < count; i++)
		api_refuse(fixture, refusals[i].status, refusals[i].code, "PUT", refusals[i].path,
			   refusals[i].body);
}

#define REFUSE_ALL(refusals) refuse_all(*state, refusals, sizeof(refusals) / sizeof((refusals)[0]))

static int setup(void **state)
{
	api_setup(state);
	api_populate(*state);
	return 0;
}

static void names(void **state)
{
	static const struct refusal refusals[] = {
		{400, "bad-name", "/v1/tenants/", "{}"},
		{400, "bad-name", "/v1/tenants/-a", "{}"},
		{400, "bad-name", "/v1/tenants/.a", "{}"},
		{400, "bad-name", "/v1/tenants/a%20b", "{}"},
		{400, "bad-name", "/v1/tenants/%0a", "{}"},
		{400, "bad-name", "/v1/tenants/%c3%a9", "{}"},
		{400, "bad-name", "/v1/tenants/%ff", "{}"},
		{400, "bad-name", "/v1/tenants/" NAME_63 "a", "{}"},
		{400, "bad-name", T "/segments/", "{}"},
		{400, "bad-name", T "/segments/a=1", "{}"},
		{400, "bad-name", T "/ports/", "{\"type\":\"memory\",\"segment\":\"web\"}"},
		{400, "bad-name", T "/ports/..", "{\"type\":\"memory\",\"segment\":\"web\"}"},
		{400, "bad-name", "/v1/uplinks/%25d", "{\"type\":\"memory\",\"trunk\":[]}"},
		{400, "bad-name", "/v1/uplinks/vtep", "{\"type\":\"memory\",\"trunk\":[]}"},
		{400, "bad-name", T, "{\"name\":\"other\"}"},
		{400, "bad-name", T, "{\"name\":7}"},
	};

	REFUSE_ALL(refusals);
	api_expect(*state, 201, "PUT", "/v1/tenants/" NAME_63, "{}");
	api_expect(*state, 201, "PUT", "/v1/tenants/" NAME_63 "/segments/" NAME_63, "{}");
	api_expect(*state, 201, "PUT", "/v1/tenants/" NAME_63 "/ports/" NAME_63,
		   "{\"type\":\"tap\",\"ifname\":\"x\",\"segment\":\"" NAME_63 "/" NAME_63 "\"}");
}

static void json(void **state)
{
	static const struct refusal refusals[] = {
		{400, "malformed", T, ""},
		{400, "malformed", T, "{"},
		{400, "malformed", T, "{\"send\":}"},
		{400, "malformed", T, "{'send':'1gbit'}"},
		{400, "malformed", T, "{} {}"},
		{400, "malformed", T, "{\"send\":\"\xff\"}"},
		{400, "malformed", T, "{\"send\":\"a\\u0000b\"}"},
		{400, "malformed", T, "{\"send\":1e999}"},
		{400, "bad-type", T, "[]"},
		{400, "malformed", T, "null"},
		{400, "malformed", T, "7"},
		{400, "duplicate-key", T, "{\"send\":\"1gbit\",\"send\":\"2gbit\"}"},
		{400, "unknown-key", T, "{\"colour\":\"red\"}"},
		{400, "unknown-key", T, "{\"send_min\":\"1gbit\"}"},
		{400, "unknown-key", T, "{\"a/b~c\\n\":1}"},
		{400, "unknown-key", S, "{\"vxlan\":1}"},
		{400, "unknown-key", "/v1/host", "{\"capacity\":\"1gbit\"}"},
		{400, "unknown-key", "/v1/vtep", "{\"local\":\"10.9.9.9\",\"port\":1}"},
		{400, "unknown-key", "/v1/uplinks/up1",
		 "{\"type\":\"tap\",\"segment\":\"acme/web\"}"},
		{400, "unknown-key", "/v1/uplinks/up1", "{\"type\":\"tap\",\"send\":\"1gbit\"}"},
	};
	char *deep = malloc(200001);
	struct api_answer answer;

	REFUSE_ALL(refusals);
	memset(deep, '[', 200000);
	deep[200000] = '\0';
	api_refuse(*state, 400, "malformed", "PUT", T, deep);
	free(deep);
	answer = api_request(*state, "PUT", T, "", "{\n \"send\": oops}");
	assert_non_null(strstr(api_text(answer.json, "detail"), "line 2, column"));
	api_answer_fini(&answer);
	/* A pointer is escaped, and what is not for terminals stays out. */
	answer = api_request(*state, "PUT", T, "", "{\"a/b~c\\u001b\xc3\xa9\":1}");
	assert_string_equal(api_text(answer.json, "pointer"), "/a~1b~0c???");
	assert_string_equal(api_text(answer.json, "object"), "tenant acme");
	api_answer_fini(&answer);
}

static void rates(void **state)
{
	static const struct refusal refusals[] = {
		{400, "bad-value", T, "{\"send\":\"\"}"},
		{400, "bad-value", T, "{\"send\":\"fast\"}"},
		{400, "bad-value", T, "{\"send\":\"-1mbit\"}"},
		{400, "bad-value", T, "{\"send\":\"10 mbits\"}"},
		{400, "bad-value", T, "{\"send\":\"0\"}"},
		{400, "bad-value", T, "{\"send\":\"1bit\"}"},
		{400, "bad-value", T, "{\"send\":\"2tbit\"}"},
		{400, "bad-value", T, "{\"receive\":\"99999999999999999999999gbit\"}"},
		{400, "bad-type", T, "{\"send\":1000}"},
		{400, "bad-type", T, "{\"send\":[\"1gbit\"]}"},
		{400, "bad-value", "/v1/host", "{\"receive-capacity\":\"x\"}"},
		{400, "bad-value", T "/ports/web2",
		 "{\"type\":\"veth\",\"segment\":\"web\",\"send\":\"x\"}"},
	};

	REFUSE_ALL(refusals);
}

static void segments(void **state)
{
	static const struct refusal refusals[] = {
		{404, "not-found", "/v1/tenants/nobody/segments/a", "{}"},
		{400, "bad-value", S, "{\"vni\":0}"},
		{400, "bad-value", S, "{\"vni\":16777216}"},
		{400, "bad-value", S, "{\"vni\":-1}"},
		{400, "bad-value", S, "{\"vni\":9223372036854775807}"},
		{400, "malformed", S, "{\"vni\":9223372036854775808}"},
		{400, "bad-type", S, "{\"vni\":\"5001\"}"},
		{400, "bad-type", S, "{\"vni\":5001.5}"},
		{409, "vni-taken", T "/segments/db", "{\"vni\":5001}"},
		{409, "vni-taken", T "/segments/new", "{\"vni\":5002}"},
		{400, "bad-value", S, "{\"vlan\":0}"},
		{400, "bad-value", S, "{\"vlan\":4095}"},
		{400, "bad-value", S, "{\"mtu\":67}"},
		{400, "bad-value", S, "{\"mtu\":65522}"},
		{400, "bad-value", S, "{\"ageing\":0}"},
		{400, "bad-type", S, "{\"vlan-transparent\":\"yes\"}"},
		{400, "no-vni", S, "{\"peers\":[\"172.31.0.2\"]}"},
		{400, "bad-value", S, "{\"vni\":5001,\"peers\":[\"172.31.0\"]}"},
		{400, "bad-value", S, "{\"vni\":5001,\"peers\":[\"\"]}"},
		{400, "bad-value", S, "{\"vni\":5001,\"peers\":[\"224.0.0.1\"]}"},
		{400, "bad-value", S, "{\"vni\":5001,\"peers\":[\"255.255.255.255\"]}"},
		{400, "bad-value", S, "{\"vni\":5001,\"peers\":[\"0.0.0.0\"]}"},
		{400, "bad-value", S, "{\"vni\":5001,\"peers\":[\"fd00::1\"]}"},
		{400, "bad-value", S, "{\"vni\":5001,\"peers\":[\"10.0.0.1\",\"10.0.0.1\"]}"},
		{400, "bad-type", S, "{\"vni\":5001,\"peers\":[1]}"},
		{400, "bad-type", S, "{\"vni\":5001,\"peers\":{}}"},
		{409, "peer-is-local", S,
		 "{\"vni\":5001,\"peers\":[\"172.31.0.1\",\"172.31.0.2\"]}"},
		/* The port up0 carries it by its own VID; static entries lead to its peer. */
		{409, "no-vid", S, "{\"vni\":5001,\"peers\":[\"172.31.0.2\"]}"},
		{409, "vid-taken", S, "{\"vni\":5001,\"vlan\":300,\"peers\":[\"172.31.0.2\"]}"},
		{409, "not-a-peer", S, "{\"vni\":5001,\"vlan\":100,\"peers\":[\"172.31.0.3\"]}"},
		{400, "bad-value", S "/peers/x", NULL},
		{400, "bad-value", "/v1/vtep", "{\"local\":\"224.0.0.1\"}"},
		{400, "bad-value", "/v1/vtep", "{\"local\":\"0.0.0.0\"}"},
		{400, "bad-value", "/v1/vtep", "{\"local\":\"fd00::1\"}"},
		{400, "bad-value", "/v1/vtep", "{\"local\":\"host\"}"},
		{400, "missing", "/v1/vtep", "{}"},
		{400, "bad-value", "/v1/vtep", "{\"local\":\"10.0.0.1\",\"udp-port\":0}"},
		{400, "bad-value", "/v1/vtep", "{\"local\":\"10.0.0.1\",\"udp-port\":65536}"},
		{409, "peer-is-local", "/v1/vtep", "{\"local\":\"172.31.0.2\"}"},
	};

	REFUSE_ALL(refusals);
	api_expect(*state, 201, "PUT", T "/segments/last", "{\"vni\":16777215,\"mtu\":65521}");
	api_expect(*state, 201, "PUT", T "/segments/first", "{\"vni\":1,\"mtu\":68,\"vlan\":4094}");
}

static const struct refusal port_refusals[] = {
	{404, "not-found", "/v1/tenants/nobody/ports/a", "{\"type\":\"tap\",\"segment\":\"web\"}"},
	{400, "missing", P, "{\"segment\":\"web\"}"},
	{400, "unknown-type", P, "{\"type\":\"macvtap\",\"segment\":\"web\"}"},
	{400, "unknown-type", P, "{\"type\":\"\",\"segment\":\"web\"}"},
	{400, "bad-type", P, "{\"type\":1,\"segment\":\"web\"}"},
	{409, "type-fixed", T "/ports/web2", "{\"type\":\"tap\",\"segment\":\"web\"}"},
	{400, "missing", P, "{\"type\":\"tap\"}"},
	{400, "missing", P, "{\"type\":\"tap\",\"trunk\":[]}"},
	{400, "unknown-segment", P, "{\"type\":\"tap\",\"segment\":\"nowhere\"}"},
	{400, "foreign-segment", P, "{\"type\":\"tap\",\"segment\":\"beta/web\"}"},
	{400, "foreign-segment", P, "{\"type\":\"tap\",\"trunk\":[\"beta/web=1\"]}"},
	{400, "bad-membership", P, "{\"type\":\"tap\",\"segment\":\"web\",\"trunk\":[\"db\"]}"},
	{400, "bad-membership", P, "{\"type\":\"tap\",\"segment\":\"web\",\"native\":\"db\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"trunk\":[\"web=0\"]}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"trunk\":[\"web=4095\"]}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"trunk\":[\"web=\"]}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"trunk\":[\"web=1=2\"]}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"trunk\":[\"web=99999999999999\"]}"},
	{409, "vid-taken", P, "{\"type\":\"tap\",\"trunk\":[\"web=9\",\"db=9\"]}"},
	{400, "segment-twice", P, "{\"type\":\"tap\",\"trunk\":[\"web=9\",\"web=10\"]}"},
	{400, "segment-twice", P, "{\"type\":\"tap\",\"native\":\"web\",\"trunk\":[\"web=10\"]}"},
	{400, "missing", T "/ports/a-name-of-16-ch.", "{\"type\":\"tap\",\"segment\":\"web\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"ifname\":\"\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"ifname\":\"a/b\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"ifname\":\"tap%d\"}"},
	{400, "bad-value", P,
	 "{\"type\":\"tap\",\"segment\":\"web\",\"ifname\":\"0123456789abcdef\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"netns\":\"\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"netns\":\"a/b\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"netns\":\"..\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"netns\":\"pid:0\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"netns\":\"pid:1x\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"netns\":\"/a\\nb\"}"},
	{409, "ifname-taken", P,
	 "{\"type\":\"tap\",\"segment\":\"web\",\"netns\":\"web1\",\"ifname\":\"eth0\"}"},
	{409, "ifname-taken", T "/ports/web2",
	 "{\"type\":\"veth\",\"segment\":\"web\",\"netns\":\"beta1\",\"ifname\":\"eth0\"}"},
	{400, "bad-value", P,
	 "{\"type\":\"tap\",\"segment\":\"web\",\"mac\":\"01:00:00:00:00:01\"}"},
	{400, "bad-value", P,
	 "{\"type\":\"tap\",\"segment\":\"web\",\"mac\":\"00:00:00:00:00:00\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"mac\":\"02:00:00:00:00\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"ip\":\"10.0.0.1\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"ip\":\"10.0.0.1/33\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"ip\":\"10.0.0.1/0\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"ip\":\"230.0.0.1/8\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"ip\":\"ff02::1/64\"}"},
	{400, "bad-value", P,
	 "{\"type\":\"tap\",\"segment\":\"web\",\"ip\":[\"10.0.0.1/8\",\"10.0.0.1/9\"]}"},
	{400, "bad-type", P, "{\"type\":\"tap\",\"segment\":\"web\",\"ip\":[null]}"},
	{400, "bad-value", P,
	 "{\"type\":\"tap\",\"segment\":\"web\",\"ip\":\"10.0.0.1/"
	 "25\",\"gateway\":\"10.0.0.128\"}"},
	{400, "bad-value", P,
	 "{\"type\":\"tap\",\"segment\":\"web\",\"ip\":\"10.0.0.1/"
	 "24\",\"gateway\":\"10.0.0.1\"}"},
	{400, "bad-value", P,
	 "{\"type\":\"tap\",\"segment\":\"web\",\"ip\":\"10.0.0.1/"
	 "24\",\"gateway\":\"fd00::1\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"gateway\":\"10.0.0.1\"}"},
	{400, "bad-value", P, "{\"type\":\"tap\",\"segment\":\"web\",\"admin\":\"maybe\"}"},
	{400, "no-interface", P, "{\"type\":\"memory\",\"segment\":\"web\",\"ifname\":\"eth0\"}"},
	/* A static entry leads there. */
	{409, "not-a-member", T "/ports/web1",
	 "{\"type\":\"tap\",\"segment\":\"db\",\"netns\":\"web1\",\"ifname\":\"eth0\"}"},
	{400, "unknown-type", "/v1/uplinks/up1", "{\"type\":\"gre\"}"},
	{400, "bad-value", "/v1/uplinks/up1", "{\"type\":\"tap\",\"trunk\":\"web=1\"}"},
	{400, "unknown-segment", "/v1/uplinks/up1", "{\"type\":\"tap\",\"trunk\":[\"acme/x=1\"]}"},
	{409, "vid-taken", "/v1/uplinks/up1",
	 "{\"type\":\"tap\",\"trunk\":[\"acme/web=5\",\"beta/web=5\"]}"},
	{409, "no-vid", "/v1/uplinks/up1", "{\"type\":\"tap\",\"trunk\":[\"beta/web\"]}"},
};

static void ports(void **state)
{
	REFUSE_ALL(port_refusals);
	((struct api_fixture *)*state)->reconcile->taken_ifname = "busy0";
	api_refuse(*state, 409, "ifname-taken", "PUT", P,
		   "{\"type\":\"tap\",\"segment\":\"web\",\"ifname\":\"busy0\"}");
	api_refuse(*state, 409, "ifname-taken", "PATCH", T "/ports/web2", "{\"ifname\":\"busy0\"}");
}

static void fdb(void **state)
{
	static const struct refusal refusals[] = {
		{404, "not-found", "/v1/fdb/nobody/web/02:00:00:00:00:01",
		 "{\"port\":\"acme/web1\"}"},
		{404, "not-found", "/v1/fdb/acme/nothing/02:00:00:00:00:01",
		 "{\"port\":\"acme/web1\"}"},
		{400, "bad-value", "/v1/fdb/acme/web/x", "{\"port\":\"acme/web1\"}"},
		{400, "bad-value", "/v1/fdb/acme/web/ff:ff:ff:ff:ff:ff",
		 "{\"port\":\"acme/web1\"}"},
		{400, "missing", "/v1/fdb/acme/web/02:00:00:00:00:01", "{}"},
		{400, "missing", "/v1/fdb/acme/web/02:00:00:00:00:01",
		 "{\"port\":\"acme/web1\",\"vtep\":\"172.31.0.2\"}"},
		{400, "unknown-port", "/v1/fdb/acme/web/02:00:00:00:00:01", "{\"port\":\"web1\"}"},
		{400, "unknown-port", "/v1/fdb/acme/web/02:00:00:00:00:01",
		 "{\"port\":\"acme/web9\"}"},
		{409, "not-a-member", "/v1/fdb/acme/web/02:00:00:00:00:01",
		 "{\"port\":\"beta/web1\"}"},
		{409, "not-a-peer", "/v1/fdb/acme/web/02:00:00:00:00:01",
		 "{\"vtep\":\"172.31.0.9\"}"},
		{409, "not-a-peer", "/v1/fdb/beta/web/02:00:00:00:00:01",
		 "{\"vtep\":\"172.31.0.2\"}"},
		{400, "bad-value", "/v1/fdb/acme/web/02:00:00:00:00:01", "{\"vtep\":\"x\"}"},
	};

	REFUSE_ALL(refusals);
	api_refuse(*state, 404, "not-found", "DELETE", "/v1/fdb/acme/web/02:00:00:00:00:01", NULL);
	api_refuse(*state, 400, "missing", "POST", "/v1/fdb/flush", "{}");
	api_refuse(*state, 400, "missing", "POST", "/v1/fdb/flush",
		   "{\"all\":true,\"segment\":\"acme/web\"}");
	api_refuse(*state, 400, "unknown-segment", "POST", "/v1/fdb/flush",
		   "{\"segment\":\"acme/x\"}");
	api_refuse(*state, 400, "unknown-port", "GET", "/v1/fdb?port=x", NULL);
	api_refuse(*state, 400, "unknown-peer", "GET", "/v1/fdb?vtep=10.9.9.9", NULL);
	api_refuse(*state, 400, "unknown-parameter", "GET", "/v1/fdb?mac=x", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names, setup, api_teardown),
		cmocka_unit_test_setup_teardown(json, setup, api_teardown),
		cmocka_unit_test_setup_teardown(rates, setup, api_teardown),
		cmocka_unit_test_setup_teardown(segments, setup, api_teardown),
		cmocka_unit_test_setup_teardown(ports, setup, api_teardown),
		cmocka_unit_test_setup_teardown(fdb, setup, api_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
