/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports of DPDK's devices: the file that says what the datapath is to open, what it reports, and
 * when it is told to start again. The test plays the datapath.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/reconcile_fixture.h"

#define BASE                                                                                       \
	"host send 0 receive 0\ntenant 0.1 send 1000\n"                                            \
	"segment 0.2 of 0.1 vni 0 mtu 1400\n"
#define ANNOUNCED "memory 1\nmemory 2\nhold\n"

static int set_up(void **state)
{
	struct fixture *fixture;

	fixture_set_up(state);
	fixture = *state;
	fixture->flags = PROTO_HELLO_DPDK | PROTO_HELLO_RESTARTS;
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 1000);
	fixture_segment(fixture, "acme", "web", 0, NULL);
	fixture_commit(fixture);
	return 0;
}

static void put_port(struct fixture *fixture, const char *name, const char *device)
{
	struct model_port values;

	fixture_begin(fixture);
	values = *fixture_interface(fixture, "acme", name, "web", MODEL_PORT_DPDK);
	values.ifname[0] = '\0';
	snprintf(values.device, sizeof(values.device), "%s", device);
	assert_int_equal(model_port_put(fixture->model, &values, NULL, NULL), 0);
	fixture_commit(fixture);
}

static void delete_port(struct fixture *fixture, const char *name)
{
	fixture_begin(fixture);
	model_port_del(fixture->model, fixture_find_port(fixture, "acme", name));
	fixture_commit(fixture);
}

/* text NULL: there is no file. */
static void expect_file(const struct fixture *fixture, const char *text)
{
	char path[64], content[1024] = "";
	struct stat status;
	int fd;

	snprintf(path, sizeof(path), "%s/devices.new", fixture->dir);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s/devices", fixture->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true((fd < 0) == (text == NULL));
	if (fd < 0)
		return;
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_mode, S_IFREG | 0600);
	assert_true(read(fd, content, sizeof(content) - 1) >= 0);
	close(fd);
	assert_string_equal(content, text);
}

static void report(struct fixture *fixture, uint32_t index, uint32_t incarnation, int32_t error,
		   const char *text)
{
	struct proto_device device = {.port = {index, incarnation}, .error = error};

	memcpy(device.text, text, strlen(text));
	fixture_say(fixture, PROTO_DEVICE, &device, sizeof(device), -1);
}

/* A datapath that starts: greets, and then reports what the test says, up to the end of the
 * handback. */
static void come_again(struct fixture *fixture)
{
	fixture_vanish(fixture);
	fixture_drop_everything(fixture);
	fixture_expect_silence(fixture);
	fixture_listen(fixture);
	fixture->started++;
	fixture->committed = 0;
	fixture_greet(fixture);
}

static void hand_nothing_back(struct fixture *fixture)
{
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
}

static void expect_state(struct fixture *fixture, const char *name,
			 enum reconcile_port_state expected, const char *expected_reason)
{
	enum reconcile_port_state state;
	const char *reason;

	state = reconcile_port_state(fixture->reconcile, fixture_find_port(fixture, "acme", name),
				     &reason);
	assert_string_equal(reason, expected_reason);
	assert_int_equal(state, expected);
}

static void file_says_what_is_wanted(void **state)
{
	struct fixture *fixture = *state;

	put_port(fixture, "b", "net_ring0");
	put_port(fixture, "a", "0000:00:04.0,queues=2");
	fixture_vanish(fixture);
	fixture_start(fixture);
	expect_file(fixture, "1 4 0000:00:04.0,queues=2\n0 3 net_ring0\n");
	delete_port(fixture, "a");
	expect_file(fixture, "0 3 net_ring0\n");
	delete_port(fixture, "b");
	expect_file(fixture, NULL);
	put_port(fixture, "c", "net_null0");
	expect_file(fixture, "0 5 net_null0\n");
	/* As it was left when this daemon was away. */
	fixture_stop(fixture);
	expect_file(fixture, "0 5 net_null0\n");
	delete_port(fixture, "c");
	fixture_start(fixture);
	expect_file(fixture, NULL);
}

/* And what was reported of others, in words that no terminal shall see. */
static void devices_that_are_open_are_attached(void **state)
{
	struct fixture *fixture = *state;

	put_port(fixture, "nic", "0000:00:04.0");
	put_port(fixture, "bad", "net_tap0");
	fixture_start(fixture);
	fixture_greet(fixture);
	report(fixture, 0, 3, 0, "");
	report(fixture, 1, 4, ENODEV, "net_tap0 cannot be opened:\nno \x1b[1msuch");
	report(fixture, 2, 9, 0, ""); /* nobody's */
	hand_nothing_back(fixture);
	fixture_expect(fixture, ANNOUNCED "begin 1 on 0\n" BASE "dpdk port 0.3 fds 0 up\n"
					  "dpdk port 1.4 fds 0 up detached\n"
					  "member 0.3 in 0.2 vid 0\nmember 1.4 in 0.2 vid 0\n"
					  "commit\n");
	fixture_reply(fixture, 0, "");
	expect_state(fixture, "nic", RECONCILE_PORT_UP, "");
	expect_state(fixture, "bad", RECONCILE_PORT_WAITING,
		     "net_tap0 cannot be opened:?no ?[1msuch");
	assert_int_equal(fixture_status(fixture).waiting_ports, 1);
	/* To remove one is no reason to start anew. */
	delete_port(fixture, "nic");
	fixture_expect(fixture, "begin 2 on 1\nmember- 0.3 in 0.2 vid 0\nport- 0.3\ncommit\n");
	fixture_reply(fixture, 0, "");
	fixture_expect_silence(fixture);
}

static void new_devices_need_one_restart(void **state)
{
	struct fixture *fixture = *state;

	fixture_start(fixture);
	fixture_meet(fixture);
	put_port(fixture, "nic", "net_ring0");
	fixture_expect(fixture, "restart\nbegin 2 on 1\ndpdk port 0.3 fds 0 up detached\n"
				"member 0.3 in 0.2 vid 0\ncommit\n");
	expect_file(fixture, "0 3 net_ring0\n");
	expect_state(fixture, "nic", RECONCILE_PORT_WAITING,
		     "vswitch-datapath has to be restarted to open net_ring0");
	come_again(fixture);
	report(fixture, 0, 3, 0, "");
	hand_nothing_back(fixture);
	fixture_expect(fixture, ANNOUNCED "begin 3 on 0\n" BASE "dpdk port 0.3 fds 0 up\n"
					  "member 0.3 in 0.2 vid 0\ncommit\n");
	fixture_reply(fixture, 0, "");
	expect_state(fixture, "nic", RECONCILE_PORT_UP, "");
	/* A second one, which then is never reported: it is not asked for again. */
	put_port(fixture, "nic2", "net_ring1");
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "restart\n"));
	fixture_reply(fixture, 0, "");
	for (int i = 0; i < 3; i++) {
		fixture_forget(fixture);
		come_again(fixture);
		report(fixture, 0, 3, 0, "");
		hand_nothing_back(fixture);
		fixture_hear(fixture, PROTO_COMMIT);
		assert_null(strstr(fixture->heard, "restart\n"));
		fixture_reply(fixture, 0, "");
		fixture_expect_silence(fixture);
		expect_state(fixture, "nic", RECONCILE_PORT_UP, "");
		expect_state(fixture, "nic2", RECONCILE_PORT_WAITING,
			     "vswitch-datapath has to be restarted to open net_ring1");
	}
	/* Another change of ports is no reason, either. */
	delete_port(fixture, "nic");
	fixture_forget(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_null(strstr(fixture->heard, "restart\n"));
	fixture_reply(fixture, 0, "");
	put_port(fixture, "nic3", "net_ring2");
	fixture_forget(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "restart\n"));
}

static void failing_devices_make_no_loop(void **state)
{
	struct fixture *fixture = *state;

	put_port(fixture, "nic", "net_ring0");
	fixture_start(fixture);
	for (int i = 0; i < 3; i++) {
		if (i == 0)
			fixture_greet(fixture);
		else
			come_again(fixture);
		fixture_forget(fixture);
		report(fixture, 0, 3, EIO, "");
		hand_nothing_back(fixture);
		fixture_hear(fixture, PROTO_COMMIT);
		assert_null(strstr(fixture->heard, "restart\n"));
		fixture_reply(fixture, 0, "");
		fixture_expect_silence(fixture);
		expect_state(fixture, "nic", RECONCILE_PORT_WAITING, strerror(EIO));
	}
}

/* Nothing would start it again. */
static void nobody_is_ended_for_good(void **state)
{
	struct fixture *fixture = *state;
	char text[MODEL_TEXT_SIZE];

	fixture->flags = PROTO_HELLO_DPDK;
	put_port(fixture, "nic", "net_ring0");
	fixture_start(fixture);
	fixture_greet(fixture);
	hand_nothing_back(fixture);
	fixture_expect(fixture, ANNOUNCED "begin 1 on 0\n" BASE "dpdk port 0.3 fds 0 up detached\n"
					  "member 0.3 in 0.2 vid 0\ncommit\n");
	fixture_reply(fixture, 0, "");
	fixture_expect_silence(fixture);
	expect_state(fixture, "nic", RECONCILE_PORT_WAITING,
		     "vswitch-datapath has to be restarted to open net_ring0");
	assert_int_equal(reconcile_check_place(fixture->reconcile,
					       fixture_find_port(fixture, "acme", "nic"), true,
					       text),
			 -EAGAIN);
	/* With one that is started again, it is not known yet. */
	fixture->flags |= PROTO_HELLO_RESTARTS;
	come_again(fixture);
	hand_nothing_back(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_non_null(strstr(fixture->heard, "restart\n"));
	assert_int_equal(reconcile_check_place(fixture->reconcile,
					       fixture_find_port(fixture, "acme", "nic"), true,
					       text),
			 0);
}

static void waits_for_a_datapath_with_dpdk(void **state)
{
	struct fixture *fixture = *state;
	char text[MODEL_TEXT_SIZE];

	fixture->flags = PROTO_HELLO_RESTARTS;
	put_port(fixture, "nic", "net_ring0");
	fixture_start(fixture);
	fixture_greet(fixture);
	hand_nothing_back(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	assert_null(strstr(fixture->heard, "restart\n"));
	fixture_reply(fixture, 0, "");
	expect_state(fixture, "nic", RECONCILE_PORT_WAITING,
		     "the datapath was built without DPDK: install libdpdk-dev, and build it again "
		     "with -Ddpdk=enabled");
	assert_int_equal(reconcile_check_port(fixture->reconcile,
					      fixture_find_port(fixture, "acme", "nic"), text),
			 -EOPNOTSUPP);
}

/* What was reported holds as long as the datapath lives, whoever else comes and goes. */
static void reports_hold_for_their_datapath(void **state)
{
	struct fixture *fixture = *state;

	put_port(fixture, "nic", "net_ring0");
	fixture_start(fixture);
	fixture_greet(fixture);
	report(fixture, 0, 3, 0, "");
	hand_nothing_back(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_reply(fixture, 0, "");
	channel_free(fixture->peer);
	fixture->peer = NULL;
	fixture_expect_silence(fixture);
	expect_state(fixture, "nic", RECONCILE_PORT_WAITING, "no datapath is running");
	fixture_forget(fixture);
	fixture_greet(fixture);
	fixture_expect_silence(fixture);
	report(fixture, 0, 3, 0, "");
	fixture_expect_silence(fixture);
	assert_string_equal(fixture->heard, "");
	expect_state(fixture, "nic", RECONCILE_PORT_UP, "");
	/* This daemon returns. */
	fixture_stop(fixture);
	channel_free(fixture->peer);
	fixture->peer = NULL;
	fixture_start(fixture);
	fixture_greet(fixture);
	report(fixture, 0, 3, 0, "");
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_hand_everything_back(fixture);
	fixture_expect(fixture, "begin 2 on 0\n" BASE "dpdk port 0.3 fds 0 up\n"
				"member 0.3 in 0.2 vid 0\ncommit\n");
	fixture_reply(fixture, 0, "");
	expect_state(fixture, "nic", RECONCILE_PORT_UP, "");
}

static void lost_devices_wait(void **state)
{
	const struct proto_port_lost lost = {.port = {0, 3}, .error = ENODEV};
	struct fixture *fixture = *state;

	put_port(fixture, "nic", "net_ring0");
	fixture_start(fixture);
	fixture_greet(fixture);
	report(fixture, 0, 3, 0, "");
	hand_nothing_back(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_reply(fixture, 0, "");
	fixture_forget(fixture);
	fixture_say(fixture, PROTO_PORT_LOST, &lost, sizeof(lost), -1);
	fixture_expect(fixture, "begin 2 on 1\ndpdk port 0.3 fds 0 up detached\ncommit\n");
	fixture_reply(fixture, 0, "");
	expect_state(fixture, "nic", RECONCILE_PORT_WAITING,
		     "its device is gone: restart vswitch-datapath when it is back");
	fixture_expect_silence(fixture);
}

/* A port of another kind takes the index: what was reported was not for it. */
static void indexes_change_hands(void **state)
{
	struct fixture *fixture = *state;

	put_port(fixture, "nic", "net_ring0");
	fixture_start(fixture);
	fixture_greet(fixture);
	report(fixture, 0, 3, 0, "");
	hand_nothing_back(fixture);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_reply(fixture, 0, "");
	delete_port(fixture, "nic");
	put_port(fixture, "nic2", "net_ring0");
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_reply(fixture, 0, "");
	if (strstr(fixture->heard, "port 0.4") == NULL) {
		fixture_hear(fixture, PROTO_COMMIT);
		fixture_reply(fixture, 0, "");
	}
	assert_non_null(strstr(fixture->heard, "restart\n"));
	assert_non_null(strstr(fixture->heard, "dpdk port 0.4 fds 0 up detached\n"));
	expect_state(fixture, "nic2", RECONCILE_PORT_WAITING,
		     "vswitch-datapath has to be restarted to open net_ring0");
}

static void what_cannot_be_written_is_told(void **state)
{
	struct fixture *fixture = *state;
	char path[64];

	snprintf(path, sizeof(path), "%s/devices.new", fixture->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	put_port(fixture, "nic", "net_ring0");
	fixture_start(fixture);
	fixture_meet(fixture);
	assert_non_null(strstr(fixture_status(fixture).problem, "the file of devices in "));
	/* A datapath is not told to read what is not there. */
	fixture_expect_silence(fixture);
	assert_int_equal(rmdir(path), 0);
	fixture_hear(fixture, PROTO_RESTART);
	expect_file(fixture, "0 3 net_ring0\n");
	assert_string_equal(fixture_status(fixture).problem, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)
		TEST(file_says_what_is_wanted),
		TEST(devices_that_are_open_are_attached),
		TEST(new_devices_need_one_restart),
		TEST(failing_devices_make_no_loop),
		TEST(nobody_is_ended_for_good),
		TEST(waits_for_a_datapath_with_dpdk),
		TEST(reports_hold_for_their_datapath),
		TEST(lost_devices_wait),
		TEST(indexes_change_hands),
		TEST(what_cannot_be_written_is_told),
	};

	return fixture_isolate() ? cmocka_run_group_tests(tests, NULL, NULL) : FIXTURE_SKIPPED;
}
