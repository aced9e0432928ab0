/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that the service manager keeps, passed in as it does and put to a socket. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/fd_store.h"

#define FIRST_FD 3

struct manager {
	int ours, theirs;
	char text[256];
	int fd; /* that came with the text; -1: none */
};

/* The descriptors that a test passes take the numbers that sd_listen_fds(3) says; what was there is
 * kept elsewhere. */
#define PASSED_MAX 12
static int displaced[PASSED_MAX];

static int begin(void **state)
{
	struct manager *manager = calloc(1, sizeof(*manager));
	int ends[2];

	assert_non_null(manager);
	for (int i = 0; i < PASSED_MAX; i++)
		displaced[i] = fcntl(FIRST_FD + i, F_DUPFD_CLOEXEC, 100);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	manager->ours = fcntl(ends[0], F_DUPFD_CLOEXEC, 200);
	manager->theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, 200);
	close(ends[0]);
	close(ends[1]);
	manager->fd = -1;
	for (int i = 0; i < PASSED_MAX; i++)
		close(FIRST_FD + i);
	*state = manager;
	return 0;
}

static int end(void **state)
{
	struct manager *manager = *state;

	close(manager->ours);
	close(manager->theirs);
	if (manager->fd >= 0)
		close(manager->fd);
	for (int i = 0; i < PASSED_MAX; i++) {
		if (displaced[i] < 0)
			continue;
		dup2(displaced[i], FIRST_FD + i);
		close(displaced[i]);
	}
	free(manager);
	return 0;
}

/* Makes a file of its own at this number, as the manager leaves it: open over exec. */
static void pass(int fd)
{
	int made = memfd_create("passed", 0);

	assert_true(made >= 0);
	if (made == fd)
		return;
	assert_int_equal(dup2(made, fd), fd);
	close(made);
}

static void set_variables(long pid, const char *count, const char *names)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", pid);
	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", count, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Whether there was a message; takes its text and descriptor. */
static bool heard(struct manager *manager)
{
	struct iovec vector = {.iov_base = manager->text, .iov_len = sizeof(manager->text) - 1};
	char control[CMSG_SPACE(4 * sizeof(int))] __attribute__((aligned(8)));
	struct msghdr message = {.msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(manager->theirs, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *header;

	if (size < 0)
		return false;
	manager->text[size] = '\0';
	if (manager->fd >= 0)
		close(manager->fd);
	manager->fd = -1;
	header = CMSG_FIRSTHDR(&message);
	if (header != NULL)
		memcpy(&manager->fd, CMSG_DATA(header), sizeof(manager->fd));
	return true;
}

static ino_t number_of(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return status.st_ino;
}

static void takes_what_was_passed(void **state)
{
	struct manager *manager = *state;
	struct fd_store *store;
	ino_t second;

	pass(3);
	pass(4);
	pass(5);
	second = number_of(4);
	set_variables(getpid(), "3", "one:two:three");
	assert_int_equal(fd_store_new(&store, manager->ours), 0);
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
	assert_int_equal(fcntl(3, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fd_store_take(store, "two"), 4);
	assert_int_equal(fd_store_take(store, "two"), -1);
	assert_int_equal(fd_store_take(store, "four"), -1);
	assert_int_equal(fd_store_take(store, "on"), -1);
	assert_int_equal(fd_store_take(store, "one"), 3);
	fd_store_free(store);
	assert_true(is_open(3));
	assert_true(is_open(4));
	assert_false(is_open(5)); /* nobody took it */
	assert_int_equal(number_of(4), second);
	assert_false(heard(manager));
	close(3);
	close(4);
}

static void variables_of_others(void **state)
{
	static const struct {
		bool ours;
		const char *count;
	} cases[] = {{false, "1"}, {true, ""},	 {true, "0"},	       {true, "-1"},
		     {true, "x"},  {true, "1x"}, {true, "99999999999"}};
	struct manager *manager = *state;
	struct fd_store *store;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pass(3);
		set_variables(cases[i].ours ? getpid() : getpid() + 1L, cases[i].count, "one");
		assert_int_equal(fd_store_new(&store, manager->ours), 0);
		assert_int_equal(fd_store_take(store, "one"), -1);
		fd_store_free(store);
		assert_true(is_open(3)); /* not ours to close */
		close(3);
	}
	assert_int_equal(fd_store_new(&store, -1), 0);
	assert_int_equal(fd_store_take(store, "one"), -1);
	fd_store_free(store);
	fd_store_free(NULL);
	assert_int_equal(fd_store_take(NULL, "one"), -1);
	fd_store_put(NULL, "one", STDERR_FILENO);
}

static void odd_names(void **state)
{
	struct manager *manager = *state;
	struct fd_store *store;
	int i;

	/* The second has no name, the third the first's, the fourth one that is too long, the fifth
	 * none at all; the sixth is not there. */
	for (i = 3; i < 8; i++)
		pass(i);
	set_variables(getpid(), "6", "one::one:a-name-that-is-longer-than-any-of-our-own");
	assert_int_equal(fd_store_new(&store, manager->ours), 0);
	for (i = 4; i < 8; i++)
		assert_false(is_open(i));
	assert_int_equal(fd_store_take(store, ""), -1);
	assert_int_equal(fd_store_take(store, "one"), 3);
	fd_store_free(store);
	close(3);

	/* More than there is room for. */
	for (i = 3; i < 13; i++)
		pass(i);
	set_variables(getpid(), "10", "a:b:c:d:e:f:g:h:i:j");
	assert_int_equal(fd_store_new(&store, manager->ours), 0);
	assert_int_equal(fd_store_take(store, "h"), 10);
	assert_int_equal(fd_store_take(store, "i"), -1);
	assert_false(is_open(11));
	assert_false(is_open(12));
	fd_store_free(store);
	close(10);
}

static void puts_what_is_new(void **state)
{
	struct manager *manager = *state;
	struct fd_store *store;
	int one, copy, other;

	assert_int_equal(fd_store_new(&store, manager->ours), 0);
	one = memfd_create("one", MFD_CLOEXEC);
	other = memfd_create("other", MFD_CLOEXEC);
	fd_store_put(store, "name", one);
	assert_true(heard(manager));
	assert_string_equal(manager->text, "FDSTORE=1\nFDNAME=name");
	assert_int_equal(number_of(manager->fd), number_of(one));

	/* The same file, by another number too, is there already. */
	copy = fcntl(one, F_DUPFD_CLOEXEC, 0);
	fd_store_put(store, "name", one);
	fd_store_put(store, "name", copy);
	fd_store_put(store, "name", -1);
	assert_false(heard(manager));

	fd_store_put(store, "name", other);
	assert_true(heard(manager));
	assert_string_equal(manager->text, "FDSTOREREMOVE=1\nFDNAME=name");
	assert_int_equal(manager->fd, -1);
	assert_true(heard(manager));
	assert_string_equal(manager->text, "FDSTORE=1\nFDNAME=name");
	assert_int_equal(number_of(manager->fd), number_of(other));
	assert_false(heard(manager));
	fd_store_free(store);
	close(one);
	close(copy);
	close(other);
}

static void what_was_passed_is_kept_already(void **state)
{
	struct manager *manager = *state;
	struct fd_store *store;
	int taken, other;

	pass(3);
	set_variables(getpid(), "1", "name");
	assert_int_equal(fd_store_new(&store, manager->ours), 0);
	taken = fd_store_take(store, "name");
	fd_store_put(store, "name", taken);
	assert_false(heard(manager));
	other = memfd_create("other", MFD_CLOEXEC);
	fd_store_put(store, "name", other);
	assert_true(heard(manager));
	assert_string_equal(manager->text, "FDSTOREREMOVE=1\nFDNAME=name");
	assert_true(heard(manager));
	assert_int_equal(number_of(manager->fd), number_of(other));
	fd_store_free(store);
	close(taken);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(takes_what_was_passed, begin, end),
		cmocka_unit_test_setup_teardown(variables_of_others, begin, end),
		cmocka_unit_test_setup_teardown(odd_names, begin, end),
		cmocka_unit_test_setup_teardown(puts_what_is_new, begin, end),
		cmocka_unit_test_setup_teardown(what_was_passed_is_kept_already, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
