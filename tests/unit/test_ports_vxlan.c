/* SPDX-License-Identifier: Apache-2.0 */

/* A VTEP's sending and receiving, against the kernel's UDP. */

#include "vxlan_fixture.h"

/* Of many sizes and flows in one batch; the order within a flow is kept, since the flow is one. */
static void carries_batches(void **state)
{
	struct vteps *vteps = *state;
	struct packet *packets[BATCH_SIZE];
	uint8_t results[BATCH_SIZE];

	for (unsigned round = 0; round < 6; round++) {
		struct frame_spec spec = {.protocol = round % 2 == 0 ? 6 : 17,
					  .ipv6 = round % 3 == 0};
		unsigned count = round == 5 ? 1 : BATCH_SIZE;

		for (unsigned i = 0; i < count; i++) {
			spec.seed = i;
			/* All equal, ever smaller, up and down, small ones between large ones. */
			spec.payload_size = round == 0	 ? 1400
					    : round == 1 ? 1400 - i
					    : round == 2 ? 100 + i % 7 * 150
					    : round == 3 ? (i % 9 == 8 ? 1 : 1300)
							 : 8000;
			packets[i] = packet_to(vteps, PEER, &spec);
		}
		transmit_all(vteps, packets, count, results);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(results[i], DROP_NONE);
			spec.seed = i;
			spec.payload_size = round == 0	 ? 1400
					    : round == 1 ? 1400 - i
					    : round == 2 ? 100 + i % 7 * 150
					    : round == 3 ? (i % 9 == 8 ? 1 : 1300)
							 : 8000;
			expect_packet(vteps, &spec);
		}
	}
	assert_int_equal(vteps->fixture->batch.count, 0);
}

/* What comes together in a few messages is more than a batch: the rest stays in the port. */
static void splits_what_is_more_than_a_batch(void **state)
{
	struct vteps *vteps = *state;
	struct fixture *fixture = vteps->fixture;
	struct frame_spec spec = {.protocol = 17, .payload_size = 900};
	uint8_t results[BATCH_SIZE];
	unsigned received = 0, full = 0, more;

	for (unsigned round = 0; round < 8; round++) {
		struct packet *packets[BATCH_SIZE];

		for (unsigned i = 0; i < 50; i++) {
			spec.seed = round * 50 + i;
			packets[i] = packet_to(vteps, PEER, &spec);
		}
		transmit_all(vteps, packets, 50, results);
	}
	do {
		more = (unsigned)vteps->there->ops->receive(vteps->there, 0, &fixture->receiver,
							    &fixture->batch);
		full += fixture->batch.count == BATCH_SIZE;
		while (fixture->batch.count > 0 || vteps->frames.first != NULL) {
			spec.seed = received++;
			expect_packet(vteps, &spec);
		}
	} while (more != PORT_DRAINED);
	assert_int_equal(received, 400);
	assert_int_equal(full, 6);
	assert_int_equal(fixture->receiver.dropped_frames, 0);
}

/* The receiver is shared with other ports, which find it as they left it. */
static void leaves_the_receiver_to_other_ports(void **state)
{
	struct vteps *vteps = *state;
	struct fixture *fixture = vteps->fixture;
	struct frame_spec spec = {.protocol = 17, .payload_size = 1400}, large = {.protocol = 6};
	struct packet *packets[BATCH_SIZE], *held[BATCH_SIZE];
	uint8_t results[BATCH_SIZE];
	int pipe_fds[2];
	struct port *tap;

	for (unsigned i = 0; i < 40; i++) {
		spec.seed = i;
		packets[i] = packet_to(vteps, PEER, &spec);
	}
	transmit_all(vteps, packets, 40, results);
	assert_true(receive(fixture, vteps->there, 40) >= 0);
	memcpy(held, fixture->batch.packets, sizeof(held));
	fixture->batch.count = 0;
	/* Something that is read like a TAP. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pipe_fds), 0);
	tap = make_port(PROTO_PORT_TAP, pipe_fds, 1);
	large.payload_size = 30000;
	large.gso_size = 1400;
	large.partial = true;
	frame_build(&frame, &large);
	write_frame(pipe_fds[1], &frame);
	expect_frame(fixture, tap, &frame);
	/* And what is held is what it was. */
	memcpy(fixture->batch.packets, held, sizeof(held));
	fixture->batch.count = 40;
	for (unsigned i = 0; i < 40; i++) {
		spec.seed = i;
		expect_packet(vteps, &spec);
	}
	close(pipe_fds[1]);
	port_unref(tap);
}

static void copies_tos_out_and_in(void **state)
{
	struct vteps *vteps = *state;
	struct frame_spec spec = {.protocol = 17, .payload_size = 100};
	struct packet *packets[4];
	uint8_t results[4];
	/* In one batch: differing ones cannot share a send. */
	static const uint8_t tos[] = {0xb8, 0xb9, 0x03, 0x00};

	for (unsigned i = 0; i < 4; i++) {
		packets[i] = packet_to(vteps, PEER, &spec);
		packets[i]->ip_ecn_dscp = tos[i];
	}
	transmit_all(vteps, packets, 4, results);
	for (unsigned i = 0; i < 4; i++) {
		struct packet *packet = next_packet(vteps);

		assert_non_null(packet);
		assert_int_equal(packet->outer_tos, tos[i]);
		packet_free(vteps->fixture->pool, packet);
	}
}

/* Receives one datagram and returns its source port in host order, 0 when none comes. */
static uint16_t source_port(int fd, uint8_t *octets, size_t *size)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	struct sockaddr_in from = {0};
	socklen_t from_size = sizeof(from);
	ssize_t received;

	if (poll(&poller, 1, DEADLINE_MS) != 1)
		return 0;
	received = recvfrom(fd, octets, 2000, 0, (struct sockaddr *)&from, &from_size);
	assert_true(received >= 0);
	*size = (size_t)received;
	return ntohs(from.sin_port);
}

/* A flow keeps its source port; many flows take them all. RFC 7348, section 5. */
static void gives_flows_their_ports(void **state)
{
	static const uint8_t header[8] = {0x08, 0, 0, 0, 0xab, 0xcd, 0xef, 0};
	struct vteps *vteps = *state;
	int fd = open_udp(2 + PLAIN, UDP_PORT, false);
	uint16_t ports[64];
	unsigned distinct = 0;

	for (unsigned i = 0; i < 128; i++) {
		struct frame_spec spec = {.protocol = 17, .payload_size = 50 + i / 64};
		struct packet *packet = packet_to(vteps, PLAIN, &spec);
		uint8_t octets[2000], result;
		uint16_t from;
		size_t size = 0;

		/* The inner flow differs in its ports. */
		packet->flow_hash = (i % 64) * 2654435761u >> 3;
		transmit_all(vteps, &packet, 1, &result);
		assert_int_equal(result, DROP_NONE);
		from = source_port(fd, octets, &size);
		assert_int_not_equal(from, 0);
		assert_int_not_equal(from, UDP_PORT);
		assert_int_equal(size, 8 + frame.size);
		assert_memory_equal(octets, header, 8);
		assert_memory_equal(octets + 8, frame.octets, frame.size);
		if (i >= 64) {
			assert_int_equal(from, ports[i - 64]);
			continue;
		}
		distinct++;
		for (unsigned j = 0; j < i; j++) {
			if (ports[j] == from) {
				distinct--;
				break;
			}
		}
		ports[i] = from;
	}
	assert_int_equal(distinct, SENDERS);
	close(fd);
}

/* Nobody listens at one peer: its ICMP errors fail no send to another. */
static void an_unreachable_peer_hurts_no_other(void **state)
{
	struct vteps *vteps = *state;
	struct frame_spec spec = {.protocol = 17, .payload_size = 200};

	for (unsigned round = 0; round < 50; round++) {
		struct packet *packets[6];
		uint8_t results[6];

		for (unsigned i = 0; i < 6; i++) {
			spec.seed = round * 6 + i;
			packets[i] = packet_to(vteps, i % 2 == 0 ? DEAF : PEER, &spec);
		}
		transmit_all(vteps, packets, 6, results);
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(results[i], DROP_NONE);
		for (unsigned i = 1; i < 6; i += 2) {
			spec.seed = round * 6 + i;
			expect_packet(vteps, &spec);
		}
	}
}

/* Path MTU: what does not fit is refused by name, alone or in a group, and nothing else. */
static void refuses_what_the_underlay_cannot_carry(void **state)
{
	struct vteps *vteps = *state;
	struct packet *packets[8];
	uint8_t results[8];

	ip("link", "set", "lo", "mtu", "1500", NULL);
	for (unsigned i = 0; i < 8; i++) {
		struct frame_spec spec = {.protocol = 17,
					  .seed = i,
					  .payload_size = i < 3	  ? 1600
							  : i < 5 ? 1000
								  : 1800};

		packets[i] = packet_to(vteps, PEER, &spec);
	}
	transmit_all(vteps, packets, 8, results);
	for (unsigned i = 0; i < 8; i++) {
		struct frame_spec spec = {.protocol = 17, .seed = i, .payload_size = 1000};

		assert_int_equal(results[i], i == 3 || i == 4 ? DROP_NONE : DROP_OVERSIZE);
		if (results[i] == DROP_NONE)
			expect_packet(vteps, &spec);
	}
}

/* The largest that fits one datagram, and more. */
static void carries_the_largest(void **state)
{
	struct vteps *vteps = *state;
	struct frame_spec spec = {.protocol = 17};

	spec.payload_size = 65507 - 8 - 42;
	assert_int_equal(transmit_one(vteps, PEER, &spec), DROP_NONE);
	expect_packet(vteps, &spec);
	spec.payload_size++;
	assert_int_equal(transmit_one(vteps, PEER, &spec), DROP_OVERSIZE);
}

static void says_when_there_is_no_route(void **state)
{
	struct vteps *vteps = *state;
	struct frame_spec spec = {.protocol = 17, .payload_size = 100};
	uint8_t address[4] = {203, 0, 113, 1};

	memcpy(vteps->config->peers[OTHER].addr.bytes, address, 4);
	assert_int_equal(transmit_one(vteps, OTHER, &spec), DROP_NO_ROUTE);
	assert_int_equal(transmit_one(vteps, PEER, &spec), DROP_NONE);
	expect_packet(vteps, &spec);
}

struct datagram {
	const char *what;
	uint8_t octets[10];
	size_t size;
	enum drop_reason drop;
	uint32_t vni;
};

static const struct datagram datagrams[] = {
	{"empty", {0}, 0, DROP_VXLAN_HEADER, 0},
	{"one octet", {0x08}, 1, DROP_VXLAN_HEADER, 0},
	{"cut off", {0x08, 0, 0, 0, 1, 2, 3}, 7, DROP_VXLAN_HEADER, 0},
	{"without the flag", {0x00, 0, 0, 0, 1, 2, 3, 0, 9}, 9, DROP_VXLAN_HEADER, 0},
	{"every other flag", {0xf7, 0xff, 0, 0, 1, 2, 3, 0, 9}, 9, DROP_VXLAN_HEADER, 0},
	{"reserved bits set", {0xff, 0xff, 0xff, 0xff, 1, 2, 3, 0xff, 9}, 9, DROP_NONE, 0x010203},
	{"no frame", {0x08, 0, 0, 0, 0xff, 0xff, 0xff, 0}, 8, DROP_NONE, 0xffffff},
};

static void refuses_bad_headers(void **state)
{
	struct vteps *vteps = *state;
	struct receiver *receiver = &vteps->fixture->receiver;
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(UDP_PORT),
				 .sin_addr.s_addr = htonl(0x7f000002u)};
	int fd = open_udp(9, 0, false);

	for (unsigned i = 0; i < sizeof(datagrams) / sizeof(datagrams[0]); i++) {
		const struct datagram *datagram = &datagrams[i];
		struct packet *packet;

		assert_int_equal(sendto(fd, datagram->octets, datagram->size, 0,
					(struct sockaddr *)&to, sizeof(to)),
				 datagram->size);
		if (datagram->size == 0) {
			struct pollfd poller = {.fd = vteps->there->fds[0], .events = POLLIN};

			assert_int_equal(poll(&poller, 1, DEADLINE_MS), 1);
			vteps->there->ops->receive(vteps->there, 0, receiver,
						   &vteps->fixture->batch);
			assert_int_equal(vteps->fixture->batch.count, 0);
			assert_int_equal(receiver->dropped[DROP_VXLAN_HEADER], 1);
			continue;
		}
		packet = next_packet(vteps);
		assert_non_null(packet);
		if (packet->drop != datagram->drop)
			print_error("%s\n", datagram->what);
		assert_int_equal(packet->drop, datagram->drop);
		assert_int_equal(packet->outer_source, htonl(0x7f000009u));
		if (packet->drop == DROP_NONE) {
			assert_int_equal(packet->outer_vni, datagram->vni);
			assert_int_equal(packet->size, datagram->size - 8);
		}
		packet_free(vteps->fixture->pool, packet);
	}
	close(fd);
}

/* Nothing is left for what came together: every datagram of it is counted. */
static void counts_every_lost_datagram(void **state)
{
	struct vteps *vteps = *state;
	struct fixture *fixture = vteps->fixture;
	struct frame_spec spec = {.protocol = 17, .payload_size = 1000};
	struct packet *packets[BATCH_SIZE], *taken = NULL, *packet;
	uint8_t results[BATCH_SIZE];
	uint64_t end = now_ms() + DEADLINE_MS;

	for (unsigned i = 0; i < 40; i++)
		packets[i] = packet_to(vteps, PEER, &spec);
	transmit_all(vteps, packets, 40, results);
	while ((packet = packet_new(fixture->pool)) != NULL) {
		packet->next = taken;
		taken = packet;
	}
	while (fixture->receiver.dropped_frames < 40 && now_ms() < end)
		vteps->there->ops->receive(vteps->there, 0, &fixture->receiver, &fixture->batch);
	assert_int_equal(fixture->receiver.dropped[DROP_NO_BUFFER], 40);
	assert_int_equal(fixture->receiver.dropped_bytes, 40 * 1042);
	while ((packet = taken) != NULL) {
		taken = packet->next;
		packet_free(fixture->pool, packet);
	}
	assert_int_equal(transmit_one(vteps, PEER, &spec), DROP_NONE);
	expect_packet(vteps, &spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(carries_batches, set_up, tear_down),
		cmocka_unit_test_setup_teardown(splits_what_is_more_than_a_batch, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(leaves_the_receiver_to_other_ports, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(copies_tos_out_and_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(gives_flows_their_ports, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unreachable_peer_hurts_no_other, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(refuses_what_the_underlay_cannot_carry, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(carries_the_largest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(says_when_there_is_no_route, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_bad_headers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts_every_lost_datagram, set_up, tear_down),
	};

	if (!have_namespace())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
