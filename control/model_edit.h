/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_MODEL_EDIT_H
#define VSWITCH_CONTROL_MODEL_EDIT_H

/*
 * Changing the model. The API and the store are the only users.
 *
 *	model_begin(), puts and dels, model_check(), store_commit(), model_commit()
 *
 * and model_rollback() instead of any later step. In between the readers of
 * model.h see the transaction's state. A journal holds what each step undoes,
 * so that a change costs what it touches, however much is configured.
 *
 * How values are given: the structures of model.h, filled as far as users fill
 * them; the model copies them, arrays included. What is not a user's (ref,
 * counts) is the model's, except that a ref with an incarnation is taken as it
 * is for a new object: so the store restores. Values are in range (the schema
 * sees to that, json_object.h); what concerns other objects is checked here, all of
 * it by model_check(), so that the order of steps does not matter.
 *
 * Out of memory the daemon ends: what was answered is on disk.
 */

#include "control/model.h"
#include "control/problem.h"

/* Returns an empty model of generation 1. */
struct model *model_new(void);
void model_free(struct model *model);

void model_begin(struct model *model);

/*
 * Each adds the object or makes it so. Returns 0, or -EINVAL and says in *problem why not; what is
 * the same already changes nothing. *object is not touched on failure and may be NULL.
 */
int model_host_put(struct model *model, const struct model_host *values);
int model_vtep_put(struct model *model, const struct model_vtep *values, struct problem *problem);
int model_tenant_put(struct model *model, const struct model_tenant *values,
		     struct model_tenant **object, struct problem *problem);
int model_segment_put(struct model *model, const struct model_segment *values,
		      const struct proto_addr *peers, uint32_t peer_count,
		      struct model_segment **object, struct problem *problem);
int model_port_put(struct model *model, const struct model_port *values, struct model_port **object,
		   struct problem *problem);
int model_fdb_put(struct model *model, const struct model_fdb *values);

/* Restores a peer's reference before the segments that use it come. */
int model_peer_restore(struct model *model, const struct model_peer *values,
		       struct problem *problem);

/* Takes the port out of a segment. */
void model_port_leave(struct model *model, struct model_port *port,
		      const struct model_segment *segment);

/* Each removes the object alone. Whether something still needs it is found by model_check(). */
void model_vtep_del(struct model *model);
void model_tenant_del(struct model *model, struct model_tenant *tenant);
void model_segment_del(struct model *model, struct model_segment *segment);
void model_port_del(struct model *model, struct model_port *port);
void model_fdb_del(struct model *model, struct model_fdb *fdb);
/* Lets a learned entry be forgotten: a change that the store does not hold. */
void model_fdb_forget(struct model *model, struct model_segment *segment,
		      const struct addr_mac *mac);

/*
 * Each removes the object with all that it holds or that refers to it: a segment takes along the
 * ports that are in no other, and leaves the others' lists.
 */
void model_tenant_del_recursive(struct model *model, struct model_tenant *tenant);
void model_segment_del_recursive(struct model *model, struct model_segment *segment);
void model_port_del_recursive(struct model *model, struct model_port *port);

/*
 * Checks the transaction as a whole and fixes its list of changes. Returns 0, or -EINVAL and says
 * in *problem (object and member; the base is the caller's) what is in the way.
 */
int model_check(struct model *model, struct problem *problem);

/* After model_check(): what the transaction touches, until the next model_begin(). */
const struct model_change *model_changes(const struct model *model, uint32_t *count);
/* Before commit and rollback: the name that users know a change's object by. */
void model_change_name(const struct model *model, const struct model_change *change,
		       char name[PROBLEM_NAME_SIZE]);

/* Keeps it; the generation rises by one if there are changes. Never fails. */
void model_commit(struct model *model);
void model_rollback(struct model *model);

/* The highest incarnation given so far, none of which is given again. */
uint32_t model_incarnation(const struct model *model);
/* Ends a restore: commits without a new generation, and goes on from these. */
void model_restored(struct model *model, uint64_t generation, uint32_t incarnation);

#endif
