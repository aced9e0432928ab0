/* SPDX-License-Identifier: Apache-2.0 */
#include "control/model_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/rate.h"

static void claim(struct claim_slot **slots, struct claim *mine, struct node *owner,
		  const char *key, size_t key_size);
static void disclaim(struct claim_slot **slots, struct claim *mine);
static void link_tenant(struct model *model, struct tenant_node *tenant);
static void unlink_tenant(struct model *model, struct tenant_node *tenant);
static void link_segment(struct model *model, struct segment_node *segment);
static void unlink_segment(struct model *model, struct segment_node *segment);
static void link_port(struct model *model, struct port_node *port);
static void unlink_port(struct model *model, struct port_node *port);
static void link_fdb(struct model *model, struct fdb_node *fdb);
static void unlink_fdb(struct model *model, struct fdb_node *fdb);
static void claim_place(struct model *model, struct port_node *port);

void *model_alloc(size_t count, size_t size)
{
	void *memory = calloc(count != 0 ? count : 1, size);

	if (memory == NULL) {
		log_error("out of memory");
		abort();
	}
	return memory;
}

void *model_grow(void *array, size_t count, size_t *capacity, size_t size)
{
	void *grown;

	if (count < *capacity)
		return array;
	*capacity = *capacity != 0 ? *capacity * 2 : 64;
	grown = reallocarray(array, *capacity, size);
	if (grown == NULL) {
		log_error("out of memory");
		abort();
	}
	return grown;
}

void model_link(struct model *model, struct node *node)
{
	struct peer_node *peer = (struct peer_node *)node;

	switch (node->kind) {
	case MODEL_HOST:
		break;
	case MODEL_VTEP:
		model->vtep = (struct vtep_node *)node;
		break;
	case MODEL_TENANT:
		link_tenant(model, (struct tenant_node *)node);
		break;
	case MODEL_SEGMENT:
		link_segment(model, (struct segment_node *)node);
		break;
	case MODEL_PORT:
		link_port(model, (struct port_node *)node);
		break;
	case MODEL_PEER:
		HASH_ADD_KEYPTR(hh, model->peers, &peer->values.addr, sizeof(peer->values.addr),
				peer);
		break;
	case MODEL_FDB:
		link_fdb(model, (struct fdb_node *)node);
		break;
	}
}

void model_unlink(struct model *model, struct node *node)
{
	struct peer_node *peer = (struct peer_node *)node;

	switch (node->kind) {
	case MODEL_HOST:
		break;
	case MODEL_VTEP:
		model->vtep = NULL;
		break;
	case MODEL_TENANT:
		unlink_tenant(model, (struct tenant_node *)node);
		break;
	case MODEL_SEGMENT:
		unlink_segment(model, (struct segment_node *)node);
		break;
	case MODEL_PORT:
		unlink_port(model, (struct port_node *)node);
		break;
	case MODEL_PEER:
		HASH_DEL(model->peers, peer);
		break;
	case MODEL_FDB:
		unlink_fdb(model, (struct fdb_node *)node);
		break;
	}
}

void *model_node_values(struct node *node)
{
	switch (node->kind) {
	case MODEL_HOST:
		return &((struct host_node *)node)->values;
	case MODEL_VTEP:
		return &((struct vtep_node *)node)->values;
	case MODEL_TENANT:
		return &((struct tenant_node *)node)->values;
	case MODEL_SEGMENT:
		return &((struct segment_node *)node)->values;
	case MODEL_PORT:
		return &((struct port_node *)node)->values;
	case MODEL_PEER:
		return &((struct peer_node *)node)->values;
	case MODEL_FDB:
		return &((struct fdb_node *)node)->values;
	}
	return NULL;
}

size_t model_values_size(enum model_kind kind)
{
	static const size_t sizes[] = {
		[MODEL_HOST] = sizeof(struct model_host),
		[MODEL_VTEP] = sizeof(struct model_vtep),
		[MODEL_TENANT] = sizeof(struct model_tenant),
		[MODEL_SEGMENT] = sizeof(struct model_segment),
		[MODEL_PORT] = sizeof(struct model_port),
		[MODEL_PEER] = sizeof(struct model_peer),
		[MODEL_FDB] = sizeof(struct model_fdb),
	};

	return sizes[kind];
}

struct proto_ref *model_node_ref(struct node *node)
{
	switch (node->kind) {
	case MODEL_VTEP:
		return &((struct vtep_node *)node)->values.ref;
	case MODEL_TENANT:
		return &((struct tenant_node *)node)->values.ref;
	case MODEL_SEGMENT:
		return &((struct segment_node *)node)->values.ref;
	case MODEL_PORT:
		return &((struct port_node *)node)->values.ref;
	case MODEL_PEER:
		return &((struct peer_node *)node)->values.ref;
	case MODEL_HOST:
	case MODEL_FDB:
		break;
	}
	return NULL;
}

struct index_table *model_index_table(struct model *model, enum model_kind kind)
{
	switch (kind) {
	case MODEL_TENANT:
		return &model->tenant_index;
	case MODEL_SEGMENT:
		return &model->segment_index;
	case MODEL_VTEP:
	case MODEL_PORT:
		return &model->port_index;
	case MODEL_PEER:
		return &model->peer_index;
	case MODEL_HOST:
	case MODEL_FDB:
		break;
	}
	return NULL;
}

void model_image_free(enum model_kind kind, void *image)
{
	if (kind == MODEL_SEGMENT) {
		free(((struct model_segment *)image)->peers);
	} else if (kind == MODEL_PORT) {
		free(((struct model_port *)image)->members);
		free(((struct model_port *)image)->ips);
	}
	free(image);
}

void model_node_free(struct node *node)
{
	if (node->kind == MODEL_SEGMENT) {
		free(((struct segment_node *)node)->values.peers);
	} else if (node->kind == MODEL_PORT) {
		free(((struct port_node *)node)->values.members);
		free(((struct port_node *)node)->values.ips);
		free(((struct port_node *)node)->links);
	}
	free(node);
}

struct node *model_claim_rival(const struct claim *mine)
{
	struct claim *other;

	if (mine->slot == NULL)
		return NULL;
	LIST_FOREACH (other, &mine->slot->claims, entry) {
		if (other != mine)
			return other->owner;
	}
	return NULL;
}

static void claim(struct claim_slot **slots, struct claim *mine, struct node *owner,
		  const char *key, size_t key_size)
{
	struct claim_slot *slot;

	HASH_FIND(hh, *slots, key, key_size, slot);
	if (slot == NULL) {
		slot = model_alloc(1, sizeof(*slot) + key_size);
		slot->key_size = key_size;
		memcpy(slot->key, key, key_size);
		LIST_INIT(&slot->claims);
		HASH_ADD_KEYPTR(hh, *slots, slot->key, key_size, slot);
	}
	mine->owner = owner;
	mine->slot = slot;
	LIST_INSERT_HEAD(&slot->claims, mine, entry);
}

static void disclaim(struct claim_slot **slots, struct claim *mine)
{
	struct claim_slot *slot = mine->slot;

	if (slot == NULL)
		return;
	LIST_REMOVE(mine, entry);
	mine->slot = NULL;
	if (LIST_EMPTY(&slot->claims)) {
		HASH_DEL(*slots, slot);
		free(slot);
	}
}

/* The sums cannot wrap, however many tenants there are. */
static_assert(PROTO_INDEX_CAPACITY <= UINT64_MAX / RATE_MAX, "guarantees can be added up");

static void link_tenant(struct model *model, struct tenant_node *tenant)
{
	const struct model_tenant *values = &tenant->values;

	HASH_ADD_KEYPTR(hh, model->tenants, values->name, strlen(values->name), tenant);
	model->send_min += values->bandwidth.send.min;
	model->receive_min += values->bandwidth.receive.min;
}

static void unlink_tenant(struct model *model, struct tenant_node *tenant)
{
	const struct model_tenant *values = &tenant->values;

	HASH_DEL(model->tenants, tenant);
	model->send_min -= values->bandwidth.send.min;
	model->receive_min -= values->bandwidth.receive.min;
}

static void link_segment(struct model *model, struct segment_node *segment)
{
	struct model_segment *values = &segment->values;
	struct tenant_node *tenant = NODE_OF(tenant_node, values->tenant);

	HASH_ADD_KEYPTR(hh, model->segments, segment->full_name, strlen(segment->full_name),
			segment);
	LIST_INSERT_HEAD(&tenant->segments, segment, entry);
	tenant->values.segment_count++;
	for (uint32_t i = 0; i < values->peer_count; i++)
		values->peers[i]->use_count++;
	if (values->vni != 0)
		claim(&model->vnis, &segment->vni, &segment->node, (const char *)&values->vni,
		      sizeof(values->vni));
}

static void unlink_segment(struct model *model, struct segment_node *segment)
{
	struct model_segment *values = &segment->values;

	HASH_DEL(model->segments, segment);
	LIST_REMOVE(segment, entry);
	values->tenant->segment_count--;
	for (uint32_t i = 0; i < values->peer_count; i++)
		values->peers[i]->use_count--;
	disclaim(&model->vnis, &segment->vni);
}

static void link_port(struct model *model, struct port_node *port)
{
	struct model_port *values = &port->values;

	HASH_ADD_KEYPTR(hh, model->ports, port->full_name, strlen(port->full_name), port);
	if (values->tenant != NULL) {
		LIST_INSERT_HEAD(&NODE_OF(tenant_node, values->tenant)->ports, port, entry);
		values->tenant->port_count++;
	} else {
		LIST_INSERT_HEAD(&model->uplinks, port, entry);
		model->uplink_count++;
	}
	port->links = model_alloc(values->member_count, sizeof(*port->links));
	for (uint32_t i = 0; i < values->member_count; i++) {
		struct segment_node *segment = NODE_OF(segment_node, values->members[i].segment);

		port->links[i].port = port;
		LIST_INSERT_HEAD(&segment->members, &port->links[i], entry);
		segment->values.member_count++;
	}
	claim_place(model, port);
}

static void unlink_port(struct model *model, struct port_node *port)
{
	struct model_port *values = &port->values;

	HASH_DEL(model->ports, port);
	LIST_REMOVE(port, entry);
	if (values->tenant != NULL)
		values->tenant->port_count--;
	else
		model->uplink_count--;
	for (uint32_t i = 0; i < values->member_count; i++) {
		LIST_REMOVE(&port->links[i], entry);
		values->members[i].segment->member_count--;
	}
	free(port->links);
	port->links = NULL;
	disclaim(&model->places, &port->place);
}

/* What no other port may have: the place of an interface; or else a file that is recorded to, a
 * socket or a device without its arguments, none of which a place can be named like. */
static void claim_place(struct model *model, struct port_node *port)
{
	char key[MODEL_NETNS_SIZE + ADDR_IFNAME_SIZE];
	const struct model_port *values = &port->values;
	int size = 0;

	if (values->record_file[0] != '\0')
		size = snprintf(key, sizeof(key), "file %s", values->record_file);
	else if (values->socket[0] != '\0')
		size = snprintf(key, sizeof(key), "socket %s", values->socket);
	else if (values->device[0] != '\0')
		size = snprintf(key, sizeof(key), "device %.*s", (int)strcspn(values->device, ","),
				values->device);
	else if (values->ifname[0] != '\0')
		size = snprintf(key, sizeof(key), "%s%c%s", values->netns, '\0', values->ifname);
	if (size > 0)
		claim(&model->places, &port->place, &port->node, key, (size_t)size);
}

static void link_fdb(struct model *model, struct fdb_node *fdb)
{
	struct segment_node *segment = NODE_OF(segment_node, fdb->values.segment);

	HASH_ADD_KEYPTR(hh, model->fdb, &fdb->key, sizeof(fdb->key), fdb);
	LIST_INSERT_HEAD(&segment->fdb, fdb, entry);
	segment->values.fdb_count++;
	if (fdb->values.port != NULL)
		LIST_INSERT_HEAD(&NODE_OF(port_node, fdb->values.port)->fdb, fdb, port_entry);
}

static void unlink_fdb(struct model *model, struct fdb_node *fdb)
{
	HASH_DEL(model->fdb, fdb);
	LIST_REMOVE(fdb, entry);
	fdb->values.segment->fdb_count--;
	if (fdb->values.port != NULL)
		LIST_REMOVE(fdb, port_entry);
}
