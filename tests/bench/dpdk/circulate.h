/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_BENCH_DPDK_CIRCULATE_H
#define VSWITCH_TESTS_BENCH_DPDK_CIRCULATE_H

/*
 * Frames that go through a switch, from a port of a guest to others of its ports, and from there
 * again: as many as the switch and the guest can do, and never more under way than a window, so
 * that no queue runs over.
 */

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/dpdk/distance.h"
#include "tests/bench/dpdk/frames.h"

#define SLICES_MAX 12000u
#define LANES_MAX  2u

/*
 * From one port to `to_count` others, of which every frame reaches one, or each. What came in one
 * piece goes again; a copy ends where it came.
 */
struct lane {
	struct frames frames;
	uint16_t to_first, to_count;
	uint16_t copies;     /* of a frame that come */
	int64_t copies_away; /* sent, and not seen again */
};

struct circulation {
	struct lane lanes[LANES_MAX];
	unsigned lane_count;
	unsigned window;	/* frames of a lane under way at most */
	double seconds;		/* in all */
	uint64_t warm_up;	/* frames that have to come first, */
	double warm_up_seconds; /* and how long it takes at least */
	struct distance *distance;
	int switch_process; /* 0: not known */
};

/* What a part of the time brought. The cores' distance is measured between two parts. */
struct slice {
	double seconds;
	uint64_t frames; /* that came */
	uint64_t octets; /* of them, without FCS */
	uint64_t lost;
	double busy;	    /* share of the time in which the guest had something to do */
	double waited;	    /* share of it in which the guest or the switch waited for a core */
	double nanoseconds; /* from core to core, the longer of before and after */
};

/* Returns how many slices it wrote, of at most SLICES_MAX. */
unsigned circulate(struct circulation *circulation, struct slice *slices);

#endif
