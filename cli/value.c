/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/value.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/addr.h"
#include "common/rate.h"
#include "common/size.h"

#define VID_DIGITS_MAX 4
#define TEXT_SHOWN     80

#define NAME_RULE "use up to 63 letters, digits, '_', '.' and '-', the first a letter or a digit"

static bool is_decimal(const char *text, size_t digits_max)
{
	size_t length = strspn(text, "0123456789");

	return length > 0 && length <= digits_max && text[length] == '\0' &&
	       (length == 1 || text[0] != '0');
}

static bool is_number(const char *text)
{
	return is_decimal(text, 10) && strtoull(text, NULL, 10) <= UINT32_MAX;
}

static bool is_integer(const char *text)
{
	bool negative = text[0] == '-';

	return is_decimal(text + negative, 10) &&
	       strtoull(text + negative, NULL, 10) <= (unsigned)INT32_MAX;
}

static bool is_seconds(const char *text)
{
	size_t whole = strspn(text, "0123456789");
	size_t fraction = 0;

	if (text[whole] == '.')
		fraction = 1 + strspn(text + whole + 1, "0123456789");
	return whole + fraction > 0 && whole <= 6 && fraction != 1 && fraction < 10 &&
	       text[whole + fraction] == '\0';
}

/* Whether the first `length` characters are a name. */
static bool is_name_part(const char *text, size_t length)
{
	char name[ADDR_NAME_SIZE];

	if (length >= sizeof(name))
		return false;
	memcpy(name, text, length);
	name[length] = '\0';
	return addr_name_valid(name);
}

static bool is_full_name(const char *text)
{
	const char *slash = strchr(text, '/');

	return slash != NULL && is_name_part(text, (size_t)(slash - text)) &&
	       addr_name_valid(slash + 1);
}

static bool is_place(const char *text)
{
	return addr_name_valid(text) || is_full_name(text);
}

static bool is_trunk(const char *text)
{
	char place[2 * ADDR_NAME_SIZE];
	const char *equals = strchr(text, '=');
	size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);

	if (length >= sizeof(place))
		return false;
	memcpy(place, text, length);
	place[length] = '\0';
	return is_place(place) && (equals == NULL || is_decimal(equals + 1, VID_DIGITS_MAX));
}

static bool is_netns(const char *text)
{
	if (strncmp(text, "pid:", 4) == 0)
		return is_number(text + 4) && strcmp(text + 4, "0") != 0;
	if (text[0] == '/')
		return strlen(text) < PATH_MAX;
	return addr_name_valid(text);
}

static bool is_directory(const char *text)
{
	return text[0] != '\0';
}

static bool is_rate(const char *text)
{
	uint64_t rate;

	return rate_parse(text, &rate) == 0;
}

static bool is_size(const char *text)
{
	uint64_t octets;

	return size_parse(text, &octets) == 0;
}

static bool is_mac(const char *text)
{
	struct addr_mac mac;

	return addr_mac_parse(text, &mac) == 0;
}

static bool is_ip(const char *text)
{
	struct proto_addr addr;

	return addr_ip_parse(text, &addr) == 0;
}

static bool is_prefix(const char *text)
{
	struct addr_prefix prefix;

	return addr_prefix_parse(text, &prefix) == 0;
}

/* Names with '/' between; a path from the root is judged by the control daemon, which knows where
 * captures are. */
static bool is_file(const char *text)
{
	size_t length;

	for (const char *part = text[0] == '/' ? text + 1 : text;; part += length + 1) {
		length = strcspn(part, "/");
		if (!is_name_part(part, length))
			return false;
		if (part[length] == '\0')
			return true;
	}
}

static bool is_replay(const char *text)
{
	uint64_t rate;

	return strcmp(text, "own") == 0 || strcmp(text, "max") == 0 ||
	       (rate_parse(text, &rate) == 0 && rate != 0);
}

static bool is_socket(const char *text)
{
	return text[0] == '/' && strlen(text) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
}

static bool is_device(const char *text)
{
	return isalnum((unsigned char)text[0]) && strcspn(text, " \t\n") == strlen(text);
}

/* Every type: how a text is checked, what it is called, and how to write it. */
static const struct {
	bool (*valid)(const char *text);
	const char *words; /* instead of valid(): what it may be, '|' between */
	const char *noun;
	const char *rule;
} types[] = {
	[VALUE_FLAG] = {NULL, NULL, NULL, NULL},
	[VALUE_FLAG_OFF] = {NULL, NULL, NULL, NULL},
	[VALUE_TEXT] = {NULL, NULL, NULL, NULL},
	[VALUE_DIRECTORY] = {is_directory, NULL, "a directory", "write its path"},
	[VALUE_SECONDS] = {is_seconds, NULL, "a time", "write seconds, as 2 or .5"},
	[VALUE_NAME] = {addr_name_valid, NULL, "a valid name", NAME_RULE},
	[VALUE_SEGMENT] = {is_full_name, NULL, "the name of a segment",
			   "write TENANT/NAME, and in each " NAME_RULE},
	[VALUE_PORT] = {is_place, NULL, "the name of a port",
			"write TENANT/NAME, or NAME for an uplink, and in each " NAME_RULE},
	[VALUE_PLACE] = {is_place, NULL, "the name of a segment",
			 "write NAME or TENANT/NAME, and in each " NAME_RULE},
	[VALUE_TRUNK] = {is_trunk, NULL, "a segment on a trunk",
			 "write NAME=VID or TENANT/NAME=VID, as in acme/web=100"},
	[VALUE_IFNAME] = {addr_ifname_valid, NULL, "a valid interface name",
			  "use up to 15 letters, digits, '_', '.' and '-', the first a letter or "
			  "a digit, and neither all nor default"},
	[VALUE_NETNS] = {is_netns, NULL, "a network namespace",
			 "write its name, its path from /, or pid:N"},
	[VALUE_RATE] = {is_rate, NULL, "a rate",
			"write 8bit to 1tbit as tc does, as in 10mbit or 1.5gbit, or none"},
	[VALUE_SIZE] = {is_size, NULL, "a size",
			"write 1b to 4294967295b as tc does, as in 1500b, 64kb or 1mb, or none"},
	[VALUE_NUMBER] = {is_number, NULL, "a number",
			  "write decimal digits, from 0 to 4294967295"},
	[VALUE_INTEGER] = {is_integer, NULL, "a whole number",
			   "write decimal digits, with - before them if it is negative"},
	[VALUE_YES_NO] = {NULL, "yes|no", "yes or no", "write one of the two"},
	[VALUE_MAC] = {is_mac, NULL, "a MAC address",
		       "write six pairs of hex digits, as in 02:00:00:00:00:01"},
	[VALUE_IP] = {is_ip, NULL, "an IP address", "write one as in 10.0.0.1 or 2001:db8::1"},
	[VALUE_PREFIX] = {is_prefix, NULL, "an address with its prefix length",
			  "write one as in 10.0.0.1/24"},
	[VALUE_PORT_TYPE] = {NULL, "tap|veth|netdev|vhost-user|dpdk|pcap|memory", "a port type",
			     "use tap, veth, netdev, vhost-user, dpdk, pcap, or memory for tests"},
	[VALUE_UP_DOWN] = {NULL, "up|down", "up or down", "write one of the two"},
	[VALUE_KIND] = {NULL, "tenant|segment|port", "what has counters",
			"write tenant, segment or port"},
	[VALUE_FILE] = {is_file, NULL, "a capture file",
			"write its path below pcap in the state directory, of letters, digits, "
			"'_', '.' and '-'"},
	[VALUE_REPLAY] = {is_replay, NULL, "a way to replay",
			  "write own for the file's time stamps, max, or a rate as in 10mbit"},
	[VALUE_SOCKET] = {is_socket, NULL, "a socket",
			  "write its path from /, of at most 107 characters"},
	[VALUE_DEVICE] = {is_device, NULL, "a device",
			  "write a PCI address or a name, as in 0000:00:04.0 or "
			  "net_af_xdp0,iface=eth1"},
};
_Static_assert(sizeof(types) / sizeof(types[0]) == VALUE_TYPE_COUNT, "a row for every type");

static bool is_among(const char *words, const char *text)
{
	size_t length = strlen(text);

	for (const char *word = words; word != NULL; word = strchr(word, '|')) {
		if (*word == '|')
			word++;
		if (length > 0 && strcspn(word, "|") == length && memcmp(word, text, length) == 0)
			return true;
	}
	return false;
}

int value_check(enum value_type type, const char *what, const char *text,
		char error[VALUE_ERROR_SIZE])
{
	bool valid = true;

	if (types[type].words != NULL)
		valid = is_among(types[type].words, text);
	else if (types[type].valid != NULL)
		valid = types[type].valid(text);
	if (valid)
		return 0;
	snprintf(error, VALUE_ERROR_SIZE, "%s '%.*s%s' is not %s: %s", what, TEXT_SHOWN, text,
		 strlen(text) > TEXT_SHOWN ? "..." : "", types[type].noun, types[type].rule);
	return -EINVAL;
}

bool value_is_default(enum value_type type, const char *text)
{
	switch (type) {
	case VALUE_RATE:
	case VALUE_SIZE:
		return false;
	case VALUE_NAME:
	case VALUE_SEGMENT:
	case VALUE_PORT:
	case VALUE_PLACE:
	case VALUE_IFNAME:
	case VALUE_NETNS:
	case VALUE_FILE:
	case VALUE_SOCKET:
	case VALUE_DEVICE:
		return text[0] == '\0';
	case VALUE_TRUNK:
		/* A segment of this name is written with its tenant or its VID. */
		return text[0] == '\0' || strcmp(text, "none") == 0;
	default:
		return strcmp(text, "none") == 0;
	}
}

json_t *value_json(enum value_type type, const char *text)
{
	switch (type) {
	case VALUE_FLAG:
		return json_true();
	case VALUE_FLAG_OFF:
		return json_false();
	case VALUE_NUMBER:
	case VALUE_INTEGER:
		return json_integer(strtoll(text, NULL, 10));
	case VALUE_YES_NO:
		return json_boolean(strcmp(text, "yes") == 0);
	default:
		return json_string(text);
	}
}

const char *value_words(enum value_type type)
{
	return types[type].words;
}
