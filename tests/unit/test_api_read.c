/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the API says of the world: states, counters and addresses, from
 * memories that somebody else writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/drop.h"
#include "control/model_edit.h"
#include "datapath/fdb.h"
#include "tests/unit/api_fixture.h"

static int setup(void **state)
{
	api_setup(state);
	api_populate(*state);
	fake_reconcile_memories(((struct api_fixture *)*state)->reconcile);
	return 0;
}

static struct model_port *port_of(struct api_fixture *fixture, const char *tenant, const char *name)
{
	return model_port_find(fixture->model,
			       tenant != NULL ? model_tenant_find(fixture->model, tenant) : NULL,
			       name);
}

static struct model_segment *segment_of(struct api_fixture *fixture, const char *tenant,
					const char *name)
{
	return model_segment_find(model_tenant_find(fixture->model, tenant), name);
}

static void status_tells_the_state(void **state)
{
	struct api_fixture *fixture = *state;
	struct reconcile_status *status = &fixture->reconcile->status;
	json_t *json = api_get(fixture, "/v1/status");

	assert_string_equal(api_text(json, "datapath.state"), "absent");
	assert_string_equal(api_text(json, "version"), VSWITCH_VERSION);
	assert_int_equal(api_number(json, "generation"), 2);
	assert_int_equal(api_number(json, "applied-generation"), 0);
	assert_int_equal(api_number(json, "counts.tenants"), 2);
	assert_int_equal(api_number(json, "counts.segments"), 3);
	assert_int_equal(api_number(json, "counts.ports"), 4);
	assert_int_equal(api_number(json, "counts.uplinks"), 1);
	assert_int_equal(json_array_size(json_object_get(json, "problems")), 0);
	json_decref(json);

	*status = (struct reconcile_status){.datapath_connected = true,
					    .datapath_pid = 77,
					    .datapath_workers = 2,
					    .applied_generation = 2,
					    .waiting_ports = 1,
					    .datapath_build = "\xff\xfe",
					    .problem = "no namespace web1"};
	json = api_get(fixture, "/v1/status");
	assert_string_equal(api_text(json, "datapath.state"), "connected");
	assert_string_equal(api_text(json, "datapath.version"), "unknown");
	assert_int_equal(api_number(json, "datapath.workers"), 2);
	assert_int_equal(api_number(json, "applied-generation"), 2);
	assert_int_equal(api_number(json, "counts.waiting-ports"), 1);
	assert_string_equal(api_text(json, "problems.0"), "no namespace web1");
	json_decref(json);
}

static void ports_tell_why_they_wait(void **state)
{
	struct api_fixture *fixture = *state;
	char mac[ADDR_MAC_TEXT_SIZE];
	json_t *json;

	fixture->reconcile->port_state = RECONCILE_PORT_WAITING;
	fixture->reconcile->port_reason = "no namespace web1";
	json = api_get(fixture, "/v1/tenants/acme/ports/web1");
	assert_string_equal(api_text(json, "status.state"), "waiting");
	assert_string_equal(api_text(json, "status.reason"), "no namespace web1");
	assert_int_equal(api_number(json, "status.mtu"), 1500);
	/* Made once, locally administered, and kept. */
	strcpy(mac, api_text(json, "status.mac"));
	assert_memory_equal(mac, "02:", 3);
	json_decref(json);
	api_expect(fixture, 200, "PATCH", "/v1/tenants/acme/ports/web1", "{\"admin\":\"down\"}");
	api_restart(fixture);
	json = api_get(fixture, "/v1/tenants/acme/ports/web1");
	assert_string_equal(api_text(json, "status.mac"), mac);
	assert_string_equal(api_text(json, "status.state"), "up");
	assert_string_equal(api_text(json, "admin"), "down");
	json_decref(json);
	json = api_get(fixture, "/v1/ports");
	assert_int_equal(json_array_size(json_object_get(json, "ports")), 5);
	assert_string_equal(api_text(json, "ports.0.name"), "up0");
	assert_string_equal(api_text(json, "ports.1.name"), "acme/both");
	json_decref(json);
	json = api_get(fixture, "/v1/tenants/beta/ports");
	assert_int_equal(json_array_size(json_object_get(json, "ports")), 1);
	json_decref(json);
	json = api_get(fixture, "/v1/uplinks");
	assert_string_equal(api_text(json, "uplinks.0.name"), "up0");
	json_decref(json);
	json = api_get(fixture, "/v1/segments");
	assert_string_equal(api_text(json, "segments.2.name"), "beta/web");
	assert_int_equal(api_number(json, "segments.2.status.ports"), 2);
	json_decref(json);
}

/* Makes the counters those of the present objects, as the datapath does at a commit. */
static void own_counters(struct api_fixture *fixture)
{
	struct stats_worker *worker = &fixture->reconcile->stats->workers[0];
	const struct model *model = fixture->model;

	for (uint32_t i = 0; i < 16; i++) {
		if (model_port_by_index(model, i) != NULL)
			worker->ports[i].incarnation =
				model_port_by_index(model, i)->ref.incarnation;
		if (model_tenant_by_index(model, i) != NULL)
			worker->tenants[i].incarnation =
				model_tenant_by_index(model, i)->ref.incarnation;
		if (model_segment_by_index(model, i) != NULL)
			worker->segments[i].incarnation =
				model_segment_by_index(model, i)->ref.incarnation;
	}
	worker->ports[model_vtep(model)->ref.index].incarnation =
		model_vtep(model)->ref.incarnation;
}

/* What four workers have counted, of whom three are said to exist. */
static void write_counters(struct api_fixture *fixture)
{
	struct stats_memory *memory = fixture->reconcile->stats;
	uint32_t web1 = port_of(fixture, "acme", "web1")->ref.index;
	uint32_t up0 = port_of(fixture, NULL, "up0")->ref.index;
	uint32_t vtep = model_vtep(fixture->model)->ref.index;
	uint32_t acme = model_tenant_find(fixture->model, "acme")->ref.index;
	uint32_t web = segment_of(fixture, "beta", "web")->ref.index;

	own_counters(fixture);
	memory->worker_count = 3;
	for (uint64_t i = 0; i < 4; i++) {
		struct stats_worker *worker = &memory->workers[i];

		worker->ports[web1].rx_packets = 1 + i;
		worker->ports[web1].copies = 10;
		worker->ports[web1].drops[DROP_OVERSIZE] = 5;
		worker->ports[vtep].tx_bytes = 100;
		worker->ports[vtep].drops[DROP_NO_ROUTE] = 1;
		worker->tenants[acme].send_bytes = 1000;
		worker->tenants[acme].drops[DROP_TENANT_SEND_QUEUE] = 2;
		worker->segments[web].flooded = 7;
	}
	/* What no answer may trip over: beyond 63 bits, and reasons that are none. */
	memory->workers[0].ports[up0].rx_bytes = UINT64_MAX;
	memory->workers[0].ports[up0].drops[DROP_NONE] = 9;
	memory->workers[0].ports[up0].drops[DROP_REASON_CAPACITY - 1] = 9;
}

static void counters_are_sums(void **state)
{
	struct api_fixture *fixture = *state;
	struct stats_memory *memory = fixture->reconcile->stats;
	uint32_t web1 = port_of(fixture, "acme", "web1")->ref.index;
	json_t *json;

	write_counters(fixture);
	json = api_get(fixture, "/v1/stats/ports/acme/web1");
	assert_int_equal(api_number(json, "rx_packets"), 6);
	assert_int_equal(api_number(json, "copies"), 30);
	assert_int_equal(api_number(json, "drops.oversize"), 15);
	assert_int_equal(json_object_size(json_object_get(json, "drops")), 1);
	assert_int_equal(json_array_size(json_object_get(json, "workers")), 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(api_number(json_array_get(json_object_get(json, "workers"), i),
					    "rx_packets"),
				 1 + i);
	json_decref(json);
	/* Another's counters: the datapath has not taken the index over for this port yet. */
	memory->workers[0].ports[web1].incarnation++;
	json = api_get(fixture, "/v1/stats/ports/acme/web1");
	assert_int_equal(api_number(json, "rx_packets"), 0);
	assert_int_equal(json_object_size(json_object_get(json, "drops")), 0);
	assert_int_equal(
		api_number(json_array_get(json_object_get(json, "workers"), 1), "rx_packets"), 0);
	json_decref(json);
	/* More than there are is no reason to read beyond the memory. */
	memory->worker_count = UINT64_MAX;
	json = api_get(fixture, "/v1/stats/tenants/acme");
	assert_int_equal(api_number(json, "send_bytes"), 4000);
	assert_int_equal(api_number(json, "drops.tenant-send-queue"), 8);
	json_decref(json);
	json = api_get(fixture, "/v1/stats/segments/beta/web");
	assert_int_equal(api_number(json, "flooded"), 28);
	json_decref(json);
	json = api_get(fixture, "/v1/stats/ports/up0");
	assert_int_equal(api_number(json, "rx_bytes"), INT64_MAX);
	assert_int_equal(json_object_size(json_object_get(json, "drops")), 0);
	json_decref(json);
	json = api_get(fixture, "/v1/stats/ports/vtep");
	assert_int_equal(api_number(json, "tx_bytes"), 400);
	json_decref(json);
}

static void lists_have_everything(void **state)
{
	struct api_fixture *fixture = *state;
	uint32_t web1 = port_of(fixture, "acme", "web1")->ref.index;
	uint32_t vtep = model_vtep(fixture->model)->ref.index;
	json_t *json;

	own_counters(fixture);
	fixture->reconcile->stats->worker_count = 1;
	fixture->reconcile->stats->workers[0].ports[web1].drops[DROP_OVERSIZE] = 20;
	fixture->reconcile->stats->workers[0].ports[vtep].drops[DROP_NO_ROUTE] = 1;
	json = api_get(fixture, "/v1/stats");
	assert_int_equal(json_array_size(json_object_get(json, "ports")), 6);
	assert_int_equal(json_array_size(json_object_get(json, "tenants")), 2);
	assert_int_equal(json_array_size(json_object_get(json, "segments")), 3);
	json_decref(json);
	json = api_get(fixture, "/v1/drops");
	assert_int_equal(json_array_size(json_object_get(json, "drops")), 2);
	assert_string_equal(api_text(json, "drops.0.port"), "vtep");
	assert_string_equal(api_text(json, "drops.0.reason"), drop_name(DROP_NO_ROUTE));
	assert_string_equal(api_text(json, "drops.1.port"), "acme/web1");
	assert_string_equal(api_text(json, "drops.1.tenant"), "acme");
	assert_int_equal(api_number(json, "drops.1.packets"), 20);
	assert_true(strlen(api_text(json, "drops.1.explanation")) > 10);
	json_decref(json);
	api_expect(fixture, 404, "GET", "/v1/stats/ports/none", NULL);
	api_expect(fixture, 404, "GET", "/v1/stats/tenants/none", NULL);
}

static void put_entry(struct api_fixture *fixture, size_t bucket, int place, uint32_t segment,
		      const uint8_t mac[6], uint32_t destination, uint32_t age, uint64_t flags)
{
	struct fdb_entry *entry = &fixture->reconcile->fdb->buckets[bucket].entries[place];
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	entry->key = fdb_key(segment, mac);
	entry->value = (uint64_t)destination << 32 |
		       (((uint64_t)now.tv_sec - age) & 0xffffff) << 8 | flags;
}

static size_t entry_count(struct api_fixture *fixture, const char *query)
{
	char path[128];
	json_t *json;
	size_t count;

	snprintf(path, sizeof(path), "/v1/fdb%s", query);
	json = api_get(fixture, path);
	count = json_array_size(json_object_get(json, "entries"));
	json_decref(json);
	return count;
}

static void learned_entries_are_checked(void **state)
{
	static const uint8_t a[6] = {0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54};
	static const uint8_t b[6] = {0x02, 0, 0, 0, 0, 1};
	struct api_fixture *fixture = *state;
	uint32_t acme = segment_of(fixture, "acme", "web")->ref.index;
	uint32_t beta = segment_of(fixture, "beta", "web")->ref.index;
	uint32_t web2 = port_of(fixture, "acme", "web2")->ref.index;
	uint32_t vtep = model_vtep(fixture->model)->ref.index;
	json_t *json;

	assert_int_equal(entry_count(fixture, ""), 2);
	put_entry(fixture, 5, 0, acme, a, FDB_TO_PORT | web2, 12, FDB_FLAG_VALID);
	put_entry(fixture, FDB_BUCKETS_DEFAULT, 3, beta, b, FDB_TO_PEER | 0, 0, FDB_FLAG_VALID);
	/* None of these is an entry of this switch. */
	put_entry(fixture, 6, 0, 4242, a, FDB_TO_PORT | web2, 0, FDB_FLAG_VALID);
	put_entry(fixture, 6, 1, acme, a, FDB_TO_PORT | 999999, 0, FDB_FLAG_VALID);
	put_entry(fixture, 6, 2, acme, a, FDB_TO_PEER | 0x7fffffff, 0, FDB_FLAG_VALID);
	put_entry(fixture, 6, 3, acme, b, FDB_TO_PORT | vtep, 0, FDB_FLAG_VALID);
	put_entry(fixture, 7, 0, acme, b, FDB_TO_PORT | web2, 0, 0);
	put_entry(fixture, 7, 1, acme, b, FDB_TO_PORT | web2, 0, FDB_FLAG_VALID | FDB_FLAG_STATIC);
	/* The header may say what it likes. */
	fixture->reconcile->fdb->bucket_count = UINT64_MAX;

	assert_int_equal(entry_count(fixture, ""), 4);
	assert_int_equal(entry_count(fixture, "?segment=acme/web"), 3);
	assert_int_equal(entry_count(fixture, "?port=acme/web2"), 1);
	assert_int_equal(entry_count(fixture, "?vtep=172.31.0.2"), 2);
	assert_int_equal(entry_count(fixture, "?segment=beta/web&vtep=172.31.0.2"), 1);
	json = api_get(fixture, "/v1/fdb?port=acme/web2");
	assert_string_equal(api_text(json, "entries.0.mac"), "fe:dc:ba:98:76:54");
	assert_string_equal(api_text(json, "entries.0.segment"), "acme/web");
	assert_true(api_number(json, "entries.0.age") >= 12);
	assert_true(api_number(json, "entries.0.age") < 20);
	assert_true(json_is_false(api_at(json, "entries.0.static")));
	json_decref(json);

	/* A learned entry goes by the way of a change, and the store holds nothing of it. */
	api_expect(fixture, 204, "DELETE", "/v1/fdb/acme/web/fe:dc:ba:98:76:54", NULL);
	assert_int_equal(model_generation(fixture->model), 3);
	assert_int_equal(fixture->reconcile->change_count, 1);
	assert_int_equal(fixture->reconcile->changes[0].kind, MODEL_FDB);
	assert_true(fixture->reconcile->changes[0].removed);
	assert_memory_equal(&fixture->reconcile->changes[0].mac, a, 6);
	assert_int_equal(fixture->reconcile->changes[0].ref.index, acme);
	api_refuse(fixture, 404, "not-found", "DELETE", "/v1/fdb/beta/web/fe:dc:ba:98:76:54", NULL);
}

static void static_entries(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *json;

	api_expect(fixture, 201, "PUT", "/v1/fdb/acme/web/02:00:00:00:00:01",
		   "{\"port\":\"acme/web2\"}");
	api_expect(fixture, 200, "PUT", "/v1/fdb/acme/web/02:00:00:00:00:01",
		   "{\"port\":\"acme/web2\"}");
	assert_int_equal(model_generation(fixture->model), 3);
	api_expect(fixture, 200, "PUT", "/v1/fdb/acme/web/02:00:00:00:00:01",
		   "{\"vtep\":\"172.31.0.3\"}");
	api_restart(fixture);
	json = api_get(fixture, "/v1/fdb?vtep=172.31.0.3");
	assert_string_equal(api_text(json, "entries.0.mac"), "02:00:00:00:00:01");
	assert_string_equal(api_text(json, "entries.0.vtep"), "172.31.0.3");
	assert_true(json_is_true(api_at(json, "entries.0.static")));
	json_decref(json);
	api_expect(fixture, 204, "DELETE", "/v1/fdb/acme/web/02:00:00:00:00:01", NULL);
	assert_int_equal(entry_count(fixture, "?vtep=172.31.0.3"), 0);
}

static void flushes_are_passed_on(void **state)
{
	struct api_fixture *fixture = *state;
	const struct proto_fdb_flush *flush = &fixture->reconcile->flush;

	api_expect(fixture, 204, "POST", "/v1/fdb/flush",
		   "{\"segment\":\"acme/web\",\"vtep\":\"172.31.0.3\"}");
	assert_int_equal(flush->segment.incarnation,
			 segment_of(fixture, "acme", "web")->ref.incarnation);
	assert_int_equal(flush->port.index, PROTO_NO_INDEX);
	assert_int_not_equal(flush->peer.index, PROTO_NO_INDEX);
	api_expect(fixture, 204, "POST", "/v1/fdb/flush", "{\"all\":true}");
	assert_int_equal(flush->segment.index, PROTO_NO_INDEX);
	assert_int_equal(flush->peer.index, PROTO_NO_INDEX);
	assert_int_equal(fixture->reconcile->flush_count, 2);
	fixture->reconcile->flush_result = -107;
	api_expect(fixture, 503, "POST", "/v1/fdb/flush", "{\"all\":true}");
}

static void says_whether_the_vtep_waits(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *json = api_get(fixture, "/v1/vtep");

	assert_string_equal(api_text(json, "status.state"), "up");
	assert_null(api_at(json, "status.reason"));
	json_decref(json);
	fixture->reconcile->vtep_reason = "no interface has the address 172.31.0.1";
	json = api_get(fixture, "/v1/vtep");
	assert_string_equal(api_text(json, "status.state"), "waiting");
	assert_string_equal(api_text(json, "status.reason"),
			    "no interface has the address 172.31.0.1");
	/* What was read can be put back, and is no configuration. */
	json_decref(json);
	json = api_get(fixture, "/v1/config");
	assert_non_null(api_at(json, "vtep.local"));
	assert_null(api_at(json, "vtep.status"));
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(status_tells_the_state, setup, api_teardown),
		cmocka_unit_test_setup_teardown(ports_tell_why_they_wait, setup, api_teardown),
		cmocka_unit_test_setup_teardown(says_whether_the_vtep_waits, setup, api_teardown),
		cmocka_unit_test_setup_teardown(counters_are_sums, setup, api_teardown),
		cmocka_unit_test_setup_teardown(lists_have_everything, setup, api_teardown),
		cmocka_unit_test_setup_teardown(learned_entries_are_checked, setup, api_teardown),
		cmocka_unit_test_setup_teardown(static_entries, setup, api_teardown),
		cmocka_unit_test_setup_teardown(flushes_are_passed_on, setup, api_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
