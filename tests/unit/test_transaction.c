/* SPDX-License-Identifier: Apache-2.0 */

/* The protocol's messages: what they change, what they are refused for, and what stays then. */

#include "switch_fixture.h"

static void refuses_memories(void **state)
{
	static const struct {
		uint32_t kind;
		uint64_t size, said, magic;
		int seals;
	} bad[] = {
		{PROTO_MEMORY_STATS, STATS_MEMORY_SIZE, STATS_MEMORY_SIZE, STATS_MAGIC, 0},
		{PROTO_MEMORY_STATS, STATS_MEMORY_SIZE, STATS_MEMORY_SIZE, STATS_MAGIC,
		 F_SEAL_GROW},
		{PROTO_MEMORY_STATS, STATS_MEMORY_SIZE - 1, STATS_MEMORY_SIZE, STATS_MAGIC,
		 F_SEAL_SHRINK},
		{PROTO_MEMORY_STATS, STATS_MEMORY_SIZE, STATS_MEMORY_SIZE - 1, STATS_MAGIC,
		 F_SEAL_SHRINK},
		{PROTO_MEMORY_STATS, STATS_MEMORY_SIZE, STATS_MEMORY_SIZE, 7, F_SEAL_SHRINK},
		{PROTO_MEMORY_STATS, STATS_MEMORY_SIZE, STATS_MEMORY_SIZE, STATS_MAGIC,
		 F_SEAL_SHRINK | F_SEAL_WRITE},
		{PROTO_MEMORY_FDB, 1 << 20, 1 << 20, 0, 0},
		{PROTO_MEMORY_FDB, 1 << 20, (1 << 20) + 1, 0, F_SEAL_SHRINK},
		{PROTO_MEMORY_FDB, 1 << 20, 0, 0, F_SEAL_SHRINK},
		{PROTO_MEMORY_FDB, 1 << 20, UINT64_MAX, 0, F_SEAL_SHRINK},
		{3, 1 << 20, 1 << 20, 0, F_SEAL_SHRINK},
		{0, 1 << 20, 1 << 20, 0, F_SEAL_SHRINK},
	};
	struct fixture *fixture = *state;
	int not_a_file[2];

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = sealed_memory(bad[i].size, bad[i].magic, bad[i].seals);

		tell_memory(fixture, bad[i].kind, bad[i].said, fd);
		serve(fixture);
		assert_int_equal(fixture->result, -EPROTO);
		close(fd);
	}
	assert_int_equal(pipe(not_a_file), 0);
	tell_memory(fixture, PROTO_MEMORY_FDB, 4096, not_a_file[0]);
	serve(fixture);
	assert_int_equal(fixture->result, -EPROTO);
	close(not_a_file[0]);
	close(not_a_file[1]);
	/* A record without its descriptor. */
	tell(fixture, PROTO_MEMORY, (struct proto_memory){.kind = PROTO_MEMORY_FDB, .size = 4096});
	serve(fixture);
	assert_int_equal(fixture->result, -EPROTO);
	assert_int_equal(fixture->state.stats_fd, -1);
	assert_int_equal(fixture->state.fdb_fd, -1);
	/* None of it did harm. */
	give_memories(fixture);
	configure(fixture, 1);
}

static void needs_its_memories(void **state)
{
	struct fixture *fixture = *state;

	begin(fixture, 1, 0);
	assert_int_equal(commit(fixture, 1), EINVAL);
	tell_memory(fixture, PROTO_MEMORY_STATS, STATS_MEMORY_SIZE, fixture->stats_fd);
	begin(fixture, 1, 0);
	assert_int_equal(commit(fixture, 1), EINVAL);
	assert_null(fixture->state.config);
	tell_memory(fixture, PROTO_MEMORY_FDB, FDB_MEMORY_SIZE(FDB_BUCKETS), fixture->fdb_fd);
	configure(fixture, 2);
	/* What is in use stays in use, whatever else is sent. */
	give_memories(fixture);
	begin(fixture, 2, 1);
	assert_int_equal(commit(fixture, 2), 0);
}

static void refuses_what_is_no_message(void **state)
{
	static const uint16_t types[] = {0,
					 PROTO_HELLO,
					 PROTO_REPLY,
					 PROTO_MAC_HELD,
					 PROTO_HANDBACK_REQUEST,
					 PROTO_HOST_SET + 1,
					 UINT16_MAX};
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		tell(fixture, types[i], (uint64_t){1});
		serve(fixture);
		assert_int_equal(fixture->result, -EPROTO);
	}
	for (unsigned i = 0; i < 2; i++) {
		uint16_t type = i == 0 ? PROTO_BEGIN : PROTO_COMMIT;

		assert_int_equal(channel_append_empty(fixture->daemon, type), 0);
		serve(fixture);
		assert_int_equal(fixture->result, -EPROTO);
		tell(fixture, type, (struct proto_begin){1, 0});
		tell(fixture, type, (struct proto_begin){2, 0});
		serve(fixture);
		assert_int_equal(fixture->result, -EPROTO);
	}
}

static void commits_only_what_was_begun(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(commit(fixture, 1), EPROTO);
	/* Without BEGIN, edits go nowhere. */
	tell_tenant(fixture, 0);
	assert_int_equal(commit(fixture, 1), EPROTO);
	begin(fixture, 1, 0);
	assert_int_equal(commit(fixture, 2), EPROTO);
	assert_int_equal(commit(fixture, 1), EPROTO);
	begin(fixture, 0, 0);
	assert_int_equal(commit(fixture, 0), EINVAL);
	assert_null(fixture->state.config);
	/* BEGIN forgets what was begun before. */
	begin(fixture, 1, 0);
	tell_tenant(fixture, 0);
	begin(fixture, 2, 0);
	tell_tenant(fixture, 1);
	assert_int_equal(commit(fixture, 2), 0);
	assert_int_equal(fixture->state.config->tenants[0].incarnation, 0);
	assert_int_equal(fixture->state.config->tenants[1].incarnation, INCARNATION + 1);
	/* So does a lost connection. */
	begin(fixture, 3, 2);
	tell_tenant(fixture, 0);
	serve(fixture);
	switch_abort(&fixture->state);
	assert_int_equal(commit(fixture, 3), EPROTO);
	assert_int_equal(fixture->state.config->generation, 2);
}

static void refuses_another_base(void **state)
{
	struct fixture *fixture = *state;

	begin(fixture, 5, 4);
	assert_int_equal(commit(fixture, 5), ESTALE);
	configure(fixture, 1);
	begin(fixture, 2, 7);
	tell_tenant(fixture, 1);
	assert_int_equal(commit(fixture, 2), ESTALE);
	assert_int_equal(fixture->state.config->generation, 1);
	assert_int_equal(fixture->state.config->tenants[1].incarnation, 0);
	begin(fixture, 2, 1);
	tell_tenant(fixture, 1);
	assert_int_equal(commit(fixture, 2), 0);
	assert_int_equal(fixture->state.config->tenants[1].incarnation, INCARNATION + 1);
	assert_int_equal(fixture->state.config->tenants[0].incarnation, INCARNATION);
}

struct refusal {
	uint16_t type;
	int error;
	union {
		struct proto_ref ref;
		struct proto_tenant tenant;
		struct proto_segment segment;
		struct proto_port port;
		struct proto_member member;
		struct proto_vtep vtep;
		struct proto_peer peer;
		struct proto_segment_peer segment_peer;
		struct proto_fdb fdb;
	} record;
};

#define REF(index)                                                                                 \
	{                                                                                          \
		index, INCARNATION + (index)                                                       \
	}
#define STALE                                                                                      \
	{                                                                                          \
		0, 7                                                                               \
	}
#define NONE                                                                                       \
	{                                                                                          \
		PROTO_NO_INDEX, 0                                                                  \
	}
#define BEYOND                                                                                     \
	{                                                                                          \
		PROTO_INDEX_CAPACITY, 1                                                            \
	}
#define ADDRESS(d)                                                                                 \
	{                                                                                          \
		AF_INET, .bytes = { 192, 0, 2, d }                                                 \
	}
#define SEGMENT(...)                                                                               \
	{                                                                                          \
		.segment = { __VA_ARGS__, .mtu = 1500, .ageing = 300 }                             \
	}

/* Against tenant 0, segment 0, ports 0 and 1. */
static const struct refusal refusals[] = {
	{PROTO_TENANT_SET, EEXIST, {.tenant = {.ref = STALE}}},
	{PROTO_TENANT_SET, EINVAL, {.tenant = {.ref = BEYOND}}},
	{PROTO_TENANT_SET, EINVAL, {.tenant = {.ref = {3, 0}}}},
	{PROTO_TENANT_SET, EINVAL, {.tenant = {.ref = REF(1), .weight = PROTO_WEIGHT_MAX + 1}}},
	{PROTO_TENANT_SET, EINVAL, {.tenant = {.ref = REF(1), .overhead = PROTO_OVERHEAD_MIN - 1}}},
	{PROTO_TENANT_SET, EINVAL, {.tenant = {.ref = REF(1), .overhead = PROTO_OVERHEAD_MAX + 1}}},
	{PROTO_TENANT_DEL, ENOENT, {.ref = STALE}},
	{PROTO_TENANT_DEL, ENOENT, {.ref = NONE}},
	{PROTO_TENANT_DEL, ENOENT, {.ref = REF(0)}}, /* its segment has none then */
	{PROTO_SEGMENT_SET, ENOENT, SEGMENT(.ref = REF(1), .tenant = STALE)},
	{PROTO_SEGMENT_SET, ENOENT, SEGMENT(.ref = REF(1), .tenant = NONE)},
	{PROTO_SEGMENT_SET, EINVAL, SEGMENT(.ref = REF(1), .tenant = REF(0), .vni = 1 << 24)},
	{PROTO_SEGMENT_SET, EINVAL, SEGMENT(.ref = REF(1), .tenant = REF(0), .flags = 2)},
	{PROTO_SEGMENT_SET, EEXIST, SEGMENT(.ref = REF(1), .tenant = REF(0), .vni = 5000)},
	{PROTO_SEGMENT_DEL, EBUSY, {.ref = REF(0)}},
	{PROTO_SEGMENT_DEL, ENOENT, {.ref = REF(1)}},
	{PROTO_PORT_SET,
	 EEXIST,
	 {.port = {.ref = STALE, .tenant = REF(0), .type = PROTO_PORT_TAP}}},
	{PROTO_PORT_SET,
	 ENOENT,
	 {.port = {.ref = REF(2), .tenant = STALE, .type = PROTO_PORT_TAP}}},
	{PROTO_PORT_SET,
	 EINVAL,
	 {.port = {.ref = BEYOND, .tenant = REF(0), .type = PROTO_PORT_TAP}}},
	{PROTO_PORT_SET,
	 EINVAL,
	 {.port = {.ref = REF(2), .tenant = REF(0), .type = PROTO_PORT_TAP, .fd_count = 1}}},
	{PROTO_PORT_DEL, ENOENT, {.ref = STALE}},
	{PROTO_MEMBER_SET, ENOENT, {.member = {.port = REF(2), .segment = REF(0)}}},
	{PROTO_MEMBER_SET, ENOENT, {.member = {.port = REF(0), .segment = STALE}}},
	{PROTO_MEMBER_SET, EINVAL, {.member = {.port = REF(0), .segment = REF(0), .vid = 4095}}},
	{PROTO_MEMBER_DEL, ENOENT, {.member = {.port = REF(0), .segment = REF(1)}}},
	{PROTO_VTEP_SET, EEXIST, {.vtep = {.ref = REF(0), .local = ADDRESS(1), .udp_port = 1}}},
	{PROTO_VTEP_SET, EINVAL, {.vtep = {.ref = REF(5), .local = ADDRESS(1), .udp_port = 0}}},
	{PROTO_VTEP_SET,
	 EINVAL,
	 {.vtep = {.ref = REF(5), .local = ADDRESS(1), .udp_port = 1 << 16}}},
	{PROTO_PEER_SET, EINVAL, {.peer = {.ref = REF(0), .addr = {.family = AF_INET6}}}},
	{PROTO_PEER_SET, EINVAL, {.peer = {.ref = REF(0), .addr = {.family = AF_INET}}}},
	{PROTO_PEER_DEL, ENOENT, {.ref = REF(0)}},
	{PROTO_SEGMENT_PEER_SET, ENOENT, {.segment_peer = {.segment = REF(0), .peer = REF(0)}}},
	{PROTO_SEGMENT_PEER_DEL, ENOENT, {.segment_peer = {.segment = REF(0), .peer = REF(0)}}},
	{PROTO_FDB_SET, ENOENT, {.fdb = {REF(1), REF(0), NONE, .mac = {2, 1}}}},
	{PROTO_FDB_SET, ENOENT, {.fdb = {STALE, REF(0), NONE, .mac = {2, 1}}}},
	{PROTO_FDB_SET, ENOENT, {.fdb = {REF(0), STALE, NONE, .mac = {2, 1}}}},
	{PROTO_FDB_SET, ENOENT, {.fdb = {REF(0), NONE, REF(0), .mac = {2, 1}}}},
	{PROTO_FDB_SET, ENOENT, {.fdb = {REF(0), NONE, NONE, .mac = {2, 1}}}},
	{PROTO_FDB_SET, EINVAL, {.fdb = {REF(0), REF(0), NONE, .mac = {3, 1}}}},
	{PROTO_FDB_SET, EINVAL, {.fdb = {REF(0), REF(0), NONE, .mac = {0}}}},
	{PROTO_FDB_DEL, ENOENT, {.fdb = {STALE, REF(0), NONE, .mac = {2, 1}}}},
};

/* Before the bad record, good ones of every kind: none of them may have an effect. */
static void refused_transactions_change_nothing(void **state)
{
	struct fixture *fixture = *state;
	const struct config *config;

	configure(fixture, 2);
	config = fixture->state.config;
	send_frame(fixture, 0, 1, 1);
	assert_int_equal(receive_frame(fixture, 1, DEADLINE_MS), 1);
	for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct proto_tenant tenant = {.ref = REF(0), .send_rate = 1000};
		struct proto_port port = port_record(0, 0);
		struct proto_fdb fdb = {REF(0), REF(1), NONE, .mac = {2, 0, 0, 0, 0, 1}};
		int error;

		port.flags = PROTO_PORT_DETACH;
		port.send_rate = 1000;
		begin(fixture, 2, 1);
		tell(fixture, PROTO_TENANT_SET, tenant);
		tell(fixture, PROTO_PORT_SET, port);
		tell(fixture, PROTO_FDB_SET, fdb);
		tell(fixture, refusals[i].type, refusals[i].record);
		error = commit(fixture, 2);
		if (error != refusals[i].error)
			print_error("refusal %u: %s\n", i, fixture->reply.text);
		assert_int_equal(error, refusals[i].error);
	}
	assert_ptr_equal(fixture->state.config, config);
	assert_ptr_equal(fixture->state.shared.config, config);
	assert_int_equal(config->generation, 1);
	assert_int_equal(shaper_rate(fixture->state.shared.shaper, SHAPER_TENANT_SEND, 0), 0);
	assert_int_equal(shaper_rate(fixture->state.shared.shaper, SHAPER_PORT_SEND, 0), 0);
	/* MAC 1 was learned at port 0 and is there still; the port works. */
	send_frame(fixture, 1, 0, 2);
	assert_int_equal(receive_frame(fixture, 0, DEADLINE_MS), 2);
	assert_int_equal(counter(fixture, ports[0].rx_packets), 1);
}

static void needs_as_many_descriptors_as_are_said(void **state)
{
	struct fixture *fixture = *state;
	struct proto_port port = port_record(0, 2);
	int fds[4];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds + 2), 0);
	begin(fixture, 1, 0);
	tell_tenant(fixture, 0);
	tell_fds(fixture, PROTO_PORT_SET, &port, sizeof(port), fds, 1);
	assert_int_equal(commit(fixture, 1), EINVAL);
	port.fd_count = PORT_QUEUES_MAX + 1;
	begin(fixture, 1, 0);
	tell_tenant(fixture, 0);
	tell_fds(fixture, PROTO_PORT_SET, &port, sizeof(port), fds, 1);
	assert_int_equal(commit(fixture, 1), EINVAL);
	port.fd_count = UINT32_MAX;
	begin(fixture, 1, 0);
	tell_tenant(fixture, 0);
	tell_fds(fixture, PROTO_PORT_SET, &port, sizeof(port), fds, 1);
	assert_int_equal(commit(fixture, 1), EINVAL);
	/* Memory ports take none, VTEPs at least two. */
	port = port_record(0, 1);
	port.type = PROTO_PORT_MEMORY;
	begin(fixture, 1, 0);
	tell_tenant(fixture, 0);
	tell_fds(fixture, PROTO_PORT_SET, &port, sizeof(port), fds, 1);
	assert_int_equal(commit(fixture, 1), EINVAL);
	begin(fixture, 1, 0);
	tell_fds(fixture, PROTO_VTEP_SET,
		 &(struct proto_vtep){
			 .ref = REF(3), .local = ADDRESS(1), .udp_port = 4789, .fd_count = 1},
		 sizeof(struct proto_vtep), fds, 1);
	assert_int_equal(commit(fixture, 1), EINVAL);
	/* More than the records claim are closed, and do no harm; tear_down() counts. */
	port = port_record(0, 1);
	begin(fixture, 1, 0);
	tell_tenant(fixture, 0);
	tell_fds(fixture, PROTO_PORT_SET, &port, sizeof(port), fds, 4);
	assert_int_equal(commit(fixture, 1), 0);
	assert_int_equal(fixture->state.config->ports[0].port->queue_count, 1);
	for (unsigned i = 0; i < 4; i++)
		close(fds[i]);
}

static void keeps_and_detaches_descriptors(void **state)
{
	struct fixture *fixture = *state;
	struct proto_port port = port_record(0, 0);
	const struct port *object;
	uint8_t octet;

	configure(fixture, 2);
	object = fixture->state.config->ports[0].port;
	/* A delta, and then everything: what is held stays. */
	begin(fixture, 2, 1);
	tell(fixture, PROTO_PORT_SET, port);
	assert_int_equal(commit(fixture, 2), 0);
	assert_ptr_equal(fixture->state.config->ports[0].port, object);
	begin(fixture, 3, 0);
	tell_tenant(fixture, 0);
	tell_segment(fixture, 0);
	for (uint32_t i = 0; i < 2; i++) {
		port = port_record(i, 0);
		tell(fixture, PROTO_PORT_SET, port);
		tell_member(fixture, i);
	}
	assert_int_equal(commit(fixture, 3), 0);
	assert_ptr_equal(fixture->state.config->ports[0].port, object);
	send_frame(fixture, 0, 1, 5);
	assert_int_equal(receive_frame(fixture, 1, DEADLINE_MS), 5);
	/* New ones replace them: the old ones are closed. */
	port = port_record(0, 1);
	begin(fixture, 4, 3);
	tell_port(fixture, &port);
	assert_int_equal(commit(fixture, 4), 0);
	send_frame(fixture, 0, 1, 6);
	assert_int_equal(receive_frame(fixture, 1, DEADLINE_MS), 6);
	port = port_record(0, 0);
	port.flags |= PROTO_PORT_DETACH;
	begin(fixture, 5, 4);
	tell(fixture, PROTO_PORT_SET, port);
	assert_int_equal(commit(fixture, 5), 0);
	assert_null(fixture->state.config->ports[0].port);
	assert_int_equal(read(fixture->far[0], &octet, 1), 0); /* closed */
	/* It waits: frames to it are dropped by name, and it can come again. */
	send_frame(fixture, 1, 0, 7);
	port = port_record(0, 1);
	begin(fixture, 6, 5);
	tell_port(fixture, &port);
	assert_int_equal(commit(fixture, 6), 0);
	send_frame(fixture, 0, 1, 8);
	assert_int_equal(receive_frame(fixture, 1, DEADLINE_MS), 8);
}

static void holds_descriptors(void **state)
{
	struct fixture *fixture = *state;
	int before, fds[SWITCH_HOLD_FDS + 1];

	for (unsigned i = 0; i <= SWITCH_HOLD_FDS; i++)
		fds[i] = dup(fixture->fdb_fd);
	before = count_fds();
	tell_fds(fixture, PROTO_HOLD, &(struct proto_hold){7, 3}, sizeof(struct proto_hold), fds,
		 3);
	tell_fds(fixture, PROTO_HOLD, &(struct proto_hold){8, 1}, sizeof(struct proto_hold), fds,
		 1);
	serve(fixture);
	assert_int_equal(fixture->result, 0);
	assert_int_equal(count_fds(), before + 4);
	/* The same key again replaces what was held; without descriptors it is let go. */
	tell_fds(fixture, PROTO_HOLD, &(struct proto_hold){7, 2}, sizeof(struct proto_hold), fds,
		 2);
	tell(fixture, PROTO_HOLD, (struct proto_hold){8, 0});
	serve(fixture);
	assert_int_equal(fixture->result, 0);
	assert_int_equal(count_fds(), before + 2);
	tell_fds(fixture, PROTO_HOLD, &(struct proto_hold){9, 2}, sizeof(struct proto_hold), fds,
		 1);
	serve(fixture);
	assert_int_equal(fixture->result, -EPROTO);
	tell_fds(fixture, PROTO_HOLD, &(struct proto_hold){9, SWITCH_HOLD_FDS + 1},
		 sizeof(struct proto_hold), fds, SWITCH_HOLD_FDS + 1);
	serve(fixture);
	assert_int_equal(fixture->result, -EPROTO);
	for (uint32_t key = 100; key < 100 + SWITCH_HOLDS_MAX - 1; key++) {
		tell_fds(fixture, PROTO_HOLD, &(struct proto_hold){key, 1},
			 sizeof(struct proto_hold), fds, 1);
		serve(fixture);
		assert_int_equal(fixture->result, 0);
	}
	tell_fds(fixture, PROTO_HOLD, &(struct proto_hold){200, 1}, sizeof(struct proto_hold), fds,
		 1);
	serve(fixture);
	assert_int_equal(fixture->result, -EPROTO);
	assert_int_equal(count_fds(), before + 2 + (int)SWITCH_HOLDS_MAX - 1);
	for (unsigned i = 0; i <= SWITCH_HOLD_FDS; i++)
		close(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BARE_TEST(refuses_memories),
		BARE_TEST(needs_its_memories),
		TEST(refuses_what_is_no_message),
		TEST(commits_only_what_was_begun),
		TEST(refuses_another_base),
		TEST(refused_transactions_change_nothing),
		TEST(needs_as_many_descriptors_as_are_said),
		TEST(keeps_and_detaches_descriptors),
		TEST(holds_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
