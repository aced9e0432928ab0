/* SPDX-License-Identifier: Apache-2.0 */
#include "control/counters.h"

#include <stdbool.h>

static bool is_counted(const struct counters *counters);
static uint64_t load(const struct counters *counters, uint64_t worker, size_t offset);

struct counters counters_of_port(const struct stats_memory *memory, const struct proto_ref *ref)
{
	return (struct counters){
		.memory = memory,
		.incarnation = ref->incarnation,
		.object = offsetof(struct stats_worker, ports) +
			  ref->index * sizeof(struct stats_port),
		.incarnation_offset = offsetof(struct stats_port, incarnation),
	};
}

struct counters counters_of_tenant(const struct stats_memory *memory, const struct proto_ref *ref)
{
	return (struct counters){
		.memory = memory,
		.incarnation = ref->incarnation,
		.object = offsetof(struct stats_worker, tenants) +
			  ref->index * sizeof(struct stats_tenant),
		.incarnation_offset = offsetof(struct stats_tenant, incarnation),
	};
}

struct counters counters_of_segment(const struct stats_memory *memory, const struct proto_ref *ref)
{
	return (struct counters){
		.memory = memory,
		.incarnation = ref->incarnation,
		.object = offsetof(struct stats_worker, segments) +
			  ref->index * sizeof(struct stats_segment),
		.incarnation_offset = offsetof(struct stats_segment, incarnation),
	};
}

uint64_t counters_block_count(const struct stats_memory *memory)
{
	uint64_t count =
		memory == NULL ? 0 : __atomic_load_n(&memory->worker_count, __ATOMIC_RELAXED);

	return count < STATS_WORKERS ? count : STATS_WORKERS;
}

uint64_t counters_share(const struct stats_memory *memory, size_t offset)
{
	if (counters_block_count(memory) == 0)
		return UINT64_MAX; /* what is there is no share yet */
	return __atomic_load_n((const uint64_t *)((const char *)memory + offset), __ATOMIC_RELAXED);
}

uint64_t counters_sum(const struct counters *counters, size_t offset)
{
	uint64_t blocks = counters_block_count(counters->memory);
	uint64_t total = 0;

	if (blocks == 0 || !is_counted(counters))
		return 0;
	for (uint64_t i = 0; i < blocks; i++)
		total += load(counters, i, offset);
	return total;
}

uint64_t counters_of_worker(const struct counters *counters, uint64_t worker, size_t offset)
{
	if (worker >= counters_block_count(counters->memory) || !is_counted(counters))
		return 0;
	return load(counters, worker, offset);
}

/* Whether what is counted there is the object's. The first worker's block says so for all. */
static bool is_counted(const struct counters *counters)
{
	return load(counters, 0, counters->incarnation_offset) == counters->incarnation;
}

static uint64_t load(const struct counters *counters, uint64_t worker, size_t offset)
{
	const char *block = (const char *)&counters->memory->workers[worker];

	return __atomic_load_n((const uint64_t *)(block + counters->object + offset),
			       __ATOMIC_RELAXED);
}
