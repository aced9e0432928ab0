/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports of virtual machines: how connections are found, given away, lost and found again. The test
 * plays the datapath and the hypervisor.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/vhost_fixture.h"

#define HOST "host send 0 receive 0\n"
#define BASE                                                                                       \
	HOST "tenant 0.1 send 1000\n"                                                              \
	     "segment 0.2 of 0.1 vni 0 mtu 1400\n"
#define ANNOUNCED "memory 1\nmemory 2\nhold\n"

static int64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void gives_a_connection_away(void **state)
{
	struct fixture *fixture = *state;
	int listener = vhost_listen(vhost_path_a), frontend;

	fixture->workers = 3;
	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_expect_silence(fixture);
	/* Nobody is made to wait for an answer while there is nobody to give one. */
	assert_int_equal(accept(listener, NULL, NULL), -1);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_expect(fixture, ANNOUNCED "begin 1 on 0\n" BASE "vhost of 3 port 0.3 fds 1 up\n"
					  "member 0.3 in 0.2 vid 0\ncommit\n");
	frontend = vhost_accept(fixture, listener);
	fixture_reply(fixture, 0, "");
	vhost_expect_up(fixture, "vm");
	assert_int_equal(fixture_status(fixture).waiting_ports, 0);
	/* What changes about the port, leaves the connection. */
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 2000);
	fixture_commit(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_reply(fixture, 0, "");
	fixture_forget(fixture);
	vhost_put_port(fixture, "vm2", vhost_path_b, false);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_null(strstr(fixture->heard, "port 0.3"));
	vhost_expect_given_away(fixture, frontend, 0);
	close(frontend);
	close(listener);
}

static void connects_when_somebody_comes(void **state)
{
	struct fixture *fixture = *state;
	int listener, frontend;
	int64_t came;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_start(fixture);
	fixture_meet(fixture);
	vhost_expect_waiting(fixture, "vm", "nobody listens on %s", vhost_path_a);
	assert_int_equal(fixture_status(fixture).waiting_ports, 1);
	close(vhost_listen(vhost_path_a)); /* its file stays */
	vhost_expect_waiting(fixture, "vm", "nobody listens on %s", vhost_path_a);
	assert_int_equal(unlink(vhost_path_a), 0);
	vhost_age_directory();
	for (int turn = 0; turn < 200; turn++) /* two rounds at least */
		fixture_turn(fixture);
	fixture_expect_silence(fixture);
	came = milliseconds();
	listener = vhost_listen(vhost_path_a);
	fixture_expect(fixture, "begin 2 on 1\nvhost of 1 port 0.3 fds 1 up\ncommit\n");
	/* 250 ms, and as much for a machine that is busy with something else. */
	assert_true(milliseconds() - came < 500);
	frontend = vhost_accept(fixture, listener);
	fixture_reply(fixture, 0, "");
	vhost_expect_up(fixture, "vm");
	close(frontend);
	close(listener);
}

static void connects_anew_after_a_loss(void **state)
{
	struct fixture *fixture = *state;
	int listener = vhost_listen(vhost_path_a), first, second;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_start(fixture);
	fixture_meet(fixture);
	first = vhost_accept(fixture, listener);
	close(listener);
	unlink(vhost_path_a);
	fixture_drop_everything(fixture);
	vhost_say_lost(fixture, 0, 2); /* another port's */
	fixture_expect_silence(fixture);
	vhost_expect_up(fixture, "vm");
	vhost_say_lost(fixture, 0, 3);
	fixture_expect(fixture, "begin 2 on 1\nvhost of 1 port 0.3 fds 0 up detached\ncommit\n");
	fixture_reply(fixture, 0, "");
	vhost_expect_waiting(fixture, "vm", "nobody listens on %s", vhost_path_a);
	/* Once is enough. */
	vhost_say_lost(fixture, 0, 3);
	fixture_expect_silence(fixture);
	listener = vhost_listen(vhost_path_a);
	fixture_expect(fixture, "begin 3 on 2\nvhost of 1 port 0.3 fds 1 up\ncommit\n");
	second = vhost_accept(fixture, listener);
	/* This tells of the first: the second was not its yet. */
	vhost_say_lost(fixture, 0, 3);
	fixture_turn(fixture);
	fixture_reply(fixture, 0, "");
	fixture_expect_silence(fixture);
	vhost_expect_up(fixture, "vm");
	vhost_expect_given_away(fixture, second, 0);
	close(first);
	close(second);
	close(listener);
}

/* Hears transactions until one brings a connection. */
static void hear_connection(struct fixture *fixture)
{
	do {
		fixture_forget(fixture);
		fixture_hear(fixture, PROTO_COMMIT);
		fixture_reply(fixture, 0, "");
	} while (fixture->fds == 0);
}

/* What ends as soon as it began, over and over, is let rest; a change of the port ends that. */
static void rests_from_what_does_not_last(void **state)
{
	struct fixture *fixture = *state;
	int listener = vhost_listen(vhost_path_a);
	int64_t before;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_start(fixture);
	fixture_meet(fixture);
	for (int i = 0; i < 4; i++) {
		close(vhost_accept(fixture, listener));
		before = milliseconds();
		vhost_say_lost(fixture, 0, 3);
		if (i < 3)
			hear_connection(fixture);
	}
	hear_connection(fixture);
	assert_true(milliseconds() - before >= 1990);
	close(vhost_accept(fixture, listener));
	before = milliseconds();
	vhost_say_lost(fixture, 0, 3);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_reply(fixture, 0, "");
	vhost_put_port(fixture, "vm", vhost_path_b, false);
	vhost_put_port(fixture, "vm", vhost_path_a, false);
	hear_connection(fixture);
	assert_true(milliseconds() - before < 1990);
	close(listener);
}

static void sends_again_what_was_refused(void **state)
{
	struct fixture *fixture = *state;
	int listener = vhost_listen(vhost_path_a), kept, fresh;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_start(fixture);
	fixture_meet(fixture);
	kept = vhost_accept(fixture, listener);
	close(listener);
	listener = vhost_listen(vhost_path_b);
	vhost_put_port(fixture, "vm2", vhost_path_b, false);
	fixture_expect(fixture, "begin 2 on 1\nvhost of 1 port 1.4 fds 1 up\n"
				"member 1.4 in 0.2 vid 0\ncommit\n");
	fresh = vhost_accept(fixture, listener);
	fixture_reply(fixture, ESTALE, "");
	fixture_expect(fixture, "begin 3 on 0\n" BASE "vhost of 1 port 0.3 fds 0 up\n"
				"vhost of 1 port 1.4 fds 1 up\n"
				"member 0.3 in 0.2 vid 0\nmember 1.4 in 0.2 vid 0\ncommit\n");
	fixture_reply(fixture, 0, "");
	vhost_expect_up(fixture, "vm");
	vhost_expect_up(fixture, "vm2");
	fixture_expect_silence(fixture);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	vhost_expect_given_away(fixture, fresh, 1);
	close(kept);
	close(fresh);
	close(listener);
}

/* The hypervisor goes between the datapath's word that the port is lost and its reply. */
static void notices_what_ends_before_the_reply(void **state)
{
	struct fixture *fixture = *state;
	int listener = vhost_listen(vhost_path_a), frontend;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_hear(fixture, PROTO_COMMIT);
	close(vhost_accept(fixture, listener));
	vhost_say_lost(fixture, 0, 3);
	fixture_reply(fixture, 0, "");
	vhost_expect_waiting(fixture, "vm", "the connection over %s ended", vhost_path_a);
	/* And finds the next one. */
	fixture_hear(fixture, PROTO_COMMIT);
	frontend = vhost_accept(fixture, listener);
	fixture_reply(fixture, 0, "");
	vhost_expect_up(fixture, "vm");
	close(frontend);
	close(listener);
}

static void connects_anew_for_another_datapath(void **state)
{
	struct fixture *fixture = *state;
	int listener = vhost_listen(vhost_path_a), first, second;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_start(fixture);
	fixture_meet(fixture);
	first = vhost_accept(fixture, listener);
	fixture_vanish(fixture);
	fixture_drop_everything(fixture);
	vhost_expect_ended(fixture, first);
	vhost_expect_waiting(fixture, "vm", "no datapath is running");
	fixture_expect_silence(fixture);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	fixture_listen(fixture);
	fixture->started++;
	fixture->committed = 0;
	fixture->workers = 2;
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	/* In the first that it hears, and not a retry later. */
	fixture_expect(fixture, ANNOUNCED "begin 2 on 0\n" BASE "vhost of 2 port 0.3 fds 1 up\n"
					  "member 0.3 in 0.2 vid 0\ncommit\n");
	second = vhost_accept(fixture, listener);
	fixture_reply(fixture, 0, "");
	vhost_expect_up(fixture, "vm");
	vhost_expect_given_away(fixture, second, 0);
	close(second);
	close(listener);
}

static void takes_what_is_handed_back(void **state)
{
	struct fixture *fixture = *state;
	int listener = vhost_listen(vhost_path_a), client, server;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	vhost_put_port(fixture, "vm2", vhost_path_b, true);
	fixture_start(fixture);
	fixture_meet(fixture);
	client = vhost_accept(fixture, listener);
	server = vhost_connect(vhost_path_b);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_reply(fixture, 0, "");
	fixture_stop(fixture);
	channel_free(fixture->peer);
	fixture->peer = NULL;
	fixture_forget(fixture);
	assert_int_equal(access(vhost_path_b, F_OK), 0);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_hand_everything_back(fixture);
	fixture_expect(fixture, "begin 3 on 0\n" BASE "vhost of 1 port 0.3 fds 0 up\n"
				"vhost of 1 port 1.4 fds 0 up\n"
				"member 0.3 in 0.2 vid 0\nmember 1.4 in 0.2 vid 0\ncommit\n");
	fixture_reply(fixture, 0, "");
	vhost_expect_up(fixture, "vm");
	vhost_expect_up(fixture, "vm2");
	assert_int_equal(accept(listener, NULL, NULL), -1);
	vhost_expect_given_away(fixture, client, 0);
	vhost_expect_ended(fixture, server);
	/* It listens again, for the next. */
	close(vhost_connect(vhost_path_b));
	close(client);
	close(listener);
}

static void asks_the_same_datapath_who_is_there(void **state)
{
	struct fixture *fixture = *state;
	int a = vhost_listen(vhost_path_a), b = vhost_listen(vhost_path_b), first, lost, again;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	vhost_put_port(fixture, "vm2", vhost_path_b, false);
	fixture_start(fixture);
	fixture_meet(fixture);
	first = vhost_accept(fixture, a);
	lost = vhost_accept(fixture, b);
	channel_free(fixture->peer);
	fixture->peer = NULL;
	for (uint32_t i = 0; i < fixture->kept_count; i++)
		if (fixture->kept[i].record.kind == PROTO_HANDBACK_PORT &&
		    fixture->kept[i].record.ref.index == 1) {
			close(fixture->kept[i].fd);
			fixture->kept[i] = fixture->kept[--fixture->kept_count];
			break;
		}
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_hand_everything_back(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "vhost of 1 port 0.3 fds 0 up\n"));
	assert_non_null(strstr(fixture->heard, "vhost of 1 port 1.4 fds 1 up\n"));
	fixture_reply(fixture, 0, "");
	again = vhost_accept(fixture, b);
	vhost_expect_up(fixture, "vm");
	vhost_expect_up(fixture, "vm2");
	assert_int_equal(accept(a, NULL, NULL), -1);
	fixture_drop_everything(fixture);
	vhost_expect_ended(fixture, first);
	vhost_expect_ended(fixture, lost);
	vhost_expect_ended(fixture, again);
	close(a);
	close(b);
}

static void leaves_what_it_does_not_know(void **state)
{
	struct fixture *fixture = *state;
	int listener = vhost_listen(vhost_path_a), first;

	fixture_start(fixture);
	fixture_meet(fixture);
	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_hear(fixture, PROTO_COMMIT);
	first = vhost_accept(fixture, listener);
	fixture->committed = fixture->begin.generation;
	channel_free(fixture->peer);
	fixture->peer = NULL;
	fixture_forget(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_hand_everything_back(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "vhost of 1 port 0.3 fds 0 up\n"));
	fixture_reply(fixture, 0, "");
	vhost_expect_up(fixture, "vm");
	assert_int_equal(accept(listener, NULL, NULL), -1);
	vhost_expect_given_away(fixture, first, 0);
	close(first);
	close(listener);
}

static void refuses_what_is_not_its_connection(void **state)
{
	struct fixture *fixture = *state;
	const struct proto_handback record = {PROTO_HANDBACK_PORT, 1, {0, 3}};
	int a = vhost_listen(vhost_path_a), b = vhost_listen(vhost_path_b), pair[2], frontend;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_start(fixture);
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	fixture_say(fixture, PROTO_HANDBACK, &record, sizeof(record), pair[1]);
	fixture_say(fixture, PROTO_HANDBACK, &record, sizeof(record), a);
	frontend = vhost_connect(vhost_path_b);
	fixture_say(fixture, PROTO_HANDBACK, &record, sizeof(record), frontend);
	close(frontend);
	frontend = vhost_connect(vhost_path_a); /* of another port, as it says */
	fixture_say(fixture, PROTO_HANDBACK,
		    &(struct proto_handback){PROTO_HANDBACK_PORT, 1, {0, 2}}, sizeof(record),
		    frontend);
	close(frontend);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "vhost of 1 port 0.3 fds 1 up\n"));
	close(pair[1]);
	vhost_expect_ended(fixture, pair[0]);
	vhost_expect_ended(fixture, vhost_accept(fixture, b));
	close(a);
	close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vhost_set_up, vhost_tear_down)
		TEST(gives_a_connection_away),
		TEST(connects_when_somebody_comes),
		TEST(connects_anew_after_a_loss),
		TEST(rests_from_what_does_not_last),
		TEST(sends_again_what_was_refused),
		TEST(connects_anew_for_another_datapath),
		TEST(takes_what_is_handed_back),
		TEST(asks_the_same_datapath_who_is_there),
		TEST(leaves_what_it_does_not_know),
		TEST(refuses_what_is_not_its_connection),
		TEST(notices_what_ends_before_the_reply),
	};

	return fixture_isolate() ? cmocka_run_group_tests(tests, NULL, NULL) : FIXTURE_SKIPPED;
}
