/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tap_loop NETNS IFNAME NETNS IFNAME: makes a TAP in each of two namespaces and carries frames
 * between them, virtio-net headers included, as fast as read() and write() do. The bar for tap
 * ports.
 */

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/bench/open_tap.h"

#define FRAME_SIZE (10 + 65550)
#define BURST	   64 /* frames from one side before the other has its turn */

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void carry(int from, int to)
{
	static uint8_t frame[FRAME_SIZE];

	for (int i = 0; i < BURST; i++) {
		ssize_t size = read(from, frame, sizeof frame);

		if (size <= 0)
			return;
		/* What the interface does not take is lost. */
		if (write(to, frame, (size_t)size) < 0 && errno != EAGAIN && errno != EIO)
			fail("write");
	}
}

int main(int argc, char **argv)
{
	struct pollfd sides[2];

	if (argc != 5) {
		fprintf(stderr, "usage: tap_loop NETNS IFNAME NETNS IFNAME\n");
		return 2;
	}
	for (int i = 0; i < 2; i++)
		sides[i] = (struct pollfd){.fd = open_tap(argv[1 + 2 * i], argv[2 + 2 * i]),
					   .events = POLLIN};
	puts("ready");
	fflush(stdout);
	while (poll(sides, 2, -1) >= 0 || errno == EINTR) {
		for (int i = 0; i < 2; i++) {
			if ((sides[i].revents & POLLIN) != 0)
				carry(sides[i].fd, sides[1 - i].fd);
		}
	}
	fail("poll");
}
