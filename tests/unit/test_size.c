/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes: every unit as tc takes it, both limits, and a text that reads back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "common/size.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void is_parsed(void **state)
{
	static const struct {
		const char *text;
		uint64_t octets;
	} good[] = {
		{"none", 0},
		{"1", 1},
		{"1b", 1},
		{"1500", 1500},
		{"1500B", 1500},
		{"1k", 1024},
		{"64kb", 65536},
		{"1.5K", 1536},
		{"2m", 2097152},
		{"1MB", 1048576},
		{"1g", 1073741824},
		{"3gb", 3221225472},
		{"8kbit", 1024},
		{"1kbit", 128},
		{"1mbit", 131072},
		{"1gbit", 134217728},
		{"4294967295", SIZE_OCTETS_MAX},
		{"3.99999999999999999999gb", 4294967295},
		{"0.001k", 1},
		{"1.9", 1},
	};
	uint64_t octets;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		octets = 77;
		if (size_parse(good[i].text, &octets) != 0 || octets != good[i].octets)
			fail_msg("%s gave %llu", good[i].text, (unsigned long long)octets);
	}
}

static void anything_else_is_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
	} bad[] = {
		{NULL, -EINVAL},
		{"", -EINVAL},
		{"kb", -EINVAL},
		{"-1", -EINVAL},
		{"+1", -EINVAL},
		{" 1", -EINVAL},
		{"1 kb", -EINVAL},
		{"1kib", -EINVAL},
		{"1bit", -EINVAL},
		{"1t", -EINVAL},
		{"1kbps", -EINVAL},
		{"0x10", -EINVAL},
		{"None", -EINVAL},
		{"0", -ERANGE},
		{"0kb", -ERANGE},
		{"0.9", -ERANGE},
		{"4294967296", -ERANGE},
		{"4gb", -ERANGE},
		{"18446744073709551616", -ERANGE},
		{"99999999999999999999999999999999999999999999999999gb", -ERANGE},
	};
	uint64_t octets;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		octets = 77;
		if (size_parse(bad[i].text, &octets) != bad[i].error || octets != 77)
			fail_msg("'%s' gave %llu", bad[i].text ? bad[i].text : "NULL",
				 (unsigned long long)octets);
	}
}

static void text_reads_back(void **state)
{
	static const struct {
		uint64_t octets;
		const char *text;
	} sizes[] = {
		{0, "none"},	     {1, "1b"},
		{1023, "1023b"},     {1024, "1kb"},
		{1536, "1536b"},     {65536, "64kb"},
		{1048576, "1mb"},    {1048576 + 1024, "1025kb"},
		{3221225472, "3gb"}, {4294967295, "4294967295b"},
	};
	char text[SIZE_TEXT_SIZE];
	uint64_t octets;

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		assert_string_equal(size_format(sizes[i].octets, text), sizes[i].text);
		assert_int_equal(size_parse(text, &octets), 0);
		assert_true(octets == sizes[i].octets);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_parsed),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(text_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
