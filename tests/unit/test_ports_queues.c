/* SPDX-License-Identifier: Apache-2.0 */

/* Ports with several queues, against the kernel: a VTEP that receives by two, a TAP of two. */

#include "kernel_fixture.h"

#define VTEP_PORT 4789
#define VNI	  5001u
#define FLOWS	  32u

static int udp_socket(uint16_t udp_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(udp_port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* A datagram with a frame of this size to a socket's own port. */
static void send_datagram(int from, int to, uint32_t size)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	uint8_t octets[1500] = {0x08, 0, 0, 0, 0, 0x13, 0x89, 0};

	assert_int_equal(getsockname(to, (struct sockaddr *)&address, &length), 0);
	assert_int_equal(sendto(from, octets, 8 + size, 0, (struct sockaddr *)&address, length),
			 8 + size);
}

/* Receives from one queue, as often as it says that there is more; the frames' sizes. */
static unsigned receive_sizes(struct fixture *fixture, struct port *port, unsigned queue,
			      uint32_t sizes[BATCH_SIZE])
{
	unsigned count;

	while (port->ops->receive(port, queue, &fixture->receiver, &fixture->batch) > 0)
		continue;
	count = fixture->batch.count;
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(fixture->batch.packets[i]->outer_vni, VNI);
		sizes[i] = fixture->batch.packets[i]->size;
	}
	discard_batch(fixture);
	return count;
}

/* Two that receive, on ports of their own so that the test can choose, and two that send. */
static struct port *make_vtep(int fds[4])
{
	const struct proto_ref ref = {1, 1};
	struct port *port;

	for (int i = 0; i < 4; i++)
		fds[i] = udp_socket(i < 2 ? (uint16_t)(VTEP_PORT + i) : 0);
	assert_int_equal(port_new_vtep(&port, &ref, fds, 4, 2), 0);
	assert_int_equal(port->receive_count, 2);
	return port;
}

static void vtep_receives_by_two(void **state)
{
	struct fixture *fixture = *state;
	uint32_t sizes[BATCH_SIZE] = {0};
	int fds[4] = {0}, peer = udp_socket(0);
	struct port *port = make_vtep(fds);

	for (uint32_t i = 0; i < 3; i++) {
		send_datagram(peer, fds[0], 100 + i);
		send_datagram(peer, fds[1], 200 + i);
	}
	for (unsigned queue = 2; queue-- > 0;) {
		assert_int_equal(receive_sizes(fixture, port, queue, sizes), 3);
		for (uint32_t i = 0; i < 3; i++)
			assert_int_equal(sizes[i], 100 * (queue + 1) + i);
		assert_int_equal(receive_sizes(fixture, port, queue, sizes), 0);
	}
	port_unref(port);
	close(peer);
}

/* By the source ports of those that only send; never by a socket that receives. */
static void vtep_sends_by_the_others(void **state)
{
	struct fixture *fixture = *state;
	struct config_peer peer_config = {.incarnation = 1, .addr = {.family = AF_INET}};
	struct config_segment segment = {.incarnation = 1, .vni = VNI};
	struct config config = {.peers = &peer_config,
				.peer_count = 1,
				.segments = &segment,
				.segment_count = 1,
				.vtep_udp_port = VTEP_PORT + 9};
	const uint32_t address = htonl(INADDR_LOOPBACK);
	int fds[4] = {0}, peer = udp_socket(VTEP_PORT + 9);
	struct port *port = make_vtep(fds);
	uint16_t ports[2] = {0}, seen[2] = {0};

	memcpy(peer_config.addr.bytes, &address, sizeof(address));
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in own = {0};
		socklen_t length = sizeof(own);

		assert_int_equal(getsockname(fds[2 + i], (struct sockaddr *)&own, &length), 0);
		ports[i] = own.sin_port;
	}
	for (uint32_t flow = 0; flow < FLOWS; flow++) {
		static struct frame frame;
		const struct frame_spec spec = {.protocol = 17, .payload_size = 40};
		struct sockaddr_in from = {0};
		socklen_t length = sizeof(from);
		uint8_t result, octets[2048];
		struct packet *packet;

		frame_build(&frame, &spec);
		packet = packet_of(fixture, &frame);
		packet->peer_out = 0;
		packet->flow_hash = flow;
		port->ops->transmit(port, &config, flow % 2, &packet, 1, &result);
		assert_int_equal(result, DROP_NONE);
		packet_free(fixture->pool, packet);
		assert_true(recvfrom(peer, octets, sizeof(octets), 0, (struct sockaddr *)&from,
				     &length) > 8);
		assert_true(from.sin_port == ports[0] || from.sin_port == ports[1]);
		seen[from.sin_port == ports[1]]++;
	}
	assert_true(seen[0] > 0 && seen[1] > 0);
	port_unref(port);
	close(peer);
}

/* There is one that sends at least, and one that receives. */
static void vtep_needs_both(void **state)
{
	static const uint32_t counts[][2] = {{1, 1}, {2, 0}, {2, 2}, {2, 3}, {20, 17}, {25, 1}};
	const struct proto_ref ref = {1, 1};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct port *port;
		int fds[25] = {0};

		for (uint32_t j = 0; j < counts[i][0]; j++)
			fds[j] = udp_socket(0);
		assert_int_equal(port_new_vtep(&port, &ref, fds, counts[i][0], counts[i][1]),
				 -EINVAL);
		/* They are taken all the same. */
		assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	}
}

static int open_tap_queue(void)
{
	struct ifreq request = {.ifr_name = "tap0",
				.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	return fd;
}

static void put_ports(struct frame *frame, uint16_t source, uint16_t destination)
{
	frame_put16(frame->octets + frame->l4, source);
	frame_put16(frame->octets + frame->l4 + 2, destination);
}

/* The kernel answers a flow by the queue that it came from: that of the worker that has it. */
static void tap_answers_by_the_same_queue(void **state)
{
	const struct frame_spec spec = {.protocol = 17, .payload_size = 40};
	const uint8_t addresses[8] = {10, 0, 0, 2, 10, 0, 0, 1};
	struct fixture *fixture = *state;
	int fds[2] = {open_tap_queue(), open_tap_queue()}, sender;
	struct port *port = make_port(PROTO_PORT_TAP, fds, 2);
	struct sockaddr_ll to = {.sll_family = AF_PACKET};
	static struct frame frame;

	ip("link", "set", "tap0", "up", NULL);
	wait_for_link("tap0");
	sender = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	to.sll_ifindex = (int)if_nametoindex("tap0");
	for (uint32_t flow = 0; flow < FLOWS; flow++) {
		unsigned queue = flow % 3 == 0, came = 2;
		uint64_t end = now_ms() + DEADLINE_MS;
		struct packet *packet;
		uint8_t result;

		frame_build(&frame, &spec);
		put_ports(&frame, (uint16_t)(1000 + flow), 53);
		packet = packet_of(fixture, &frame);
		port->ops->transmit(port, NULL, queue, &packet, 1, &result);
		assert_int_equal(result, DROP_NONE);
		packet_free(fixture->pool, packet);
		/* The answer, as the interface's own host sends it. */
		memcpy(frame.octets + frame.l3 + 12, addresses, sizeof(addresses));
		put_ports(&frame, 53, (uint16_t)(1000 + flow));
		assert_int_equal(sendto(sender, frame.octets, frame.size, 0, (struct sockaddr *)&to,
					sizeof(to)),
				 frame.size);
		while (came == 2 && now_ms() < end) {
			for (unsigned q = 0; q < 2; q++) {
				port->ops->receive(port, q, &fixture->receiver, &fixture->batch);
				for (unsigned i = 0; i < fixture->batch.count; i++)
					came = fixture->batch.packets[i]->size == frame.size ? q
											     : came;
				discard_batch(fixture);
			}
		}
		assert_int_equal(came, queue);
	}
	close(sender);
	port_unref(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(vtep_receives_by_two),
		TEST(vtep_sends_by_the_others),
		TEST(vtep_needs_both),
		TEST(tap_answers_by_the_same_queue),
	};

	if (!have_namespace())
		return SKIPPED;
	ip("link", "set", "lo", "up", NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
