/* SPDX-License-Identifier: Apache-2.0 */

/* The control daemon's end of the connection, against a datapath that this test plays. */

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/channel.h"
#include "control/datapath_link.h"

#define DEADLINE 10 /* seconds until a thing that must come has not come */

struct fixture {
	char run_dir[32];
	char path[64];
	struct event_base *base;
	struct datapath_link *link;
	int listener;
	struct channel *peer; /* the datapath's end */
	int connected, disconnected, handbacks, handback_ends, replied, lost, held;
	struct proto_hello hello;
	struct proto_reply reply;
	struct proto_handback handback;
	struct proto_port_lost last_lost;
	struct proto_mac_held last_held;
	int taken; /* a descriptor that came back */
	bool take;
};

static void on_connected(void *context, const struct proto_hello *hello)
{
	struct fixture *fixture = context;

	fixture->connected++;
	fixture->hello = *hello;
}

static void on_handback(void *context, const struct proto_handback *record, int *fds)
{
	struct fixture *fixture = context;

	fixture->handbacks++;
	fixture->handback = *record;
	if (fixture->take && record->fd_count > 0) {
		fixture->taken = fds[record->fd_count - 1];
		fds[record->fd_count - 1] = -1;
	}
}

static void on_handback_end(void *context)
{
	((struct fixture *)context)->handback_ends++;
}

static void on_replied(void *context, const struct proto_reply *reply)
{
	struct fixture *fixture = context;

	fixture->replied++;
	fixture->reply = *reply;
}

static void on_port_lost(void *context, const struct proto_port_lost *lost)
{
	struct fixture *fixture = context;

	fixture->lost++;
	fixture->last_lost = *lost;
}

static void on_mac_held(void *context, const struct proto_mac_held *held)
{
	struct fixture *fixture = context;

	fixture->held++;
	fixture->last_held = *held;
}

static void on_disconnected(void *context)
{
	((struct fixture *)context)->disconnected++;
}

static const struct datapath_link_events events = {
	.connected = on_connected,
	.handback = on_handback,
	.handback_end = on_handback_end,
	.replied = on_replied,
	.port_lost = on_port_lost,
	.mac_held = on_mac_held,
	.disconnected = on_disconnected,
};

static int64_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Turns the loop until *counter is at least `value`. */
static void await(struct fixture *fixture, const int *counter, int value)
{
	int64_t end = seconds() + DEADLINE;

	while (*counter < value) {
		const struct timeval step = {0, 20000};

		assert_true(seconds() < end);
		event_base_loopexit(fixture->base, &step);
		event_base_dispatch(fixture->base);
	}
}

static void start_listening(struct fixture *fixture)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture->path);
	fixture->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fixture->listener >= 0);
	assert_int_equal(bind(fixture->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fixture->listener, 4), 0);
}

static void stop_listening(struct fixture *fixture)
{
	channel_free(fixture->peer);
	fixture->peer = NULL;
	if (fixture->listener >= 0)
		close(fixture->listener);
	fixture->listener = -1;
	unlink(fixture->path);
}

static void accept_link(struct fixture *fixture)
{
	int64_t end = seconds() + DEADLINE;
	int fd = -1;

	channel_free(fixture->peer);
	fixture->peer = NULL;
	while (fd < 0) {
		const struct timeval step = {0, 20000};

		assert_true(seconds() < end);
		event_base_loopexit(fixture->base, &step);
		event_base_dispatch(fixture->base);
		fd = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	}
	fixture->peer = channel_new(fd);
	assert_non_null(fixture->peer);
}

static void say(struct fixture *fixture, enum proto_type type, const void *record, uint16_t size)
{
	assert_int_equal(channel_append(fixture->peer, (uint16_t)type, record, size, NULL, 0), 0);
	assert_int_equal(channel_flush(fixture->peer), 0);
}

static void say_nothing(struct fixture *fixture, enum proto_type type)
{
	assert_int_equal(channel_append_empty(fixture->peer, (uint16_t)type), 0);
	assert_int_equal(channel_flush(fixture->peer), 0);
}

static void greet(struct fixture *fixture)
{
	const struct proto_hello hello = {.version = PROTO_VERSION,
					  .pid = 42,
					  .generation = 7,
					  .started = 123456789,
					  .workers = 3,
					  .build = "test"};
	int before = fixture->connected;

	say(fixture, PROTO_HELLO, &hello, sizeof(hello));
	await(fixture, &fixture->connected, before + 1);
	assert_int_equal(datapath_link_state(fixture->link), DATAPATH_LINK_READY);
}

/* What the link sent next; blocks for at most the deadline. */
static void hear(struct fixture *fixture, struct channel_message *message)
{
	int64_t end = seconds() + DEADLINE;
	int result;

	while ((result = channel_receive(fixture->peer, message)) == 0) {
		assert_true(seconds() < end);
		event_base_loop(fixture->base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(result, 1);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	snprintf(fixture->run_dir, sizeof(fixture->run_dir), "/tmp/vswitch-link.XXXXXX");
	assert_non_null(mkdtemp(fixture->run_dir));
	snprintf(fixture->path, sizeof(fixture->path), "%s/datapath.sock", fixture->run_dir);
	fixture->listener = -1;
	fixture->taken = -1;
	fixture->base = event_base_new();
	assert_non_null(fixture->base);
	*state = fixture;
	return 0;
}

static int set_up_listening(void **state)
{
	struct fixture *fixture;

	set_up(state);
	fixture = *state;
	start_listening(fixture);
	assert_int_equal(datapath_link_new(&fixture->link, fixture->base, fixture->run_dir, &events,
					   fixture),
			 0);
	assert_int_equal(datapath_link_state(fixture->link), DATAPATH_LINK_GREETING);
	accept_link(fixture);
	return 0;
}

static int set_up_ready(void **state)
{
	set_up_listening(state);
	greet(*state);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	datapath_link_free(fixture->link);
	stop_listening(fixture);
	if (fixture->taken >= 0)
		close(fixture->taken);
	event_base_free(fixture->base);
	rmdir(fixture->run_dir);
	free(fixture);
	return 0;
}

static void expect_end(struct fixture *fixture)
{
	await(fixture, &fixture->disconnected, 1);
	assert_int_equal(datapath_link_state(fixture->link), DATAPATH_LINK_ABSENT);
	/* It comes again by itself, and starts from the greeting. */
	accept_link(fixture);
	assert_int_equal(datapath_link_state(fixture->link), DATAPATH_LINK_GREETING);
	greet(fixture);
}

static void test_connects_when_the_datapath_comes(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(datapath_link_new(&fixture->link, fixture->base, fixture->run_dir, &events,
					   fixture),
			 0);
	assert_int_equal(datapath_link_state(fixture->link), DATAPATH_LINK_ABSENT);
	start_listening(fixture);
	accept_link(fixture);
	greet(fixture);
	assert_int_equal(fixture->connected, 1);
	assert_int_equal(fixture->disconnected, 0);
	assert_int_equal(fixture->hello.pid, 42);
	assert_int_equal(fixture->hello.generation, 7);
	assert_int_equal(fixture->hello.workers, 3);
	assert_string_equal(fixture->hello.build, "test");
}

static void test_comes_again_after_the_datapath_died(void **state)
{
	struct fixture *fixture = *state;

	stop_listening(fixture);
	await(fixture, &fixture->disconnected, 1);
	assert_int_equal(datapath_link_state(fixture->link), DATAPATH_LINK_ABSENT);
	start_listening(fixture);
	accept_link(fixture);
	greet(fixture);
	assert_int_equal(fixture->connected, 2);
}

static void test_unterminated_build_is_cut(void **state)
{
	struct fixture *fixture = *state;
	struct proto_hello hello = {.version = PROTO_VERSION};

	memset(hello.build, 'x', sizeof(hello.build));
	say(fixture, PROTO_HELLO, &hello, sizeof(hello));
	await(fixture, &fixture->connected, 1);
	assert_int_equal(strlen(fixture->hello.build), sizeof(hello.build) - 1);
}

static void test_other_version_is_refused(void **state)
{
	struct fixture *fixture = *state;
	const struct proto_hello hello = {.version = PROTO_VERSION + 1};

	say(fixture, PROTO_HELLO, &hello, sizeof(hello));
	expect_end(fixture);
	assert_int_equal(fixture->connected, 1); /* by expect_end's own greeting */
}

static void test_first_message_must_be_hello(void **state)
{
	struct fixture *fixture = *state;

	say_nothing(fixture, PROTO_HANDBACK_END);
	expect_end(fixture);
	assert_int_equal(fixture->handback_ends, 0);
}

static void test_second_hello_breaks_the_order(void **state)
{
	struct fixture *fixture = *state;
	const struct proto_hello hello = {.version = PROTO_VERSION};

	say(fixture, PROTO_HELLO, &hello, sizeof(hello));
	expect_end(fixture);
	assert_int_equal(fixture->connected, 2);
}

static void test_reply_without_commit_breaks_the_order(void **state)
{
	struct fixture *fixture = *state;
	const struct proto_reply reply = {.generation = 1};

	say(fixture, PROTO_REPLY, &reply, sizeof(reply));
	expect_end(fixture);
	assert_int_equal(fixture->replied, 0);
}

static void test_handback_unasked_breaks_the_order(void **state)
{
	struct fixture *fixture = *state;
	const struct proto_handback record = {.kind = PROTO_HANDBACK_PORT};

	say(fixture, PROTO_HANDBACK, &record, sizeof(record));
	expect_end(fixture);
	assert_int_equal(fixture->handbacks, 0);
}

static void test_unknown_message_is_ignored(void **state)
{
	struct fixture *fixture = *state;
	const struct proto_port_lost lost = {.port = {3, 9}, .error = ENETDOWN};
	const struct proto_mac_held held = {
		.segment = {5, 6}, .mac = {2, 0, 0, 0, 0, 1}, .moves = 7};

	say(fixture, (enum proto_type)31, &lost, sizeof(lost));
	say(fixture, PROTO_PORT_LOST, &lost, sizeof(lost));
	say(fixture, PROTO_MAC_HELD, &held, sizeof(held));
	await(fixture, &fixture->held, 1);
	assert_int_equal(fixture->lost, 1);
	assert_int_equal(fixture->last_lost.port.index, 3);
	assert_int_equal(fixture->last_lost.port.incarnation, 9);
	assert_int_equal(fixture->last_held.moves, 7);
	assert_int_equal(fixture->disconnected, 0);
}

static void test_transaction_arrives_in_order(void **state)
{
	struct fixture *fixture = *state;
	const struct proto_begin begin = {.generation = 8, .base = 7};
	const struct proto_tenant tenant = {.ref = {1, 2}, .send_rate = 1000};
	const struct proto_reply reply = {.generation = 8, .error = ESTALE, .text = "no"};
	static const uint16_t order[] = {PROTO_BEGIN, PROTO_TENANT_SET, PROTO_COMMIT};
	struct channel_message message;
	struct proto_commit commit;
	size_t i;

	datapath_link_send(fixture->link, PROTO_BEGIN, &begin, sizeof(begin), NULL, 0);
	datapath_link_send(fixture->link, PROTO_TENANT_SET, &tenant, sizeof(tenant), NULL, 0);
	datapath_link_commit(fixture->link, 8);
	assert_int_equal(datapath_link_state(fixture->link), DATAPATH_LINK_COMMITTED);
	for (i = 0; i < 3; i++) {
		hear(fixture, &message);
		assert_int_equal(message.type, order[i]);
		assert_int_equal(message.count, 1);
	}
	channel_record(&message, 0, &commit, sizeof(commit));
	assert_int_equal(commit.generation, 8);
	say(fixture, PROTO_REPLY, &reply, sizeof(reply));
	await(fixture, &fixture->replied, 1);
	assert_int_equal(datapath_link_state(fixture->link), DATAPATH_LINK_READY);
	assert_int_equal(fixture->reply.error, ESTALE);
	assert_string_equal(fixture->reply.text, "no");
}

static void hand_back(struct fixture *fixture, const struct proto_handback *record, const int *fds,
		      uint32_t fd_count)
{
	assert_int_equal(channel_append(fixture->peer, PROTO_HANDBACK, record, sizeof(*record), fds,
					fd_count),
			 0);
	assert_int_equal(channel_flush(fixture->peer), 0);
}

static void request_handback(struct fixture *fixture)
{
	struct channel_message message;

	datapath_link_request_handback(fixture->link);
	assert_int_equal(datapath_link_state(fixture->link), DATAPATH_LINK_HANDBACK);
	hear(fixture, &message);
	assert_int_equal(message.type, PROTO_HANDBACK_REQUEST);
	assert_int_equal(message.count, 0);
}

static void test_descriptors_come_back(void **state)
{
	struct fixture *fixture = *state;
	struct proto_handback record = {.kind = PROTO_HANDBACK_PORT, .fd_count = 2, .ref = {4, 5}};
	int pipes[2];
	char byte = 0;

	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	fixture->take = true;
	request_handback(fixture);
	hand_back(fixture, &record, pipes, 2);
	close(pipes[0]);
	close(pipes[1]);
	say_nothing(fixture, PROTO_HANDBACK_END);
	await(fixture, &fixture->handback_ends, 1);
	assert_int_equal(datapath_link_state(fixture->link), DATAPATH_LINK_READY);
	assert_int_equal(fixture->handbacks, 1);
	assert_int_equal(fixture->handback.ref.index, 4);
	assert_int_equal(fixture->handback.ref.incarnation, 5);
	/* The writing end was taken; the reading end was not, so that nobody has it any more. */
	assert_true(fixture->taken >= 0);
	assert_int_equal(write(fixture->taken, &byte, 1), -1);
	assert_int_equal(errno, EPIPE);
}

static void test_handback_of_more_than_came_breaks_the_order(void **state)
{
	struct fixture *fixture = *state;
	struct proto_handback record = {.kind = PROTO_HANDBACK_PORT, .fd_count = 3, .ref = {4, 5}};
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	request_handback(fixture);
	hand_back(fixture, &record, pipes, 2);
	close(pipes[0]);
	close(pipes[1]);
	expect_end(fixture);
	assert_int_equal(fixture->handbacks, 0);
}

static void test_sending_after_the_end_is_harmless(void **state)
{
	struct fixture *fixture = *state;
	const struct proto_tenant tenant = {.ref = {1, 2}};
	int i;

	stop_listening(fixture);
	/* The link does not know yet; errors come to it from the loop. */
	for (i = 0; i < 3; i++)
		datapath_link_send(fixture->link, PROTO_TENANT_SET, &tenant, sizeof(tenant), NULL,
				   0);
	datapath_link_commit(fixture->link, 1);
	await(fixture, &fixture->disconnected, 1);
	assert_int_equal(fixture->disconnected, 1);
	assert_int_equal(datapath_link_state(fixture->link), DATAPATH_LINK_ABSENT);
}

static void test_long_run_dir_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char run_dir[200];

	memset(run_dir, 'd', sizeof(run_dir));
	run_dir[0] = '/';
	run_dir[sizeof(run_dir) - 1] = '\0';
	assert_int_equal(
		datapath_link_new(&fixture->link, fixture->base, run_dir, &events, fixture),
		-ENAMETOOLONG);
	assert_null(fixture->link);
}

#define LINK_TEST(test, from) cmocka_unit_test_setup_teardown(test, from, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINK_TEST(test_connects_when_the_datapath_comes, set_up),
		LINK_TEST(test_comes_again_after_the_datapath_died, set_up_ready),
		LINK_TEST(test_unterminated_build_is_cut, set_up_listening),
		LINK_TEST(test_other_version_is_refused, set_up_listening),
		LINK_TEST(test_first_message_must_be_hello, set_up_listening),
		LINK_TEST(test_second_hello_breaks_the_order, set_up_ready),
		LINK_TEST(test_reply_without_commit_breaks_the_order, set_up_ready),
		LINK_TEST(test_handback_unasked_breaks_the_order, set_up_ready),
		LINK_TEST(test_unknown_message_is_ignored, set_up_ready),
		LINK_TEST(test_transaction_arrives_in_order, set_up_ready),
		LINK_TEST(test_descriptors_come_back, set_up_ready),
		LINK_TEST(test_handback_of_more_than_came_breaks_the_order, set_up_ready),
		LINK_TEST(test_sending_after_the_end_is_harmless, set_up_ready),
		LINK_TEST(test_long_run_dir_is_refused, set_up),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
