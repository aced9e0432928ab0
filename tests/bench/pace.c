/* SPDX-License-Identifier: Apache-2.0 */

/*
 * pace IFNAME MAC RATE SECONDS [arp]: sends frames of 60 octets (64 on the wire, with the FCS) out
 * of an interface of its own namespace, RATE a second, or as many as go when RATE is 0, and prints
 * how many it tried and how many were taken as JSON.
 *
 * Frames are UDP over IPv4 to an address that nobody has, behind the MAC of the sink: its kernel
 * drops them without an answer. With `arp` they are ARP requests for that address.
 *
 * At 10,000 a second and more it spins between frames, each of which goes out by itself and in
 * time; below, it sleeps.
 */

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_SIZE   60u
#define FLOOD_BATCH  32u
#define SPIN_RATE    10000u
#define SECONDS_MAX  600.0
#define SECOND	     1000000000ull
#define PROTOCOL_UDP 17u

static const uint8_t source_ip[4] = {10, 0, 0, 1}, nobody_ip[4] = {10, 0, 0, 250};

struct count {
	uint64_t tried;
	uint64_t taken;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* Opens a socket that sends only, and gives the interface's own MAC. */
static int open_socket(const char *ifname, uint8_t mac[6])
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET};
	struct ifreq request = {0};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	address.sll_ifindex = (int)if_nametoindex(ifname);
	if (fd < 0 || address.sll_ifindex == 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail(ifname);
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	return fd;
}

static void put_ip_checksum(uint8_t *header)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	header[10] = (uint8_t)(sum >> 8);
	header[11] = (uint8_t)sum;
}

/* A datagram from and to port 9 (discard), without a UDP checksum. */
static void make_udp(uint8_t *payload)
{
	const uint8_t size = FRAME_SIZE - 14;
	const uint8_t ip[20] = {0x45, 0, 0, size, 0, 0, 0x40, 0, 64, PROTOCOL_UDP};
	const uint8_t udp[8] = {0, 9, 0, 9, 0, size - 20};

	memcpy(payload, ip, sizeof(ip));
	memcpy(payload + 12, source_ip, 4);
	memcpy(payload + 16, nobody_ip, 4);
	put_ip_checksum(payload);
	memcpy(payload + 20, udp, sizeof(udp));
}

static void make_arp(uint8_t *payload, const uint8_t mac[6])
{
	const uint8_t request[8] = {0, 1, 8, 0, 6, 4, 0, 1};

	memcpy(payload, request, sizeof(request));
	memcpy(payload + 8, mac, 6);
	memcpy(payload + 14, source_ip, 4);
	memcpy(payload + 24, nobody_ip, 4);
}

static void make_frame(uint8_t *frame, const uint8_t to[6], const uint8_t from[6], bool arp)
{
	memset(frame, 0, FRAME_SIZE);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = 8;
	frame[13] = arp ? 6 : 0;
	if (arp)
		make_arp(frame + 14, from);
	else
		make_udp(frame + 14);
}

static void send_paced(int fd, const uint8_t *frame, uint64_t rate, uint64_t end,
		       struct count *count)
{
	uint64_t start = now_ns();

	for (;; count->tried++) {
		uint64_t due = start + count->tried * SECOND / rate;
		struct timespec time = {(time_t)(due / SECOND), (long)(due % SECOND)};

		if (due >= end)
			return;
		if (rate < SPIN_RATE)
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
		while (now_ns() < due)
			; /* a sleep would be late by more than the gap between two frames */
		count->taken += send(fd, frame, FRAME_SIZE, MSG_DONTWAIT) == (ssize_t)FRAME_SIZE;
	}
}

static void send_flood(int fd, uint8_t *frame, uint64_t end, struct count *count)
{
	struct iovec vector = {frame, FRAME_SIZE};
	struct mmsghdr messages[FLOOD_BATCH] = {0};

	for (unsigned i = 0; i < FLOOD_BATCH; i++) {
		messages[i].msg_hdr.msg_iov = &vector;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (now_ns() < end) {
		int sent = sendmmsg(fd, messages, FLOOD_BATCH, MSG_DONTWAIT);

		/* A full queue refuses the first of those that it does not take. */
		count->tried += sent > 0 ? (unsigned)sent : 1;
		count->taken += sent > 0 ? (unsigned)sent : 0;
	}
}

int main(int argc, char **argv)
{
	bool arp = argc == 6 && strcmp(argv[5], "arp") == 0;
	uint8_t frame[FRAME_SIZE], to[6], from[6];
	struct count count = {0};
	uint64_t rate, start;
	double length;
	int fd;

	if ((argc != 5 && !arp) || sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", to, to + 1,
					  to + 2, to + 3, to + 4, to + 5) != 6) {
		fprintf(stderr, "usage: pace IFNAME MAC RATE SECONDS [arp]\n");
		return 2;
	}
	rate = strtoull(argv[3], NULL, 10);
	length = strtod(argv[4], NULL);
	if (!(length > 0 && length <= SECONDS_MAX))
		length = 1;
	fd = open_socket(argv[1], from);
	make_frame(frame, to, from, arp);
	prctl(PR_SET_TIMERSLACK, 1ul);
	start = now_ns();
	if (rate > 0)
		send_paced(fd, frame, rate, start + (uint64_t)(length * 1e9), &count);
	else
		send_flood(fd, frame, start + (uint64_t)(length * 1e9), &count);
	printf("{\"tried\": %llu, \"taken\": %llu, \"seconds\": %.6f}\n",
	       (unsigned long long)count.tried, (unsigned long long)count.taken,
	       (double)(now_ns() - start) / 1e9);
	return 0;
}
