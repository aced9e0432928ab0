/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_RATE_H
#define VSWITCH_COMMON_RATE_H

/*
 * Rates as tc(8) reads them: a decimal number and a unit. bit, kbit, mbit,
 * gbit, tbit are powers of 1000 bits per second, kibit … tibit powers of
 * 1024, bps … tbps (and kibps …) octets per second; without a unit it is
 * bits per second. Units are read without regard to case. Pure functions.
 */

#include <stdint.h>

#define RATE_TEXT_SIZE 32
#define RATE_MIN       8ull		/* bit/s: below, a frame would take hours */
#define RATE_MAX       1000000000000ull /* bit/s: 1 tbit */

/*
 * Parses the whole text into bit/s; "none" is 0, unlimited. Fractions are
 * exact as far as they give whole bits ("1.5gbit"). Returns 0, -EINVAL for
 * ill-formed text, or -ERANGE for what is outside RATE_MIN to RATE_MAX; the
 * output is then untouched.
 */
int rate_parse(const char *text, uint64_t *rate);

/*
 * Writes the shortest text that rate_parse() reads as the same rate:
 * "1gbit", "1.5gbit", "1500001bit"; "none" for 0. Returns text.
 */
char *rate_format(uint64_t rate, char text[RATE_TEXT_SIZE]);

#endif
