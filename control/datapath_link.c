/* SPDX-License-Identifier: Apache-2.0 */
#include "control/datapath_link.h"

#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/log.h"

#define MESSAGES_A_TURN 64

static const struct timeval retry_interval = {0, 100000};
/* What a datapath that lives cannot take; a full configuration of 100,000 ports is there in a few
 * seconds. */
static const struct timeval answer_timeout = {30, 0};

struct datapath_link {
	struct event_base *base;
	struct sockaddr_un address;
	const struct datapath_link_events *events;
	void *context;
	enum datapath_link_state state;
	bool refused;	/* the listener was somebody else's: said once */
	int last_error; /* why the connection ended last, said once */
	int broken;	/* a negative errno that a call met, told from the event loop */
	struct channel *channel;
	struct event *readable, *writable, *retry, *timeout, *breakage;
};

static int make_events(struct datapath_link *link);
static void try_connect(struct datapath_link *link);
static int connect_socket(struct datapath_link *link);
static int check_peer(struct datapath_link *link, int fd);
static int adopt_socket(struct datapath_link *link, int fd);
static void disconnect(struct datapath_link *link, int error);
static void close_connection(struct datapath_link *link);
static void note_break(struct datapath_link *link, int error);
static void await_answer(struct datapath_link *link, enum datapath_link_state state);
static void on_retry(evutil_socket_t fd, short what, void *context);
static void on_timeout(evutil_socket_t fd, short what, void *context);
static void on_breakage(evutil_socket_t fd, short what, void *context);
static void on_writable(evutil_socket_t fd, short what, void *context);
static void on_readable(evutil_socket_t fd, short what, void *context);
static int take_message(struct datapath_link *link, struct channel_message *message);
static int take_hello(struct datapath_link *link, const struct channel_message *message);
static int take_handback(struct datapath_link *link, struct channel_message *message);
static int take_reply(struct datapath_link *link, const struct channel_message *message);
static void take_devices(struct datapath_link *link, const struct channel_message *message);
static void take_lost(struct datapath_link *link, const struct channel_message *message);
static void take_held(struct datapath_link *link, const struct channel_message *message);

int datapath_link_new(struct datapath_link **link, struct event_base *base, const char *run_dir,
		      const struct datapath_link_events *events, void *context)
{
	struct datapath_link *made = calloc(1, sizeof(*made));
	int length, error;

	if (made == NULL)
		return -ENOMEM;
	made->base = base;
	made->events = events;
	made->context = context;
	made->address.sun_family = AF_UNIX;
	length = snprintf(made->address.sun_path, sizeof(made->address.sun_path),
			  "%s/datapath.sock", run_dir);
	error = (size_t)length >= sizeof(made->address.sun_path) ? -ENAMETOOLONG
								 : make_events(made);
	if (error < 0) {
		datapath_link_free(made);
		return error;
	}
	try_connect(made);
	*link = made;
	return 0;
}

void datapath_link_free(struct datapath_link *link)
{
	struct event *events[3];
	size_t i;

	if (link == NULL)
		return;
	close_connection(link);
	events[0] = link->retry;
	events[1] = link->timeout;
	events[2] = link->breakage;
	for (i = 0; i < 3; i++)
		if (events[i] != NULL)
			event_free(events[i]);
	free(link);
}

enum datapath_link_state datapath_link_state(const struct datapath_link *link)
{
	return link->state;
}

int datapath_link_error(const struct datapath_link *link)
{
	if (link->state != DATAPATH_LINK_ABSENT && link->state != DATAPATH_LINK_GREETING)
		return 0;
	return link->refused ? -EPERM : link->last_error;
}

void datapath_link_request_handback(struct datapath_link *link)
{
	datapath_link_send_empty(link, PROTO_HANDBACK_REQUEST);
	datapath_link_flush(link);
	await_answer(link, DATAPATH_LINK_HANDBACK);
}

void datapath_link_send(struct datapath_link *link, enum proto_type type, const void *record,
			uint16_t record_size, const int *fds, uint32_t fd_count)
{
	if (link->broken == 0)
		note_break(link, channel_append(link->channel, (uint16_t)type, record, record_size,
						fds, fd_count));
}

void datapath_link_send_empty(struct datapath_link *link, enum proto_type type)
{
	if (link->broken == 0)
		note_break(link, channel_append_empty(link->channel, (uint16_t)type));
}

void datapath_link_commit(struct datapath_link *link, uint64_t generation)
{
	const struct proto_commit commit = {.generation = generation};

	datapath_link_send(link, PROTO_COMMIT, &commit, sizeof(commit), NULL, 0);
	datapath_link_flush(link);
	await_answer(link, DATAPATH_LINK_COMMITTED);
}

void datapath_link_flush(struct datapath_link *link)
{
	if (link->broken != 0)
		return;
	note_break(link, channel_flush(link->channel));
	if (link->broken == 0 && channel_wants_write(link->channel))
		event_add(link->writable, NULL);
}

static int make_events(struct datapath_link *link)
{
	link->retry = evtimer_new(link->base, on_retry, link);
	link->timeout = evtimer_new(link->base, on_timeout, link);
	link->breakage = evtimer_new(link->base, on_breakage, link);
	return link->retry == NULL || link->timeout == NULL || link->breakage == NULL ? -ENOMEM : 0;
}

static void try_connect(struct datapath_link *link)
{
	int fd = connect_socket(link);

	if (fd < 0 || adopt_socket(link, fd) < 0) {
		event_add(link->retry, &retry_interval);
		return;
	}
	await_answer(link, DATAPATH_LINK_GREETING);
}

static int connect_socket(struct datapath_link *link)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&link->address, sizeof(link->address)) < 0)
		error = -errno;
	else
		error = check_peer(link, fd);
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

/*
 * The credentials are those at listen(), before the datapath gave its own up: whoever gets our
 * descriptors must have been started by us or by root.
 */
static int check_peer(struct datapath_link *link, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	if (peer.uid == 0 || peer.uid == geteuid()) {
		link->refused = false;
		return 0;
	}
	if (!link->refused)
		log_error("%s is served by uid %u: not connected", link->address.sun_path,
			  peer.uid);
	link->refused = true;
	return -EPERM;
}

/* Takes the socket, or closes it. */
static int adopt_socket(struct datapath_link *link, int fd)
{
	link->channel = channel_new(fd);
	if (link->channel == NULL) {
		close(fd);
		return -ENOMEM;
	}
	link->broken = 0;
	link->readable = event_new(link->base, fd, EV_READ | EV_PERSIST, on_readable, link);
	link->writable = event_new(link->base, fd, EV_WRITE, on_writable, link);
	if (link->readable == NULL || link->writable == NULL ||
	    event_add(link->readable, NULL) < 0) {
		close_connection(link);
		return -ENOMEM;
	}
	return 0;
}

static void disconnect(struct datapath_link *link, int error)
{
	if (error != link->last_error)
		log_warning("the datapath is gone: %s", strerror(-error));
	link->last_error = error;
	close_connection(link);
	event_add(link->retry, &retry_interval);
	link->events->disconnected(link->context);
}

static void close_connection(struct datapath_link *link)
{
	if (link->timeout != NULL)
		event_del(link->timeout);
	if (link->breakage != NULL)
		event_del(link->breakage);
	/* Before the socket is closed: its number may be another's at once. */
	if (link->readable != NULL)
		event_free(link->readable);
	if (link->writable != NULL)
		event_free(link->writable);
	link->readable = NULL;
	link->writable = NULL;
	channel_free(link->channel);
	link->channel = NULL;
	link->state = DATAPATH_LINK_ABSENT;
	link->broken = -ENOTCONN;
}

static void note_break(struct datapath_link *link, int error)
{
	static const struct timeval now = {0, 0};

	if (error >= 0)
		return;
	link->broken = error;
	event_add(link->breakage, &now);
}

static void await_answer(struct datapath_link *link, enum datapath_link_state state)
{
	link->state = state;
	event_add(link->timeout, &answer_timeout);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	try_connect(context);
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	disconnect(context, -ETIMEDOUT);
}

static void on_breakage(evutil_socket_t fd, short what, void *context)
{
	struct datapath_link *link = context;

	(void)fd;
	(void)what;
	disconnect(link, link->broken);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	datapath_link_flush(context);
}

/* A callback cannot close the connection, but a message can: then the channel is no more. */
static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct datapath_link *link = context;
	struct channel_message message;
	int turn, result;

	(void)fd;
	(void)what;
	for (turn = 0; turn < MESSAGES_A_TURN; turn++) {
		result = channel_receive(link->channel, &message);
		if (result == 0)
			return;
		if (result > 0) {
			result = take_message(link, &message);
			channel_message_close(&message);
		}
		if (result < 0) {
			disconnect(link, result);
			return;
		}
	}
}

/* Returns 0, or a negative errno for what breaks the order. What is unknown is a newer datapath's.
 */
static int take_message(struct datapath_link *link, struct channel_message *message)
{
	if (link->state == DATAPATH_LINK_GREETING)
		return take_hello(link, message);
	switch (message->type) {
	case PROTO_HANDBACK:
		return take_handback(link, message);
	case PROTO_HANDBACK_END:
		if (link->state != DATAPATH_LINK_HANDBACK)
			return -EPROTO;
		event_del(link->timeout);
		link->state = DATAPATH_LINK_READY;
		link->events->handback_end(link->context);
		return 0;
	case PROTO_REPLY:
		return take_reply(link, message);
	case PROTO_DEVICE:
		take_devices(link, message);
		return 0;
	case PROTO_PORT_LOST:
		take_lost(link, message);
		return 0;
	case PROTO_MAC_HELD:
		take_held(link, message);
		return 0;
	case PROTO_HELLO:
		return -EPROTO;
	default:
		return 0;
	}
}

static int take_hello(struct datapath_link *link, const struct channel_message *message)
{
	struct proto_hello hello;

	if (message->type != PROTO_HELLO || message->count != 1)
		return -EPROTO;
	channel_record(message, 0, &hello, sizeof(hello));
	hello.build[sizeof(hello.build) - 1] = '\0';
	if (hello.version != PROTO_VERSION) {
		if (link->last_error != -EPROTONOSUPPORT)
			log_error("the datapath speaks protocol version %u, not %u", hello.version,
				  PROTO_VERSION);
		return -EPROTONOSUPPORT;
	}
	event_del(link->timeout);
	link->last_error = 0;
	link->state = DATAPATH_LINK_READY;
	link->events->connected(link->context, &hello);
	return 0;
}

static int take_handback(struct datapath_link *link, struct channel_message *message)
{
	struct proto_handback record;
	uint32_t i, used = 0;

	if (link->state != DATAPATH_LINK_HANDBACK)
		return -EPROTO;
	for (i = 0; i < message->count; i++) {
		channel_record(message, i, &record, sizeof(record));
		if (record.fd_count > message->fd_count - used)
			return -EPROTO;
		link->events->handback(link->context, &record, message->fds + used);
		used += record.fd_count;
	}
	return 0;
}

static int take_reply(struct datapath_link *link, const struct channel_message *message)
{
	struct proto_reply reply;

	if (link->state != DATAPATH_LINK_COMMITTED || message->count != 1)
		return -EPROTO;
	channel_record(message, 0, &reply, sizeof(reply));
	reply.text[sizeof(reply.text) - 1] = '\0';
	event_del(link->timeout);
	link->state = DATAPATH_LINK_READY;
	link->events->replied(link->context, &reply);
	return 0;
}

static void take_devices(struct datapath_link *link, const struct channel_message *message)
{
	struct proto_device device;
	uint32_t i;

	for (i = 0; i < message->count; i++) {
		channel_record(message, i, &device, sizeof(device));
		link->events->device(link->context, &device);
	}
}

static void take_lost(struct datapath_link *link, const struct channel_message *message)
{
	struct proto_port_lost lost;
	uint32_t i;

	for (i = 0; i < message->count; i++) {
		channel_record(message, i, &lost, sizeof(lost));
		link->events->port_lost(link->context, &lost);
	}
}

static void take_held(struct datapath_link *link, const struct channel_message *message)
{
	struct proto_mac_held held;
	uint32_t i;

	for (i = 0; i < message->count; i++) {
		channel_record(message, i, &held, sizeof(held));
		link->events->mac_held(link->context, &held);
	}
}
