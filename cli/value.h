/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_VALUE_H
#define VSWITCH_CLI_VALUE_H

/*
 * Values as users write them, on the command line and in topology files: one
 * list of types, and the JSON that the API gets for each. Only the form is
 * judged here; whether a VNI is free, or a number in range, the control daemon
 * knows. Pure functions.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define VALUE_ERROR_SIZE 512

enum value_type {
	VALUE_FLAG,	/* an option that takes no value */
	VALUE_FLAG_OFF, /* the same, which says no */
	VALUE_TEXT,	/* anything: a file, a directory */
	VALUE_DIRECTORY,
	VALUE_SECONDS, /* decimal, with a fraction if wanted */
	VALUE_NAME,    /* of a tenant, an uplink, or anything inside a tenant */
	VALUE_SEGMENT, /* TENANT/NAME */
	VALUE_PORT,    /* TENANT/NAME, or NAME of an uplink */
	VALUE_PLACE,   /* NAME or TENANT/NAME: a port's segment */
	VALUE_TRUNK,   /* [TENANT/]NAME[=VID] */
	VALUE_IFNAME,
	VALUE_NETNS, /* NAME, absolute path, or pid:N */
	VALUE_RATE,
	VALUE_SIZE,    /* octets, as tc reads them */
	VALUE_NUMBER,  /* decimal, 0 to 2^32 - 1 */
	VALUE_INTEGER, /* decimal, with a sign if it is negative */
	VALUE_YES_NO,
	VALUE_MAC,
	VALUE_IP,
	VALUE_PREFIX, /* IP/LENGTH */
	VALUE_PORT_TYPE,
	VALUE_UP_DOWN,
	VALUE_KIND,   /* of objects that have counters */
	VALUE_FILE,   /* of captures: a name below the switch's own directory, or a path */
	VALUE_REPLAY, /* own, max, or a rate */
	VALUE_SOCKET, /* the path of a Unix socket, from the root */
	VALUE_DEVICE, /* of DPDK: a PCI address or a name, with arguments */
	VALUE_TYPE_COUNT
};

/*
 * Checks the form of text. Returns 0, or -EINVAL and writes one sentence that
 * opens with `what`: "--send '10x' is not a rate: …".
 */
int value_check(enum value_type type, const char *what, const char *text,
		char error[VALUE_ERROR_SIZE]);

/*
 * Whether text asks for the default in place of a value: "none"; or, where a value is a name and
 * none may be one, nothing at all. A trunk takes both. A rate or a size of none is a value like
 * others.
 */
bool value_is_default(enum value_type type, const char *text);

/* The JSON of a text that value_check() passed: a number, a boolean or a string. The caller owns
 * it. */
json_t *value_json(enum value_type type, const char *text);

/* The words that a type consists of, '|' between, for help and completion; or NULL. */
const char *value_words(enum value_type type);

#endif
