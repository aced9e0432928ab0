/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Digits behind the point that are looked at; what follows is worth less than 10^-5 bit/s. */
#define FRACTION_DIGITS 18

__extension__ typedef unsigned __int128 uint128;

struct unit {
	const char *name;
	uint64_t bits;
};

static const struct unit units[] = {
	{"", 1},
	{"bit", 1},
	{"kbit", 1000},
	{"mbit", 1000000},
	{"gbit", 1000000000},
	{"tbit", 1000000000000},
	{"kibit", 1ull << 10},
	{"mibit", 1ull << 20},
	{"gibit", 1ull << 30},
	{"tibit", 1ull << 40},
	{"bps", 8},
	{"kbps", 8 * 1000ull},
	{"mbps", 8 * 1000000ull},
	{"gbps", 8 * 1000000000ull},
	{"tbps", 8 * 1000000000000ull},
	{"kibps", 8 * (1ull << 10)},
	{"mibps", 8 * (1ull << 20)},
	{"gibps", 8 * (1ull << 30)},
	{"tibps", 8 * (1ull << 40)},
};

/* What rate_format() chooses from, largest first. */
static const struct unit format_units[] = {
	{"tbit", 1000000000000}, {"gbit", 1000000000}, {"mbit", 1000000},
	{"kbit", 1000},		 {"bit", 1},
};

/* A decimal number: whole + fraction / scale. */
struct number {
	uint64_t whole;
	uint64_t fraction;
	uint64_t scale;
};

static const char *parse_number(const char *text, struct number *number);
static const struct unit *find_unit(const char *name);
static void format_in_unit(uint64_t rate, const struct unit *unit, char text[RATE_TEXT_SIZE]);

int rate_parse(const char *text, uint64_t *rate)
{
	const struct unit *unit;
	struct number number;
	const char *rest;
	uint128 bits;

	if (!text)
		return -EINVAL;
	if (strcmp(text, "none") == 0) {
		*rate = 0;
		return 0;
	}
	rest = parse_number(text, &number);
	unit = rest ? find_unit(rest) : NULL;
	if (!unit)
		return -EINVAL;
	bits = (uint128)number.whole * unit->bits +
	       (uint128)number.fraction * unit->bits / number.scale;
	if (bits < RATE_MIN || bits > RATE_MAX)
		return -ERANGE;
	*rate = (uint64_t)bits;
	return 0;
}

char *rate_format(uint64_t rate, char text[RATE_TEXT_SIZE])
{
	size_t best = RATE_TEXT_SIZE;

	if (rate == 0)
		return memcpy(text, "none", sizeof("none"));
	for (size_t i = 0; i < sizeof(format_units) / sizeof(format_units[0]); i++) {
		char candidate[RATE_TEXT_SIZE];

		if (rate < format_units[i].bits)
			continue;
		format_in_unit(rate, &format_units[i], candidate);
		if (strlen(candidate) < best) {
			best = strlen(candidate);
			memcpy(text, candidate, best + 1);
		}
	}
	return text;
}

/* Returns what follows the number, or NULL when there is none. */
static const char *parse_number(const char *text, struct number *number)
{
	const char *start = text;
	size_t digits;

	*number = (struct number){.scale = 1};
	for (; *text >= '0' && *text <= '9'; text++) {
		if (number->whole <= RATE_MAX) /* beyond, it is out of range in every unit */
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

static const struct unit *find_unit(const char *name)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcasecmp(units[i].name, name) == 0)
			return &units[i];
	}
	return NULL;
}

static void format_in_unit(uint64_t rate, const struct unit *unit, char text[RATE_TEXT_SIZE])
{
	uint64_t whole = rate / unit->bits;
	uint64_t fraction = rate % unit->bits;
	int width = 0;

	if (fraction == 0) {
		snprintf(text, RATE_TEXT_SIZE, "%llu%s", (unsigned long long)whole, unit->name);
		return;
	}
	for (uint64_t scale = unit->bits; scale > 1; scale /= 10)
		width++;
	for (; fraction % 10 == 0; fraction /= 10)
		width--;
	snprintf(text, RATE_TEXT_SIZE, "%llu.%0*llu%s", (unsigned long long)whole, width,
		 (unsigned long long)fraction, unit->name);
}
