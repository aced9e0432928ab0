/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/shaper_fixture.h"

#define GATE SHAPER_PORT_RECEIVE, 2

struct fixture {
	struct shaper *shaper;
	struct shaper_worker *worker, *other;
	uint64_t now, number, next_number; /* of packets that come, and that leave */
	uint64_t lost[DROP_REASON_COUNT];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (fixture == NULL)
		return -1;
	fixture->shaper = shaper_new(8);
	fixture->worker = shaper_worker_new(fixture->shaper);
	fixture->other = shaper_worker_new(fixture->shaper);
	fixture->now = 5000 * SECOND + 4711;
	*state = fixture;
	return fixture->other == NULL;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	test_drain_all(fixture->worker);
	test_drain_all(fixture->other);
	shaper_worker_free(fixture->worker);
	shaper_worker_free(fixture->other);
	shaper_free(fixture->shaper);
	free(fixture);
	return 0;
}

/*
 * Packets leave in the order in which they came, whether they are let out or lost. Returns how many
 * were let out.
 */
static unsigned leave(struct fixture *fixture, struct batch *batch)
{
	struct packet_list lost;
	unsigned taken = 0;

	packet_list_init(&lost);
	shaper_take_lost(fixture->worker, &lost);
	while (lost.first != NULL || taken < batch->count) {
		struct packet *packet = lost.first;

		if (packet != NULL && packet->outer_vni == fixture->next_number) {
			packet_list_pop(&lost);
			fixture->lost[packet->drop]++;
		} else if (taken < batch->count) {
			packet = batch->packets[taken++];
		} else {
			fail_msg("%lu is lost out of order", (unsigned long)fixture->next_number);
			return taken;
		}
		assert_int_equal(packet->gate, SHAPER_PORT_RECEIVE);
		assert_int_equal(packet->outer_vni, fixture->next_number++);
		free(packet);
	}
	batch->count = 0;
	return taken;
}

/* Offers a packet to the gate. */
static enum shaper_verdict offer(struct fixture *fixture, uint32_t wire_size)
{
	struct packet *packet = test_packet(2, wire_size, fixture->number++);
	enum shaper_verdict verdict = shaper_offer(fixture->worker, GATE, packet, fixture->now);
	struct batch none = {0};

	leave(fixture, &none);
	if (verdict == SHAPER_PASS) {
		assert_int_equal(packet->outer_vni, fixture->next_number++);
		free(packet);
	}
	return verdict;
}

/* Offers packets, and returns how many were lost for want of room. */
static uint64_t offer_many(struct fixture *fixture, uint32_t wire_size, unsigned count)
{
	uint64_t before = fixture->lost[DROP_NONE];

	while (count-- != 0)
		offer(fixture, wire_size);
	return fixture->lost[DROP_NONE] - before;
}

/* Releases what is due now, which must come in order, and returns how many packets it was. */
static unsigned release(struct fixture *fixture)
{
	struct batch batch = {0};
	enum shaper_kind kind = SHAPER_KIND_COUNT;
	unsigned count = 0;

	while (shaper_release(fixture->worker, fixture->now, &batch, &kind)) {
		assert_int_equal(kind, SHAPER_PORT_RECEIVE);
		assert_in_range(batch.count, 1, BATCH_SIZE);
		count += leave(fixture, &batch);
	}
	leave(fixture, &batch);
	return count;
}

/* Runs as a worker does, awake exactly when it asks to be, until the time. */
static unsigned run_until(struct fixture *fixture, uint64_t end)
{
	unsigned count = release(fixture);

	for (;;) {
		uint64_t next = shaper_next(fixture->worker, fixture->now);

		if (next > end)
			break;
		if (next > fixture->now)
			fixture->now = next;
		count += release(fixture);
	}
	fixture->now = end;
	return count;
}

static void set_rate(struct fixture *fixture, uint64_t rate)
{
	shaper_set(fixture->shaper, GATE, rate, fixture->now);
	assert_true(shaper_rate(fixture->shaper, GATE) == rate);
}

static void unlimited_gate_passes_everything(void **state)
{
	struct fixture *fixture = *state;

	assert_true(shaper_rate(fixture->shaper, GATE) == 0);
	assert_true(shaper_quantum(fixture->shaper, GATE) == UINT32_MAX);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(offer(fixture, UINT32_MAX), SHAPER_PASS);
	assert_true(shaper_next(fixture->worker, fixture->now) == UINT64_MAX);
	assert_int_equal(release(fixture), 0);
}

/* What a stage asks before it offers anything: open gates need no offer. */
static void open_gates_are_told(void **state)
{
	struct fixture *fixture = *state;
	struct shaper_worker *worker = fixture->worker;

	assert_true(shaper_is_idle(worker, SHAPER_PORT_RECEIVE));
	set_rate(fixture, 8000000);
	assert_false(shaper_is_idle(worker, SHAPER_PORT_RECEIVE));
	assert_true(shaper_is_idle(worker, SHAPER_PORT_SEND));
	assert_false(shaper_is_open(worker, GATE));
	assert_true(shaper_is_open(worker, SHAPER_PORT_RECEIVE, 3));
	set_rate(fixture, 16000000);
	assert_false(shaper_is_idle(worker, SHAPER_PORT_RECEIVE));

	/* Without a rate, newcomers still go behind what waits; elsewhere they pass. */
	assert_int_equal(offer_many(fixture, 1000, 10), 0);
	set_rate(fixture, 0);
	assert_false(shaper_is_idle(worker, SHAPER_PORT_RECEIVE));
	assert_false(shaper_is_idle(worker, SHAPER_PORT_SEND));
	assert_false(shaper_is_open(worker, GATE));
	assert_true(shaper_is_open(worker, SHAPER_PORT_RECEIVE, 3));
	assert_true(shaper_is_open(fixture->other, GATE));
	assert_true(shaper_is_idle(fixture->other, SHAPER_PORT_RECEIVE));
	assert_int_equal(run_until(fixture, fixture->now + SECOND), 9);
	assert_true(shaper_is_open(worker, GATE));
	assert_true(shaper_is_idle(worker, SHAPER_PORT_RECEIVE));
}

static void quantum_is_a_millisecond(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		uint64_t rate;
		uint32_t quantum;
	} rows[] = {
		{1, 1},
		{7999, 1},
		{64000, 8},
		{1000000000, 125000},
		{100000000000, 12500000},
		{UINT64_MAX, UINT32_MAX},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_rate(fixture, rows[i].rate);
		assert_true(shaper_quantum(fixture->shaper, GATE) == rows[i].quantum);
	}
}

/*
 * 1,000 octets are a millisecond: 1 passes, 99 wait for 1 … 99 ms. For one that would wait longer
 * eight go that waited longest.
 */
static void queue_is_bounded_in_time(void **state)
{
	struct fixture *fixture = *state;
	uint64_t packets;

	set_rate(fixture, 8000000);
	assert_int_equal(offer_many(fixture, 1000, 100), 0);
	assert_int_equal(shaper_backlog(fixture->worker, &packets), 99000);
	assert_int_equal(packets, 99);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(offer_many(fixture, 1000, 1), 8);
		assert_int_equal(test_backlog(fixture->worker), 92);
		assert_int_equal(offer_many(fixture, 1000, 7), 0);
	}
	assert_int_equal(run_until(fixture, fixture->now + 10 * MILLISECOND + WHEEL_SLACK), 10);
	assert_int_equal(offer_many(fixture, 1000, 10), 0);
	assert_int_equal(offer_many(fixture, 1000, 1), 8);
	assert_int_equal(run_until(fixture, fixture->now + 93 * MILLISECOND), 92);
	assert_int_equal(shaper_backlog(fixture->worker, &packets), 0);
	assert_int_equal(packets, 0);
	assert_int_equal(fixture->next_number, fixture->number);
}

/* However long they take. Of more, half go. */
static void slow_gate_has_room_for_some(void **state)
{
	struct fixture *fixture = *state;

	set_rate(fixture, 64000);
	assert_int_equal(offer_many(fixture, 1500, 1 + SHAPER_QUEUE_FRAMES), 0);
	assert_int_equal(offer_many(fixture, 1500, 1), 8);
	assert_int_equal(run_until(fixture, fixture->now + 188 * MILLISECOND), 1);
	assert_int_equal(test_backlog(fixture->worker), 8);
	set_rate(fixture, 1);
	assert_int_equal(offer_many(fixture, UINT32_MAX, 8), 0);
	/* Half of the octets are in packets behind. */
	assert_int_equal(offer_many(fixture, UINT32_MAX, 1), 8);
	assert_int_equal(test_backlog(fixture->worker), 9);
}

/* The bound is for what waits at all workers, but each has room for some. */
static void bound_is_shared_by_workers(void **state)
{
	uint64_t lost[DROP_REASON_COUNT] = {0};
	struct fixture *fixture = *state;
	struct packet_list list;

	set_rate(fixture, 8000000);
	assert_int_equal(offer_many(fixture, 1000, 100), 0);
	for (unsigned i = 0; i < 100; i++) {
		struct packet *packet = test_packet(2, 1000, 0);

		assert_int_equal(shaper_offer(fixture->other, GATE, packet, fixture->now),
				 SHAPER_QUEUED);
		test_lost(fixture->other, lost);
		assert_in_range(test_backlog(fixture->other), i < 9 ? i + 1 : 9, i + 1);
		assert_in_range(test_backlog(fixture->other), 1, SHAPER_QUEUE_FRAMES);
	}
	assert_int_equal(lost[DROP_NONE] + test_backlog(fixture->other), 100);
	/* They are its own; what the first has is over the bound now, and makes room as well. */
	assert_int_equal(test_backlog(fixture->worker), 99);
	assert_int_equal(offer_many(fixture, 1000, 1), 8);
	packet_list_init(&list);
	shaper_drain(fixture->worker, GATE, &list);
	assert_int_equal(test_free_list(&list), 92);
	fixture->next_number = fixture->number;
	assert_int_equal(offer_many(fixture, 1000, 99 - (unsigned)test_backlog(fixture->other)), 0);
	assert_int_equal(offer_many(fixture, 1000, 1), 8);
}

static void newcomer_never_overtakes(void **state)
{
	struct fixture *fixture = *state;

	set_rate(fixture, 8000000);
	offer_many(fixture, 1000, 3);
	/* The gate is open again for two packets; who comes now is still behind those. */
	fixture->now += 2 * MILLISECOND + WHEEL_SLACK;
	assert_int_equal(offer(fixture, 60), SHAPER_QUEUED);
	assert_int_equal(release(fixture), 2);
	assert_int_equal(run_until(fixture, fixture->now + MILLISECOND), 1);
	assert_int_equal(offer(fixture, 60), SHAPER_QUEUED);
	assert_int_equal(run_until(fixture, fixture->now + MILLISECOND), 1);
	assert_int_equal(offer(fixture, 60), SHAPER_PASS);
}

static void higher_rate_is_in_effect_within_10_ms(void **state)
{
	struct fixture *fixture = *state;

	set_rate(fixture, 64000);
	assert_int_equal(offer_many(fixture, 1500, 3), 0);
	assert_int_equal(run_until(fixture, fixture->now + 50 * MILLISECOND), 0);
	set_rate(fixture, 1000000000);
	assert_true(shaper_next(fixture->worker, fixture->now) == fixture->now);
	/* 137.5 ms of debt are 8.8 us at the new rate, a packet is 12 us. */
	assert_int_equal(run_until(fixture, fixture->now + 2 * WHEEL_SLACK), 1);
	assert_int_equal(run_until(fixture, fixture->now + 2 * WHEEL_SLACK), 1);
	/* A worker that asked before the change when to wake asks again in 10 ms. */
	set_rate(fixture, 64000);
	offer_many(fixture, 1500, 3);
	assert_true(shaper_next(fixture->worker, fixture->now) <= fixture->now + 10 * MILLISECOND);
}

/* A debt of 12,500 octets, of which 2,500 are paid at the first rate and 10,000 at the second. */
static void debt_keeps_its_octets(void **state)
{
	struct fixture *fixture = *state;
	uint64_t open;

	set_rate(fixture, 1000000000);
	assert_int_equal(offer(fixture, 12500), SHAPER_PASS);
	assert_int_equal(offer(fixture, 100), SHAPER_QUEUED);
	fixture->now += 20000;
	set_rate(fixture, 1000000);
	open = fixture->now + 80 * MILLISECOND;
	assert_int_equal(run_until(fixture, open - 1), 0);
	assert_int_equal(run_until(fixture, open + WHEEL_SLACK), 1);
	/* A credit of a millisecond at 1 Mbit/s, 125 octets, is no millisecond at 1 Gbit/s. */
	fixture->now = open + 1800000;
	set_rate(fixture, 1000000000);
	assert_int_equal(offer(fixture, 1124), SHAPER_PASS);
	assert_int_equal(offer(fixture, 100), SHAPER_QUEUED);
	assert_int_equal(run_until(fixture, fixture->now + 7992), 0);
	assert_int_equal(run_until(fixture, fixture->now + WHEEL_SLACK), 1);
}

/* A queue for 10 Gbit/s survives 64 kbit/s, where it is longer than its bound. */
static void lower_rate_loses_nothing(void **state)
{
	struct fixture *fixture = *state;
	uint64_t packets;

	set_rate(fixture, 10000000000);
	assert_int_equal(offer_many(fixture, 1000, 10000), 0);
	set_rate(fixture, 64000);
	assert_int_equal(run_until(fixture, fixture->now + 251 * MILLISECOND), 2);
	packets = test_backlog(fixture->worker);
	assert_int_equal(packets, 9997);
	set_rate(fixture, 10000000000);
	assert_int_equal(run_until(fixture, fixture->now + 20 * MILLISECOND), packets);
	assert_int_equal(fixture->next_number, fixture->number);
	/* A newcomer takes the place of some, not of all that would not find one now. */
	assert_int_equal(offer_many(fixture, 1000, 10000), 0);
	packets = test_backlog(fixture->worker);
	set_rate(fixture, 64000);
	assert_int_equal(offer_many(fixture, 60, 5), 5 * 8);
	assert_int_equal(test_backlog(fixture->worker), packets + 5 - 5 * 8);
}

static void no_limit_empties_the_queue(void **state)
{
	struct fixture *fixture = *state;
	struct batch batch = {0};
	enum shaper_kind kind;

	set_rate(fixture, 1000000000);
	offer_many(fixture, 1000, 500);
	set_rate(fixture, 64000);
	fixture->now += MILLISECOND;
	assert_int_equal(release(fixture), 0);
	set_rate(fixture, 0);
	/* Not passed, for it would overtake. */
	assert_int_equal(offer(fixture, 60), SHAPER_QUEUED);
	assert_true(shaper_release(fixture->worker, fixture->now, &batch, &kind));
	assert_int_equal(batch.count, BATCH_SIZE);
	leave(fixture, &batch);
	assert_int_equal(offer(fixture, 60), SHAPER_QUEUED);
	assert_int_equal(release(fixture), 499 + 2 - BATCH_SIZE);
	assert_int_equal(offer(fixture, 60), SHAPER_PASS);
	assert_true(shaper_next(fixture->worker, fixture->now) == UINT64_MAX);
	assert_int_equal(fixture->next_number, fixture->number);
}

/* Not even CoDel takes what waited for long, and only goes. */
static void no_limit_loses_nothing(void **state)
{
	struct fixture *fixture = *state;
	uint64_t waiting;

	set_rate(fixture, 1000000);
	offer_many(fixture, 1000, 14);
	while (fixture->lost[DROP_QUEUE_DELAY] == 0) {
		run_until(fixture, fixture->now + 8 * MILLISECOND);
		offer_many(fixture, 1000, 1);
	}
	fixture->lost[DROP_QUEUE_DELAY] = 0;
	waiting = test_backlog(fixture->worker);
	assert_true(waiting > 5);
	fixture->now += 3 * SECOND;
	set_rate(fixture, 0);
	assert_int_equal(release(fixture), waiting);
	assert_int_equal(fixture->lost[DROP_QUEUE_DELAY], 0);
}

/* A limit starts without a debt and without a credit, whatever an earlier one left behind. */
static void limit_starts_afresh(void **state)
{
	struct fixture *fixture = *state;

	set_rate(fixture, 64000);
	offer(fixture, 1500);
	set_rate(fixture, 0);
	fixture->now += 100;
	set_rate(fixture, 64000);
	assert_int_equal(offer(fixture, 1500), SHAPER_PASS);
	assert_int_equal(offer(fixture, 1500), SHAPER_QUEUED);
	assert_int_equal(run_until(fixture, fixture->now + 188 * MILLISECOND), 1);
	set_rate(fixture, 0);
	fixture->now += SECOND;
	set_rate(fixture, 1000000000);
	assert_int_equal(offer(fixture, 60), SHAPER_PASS);
	assert_int_equal(offer(fixture, 60), SHAPER_QUEUED);
}

static void same_rate_changes_nothing(void **state)
{
	struct fixture *fixture = *state;

	set_rate(fixture, 8000000);
	assert_int_equal(offer_many(fixture, 1000, 2), 0);
	for (unsigned i = 0; i < 10; i++) {
		fixture->now += 90000;
		set_rate(fixture, 8000000);
		assert_int_equal(release(fixture), 0);
	}
	fixture->now += 100000 + WHEEL_SLACK;
	assert_int_equal(release(fixture), 1);
}

/* So many changes elsewhere that a list of changes forgets the one that matters. */
static void change_is_noticed_among_many(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned before = 0; before < 2; before++) {
		set_rate(fixture, 64000);
		offer_many(fixture, 1500, 3);
		run_until(fixture, fixture->now + 40 * MILLISECOND);
		if (!before)
			set_rate(fixture, 1000000000);
		for (unsigned i = 0; i < 20000; i++)
			shaper_set(fixture->shaper, SHAPER_TENANT_SEND, i % 8, 1000 + i,
				   fixture->now);
		if (before)
			set_rate(fixture, 1000000000);
		assert_true(run_until(fixture, fixture->now + 50000) >= 2);
		assert_int_equal(test_backlog(fixture->worker), 0);
		set_rate(fixture, 0);
	}
}

static void drain_gives_back_one_gate(void **state)
{
	struct fixture *fixture = *state;
	struct packet_list list;

	set_rate(fixture, 8000000);
	shaper_set(fixture->shaper, SHAPER_PORT_RECEIVE, 3, 8000000, fixture->now);
	assert_int_equal(offer_many(fixture, 1000, 11), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct packet *packet = test_packet(3, 1000, i);

		if (shaper_offer(fixture->worker, SHAPER_PORT_RECEIVE, 3, packet, fixture->now) ==
		    SHAPER_PASS)
			free(packet);
	}
	packet_list_init(&list);
	packet_list_append(&list, test_packet(0, 1, 0));
	shaper_drain(fixture->worker, GATE, &list);
	assert_int_equal(list.count, 11);
	assert_int_equal(list.first->next->outer_vni, 1);
	shaper_drain(fixture->worker, GATE, &list);
	assert_int_equal(test_free_list(&list), 11);
	assert_int_equal(test_backlog(fixture->worker), 2);
	/* The whole bound is free again, and the gate works. */
	fixture->next_number = fixture->number;
	assert_int_equal(offer_many(fixture, 1000, 99), 0);
	assert_int_equal(offer_many(fixture, 1000, 1), 8);
	assert_int_equal(test_drain_all(fixture->worker), 2 + 92);
}

static void empty_shaper_has_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct batch batch = {0};
	enum shaper_kind kind;
	struct packet_list list;

	assert_false(shaper_release(fixture->worker, fixture->now, &batch, &kind));
	assert_true(shaper_next(fixture->worker, fixture->now) == UINT64_MAX);
	packet_list_init(&list);
	shaper_drain(fixture->worker, GATE, &list);
	shaper_drain_all(fixture->worker, &list);
	assert_int_equal(list.count, 0);
	shaper_free(NULL);
	shaper_worker_free(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(unlimited_gate_passes_everything),
		TEST(open_gates_are_told),
		TEST(quantum_is_a_millisecond),
		TEST(queue_is_bounded_in_time),
		TEST(slow_gate_has_room_for_some),
		TEST(bound_is_shared_by_workers),
		TEST(newcomer_never_overtakes),
		TEST(higher_rate_is_in_effect_within_10_ms),
		TEST(debt_keeps_its_octets),
		TEST(lower_rate_loses_nothing),
		TEST(no_limit_empties_the_queue),
		TEST(no_limit_loses_nothing),
		TEST(limit_starts_afresh),
		TEST(same_rate_changes_nothing),
		TEST(change_is_noticed_among_many),
		TEST(drain_gives_back_one_gate),
		TEST(empty_shaper_has_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
