/* SPDX-License-Identifier: Apache-2.0 */
#include "common/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int hex_value(char digit);
static size_t addr_size(uint8_t family);
static bool name_fits(const char *text, size_t size);
static bool is_alphanumeric(char character);

int addr_mac_parse(const char *text, struct addr_mac *mac)
{
	struct addr_mac parsed;

	if (!text || strnlen(text, ADDR_MAC_TEXT_SIZE) != ADDR_MAC_TEXT_SIZE - 1)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(parsed.bytes); i++) {
		const char *octet = text + 3 * i;
		int high = hex_value(octet[0]);
		int low = hex_value(octet[1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		if (octet[2] != (i + 1 < sizeof(parsed.bytes) ? ':' : '\0'))
			return -EINVAL;
		parsed.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*mac = parsed;
	return 0;
}

int addr_ip_parse(const char *text, struct proto_addr *addr)
{
	struct proto_addr parsed = {0};

	if (!text)
		return -EINVAL;
	parsed.family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(parsed.family, text, parsed.bytes) != 1)
		return -EINVAL;
	*addr = parsed;
	return 0;
}

int addr_prefix_parse(const char *text, struct addr_prefix *prefix)
{
	struct addr_prefix parsed;
	char addr_text[ADDR_IP_TEXT_SIZE];
	const char *slash, *digit;
	unsigned length = 0;

	slash = text ? strchr(text, '/') : NULL;
	if (!slash || (size_t)(slash - text) >= sizeof(addr_text))
		return -EINVAL;
	memcpy(addr_text, text, (size_t)(slash - text));
	addr_text[slash - text] = '\0';
	if (addr_ip_parse(addr_text, &parsed.addr) < 0)
		return -EINVAL;

	digit = slash + 1;
	if (*digit == '\0' || (digit[0] == '0' && digit[1] != '\0'))
		return -EINVAL;
	for (; *digit != '\0'; digit++) {
		if (*digit < '0' || *digit > '9')
			return -EINVAL;
		length = length * 10 + (unsigned)(*digit - '0');
		if (length > 8 * addr_size(parsed.addr.family))
			return -EINVAL;
	}
	parsed.length = (uint8_t)length;
	*prefix = parsed;
	return 0;
}

char *addr_mac_format(const struct addr_mac *mac, char text[ADDR_MAC_TEXT_SIZE])
{
	const uint8_t *b = mac->bytes;

	snprintf(text, ADDR_MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3],
		 b[4], b[5]);
	return text;
}

char *addr_ip_format(const struct proto_addr *addr, char text[ADDR_IP_TEXT_SIZE])
{
	/* An address from the other side of a socket may be of no family that there is. */
	if (!inet_ntop(addr->family, addr->bytes, text, ADDR_IP_TEXT_SIZE))
		memcpy(text, "?", sizeof("?"));
	return text;
}

char *addr_prefix_format(const struct addr_prefix *prefix, char text[ADDR_PREFIX_TEXT_SIZE])
{
	char addr_text[ADDR_IP_TEXT_SIZE];

	snprintf(text, ADDR_PREFIX_TEXT_SIZE, "%s/%u", addr_ip_format(&prefix->addr, addr_text),
		 prefix->length);
	return text;
}

bool addr_ip_equal(const struct proto_addr *a, const struct proto_addr *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, addr_size(a->family)) == 0;
}

bool addr_mac_is_unicast(const struct addr_mac *mac)
{
	static const struct addr_mac zero;

	return !(mac->bytes[0] & 1) && memcmp(mac, &zero, sizeof(zero)) != 0;
}

bool addr_name_valid(const char *text)
{
	return name_fits(text, ADDR_NAME_SIZE);
}

bool addr_ifname_valid(const char *text)
{
	/* These two are directories of /proc/sys/net/ipv4/conf. */
	return name_fits(text, ADDR_IFNAME_SIZE) && strcmp(text, "all") != 0 &&
	       strcmp(text, "default") != 0;
}

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

static size_t addr_size(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

static bool name_fits(const char *text, size_t size)
{
	size_t length;

	if (!text || !is_alphanumeric(text[0]))
		return false;
	for (length = 1; length < size && text[length] != '\0'; length++) {
		if (!is_alphanumeric(text[length]) && !strchr("_.-", text[length]))
			return false;
	}
	return length < size;
}

/* Not isalnum(), whose answer depends on the locale. */
static bool is_alphanumeric(char character)
{
	return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'z') ||
	       (character >= 'A' && character <= 'Z');
}
