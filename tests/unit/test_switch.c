/* SPDX-License-Identifier: Apache-2.0 */

/* Running workers while their configuration changes, and a datapath that takes over from another.
 */

#include "switch_fixture.h"

#define NONE ((struct proto_ref){PROTO_NO_INDEX, 0})

static void tell_entry(struct fixture *fixture, uint16_t type, uint32_t port, uint8_t mac)
{
	tell(fixture, type,
	     (struct proto_fdb){ref_of(0), ref_of(port), NONE, .mac = {2, 0, 0, 0, 0, mac}});
}

static void flush(struct fixture *fixture, struct proto_ref segment, struct proto_ref port,
		  struct proto_ref peer)
{
	tell(fixture, PROTO_FDB_FLUSH, (struct proto_fdb_flush){segment, port, peer});
	serve(fixture);
	assert_int_equal(fixture->result, 0);
}

static bool knows(struct fixture *fixture, uint8_t mac, uint32_t *destination)
{
	const uint8_t address[6] = {2, 0, 0, 0, 0, mac};

	return fdb_lookup(fixture->state.shared.fdb, fdb_key(0, address), destination);
}

/* MACs 1, 2, 3 are learned at ports 0, 1, 2, and nothing is on its way. */
static void learn_all(struct fixture *fixture)
{
	for (uint32_t from = 0; from < 3; from++) {
		send_frame(fixture, from, PROTO_NO_INDEX, from);
		for (uint32_t port = 0; port < 3; port++) {
			if (port != from)
				assert_int_equal(receive_frame(fixture, port, DEADLINE_MS), from);
		}
	}
}

/* Waits until the counter has this value. */
#define wait_for(fixture, place, value)                                                            \
	wait_until(fixture, offsetof(struct stats_worker, place), value)

static void wait_until(struct fixture *fixture, size_t offset, uint64_t value)
{
	for (unsigned i = 0; i < DEADLINE_MS && sum_of(fixture, offset) != value; i++)
		poll(NULL, 0, 1);
	assert_int_equal(sum_of(fixture, offset), value);
}

static void flushes_learned_entries(void **state)
{
	struct fixture *fixture = *state;
	uint32_t destination;

	flush(fixture, NONE, NONE, NONE); /* before there is an FDB */
	configure(fixture, 3);
	learn_all(fixture);
	begin(fixture, 2, 1);
	tell_entry(fixture, PROTO_FDB_SET, 2, 9);
	assert_int_equal(commit(fixture, 2), 0);
	flush(fixture, ref_of(1), NONE, NONE);
	flush(fixture, NONE, NONE, ref_of(0));
	assert_int_equal(fdb_count(fixture->state.shared.fdb), 4);
	flush(fixture, ref_of(0), ref_of(1), NONE);
	assert_false(knows(fixture, 2, &destination));
	assert_int_equal(fdb_count(fixture->state.shared.fdb), 3);
	flush(fixture, NONE, NONE, NONE);
	assert_int_equal(fdb_count(fixture->state.shared.fdb), 1);
	assert_true(knows(fixture, 9, &destination));
	assert_int_equal(destination, FDB_TO_PORT | 2);
	begin(fixture, 3, 2);
	tell_entry(fixture, PROTO_FDB_DEL, 2, 9);
	assert_int_equal(commit(fixture, 3), 0);
	assert_int_equal(fdb_count(fixture->state.shared.fdb), 0);
}

/* Everything again: learned entries stay, static ones that are not sent go, and so do ports. */
static void a_whole_is_what_it_says(void **state)
{
	struct fixture *fixture = *state;
	uint32_t destination;

	configure(fixture, 3);
	learn_all(fixture);
	begin(fixture, 2, 1);
	tell_entry(fixture, PROTO_FDB_SET, 1, 8);
	tell_entry(fixture, PROTO_FDB_SET, 1, 9);
	assert_int_equal(commit(fixture, 2), 0);
	begin(fixture, 3, 0);
	tell_tenant(fixture, 0);
	tell_segment(fixture, 0);
	for (uint32_t i = 0; i < 2; i++) {
		tell(fixture, PROTO_PORT_SET, port_record(i, 0));
		tell_member(fixture, i);
	}
	tell_entry(fixture, PROTO_FDB_SET, 1, 9);
	assert_int_equal(commit(fixture, 3), 0);
	assert_true(knows(fixture, 1, &destination));
	assert_true(knows(fixture, 2, &destination));
	assert_false(knows(fixture, 3, &destination)); /* its port is gone */
	assert_false(knows(fixture, 8, &destination));
	assert_true(knows(fixture, 9, &destination));
	assert_int_equal(fixture->state.config->ports[2].incarnation, 0);
	assert_int_equal(counter(fixture, ports[0].rx_packets), 1);
}

/* The same memories with a new datapath, as after kill -9. */
static void restart(struct fixture *fixture)
{
	stop_switch(fixture);
	start_switch(fixture);
	give_memories(fixture);
}

/* What waited in a tenant's channels, at a worker that is and at one that is no more. */
static void leave_channels_waiting(struct stats_memory *stats)
{
	stats->workers[0].tenants[0].send = (struct stats_channel){
		.offered_packets = 5,
		.offered_bytes = 500,
		.passed_packets = 2,
		.passed_bytes = 200,
		.queued_packets = 3,
		.queued_bytes = 300,
	};
	stats->workers[WORKERS].tenants[0].receive = (struct stats_channel){
		.offered_packets = 5,
		.offered_bytes = 600,
		.dropped_packets = 1,
		.dropped_bytes = 200,
		.queued_packets = 4,
		.queued_bytes = 400,
	};
}

static void assert_channels_settled(struct fixture *fixture)
{
	assert_int_equal(counter(fixture, tenants[0].send.queued_packets), 0);
	assert_int_equal(counter(fixture, tenants[0].send.queued_bytes), 0);
	assert_int_equal(counter(fixture, tenants[0].send.dropped_packets), 3);
	assert_int_equal(counter(fixture, tenants[0].send.dropped_bytes), 300);
	assert_int_equal(counter(fixture, tenants[0].send.passed_packets), 2);
	assert_int_equal(counter(fixture, tenants[0].receive.queued_packets), 0);
	assert_int_equal(counter(fixture, tenants[0].receive.queued_bytes), 0);
	assert_int_equal(counter(fixture, tenants[0].receive.dropped_packets), 5);
	assert_int_equal(counter(fixture, tenants[0].receive.dropped_bytes), 600);
	assert_int_equal(counter(fixture, tenants[0].receive.offered_packets), 5);
}

static void takes_over_from_a_former_datapath(void **state)
{
	struct fixture *fixture = *state;
	struct stats_memory *stats = mmap(NULL, STATS_MEMORY_SIZE, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_NORESERVE, fixture->stats_fd, 0);
	uint32_t destination;

	assert_true(stats != MAP_FAILED);
	configure(fixture, 3);
	learn_all(fixture);
	begin(fixture, 2, 1);
	tell_entry(fixture, PROTO_FDB_SET, 0, 9);
	assert_int_equal(commit(fixture, 2), 0);
	wait_for(fixture, ports[1].forwarded, 2);
	restart(fixture);
	/* It died with packets that waited, with one worker more than there is now. */
	stats->workers[0].ports[1].queued = 3;
	stats->workers[0].ports[1].rx_packets += 3;
	stats->worker_count = WORKERS + 1;
	stats->workers[WORKERS].ports[1].queued = 4;
	stats->workers[WORKERS].ports[1].rx_packets = 4;
	leave_channels_waiting(stats);
	configure(fixture, 2);
	assert_channels_settled(fixture);
	assert_int_equal(counter(fixture, ports[1].queued), 0);
	assert_int_equal(counter(fixture, ports[1].drops[DROP_RESTART]), 7);
	assert_int_equal(counter(fixture, ports[1].rx_packets), 1 + 7);
	assert_int_equal(counter(fixture, ports[1].forwarded), 2);
	assert_int_equal(counter(fixture, segments[0].learned), 3);
	/* What fits is known; what was static is so only when it is set. */
	assert_true(knows(fixture, 1, &destination));
	assert_true(knows(fixture, 2, &destination));
	assert_false(knows(fixture, 3, &destination));
	send_frame(fixture, 1, 0, 77);
	assert_int_equal(receive_frame(fixture, 0, DEADLINE_MS), 77);
	wait_for(fixture, ports[1].forwarded, 3);
	munmap(stats, STATS_MEMORY_SIZE);
}

static void forgets_what_does_not_fit_after_a_restart(void **state)
{
	struct fixture *fixture = *state;
	uint32_t destination;

	configure(fixture, 3);
	learn_all(fixture);
	restart(fixture);
	begin(fixture, 1, 0);
	tell_tenant(fixture, 0);
	tell_segment(fixture, 0);
	tell_segment(fixture, 1);
	for (uint32_t i = 0; i < 2; i++) {
		struct proto_port port = port_record(i, 1);

		tell_port(fixture, &port);
	}
	tell_member(fixture, 0);
	tell(fixture, PROTO_MEMBER_SET,
	     (struct proto_member){.port = ref_of(1), .segment = ref_of(1)});
	assert_int_equal(commit(fixture, 1), 0);
	assert_true(knows(fixture, 1, &destination));
	assert_false(knows(fixture, 2, &destination)); /* in another segment now */
	assert_false(knows(fixture, 3, &destination));
}

static void counters_start_anew_with_an_object(void **state)
{
	struct fixture *fixture = *state;
	struct proto_port port = port_record(1, 1);
	uint32_t destination;

	configure(fixture, 3);
	learn_all(fixture);
	wait_for(fixture, ports[1].forwarded, 2);
	begin(fixture, 2, 1);
	tell(fixture, PROTO_PORT_DEL, ref_of(1));
	assert_int_equal(commit(fixture, 2), 0);
	assert_false(knows(fixture, 2, &destination));
	assert_int_equal(counter(fixture, ports[1].forwarded), 2);
	port.ref.incarnation = 77;
	begin(fixture, 3, 2);
	tell_port(fixture, &port);
	tell(fixture, PROTO_MEMBER_SET,
	     (struct proto_member){.port = port.ref, .segment = ref_of(0)});
	assert_int_equal(commit(fixture, 3), 0);
	assert_int_equal(counter(fixture, ports[1].rx_packets), 0);
	assert_int_equal(counter(fixture, ports[1].forwarded), 0);
	assert_int_equal(counter(fixture, ports[1].incarnation), 77);
	assert_int_equal(counter(fixture, ports[0].rx_packets), 1);
	assert_int_equal(counter(fixture, segments[0].learned), 3);
	send_frame(fixture, 1, 0, 5);
	assert_int_equal(receive_frame(fixture, 0, DEADLINE_MS), 5);
	wait_for(fixture, ports[1].forwarded, 1);
}

static void assert_adds_up(struct fixture *fixture, uint32_t port)
{
	uint64_t dropped = 0;

	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		dropped += counter(fixture, ports[port].drops[i]);
	assert_int_equal(counter(fixture, ports[port].rx_packets) +
				 counter(fixture, ports[port].copies),
			 counter(fixture, ports[port].forwarded) + dropped +
				 counter(fixture, ports[port].queued));
}

/* One port goes and another takes its index in one transaction, while frames come in. */
static void an_index_changes_hands_under_traffic(void **state)
{
	struct fixture *fixture = *state;
	struct proto_port port = port_record(0, 1);
	uint32_t number = 0;

	configure(fixture, 3);
	learn_all(fixture);
	for (uint64_t generation = 2; generation < 60; generation++) {
		uint64_t before, received;

		for (unsigned i = 0; i < 30; i++) {
			send_frame(fixture, 0, 1, number);
			send_frame(fixture, 2, 1, number++);
		}
		begin(fixture, generation, generation - 1);
		tell(fixture, PROTO_PORT_DEL, port.ref);
		port.ref.incarnation++;
		tell_port(fixture, &port);
		tell(fixture, PROTO_MEMBER_SET,
		     (struct proto_member){.port = port.ref, .segment = ref_of(0)});
		assert_int_equal(commit(fixture, generation), 0);
		/* All of the new port's counters are of what the new port received. */
		send_frame(fixture, 0, 1, UINT32_MAX - 1);
		wait_for(fixture, ports[0].rx_packets, 1);
		wait_for(fixture, ports[0].forwarded, 1);
		assert_adds_up(fixture, 0);
		before = counter(fixture, ports[2].rx_packets);
		wait_for(fixture, ports[2].rx_packets, 1 + number);
		received = counter(fixture, ports[2].rx_packets);
		assert_true(received >= before);
		while (receive_frame(fixture, 1, 0) != UINT32_MAX)
			continue;
	}
	wait_for(fixture, ports[2].forwarded, 2 + number);
	assert_adds_up(fixture, 2);
}

/* Rates, ports and static entries change a few hundred times: no frame is lost or overtaken. */
static void changes_lose_no_frame(void **state)
{
	struct fixture *fixture = *state;
	uint32_t sent = 0, received = 0;

	configure(fixture, 3);
	learn_all(fixture);
	for (uint64_t generation = 2; generation < 300; generation++) {
		struct proto_tenant tenant = {.ref = ref_of(0)};
		struct proto_port port = port_record(0, 0), other = port_record(5, 1);

		for (unsigned i = 0; i < 5; i++)
			send_frame(fixture, 0, 1, sent++);
		tenant.send_rate = generation % 3 == 0 ? 0 : 200000000 + generation * 1000000;
		port.receive_rate = generation % 2 == 0 ? 0 : 1000000000;
		begin(fixture, generation, generation - 1);
		tell(fixture, PROTO_TENANT_SET, tenant);
		tell(fixture, PROTO_PORT_SET, port);
		if (generation % 2 == 0) {
			other.ref.incarnation += (uint32_t)generation;
			tell_port(fixture, &other);
			tell(fixture, PROTO_MEMBER_SET,
			     (struct proto_member){.port = other.ref, .segment = ref_of(0)});
			tell_entry(fixture, PROTO_FDB_SET, 2, 200);
		} else {
			other.ref.incarnation += (uint32_t)generation - 1;
			if (generation > 2)
				tell(fixture, PROTO_PORT_DEL, other.ref);
			tell_entry(fixture, PROTO_FDB_DEL, 2, 200);
		}
		assert_int_equal(commit(fixture, generation), 0);
		while (received + 20 < sent)
			assert_int_equal(receive_frame(fixture, 1, DEADLINE_MS), received++);
	}
	while (received < sent)
		assert_int_equal(receive_frame(fixture, 1, DEADLINE_MS), received++);
	wait_for(fixture, ports[0].forwarded, 2 + sent);
	assert_adds_up(fixture, 0);
	assert_int_equal(counter(fixture, tenants[0].send_packets), 3 + sent);
}

/* What waits when its port goes is counted under its segment, and the gauge does not stay up. */
static void what_waits_for_a_removed_port_is_dropped(void **state)
{
	struct fixture *fixture = *state;
	struct proto_port port = port_record(1, 0);

	configure(fixture, 3);
	learn_all(fixture);
	port.receive_rate = 8 * 10; /* ten octets a second */
	begin(fixture, 2, 1);
	tell(fixture, PROTO_PORT_SET, port);
	assert_int_equal(commit(fixture, 2), 0);
	for (uint32_t i = 0; i < 3; i++)
		send_frame(fixture, 0, 1, i);
	wait_for(fixture, ports[0].queued, 2);
	begin(fixture, 3, 2);
	tell(fixture, PROTO_PORT_DEL, ref_of(1));
	assert_int_equal(commit(fixture, 3), 0);
	wait_for(fixture, ports[0].queued, 0);
	wait_for(fixture, ports[0].drops[DROP_PORT_GONE], 2);
	assert_adds_up(fixture, 0);
	assert_int_equal(counter(fixture, tenants[0].drops[DROP_PORT_GONE]), 2);
}

/* A port whose other end is gone is reported once. */
static void tells_that_a_port_is_lost(void **state)
{
	struct fixture *fixture = *state;
	struct worker_shared *shared = &fixture->state.shared;
	unsigned count = 0;

	configure(fixture, 2);
	close(fixture->far[0]);
	fixture->far[0] = -1;
	for (unsigned i = 0; i < DEADLINE_MS && count == 0; i++) {
		poll(NULL, 0, 1);
		pthread_mutex_lock(&shared->event_lock);
		count = shared->event_count;
		pthread_mutex_unlock(&shared->event_lock);
	}
	assert_int_equal(count, 1);
	assert_int_equal(shared->events[0].type, WORKER_PORT_LOST);
	assert_int_equal(shared->events[0].ref.index, 0);
	assert_int_equal(shared->events[0].ref.incarnation, INCARNATION);
	assert_true(shared->events[0].error > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(flushes_learned_entries),
		TEST(a_whole_is_what_it_says),
		TEST(takes_over_from_a_former_datapath),
		TEST(forgets_what_does_not_fit_after_a_restart),
		TEST(counters_start_anew_with_an_object),
		TEST(an_index_changes_hands_under_traffic),
		TEST(changes_lose_no_frame),
		TEST(what_waits_for_a_removed_port_is_dropped),
		TEST(tells_that_a_port_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
