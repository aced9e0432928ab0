/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_EDIT_H
#define VSWITCH_CONTROL_EDIT_H

/*
 * One object's change, from JSON to the model: reads the attributes, merges
 * them into what there is if asked to, and puts the object into the model's
 * open transaction. A single request (handle_*.c) and the application of a
 * whole topology (handle_apply.c) change objects by these same functions.
 * Each returns 0 or -EINVAL with *problem.
 */

#include <jansson.h>

#include "control/model_edit.h"

struct reconcile;

enum edit_mode {
	EDIT_PUT,   /* as the JSON says; what it does not say takes its default */
	EDIT_PATCH, /* merged into the object, which must exist */
	EDIT_MERGE  /* merged into the object if it exists */
};

struct edit {
	struct model *model;
	struct reconcile *reconcile;
	struct problem *problem;
	enum edit_mode mode;
	bool require; /* a port must be able to take effect at once */
};

int edit_host(struct edit *edit, const json_t *json);
int edit_vtep(struct edit *edit, const json_t *json);
int edit_tenant(struct edit *edit, const char *name, const json_t *json);
int edit_segment(struct edit *edit, struct model_tenant *tenant, const char *name,
		 const json_t *json);
/* tenant NULL: an uplink */
int edit_port(struct edit *edit, struct model_tenant *tenant, const char *name, const json_t *json);
int edit_fdb(struct edit *edit, struct model_segment *segment, const char *mac, const json_t *json);

/* Notes that there is no such object: 404. Returns -EINVAL. */
int edit_missing(struct problem *problem);

/* The name of an uplink that would be taken for the vtep's counters. */
#define EDIT_VTEP_NAME "vtep"

#endif
