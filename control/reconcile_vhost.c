/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports of virtual machines over vhost-user. The datapath alone has their connections: what was
 * said over one cannot be said again, so that a copy would only hide its end from the hypervisor.
 * Here a connection lives from connect() or accept() until the datapath has taken it.
 *
 * state      connection         ways out
 * waiting    none               ours: somebody listens, or has connected
 * ours       here, fd >= 0      the datapath's: it committed; waiting: it went
 * the        fd < 0, attached   waiting: PORT_LOST, or the datapath went (which, if it lives, hands
 * datapath's                    the connection back)
 *
 * A port that waits is tried by the timer. With a socket of our own, an event tells of who
 * connects, and the timer sees to it that the socket's file is there.
 */

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/reconcile_internal.h"

/* A frontend that is refused, or that refuses, over and over shall not fill logs. */
#define BRIEF	   1000000000u /* ns: a connection that ends before did not last */
#define BRIEF_MANY 4u
#define REST	   2000000000u /* ns: until the next is tried after so many */

struct reconcile_vhost {
	uint32_t incarnation; /* of the port that it is for */
	char path[MODEL_SOCKET_SIZE];
	bool server;
	int fd;			  /* a connection that is ours still; else -1 */
	bool told;		  /* the transaction under way gives it away */
	int error;		  /* why there is none; 0: not known */
	struct vhost_place place; /* where the socket was looked at, with the same result */
	uint64_t since;		  /* when the connection was found, ns */
	uint32_t brief_count;	  /* connections in a row that did not last */
	uint64_t not_before;	  /* until then nothing is tried, ns */
	struct vhost_listener listener;
	struct event *acceptable; /* somebody connects; there while we listen */
};

static struct reconcile_vhost *vhost_of(struct reconcile_port *state);
static bool is_other(const struct reconcile_vhost *vhost, const struct model_port *port);
static void begin(struct reconcile_vhost *vhost, const struct model_port *port);
static void end_connection(struct reconcile *reconcile, struct reconcile_port *state);
static int stand(struct reconcile *reconcile, struct reconcile_port *state);
static void lie_down(struct reconcile_vhost *vhost, bool remove);
static int find_frontend(const struct reconcile *reconcile, struct reconcile_vhost *vhost);
static uint64_t now(void);
static void on_acceptable(evutil_socket_t fd, short what, void *context);

void reconcile_vhost_work(struct reconcile *reconcile, struct reconcile_port *state,
			  const struct model_port *port)
{
	struct reconcile_vhost *vhost = vhost_of(state);
	const char *waits = reconcile_dpdk_waits(reconcile);
	char former[MODEL_TEXT_SIZE];
	int result = 0;

	memcpy(former, state->reason, sizeof(former));
	if (is_other(vhost, port)) {
		end_connection(reconcile, state);
		lie_down(vhost, true);
		begin(vhost, port);
	}
	/* Nobody shall wait for an answer that no datapath will give. */
	if (reconcile_lacks_dpdk(reconcile))
		lie_down(vhost, false);
	else if (vhost->server)
		result = stand(reconcile, state);
	if (state->attachment != 0)
		return;
	if (result == 0 && waits == NULL)
		result = find_frontend(reconcile, vhost);
	vhost->error = result < 0 ? result : 0;
	vhost->place.inode = 0;
	if (result < 0) {
		vhost_sockets_explain(port->socket, port->server, result, state->reason,
				      sizeof(state->reason));
		reconcile_port_move(reconcile, state, RECONCILE_LIST_WAITING);
	} else if (waits != NULL) {
		snprintf(state->reason, sizeof(state->reason), "%s", waits);
		reconcile_port_move(reconcile, state, RECONCILE_LIST_AWAY);
	} else {
		vhost->fd = result;
		vhost->since = now();
		vhost->not_before = 0;
		state->attachment = ++reconcile->last_attachment;
		state->reason[0] = '\0';
		sent_mark(reconcile->sent, SENT_PORT, port->ref.index);
	}
	reconcile_port_log(port, former, state->reason);
}

bool reconcile_vhost_still_waits(const struct reconcile *reconcile, struct reconcile_port *state,
				 struct vhost_round *round)
{
	struct reconcile_vhost *vhost = state->vhost;

	if (vhost == NULL)
		return false;
	if (vhost->not_before != 0 && now() < vhost->not_before)
		return true;
	if (vhost->server && vhost->error == -EAGAIN)
		return event_pending(vhost->acceptable, EV_READ, NULL) &&
		       (vhost_round_unchanged(round, vhost->path, &vhost->place) ||
			vhost_listener_stands(&vhost->listener, vhost->path));
	if (vhost->server || (vhost->error != -ENOENT && vhost->error != -ECONNREFUSED))
		return false;
	return vhost_round_unchanged(round, vhost->path, &vhost->place) ||
	       vhost_sockets_probe(&reconcile->vhost_sockets, vhost->path) == vhost->error;
}

int reconcile_vhost_look(const struct reconcile *reconcile, const struct model_port *port,
			 char reason[MODEL_TEXT_SIZE])
{
	const struct reconcile_port *state = reconcile_port_at(reconcile, port->ref.index);
	const char *waits = reconcile_dpdk_waits(reconcile);
	int error = 0;

	if (waits != NULL) {
		snprintf(reason, MODEL_TEXT_SIZE, "%s", waits);
		return -EAGAIN;
	}
	if (state != NULL && state->vhost != NULL && state->attachment != 0 &&
	    !is_other(state->vhost, port))
		return 0;
	/* Who connects to us, does so when we are there. */
	if (!port->server)
		error = vhost_sockets_probe(&reconcile->vhost_sockets, port->socket);
	if (error == 0)
		return 0;
	vhost_sockets_explain(port->socket, port->server, error, reason, MODEL_TEXT_SIZE);
	return -EAGAIN;
}

uint32_t reconcile_vhost_fds(const struct reconcile_port *state, int fds[PROTO_QUEUES_MAX])
{
	fds[0] = state->vhost->fd;
	return fds[0] >= 0;
}

void reconcile_vhost_told(struct reconcile *reconcile, struct reconcile_port *state)
{
	state->vhost->told = true;
	reconcile->vhost_told = true;
}

/* Whether either side has ended a connection: of the datapath's word for it nobody knows which. */
static bool has_ended(int fd)
{
	struct pollfd look = {.fd = fd};

	return poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR)) != 0;
}

/* What was refused is ours still, and is sent again. */
void reconcile_vhost_replied(struct reconcile *reconcile, bool committed)
{
	uint32_t i;

	for (i = 0; reconcile->vhost_told && i < reconcile->port_capacity; i++) {
		struct reconcile_vhost *vhost =
			reconcile->ports[i] == NULL ? NULL : reconcile->ports[i]->vhost;
		bool ended;

		if (vhost == NULL || !vhost->told)
			continue;
		vhost->told = false;
		if (!committed)
			continue;
		ended = has_ended(vhost->fd);
		close(vhost->fd);
		vhost->fd = -1;
		if (ended)
			reconcile_vhost_lost(reconcile, reconcile->ports[i]);
	}
	reconcile->vhost_told = false;
}

bool reconcile_vhost_forget(struct reconcile *reconcile)
{
	bool any = false;
	uint32_t i;

	for (i = 0; i < reconcile->port_capacity; i++) {
		struct reconcile_port *state = reconcile->ports[i];

		if (state == NULL || state->vhost == NULL || state->attachment == 0)
			continue;
		end_connection(reconcile, state);
		reconcile_port_queue(reconcile, i);
		any = true;
	}
	reconcile->vhost_told = false;
	return any;
}

bool reconcile_vhost_take(struct reconcile *reconcile, const struct model_port *port, int fd)
{
	struct reconcile_port *state;
	struct reconcile_vhost *vhost;

	reconcile_port_queue(reconcile, port->ref.index);
	state = reconcile_port_at(reconcile, port->ref.index);
	vhost = vhost_of(state);
	if (state->attachment != 0 || !vhost_sockets_match(fd, port->socket, port->server))
		return false;
	if (is_other(vhost, port)) {
		lie_down(vhost, true);
		begin(vhost, port);
	}
	state->attachment = ++reconcile->last_attachment;
	state->reason[0] = '\0';
	return true;
}

/* Of a connection that is ours it knows nothing: it speaks of the one before. */
void reconcile_vhost_lost(struct reconcile *reconcile, struct reconcile_port *state)
{
	const struct model_port *port =
		model_port_by_index(reconcile->model, state->link.ref.index);
	struct reconcile_vhost *vhost = state->vhost;

	if (state->attachment == 0 || vhost->fd >= 0)
		return;
	end_connection(reconcile, state);
	vhost->brief_count = now() - vhost->since < BRIEF ? vhost->brief_count + 1 : 0;
	if (vhost->brief_count >= BRIEF_MANY)
		vhost->not_before = now() + REST;
	snprintf(state->reason, sizeof(state->reason), "the connection over %s ended", vhost->path);
	/* Not at once: it might end again and again. */
	reconcile_port_move(reconcile, state, RECONCILE_LIST_WAITING);
	if (port != NULL)
		reconcile_port_log(port, "", state->reason);
}

void reconcile_vhost_free(struct reconcile *reconcile, struct reconcile_port *state, bool remove)
{
	if (state->vhost == NULL)
		return;
	end_connection(reconcile, state);
	lie_down(state->vhost, remove);
	free(state->vhost);
	state->vhost = NULL;
}

static struct reconcile_vhost *vhost_of(struct reconcile_port *state)
{
	if (state->vhost == NULL) {
		state->vhost = reconcile_grow(NULL, 1, sizeof(*state->vhost));
		memset(state->vhost, 0, sizeof(*state->vhost));
		state->vhost->fd = -1;
		state->vhost->listener.fd = -1;
	}
	return state->vhost;
}

static bool is_other(const struct reconcile_vhost *vhost, const struct model_port *port)
{
	return vhost->incarnation != port->ref.incarnation || vhost->server != port->server ||
	       strcmp(vhost->path, port->socket) != 0;
}

static void begin(struct reconcile_vhost *vhost, const struct model_port *port)
{
	vhost->incarnation = port->ref.incarnation;
	vhost->server = port->server;
	memcpy(vhost->path, port->socket, sizeof(vhost->path));
	vhost->brief_count = 0;
	vhost->not_before = 0;
}

/* Here, and in the datapath as soon as it hears of it. */
static void end_connection(struct reconcile *reconcile, struct reconcile_port *state)
{
	struct reconcile_vhost *vhost = state->vhost;

	if (vhost->fd >= 0)
		close(vhost->fd);
	vhost->fd = -1;
	vhost->told = false;
	vhost->error = 0;
	if (state->attachment != 0)
		sent_mark(reconcile->sent, SENT_PORT, state->link.ref.index);
	state->attachment = 0;
}

/* Listens, anew if somebody took the file away. */
static int stand(struct reconcile *reconcile, struct reconcile_port *state)
{
	struct reconcile_vhost *vhost = state->vhost;
	int error;

	if (vhost->listener.fd >= 0 && vhost_listener_stands(&vhost->listener, vhost->path))
		return 0;
	lie_down(vhost, false);
	error = vhost_listener_open(&vhost->listener, &reconcile->vhost_sockets, vhost->path);
	if (error < 0)
		return error;
	vhost->acceptable =
		event_new(reconcile->base, vhost->listener.fd, EV_READ, on_acceptable, state);
	if (vhost->acceptable != NULL)
		return 0;
	lie_down(vhost, true);
	return -ENOMEM;
}

static void lie_down(struct reconcile_vhost *vhost, bool remove)
{
	if (vhost->acceptable != NULL)
		event_free(vhost->acceptable);
	vhost->acceptable = NULL;
	vhost_listener_close(&vhost->listener, vhost->path, remove);
}

/* Returns a connection, or why there is none. */
static int find_frontend(const struct reconcile *reconcile, struct reconcile_vhost *vhost)
{
	int fd;

	if (!vhost->server)
		return vhost_sockets_connect(&reconcile->vhost_sockets, vhost->path);
	fd = vhost_listener_accept(&vhost->listener);
	if (fd == -EAGAIN)
		event_add(vhost->acceptable, NULL);
	return fd;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void on_acceptable(evutil_socket_t fd, short what, void *context)
{
	struct reconcile_port *state = context;

	(void)fd;
	(void)what;
	reconcile_port_queue(state->reconcile, state->link.ref.index);
	reconcile_schedule(state->reconcile);
}
