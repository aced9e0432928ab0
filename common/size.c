/* SPDX-License-Identifier: Apache-2.0 */
#include "common/size.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/scaled.h"

static const struct scaled_unit units[] = {
	{"", 1},
	{"b", 1},
	{"k", 1ull << 10},
	{"kb", 1ull << 10},
	{"m", 1ull << 20},
	{"mb", 1ull << 20},
	{"g", 1ull << 30},
	{"gb", 1ull << 30},
	{"kbit", (1ull << 10) / 8},
	{"mbit", (1ull << 20) / 8},
	{"gbit", (1ull << 30) / 8},
	{NULL, 0},
};

/* What size_format() chooses from, largest first. */
static const struct scaled_unit format_units[] = {
	{"gb", 1ull << 30},
	{"mb", 1ull << 20},
	{"kb", 1ull << 10},
	{"b", 1},
};

int size_parse(const char *text, uint64_t *octets)
{
	if (!text)
		return -EINVAL;
	if (strcmp(text, "none") == 0) {
		*octets = 0;
		return 0;
	}
	return scaled_parse(text, units, SIZE_OCTETS_MIN, SIZE_OCTETS_MAX, octets);
}

char *size_format(uint64_t octets, char text[SIZE_TEXT_SIZE])
{
	const struct scaled_unit *unit = format_units;

	if (octets == 0)
		return memcpy(text, "none", sizeof("none"));
	while (octets % unit->amount != 0)
		unit++;
	snprintf(text, SIZE_TEXT_SIZE, "%llu%s", (unsigned long long)(octets / unit->amount),
		 unit->name);
	return text;
}
