/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/shaper_fixture.h"

#include <string.h>

/* What packets of several ports and flows get of one gate, and who makes room when there is none.
 */

#define KIND   SHAPER_TENANT_SEND
#define TENANT 3u
#define OTHER  4u
#define PORTS  6u
#define MBIT   1000000ull

struct fixture {
	struct shaper *shaper;
	struct shaper_worker *worker;
	uint64_t now;
	bool can_be_marked; /* what is offered */
	/* Of each port: packets that wait, octets that were let out, frames that were marked. */
	uint32_t waiting[PORTS], marked[PORTS];
	uint64_t passed[PORTS];
	uint64_t lost[PORTS][DROP_REASON_COUNT];
	uint64_t newest; /* number of what was let out or lost last */
	uint32_t last;	 /* port of what was let out last */
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (fixture == NULL)
		return -1;
	fixture->shaper = shaper_new(4096);
	fixture->worker = shaper_worker_new(fixture->shaper);
	fixture->now = 77 * SECOND;
	*state = fixture;
	return fixture->worker == NULL;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	test_drain_all(fixture->worker);
	shaper_worker_free(fixture->worker);
	shaper_free(fixture->shaper);
	free(fixture);
	return 0;
}

static uint64_t lost(const struct fixture *fixture, enum drop_reason reason)
{
	uint64_t sum = 0;

	for (unsigned port = 0; port < PORTS; port++)
		sum += fixture->lost[port][reason];
	return sum;
}

static void count_lost(struct fixture *fixture)
{
	struct packet_list list;
	struct packet *packet;

	packet_list_init(&list);
	shaper_take_lost(fixture->worker, &list);
	while ((packet = packet_list_pop(&list)) != NULL) {
		assert_int_equal(packet->gate, KIND);
		fixture->lost[packet->port_in][packet->drop]++;
		fixture->waiting[packet->port_in]--;
		fixture->newest = packet->outer_vni;
		free(packet);
	}
}

static void pass(struct fixture *fixture, struct packet *packet)
{
	fixture->passed[packet->port_in] += packet->wire_size;
	if ((packet->flags & PACKET_MARKED) != 0)
		fixture->marked[packet->port_in] += packet->frame_count;
	fixture->newest = packet->outer_vni;
	fixture->last = packet->port_in;
	free(packet);
}

/* An IPv4 packet as far as ECN goes. */
static struct packet *markable(struct packet *packet)
{
	packet = realloc(packet, sizeof(*packet) + 64);
	assert_non_null(packet);
	memset(packet->storage, 0, 64);
	packet->data = packet->storage;
	packet->head_size = 34;
	packet->l3_offset = 14;
	packet->flags = PACKET_IS_IPV4;
	packet->ip_ecn_dscp = packet->data[15] = 2;
	return packet;
}

static void offer(struct fixture *fixture, uint32_t tenant, uint32_t port, uint32_t flow,
		  uint32_t size)
{
	static const uint32_t spread = 2654435761u;
	struct packet *packet = test_packet(tenant, size, 0);

	if (fixture->can_be_marked)
		packet = markable(packet);
	packet->port_in = port;
	packet->flow_hash = flow * spread;
	if (shaper_offer(fixture->worker, KIND, tenant, packet, fixture->now) == SHAPER_PASS)
		pass(fixture, packet);
	else
		fixture->waiting[port]++;
	count_lost(fixture);
}

static void offer_many(struct fixture *fixture, uint32_t port, uint32_t flow, uint32_t size,
		       unsigned count)
{
	while (count-- > 0)
		offer(fixture, TENANT, port, flow, size);
}

static void release(struct fixture *fixture)
{
	struct batch batch = {0};
	enum shaper_kind kind;

	while (shaper_release(fixture->worker, fixture->now, &batch, &kind)) {
		assert_int_equal(kind, KIND);
		for (unsigned i = 0; i < batch.count; i++) {
			fixture->waiting[batch.packets[i]->port_in]--;
			pass(fixture, batch.packets[i]);
		}
		batch.count = 0;
	}
	count_lost(fixture);
}

/* Sleeps as long as a worker would, and does what it does then. Returns whether it woke again. */
static bool wake(struct fixture *fixture)
{
	uint64_t next = shaper_next(fixture->worker, fixture->now);

	if (next == UINT64_MAX)
		return false;
	fixture->now = next > fixture->now ? next : fixture->now;
	shaper_turn(fixture->worker, fixture->now);
	release(fixture);
	return true;
}

/* Lets out one packet, as soon as it may go. */
static uint32_t next_port(struct fixture *fixture)
{
	uint64_t before = 0, after = 0;

	for (unsigned port = 0; port < PORTS; port++)
		before += fixture->passed[port];
	do {
		wake(fixture);
		after = 0;
		for (unsigned port = 0; port < PORTS; port++)
			after += fixture->passed[port];
	} while (after == before);
	return fixture->last;
}

/* Lets everything out, and some time pass: then there is nothing that the worker waits for. */
static void run_dry(struct fixture *fixture)
{
	const uint64_t deadline = fixture->now + 10 * SECOND;

	while (wake(fixture))
		assert_true(fixture->now < deadline);
	assert_int_equal(test_backlog(fixture->worker), 0);
}

/* The gate has this rate, and no credit. */
static void gate_rate(struct fixture *fixture, uint32_t tenant, uint64_t bits)
{
	shaper_set(fixture->shaper, KIND, tenant, 0, fixture->now);
	shaper_set(fixture->shaper, KIND, tenant, bits, fixture->now);
}

static void rate(struct fixture *fixture, uint64_t bits)
{
	gate_rate(fixture, TENANT, bits);
}

/* 1,000 octets are a millisecond. */
static void overflow_spares_the_others(void **state)
{
	struct fixture *fixture = *state;

	rate(fixture, 8 * MBIT);
	offer_many(fixture, 0, 1, 1000, 21);
	offer_many(fixture, 0, 2, 1000, 20);
	offer_many(fixture, 1, 1, 1000, 30);
	offer_many(fixture, 2, 1, 1000, 29);
	assert_int_equal(lost(fixture, DROP_NONE), 0);
	assert_int_equal(test_backlog(fixture->worker), 99);
	/* Whoever comes, the longest port's longest flow loses half of what it has, or eight. */
	offer_many(fixture, 2, 7, 1000, 1);
	assert_int_equal(fixture->lost[0][DROP_NONE], 8);
	offer_many(fixture, 2, 1, 1000, 8);
	assert_int_equal(lost(fixture, DROP_NONE), 16);
	assert_int_equal(fixture->lost[0][DROP_NONE] + fixture->lost[2][DROP_NONE], 16);
	/* One that floods makes room for itself. */
	offer_many(fixture, 3, 1, 1000, 10000);
	assert_true(fixture->lost[3][DROP_NONE] > 9900);
	assert_int_equal(lost(fixture, DROP_NONE) - fixture->lost[3][DROP_NONE], 16 + 16);
	assert_int_equal(lost(fixture, DROP_QUEUE_DELAY), 0);
	assert_in_range(test_backlog(fixture->worker), 91, 99);
}

/* Small packets of many flows are no reason to lose them to few large ones. */
static void overflow_counts_octets(void **state)
{
	struct fixture *fixture = *state;

	rate(fixture, 8 * MBIT);
	for (uint32_t flow = 0; flow < 60; flow++)
		offer_many(fixture, 0, flow, 60, 10);
	offer_many(fixture, 1, 1, 1514, 200);
	assert_int_equal(fixture->lost[0][DROP_NONE], 0);
	assert_true(fixture->lost[1][DROP_NONE] > 100);
	assert_int_equal(fixture->waiting[0] + fixture->passed[0] / 60, 600);
}

/* Nobody takes more than what is left free: one half, then a quarter, … */
static void one_gate_takes_half_of_the_worker(void **state)
{
	static const uint32_t most[] = {500, 250, 125, 63, 32, 16};
	struct fixture *fixture = *state;

	for (unsigned octets = 0; octets < 2; octets++) {
		uint64_t sum = 0;

		if (octets)
			shaper_worker_bound(fixture->worker, UINT32_MAX, 1000 * 1514);
		else
			shaper_worker_bound(fixture->worker, 1000, UINT64_MAX);
		for (uint32_t port = 0; port < PORTS; port++) {
			gate_rate(fixture, 10 + port, 100000 * MBIT);
			for (unsigned n = 0; n < 2000; n++)
				offer(fixture, 10 + port, port, 1, 1514);
			assert_in_range(fixture->waiting[port], most[port] * 3 / 4 - 4,
					most[port] + 8);
			sum += fixture->waiting[port];
		}
		assert_true(sum <= 1000);
		assert_int_equal(test_backlog(fixture->worker), sum);
		/* Where something goes, others come. */
		fixture->now += SECOND;
		release(fixture);
		assert_int_equal(test_backlog(fixture->worker), 0);
		assert_int_equal(lost(fixture, DROP_QUEUE_DELAY), 0);
	}
}

/* Nor do many gates together, each of which has little, take more than there is. */
static void many_gates_keep_the_bound(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned octets = 0; octets < 2; octets++) {
		uint64_t packets, least = UINT64_MAX;

		if (octets)
			shaper_worker_bound(fixture->worker, UINT32_MAX, 1000 * 100);
		else
			shaper_worker_bound(fixture->worker, 1000, UINT64_MAX);
		for (uint32_t gate = 0; gate < 4000; gate++) {
			gate_rate(fixture, gate, 8 * MBIT);
			for (unsigned n = 0; n < 20; n++) {
				struct packet *packet = test_packet(gate, 100, 0);

				packet->tenant = gate % PORTS;
				if (shaper_offer(fixture->worker, KIND, gate, packet,
						 fixture->now) == SHAPER_PASS)
					free(packet);
			}
			shaper_backlog(fixture->worker, &packets);
			assert_true(packets <= 1000);
			least = gate > 2000 && packets < least ? packets : least;
		}
		assert_true(least > 900);
		test_drain_all(fixture->worker);
	}
}

/* Equal parts, whatever they send: one flow of large packets, a hundred of small ones, … */
static void ports_share_equally(void **state)
{
	static const uint32_t sizes[] = {1514, 64, 600, 9000}, flows[] = {1, 100, 7, 2};
	struct fixture *fixture = *state;
	uint64_t random = 1, end, sum = 0;
	uint32_t sent = 0;

	rate(fixture, 100 * MBIT);
	for (unsigned ports = 2; ports <= 4; ports++) {
		memset(fixture->passed, 0, sizeof(fixture->passed));
		sum = 0;
		for (end = fixture->now + SECOND; fixture->now < end;) {
			for (uint32_t port = 0; port < ports; port++) {
				while (fixture->waiting[port] * sizes[port] < 50000)
					offer(fixture, TENANT, port, sent++ % flows[port],
					      sizes[port]);
			}
			fixture->now += 20000 + random_below(&random, 80000);
			release(fixture);
		}
		for (uint32_t port = 0; port < ports; port++)
			sum += fixture->passed[port];
		assert_in_range(sum, 12500000 - 20000, 12500000 + 70000);
		for (uint32_t port = 0; port < ports; port++)
			assert_in_range(fixture->passed[port], sum / ports * 98 / 100,
					sum / ports * 102 / 100);
	}
}

/* It is the next to go, behind what began when it came: its port has another flow, or none. */
static void a_sparse_flow_goes_first(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t port = 0; port < 2; port++) {
		rate(fixture, 8 * MBIT);
		offer_many(fixture, 0, 1, 1000, 10);
		for (unsigned n = 0; n < 200; n++) {
			uint64_t came;

			/* The gate is closed, and seven packets wait. */
			next_port(fixture);
			offer_many(fixture, 0, 1, 1000, 1);
			came = fixture->now;
			if (n < 3)
				continue;
			fixture->passed[port] = 0;
			offer(fixture, TENANT, port, 2, 60);
			next_port(fixture);
			assert_true(fixture->now - came <= MILLISECOND + 2 * WHEEL_SLACK);
			assert_int_equal(fixture->passed[port], 60);
			next_port(fixture);
			offer_many(fixture, 0, 1, 1000, 1);
		}
		rate(fixture, 0);
		release(fixture);
	}
}

/* A queue that stands for long is cut down, though there is room; others at the gate are not. */
static void codel_shortens_a_standing_queue(void **state)
{
	struct fixture *fixture = *state;
	uint64_t end = fixture->now + 10 * SECOND, worst = 0;

	rate(fixture, 8 * MBIT);
	offer_many(fixture, 0, 1, 1000, 30);
	for (unsigned n = 0; fixture->now < end; n++) {
		/* As much as the gate lets through; what was dropped is not sent again. */
		if (next_port(fixture) == 0)
			offer_many(fixture, 0, 1, 1000, 1);
		if (n % 50 == 0)
			offer(fixture, TENANT, 1, 1, 60);
		if (fixture->now > end - SECOND && fixture->waiting[0] > worst)
			worst = fixture->waiting[0];
	}
	assert_in_range(worst, 2, 9);
	assert_in_range(fixture->lost[0][DROP_QUEUE_DELAY], 20, 60);
	assert_int_equal(lost(fixture, DROP_QUEUE_DELAY), fixture->lost[0][DROP_QUEUE_DELAY]);
	assert_int_equal(lost(fixture, DROP_NONE), 0);
}

/* Who can be told otherwise loses nothing. */
static void codel_marks_instead(void **state)
{
	struct fixture *fixture = *state;
	uint64_t end = fixture->now + 2 * SECOND;

	fixture->can_be_marked = true;
	rate(fixture, 8 * MBIT);
	offer_many(fixture, 0, 1, 1000, 30);
	while (fixture->now < end) {
		next_port(fixture);
		offer_many(fixture, 0, 1, 1000, 1);
	}
	assert_int_equal(lost(fixture, DROP_NONE) + lost(fixture, DROP_QUEUE_DELAY), 0);
	/* As often as it would have dropped: at t seconds (10 t)^2 / 4, all but the first. */
	assert_in_range(fixture->marked[0], 70, 110);
}

/*
 * A port's index comes back under another tenant, while packets wait at the former one's gate. They
 * are lost by name; what other ports have there is not, and both gates go on.
 */
static void a_ports_index_may_change_hands(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned round = 0; round < 3; round++) {
		rate(fixture, 8 * MBIT);
		gate_rate(fixture, OTHER, 8 * MBIT);
		/* With and without others at the gate. */
		offer_many(fixture, 0, 1, 1000, 5 * (round % 2));
		for (uint32_t flow = 0; flow < 3; flow++)
			offer_many(fixture, 5, flow, 1000, 4);
		uint32_t waiting = fixture->waiting[5];

		assert_true(waiting >= 11);
		/* What passes there needs no room. */
		offer(fixture, OTHER, 5, 1, 500);
		assert_int_equal(fixture->waiting[5], waiting);
		offer(fixture, OTHER, 5, 1, 500);
		assert_int_equal(fixture->lost[5][DROP_PORT_GONE], waiting);
		assert_int_equal(fixture->waiting[5], 1);
		assert_int_equal(test_backlog(fixture->worker), fixture->waiting[0] + 1);
		assert_int_equal(fixture->waiting[0], round % 2 == 0 ? 0 : 4);
		/* The former gate has no trace of it. */
		offer_many(fixture, 0, 1, 1000, 2);
		run_dry(fixture);
		fixture->lost[5][DROP_PORT_GONE] = 0;
	}
	assert_int_equal(lost(fixture, DROP_NONE) + lost(fixture, DROP_QUEUE_DELAY), 0);
}

/* Whoever lost all that waited contends no more: what it had of the capacity is the others'. */
static void who_lost_all_leaves_the_share(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned way = 0; way < 3; way++) {
		struct packet_list list;

		shaper_set_capacity(fixture->shaper, KIND, 0, fixture->now);
		shaper_set_capacity(fixture->shaper, KIND, 100 * MBIT, fixture->now);
		offer_many(fixture, 0, 1, 1000, 100);
		offer(fixture, OTHER, 5, 1, 9000);
		if (way == 1)
			shaper_worker_bound(fixture->worker, 1, UINT64_MAX);
		offer(fixture, OTHER, 5, 1, 9000);
		assert_int_equal(fixture->waiting[5], way != 1);
		assert_int_equal(fixture->lost[5][DROP_NONE], way == 1);
		shaper_worker_bound(fixture->worker, 1000, UINT64_MAX);
		if (way == 0) {
			offer_many(fixture, 5, 1, 1000, 1);
			assert_int_equal(fixture->lost[5][DROP_PORT_GONE], 1);
		} else if (way == 2) {
			packet_list_init(&list);
			shaper_drain(fixture->worker, KIND, OTHER, &list);
			assert_int_equal(test_free_list(&list), 1);
			fixture->waiting[5] = 0;
		}
		/* Two share by now. */
		assert_true(shaper_share(fixture->shaper, KIND) < 60 * MBIT << 16);
		run_dry(fixture);
		assert_true(shaper_share(fixture->shaper, KIND) > 90 * MBIT << 16);
		memset(fixture->lost, 0, sizeof(fixture->lost));
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(overflow_spares_the_others),
		TEST(overflow_counts_octets),
		TEST(one_gate_takes_half_of_the_worker),
		TEST(many_gates_keep_the_bound),
		TEST(ports_share_equally),
		TEST(a_sparse_flow_goes_first),
		TEST(codel_shortens_a_standing_queue),
		TEST(codel_marks_instead),
		TEST(a_ports_index_may_change_hands),
		TEST(who_lost_all_leaves_the_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
