/* SPDX-License-Identifier: Apache-2.0 */
#include "control/model_internal.h"

#include <stdlib.h>
#include <string.h>

static void note(struct model *model, enum journal_step step, struct node *node, void *image);
static void undo(struct model *model, struct journal_entry *entry);
static void keep(struct model *model, struct journal_entry *entry);
static void swap_values(struct node *node, void *image);
static void release_index(struct model *model, struct node *node);
static void end_transaction(struct model *model);

void model_begin(struct model *model)
{
	model->open = true;
	model->journal_count = 0;
	model->change_count = 0;
}

void model_commit(struct model *model)
{
	if (model->change_count != 0)
		model->generation++;
	for (size_t i = 0; i < model->journal_count; i++)
		keep(model, &model->journal[i]);
	end_transaction(model);
}

void model_rollback(struct model *model)
{
	while (model->journal_count > 0)
		undo(model, &model->journal[--model->journal_count]);
	model->change_count = 0;
	end_transaction(model);
}

void model_restored(struct model *model, uint64_t generation, uint32_t incarnation)
{
	model_commit(model);
	model->generation = generation;
	if (incarnation > model->incarnation)
		model->incarnation = incarnation;
}

void model_note_added(struct model *model, struct node *node)
{
	model_link(model, node);
	note(model, STEP_ADDED, node, NULL);
}

void model_change_values(struct model *model, struct node *node, void *image)
{
	model_unlink(model, node);
	swap_values(node, image);
	model_link(model, node);
	note(model, STEP_CHANGED, node, image);
}

void model_remove_node(struct model *model, struct node *node)
{
	model_unlink(model, node);
	node->removed = true;
	note(model, STEP_REMOVED, node, NULL);
}

void model_fdb_forget(struct model *model, struct model_segment *segment,
		      const struct addr_mac *mac)
{
	struct model_change *change = model_alloc(1, sizeof(*change));

	change->kind = MODEL_FDB;
	change->removed = true;
	change->ref = segment->ref;
	change->mac = *mac;
	note(model, STEP_FORGOTTEN, NULL, change);
}

static void note(struct model *model, enum journal_step step, struct node *node, void *image)
{
	model->journal = model_grow(model->journal, model->journal_count, &model->journal_capacity,
				    sizeof(*model->journal));
	model->journal[model->journal_count++] =
		(struct journal_entry){.step = step, .node = node, .image = image};
}

static void undo(struct model *model, struct journal_entry *entry)
{
	struct node *node = entry->node;

	switch (entry->step) {
	case STEP_ADDED:
		model_unlink(model, node);
		release_index(model, node);
		model_node_free(node);
		break;
	case STEP_CHANGED:
		model_unlink(model, node);
		swap_values(node, entry->image);
		model_link(model, node);
		model_image_free(node->kind, entry->image);
		break;
	case STEP_REMOVED:
		node->removed = false;
		model_link(model, node);
		break;
	case STEP_FORGOTTEN:
		free(entry->image);
		break;
	}
}

static void keep(struct model *model, struct journal_entry *entry)
{
	struct node *node = entry->node;

	switch (entry->step) {
	case STEP_ADDED:
		break;
	case STEP_CHANGED:
		model_image_free(node->kind, entry->image);
		break;
	case STEP_REMOVED:
		release_index(model, node);
		model_node_free(node);
		break;
	case STEP_FORGOTTEN:
		free(entry->image);
		break;
	}
}

static void swap_values(struct node *node, void *image)
{
	size_t size = model_values_size(node->kind);
	void *values = model_node_values(node);
	void *former = model_alloc(1, size);

	memcpy(former, values, size);
	memcpy(values, image, size);
	memcpy(image, former, size);
	free(former);
}

static void release_index(struct model *model, struct node *node)
{
	struct index_table *table = model_index_table(model, node->kind);
	const struct proto_ref *ref = model_node_ref(node);

	if (table == NULL)
		return;
	table->nodes[ref->index] = NULL;
	if (ref->index < table->lowest)
		table->lowest = ref->index;
}

/* The list of changes stays until the next transaction: the reconciler is given it after commit. */
static void end_transaction(struct model *model)
{
	model->open = false;
	model->journal_count = 0;
}
