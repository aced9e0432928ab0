/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_BENCH_DPDK_DISTANCE_H
#define VSWITCH_TESTS_BENCH_DPDK_DISTANCE_H

/*
 * How far two cores are apart: how long a cache line takes from one to the other. A virtual
 * machine's cores may move between near and far ones of its host from one second to the next, and
 * what two processes do that pass frames in shared memory moves with them.
 *
 * A thread waits on the other core for this one to ask. It comes before all other work of that
 * core, for as long as that takes: some tens of microseconds.
 */

struct distance;

/*
 * Starts the thread on that core. Without the right to come before others it is one of many. Ends
 * the program on failure.
 */
struct distance *distance_new(unsigned other_core);

/* Nanoseconds from this core, where the caller spins meanwhile, to the other one. */
double distance_measure(struct distance *distance);

#endif
