/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports of virtual machines and of DPDK's devices over the API: what is taken, kept, told to the
 * reconciler, and refused.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/api_fixture.h"

#define P	     "/v1/tenants/acme/ports/p"
#define VM(members)  "{\"type\":\"vhost-user\",\"segment\":\"web\"" members "}"
#define NIC(members) "{\"type\":\"dpdk\",\"segment\":\"web\"" members "}"

static int setup(void **state)
{
	api_setup(state);
	api_populate(*state);
	return 0;
}

static void expect_vm(struct api_fixture *fixture, const char *path, const char *socket,
		      bool server)
{
	json_t *json = api_get(fixture, path);

	assert_string_equal(api_text(json, "type"), "vhost-user");
	assert_string_equal(api_text(json, "socket"), socket);
	assert_int_equal(json_is_true(api_at(json, "server")), server);
	assert_null(json_object_get(json, "ifname"));
	assert_null(json_object_get(json, "mac"));
	assert_null(json_object_get(json, "dev"));
	assert_null(api_at(json, "status.mac"));
	json_decref(json);
}

static void expect_device(struct api_fixture *fixture, const char *path, const char *device)
{
	json_t *json = api_get(fixture, path);

	assert_string_equal(api_text(json, "type"), "dpdk");
	assert_string_equal(api_text(json, "dev"), device);
	assert_null(json_object_get(json, "ifname"));
	assert_null(json_object_get(json, "socket"));
	assert_null(json_object_get(json, "server"));
	json_decref(json);
}

static const struct model_change *change(const struct api_fixture *fixture, uint32_t index,
					 uint32_t count)
{
	assert_int_equal(fixture->reconcile->change_count, count);
	return &fixture->reconcile->changes[index];
}

static void ports_have_sockets(void **state)
{
	struct api_fixture *fixture = *state;
	struct proto_ref ref;

	api_expect(fixture, 201, "PUT", P, VM(",\"socket\":\"/run/vm1.sock\""));
	expect_vm(fixture, P, "/run/vm1.sock", false);
	ref = change(fixture, 0, 1)->ref;
	assert_int_equal(change(fixture, 0, 1)->type, MODEL_PORT_VHOST_USER);
	api_expect(fixture, 200, "PATCH", P, "{\"server\":true}");
	expect_vm(fixture, P, "/run/vm1.sock", true);
	/* Under the same reference: it stays the same port. */
	assert_memory_equal(&change(fixture, 0, 1)->ref, &ref, sizeof(ref));
	api_expect(fixture, 200, "PATCH", P, "{\"socket\":\"/run/other\"}");
	assert_memory_equal(&change(fixture, 0, 1)->ref, &ref, sizeof(ref));
	api_restart(fixture);
	expect_vm(fixture, P, "/run/other", true);
	api_expect(fixture, 200, "PATCH", P, "{\"server\":null,\"send\":\"1gbit\"}");
	expect_vm(fixture, P, "/run/other", false);
	api_expect(fixture, 201, "PUT", "/v1/tenants/acme/ports/t",
		   "{\"type\":\"vhost-user\",\"trunk\":[\"web=7\"],\"socket\":\"/run/t\"}");
	expect_vm(fixture, "/v1/tenants/acme/ports/t", "/run/t", false);
}

static void ports_have_devices(void **state)
{
	struct api_fixture *fixture = *state;

	api_expect(fixture, 201, "PUT", P, NIC(",\"dev\":\"net_af_xdp0,iface=eth1\""));
	expect_device(fixture, P, "net_af_xdp0,iface=eth1");
	api_expect(fixture, 201, "PUT", "/v1/uplinks/up",
		   "{\"type\":\"dpdk\",\"trunk\":[\"acme/web=7\"],\"dev\":\"0000:00:04.0\"}");
	assert_int_equal(change(fixture, 0, 1)->type, MODEL_PORT_DPDK);
	expect_device(fixture, "/v1/uplinks/up", "0000:00:04.0");
	api_restart(fixture);
	expect_device(fixture, P, "net_af_xdp0,iface=eth1");
	expect_device(fixture, "/v1/uplinks/up", "0000:00:04.0");
}

/* The datapath knows a device by its port's reference, so that another one has another. */
static void another_device_makes_another_port(void **state)
{
	struct api_fixture *fixture = *state;
	struct proto_ref ref;

	api_expect(fixture, 201, "PUT", P, NIC(",\"dev\":\"net_ring0\""));
	ref = change(fixture, 0, 1)->ref;
	api_expect(fixture, 200, "PATCH", P, "{\"admin\":\"down\"}");
	assert_memory_equal(&change(fixture, 0, 1)->ref, &ref, sizeof(ref));
	api_expect(fixture, 200, "PATCH", P, "{\"dev\":\"net_ring0,x=1\"}");
	assert_true(change(fixture, 0, 2)->removed);
	assert_memory_equal(&change(fixture, 0, 2)->ref, &ref, sizeof(ref));
	assert_true(change(fixture, 1, 2)->added);
	assert_int_not_equal(change(fixture, 1, 2)->ref.incarnation, ref.incarnation);
	expect_device(fixture, P, "net_ring0,x=1");
	api_restart(fixture);
	expect_device(fixture, P, "net_ring0,x=1");
	/* What leads to the port does not follow unasked. */
	api_expect(fixture, 201, "PUT", "/v1/fdb/acme/web/02:00:00:00:00:07",
		   "{\"port\":\"acme/p\"}");
	api_refuse(fixture, 409, "in-use", "PATCH", P, "{\"dev\":\"net_ring1\"}");
}

static void sockets_and_devices_are_one_ports(void **state)
{
	struct api_fixture *fixture = *state;

	api_expect(fixture, 201, "PUT", P, VM(",\"socket\":\"/run/a\""));
	api_refuse(fixture, 409, "socket-taken", "PUT", P "2",
		   VM(",\"socket\":\"/run/a\",\"server\":true"));
	api_expect(fixture, 201, "PUT", P "2", VM(",\"socket\":\"/run/b\""));
	api_refuse(fixture, 409, "socket-taken", "PATCH", P "2", "{\"socket\":\"/run/a\"}");
	api_expect(fixture, 204, "DELETE", P, NULL);
	api_expect(fixture, 200, "PATCH", P "2", "{\"socket\":\"/run/a\"}");
	api_expect(fixture, 201, "PUT", P, NIC(",\"dev\":\"0000:00:04.0,a=1\""));
	api_refuse(fixture, 409, "device-taken", "PUT", P "3", NIC(",\"dev\":\"0000:00:04.0\""));
	api_refuse(fixture, 409, "device-taken", "PUT", P "3",
		   NIC(",\"dev\":\"0000:00:04.0,b=2\""));
	api_expect(fixture, 201, "PUT", P "3", NIC(",\"dev\":\"0000:00:04.1\""));
	/* No file is in the way of a socket, whatever it is called. */
	api_expect(fixture, 201, "PUT", P "4",
		   "{\"type\":\"pcap\",\"segment\":\"web\",\"write\":\"run/a\"}");
}

static void bad_values_are_refused(void **state)
{
	static const struct {
		const char *code, *body;
	} rows[] = {
		{"missing", VM("")},
		{"missing", VM(",\"socket\":null,\"server\":true")},
		{"bad-value", VM(",\"socket\":\"\"")},
		{"bad-value", VM(",\"socket\":\"/\"")},
		{"bad-value", VM(",\"socket\":\"run/a\"")},
		{"bad-value", VM(",\"socket\":\"/run/\"")},
		{"bad-value", VM(",\"socket\":\"/run//a\"")},
		{"bad-value", VM(",\"socket\":\"/run/./a\"")},
		{"bad-value", VM(",\"socket\":\"/run/../a\"")},
		{"bad-value", VM(",\"socket\":\"/run/..\"")},
		{"bad-value", VM(",\"socket\":\"/run/a\\nb\"")},
		{"bad-value", VM(",\"socket\":\"/run/\\u00e4\"")},
		{"malformed", VM(",\"socket\":\"/run/a\\u0000b\"")},
		{"bad-type", VM(",\"socket\":[\"/run/a\"]")},
		{"bad-type", VM(",\"socket\":\"/run/a\",\"server\":\"yes\"")},
		{"not-of-type", VM(",\"socket\":\"/run/a\",\"dev\":\"net_ring0\"")},
		{"no-interface", VM(",\"socket\":\"/run/a\",\"ifname\":\"eth0\"")},
		{"no-interface", VM(",\"socket\":\"/run/a\",\"netns\":\"web\"")},
		{"no-interface", VM(",\"socket\":\"/run/a\",\"mac\":\"02:00:00:00:00:01\"")},
		{"no-interface", VM(",\"socket\":\"/run/a\",\"ip\":\"10.0.0.1/24\"")},
		{"missing", NIC("")},
		{"bad-value", NIC(",\"dev\":\"\"")},
		{"bad-value", NIC(",\"dev\":\"--vdev\"")},
		{"bad-value", NIC(",\"dev\":\",a=1\"")},
		{"bad-value", NIC(",\"dev\":\"net_ring0, a=1\"")},
		{"bad-value", NIC(",\"dev\":\"class=eth\"")},
		{"bad-value", NIC(",\"dev\":\"bus=vdev,name=net_ring0\"")},
		{"bad-value", NIC(",\"dev\":\"03:00.0\"")},
		{"bad-value", NIC(",\"dev\":\"0000:03:00.8\"")},
		{"bad-value", NIC(",\"dev\":\"0000:03:00.0foo\"")},
		{"bad-value", NIC(",\"dev\":\"0000:fff:00.0\"")},
		{"bad-value", NIC(",\"dev\":\"0000:00:20.0\"")},
		{"bad-value", NIC(",\"dev\":\"net_ring0\\n1 1 net_ring1\"")},
		{"bad-value", NIC(",\"dev\":\"net_ring\\u00e4\"")},
		{"not-of-type", NIC(",\"dev\":\"net_ring0\",\"socket\":\"/run/a\"")},
		{"no-interface", NIC(",\"dev\":\"net_ring0\",\"ifname\":\"eth0\"")},
		{"not-of-type", "{\"type\":\"tap\",\"segment\":\"web\",\"socket\":\"/run/a\"}"},
		{"not-of-type", "{\"type\":\"tap\",\"segment\":\"web\",\"server\":false}"},
		{"not-of-type", "{\"type\":\"memory\",\"segment\":\"web\",\"dev\":\"net_ring0\"}"},
	};
	struct api_fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		api_refuse(fixture, 400, rows[i].code, "PUT", P, rows[i].body);
	api_expect(fixture, 201, "PUT", P, VM(",\"socket\":\"/run/a\""));
	api_refuse(fixture, 409, "type-fixed", "PUT", P, NIC(",\"dev\":\"net_ring0\""));
}

static void longest_values_are_taken(void **state)
{
	struct api_fixture *fixture = *state;
	char text[257], body[320];

	memset(text, 'x', 256);
	text[256] = '\0';
	snprintf(body, sizeof(body), VM(",\"socket\":\"/%.107s\""), text);
	api_refuse(fixture, 400, "bad-value", "PUT", P, body);
	snprintf(body, sizeof(body), VM(",\"socket\":\"/%.106s\""), text);
	api_expect(fixture, 201, "PUT", P, body);
	api_refuse(fixture, 409, "socket-taken", "PUT", P "2", body);
	snprintf(body, sizeof(body), NIC(",\"dev\":\"%.256s\""), text);
	api_refuse(fixture, 400, "bad-value", "PUT", P "3", body);
	snprintf(body, sizeof(body), NIC(",\"dev\":\"%.255s\""), text);
	api_expect(fixture, 201, "PUT", P "3", body);
	api_refuse(fixture, 409, "device-taken", "PUT", P "4", body);
	api_restart(fixture);
	expect_device(fixture, P "3", text + 1);
}

/* With a datapath that was built without DPDK, and only what is new. */
static void needs_dpdk(void **state)
{
	struct api_fixture *fixture = *state;

	api_expect(fixture, 201, "PUT", P, VM(",\"socket\":\"/run/a\""));
	fixture->reconcile->taken_ifname = "";
	fixture->reconcile->taken_error = -EOPNOTSUPP;
	api_refuse(fixture, 409, "no-dpdk", "PUT", P "2", VM(",\"socket\":\"/run/b\""));
	api_refuse(fixture, 409, "no-dpdk", "PUT", P "2", NIC(",\"dev\":\"net_ring0\""));
	api_expect(fixture, 200, "PATCH", P, "{\"admin\":\"down\"}");
	api_expect(fixture, 200, "PATCH", P, "{\"socket\":\"/run/b\"}");
	api_expect(fixture, 204, "DELETE", P, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, api_teardown)
		TEST(ports_have_sockets),
		TEST(ports_have_devices),
		TEST(another_device_makes_another_port),
		TEST(sockets_and_devices_are_one_ports),
		TEST(bad_values_are_refused),
		TEST(longest_values_are_taken),
		TEST(needs_dpdk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
