/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/reconcile_fixture.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Nothing is put off, so that one transaction has all that follows from a change. */
#define AN_HOUR 3600000000000u

static bool write_file(const char *path, const char *text);
static bool become_root(void);
static bool enter_namespace(void);
static bool try_accept(struct fixture *fixture);
static bool receive(struct fixture *fixture);
static int64_t now(void);

bool fixture_isolate(void)
{
	if (geteuid() != 0 && !become_root())
		return false;
	return enter_namespace();
}

int fixture_set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	assert_true(enter_namespace());
	snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/vswitch-test-XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	fixture->base = event_base_new();
	fixture->model = model_new();
	fixture->listener = -1;
	fixture->started = 1;
	fixture->workers = 1;
	fixture->work_slice = AN_HOUR;
	assert_non_null(fixture->base);
	assert_non_null(fixture->model);
	fixture_listen(fixture);
	*state = fixture;
	return 0;
}

int fixture_tear_down(void **state)
{
	struct fixture *fixture = *state;
	char path[64];
	uint32_t i;

	fixture_stop(fixture);
	fixture_vanish(fixture);
	for (i = 0; i < fixture->kept_count; i++)
		close(fixture->kept[i].fd);
	free(fixture->kept);
	model_free(fixture->model);
	event_base_free(fixture->base);
	snprintf(path, sizeof(path), "%s/instance", fixture->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/devices", fixture->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/pcap", fixture->dir);
	rmdir(path);
	assert_int_equal(rmdir(fixture->dir), 0);
	free(fixture);
	return 0;
}

void fixture_start(struct fixture *fixture)
{
	const struct reconcile_options options = {.run_dir = fixture->dir,
						  .state_dir = fixture->dir,
						  .work_slice = fixture->work_slice};

	assert_null(fixture->reconcile);
	assert_int_equal(
		reconcile_new(&fixture->reconcile, fixture->base, fixture->model, &options), 0);
}

void fixture_stop(struct fixture *fixture)
{
	reconcile_free(fixture->reconcile);
	fixture->reconcile = NULL;
}

void fixture_listen(struct fixture *fixture)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	assert_int_equal(fixture->listener, -1);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/datapath.sock", fixture->dir);
	fixture->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fixture->listener >= 0);
	assert_int_equal(bind(fixture->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fixture->listener, 4), 0);
}

void fixture_vanish(struct fixture *fixture)
{
	char path[64];

	channel_free(fixture->peer);
	fixture->peer = NULL;
	if (fixture->listener >= 0)
		close(fixture->listener);
	fixture->listener = -1;
	snprintf(path, sizeof(path), "%s/datapath.sock", fixture->dir);
	unlink(path);
}

void fixture_await_connection(struct fixture *fixture)
{
	int64_t end = now() + FIXTURE_DEADLINE;

	while (!try_accept(fixture)) {
		assert_true(now() < end);
		fixture_turn(fixture);
	}
}

void fixture_expect_end(struct fixture *fixture)
{
	struct channel_message message;
	int64_t end = now() + FIXTURE_DEADLINE;
	int result;

	while ((result = channel_receive(fixture->peer, &message)) == 0) {
		assert_true(now() < end);
		fixture_turn(fixture);
	}
	assert_int_equal(result, -EPIPE);
	channel_free(fixture->peer);
	fixture->peer = NULL;
}

void fixture_greet(struct fixture *fixture)
{
	struct proto_hello hello = {.version = PROTO_VERSION,
				    .pid = 1,
				    .generation = fixture->committed,
				    .started = fixture->started,
				    .workers = fixture->workers,
				    .flags = fixture->flags};

	fixture_await_connection(fixture);
	fixture_say(fixture, PROTO_HELLO, &hello, sizeof(hello), -1);
}

void fixture_meet(struct fixture *fixture)
{
	fixture_greet(fixture);
	fixture_hear(fixture, PROTO_HANDBACK_REQUEST);
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
	fixture_hear(fixture, PROTO_COMMIT);
	fixture_reply(fixture, 0, "");
	fixture_forget(fixture);
}

void fixture_say(struct fixture *fixture, enum proto_type type, const void *record, uint16_t size,
		 int fd)
{
	assert_int_equal(channel_append(fixture->peer, (uint16_t)type, record, size, &fd, fd >= 0),
			 0);
	assert_int_equal(channel_flush(fixture->peer), 0);
}

void fixture_say_nothing(struct fixture *fixture, enum proto_type type)
{
	assert_int_equal(channel_append_empty(fixture->peer, (uint16_t)type), 0);
	assert_int_equal(channel_flush(fixture->peer), 0);
}

void fixture_hand_everything_back(struct fixture *fixture)
{
	const struct fixture_kept *kept = fixture->kept;
	uint32_t i, j;

	for (i = 0; i < fixture->kept_count; i = j) {
		struct proto_handback record = kept[i].record;
		int fds[PROTO_VTEP_FDS_MAX];

		for (j = i; j < fixture->kept_count && kept[j].record.kind == record.kind &&
			    kept[j].record.ref.index == record.ref.index;
		     j++)
			fds[j - i] = kept[j].fd;
		record.fd_count = j - i;
		assert_int_equal(channel_append(fixture->peer, PROTO_HANDBACK, &record,
						sizeof(record), fds, record.fd_count),
				 0);
	}
	fixture_say_nothing(fixture, PROTO_HANDBACK_END);
}

void fixture_drop_everything(struct fixture *fixture)
{
	while (fixture->kept_count > 0)
		close(fixture->kept[--fixture->kept_count].fd);
}

void fixture_reply(struct fixture *fixture, int32_t error, const char *text)
{
	struct proto_reply reply = {.generation = fixture->begin.generation, .error = error};
	struct pollfd poller = {.fd = channel_fd(fixture->peer), .events = POLLOUT};

	assert_int_equal(fixture->last_type, PROTO_COMMIT);
	fixture->last_type = 0;
	if (error == 0)
		fixture->committed = reply.generation;
	snprintf(reply.text, sizeof(reply.text), "%s", text);
	fixture_say(fixture, PROTO_REPLY, &reply, sizeof(reply), -1);
	assert_int_equal(poll(&poller, 1, 0), 1);
	fixture_turn(fixture);
}

void fixture_settle(struct fixture *fixture)
{
	int turn = 0;

	while (fixture_status(fixture).applied_generation != model_generation(fixture->model)) {
		assert_true(turn++ < TURNS_MAX);
		fixture_turn(fixture);
		while (receive(fixture))
			if (fixture->last_type == PROTO_COMMIT)
				fixture_reply(fixture, 0, "");
	}
	fixture_forget(fixture);
}

void fixture_turn(struct fixture *fixture)
{
	const struct timeval step = {0, 5000};

	event_base_loopexit(fixture->base, &step);
	event_base_dispatch(fixture->base);
}

void fixture_hear(struct fixture *fixture, enum proto_type type)
{
	int64_t end = now() + FIXTURE_DEADLINE;

	fixture->last_type = 0;
	while (fixture->last_type != (uint32_t)type) {
		if (receive(fixture))
			continue;
		if (now() >= end)
			fail_msg("message %d did not come after:\n%s", type, fixture->heard);
		fixture_turn(fixture);
	}
}

/* An answer that was sent is taken in one turn; what follows from it is scheduled, and done in the
 * next. */
void fixture_expect_silence(struct fixture *fixture)
{
	int turn;

	for (turn = 0; turn < 4; turn++) {
		fixture_turn(fixture);
		if (fixture->peer != NULL)
			assert_false(receive(fixture));
	}
}

void fixture_forget(struct fixture *fixture)
{
	fixture->heard[0] = '\0';
	fixture->heard_size = 0;
	fixture->messages_with_fds = 0;
	fixture->fds = 0;
}

int fixture_kept(const struct fixture *fixture, enum proto_handback_kind kind, uint32_t index)
{
	uint32_t i;

	for (i = fixture->kept_count; i-- > 0;)
		if (fixture->kept[i].record.kind == (uint32_t)kind &&
		    fixture->kept[i].record.ref.index == index)
			return fixture->kept[i].fd;
	return -1;
}

struct reconcile_status fixture_status(const struct fixture *fixture)
{
	struct reconcile_status status;

	reconcile_status(fixture->reconcile, &status);
	return status;
}

void fixture_begin(struct fixture *fixture)
{
	model_begin(fixture->model);
}

void fixture_commit(struct fixture *fixture)
{
	const struct model_change *changes;
	struct problem problem;
	uint32_t count;

	problem_init(&problem);
	if (model_check(fixture->model, &problem) < 0)
		fail_msg("%s", problem.detail);
	model_commit(fixture->model);
	changes = model_changes(fixture->model, &count);
	if (fixture->reconcile != NULL)
		reconcile_apply(fixture->reconcile, changes, count);
}

struct model_tenant *fixture_tenant(struct fixture *fixture, const char *name, uint64_t send_rate)
{
	struct model_tenant values = {.bandwidth = {.send.rate = send_rate, .weight = 1}};
	struct model_tenant *tenant;
	struct problem problem;

	problem_init(&problem);
	snprintf(values.name, sizeof(values.name), "%s", name);
	assert_int_equal(model_tenant_put(fixture->model, &values, &tenant, &problem), 0);
	return tenant;
}

struct model_segment *fixture_segment(struct fixture *fixture, const char *tenant, const char *name,
				      uint32_t vni, const char *peer)
{
	struct model_segment values = {.tenant = model_tenant_find(fixture->model, tenant),
				       .vni = vni,
				       .mtu = 1400,
				       .ageing = MODEL_AGEING_DEFAULT};
	struct model_segment *segment;
	struct proto_addr addr;
	struct problem problem;

	problem_init(&problem);
	snprintf(values.name, sizeof(values.name), "%s", name);
	if (peer != NULL)
		assert_int_equal(addr_ip_parse(peer, &addr), 0);
	assert_int_equal(
		model_segment_put(fixture->model, &values, &addr, peer != NULL, &segment, &problem),
		0);
	return segment;
}

struct model_port *fixture_port(struct fixture *fixture, const char *tenant, const char *name,
				const char *segment)
{
	return fixture_interface(fixture, tenant, name, segment, MODEL_PORT_MEMORY);
}

struct model_port *fixture_interface(struct fixture *fixture, const char *tenant, const char *name,
				     const char *segment, enum model_port_type type)
{
	struct model_member member = {.segment = fixture_find_segment(fixture, tenant, segment)};
	struct model_port values = {.tenant = model_tenant_find(fixture->model, tenant),
				    .type = type,
				    .members = &member,
				    .member_count = 1,
				    .mac = {{2, 0, 0, 0, 0, 1}},
				    .admin_up = true};
	struct model_port *port;
	struct problem problem;

	problem_init(&problem);
	snprintf(values.name, sizeof(values.name), "%s", name);
	snprintf(values.ifname, sizeof(values.ifname), "%.15s", name);
	assert_int_equal(model_port_put(fixture->model, &values, &port, &problem), 0);
	return port;
}

struct model_port *fixture_find_port(const struct fixture *fixture, const char *tenant,
				     const char *name)
{
	struct model_port *port =
		model_port_find(fixture->model, model_tenant_find(fixture->model, tenant), name);

	assert_non_null(port);
	return port;
}

struct model_segment *fixture_find_segment(const struct fixture *fixture, const char *tenant,
					   const char *name)
{
	struct model_segment *segment =
		model_segment_find(model_tenant_find(fixture->model, tenant), name);

	assert_non_null(segment);
	return segment;
}

int fixture_open_tap(const char *ifname)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	return fd;
}

void fixture_vtep(struct fixture *fixture, const char *local, uint16_t udp_port)
{
	struct model_vtep values = {.udp_port = udp_port};
	struct problem problem;

	problem_init(&problem);
	assert_int_equal(addr_ip_parse(local, &values.local), 0);
	assert_int_equal(model_vtep_put(fixture->model, &values, &problem), 0);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

static bool become_root(void)
{
	char users[32], groups[32];

	snprintf(users, sizeof(users), "0 %u 1", geteuid());
	snprintf(groups, sizeof(groups), "0 %u 1", getegid());
	return unshare(CLONE_NEWUSER) == 0 && write_file("/proc/self/uid_map", users) &&
	       write_file("/proc/self/setgroups", "deny") &&
	       write_file("/proc/self/gid_map", groups);
}

static bool enter_namespace(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = unshare(CLONE_NEWNET) < 0 ? -1 : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;

	if (fd >= 0)
		close(fd);
	return up;
}

static bool try_accept(struct fixture *fixture)
{
	int fd = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return false;
	channel_free(fixture->peer);
	fixture->peer = channel_new(fd);
	assert_non_null(fixture->peer);
	return true;
}

/* Takes one message; false: there is none. */
static bool receive(struct fixture *fixture)
{
	struct channel_message message;
	int result = channel_receive(fixture->peer, &message);
	uint32_t i, next_fd = 0;

	if (result == 0)
		return false;
	assert_int_equal(result, 1);
	fixture->last_type = message.type;
	fixture->fds += message.fd_count;
	fixture->messages_with_fds += message.fd_count > 0;
	for (i = 0; i < message.count; i++)
		fixture_take_record(fixture, &message, i, &next_fd);
	assert_int_equal(next_fd, message.fd_count);
	if (message.count > 0)
		return true;
	fixture_take_empty(fixture, message.type);
	return true;
}

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}
