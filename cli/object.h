/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_OBJECT_H
#define VSWITCH_CLI_OBJECT_H

/*
 * Where the API keeps each kind of object, how it is listed, and how options
 * become its members. Used by the commands; pure functions.
 */

#include <jansson.h>

#include "cli/grammar.h"

#define OBJECT_PATH_SIZE 320

struct output_column;

struct object_info {
	const char *noun;      /* "tenant" */
	const char *list_path; /* NULL: there is only one */
	const char *list_key;  /* the member of the answer that holds the list */
	const struct output_column *columns;
};

const struct object_info *object_info(enum object_kind kind);

/* Writes the path of the object of this name (ignored where there is only one). Returns path. */
char *object_path(enum object_kind kind, const char *name, char path[OBJECT_PATH_SIZE]);

/* "segment acme/web", or "vtep". Returns text. */
char *object_title(enum object_kind kind, const char *name, char text[OBJECT_PATH_SIZE]);

/*
 * The body that the options of a call ask for. "none" leaves a member out of a whole object, and is
 * null, which puts the default back, in a merge. Returns NULL after saying why (out of memory, or
 * a port's segment of another tenant). The caller owns it.
 */
json_t *object_body(const struct grammar_call *call, bool merge);

#endif
