/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_MODEL_INTERNAL_H
#define VSWITCH_CONTROL_MODEL_INTERNAL_H

/*
 * What model.c (reading), model_edit.c (puts and dels), model_journal.c
 * (undo, commit), model_links.c (how objects hang together) and model_check.c
 * share; nobody else includes it.
 *
 * Every object is a node: a head, the values that readers see, and links. A
 * node that is linked is found by its name and counted by what it refers to.
 * A change unlinks the node, swaps its values with an image, and links it
 * again; the journal keeps the image, so that the same three steps undo it. A
 * removed node is unlinked but stays in memory, with its index, until commit.
 */

#include <stddef.h>
#include <sys/queue.h>
#include <uthash.h>

#include "control/model_edit.h"

#define NODE_OF(type, object) ((struct type *)((char *)(object)-offsetof(struct type, values)))

struct node {
	enum model_kind kind;
	bool removed;
	uint64_t seen; /* by the listing of changes of this number */
};

/* What must be unique but may not be so in the midst of a transaction: who claims a key. */
struct claim {
	LIST_ENTRY(claim) entry;
	struct claim_slot *slot; /* NULL: claims nothing */
	struct node *owner;
};

struct claim_slot {
	LIST_HEAD(, claim) claims;
	UT_hash_handle hh;
	size_t key_size;
	char key[];
};

struct host_node {
	struct node node;
	struct model_host values;
};

struct vtep_node {
	struct node node;
	struct model_vtep values;
};

struct tenant_node {
	struct node node;
	struct model_tenant values;
	UT_hash_handle hh;
	LIST_HEAD(, segment_node) segments;
	LIST_HEAD(, port_node) ports;
	struct model *model;
};

struct peer_node {
	struct node node;
	struct model_peer values;
	UT_hash_handle hh;
};

struct member_link {
	LIST_ENTRY(member_link) entry;
	struct port_node *port;
};

struct segment_node {
	struct node node;
	struct model_segment values;
	UT_hash_handle hh;
	char full_name[2 * ADDR_NAME_SIZE];
	LIST_ENTRY(segment_node) entry; /* of its tenant's */
	LIST_HEAD(, member_link) members;
	LIST_HEAD(, fdb_node) fdb;
	struct claim vni;
};

struct port_node {
	struct node node;
	struct model_port values;
	UT_hash_handle hh;
	char full_name[2 * ADDR_NAME_SIZE];
	LIST_ENTRY(port_node) entry; /* of its tenant's, or of the uplinks */
	struct member_link *links;   /* one a member, while linked */
	LIST_HEAD(, fdb_node) fdb;
	struct claim place; /* where its interface is */
};

struct fdb_key {
	const struct model_segment *segment;
	uint8_t mac[8];
};

struct fdb_node {
	struct node node;
	struct model_fdb values;
	UT_hash_handle hh;
	struct fdb_key key;
	LIST_ENTRY(fdb_node) entry;	 /* of its segment's */
	LIST_ENTRY(fdb_node) port_entry; /* of its port's */
};

enum journal_step { STEP_ADDED, STEP_CHANGED, STEP_REMOVED, STEP_FORGOTTEN };

struct journal_entry {
	enum journal_step step;
	struct node *node; /* NULL with STEP_FORGOTTEN */
	void *image; /* STEP_CHANGED: the former values; STEP_FORGOTTEN: a struct model_change */
};

/* Which indices are taken, and by what. */
struct index_table {
	struct node **nodes;
	uint32_t capacity, lowest; /* nothing is free below lowest */
};

struct model {
	uint64_t generation, listing;
	uint32_t incarnation;
	struct host_node host;
	struct vtep_node *vtep; /* NULL: none */
	struct tenant_node *tenants;
	struct segment_node *segments;
	struct port_node *ports;
	struct peer_node *peers;
	struct fdb_node *fdb;
	struct claim_slot *vnis, *places;
	LIST_HEAD(, port_node) uplinks;
	uint32_t uplink_count;
	uint64_t send_min, receive_min; /* sums of what linked tenants are guaranteed, bit/s */
	struct index_table tenant_index, segment_index, port_index, peer_index;
	bool open; /* a transaction is */
	struct journal_entry *journal;
	size_t journal_count, journal_capacity;
	struct model_change *changes;
	uint32_t change_count, change_capacity;
};

/* Zeroed; ends the process when there is none. */
void *model_alloc(size_t count, size_t size);
/* Grows the array to hold one more than count. */
void *model_grow(void *array, size_t count, size_t *capacity, size_t size);

void model_link(struct model *model, struct node *node);
void model_unlink(struct model *model, struct node *node);
void model_node_free(struct node *node);
void model_image_free(enum model_kind kind, void *image);
void *model_node_values(struct node *node);
size_t model_values_size(enum model_kind kind);
struct proto_ref *model_node_ref(struct node *node); /* NULL: its kind has none */
struct index_table *model_index_table(struct model *model, enum model_kind kind);

/* The other claimant of the key that this claim has, or NULL. */
struct node *model_claim_rival(const struct claim *claim);

/* The journal: the node was added, its values were taken over from image, or it goes. */
void model_note_added(struct model *model, struct node *node);
void model_change_values(struct model *model, struct node *node, void *image);
void model_remove_node(struct model *model, struct node *node);

/* Whether what tenants are guaranteed together fits after the host's capacity, or the tenant's part
 * of it, was changed from its former values (NULL: a new tenant). 0, or -EINVAL and why not. */
int model_check_capacity(const struct model *model, const struct model_host *former,
			 struct problem *problem);
int model_check_guarantees(const struct model *model, const struct model_tenant *tenant,
			   const struct model_tenant *former, struct problem *problem);

/* "tenant acme", "port acme/web1", "uplink u0" */
const char *model_node_name(const struct node *node, char name[PROBLEM_NAME_SIZE]);

#endif
