/* SPDX-License-Identifier: Apache-2.0 */
#include "control/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model_internal.h"

struct list {
	void **objects;
	size_t count, capacity;
};

static struct node *node_by_index(const struct index_table *table, uint32_t index);
static void list_add(struct list *list, void *object);
static int each(struct list *list, int (*compare)(const void *, const void *),
		int (*visit)(void *, void *), void *context);
static int compare_tenants(const void *a, const void *b);
static int compare_segments(const void *a, const void *b);
static int compare_ports(const void *a, const void *b);
static int compare_peers(const void *a, const void *b);
static int compare_fdb(const void *a, const void *b);

/* visit() of any object is called through one type; the object's is the caller's. */
struct visitor {
	union {
		int (*tenant)(void *, struct model_tenant *);
		int (*segment)(void *, struct model_segment *);
		int (*port)(void *, struct model_port *);
		int (*peer)(void *, struct model_peer *);
		int (*fdb)(void *, struct model_fdb *);
	} visit;
	void *context;
};

static int visit_tenant(void *visitor, void *object);
static int visit_segment(void *visitor, void *object);
static int visit_port(void *visitor, void *object);
static int visit_peer(void *visitor, void *object);
static int visit_fdb(void *visitor, void *object);

const struct model_host *model_host(const struct model *model)
{
	return &model->host.values;
}

const struct model_vtep *model_vtep(const struct model *model)
{
	static const struct model_vtep none = {.ref = {.index = PROTO_NO_INDEX}};

	return model->vtep != NULL ? &model->vtep->values : &none;
}

uint64_t model_generation(const struct model *model)
{
	return model->generation;
}

struct model_tenant *model_tenant_find(const struct model *model, const char *name)
{
	struct tenant_node *tenant;

	HASH_FIND(hh, model->tenants, name, strlen(name), tenant);
	return tenant != NULL ? &tenant->values : NULL;
}

struct model_segment *model_segment_find(const struct model_tenant *tenant, const char *name)
{
	const struct tenant_node *node = NODE_OF(tenant_node, tenant);
	char full_name[2 * ADDR_NAME_SIZE];
	struct segment_node *segment;

	if (strlen(name) >= ADDR_NAME_SIZE)
		return NULL;
	snprintf(full_name, sizeof(full_name), "%s/%s", tenant->name, name);
	HASH_FIND(hh, node->model->segments, full_name, strlen(full_name), segment);
	return segment != NULL ? &segment->values : NULL;
}

struct model_port *model_port_find(const struct model *model, const struct model_tenant *tenant,
				   const char *name)
{
	char full_name[2 * ADDR_NAME_SIZE];
	struct port_node *port;

	if (strlen(name) >= ADDR_NAME_SIZE)
		return NULL;
	snprintf(full_name, sizeof(full_name), "%s%s%s", tenant != NULL ? tenant->name : "",
		 tenant != NULL ? "/" : "", name);
	HASH_FIND(hh, model->ports, full_name, strlen(full_name), port);
	return port != NULL ? &port->values : NULL;
}

struct model_peer *model_peer_find(const struct model *model, const struct proto_addr *addr)
{
	struct peer_node *peer;

	HASH_FIND(hh, model->peers, addr, sizeof(*addr), peer);
	return peer != NULL ? &peer->values : NULL;
}

struct model_fdb *model_fdb_find(const struct model_segment *segment, const struct addr_mac *mac)
{
	const struct tenant_node *tenant = NODE_OF(tenant_node, segment->tenant);
	struct fdb_key key;
	struct fdb_node *fdb;

	memset(&key, 0, sizeof(key)); /* the octets behind the MAC are hashed, too */
	key.segment = segment;
	memcpy(key.mac, mac->bytes, sizeof(mac->bytes));
	HASH_FIND(hh, tenant->model->fdb, &key, sizeof(key), fdb);
	return fdb != NULL ? &fdb->values : NULL;
}

bool model_segment_has_peer(const struct model_segment *segment, const struct model_peer *peer)
{
	for (uint32_t i = 0; i < segment->peer_count; i++) {
		if (segment->peers[i] == peer)
			return true;
	}
	return false;
}

bool model_port_has_segment(const struct model_port *port, const struct model_segment *segment)
{
	for (uint32_t i = 0; i < port->member_count; i++) {
		if (port->members[i].segment == segment)
			return true;
	}
	return false;
}

struct model_tenant *model_tenant_by_index(const struct model *model, uint32_t index)
{
	struct node *node = node_by_index(&model->tenant_index, index);

	return node != NULL ? &((struct tenant_node *)node)->values : NULL;
}

struct model_segment *model_segment_by_index(const struct model *model, uint32_t index)
{
	struct node *node = node_by_index(&model->segment_index, index);

	return node != NULL ? &((struct segment_node *)node)->values : NULL;
}

/* The vtep is in the same table, but no port. */
struct model_port *model_port_by_index(const struct model *model, uint32_t index)
{
	struct node *node = node_by_index(&model->port_index, index);

	return node != NULL && node->kind == MODEL_PORT ? &((struct port_node *)node)->values
							: NULL;
}

struct model_peer *model_peer_by_index(const struct model *model, uint32_t index)
{
	struct node *node = node_by_index(&model->peer_index, index);

	return node != NULL ? &((struct peer_node *)node)->values : NULL;
}

void model_counts(const struct model *model, struct model_counts *counts)
{
	*counts = (struct model_counts){
		.tenants = HASH_COUNT(model->tenants),
		.segments = HASH_COUNT(model->segments),
		.ports = HASH_COUNT(model->ports) - model->uplink_count,
		.uplinks = model->uplink_count,
		.peers = HASH_COUNT(model->peers),
	};
}

int model_each_tenant(const struct model *model, int (*visit)(void *, struct model_tenant *),
		      void *context)
{
	struct visitor visitor = {.visit.tenant = visit, .context = context};
	struct list list = {0};

	for (struct tenant_node *node = model->tenants; node != NULL; node = node->hh.next)
		list_add(&list, &node->values);
	return each(&list, compare_tenants, visit_tenant, &visitor);
}

int model_each_segment(const struct model *model, int (*visit)(void *, struct model_segment *),
		       void *context)
{
	struct visitor visitor = {.visit.segment = visit, .context = context};
	struct list list = {0};

	for (struct segment_node *node = model->segments; node != NULL; node = node->hh.next)
		list_add(&list, &node->values);
	return each(&list, compare_segments, visit_segment, &visitor);
}

int model_each_port(const struct model *model, int (*visit)(void *, struct model_port *),
		    void *context)
{
	struct visitor visitor = {.visit.port = visit, .context = context};
	struct list list = {0};

	for (struct port_node *node = model->ports; node != NULL; node = node->hh.next)
		list_add(&list, &node->values);
	return each(&list, compare_ports, visit_port, &visitor);
}

int model_each_peer(const struct model *model, int (*visit)(void *, struct model_peer *),
		    void *context)
{
	struct visitor visitor = {.visit.peer = visit, .context = context};
	struct list list = {0};

	for (struct peer_node *node = model->peers; node != NULL; node = node->hh.next)
		list_add(&list, &node->values);
	return each(&list, compare_peers, visit_peer, &visitor);
}

int model_each_fdb(const struct model *model, int (*visit)(void *, struct model_fdb *),
		   void *context)
{
	struct visitor visitor = {.visit.fdb = visit, .context = context};
	struct list list = {0};

	for (struct fdb_node *node = model->fdb; node != NULL; node = node->hh.next)
		list_add(&list, &node->values);
	return each(&list, compare_fdb, visit_fdb, &visitor);
}

int model_tenant_each_segment(const struct model_tenant *tenant,
			      int (*visit)(void *, struct model_segment *), void *context)
{
	struct visitor visitor = {.visit.segment = visit, .context = context};
	struct list list = {0};
	struct segment_node *node;

	LIST_FOREACH (node, &NODE_OF(tenant_node, tenant)->segments, entry)
		list_add(&list, &node->values);
	return each(&list, compare_segments, visit_segment, &visitor);
}

int model_tenant_each_port(const struct model *model, const struct model_tenant *tenant,
			   int (*visit)(void *, struct model_port *), void *context)
{
	struct visitor visitor = {.visit.port = visit, .context = context};
	struct list list = {0};
	struct port_node *node;

	if (tenant != NULL) {
		LIST_FOREACH (node, &NODE_OF(tenant_node, tenant)->ports, entry)
			list_add(&list, &node->values);
	} else {
		LIST_FOREACH (node, &model->uplinks, entry)
			list_add(&list, &node->values);
	}
	return each(&list, compare_ports, visit_port, &visitor);
}

int model_segment_each_port(const struct model_segment *segment,
			    int (*visit)(void *, struct model_port *), void *context)
{
	struct visitor visitor = {.visit.port = visit, .context = context};
	struct list list = {0};
	struct member_link *link;

	LIST_FOREACH (link, &NODE_OF(segment_node, segment)->members, entry)
		list_add(&list, &link->port->values);
	return each(&list, compare_ports, visit_port, &visitor);
}

int model_segment_each_fdb(const struct model_segment *segment,
			   int (*visit)(void *, struct model_fdb *), void *context)
{
	struct visitor visitor = {.visit.fdb = visit, .context = context};
	struct list list = {0};
	struct fdb_node *node;

	LIST_FOREACH (node, &NODE_OF(segment_node, segment)->fdb, entry)
		list_add(&list, &node->values);
	return each(&list, compare_fdb, visit_fdb, &visitor);
}

int model_port_each_fdb(const struct model_port *port, int (*visit)(void *, struct model_fdb *),
			void *context)
{
	struct visitor visitor = {.visit.fdb = visit, .context = context};
	struct list list = {0};
	struct fdb_node *node;

	LIST_FOREACH (node, &NODE_OF(port_node, port)->fdb, port_entry)
		list_add(&list, &node->values);
	return each(&list, compare_fdb, visit_fdb, &visitor);
}

static struct node *node_by_index(const struct index_table *table, uint32_t index)
{
	struct node *node = index < table->capacity ? table->nodes[index] : NULL;

	return node != NULL && !node->removed ? node : NULL;
}

static void list_add(struct list *list, void *object)
{
	list->objects =
		model_grow(list->objects, list->count, &list->capacity, sizeof(*list->objects));
	list->objects[list->count++] = object;
}

/* Visits a copy of what there was, so that visit() may change the model. Frees the list. */
static int each(struct list *list, int (*compare)(const void *, const void *),
		int (*visit)(void *, void *), void *context)
{
	int result = 0;

	if (list->count > 1)
		qsort(list->objects, list->count, sizeof(*list->objects), compare);
	for (size_t i = 0; i < list->count && result == 0; i++)
		result = visit(context, list->objects[i]);
	free(list->objects);
	return result;
}

static int compare_tenants(const void *a, const void *b)
{
	return strcmp((*(struct model_tenant *const *)a)->name,
		      (*(struct model_tenant *const *)b)->name);
}

static int compare_segments(const void *a, const void *b)
{
	const struct model_segment *left = *(struct model_segment *const *)a;
	const struct model_segment *right = *(struct model_segment *const *)b;
	int order = strcmp(left->tenant->name, right->tenant->name);

	return order != 0 ? order : strcmp(left->name, right->name);
}

/* Uplinks, which have no tenant, come first. */
static int compare_ports(const void *a, const void *b)
{
	const struct model_port *left = *(struct model_port *const *)a;
	const struct model_port *right = *(struct model_port *const *)b;
	int order = strcmp(left->tenant != NULL ? left->tenant->name : "",
			   right->tenant != NULL ? right->tenant->name : "");

	return order != 0 ? order : strcmp(left->name, right->name);
}

static int compare_peers(const void *a, const void *b)
{
	return memcmp(&(*(struct model_peer *const *)a)->addr,
		      &(*(struct model_peer *const *)b)->addr, sizeof(struct proto_addr));
}

static int compare_fdb(const void *a, const void *b)
{
	const struct model_fdb *left = *(struct model_fdb *const *)a;
	const struct model_fdb *right = *(struct model_fdb *const *)b;
	int order = compare_segments(&left->segment, &right->segment);

	return order != 0 ? order : memcmp(&left->mac, &right->mac, sizeof(left->mac));
}

static int visit_tenant(void *visitor, void *object)
{
	return ((struct visitor *)visitor)
		->visit.tenant(((struct visitor *)visitor)->context, object);
}

static int visit_segment(void *visitor, void *object)
{
	return ((struct visitor *)visitor)
		->visit.segment(((struct visitor *)visitor)->context, object);
}

static int visit_port(void *visitor, void *object)
{
	return ((struct visitor *)visitor)
		->visit.port(((struct visitor *)visitor)->context, object);
}

static int visit_peer(void *visitor, void *object)
{
	return ((struct visitor *)visitor)
		->visit.peer(((struct visitor *)visitor)->context, object);
}

static int visit_fdb(void *visitor, void *object)
{
	return ((struct visitor *)visitor)->visit.fdb(((struct visitor *)visitor)->context, object);
}
