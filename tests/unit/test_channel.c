/* SPDX-License-Identifier: Apache-2.0 */
/* One channel to another: batching, order, descriptors, a slow reader, bounds. */

#include "channel_fixture.h"

static void one_message_holds_many_records(void **state)
{
	struct fixture *fixture = *state;

	for (uint64_t i = 0; i < 1000; i++)
		append(fixture, PROTO_PORT_SET, i);
	assert_int_equal(channel_receive(fixture->b, &fixture->message), 0);
	assert_true(channel_wants_write(fixture->a));
	assert_int_equal(channel_flush(fixture->a), 0);
	assert_false(channel_wants_write(fixture->a));

	assert_receives(fixture, PROTO_PORT_SET, 1000, 0);
	for (uint32_t i = 0; i < 1000; i++)
		assert_record(&fixture->message, i, i);
	assert_int_equal(channel_receive(fixture->b, &fixture->message), 0);
}

static void another_type_or_size_begins_another_message(void **state)
{
	struct fixture *fixture = *state;
	uint64_t word = 7;

	append(fixture, PROTO_TENANT_SET, 1);
	append(fixture, PROTO_TENANT_SET, 2);
	append(fixture, PROTO_SEGMENT_SET, 3);
	assert_int_equal(channel_append(fixture->a, PROTO_SEGMENT_SET, &word, 8, NULL, 0), 0);
	append(fixture, PROTO_TENANT_SET, 4);
	assert_int_equal(channel_append_empty(fixture->a, PROTO_VTEP_DEL), 0);
	assert_int_equal(channel_append_empty(fixture->a, PROTO_VTEP_DEL), 0);
	append(fixture, PROTO_TENANT_SET, 5);
	assert_int_equal(channel_flush(fixture->a), 0);

	assert_receives(fixture, PROTO_TENANT_SET, 2, 0);
	assert_record(&fixture->message, 0, 1);
	assert_record(&fixture->message, 1, 2);
	assert_receives(fixture, PROTO_SEGMENT_SET, 1, 0);
	assert_record(&fixture->message, 0, 3);
	assert_receives(fixture, PROTO_SEGMENT_SET, 1, 0);
	word = 0;
	channel_record(&fixture->message, 0, &word, sizeof(word));
	assert_int_equal(word, 7);
	assert_receives(fixture, PROTO_TENANT_SET, 1, 0);
	assert_record(&fixture->message, 0, 4);
	assert_receives(fixture, PROTO_VTEP_DEL, 0, 0);
	assert_receives(fixture, PROTO_VTEP_DEL, 0, 0);
	assert_receives(fixture, PROTO_TENANT_SET, 1, 0);
	assert_record(&fixture->message, 0, 5);
	assert_int_equal(channel_receive(fixture->b, &fixture->message), 0);
}

static void flush_of_nothing_sends_nothing(void **state)
{
	struct fixture *fixture = *state;

	assert_false(channel_wants_write(fixture->a));
	assert_int_equal(channel_flush(fixture->a), 0);
	assert_int_equal(channel_receive(fixture->b, &fixture->message), 0);
}

static void messages_fill_up_to_the_limit(void **state)
{
	const uint32_t fit = (PROTO_MESSAGE_SIZE_MAX - sizeof(struct proto_header)) / 64;
	struct fixture *fixture = *state;
	uint8_t *large = calloc(1, UINT16_MAX);

	assert_int_equal(sizeof(struct record), 64);
	for (uint32_t i = 0; i <= fit; i++)
		append(fixture, PROTO_FDB_SET, i);
	/* The first went out by itself. */
	assert_receives(fixture, PROTO_FDB_SET, fit, 0);
	assert_record(&fixture->message, 0, 0);
	assert_record(&fixture->message, fit - 1, fit - 1);
	assert_int_equal(channel_flush(fixture->a), 0);
	assert_receives(fixture, PROTO_FDB_SET, 1, 0);
	assert_record(&fixture->message, 0, fit);

	/* These fill a message to its last octet. */
	for (uint32_t i = 0; i < (PROTO_MESSAGE_SIZE_MAX - 8) / 8; i++)
		assert_int_equal(channel_append(fixture->a, PROTO_REPLY, large, 8, NULL, 0), 0);
	assert_int_equal(channel_flush(fixture->a), 0);
	assert_receives(fixture, PROTO_REPLY, (PROTO_MESSAGE_SIZE_MAX - 8) / 8, 0);

	/* Not even a header's room is left beside three of these. */
	for (uint8_t i = 0; i < 3; i++) {
		large[0] = large[UINT16_MAX - 1] = i;
		assert_int_equal(
			channel_append(fixture->a, PROTO_REPLY, large, UINT16_MAX, NULL, 0), 0);
	}
	assert_int_equal(channel_flush(fixture->a), 0);
	assert_receives(fixture, PROTO_REPLY, 2, 0);
	channel_record(&fixture->message, 1, large, UINT16_MAX);
	assert_int_equal(large[0], 1);
	assert_int_equal(large[UINT16_MAX - 1], 1);
	assert_receives(fixture, PROTO_REPLY, 1, 0);
	free(large);
}

static void records_are_cut_and_filled(void **state)
{
	static const uint8_t sent[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	static const uint8_t zeros[24];
	struct fixture *fixture = *state;
	uint8_t seen[24];

	/* What a former message left in memory is never seen. */
	memset(seen, 0xee, sizeof(seen));
	for (int i = 0; i < 3; i++)
		assert_int_equal(channel_append(fixture->a, PROTO_HELLO, seen, 24, NULL, 0), 0);
	assert_int_equal(channel_flush(fixture->a), 0);
	assert_receives(fixture, PROTO_HELLO, 3, 0);

	assert_int_equal(channel_append(fixture->a, PROTO_HELLO, zeros, 16, NULL, 0), 0);
	assert_int_equal(channel_append(fixture->a, PROTO_HELLO, sent, 16, NULL, 0), 0);
	assert_int_equal(channel_flush(fixture->a), 0);
	assert_receives(fixture, PROTO_HELLO, 2, 0);

	memset(seen, 0xff, sizeof(seen));
	channel_record(&fixture->message, 1, seen, 24);
	assert_memory_equal(seen, sent, 16);
	assert_memory_equal(seen + 16, zeros, 8);
	memset(seen, 0xff, sizeof(seen));
	channel_record(&fixture->message, 1, seen, 5);
	assert_memory_equal(seen, sent, 5);
	assert_int_equal(seen[5], 0xff);
	memset(seen, 0xff, sizeof(seen));
	channel_record(&fixture->message, 2, seen, 24);
	assert_memory_equal(seen, zeros, 24);
}

/* Record i has descriptors i*4 and so on, i % 4 of them: the receiver deals them out in order. */
static void descriptors_stay_with_their_records(void **state)
{
	struct fixture *fixture = *state;
	uint64_t next = 0;

	for (uint64_t i = 0; i < 700; i++) {
		struct record record = record_of(i, (uint32_t)(i % 4));
		int fds[3];

		for (uint32_t j = 0; j < record.fd_count; j++)
			fds[j] = numbered_fd(i * 4 + j);
		assert_int_equal(channel_append(fixture->a, PROTO_PORT_SET, &record, sizeof(record),
						fds, record.fd_count),
				 0);
		/* The caller keeps its own, and may close it at once. */
		for (uint32_t j = 0; j < record.fd_count; j++)
			close(fds[j]);
	}
	assert_int_equal(channel_flush(fixture->a), 0);

	while (channel_receive(fixture->b, &fixture->message) == 1) {
		uint32_t used = 0;

		for (uint32_t i = 0; i < fixture->message.count; i++, next++) {
			struct record record;

			assert_record(&fixture->message, i, next);
			channel_record(&fixture->message, i, &record, sizeof(record));
			for (uint32_t j = 0; j < record.fd_count; j++)
				assert_numbered(fixture->message.fds[used++], next * 4 + j);
		}
		assert_int_equal(used, fixture->message.fd_count);
		channel_message_close(&fixture->message);
	}
	assert_int_equal(next, 700);
}

static void a_thousand_descriptors(void **state)
{
	struct fixture *fixture = *state;
	uint32_t messages = 0;
	uint64_t next = 0;

	for (uint64_t i = 0; i < 1000; i++) {
		struct record record = record_of(i, 1);
		int fd = numbered_fd(i);

		assert_int_equal(
			channel_append(fixture->a, PROTO_HANDBACK, &record, sizeof(record), &fd, 1),
			0);
		close(fd);
	}
	assert_int_equal(channel_flush(fixture->a), 0);
	/* Nothing is held back once the socket took it. */
	assert_int_equal(count_open(), fixture->open_before + 2);

	for (; channel_receive(fixture->b, &fixture->message) == 1; messages++) {
		assert_int_equal(fixture->message.fd_count, messages < 3 ? PROTO_FDS_MAX : 241);
		assert_int_equal(fixture->message.fd_count, fixture->message.count);
		for (uint32_t i = 0; i < fixture->message.fd_count; i++, next++)
			assert_numbered(fixture->message.fds[i], next);
		channel_message_close(&fixture->message);
	}
	assert_int_equal(next, 1000);
	assert_int_equal(messages, 4);
}

static void taken_descriptors_stay_open(void **state)
{
	struct fixture *fixture = *state;
	struct record record = record_of(0, 3);
	int fds[3] = {numbered_fd(0), numbered_fd(1), numbered_fd(2)};
	int taken;

	assert_int_equal(channel_append(fixture->a, PROTO_HOLD, &record, sizeof(record), fds, 3),
			 0);
	assert_int_equal(channel_flush(fixture->a), 0);
	for (int i = 0; i < 3; i++) {
		assert_numbered(fds[i], (uint64_t)i);
		close(fds[i]);
	}
	assert_receives(fixture, PROTO_HOLD, 1, 3);
	taken = fixture->message.fds[1];
	fixture->message.fds[1] = -1;
	channel_message_close(&fixture->message);
	channel_message_close(&fixture->message);
	assert_int_equal(count_open(), fixture->open_before + 3);
	assert_numbered(taken, 1);
	close(taken);
}

static void what_is_not_flushed_is_closed(void **state)
{
	struct fixture *fixture = *state;
	struct record record = record_of(0, 1);
	int inherited = count_inherited();

	for (int i = 0; i < 100; i++)
		assert_int_equal(channel_append(fixture->a, PROTO_HOLD, &record, sizeof(record),
						(int[]){STDIN_FILENO}, 1),
				 0);
	assert_int_equal(count_open(), fixture->open_before + 102);
	assert_int_equal(count_inherited(), inherited);
	channel_free(fixture->a);
	fixture->a = NULL;
	assert_int_equal(channel_receive(fixture->b, &fixture->message), -EPIPE);
}

/* Everything is appended before the reader reads at all. */
static void a_slow_reader_gets_everything(void **state)
{
	struct fixture *fixture = *state;
	uint64_t next = 0, fds = 0;
	bool waited = false;

	for (uint64_t i = 0; i < 100000; i++) {
		struct record record = record_of(i, i % 100 == 0);

		assert_int_equal(channel_append(fixture->a, PROTO_FDB_SET, &record, sizeof(record),
						(int[]){STDIN_FILENO}, record.fd_count),
				 0);
	}
	assert_int_equal(channel_append_empty(fixture->a, PROTO_COMMIT), 0);
	assert_int_equal(channel_flush(fixture->a), 0);
	while (channel_receive(fixture->b, &fixture->message) == 1) {
		if (fixture->message.type == PROTO_COMMIT)
			break;
		for (uint32_t i = 0; i < fixture->message.count; i++, next++)
			assert_record(&fixture->message, i, next);
		fds += fixture->message.fd_count;
		channel_message_close(&fixture->message);
		waited |= channel_wants_write(fixture->a);
		assert_int_equal(channel_flush(fixture->a), 0);
	}
	assert_true(waited);
	assert_int_equal(next, 100000);
	assert_int_equal(fds, 1000);
	assert_int_equal(fixture->message.type, PROTO_COMMIT);
	assert_false(channel_wants_write(fixture->a));
}

static void later_messages_do_not_overtake(void **state)
{
	struct fixture *fixture = *state;
	uint64_t next = 0;

	fill_socket(fixture);
	/* Room for a small message, and a large one that waits before it. */
	assert_receives(fixture, PROTO_FDB_SET, 1000, 0);
	next = 1000;
	assert_int_equal(channel_append_empty(fixture->a, PROTO_COMMIT), 0);
	for (;;) {
		assert_int_equal(channel_flush(fixture->a), 0);
		assert_int_equal(channel_receive(fixture->b, &fixture->message), 1);
		if (fixture->message.type == PROTO_COMMIT)
			break;
		assert_record(&fixture->message, 0, next);
		next += fixture->message.count;
	}
	assert_int_equal(next % 1000, 0);
	assert_int_equal(channel_receive(fixture->b, &fixture->message), 0);
}

static void octets_that_wait_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *record = calloc(1, 60000);
	uint64_t accepted = 0;
	int error;

	do {
		error = channel_append(fixture->a, PROTO_FDB_SET, record, 60000, NULL, 0);
		accepted += error == 0;
	} while (error == 0 && accepted < 10000);
	free(record);
	assert_int_equal(error, -ENOBUFS);
	/* 64 MiB in the queue, and a few messages in the socket and in the making. */
	assert_in_range(accepted * 60000, 60u << 20, 66u << 20);

	assert_int_equal(channel_flush(fixture->a), -ENOBUFS);
	assert_int_equal(channel_append_empty(fixture->a, PROTO_COMMIT), -ENOBUFS);
	assert_int_equal(channel_receive(fixture->a, &fixture->message), -ENOBUFS);
	assert_false(channel_wants_write(fixture->a));
}

static void descriptors_that_wait_are_bounded(void **state)
{
	const struct rlimit limit = {20000, 20000};
	struct fixture *fixture = *state;
	uint32_t accepted = 0;
	int error;

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		skip();
	fill_socket(fixture);
	do {
		struct record record = record_of(accepted, 1);

		error = channel_append(fixture->a, PROTO_HOLD, &record, sizeof(record),
				       (int[]){STDIN_FILENO}, 1);
		accepted += error == 0;
		if (error == 0 && accepted % 128 == 0)
			error = channel_flush(fixture->a);
	} while (error == 0 && accepted < 19000);
	assert_int_equal(error, -ENOBUFS);
	assert_int_equal(accepted, 16384 + 128);
	assert_int_equal(count_open(), fixture->open_before + 2 + 16384 + 128);
}

/* Three times as much as may wait at once. */
static void bounds_count_what_waits_now(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *record = calloc(1, 60000);

	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 800; i++)
			assert_int_equal(channel_append(fixture->a, PROTO_HOLD, record, 60000,
							(int[]){0, 0, 0, 0}, 4),
					 0);
		assert_int_equal(channel_flush(fixture->a), 0);
		while (channel_receive(fixture->b, &fixture->message) == 1) {
			channel_message_close(&fixture->message);
			assert_int_equal(channel_flush(fixture->a), 0);
		}
		assert_false(channel_wants_write(fixture->a));
	}
	free(record);
}

static void wrong_arguments_break_it(void **state)
{
	static const int closed[] = {-1};
	struct fixture *fixture = *state;
	struct record record = record_of(0, 1);

	assert_int_equal(channel_append(fixture->a, PROTO_HOLD, &record, 0, NULL, 0), -EINVAL);
	assert_int_equal(channel_append(fixture->a, PROTO_HOLD, &record, 8, NULL, 0), -EINVAL);
	assert_int_equal(channel_append(fixture->b, PROTO_HOLD, &record, 8, closed, 1), -EBADF);
	assert_int_equal(channel_flush(fixture->b), -EBADF);
}

static void more_descriptors_than_a_message_takes(void **state)
{
	struct fixture *fixture = *state;
	struct record record = record_of(0, PROTO_FDS_MAX);
	int fds[PROTO_FDS_MAX + 1] = {0};

	assert_int_equal(
		channel_append(fixture->a, PROTO_HOLD, &record, sizeof(record), fds, PROTO_FDS_MAX),
		0);
	assert_int_equal(channel_flush(fixture->a), 0);
	assert_receives(fixture, PROTO_HOLD, 1, PROTO_FDS_MAX);
	channel_message_close(&fixture->message);
	assert_int_equal(channel_append(fixture->a, PROTO_HOLD, &record, sizeof(record), fds,
					PROTO_FDS_MAX + 1),
			 -EINVAL);
}

static void free_accepts_null(void **state)
{
	(void)state;
	channel_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(one_message_holds_many_records),
		fixture_test(another_type_or_size_begins_another_message),
		fixture_test(flush_of_nothing_sends_nothing),
		fixture_test(messages_fill_up_to_the_limit),
		fixture_test(records_are_cut_and_filled),
		fixture_test(descriptors_stay_with_their_records),
		fixture_test(a_thousand_descriptors),
		fixture_test(taken_descriptors_stay_open),
		fixture_test(what_is_not_flushed_is_closed),
		fixture_test(a_slow_reader_gets_everything),
		fixture_test(later_messages_do_not_overtake),
		fixture_test(octets_that_wait_are_bounded),
		fixture_test(descriptors_that_wait_are_bounded),
		fixture_test(bounds_count_what_waits_now),
		fixture_test(wrong_arguments_break_it),
		fixture_test(more_descriptors_than_a_message_takes),
		cmocka_unit_test(free_accepts_null),
	};

	raise_descriptor_limit();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
