/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the shaper costs: nanoseconds for a packet that passes, and for one that waits and is
 * released, over a number of gates. The shaper's clock is synthetic; each line is the median,
 * minimum and maximum of several rounds.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "datapath/shaper.h"

#define ROUNDS	 9u
#define OFFERS	 2000000u
#define CAPACITY 131072u
#define OCTETS	 1000u

struct bench {
	struct shaper *shaper;
	struct shaper_worker *worker;
	struct packet *packets;
	uint32_t gates;
	uint64_t now;
};

static double seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int compare(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static void fail(const char *what)
{
	fprintf(stderr, "shaper_bench: %s\n", what);
	exit(1);
}

/* As many packets wait at each gate, at a rate that makes ten million packets a second in all. */
static void bench_start(struct bench *bench, uint32_t gates, unsigned waiting, uint64_t rate)
{
	bench->gates = gates;
	bench->now = 1000000000;
	bench->shaper = shaper_new(CAPACITY);
	if (bench->shaper == NULL)
		fail("out of memory");
	bench->worker = shaper_worker_new(bench->shaper);
	bench->packets = calloc((size_t)gates * (waiting + 1), sizeof(bench->packets[0]));
	if (bench->worker == NULL || bench->packets == NULL)
		fail("out of memory");
	for (uint32_t i = 0; i < gates * (waiting + 1); i++) {
		struct packet *packet = &bench->packets[i];

		packet->wire_size = packet->cost = OCTETS;
		packet->tenant = packet->port_in = i % gates;
		shaper_set(bench->shaper, SHAPER_TENANT_SEND, packet->tenant, rate, bench->now);
		if (waiting != 0)
			shaper_offer(bench->worker, SHAPER_TENANT_SEND, packet->tenant, packet,
				     bench->now);
	}
}

static void bench_end(struct bench *bench)
{
	struct packet_list list;

	packet_list_init(&list);
	shaper_drain_all(bench->worker, &list);
	shaper_worker_free(bench->worker);
	shaper_free(bench->shaper);
	free(bench->packets);
}

/* Packets that find their gate open (or without limit). */
static uint64_t pass(struct bench *bench)
{
	uint32_t gate = 0;

	for (uint32_t i = 0; i < OFFERS; i++) {
		if (shaper_offer(bench->worker, SHAPER_TENANT_SEND, gate, &bench->packets[gate],
				 bench->now) != SHAPER_PASS)
			fail("a packet did not pass");
		bench->now += 100;
		gate = gate + 1 == bench->gates ? 0 : gate + 1;
	}
	return OFFERS;
}

/*
 * Packets that wait, for less than CoDel's target: each that is released is offered to its gate
 * again.
 */
static uint64_t wait_and_release(struct bench *bench)
{
	struct batch batch = {0};
	struct packet_list lost;
	enum shaper_kind kind;
	uint64_t count = 0;

	packet_list_init(&lost);
	while (count < OFFERS) {
		bench->now += 20000;
		while (shaper_release(bench->worker, bench->now, &batch, &kind)) {
			for (unsigned i = 0; i < batch.count; i++)
				shaper_offer(bench->worker, kind, batch.packets[i]->tenant,
					     batch.packets[i], bench->now);
			count += batch.count;
			batch.count = 0;
		}
		shaper_take_lost(bench->worker, &lost);
		if (lost.count != 0)
			fail("a packet was lost");
	}
	return count;
}

static void bench_run(const char *name, uint32_t gates, unsigned waiting, uint64_t rate,
		      uint64_t (*run)(struct bench *bench))
{
	double results[ROUNDS];
	struct bench bench;

	bench_start(&bench, gates, waiting, rate);
	run(&bench);
	for (unsigned round = 0; round < ROUNDS; round++) {
		double start = seconds();
		uint64_t count = run(&bench);

		results[round] = (seconds() - start) * 1e9 / (double)count;
	}
	bench_end(&bench);
	qsort(results, ROUNDS, sizeof(results[0]), compare);
	printf("%-28s %8u %10.1f %8.1f %8.1f\n", name, gates, results[ROUNDS / 2], results[0],
	       results[ROUNDS - 1]);
}

int main(void)
{
	static const uint32_t gates[] = {10, 1000, 10000};
	const uint64_t total = 10000000ull * OCTETS * 8;

	printf("%-28s %8s %10s %8s %8s\n", "ns for a packet", "gates", "median", "min", "max");
	bench_run("passes without limit", 1, 0, 0, pass);
	bench_run("passes without limit", 10000, 0, 0, pass);
	bench_run("passes a limit", 1, 0, 1000000000000, pass);
	bench_run("passes a limit", 10000, 0, 1000000000000, pass);
	for (unsigned i = 0; i < sizeof(gates) / sizeof(gates[0]); i++)
		bench_run("waits and is released", gates[i], 20000 / gates[i] + 2, total / gates[i],
			  wait_and_release);
	return 0;
}
