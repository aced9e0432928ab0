/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "control/link_watch.h"
#include "control/namespaces.h"
#include "control/reconcile_internal.h"

#define FRAME_OVERHEAD 22u /* inner Ethernet and VXLAN headers, around a layer-3 packet */

static void work_on(struct reconcile *reconcile, struct reconcile_port *state);
static bool has_interface(enum model_port_type type);
static void work_without_interface(struct reconcile *reconcile, struct reconcile_port *state,
				   const struct model_port *port, const struct links_port *wanted);
static bool is_elsewhere(const struct reconcile_port *state, const struct links_port *wanted);
static bool is_set_up(const struct reconcile_port *state, const struct links_port *wanted);
static void open_port(struct reconcile *reconcile, struct reconcile_port *state,
		      const struct model_port *port, const struct links_port *wanted);
static void set_up_port(struct reconcile *reconcile, struct reconcile_port *state,
			const struct model_port *port, const struct links_port *wanted);
static void remember(struct reconcile_port *state, const struct links_port *link);
static void explain(struct reconcile_port *state, const struct links_port *wanted, int error);
static void remove_interface(struct reconcile *reconcile, struct reconcile_port *state,
			     bool together);
static void free_state(struct reconcile *reconcile, struct reconcile_port *state);
static struct reconcile_port *make_state(struct reconcile *reconcile, uint32_t index);
static bool goes_unseen(const struct reconcile *reconcile, const struct reconcile_port *state);
static void set_polled(struct reconcile *reconcile, struct reconcile_port *state, bool polled);
static int review_mtu(void *context, struct model_port *port);
static uint64_t now(void);

uint32_t reconcile_queue_count(const struct reconcile *reconcile)
{
	uint32_t workers = reconcile->hello.workers;

	return workers == 0 ? 1 : workers < PROTO_QUEUES_MAX ? workers : PROTO_QUEUES_MAX;
}

/* Super-packets that go into the overlay shall fit one send, or each would take a large and a small
 * one. */
static uint32_t gso_frames(uint32_t mtu, bool overlay)
{
	uint32_t frames = PROTO_SEND_SIZE_MAX / (mtu + FRAME_OVERHEAD);

	if (!overlay)
		return LINKS_GSO_FRAMES_MAX;
	if (frames < 1)
		return 1;
	return frames < PROTO_SEND_FRAMES_MAX ? frames : PROTO_SEND_FRAMES_MAX;
}

void reconcile_port_wanted(const struct reconcile *reconcile, const struct model_port *port,
			   struct links_port *link)
{
	uint32_t i, mtu = 0;
	bool overlay = false;

	for (i = 0; i < port->member_count; i++) {
		uint32_t one = reconcile_segment_mtu(reconcile, port->members[i].segment);

		mtu = mtu == 0 || one < mtu ? one : mtu;
		overlay |= port->members[i].segment->vni != 0;
	}
	if (mtu == 0)
		mtu = RECONCILE_MTU_DEFAULT;
	*link = (struct links_port){.ref = port->ref,
				    .type = port->type,
				    .netns = port->netns,
				    .ifname = port->ifname,
				    .mac = port->mac,
				    .mtu = mtu,
				    .gso_frames = gso_frames(mtu, overlay),
				    .ips = port->ips,
				    .ip_count = port->ip_count,
				    .gateway = port->gateway,
				    .match_mac = port->match_mac,
				    .match_mac_given = port->match_mac_given,
				    .shared = port->shared,
				    .queue_count = reconcile_queue_count(reconcile)};
}

struct reconcile_port *reconcile_port_at(const struct reconcile *reconcile, uint32_t index)
{
	return index < reconcile->port_capacity ? reconcile->ports[index] : NULL;
}

void reconcile_port_queue(struct reconcile *reconcile, uint32_t index)
{
	struct reconcile_port *state = reconcile_port_at(reconcile, index);
	const struct model_port *port = model_port_by_index(reconcile->model, index);

	if (state == NULL && port == NULL)
		return;
	if (state == NULL) {
		state = make_state(reconcile, index);
		state->link.ref = port->ref;
	}
	reconcile_port_move(reconcile, state, RECONCILE_LIST_WORK);
}

bool reconcile_ports_work(struct reconcile *reconcile, uint64_t nanoseconds)
{
	uint64_t end = now() + nanoseconds;
	struct reconcile_port *state;

	while ((state = TAILQ_FIRST(&reconcile->work)) != NULL) {
		work_on(reconcile, state);
		if (now() >= end)
			break;
	}
	links_removal_start(&reconcile->removal, reconcile->reaper);
	return TAILQ_EMPTY(&reconcile->work);
}

void reconcile_ports_retry(struct reconcile *reconcile)
{
	struct reconcile_port *state = TAILQ_FIRST(&reconcile->waiting), *next;
	struct vhost_round round = {0};

	for (; state != NULL; state = next) {
		next = TAILQ_NEXT(state, entry);
		if (!reconcile_vhost_still_waits(reconcile, state, &round))
			reconcile_port_move(reconcile, state, RECONCILE_LIST_WORK);
	}
}

void reconcile_port_attach(struct reconcile *reconcile, struct reconcile_port *state,
			   const struct links_port *link, const struct links_queues *queues)
{
	remember(state, link);
	state->queues = *queues;
	state->link.queue_count = queues->count;
	state->attachment = ++reconcile->last_attachment;
	state->configured = false;
	state->lost = false;
	state->pins = links_pins(reconcile->links, link, queues);
	set_polled(reconcile, state, state->pins && goes_unseen(reconcile, state));
	state->reason[0] = '\0';
	sent_mark(reconcile->sent, SENT_PORT, link->ref.index);
}

void reconcile_port_detach(struct reconcile *reconcile, struct reconcile_port *state,
			   const char *reason)
{
	link_watch_free(state->watch);
	state->watch = NULL;
	reconcile_close_later(reconcile, &state->queues);
	state->attachment = 0;
	state->configured = false;
	state->lost = false;
	state->pins = false;
	set_polled(reconcile, state, false);
	snprintf(state->reason, sizeof(state->reason), "%s", reason);
	sent_mark(reconcile->sent, SENT_PORT, state->link.ref.index);
	reconcile_port_move(reconcile, state, RECONCILE_LIST_WAITING);
}

/* What could not be done is not tried again: fewer queues than workers carry traffic, too. */
void reconcile_port_fit(struct reconcile *reconcile, struct reconcile_port *state,
			const struct links_port *wanted)
{
	struct links_queues queues = state->queues, surplus = {0};
	int error = 0;

	if (state->link.queue_count == wanted->queue_count)
		return;
	if (queues.count < wanted->queue_count)
		error = links_grow(reconcile->links, wanted, &queues);
	while (queues.count > wanted->queue_count)
		surplus.fds[surplus.count++] = queues.fds[--queues.count];
	if (error < 0 && error != -EOPNOTSUPP)
		log_warning("interface %s goes on with %u of %u queues: %s", state->ifname,
			    queues.count, wanted->queue_count, strerror(-error));
	if (queues.count != state->queues.count) {
		bool configured = state->configured;

		reconcile_port_attach(reconcile, state, &state->link, &queues);
		state->configured = configured;
	}
	state->link.queue_count = wanted->queue_count;
	reconcile_close_later(reconcile, &surplus);
}

void reconcile_port_move(struct reconcile *reconcile, struct reconcile_port *state,
			 enum reconcile_list list)
{
	if (state->list == RECONCILE_LIST_WORK)
		TAILQ_REMOVE(&reconcile->work, state, entry);
	else if (state->list == RECONCILE_LIST_WAITING)
		TAILQ_REMOVE(&reconcile->waiting, state, entry);
	else if (state->list == RECONCILE_LIST_AWAY)
		TAILQ_REMOVE(&reconcile->away, state, entry);
	if (list == RECONCILE_LIST_WORK)
		TAILQ_INSERT_TAIL(&reconcile->work, state, entry);
	else if (list == RECONCILE_LIST_WAITING)
		TAILQ_INSERT_TAIL(&reconcile->waiting, state, entry);
	else if (list == RECONCILE_LIST_AWAY)
		TAILQ_INSERT_TAIL(&reconcile->away, state, entry);
	state->list = list;
}

void reconcile_ports_check(struct reconcile *reconcile, bool pinned)
{
	uint32_t i;

	for (i = 0; i < reconcile->port_capacity; i++) {
		struct reconcile_port *state = reconcile->ports[i];

		if (state == NULL || state->queues.count == 0)
			continue;
		if (state->link.type == MODEL_PORT_NETDEV && (!pinned || state->pins))
			reconcile_port_queue(reconcile, i);
		else if (pinned && state->pins &&
			 !links_match(reconcile->links, &state->link, &state->queues))
			reconcile_port_detach(reconcile, state, "its namespace is gone");
		else if (!pinned && !links_alive(reconcile->links, &state->link, &state->queues))
			reconcile_port_detach(reconcile, state, "its interface is gone");
	}
}

/* What is alive and was lost all the same is sent again, but not at once: it might be lost for
 * ever. */
void reconcile_port_lost(struct reconcile *reconcile, const struct proto_port_lost *lost)
{
	struct reconcile_port *state = reconcile_port_at(reconcile, lost->port.index);

	if (state == NULL || state->link.ref.incarnation != lost->port.incarnation)
		return;
	if (state->pcap != NULL)
		reconcile_pcap_lost(reconcile, state);
	else if (state->vhost != NULL)
		reconcile_vhost_lost(reconcile, state);
	else if (state->link.type == MODEL_PORT_DPDK)
		reconcile_device_lost(reconcile, lost);
	else if (state->queues.count == 0)
		return;
	else if (!links_alive(reconcile->links, &state->link, &state->queues)) {
		reconcile_port_detach(reconcile, state, "its interface is gone");
	} else {
		state->lost = true;
		if (state->list == RECONCILE_LIST_NONE)
			reconcile_port_move(reconcile, state, RECONCILE_LIST_WAITING);
	}
	reconcile_schedule(reconcile);
}

void reconcile_port_gone(struct reconcile *reconcile, uint32_t index)
{
	struct reconcile_port *state = reconcile_port_at(reconcile, index);

	if (index == PROTO_NO_INDEX)
		reconcile_ports_check(reconcile, false);
	else if (state != NULL && state->queues.count > 0 &&
		 !links_alive(reconcile->links, &state->link, &state->queues))
		reconcile_port_detach(reconcile, state, "its interface is gone");
	reconcile_schedule(reconcile);
}

void reconcile_ports_review_mtu(struct reconcile *reconcile)
{
	(void)model_each_port(reconcile->model, review_mtu, reconcile);
}

void reconcile_ports_review_queues(struct reconcile *reconcile)
{
	uint32_t i;

	for (i = 0; i < reconcile->port_capacity; i++) {
		const struct reconcile_port *state = reconcile->ports[i];

		if (state != NULL && state->queues.count > 0 &&
		    state->link.queue_count != reconcile_queue_count(reconcile))
			reconcile_port_queue(reconcile, i);
	}
}

void reconcile_ports_fini(struct reconcile *reconcile)
{
	uint32_t i;

	for (i = 0; i < reconcile->port_capacity; i++)
		if (reconcile->ports[i] != NULL)
			free_state(reconcile, reconcile->ports[i]);
	free(reconcile->ports);
}

/* Makes one port as the model says, as far as it can be done now. */
static void work_on(struct reconcile *reconcile, struct reconcile_port *state)
{
	const struct model_port *port =
		model_port_by_index(reconcile->model, state->link.ref.index);
	struct links_port wanted;

	reconcile_port_move(reconcile, state, RECONCILE_LIST_NONE);
	if (port != NULL)
		reconcile_port_wanted(reconcile, port, &wanted);
	if (state->ifname[0] != '\0' && (port == NULL || is_elsewhere(state, &wanted)))
		remove_interface(reconcile, state, port == NULL);
	if (port == NULL || port->type != MODEL_PORT_VHOST_USER)
		reconcile_vhost_free(reconcile, state, true);
	if (port == NULL) {
		free_state(reconcile, state);
		return;
	}
	if (port->type != MODEL_PORT_PCAP)
		reconcile_pcap_free(state);
	if (!has_interface(port->type)) {
		work_without_interface(reconcile, state, port, &wanted);
		return;
	}
	if (reconcile_prepare(reconcile) < 0) {
		snprintf(state->reason, sizeof(state->reason), "%s", reconcile->setup_problem);
		reconcile_port_move(reconcile, state, RECONCILE_LIST_WAITING);
		return;
	}
	if (port->type == MODEL_PORT_NETDEV) {
		reconcile_netdev_work(reconcile, state, port, &wanted);
		return;
	}
	if (state->lost && !links_alive(reconcile->links, &state->link, &state->queues))
		reconcile_port_detach(reconcile, state, "its interface is gone");
	if (state->lost)
		reconcile_port_attach(reconcile, state, &state->link, &state->queues);
	if (state->queues.count == 0)
		open_port(reconcile, state, port, &wanted);
	if (state->queues.count > 0) {
		reconcile_port_fit(reconcile, state, &wanted);
		set_up_port(reconcile, state, port, &wanted);
	}
	if (state->queues.count == 0 || !state->configured)
		reconcile_port_move(reconcile, state, RECONCILE_LIST_WAITING);
}

static bool has_interface(enum model_port_type type)
{
	return type == MODEL_PORT_TAP || type == MODEL_PORT_VETH || type == MODEL_PORT_NETDEV;
}

static void work_without_interface(struct reconcile *reconcile, struct reconcile_port *state,
				   const struct model_port *port, const struct links_port *wanted)
{
	/* What the former port of this index had is not this one's. */
	if (state->link.ref.incarnation != port->ref.incarnation)
		state->attachment = 0;
	remember(state, wanted);
	if (port->type == MODEL_PORT_PCAP) {
		reconcile_pcap_work(reconcile, state, port);
	} else if (port->type == MODEL_PORT_VHOST_USER) {
		reconcile_vhost_work(reconcile, state, port);
	} else if (port->type == MODEL_PORT_DPDK) {
		reconcile_device_work(reconcile, state, port);
	} else {
		state->reason[0] = '\0';
		state->configured = true;
	}
}

static bool is_elsewhere(const struct reconcile_port *state, const struct links_port *wanted)
{
	return state->link.ref.incarnation != wanted->ref.incarnation ||
	       state->link.type != wanted->type || state->link.shared != wanted->shared ||
	       strcmp(state->netns, wanted->netns) != 0 ||
	       strcmp(state->ifname, wanted->ifname) != 0;
}

static bool is_set_up(const struct reconcile_port *state, const struct links_port *wanted)
{
	const struct links_port *link = &state->link;
	uint32_t i;

	if (!state->configured || link->mtu != wanted->mtu ||
	    link->gso_frames != wanted->gso_frames || link->ip_count != wanted->ip_count ||
	    memcmp(&link->mac, &wanted->mac, sizeof(link->mac)) != 0 ||
	    link->gateway.family != wanted->gateway.family ||
	    (link->gateway.family != 0 && !addr_ip_equal(&link->gateway, &wanted->gateway)))
		return false;
	for (i = 0; i < link->ip_count; i++)
		if (link->ips[i].length != wanted->ips[i].length ||
		    !addr_ip_equal(&link->ips[i].addr, &wanted->ips[i].addr))
			return false;
	return true;
}

static void open_port(struct reconcile *reconcile, struct reconcile_port *state,
		      const struct model_port *port, const struct links_port *wanted)
{
	char former[MODEL_TEXT_SIZE];
	struct links_queues queues;
	int error = links_open(reconcile->links, wanted, &queues);

	memcpy(former, state->reason, sizeof(former));
	if (error == 0)
		reconcile_port_attach(reconcile, state, wanted, &queues);
	else
		explain(state, wanted, error);
	reconcile_port_log(port, former, state->reason);
}

/* What waits is tried again and again: only what is new is worth a line. */
void reconcile_port_log(const struct model_port *port, const char *former, const char *reason)
{
	const struct log_object object = {
		.tenant = port->tenant == NULL ? NULL : port->tenant->name, .port = port->name};
	char name[2 * ADDR_NAME_SIZE + 8];

	if (strcmp(former, reason) == 0)
		return;
	if (reason[0] != '\0')
		log_about(LOG_LEVEL_INFO, &object, "%s waits: %s", reconcile_port_name(port, name),
			  reason);
	else
		log_about(LOG_LEVEL_INFO, &object, "%s is attached",
			  reconcile_port_name(port, name));
}

static void set_up_port(struct reconcile *reconcile, struct reconcile_port *state,
			const struct model_port *port, const struct links_port *wanted)
{
	char name[2 * ADDR_NAME_SIZE + 8];
	int error;

	if (is_set_up(state, wanted))
		return;
	error = links_configure(reconcile->links, wanted, &state->link);
	remember(state, wanted);
	state->configured = error == 0;
	if (error == 0)
		state->reason[0] = '\0';
	else
		reconcile_problem(state->reason, "%s: its interface %s cannot be set up: %s",
				  reconcile_port_name(port, name), wanted->ifname,
				  strerror(-error));
}

/* Keeps a copy of what the interface is now. */
static void remember(struct reconcile_port *state, const struct links_port *link)
{
	struct addr_prefix *ips = NULL;

	if (link == &state->link)
		return;
	if (link->ip_count > 0) {
		ips = reconcile_grow(NULL, link->ip_count, sizeof(*ips));
		memcpy(ips, link->ips, link->ip_count * sizeof(*ips));
	}
	free(state->ips);
	state->ips = ips;
	state->link = *link;
	snprintf(state->ifname, sizeof(state->ifname), "%s", link->ifname);
	snprintf(state->netns, sizeof(state->netns), "%s", link->netns);
	state->link.ifname = state->ifname;
	state->link.netns = state->netns;
	state->link.ips = ips;
}

static void explain(struct reconcile_port *state, const struct links_port *wanted, int error)
{
	char place[NAMESPACES_TEXT_SIZE];
	const char *where = namespaces_describe(wanted->netns, place);

	if (error == -ENOENT)
		snprintf(state->reason, sizeof(state->reason), "no %s", where);
	else if (error == -EMEDIUMTYPE)
		snprintf(state->reason, sizeof(state->reason), "%s is no network namespace",
			 wanted->netns);
	else if (error == -EEXIST)
		snprintf(state->reason, sizeof(state->reason), "interface name %s is taken in %s",
			 wanted->ifname, where);
	else if (error == -EBUSY)
		snprintf(state->reason, sizeof(state->reason),
			 "interface %s in %s is held by another process", wanted->ifname, where);
	else
		snprintf(state->reason, sizeof(state->reason), "cannot make interface %s in %s: %s",
			 wanted->ifname, where, strerror(-error));
}

/* together: with others, soon; else at once, since something takes its place. */
static void remove_interface(struct reconcile *reconcile, struct reconcile_port *state,
			     bool together)
{
	if (state->link.type != MODEL_PORT_MEMORY &&
	    (!together || links_removal_add(&reconcile->removal, reconcile->links, &state->link,
					    &state->queues) < 0))
		links_remove(reconcile->links, &state->link, &state->queues);
	if (state->queues.count > 0)
		reconcile_port_detach(reconcile, state, "");
	state->ifname[0] = '\0';
	reconcile_port_move(reconcile, state, RECONCILE_LIST_NONE);
}

static void free_state(struct reconcile *reconcile, struct reconcile_port *state)
{
	reconcile_port_move(reconcile, state, RECONCILE_LIST_NONE);
	reconcile->ports[state->link.ref.index] = NULL;
	link_watch_free(state->watch);
	links_queues_close(&state->queues);
	reconcile_pcap_free(state);
	reconcile_vhost_free(reconcile, state, false);
	free(state->ips);
	free(state);
}

static struct reconcile_port *make_state(struct reconcile *reconcile, uint32_t index)
{
	struct reconcile_port *state = reconcile_grow(NULL, 1, sizeof(*state));

	memset(state, 0, sizeof(*state));
	state->reconcile = reconcile;
	state->link.ifname = state->ifname;
	state->link.netns = state->netns;
	if (index >= reconcile->port_capacity) {
		uint32_t capacity = reconcile->port_capacity == 0 ? 64 : reconcile->port_capacity;

		while (capacity <= index)
			capacity *= 2;
		reconcile->ports =
			reconcile_grow(reconcile->ports, capacity, sizeof(struct reconcile_port *));
		memset(reconcile->ports + reconcile->port_capacity, 0,
		       (capacity - reconcile->port_capacity) * sizeof(struct reconcile_port *));
		reconcile->port_capacity = capacity;
	}
	reconcile->ports[index] = state;
	return state;
}

/* Only names of /run/netns are watched. */
static bool goes_unseen(const struct reconcile *reconcile, const struct reconcile_port *state)
{
	return reconcile->netns_event == NULL || strpbrk(state->netns, "/:") != NULL;
}

static void set_polled(struct reconcile *reconcile, struct reconcile_port *state, bool polled)
{
	reconcile->polled_ports += polled;
	reconcile->polled_ports -= state->polled;
	state->polled = polled;
}

static int review_mtu(void *context, struct model_port *port)
{
	struct reconcile *reconcile = context;
	const struct reconcile_port *state = reconcile_port_at(reconcile, port->ref.index);
	struct links_port wanted;
	bool same;

	reconcile_port_wanted(reconcile, port, &wanted);
	same = state != NULL && state->link.mtu == wanted.mtu && port->type != MODEL_PORT_NETDEV;
	if (same && state->link.gso_frames == wanted.gso_frames)
		return 0;
	reconcile_port_queue(reconcile, port->ref.index);
	/* What its kernel puts into a super-packet is nothing to the datapath. */
	if (!same)
		sent_mark(reconcile->sent, SENT_PORT, port->ref.index);
	return 0;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}
