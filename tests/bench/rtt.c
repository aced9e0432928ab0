/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Round trips of small UDP datagrams.
 *
 *   rtt serve PORT                     sends back what arrives, until it is ended
 *   rtt ADDRESS PORT RATE SECONDS      asks it RATE times a second and prints what it found as
 * JSON, in microseconds; RATE 0: one question after the other's answer
 *
 * With a rate, questions leave in time whether the one before was answered or not, so that a pause
 * of the path counts with all the questions that it held up.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#define SECOND	    1000000000ull
#define PATIENCE    (2 * SECOND) /* an answer later than that is lost */
#define TRIPS_MAX   4000000u
#define SECONDS_MAX 600.0

struct question {
	uint64_t number;
	uint64_t sent; /* ns */
	uint8_t rest[16];
};

struct trips {
	float *times; /* µs, of those answered */
	uint32_t count;
	uint64_t asked;
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

static _Noreturn void serve(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t data[2048];

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("rtt serve");
	for (;;) {
		struct sockaddr_in peer;
		socklen_t size = sizeof(peer);
		ssize_t got = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&peer, &size);

		/* What cannot be sent back is the asker's loss. */
		if (got >= 0)
			sendto(fd, data, (size_t)got, 0, (struct sockaddr *)&peer, size);
		else if (errno != EINTR)
			fail("rtt serve");
	}
}

static void ask(int fd, struct trips *trips)
{
	struct question question = {.number = trips->asked++, .sent = now_ns()};

	if (send(fd, &question, sizeof(question), 0) < 0 && errno != ENOBUFS && errno != EAGAIN &&
	    errno != ECONNREFUSED)
		fail("send");
}

/* Takes an answer that is there until `deadline`, which may have passed. */
static bool take_answer(int fd, struct trips *trips, uint64_t deadline)
{
	uint64_t now = now_ns(), left = deadline > now ? deadline - now : 0;
	struct timespec wait = {(time_t)(left / SECOND), (long)(left % SECOND)};
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	struct question answer;

	if (ppoll(&readable, 1, &wait, NULL) <= 0 ||
	    recv(fd, &answer, sizeof(answer), MSG_DONTWAIT) != (ssize_t)sizeof(answer))
		return false;
	now = now_ns();
	if (trips->count < TRIPS_MAX && answer.number < trips->asked &&
	    now - answer.sent < PATIENCE)
		trips->times[trips->count++] = (float)(now - answer.sent) / 1000;
	return true;
}

static void ask_paced(int fd, struct trips *trips, uint64_t rate, uint64_t end)
{
	uint64_t start = now_ns(), due = start;

	for (; due < end; due = start + trips->asked * SECOND / rate) {
		while (now_ns() < due)
			take_answer(fd, trips, due);
		ask(fd, trips);
	}
	/* The end may have passed long ago on a machine that stood still. */
	end = now_ns() + PATIENCE;
	while (trips->count < trips->asked && now_ns() < end)
		take_answer(fd, trips, end);
}

static void ask_in_turn(int fd, struct trips *trips, uint64_t end)
{
	while (now_ns() < end) {
		uint64_t patience = now_ns() + PATIENCE;

		ask(fd, trips);
		/* A late answer to an earlier question does not count for this one. */
		for (uint32_t before = trips->count; trips->count == before && now_ns() < patience;)
			take_answer(fd, trips, patience);
	}
}

static int compare(const void *left, const void *right)
{
	const float *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static double part(const struct trips *trips, double share)
{
	return (double)trips->times[(uint32_t)(share * (trips->count - 1))];
}

static int report(struct trips *trips)
{
	if (trips->count == 0) {
		fprintf(stderr, "rtt: none of %llu answered\n", (unsigned long long)trips->asked);
		return 1;
	}
	qsort(trips->times, trips->count, sizeof(*trips->times), compare);
	printf("{\"asked\": %llu, \"answered\": %u, \"min\": %.2f, \"p50\": %.2f, \"p90\": %.2f, "
	       "\"p99\": %.2f, \"max\": %.2f}\n",
	       (unsigned long long)trips->asked, trips->count, part(trips, 0), part(trips, 0.5),
	       part(trips, 0.9), part(trips, 0.99), part(trips, 1));
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct trips trips = {.times = calloc(TRIPS_MAX, sizeof(*trips.times))};
	uint64_t rate, end;
	double length;
	int fd;

	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve((uint16_t)atoi(argv[2]));
	if (argc != 5 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
		fprintf(stderr, "usage: rtt serve PORT | rtt ADDRESS PORT RATE SECONDS\n");
		return 2;
	}
	address.sin_port = htons((uint16_t)atoi(argv[2]));
	rate = strtoull(argv[3], NULL, 10);
	length = strtod(argv[4], NULL);
	if (!(length > 0 && length <= SECONDS_MAX))
		length = 1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (trips.times == NULL || fd < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("rtt");
	prctl(PR_SET_TIMERSLACK, 1ul);
	end = now_ns() + (uint64_t)(length * 1e9);
	if (rate > 0)
		ask_paced(fd, &trips, rate, end);
	else
		ask_in_turn(fd, &trips, end);
	return report(&trips);
}
