/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "control/namespaces.h"
#include "control/reaper.h"
#include "control/reconcile_internal.h"

#define PRIVATE_NAMESPACE_KEY 1u

/* A refusal that stands is tried again at times: what the datapath lacked may be there. */
static const struct timeval refused_interval = {5, 0};

static void transact(struct reconcile *reconcile);
static bool interfaces_follow(const struct reconcile *reconcile);
static void mark_everything(struct reconcile *reconcile);
static int mark_tenant(void *context, struct model_tenant *tenant);
static int mark_segment(void *context, struct model_segment *segment);
static int mark_port(void *context, struct model_port *port);
static int mark_peer(void *context, struct model_peer *peer);

void reconcile_announce(struct reconcile *reconcile)
{
	struct datapath_link *datapath = reconcile->datapath;
	const struct proto_hold hold = {.key = PRIVATE_NAMESPACE_KEY, .fd_count = 1};
	uint32_t i;
	int fd;

	for (i = 0; i < 2; i++) {
		const struct proto_memory memory = {.kind = i + 1,
						    .size = reconcile->memories[i].size};

		if (reconcile->memory_sent[i])
			continue;
		datapath_link_send(datapath, PROTO_MEMORY, &memory, sizeof(memory),
				   &reconcile->memories[i].fd, 1);
		reconcile->memory_sent[i] = true;
	}
	if (!reconcile->hold_sent) {
		fd = namespaces_private(reconcile->namespaces);
		datapath_link_send(datapath, PROTO_HOLD, &hold, sizeof(hold), &fd, 1);
		reconcile->hold_sent = true;
	}
	datapath_link_flush(datapath);
}

void reconcile_sync(struct reconcile *reconcile)
{
	if (!reconcile->started || reconcile->refused ||
	    datapath_link_state(reconcile->datapath) != DATAPATH_LINK_READY)
		return;
	if (reconcile_prepare(reconcile) < 0)
		return; /* the datapath takes nothing before its memories; tried again with the rest
			 */
	if (!reconcile->send_whole && !sent_is_dirty(reconcile->sent)) {
		if (interfaces_follow(reconcile))
			reconcile->applied_generation = model_generation(reconcile->model);
		return;
	}
	reconcile_announce(reconcile);
	transact(reconcile);
}

void reconcile_sync_whole(struct reconcile *reconcile, bool keep)
{
	sent_reset(reconcile->sent, keep);
	reconcile->send_whole = true;
	reconcile->refused = false;
	reconcile_schedule(reconcile);
}

void reconcile_replied(struct reconcile *reconcile, const struct proto_reply *reply)
{
	bool whole = reconcile->send_whole;
	bool committed = reply->error == 0 && reply->generation == reconcile->generation;

	reconcile->under_way = false;
	reconcile->send_whole = false;
	reconcile_close_told(reconcile);
	reconcile_vhost_replied(reconcile, committed);
	if (committed) {
		reconcile->committed = reply->generation;
		sent_confirm(reconcile->sent);
		if (reconcile->model_generation != 0)
			reconcile->applied_generation = reconcile->model_generation;
		reconcile_problem(reconcile->datapath_problem, NULL);
		reconcile_schedule(reconcile);
		return;
	}
	reconcile->committed = 0;
	reconcile_sync_whole(reconcile, false);
	if (reply->error == ESTALE && !whole)
		return;
	reconcile_problem(reconcile->datapath_problem, "the datapath refused the configuration: %s",
			  reply->error == 0	   ? "it answered for another one"
			  : reply->text[0] != '\0' ? reply->text
						   : strerror(reply->error));
	reconcile->refused = true;
	event_add(reconcile->refused_event, &refused_interval);
}

static void transact(struct reconcile *reconcile)
{
	struct reconcile_transaction transaction = {
		.reconcile = reconcile, .sent = reconcile->sent, .datapath = reconcile->datapath};
	struct proto_begin begin = {.generation = reconcile->generation + 1};

	reconcile->generation = begin.generation;
	reconcile->under_way = true;
	if (reconcile->send_whole)
		mark_everything(reconcile);
	else
		begin.base = reconcile->committed;
	datapath_link_send(reconcile->datapath, PROTO_BEGIN, &begin, sizeof(begin), NULL, 0);
	reconcile_tell(&transaction);
	reconcile->model_generation = 0;
	if (interfaces_follow(reconcile) && !sent_is_dirty(reconcile->sent))
		reconcile->model_generation = model_generation(reconcile->model);
	reconcile->closing_told = reconcile->closing_count;
	datapath_link_commit(reconcile->datapath, begin.generation);
}

/* Whether nothing is left to be made or removed, but for what waits. */
static bool interfaces_follow(const struct reconcile *reconcile)
{
	return TAILQ_EMPTY(&reconcile->work) && !reaper_deletes(reconcile->reaper);
}

static void mark_everything(struct reconcile *reconcile)
{
	(void)model_each_tenant(reconcile->model, mark_tenant, reconcile->sent);
	(void)model_each_segment(reconcile->model, mark_segment, reconcile->sent);
	(void)model_each_port(reconcile->model, mark_port, reconcile->sent);
	(void)model_each_peer(reconcile->model, mark_peer, reconcile->sent);
	reconcile->sent->fdb_dirty = true;
	reconcile->sent->host_dirty = true;
	reconcile->sent->vtep_dirty = true;
}

static int mark_tenant(void *context, struct model_tenant *tenant)
{
	sent_mark(context, SENT_TENANT, tenant->ref.index);
	return 0;
}

static int mark_segment(void *context, struct model_segment *segment)
{
	sent_mark(context, SENT_SEGMENT, segment->ref.index);
	return 0;
}

static int mark_port(void *context, struct model_port *port)
{
	sent_mark(context, SENT_PORT, port->ref.index);
	return 0;
}

static int mark_peer(void *context, struct model_peer *peer)
{
	sent_mark(context, SENT_PEER, peer->ref.index);
	return 0;
}
