/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include "control/model_edit.h"

#define MANY 100000

static int setup(void **state)
{
	*state = model_new();
	return 0;
}

static int teardown(void **state)
{
	model_free(*state);
	return 0;
}

static struct model_tenant *put_tenant(struct model *model, const char *name, uint64_t rate)
{
	struct model_tenant values = {.bandwidth = {.send.rate = rate, .weight = 1}};
	struct model_tenant *tenant = NULL;
	struct problem problem;

	problem_init(&problem);
	snprintf(values.name, sizeof(values.name), "%s", name);
	assert_int_equal(model_tenant_put(model, &values, &tenant, &problem), 0);
	return tenant;
}

static struct model_segment *put_segment(struct model *model, struct model_tenant *tenant,
					 const char *name, uint32_t vni, const char *peer)
{
	struct model_segment values = {.tenant = tenant, .vni = vni, .vlan = 9};
	struct model_segment *segment = NULL;
	struct proto_addr addr;
	struct problem problem;

	problem_init(&problem);
	snprintf(values.name, sizeof(values.name), "%s", name);
	if (peer != NULL)
		assert_int_equal(addr_ip_parse(peer, &addr), 0);
	assert_int_equal(model_segment_put(model, &values, &addr, peer != NULL, &segment, &problem),
			 0);
	return segment;
}

static struct model_port *put_port(struct model *model, struct model_tenant *tenant,
				   const char *name, struct model_segment *segment, uint16_t vid)
{
	struct model_member member = {.segment = segment, .vid = vid};
	struct model_port values = {.tenant = tenant,
				    .type = MODEL_PORT_TAP,
				    .members = &member,
				    .member_count = segment != NULL};
	struct model_port *port = NULL;
	struct problem problem;

	problem_init(&problem);
	snprintf(values.name, sizeof(values.name), "%s", name);
	snprintf(values.ifname, sizeof(values.ifname), "%.15s", name);
	if (tenant != NULL)
		snprintf(values.netns, sizeof(values.netns), "%s", tenant->name);
	assert_int_equal(model_port_put(model, &values, &port, &problem), 0);
	return port;
}

static void commit(struct model *model)
{
	struct problem problem;

	problem_init(&problem);
	if (model_check(model, &problem) < 0)
		fail_msg("%s", problem.detail);
	model_commit(model);
}

static void expect_problem(struct model *model, const char *code)
{
	struct problem problem;

	problem_init(&problem);
	assert_int_not_equal(model_check(model, &problem), 0);
	assert_string_equal(problem.code, code);
	model_rollback(model);
}

/* A tenant with a segment, a peer and a port; an uplink. */
static void populate(struct model *model)
{
	struct model_tenant *tenant;
	struct model_segment *segment;

	model_begin(model);
	tenant = put_tenant(model, "acme", 1000);
	segment = put_segment(model, tenant, "web", 5001, "10.0.0.2");
	put_port(model, tenant, "p1", segment, 0);
	put_port(model, NULL, "up", segment, 7);
	commit(model);
}

static void indices_are_the_smallest_free(void **state)
{
	struct model *model = *state;
	uint32_t incarnation;
	char name[16];

	model_begin(model);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		assert_int_equal(put_tenant(model, name, 0)->ref.index, i);
	}
	commit(model);
	incarnation = model_incarnation(model);
	model_begin(model);
	model_tenant_del(model, model_tenant_find(model, "t200"));
	model_tenant_del(model, model_tenant_find(model, "t7"));
	assert_null(model_tenant_by_index(model, 7));
	/* Not before the commit: the datapath could not tell them apart. */
	assert_int_equal(put_tenant(model, "t7", 0)->ref.index, 300);
	commit(model);
	model_begin(model);
	assert_int_equal(put_tenant(model, "a", 0)->ref.index, 7);
	assert_int_equal(put_tenant(model, "b", 0)->ref.index, 200);
	assert_int_equal(put_tenant(model, "c", 0)->ref.index, 301);
	assert_int_equal(model_tenant_find(model, "c")->ref.incarnation, incarnation + 4);
	model_rollback(model);
	assert_null(model_tenant_by_index(model, 7));
	assert_null(model_tenant_find(model, "a"));
}

static void ports_and_vtep_share_indices(void **state)
{
	struct model *model = *state;
	struct model_vtep vtep = {.local = {.family = AF_INET, .bytes = {10, 0, 0, 1}},
				  .udp_port = 4789};
	struct problem problem;

	problem_init(&problem);
	populate(model);
	model_begin(model);
	assert_int_equal(model_vtep_put(model, &vtep, &problem), 0);
	commit(model);
	assert_int_equal(model_vtep(model)->ref.index, 2);
	assert_null(model_port_by_index(model, 2));
	model_begin(model);
	model_vtep_del(model);
	assert_false(model_vtep(model)->present);
	model_rollback(model);
	assert_int_equal(model_vtep(model)->ref.index, 2);
	model_begin(model);
	model_vtep_del(model);
	assert_int_equal(model_vtep_put(model, &vtep, &problem), 0);
	assert_int_equal(model_vtep(model)->ref.index, 3);
	commit(model);
	assert_int_equal(model_vtep(model)->ref.index, 3);
}

static void limits_are_kept(void **state)
{
	struct model *model = *state;
	struct model_tenant values = {0};
	struct problem problem;
	char name[16];

	problem_init(&problem);
	model_begin(model);
	for (uint32_t i = 0; i < PROTO_INDEX_CAPACITY; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		put_tenant(model, name, 0);
	}
	snprintf(values.name, sizeof(values.name), "%s", "more");
	assert_int_not_equal(model_tenant_put(model, &values, NULL, &problem), 0);
	assert_string_equal(problem.code, "limit");
	assert_int_equal(problem.status, 409);
	assert_null(model_tenant_find(model, "more"));
	model_tenant_del(model, model_tenant_find(model, "t5"));
	commit(model);
	model_begin(model);
	assert_int_equal(put_tenant(model, "more", 0)->ref.index, 5);
	commit(model);
}

/* Every kind of step, in an order that makes undoing hard, and then as if nothing had been. */
static void rollback_undoes_everything(void **state)
{
	struct model *model = *state;
	struct model_tenant *acme, *beta;
	struct model_segment *web;
	struct model_port *port;
	struct model_counts counts;
	struct model_host host = {.send_capacity = 5};

	populate(model);
	acme = model_tenant_find(model, "acme");
	web = model_segment_find(acme, "web");
	port = model_port_find(model, acme, "p1");
	for (int round = 0; round < 2; round++) {
		model_begin(model);
		model_host_put(model, &host);
		put_tenant(model, "acme", 2000);
		put_segment(model, acme, "web", 6000, "10.0.0.3");
		put_segment(model, acme, "web", 6001, NULL);
		beta = put_tenant(model, "beta", 1);
		put_port(model, beta, "p1", put_segment(model, beta, "web", 5001, "10.0.0.2"), 0);
		put_port(model, acme, "p1", web, 44);
		model_port_leave(model, port, web);
		model_segment_del_recursive(model, web);
		model_tenant_del_recursive(model, acme);
		put_port(model, NULL, "up", NULL, 0);
		acme = put_tenant(model, "acme", 3000);
		put_port(model, acme, "p1", put_segment(model, acme, "web", 1, NULL), 0);
		assert_int_equal(model_segment_find(acme, "web")->vni, 1);
		model_tenant_del_recursive(model, beta);
		model_rollback(model);

		acme = model_tenant_find(model, "acme");
		assert_int_equal(acme->bandwidth.send.rate, 1000);
		assert_int_equal(acme->segment_count, 1);
		assert_int_equal(acme->port_count, 1);
		assert_ptr_equal(model_segment_find(acme, "web"), web);
		assert_int_equal(web->vni, 5001);
		assert_int_equal(web->member_count, 2);
		assert_int_equal(web->peer_count, 1);
		assert_int_equal(web->peers[0]->use_count, 1);
		assert_int_equal(web->peers[0]->addr.bytes[3], 2);
		assert_ptr_equal(model_port_find(model, acme, "p1"), port);
		assert_int_equal(port->member_count, 1);
		assert_int_equal(port->members[0].vid, 0);
		assert_int_equal(model_host(model)->send_capacity, 0);
		assert_null(model_tenant_find(model, "beta"));
		model_counts(model, &counts);
		assert_int_equal(counts.tenants + counts.segments + counts.ports, 3);
		assert_int_equal(counts.uplinks, 1);
		assert_int_equal(counts.peers, 1);
		assert_int_equal(model_generation(model), 2);
	}
	/* The free indices are what they were. */
	model_begin(model);
	beta = put_tenant(model, "beta", 0);
	assert_int_equal(beta->ref.index, 1);
	assert_int_equal(put_segment(model, beta, "s", 0, NULL)->ref.index, 1);
	model_rollback(model);
}

/* What comes and goes within a transaction is no change; what is put as it is neither. */
static void changes_name_what_is_different(void **state)
{
	struct model *model = *state;
	const struct model_change *changes;
	struct model_tenant *acme;
	struct model_segment *web;
	uint32_t count;

	populate(model);
	(void)model_changes(model, &count);
	assert_int_equal(count, 5);
	acme = model_tenant_find(model, "acme");
	web = model_segment_find(acme, "web");
	model_begin(model);
	put_tenant(model, "acme", 1000);
	put_segment(model, acme, "web", 5001, "10.0.0.2");
	model_tenant_del(model, put_tenant(model, "gone", 0));
	put_segment(model, acme, "web", 5001, "10.0.0.9");
	put_segment(model, acme, "web", 5001, "10.0.0.2");
	commit(model);
	changes = model_changes(model, &count);
	assert_int_equal(count, 1);
	assert_int_equal(changes[0].kind, MODEL_SEGMENT);
	model_begin(model);
	put_tenant(model, "acme", 1000);
	commit(model);
	model_changes(model, &count);
	assert_int_equal(count, 0);
	assert_int_equal(model_generation(model), 3);

	/* A port that goes says where it was; its segment's peer goes along. */
	model_begin(model);
	put_port(model, acme, "p1", web, 12);
	model_tenant_del_recursive(model, acme);
	commit(model);
	changes = model_changes(model, &count);
	assert_int_equal(count, 5);
	assert_int_equal(changes[0].kind, MODEL_PORT);
	assert_true(changes[0].removed);
	assert_false(changes[0].added);
	assert_string_equal(changes[0].ifname, "p1");
	assert_string_equal(changes[0].netns, "acme");
	assert_int_equal(changes[4].kind, MODEL_PEER);
	assert_true(changes[4].removed);
}

static void conflicts_are_found_at_the_end(void **state)
{
	struct model *model = *state;
	struct model_tenant *acme, *beta;
	struct model_segment *web;

	populate(model);
	acme = model_tenant_find(model, "acme");
	web = model_segment_find(acme, "web");
	model_begin(model);
	beta = put_tenant(model, "beta", 0);
	put_segment(model, beta, "web", 5001, NULL);
	expect_problem(model, "vni-taken");

	model_begin(model);
	beta = put_tenant(model, "beta", 0);
	put_segment(model, beta, "web", 5001, NULL);
	put_segment(model, acme, "web", 5002, "10.0.0.2");
	commit(model);
	assert_int_equal(web->vni, 5002);

	model_begin(model);
	model_segment_del(model, web);
	expect_problem(model, "in-use");
	model_begin(model);
	model_tenant_del(model, acme);
	expect_problem(model, "in-use");
	model_begin(model);
	model_tenant_del(model, acme);
	model_port_del(model, model_port_find(model, NULL, "up"));
	model_port_del(model, model_port_find(model, acme, "p1"));
	model_segment_del(model, web);
	commit(model);
	assert_null(model_tenant_find(model, "acme"));
}

/* The segment's own VID is followed by who names none. */
static void inherited_vids_follow(void **state)
{
	struct model *model = *state;
	struct model_member member = {.vid = 9, .vid_inherited = true};
	struct model_port values = {
		.type = MODEL_PORT_MEMORY, .members = &member, .member_count = 1, .name = "trunk"};
	struct model_segment changed, *web;
	struct model_port *trunk;
	struct problem problem;

	problem_init(&problem);
	populate(model);
	web = model_segment_find(model_tenant_find(model, "acme"), "web");
	member.segment = web;
	model_begin(model);
	assert_int_equal(model_port_put(model, &values, &trunk, &problem), 0);
	commit(model);
	changed = *web;
	changed.vlan = 10;
	model_begin(model);
	model_segment_put(model, &changed, &web->peers[0]->addr, 1, NULL, &problem);
	commit(model);
	assert_int_equal(trunk->members[0].vid, 10);
	assert_int_equal(model_port_find(model, NULL, "up")->members[0].vid, 7);
	changed.vlan = 0;
	model_begin(model);
	model_segment_put(model, &changed, &web->peers[0]->addr, 1, NULL, &problem);
	expect_problem(model, "no-vid");
	assert_int_equal(trunk->members[0].vid, 10);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A thousand changes among a hundred thousand tenants: far less than a copy of them would take. */
static void a_change_costs_what_it_touches(void **state)
{
	struct model *model = *state;
	char name[16];
	double start;

	model_begin(model);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		put_tenant(model, name, 0);
	}
	commit(model);
	start = seconds();
	for (int i = 0; i < 1000; i++) {
		model_begin(model);
		put_tenant(model, "t500", (uint64_t)i + 1);
		model_tenant_del(model, put_tenant(model, "new", 0));
		commit(model);
	}
	print_message("change: %.3f us\n", (seconds() - start) * 1000);
	assert_true(seconds() - start < 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(indices_are_the_smallest_free, setup, teardown),
		cmocka_unit_test_setup_teardown(ports_and_vtep_share_indices, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(rollback_undoes_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_name_what_is_different, setup, teardown),
		cmocka_unit_test_setup_teardown(conflicts_are_found_at_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(inherited_vids_follow, setup, teardown),
		cmocka_unit_test_setup_teardown(a_change_costs_what_it_touches, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
