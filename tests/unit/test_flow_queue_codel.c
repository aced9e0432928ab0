/* SPDX-License-Identifier: Apache-2.0 */

/* CoDel in a flow queue: when it drops or marks, what, and what not. */

#include "tests/unit/flow_queue_fixture.h"

#include <string.h>

#define TARGET	 (5 * MILLISECOND)
#define INTERVAL (100 * MILLISECOND)

#define NOT_ECT 0u
#define ECT_1	1u
#define ECT_0	2u
#define CE	3u

static int set_up_codel(void **state)
{
	int result = set_up(state);

	if (result == 0) {
		struct fixture *fixture = *state;

		fixture->parameters.target = TARGET;
		fixture->parameters.interval = INTERVAL;
	}
	return result;
}

/* An IPv4 packet with the ECN field and a right checksum. */
static struct packet *append_ip(struct fixture *fixture, uint32_t flow, uint8_t ecn)
{
	static const uint8_t header[20] = {0x45, 0, 0x05, 0xdc, 0, 0, 0,  0, 64, 17,
					   0,	 0, 10,	  0,	0, 1, 10, 0, 0,	 2};
	struct packet *packet = calloc(1, sizeof(*packet) + 64);
	uint32_t sum = 0;

	assert_non_null(packet);
	packet->data = packet->storage;
	packet->head_size = 34;
	packet->l3_offset = 14;
	packet->flags = PACKET_IS_IPV4;
	packet->ip_ecn_dscp = ecn;
	packet->flow_hash = flow;
	packet->frame_count = 3;
	memcpy(packet->data + 14, header, sizeof(header));
	packet->data[15] = ecn;
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)packet->data[14 + i] << 8 | packet->data[15 + i];
	sum = ~((sum & 0xffff) + (sum >> 16));
	packet->data[24] = (uint8_t)(sum >> 8);
	packet->data[25] = (uint8_t)sum;
	flow_queue_append(fixture->memory, &fixture->queue, 0, packet, 1000, fixture->now);
	fixture->octets += 1000;
	fixture->packets++;
	return packet;
}

static void assert_ip(const struct packet *packet)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)packet->data[14 + i] << 8 | packet->data[15 + i];
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	assert_int_equal(packet->data[15], packet->ip_ecn_dscp);
}

/*
 * A gate that lets a packet go every millisecond, where a flow keeps 20 waiting: from the end of
 * the first interval on it is told at interval / sqrt(n). Writes when; returns how often.
 */
static unsigned run_standing_queue(struct fixture *fixture, const uint8_t *ecn, unsigned ecn_count,
				   unsigned looks, uint64_t *signals, unsigned max)
{
	unsigned count = 0, sent = 0;
	uint64_t marked = 0;

	for (unsigned i = 0; i < 20; i++)
		append_ip(fixture, 1, ecn[sent++ % ecn_count]);
	while (count < max) {
		uint32_t before = fixture->dropped.count;
		struct packet *packet = NULL;
		unsigned signalled;

		fixture->now += MILLISECOND;
		for (unsigned look = 0; look < looks; look++)
			packet = peek(fixture);
		assert_non_null(packet);
		assert_ptr_equal(take(fixture), packet);
		assert_ip(packet);
		signalled = fixture->dropped.count - before;
		if (fixture->queue.marked != marked) {
			assert_int_equal(fixture->queue.marked, marked + 3);
			assert_int_equal(packet->ip_ecn_dscp, CE);
			marked = fixture->queue.marked;
			signalled++;
		}
		free(packet);
		while (signalled-- > 0 && count < max)
			signals[count++] = fixture->now;
		while (fixture->packets < 20)
			append_ip(fixture, 1, ecn[sent++ % ecn_count]);
	}
	return count;
}

/* The schedule of RFC 8289 to a millisecond, which is how often a packet goes. */
static void assert_schedule(const uint64_t *signals, unsigned count)
{
	/* Packets wait for more than 5 ms from the sixth on. */
	uint64_t plan = SECOND + 5 * MILLISECOND + INTERVAL;

	for (unsigned n = 1; n <= count; n++) {
		uint64_t step = 0;

		assert_true(signals[n - 1] >= plan && signals[n - 1] < plan + MILLISECOND);
		if (n == 1)
			plan = signals[0];
		while ((step + 1) * (step + 1) * n <= INTERVAL / 1000 * (INTERVAL / 1000))
			step++;
		plan += step * 1000;
	}
}

static void drops_on_schedule(void **state)
{
	static const uint8_t ecn[] = {NOT_ECT};
	uint64_t signals[60];

	run_standing_queue(*state, ecn, 1, 1, signals, 60);
	assert_schedule(signals, 60);
	assert_int_equal(((struct fixture *)*state)->queue.marked, 0);
}

static void marks_on_schedule(void **state)
{
	static const uint8_t ecn[] = {ECT_0, ECT_1};
	uint64_t signals[60];

	run_standing_queue(*state, ecn, 2, 1, signals, 60);
	assert_schedule(signals, 60);
	assert_int_equal(((struct fixture *)*state)->dropped.count, 0);
}

/* Looking does not mark once more, and drops nothing before its time. */
static void looking_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t ecn[] = {NOT_ECT, ECT_0, ECT_1};
	uint64_t signals[60];

	run_standing_queue(fixture, ecn, 3, 5, signals, 60);
	assert_schedule(signals, 60);
	assert_true(fixture->dropped.count > 5);
	assert_true(fixture->queue.marked > 15);
}

/* What is marked already leaves the signal to the next that is not. */
static void marked_packets_pass(void **state)
{
	struct fixture *fixture = *state;
	struct packet *packet;

	for (unsigned i = 0; i < 10; i++)
		append_ip(fixture, 1, CE);
	append_ip(fixture, 1, ECT_0);
	append_ip(fixture, 1, ECT_0);
	for (unsigned i = 0; i < 5; i++)
		append_ip(fixture, 1, NOT_ECT);
	fixture->now += 10 * MILLISECOND;
	free(take(fixture));
	fixture->now += INTERVAL;
	for (unsigned i = 0; i < 9; i++) {
		free(take(fixture));
		assert_int_equal(fixture->queue.marked, 0);
	}
	packet = take(fixture);
	assert_int_equal(packet->ip_ecn_dscp, CE);
	assert_int_equal(fixture->queue.marked, 3);
	free(packet);
	packet = take(fixture);
	assert_int_equal(packet->ip_ecn_dscp, ECT_0);
	free(packet);
	assert_int_equal(fixture->dropped.count, 0);
}

/* However long they waited: a last packet, and one with a frame behind it, are not dropped. */
static void short_flow_loses_nothing(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < 100; i++) {
		append(fixture, 0, 1, 60000);
		append(fixture, 0, 1, 1514);
		append_many(fixture, 0, 2, 60, 20);
		fixture->now += SECOND;
		peek(fixture);
		fixture->now += SECOND;
		while (fixture->packets > 0)
			free(take(fixture));
	}
	assert_int_equal(fixture->dropped.count, 0);
	/* Two frames are more than one. */
	append(fixture, 0, 1, 1514);
	append_many(fixture, 0, 1, 1514, 3);
	fixture->now += SECOND;
	peek(fixture);
	fixture->now += SECOND;
	peek(fixture);
	assert_int_equal(fixture->dropped.count, 1);
}

/* Flows that behave suffer nothing from one that does not, in the same port and in another. */
static void others_lose_nothing(void **state)
{
	struct fixture *fixture = *state;
	unsigned drops = 0;
	struct packet *packet;

	for (unsigned i = 0; i < 20000; i++) {
		fixture->now += MILLISECOND;
		while (fixture->queue.packets < 40)
			append(fixture, 0, 1, 1000);
		if (i % 10 == 0) {
			append(fixture, 0, 2, 500);
			append(fixture, 1, 3, 1000);
		}
		free(take(fixture));
		while ((packet = packet_list_pop(&fixture->dropped)) != NULL) {
			assert_int_equal(packet->flow_hash, 1);
			free(packet);
			drops++;
		}
	}
	assert_true(drops > 100);
}

/* When packets are in time, it stops at once, and it starts where it was. */
static void stops_and_resumes(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t ecn[] = {NOT_ECT};
	uint64_t signals[10];
	uint32_t before;

	run_standing_queue(fixture, ecn, 1, 1, signals, 10);
	before = fixture->dropped.count;
	/* All that wait go out at once, but for those that have just come. */
	while (fixture->packets > 8)
		free(take(fixture));
	for (unsigned i = 0; i < 200; i++) {
		fixture->now += MILLISECOND / 2;
		append_ip(fixture, 1, NOT_ECT);
		free(take(fixture));
	}
	assert_int_equal(fixture->dropped.count, before);
	for (unsigned i = 0; i < 12; i++)
		append_ip(fixture, 1, NOT_ECT);
	for (unsigned i = 0; fixture->dropped.count < before + 2; i++) {
		assert_true(i < 200);
		fixture->now += MILLISECOND;
		append_ip(fixture, 1, NOT_ECT);
		free(take(fixture));
		if (fixture->dropped.count == before + 1 && signals[0] != 0) {
			signals[0] = 0;
			signals[1] = fixture->now;
		}
	}
	/* 9 were needed after the first one. */
	assert_true(fixture->now - signals[1] <= INTERVAL / 3 + 2 * MILLISECOND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_codel, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(drops_on_schedule),	TEST(marks_on_schedule),
		TEST(looking_changes_nothing),	TEST(marked_packets_pass),
		TEST(short_flow_loses_nothing), TEST(others_lose_nothing),
		TEST(stops_and_resumes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
