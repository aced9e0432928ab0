/* SPDX-License-Identifier: Apache-2.0 */

/*
 * veth_loop IFNAME IFNAME: carries frames between two interfaces as fast as plain system calls do,
 * and does nothing else. The bar for packet-socket ports: what a switch adds to it is the switch's
 * cost.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH	   64
#define FRAME_SIZE (10 + 65550) /* a virtio-net header and the largest super-packet */

static uint8_t frames[BATCH][FRAME_SIZE];

static int open_socket(const char *ifname)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int one = 1, size = 8 << 20;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address.sll_ifindex = (int)if_nametoindex(ifname);
	if (fd < 0 || address.sll_ifindex == 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		perror(ifname);
		exit(1);
	}
	return fd;
}

static void carry(int from, int to)
{
	struct mmsghdr messages[BATCH] = {0};
	struct iovec vectors[BATCH];
	int count, sent, done;

	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){frames[i], FRAME_SIZE};
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	count = recvmmsg(from, messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count; i++)
		vectors[i].iov_len = messages[i].msg_len;
	/* What the interface does not take is lost, and does not hold up the rest. */
	for (done = 0; done<count; done += sent> 0 ? sent : 1)
		sent = sendmmsg(to, messages + done, (unsigned)(count - done), MSG_DONTWAIT);
}

int main(int argc, char **argv)
{
	struct pollfd sides[2];

	if (argc != 3) {
		fprintf(stderr, "usage: veth_loop IFNAME IFNAME\n");
		return 2;
	}
	for (int i = 0; i < 2; i++)
		sides[i] = (struct pollfd){.fd = open_socket(argv[1 + i]), .events = POLLIN};
	puts("ready");
	fflush(stdout);
	while (poll(sides, 2, -1) >= 0 || errno == EINTR) {
		for (int i = 0; i < 2; i++) {
			if ((sides[i].revents & POLLIN) != 0)
				carry(sides[i].fd, sides[1 - i].fd);
		}
	}
	perror("poll");
	return 1;
}
