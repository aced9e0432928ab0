/* SPDX-License-Identifier: Apache-2.0 */

/* Ports go: their interfaces together, their descriptors after the datapath's, nobody waits. */

#include "tests/unit/reconcile_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <netlink/route/link.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/reaper.h"

#define COUNT 40

/* Tenant 0.1 with segment 0.2 and `count` ports of either type: t0 …, v0 …, in this namespace. */
static void populate(struct fixture *fixture, int count)
{
	char name[16];
	int i;

	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 0);
	fixture_segment(fixture, "acme", "web", 0, NULL);
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		fixture_interface(fixture, "acme", name, "web", MODEL_PORT_TAP);
		snprintf(name, sizeof(name), "v%d", i);
		fixture_interface(fixture, "acme", name, "web", MODEL_PORT_VETH);
	}
	fixture_commit(fixture);
}

static void delete_tenant(struct fixture *fixture)
{
	fixture_begin(fixture);
	model_tenant_del_recursive(fixture->model, model_tenant_find(fixture->model, "acme"));
	fixture_commit(fixture);
}

static void delete_port(struct fixture *fixture, const char *name)
{
	fixture_begin(fixture);
	model_port_del_recursive(fixture->model, fixture_find_port(fixture, "acme", name));
	fixture_commit(fixture);
}

static int interface_count(void)
{
	struct if_nameindex *names = if_nameindex();
	int count = 0;

	assert_non_null(names);
	while (names[count].if_index != 0)
		count++;
	if_freenameindex(names);
	return count;
}

/* How many descriptors of this process are such files. */
static int open_count(const char *target)
{
	DIR *directory = opendir("/proc/self/fd");
	char path[300], found[300];
	struct dirent *entry;
	int count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL) {
		ssize_t size;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		size = readlink(path, found, sizeof(found) - 1);
		if (size < 0)
			continue;
		found[size] = '\0';
		count += strcmp(found, target) == 0;
	}
	closedir(directory);
	return count;
}

static void await_open_count(struct fixture *fixture, const char *target, int count)
{
	int turn;

	for (turn = 0; open_count(target) != count; turn++) {
		assert_true(turn < TURNS_MAX);
		fixture_turn(fixture);
	}
}

static void removes_interfaces_together(void **state)
{
	struct fixture *fixture = *state;
	int foreign;

	populate(fixture, COUNT);
	fixture_start(fixture);
	fixture_meet(fixture);
	while (fixture_status(fixture).waiting_ports > 0)
		fixture_turn(fixture);
	assert_int_equal(interface_count(), 1 + 2 * COUNT);
	foreign = fixture_open_tap("other0");
	fixture_vanish(fixture);
	fixture_expect_silence(fixture);
	fixture_listen(fixture);
	fixture->started++;
	fixture->committed = 0;
	fixture_meet(fixture);
	fixture_settle(fixture);
	delete_tenant(fixture);
	fixture_settle(fixture);
	/* What is in effect is so: nothing but the loopback and another's interface is left. */
	assert_int_equal(interface_count(), 2);
	assert_true(if_nametoindex("other0") > 0);
	close(foreign);
}

/* By as many transactions as there are ports, at most. */
static void removes_interfaces_one_by_one(void **state)
{
	struct fixture *fixture = *state;

	fixture->work_slice = 0;
	populate(fixture, 3);
	fixture_start(fixture);
	fixture_meet(fixture);
	fixture_settle(fixture);
	assert_int_equal(interface_count(), 1 + 2 * 3);
	delete_tenant(fixture);
	fixture_settle(fixture);
	assert_int_equal(interface_count(), 1);
}

/* The name is taken for a moment: nobody has to ask again. */
static void gives_a_name_back(void **state)
{
	struct fixture *fixture = *state;
	unsigned int former;

	populate(fixture, 1);
	fixture_start(fixture);
	fixture_meet(fixture);
	fixture_settle(fixture);
	former = if_nametoindex("t0");
	assert_true(former > 0);
	delete_port(fixture, "t0");
	fixture_begin(fixture);
	fixture_interface(fixture, "acme", "t0", "web", MODEL_PORT_TAP);
	fixture_commit(fixture);
	do {
		fixture_hear(fixture, PROTO_COMMIT);
		fixture_reply(fixture, 0, "");
		fixture_turn(fixture);
	} while (fixture_status(fixture).waiting_ports > 0);
	assert_true(if_nametoindex("t0") > 0);
	assert_int_not_equal(if_nametoindex("t0"), former);
	assert_true(if_nametoindex("v0") > 0);
}

/* Else the datapath's would be the last copy, and its main thread would wait for the kernel. */
static void closes_after_the_datapath(void **state)
{
	struct fixture *fixture = *state;

	populate(fixture, 1);
	fixture_start(fixture);
	fixture_meet(fixture);
	fixture_settle(fixture);
	/* The reconciler's and the datapath's. */
	assert_int_equal(open_count("/dev/net/tun"), 2);
	delete_port(fixture, "t0");
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_turn(fixture);
	assert_int_equal(open_count("/dev/net/tun"), 2);
	fixture_reply(fixture, 0, "");
	await_open_count(fixture, "/dev/net/tun", 1);
	assert_int_equal(if_nametoindex("t0"), 0);
}

/* Without a datapath there is nobody to wait for. */
static void closes_without_a_datapath(void **state)
{
	struct fixture *fixture = *state;

	populate(fixture, 2);
	fixture_start(fixture);
	fixture_meet(fixture);
	fixture_settle(fixture);
	assert_int_equal(open_count("/dev/net/tun"), 4);
	delete_port(fixture, "t0");
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_vanish(fixture);
	await_open_count(fixture, "/dev/net/tun", 3);
	delete_port(fixture, "t1");
	await_open_count(fixture, "/dev/net/tun", 2);
}

/* The threads. */

static void count_drained(void *context)
{
	(*(int *)context)++;
}

static void await_drained(struct fixture *fixture, const int *drained, int count)
{
	int turn;

	for (turn = 0; *drained < count; turn++) {
		assert_true(turn < TURNS_MAX);
		fixture_turn(fixture);
	}
}

static void closes_descriptors(void **state)
{
	struct fixture *fixture = *state;
	int pipes[COUNT][2], drained = 0, i;
	struct reaper *reaper;
	char byte;

	assert_int_equal(reaper_new(&reaper, fixture->base, count_drained, &drained), 0);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
		reaper_close(reaper, pipes[i][1]);
	}
	assert_false(reaper_deletes(reaper));
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(read(pipes[i][0], &byte, 1), 0); /* waits for the end */
		close(pipes[i][0]);
	}
	fixture_turn(fixture);
	assert_int_equal(drained, 0); /* which only deletions do */
	reaper_free(reaper);
}

static void finishes_before_it_ends(void **state)
{
	struct fixture *fixture = *state;
	int pipes[COUNT][2], drained = 0, i;
	struct reaper *reaper;
	char byte;

	assert_int_equal(reaper_new(&reaper, fixture->base, count_drained, &drained), 0);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(pipe2(pipes[i], O_CLOEXEC | O_NONBLOCK), 0);
		reaper_close(reaper, pipes[i][1]);
	}
	reaper_free(reaper);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(read(pipes[i][0], &byte, 1), 0);
		close(pipes[i][0]);
	}
}

static struct nl_sock *open_netlink(void)
{
	struct nl_sock *socket = nl_socket_alloc();

	assert_non_null(socket);
	assert_int_equal(nl_connect(socket, NETLINK_ROUTE), 0);
	return socket;
}

static void set_group(const char *ifname, uint32_t group)
{
	struct nl_sock *socket = open_netlink();
	struct rtnl_link *link, *change = rtnl_link_alloc();

	assert_int_equal(rtnl_link_get_kernel(socket, 0, ifname, &link), 0);
	rtnl_link_set_group(change, group);
	assert_int_equal(rtnl_link_change(socket, link, change, 0), 0);
	rtnl_link_put(change);
	rtnl_link_put(link);
	nl_socket_free(socket);
}

static void deletes_a_group_and_no_other(void **state)
{
	struct fixture *fixture = *state;
	struct reaper *reaper;
	int fds[4], drained = 0, i;
	char name[16];

	assert_int_equal(reaper_new(&reaper, fixture->base, count_drained, &drained), 0);
	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		fds[i] = fixture_open_tap(name);
		if (i > 0)
			set_group(name, i < 3 ? 4711 : 4712);
	}
	reaper_delete(reaper, open_netlink(), 4711);
	assert_true(drained == 0);
	await_drained(fixture, &drained, 1);
	assert_false(reaper_deletes(reaper));
	assert_true(if_nametoindex("g0") > 0);
	assert_int_equal(if_nametoindex("g1"), 0);
	assert_int_equal(if_nametoindex("g2"), 0);
	assert_true(if_nametoindex("g3") > 0);
	/* A group without members is done with as well. */
	reaper_delete(reaper, open_netlink(), 4711);
	await_drained(fixture, &drained, 2);
	reaper_free(reaper);
	for (i = 0; i < 4; i++)
		close(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
		TEST(closes_descriptors),
		TEST(finishes_before_it_ends),
		TEST(deletes_a_group_and_no_other),
		TEST(removes_interfaces_together),
		TEST(removes_interfaces_one_by_one),
		TEST(gives_a_name_back),
		TEST(closes_after_the_datapath),
		TEST(closes_without_a_datapath),
	};

	return fixture_isolate() ? cmocka_run_group_tests(tests, NULL, NULL) : FIXTURE_SKIPPED;
}
