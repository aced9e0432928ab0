/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_ADDR_H
#define VSWITCH_COMMON_ADDR_H

/*
 * Addresses and names as users write them: MAC and IP addresses, prefixes,
 * object names and interface names. Pure functions, callable from any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/proto.h"

#define ADDR_MAC_TEXT_SIZE    18 /* "02:00:00:00:00:01" and NUL */
#define ADDR_IP_TEXT_SIZE     46 /* as INET6_ADDRSTRLEN */
#define ADDR_PREFIX_TEXT_SIZE 50
#define ADDR_NAME_SIZE	      64 /* 63 characters and NUL */
#define ADDR_IFNAME_SIZE      16 /* 15 characters and NUL */

struct addr_mac {
	uint8_t bytes[6];
};

struct addr_prefix {
	struct proto_addr addr;
	uint8_t length; /* bits: 0 to 32 or 128 */
};

/* Each parses the whole text. Returns 0, or -EINVAL and leaves the output untouched. */
int addr_mac_parse(const char *text,
		   struct addr_mac *mac); /* six pairs of hex digits, ':' between */
int addr_ip_parse(const char *text, struct proto_addr *addr);
int addr_prefix_parse(const char *text,
		      struct addr_prefix *prefix); /* ADDR/LENGTH, the length required */

/* Each writes lower-case canonical text (RFC 5952 for IPv6) with NUL, and returns text. */
char *addr_mac_format(const struct addr_mac *mac, char text[ADDR_MAC_TEXT_SIZE]);
char *addr_ip_format(const struct proto_addr *addr, char text[ADDR_IP_TEXT_SIZE]);
char *addr_prefix_format(const struct addr_prefix *prefix, char text[ADDR_PREFIX_TEXT_SIZE]);

bool addr_ip_equal(const struct proto_addr *a, const struct proto_addr *b);
bool addr_mac_is_unicast(const struct addr_mac *mac); /* neither group nor zero */

/* Whether text is [A-Za-z0-9][A-Za-z0-9_.-]{0,62}. NULL is not. */
bool addr_name_valid(const char *text);
/* The same within 15 characters, since the kernel would expand '%' and refuse '/'; and neither
 * "all" nor "default", which it refuses as well. */
bool addr_ifname_valid(const char *text);

#endif
