/* SPDX-License-Identifier: Apache-2.0 */
#include "common/scaled.h"

#include <errno.h>
#include <stddef.h>
#include <strings.h>

/* Digits behind the point that are looked at; what follows is worth less than 10^-5. */
#define FRACTION_DIGITS 18

/* A whole part that is larger is out of range in every unit. */
#define WHOLE_MAX (UINT64_MAX / 100)

__extension__ typedef unsigned __int128 uint128;

/* A decimal number: whole + fraction / scale. */
struct number {
	uint64_t whole;
	uint64_t fraction;
	uint64_t scale;
};

static const char *parse_number(const char *text, struct number *number);
static const struct scaled_unit *find_unit(const struct scaled_unit *units, const char *name);

int scaled_parse(const char *text, const struct scaled_unit *units, uint64_t min, uint64_t max,
		 uint64_t *amount)
{
	const struct scaled_unit *unit;
	struct number number;
	const char *rest;
	uint128 parsed;

	rest = parse_number(text, &number);
	unit = rest ? find_unit(units, rest) : NULL;
	if (!unit)
		return -EINVAL;
	parsed = (uint128)number.whole * unit->amount +
		 (uint128)number.fraction * unit->amount / number.scale;
	if (parsed < min || parsed > max)
		return -ERANGE;
	*amount = (uint64_t)parsed;
	return 0;
}

/* Returns what follows the number, or NULL when there is none. */
static const char *parse_number(const char *text, struct number *number)
{
	const char *start = text;
	size_t digits;

	*number = (struct number){.scale = 1};
	for (; *text >= '0' && *text <= '9'; text++) {
		if (number->whole <= WHOLE_MAX)
			number->whole = number->whole * 10 + (unsigned)(*text - '0');
	}
	digits = (size_t)(text - start);
	if (*text != '.')
		return digits ? text : NULL;
	start = ++text;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (text - start >= FRACTION_DIGITS)
			continue;
		number->fraction = number->fraction * 10 + (unsigned)(*text - '0');
		number->scale *= 10;
	}
	digits += (size_t)(text - start);
	return digits ? text : NULL;
}

static const struct scaled_unit *find_unit(const struct scaled_unit *units, const char *name)
{
	for (; units->name; units++) {
		if (strcasecmp(units->name, name) == 0)
			return units;
	}
	return NULL;
}
