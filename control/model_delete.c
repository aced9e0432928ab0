/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "control/model_internal.h"

static int delete_fdb(void *context, struct model_fdb *fdb);
static int delete_segment(void *context, struct model_segment *segment);
static int delete_port(void *context, struct model_port *port);
static int release_port(void *context, struct model_port *port);
static void free_index(struct index_table *table);

/* What visit() needs to release the ports of a segment. */
struct release {
	struct model *model;
	struct model_segment *segment;
};

void model_vtep_del(struct model *model)
{
	model_remove_node(model, &model->vtep->node);
}

void model_tenant_del(struct model *model, struct model_tenant *tenant)
{
	model_remove_node(model, &NODE_OF(tenant_node, tenant)->node);
}

void model_segment_del(struct model *model, struct model_segment *segment)
{
	model_remove_node(model, &NODE_OF(segment_node, segment)->node);
}

void model_port_del(struct model *model, struct model_port *port)
{
	model_remove_node(model, &NODE_OF(port_node, port)->node);
}

void model_fdb_del(struct model *model, struct model_fdb *fdb)
{
	model_remove_node(model, &NODE_OF(fdb_node, fdb)->node);
}

void model_tenant_del_recursive(struct model *model, struct model_tenant *tenant)
{
	model_tenant_each_segment(tenant, delete_segment, model);
	model_tenant_each_port(model, tenant, delete_port, model);
	model_tenant_del(model, tenant);
}

void model_segment_del_recursive(struct model *model, struct model_segment *segment)
{
	struct release release = {.model = model, .segment = segment};

	model_segment_each_fdb(segment, delete_fdb, model);
	model_segment_each_port(segment, release_port, &release);
	model_segment_del(model, segment);
}

void model_port_del_recursive(struct model *model, struct model_port *port)
{
	model_port_each_fdb(port, delete_fdb, model);
	model_port_del(model, port);
}

void model_free(struct model *model)
{
	if (model == NULL)
		return;
	if (model->open)
		model_rollback(model);
	model_begin(model);
	while (model->fdb != NULL)
		model_fdb_del(model, &model->fdb->values);
	while (model->ports != NULL)
		model_port_del(model, &model->ports->values);
	while (model->segments != NULL)
		model_segment_del(model, &model->segments->values);
	while (model->tenants != NULL)
		model_tenant_del(model, &model->tenants->values);
	while (model->peers != NULL)
		model_remove_node(model, &model->peers->node);
	if (model->vtep != NULL)
		model_vtep_del(model);
	model_commit(model);
	free_index(&model->tenant_index);
	free_index(&model->segment_index);
	free_index(&model->port_index);
	free_index(&model->peer_index);
	free(model->journal);
	free(model->changes);
	free(model);
}

static int delete_fdb(void *context, struct model_fdb *fdb)
{
	model_fdb_del(context, fdb);
	return 0;
}

static int delete_segment(void *context, struct model_segment *segment)
{
	model_segment_del_recursive(context, segment);
	return 0;
}

static int delete_port(void *context, struct model_port *port)
{
	model_port_del_recursive(context, port);
	return 0;
}

/* A workload's port without a segment would be of no use; an uplink may wait for one. */
static int release_port(void *context, struct model_port *port)
{
	struct release *release = context;

	if (port->tenant != NULL && port->member_count == 1)
		model_port_del_recursive(release->model, port);
	else
		model_port_leave(release->model, port, release->segment);
	return 0;
}

static void free_index(struct index_table *table)
{
	free(table->nodes);
}
