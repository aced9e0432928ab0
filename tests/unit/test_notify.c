/* SPDX-License-Identifier: Apache-2.0 */
/* What a service tells its manager, read at the manager's end. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/notify.h"

static char directory[] = "/tmp/vswitch-notify.XXXXXX";

/* Binds the manager's socket; a leading '@' is an abstract address. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0 && length < sizeof(address.sun_path));
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	else
		length++;
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
			 0);
	return fd;
}

static void expect(int manager, const char *text)
{
	char seen[256];
	ssize_t size = recv(manager, seen, sizeof(seen) - 1, 0);

	assert_true(size >= 0);
	seen[size] = '\0';
	assert_string_equal(seen, text);
}

static void no_manager(void **state)
{
	char path[256];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_open(), -1);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_open(), -1);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_open(), -1);
	setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
	assert_int_equal(notify_open(), -1);
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_open(), -1);
	notify_send(-1, "READY=1");
	assert_int_equal(notify_send_fd(-1, "FDSTORE=1", STDERR_FILENO), -ENOTCONN);
}

static void messages(void **state)
{
	char paths[2][64];
	int i;

	(void)state;
	snprintf(paths[0], sizeof(paths[0]), "%s/notify", directory);
	snprintf(paths[1], sizeof(paths[1]), "@%s", directory);
	for (i = 0; i < 2; i++) {
		int manager = listen_at(paths[i]), notify;

		setenv("NOTIFY_SOCKET", paths[i], 1);
		notify = notify_open();
		assert_true(notify >= 0);
		assert_int_equal(fcntl(notify, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		/* The sandbox hides the socket after it was opened. */
		unlink(paths[i]);
		notify_send(notify, "READY=1");
		expect(manager, "READY=1");
		notify_send(notify, "FDSTOREREMOVE=1\nFDNAME=one");
		expect(manager, "FDSTOREREMOVE=1\nFDNAME=one");
		close(manager);
		/* A manager that is gone ends nobody. */
		notify_send(notify, "STOPPING=1");
		assert_true(notify_send_fd(notify, "FDSTORE=1", notify) < 0);
		close(notify);
	}
}

static void descriptor(void **state)
{
	static const char lines[] = "FDSTORE=1\nFDNAME=pipe";
	char path[64], text[64];
	struct iovec vector = {.iov_base = text, .iov_len = sizeof(text)};
	char control[CMSG_SPACE(4 * sizeof(int))] __attribute__((aligned(8)));
	struct msghdr message = {.msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header;
	struct stat sent, received;
	int ends[2], manager, notify, fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/notify-fd", directory);
	manager = listen_at(path);
	setenv("NOTIFY_SOCKET", path, 1);
	notify = notify_open();
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(notify_send_fd(notify, lines, ends[0]), 0);
	assert_int_equal(recvmsg(manager, &message, MSG_CMSG_CLOEXEC), sizeof(lines) - 1);
	assert_memory_equal(text, lines, sizeof(lines) - 1);
	header = CMSG_FIRSTHDR(&message);
	assert_non_null(header);
	assert_int_equal(header->cmsg_type, SCM_RIGHTS);
	assert_int_equal(header->cmsg_len, CMSG_LEN(sizeof(int)));
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	assert_int_equal(fstat(ends[0], &sent), 0);
	assert_int_equal(fstat(fd, &received), 0);
	assert_int_equal(sent.st_ino, received.st_ino);
	close(fd);
	close(ends[0]);
	close(ends[1]);
	close(notify);
	close(manager);
	unlink(path);
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) == NULL ? -1 : 0;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_manager),
		cmocka_unit_test(messages),
		cmocka_unit_test(descriptor),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
