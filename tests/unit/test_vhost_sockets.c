/* SPDX-License-Identifier: Apache-2.0 */

/* The sockets of vhost-user ports, against the kernel: who listens, what is replaced, what stays.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/vhost_sockets.h"

struct fixture {
	char dir[32], path[96], other[96];
	struct vhost_sockets sockets;
	struct vhost_listener listener;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/vswitch-test-XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	snprintf(fixture->path, sizeof(fixture->path), "%s/vm", fixture->dir);
	snprintf(fixture->other, sizeof(fixture->other), "%s/other", fixture->dir);
	fixture->listener.fd = -1;
	assert_int_equal(vhost_sockets_init(&fixture->sockets), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	vhost_listener_close(&fixture->listener, fixture->path, true);
	vhost_sockets_fini(&fixture->sockets);
	unlink(fixture->path);
	unlink(fixture->other);
	assert_int_equal(rmdir(fixture->dir), 0);
	free(fixture);
	return 0;
}

static int bind_socket(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int listen_on(const char *path, int backlog)
{
	int fd = bind_socket(path, SOCK_STREAM);

	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static int attempt(const struct fixture *fixture)
{
	return vhost_sockets_connect(&fixture->sockets, fixture->path);
}

static void connects_to_who_listens(void **state)
{
	struct fixture *fixture = *state;
	int listener, fd, peer;
	char byte = 0;

	assert_int_equal(attempt(fixture), -ENOENT);
	listener = listen_on(fixture->path, 4);
	assert_int_equal(vhost_sockets_probe(&fixture->sockets, fixture->path), 0);
	/* Nobody hears of the question. */
	assert_int_equal(accept(listener, NULL, NULL), -1);
	fd = attempt(fixture);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	peer = accept(listener, NULL, NULL);
	assert_int_equal(write(peer, "x", 1), 1);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(peer);
	close(fd);
	close(listener);
	assert_int_equal(attempt(fixture), -ECONNREFUSED);
	assert_int_equal(unlink(fixture->path), 0);
	listener = listen_on(fixture->path, 4);
	fd = attempt(fixture);
	assert_true(fd >= 0);
	close(fd);
	close(listener);
}

static void waits_for_nobody(void **state)
{
	struct fixture *fixture = *state;
	int listener = listen_on(fixture->path, 0), first = attempt(fixture);

	assert_true(first >= 0);
	assert_int_equal(attempt(fixture), -EAGAIN);
	close(first);
	close(listener);
}

static void connects_to_nothing_else(void **state)
{
	static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
	struct fixture *fixture = *state;
	int fd;

	make_file(fixture->path);
	assert_int_equal(attempt(fixture), -ECONNREFUSED);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		unlink(fixture->path);
		fd = bind_socket(fixture->path, types[i]);
		if (types[i] == SOCK_SEQPACKET)
			assert_int_equal(listen(fd, 1), 0);
		assert_int_equal(attempt(fixture), -EPROTOTYPE);
		close(fd);
	}
	/* A socket that was connected to another kind asks on. */
	unlink(fixture->path);
	assert_int_equal(attempt(fixture), -ENOENT);
	fd = bind_socket(fixture->path, SOCK_STREAM);
	assert_int_equal(attempt(fixture), -ECONNREFUSED); /* it does not listen yet */
	close(fd);
}

static int open_listener(struct fixture *fixture)
{
	return vhost_listener_open(&fixture->listener, &fixture->sockets, fixture->path);
}

static int connect_blocking(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void accepts_who_connects(void **state)
{
	const struct group *group = getgrnam("kvm");
	struct fixture *fixture = *state;
	struct stat file;
	int first, second, fd;

	assert_int_equal(open_listener(fixture), 0);
	assert_int_equal(lstat(fixture->path, &file), 0);
	assert_int_equal(file.st_mode, S_IFSOCK | 0660);
	assert_int_equal(file.st_uid, geteuid());
	if (geteuid() == 0 && group != NULL)
		assert_int_equal(file.st_gid, group->gr_gid);
	assert_int_equal(vhost_listener_accept(&fixture->listener), -EAGAIN);
	first = connect_blocking(fixture->path);
	second = connect_blocking(fixture->path);
	fd = vhost_listener_accept(&fixture->listener);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	assert_true(vhost_sockets_match(fd, fixture->path, true));
	close(fd);
	close(first);
	/* One that went while it waited is passed over. */
	close(second);
	first = connect_blocking(fixture->path);
	fd = vhost_listener_accept(&fixture->listener);
	assert_true(fd >= 0);
	assert_int_equal(write(first, "", 1), 1);
	assert_int_equal(vhost_listener_accept(&fixture->listener), -EAGAIN);
	close(fd);
	close(first);
}

static void replaces_what_it_left(void **state)
{
	struct fixture *fixture = *state;
	int fd;

	assert_int_equal(open_listener(fixture), 0);
	vhost_listener_close(&fixture->listener, fixture->path, false);
	assert_int_equal(access(fixture->path, F_OK), 0);
	assert_int_equal(open_listener(fixture), 0);
	assert_true(vhost_listener_stands(&fixture->listener, fixture->path));
	/* Whose file another one took away, neither stands nor removes that one's. */
	assert_int_equal(unlink(fixture->path), 0);
	assert_false(vhost_listener_stands(&fixture->listener, fixture->path));
	fd = listen_on(fixture->path, 1);
	assert_false(vhost_listener_stands(&fixture->listener, fixture->path));
	vhost_listener_close(&fixture->listener, fixture->path, true);
	assert_int_equal(vhost_sockets_probe(&fixture->sockets, fixture->path), 0);
	close(fd);
	assert_int_equal(open_listener(fixture), 0);
	vhost_listener_close(&fixture->listener, fixture->path, true);
	assert_int_equal(access(fixture->path, F_OK), -1);
	vhost_listener_close(&fixture->listener, fixture->path, true);
}

static void replaces_nothing_else(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_listener other = {.fd = -1};
	struct stat file;
	int fd = listen_on(fixture->path, 1);

	assert_int_equal(open_listener(fixture), -EADDRINUSE);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	close(fd);
	unlink(fixture->path);
	fd = bind_socket(fixture->path, SOCK_DGRAM);
	assert_int_equal(open_listener(fixture), -EADDRINUSE);
	close(fd);
	unlink(fixture->path);
	make_file(fixture->path);
	assert_int_equal(open_listener(fixture), -EEXIST);
	assert_int_equal(lstat(fixture->path, &file), 0);
	assert_true(S_ISREG(file.st_mode));
	unlink(fixture->path);
	/* Neither a link, nor what it leads to. */
	close(listen_on(fixture->other, 1));
	assert_int_equal(symlink(fixture->other, fixture->path), 0);
	assert_int_equal(open_listener(fixture), -EEXIST);
	assert_int_equal(access(fixture->other, F_OK), 0);
	unlink(fixture->path);
	/* What another user left there. */
	close(listen_on(fixture->path, 1));
	if (geteuid() == 0 && chown(fixture->path, 12345, (gid_t)-1) == 0)
		assert_int_equal(open_listener(fixture), -EEXIST);
	unlink(fixture->path);
	/* A listener of the same process is another's. */
	assert_int_equal(vhost_listener_open(&other, &fixture->sockets, fixture->path), 0);
	assert_int_equal(open_listener(fixture), -EADDRINUSE);
	vhost_listener_close(&other, fixture->path, true);
	assert_int_equal(vhost_listener_open(&other, &fixture->sockets, "/nowhere/vm"), -ENOENT);
}

/* A path that fills an address, nearly all of it one name. */
static void takes_the_longest_names(void **state)
{
	struct fixture *fixture = *state;
	size_t size = strlen(fixture->dir);
	char path[109], cwd[256], now[256];

	snprintf(path, sizeof(path), "%s/", fixture->dir);
	memset(path + size + 1, 'v', 107 - size - 1);
	path[107] = '\0';
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(vhost_listener_open(&fixture->listener, &fixture->sockets, path), 0);
	vhost_listener_close(&fixture->listener, path, false);
	assert_int_equal(vhost_listener_open(&fixture->listener, &fixture->sockets, path), 0);
	assert_non_null(getcwd(now, sizeof(now)));
	assert_string_equal(now, cwd);
	vhost_listener_close(&fixture->listener, path, true);
	strcpy(path + 107, "v");
	assert_int_equal(vhost_listener_open(&fixture->listener, &fixture->sockets, path),
			 -ENAMETOOLONG);
	assert_int_equal(vhost_sockets_connect(&fixture->sockets, path), -ENAMETOOLONG);
}

static void age(const char *path, time_t seconds)
{
	struct timespec times[2] = {{0}, {0}};

	clock_gettime(CLOCK_REALTIME, &times[1]);
	times[1].tv_sec -= seconds;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_unchanged(const char *path, struct vhost_place *place)
{
	struct vhost_round round = {0};

	return vhost_round_unchanged(&round, path, place);
}

static void sees_what_changes_in_a_directory(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_place place = {0};

	/* It changed just now: another change might leave no trace. */
	assert_false(is_unchanged(fixture->path, &place));
	assert_false(is_unchanged(fixture->path, &place));
	age(fixture->dir, 10);
	assert_false(is_unchanged(fixture->path, &place));
	assert_true(is_unchanged(fixture->path, &place));
	assert_true(is_unchanged(fixture->path, &place));
	make_file(fixture->path);
	assert_false(is_unchanged(fixture->path, &place));
	age(fixture->dir, 10);
	assert_false(is_unchanged(fixture->path, &place));
	assert_true(is_unchanged(fixture->path, &place));
	unlink(fixture->path);
	assert_false(is_unchanged(fixture->path, &place));
	/* In the future, by a clock that was put back. */
	age(fixture->dir, -1000);
	assert_false(is_unchanged(fixture->path, &place));
	assert_false(is_unchanged(fixture->path, &place));
	/* What a link leads to is elsewhere. */
	assert_int_equal(symlink("/nowhere/vm", fixture->path), 0);
	age(fixture->dir, 10);
	assert_false(is_unchanged(fixture->path, &place));
	assert_false(is_unchanged(fixture->path, &place));
	assert_false(is_unchanged("/nowhere/vm", &place));
	assert_false(is_unchanged("/nowhere/vm", &place));
}

/* Within a round, of one directory after the other. */
static void looks_at_directories_by_turns(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_place a = {0}, b = {0}, root = {0};
	struct vhost_round round = {0};

	age(fixture->dir, 10);
	assert_false(vhost_round_unchanged(&round, fixture->path, &a));
	assert_false(vhost_round_unchanged(&round, fixture->other, &b));
	(void)vhost_round_unchanged(&round, "/vm", &root);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_not_equal(a.inode, 0);
	assert_int_not_equal(a.inode, root.inode);
	memset(&round, 0, sizeof(round));
	assert_true(vhost_round_unchanged(&round, fixture->path, &a));
	(void)vhost_round_unchanged(&round, "/vm", &root);
	assert_true(vhost_round_unchanged(&round, fixture->other, &b));
	/* What was seen in a round holds for it. */
	make_file(fixture->path);
	assert_true(vhost_round_unchanged(&round, fixture->path, &a));
	assert_false(is_unchanged(fixture->path, &a));
}

static void knows_its_connections(void **state)
{
	struct fixture *fixture = *state;
	int listener = listen_on(fixture->path, 4), fd = attempt(fixture), pair[2];

	assert_true(fd >= 0);
	assert_true(vhost_sockets_match(fd, fixture->path, false));
	assert_false(vhost_sockets_match(fd, fixture->other, false));
	assert_false(vhost_sockets_match(fd, fixture->path, true));
	/* By another name of the same file, and by one that may be anything. */
	assert_int_equal(symlink(fixture->path, fixture->other), 0);
	assert_true(vhost_sockets_match(fd, fixture->other, false));
	assert_false(vhost_sockets_match(listener, fixture->path, true));
	close(fd);
	close(listener);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_false(vhost_sockets_match(pair[0], fixture->path, false));
	assert_false(vhost_sockets_match(pair[0], fixture->path, true));
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(pipe(pair), 0);
	assert_false(vhost_sockets_match(pair[0], fixture->path, false));
	close(pair[0]);
	close(pair[1]);
	pair[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_false(vhost_sockets_match(pair[0], fixture->path, false));
	close(pair[0]);
}

static void explains_itself(void **state)
{
	static const struct {
		bool server;
		int error;
		const char *text;
	} rows[] = {
		{false, -ENOENT, "nobody listens on /run/vm"},
		{false, -ECONNREFUSED, "nobody listens on /run/vm"},
		{false, -EAGAIN, "who listens on /run/vm takes no further connection"},
		{false, -EPROTOTYPE, "/run/vm is no stream socket"},
		{false, -EACCES, "cannot connect to /run/vm: Permission denied"},
		{true, -EAGAIN, "nobody has connected to /run/vm"},
		{true, -ENOENT, "no directory for /run/vm"},
		{true, -EADDRINUSE, "another process listens on /run/vm"},
		{true, -EEXIST, "/run/vm is there, and not a socket that this switch made"},
		{true, -EACCES, "cannot listen on /run/vm: Permission denied"},
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(vhost_sockets_explain("/run/vm", rows[i].server, rows[i].error,
							  text, sizeof(text)),
				    rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(connects_to_who_listens),
		TEST(waits_for_nobody),
		TEST(connects_to_nothing_else),
		TEST(accepts_who_connects),
		TEST(replaces_what_it_left),
		TEST(replaces_nothing_else),
		TEST(takes_the_longest_names),
		TEST(sees_what_changes_in_a_directory),
		TEST(looks_at_directories_by_turns),
		TEST(knows_its_connections),
		TEST(explains_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
