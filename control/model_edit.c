/* SPDX-License-Identifier: Apache-2.0 */
#include "control/model_edit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/model_internal.h"

static int give_ref(struct model *model, struct node *node, const struct proto_ref *wanted,
		    struct problem *problem);
static int take_index(struct index_table *table, uint32_t wanted, struct node *node);
static void grow_table(struct index_table *table, uint32_t index);
static int acquire_peers(struct model *model, const struct proto_addr *addrs, uint32_t count,
			 struct model_peer **peers, struct problem *problem);
static int acquire_peer(struct model *model, const struct proto_addr *addr,
			const struct proto_ref *ref, struct model_peer **peer,
			struct problem *problem);
static struct proto_addr clean_addr(const struct proto_addr *addr);
static int compare_peer_pointers(const void *a, const void *b);
static bool bandwidth_equal(const struct model_bandwidth *a, const struct model_bandwidth *b);
static bool channel_equal(const struct model_channel *a, const struct model_channel *b);
static bool segment_equal(const struct model_segment *a, const struct model_segment *b);
static int follow_vlan(void *context, struct model_port *port);
static void *copy_array(const void *array, size_t count, size_t size);
static int compare_members(const void *a, const void *b);
static bool port_equal(const struct model_port *a, const struct model_port *b);
static void set_members(struct model *model, struct model_port *port,
			const struct model_member *members, uint32_t count);

struct model *model_new(void)
{
	struct model *model = model_alloc(1, sizeof(*model));

	model->generation = 1;
	model->host.node.kind = MODEL_HOST;
	LIST_INIT(&model->uplinks);
	return model;
}

int model_host_put(struct model *model, const struct model_host *values)
{
	struct model_host *image;

	if (values->send_capacity == model->host.values.send_capacity &&
	    values->receive_capacity == model->host.values.receive_capacity)
		return 0;
	image = model_alloc(1, sizeof(*image));
	*image = *values;
	model_change_values(model, &model->host.node, image);
	return 0;
}

int model_vtep_put(struct model *model, const struct model_vtep *values, struct problem *problem)
{
	struct model_vtep wanted = {
		.present = true, .local = clean_addr(&values->local), .udp_port = values->udp_port};
	struct vtep_node *node = model->vtep;
	struct model_vtep *image;

	if (node != NULL) {
		if (addr_ip_equal(&node->values.local, &wanted.local) &&
		    node->values.udp_port == wanted.udp_port)
			return 0;
		image = model_alloc(1, sizeof(*image));
		*image = wanted;
		image->ref = node->values.ref;
		model_change_values(model, &node->node, image);
		return 0;
	}
	node = model_alloc(1, sizeof(*node));
	node->node.kind = MODEL_VTEP;
	node->values = wanted;
	if (give_ref(model, &node->node, &values->ref, problem) < 0) {
		free(node);
		return -EINVAL;
	}
	model_note_added(model, &node->node);
	return 0;
}

int model_tenant_put(struct model *model, const struct model_tenant *values,
		     struct model_tenant **object, struct problem *problem)
{
	struct model_tenant *tenant = model_tenant_find(model, values->name);
	struct model_tenant *image;
	struct tenant_node *node;

	if (tenant == NULL) {
		node = model_alloc(1, sizeof(*node));
		node->node.kind = MODEL_TENANT;
		node->model = model;
		tenant = &node->values;
		memcpy(tenant->name, values->name, sizeof(tenant->name));
		tenant->bandwidth = values->bandwidth;
		if (give_ref(model, &node->node, &values->ref, problem) < 0) {
			free(node);
			return -EINVAL;
		}
		model_note_added(model, &node->node);
	} else if (!bandwidth_equal(&tenant->bandwidth, &values->bandwidth)) {
		image = model_alloc(1, sizeof(*image));
		*image = *tenant;
		image->bandwidth = values->bandwidth;
		model_change_values(model, &NODE_OF(tenant_node, tenant)->node, image);
	}
	if (object != NULL)
		*object = tenant;
	return 0;
}

int model_segment_put(struct model *model, const struct model_segment *values,
		      const struct proto_addr *peers, uint32_t peer_count,
		      struct model_segment **object, struct problem *problem)
{
	struct model_segment *segment = model_segment_find(values->tenant, values->name);
	struct model_segment wanted = *values, *image;
	struct segment_node *node;
	uint16_t former_vlan = 0;

	wanted.peer_count = peer_count;
	wanted.member_count = segment != NULL ? segment->member_count : 0;
	wanted.fdb_count = segment != NULL ? segment->fdb_count : 0;
	wanted.peers = model_alloc(peer_count, sizeof(struct model_peer *));
	if (acquire_peers(model, peers, peer_count, wanted.peers, problem) < 0) {
		free(wanted.peers);
		return -EINVAL;
	}
	if (segment == NULL) {
		node = model_alloc(1, sizeof(*node));
		node->node.kind = MODEL_SEGMENT;
		node->values = wanted;
		segment = &node->values;
		snprintf(node->full_name, sizeof(node->full_name), "%s/%s", wanted.tenant->name,
			 wanted.name);
		if (give_ref(model, &node->node, &values->ref, problem) < 0) {
			model_node_free(&node->node);
			return -EINVAL;
		}
		model_note_added(model, &node->node);
	} else if (segment_equal(segment, &wanted)) {
		free(wanted.peers);
	} else {
		former_vlan = segment->vlan;
		wanted.ref = segment->ref;
		image = model_alloc(1, sizeof(*image));
		*image = wanted;
		model_change_values(model, &NODE_OF(segment_node, segment)->node, image);
		if (former_vlan != segment->vlan)
			model_segment_each_port(segment, follow_vlan, model);
	}
	if (object != NULL)
		*object = segment;
	return 0;
}

int model_port_put(struct model *model, const struct model_port *values, struct model_port **object,
		   struct problem *problem)
{
	struct model_port *port = model_port_find(model, values->tenant, values->name);
	struct model_port *image = model_alloc(1, sizeof(*image));
	struct port_node *node;

	*image = *values;
	image->members = copy_array(values->members, values->member_count, sizeof(*image->members));
	image->ips = copy_array(values->ips, values->ip_count, sizeof(*image->ips));
	qsort(image->members, image->member_count, sizeof(*image->members), compare_members);
	if (port == NULL) {
		node = model_alloc(1, sizeof(*node));
		node->node.kind = MODEL_PORT;
		node->values = *image;
		free(image);
		snprintf(node->full_name, sizeof(node->full_name), "%s%s%s",
			 values->tenant != NULL ? values->tenant->name : "",
			 values->tenant != NULL ? "/" : "", values->name);
		if (give_ref(model, &node->node, &values->ref, problem) < 0) {
			model_node_free(&node->node);
			return -EINVAL;
		}
		port = &node->values;
		model_note_added(model, &node->node);
	} else if (port_equal(port, image)) {
		model_image_free(MODEL_PORT, image);
	} else {
		image->ref = port->ref;
		model_change_values(model, &NODE_OF(port_node, port)->node, image);
	}
	if (object != NULL)
		*object = port;
	return 0;
}

int model_fdb_put(struct model *model, const struct model_fdb *values)
{
	struct model_fdb *fdb = model_fdb_find(values->segment, &values->mac);
	struct fdb_node *node;
	struct model_fdb *image;

	if (fdb == NULL) {
		node = model_alloc(1, sizeof(*node));
		node->node.kind = MODEL_FDB;
		node->values = *values;
		node->key.segment = values->segment;
		memcpy(node->key.mac, values->mac.bytes, sizeof(values->mac.bytes));
		model_note_added(model, &node->node);
	} else if (fdb->port != values->port || fdb->peer != values->peer) {
		image = model_alloc(1, sizeof(*image));
		*image = *values;
		model_change_values(model, &NODE_OF(fdb_node, fdb)->node, image);
	}
	return 0;
}

int model_peer_restore(struct model *model, const struct model_peer *values,
		       struct problem *problem)
{
	struct model_peer *peer;

	return acquire_peer(model, &values->addr, &values->ref, &peer, problem);
}

void model_port_leave(struct model *model, struct model_port *port,
		      const struct model_segment *segment)
{
	struct model_member *members = model_alloc(port->member_count, sizeof(*members));
	uint32_t count = 0;

	for (uint32_t i = 0; i < port->member_count; i++) {
		if (port->members[i].segment != segment)
			members[count++] = port->members[i];
	}
	set_members(model, port, members, count);
	free(members);
}

uint32_t model_incarnation(const struct model *model)
{
	return model->incarnation;
}

/* Gives the node an index and an incarnation: new ones, or those that are restored. */
static int give_ref(struct model *model, struct node *node, const struct proto_ref *wanted,
		    struct problem *problem)
{
	struct index_table *table = model_index_table(model, node->kind);
	bool restored = wanted->incarnation != 0;
	char name[PROBLEM_NAME_SIZE];
	int index;

	model_node_name(node, name);
	if (!restored && model->incarnation == UINT32_MAX)
		return problem_set(
			problem, 409, "limit", NULL,
			"%s: every incarnation is used up; export the configuration, and "
			"apply it to an empty state directory",
			name);
	index = restored && wanted->index == PROTO_NO_INDEX
			? -ENOSPC
			: take_index(table, restored ? wanted->index : PROTO_NO_INDEX, node);
	if (index < 0 && restored)
		return problem_set(problem, 409, "damaged", NULL,
				   "%s: its index %u is taken or out of range", name,
				   wanted->index);
	if (index < 0)
		return problem_set(problem, 409, "limit", NULL,
				   "%s is one too many: a switch has at most %u; delete one first",
				   name, PROTO_INDEX_CAPACITY);
	model_node_ref(node)->index = (uint32_t)index;
	if (!restored)
		model_node_ref(node)->incarnation = ++model->incarnation;
	else
		model_node_ref(node)->incarnation = wanted->incarnation;
	if (wanted->incarnation > model->incarnation)
		model->incarnation = wanted->incarnation;
	return 0;
}

/* Takes this index, or the smallest free one. */
static int take_index(struct index_table *table, uint32_t wanted, struct node *node)
{
	uint32_t index = wanted;

	if (wanted == PROTO_NO_INDEX) {
		index = table->lowest;
		while (index < table->capacity && table->nodes[index] != NULL)
			index++;
		table->lowest = index;
	}
	if (index >= PROTO_INDEX_CAPACITY)
		return -ENOSPC;
	grow_table(table, index);
	if (table->nodes[index] != NULL)
		return -EEXIST;
	table->nodes[index] = node;
	return (int)index;
}

static void grow_table(struct index_table *table, uint32_t index)
{
	uint32_t capacity = table->capacity != 0 ? table->capacity : 64;
	struct node **nodes;

	if (index < table->capacity)
		return;
	while (capacity <= index)
		capacity *= 2;
	/* The table holds pointers. NOLINTBEGIN(bugprone-sizeof-expression) */
	nodes = model_alloc(capacity, sizeof(*nodes));
	if (table->capacity != 0)
		memcpy(nodes, table->nodes, table->capacity * sizeof(*nodes));
	/* NOLINTEND(bugprone-sizeof-expression) */
	free(table->nodes);
	table->nodes = nodes;
	table->capacity = capacity;
}

static int acquire_peers(struct model *model, const struct proto_addr *addrs, uint32_t count,
			 struct model_peer **peers, struct problem *problem)
{
	for (uint32_t i = 0; i < count; i++) {
		if (acquire_peer(model, &addrs[i], NULL, &peers[i], problem) < 0)
			return -EINVAL;
	}
	qsort(peers, count, sizeof(struct model_peer *), compare_peer_pointers);
	return 0;
}

static int acquire_peer(struct model *model, const struct proto_addr *addr,
			const struct proto_ref *ref, struct model_peer **peer,
			struct problem *problem)
{
	static const struct proto_ref none = {.index = PROTO_NO_INDEX};
	struct proto_addr key = clean_addr(addr);
	struct peer_node *node;

	*peer = model_peer_find(model, &key);
	if (*peer != NULL)
		return 0;
	node = model_alloc(1, sizeof(*node));
	node->node.kind = MODEL_PEER;
	node->values.addr = key;
	if (give_ref(model, &node->node, ref != NULL ? ref : &none, problem) < 0) {
		free(node);
		return -EINVAL;
	}
	model_note_added(model, &node->node);
	*peer = &node->values;
	return 0;
}

/* As a hash key: without what may stand in the octets that say nothing. */
static struct proto_addr clean_addr(const struct proto_addr *addr)
{
	struct proto_addr clean = {.family = addr->family};

	memcpy(clean.bytes, addr->bytes, addr->family == AF_INET ? 4 : sizeof(clean.bytes));
	return clean;
}

static int compare_peer_pointers(const void *a, const void *b)
{
	return memcmp(&(*(struct model_peer *const *)a)->addr,
		      &(*(struct model_peer *const *)b)->addr, sizeof(struct proto_addr));
}

static bool bandwidth_equal(const struct model_bandwidth *a, const struct model_bandwidth *b)
{
	return channel_equal(&a->send, &b->send) && channel_equal(&a->receive, &b->receive) &&
	       a->weight == b->weight && a->overhead == b->overhead;
}

static bool channel_equal(const struct model_channel *a, const struct model_channel *b)
{
	return a->rate == b->rate && a->min == b->min && a->burst == b->burst;
}

static bool segment_equal(const struct model_segment *a, const struct model_segment *b)
{
	return a->vni == b->vni && a->vlan == b->vlan && a->mtu == b->mtu &&
	       a->ageing == b->ageing && a->vlan_transparent == b->vlan_transparent &&
	       a->peer_count == b->peer_count &&
	       memcmp(a->peers, b->peers, a->peer_count * sizeof(struct model_peer *)) == 0;
}

/* A port that carries the segment by the segment's own VID changes with it. */
static int follow_vlan(void *context, struct model_port *port)
{
	struct model_member *members =
		copy_array(port->members, port->member_count, sizeof(*members));
	bool follows = false;

	for (uint32_t i = 0; i < port->member_count; i++) {
		if (members[i].vid_inherited && members[i].vid != members[i].segment->vlan) {
			members[i].vid = members[i].segment->vlan;
			follows = true;
		}
	}
	if (follows)
		set_members(context, port, members, port->member_count);
	free(members);
	return 0;
}

static void *copy_array(const void *array, size_t count, size_t size)
{
	void *copy = model_alloc(count, size);

	if (count != 0)
		memcpy(copy, array, count * size);
	return copy;
}

static int compare_members(const void *a, const void *b)
{
	const struct model_member *left = a, *right = b;

	if (left->vid != right->vid)
		return left->vid < right->vid ? -1 : 1;
	return strcmp(left->segment->name, right->segment->name);
}

static bool port_equal(const struct model_port *a, const struct model_port *b)
{
	if (a->type != b->type || a->member_count != b->member_count ||
	    a->ip_count != b->ip_count || strcmp(a->ifname, b->ifname) != 0 ||
	    strcmp(a->netns, b->netns) != 0 || memcmp(&a->mac, &b->mac, sizeof(a->mac)) != 0 ||
	    a->mac_given != b->mac_given || a->match_mac_given != b->match_mac_given ||
	    memcmp(&a->match_mac, &b->match_mac, sizeof(a->match_mac)) != 0 ||
	    a->shared != b->shared || !addr_ip_equal(&a->gateway, &b->gateway) ||
	    a->send_rate != b->send_rate || a->receive_rate != b->receive_rate ||
	    a->admin_up != b->admin_up || strcmp(a->replay_file, b->replay_file) != 0 ||
	    strcmp(a->record_file, b->record_file) != 0 || a->replay_rate != b->replay_rate ||
	    a->record_limit != b->record_limit || strcmp(a->socket, b->socket) != 0 ||
	    a->server != b->server || strcmp(a->device, b->device) != 0)
		return false;
	for (uint32_t i = 0; i < a->member_count; i++) {
		if (a->members[i].segment != b->members[i].segment ||
		    a->members[i].vid != b->members[i].vid ||
		    a->members[i].vid_inherited != b->members[i].vid_inherited)
			return false;
	}
	for (uint32_t i = 0; i < a->ip_count; i++) {
		if (a->ips[i].length != b->ips[i].length ||
		    !addr_ip_equal(&a->ips[i].addr, &b->ips[i].addr))
			return false;
	}
	return true;
}

static void set_members(struct model *model, struct model_port *port,
			const struct model_member *members, uint32_t count)
{
	struct model_port *image = model_alloc(1, sizeof(*image));

	*image = *port;
	image->members = copy_array(members, count, sizeof(*members));
	image->member_count = count;
	image->ips = copy_array(port->ips, port->ip_count, sizeof(*port->ips));
	qsort(image->members, count, sizeof(*image->members), compare_members);
	model_change_values(model, &NODE_OF(port_node, port)->node, image);
}
