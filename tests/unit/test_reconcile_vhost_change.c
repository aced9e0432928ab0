/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports of virtual machines: sockets of our own, and what changes, is asked for, or is not to be
 * had.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/vhost_fixture.h"

#define NO_DPDK                                                                                    \
	"the datapath was built without DPDK: install libdpdk-dev, and build it again with "       \
	"-Ddpdk=enabled"

static void accepts_one_at_a_time(void **state)
{
	struct fixture *fixture = *state;
	int first, second;

	/* Whoever comes before the datapath, waits. */
	vhost_put_port(fixture, "vm", vhost_path_a, true);
	fixture_vanish(fixture);
	fixture_start(fixture);
	fixture_expect_silence(fixture);
	first = vhost_connect(vhost_path_a);
	vhost_expect_waiting(fixture, "vm", "no datapath is running");
	fixture_listen(fixture);
	fixture_meet(fixture);
	vhost_expect_up(fixture, "vm");
	second = vhost_connect(vhost_path_a);
	fixture_expect_silence(fixture);
	vhost_expect_given_away(fixture, first, 0);
	close(first);
	vhost_say_lost(fixture, 0, 3);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_reply(fixture, 0, "");
	if (strstr(fixture->heard, "fds 1 up") == NULL) {
		fixture_hear(fixture, PROTO_COMMIT);
		assert_non_null(strstr(fixture->heard, "fds 1 up"));
		fixture_reply(fixture, 0, "");
	}
	vhost_expect_up(fixture, "vm");
	vhost_expect_given_away(fixture, second, 0);
	close(second);
}

static void accepts_at_once(void **state)
{
	struct fixture *fixture = *state;
	int frontend;

	vhost_put_port(fixture, "vm", vhost_path_a, true);
	fixture_start(fixture);
	fixture_meet(fixture);
	vhost_expect_waiting(fixture, "vm", "nobody has connected to %s", vhost_path_a);
	frontend = vhost_connect(vhost_path_a);
	fixture_expect(fixture, "begin 2 on 1\nvhost of 1 port 0.3 fds 1 up\ncommit\n");
	fixture_reply(fixture, 0, "");
	vhost_expect_up(fixture, "vm");
	vhost_expect_given_away(fixture, frontend, 0);
	close(frontend);
}

static void keeps_its_file_as_long_as_the_port(void **state)
{
	struct fixture *fixture = *state;
	struct stat before, after;

	vhost_put_port(fixture, "vm", vhost_path_a, true);
	fixture_start(fixture);
	fixture_meet(fixture);
	assert_int_equal(stat(vhost_path_a, &before), 0);
	fixture_stop(fixture);
	assert_int_equal(stat(vhost_path_a, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	fixture_start(fixture);
	fixture_meet(fixture);
	vhost_expect_waiting(fixture, "vm", "nobody has connected to %s", vhost_path_a);
	close(vhost_connect(vhost_path_a));
	/* What somebody else took away, is made again. */
	assert_int_equal(unlink(vhost_path_a), 0);
	for (int turn = 0; access(vhost_path_a, F_OK) < 0; turn++) {
		assert_true(turn < TURNS_MAX);
		fixture_turn(fixture);
	}
	vhost_put_port(fixture, "vm", vhost_path_b, true);
	assert_int_equal(access(vhost_path_a, F_OK), -1);
	assert_int_equal(access(vhost_path_b, F_OK), 0);
	vhost_put_port(fixture, "vm", vhost_path_b, false);
	assert_int_equal(access(vhost_path_b, F_OK), -1);
	vhost_put_port(fixture, "vm", vhost_path_a, true);
	vhost_delete_port(fixture, "vm");
	assert_int_equal(access(vhost_path_a, F_OK), -1);
}

static void leaves_what_others_have_there(void **state)
{
	struct fixture *fixture = *state;
	int fd = open(vhost_path_a, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct stat file;

	assert_true(fd >= 0);
	close(fd);
	fd = vhost_listen(vhost_path_b);
	vhost_put_port(fixture, "vm", vhost_path_a, true);
	vhost_put_port(fixture, "vm2", vhost_path_b, true);
	fixture_start(fixture);
	fixture_meet(fixture);
	vhost_expect_waiting(fixture, "vm", "%s is there, and not a socket that this switch made",
			     vhost_path_a);
	vhost_expect_waiting(fixture, "vm2", "another process listens on %s", vhost_path_b);
	vhost_delete_port(fixture, "vm");
	vhost_delete_port(fixture, "vm2");
	assert_int_equal(stat(vhost_path_a, &file), 0);
	assert_true(S_ISREG(file.st_mode));
	assert_int_equal(access(vhost_path_b, F_OK), 0);
	close(fd);
}

static void changes_its_socket(void **state)
{
	struct fixture *fixture = *state;
	int a = vhost_listen(vhost_path_a), b = vhost_listen(vhost_path_b), first, second;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_start(fixture);
	fixture_meet(fixture);
	first = vhost_accept(fixture, a);
	fixture_drop_everything(fixture);
	vhost_put_port(fixture, "vm", vhost_path_b, false);
	fixture_expect(fixture, "begin 2 on 1\nvhost of 1 port 0.3 fds 1 up\ncommit\n");
	second = vhost_accept(fixture, b);
	/* And again, before it is answered. */
	vhost_put_port(fixture, "vm", vhost_path_a, true);
	fixture_reply(fixture, 0, "");
	fixture_expect(fixture, "begin 3 on 2\nvhost of 1 port 0.3 fds 0 up detached\ncommit\n");
	fixture_reply(fixture, 0, "");
	vhost_expect_waiting(fixture, "vm", "another process listens on %s", vhost_path_a);
	fixture_drop_everything(fixture);
	vhost_expect_ended(fixture, first);
	vhost_expect_ended(fixture, second);
	close(a);
	vhost_expect_waiting(fixture, "vm", "nobody has connected to %s", vhost_path_a);
	close(b);
}

static void waits_for_a_datapath_with_dpdk(void **state)
{
	struct fixture *fixture = *state;
	char text[MODEL_TEXT_SIZE];
	struct model_port *port;
	int listener = vhost_listen(vhost_path_a), frontend;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	vhost_put_port(fixture, "vm2", vhost_path_b, true);
	fixture_start(fixture);
	port = fixture_find_port(fixture, "acme", "vm");
	/* As long as it is not known, nothing is refused. */
	assert_int_equal(reconcile_check_port(fixture->reconcile, port, text), 0);
	assert_int_equal(reconcile_check_place(fixture->reconcile, port, true, text), -EAGAIN);
	fixture->flags = 0;
	fixture_meet(fixture);
	vhost_expect_waiting(fixture, "vm", NO_DPDK);
	vhost_expect_waiting(fixture, "vm2", NO_DPDK);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	assert_int_equal(reconcile_check_port(fixture->reconcile, port, text), -EOPNOTSUPP);
	assert_string_equal(text, "port acme/vm: " NO_DPDK);
	assert_int_equal(reconcile_check_place(fixture->reconcile, port, true, text), -EAGAIN);
	fixture_vanish(fixture);
	fixture_expect_silence(fixture);
	fixture_listen(fixture);
	fixture->flags = PROTO_HELLO_DPDK;
	fixture->started++;
	fixture_meet(fixture);
	frontend = vhost_accept(fixture, listener);
	vhost_expect_up(fixture, "vm");
	vhost_expect_waiting(fixture, "vm2", "nobody has connected to %s", vhost_path_b);
	close(vhost_connect(vhost_path_b));
	close(frontend);
	close(listener);
}

static void requires_who_listens(void **state)
{
	struct fixture *fixture = *state;
	char text[MODEL_TEXT_SIZE];
	struct model_port port;
	int listener;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_start(fixture);
	fixture_meet(fixture);
	port = *fixture_find_port(fixture, "acme", "vm");
	assert_int_equal(reconcile_check_place(fixture->reconcile, &port, false, text), 0);
	assert_int_equal(reconcile_check_place(fixture->reconcile, &port, true, text), -EAGAIN);
	assert_non_null(strstr(text, "port acme/vm would wait: nobody listens on "));
	port.server = true;
	assert_int_equal(reconcile_check_place(fixture->reconcile, &port, true, text), 0);
	port.server = false;
	listener = vhost_listen(vhost_path_b);
	snprintf(port.socket, sizeof(port.socket), "%s", vhost_path_b);
	assert_int_equal(reconcile_check_place(fixture->reconcile, &port, true, text), 0);
	/* Nobody was disturbed. */
	assert_int_equal(accept(listener, NULL, NULL), -1);
	close(listener);
	/* What is connected stays so, whoever listens. */
	listener = vhost_listen(vhost_path_a);
	close(vhost_accept(fixture, listener));
	close(listener);
	assert_int_equal(reconcile_check_place(fixture->reconcile,
					       fixture_find_port(fixture, "acme", "vm"), true,
					       text),
			 0);
}

static void starts_anew_with_its_index(void **state)
{
	struct fixture *fixture = *state;
	int listener = vhost_listen(vhost_path_a), first, second;

	vhost_put_port(fixture, "vm", vhost_path_a, false);
	fixture_start(fixture);
	fixture_meet(fixture);
	first = vhost_accept(fixture, listener);
	fixture_drop_everything(fixture);
	vhost_delete_port(fixture, "vm");
	vhost_put_port(fixture, "vm2", vhost_path_a, false);
	second = vhost_accept(fixture, listener);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_reply(fixture, 0, "");
	if (strstr(fixture->heard, "fds 1") == NULL) {
		fixture_hear(fixture, PROTO_COMMIT);
		fixture_reply(fixture, 0, "");
	}
	assert_non_null(strstr(fixture->heard, "port- 0.3\n"));
	assert_non_null(strstr(fixture->heard, "vhost of 1 port 0.4 fds 1 up\n"));
	vhost_expect_up(fixture, "vm2");
	vhost_expect_given_away(fixture, second, 0);
	vhost_expect_ended(fixture, first);
	close(second);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vhost_set_up, vhost_tear_down)
		TEST(accepts_one_at_a_time),
		TEST(accepts_at_once),
		TEST(keeps_its_file_as_long_as_the_port),
		TEST(leaves_what_others_have_there),
		TEST(changes_its_socket),
		TEST(waits_for_a_datapath_with_dpdk),
		TEST(requires_who_listens),
		TEST(starts_anew_with_its_index),
	};

	return fixture_isolate() ? cmocka_run_group_tests(tests, NULL, NULL) : FIXTURE_SKIPPED;
}
