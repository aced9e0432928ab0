/* SPDX-License-Identifier: Apache-2.0 */
/* A channel whose peer is hostile, dies, or runs in another process or thread; and too few
 * descriptors. */

#include <pthread.h>
#include <sys/wait.h>

#include "channel_fixture.h"

/* Sends octets and descriptors to channel b as no channel would. */
static void send_raw(struct fixture *fixture, const void *bytes, size_t size, uint32_t fd_count)
{
	struct iovec vector = {.iov_base = (void *)bytes, .iov_len = size};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(PROTO_FDS_MAX * sizeof(int))];
	} control;

	memset(&control, 0, sizeof(control)); /* every descriptor is 0 */
	if (fd_count > 0) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	assert_int_equal(sendmsg(channel_fd(fixture->a), &header, MSG_NOSIGNAL), (ssize_t)size);
}

/* Expects the error, nothing written to the message, the channel broken, and nothing left open. */
static void assert_refused(struct fixture *fixture, int error)
{
	struct channel_message before;

	memset(&fixture->message, 0xa5, sizeof(fixture->message));
	before = fixture->message;
	assert_int_equal(channel_receive(fixture->b, &fixture->message), error);
	assert_memory_equal(&fixture->message, &before, sizeof(before));
	assert_int_equal(count_open(), fixture->open_before + 2);
	assert_int_equal(channel_receive(fixture->b, &fixture->message), error);
	assert_int_equal(channel_append_empty(fixture->b, PROTO_COMMIT), error);
	assert_int_equal(channel_flush(fixture->b), error);
}

static void what_is_no_message_is_refused(void **state)
{
	static const struct {
		const char *what;
		struct proto_header header;
		size_t size; /* octets sent, the header's or a part of it first */
		uint32_t fd_count;
	} bad[] = {
		{"nothing", {0}, 0, 0},
		{"nothing, with a descriptor", {0}, 0, 1},
		{"one octet", {PROTO_COMMIT, 0, 0}, 1, 0},
		{"a header cut off", {PROTO_COMMIT, 0, 0}, 7, 5},
		{"octets behind no records", {PROTO_COMMIT, 0, 0}, 9, 0},
		{"a descriptor without a record", {PROTO_COMMIT, 0, 0}, 8, 1},
		{"a size without records", {PROTO_COMMIT, 8, 0}, 8, 0},
		{"a size without records, and octets", {PROTO_COMMIT, 8, 0}, 16, 0},
		{"records of no size", {PROTO_COMMIT, 0, 1}, 8, 0},
		{"4,294,967,295 records of no size", {PROTO_COMMIT, 0, UINT32_MAX}, 8, 0},
		{"a record that is missing", {PROTO_COMMIT, 8, 1}, 8, 0},
		{"a record cut off", {PROTO_COMMIT, 8, 2}, 23, 253},
		{"an octet too many", {PROTO_COMMIT, 8, 2}, 25, 253},
		{"sizes that wrap to 0", {PROTO_COMMIT, 2, 0x80000000u}, 8, 0},
		{"sizes that wrap to 8", {PROTO_COMMIT, 8, 0x20000001u}, 16, 0},
		{"sizes beyond everything", {PROTO_COMMIT, UINT16_MAX, UINT32_MAX}, 8, 0},
		{"an octet more than the limit, which the header hides",
		 {PROTO_COMMIT, 1, PROTO_MESSAGE_SIZE_MAX - 8},
		 PROTO_MESSAGE_SIZE_MAX + 1,
		 3},
		{"an octet more than the limit",
		 {PROTO_COMMIT, 1, PROTO_MESSAGE_SIZE_MAX - 7},
		 PROTO_MESSAGE_SIZE_MAX + 1,
		 3},
	};
	uint8_t *bytes = calloc(1, PROTO_MESSAGE_SIZE_MAX + 1);
	void *fixture;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		print_message("%s\n", bad[i].what);
		fixture_setup(&fixture);
		memcpy(bytes, &bad[i].header, sizeof(bad[i].header));
		send_raw(fixture, bytes, bad[i].size, bad[i].fd_count);
		assert_refused(fixture, -EPROTO);
		assert_int_equal(fixture_teardown(&fixture), 0);
	}
	free(bytes);
}

static void the_largest_message_is_taken(void **state)
{
	static const struct proto_header header = {PROTO_COMMIT, 1, PROTO_MESSAGE_SIZE_MAX - 8};
	uint8_t *bytes = calloc(1, PROTO_MESSAGE_SIZE_MAX), last;
	struct fixture *fixture = *state;

	memcpy(bytes, &header, sizeof(header));
	bytes[PROTO_MESSAGE_SIZE_MAX - 1] = 0x77;
	send_raw(fixture, bytes, PROTO_MESSAGE_SIZE_MAX, PROTO_FDS_MAX);
	free(bytes);
	assert_receives(fixture, PROTO_COMMIT, header.count, PROTO_FDS_MAX);
	channel_record(&fixture->message, header.count - 1, &last, 1);
	assert_int_equal(last, 0x77);
	channel_message_close(&fixture->message);
}

static void descriptors_cut_off_by_other_control_data(void **state)
{
	static const struct {
		struct proto_header header;
		uint64_t record;
	} good = {{PROTO_HOLD, 8, 1}, 0};
	struct fixture *fixture = *state;
	int on = 1;

	/* The kernel puts credentials before descriptors, which are ignored ... */
	assert_int_equal(
		setsockopt(channel_fd(fixture->b), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	send_raw(fixture, &good, sizeof(good), 200);
	assert_receives(fixture, PROTO_HOLD, 1, 200);
	channel_message_close(&fixture->message);
	/* ... unless there is no room for both. */
	send_raw(fixture, &good, sizeof(good), PROTO_FDS_MAX);
	assert_refused(fixture, -EPROTO);
}

/* Leaves room for so many more descriptors. */
static struct rlimit limit_descriptors(rlim_t room)
{
	struct rlimit before, limit;
	int next = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

	assert_true(next >= 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)next + room;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return before;
}

static void receiver_runs_out_of_descriptors(void **state)
{
	struct fixture *fixture = *state;
	struct record record = record_of(0, 10);
	int fds[10] = {0}, error;
	struct rlimit before;

	assert_int_equal(channel_append(fixture->a, PROTO_HOLD, &record, sizeof(record), fds, 10),
			 0);
	assert_int_equal(channel_flush(fixture->a), 0);
	before = limit_descriptors(4);
	error = channel_receive(fixture->b, &fixture->message);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(error, -EMFILE);
	assert_refused(fixture, -EMFILE);
}

static void sender_runs_out_of_descriptors(void **state)
{
	struct fixture *fixture = *state;
	struct record record = record_of(0, 10);
	int fds[10] = {0}, error;
	struct rlimit before;

	assert_int_equal(channel_append(fixture->a, PROTO_HOLD, &record, sizeof(record), fds, 10),
			 0);
	before = limit_descriptors(4);
	error = channel_append(fixture->a, PROTO_HOLD, &record, sizeof(record), fds, 10);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(error, -EMFILE);
	assert_int_equal(channel_flush(fixture->a), -EMFILE);
	/* A record without all of its descriptors never leaves. */
	assert_int_equal(channel_receive(fixture->b, &fixture->message), 0);
}

static void end_without_a_message(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(channel_receive(fixture->b, &fixture->message), 0);
	channel_free(fixture->a);
	fixture->a = NULL;
	assert_int_equal(channel_receive(fixture->b, &fixture->message), -EPIPE);
	assert_int_equal(channel_append_empty(fixture->b, PROTO_COMMIT), -EPIPE);
}

/* The peer sent two messages and died, having read nothing of ours: Linux says ECONNRESET first. */
static void what_a_dead_peer_sent_is_received(void **state)
{
	struct fixture *fixture = *state;
	struct record record = record_of(1, 1);

	assert_int_equal(channel_append_empty(fixture->b, PROTO_HANDBACK_REQUEST), 0);
	assert_int_equal(channel_append(fixture->a, PROTO_HANDBACK, &record, sizeof(record),
					(int[]){STDIN_FILENO}, 1),
			 0);
	assert_int_equal(channel_append_empty(fixture->a, PROTO_HANDBACK_END), 0);
	channel_free(fixture->a);
	fixture->a = NULL;

	assert_receives(fixture, PROTO_HANDBACK, 1, 1);
	assert_record(&fixture->message, 0, 1);
	channel_message_close(&fixture->message);
	assert_receives(fixture, PROTO_HANDBACK_END, 0, 0);
	assert_int_equal(channel_receive(fixture->b, &fixture->message), -EPIPE);
}

static void peer_dies_with_messages_queued(void **state)
{
	struct fixture *fixture = *state;
	struct record record = record_of(0, 20);
	int fds[20] = {0};

	fill_socket(fixture);
	for (int i = 0; i < 100; i++)
		assert_int_equal(
			channel_append(fixture->a, PROTO_HOLD, &record, sizeof(record), fds, 20),
			0);
	assert_int_equal(channel_flush(fixture->a), 0);
	assert_int_equal(count_open(), fixture->open_before + 2 + 2000);
	channel_free(fixture->b);
	fixture->b = NULL;
	assert_int_equal(channel_flush(fixture->a), -EPIPE);
	assert_int_equal(channel_flush(fixture->a), -EPIPE);
	assert_false(channel_wants_write(fixture->a));
}

/* Sends records with one descriptor in ten, flushing as the socket takes them. Runs in a child. */
static int send_records(struct channel *channel, uint64_t count)
{
	int error = 0;

	for (uint64_t i = 0; i < count && error == 0; i++) {
		struct record record = record_of(i, i % 10 == 0);

		error = channel_append(channel, PROTO_FDB_SET, &record, sizeof(record),
				       (int[]){STDIN_FILENO}, record.fd_count);
		while (error == 0 && (i % 1000 == 999 || i + 1 == count) &&
		       channel_wants_write(channel)) {
			struct pollfd poller = {.fd = channel_fd(channel), .events = POLLOUT};

			error = channel_flush(channel);
			if (error == 0 && channel_wants_write(channel) &&
			    poll(&poller, 1, DEADLINE_MS) != 1)
				error = -ETIMEDOUT;
		}
	}
	return error;
}

static pid_t fork_sender(struct fixture *fixture, uint64_t count)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		close(channel_fd(fixture->b));
		_exit(send_records(fixture->a, count) != 0);
	}
	channel_free(fixture->a);
	fixture->a = NULL;
	return pid;
}

/* Receives until the end, or until `enough` records came, checking every one. Returns how many
 * came. */
static uint64_t receive_records(struct fixture *fixture, uint64_t enough)
{
	uint64_t next = 0, fds = 0;
	int result;

	do {
		wait_for(fixture->b, POLLIN);
		while ((result = channel_receive(fixture->b, &fixture->message)) == 1) {
			for (uint32_t i = 0; i < fixture->message.count; i++, next++)
				assert_record(&fixture->message, i, next);
			fds += fixture->message.fd_count;
			channel_message_close(&fixture->message);
			/* Whole messages only: descriptors came with their records. */
			assert_int_equal(fds, (next + 9) / 10);
			if (next >= enough)
				return next;
		}
	} while (result == 0);
	assert_int_equal(result, -EPIPE);
	return next;
}

static void another_process_sends_100000_records(void **state)
{
	struct fixture *fixture = *state;
	pid_t pid = fork_sender(fixture, 100000);
	int status;

	assert_int_equal(receive_records(fixture, UINT64_MAX), 100000);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void another_process_is_killed_in_the_middle(void **state)
{
	struct fixture *fixture = *state;
	pid_t pid = fork_sender(fixture, UINT64_MAX);
	int status;

	assert_true(receive_records(fixture, 5000) >= 5000);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	/* What is left are whole messages, then comes the end. */
	for (;;) {
		int result = channel_receive(fixture->b, &fixture->message);

		if (result != 1) {
			assert_int_equal(result, -EPIPE);
			break;
		}
		assert_int_equal(fixture->message.type, PROTO_FDB_SET);
		channel_message_close(&fixture->message);
	}
}

static void *run_sender(void *channel)
{
	return (void *)(intptr_t)send_records(channel, 100000);
}

static void another_thread_sends_100000_records(void **state)
{
	struct fixture *fixture = *state;
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, run_sender, fixture->a), 0);
	assert_int_equal(receive_records(fixture, 100000), 100000);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_message_is_refused),
		fixture_test(the_largest_message_is_taken),
		fixture_test(descriptors_cut_off_by_other_control_data),
		fixture_test(receiver_runs_out_of_descriptors),
		fixture_test(sender_runs_out_of_descriptors),
		fixture_test(end_without_a_message),
		fixture_test(what_a_dead_peer_sent_is_received),
		fixture_test(peer_dies_with_messages_queued),
		fixture_test(another_process_sends_100000_records),
		fixture_test(another_process_is_killed_in_the_middle),
		fixture_test(another_thread_sends_100000_records),
	};

	raise_descriptor_limit();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
