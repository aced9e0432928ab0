/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_JSON_READ_H
#define VSWITCH_CONTROL_JSON_READ_H

/*
 * Members of JSON objects, read as what they should be. Each function leaves
 * the output untouched when the member is missing or null (the default then
 * stands), and returns 0, or -EINVAL and says in *problem what is wrong, for
 * the object that problem_object() named. Pure functions.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "control/problem.h"

/* Refuses what is no object, and members that are not in the list (NULL ends it) or "status". */
int json_read_keys(const json_t *object, const char *const *known, struct problem *problem);

int json_read_rate(const json_t *object, const char *key, uint64_t *rate, struct problem *problem);
int json_read_size(const json_t *object, const char *key, uint64_t *octets,
		   struct problem *problem);
int json_read_number(const json_t *object, const char *key, uint32_t min, uint32_t max,
		     uint32_t *number, struct problem *problem);
int json_read_signed(const json_t *object, const char *key, int32_t min, int32_t max,
		     int32_t *number, struct problem *problem);
int json_read_bool(const json_t *object, const char *key, bool *value, struct problem *problem);
/* The text belongs to the object. */
int json_read_text(const json_t *object, const char *key, const char **text,
		   struct problem *problem);
int json_read_mac(const json_t *object, const char *key, struct addr_mac *mac, bool *given,
		  struct problem *problem);
int json_read_ip(const json_t *object, const char *key, struct proto_addr *addr,
		 struct problem *problem);

/*
 * A list of at most max texts; one text is a list of one. *texts is the caller's to free (NULL
 * when there is none), what it points at belongs to the object.
 */
int json_read_texts(const json_t *object, const char *key, uint32_t max, const char ***texts,
		    uint32_t *count, struct problem *problem);

/* Whether the member is there and not null. */
bool json_read_has(const json_t *object, const char *key);

/* Checks an object's name; kind is what it names ("tenant"). */
int json_read_name(const char *kind, const char *name, struct problem *problem);
/* Splits TENANT/NAME. Returns false when it is ill-formed; names are not checked beyond their size.
 */
bool json_read_split(const char *text, char tenant[ADDR_NAME_SIZE], char name[ADDR_NAME_SIZE]);

/* Whether an address can be a host's: neither of no host, nor of many, nor of this one. */
bool json_read_is_unicast(const struct proto_addr *addr);

/* Whether a workload can have the address in the prefix: neither loopback nor, of IPv4, the
 * network's own address or its broadcast address. */
bool json_read_is_host(const struct proto_addr *addr, const struct addr_prefix *prefix);

/*
 * Merges the patch into the object, which is flat (RFC 7396): null removes, all else replaces.
 * Returns 0 or -ENOMEM.
 */
int json_read_merge(json_t *object, const json_t *patch);

#endif
