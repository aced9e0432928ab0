/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_BENCH_DPDK_WAITS_H
#define VSWITCH_TESTS_BENCH_DPDK_WAITS_H

/*
 * How long this thread, and the one of another process that works most, had something to do and no
 * core to do it on: what others on the machine took from them. Frames stand still on both sides
 * then, and how many came says nothing.
 */

#include <stdint.h>

struct waits {
	int own_fd, other_fd; /* schedstat of a thread (proc(5)); -1: none */
};

/* `process`: the other one, which works now; 0: none. */
void waits_init(struct waits *waits, int process);
void waits_fini(struct waits *waits);

/* Nanoseconds until now, of both together. */
uint64_t waits_ns(const struct waits *waits);

#endif
