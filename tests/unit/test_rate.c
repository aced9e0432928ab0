/* SPDX-License-Identifier: Apache-2.0 */
/* Rates: every unit, exact fractions, both limits, and the shortest text that reads back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/rate.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void is_parsed(void **state)
{
	static const struct {
		const char *text;
		uint64_t rate;
	} good[] = {
		{"none", 0},
		{"8", 8},
		{"8bit", 8},
		{"1bps", 8},
		{"64kbit", 64000},
		{"10mbit", 10000000},
		{"1gbit", 1000000000},
		{"1tbit", RATE_MAX},
		{"1000000000000", RATE_MAX},
		{"0.001tbit", 1000000000},
		{"1kibit", 1024},
		{"1mibit", 1048576},
		{"1gibit", 1073741824},
		{"0.5tibit", 549755813888},
		{"1kbps", 8000},
		{"1mbps", 8000000},
		{"1gbps", 8000000000},
		{"0.1tbps", 800000000000},
		{"1kibps", 8192},
		{"1mibps", 8388608},
		{"1gibps", 8589934592},
		{"0.1tibps", 879609302220},
		{"1.5gbit", 1500000000},
		{"1.500000000gbit", 1500000000},
		{"1GBIT", 1000000000},
		{"1KiBit", 1024},
		{"1MBps", 8000000},
		{".5gbit", 500000000},
		{"5.mbit", 5000000},
		{"0000000000000000000000000000000010mbit", 10000000},
		{"0.999999999999tbit", 999999999999},
		{"0.3gbit", 300000000},
		{"0.7kbit", 700},
		{"123.456789mbit", 123456789},
		/* What is no whole bit is cut off. */
		{"1.3kibit", 1331},
		{"8.9", 8},
		{"8.99999999999999999999999999999999999999bit", 8},
		{"0.00000000000800000000000000000000000001tbit", 8},
	};
	uint64_t rate;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		rate = 77;
		if (rate_parse(good[i].text, &rate) != 0 || rate != good[i].rate)
			fail_msg("%s gave %llu", good[i].text, (unsigned long long)rate);
	}
}

static void expect_refused(const char *text, int error)
{
	uint64_t rate = 77;
	int result = rate_parse(text, &rate);

	if (result != error || rate != 77)
		fail_msg("'%s' gave %d and %llu", text, result, (unsigned long long)rate);
}

static void ill_formed_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		".",
		".bit",
		"bit",
		"gbit",
		"-1mbit",
		"+1mbit",
		" 1mbit",
		"1mbit ",
		"1 mbit",
		"1mbit\n",
		"1.5.5mbit",
		"1..5mbit",
		"1,5mbit",
		"1e3",
		"1e3bit",
		"0x10",
		"0x10bit",
		"1k",
		"1m",
		"1g",
		"1kb",
		"1mbits",
		"1mbit/s",
		"1kbi",
		"1bits",
		"none ",
		"None",
		"NONE",
		"nonebit",
		"inf",
		"nan",
		"1pbit",
		"1\xc2\xb5gbit",
		"1bit1",
		"unlimited",
		"99999999999999999999x",
	};
	uint64_t rate = 77;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		expect_refused(bad[i], -EINVAL);
	assert_int_equal(rate_parse(NULL, &rate), -EINVAL);
}

static void out_of_range_is_refused(void **state)
{
	static const char *const bad[] = {
		"0",
		"0bit",
		"0.0gbit",
		"7",
		"7.999bit",
		"0.007kbit",
		"1000000000001",
		"1.000000000001tbit",
		"1tibit",
		"1tbps",
		"1tibps",
		"1000001mbit",
		"18446744073709551615",
		"18446744073709551616",
		"18446744073709551624bit",		   /* 2^64 + 8 */
		"340282366920938463463374607431768211464", /* 2^128 + 8 */
		"2305843009213693953bps",		   /* 2^64 + 8 bits */
		"99999999999999999999999999999999999999999999999999.9tibps",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		expect_refused(bad[i], -ERANGE);
}

static void is_formatted(void **state)
{
	static const struct {
		uint64_t rate;
		const char *text;
	} good[] = {
		{0, "none"},
		{8, "8bit"},
		{999, "999bit"},
		{1000, "1kbit"},
		{1001, "1001bit"},
		{64000, "64kbit"},
		{1500000, "1.5mbit"},
		{1500001, "1500001bit"},
		{100000000, "100mbit"},
		{1000000000, "1gbit"},
		{1500000000, "1.5gbit"},
		{1050000000, "1.05gbit"},
		{10000000000, "10gbit"},
		{100000000000, "100gbit"},
		{999999999999, "999999999999bit"},
		{RATE_MAX, "1tbit"},
		{UINT64_MAX, "18446744073709551615bit"},
	};
	char text[RATE_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_ptr_equal(rate_format(good[i].rate, text), text);
		assert_string_equal(text, good[i].text);
	}
}

static void expect_round_trip(uint64_t rate)
{
	char text[RATE_TEXT_SIZE];
	uint64_t again = 0;

	if (rate_parse(rate_format(rate, text), &again) != 0 || again != rate)
		fail_msg("%llu became %s and %llu", (unsigned long long)rate, text,
			 (unsigned long long)again);
}

static void reads_back(void **state)
{
	uint64_t seed = 0x243f6a8885a308d3ull;

	(void)state;
	for (uint64_t power = 10; power <= RATE_MAX; power *= 10) {
		for (uint64_t factor = 1; factor <= 9 && factor * power <= RATE_MAX; factor++) {
			expect_round_trip(factor * power - 1);
			expect_round_trip(factor * power);
			if (factor * power < RATE_MAX)
				expect_round_trip(factor * power + 1);
		}
	}
	for (int i = 0; i < 100000; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		expect_round_trip(RATE_MIN + (seed >> (seed & 31)) % (RATE_MAX - RATE_MIN + 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_parsed),
		cmocka_unit_test(ill_formed_is_refused),
		cmocka_unit_test(out_of_range_is_refused),
		cmocka_unit_test(is_formatted),
		cmocka_unit_test(reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
