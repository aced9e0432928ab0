/* SPDX-License-Identifier: Apache-2.0 */

/*
 * delay_relay NETNS IFNAME NETNS IFNAME MS: makes a TAP in each of two namespaces and carries
 * frames between them, virtio-net headers included, each of them MS milliseconds after it came: a
 * long path, where the kernel has no netem.
 *
 * What waits is bounded in octets; what comes beyond that is lost, and said when it is ended.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/bench/open_tap.h"
#include "tests/bench/shaping/tool.h"

#define FRAME_SIZE  (10 + 65550)
#define BURST	    64u		/* frames from one side before the other has its turn */
#define WAITING_MAX (64u << 20) /* octets of frames in one direction */

struct frame {
	struct frame *next;
	uint64_t due;
	size_t size;
	uint8_t data[];
};

/* One direction: frames in the order in which they came. */
struct line {
	int from, to;
	struct frame *first, **end;
	size_t waiting; /* octets */
	uint64_t lost;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void take(struct line *line, uint64_t delay)
{
	static uint8_t data[FRAME_SIZE];

	for (unsigned i = 0; i < BURST; i++) {
		ssize_t size = read(line->from, data, sizeof(data));
		struct frame *frame;

		if (size <= 0)
			return;
		frame = line->waiting < WAITING_MAX ? malloc(sizeof(*frame) + (size_t)size) : NULL;
		if (frame == NULL) {
			line->lost++;
			continue;
		}
		*frame = (struct frame){.due = clock_ns(CLOCK_MONOTONIC) + delay,
					.size = (size_t)size};
		memcpy(frame->data, data, (size_t)size);
		*line->end = frame;
		line->end = &frame->next;
		line->waiting += frame->size;
	}
}

static void give(struct line *line)
{
	struct frame *frame;

	while ((frame = line->first) != NULL && frame->due <= clock_ns(CLOCK_MONOTONIC)) {
		if (write(line->to, frame->data, frame->size) < 0)
			line->lost++;
		line->first = frame->next;
		if (line->first == NULL)
			line->end = &line->first;
		line->waiting -= frame->size;
		free(frame);
	}
}

/* Waits for a frame, or until the next one is due. */
static void wait_for_frames(struct pollfd sides[2], const struct line lines[2])
{
	uint64_t due = UINT64_MAX, now = clock_ns(CLOCK_MONOTONIC), left;
	struct timespec time;

	for (unsigned i = 0; i < 2; i++)
		if (lines[i].first != NULL && lines[i].first->due < due)
			due = lines[i].first->due;
	left = due > now ? due - now : 0;
	time = (struct timespec){(time_t)(left / SECOND), (long)(left % SECOND)};
	if (ppoll(sides, 2, due == UINT64_MAX ? NULL : &time, NULL) < 0 && errno != EINTR)
		fail("poll");
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};
	struct pollfd sides[2];
	struct line lines[2];
	uint64_t delay;

	if (argc != 6) {
		fprintf(stderr, "usage: delay_relay NETNS IFNAME NETNS IFNAME MS\n");
		return 2;
	}
	delay = (uint64_t)(strtod(argv[5], NULL) * 1e6);
	sigaction(SIGTERM, &action, NULL);
	prctl(PR_SET_TIMERSLACK, 1ul);
	for (int i = 0; i < 2; i++)
		sides[i] = (struct pollfd){.fd = open_tap(argv[1 + 2 * i], argv[2 + 2 * i]),
					   .events = POLLIN};
	for (int i = 0; i < 2; i++) {
		lines[i] = (struct line){.from = sides[i].fd, .to = sides[1 - i].fd};
		lines[i].end = &lines[i].first;
	}
	puts("ready");
	fflush(stdout);
	while (!stopped) {
		wait_for_frames(sides, lines);
		for (unsigned i = 0; i < 2; i++) {
			take(&lines[i], delay);
			give(&lines[i]);
		}
	}
	printf("lost %llu %llu\n", (unsigned long long)lines[0].lost,
	       (unsigned long long)lines[1].lost);
	return 0;
}
