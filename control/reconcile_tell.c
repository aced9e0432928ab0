/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "control/reconcile_internal.h"

/*
 * How this works: a transaction first removes, then sets. A dirty object is compared with what the
 * datapath was told: what was told under another ref, or is in the model no more, is removed with
 * all its links; a link that is there no more, or with another VID, is removed; then the object and
 * its links are set. What is told is noted as it is sent: a transaction that is refused or lost is
 * followed by one that sends everything.
 */

/* So many that a channel takes them whole; the rest goes with the next transaction. */
#define DESCRIPTORS_A_TRANSACTION 1024u

static void send_removals(struct reconcile_transaction *transaction);
static void send_sets(struct reconcile_transaction *transaction);
static const struct proto_ref *model_ref(const struct reconcile *reconcile, enum sent_kind kind,
					 uint32_t index);
static void want_links(struct reconcile_transaction *transaction, enum sent_kind kind,
		       uint32_t index, struct sent_link **links, uint32_t *count);
static bool find_link(const struct sent_link *links, uint32_t count, const struct sent_link *link);
static void remove_links(struct reconcile_transaction *transaction, enum sent_kind kind);
static void remove_objects(struct reconcile_transaction *transaction, enum sent_kind kind,
			   enum proto_type type);
static void set_links(struct reconcile_transaction *transaction, enum sent_kind kind);
static void send_link(struct reconcile_transaction *transaction, enum sent_kind kind,
		      const struct proto_ref *from, const struct sent_link *link, bool set);
static void set_objects(struct reconcile_transaction *transaction, enum sent_kind kind);
static void set_host(struct reconcile_transaction *transaction);
static void set_tenant(struct reconcile_transaction *transaction,
		       const struct model_tenant *tenant);
static void set_segment(struct reconcile_transaction *transaction,
			const struct model_segment *segment);
static void set_port(struct reconcile_transaction *transaction, const struct model_port *port);
static void describe_port(const struct reconcile *reconcile, const struct model_port *port,
			  struct proto_port *message);
static uint32_t take_fds(const struct reconcile_port *state, int fds[PROTO_QUEUES_MAX]);
static void set_peer(struct reconcile_transaction *transaction, const struct model_peer *peer);
static void remove_vtep(struct reconcile_transaction *transaction);
static void set_vtep(struct reconcile_transaction *transaction);
static int want_entry(void *context, struct model_fdb *entry);
static void drop_forgotten(struct sent *sent);
static void remove_forgotten(struct reconcile_transaction *transaction);
static void remove_entries(struct reconcile_transaction *transaction);
static void send_entry(struct reconcile_transaction *transaction, enum proto_type type,
		       const struct sent_fdb *entry);
static bool same_ref(const struct proto_ref *a, const struct proto_ref *b);

void reconcile_tell(struct reconcile_transaction *transaction)
{
	send_removals(transaction);
	send_sets(transaction);
	sent_settle(transaction->sent);
}

static void send_removals(struct reconcile_transaction *transaction)
{
	remove_entries(transaction);
	remove_links(transaction, SENT_SEGMENT);
	remove_links(transaction, SENT_PORT);
	remove_objects(transaction, SENT_PORT, PROTO_PORT_DEL);
	remove_vtep(transaction);
	remove_objects(transaction, SENT_SEGMENT, PROTO_SEGMENT_DEL);
	remove_objects(transaction, SENT_TENANT, PROTO_TENANT_DEL);
	remove_objects(transaction, SENT_PEER, PROTO_PEER_DEL);
}

static void send_sets(struct reconcile_transaction *transaction)
{
	struct sent *sent = transaction->sent;
	struct sent_fdb *entry, *next;

	set_host(transaction);
	set_vtep(transaction);
	set_objects(transaction, SENT_TENANT);
	set_objects(transaction, SENT_PEER);
	set_objects(transaction, SENT_SEGMENT);
	set_links(transaction, SENT_SEGMENT);
	set_objects(transaction, SENT_PORT);
	set_links(transaction, SENT_PORT);
	remove_forgotten(transaction);
	HASH_ITER (hh, sent->fdb, entry, next)
		if (entry->pending) {
			send_entry(transaction, PROTO_FDB_SET, entry);
			entry->pending = false;
		}
}

/* The reference under which the model has this index now; NULL: it has not. */
static const struct proto_ref *model_ref(const struct reconcile *reconcile, enum sent_kind kind,
					 uint32_t index)
{
	const struct model *model = reconcile->model;
	const struct model_tenant *tenant;
	const struct model_segment *segment;
	const struct model_port *port;
	const struct model_peer *peer;

	switch (kind) {
	case SENT_TENANT:
		tenant = model_tenant_by_index(model, index);
		return tenant == NULL ? NULL : &tenant->ref;
	case SENT_SEGMENT:
		segment = model_segment_by_index(model, index);
		return segment == NULL ? NULL : &segment->ref;
	case SENT_PORT:
		port = model_port_by_index(model, index);
		return port == NULL ? NULL : &port->ref;
	default:
		peer = model_peer_by_index(model, index);
		return peer == NULL ? NULL : &peer->ref;
	}
}

/* The links that the model has; the caller frees them. */
static void want_links(struct reconcile_transaction *transaction, enum sent_kind kind,
		       uint32_t index, struct sent_link **links, uint32_t *count)
{
	const struct model *model = transaction->reconcile->model;
	const struct model_segment *segment =
		kind == SENT_SEGMENT ? model_segment_by_index(model, index) : NULL;
	const struct model_port *port =
		kind == SENT_PORT ? model_port_by_index(model, index) : NULL;
	struct sent_link *made;
	uint32_t i;

	*links = NULL;
	*count = segment != NULL ? segment->peer_count : port != NULL ? port->member_count : 0;
	if (*count == 0)
		return;
	made = reconcile_grow(NULL, *count, sizeof(*made));
	for (i = 0; i < *count; i++) {
		made[i].to =
			segment != NULL ? segment->peers[i]->ref : port->members[i].segment->ref;
		made[i].vid = segment != NULL ? 0 : port->members[i].vid;
	}
	*links = made;
}

static bool find_link(const struct sent_link *links, uint32_t count, const struct sent_link *link)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (same_ref(&links[i].to, &link->to) && links[i].vid == link->vid)
			return true;
	return false;
}

static void remove_links(struct reconcile_transaction *transaction, enum sent_kind kind)
{
	const struct sent_table *table = &transaction->sent->tables[kind];
	uint32_t i, j, count;

	for (i = 0; i < table->dirty_count; i++) {
		const struct sent_object *object = &table->objects[table->dirty[i]];
		const struct proto_ref *ref =
			model_ref(transaction->reconcile, kind, table->dirty[i]);
		struct sent_link *wanted = NULL;

		if (!object->known)
			continue;
		count = 0;
		if (ref != NULL && same_ref(ref, &object->ref))
			want_links(transaction, kind, table->dirty[i], &wanted, &count);
		for (j = 0; j < object->link_count; j++)
			if (!find_link(wanted, count, &object->links[j]))
				send_link(transaction, kind, &object->ref, &object->links[j],
					  false);
		free(wanted);
	}
}

static void remove_objects(struct reconcile_transaction *transaction, enum sent_kind kind,
			   enum proto_type type)
{
	const struct sent_table *table = &transaction->sent->tables[kind];
	uint32_t i;

	for (i = 0; i < table->dirty_count; i++) {
		struct sent_object *object = &table->objects[table->dirty[i]];
		const struct proto_ref *ref =
			model_ref(transaction->reconcile, kind, table->dirty[i]);

		if (!object->known || (ref != NULL && same_ref(ref, &object->ref)))
			continue;
		datapath_link_send(transaction->datapath, type, &object->ref, sizeof(object->ref),
				   NULL, 0);
		sent_set_links(object, NULL, 0);
		object->known = false;
		object->attachment = 0;
	}
}

static void set_links(struct reconcile_transaction *transaction, enum sent_kind kind)
{
	const struct sent_table *table = &transaction->sent->tables[kind];
	uint32_t i, j, count;

	for (i = 0; i < table->dirty_count; i++) {
		struct sent_object *object = &table->objects[table->dirty[i]];
		struct sent_link *wanted;

		if (!object->known)
			continue;
		want_links(transaction, kind, table->dirty[i], &wanted, &count);
		for (j = 0; j < count; j++)
			if (!find_link(object->links, object->link_count, &wanted[j]))
				send_link(transaction, kind, &object->ref, &wanted[j], true);
		sent_set_links(object, wanted, count);
	}
}

static void send_link(struct reconcile_transaction *transaction, enum sent_kind kind,
		      const struct proto_ref *from, const struct sent_link *link, bool set)
{
	const struct proto_member member = {.port = *from, .segment = link->to, .vid = link->vid};
	const struct proto_segment_peer peer = {.segment = *from, .peer = link->to};

	if (kind == SENT_PORT)
		datapath_link_send(transaction->datapath, set ? PROTO_MEMBER_SET : PROTO_MEMBER_DEL,
				   &member, sizeof(member), NULL, 0);
	else
		datapath_link_send(transaction->datapath,
				   set ? PROTO_SEGMENT_PEER_SET : PROTO_SEGMENT_PEER_DEL, &peer,
				   sizeof(peer), NULL, 0);
}

static void set_objects(struct reconcile_transaction *transaction, enum sent_kind kind)
{
	const struct sent_table *table = &transaction->sent->tables[kind];
	const struct model *model = transaction->reconcile->model;
	uint32_t i;

	for (i = 0; i < table->dirty_count; i++) {
		uint32_t index = table->dirty[i];
		const struct proto_ref *ref = model_ref(transaction->reconcile, kind, index);
		struct sent_object *object = &table->objects[index];

		if (ref == NULL)
			continue;
		if (!same_ref(&object->ref, ref))
			object->attachment = 0;
		object->ref = *ref;
		object->known = true;
		if (kind == SENT_TENANT)
			set_tenant(transaction, model_tenant_by_index(model, index));
		else if (kind == SENT_SEGMENT)
			set_segment(transaction, model_segment_by_index(model, index));
		else if (kind == SENT_PORT)
			set_port(transaction, model_port_by_index(model, index));
		else
			set_peer(transaction, model_peer_by_index(model, index));
	}
}

static void set_host(struct reconcile_transaction *transaction)
{
	const struct model_host *host = model_host(transaction->reconcile->model);
	const struct proto_host message = {.send_capacity = host->send_capacity,
					   .receive_capacity = host->receive_capacity};

	if (transaction->sent->host_dirty)
		datapath_link_send(transaction->datapath, PROTO_HOST_SET, &message, sizeof(message),
				   NULL, 0);
}

static void set_tenant(struct reconcile_transaction *transaction, const struct model_tenant *tenant)
{
	const struct model_channel *send = &tenant->bandwidth.send;
	const struct model_channel *receive = &tenant->bandwidth.receive;
	const struct proto_tenant message = {.ref = tenant->ref,
					     .send_rate = send->rate,
					     .receive_rate = receive->rate,
					     .send_min = send->min,
					     .receive_min = receive->min,
					     .send_burst = send->burst,
					     .receive_burst = receive->burst,
					     .weight = tenant->bandwidth.weight,
					     .overhead = tenant->bandwidth.overhead};

	datapath_link_send(transaction->datapath, PROTO_TENANT_SET, &message, sizeof(message), NULL,
			   0);
}

static void set_segment(struct reconcile_transaction *transaction,
			const struct model_segment *segment)
{
	const struct proto_segment message = {
		.ref = segment->ref,
		.tenant = segment->tenant->ref,
		.vni = segment->vni,
		.mtu = reconcile_segment_mtu(transaction->reconcile, segment),
		.ageing = segment->ageing,
		.flags = segment->vlan_transparent ? PROTO_SEGMENT_VLAN_TRANSPARENT : 0};

	datapath_link_send(transaction->datapath, PROTO_SEGMENT_SET, &message, sizeof(message),
			   NULL, 0);
}

static void set_port(struct reconcile_transaction *transaction, const struct model_port *port)
{
	struct reconcile_port *state = reconcile_port_at(transaction->reconcile, port->ref.index);
	struct sent_object *object = sent_object(transaction->sent, SENT_PORT, port->ref.index);
	uint64_t attachment = state == NULL ? 0 : state->attachment;
	int fds[PROTO_QUEUES_MAX];
	struct proto_port message;

	describe_port(transaction->reconcile, port, &message);
	/* A replay shall not go by while nothing of it is taken. */
	if (port->type == MODEL_PORT_PCAP && !port->admin_up)
		attachment = 0;
	if (attachment != 0 && attachment != object->attachment)
		message.fd_count = take_fds(state, fds);
	if (message.fd_count > 0 && transaction->fd_count >= DESCRIPTORS_A_TRANSACTION) {
		message.fd_count = 0;
		attachment = 0;
		object->again = true;
	}
	if (message.fd_count > 0 && port->type == MODEL_PORT_VHOST_USER)
		reconcile_vhost_told(transaction->reconcile, state);
	if (port->type != MODEL_PORT_MEMORY && attachment == 0)
		message.flags |= PROTO_PORT_DETACH;
	transaction->fd_count += message.fd_count;
	object->attachment = attachment;
	datapath_link_send(transaction->datapath, PROTO_PORT_SET, &message, sizeof(message),
			   message.fd_count == 0 ? NULL : fds, message.fd_count);
}

/* All but what tells of descriptors. */
static void describe_port(const struct reconcile *reconcile, const struct model_port *port,
			  struct proto_port *message)
{
	static const uint32_t types[] = {
		[MODEL_PORT_TAP] = PROTO_PORT_TAP,	 [MODEL_PORT_VETH] = PROTO_PORT_PACKET,
		[MODEL_PORT_MEMORY] = PROTO_PORT_MEMORY, [MODEL_PORT_NETDEV] = PROTO_PORT_PACKET,
		[MODEL_PORT_PCAP] = PROTO_PORT_PCAP,	 [MODEL_PORT_VHOST_USER] = PROTO_PORT_VHOST,
		[MODEL_PORT_DPDK] = PROTO_PORT_DPDK};
	const struct proto_ref none = {PROTO_NO_INDEX, 0};
	const struct reconcile_port *state = reconcile_port_at(reconcile, port->ref.index);
	struct links_port wanted;

	reconcile_port_wanted(reconcile, port, &wanted);
	*message = (struct proto_port){.ref = port->ref,
				       .tenant = port->tenant == NULL ? none : port->tenant->ref,
				       .type = types[port->type],
				       .flags = port->admin_up ? PROTO_PORT_ADMIN_UP : 0,
				       .mtu = wanted.mtu,
				       .send_rate = port->send_rate,
				       .receive_rate = port->receive_rate};
	if (port->type == MODEL_PORT_NETDEV && state != NULL && state->attachment != 0 &&
	    state->seen.mtu < wanted.mtu)
		message->mtu = state->seen.mtu;
	if (port->type == MODEL_PORT_PCAP)
		reconcile_pcap_describe(port, message);
	if (port->type == MODEL_PORT_VHOST_USER)
		message->queues = wanted.queue_count;
}

/* The descriptors that a port is sent with. Returns how many. */
static uint32_t take_fds(const struct reconcile_port *state, int fds[PROTO_QUEUES_MAX])
{
	if (state->pcap != NULL)
		return reconcile_pcap_fds(state, fds);
	if (state->vhost != NULL)
		return reconcile_vhost_fds(state, fds);
	memcpy(fds, state->queues.fds, state->queues.count * sizeof(*fds));
	return state->queues.count;
}

static void set_peer(struct reconcile_transaction *transaction, const struct model_peer *peer)
{
	const struct proto_peer message = {.ref = peer->ref, .addr = peer->addr};

	datapath_link_send(transaction->datapath, PROTO_PEER_SET, &message, sizeof(message), NULL,
			   0);
}

/* The VTEP shares its index with ports, so that it must make room before they are set. */
static void remove_vtep(struct reconcile_transaction *transaction)
{
	const struct reconcile *reconcile = transaction->reconcile;
	struct sent *sent = transaction->sent;

	if (!sent->vtep_known || !sent->vtep_dirty ||
	    (reconcile->vtep.count > 0 &&
	     same_ref(&sent->vtep_ref, &model_vtep(reconcile->model)->ref)))
		return;
	datapath_link_send_empty(transaction->datapath, PROTO_VTEP_DEL);
	sent->vtep_known = false;
	sent->vtep_attachment = 0;
}

static void set_vtep(struct reconcile_transaction *transaction)
{
	const struct reconcile *reconcile = transaction->reconcile;
	const struct vtep_sockets *sockets = &reconcile->vtep;
	struct sent *sent = transaction->sent;
	struct proto_vtep message = {.ref = model_vtep(reconcile->model)->ref,
				     .local = sockets->local,
				     .udp_port = sockets->udp_port};

	if (!sent->vtep_dirty || sockets->count == 0)
		return;
	if (sent->vtep_attachment != reconcile->vtep_attachment ||
	    !same_ref(&sent->vtep_ref, &message.ref))
		message.fd_count = sockets->count;
	message.receive_count = sockets->receive_count;
	datapath_link_send(transaction->datapath, PROTO_VTEP_SET, &message, sizeof(message),
			   sockets->fds, message.fd_count);
	sent->vtep_known = true;
	sent->vtep_ref = message.ref;
	sent->vtep_attachment = reconcile->vtep_attachment;
}

/* Static entries are compared all at once: they are few beside what is learned, and change rarely.
 */
static void remove_entries(struct reconcile_transaction *transaction)
{
	struct sent *sent = transaction->sent;
	struct sent_fdb *entry, *next;

	if (!sent->fdb_dirty)
		return;
	HASH_ITER (hh, sent->fdb, entry, next)
		entry->present = false;
	drop_forgotten(sent);
	(void)model_each_fdb(transaction->reconcile->model, want_entry, sent);
	HASH_ITER (hh, sent->fdb, entry, next) {
		if (entry->present)
			continue;
		send_entry(transaction, PROTO_FDB_DEL, entry);
		sent_drop_entry(sent, entry);
	}
}

/* Entries that were to be forgotten are told again even if they are static and were told before. */
static void drop_forgotten(struct sent *sent)
{
	struct sent_fdb *entry;
	uint32_t i;

	for (i = 0; i < sent->forgotten_count; i++) {
		HASH_FIND(hh, sent->fdb, &sent->forgotten[i], sizeof(sent->forgotten[i]), entry);
		if (entry != NULL)
			sent_drop_entry(sent, entry);
	}
}

/* What was asked to be forgotten may be learned, of which only the datapath knows. After the
 * segments are set, since a segment that is not there has no entries. */
static void remove_forgotten(struct reconcile_transaction *transaction)
{
	struct sent *sent = transaction->sent;
	uint32_t i;

	for (i = 0; i < sent->forgotten_count; i++) {
		const struct sent_fdb gone = {.key = sent->forgotten[i]};
		const struct sent_object *segment =
			sent_object(sent, SENT_SEGMENT, gone.key.segment.index);

		if (segment->known && same_ref(&segment->ref, &gone.key.segment))
			send_entry(transaction, PROTO_FDB_DEL, &gone);
	}
	sent->forgotten_sent = sent->forgotten_count;
}

static int want_entry(void *context, struct model_fdb *wanted)
{
	struct sent *sent = context;
	struct proto_ref port = {PROTO_NO_INDEX, 0}, peer = {PROTO_NO_INDEX, 0};
	struct sent_fdb_key key;
	struct sent_fdb *entry;

	memset(&key, 0, sizeof(key));
	key.segment = wanted->segment->ref;
	memcpy(key.mac, wanted->mac.bytes, sizeof(key.mac));
	if (wanted->port != NULL)
		port = wanted->port->ref;
	else
		peer = wanted->peer->ref;
	HASH_FIND(hh, sent->fdb, &key, sizeof(key), entry);
	if (entry == NULL) {
		entry = reconcile_grow(NULL, 1, sizeof(*entry));
		memset(entry, 0, sizeof(*entry));
		entry->key = key;
		entry->pending = true;
		HASH_ADD(hh, sent->fdb, key, sizeof(key), entry);
	} else if (!same_ref(&entry->port, &port) || !same_ref(&entry->peer, &peer)) {
		entry->pending = true;
	}
	entry->present = true;
	entry->port = port;
	entry->peer = peer;
	return 0;
}

static void send_entry(struct reconcile_transaction *transaction, enum proto_type type,
		       const struct sent_fdb *entry)
{
	struct proto_fdb message = {
		.segment = entry->key.segment, .port = entry->port, .peer = entry->peer};

	memcpy(message.mac, entry->key.mac, sizeof(message.mac));
	datapath_link_send(transaction->datapath, type, &message, sizeof(message), NULL, 0);
}

static bool same_ref(const struct proto_ref *a, const struct proto_ref *b)
{
	return a->index == b->index && a->incarnation == b->incarnation;
}
