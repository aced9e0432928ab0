/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_SWITCH_FIXTURE_H
#define VSWITCH_TESTS_UNIT_SWITCH_FIXTURE_H

/*
 * A switch with running workers, told what to do by real messages over a socketpair. Its ports are
 * socketpairs that are read and written like TAPs, so that nothing needs root.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/channel.h"
#include "datapath/ports/port.h"
#include "datapath/transaction.h"

#define DEADLINE_MS 20000
#define FDB_BUCKETS 1024u
#define WORKERS	    2u
#define HEADER_SIZE sizeof(struct virtio_net_hdr)
#define PORTS_MAX   8u
#define INCARNATION 1000u /* of the objects that a test makes first */

struct fixture {
	int open_before;
	struct channel *daemon, *link;
	struct switch_state state;
	int stats_fd, fdb_fd;
	int far[PORTS_MAX]; /* the other end of each port; -1: none */
	struct proto_reply reply;
	int result; /* of the last switch_message() */
};

/* Descriptors of this process that are open. */
static inline int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static inline int sealed_memory(uint64_t size, uint64_t magic, int seals)
{
	int fd = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (magic != 0)
		assert_int_equal(pwrite(fd, &magic, sizeof(magic), 0), sizeof(magic));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* Takes what the daemon's end has sent, as control_link.c does. */
static inline void serve(struct fixture *fixture)
{
	struct channel_message message;

	assert_int_equal(channel_flush(fixture->daemon), 0);
	fixture->result = 0;
	while (fixture->result >= 0 && channel_receive(fixture->link, &message) == 1) {
		fixture->result = switch_message(&fixture->state, &message, &fixture->reply);
		channel_message_close(&message);
	}
}

static inline void tell_fds(struct fixture *fixture, uint16_t type, const void *record, size_t size,
			    const int *fds, uint32_t count)
{
	assert_int_equal(channel_append(fixture->daemon, type, record, (uint16_t)size, fds, count),
			 0);
}

#define tell(fixture, type, ...)                                                                   \
	tell_fds(fixture, type, (__typeof__(__VA_ARGS__)[1]){__VA_ARGS__}, sizeof(__VA_ARGS__),    \
		 NULL, 0)

static inline void tell_memory(struct fixture *fixture, uint32_t kind, uint64_t size, int fd)
{
	struct proto_memory record = {.kind = kind, .size = size};

	tell_fds(fixture, PROTO_MEMORY, &record, sizeof(record), &fd, 1);
}

static inline void begin(struct fixture *fixture, uint64_t generation, uint64_t base)
{
	tell(fixture, PROTO_BEGIN, (struct proto_begin){generation, base});
}

/* Commits, and returns what the reply says: 0 or a positive errno. */
static inline int commit(struct fixture *fixture, uint64_t generation)
{
	tell(fixture, PROTO_COMMIT, (struct proto_commit){generation});
	serve(fixture);
	assert_int_equal(fixture->result, 1);
	assert_int_equal(fixture->reply.generation, generation);
	assert_true((fixture->reply.error == 0) == (fixture->reply.text[0] == '\0'));
	return fixture->reply.error;
}

static inline struct proto_ref ref_of(uint32_t index)
{
	return (struct proto_ref){index, INCARNATION + index};
}

static inline struct proto_port port_record(uint32_t index, uint32_t fd_count)
{
	return (struct proto_port){.ref = ref_of(index),
				   .tenant = ref_of(0),
				   .type = PROTO_PORT_TAP,
				   .flags = PROTO_PORT_ADMIN_UP,
				   .mtu = 1500,
				   .fd_count = fd_count};
}

/* Sends a port with a new socketpair, whose other end is fixture->far[index]. */
static inline void tell_port(struct fixture *fixture, const struct proto_port *port)
{
	uint32_t index = port->ref.index;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	tell_fds(fixture, PROTO_PORT_SET, port, sizeof(*port), fds, 1);
	close(fds[0]);
	if (fixture->far[index] >= 0)
		close(fixture->far[index]);
	fixture->far[index] = fds[1];
}

static inline void tell_member(struct fixture *fixture, uint32_t port)
{
	tell(fixture, PROTO_MEMBER_SET,
	     (struct proto_member){.port = ref_of(port), .segment = ref_of(0)});
}

static inline void tell_tenant(struct fixture *fixture, uint32_t index)
{
	tell(fixture, PROTO_TENANT_SET, (struct proto_tenant){.ref = ref_of(index)});
}

static inline void tell_segment(struct fixture *fixture, uint32_t index)
{
	tell(fixture, PROTO_SEGMENT_SET,
	     (struct proto_segment){.ref = ref_of(index),
				    .tenant = ref_of(0),
				    .vni = 5000 + index,
				    .mtu = 1500,
				    .ageing = 300});
}

/* Tenant 0, segment 0, and so many ports in it: generation 1. */
static inline void configure(struct fixture *fixture, uint32_t ports)
{
	begin(fixture, 1, 0);
	tell_tenant(fixture, 0);
	tell_segment(fixture, 0);
	for (uint32_t i = 0; i < ports; i++) {
		struct proto_port port = port_record(i, 1);

		tell_port(fixture, &port);
		tell_member(fixture, i);
	}
	assert_int_equal(commit(fixture, 1), 0);
}

static inline void start_switch(struct fixture *fixture)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	fixture->daemon = channel_new(fds[0]);
	fixture->link = channel_new(fds[1]);
	assert_int_equal(switch_init(&fixture->state, WORKERS), 0);
}

static inline void stop_switch(struct fixture *fixture)
{
	switch_fini(&fixture->state);
	channel_free(fixture->daemon);
	channel_free(fixture->link);
}

static inline int set_up_bare(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int seals = F_SEAL_SHRINK | F_SEAL_GROW;

	assert_non_null(fixture);
	fixture->open_before = count_fds();
	for (unsigned i = 0; i < PORTS_MAX; i++)
		fixture->far[i] = -1;
	fixture->stats_fd = sealed_memory(STATS_MEMORY_SIZE, STATS_MAGIC, seals);
	fixture->fdb_fd = sealed_memory(FDB_MEMORY_SIZE(FDB_BUCKETS), 0, seals);
	start_switch(fixture);
	*state = fixture;
	return 0;
}

static inline void give_memories(struct fixture *fixture)
{
	tell_memory(fixture, PROTO_MEMORY_STATS, STATS_MEMORY_SIZE, fixture->stats_fd);
	tell_memory(fixture, PROTO_MEMORY_FDB, FDB_MEMORY_SIZE(FDB_BUCKETS), fixture->fdb_fd);
	serve(fixture);
	assert_int_equal(fixture->result, 0);
}

static inline int set_up(void **state)
{
	set_up_bare(state);
	give_memories(*state);
	return 0;
}

/* No descriptor may be left open. */
static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;
	int leaked;

	stop_switch(fixture);
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		if (fixture->far[i] >= 0)
			close(fixture->far[i]);
	}
	close(fixture->stats_fd);
	close(fixture->fdb_fd);
	leaked = count_fds() - fixture->open_before;
	free(fixture);
	return leaked;
}

/* A frame between the MACs 02:…:01 + port, numbered. */
static inline void send_frame(struct fixture *fixture, uint32_t from, uint32_t to, uint32_t number)
{
	struct {
		struct virtio_net_hdr offload;
		uint8_t octets[60];
	} __attribute__((packed)) frame = {.octets = {2, 0, 0, 0, 0, (uint8_t)(1 + to), 2, 0, 0, 0,
						      0, (uint8_t)(1 + from), 0x88, 0xb5}};

	if (to == PROTO_NO_INDEX)
		memset(frame.octets, 0xff, 6);
	memcpy(frame.octets + 14, &number, sizeof(number));
	while (write(fixture->far[from], &frame, sizeof(frame)) < 0) {
		struct pollfd poller = {.fd = fixture->far[from], .events = POLLOUT};

		assert_int_equal(errno, EAGAIN);
		assert_int_equal(poll(&poller, 1, DEADLINE_MS), 1);
	}
}

/* The number of the next frame that left by the port; UINT32_MAX when none does within `ms`. */
static inline uint32_t receive_frame(struct fixture *fixture, uint32_t port, int ms)
{
	struct pollfd poller = {.fd = fixture->far[port], .events = POLLIN};
	uint8_t octets[2048];
	uint32_t number;

	if (poll(&poller, 1, ms) != 1 ||
	    read(fixture->far[port], octets, sizeof(octets)) != (ssize_t)HEADER_SIZE + 60)
		return UINT32_MAX;
	memcpy(&number, octets + HEADER_SIZE + 14, sizeof(number));
	return number;
}

/* Sums a counter of a port, or any other object, over the workers. */
#define counter(fixture, place) sum_of(fixture, offsetof(struct stats_worker, place))

static inline uint64_t sum_of(const struct fixture *fixture, size_t offset)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < STATS_WORKERS; i++)
		sum += __atomic_load_n(
			(uint64_t *)((uint8_t *)&fixture->state.shared.stats->workers[i] + offset),
			__ATOMIC_RELAXED);
	return sum;
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define BARE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_bare, tear_down)

#endif
