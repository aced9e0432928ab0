/* SPDX-License-Identifier: Apache-2.0 */

/* A VTEP with much to send and to receive, and one whose kernel refuses it or runs out of memory.
 */

#include "vxlan_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Appends the packet in parts that the port takes, as the output stage does. */
static unsigned add_parts(struct vteps *vteps, struct packet **packets, unsigned count,
			  struct packet *packet)
{
	uint32_t lost_frames, lost_bytes, most = vteps->here->ops->super_frames(packet);
	struct packet_list parts;

	packet_list_init(&parts);
	assert_int_equal(
		segment_cut(vteps->fixture->pool, packet, most, &parts, &lost_frames, &lost_bytes),
		0);
	while (parts.first != NULL) {
		assert_true(count < BATCH_SIZE);
		packets[count++] = packet_list_pop(&parts);
	}
	return count;
}

/* The first `count` of the frames that the super-packet stands for, octet for octet. */
static void expect_frames(struct vteps *vteps, const struct frame_spec *spec, unsigned count)
{
	static uint8_t seen[FRAME_MAX], expected[FRAME_MAX];
	struct packet *packet = packet_to(vteps, PEER, spec), *piece;
	struct packet_pool *pool = vteps->fixture->pool;
	uint32_t lost_frames, lost_bytes;
	struct packet_list pieces;

	packet_list_init(&pieces);
	assert_int_equal(segment_cut(pool, packet, 1, &pieces, &lost_frames, &lost_bytes), 0);
	while ((piece = packet_list_pop(&pieces)) != NULL) {
		checksum_complete(piece);
		if (count > 0) {
			packet = next_packet(vteps);
			assert_non_null(packet);
			assert_int_equal(packet->drop, DROP_NONE);
			assert_int_equal(packet->size, piece->size);
			packet_read(packet, 0, seen, FRAME_MAX);
			packet_read(piece, 0, expected, FRAME_MAX);
			assert_memory_equal(seen, expected, piece->size);
			packet_free(pool, packet);
			count--;
		}
		packet_free(pool, piece);
	}
}

static void expect_none(struct vteps *vteps)
{
	struct fixture *fixture = vteps->fixture;

	assert_null(vteps->frames.first);
	vteps->there->ops->receive(vteps->there, 0, &fixture->receiver, &fixture->batch);
	assert_int_equal(fixture->batch.count, 0);
}

static const struct frame_spec supers[] = {
	{.protocol = 6,
	 .payload_size = 30000,
	 .gso_size = 1400,
	 .tcp_flags = 0x18,
	 .partial = true},
	{.protocol = 6, .payload_size = 1401, .gso_size = 1400, .tcp_flags = 0x11, .partial = true},
	{.ipv6 = true, .protocol = 6, .payload_size = 65000, .gso_size = 1371, .partial = true},
	{.protocol = 6,
	 .payload_size = 20000,
	 .gso_size = 999,
	 .tcp_flags = 0x90,
	 .ecn = true,
	 .partial = true},
	{.protocol = 6, .payload_size = 65000, .gso_size = 9000, .partial = true},
	{.protocol = 6, .payload_size = 65000, .gso_size = 32400, .partial = true},
	{.protocol = 6, .payload_size = 65000, .gso_size = 64000, .partial = true},
	{.protocol = 6, .payload_size = 200, .gso_size = 1, .partial = true},
	{.protocol = 17, .payload_size = 64000, .gso_size = 1400, .partial = true},
	{.ipv6 = true, .protocol = 17, .payload_size = 5000, .gso_size = 77, .partial = true},
};

static void carries_super_packets(void **state)
{
	struct vteps *vteps = *state;

	for (unsigned i = 0; i < COUNT(supers); i++) {
		struct packet *packets[BATCH_SIZE];
		uint8_t results[BATCH_SIZE];
		unsigned count = add_parts(vteps, packets, 0, packet_to(vteps, PEER, &supers[i]));

		transmit_all(vteps, packets, count, results);
		for (unsigned j = 0; j < count; j++)
			assert_int_equal(results[j], DROP_NONE);
		expect_frames(vteps, &supers[i], UINT16_MAX);
		expect_none(vteps);
	}
}

static void keeps_sends_within_their_limits(void **state)
{
	struct vteps *vteps = *state;
	struct packet packet = {.payload_offset = 54};

	for (uint32_t size = 1; size <= UINT16_MAX; size++) {
		uint32_t frames;

		packet.offload.gso_size = (uint16_t)size;
		frames = vteps->here->ops->super_frames(&packet);
		assert_in_range(frames, 1, 64);
		assert_true(frames == 1 || frames * (8 + 54 + size) <= 65000);
		/* And no fewer than they could be. */
		assert_true(frames == 64 || (frames + 1) * (8 + 54 + size) > 65000);
	}
}

/* Frames of super-packets are written aside, for which there is room for two or so at a time. */
static void carries_many_at_once(void **state)
{
	struct frame_spec super = {.protocol = 6, .payload_size = 61600, .gso_size = 1400};
	struct frame_spec plain = {.protocol = 6, .payload_size = 700}; /* of the same flow */
	struct vteps *vteps = *state;
	struct packet *packets[BATCH_SIZE];
	uint8_t results[BATCH_SIZE];

	super.partial = true;
	for (unsigned i = 0; i < BATCH_SIZE; i++) {
		super.seed = plain.seed = i;
		packets[i] = packet_to(vteps, PEER, i % 4 == 3 ? &plain : &super);
	}
	transmit_all(vteps, packets, BATCH_SIZE, results);
	for (unsigned i = 0; i < BATCH_SIZE; i++) {
		super.seed = plain.seed = i;
		assert_int_equal(results[i], DROP_NONE);
		expect_frames(vteps, i % 4 == 3 ? &plain : &super, UINT16_MAX);
	}
	expect_none(vteps);
}

/* Nothing of one peer goes with what is another's, super-packets or not. */
static void sends_to_peers_by_turns(void **state)
{
	struct vteps *vteps = *state;
	struct port *peers[2] = {vteps->there, open_vtep(2 + OTHER)};
	struct packet *packets[24];
	uint8_t results[24];

	for (unsigned i = 0; i < 24; i++) {
		struct frame_spec spec = supers[0];

		spec.seed = i;
		if (i < 12)
			spec = (struct frame_spec){.protocol = 17, .payload_size = 500, .seed = i};
		packets[i] = packet_to(vteps, i % 2 == 0 ? PEER : OTHER, &spec);
	}
	transmit_all(vteps, packets, 24, results);
	for (unsigned peer = 0; peer < 2; peer++) {
		vteps->there = peers[peer];
		for (unsigned i = peer; i < 24; i += 2) {
			struct frame_spec spec = supers[0];

			spec.seed = i;
			if (i < 12)
				spec = (struct frame_spec){
					.protocol = 17, .payload_size = 500, .seed = i};
			assert_int_equal(results[i], DROP_NONE);
			expect_frames(vteps, &spec, UINT16_MAX);
		}
		expect_none(vteps);
	}
	vteps->there = peers[0];
	port_unref(peers[1]);
}

/* A socket without checksums is one from which the kernel takes no datagrams together. */
static void refuse_together(struct vteps *vteps)
{
	int one = 1;

	for (unsigned i = 1; i < vteps->here->queue_count; i++)
		assert_int_equal(
			setsockopt(vteps->here->fds[i], SOL_SOCKET, SO_NO_CHECK, &one, sizeof(one)),
			0);
}

static void sends_apart_what_does_not_go_together(void **state)
{
	struct frame_spec plain = {.protocol = 6, .payload_size = 700}; /* of the same flow */
	struct vteps *vteps = *state;
	struct packet *packets[20];
	uint8_t results[20];

	refuse_together(vteps);
	for (unsigned i = 0; i < 20; i++) {
		plain.seed = i;
		packets[i] = packet_to(vteps, PEER, i % 5 == 4 ? &supers[0] : &plain);
	}
	transmit_all(vteps, packets, 20, results);
	for (unsigned i = 0; i < 20; i++) {
		plain.seed = i;
		assert_int_equal(results[i], DROP_NONE);
		expect_frames(vteps, i % 5 == 4 ? &supers[0] : &plain, UINT16_MAX);
	}
	expect_none(vteps);
}

/* What was sent waits in the kernel, on account of its socket, until the rate is raised. */
static void hold_loopback(const char *rate)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "tc qdisc replace dev lo root tbf rate %s burst 3000 limit 10000000", rate);
	assert_int_equal(system(command), 0);
}

/* The socket takes some frames of a super-packet and then no more: which ones went out is known. */
static void tells_what_it_sent_in_part(void **state)
{
	struct frame_spec super = {.protocol = 6, .payload_size = 40000, .gso_size = 1000};
	struct frame_spec plain = {.protocol = 6, .payload_size = 700}; /* of the same flow */
	struct vteps *vteps = *state;
	struct packet *packets[8], *packet;
	uint8_t results[8], result = DROP_REASON_COUNT;
	uint32_t lost;
	int size = 20000;

	super.partial = true;
	refuse_together(vteps);
	for (unsigned i = 1; i < vteps->here->queue_count; i++)
		setsockopt(vteps->here->fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	hold_loopback("8kbit");
	packet = packet_to(vteps, PEER, &super);
	vteps->here->ops->transmit(vteps->here, vteps->config, 0, &packet, 1, &result);
	lost = packet->lost_frames;
	packet_free(vteps->fixture->pool, packet);
	assert_int_equal(result, DROP_PORT_FULL);
	assert_in_range(lost, 1, 39);
	/* There is room for nothing, or for one or two small ones. */
	for (unsigned i = 0; i < 8; i++)
		packets[i] = packet_to(vteps, PEER, &plain);
	transmit_all(vteps, packets, 8, results);
	assert_int_equal(results[7], DROP_PORT_FULL);
	hold_loopback("10gbit");
	expect_frames(vteps, &super, 40 - lost);
	for (unsigned i = 0; i < 8 && results[i] == DROP_NONE; i++)
		expect_frames(vteps, &plain, 1);
	expect_none(vteps);
	assert_int_equal(system("tc qdisc del dev lo root"), 0);
}

/* No buffer is left: large frames are dropped and counted, one by one, and small ones are not. */
static void receives_without_buffers(void **state)
{
	struct frame_spec large = {.protocol = 17, .payload_size = 8000};
	struct frame_spec small = {.protocol = 17, .payload_size = 300};
	struct vteps *vteps = *state;
	struct fixture *fixture = vteps->fixture;
	struct packet_buffer *taken = NULL, *buffer;
	struct packet *packets[40];
	uint8_t results[40];

	for (unsigned i = 0; i < 40; i++) {
		small.seed = i;
		packets[i] = packet_to(vteps, PEER, i % 4 == 3 ? &small : &large);
	}
	transmit_all(vteps, packets, 40, results);
	while ((buffer = packet_buffer_new(fixture->pool)) != NULL) {
		buffer->next = taken;
		taken = buffer;
	}
	for (unsigned i = 3; i < 40; i += 4) {
		small.seed = i;
		expect_packet(vteps, &small);
	}
	expect_none(vteps);
	assert_int_equal(fixture->receiver.dropped_frames, 30);
	assert_int_equal(fixture->receiver.dropped[DROP_NO_BUFFER], 30);
	assert_int_equal(fixture->receiver.dropped_bytes, 30 * 8042);
	while ((buffer = taken) != NULL) {
		taken = buffer->next;
		packet_buffer_release(fixture->pool, buffer);
	}
	assert_int_equal(transmit_one(vteps, PEER, &large), DROP_NONE);
	expect_packet(vteps, &large);
}

/* Sends `trains` times as many frames as come together, none of which continues another. */
static void send_trains(struct vteps *vteps, unsigned trains, unsigned frames)
{
	struct frame_spec spec = {.protocol = 17, .payload_size = 20};
	struct packet *packets[BATCH_SIZE];
	uint8_t results[BATCH_SIZE];

	for (unsigned i = 0; i < trains; i++) {
		for (unsigned j = 0; j < frames; j++)
			packets[j] = packet_to(vteps, PEER, &spec);
		transmit_all(vteps, packets, frames, results);
	}
}

/* Receives until other ports have their turn, and returns how many packets there were. */
static unsigned receive_turn(struct vteps *vteps)
{
	struct fixture *fixture = vteps->fixture;
	unsigned count = 0;
	int more;

	do {
		more = vteps->there->ops->receive(vteps->there, 0, &fixture->receiver,
						  &fixture->batch);
		count += fixture->batch.count;
		discard_batch(fixture);
	} while (more == PORT_IN_HAND);
	return count;
}

/* Other ports wait for two batches at most, however many datagrams come together. */
static void takes_its_turn(void **state)
{
	struct vteps *vteps = *state;

	send_trains(vteps, 1, 64);
	assert_int_equal(receive_turn(vteps), 64);
	send_trains(vteps, 20, 64);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(receive_turn(vteps), 128);
	/* Single ones again: as many as ever. */
	send_trains(vteps, 2 + BATCH_SIZE, 1);
	assert_int_equal(receive_turn(vteps), 2);
	assert_int_equal(receive_turn(vteps), BATCH_SIZE);
	expect_none(vteps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(carries_super_packets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keeps_sends_within_their_limits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(carries_many_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sends_to_peers_by_turns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sends_apart_what_does_not_go_together, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(tells_what_it_sent_in_part, set_up, tear_down),
		cmocka_unit_test_setup_teardown(receives_without_buffers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(takes_its_turn, set_up, tear_down),
	};

	if (!have_namespace())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
