/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the pipeline alone costs, in nanoseconds of CPU per packet, and how that grows with what is
 * configured (docs/performance.md). Frames go through the real worker_receive() from ports in
 * memory to ports in memory (pipeline_world.h), in batches of 64.
 *
 *   pipeline_bench [--json FILE] [--smoke] [--row NAME[/COUNT]]
 *   pipeline_bench --instructions PACKETS --row NAME/COUNT   see tests/bench/pipeline_instructions
 *
 * Whatever else runs on the machine, or beside this virtual machine on the same core, only ever
 * adds to a sample. So the best of many short ones says what the code costs, and the median what
 * this run saw. How disturbed a run was tells a chain of multiplications that is timed between the
 * rows: on x86-64 each takes three cycles.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "datapath/packet.h"
#include "tests/bench/pipeline_world.h"

#define TURNS	       4u
#define SAMPLES	       1000u /* of a turn */
#define SAMPLE_BATCHES 64u
#define ROWS_MAX       32u

struct options {
	const char *json;
	const char *row; /* NULL: all */
	uint32_t turns, samples, batches;
	uint32_t instructions; /* packets; 0: measure time */
};

struct result {
	const struct world_row *row;
	struct world world;
	uint32_t count;
	double samples[TURNS * SAMPLES]; /* ns per packet; sorted at last */
};

struct results {
	struct result rows[ROWS_MAX];
	unsigned count;
	double yardstick[TURNS * ROWS_MAX]; /* multiplication_ns(), between the rows; sorted */
	unsigned yardstick_count;
};

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Nanoseconds of one multiplication that waits for the one before. */
static double multiplication_ns(void)
{
	const uint32_t rounds = 20000;
	uint64_t product = 1;
	double start = now_ns();

	for (uint32_t i = 0; i < rounds; i++) {
		product *= 0x9e3779b97f4a7c15ull;
		__asm__ volatile("" : "+r"(product));
	}
	return (now_ns() - start) / rounds;
}

static void measure(struct result *result, const struct options *options)
{
	world_run(&result->world, result->world.ring.batch_count);
	for (uint32_t i = 0; i < options->samples; i++) {
		double start = now_ns();

		world_run(&result->world, options->batches);
		result->samples[result->count++] =
			(now_ns() - start) / (options->batches * BATCH_SIZE);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static bool wanted(const struct world_row *row, const char *pattern)
{
	size_t length = strlen(row->name);

	if (pattern == NULL)
		return true;
	if (strncmp(pattern, row->name, length) != 0)
		return false;
	return pattern[length] == '\0' ||
	       (pattern[length] == '/' && strtoul(pattern + length + 1, NULL, 10) == row->count);
}

static double best(const struct result *result)
{
	return result->samples[0];
}

/* The best of this row by the best of the first row of its name. */
static double growth(const struct results *results, unsigned index)
{
	unsigned first = index;

	while (first > 0 &&
	       strcmp(results->rows[first - 1].row->name, results->rows[index].row->name) == 0)
		first--;
	return best(&results->rows[index]) / best(&results->rows[first]);
}

static void print_table(const struct results *results)
{
	printf("ns of CPU per packet of 64 octets; a multiplication takes %.2f to %.2f ns\n",
	       results->yardstick[0], results->yardstick[results->yardstick_count - 1]);
	printf("%-10s %8s %7s %7s %7s\n", "row", "count", "best", "median", "growth");
	for (unsigned i = 0; i < results->count; i++) {
		const struct result *result = &results->rows[i];

		printf("%-10s %8" PRIu32 " %7.1f %7.1f %7.2f  %s\n", result->row->name,
		       result->row->count, best(result), result->samples[result->count / 2],
		       growth(results, i), result->row->about == NULL ? "" : result->row->about);
	}
}

static int write_json(const char *path, const struct results *results,
		      const struct options *options)
{
	FILE *file = fopen(path, "w");

	if (file == NULL)
		return -errno;
	fprintf(file,
		"{\"what\": \"the pipeline alone, ns of CPU per packet\",\n"
		" \"frame_octets\": 64, \"batch\": %u, \"packets_per_sample\": %u,\n"
		" \"multiplication_ns\": %.3f,\n \"rows\": [",
		BATCH_SIZE, options->batches * BATCH_SIZE, results->yardstick[0]);
	for (unsigned i = 0; i < results->count; i++) {
		const struct result *result = &results->rows[i];

		fprintf(file,
			"%s\n  {\"name\": \"%s\", \"count\": %" PRIu32 ", \"samples\": %" PRIu32
			", \"best\": %.2f, \"median\": %.2f, \"growth\": %.3f}",
			i == 0 ? "" : ",", result->row->name, result->row->count, result->count,
			best(result), result->samples[result->count / 2], growth(results, i));
	}
	fprintf(file, "\n ]}\n");
	return fclose(file) == 0 ? 0 : -errno;
}

/* Runs one row for a fixed number of packets, in a process that somebody counts instructions of. */
static int count_instructions(const struct options *options)
{
	static struct world world;

	for (unsigned i = 0; i < world_row_count; i++) {
		if (!wanted(&world_rows[i], options->row))
			continue;
		world_init(&world, &world_rows[i]);
		world_run(&world, options->instructions / BATCH_SIZE);
		world_fini(&world);
		return 0;
	}
	return -ENOENT;
}

static void measure_all(struct results *results, const struct options *options)
{
	for (uint32_t turn = 0; turn < options->turns; turn++) {
		for (unsigned i = 0; i < results->count; i++) {
			results->yardstick[results->yardstick_count++] = multiplication_ns();
			measure(&results->rows[i], options);
		}
	}
	qsort(results->yardstick, results->yardstick_count, sizeof(double), compare);
	for (unsigned i = 0; i < results->count; i++)
		qsort(results->rows[i].samples, results->rows[i].count, sizeof(double), compare);
}

static int measure_rows(const struct options *options)
{
	static struct results results;

	for (unsigned i = 0; i < world_row_count && results.count < ROWS_MAX; i++) {
		if (!wanted(&world_rows[i], options->row))
			continue;
		results.rows[results.count].row = &world_rows[i];
		world_init(&results.rows[results.count++].world, &world_rows[i]);
	}
	if (results.count == 0)
		return -ENOENT;
	measure_all(&results, options);
	for (unsigned i = 0; i < results.count; i++)
		world_fini(&results.rows[i].world);
	print_table(&results);
	return options->json == NULL ? 0 : write_json(options->json, &results, options);
}

static int usage(void)
{
	fprintf(stderr, "pipeline_bench [--json FILE] [--smoke] [--row NAME[/COUNT]] "
			"[--instructions PACKETS]\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct options options = {.turns = TURNS, .samples = SAMPLES, .batches = SAMPLE_BATCHES};
	int error;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--smoke") == 0) {
			options.turns = 1;
			options.samples = 5;
		} else if (i + 1 == argc) {
			return usage();
		} else if (strcmp(argv[i], "--json") == 0) {
			options.json = argv[++i];
		} else if (strcmp(argv[i], "--row") == 0) {
			options.row = argv[++i];
		} else if (strcmp(argv[i], "--instructions") == 0) {
			options.instructions = (uint32_t)strtoul(argv[++i], NULL, 10);
		} else {
			return usage();
		}
	}
	error = options.instructions > 0 ? count_instructions(&options) : measure_rows(&options);
	if (error < 0)
		fprintf(stderr, "pipeline_bench: %s\n",
			error == -ENOENT ? "no such row" : strerror(-error));
	return error < 0 ? 1 : 0;
}
