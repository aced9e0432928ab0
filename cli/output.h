/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_OUTPUT_H
#define VSWITCH_CLI_OUTPUT_H

/*
 * What commands print on stdout, in one of two ways: as text for people
 * (output_text.c), or as the JSON that the API answered (output_json.c). The
 * commands see only this interface. Values come from another process, so
 * whatever is missing or of another type is printed as "-".
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum output_format {
	OUTPUT_TEXT,   /* as it is; a list with commas between */
	OUTPUT_NUMBER, /* aligned to the right */
	OUTPUT_BYTES,  /* 1.5 GB */
	OUTPUT_DROPS,  /* the sum of an object of counters */
	OUTPUT_AGE     /* seconds as 1h02m */
};

struct output_column {
	const char *title; /* NULL ends the columns */
	const char *path;  /* members with dots between; alternatives with '|' between */
	enum output_format format;
};

/* What two looks at counters, `seconds` apart, are shown from; before is NULL at the first. */
struct output_look {
	const json_t *body;
	const json_t *before;
	double seconds;
	bool watch; /* another look follows */
};

struct output {
	/* A list: body[key]. */
	void (*list)(const json_t *body, const char *key, const struct output_column *columns);
	/* One object, every member of it. */
	void (*object)(const json_t *body);
	/* An object as it is after a change that was asked for (NULL: it is no more), and the
	 * generation: nothing, for people. */
	void (*changed)(const json_t *body, uint64_t generation);
	/* What apply changed, or would. */
	void (*changes)(const json_t *body);
	/* The daemons; ports is the list of ports, or NULL. */
	void (*status)(const json_t *body, const json_t *ports);
	void (*stats)(const struct output_look *look);
	void (*drops)(const struct output_look *look);
};

extern const struct output output_text;
extern const struct output output_json;

#endif
