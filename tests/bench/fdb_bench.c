/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Nanoseconds per FDB lookup, in batches of 64 as the lookup stage does it: prefetch all, then
 * look up all. `hit` looks up MACs that are there, in random order; `miss` such that are not.
 * Prints median, minimum and maximum of several rounds; the sizes alternate, so that a
 * disturbance meets all of them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "datapath/fdb.h"

#define BATCH	     64u
#define ROUNDS	     9u
#define LOOKUPS	     (1u << 21)
#define COUNTS_COUNT 4u
#define CASES_COUNT  2u

static const uint32_t counts[COUNTS_COUNT] = {1, 1000, 100000, 1000000};

struct bench {
	struct fdb *fdb;
	void *memory;
	uint64_t *keys; /* LOOKUPS of them, what is asked for */
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dull;
}

/* MACs like those of a data centre: one vendor's, counted up, in 16 segments. */
static uint64_t key_of(uint32_t number, bool known)
{
	uint8_t mac[6] = {known ? 0x52 : 0x56,	   0x54,
			  (uint8_t)(number >> 24), (uint8_t)(number >> 16),
			  (uint8_t)(number >> 8),  (uint8_t)number};

	return fdb_key(number % 16, mac);
}

static bool accept_all(void *context, uint32_t segment, uint32_t destination)
{
	(void)context, (void)segment, (void)destination;
	return true;
}

static int bench_new(struct bench *bench, uint32_t count, bool hit)
{
	size_t size = FDB_MEMORY_SIZE(FDB_BUCKETS_DEFAULT);
	uint64_t random = 0x9e3779b97f4a7c15ull;

	bench->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bench->keys = malloc(LOOKUPS * sizeof(*bench->keys));
	if (bench->memory == MAP_FAILED || bench->keys == NULL ||
	    fdb_new(&bench->fdb, bench->memory, size, accept_all, NULL) != 0)
		return -1;
	for (uint32_t i = 0; i < count; i++)
		fdb_learn(bench->fdb, key_of(i, true), FDB_TO_PORT | i % 1000, 1);
	for (uint32_t i = 0; i < LOOKUPS; i++)
		bench->keys[i] = key_of((uint32_t)(next_random(&random) >> 32) % count, hit);
	return 0;
}

static void bench_free(struct bench *bench)
{
	fdb_free(bench->fdb);
	munmap(bench->memory, FDB_MEMORY_SIZE(FDB_BUCKETS_DEFAULT));
	free(bench->keys);
}

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double bench_round(const struct bench *bench, uint32_t *found)
{
	double start = now_ns();

	for (uint32_t i = 0; i < LOOKUPS; i += BATCH) {
		const uint64_t *keys = bench->keys + i;
		uint32_t homes[BATCH];
		uint64_t values[BATCH];

		fdb_prefetch(bench->fdb, keys, homes, BATCH);
		fdb_lookup_all(bench->fdb, keys, homes, values, BATCH);
		for (uint32_t j = 0; j < BATCH; j++)
			*found += values[j] != 0;
	}
	return (now_ns() - start) / LOOKUPS;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(void)
{
	static double times[COUNTS_COUNT][CASES_COUNT][ROUNDS];
	static uint32_t found[COUNTS_COUNT][CASES_COUNT];
	static struct bench benches[COUNTS_COUNT][CASES_COUNT];

	for (uint32_t i = 0; i < COUNTS_COUNT; i++) {
		for (uint32_t hit = 0; hit < CASES_COUNT; hit++) {
			if (bench_new(&benches[i][hit], counts[i], hit) != 0) {
				fprintf(stderr, "fdb_bench: out of memory\n");
				return 1;
			}
		}
	}
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < COUNTS_COUNT; i++) {
			for (uint32_t hit = 0; hit < CASES_COUNT; hit++)
				times[i][hit][round] =
					bench_round(&benches[i][hit], &found[i][hit]);
		}
	}
	printf("%8s %5s %8s %7s %7s %7s\n", "MACs", "case", "found", "median", "min", "max");
	for (uint32_t i = 0; i < COUNTS_COUNT; i++) {
		for (uint32_t hit = 0; hit < CASES_COUNT; hit++) {
			double *sorted = times[i][hit];

			qsort(sorted, ROUNDS, sizeof(*sorted), compare);
			printf("%8u %5s %7.3f%% %7.1f %7.1f %7.1f\n", counts[i],
			       hit ? "hit" : "miss", found[i][hit] * 100.0 / ROUNDS / LOOKUPS,
			       sorted[ROUNDS / 2], sorted[0], sorted[ROUNDS - 1]);
			bench_free(&benches[i][hit]);
		}
	}
	return 0;
}
