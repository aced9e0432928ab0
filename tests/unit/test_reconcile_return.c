/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Either daemon returns: what is said again, what is taken back, what is not. TAPs are real, in the
 * namespace of the test.
 */

#include "tests/unit/reconcile_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdb_layout.h"
#include "common/stats_layout.h"

#define MANY 1100 /* descriptors: more than a message and more than a transaction takes */

/* Tenant 0.1, segment 0.2, port 0.3 without an interface. */
static void populate(struct fixture *fixture)
{
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 1000);
	fixture_segment(fixture, "acme", "web", 0, NULL);
	fixture_port(fixture, "acme", "p1", "web");
	fixture_commit(fixture);
}

#define HOST "host send 0 receive 0\n"
#define POPULATED                                                                                  \
	HOST "tenant 0.1 send 1000\n"                                                              \
	     "segment 0.2 of 0.1 vni 0 mtu 1400\n"                                                 \
	     "port 0.3 fds 0 up\n"                                                                 \
	     "member 0.3 in 0.2 vid 0\n"
#define ANNOUNCED "memory 1\nmemory 2\nhold\n"

static void set_rate(struct fixture *fixture, uint64_t rate)
{
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", rate);
	fixture_commit(fixture);
}

static void hand_back(struct fixture *fixture, enum proto_handback_kind kind, struct proto_ref ref,
		      int fd)
{
	const struct proto_handback record = {.kind = kind, .fd_count = fd >= 0, .ref = ref};

	fixture_say(fixture, PROTO_HANDBACK, &record, sizeof(record), fd);
}

/* The end of a pipe that is to be closed by whom it was handed to. */
static void expect_closed(struct fixture *fixture, int reader, int writer)
{
	char byte;
	int turn;

	close(writer);
	for (turn = 0; turn < TURNS_MAX; turn++) {
		ssize_t size = read(reader, &byte, 1);

		if (size == 0)
			break;
		assert_true(size < 0 && errno == EAGAIN);
		fixture_turn(fixture);
	}
	assert_true(turn < TURNS_MAX);
	close(reader);
}

static void make_pipe(int pipe[2])
{
	assert_int_equal(pipe2(pipe, O_CLOEXEC | O_NONBLOCK), 0);
}

static void drop_connection(struct fixture *fixture)
{
	channel_free(fixture->peer);
	fixture->peer = NULL;
}

static void goes_on_with_the_committed_generation(void **state)
{
	struct fixture *fixture = *state;

	populate(fixture);
	fixture_start(fixture);
	fixture_meet(fixture);
	drop_connection(fixture);
	fixture_greet(fixture);
	fixture_expect_silence(fixture);
	set_rate(fixture, 2000);
	fixture_expect(fixture, "begin 2 on 1\ntenant 0.1 send 2000\ncommit\n");
	fixture_reply(fixture, 0, "");
	/* What changed while it was away is a delta, too. */
	drop_connection(fixture);
	fixture_expect_silence(fixture);
	set_rate(fixture, 3000);
	fixture_greet(fixture);
	fixture_expect(fixture, "begin 3 on 2\ntenant 0.1 send 3000\ncommit\n");
	fixture_reply(fixture, 0, "");
	assert_int_equal(fixture_status(fixture).applied_generation,
			 model_generation(fixture->model));
}

static void says_everything_to_another_generation(void **state)
{
	struct fixture *fixture = *state;

	populate(fixture);
	fixture_start(fixture);
	fixture_meet(fixture);
	drop_connection(fixture);
	fixture->committed = 9;
	fixture_greet(fixture);
	fixture_expect(fixture, "begin 10 on 0\n" POPULATED "commit\n");
	fixture_reply(fixture, 0, "");
	drop_connection(fixture);
	fixture->committed = 4;
	fixture_greet(fixture);
	fixture_expect(fixture, "begin 11 on 0\n" POPULATED "commit\n");
}

/* Whether the datapath committed what it did not answer, is not known. */
static void says_everything_after_a_lost_answer(void **state)
{
	struct fixture *fixture = *state;

	populate(fixture);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture, ANNOUNCED "begin 1 on 0\n" POPULATED "commit\n");
	drop_connection(fixture);
	/* It may have got the memories, and may not. */
	fixture_greet(fixture);
	fixture_expect(fixture, ANNOUNCED "begin 2 on 0\n" POPULATED "commit\n");
	fixture_reply(fixture, 0, "");
	set_rate(fixture, 2000);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_forget(fixture);
	drop_connection(fixture);
	fixture->committed = fixture->begin.generation;
	set_rate(fixture, 1000);
	fixture_greet(fixture);
	fixture_expect(fixture, ANNOUNCED "begin 4 on 0\n" POPULATED "commit\n");
}

static void says_everything_to_a_new_datapath(void **state)
{
	struct fixture *fixture = *state;

	populate(fixture);
	fixture_start(fixture);
	fixture_meet(fixture);
	fixture_vanish(fixture);
	fixture_expect_silence(fixture);
	assert_false(fixture_status(fixture).datapath_connected);
	fixture_listen(fixture);
	fixture->started++;
	fixture->committed = 0;
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	assert_int_equal(fixture_status(fixture).applied_generation, 0);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture, ANNOUNCED "begin 2 on 0\n" POPULATED "commit\n");
	fixture_reply(fixture, 0, "");
	assert_int_equal(fixture_status(fixture).applied_generation,
			 model_generation(fixture->model));
}

/* The first handback ends in the middle: it is asked for again before anything is made. */
static void asks_again_after_half_a_handback(void **state)
{
	struct fixture *fixture = *state;
	int pipe[2];

	make_pipe(pipe);
	populate(fixture);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	hand_back(fixture, PROTO_HANDBACK_HOLD, (struct proto_ref){1, 0}, pipe[1]);
	fixture_expect_silence(fixture);
	drop_connection(fixture);
	expect_closed(fixture, pipe[0], pipe[1]);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_expect_silence(fixture);
	assert_string_equal(fixture->heard, "");
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture, ANNOUNCED "begin 1 on 0\n" POPULATED "commit\n");
}

static void speaks_to_no_other_version(void **state)
{
	const struct proto_hello other = {.version = PROTO_VERSION + 1, .pid = 1, .started = 1};
	struct fixture *fixture = *state;

	populate(fixture);
	fixture_start(fixture);
	fixture_await_connection(fixture);
	fixture_say(fixture, PROTO_HELLO, &other, sizeof(other), -1);
	fixture_expect_end(fixture);
	assert_false(fixture_status(fixture).datapath_connected);
	assert_non_null(strstr(fixture_status(fixture).problem, "version"));
	/* Another one is installed. */
	fixture_meet(fixture);
	assert_true(fixture_status(fixture).datapath_connected);
	assert_string_equal(fixture_status(fixture).problem, "");
}

static void takes_back_what_it_lent(void **state)
{
	struct fixture *fixture = *state;

	populate(fixture);
	fixture_begin(fixture);
	fixture_vtep(fixture, "127.0.0.1", 4789);
	fixture_interface(fixture, "acme", "tap1", "web", MODEL_PORT_TAP);
	fixture_commit(fixture);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture,
		       ANNOUNCED "begin 1 on 0\n" HOST "vtep 1.4 127.0.0.1:4789 fds 9, 1 receive\n"
				 "tenant 0.1 send 1000\n"
				 "segment 0.2 of 0.1 vni 0 mtu 1400\n"
				 "port 2.5 fds 1 up\n"
				 "port 0.3 fds 0 up\n"
				 "member 2.5 in 0.2 vid 0\n"
				 "member 0.3 in 0.2 vid 0\n"
				 "commit\n");
	fixture_reply(fixture, 0, "");
	fixture_stop(fixture);
	drop_connection(fixture);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_hand_everything_back(fixture);
	fixture_expect(fixture, "begin 2 on 0\n" HOST "vtep 1.4 127.0.0.1:4789 fds 0, 1 receive\n"
				"tenant 0.1 send 1000\n"
				"segment 0.2 of 0.1 vni 0 mtu 1400\n"
				"port 0.3 fds 0 up\n"
				"port 2.5 fds 0 up\n"
				"member 0.3 in 0.2 vid 0\n"
				"member 2.5 in 0.2 vid 0\n"
				"commit\n");
	fixture_reply(fixture, 0, "");
	fixture_expect_silence(fixture);
	assert_int_equal(fixture_status(fixture).waiting_ports, 0);
	/* The same memory: what the datapath counts is read. */
	assert_non_null(reconcile_stats(fixture->reconcile));
}

/* A TAP that comes twice is one interface, and in use. */
static void keeps_what_comes_twice(void **state)
{
	struct fixture *fixture = *state;
	unsigned int index;
	int fd;

	populate(fixture);
	fixture_begin(fixture);
	fixture_interface(fixture, "acme", "tap1", "web", MODEL_PORT_TAP);
	fixture_commit(fixture);
	fixture_start(fixture);
	fixture_meet(fixture);
	index = if_nametoindex("tap1");
	assert_true(index > 0);
	fixture_stop(fixture);
	drop_connection(fixture);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fd = fixture_kept(fixture, PROTO_HANDBACK_PORT, 1);
	hand_back(fixture, PROTO_HANDBACK_PORT, (struct proto_ref){1, 4}, fd);
	hand_back(fixture, PROTO_HANDBACK_PORT, (struct proto_ref){1, 4}, fd);
	fixture_hand_everything_back(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "port 1.4 fds 0 up\n"));
	assert_int_equal(if_nametoindex("tap1"), index);
}

/* What is left of a port that was removed while the control daemon was away. */
static void removes_what_no_port_wants(void **state)
{
	struct fixture *fixture = *state;

	populate(fixture);
	fixture_begin(fixture);
	fixture_interface(fixture, "acme", "tap1", "web", MODEL_PORT_TAP);
	fixture_commit(fixture);
	fixture_start(fixture);
	fixture_meet(fixture);
	fixture_stop(fixture);
	drop_connection(fixture);
	fixture_begin(fixture);
	model_port_del_recursive(fixture->model, fixture_find_port(fixture, "acme", "tap1"));
	fixture_commit(fixture);
	assert_true(if_nametoindex("tap1") > 0);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_hand_everything_back(fixture);
	fixture_expect(fixture, "begin 2 on 0\n" POPULATED "commit\n");
	assert_int_equal(if_nametoindex("tap1"), 0);
}

/* Nothing that was not lent is taken, kept or touched. */
static const struct {
	enum proto_handback_kind kind;
	struct proto_ref ref;
} forged[] = {
	{PROTO_HANDBACK_HOLD, {1, 0}},
	{PROTO_HANDBACK_MEMORY, {PROTO_MEMORY_STATS, 0}},
	{PROTO_HANDBACK_MEMORY, {PROTO_MEMORY_FDB, 0}},
	{PROTO_HANDBACK_MEMORY, {0, 0}},
	{PROTO_HANDBACK_MEMORY, {UINT32_MAX, 0}},
	{PROTO_HANDBACK_VTEP, {2, 5}},
	{PROTO_HANDBACK_PORT, {0, 3}},
	{PROTO_HANDBACK_PORT, {1, 4}},
	{PROTO_HANDBACK_PORT, {1, 5}},
	{PROTO_HANDBACK_PORT, {UINT32_MAX, 4}},
	{99, {1, 4}},
};

static void refuses_what_it_did_not_lend(void **state)
{
	enum { COUNT = sizeof(forged) / sizeof(forged[0]) };
	struct fixture *fixture = *state;
	int pipes[COUNT][2], foreign, memory, i;

	populate(fixture);
	fixture_begin(fixture);
	fixture_interface(fixture, "acme", "tap1", "web", MODEL_PORT_TAP);
	fixture_vtep(fixture, "127.0.0.1", 4789);
	fixture_commit(fixture);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	for (i = 0; i < COUNT; i++) {
		make_pipe(pipes[i]);
		hand_back(fixture, forged[i].kind, forged[i].ref, pipes[i][1]);
	}
	/* Of the right kind, and not this switch's: a TAP, and a memory that can be shrunk. */
	foreign = fixture_open_tap("other0");
	hand_back(fixture, PROTO_HANDBACK_PORT, (struct proto_ref){1, 4}, foreign);
	memory = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(memory >= 0);
	assert_int_equal(ftruncate(memory, FDB_MEMORY_SIZE(FDB_BUCKETS_DEFAULT)), 0);
	hand_back(fixture, PROTO_HANDBACK_MEMORY, (struct proto_ref){PROTO_MEMORY_FDB, 0}, memory);
	hand_back(fixture, PROTO_HANDBACK_PORT, (struct proto_ref){1, 4}, -1);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture,
		       ANNOUNCED "begin 1 on 0\n" HOST "vtep 2.5 127.0.0.1:4789 fds 9, 1 receive\n"
				 "tenant 0.1 send 1000\n"
				 "segment 0.2 of 0.1 vni 0 mtu 1400\n"
				 "port 1.4 fds 1 up\n"
				 "port 0.3 fds 0 up\n"
				 "member 1.4 in 0.2 vid 0\n"
				 "member 0.3 in 0.2 vid 0\n"
				 "commit\n");
	for (i = 0; i < COUNT; i++)
		expect_closed(fixture, pipes[i][0], pipes[i][1]);
	assert_true(if_nametoindex("other0") > 0);
	/* Nobody else has it now: it goes with its descriptor. */
	close(foreign);
	assert_int_equal(if_nametoindex("other0"), 0);
	assert_true(
		fcntl(fixture_kept(fixture, PROTO_HANDBACK_MEMORY, PROTO_MEMORY_FDB), F_GET_SEALS) &
		F_SEAL_SHRINK);
	close(memory);
}

/* More descriptors than a record may have break the connection, and are closed. */
static void refuses_a_record_with_too_many(void **state)
{
	struct proto_handback record = {.kind = PROTO_HANDBACK_VTEP,
					.fd_count = PROTO_VTEP_FDS_MAX + 1};
	struct fixture *fixture = *state;
	int pipe[2], fds[PROTO_VTEP_FDS_MAX + 1], i;

	make_pipe(pipe);
	for (i = 0; i < (int)record.fd_count; i++)
		fds[i] = pipe[1];
	populate(fixture);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	assert_int_equal(channel_append(fixture->peer, PROTO_HANDBACK, &record, sizeof(record), fds,
					record.fd_count),
			 0);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture, ANNOUNCED "begin 1 on 0\n" POPULATED "commit\n");
	expect_closed(fixture, pipe[0], pipe[1]);
}

static pid_t start_workload(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
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

/* A TAP that outlived both daemons was opened inside the workload's namespace, which may die. */
static void lets_a_namespace_die(void **state)
{
	struct fixture *fixture = *state;
	struct model_port values;
	pid_t pid = start_workload();
	uint32_t i;

	populate(fixture);
	fixture_begin(fixture);
	values = *fixture_interface(fixture, "acme", "tap1", "web", MODEL_PORT_TAP);
	snprintf(values.netns, sizeof(values.netns), "pid:%d", pid);
	assert_int_equal(model_port_put(fixture->model, &values, NULL, NULL), 0);
	fixture_commit(fixture);
	fixture_start(fixture);
	fixture_meet(fixture);
	fixture_stop(fixture);
	fixture_vanish(fixture);
	for (i = 0; i < fixture->kept_count; i++)
		close(fixture->kept[i].fd);
	fixture->kept_count = 0;
	fixture->committed = 0;
	fixture->started++;
	fixture_listen(fixture);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "port 1.4 fds 1 up\n"));
	fixture_reply(fixture, 0, "");
	assert_int_equal(fixture_status(fixture).waiting_ports, 0);
	fixture_forget(fixture);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	fixture_expect(fixture, "begin 2 on 1\nport 1.4 fds 0 up detached\ncommit\n");
	fixture_reply(fixture, 0, "");
	assert_int_equal(fixture_status(fixture).waiting_ports, 1);
}

static void sends_many_descriptors(void **state)
{
	const struct rlimit limit = {3 * MANY + 100, 3 * MANY + 100};
	struct fixture *fixture = *state;
	char name[16];
	int i;

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		skip();
	fixture_vanish(fixture);
	populate(fixture);
	fixture_begin(fixture);
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "tap%d", i);
		fixture_interface(fixture, "acme", name, "web", MODEL_PORT_TAP);
	}
	fixture_commit(fixture);
	fixture_start(fixture);
	for (i = 0; fixture_status(fixture).waiting_ports > 0; i++) {
		assert_true(i < 10000);
		fixture_turn(fixture);
	}
	fixture_listen(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_int_equal(fixture->begin.base, 0);
	assert_int_equal(fixture->fds, 3 + 1024);
	assert_true(fixture->messages_with_fds >= 3 + 1024 / PROTO_FDS_MAX);
	fixture_forget(fixture);
	fixture_reply(fixture, 0, "");
	fixture_hear(fixture, PROTO_COMMIT);
	assert_int_equal(fixture->begin.base, 1);
	assert_int_equal(fixture->fds, MANY - 1024);
	assert_null(strstr(fixture->heard, "detached"));
	/* Not in effect before both are. */
	assert_int_equal(fixture_status(fixture).applied_generation, 0);
	fixture_reply(fixture, 0, "");
	assert_int_equal(fixture_status(fixture).applied_generation,
			 model_generation(fixture->model));
	fixture_expect_silence(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
		TEST(goes_on_with_the_committed_generation),
		TEST(says_everything_to_another_generation),
		TEST(says_everything_after_a_lost_answer),
		TEST(says_everything_to_a_new_datapath),
		TEST(asks_again_after_half_a_handback),
		TEST(speaks_to_no_other_version),
		TEST(takes_back_what_it_lent),
		TEST(keeps_what_comes_twice),
		TEST(removes_what_no_port_wants),
		TEST(refuses_what_it_did_not_lend),
		TEST(refuses_a_record_with_too_many),
		TEST(lets_a_namespace_die),
		TEST(sends_many_descriptors),
	};

	return fixture_isolate() ? cmocka_run_group_tests(tests, NULL, NULL) : FIXTURE_SKIPPED;
}
