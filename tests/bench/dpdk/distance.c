/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/dpdk/distance.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The first rounds go by while the other one awakes. */
#define ROUNDS_UNTIMED 20u
#define ROUNDS_TIMED   200u
#define ROUNDS	       (ROUNDS_UNTIMED + ROUNDS_TIMED)

struct distance {
	_Alignas(128) atomic_uint ball; /* odd: the other one's turn */
	_Alignas(128) sem_t asked;
	pthread_t thread;
	cpu_set_t core;
};

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void wait_for(struct distance *distance, unsigned ball)
{
	while (atomic_load_explicit(&distance->ball, memory_order_acquire) != ball)
		;
}

static void *answer(void *context)
{
	struct distance *distance = context;
	const struct sched_param first = {.sched_priority = 1};

	pthread_setaffinity_np(pthread_self(), sizeof(distance->core), &distance->core);
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
	for (;;) {
		while (sem_wait(&distance->asked) < 0)
			;
		for (unsigned round = 0; round < ROUNDS; round++) {
			wait_for(distance, 2 * round + 1);
			atomic_store_explicit(&distance->ball, 2 * round + 2, memory_order_release);
		}
	}
	return NULL;
}

struct distance *distance_new(unsigned other_core)
{
	struct distance *distance = aligned_alloc(_Alignof(struct distance), sizeof(*distance));

	if (distance == NULL)
		abort();
	atomic_init(&distance->ball, 0);
	sem_init(&distance->asked, 0, 0);
	CPU_ZERO(&distance->core);
	CPU_SET(other_core, &distance->core);
	if (pthread_create(&distance->thread, NULL, answer, distance) != 0) {
		perror("thread");
		exit(1);
	}
	return distance;
}

double distance_measure(struct distance *distance)
{
	double start = 0;

	atomic_store_explicit(&distance->ball, 0, memory_order_relaxed);
	sem_post(&distance->asked);
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (round == ROUNDS_UNTIMED)
			start = now_ns();
		atomic_store_explicit(&distance->ball, 2 * round + 1, memory_order_release);
		wait_for(distance, 2 * round + 2);
	}
	return (now_ns() - start) / (2 * ROUNDS_TIMED);
}
