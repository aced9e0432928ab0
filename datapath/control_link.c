/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/control_link.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "datapath/ports/port.h"
#include "datapath/ports/vhost_memory.h"
#include "datapath/ports/vhost_relay.h"

enum { POLL_SIGNAL, POLL_TIMER, POLL_EVENT, POLL_LISTEN, POLL_CHANNEL, POLL_RELAYS, POLL_COUNT };

struct link {
	struct switch_state *state;
	struct channel *channel; /* NULL: no control daemon */
	uint64_t started;	 /* CLOCK_BOOTTIME, ns */
	unsigned owner;
	bool restart; /* the control daemon wants it */
	struct pollfd polls[POLL_COUNT];
};

int control_link_listen(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path); /* of a former datapath: the run directory is locked against another */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static void disconnect(struct link *link, const char *why)
{
	if (link->channel == NULL)
		return;
	log_info("control daemon disconnected: %s", why);
	channel_free(link->channel);
	link->channel = NULL;
	link->polls[POLL_CHANNEL].fd = -1;
	switch_abort(link->state);
}

/* Sends a record at once; whoever does not read is cut off. */
static void send_record(struct link *link, uint16_t type, const void *record, uint16_t size,
			const int *fds, uint32_t fd_count)
{
	int error;

	if (link->channel == NULL)
		return;
	error = record == NULL ? channel_append_empty(link->channel, type)
			       : channel_append(link->channel, type, record, size, fds, fd_count);
	if (error < 0)
		disconnect(link, strerror(-error));
}

static void flush(struct link *link)
{
	int error = link->channel == NULL ? 0 : channel_flush(link->channel);

	if (error < 0)
		disconnect(link, strerror(-error));
}

static uint32_t hello_flags(const struct switch_state *state)
{
	uint32_t flags = state->restarts ? PROTO_HELLO_RESTARTS : 0;

#ifdef HAVE_DPDK
	flags |= PROTO_HELLO_DPDK;
#endif
	return flags;
}

static void send_hello(struct link *link)
{
	const struct config *config = link->state->config;
	struct proto_hello hello = {
		.version = PROTO_VERSION,
		.pid = (uint32_t)getpid(),
		.generation = config == NULL ? 0 : config->generation,
		.started = link->started,
		.workers = link->state->worker_count,
		.flags = hello_flags(link->state),
	};

	snprintf(hello.build, sizeof(hello.build), "%s", VSWITCH_VERSION);
	send_record(link, PROTO_HELLO, &hello, sizeof(hello), NULL, 0);
	for (uint32_t i = 0; i < link->state->device_count; i++)
		send_record(link, PROTO_DEVICE, &link->state->devices[i],
			    sizeof(link->state->devices[i]), NULL, 0);
}

static void hand_back(struct link *link, uint32_t kind, struct proto_ref ref, const int *fds,
		      uint32_t fd_count)
{
	struct proto_handback record = {.kind = kind, .fd_count = fd_count, .ref = ref};

	if (fd_count > 0)
		send_record(link, PROTO_HANDBACK, &record, sizeof(record), fds, fd_count);
}

static void hand_back_all(struct link *link)
{
	struct switch_state *state = link->state;
	const struct config *config = state->config;

	if (state->stats_fd >= 0)
		hand_back(link, PROTO_HANDBACK_MEMORY, (struct proto_ref){PROTO_MEMORY_STATS, 0},
			  &state->stats_fd, 1);
	if (state->fdb_fd >= 0)
		hand_back(link, PROTO_HANDBACK_MEMORY, (struct proto_ref){PROTO_MEMORY_FDB, 0},
			  &state->fdb_fd, 1);
	for (unsigned i = 0; i < SWITCH_HOLDS_MAX; i++)
		hand_back(link, PROTO_HANDBACK_HOLD, (struct proto_ref){state->holds[i].key, 0},
			  state->holds[i].fds, state->holds[i].fd_count);
	for (uint32_t i = 0; config != NULL && i < config->port_count; i++) {
		const struct config_port *port = config_port(config, i);

		if (port != NULL && port->port != NULL)
			hand_back(link,
				  i == config->vtep ? PROTO_HANDBACK_VTEP : PROTO_HANDBACK_PORT,
				  port->port->ref, port->port->fds, port->port->queue_count);
	}
	send_record(link, PROTO_HANDBACK_END, NULL, 0, NULL, 0);
}

static void accept_control(struct link *link, int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != link->owner) {
		log_warning("refused a connection of user %u", peer.uid);
		close(fd);
		return;
	}
	if (link->channel != NULL) {
		log_warning("refused a second control daemon, process %d", peer.pid);
		close(fd);
		return;
	}
	link->channel = channel_new(fd);
	if (link->channel == NULL) {
		close(fd);
		return;
	}
	log_info("control daemon connected, process %d", peer.pid);
	link->polls[POLL_CHANNEL].fd = fd;
	send_hello(link);
	flush(link);
}

static void serve_message(struct link *link, struct channel_message *message)
{
	struct proto_reply reply;
	int result;

	if (message->type == PROTO_HANDBACK_REQUEST) {
		hand_back_all(link);
		return;
	}
	if (message->type == PROTO_RESTART) {
		log_info("ends, to open other devices when it is started again");
		link->restart = true;
		return;
	}
	result = switch_message(link->state, message, &reply);
	if (result == 1 && reply.error != 0)
		log_warning("refused generation %llu: %s", (unsigned long long)reply.generation,
			    reply.text);
	if (result == 1)
		send_record(link, PROTO_REPLY, &reply, sizeof(reply), NULL, 0);
	if (result < 0)
		disconnect(link, "it sent what is no message of the protocol");
}

static void serve_channel(struct link *link)
{
	struct channel_message message;

	while (link->channel != NULL) {
		int result = channel_receive(link->channel, &message);

		if (result < 0)
			disconnect(link, strerror(-result));
		if (result <= 0)
			break;
		serve_message(link, &message);
		channel_message_close(&message);
	}
	flush(link);
}

static void send_port_lost(struct link *link, const struct proto_ref *port, int error)
{
	struct proto_port_lost lost = {.port = *port, .error = error};

	send_record(link, PROTO_PORT_LOST, &lost, sizeof(lost), NULL, 0);
}

/* Has vhost-user frontends and their library speak with each other. */
static void serve_relays(struct link *link)
{
	struct proto_ref port;
	int error;

	while (vhost_relay_serve(&port, &error))
		send_port_lost(link, &port, error);
	flush(link);
}

/* Passes on what workers noticed. */
static void serve_events(struct link *link, int event_fd)
{
	struct worker_shared *shared = &link->state->shared;
	struct worker_event events[WORKER_EVENTS_MAX];
	uint64_t counter;
	unsigned count;

	if (read(event_fd, &counter, sizeof(counter)) < 0)
		return;
	pthread_mutex_lock(&shared->event_lock);
	count = shared->event_count;
	memcpy(events, shared->events, count * sizeof(events[0]));
	shared->event_count = 0;
	pthread_mutex_unlock(&shared->event_lock);

	for (unsigned i = 0; i < count; i++) {
		if (events[i].type == WORKER_PORT_LOST) {
			send_port_lost(link, &events[i].ref, events[i].error);
		} else {
			struct proto_mac_held held = {.segment = events[i].ref, .moves = 6};

			memcpy(held.mac, events[i].mac, sizeof(held.mac));
			send_record(link, PROTO_MAC_HELD, &held, sizeof(held), NULL, 0);
		}
	}
	flush(link);
}

static int open_polls(struct link *link, int listen_fd)
{
	const struct itimerspec second = {{1, 0}, {1, 0}};
	sigset_t signals;
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	link->polls[POLL_SIGNAL].fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	link->polls[POLL_TIMER].fd = timer;
	link->polls[POLL_EVENT].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	link->polls[POLL_LISTEN].fd = listen_fd;
	link->polls[POLL_CHANNEL].fd = -1;
	link->polls[POLL_RELAYS].fd = -1;
	for (unsigned i = 0; i < POLL_COUNT; i++)
		link->polls[i].events = POLLIN;
	if (timer < 0 || link->polls[POLL_SIGNAL].fd < 0 || link->polls[POLL_EVENT].fd < 0 ||
	    timerfd_settime(timer, 0, &second, NULL) < 0)
		return -errno;
	return 0;
}

/* What is done every second. */
static void serve_second(struct link *link)
{
	unsigned lost = vhost_memory_lost();

	switch_age(link->state);
	if (lost > 0)
		log_warning("%u pages of a guest's memory were gone when they were used: its "
			    "frontend made the memory's file shorter",
			    lost);
}

static void serve(struct link *link)
{
	struct pollfd *polls = link->polls;
	uint64_t ticks;

	if (polls[POLL_TIMER].revents != 0 &&
	    read(polls[POLL_TIMER].fd, &ticks, sizeof(ticks)) == (ssize_t)sizeof(ticks))
		serve_second(link);
	if (polls[POLL_EVENT].revents != 0)
		serve_events(link, polls[POLL_EVENT].fd);
	if (polls[POLL_RELAYS].revents != 0)
		serve_relays(link);
	if (polls[POLL_CHANNEL].revents != 0)
		serve_channel(link);
	if (polls[POLL_LISTEN].revents != 0)
		accept_control(link, polls[POLL_LISTEN].fd);
}

int control_link_run(struct switch_state *state, int listen_fd, unsigned owner)
{
	struct link link = {.state = state, .owner = owner};
	struct timespec boot;
	int error;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	link.started = (uint64_t)boot.tv_sec * 1000000000u + (uint64_t)boot.tv_nsec;
	error = open_polls(&link, listen_fd);
	if (error == 0)
		state->shared.event_fd = link.polls[POLL_EVENT].fd;
	while (error == 0 && !link.restart && (link.polls[POLL_SIGNAL].revents & POLLIN) == 0) {
		link.polls[POLL_CHANNEL].events =
			link.channel != NULL && channel_wants_write(link.channel) ? POLLIN | POLLOUT
										  : POLLIN;
		link.polls[POLL_RELAYS].fd = vhost_relay_fd();
		if (poll(link.polls, POLL_COUNT, -1) < 0 && errno != EINTR)
			error = -errno;
		else
			serve(&link);
	}
	channel_free(link.channel);
	state->shared.event_fd = -1;
	for (unsigned i = 0; i < POLL_CHANNEL; i++) {
		if (link.polls[i].fd >= 0)
			close(link.polls[i].fd);
	}
	return error;
}
