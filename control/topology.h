/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_TOPOLOGY_H
#define VSWITCH_CONTROL_TOPOLOGY_H

/*
 * A whole topology, as files say it, put into the model's open transaction:
 * the walk through its tenants, segments and ports, object by object (edit.h).
 * Called by handle_apply.c.
 */

#include <jansson.h>
#include <stdbool.h>

struct edit;

struct topology_options {
	bool prune;	    /* what the topology does not name goes, attributes included */
	const char *tenant; /* prune within this one only; NULL: everywhere */
};

/* Returns 0 or a negative errno with the edit's problem. */
int topology_apply(struct edit *edit, const json_t *topology,
		   const struct topology_options *options);

#endif
