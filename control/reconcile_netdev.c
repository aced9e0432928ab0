/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports of adopted interfaces. What happens to an interface of the daemon's own namespace is told
 * by one netlink socket, so that a thousand machines that are off cost nothing. Such a socket keeps
 * a namespace alive: another namespace has one only while a port's own descriptor, which keeps it
 * alive as well, is there, and a port that waits in one is tried again by the timer.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "control/link_watch.h"
#include "control/namespaces.h"
#include "control/reconcile_internal.h"

static bool take_look(struct reconcile *reconcile, struct reconcile_port *state,
		      const struct links_port *wanted);
static int adopt(struct reconcile *reconcile, struct reconcile_port *state,
		 const struct links_port *wanted);
static void follow(struct reconcile *reconcile, struct reconcile_port *state,
		   const struct model_port *port, const struct links_port *wanted);
static void watch_namespace(struct reconcile *reconcile, struct reconcile_port *state);
static void explain(const struct reconcile *reconcile, struct reconcile_port *state,
		    const struct model_port *port);
static const struct reconcile_port *find_rival(const struct reconcile *reconcile,
					       const struct reconcile_port *state,
					       const struct links_port *wanted);
static bool same_place(const struct reconcile *reconcile, const char *a, const char *b);
static void on_host_link(void *context, const struct link_watch_event *event);
static void on_namespace_link(void *context, const struct link_watch_event *event);
static int check_rival(void *context, struct model_port *port);
static int sweep_place(void *context, struct model_port *port);
static int wants_place(void *context, struct model_port *port);

/* What check_rival() needs. */
struct rival {
	const struct reconcile *reconcile;
	const struct model_port *port;
	const struct model_port *found;
};

/* What wants_place() needs. */
struct place {
	const struct reconcile *reconcile;
	int netns;
	const char *ifname;
};

void reconcile_netdev_work(struct reconcile *reconcile, struct reconcile_port *state,
			   const struct model_port *port, const struct links_port *wanted)
{
	int error = 0;

	if (state->queues.count > 0 && !take_look(reconcile, state, wanted)) {
		links_remove(reconcile->links, &state->link, &state->queues);
		reconcile_port_detach(reconcile, state, "");
	}
	if (state->queues.count == 0)
		error = adopt(reconcile, state, wanted);
	if (state->queues.count > 0) {
		reconcile_port_fit(reconcile, state, wanted);
		follow(reconcile, state, port, wanted);
	}
	if ((error == -ENODEV || error == -EADDRNOTAVAIL) && wanted->netns[0] == '\0')
		reconcile_port_move(reconcile, state, RECONCILE_LIST_AWAY);
	else if (state->queues.count == 0 || !state->configured)
		reconcile_port_move(reconcile, state, RECONCILE_LIST_WAITING);
	else
		reconcile_port_move(reconcile, state, RECONCILE_LIST_NONE);
}

int reconcile_netdev_watch(struct reconcile *reconcile)
{
	return link_watch_new(&reconcile->host_watch, reconcile->base, reconcile->namespaces,
			      namespaces_own(reconcile->namespaces), on_host_link, reconcile);
}

int reconcile_netdev_check(struct reconcile *reconcile, const struct model_port *port,
			   char text[MODEL_TEXT_SIZE])
{
	char name[2 * ADDR_NAME_SIZE + 8], other[2 * ADDR_NAME_SIZE + 8], reason[MODEL_TEXT_SIZE];
	struct rival rival = {.reconcile = reconcile, .port = port};
	struct links_port wanted;
	int error;

	reconcile_port_wanted(reconcile, port, &wanted);
	reconcile_port_name(port, name);
	error = links_netdev_check(reconcile->links, &wanted, reason);
	if (error == -EINVAL || error == -EBUSY) {
		snprintf(text, MODEL_TEXT_SIZE, "%s: %.300s", name, reason);
		return error;
	}
	if (model_each_port(reconcile->model, check_rival, &rival) == 0)
		return 0;
	snprintf(text, MODEL_TEXT_SIZE,
		 "%s: interface %s is taken by %s, which calls its namespace otherwise: name "
		 "another interface",
		 name, port->ifname, reconcile_port_name(rival.found, other));
	return -EBUSY;
}

/* In the namespaces that the links' own sweep does not know. */
void reconcile_netdev_sweep(struct reconcile *reconcile)
{
	(void)model_each_port(reconcile->model, sweep_place, reconcile);
}

bool reconcile_netdev_wants(void *context, int netns, const char *ifname)
{
	struct place place = {.reconcile = context, .netns = netns, .ifname = ifname};

	return model_each_port(place.reconcile->model, wants_place, &place) != 0;
}

/* False: the descriptor is not that of the interface any more. */
static bool take_look(struct reconcile *reconcile, struct reconcile_port *state,
		      const struct links_port *wanted)
{
	struct links_seen seen;
	char reason[MODEL_TEXT_SIZE];

	if (links_netdev_look(reconcile->links, wanted, &state->queues, &seen, reason) < 0)
		return false;
	if (seen.mtu != state->seen.mtu)
		sent_mark(reconcile->sent, SENT_PORT, state->link.ref.index);
	state->seen = seen;
	return true;
}

static int adopt(struct reconcile *reconcile, struct reconcile_port *state,
		 const struct links_port *wanted)
{
	const struct reconcile_port *rival = find_rival(reconcile, state, wanted);
	const struct model_port *port;
	char name[2 * ADDR_NAME_SIZE + 8];
	struct links_queues queues;
	int error;

	if (rival != NULL) {
		port = model_port_by_index(reconcile->model, rival->link.ref.index);
		snprintf(state->reason, sizeof(state->reason), "interface %s is taken by %s",
			 wanted->ifname,
			 port != NULL ? reconcile_port_name(port, name) : "a port that goes");
		return -EBUSY;
	}
	error = links_netdev_open(reconcile->links, wanted, &queues, state->reason);
	if (error < 0)
		return error;
	reconcile_port_attach(reconcile, state, wanted, &queues);
	if (take_look(reconcile, state, wanted))
		return 0;
	/* It went meanwhile; whatever it is now, an event or the timer will find it. */
	links_remove(reconcile->links, &state->link, &state->queues);
	reconcile_port_detach(reconcile, state, "its interface is gone");
	return -EAGAIN;
}

/* A lost descriptor of an interface that is down would be lost again: it is given once it is up. */
static void follow(struct reconcile *reconcile, struct reconcile_port *state,
		   const struct model_port *port, const struct links_port *wanted)
{
	int error;

	if (state->lost && state->seen.up)
		reconcile_port_attach(reconcile, state, &state->link, &state->queues);
	if (state->pins && state->watch == NULL)
		watch_namespace(reconcile, state);
	state->link.mtu = wanted->mtu;
	state->link.match_mac = wanted->match_mac;
	state->link.match_mac_given = wanted->match_mac_given;
	if (!state->configured) {
		error = links_configure(reconcile->links, wanted, NULL);
		state->configured = error == 0;
		if (error < 0) {
			reconcile_problem(state->reason,
					  "the host cannot be kept out of interface %s: %s",
					  wanted->ifname, strerror(-error));
			return;
		}
	}
	explain(reconcile, state, port);
}

static void watch_namespace(struct reconcile *reconcile, struct reconcile_port *state)
{
	int netns = links_netdev_place(state->queues.fds[0]);
	int error = netns;

	if (netns >= 0) {
		error = link_watch_new(&state->watch, reconcile->base, reconcile->namespaces, netns,
				       on_namespace_link, state);
		close(netns);
	}
	if (error < 0)
		log_warning("changes of interface %s go unnoticed: %s", state->ifname,
			    strerror(-error));
}

/* What is to be said of an interface that is attached. */
static void explain(const struct reconcile *reconcile, struct reconcile_port *state,
		    const struct model_port *port)
{
	const struct links_seen *seen = &state->seen;
	uint32_t i, mtu;

	state->reason[0] = '\0';
	state->amiss = false;
	if (!seen->up) {
		snprintf(state->reason, sizeof(state->reason), "interface %s is down",
			 state->ifname);
		return;
	}
	if (!seen->carrier) {
		snprintf(state->reason, sizeof(state->reason), "no carrier");
		return;
	}
	for (i = 0; i < port->member_count; i++) {
		const struct model_segment *segment = port->members[i].segment;

		mtu = reconcile_segment_mtu(reconcile, segment);
		if (seen->mtu >= mtu)
			continue;
		state->amiss = true;
		snprintf(state->reason, sizeof(state->reason),
			 "interface %s has MTU %u, segment %s/%s needs %u: raise it, or set the "
			 "segment's",
			 state->ifname, seen->mtu, segment->tenant->name, segment->name, mtu);
		return;
	}
}

static const struct reconcile_port *find_rival(const struct reconcile *reconcile,
					       const struct reconcile_port *state,
					       const struct links_port *wanted)
{
	uint32_t i;

	for (i = 0; i < reconcile->port_capacity; i++) {
		const struct reconcile_port *other = reconcile->ports[i];

		if (other != NULL && other != state && other->queues.count > 0 &&
		    other->link.type == MODEL_PORT_NETDEV &&
		    strcmp(other->ifname, wanted->ifname) == 0 &&
		    same_place(reconcile, other->netns, wanted->netns))
			return other;
	}
	return NULL;
}

/* Whether two ways of calling a namespace lead to one. */
static bool same_place(const struct reconcile *reconcile, const char *a, const char *b)
{
	bool same = strcmp(a, b) == 0;
	int one, other;

	if (same)
		return true;
	one = namespaces_open(reconcile->namespaces, a);
	other = namespaces_open(reconcile->namespaces, b);
	same = one >= 0 && other >= 0 && namespaces_same(one, other);
	if (one >= 0)
		close(one);
	if (other >= 0)
		close(other);
	return same;
}

/* An interface's name, or the one that it had, may be a port's. */
static void on_host_link(void *context, const struct link_watch_event *event)
{
	struct reconcile *reconcile = context;
	uint32_t i;

	for (i = 0; i < reconcile->port_capacity; i++) {
		const struct reconcile_port *state = reconcile->ports[i];
		const struct model_port *port =
			state == NULL ? NULL : model_port_by_index(reconcile->model, i);

		if (port == NULL || port->type != MODEL_PORT_NETDEV)
			continue;
		if (event == NULL || strcmp(port->ifname, event->ifname) == 0 ||
		    (state->queues.count > 0 && state->seen.ifindex == event->ifindex))
			reconcile_port_queue(reconcile, i);
	}
	reconcile_schedule(reconcile);
}

static void on_namespace_link(void *context, const struct link_watch_event *event)
{
	struct reconcile_port *state = context;

	if (event == NULL || state->seen.ifindex == event->ifindex ||
	    strcmp(state->ifname, event->ifname) == 0) {
		reconcile_port_queue(state->reconcile, state->link.ref.index);
		reconcile_schedule(state->reconcile);
	}
}

static int check_rival(void *context, struct model_port *port)
{
	struct rival *rival = context;

	/* Those that call it alike were compared by the model. */
	if (port->ref.index == rival->port->ref.index || port->type != MODEL_PORT_NETDEV ||
	    strcmp(port->ifname, rival->port->ifname) != 0 ||
	    strcmp(port->netns, rival->port->netns) == 0 ||
	    !same_place(rival->reconcile, port->netns, rival->port->netns))
		return 0;
	rival->found = port;
	return 1;
}

static int sweep_place(void *context, struct model_port *port)
{
	struct reconcile *reconcile = context;
	int netns;

	if (port->type != MODEL_PORT_NETDEV || strpbrk(port->netns, "/:") == NULL)
		return 0;
	netns = namespaces_open(reconcile->namespaces, port->netns);
	if (netns >= 0) {
		links_netdev_sweep(reconcile->links, netns, reconcile_netdev_wants, reconcile);
		close(netns);
	}
	return 0;
}

static int wants_place(void *context, struct model_port *port)
{
	const struct place *place = context;
	int netns;
	bool same;

	if (port->type != MODEL_PORT_NETDEV || port->shared ||
	    strcmp(port->ifname, place->ifname) != 0)
		return 0;
	netns = namespaces_open(place->reconcile->namespaces, port->netns);
	if (netns < 0)
		return 0;
	same = namespaces_same(netns, place->netns);
	close(netns);
	return same;
}
