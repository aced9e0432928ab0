/* SPDX-License-Identifier: Apache-2.0 */

/* The relay between a vhost-user frontend and its library: whole messages, whatever a frontend
 * does. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/ports/vhost_relay.h"

#define HEADER_SIZE 12u
#define PAYLOAD_MAX 1024u
#define FDS_MAX	    16u

struct fixture {
	struct vhost_relay *relay;
	int frontend; /* what the frontend has */
	int outer;
	int library; /* what the library has */
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	const struct proto_ref port = {7, 8};
	int outside[2], inside[2];

	assert_non_null(fixture);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, outside), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, inside), 0);
	fixture->frontend = outside[0];
	fixture->outer = outside[1];
	fixture->library = inside[0];
	assert_int_equal(fcntl(fixture->library, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(fixture->frontend, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(vhost_relay_new(&fixture->relay, &port, outside[1], inside[1]), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	vhost_relay_free(fixture->relay);
	close(fixture->frontend);
	close(fixture->outer);
	close(fixture->library);
	free(fixture);
	return 0;
}

/* A message of the frontend: `size` octets follow the header. */
static size_t make_message(uint8_t *message, uint32_t request, uint32_t size)
{
	const uint32_t header[3] = {request, 1, size};

	memcpy(message, header, sizeof(header));
	for (uint32_t i = 0; i < size; i++)
		message[HEADER_SIZE + i] = (uint8_t)(request + i);
	return HEADER_SIZE + size;
}

static void serve(void)
{
	struct proto_ref port;
	int error;

	assert_false(vhost_relay_serve(&port, &error));
}

/* The connection has ended, and is reported once. */
static void expect_end(int expected)
{
	struct proto_ref port = {0, 0};
	int error = 0;

	assert_true(vhost_relay_serve(&port, &error));
	assert_int_equal(port.index, 7);
	assert_int_equal(port.incarnation, 8);
	assert_int_equal(error, expected);
	assert_false(vhost_relay_serve(&port, &error));
}

static void expect_octets(int fd, const uint8_t *wanted, size_t size)
{
	uint8_t got[HEADER_SIZE + PAYLOAD_MAX + 1];

	assert_int_equal(recv(fd, got, sizeof(got), 0), size);
	assert_memory_equal(got, wanted, size);
}

static void expect_nothing(int fd)
{
	uint8_t octet;

	assert_int_equal(recv(fd, &octet, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static ssize_t send_with_fds(int fd, const void *data, size_t size, const int *fds, unsigned count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(32 * sizeof(int))] = {0};
	struct iovec iov = {(void *)data, size};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	return sendmsg(fd, &message, 0);
}

/* Receives a message and its descriptors. Returns how many these are. */
static unsigned receive_fds(int fd, int *fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(32 * sizeof(int))];
	uint8_t data[HEADER_SIZE + PAYLOAD_MAX];
	struct iovec iov = {data, sizeof(data)};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header;
	unsigned count;

	assert_true(recvmsg(fd, &message, 0) > 0);
	header = CMSG_FIRSTHDR(&message);
	if (header == NULL)
		return 0;
	count = (unsigned)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(fds, CMSG_DATA(header), count * sizeof(int));
	return count;
}

static unsigned open_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_whole_messages(void **state)
{
	struct fixture *fixture = *state;
	uint8_t message[HEADER_SIZE + PAYLOAD_MAX];

	for (uint32_t size = 0; size <= PAYLOAD_MAX; size += 128) {
		size_t whole = make_message(message, 1000 + size, size);

		assert_int_equal(send(fixture->frontend, message, whole, 0), whole);
		serve();
		expect_octets(fixture->library, message, whole);
	}
	/* Answers go back as they come. */
	assert_int_equal(send(fixture->library, message, 20, 0), 20);
	serve();
	expect_octets(fixture->frontend, message, 20);
}

/* The library must not wait for the rest of what a frontend began to send. */
static void test_octet_by_octet(void **state)
{
	struct fixture *fixture = *state;
	uint8_t message[HEADER_SIZE + PAYLOAD_MAX];
	size_t whole = make_message(message, 3, 40);

	for (size_t i = 0; i < whole; i++) {
		expect_nothing(fixture->library);
		assert_int_equal(send(fixture->frontend, message + i, 1, 0), 1);
		serve();
	}
	expect_octets(fixture->library, message, whole);
}

static void test_many_at_once(void **state)
{
	struct fixture *fixture = *state;
	uint8_t messages[20 * (HEADER_SIZE + 30)];
	size_t size = 0;

	for (uint32_t i = 0; i < 20; i++)
		size += make_message(messages + size, 100 + i, 30);
	assert_int_equal(send(fixture->frontend, messages, size, 0), size);
	serve();
	expect_octets(fixture->library, messages, size);
}

static void test_too_long(void **state)
{
	struct fixture *fixture = *state;
	uint8_t message[HEADER_SIZE];
	const uint32_t header[3] = {1, 1, PAYLOAD_MAX + 1};

	memcpy(message, header, sizeof(header));
	assert_int_equal(send(fixture->frontend, message, sizeof(message), 0), sizeof(message));
	expect_end(EMSGSIZE);
	assert_int_equal(recv(fixture->library, message, 1, 0), 0);
	assert_int_equal(recv(fixture->frontend, message, 1, 0), 0);
}

static void test_frontend_ends(void **state)
{
	struct fixture *fixture = *state;
	uint8_t octet;

	/* In the middle of a message. */
	assert_int_equal(send(fixture->frontend, "abc", 3, 0), 3);
	serve();
	shutdown(fixture->frontend, SHUT_RDWR);
	expect_end(ECONNRESET);
	assert_int_equal(recv(fixture->library, &octet, 1, 0), 0);
}

static void test_library_ends(void **state)
{
	struct fixture *fixture = *state;
	uint8_t octet;

	shutdown(fixture->library, SHUT_RDWR);
	expect_end(EPROTO);
	assert_int_equal(recv(fixture->frontend, &octet, 1, 0), 0);
}

static void test_descriptors(void **state)
{
	struct fixture *fixture = *state;
	uint8_t message[HEADER_SIZE + PAYLOAD_MAX];
	int fds[32], got[32] = {0};
	unsigned before, count;

	for (unsigned i = 0; i < 32; i++)
		fds[i] = STDIN_FILENO;
	before = open_fds();
	/* With the header only, the rest behind it: they belong to the whole message. */
	make_message(message, 3, 16);
	assert_int_equal(send_with_fds(fixture->frontend, message, HEADER_SIZE, fds, 8),
			 HEADER_SIZE);
	serve();
	expect_nothing(fixture->library);
	assert_int_equal(send(fixture->frontend, message + HEADER_SIZE, 16, 0), 16);
	serve();
	count = receive_fds(fixture->library, got);
	assert_int_equal(count, 8);
	for (unsigned i = 0; i < count; i++)
		close(got[i]);
	/* The relay keeps none. */
	assert_int_equal(open_fds(), before);
	/* A frontend that gives more than any message has. */
	assert_int_equal(send_with_fds(fixture->frontend, message, HEADER_SIZE, fds, FDS_MAX + 1),
			 HEADER_SIZE);
	expect_end(EPROTO);
	assert_int_equal(open_fds(), before - 1); /* the relay's inner end */
}

/* A worker writes to it, and must not wait for a frontend. */
static void test_call_does_not_block(void **state)
{
	struct fixture *fixture = *state;
	uint8_t message[HEADER_SIZE + 8];
	int ends[2], got[32] = {0};

	assert_int_equal(pipe(ends), 0);
	for (uint32_t request = 12; request <= 13; request++) {
		make_message(message, request, 8);
		assert_int_equal(
			send_with_fds(fixture->frontend, message, sizeof(message), &ends[1], 1),
			sizeof(message));
		serve();
		assert_int_equal(receive_fds(fixture->library, got), 1);
		assert_int_equal((fcntl(got[0], F_GETFL) & O_NONBLOCK) != 0, request == 13);
		close(got[0]);
	}
	close(ends[0]);
	close(ends[1]);
}

struct region {
	uint64_t guest, size, user, offset;
};

/* A table of memory: of each region the size and the offset. Returns the message's size. */
static size_t memory_message(uint8_t *message, uint32_t count, uint64_t size, uint64_t offset)
{
	const struct region region = {0x1000, size, 0x2000, offset};
	size_t whole = make_message(message, 5, 8 + count * (uint32_t)sizeof(region));

	memcpy(message + HEADER_SIZE, &count, sizeof(count));
	for (uint32_t i = 0; i < count; i++)
		memcpy(message + HEADER_SIZE + 8 + i * sizeof(region), &region, sizeof(region));
	return whole;
}

static void offer_memory(struct fixture *fixture, int fd, uint32_t regions, unsigned fd_count,
			 uint64_t size, uint64_t offset, bool passes)
{
	uint8_t message[HEADER_SIZE + PAYLOAD_MAX];
	size_t whole = memory_message(message, regions, size, offset);
	int fds[32], got[32] = {0};

	for (unsigned i = 0; i < fd_count; i++)
		fds[i] = fd;
	assert_int_equal(send_with_fds(fixture->frontend, message, whole, fds, fd_count), whole);
	if (!passes) {
		expect_end(EPROTO);
		return;
	}
	serve();
	assert_int_equal(receive_fds(fixture->library, got), fd_count);
	for (unsigned i = 0; i < fd_count; i++)
		close(got[i]);
}

/* The library would lose the descriptors of memory that it cannot map. */
static void test_memory_is_there(void **state)
{
	static const struct {
		uint32_t regions;
		unsigned fds;
		uint64_t size, offset;
		bool passes;
	} cases[] = {
		{1, 1, 8192, 0, true},	   {8, 8, 8192, 0, true},
		{1, 1, 4096, 4096, true},  {1, 1, 8193, 0, false},
		{1, 1, 4096, 4097, false}, {1, 1, 0, 0, false},
		{9, 9, 4096, 0, false},	   {2, 1, 4096, 0, false},
		{1, 2, 4096, 0, false},	   {1, 1, UINT64_MAX, 4096, false},
		{0, 1, 0, 0, false},	   {1, 1, 4096, UINT64_MAX - 100, false},
	};
	int fd = memfd_create("guest", 0);

	assert_int_equal(ftruncate(fd, 8192), 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned before = open_fds();

		offer_memory(*state, fd, cases[i].regions, cases[i].fds, cases[i].size,
			     cases[i].offset, cases[i].passes);
		assert_int_equal(open_fds(), before - !cases[i].passes);
		if (cases[i].passes)
			continue;
		teardown(state);
		setup(state);
	}
	offer_memory(*state, STDIN_FILENO, 1, 1, 4096, 0, false);
	close(fd);
}

/* Descriptors that came with half a message do not outlive the connection. */
static void test_descriptors_of_half(void **state)
{
	struct fixture *fixture = *state;
	uint8_t message[HEADER_SIZE + 16];
	int fds[4] = {0, 0, 0, 0};
	unsigned before = open_fds();

	make_message(message, 3, 16);
	assert_int_equal(send_with_fds(fixture->frontend, message, HEADER_SIZE, fds, 4),
			 HEADER_SIZE);
	serve();
	assert_int_equal(open_fds(), before + 4);
	vhost_relay_free(fixture->relay);
	fixture->relay = NULL;
	assert_int_equal(open_fds(), before - 1);
}

/* A library that does not read holds the frontend up, and nothing is lost. */
static void test_library_is_slow(void **state)
{
	struct fixture *fixture = *state;
	uint8_t message[HEADER_SIZE + PAYLOAD_MAX], got[HEADER_SIZE + PAYLOAD_MAX];
	size_t whole = make_message(message, 9, PAYLOAD_MAX);
	unsigned sent = 0, received = 0;

	for (unsigned i = 0; i < 2000; i++) {
		if (send(fixture->frontend, message, whole, 0) == (ssize_t)whole)
			sent++;
		serve();
	}
	assert_true(sent < 2000);
	for (unsigned i = 0; i < 2000 && received < sent; i++) {
		while (recv(fixture->library, got, whole, 0) == (ssize_t)whole) {
			assert_memory_equal(got, message, whole);
			received++;
		}
		serve();
	}
	assert_int_equal(received, sent);
}

/* A frontend that does not read the answers to its requests is given up. */
static void test_frontend_does_not_read(void **state)
{
	struct fixture *fixture = *state;
	uint8_t answer[HEADER_SIZE + PAYLOAD_MAX] = {0};
	struct proto_ref port;
	int error = 0;
	bool ended = false;

	for (unsigned i = 0; i < 2000 && !ended; i++) {
		assert_true(send(fixture->library, answer, sizeof(answer), MSG_NOSIGNAL) > 0);
		ended = vhost_relay_serve(&port, &error);
	}
	assert_true(ended);
	assert_int_equal(error, EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_octet_by_octet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frontend_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_library_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_call_does_not_block, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors_of_half, setup, teardown),
		cmocka_unit_test_setup_teardown(test_library_is_slow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frontend_does_not_read, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
