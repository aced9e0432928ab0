/* SPDX-License-Identifier: Apache-2.0 */

/* TAPs and packet sockets on veths, against the kernel. */

#include <sys/personality.h>

#include "kernel_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct frame frame; /* too large for a stack */
static uint8_t octets[FRAME_MAX];

static const struct frame_spec specs[] = {
	{.protocol = 17, .payload_size = 0},
	{.protocol = 17, .payload_size = 1000},
	{.protocol = 6, .payload_size = 1460, .partial = true},
	{.ipv6 = true, .protocol = 6, .payload_size = 700, .partial = true},
	{.protocol = 6,
	 .payload_size = 20000,
	 .gso_size = 1448,
	 .tcp_flags = 0x10,
	 .partial = true},
	{.protocol = 6,
	 .payload_size = 65400,
	 .gso_size = 1448,
	 .tcp_flags = 0x10,
	 .partial = true},
	{.ipv6 = true,
	 .protocol = 6,
	 .payload_size = 60000,
	 .gso_size = 1428,
	 .tcp_flags = 0x10,
	 .partial = true},
	{.protocol = 17, .payload_size = 9000, .gso_size = 1000, .partial = true},
	{.ipv6 = true, .protocol = 17, .payload_size = 9000, .gso_size = 1000, .partial = true},
};

/* Opens a TAP as the control daemon does. */
static int open_tap(const char *ifname)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), size = 10, one = 1;
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	assert_true(fd >= 0);
	strncpy(request.ifr_name, ifname, IFNAMSIZ - 1);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	assert_int_equal(ioctl(fd, TUNSETVNETHDRSZ, &size), 0);
	assert_int_equal(ioctl(fd, TUNSETVNETLE, &one), 0);
	/* Checksums, TSO with ECN, and USO. */
	assert_int_equal(ioctl(fd, TUNSETOFFLOAD,
			       TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | 0x20 | 0x40),
			 0);
	return fd;
}

static void set_up_link(const char *ifname)
{
	char path[64];
	int fd;

	/* The kernel's own IPv6 chatter would come in between. */
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", ifname);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		assert_int_equal(write(fd, "1", 1), 1);
		close(fd);
	}
	ip("link", "set", ifname, "up", NULL);
}

static struct port *tap_port(const char *ifname)
{
	int fd = open_tap(ifname);

	set_up_link(ifname);
	wait_for_link(ifname);
	return make_port(PROTO_PORT_TAP, &fd, 1);
}

/* Every frame of `specs` in both directions; `peer` is the far side's packet socket. */
static void carries_frames(struct fixture *fixture, struct port *port, int peer, unsigned tags)
{
	for (unsigned i = 0; i < COUNT(specs); i++) {
		struct frame_spec spec = specs[i];
		struct virtio_net_hdr offload = {0};

		spec.tags = tags;
		frame_build(&frame, &spec);
		write_frame(peer, &frame);
		expect_frame(fixture, port, &frame);
		assert_int_equal(transmit(fixture, port, &frame), DROP_NONE);
		assert_int_equal(read_frame(peer, &offload, octets), frame.size);
		assert_memory_equal(octets, frame.octets, frame.size);
		assert_int_equal(offload.gso_type, frame.offload.gso_type);
		assert_int_equal(offload.gso_size, frame.offload.gso_size);
		assert_int_equal(offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, frame.offload.flags);
	}
}

static void tap_carries_frames(void **state)
{
	struct port *port = tap_port("dpt0");
	int peer = open_packet_socket("dpt0", false);

	carries_frames(*state, port, peer, 0);
	close(peer);
	port_unref(port);
}

/* A tag lies inline in both directions. */
static void tap_carries_tags(void **state)
{
	struct port *port = tap_port("dpt0");
	int peer = open_packet_socket("dpt0", false);

	for (unsigned i = 0; i < 4; i++) {
		struct frame_spec spec = specs[i];

		spec.tags = 1 + i % 2;
		frame_build(&frame, &spec);
		write_frame(peer, &frame);
		expect_frame(*state, port, &frame);
	}
	close(peer);
	port_unref(port);
}

/* Many small frames at once: in batches, none lost, in order. */
static void tap_receives_batches(void **state)
{
	struct fixture *fixture = *state;
	struct port *port = tap_port("dpt0");
	int peer = open_packet_socket("dpt0", false);

	for (unsigned i = 0; i < 200; i++) {
		struct frame_spec spec = {.protocol = 17, .payload_size = 100, .identification = i};

		frame_build(&frame, &spec);
		write_frame(peer, &frame);
	}
	for (unsigned i = 0; i < 200; i++) {
		struct packet *packet;

		if (i % BATCH_SIZE == 0) {
			discard_batch(fixture);
			assert_int_equal(receive(fixture, port, i == 192 ? 8 : BATCH_SIZE),
					 i == 192 ? PORT_DRAINED : PORT_MORE);
			assert_int_equal(fixture->batch.count, i == 192 ? 8 : BATCH_SIZE);
		}
		packet = fixture->batch.packets[i % BATCH_SIZE];
		assert_int_equal(frame_get16(packet->data + 14 + 4), i);
	}
	close(peer);
	port_unref(port);
}

static void tap_down_is_not_lost(void **state)
{
	struct port *port = tap_port("dpt0");
	int peer = open_packet_socket("dpt0", false);

	frame_build(&frame, &specs[1]);
	ip("link", "set", "dpt0", "down", NULL);
	assert_int_equal(transmit(*state, port, &frame), DROP_PORT_DOWN);
	assert_int_equal(port->ops->receive(port, 0, &((struct fixture *)*state)->receiver,
					    &((struct fixture *)*state)->batch),
			 0);
	ip("link", "set", "dpt0", "up", NULL);
	wait_for_link("dpt0");
	close(peer);
	peer = open_packet_socket("dpt0", false);
	write_frame(peer, &frame);
	expect_frame(*state, port, &frame);
	assert_int_equal(transmit(*state, port, &frame), DROP_NONE);
	close(peer);
	port_unref(port);
}

static void tap_that_is_deleted_is_lost(void **state)
{
	struct port *port = tap_port("dpt0");

	ip("link", "del", "dpt0", NULL);
	frame_build(&frame, &specs[1]);
	assert_true(receive(*state, port, 1) < 0);
	assert_int_equal(transmit(*state, port, &frame), DROP_PORT_GONE);
	port_unref(port);
}

/* Makes a namespace that nothing but the descriptor holds. */
static int make_namespace(void)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), made;

	assert_true(home >= 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	made = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(made >= 0);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	return made;
}

/* Moves the interface there, and lets the namespace end. */
static void move_and_end(const char *ifname, int namespace)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), namespace);
	ip("link", "set", ifname, "netns", path, NULL);
	close(namespace);
}

static void tap_whose_namespace_ends_is_lost(void **state)
{
	struct port *port = tap_port("dpt0");

	move_and_end("dpt0", make_namespace());
	frame_build(&frame, &specs[1]);
	assert_true(receive(*state, port, 1) < 0);
	assert_int_equal(transmit(*state, port, &frame), DROP_PORT_GONE);
	port_unref(port);
}

/* The kernel is older, or says so: what it would refuse it is not given. */
static void gives_an_older_kernel_no_uso(void **state)
{
	int before = personality(0xffffffff);
	int pair[2], packet;
	struct port *port;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(personality((unsigned long)before | UNAME26) >= 0);
	for (unsigned i = 0; i < 2; i++) {
		port = i == 0 ? make_port(PROTO_PORT_TAP, pair, 1)
			      : make_port(PROTO_PORT_PACKET, &packet, 1);
		assert_int_equal(port->features, PORT_CAN_ALL & ~PORT_CAN_USO);
		port_unref(port);
	}
	personality((unsigned long)before);
	port = make_port(PROTO_PORT_TAP, pair + 1, 1);
	assert_int_equal(port->features, PORT_CAN_ALL);
	port_unref(port);
}

static struct port *veth_port(void)
{
	int fd;

	ip("link", "add", "dpv0", "type", "veth", "peer", "name", "dpv1", NULL);
	set_up_link("dpv0");
	set_up_link("dpv1");
	wait_for_link("dpv0");
	wait_for_link("dpv1");
	fd = open_packet_socket("dpv0", true);
	return make_port(PROTO_PORT_PACKET, &fd, 1);
}

static void remove_veth(struct port *port, int peer)
{
	close(peer);
	port_unref(port);
	ip("link", "del", "dpv0", NULL);
}

static void veth_carries_frames(void **state)
{
	struct port *port = veth_port();
	int peer = open_packet_socket("dpv1", false);

	carries_frames(*state, port, peer, 0);
	remove_veth(port, peer);
}

/* The kernel takes the outermost tag off; it is back, and offsets follow, inner tags or not. */
static void veth_restores_tags(void **state)
{
	static const uint8_t tags[][4] = {
		{0x81, 0x00, 0x00, 0x64}, {0x81, 0x00, 0xef, 0xfe}, /* PCP, DEI, VID 4094 */
		{0x81, 0x00, 0x60, 0x00},			    /* VID 0 */
		{0x81, 0x00, 0x00, 0x00}, {0x88, 0xa8, 0x00, 0x64}, {0x88, 0xa8, 0xe0, 0x00},
	};
	struct port *port = veth_port();
	int peer = open_packet_socket("dpv1", false);

	for (unsigned i = 0; i < COUNT(specs) * 2; i++) {
		struct frame_spec spec = specs[i / 2];

		spec.tags = 1 + i % 2;
		/* What is larger than the MTU has room for one tag only, of 802.1Q. */
		if (spec.gso_size == 0 && spec.payload_size > 1400)
			spec.payload_size = 1400;
		for (unsigned j = 0; j < COUNT(tags); j++) {
			frame_build(&frame, &spec);
			memcpy(frame.octets + 12, tags[j], 4);
			if (spec.payload_size > 65000)
				continue;
			write_frame(peer, &frame);
			expect_frame(*state, port, &frame);
		}
	}
	remove_veth(port, peer);
}

/* What goes out tagged arrives tagged. */
static void veth_sends_tags(void **state)
{
	struct port *port = veth_port();
	int fd = open_packet_socket("dpv1", true);
	struct port *far = make_port(PROTO_PORT_PACKET, &fd, 1);

	for (unsigned i = 0; i < COUNT(specs) * 2; i++) {
		struct frame_spec spec = specs[i / 2];

		spec.tags = 1 + i % 2;
		if (spec.payload_size > 65000)
			continue;
		if (spec.tags == 2 && spec.gso_size == 0 && spec.payload_size > 1400)
			spec.payload_size = 1400;
		frame_build(&frame, &spec);
		assert_int_equal(transmit(*state, port, &frame), DROP_NONE);
		expect_frame(*state, far, &frame);
	}
	port_unref(far);
	remove_veth(port, -1);
}

/* A frame that the interface refuses takes no other with it. */
static void one_refusal_stops_no_other(void **state)
{
	struct fixture *fixture = *state;
	struct port *port = veth_port();
	int fd = open_packet_socket("dpv1", true);
	struct port *far = make_port(PROTO_PORT_PACKET, &fd, 1);
	struct packet *packets[5];
	uint8_t results[5];

	for (unsigned i = 0; i < 5; i++) {
		struct frame_spec spec = {.protocol = 17, .payload_size = i % 2 == 1 ? 3000 : 100};

		frame_build(&frame, &spec);
		packets[i] = frame_packet(fixture->pool, &frame, 2000, 1);
	}
	port->ops->transmit(port, NULL, 0, packets, 5, results);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(results[i], i % 2 == 1 ? DROP_OVERSIZE : DROP_NONE);
		packet_free(fixture->pool, packets[i]);
	}
	assert_int_equal(receive(fixture, far, 3), 0);
	assert_int_equal(fixture->batch.count, 3);
	port_unref(far);
	remove_veth(port, -1);
}

/* Which of the two it was cannot be seen: the control daemon looks, and gives the port anew. */
static void veth_down_may_be_lost(void **state)
{
	struct port *port = veth_port();
	int peer = open_packet_socket("dpv1", false), fd;

	frame_build(&frame, &specs[1]);
	ip("link", "set", "dpv0", "down", NULL);
	assert_int_equal(receive(*state, port, 1), -ENETDOWN);
	assert_int_equal(transmit(*state, port, &frame), DROP_PORT_DOWN);
	ip("link", "set", "dpv0", "up", NULL);
	wait_for_link("dpv0");
	wait_for_link("dpv1");
	/* The same socket works again, and so does a copy of it. */
	fd = fcntl(port->fds[0], F_DUPFD_CLOEXEC, 0);
	port_unref(port);
	port = make_port(PROTO_PORT_PACKET, &fd, 1);
	write_frame(peer, &frame);
	expect_frame(*state, port, &frame);
	assert_int_equal(transmit(*state, port, &frame), DROP_NONE);
	remove_veth(port, peer);
}

static void veth_that_is_deleted_is_lost(void **state)
{
	struct port *port = veth_port();

	ip("link", "del", "dpv1", NULL);
	frame_build(&frame, &specs[1]);
	assert_int_equal(receive(*state, port, 1), -ENETDOWN);
	assert_int_equal(transmit(*state, port, &frame), DROP_PORT_GONE);
	port_unref(port);
}

/* Super-packets come a few at a time, so that other ports need not wait for many of them. */
static void veth_receives_few_large_ones_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct port *port = veth_port();
	int peer = open_packet_socket("dpv1", false), size = 16 << 20;
	struct frame_spec large = specs[6], small = {.protocol = 17, .payload_size = 100};

	assert_int_equal(setsockopt(port->fds[0], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)),
			 0);
	frame_build(&frame, &large);
	write_frame(peer, &frame);
	expect_frame(fixture, port, &frame);
	for (unsigned i = 0; i < 40; i++)
		write_frame(peer, &frame);
	for (unsigned left = 40; left > 0; left -= 8) {
		assert_int_equal(receive(fixture, port, 1), PORT_MORE);
		assert_int_equal(fixture->batch.count, 8);
		discard_batch(fixture);
	}
	assert_int_equal(port->ops->receive(port, 0, &fixture->receiver, &fixture->batch),
			 PORT_DRAINED);
	frame_build(&frame, &small);
	for (unsigned i = 0; i < 8 + BATCH_SIZE; i++)
		write_frame(peer, &frame);
	assert_int_equal(port->ops->receive(port, 0, &fixture->receiver, &fixture->batch),
			 PORT_MORE);
	assert_int_equal(fixture->batch.count, 8);
	discard_batch(fixture);
	assert_int_equal(port->ops->receive(port, 0, &fixture->receiver, &fixture->batch),
			 PORT_MORE);
	assert_int_equal(fixture->batch.count, BATCH_SIZE);
	discard_batch(fixture);
	remove_veth(port, peer);
}

/* The far end goes with its namespace, and takes ours along. */
static void veth_whose_far_namespace_ends_is_lost(void **state)
{
	struct port *port = veth_port();
	uint64_t end = now_ms() + DEADLINE_MS;
	enum drop_reason reason;

	move_and_end("dpv1", make_namespace());
	assert_int_equal(receive(*state, port, 1), -ENETDOWN);
	frame_build(&frame, &specs[1]);
	/* It is down before it is gone. */
	do {
		reason = transmit(*state, port, &frame);
	} while (reason == DROP_PORT_DOWN && now_ms() < end);
	assert_int_equal(reason, DROP_PORT_GONE);
	port_unref(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tap_carries_frames),
		TEST(tap_carries_tags),
		TEST(tap_receives_batches),
		TEST(tap_down_is_not_lost),
		TEST(tap_that_is_deleted_is_lost),
		TEST(tap_whose_namespace_ends_is_lost),
		TEST(gives_an_older_kernel_no_uso),
		TEST(veth_carries_frames),
		TEST(veth_restores_tags),
		TEST(veth_sends_tags),
		TEST(one_refusal_stops_no_other),
		TEST(veth_receives_few_large_ones_at_once),
		TEST(veth_down_may_be_lost),
		TEST(veth_that_is_deleted_is_lost),
		TEST(veth_whose_far_namespace_ends_is_lost),
	};

	if (!have_namespace())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
