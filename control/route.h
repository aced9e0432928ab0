/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_ROUTE_H
#define VSWITCH_CONTROL_ROUTE_H

/*
 * The table of routes: what the API can do, from which requests are
 * dispatched, 404 and 405 are answered, and against which
 * docs/api/openapi.yaml is tested. Constant; no thread's own.
 */

#include <stdbool.h>
#include <stddef.h>

#include "control/request.h"

#define ROUTE_PARTS_MAX	 8
#define ROUTE_ALLOW_SIZE 64

struct route {
	const char *method;  /* "GET" serves HEAD too */
	const char *pattern; /* "/v1/tenants/{tenant}" */
	int (*handle)(struct request *);
	bool changes;	     /* needs the right to change */
	bool has_body;	     /* which must be a JSON object */
	const char *queries; /* the parameters that it knows: " recursive " with spaces around; or
				NULL */
	const char *summary;
};

/* All routes; one without a pattern ends them. */
const struct route *route_table(void);

/*
 * Finds the route of a path that is split into decoded parts. Returns it and points args into
 * parts. NULL: allow is what methods the path knows ("GET, HEAD, PUT"), "" when it is unknown.
 */
const struct route *route_find(const char *method, char *const *parts, size_t count,
			       char *args[REQUEST_ARGS_MAX], char allow[ROUTE_ALLOW_SIZE]);

#endif
