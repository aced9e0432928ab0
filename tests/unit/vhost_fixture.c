/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/vhost_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

char vhost_path_a[64], vhost_path_b[64];
static char sockets[32];

int vhost_set_up(void **state)
{
	struct fixture *fixture;

	fixture_set_up(state);
	fixture = *state;
	fixture->flags = PROTO_HELLO_DPDK;
	snprintf(sockets, sizeof(sockets), "/tmp/vswitch-vhost-XXXXXX");
	assert_non_null(mkdtemp(sockets));
	snprintf(vhost_path_a, sizeof(vhost_path_a), "%s/a", sockets);
	snprintf(vhost_path_b, sizeof(vhost_path_b), "%s/b", sockets);
	fixture_begin(fixture);
	fixture_tenant(fixture, "acme", 1000);
	fixture_segment(fixture, "acme", "web", 0, NULL);
	fixture_commit(fixture);
	return 0;
}

int vhost_tear_down(void **state)
{
	unlink(vhost_path_a);
	unlink(vhost_path_b);
	assert_int_equal(rmdir(sockets), 0);
	return fixture_tear_down(state);
}

void vhost_put_port(struct fixture *fixture, const char *name, const char *path, bool server)
{
	struct model_port values;

	fixture_begin(fixture);
	values = *fixture_interface(fixture, "acme", name, "web", MODEL_PORT_VHOST_USER);
	values.ifname[0] = '\0';
	snprintf(values.socket, sizeof(values.socket), "%s", path);
	values.server = server;
	assert_int_equal(model_port_put(fixture->model, &values, NULL, NULL), 0);
	fixture_commit(fixture);
}

void vhost_delete_port(struct fixture *fixture, const char *name)
{
	fixture_begin(fixture);
	model_port_del(fixture->model, fixture_find_port(fixture, "acme", name));
	fixture_commit(fixture);
}

int vhost_listen(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

int vhost_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

int vhost_accept(struct fixture *fixture, int listener)
{
	int turn, fd;

	for (turn = 0; turn < TURNS_MAX; turn++) {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			return fd;
		fixture_turn(fixture);
	}
	fail_msg("nobody connects");
	return -1;
}

void vhost_age_directory(void)
{
	const struct timespec times[2] = {{1000, 0}, {1000, 0}};

	assert_int_equal(utimensat(AT_FDCWD, sockets, times, 0), 0);
}

static const char *reason_of(struct fixture *fixture, const char *name,
			     enum reconcile_port_state *state)
{
	const char *reason;

	*state = reconcile_port_state(fixture->reconcile, fixture_find_port(fixture, "acme", name),
				      &reason);
	return reason;
}

void vhost_expect_up(struct fixture *fixture, const char *name)
{
	enum reconcile_port_state state;

	assert_string_equal(reason_of(fixture, name, &state), "");
	assert_int_equal(state, RECONCILE_PORT_UP);
}

void vhost_expect_waiting(struct fixture *fixture, const char *name, const char *format, ...)
{
	enum reconcile_port_state state;
	char expected[256];
	va_list arguments;
	int turn;

	va_start(arguments, format);
	vsnprintf(expected, sizeof(expected), format, arguments);
	va_end(arguments);
	for (turn = 0; strcmp(reason_of(fixture, name, &state), expected) != 0; turn++) {
		if (turn == TURNS_MAX)
			assert_string_equal(reason_of(fixture, name, &state), expected);
		fixture_turn(fixture);
	}
	assert_int_equal(state, RECONCILE_PORT_WAITING);
}

void vhost_expect_given_away(struct fixture *fixture, int frontend, uint32_t index)
{
	struct pollfd poller = {.fd = frontend, .events = POLLIN};
	int fd = fixture_kept(fixture, PROTO_HANDBACK_PORT, index);
	char octet = 0;

	assert_int_equal(poll(&poller, 1, 0), 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(read(frontend, &octet, 1), 1);
	assert_int_equal(octet, 'x');
	fixture_drop_everything(fixture);
	assert_int_equal(poll(&poller, 1, 0), 1);
	assert_int_equal(read(frontend, &octet, 1), 0);
}

void vhost_expect_ended(struct fixture *fixture, int frontend)
{
	char octet;
	int turn;

	for (turn = 0; turn < TURNS_MAX && read(frontend, &octet, 1) != 0; turn++)
		fixture_turn(fixture);
	assert_true(turn < TURNS_MAX);
	close(frontend);
}

void vhost_say_lost(struct fixture *fixture, uint32_t index, uint32_t incarnation)
{
	const struct proto_port_lost lost = {.port = {index, incarnation}, .error = ECONNRESET};

	fixture_say(fixture, PROTO_PORT_LOST, &lost, sizeof(lost), -1);
}
