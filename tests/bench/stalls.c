/* SPDX-License-Identifier: Apache-2.0 */

/*
 * stalls: prints a line whenever the whole machine stood still, until it is ended: when that ended,
 * in microseconds since the epoch, and how long it took, in microseconds.
 *
 * It sleeps for a moment again and again, before all other processes of the machine. Where it gets
 * up much too late nobody else has run either, as when a virtual machine is held by its host; what
 * was measured across that is not worth keeping.
 */

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#define NAP_US	 20000
#define STALL_US 50000

static int64_t now_us(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int main(void)
{
	const struct sched_param first = {.sched_priority = 1};
	const struct timespec nap = {.tv_nsec = NAP_US * 1000};
	int64_t last, now;

	/* Without the right to do that it is one of many, and tells of their load as well. */
	if (sched_setscheduler(0, SCHED_FIFO, &first) < 0)
		setpriority(PRIO_PROCESS, 0, -20);
	puts("ready");
	fflush(stdout);
	for (last = now_us(CLOCK_MONOTONIC);; last = now) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
		now = now_us(CLOCK_MONOTONIC);
		if (now - last < NAP_US + STALL_US)
			continue;
		printf("%lld %lld\n", (long long)now_us(CLOCK_REALTIME),
		       (long long)(now - last - NAP_US));
		fflush(stdout);
	}
}
