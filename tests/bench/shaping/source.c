/* SPDX-License-Identifier: Apache-2.0 */

/*
 * source ADDRESS RATE SECONDS [KEY=NUMBER]...: sends UDP at a rate in bit/s of layer-2 frames
 * without FCS, until it is told to end (SIGTERM) at the latest, and prints what it did as JSON.
 *
 *   size=OCTETS     of a frame (1514)
 *   segments=N      frames that are handed to the kernel at once (UDP_SEGMENT, 1)
 *   flows=N         source ports, each in its turn (1)
 *   on=MS, off=MS   sends for so long, rests for so long, and so on (0: never rests)
 *   tick=US         how often it wakes, for all that is due (1000)
 *
 * It never waits for the kernel to take something: what is refused is counted, and gone. The rate
 * that it prints is of what was taken.
 */

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/bench/shaping/tool.h"

#define HEADERS	   42u /* Ethernet, IPv4, UDP */
#define PORT	   9u  /* discard */
#define FLOWS_MAX  4096u
#define PHASES_MAX 256u
#define DATA_MAX   65000u
#define LATE_NS	   (10 * MILLISECOND) /* what a late wake-up makes up for */

struct wanted {
	double rate, seconds;
	double size, segments, flows, on, off, tick;
};

struct state {
	int sockets[FLOWS_MAX];
	uint32_t flow_count, next;
	uint32_t data_size; /* of one send */
	uint64_t sends, refused;
	/* Of each phase of sending, ns since the epoch. */
	uint64_t begins[PHASES_MAX], ends[PHASES_MAX];
	unsigned phases;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static int open_flow(const struct sockaddr_in *address, unsigned segment_size)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		fail("socket");
	if (segment_size != 0 &&
	    setsockopt(fd, SOL_UDP, UDP_SEGMENT, &(int){(int)segment_size}, sizeof(int)) < 0)
		fail("UDP_SEGMENT");
	return fd;
}

static void open_flows(struct state *state, const char *text, const struct wanted *wanted)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	const struct rlimit files = {FLOWS_MAX + 64, FLOWS_MAX + 64};
	unsigned payload = (unsigned)wanted->size - HEADERS;

	if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
		fail(text);
	setrlimit(RLIMIT_NOFILE, &files);
	state->flow_count = (uint32_t)wanted->flows;
	state->data_size = payload * (unsigned)wanted->segments;
	for (uint32_t i = 0; i < state->flow_count; i++)
		state->sockets[i] = open_flow(&address, wanted->segments > 1 ? payload : 0);
}

static void send_one(struct state *state)
{
	static const uint8_t data[DATA_MAX];

	if (send(state->sockets[state->next], data, state->data_size, MSG_DONTWAIT) < 0)
		state->refused++;
	state->sends++;
	state->next = state->next + 1 == state->flow_count ? 0 : state->next + 1;
}

/* Sends at the rate from `start` until `end`, both of CLOCK_MONOTONIC. */
static void send_phase(struct state *state, const struct wanted *wanted, uint64_t start,
		       uint64_t end)
{
	double sent = 0, step = wanted->size * wanted->segments * 8;
	double late = wanted->rate * LATE_NS / 1e9;
	uint64_t now = start, tick = (uint64_t)(wanted->tick * 1000);

	if (state->phases < PHASES_MAX)
		state->begins[state->phases] = clock_ns(CLOCK_REALTIME);
	for (; !stopped && now < end; now = clock_ns(CLOCK_MONOTONIC)) {
		double due = wanted->rate * (double)(now - start) / 1e9;

		if (sent < due - late)
			sent = due - late;
		while (sent <= due) {
			send_one(state);
			sent += step;
		}
		sleep_until((now / tick + 1) * tick);
	}
	if (state->phases < PHASES_MAX)
		state->ends[state->phases++] = clock_ns(CLOCK_REALTIME);
}

static void send_all(struct state *state, const struct wanted *wanted)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	uint64_t end = start + (uint64_t)(wanted->seconds * 1e9);
	uint64_t on = (uint64_t)(wanted->on * 1e6), off = (uint64_t)(wanted->off * 1e6);

	if (on == 0)
		on = end - start;
	for (; !stopped && start < end; start += on + off) {
		sleep_until(start);
		send_phase(state, wanted, start, start + on < end ? start + on : end);
	}
}

static void print_times(const char *name, const uint64_t *times, unsigned count)
{
	printf(", \"%s\": [", name);
	for (unsigned i = 0; i < count; i++)
		printf("%s%llu", i == 0 ? "" : ", ", (unsigned long long)times[i]);
	putchar(']');
}

static bool is_valid(const struct wanted *wanted)
{
	return wanted->rate > 0 && wanted->seconds > 0 && wanted->seconds <= 600 &&
	       wanted->size > HEADERS && wanted->segments >= 1 && wanted->segments <= 64 &&
	       (wanted->size - HEADERS) * wanted->segments <= DATA_MAX && wanted->flows >= 1 &&
	       wanted->flows <= FLOWS_MAX && wanted->on >= 0 && wanted->off >= 0 &&
	       wanted->tick >= 1;
}

static void report(const struct state *state, const struct wanted *wanted)
{
	double octets = (double)(state->sends - state->refused) * wanted->segments * wanted->size;
	uint64_t length = 0;

	for (unsigned i = 0; i < state->phases; i++)
		length += state->ends[i] - state->begins[i];
	printf("{\"frames\": %.0f, \"refused\": %.0f, \"rate\": %.0f",
	       (double)state->sends * wanted->segments, (double)state->refused * wanted->segments,
	       length > 0 ? octets * 8e9 / (double)length : 0);
	print_times("begins", state->begins, state->phases);
	print_times("ends", state->ends, state->phases);
	puts("}");
}

int main(int argc, char **argv)
{
	struct wanted wanted = {.size = 1514, .segments = 1, .flows = 1, .tick = 1000};
	const struct setting settings[] = {
		{"size", &wanted.size}, {"segments", &wanted.segments}, {"flows", &wanted.flows},
		{"on", &wanted.on},	{"off", &wanted.off},		{"tick", &wanted.tick},
	};
	struct sigaction action = {.sa_handler = stop};
	static struct state state;

	if (argc >= 4) {
		wanted.rate = strtod(argv[2], NULL);
		wanted.seconds = strtod(argv[3], NULL);
	}
	if (argc < 4 ||
	    !read_settings(argv + 4, settings, sizeof(settings) / sizeof(settings[0])) ||
	    !is_valid(&wanted)) {
		fprintf(stderr, "usage: source ADDRESS RATE SECONDS "
				"[size|segments|flows|on|off|tick=NUMBER]...\n");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	prctl(PR_SET_TIMERSLACK, 1ul);
	open_flows(&state, argv[1], &wanted);
	send_all(&state, &wanted);
	report(&state, &wanted);
	return 0;
}
