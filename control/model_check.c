/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model_internal.h"

static void drop_unused_peers(struct model *model);
static void drop_if_unused(struct model *model, struct model_peer *peer);
static void list_changes(struct model *model);
static void list_change(struct model *model, const struct journal_entry *entry);
static int check_entry(const struct model *model, const struct journal_entry *entry,
		       struct problem *problem);
static int check_tenant_gone(struct tenant_node *tenant, struct problem *problem);
static int check_segment_gone(struct segment_node *segment, struct problem *problem);
static int check_port_gone(struct port_node *port, struct problem *problem);
static int check_segment(const struct model *model, struct segment_node *segment,
			 struct problem *problem);
static int check_port(struct port_node *port, struct problem *problem);
static int check_place(struct port_node *port, struct problem *problem);
static int check_members(struct port_node *port, struct problem *problem);
static int check_member_twice(struct port_node *port, struct problem *problem);
static int check_port_fdb(struct port_node *port, struct problem *problem);
static int check_fdb(struct fdb_node *fdb, struct problem *problem);
static int check_vtep(const struct model *model, const struct vtep_node *vtep,
		      struct problem *problem);
static const char *plural(uint32_t count);
static int compare_pointers(const void *a, const void *b);

int model_check(struct model *model, struct problem *problem)
{
	drop_unused_peers(model);
	for (size_t i = 0; i < model->journal_count; i++) {
		const struct journal_entry *entry = &model->journal[i];

		if (entry->node != NULL && check_entry(model, entry, problem) < 0)
			return -EINVAL;
	}
	list_changes(model);
	return 0;
}

const struct model_change *model_changes(const struct model *model, uint32_t *count)
{
	*count = model->change_count;
	return model->changes;
}

void model_change_name(const struct model *model, const struct model_change *change,
		       char name[PROBLEM_NAME_SIZE])
{
	struct index_table *table = model_index_table((struct model *)model, change->kind);
	const struct segment_node *segment;
	char mac[ADDR_MAC_TEXT_SIZE];

	if (change->kind == MODEL_HOST) {
		snprintf(name, PROBLEM_NAME_SIZE, "host");
	} else if (change->kind == MODEL_FDB) {
		segment = (struct segment_node *)model->segment_index.nodes[change->ref.index];
		snprintf(name, PROBLEM_NAME_SIZE, "%s/%s", segment->full_name,
			 addr_mac_format(&change->mac, mac));
	} else {
		/* Without the kind: "vtep" has no more than that. */
		model_node_name(table->nodes[change->ref.index], name);
		if (strchr(name, ' ') != NULL)
			memmove(name, strchr(name, ' ') + 1, strlen(strchr(name, ' ') + 1) + 1);
	}
}

const char *model_node_name(const struct node *node, char name[PROBLEM_NAME_SIZE])
{
	const struct fdb_node *fdb = (const struct fdb_node *)node;
	const struct port_node *port = (const struct port_node *)node;
	char text[ADDR_IP_TEXT_SIZE];

	switch (node->kind) {
	case MODEL_HOST:
		snprintf(name, PROBLEM_NAME_SIZE, "host");
		break;
	case MODEL_VTEP:
		snprintf(name, PROBLEM_NAME_SIZE, "vtep");
		break;
	case MODEL_TENANT:
		snprintf(name, PROBLEM_NAME_SIZE, "tenant %s",
			 ((const struct tenant_node *)node)->values.name);
		break;
	case MODEL_SEGMENT:
		snprintf(name, PROBLEM_NAME_SIZE, "segment %s",
			 ((const struct segment_node *)node)->full_name);
		break;
	case MODEL_PORT:
		snprintf(name, PROBLEM_NAME_SIZE, "%s %s",
			 port->values.tenant != NULL ? "port" : "uplink", port->full_name);
		break;
	case MODEL_PEER:
		snprintf(name, PROBLEM_NAME_SIZE, "peer %s",
			 addr_ip_format(&((const struct peer_node *)node)->values.addr, text));
		break;
	case MODEL_FDB:
		snprintf(name, PROBLEM_NAME_SIZE, "fdb %s/%s",
			 NODE_OF(segment_node, fdb->values.segment)->full_name,
			 addr_mac_format(&fdb->values.mac, text));
		break;
	}
	return name;
}

/* A peer lives as long as a segment refers to it. Removing one lengthens the journal. */
static void drop_unused_peers(struct model *model)
{
	size_t count = model->journal_count;

	for (size_t i = 0; i < count; i++) {
		struct node *node = model->journal[i].node;
		const struct model_segment *values[2] = {NULL, NULL};

		if (node != NULL && node->kind == MODEL_PEER) {
			drop_if_unused(model, &((struct peer_node *)node)->values);
		} else if (node != NULL && node->kind == MODEL_SEGMENT) {
			values[0] = model_node_values(node);
			values[1] = model->journal[i].image;
		}
		for (int j = 0; j < 2; j++) {
			for (uint32_t k = 0; values[j] != NULL && k < values[j]->peer_count; k++)
				drop_if_unused(model, values[j]->peers[k]);
		}
	}
}

static void drop_if_unused(struct model *model, struct model_peer *peer)
{
	struct node *node = &NODE_OF(peer_node, peer)->node;

	if (peer->use_count == 0 && !node->removed)
		model_remove_node(model, node);
}

static void list_changes(struct model *model)
{
	model->change_count = 0;
	model->listing++;
	for (size_t i = 0; i < model->journal_count; i++) {
		struct node *node = model->journal[i].node;

		/* The first step tells what there was before, the node what there is now. */
		if (node != NULL && node->seen == model->listing)
			continue;
		if (node != NULL)
			node->seen = model->listing;
		list_change(model, &model->journal[i]);
	}
}

static void list_change(struct model *model, const struct journal_entry *entry)
{
	struct node *node = entry->node;
	size_t capacity = model->change_capacity;
	struct model_change *change;
	const struct model_port *port;
	bool added = entry->step == STEP_ADDED;

	if (node != NULL && added && node->removed)
		return;
	model->changes =
		model_grow(model->changes, model->change_count, &capacity, sizeof(*model->changes));
	model->change_capacity = (uint32_t)capacity;
	change = &model->changes[model->change_count++];
	memset(change, 0, sizeof(*change));
	if (node == NULL) {
		*change = *(struct model_change *)entry->image;
		return;
	}
	change->kind = node->kind;
	change->added = added;
	change->removed = node->removed;
	change->ref.index = PROTO_NO_INDEX;
	if (model_node_ref(node) != NULL)
		change->ref = *model_node_ref(node);
	if (node->kind == MODEL_FDB) {
		change->ref = ((struct fdb_node *)node)->values.segment->ref;
		change->mac = ((struct fdb_node *)node)->values.mac;
	} else if (node->kind == MODEL_PORT) {
		port = entry->image != NULL ? entry->image : &((struct port_node *)node)->values;
		memcpy(change->ifname, port->ifname, sizeof(change->ifname));
		memcpy(change->netns, port->netns, sizeof(change->netns));
		change->type = port->type;
		change->records_anew =
			added || strcmp(port->record_file,
					((struct port_node *)node)->values.record_file) != 0;
	}
}

static int check_entry(const struct model *model, const struct journal_entry *entry,
		       struct problem *problem)
{
	struct node *node = entry->node;
	char name[PROBLEM_NAME_SIZE];

	problem_object(problem, "%s", model_node_name(node, name));
	switch (node->kind) {
	case MODEL_TENANT:
		return node->removed ? check_tenant_gone((struct tenant_node *)node, problem)
				     : model_check_guarantees(model, model_node_values(node),
							      entry->image, problem);
	case MODEL_SEGMENT:
		return node->removed ? check_segment_gone((struct segment_node *)node, problem)
				     : check_segment(model, (struct segment_node *)node, problem);
	case MODEL_PORT:
		return node->removed ? check_port_gone((struct port_node *)node, problem)
				     : check_port((struct port_node *)node, problem);
	case MODEL_FDB:
		return node->removed ? 0 : check_fdb((struct fdb_node *)node, problem);
	case MODEL_VTEP:
		return node->removed ? 0 : check_vtep(model, (struct vtep_node *)node, problem);
	case MODEL_HOST:
		return model_check_capacity(model, entry->image, problem);
	case MODEL_PEER:
		break;
	}
	return 0;
}

static int check_tenant_gone(struct tenant_node *tenant, struct problem *problem)
{
	const struct model_tenant *values = &tenant->values;

	if (values->segment_count == 0 && values->port_count == 0)
		return 0;
	return problem_set(problem, 409, "in-use", NULL,
			   "tenant %s holds %u segment%s and %u port%s: delete these first, or the "
			   "tenant with --recursive",
			   values->name, values->segment_count, plural(values->segment_count),
			   values->port_count, plural(values->port_count));
}

static int check_segment_gone(struct segment_node *segment, struct problem *problem)
{
	const struct model_segment *values = &segment->values;
	const struct member_link *link = LIST_FIRST(&segment->members);

	if (link != NULL)
		return problem_set(
			problem, 409, "in-use", NULL,
			"segment %s has %u port%s, %s among them: delete these first, or "
			"the segment with --recursive",
			segment->full_name, values->member_count, plural(values->member_count),
			link->port->full_name);
	if (values->fdb_count != 0)
		return problem_set(problem, 409, "in-use", NULL,
				   "segment %s has static FDB entries (%u): delete these first, or "
				   "the segment with --recursive",
				   segment->full_name, values->fdb_count);
	return 0;
}

static int check_port_gone(struct port_node *port, struct problem *problem)
{
	const struct fdb_node *fdb = LIST_FIRST(&port->fdb);
	char name[PROBLEM_NAME_SIZE];

	if (fdb == NULL)
		return 0;
	return problem_set(problem, 409, "in-use", NULL,
			   "port %s is where static entries lead, %s among them: delete these "
			   "first, or the port with --recursive",
			   port->full_name, model_node_name(&fdb->node, name));
}

static int check_segment(const struct model *model, struct segment_node *segment,
			 struct problem *problem)
{
	const struct model_segment *values = &segment->values;
	const struct segment_node *rival =
		(const struct segment_node *)model_claim_rival(&segment->vni);
	struct fdb_node *fdb;
	char text[ADDR_IP_TEXT_SIZE];

	if (rival != NULL)
		return problem_set(
			problem, 409, "vni-taken", "vni",
			"VNI %u of segment %s is taken by segment %s: choose another VNI "
			"or delete that segment",
			values->vni, segment->full_name, rival->full_name);
	for (uint32_t i = 0; i < values->peer_count && model->vtep != NULL; i++) {
		if (addr_ip_equal(&values->peers[i]->addr, &model->vtep->values.local))
			return problem_set(problem, 409, "peer-is-local", "peers",
					   "peer %s of segment %s is the local address of this "
					   "switch's vtep: name the other hosts only",
					   addr_ip_format(&values->peers[i]->addr, text),
					   segment->full_name);
	}
	LIST_FOREACH (fdb, &segment->fdb, entry) {
		if (fdb->values.peer != NULL && check_fdb(fdb, problem) < 0)
			return -EINVAL;
	}
	return 0;
}

static int check_port(struct port_node *port, struct problem *problem)
{
	if (check_place(port, problem) < 0 || check_members(port, problem) < 0)
		return -EINVAL;
	return check_port_fdb(port, problem);
}

static int check_place(struct port_node *port, struct problem *problem)
{
	const struct port_node *rival = (const struct port_node *)model_claim_rival(&port->place);
	const struct model_port *values = &port->values;

	if (rival == NULL)
		return 0;
	switch (values->type) {
	case MODEL_PORT_PCAP:
		return problem_set(problem, 409, "file-taken", "write",
				   "file %s of port %s is written by port %s: choose another file",
				   values->record_file, port->full_name, rival->full_name);
	case MODEL_PORT_VHOST_USER:
		return problem_set(problem, 409, "socket-taken", "socket",
				   "socket %s of port %s is port %s's: choose another --socket",
				   values->socket, port->full_name, rival->full_name);
	case MODEL_PORT_DPDK:
		return problem_set(problem, 409, "device-taken", "dev",
				   "device %.80s of port %s is port %s's: choose another --dev",
				   values->device, port->full_name, rival->full_name);
	default:
		return problem_set(
			problem, 409, "ifname-taken", "ifname",
			"interface name %s of port %s is taken in %s%s by port %s: choose "
			"another --ifname or --netns",
			values->ifname, port->full_name,
			values->netns[0] != '\0' ? "namespace " : "the host's namespace",
			values->netns, rival->full_name);
	}
}

/* Members are sorted by VID, so that the same ones are neighbours. */
static int check_members(struct port_node *port, struct problem *problem)
{
	const struct model_port *values = &port->values;

	for (uint32_t i = 0; i < values->member_count; i++) {
		const struct model_member *member = &values->members[i];
		const char *name = NODE_OF(segment_node, member->segment)->full_name;

		if (member->vid_inherited && member->vid == 0)
			return problem_set(
				problem, 409, "no-vid", "trunk",
				"port %s carries segment %s by that segment's vlan, and it "
				"has none: name a VID (%s=VID) or set the segment's vlan",
				port->full_name, name, name);
		if (i > 0 && member->vid == member[-1].vid)
			return problem_set(
				problem, 409, "vid-taken", "trunk",
				"VID %u for segment %s is taken on port %s by segment %s: "
				"choose another VID",
				member->vid, name, port->full_name,
				NODE_OF(segment_node, member[-1].segment)->full_name);
	}
	return check_member_twice(port, problem);
}

static int check_member_twice(struct port_node *port, struct problem *problem)
{
	uint32_t count = port->values.member_count;
	struct model_segment **segments;
	const char *twice = NULL;

	if (count < 2)
		return 0;
	segments = model_alloc(count, sizeof(struct model_segment *));
	for (uint32_t i = 0; i < count; i++)
		segments[i] = port->values.members[i].segment;
	qsort(segments, count, sizeof(struct model_segment *), compare_pointers);
	for (uint32_t i = 1; i < count; i++) {
		if (segments[i] == segments[i - 1])
			twice = NODE_OF(segment_node, segments[i])->full_name;
	}
	free(segments);
	if (twice == NULL)
		return 0;
	return problem_set(problem, 400, "segment-twice", "trunk",
			   "port %s names segment %s twice: a port carries a segment once",
			   port->full_name, twice);
}

static int check_port_fdb(struct port_node *port, struct problem *problem)
{
	struct fdb_node *fdb;

	LIST_FOREACH (fdb, &port->fdb, port_entry) {
		if (check_fdb(fdb, problem) < 0)
			return -EINVAL;
	}
	return 0;
}

static int check_fdb(struct fdb_node *fdb, struct problem *problem)
{
	const struct model_fdb *values = &fdb->values;
	const char *segment = NODE_OF(segment_node, values->segment)->full_name;
	char mac[ADDR_MAC_TEXT_SIZE], peer[ADDR_IP_TEXT_SIZE];

	addr_mac_format(&values->mac, mac);
	if (values->port != NULL && !model_port_has_segment(values->port, values->segment))
		return problem_set(
			problem, 409, "not-a-member", "port",
			"static entry %s of segment %s leads to port %s, which is not in "
			"that segment: delete the entry or choose a port of the segment",
			mac, segment, NODE_OF(port_node, values->port)->full_name);
	if (values->peer != NULL && !model_segment_has_peer(values->segment, values->peer))
		return problem_set(problem, 409, "not-a-peer", "vtep",
				   "static entry %s of segment %s leads to vtep %s, which is not a "
				   "peer of that segment: delete the entry or add the peer",
				   mac, segment, addr_ip_format(&values->peer->addr, peer));
	return 0;
}

static int check_vtep(const struct model *model, const struct vtep_node *vtep,
		      struct problem *problem)
{
	char text[ADDR_IP_TEXT_SIZE];

	if (model_peer_find(model, &vtep->values.local) == NULL)
		return 0;
	return problem_set(
		problem, 409, "peer-is-local", "local",
		"vtep address %s is a peer of a segment: choose this host's own address, "
		"or delete that peer",
		addr_ip_format(&vtep->values.local, text));
}

static const char *plural(uint32_t count)
{
	return count == 1 ? "" : "s";
}

static int compare_pointers(const void *a, const void *b)
{
	const struct model_segment *const *left = a, *const *right = b;

	return *left < *right ? -1 : *left > *right;
}
