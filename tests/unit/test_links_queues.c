/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Interfaces with several queues, as the kernel serves them, in namespaces of the test's own:
 *
 *	own (the test's, unshared)     private        workload (held by a descriptor)
 *	va0 ---------- vb0             vs3 ---------- eth0        a veth
 *	                                              eth1        a TAP
 *
 * Needs root; skipped without.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/links.h"
#include "control/links_internal.h"
#include "control/links_netdev.h"
#include "control/namespaces.h"
#include "control/netlink.h"
#include "control/vtep_sockets.h"
#include "tests/unit/links_fixture.h"

#define DEADLINE    10 /* seconds */
#define FLOWS	    64u
#define FRAMES	    4u /* of a flow */
#define MARK	    0x7651u
#define HEADER_SIZE 10u /* virtio-net */

struct fixture {
	struct namespaces *namespaces;
	struct links *links;
	int workload;
	char netns[NETNS_PATH_SIZE];
	struct links_port tap, veth, netdev;
};

/* A frame of a flow, by its UDP source port. */
struct frame {
	struct ethhdr ethernet;
	uint8_t ip[20];
	uint16_t source, destination, length, checksum;
	uint32_t mark, number;
} __attribute__((packed));

/* What came: how often each frame, and by which queue each flow. */
struct seen {
	uint32_t total, queue_total[PROTO_QUEUES_MAX];
	uint32_t frames[FLOWS][FRAMES];
	int queue[FLOWS]; /* + 1 */
};

static struct frame make_frame(uint32_t flow, uint32_t number)
{
	static const uint8_t ip[20] = {0x45, 0, 0,  36, 0, 0, 0,  0, 64, 17,
				       0,    0, 10, 0,	0, 1, 10, 0, 0,	 2};
	struct frame frame = {.ethernet = {.h_dest = {2, 0, 0, 0, 0, 9},
					   .h_source = {2, 0, 0, 0, 0, 8},
					   .h_proto = htons(ETH_P_IP)},
			      .source = htons((uint16_t)(10000 + flow)),
			      .destination = htons(7777),
			      .length = htons(16),
			      .mark = MARK,
			      .number = number};

	memcpy(frame.ip, ip, sizeof(ip));
	return frame;
}

static int open_sender_here(void *context)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_ifindex = (int)if_nametoindex(context)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && address.sll_ifindex > 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* A socket that sends, on the workload's side or ours. */
static int open_sender(struct fixture *fixture, int netns, const char *ifname)
{
	int fd = namespaces_run(fixture->namespaces, netns, open_sender_here, (void *)ifname);

	assert_true(fd >= 0);
	return fd;
}

static void send_frame(int fd, uint32_t flow, uint32_t number)
{
	struct frame frame = make_frame(flow, number);

	assert_int_equal(send(fd, &frame, sizeof(frame), 0), sizeof(frame));
}

/* Takes one; other frames than ours, as a kernel sends by itself, do not count. */
static void take(struct seen *seen, const uint8_t *octets, ssize_t size, uint32_t queue)
{
	struct frame frame;
	uint32_t flow;

	if (size != HEADER_SIZE + sizeof(frame))
		return;
	memcpy(&frame, octets + HEADER_SIZE, sizeof(frame));
	flow = ntohs(frame.source) - 10000u;
	if (frame.mark != MARK)
		return;
	assert_true(flow < FLOWS && frame.number < FRAMES);
	seen->frames[flow][frame.number]++;
	seen->total++;
	seen->queue_total[queue]++;
	assert_true(seen->queue[flow] == 0 || seen->queue[flow] == (int)queue + 1);
	seen->queue[flow] = (int)queue + 1;
}

/* Reads all queues until so many frames have come, and until nothing more is there. */
static void receive(const struct links_queues *queues, struct seen *seen, uint32_t wanted)
{
	time_t end = time(NULL) + DEADLINE;
	struct pollfd polls[PROTO_QUEUES_MAX];
	uint8_t octets[2048];
	uint32_t i;

	for (i = 0; i < queues->count; i++)
		polls[i] = (struct pollfd){.fd = queues->fds[i], .events = POLLIN};
	while (poll(polls, queues->count, seen->total < wanted ? 100 : 0) > 0 ||
	       seen->total < wanted) {
		assert_true(time(NULL) < end);
		for (i = 0; i < queues->count; i++)
			take(seen, octets, read(queues->fds[i], octets, sizeof(octets)), i);
	}
}

/* Every frame comes once, every flow by one queue, and every queue has its part. */
static void check_spread(struct fixture *fixture, const struct links_port *port,
			 const struct links_queues *queues)
{
	struct seen seen = {0};
	int fd = open_sender(fixture, fixture->workload, port->ifname);
	uint32_t i, j;

	for (j = 0; j < FRAMES; j++)
		for (i = 0; i < FLOWS; i++)
			send_frame(fd, i, j);
	close(fd);
	receive(queues, &seen, FLOWS * FRAMES);
	for (i = 0; i < FLOWS; i++)
		for (j = 0; j < FRAMES; j++)
			assert_int_equal(seen.frames[i][j], 1);
	/* That one of three gets none of 64 flows is one case in 10^11. */
	for (i = 0; i < queues->count; i++)
		assert_true(seen.queue_total[i] > 0);
}

static void open_port(struct fixture *fixture, const struct links_port *port,
		      struct links_queues *queues)
{
	assert_int_equal(links_open(fixture->links, port, queues), 0);
	assert_int_equal(queues->count, port->queue_count);
	assert_int_equal(links_configure(fixture->links, port, NULL), 0);
	assert_true(links_match(fixture->links, port, queues));
	assert_true(links_alive(fixture->links, port, queues));
}

static void run(const char *command)
{
	assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	links_fixture_make(&fixture->namespaces, &fixture->links, &fixture->workload,
			   fixture->netns);
	fixture->veth = (struct links_port){.ref = {3, 11},
					    .type = MODEL_PORT_VETH,
					    .netns = fixture->netns,
					    .ifname = "eth0",
					    .mac = {{2, 0, 0, 0, 0, 3}},
					    .mtu = 1450,
					    .queue_count = 3};
	fixture->tap = fixture->veth;
	fixture->tap.ref = (struct proto_ref){4, 12};
	fixture->tap.type = MODEL_PORT_TAP;
	fixture->tap.ifname = "eth1";
	fixture->netdev = (struct links_port){.ref = {5, 13},
					      .type = MODEL_PORT_NETDEV,
					      .netns = "",
					      .ifname = "va0",
					      .queue_count = 2};
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	links_free(fixture->links);
	namespaces_free(fixture->namespaces);
	close(fixture->workload);
	free(fixture);
	return 0;
}

static void test_flows_are_spread(void **state)
{
	struct fixture *fixture = *state;
	const struct links_port *ports[] = {&fixture->tap, &fixture->veth};
	struct links_queues queues = {0};

	for (int i = 0; i < 2; i++) {
		open_port(fixture, ports[i], &queues);
		check_spread(fixture, ports[i], &queues);
		/* Made together, none keeps the namespace alive. */
		assert_false(links_pins(fixture->links, ports[i], &queues));
		links_remove(fixture->links, ports[i], &queues);
		links_queues_close(&queues);
	}
}

/* What is closed gets nothing any more, whatever becomes of its number. */
static void test_queues_come_and_go(void **state)
{
	struct fixture *fixture = *state;
	struct links_port *ports[] = {&fixture->tap, &fixture->veth};
	static const uint32_t counts[] = {1, 3, 2, 16, 1, 2};
	struct links_queues queues = {0};

	for (int i = 0; i < 2; i++) {
		ports[i]->queue_count = counts[0];
		open_port(fixture, ports[i], &queues);
		for (size_t j = 1; j < sizeof(counts) / sizeof(counts[0]); j++) {
			ports[i]->queue_count = counts[j];
			assert_int_equal(links_grow(fixture->links, ports[i], &queues), 0);
			while (queues.count > counts[j])
				close(queues.fds[--queues.count]);
			assert_int_equal(queues.count, counts[j]);
			assert_true(links_match(fixture->links, ports[i], &queues));
			if (counts[j] < 4)
				check_spread(fixture, ports[i], &queues);
		}
		links_remove(fixture->links, ports[i], &queues);
		links_queues_close(&queues);
	}
}

/* Sender and receiver shall run at the same time. */
static void run_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	(void)sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* More frames than check_spread() tells apart, each a flow. */
static void send_many(int fd, int told)
{
	run_on(0);
	for (uint32_t i = 0; i < 60000; i++) {
		struct frame frame = make_frame(i, 0);

		if (send(fd, &frame, sizeof(frame), 0) < 0 || (i == 100 && write(told, "", 1) != 1))
			_exit(1);
	}
	_exit(0);
}

/* Nothing has come twice; how many did by each queue. */
static void count_many(const struct links_queues *queues, uint32_t counts[PROTO_QUEUES_MAX])
{
	static uint8_t came[65536];
	uint8_t octets[2048];
	struct frame frame;

	memset(came, 0, sizeof(came));
	for (uint32_t i = 0; i < queues->count; i++) {
		counts[i] = 0;
		for (;;) {
			ssize_t size = read(queues->fds[i], octets, sizeof(octets));

			if (size < 0)
				break;
			memcpy(&frame, octets + HEADER_SIZE, sizeof(frame));
			if (size != HEADER_SIZE + sizeof(frame) || frame.mark != MARK)
				continue;
			assert_int_equal(came[ntohs(frame.source)]++, 0);
			counts[i]++;
		}
	}
}

/* Some may be lost while sockets join, but none comes twice. */
static void test_joins_under_traffic(void **state)
{
	struct fixture *fixture = *state;
	uint32_t counts[PROTO_QUEUES_MAX] = {0};
	struct links_queues queues = {0};
	int fd, status, told[2];
	cpu_set_t cpus;
	char byte;
	pid_t pid;

	fixture->veth.queue_count = 1;
	open_port(fixture, &fixture->veth, &queues);
	fd = open_sender(fixture, fixture->workload, "eth0");
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	run_on(1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		send_many(fd, told[1]);
	assert_int_equal(read(told[0], &byte, 1), 1);
	fixture->veth.queue_count = 16;
	assert_int_equal(links_grow(fixture->links, &fixture->veth, &queues), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
	count_many(&queues, counts);
	assert_true(counts[0] > 0);
	print_message("%u by the first, %u by the last\n", counts[0], counts[15]);
	close(fd);
	close(told[0]);
	close(told[1]);
	links_remove(fixture->links, &fixture->veth, &queues);
	links_queues_close(&queues);
}

static void test_tap_is_held(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues queues = {0}, second = {0};

	assert_int_equal(links_queues_held(fixture->links, fixture->workload, "eth1"), 0);
	open_port(fixture, &fixture->tap, &queues);
	assert_int_equal(links_queues_held(fixture->links, fixture->workload, "eth1"), 3);
	/* Anybody could attach to it; we do not while somebody has a queue. */
	assert_int_equal(links_open(fixture->links, &fixture->tap, &second), -EBUSY);
	assert_int_equal(second.count, 0);
	while (queues.count > 1)
		close(queues.fds[--queues.count]);
	assert_int_equal(links_open(fixture->links, &fixture->tap, &second), -EBUSY);
	/* One that is added from inside the namespace keeps it alive. */
	assert_false(links_pins(fixture->links, &fixture->tap, &queues));
	fixture->tap.queue_count = 2;
	assert_int_equal(links_grow(fixture->links, &fixture->tap, &queues), 0);
	assert_true(links_pins(fixture->links, &fixture->tap, &queues));
	links_queues_close(&queues);
	open_port(fixture, &fixture->tap, &queues);
	assert_true(links_pins(fixture->links, &fixture->tap, &queues));
	assert_int_equal(links_queues_held(fixture->links, fixture->workload, "eth1"), 2);
	/* One that is not of the port spoils them all. */
	second = queues;
	second.fds[1] = STDIN_FILENO;
	assert_false(links_match(fixture->links, &fixture->tap, &second));
	links_remove(fixture->links, &fixture->tap, &queues);
	assert_int_equal(links_queues_held(fixture->links, fixture->workload, "eth1"), 0);
	links_queues_close(&queues);
}

static int make_plain_here(void *context)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", (const char *)context);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	return fd;
}

/* As a version made it that had one queue for every port. */
static void test_plain_tap_has_one(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues queues = {0}, second = {0};
	struct nl_sock *socket;
	int fd = namespaces_run(fixture->namespaces, fixture->workload, make_plain_here, "eth1");

	assert_true(fd >= 0);
	assert_int_equal(netlink_open(fixture->namespaces, fixture->workload, &socket), 0);
	assert_int_equal(links_label(fixture->links, socket, "eth1", &fixture->tap.ref), 0);
	nl_socket_free(socket);
	assert_int_equal(links_open(fixture->links, &fixture->tap, &second), -EBUSY);
	close(fd);
	assert_int_equal(links_open(fixture->links, &fixture->tap, &queues), 0);
	assert_int_equal(queues.count, 1);
	assert_int_equal(links_configure(fixture->links, &fixture->tap, NULL), 0);
	assert_true(links_match(fixture->links, &fixture->tap, &queues));
	assert_int_equal(links_grow(fixture->links, &fixture->tap, &queues), -EOPNOTSUPP);
	assert_int_equal(queues.count, 1);
	check_spread(fixture, &fixture->tap, &queues);
	links_remove(fixture->links, &fixture->tap, &queues);
	links_queues_close(&queues);
}

/* What the host itself sends on an interface that it shares does not come back in. */
static void test_shared_interface_is_heard_one_way(void **state)
{
	struct fixture *fixture = *state;
	int own = namespaces_own(fixture->namespaces), host, wire;
	char reason[MODEL_TEXT_SIZE];
	struct links_queues queues = {0};
	struct seen seen = {0};
	uint32_t i;

	run("ip link add va0 type veth peer name vb0; ip link set va0 up; ip link set vb0 up");
	fixture->netdev.shared = true;
	assert_int_equal(links_netdev_open(fixture->links, &fixture->netdev, &queues, reason), 0);
	assert_int_equal(queues.count, 2);
	assert_true(links_match(fixture->links, &fixture->netdev, &queues));
	host = open_sender(fixture, own, "va0");
	wire = open_sender(fixture, own, "vb0");
	for (i = 0; i < FLOWS; i++)
		send_frame(host, i, 0);
	for (i = 0; i < FLOWS; i++)
		send_frame(wire, i, 1);
	receive(&queues, &seen, FLOWS);
	for (i = 0; i < FLOWS; i++) {
		assert_int_equal(seen.frames[i][0], 0);
		assert_int_equal(seen.frames[i][1], 1);
	}
	assert_true(seen.queue_total[0] > 0 && seen.queue_total[1] > 0);
	close(host);
	close(wire);
	/* Another interface of the name is not joined. */
	fixture->netdev.queue_count = 3;
	run("ip link set va0 down; ip link set va0 name vc0; ip link add va0 type veth");
	assert_true(links_grow(fixture->links, &fixture->netdev, &queues) < 0);
	assert_int_equal(queues.count, 2);
	links_remove(fixture->links, &fixture->netdev, &queues);
	links_queues_close(&queues);
}

/* Datagrams of many source ports: each comes once, and each socket gets some. */
static void check_datagrams(const struct vtep_sockets *sockets)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(sockets->udp_port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint32_t came[PROTO_QUEUES_MAX] = {0}, total = 0, i;
	uint8_t octet = 0;

	for (i = 0; i < FLOWS; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		assert_true(fd >= 0);
		assert_int_equal(sendto(fd, &octet, 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
		close(fd);
	}
	/* Over the loopback they are there when they were sent. */
	for (i = 0; i < sockets->count; i++)
		while (recv(sockets->fds[i], &octet, 1, 0) == 1) {
			assert_true(i < sockets->receive_count);
			came[i]++;
			total++;
		}
	assert_int_equal(total, FLOWS);
	for (i = 0; i < sockets->receive_count; i++)
		assert_true(came[i] > 0);
}

static void test_vtep_sockets_that_receive(void **state)
{
	struct fixture *fixture = *state;
	uint64_t cookie =
		namespaces_cookie(fixture->namespaces, namespaces_own(fixture->namespaces));
	struct vtep_sockets sockets = {0}, second = {0};
	int surplus[PROTO_QUEUES_MAX], sender;
	struct proto_addr local;

	run("ip link set lo up");
	assert_int_equal(addr_ip_parse("127.0.0.1", &local), 0);
	assert_int_equal(vtep_sockets_open(&sockets, &local, 4789, 3), 0);
	assert_int_equal(sockets.receive_count, 3);
	assert_int_equal(sockets.count, 3 + VTEP_SOCKETS_SENDERS);
	sender = sockets.fds[3];
	check_datagrams(&sockets);
	assert_int_equal(vtep_sockets_match(sockets.fds, sockets.count, &local, 4789, cookie), 3);
	/* One too few that receive, or one too many that send. */
	assert_int_equal(vtep_sockets_match(sockets.fds, sockets.count - 1, &local, 4789, cookie),
			 0);
	assert_int_equal(
		vtep_sockets_match(sockets.fds + 1, sockets.count - 1, &local, 4789, cookie), 2);
	/* Another switch is refused, with one socket and with more. */
	assert_int_equal(vtep_sockets_open(&second, &local, 4789, 1), -EADDRINUSE);
	assert_int_equal(vtep_sockets_open(&second, &local, 4789, 2), -EADDRINUSE);
	assert_int_equal(second.count, 0);
	assert_int_equal(vtep_sockets_shrink(&sockets, 3, surplus), 0);
	assert_int_equal(vtep_sockets_shrink(&sockets, 1, surplus), 2);
	close(surplus[0]);
	close(surplus[1]);
	assert_int_equal(sockets.receive_count, 1);
	assert_int_equal(sockets.fds[1], sender);
	check_datagrams(&sockets);
	assert_int_equal(vtep_sockets_match(sockets.fds, sockets.count, &local, 4789, cookie), 1);
	assert_int_equal(vtep_sockets_open(&second, &local, 4789, 1), -EADDRINUSE);
	assert_int_equal(vtep_sockets_grow(&sockets, 2), 0);
	assert_int_equal(sockets.fds[2], sender);
	check_datagrams(&sockets);
	assert_int_equal(vtep_sockets_grow(&sockets, PROTO_QUEUES_MAX), 0);
	assert_int_equal(sockets.count, VTEP_SOCKETS_MAX);
	vtep_sockets_close(&sockets);
	assert_int_equal(vtep_sockets_open(&sockets, &local, 4789, 1), 0);
	vtep_sockets_close(&sockets);
}

#define QUEUES_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUES_TEST(test_flows_are_spread),
		QUEUES_TEST(test_queues_come_and_go),
		QUEUES_TEST(test_joins_under_traffic),
		QUEUES_TEST(test_tap_is_held),
		QUEUES_TEST(test_plain_tap_has_one),
		QUEUES_TEST(test_shared_interface_is_heard_one_way),
		QUEUES_TEST(test_vtep_sockets_that_receive),
	};

	if (geteuid() != 0)
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
