/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_KERNEL_FIXTURE_H
#define VSWITCH_TESTS_UNIT_KERNEL_FIXTURE_H

/*
 * Port types against the kernel, in a network namespace that only the test process has and that
 * ends with it. Needs root: a test that cannot have it ends with SKIPPED.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/config.h"
#include "datapath/ports/port.h"
#include "datapath/ports/receiver.h"
#include "datapath/stages/parse.h"
#include "frames.h"

#define SKIPPED	    77
#define DEADLINE_MS 20000

struct fixture {
	struct packet_pool *pool;
	struct receiver receiver;
	struct batch batch;
};

static inline bool have_namespace(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNET) == 0;
}

/* Runs ip(8) with these words, up to NULL; it must succeed. */
static inline void ip(const char *word, ...)
{
	char *words[24] = {(char *)"ip", (char *)word};
	unsigned count = 2;
	va_list rest;
	int status;
	pid_t pid;

	va_start(rest, word);
	while (count < 23 && (words[count] = va_arg(rest, char *)) != NULL)
		count++;
	va_end(rest);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execvp("ip", words);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static inline int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	fixture->pool = packet_pool_new(4096, 512);
	assert_non_null(fixture->pool);
	assert_int_equal(receiver_init(&fixture->receiver, fixture->pool), 0);
	*state = fixture;
	return 0;
}

static inline void discard_batch(struct fixture *fixture)
{
	for (unsigned i = 0; i < fixture->batch.count; i++)
		packet_free(fixture->pool, fixture->batch.packets[i]);
	fixture->batch.count = 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;
	uint32_t in_use;

	discard_batch(fixture);
	receiver_fini(&fixture->receiver);
	in_use = packet_pool_in_use(fixture->pool);
	packet_pool_free(fixture->pool);
	free(fixture);
	return in_use == 0 ? 0 : -1;
}

static inline struct port *make_port(uint32_t type, const int *fds, uint32_t count)
{
	struct proto_ref ref = {1, 1};
	struct port *port;

	assert_int_equal(port_new(&port, type, &ref, fds, count), 0);
	return port;
}

static inline uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/*
 * Receives until the batch has `count` packets, or until the port is lost, in time. What it
 * returns is what receive() said last.
 */
static inline int receive(struct fixture *fixture, struct port *port, unsigned count)
{
	uint64_t end = now_ms() + DEADLINE_MS;
	int result;

	do {
		struct pollfd poller = {.fd = port->fds[0], .events = POLLIN};

		result = port->ops->receive(port, 0, &fixture->receiver, &fixture->batch);
		if (result < 0 || fixture->batch.count >= count)
			break;
		if (result == PORT_DRAINED)
			poll(&poller, 1, 100);
	} while (now_ms() < end);
	return result;
}

/* Receives one frame and asserts that it is this one, octet by octet, with its offload state. */
static inline void expect_frame(struct fixture *fixture, struct port *port,
				const struct frame *frame)
{
	static uint8_t octets[FRAME_MAX];
	struct packet *packet;

	assert_true(receive(fixture, port, 1) >= 0);
	assert_int_equal(fixture->batch.count, 1);
	packet = fixture->batch.packets[0];
	assert_int_equal(packet->drop, DROP_NONE);
	assert_int_equal(packet->size, frame->size);
	assert_int_equal(packet_read(packet, 0, octets, FRAME_MAX), frame->size);
	assert_memory_equal(octets, frame->octets, frame->size);
	assert_int_equal(packet->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, frame->offload.flags);
	assert_int_equal(packet->offload.gso_type, frame->offload.gso_type);
	assert_int_equal(packet->offload.gso_size, frame->offload.gso_size);
	if (frame->offload.flags != 0) {
		assert_int_equal(packet->offload.csum_start, frame->offload.csum_start);
		assert_int_equal(packet->offload.csum_offset, frame->offload.csum_offset);
	}
	assert_int_equal(parse_packet(packet), DROP_NONE);
	discard_batch(fixture);
}

/* Makes a packet of the frame, parsed, to be freed. */
static inline struct packet *packet_of(struct fixture *fixture, const struct frame *frame)
{
	struct packet *packet = frame_packet(fixture->pool, frame, 2000, 1);

	assert_non_null(packet);
	assert_int_equal(parse_packet(packet), DROP_NONE);
	packet->peer_out = PROTO_NO_INDEX;
	return packet;
}

/* Sends one packet as the port's owner does, frees it, and returns the result. */
static inline enum drop_reason transmit(struct fixture *fixture, struct port *port,
					const struct frame *frame)
{
	struct packet *packet = frame_packet(fixture->pool, frame, 2000, 1);
	uint8_t result = DROP_REASON_COUNT;

	assert_non_null(packet);
	port->ops->transmit(port, NULL, 0, &packet, 1, &result);
	packet_free(fixture->pool, packet);
	return result;
}

/* The kernel notices later that an interface that is up has its link, and drops frames until then.
 */
static inline void wait_for_link(const char *ifname)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t end = now_ms() + DEADLINE_MS;
	struct ifreq request = {.ifr_flags = 0};

	assert_true(fd >= 0);
	strncpy(request.ifr_name, ifname, IFNAMSIZ - 1);
	do {
		assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	} while ((request.ifr_flags & IFF_RUNNING) == 0 && poll(NULL, 0, 1) == 0 && now_ms() < end);
	assert_true((request.ifr_flags & IFF_RUNNING) != 0);
	close(fd);
}

/* A packet socket with virtio-net headers on an interface. */
static inline int open_packet_socket(const char *ifname, bool auxdata)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)), 0);
	if (auxdata)
		assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)), 0);
	address.sll_ifindex = (int)if_nametoindex(ifname);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* What a driver of the kernel would: the frame with its virtio-net header. */
static inline void write_frame(int fd, const struct frame *frame)
{
	struct virtio_net_hdr offload = frame->offload;
	struct iovec iov[2] = {{&offload, sizeof(offload)}, {(void *)frame->octets, frame->size}};

	assert_int_equal(writev(fd, iov, 2), sizeof(offload) + frame->size);
}

/* Reads the next frame with our source MAC; returns its size, 0 when none comes in time. */
static inline size_t read_frame(int fd, struct virtio_net_hdr *offload, uint8_t *octets)
{
	struct iovec iov[2] = {{offload, sizeof(*offload)}, {octets, FRAME_MAX}};
	uint64_t end = now_ms() + DEADLINE_MS;

	while (now_ms() < end) {
		struct pollfd poller = {.fd = fd, .events = POLLIN};
		ssize_t size = readv(fd, iov, 2);

		if (size > 0 && octets[6] == 0x02 && octets[11] == 2)
			return (size_t)size - sizeof(*offload);
		if (size < 0)
			poll(&poller, 1, 100);
	}
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
