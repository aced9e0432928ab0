/* SPDX-License-Identifier: Apache-2.0 */

/* What the datapath hears: whole transactions, deltas, and what follows a refusal. */

#include "tests/unit/reconcile_fixture.h"

#include <errno.h>
#include <string.h>

/* Tenant 0.1, segment 0.3 with peer 0.2, ports 0.4 and 1.5. */
static void populate(struct fixture *fixture)
{
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 1000);
	fixture_segment(fixture, "acme", "web", 5001, "10.0.0.3");
	fixture_port(fixture, "acme", "p1", "web");
	fixture_port(fixture, "acme", "p2", "web");
	fixture_commit(fixture);
}

static void meet_populated(struct fixture *fixture)
{
	populate(fixture);
	fixture_start(fixture);
	fixture_meet(fixture);
	fixture_expect_silence(fixture);
}

#define OBJECTS                                                                                    \
	"peer 0.2 10.0.0.3\n"                                                                      \
	"segment 0.3 of 0.1 vni 5001 mtu 1400\n"                                                   \
	"segment-peer 0.3 to 0.2\n"                                                                \
	"port 0.4 fds 0 up\n"                                                                      \
	"port 1.5 fds 0 up\n"                                                                      \
	"member 0.4 in 0.3 vid 0\n"                                                                \
	"member 1.5 in 0.3 vid 0\n"
#define HOST	  "host send 0 receive 0\n"
#define POPULATED HOST "tenant 0.1 send 1000\n" OBJECTS

static void put_entry(struct fixture *fixture, const char *mac, const char *port)
{
	struct model_fdb values = {.segment = fixture_find_segment(fixture, "acme", "web")};

	assert_int_equal(addr_mac_parse(mac, &values.mac), 0);
	if (port != NULL)
		values.port = fixture_find_port(fixture, "acme", port);
	else
		values.peer = values.segment->peers[0];
	assert_int_equal(model_fdb_put(fixture->model, &values), 0);
}

static void delete_entry(struct fixture *fixture, const char *mac, bool learned)
{
	struct model_segment *segment = fixture_find_segment(fixture, "acme", "web");
	struct addr_mac parsed;

	assert_int_equal(addr_mac_parse(mac, &parsed), 0);
	if (learned)
		model_fdb_forget(fixture->model, segment, &parsed);
	else
		model_fdb_del(fixture->model, model_fdb_find(segment, &parsed));
}

static void says_everything_first(void **state)
{
	struct fixture *fixture = *state;

	populate(fixture);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	assert_string_equal(fixture->heard, "");
	fixture_expect_silence(fixture);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture, "memory 1\nmemory 2\nhold\nbegin 1 on 0\n" POPULATED "commit\n");
	assert_int_equal(fixture_status(fixture).applied_generation, 0);
	fixture_reply(fixture, 0, "");
	assert_int_equal(fixture_status(fixture).applied_generation,
			 model_generation(fixture->model));
	assert_string_equal(fixture_status(fixture).problem, "");
	fixture_expect_silence(fixture);
}

static void says_nothing_but_a_commit_of_nothing(void **state)
{
	struct fixture *fixture = *state;

	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture, "memory 1\nmemory 2\nhold\nbegin 1 on 0\n" HOST "commit\n");
	fixture_reply(fixture, 0, "");
	fixture_expect_silence(fixture);
	assert_int_equal(fixture_status(fixture).applied_generation,
			 model_generation(fixture->model));
}

static void starts_without_a_datapath(void **state)
{
	struct fixture *fixture = *state;

	fixture_vanish(fixture);
	populate(fixture);
	fixture_start(fixture);
	fixture_expect_silence(fixture);
	assert_false(fixture_status(fixture).datapath_connected);
	assert_int_equal(fixture_status(fixture).applied_generation, 0);
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 2000);
	fixture_commit(fixture);
	fixture_listen(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture, "memory 1\nmemory 2\nhold\nbegin 1 on 0\n" HOST
				"tenant 0.1 send 2000\n" OBJECTS "commit\n");
}

static void names_a_changed_object_and_no_other(void **state)
{
	struct fixture *fixture = *state;
	struct model_port *port;

	meet_populated(fixture);
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 2000);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 2 on 1\ntenant 0.1 send 2000\ncommit\n");
	fixture_reply(fixture, 0, "");

	fixture_begin(fixture);
	fixture_segment(fixture, "acme", "web", 5002, "10.0.0.3");
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 3 on 2\nsegment 0.3 of 0.1 vni 5002 mtu 1400\ncommit\n");
	fixture_reply(fixture, 0, "");

	fixture_begin(fixture);
	port = fixture_port(fixture, "acme", "p1", "web");
	assert_int_equal(port->ref.incarnation, 4);
	fixture_commit(fixture);
	fixture_expect_silence(fixture); /* the same as before */

	fixture_begin(fixture);
	model_port_put(fixture->model,
		       &(struct model_port){.tenant = port->tenant,
					    .name = "p1",
					    .type = MODEL_PORT_MEMORY,
					    .ifname = "p1",
					    .members = port->members,
					    .member_count = 1},
		       NULL, NULL);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 4 on 3\nport 0.4 fds 0\ncommit\n");
	fixture_reply(fixture, 0, "");
	fixture_expect_silence(fixture);
}

static void names_what_is_added(void **state)
{
	struct fixture *fixture = *state;

	meet_populated(fixture);
	fixture_begin(fixture);
	fixture_tenant(fixture, "beta", 0);
	fixture_segment(fixture, "beta", "lan", 0, NULL);
	fixture_port(fixture, "beta", "b1", "lan");
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 2 on 1\n"
				"tenant 1.6 send 0\n"
				"segment 1.7 of 1.6 vni 0 mtu 1400\n"
				"port 2.8 fds 0 up\n"
				"member 2.8 in 1.7 vid 0\n"
				"commit\n");
	fixture_reply(fixture, 0, "");
	fixture_begin(fixture);
	fixture_segment(fixture, "beta", "lan", 7000, "10.0.0.3");
	fixture_commit(fixture);
	/* A peer that another segment has as well. */
	fixture_expect(fixture, "begin 3 on 2\n"
				"segment 1.7 of 1.6 vni 7000 mtu 1400\n"
				"segment-peer 1.7 to 0.2\n"
				"commit\n");
}

/* Members and peers before what they connect; what goes before what comes. */
static void removes_in_reverse_order(void **state)
{
	struct fixture *fixture = *state;

	meet_populated(fixture);
	fixture_begin(fixture);
	put_entry(fixture, "02:00:00:00:00:0a", "p1");
	put_entry(fixture, "02:00:00:00:00:0b", NULL);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 2 on 1\n"
				"fdb 0a in 0.3 to port 0.4\n"
				"fdb 0b in 0.3 to peer 0.2\n"
				"commit\n");
	fixture_reply(fixture, 0, "");
	fixture_begin(fixture);
	model_tenant_del_recursive(fixture->model, model_tenant_find(fixture->model, "acme"));
	fixture_commit(fixture);
	/* The segment's entries go with it. */
	fixture_expect(fixture, "begin 3 on 2\n"
				"segment-peer- 0.3 to 0.2\n"
				"member- 0.4 in 0.3 vid 0\n"
				"member- 1.5 in 0.3 vid 0\n"
				"port- 0.4\n"
				"port- 1.5\n"
				"segment- 0.3\n"
				"tenant- 0.1\n"
				"peer- 0.2\n"
				"commit\n");
}

/* The datapath refuses a set for an index that another incarnation has. */
static void reuses_an_index_in_one_transaction(void **state)
{
	struct fixture *fixture = *state;

	meet_populated(fixture);
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 3000);
	fixture_commit(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_forget(fixture);
	/* Two transactions of the model, one of the datapath's. */
	fixture_begin(fixture);
	model_port_del_recursive(fixture->model, fixture_find_port(fixture, "acme", "p1"));
	fixture_commit(fixture);
	fixture_begin(fixture);
	assert_int_equal(fixture_port(fixture, "acme", "p3", "web")->ref.index, 0);
	fixture_commit(fixture);
	fixture_reply(fixture, 0, "");
	fixture_expect(fixture, "begin 3 on 2\n"
				"member- 0.4 in 0.3 vid 0\n"
				"port- 0.4\n"
				"port 0.6 fds 0 up\n"
				"member 0.6 in 0.3 vid 0\n"
				"commit\n");
	fixture_reply(fixture, 0, "");
	/* All of it, from the tenant to the peer. */
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 4000);
	fixture_commit(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_forget(fixture);
	fixture_begin(fixture);
	model_tenant_del_recursive(fixture->model, model_tenant_find(fixture->model, "acme"));
	fixture_commit(fixture);
	populate(fixture);
	fixture_reply(fixture, 0, "");
	fixture_expect(fixture, "begin 5 on 4\n"
				"segment-peer- 0.3 to 0.2\n"
				"member- 1.5 in 0.3 vid 0\n"
				"member- 0.6 in 0.3 vid 0\n"
				"port- 1.5\n"
				"port- 0.6\n"
				"segment- 0.3\n"
				"tenant- 0.1\n"
				"peer- 0.2\n"
				"tenant 0.7 send 1000\n"
				"peer 0.8 10.0.0.3\n"
				"segment 0.9 of 0.7 vni 5001 mtu 1400\n"
				"segment-peer 0.9 to 0.8\n"
				"port 1.11 fds 0 up\n"
				"port 0.10 fds 0 up\n"
				"member 1.11 in 0.9 vid 0\n"
				"member 0.10 in 0.9 vid 0\n"
				"commit\n");
}

static void follows_members(void **state)
{
	struct fixture *fixture = *state;
	struct model_member members[2];
	struct model_port values;

	meet_populated(fixture);
	fixture_begin(fixture);
	fixture_segment(fixture, "acme", "db", 0, NULL);
	values = *fixture_find_port(fixture, "acme", "p1");
	members[0] = (struct model_member){.segment = values.members[0].segment, .vid = 7};
	members[1] = (struct model_member){.segment = fixture_find_segment(fixture, "acme", "db"),
					   .vid = 8};
	values.members = members;
	values.member_count = 2;
	assert_int_equal(model_port_put(fixture->model, &values, NULL, NULL), 0);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 2 on 1\n"
				"member- 0.4 in 0.3 vid 0\n"
				"segment 1.6 of 0.1 vni 0 mtu 1400\n"
				"port 0.4 fds 0 up\n"
				"member 0.4 in 0.3 vid 7\n"
				"member 0.4 in 1.6 vid 8\n"
				"commit\n");
	fixture_reply(fixture, 0, "");
	fixture_begin(fixture);
	model_segment_del_recursive(fixture->model, fixture_find_segment(fixture, "acme", "db"));
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 3 on 2\n"
				"member- 0.4 in 1.6 vid 8\n"
				"segment- 1.6\n"
				"port 0.4 fds 0 up\n"
				"commit\n");
}

static void follows_peers(void **state)
{
	struct fixture *fixture = *state;

	meet_populated(fixture);
	fixture_begin(fixture);
	fixture_segment(fixture, "acme", "web", 5001, "10.0.0.2");
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 2 on 1\n"
				"segment-peer- 0.3 to 0.2\n"
				"peer- 0.2\n"
				"peer 1.6 10.0.0.2\n"
				"segment 0.3 of 0.1 vni 5001 mtu 1400\n"
				"segment-peer 0.3 to 1.6\n"
				"commit\n");
}

static void follows_static_entries(void **state)
{
	struct fixture *fixture = *state;

	meet_populated(fixture);
	fixture_begin(fixture);
	put_entry(fixture, "02:00:00:00:00:0a", "p1");
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 2 on 1\nfdb 0a in 0.3 to port 0.4\ncommit\n");
	fixture_reply(fixture, 0, "");
	fixture_begin(fixture);
	put_entry(fixture, "02:00:00:00:00:0a", "p2");
	put_entry(fixture, "02:00:00:00:00:0b", NULL);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 3 on 2\n"
				"fdb 0a in 0.3 to port 1.5\n"
				"fdb 0b in 0.3 to peer 0.2\n"
				"commit\n");
	fixture_reply(fixture, 0, "");
	fixture_begin(fixture);
	delete_entry(fixture, "02:00:00:00:00:0a", false);
	delete_entry(fixture, "02:00:00:00:00:0c", true); /* learned: only the datapath knows */
	fixture_commit(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "fdb- 0a in 0.3\n"));
	assert_non_null(strstr(fixture->heard, "fdb- 0c in 0.3\n"));
	assert_null(strstr(fixture->heard, "0b"));
}

/* One that is deleted and set again before the datapath heard of either. */
static void sets_an_entry_again(void **state)
{
	struct fixture *fixture = *state;

	meet_populated(fixture);
	fixture_begin(fixture);
	put_entry(fixture, "02:00:00:00:00:0a", "p1");
	fixture_commit(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_forget(fixture);
	fixture_begin(fixture);
	delete_entry(fixture, "02:00:00:00:00:0a", false);
	fixture_commit(fixture);
	fixture_begin(fixture);
	put_entry(fixture, "02:00:00:00:00:0a", "p1");
	fixture_commit(fixture);
	fixture_reply(fixture, 0, "");
	fixture_expect(fixture, "begin 3 on 2\n"
				"fdb- 0a in 0.3\n"
				"fdb 0a in 0.3 to port 0.4\n"
				"commit\n");
}

static void follows_the_vtep(void **state)
{
	struct fixture *fixture = *state;

	meet_populated(fixture);
	fixture_begin(fixture);
	fixture_vtep(fixture, "127.0.0.1", 4789);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 2 on 1\nvtep 2.6 127.0.0.1:4789 fds 9, 1 receive\ncommit\n");
	fixture_reply(fixture, 0, "");
	fixture_begin(fixture);
	fixture_vtep(fixture, "127.0.0.1", 4790);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 3 on 2\nvtep 2.6 127.0.0.1:4790 fds 9, 1 receive\ncommit\n");
	fixture_reply(fixture, 0, "");
	fixture_begin(fixture);
	fixture_vtep(fixture, "10.9.9.9", 4790);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 4 on 3\nvtep-\ncommit\n");
	fixture_reply(fixture, 0, "");
	assert_non_null(strstr(fixture_status(fixture).problem, "10.9.9.9"));
	/* The port takes the VTEP's place in the index. */
	fixture_begin(fixture);
	fixture_vtep(fixture, "127.0.0.1", 4791);
	fixture_commit(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_forget(fixture);
	fixture_begin(fixture);
	model_vtep_del(fixture->model);
	fixture_commit(fixture);
	fixture_begin(fixture);
	assert_int_equal(fixture_port(fixture, "acme", "p3", "web")->ref.index, 2);
	fixture_commit(fixture);
	fixture_reply(fixture, 0, "");
	fixture_expect(fixture, "begin 6 on 5\n"
				"vtep-\n"
				"port 2.7 fds 0 up\n"
				"member 2.7 in 0.3 vid 0\n"
				"commit\n");
	assert_string_equal(fixture_status(fixture).problem, "");
}

static void merges_what_comes_meanwhile(void **state)
{
	struct fixture *fixture = *state;
	uint64_t generation;
	uint64_t rate;

	meet_populated(fixture);
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 2000);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 2 on 1\ntenant 0.1 send 2000\ncommit\n");
	generation = model_generation(fixture->model);
	for (rate = 3000; rate <= 9000; rate += 1000) {
		fixture_begin(fixture);
		fixture_tenant(fixture, "acme", rate);
		fixture_commit(fixture);
	}
	fixture_begin(fixture);
	fixture_port(fixture, "acme", "p3", "web"); /* comes and goes unheard */
	fixture_commit(fixture);
	fixture_begin(fixture);
	model_port_del_recursive(fixture->model, fixture_find_port(fixture, "acme", "p3"));
	fixture_commit(fixture);
	/* Nothing before the answer: one transaction at a time. */
	fixture->last_type = 0;
	fixture_expect_silence(fixture);
	assert_int_equal(fixture_status(fixture).applied_generation, generation - 1);
	fixture->last_type = PROTO_COMMIT;
	fixture_reply(fixture, 0, "");
	fixture_expect(fixture, "begin 3 on 2\ntenant 0.1 send 9000\ncommit\n");
	assert_int_equal(fixture_status(fixture).applied_generation, generation);
	fixture_reply(fixture, 0, "");
	assert_int_equal(fixture_status(fixture).applied_generation,
			 model_generation(fixture->model));
	fixture_expect_silence(fixture);
}

static void sends_everything_when_the_base_is_stale(void **state)
{
	struct fixture *fixture = *state;

	meet_populated(fixture);
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 1000);
	fixture_port(fixture, "acme", "p3", "web");
	fixture_commit(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_begin(fixture);
	model_port_del_recursive(fixture->model, fixture_find_port(fixture, "acme", "p3"));
	fixture_commit(fixture);
	fixture_forget(fixture);
	fixture_reply(fixture, ESTALE, "another base");
	fixture_expect(fixture, "begin 3 on 0\n" POPULATED "commit\n");
	assert_string_equal(fixture_status(fixture).problem, "");
	fixture_reply(fixture, 0, "");
	fixture_expect_silence(fixture);
	assert_int_equal(fixture_status(fixture).applied_generation,
			 model_generation(fixture->model));
}

static void tries_again_after_a_refusal(void **state)
{
	struct fixture *fixture = *state;

	meet_populated(fixture);
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 2000);
	fixture_commit(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_forget(fixture);
	fixture_reply(fixture, ENOMEM, "out of memory");
	assert_string_equal(fixture_status(fixture).problem,
			    "the datapath refused the configuration: out of memory");
	assert_int_not_equal(fixture_status(fixture).applied_generation,
			     model_generation(fixture->model));
	fixture_expect_silence(fixture); /* not at once */
	/* A change is worth a try. */
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 1000);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 3 on 0\n" POPULATED "commit\n");
	fixture_reply(fixture, EINVAL, "");
	assert_string_equal(fixture_status(fixture).problem,
			    "the datapath refused the configuration: Invalid argument");
	/* So is time. */
	fixture_expect(fixture, "begin 4 on 0\n" POPULATED "commit\n");
	fixture_reply(fixture, 0, "");
	assert_string_equal(fixture_status(fixture).problem, "");
	fixture_expect_silence(fixture);
}

/* An answer to something else confirms nothing. */
static void believes_no_other_generation(void **state)
{
	struct fixture *fixture = *state;

	meet_populated(fixture);
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 2000);
	fixture_commit(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_forget(fixture);
	fixture->begin.generation = 77;
	fixture_reply(fixture, 0, "");
	assert_string_equal(fixture_status(fixture).problem,
			    "the datapath refused the configuration: it answered for another one");
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 1000);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 3 on 0\n" POPULATED "commit\n");
}

/* What was to be forgotten is forgotten, whatever happens to the first attempt. */
static void forgets_for_certain(void **state)
{
	struct fixture *fixture = *state;

	meet_populated(fixture);
	fixture_begin(fixture);
	delete_entry(fixture, "02:00:00:00:00:0c", true);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 2 on 1\nfdb- 0c in 0.3\ncommit\n");
	fixture_reply(fixture, ESTALE, "");
	fixture_expect(fixture, "begin 3 on 0\n" POPULATED "fdb- 0c in 0.3\ncommit\n");
	fixture_vanish(fixture);
	fixture_expect_silence(fixture);
	fixture_listen(fixture);
	fixture->started++;
	fixture->committed = 0;
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture, "memory 1\nmemory 2\nhold\n"
				"begin 4 on 0\n" POPULATED "fdb- 0c in 0.3\ncommit\n");
	fixture_reply(fixture, 0, "");
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 2000);
	delete_entry(fixture, "02:00:00:00:00:0d", true);
	fixture_commit(fixture);
	fixture_expect(fixture, "begin 5 on 4\n"
				"tenant 0.1 send 2000\n"
				"fdb- 0d in 0.3\n"
				"commit\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
		TEST(says_everything_first),
		TEST(says_nothing_but_a_commit_of_nothing),
		TEST(starts_without_a_datapath),
		TEST(names_a_changed_object_and_no_other),
		TEST(names_what_is_added),
		TEST(removes_in_reverse_order),
		TEST(reuses_an_index_in_one_transaction),
		TEST(follows_members),
		TEST(follows_peers),
		TEST(follows_static_entries),
		TEST(sets_an_entry_again),
		TEST(follows_the_vtep),
		TEST(merges_what_comes_meanwhile),
		TEST(sends_everything_when_the_base_is_stale),
		TEST(tries_again_after_a_refusal),
		TEST(believes_no_other_generation),
		TEST(forgets_for_certain),
	};

	return fixture_isolate() ? cmocka_run_group_tests(tests, NULL, NULL) : FIXTURE_SKIPPED;
}
