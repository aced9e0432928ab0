/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_SCALED_H
#define VSWITCH_COMMON_SCALED_H

/*
 * Numbers with a unit, as tc(8) reads them: "1.5gbit", "64kb". Rates (rate.h)
 * and sizes (size.h) each say which units there are. Pure functions.
 */

#include <stdint.h>

struct scaled_unit {
	const char *name; /* NULL ends a list; "" is what a bare number has */
	uint64_t amount;  /* that one of it is */
};

/*
 * Parses the whole text: a decimal number and one of the units, read without regard to case.
 * Fractions are exact as far as they give a whole amount; the rest is cut off. Returns 0, -EINVAL
 * for ill-formed text, or -ERANGE for what is outside min to max (at most 10^17); the output is
 * then untouched.
 */
int scaled_parse(const char *text, const struct scaled_unit *units, uint64_t min, uint64_t max,
		 uint64_t *amount);

#endif
