/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where things run out: buffers, ports that take nothing, the MTU and its ICMP answers, MACs that
 * move too often, entries that grow old, and floods much larger than a batch.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/ports/port.h"
#include "tests/pipeline/rig.h"
#include "tests/unit/frames.h"

#define MAC_A	  0x020000000001ull
#define MAC_B	  0x020000000002ull
#define BROADCAST 0xffffffffffffull
#define TYPE	  0x88b5u
#define MS	  1000000ull

enum { A, B, C, TRUNK };

static struct frame frame, reply; /* too large for a stack */

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig_init(rig);
	rig_tenant(rig, 0);
	rig_segment(rig, 0, 0, 0, 9000, 0);
	for (uint32_t i = A; i <= TRUNK; i++) {
		rig_port(rig, i, 0, PORT_CAN_ALL);
		rig_member(rig, i, 0, i == TRUNK ? 100 : 0);
	}
	rig_commit(rig);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

static uint64_t discard(struct rig *rig, uint32_t port)
{
	struct memory_frame *out;
	uint64_t count = 0;

	for (; (out = rig_collect(rig, port)) != NULL; count++)
		free(out);
	return count;
}

static void discard_all(struct rig *rig)
{
	for (uint32_t port = A; port <= TRUNK; port++)
		discard(rig, port);
}

/* Makes B known, and frames to it wait as long as the clock stands still. */
static void stop_b(struct rig *rig)
{
	uint8_t octets[60];

	rig_send(rig, B, octets, rig_frame(octets, sizeof(octets), BROADCAST, MAC_B, TYPE));
	discard_all(rig);
	rig_rate(rig, SHAPER_PORT_RECEIVE, B, 400000000000ull);
}

/* Sends until the pool is empty, since any number may wait, and more. Returns how many wait. */
static uint64_t exhaust(struct rig *rig, size_t size, unsigned count)
{
	static uint8_t octets[4000];
	struct stats_port *stats = &rig->worker.stats->ports[A];

	shaper_worker_bound(rig->worker.gates, UINT32_MAX, UINT64_MAX);
	rig_frame(octets, size, MAC_B, MAC_A, TYPE);
	while (count > 0) {
		for (unsigned i = 0; i < 50 && count > 0; i++, count--)
			rig_inject(rig, A, NULL, octets, size);
		rig_receive(rig, A);
	}
	rig_check(rig);
	assert_int_equal(rig_all_drops(rig, A), rig_drops(rig, A, DROP_NO_BUFFER));
	return stats->queued;
}

static void recovers_from_a_lack_of_packets(void **state)
{
	struct rig *rig = *state;
	struct stats_port *stats = &rig->worker.stats->ports[A];
	uint8_t octets[60];
	uint64_t queued;

	stop_b(rig);
	queued = exhaust(rig, 60, 70000);
	assert_int_equal(queued, WORKER_PACKETS_MAX - BATCH_SIZE);
	assert_int_equal(stats->rx_packets, 70000);
	assert_int_equal(stats->rx_bytes, 70000 * 60);
	assert_int_equal(rig_drops(rig, A, DROP_NO_BUFFER), 70000 - 1 - queued);
	/* A port that does not wait is not stalled: it loses what it sends, and says so. */
	rig_send(rig, C, octets, rig_frame(octets, 60, BROADCAST, 0x020000000003ull, TYPE));
	assert_int_equal(rig_drops(rig, C, DROP_NO_BUFFER), 1);
	rig_advance(rig, 10 * MS);
	assert_int_equal(stats->queued, 0);
	assert_int_equal(discard(rig, B), queued + 1);
	rig_send(rig, C, octets, 60);
	assert_int_equal(discard(rig, A) + discard(rig, B) + discard(rig, TRUNK), 3);
}

/* Whatever waits at one gate, there is room for half as much elsewhere, and for what passes. */
static void one_queue_leaves_room(void **state)
{
	struct rig *rig = *state;
	uint8_t octets[60];
	uint64_t queued;

	stop_b(rig);
	rig_frame(octets, sizeof(octets), MAC_B, MAC_A, TYPE);
	for (unsigned i = 0; i < 70000; i++)
		rig_send(rig, A, octets, sizeof(octets));
	rig_check(rig);
	queued = rig->worker.stats->ports[A].queued;
	assert_in_range(queued, WORKER_WAITING_MAX / 2 - 8, WORKER_WAITING_MAX / 2);
	assert_int_equal(rig_drops(rig, A, DROP_PORT_RECEIVE_QUEUE), 70000 - 1 - queued);
	assert_int_equal(rig_all_drops(rig, A), 70000 - 1 - queued);
	rig_rate(rig, SHAPER_PORT_RECEIVE, C, 400000000000ull);
	rig_frame(octets, sizeof(octets), BROADCAST, MAC_A, TYPE);
	discard_all(rig);
	for (unsigned i = 0; i < 10000; i++)
		rig_send(rig, A, octets, sizeof(octets));
	assert_int_equal(discard(rig, TRUNK), 10000);
	assert_int_equal(rig_drops(rig, A, DROP_NO_BUFFER), 0);
	rig_check(rig);
	rig_advance(rig, 10 * MS);
	discard_all(rig);
}

static void recovers_from_a_lack_of_buffers(void **state)
{
	struct rig *rig = *state;
	struct stats_port *stats = &rig->worker.stats->ports[A];
	uint8_t octets[3000];
	uint64_t queued;

	stop_b(rig);
	queued = exhaust(rig, 3000, 5000);
	assert_int_equal(queued, WORKER_BUFFERS_MAX - 1); /* but for that of last resort */
	assert_int_equal(rig_drops(rig, A, DROP_NO_BUFFER), 5000 - 1 - queued);
	/* Small frames need none. */
	rig_frame(octets, 1500, MAC_B, MAC_A, TYPE);
	rig_send(rig, A, octets, 1500);
	assert_int_equal(stats->queued, queued + 1);
	rig_advance(rig, 10 * MS);
	assert_int_equal(discard(rig, B), queued + 2);
	rig_frame(octets, 3000, MAC_B, MAC_A, TYPE);
	rig_send(rig, A, octets, 3000);
	rig_advance(rig, MS);
	rig_expect(rig, B, octets, 3000);
}

/* The receiver says how many it lost, of each reason. */
static void tells_reasons_of_one_batch_apart(void **state)
{
	static uint8_t octets[70000];
	struct rig *rig = *state;

	stop_b(rig);
	exhaust(rig, 3000, 5000);
	rig->worker.stats->ports[A].drops[DROP_NO_BUFFER] = 0;
	rig->worker.stats->ports[A].rx_packets = 1 + rig->worker.stats->ports[A].queued;
	rig_frame(octets, sizeof(octets), MAC_B, MAC_A, TYPE);
	rig_inject(rig, A, NULL, octets, sizeof(octets));
	rig_inject(rig, A, NULL, octets, 3000);
	rig_inject(rig, A, NULL, octets, 3000);
	rig_inject(rig, A, NULL, octets, sizeof(octets));
	rig_inject(rig, A, NULL, octets, 3000);
	rig_receive(rig, A);
	assert_int_equal(rig_drops(rig, A, DROP_TOO_LONG), 2);
	assert_int_equal(rig_drops(rig, A, DROP_NO_BUFFER), 3);
	rig_advance(rig, 10 * MS);
	discard(rig, B);
}

/* Copies of a flood that find no packet are lost, each counted; the others go out. */
static void counts_copies_that_find_no_packet(void **state)
{
	struct rig *rig = *state;
	struct stats_port *stats = &rig->worker.stats->ports[C];
	uint8_t octets[60];
	uint64_t sent;

	stop_b(rig);
	exhaust(rig, 60, WORKER_PACKETS_MAX - BATCH_SIZE - 1 + 1 - 4);
	assert_int_equal(rig_all_drops(rig, A), 0);
	/* Four are left: each of a batch of three needs itself and two more. */
	rig_frame(octets, 60, BROADCAST, 0x020000000003ull, TYPE);
	for (unsigned i = 0; i < 3; i++)
		rig_inject(rig, C, NULL, octets, 60);
	rig_receive(rig, C);
	sent = discard(rig, A) + discard(rig, TRUNK);
	assert_int_equal(stats->rx_packets, 3);
	assert_int_equal(stats->copies, 6);
	assert_true(rig_drops(rig, C, DROP_NO_BUFFER) > 0);
	assert_int_equal(sent, stats->forwarded);
	assert_int_equal(sent + stats->queued + rig_drops(rig, C, DROP_NO_BUFFER), 9);
	rig_check(rig);
	rig_advance(rig, 10 * MS);
	discard(rig, B);
}

#define MANY 200u

static void floods_two_hundred_ports(void **state)
{
	struct rig *rig = *state;
	uint8_t octets[100];

	for (uint32_t i = TRUNK + 1; i < MANY; i++) {
		rig_port(rig, i, 0, PORT_CAN_ALL);
		rig_member(rig, i, 0, 0);
	}
	rig_commit(rig);
	for (unsigned n = 0; n < BATCH_SIZE; n++) {
		rig_frame(octets, sizeof(octets), n % 5 == 0 ? MAC_B : BROADCAST, MAC_A, TYPE);
		octets[20] = (uint8_t)n;
		rig_inject(rig, A, NULL, octets, sizeof(octets));
	}
	rig_receive(rig, A);
	for (uint32_t port = B; port < MANY; port++) {
		uint32_t shift = port == TRUNK ? 4 : 0;

		for (unsigned n = 0; n < BATCH_SIZE; n++) {
			struct memory_frame *out = rig_collect(rig, port);

			assert_non_null(out);
			assert_int_equal(out->size, sizeof(octets) + shift);
			assert_int_equal(out->data[20 + shift], n);
			free(out);
		}
		assert_int_equal(rig->worker.stats->ports[port].tx_packets, BATCH_SIZE);
	}
	rig_expect_nothing(rig);
	assert_int_equal(rig->worker.stats->ports[A].copies, BATCH_SIZE * (MANY - 2));
	assert_int_equal(rig->worker.stats->ports[A].forwarded, BATCH_SIZE * (MANY - 1));
	assert_int_equal(rig->worker.stats->segments[0].flooded, BATCH_SIZE);
}

/* What the kernel does not take is a drop of the port that it came from, with the kernel's reason.
 */
static void counts_what_a_port_refuses(void **state)
{
	static const enum drop_reason reasons[] = {DROP_PORT_FULL, DROP_PORT_DOWN,  DROP_PORT_GONE,
						   DROP_OVERSIZE,  DROP_PORT_ERROR, DROP_NO_ROUTE};
	struct frame_spec spec = {
		.protocol = 6, .payload_size = 30000, .gso_size = 1000, .partial = true};
	struct rig *rig = *state;
	struct port *b = rig->shared.config->ports[B].port;

	memory_capture(b, 0);
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		frame_build(&frame, &spec);
		memory_fail(b, reasons[i]);
		rig_send_offload(rig, A, &frame.offload, frame.octets, frame.size);
		assert_int_equal(rig_drops(rig, A, reasons[i]), 30);
		assert_int_equal(rig->worker.stats->tenants[0].drops[reasons[i]], 30);
		assert_int_equal(rig->worker.stats->segments[0].drops[reasons[i]], 30);
		assert_int_equal(discard(rig, B), 0);
		assert_int_equal(discard(rig, C), 1);
		discard(rig, TRUNK);
		rig_check(rig);
	}
	assert_int_equal(rig->worker.stats->ports[B].tx_packets, 0);
	memory_fail(b, DROP_NONE);
	rig_send_offload(rig, A, &frame.offload, frame.octets, frame.size);
	assert_int_equal(discard(rig, B), 30);
	discard_all(rig);
}

/* Of a super-packet that a port sends in part, what went out and what did not are told apart. */
static void counts_what_a_port_sends_in_part(void **state)
{
	/* 29 frames of 1,000 octets of payload, and one of 500. */
	struct frame_spec spec = {
		.protocol = 6, .payload_size = 29500, .gso_size = 1000, .partial = true};
	struct rig *rig = *state;
	struct port *b = rig->shared.config->ports[B].port;
	const struct stats_port *stats = rig->worker.stats->ports;
	uint64_t packets = 0, bytes = 0;

	for (uint16_t lost = 1; lost <= 30; lost++) {
		frame_build(&frame, &spec);
		memory_fail_part(b, DROP_PORT_FULL, lost);
		rig_send_offload(rig, A, &frame.offload, frame.octets, frame.size);
		packets += 30u - lost;
		bytes += (30u - lost) * (1000 + frame.payload);
		assert_int_equal(stats[B].tx_packets, packets);
		assert_int_equal(stats[B].tx_bytes, bytes);
		assert_int_equal(rig_drops(rig, A, DROP_PORT_FULL), 30u * lost - packets);
		discard_all(rig);
		rig_check(rig);
	}
}

/* Builds in `reply` what RFC 1191 and RFC 4443 ask for, in answer to `frame`, for an MTU. */
static void build_reply(bool ipv6, uint32_t mtu)
{
	const uint8_t *from = frame.octets + frame.l3;
	uint32_t header = ipv6 ? 40 : 20, quote = ipv6 ? 1280 - 48 : 576 - 28;
	uint8_t *ip = reply.octets + 14, *icmp = ip + header;
	size_t address = ipv6 ? 16 : 4, at = ipv6 ? 8 : 12;

	memset(&reply, 0, sizeof(reply));
	reply.l3 = 14;
	reply.l4 = 14 + header;
	reply.size = reply.l4 + 8 + quote;
	memcpy(reply.octets, frame.octets + 6, 6);
	memcpy(reply.octets + 6, frame.octets, 6);
	memcpy(reply.octets + 12, from - 2, 2);
	memcpy(ip + at, from + at + address, address);
	memcpy(ip + at + address, from + at, address);
	memcpy(icmp + 8, from, quote);
	icmp[0] = ipv6 ? 2 : 3;
	icmp[1] = ipv6 ? 0 : 4;
	frame_put16(icmp + 6, mtu);
	ip[0] = ipv6 ? 0x60 : 0x45;
	if (ipv6) {
		frame_put16(ip + 4, 8 + quote);
		ip[6] = 58;
		ip[7] = 64;
	} else {
		ip[1] = 0xc0;
		frame_put16(ip + 2, 28 + quote);
		frame_put16(ip + 6, 0x4000);
		ip[8] = 64;
		ip[9] = 1;
		frame_put16(ip + 10, ~frame_sum(0, ip, 20));
	}
	frame_put16(icmp + 2, ~frame_sum(ipv6 ? frame_pseudo_sum(&reply, 58) : 0, icmp, 8 + quote));
}

static void answers_what_is_too_big(void **state)
{
	struct rig *rig = *state;
	struct stats_port *stats = &rig->worker.stats->ports[A];

	for (unsigned round = 0; round < 2; round++) {
		struct frame_spec spec = {.ipv6 = round == 1,
					  .protocol = 17,
					  .payload_size = 9000,
					  .fragment = round == 0 ? 0x4000 : 0};

		/* One octet more than passes. */
		spec.payload_size = 9001 - 8 - (spec.ipv6 ? 40 : 20);
		frame_build(&frame, &spec);
		build_reply(spec.ipv6, 9000);
		rig_send(rig, A, frame.octets, frame.size);
		rig_expect(rig, A, reply.octets, reply.size);
		rig_expect_nothing(rig);
		assert_int_equal(rig_drops(rig, A, DROP_OVERSIZE), round + 1);
		assert_int_equal(stats->copies, round + 1);
		assert_int_equal(stats->forwarded, round + 1);
		assert_int_equal(stats->tx_packets, round + 1);
		/* The answer is charged as any other copy that the workload receives. */
		assert_int_equal(rig->worker.stats->tenants[0].receive_packets, round + 1);
		assert_int_equal(rig->worker.stats->tenants[0].send_packets, 0);
		rig_check(rig);
	}
	frame_put16(frame.octets + frame.l3 + 4, 9000 - 40);
	rig_send(rig, A, frame.octets, frame.size - 1);
	rig_expect(rig, B, frame.octets, frame.size - 1);
	discard_all(rig);
	assert_int_equal(stats->copies, 2 + 2);
}

/* On a trunk, the answer has the segment's tag; super-packets are measured by their segments. */
static void answers_with_the_tag(void **state)
{
	struct frame_spec spec = {.protocol = 6,
				  .payload_size = 20000,
				  .gso_size = 8961,
				  .fragment = 0x4000,
				  .partial = true};
	struct rig *rig = *state;
	struct frame tagged;

	frame_build(&frame, &spec);
	build_reply(false, 9000);
	memmove(reply.octets + 16, reply.octets + 12, reply.size - 12);
	memcpy(reply.octets + 12, "\x81\x00\x00\x64", 4);
	reply.size += 4;
	tagged = frame;
	memmove(tagged.octets + 16, tagged.octets + 12, tagged.size - 12);
	memcpy(tagged.octets + 12, "\x81\x00\x00\x64", 4);
	tagged.offload.csum_start += 4;
	rig_send_offload(rig, TRUNK, &tagged.offload, tagged.octets, tagged.size + 4);
	rig_expect(rig, TRUNK, reply.octets, reply.size);
	rig_expect_nothing(rig);
	assert_int_equal(rig_drops(rig, TRUNK, DROP_OVERSIZE), 3);
	spec.gso_size = 8960;
	frame_build(&frame, &spec);
	rig_send_offload(rig, A, &frame.offload, frame.octets, frame.size);
	assert_int_equal(discard(rig, B), 1);
	discard_all(rig);
}

static void answers_at_most_so_often(void **state)
{
	struct frame_spec spec = {.protocol = 17, .payload_size = 9000, .fragment = 0x4000};
	struct rig *rig = *state;

	frame_build(&frame, &spec);
	for (unsigned i = 0; i < 1500; i++)
		rig_send(rig, A, frame.octets, frame.size);
	assert_int_equal(discard(rig, A), 1000);
	rig->seconds++;
	rig_send(rig, A, frame.octets, frame.size);
	assert_int_equal(discard(rig, A), 1);
	assert_int_equal(rig_drops(rig, A, DROP_OVERSIZE), 1501);
	assert_int_equal(rig->worker.stats->ports[A].copies, 1001);
	/* An answer waits in the receive shapers like everything else, and counts as waiting. */
	rig->seconds++;
	rig_rate(rig, SHAPER_TENANT_RECEIVE, 0, 8000);
	for (unsigned i = 0; i < 4; i++)
		rig_send(rig, A, frame.octets, frame.size);
	assert_int_equal(discard(rig, A), 1);
	assert_int_equal(rig->worker.stats->ports[A].queued, 3);
	rig_rate(rig, SHAPER_TENANT_RECEIVE, 0, 0);
	rig_advance(rig, 10 * MS);
	assert_int_equal(discard(rig, A), 3);
}

static void send_from(struct rig *rig, uint32_t port, uint64_t source, uint64_t destination)
{
	uint8_t octets[60];

	rig_send(rig, port, octets, rig_frame(octets, 60, destination, source, TYPE));
}

static void holds_what_moves_too_often(void **state)
{
	struct rig *rig = *state;
	struct stats_segment *segment = &rig->worker.stats->segments[0];
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

	send_from(rig, A, MAC_A, BROADCAST);
	for (unsigned i = 0; i < FDB_MOVES_MAX; i++)
		send_from(rig, i % 2 == 0 ? B : A, MAC_A, BROADCAST);
	assert_int_equal(segment->learned, 1);
	assert_int_equal(segment->moved, FDB_MOVES_MAX);
	assert_int_equal(rig->worker.event_count, 0);
	/* It is at B, and stays there whatever comes. */
	for (unsigned i = 0; i < 10; i++)
		send_from(rig, i % 2 == 0 ? A : C, MAC_A, BROADCAST);
	assert_int_equal(segment->moved, FDB_MOVES_MAX);
	assert_int_equal(rig->worker.event_count, 1);
	assert_int_equal(rig->worker.events[0].type, WORKER_MAC_HELD);
	assert_int_equal(rig->worker.events[0].ref.index, 0);
	assert_int_equal(rig->worker.events[0].ref.incarnation, 1000);
	assert_memory_equal(rig->worker.events[0].mac, mac, sizeof(mac));
	discard_all(rig);
	send_from(rig, C, MAC_B, MAC_A);
	assert_int_equal(discard(rig, B), 1);
	rig_expect_nothing(rig);
	worker_end_turn(&rig->worker);
	assert_int_equal(rig->shared.event_count, 1);
	/* After the second and the next one it moves again. */
	rig->seconds += 2;
	send_from(rig, A, MAC_A, BROADCAST);
	assert_int_equal(segment->moved, FDB_MOVES_MAX + 1);
	discard_all(rig);
}

static uint32_t ageing(void *context, uint32_t segment)
{
	const struct rig *rig = context;

	return rig->shared.config->segments[segment].ageing;
}

static void forgets_what_is_not_seen(void **state)
{
	struct rig *rig = *state;
	uint32_t buckets = fdb_bucket_count(rig->shared.fdb);

	send_from(rig, A, MAC_A, BROADCAST);
	send_from(rig, B, MAC_B, BROADCAST);
	rig->seconds += 200;
	send_from(rig, A, MAC_A, BROADCAST); /* seen again */
	discard_all(rig);
	rig->seconds += 101;
	assert_int_equal(fdb_age(rig->shared.fdb, buckets, rig->seconds, ageing, rig), 1);
	send_from(rig, C, 0x020000000003ull, MAC_A);
	assert_int_equal(discard(rig, A), 1);
	rig_expect_nothing(rig);
	send_from(rig, C, 0x020000000003ull, MAC_B);
	assert_int_equal(discard(rig, A) + discard(rig, B) + discard(rig, TRUNK), 3);
	assert_int_equal(rig->worker.stats->segments[0].learned, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(recovers_from_a_lack_of_packets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_queue_leaves_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(recovers_from_a_lack_of_buffers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_reasons_of_one_batch_apart, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(counts_copies_that_find_no_packet, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(floods_two_hundred_ports, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts_what_a_port_refuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts_what_a_port_sends_in_part, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(answers_what_is_too_big, set_up, tear_down),
		cmocka_unit_test_setup_teardown(answers_with_the_tag, set_up, tear_down),
		cmocka_unit_test_setup_teardown(answers_at_most_so_often, set_up, tear_down),
		cmocka_unit_test_setup_teardown(holds_what_moves_too_often, set_up, tear_down),
		cmocka_unit_test_setup_teardown(forgets_what_is_not_seen, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
