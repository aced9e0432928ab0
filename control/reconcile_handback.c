/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "control/namespaces.h"
#include "control/reconcile_internal.h"

static void use_kind(struct reconcile *reconcile, enum proto_handback_kind kind,
		     void (*use)(struct reconcile *, struct reconcile_handback *));
static void use_hold(struct reconcile *reconcile, struct reconcile_handback *handback);
static void use_memory(struct reconcile *reconcile, struct reconcile_handback *handback);
static void use_vtep(struct reconcile *reconcile, struct reconcile_handback *handback);
static void use_port(struct reconcile *reconcile, struct reconcile_handback *handback);
static bool peek_queues(const struct reconcile_handback *handback, struct links_queues *queues);
static bool use_others(struct reconcile *reconcile, struct reconcile_handback *handback);

void reconcile_handback_take(struct reconcile *reconcile, const struct proto_handback *record,
			     int *fds)
{
	struct reconcile_handback *handback;
	uint32_t i;

	if (record->fd_count == 0 || record->fd_count > VTEP_SOCKETS_MAX)
		return;
	reconcile->handbacks = reconcile_grow(reconcile->handbacks, reconcile->handback_count + 1,
					      sizeof(*handback));
	handback = &reconcile->handbacks[reconcile->handback_count++];
	memset(handback, 0, sizeof(*handback));
	handback->record = *record;
	for (i = 0; i < record->fd_count; i++) {
		handback->fds[i] = fds[i];
		fds[i] = -1;
	}
}

/* The private namespace comes first: by it the ends of veths are checked. */
void reconcile_handback_use(struct reconcile *reconcile)
{
	use_kind(reconcile, PROTO_HANDBACK_HOLD, use_hold);
	use_kind(reconcile, PROTO_HANDBACK_MEMORY, use_memory);
	use_kind(reconcile, PROTO_HANDBACK_VTEP, use_vtep);
	use_kind(reconcile, PROTO_HANDBACK_PORT, use_port);
	reconcile_kept_put(reconcile);
	reconcile_handback_drop(reconcile);
}

void reconcile_handback_drop(struct reconcile *reconcile)
{
	uint32_t i, j;

	for (i = 0; i < reconcile->handback_count; i++)
		for (j = 0; j < reconcile->handbacks[i].record.fd_count; j++)
			if (reconcile->handbacks[i].fds[j] >= 0)
				close(reconcile->handbacks[i].fds[j]);
	free(reconcile->handbacks);
	reconcile->handbacks = NULL;
	reconcile->handback_count = 0;
}

static void use_kind(struct reconcile *reconcile, enum proto_handback_kind kind,
		     void (*use)(struct reconcile *, struct reconcile_handback *))
{
	uint32_t i;

	for (i = 0; i < reconcile->handback_count; i++)
		if (reconcile->handbacks[i].record.kind == (uint32_t)kind)
			use(reconcile, &reconcile->handbacks[i]);
}

static void use_hold(struct reconcile *reconcile, struct reconcile_handback *handback)
{
	int fd = handback->fds[0];

	if (namespaces_private(reconcile->namespaces) >= 0)
		return;
	if (namespaces_take_private(reconcile->namespaces, fd) < 0)
		return;
	handback->fds[0] = -1;
	if (links_private_is_ours(reconcile->links, fd)) {
		reconcile->hold_sent = true;
		return;
	}
	log_warning("the datapath handed back a namespace that is not this switch's");
	namespaces_drop_private(reconcile->namespaces);
}

/* It takes the place of one made meanwhile: the datapath goes on with what it has. */
static void use_memory(struct reconcile *reconcile, struct reconcile_handback *handback)
{
	uint32_t kind = handback->record.ref.index;

	if (kind != PROTO_MEMORY_STATS && kind != PROTO_MEMORY_FDB)
		return;
	if (memory_take(&reconcile->memories[kind - 1], kind, handback->fds[0]) < 0) {
		log_warning("the datapath handed back a memory that is not one");
		return;
	}
	handback->fds[0] = -1;
	reconcile->memory_sent[kind - 1] = true;
}

static void use_vtep(struct reconcile *reconcile, struct reconcile_handback *handback)
{
	const struct model_vtep *vtep = model_vtep(reconcile->model);
	uint64_t cookie =
		namespaces_cookie(reconcile->namespaces, namespaces_own(reconcile->namespaces));
	struct vtep_sockets *sockets = &reconcile->vtep;
	uint32_t receive_count;

	if (sockets->count > 0 || !vtep->present)
		return;
	receive_count = vtep_sockets_match(handback->fds, handback->record.fd_count, &vtep->local,
					   vtep->udp_port, cookie);
	if (receive_count == 0)
		return;
	sockets->local = vtep->local;
	sockets->udp_port = vtep->udp_port;
	sockets->count = handback->record.fd_count;
	sockets->receive_count = receive_count;
	memcpy(sockets->fds, handback->fds, sockets->count * sizeof(*sockets->fds));
	handback->record.fd_count = 0;
	reconcile->vtep_attachment = ++reconcile->last_attachment;
	reconcile->sent->vtep_ref = handback->record.ref;
	reconcile->sent->vtep_attachment = reconcile->vtep_attachment;
}

static void use_port(struct reconcile *reconcile, struct reconcile_handback *handback)
{
	const struct proto_ref *ref = &handback->record.ref;
	const struct model_port *port = model_port_by_index(reconcile->model, ref->index);
	struct links_queues queues;
	struct reconcile_port *state;
	struct sent_object *object;
	struct links_port wanted;
	uint32_t i;

	if (use_others(reconcile, handback))
		return;
	if (port != NULL && port->ref.incarnation == ref->incarnation) {
		reconcile_port_wanted(reconcile, port, &wanted);
		reconcile_port_queue(reconcile, ref->index);
		state = reconcile_port_at(reconcile, ref->index);
		if (state->queues.count > 0)
			return; /* a second time: whatever it is, the interface is in use */
		if (port->type != MODEL_PORT_MEMORY && peek_queues(handback, &queues) &&
		    links_match(reconcile->links, &wanted, &queues)) {
			reconcile_port_attach(reconcile, state, &wanted, &queues);
			handback->record.fd_count = 0;
			object = sent_object(reconcile->sent, SENT_PORT, ref->index);
			object->ref = *ref;
			object->attachment = state->attachment;
			return;
		}
	}
	for (i = 0; i < handback->record.fd_count; i++)
		links_discard(reconcile->links, ref, handback->fds[i]);
}

/* Returns false when they are more than a port has. */
static bool peek_queues(const struct reconcile_handback *handback, struct links_queues *queues)
{
	if (handback->record.fd_count > PROTO_QUEUES_MAX)
		return false;
	queues->count = handback->record.fd_count;
	memcpy(queues->fds, handback->fds, queues->count * sizeof(*queues->fds));
	return true;
}

/* What is none of an interface. Returns false when the port has one. */
static bool use_others(struct reconcile *reconcile, struct reconcile_handback *handback)
{
	const struct proto_ref *ref = &handback->record.ref;
	const struct model_port *port = model_port_by_index(reconcile->model, ref->index);
	struct sent_object *object;
	bool taken;

	if (port == NULL || port->ref.incarnation != ref->incarnation)
		return false;
	switch (port->type) {
	case MODEL_PORT_PCAP:
		taken = reconcile_pcap_take(reconcile, port, handback->fds,
					    handback->record.fd_count);
		break;
	case MODEL_PORT_VHOST_USER:
		taken = handback->record.fd_count == 1 &&
			reconcile_vhost_take(reconcile, port, handback->fds[0]);
		break;
	case MODEL_PORT_DPDK:
		return true;
	default:
		return false;
	}
	if (!taken)
		return true;
	object = sent_object(reconcile->sent, SENT_PORT, ref->index);
	object->ref = *ref;
	object->attachment = reconcile_port_at(reconcile, ref->index)->attachment;
	return true;
}
