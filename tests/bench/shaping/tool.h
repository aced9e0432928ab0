/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_BENCH_SHAPING_TOOL_H
#define VSWITCH_TESTS_BENCH_SHAPING_TOOL_H

/* What the traffic programs of this directory share: each is one file, and ends when it fails. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND	    1000000000ull /* ns */
#define MILLISECOND 1000000ull

static inline _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* Sleeps until that time of CLOCK_MONOTONIC, or until a signal comes. */
static inline void sleep_until(uint64_t ns)
{
	struct timespec time = {(time_t)(ns / SECOND), (long)(ns % SECOND)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

/* Where the number of an argument KEY=NUMBER goes. */
struct setting {
	const char *key;
	double *value;
};

/* Reads arguments that each are one of the settings; false: one is not. */
static inline bool read_settings(char **arguments, const struct setting *settings, size_t count)
{
	for (; *arguments != NULL; arguments++) {
		size_t length = strcspn(*arguments, "="), i = 0;

		while (i < count && (strlen(settings[i].key) != length ||
				     memcmp(*arguments, settings[i].key, length) != 0))
			i++;
		if (i == count || (*arguments)[length] == '\0')
			return false;
		*settings[i].value = strtod(*arguments + length + 1, NULL);
	}
	return true;
}

#endif
