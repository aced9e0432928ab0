/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_STORE_H
#define VSWITCH_CONTROL_STORE_H

/*
 * The desired state on disk: an SQLite file in the state directory. One
 * SQLite transaction a change of the model, on disk before the change is
 * answered. Used by main() at the start and by the API; one thread.
 */

#include "control/model.h"

struct store;

#define STORE_FILE "state.db"

/*
 * Opens the state in state_dir; makes the directory (0700, its parent must be there) and the file
 * (0600) when missing. Returns 0 or a negative errno, and text says in one sentence what is wrong:
 * -EPERM for a directory that is somebody else's or that others may write, -EBUSY for one that
 * another daemon uses, -EPROTONOSUPPORT for the state of a newer version, -EUCLEAN for what is
 * damaged.
 */
int store_open(struct store **store, const char *state_dir, char text[MODEL_TEXT_SIZE]);
void store_free(struct store *store);

/* Fills a new model. Returns 0 or a negative errno with text; the model is then of no use. */
int store_load(struct store *store, struct model *model, char text[MODEL_TEXT_SIZE]);

/*
 * Writes what the model's checked transaction touches and its next generation (model_edit.h), and
 * returns when it is on disk. Returns 0, or a negative errno with text: nothing is written.
 */
int store_commit(struct store *store, const struct model *model, char text[MODEL_TEXT_SIZE]);

#endif
