/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_CONFIG_LIST_H
#define VSWITCH_DATAPATH_CONFIG_LIST_H

/*
 * The lists that configurations share (config.h): a change makes a new list
 * in place of the reference to the former one. Main thread only, but for
 * config_list_find() on published ones.
 */

#include "datapath/config.h"

/* Take and give back a reference; NULL is accepted. */
void config_list_ref(struct config_list *list);
void config_list_unref(struct config_list *list);
void config_vids_ref(struct config_vids *vids);
void config_vids_unref(struct config_vids *vids);

/* Makes a table without VIDs. NULL when out of memory. */
struct config_vids *config_vids_new(void);

/* Replaces *list by one that holds index with vid. Returns 0 or -ENOMEM. */
int config_list_put(struct config_list **list, uint32_t index, uint16_t vid);
/* Replaces *list by one without index, NULL when it would be empty. Returns 0, -ENOENT or -ENOMEM.
 */
int config_list_remove(struct config_list **list, uint32_t index);
/* Makes long lists quick to search, before they are published. Returns 0 or -ENOMEM. */
int config_list_finish(struct config_list *list);
/* Returns the item with index, or NULL; list may be NULL. */
const struct config_member *config_list_find(const struct config_list *list, uint32_t index);

#endif
