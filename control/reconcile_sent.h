/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_RECONCILE_SENT_H
#define VSWITCH_CONTROL_RECONCILE_SENT_H

/*
 * What the datapath was told, and what it has to hear: the base that deltas
 * are worked out from. Belongs to reconcile; one thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "common/addr.h"
#include "common/proto.h"

enum sent_kind { SENT_TENANT, SENT_SEGMENT, SENT_PORT, SENT_PEER, SENT_KINDS };

/* A port's membership, or a segment's peer. */
struct sent_link {
	struct proto_ref to;
	uint32_t vid;
};

struct sent_object {
	struct proto_ref ref;
	bool known; /* the datapath has it, under ref */
	bool dirty;
	bool again;	     /* stays dirty after this transaction */
	uint64_t attachment; /* the descriptor that a port was sent with; 0: none */
	uint32_t link_count;
	struct sent_link *links;
};

struct sent_table {
	struct sent_object *objects; /* by index */
	uint32_t capacity;
	uint32_t *dirty; /* indexes */
	uint32_t dirty_count, dirty_capacity;
};

struct sent_fdb_key {
	struct proto_ref segment;
	uint8_t mac[6];
	uint16_t zero;
};

struct sent_fdb {
	struct sent_fdb_key key;
	struct proto_ref port, peer;
	bool present; /* in the model; used while a transaction is made, as is */
	bool pending; /* to be set */
	UT_hash_handle hh;
};

struct sent {
	struct sent_table tables[SENT_KINDS];
	struct sent_fdb *fdb; /* a hash of static entries */
	bool fdb_dirty;
	struct sent_fdb_key *forgotten; /* entries to delete, learned ones too, until confirmed */
	uint32_t forgotten_count;
	uint32_t forgotten_sent; /* so many of them are under way */
	bool host_dirty;
	bool vtep_known, vtep_dirty;
	struct proto_ref vtep_ref;
	uint64_t vtep_attachment;
};

struct sent *sent_new(void);
void sent_free(struct sent *sent);

/* The object of this index, there or not; the pointer is good until the next call. */
struct sent_object *sent_object(struct sent *sent, enum sent_kind kind, uint32_t index);
void sent_mark(struct sent *sent, enum sent_kind kind, uint32_t index);
void sent_forget_entry(struct sent *sent, const struct proto_ref *segment,
		       const struct addr_mac *mac);
/* Takes a static entry out and frees it. */
void sent_drop_entry(struct sent *sent, struct sent_fdb *entry);
bool sent_is_dirty(const struct sent *sent);
/* The datapath has heard nothing. keep: it holds the descriptors that it was sent. Nothing is
 * dirty; what was to be forgotten still is. */
void sent_reset(struct sent *sent, bool keep);
/* After a transaction: what is not to be sent again is dirty no more. */
void sent_settle(struct sent *sent);
/* The transaction is committed: what it made the datapath forget is done with. */
void sent_confirm(struct sent *sent);
/* Replaces an object's links; they become the object's. */
void sent_set_links(struct sent_object *object, struct sent_link *links, uint32_t count);

#endif
