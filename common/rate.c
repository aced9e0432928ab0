/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/scaled.h"

static const struct scaled_unit units[] = {
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
	{NULL, 0},
};

/* What rate_format() chooses from, largest first. */
static const struct scaled_unit format_units[] = {
	{"tbit", 1000000000000}, {"gbit", 1000000000}, {"mbit", 1000000},
	{"kbit", 1000},		 {"bit", 1},
};

static void format_in_unit(uint64_t rate, const struct scaled_unit *unit,
			   char text[RATE_TEXT_SIZE]);

int rate_parse(const char *text, uint64_t *rate)
{
	if (!text)
		return -EINVAL;
	if (strcmp(text, "none") == 0) {
		*rate = 0;
		return 0;
	}
	return scaled_parse(text, units, RATE_MIN, RATE_MAX, rate);
}

char *rate_format(uint64_t rate, char text[RATE_TEXT_SIZE])
{
	size_t best = RATE_TEXT_SIZE;

	if (rate == 0)
		return memcpy(text, "none", sizeof("none"));
	for (size_t i = 0; i < sizeof(format_units) / sizeof(format_units[0]); i++) {
		char candidate[RATE_TEXT_SIZE];

		if (rate < format_units[i].amount)
			continue;
		format_in_unit(rate, &format_units[i], candidate);
		if (strlen(candidate) < best) {
			best = strlen(candidate);
			memcpy(text, candidate, best + 1);
		}
	}
	return text;
}

static void format_in_unit(uint64_t rate, const struct scaled_unit *unit, char text[RATE_TEXT_SIZE])
{
	uint64_t whole = rate / unit->amount;
	uint64_t fraction = rate % unit->amount;
	int width = 0;

	if (fraction == 0) {
		snprintf(text, RATE_TEXT_SIZE, "%llu%s", (unsigned long long)whole, unit->name);
		return;
	}
	for (uint64_t scale = unit->amount; scale > 1; scale /= 10)
		width++;
	for (; fraction % 10 == 0; fraction /= 10)
		width--;
	snprintf(text, RATE_TEXT_SIZE, "%llu.%0*llu%s", (unsigned long long)whole, width,
		 (unsigned long long)fraction, unit->name);
}
