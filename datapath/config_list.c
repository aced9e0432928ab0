/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/config_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEARCHED 4u /* items up to which a binary search is as quick as a table */

void config_list_ref(struct config_list *list)
{
	if (list != NULL)
		list->references++;
}

void config_list_unref(struct config_list *list)
{
	if (list == NULL || --list->references > 0)
		return;
	free(list->slots);
	free(list);
}

void config_vids_ref(struct config_vids *vids)
{
	if (vids != NULL)
		vids->references++;
}

void config_vids_unref(struct config_vids *vids)
{
	if (vids != NULL && --vids->references == 0)
		free(vids);
}

struct config_vids *config_vids_new(void)
{
	struct config_vids *vids = malloc(sizeof(*vids));

	if (vids == NULL)
		return NULL;
	vids->references = 1;
	for (unsigned i = 0; i < 4096; i++)
		vids->segments[i] = PROTO_NO_INDEX;
	return vids;
}

/* The position of index, or where it would be inserted. */
static uint32_t list_position(const struct config_list *list, uint32_t index)
{
	uint32_t low = 0, high = list == NULL ? 0 : list->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (list->items[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A multiplicative hash: Knuth's 2^32 / phi. */
static uint32_t slot_of(const struct config_list *list, uint32_t index)
{
	return (index * 2654435761u) >> 7 & list->slot_mask;
}

int config_list_finish(struct config_list *list)
{
	uint32_t size = 16;

	if (list == NULL || list->slots != NULL || list->count <= SEARCHED)
		return 0;
	while (size < list->count * 2)
		size *= 2;
	list->slots = malloc(size * sizeof(*list->slots));
	if (list->slots == NULL)
		return -ENOMEM;
	list->slot_mask = size - 1;
	for (uint32_t i = 0; i < size; i++)
		list->slots[i].index = PROTO_NO_INDEX;
	for (uint32_t i = 0; i < list->count; i++) {
		uint32_t slot = slot_of(list, list->items[i].index);

		while (list->slots[slot].index != PROTO_NO_INDEX)
			slot = (slot + 1) & list->slot_mask;
		list->slots[slot] = list->items[i];
	}
	return 0;
}

static const struct config_member *slots_find(const struct config_list *list, uint32_t index)
{
	uint32_t slot = slot_of(list, index);

	for (; list->slots[slot].index != PROTO_NO_INDEX; slot = (slot + 1) & list->slot_mask) {
		if (list->slots[slot].index == index)
			return &list->slots[slot];
	}
	return NULL;
}

const struct config_member *config_list_find(const struct config_list *list, uint32_t index)
{
	uint32_t position;

	if (list != NULL && list->slots != NULL)
		return slots_find(list, index);
	position = list_position(list, index);
	if (list == NULL || position == list->count || list->items[position].index != index)
		return NULL;
	return &list->items[position];
}

static struct config_list *list_new(uint32_t count)
{
	struct config_list *list = malloc(sizeof(*list) + count * sizeof(list->items[0]));

	if (list != NULL) {
		list->references = 1;
		list->count = count;
		list->slots = NULL;
	}
	return list;
}

int config_list_put(struct config_list **list, uint32_t index, uint16_t vid)
{
	uint32_t position = list_position(*list, index);
	uint32_t count = *list == NULL ? 0 : (*list)->count;
	uint32_t replaced = config_list_find(*list, index) != NULL;
	struct config_list *changed = list_new(count + 1 - replaced);

	if (changed == NULL)
		return -ENOMEM;
	if (*list != NULL) {
		memcpy(changed->items, (*list)->items, position * sizeof(changed->items[0]));
		memcpy(&changed->items[position + 1], &(*list)->items[position + replaced],
		       (count - position - replaced) * sizeof(changed->items[0]));
	}
	changed->items[position] = (struct config_member){.index = index, .vid = vid};
	config_list_unref(*list);
	*list = changed;
	return 0;
}

int config_list_remove(struct config_list **list, uint32_t index)
{
	uint32_t position = list_position(*list, index);
	struct config_list *changed = NULL;

	if (config_list_find(*list, index) == NULL)
		return -ENOENT;
	if ((*list)->count > 1) {
		changed = list_new((*list)->count - 1);
		if (changed == NULL)
			return -ENOMEM;
		memcpy(changed->items, (*list)->items, position * sizeof(changed->items[0]));
		memcpy(&changed->items[position], &(*list)->items[position + 1],
		       (changed->count - position) * sizeof(changed->items[0]));
	}
	config_list_unref(*list);
	*list = changed;
	return 0;
}
