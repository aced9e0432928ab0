/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Credentials as the kernel tells them: a child process takes on a user and
 * groups that Debian always has, and connects.
 */
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/access.h"

#define NOBODY 65534
#define CHANGE "daemon"
#define READ   "games"
#define ALL    (ACCESS_READ | ACCESS_CHANGE)

static struct sockaddr_un address_of_listener(int listener, socklen_t *size)
{
	struct sockaddr_un address;

	*size = sizeof(address);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, size), 0);
	return address;
}

/* The rights of a process of this user, group and supplementary groups. */
static unsigned rights_of(uid_t uid, gid_t gid, const gid_t *groups, size_t count)
{
	/* An address that the kernel chooses, in the abstract name space. */
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(address.sun_family);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), connection, status;
	unsigned rights;
	pid_t child;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	child = fork();
	if (child == 0) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		address = address_of_listener(listener, &size);
		if (setgroups(count, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
		    setresuid(uid, uid, uid) < 0 ||
		    connect(fd, (struct sockaddr *)&address, size) < 0)
			_exit(1);
		_exit(0);
	}
	connection = accept(listener, NULL, NULL);
	assert_true(connection >= 0);
	rights = access_rights(connection, CHANGE, READ);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* Whoever connected decides, though he is gone. */
	assert_int_equal(access_rights(connection, CHANGE, READ), rights);
	assert_int_equal(access_rights(connection, "no-such-group", "nor-this"),
			 uid == 0 ? ALL : 0);
	close(connection);
	close(listener);
	return rights;
}

static void credentials_decide(void **state)
{
	const struct group *group;
	gid_t change, read_only, many[300];

	(void)state;
	if (geteuid() != 0)
		skip();
	group = getgrnam(CHANGE);
	assert_non_null(group);
	change = group->gr_gid;
	group = getgrnam(READ);
	assert_non_null(group);
	read_only = group->gr_gid;
	for (gid_t i = 0; i < 300; i++)
		many[i] = 100000 + i;

	assert_int_equal(rights_of(0, 0, NULL, 0), ALL);
	assert_int_equal(rights_of(NOBODY, NOBODY, NULL, 0), 0);
	assert_int_equal(rights_of(NOBODY, 0, NULL, 0), 0);
	assert_int_equal(rights_of(NOBODY, change, NULL, 0), ALL);
	assert_int_equal(rights_of(NOBODY, read_only, NULL, 0), ACCESS_READ);
	assert_int_equal(rights_of(NOBODY, NOBODY, &change, 1), ALL);
	assert_int_equal(rights_of(NOBODY, NOBODY, &read_only, 1), ACCESS_READ);
	assert_int_equal(rights_of(NOBODY, read_only, &change, 1), ALL);
	assert_int_equal(rights_of(NOBODY, NOBODY, many, 300), 0);
	many[299] = change;
	assert_int_equal(rights_of(NOBODY, NOBODY, many, 300), ALL);
}

static void no_peer_has_no_rights(void **state)
{
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(access_rights(pipes[0], CHANGE, READ), 0);
	assert_int_equal(access_rights(-1, CHANGE, READ), 0);
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credentials_decide),
		cmocka_unit_test(no_peer_has_no_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
