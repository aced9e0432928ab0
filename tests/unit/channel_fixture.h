/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_CHANNEL_FIXTURE_H
#define VSWITCH_TESTS_UNIT_CHANNEL_FIXTURE_H

/*
 * What the tests of common/channel.c share: two channels that are joined by a
 * socketpair, descriptors that can be told apart, and a count of what is open,
 * so that every test also proves that no descriptor leaked.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/channel.h"

#define DEADLINE_MS 20000

struct record {
	uint64_t number;
	uint32_t fd_count;
	uint8_t filling[52];
};

struct fixture {
	int open_before;
	struct channel *a, *b;
	struct channel_message message;
};

/* Descriptors that a program which is started would get. */
static inline int count_inherited(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += fcntl((int)strtol(entry->d_name, NULL, 10), F_GETFD) == 0;
	closedir(dir);
	return count;
}

static inline int count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* Some tests hold more than 4,096 descriptors. */
static inline void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= 8192)
		return;
	limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static inline int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int fds[2];

	assert_non_null(fixture);
	fixture->open_before = count_open();
	/* Blocking, to see that channels do not rely on the socket's flag. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	fixture->a = channel_new(fds[0]);
	fixture->b = channel_new(fds[1]);
	assert_non_null(fixture->a);
	assert_non_null(fixture->b);
	assert_int_equal(channel_fd(fixture->a), fds[0]);
	*state = fixture;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;
	int leaked;

	channel_free(fixture->a);
	channel_free(fixture->b);
	leaked = count_open() - fixture->open_before;
	free(fixture);
	return leaked;
}

#define fixture_test(function)                                                                     \
	cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

/* Descriptor number n is a file of n octets. */
static inline int numbered_fd(uint64_t number)
{
	int fd = memfd_create("numbered", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)number), 0);
	return fd;
}

static inline void assert_numbered(int fd, uint64_t number)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_size, number);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static inline struct record record_of(uint64_t number, uint32_t fd_count)
{
	struct record record = {.number = number, .fd_count = fd_count};

	memset(record.filling, (int)(number % 251), sizeof(record.filling));
	return record;
}

static inline void assert_record(const struct channel_message *message, uint32_t index,
				 uint64_t number)
{
	struct record expected = record_of(number, 0), seen;

	channel_record(message, index, &seen, sizeof(seen));
	expected.fd_count = seen.fd_count;
	assert_memory_equal(&seen, &expected, sizeof(seen));
}

static inline void assert_receives(struct fixture *fixture, uint16_t type, uint32_t count,
				   uint32_t fd_count)
{
	assert_int_equal(channel_receive(fixture->b, &fixture->message), 1);
	assert_int_equal(fixture->message.type, type);
	assert_int_equal(fixture->message.count, count);
	assert_int_equal(fixture->message.fd_count, fd_count);
}

/* Appends to channel a a record without descriptors. */
static inline void append(struct fixture *fixture, uint16_t type, uint64_t number)
{
	struct record record = record_of(number, 0);

	assert_int_equal(channel_append(fixture->a, type, &record, sizeof(record), NULL, 0), 0);
}

/* Sends records until the socket is full and the next message waits in the queue. */
static inline void fill_socket(struct fixture *fixture)
{
	uint64_t number = 0;

	do {
		append(fixture, PROTO_FDB_SET, number++);
		if (number % 1000 == 0)
			assert_int_equal(channel_flush(fixture->a), 0);
	} while (number % 1000 != 0 || !channel_wants_write(fixture->a));
}

/* Ends in an error when the socket is not ready for `events` in time. */
static inline void wait_for(struct channel *channel, short events)
{
	struct pollfd poller = {.fd = channel_fd(channel), .events = events};

	assert_int_equal(poll(&poller, 1, DEADLINE_MS), 1);
}

#endif
