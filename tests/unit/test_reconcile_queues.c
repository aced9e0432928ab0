/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every port has as many queues as the datapath has workers, also when one comes that has another
 * number. Interfaces are real, in the namespace of the test.
 */

#include "tests/unit/reconcile_fixture.h"

#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/links.h"
#include "control/links_internal.h"
#include "control/namespaces.h"

/* A TAP, a veth and the VTEP: ports 1.3, 2.4 and 3.5. */
static void populate(struct fixture *fixture)
{
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 0);
	fixture_segment(fixture, "acme", "web", 0, NULL);
	fixture_interface(fixture, "acme", "tap1", "web", MODEL_PORT_TAP);
	fixture_interface(fixture, "acme", "veth1", "web", MODEL_PORT_VETH);
	fixture_vtep(fixture, "127.0.0.1", 4789);
	fixture_commit(fixture);
}

/* The queues of a TAP in our namespace that anybody holds. */
static uint32_t held(const char *ifname)
{
	struct namespaces *namespaces;
	struct links *links;
	uint32_t count;

	assert_int_equal(namespaces_new(&namespaces), 0);
	assert_int_equal(links_new(&links, namespaces, 1), 0);
	count = links_queues_held(links, namespaces_own(namespaces), ifname);
	links_free(links);
	namespaces_free(namespaces);
	return count;
}

/* What is let go of is closed by a thread that waits for the kernel. */
static void expect_held(struct fixture *fixture, uint32_t count)
{
	for (int turn = 0; held("tap1") != count; turn++) {
		assert_true(turn < TURNS_MAX);
		fixture_turn(fixture);
	}
	assert_string_equal(fixture_status(fixture).problem, "");
	assert_int_equal(fixture_status(fixture).waiting_ports, 0);
}

static void expect_heard(const struct fixture *fixture, uint32_t count)
{
	static const char *const ports[] = {"port 0.3 fds", "port 1.4 fds"};
	char line[64];

	for (int i = 0; i < 2; i++) {
		snprintf(line, sizeof(line), "%s %u up\n", ports[i], count);
		assert_non_null(strstr(fixture->heard, line));
	}
	snprintf(line, sizeof(line), "127.0.0.1:4789 fds %u, %u receive\n", count + 8, count);
	assert_non_null(strstr(fixture->heard, line));
}

/* Another datapath, which holds nothing yet, and is told everything. */
static void come_with(struct fixture *fixture, uint32_t workers)
{
	fixture_vanish(fixture);
	fixture_drop_everything(fixture);
	fixture_listen(fixture);
	fixture->started++;
	fixture->committed = 0;
	fixture->workers = workers;
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_forget(fixture);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_reply(fixture, 0, "");
}

static void follow_the_workers(void **state)
{
	static const uint32_t counts[] = {1, 3, 2, 16, 17, 1};
	struct fixture *fixture = *state;
	unsigned int index;

	populate(fixture);
	fixture->workers = 2;
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_hear(fixture, PROTO_COMMIT);
	expect_heard(fixture, 2);
	fixture_reply(fixture, 0, "");
	expect_held(fixture, 2);
	index = if_nametoindex("tap1");
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint32_t count = counts[i] > 16 ? 16 : counts[i];

		come_with(fixture, counts[i]);
		expect_heard(fixture, count);
		expect_held(fixture, count);
		assert_int_equal(if_nametoindex("tap1"), index);
		fixture_expect_silence(fixture);
	}
}

/* Made while no datapath had been seen, and for one worker that runs for long. */
static void are_added_to_what_is_there(void **state)
{
	struct fixture *fixture = *state;

	fixture_vanish(fixture);
	populate(fixture);
	fixture_start(fixture);
	expect_held(fixture, 1);
	come_with(fixture, 2);
	expect_heard(fixture, 2);
	expect_held(fixture, 2);
	/* A port that comes later has them from the start. */
	fixture_forget(fixture);
	fixture_begin(fixture);
	fixture_interface(fixture, "acme", "tap2", "web", MODEL_PORT_TAP);
	fixture_commit(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, " fds 2 up\n"));
	assert_int_equal(held("tap2"), 2);
}

static void restart(struct fixture *fixture)
{
	fixture_stop(fixture);
	channel_free(fixture->peer);
	fixture->peer = NULL;
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_forget(fixture);
}

static void are_taken_back(void **state)
{
	struct fixture *fixture = *state;
	unsigned int index;

	populate(fixture);
	fixture->workers = 3;
	fixture_start(fixture);
	fixture_meet(fixture);
	index = if_nametoindex("tap1");
	restart(fixture);
	fixture_hand_everything_back(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "port 0.3 fds 0 up\n"));
	assert_non_null(strstr(fixture->heard, "port 1.4 fds 0 up\n"));
	assert_non_null(strstr(fixture->heard, "127.0.0.1:4789 fds 0, 3 receive\n"));
	fixture_reply(fixture, 0, "");
	fixture_expect_silence(fixture);
	expect_held(fixture, 3);
	assert_int_equal(if_nametoindex("tap1"), index);
}

/* The datapath has fewer than it has workers: it got them before it had said so. */
static void are_added_to_what_is_taken_back(void **state)
{
	struct fixture *fixture = *state;

	populate(fixture);
	fixture_start(fixture);
	fixture_meet(fixture);
	fixture->workers = 2;
	restart(fixture);
	fixture_hand_everything_back(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	expect_heard(fixture, 2);
	fixture_reply(fixture, 0, "");
	fixture_expect_silence(fixture);
	expect_held(fixture, 2);
}

/* One descriptor that is not the port's, and none of them is believed. */
static void are_taken_back_together_or_not(void **state)
{
	struct fixture *fixture = *state;
	unsigned int former;
	uint32_t i;

	populate(fixture);
	fixture->workers = 2;
	fixture_start(fixture);
	fixture_meet(fixture);
	former = if_nametoindex("tap1");
	for (i = fixture->kept_count; i-- > 0;) {
		/* The last of each. */
		if (fixture->kept[i].record.kind < PROTO_HANDBACK_MEMORY &&
		    (i + 1 == fixture->kept_count ||
		     fixture->kept[i + 1].record.ref.index != fixture->kept[i].record.ref.index)) {
			close(fixture->kept[i].fd);
			fixture->kept[i].fd = dup(STDERR_FILENO);
		}
	}
	restart(fixture);
	fixture_hand_everything_back(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "port 0.3 fds 2 up\n"));
	assert_non_null(strstr(fixture->heard, "port 1.4 fds 2 up\n"));
	/* As with a single descriptor: the TAP is another one. */
	assert_int_not_equal(if_nametoindex("tap1"), former);
	assert_int_equal(held("tap1"), 2);
}

static pid_t start_workload(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) == 0 && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* A queue that is added to a TAP that was moved is opened inside its namespace, which may die. */
static void let_a_namespace_die(void **state)
{
	struct fixture *fixture = *state;
	struct model_port values;
	pid_t pid = start_workload();

	populate(fixture);
	fixture_begin(fixture);
	values = *fixture_find_port(fixture, "acme", "tap1");
	snprintf(values.netns, sizeof(values.netns), "pid:%d", pid);
	assert_int_equal(model_port_put(fixture->model, &values, NULL, NULL), 0);
	fixture_commit(fixture);
	fixture_start(fixture);
	fixture_meet(fixture);
	come_with(fixture, 2);
	expect_heard(fixture, 2);
	fixture_forget(fixture);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "port 0.3 fds 0 up detached\n"));
	fixture_reply(fixture, 0, "");
	assert_int_equal(fixture_status(fixture).waiting_ports, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
		TEST(follow_the_workers),
		TEST(are_added_to_what_is_there),
		TEST(are_taken_back),
		TEST(are_added_to_what_is_taken_back),
		TEST(are_taken_back_together_or_not),
		TEST(let_a_namespace_die),
	};

	return fixture_isolate() ? cmocka_run_group_tests(tests, NULL, NULL) : FIXTURE_SKIPPED;
}
