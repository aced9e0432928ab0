/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and names: what is taken, what is refused, and that text and value agree both ways. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/addr.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void mac_is_parsed(void **state)
{
	static const uint8_t expected[6] = {0x02, 0xab, 0xCD, 0x00, 0xff, 0x90};
	struct addr_mac mac;
	char text[ADDR_MAC_TEXT_SIZE];

	(void)state;
	assert_int_equal(addr_mac_parse("02:Ab:cD:00:ff:90", &mac), 0);
	assert_memory_equal(mac.bytes, expected, 6);
	assert_ptr_equal(addr_mac_format(&mac, text), text);
	assert_string_equal(text, "02:ab:cd:00:ff:90");
}

static void mac_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"02",
		"02:00:00:00:00",
		"02:00:00:00:00:",
		"02:00:00:00:00:0",
		"02:00:00:00:00:001",
		"02:00:00:00:00:00:",
		"02:00:00:00:00:00 ",
		" 02:00:00:00:00:0",
		"02-00-00-00-00-00",
		"020000000000",
		"2:00:00:00:00:000",
		"02:00:00:00:00:0g",
		"02:00:00:00:00:-1",
		"02:00:00:00:0x:00",
		"0/:00:00:00:00:00",
		"0::00:00:00:00:00",
		"0@:00:00:00:00:00",
		"0G:00:00:00:00:00",
		"0`:00:00:00:00:00",
		"02:00:00:00:00\0:00",
		"\xb0\xb2:00:00:00:00:00",
	};
	struct addr_mac mac, before;

	(void)state;
	memset(&mac, 0x5a, sizeof(mac));
	before = mac;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (addr_mac_parse(bad[i], &mac) != -EINVAL)
			fail_msg("taken: '%s'", bad[i]);
		assert_memory_equal(&mac, &before, sizeof(mac));
	}
	assert_int_equal(addr_mac_parse(NULL, &mac), -EINVAL);
}

static void mac_kinds(void **state)
{
	static const struct {
		const char *text;
		bool unicast;
	} macs[] = {
		{"02:00:00:00:00:01", true},  {"00:00:00:00:00:01", true},
		{"00:00:00:00:00:00", false}, {"01:00:00:00:00:00", false},
		{"ff:ff:ff:ff:ff:ff", false}, {"fe:ff:ff:ff:ff:ff", true},
		{"01:80:c2:00:00:0e", false}, {"33:33:00:00:00:01", false},
	};
	struct addr_mac mac;

	(void)state;
	for (size_t i = 0; i < COUNT(macs); i++) {
		assert_int_equal(addr_mac_parse(macs[i].text, &mac), 0);
		if (addr_mac_is_unicast(&mac) != macs[i].unicast)
			fail_msg("%s", macs[i].text);
	}
}

static void ip_is_written_canonically(void **state)
{
	/* RFC 5952 section 4: lower case, no leading zeros, the longest and first run of zeros. */
	static const char *const pairs[][2] = {
		{"0.0.0.0", "0.0.0.0"},
		{"172.31.0.1", "172.31.0.1"},
		{"255.255.255.255", "255.255.255.255"},
		{"::", "::"},
		{"::1", "::1"},
		{"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:0db8:0000:0001:0001:0001:0001:0001", "2001:db8:0:1:1:1:1:1"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"fe80:0:0:0:0:0:0:0", "fe80::"},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	};
	char text[ADDR_IP_TEXT_SIZE];
	struct proto_addr addr, again;

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		assert_int_equal(addr_ip_parse(pairs[i][0], &addr), 0);
		assert_ptr_equal(addr_ip_format(&addr, text), text);
		assert_string_equal(text, pairs[i][1]);
		assert_int_equal(addr_ip_parse(text, &again), 0);
		assert_memory_equal(&addr, &again, sizeof(addr));
	}
}

static void ip_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"1.2.3",
		"1.2.3.4.5",
		"1.2.3.256",
		"1.2.3.04",
		"0x7f.0.0.1",
		" 1.2.3.4",
		"1.2.3.4 ",
		"1.2.3.4/24",
		"1.2.3.-4",
		":",
		":::",
		"1::2::3",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"12345::",
		"fe80::1%eth0",
		"[::1]",
		"::g",
		"localhost",
		"::ffff:1.2.3.400",
		"11111111111111111111111111111111111111111111111111111111111111111111.1.1.1",
	};
	struct proto_addr addr, before;

	(void)state;
	memset(&addr, 0x5a, sizeof(addr));
	before = addr;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (addr_ip_parse(bad[i], &addr) != -EINVAL)
			fail_msg("taken: '%s'", bad[i]);
		assert_memory_equal(&addr, &before, sizeof(addr));
	}
	assert_int_equal(addr_ip_parse(NULL, &addr), -EINVAL);
}

static void ip_layout(void **state)
{
	static const struct proto_addr four = {AF_INET, {0}, {172, 31, 0, 1}};
	static const struct proto_addr six = {AF_INET6, {0}, {0xfe, 0x80, [15] = 1}};
	struct proto_addr addr;

	(void)state;
	memset(&addr, 0xff, sizeof(addr));
	assert_int_equal(addr_ip_parse("172.31.0.1", &addr), 0);
	assert_memory_equal(&addr, &four, sizeof(addr));
	memset(&addr, 0xff, sizeof(addr));
	assert_int_equal(addr_ip_parse("fe80::1", &addr), 0);
	assert_memory_equal(&addr, &six, sizeof(addr));
}

static void ip_of_no_family_is_formatted(void **state)
{
	char text[ADDR_IP_TEXT_SIZE];
	struct proto_addr addr;

	(void)state;
	memset(&addr, 0xff, sizeof(addr));
	assert_string_equal(addr_ip_format(&addr, text), "?");
}

static void ip_equality(void **state)
{
	struct proto_addr a, b, six;

	(void)state;
	assert_int_equal(addr_ip_parse("10.0.0.1", &a), 0);
	b = a;
	/* What lies behind an IPv4 address is no part of it. */
	memset(b.bytes + 4, 0xee, 12);
	memset(b.reserved, 0xee, sizeof(b.reserved));
	assert_true(addr_ip_equal(&a, &b));
	b.bytes[3] = 2;
	assert_false(addr_ip_equal(&a, &b));

	assert_int_equal(addr_ip_parse("0a00:1::", &six), 0);
	assert_false(addr_ip_equal(&a, &six));
	b = six;
	assert_true(addr_ip_equal(&six, &b));
	b.bytes[15] = 1;
	assert_false(addr_ip_equal(&six, &b));
}

static void prefix_is_parsed(void **state)
{
	static const struct {
		const char *text;
		uint8_t family, length;
	} good[] = {
		{"0.0.0.0/0", AF_INET, 0},
		{"10.0.0.1/24", AF_INET, 24},
		{"255.255.255.255/32", AF_INET, 32},
		{"::/0", AF_INET6, 0},
		{"2001:db8::1/64", AF_INET6, 64},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", AF_INET6, 128},
	};
	char text[ADDR_PREFIX_TEXT_SIZE];
	struct addr_prefix prefix;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(addr_prefix_parse(good[i].text, &prefix), 0);
		assert_int_equal(prefix.addr.family, good[i].family);
		assert_int_equal(prefix.length, good[i].length);
		assert_ptr_equal(addr_prefix_format(&prefix, text), text);
		assert_string_equal(text, good[i].text);
	}
}

static void prefix_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"/24",
		"10.0.0.1",
		"10.0.0.1/",
		"10.0.0.1/33",
		"10.0.0.1/024",
		"10.0.0.1/00",
		"10.0.0.1/-1",
		"10.0.0.1/+1",
		"10.0.0.1/ 1",
		"10.0.0.1/1 ",
		"10.0.0.1/2a",
		"10.0.0.1/24/24",
		"10.0.0.1/255.255.255.0",
		"10.0.0.1/4294967296",
		"10.0.0.1/18446744073709551616",
		"10.0.0/24",
		"2001:db8::1/129",
		"fe80::1%eth0/64",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/64",
	};
	struct addr_prefix prefix, before;

	(void)state;
	memset(&prefix, 0x5a, sizeof(prefix));
	before = prefix;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (addr_prefix_parse(bad[i], &prefix) != -EINVAL)
			fail_msg("taken: '%s'", bad[i]);
		assert_memory_equal(&prefix, &before, sizeof(prefix));
	}
	assert_int_equal(addr_prefix_parse(NULL, &prefix), -EINVAL);
}

static void names(void **state)
{
	static const char *const good[] = {"a", "0", "Z", "web-1", "a.b_c-d", "a--", "9."};
	static const char *const bad[] = {
		"",    "-a",  ".",   "..",  "_a",   "a b", "a/b",  "a%d",    " a",
		"a\n", "a\t", "a:b", "a@b", "a[",   "a`",  "a{",   "\x1b[m", "caf\xc3\xa9",
		"a=b", "a,b", "a'",  "a\"", "a\\b", "a*",  "\xff", "a\x7f",  "a\xc3\xa9",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_true(addr_name_valid(good[i]));
		assert_true(addr_ifname_valid(good[i]));
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (addr_name_valid(bad[i]) || addr_ifname_valid(bad[i]))
			fail_msg("taken: '%s'", bad[i]);
	}
	assert_false(addr_name_valid(NULL));
	assert_false(addr_ifname_valid(NULL));
	/* Names like others for what is no interface. */
	assert_true(addr_name_valid("all") && addr_name_valid("default"));
	assert_false(addr_ifname_valid("all") || addr_ifname_valid("default"));
	assert_true(addr_ifname_valid("all0") && addr_ifname_valid("defaul"));
}

static void name_lengths(void **state)
{
	char text[66];

	(void)state;
	for (size_t length = 1; length <= 65; length++) {
		memset(text, 'a', length);
		text[length] = '\0';
		assert_int_equal(addr_name_valid(text), length <= 63);
		assert_int_equal(addr_ifname_valid(text), length <= 15);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mac_is_parsed),
		cmocka_unit_test(mac_is_refused),
		cmocka_unit_test(mac_kinds),
		cmocka_unit_test(ip_is_written_canonically),
		cmocka_unit_test(ip_is_refused),
		cmocka_unit_test(ip_layout),
		cmocka_unit_test(ip_of_no_family_is_formatted),
		cmocka_unit_test(ip_equality),
		cmocka_unit_test(prefix_is_parsed),
		cmocka_unit_test(prefix_is_refused),
		cmocka_unit_test(names),
		cmocka_unit_test(name_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
