/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_TOPOLOGY_SCHEMA_H
#define VSWITCH_CLI_TOPOLOGY_SCHEMA_H

/*
 * What a topology file may say: which keys are where, and of what type their
 * values are. The reader and the writer follow it; keys are written in its
 * order. A key that a file may have is added here.
 */

#include "cli/value.h"

enum topology_kind {
	TOPOLOGY_SCALAR, /* of a value type */
	TOPOLOGY_LIST,	 /* of scalars; one scalar alone is a list of one */
	TOPOLOGY_MAP,	 /* with the keys that are listed */
	TOPOLOGY_TABLE	 /* with names of the user's as keys, and one kind of value */
};

struct topology_key;

struct topology_node {
	enum topology_kind kind;
	enum value_type type;		    /* of a scalar, a list's elements, or a table's keys */
	const struct topology_key *keys;    /* of a map, to the first without name */
	const struct topology_node *values; /* of a table */
};

struct topology_key {
	const char *name;
	struct topology_node node;
};

extern const struct topology_node topology_root;

/* Finds a map's key. Returns NULL when there is none. */
const struct topology_node *topology_find(const struct topology_node *map, const char *name);

#endif
