/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a gate's flow queue costs: nanoseconds of the processor to append, look at and take out a
 * packet, while as many others wait as is said. The clock is synthetic; each line is the median,
 * minimum and maximum of several rounds.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "datapath/flow_queue.h"

#define ROUNDS	9u
#define PACKETS 2000000u
#define OCTETS	1000u

struct shape {
	const char *name;
	uint32_t gates, ports, flows; /* ports of a gate, flows of a port */
	uint32_t waiting; /* packets of each flow, besides the one that comes and goes */
	uint32_t cost, quantum;
};

struct bench {
	struct flow_memory *memory;
	struct flow_queue *queues;
	struct packet *packets;
	uint64_t now;
};

static double seconds(void)
{
	struct timespec time;

	/* Others use this machine: what they take is no cost of ours. */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int compare(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static void fail(const char *what)
{
	fprintf(stderr, "flow_bench: %s\n", what);
	exit(1);
}

static void append(struct bench *bench, const struct shape *shape, struct packet *packet)
{
	flow_queue_append(bench->memory, &bench->queues[packet->tenant], packet->port_in, packet,
			  shape->cost, bench->now);
}

/* One packet of each flow is left over, and waits in a list. */
static void bench_start(struct bench *bench, const struct shape *shape, struct packet_list *rest)
{
	uint32_t flows = shape->gates * shape->ports * shape->flows;

	bench->now = 1000000000;
	bench->memory = flow_memory_new(shape->gates * shape->ports);
	bench->queues = calloc(shape->gates, sizeof(bench->queues[0]));
	bench->packets = calloc((size_t)flows * (shape->waiting + 1), sizeof(bench->packets[0]));
	if (bench->memory == NULL || bench->queues == NULL || bench->packets == NULL)
		fail("out of memory");
	packet_list_init(rest);
	for (uint32_t i = 0; i < flows * (shape->waiting + 1); i++) {
		struct packet *packet = &bench->packets[i];

		packet->tenant = i % shape->gates;
		packet->port_in = i % (shape->gates * shape->ports);
		packet->flow_hash = i % flows / (shape->gates * shape->ports) * 2654435761u;
		packet->flow_hash ^= packet->flow_hash >> 16;
		if (i < flows)
			packet_list_append(rest, packet);
		else
			append(bench, shape, packet);
	}
}

static void bench_end(struct bench *bench, const struct shape *shape)
{
	struct packet_list list;

	packet_list_init(&list);
	for (uint32_t i = 0; i < shape->gates; i++)
		flow_queue_drain(bench->memory, &bench->queues[i], &list);
	flow_memory_free(bench->memory);
	free(bench->queues);
	free(bench->packets);
}

/* What leaves a gate goes to the end of those that are to come. */
static void run(struct bench *bench, const struct shape *shape, struct packet_list *rest)
{
	const struct flow_parameters parameters = {5000000, 100000000, shape->quantum};
	struct packet_list dropped;

	packet_list_init(&dropped);
	for (uint32_t i = 0; i < PACKETS; i++) {
		struct packet *packet = packet_list_pop(rest);
		struct flow_queue *queue = &bench->queues[packet->tenant];

		bench->now += 10;
		append(bench, shape, packet);
		packet = flow_queue_peek(bench->memory, queue, bench->now, &parameters, &dropped);
		if (packet == NULL || dropped.count != 0)
			fail("a packet was lost");
		packet_list_append(rest, flow_queue_take(bench->memory, queue, &parameters));
	}
}

static void bench_run(const struct shape *shape)
{
	double results[ROUNDS];
	struct packet_list rest;
	struct bench bench;

	bench_start(&bench, shape, &rest);
	run(&bench, shape, &rest);
	for (unsigned round = 0; round < ROUNDS; round++) {
		double start = seconds();

		run(&bench, shape, &rest);
		results[round] = (seconds() - start) * 1e9 / PACKETS;
	}
	bench_end(&bench, shape);
	qsort(results, ROUNDS, sizeof(results[0]), compare);
	printf("%-30s %6u %6u %6u %8u %10.1f %8.1f %8.1f\n", shape->name, shape->gates,
	       shape->ports, shape->flows, shape->waiting, results[ROUNDS / 2], results[0],
	       results[ROUNDS - 1]);
}

int main(void)
{
	static const struct shape shapes[] = {
		{"nothing else waits", 1, 1, 1, 0, OCTETS, 1514},
		{"one flow", 1, 1, 1, 16, OCTETS, 1514},
		{"many flows", 1, 1, 64, 4, OCTETS, 1514},
		{"many flows", 1, 1, 1000, 4, OCTETS, 1514},
		{"many flows, large quantum", 1, 1, 64, 4, OCTETS, 12500},
		{"super-packets, small quantum", 1, 1, 64, 4, 65536, 1514},
		{"many ports", 1, 64, 1, 4, OCTETS, 1514},
		{"many ports", 1, 1000, 1, 4, OCTETS, 1514},
		{"many ports, many flows", 1, 1000, 16, 1, OCTETS, 1514},
		{"many gates, nothing else waits", 10000, 1, 1, 0, OCTETS, 1514},
		{"many gates", 10000, 1, 1, 4, OCTETS, 1514},
	};

	printf("%-30s %6s %6s %6s %8s %10s %8s %8s\n", "ns for a packet", "gates", "ports", "flows",
	       "waiting", "median", "min", "max");
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		bench_run(&shapes[i]);
	return 0;
}
