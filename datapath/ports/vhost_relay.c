/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/vhost_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A vhost-user message: request, flags, size of what follows, 32 bits each in the host's order
 * (QEMU, docs/interop/vhost-user.rst). The library takes no more than the largest of them, a table
 * of memory regions or a device's configuration of 256 octets.
 */
#define HEADER_SIZE 12u
#define PAYLOAD_MAX 1024u
#define FDS_MAX	    16u
/* Requests that are looked into: the guest's memory, and the eventfd that interrupts it. */
#define SET_MEM_TABLE  5u
#define SET_VRING_CALL 13u
#define REGIONS_MAX    8u /* that the library takes */
#define EVENTS_A_TURN  64u

/* A message, as far as it is here, and the descriptors that came with it. */
struct message {
	uint8_t octets[HEADER_SIZE + PAYLOAD_MAX];
	size_t size;
	int fds[FDS_MAX];
	unsigned fd_count;
};

struct vhost_relay {
	struct proto_ref port;
	int outer, inner;
	struct message message; /* of the frontend */
};

/* All relays: epoll says whose turn it is. Of the process, as the library is. */
static int relays_fd = -1;

static int watch(struct vhost_relay *relay, int operation, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = relay};

	return epoll_ctl(relays_fd, operation, fd, &event) < 0 ? -errno : 0;
}

int vhost_relay_new(struct vhost_relay **relay, const struct proto_ref *port, int outer, int inner)
{
	struct vhost_relay *made = calloc(1, sizeof(*made));
	int error = made == NULL ? -ENOMEM : 0;

	if (relays_fd < 0)
		relays_fd = epoll_create1(EPOLL_CLOEXEC);
	if (error == 0 && relays_fd < 0)
		error = -errno;
	if (error == 0 && fcntl(outer, F_SETFL, fcntl(outer, F_GETFL) | O_NONBLOCK) < 0)
		error = -errno;
	if (error < 0) {
		close(inner);
		free(made);
		return error;
	}
	made->port = *port;
	made->outer = outer;
	made->inner = inner;
	error = watch(made, EPOLL_CTL_ADD, outer, EPOLLIN);
	if (error == 0)
		error = watch(made, EPOLL_CTL_ADD, inner, EPOLLIN);
	if (error < 0) {
		vhost_relay_free(made);
		return error;
	}
	*relay = made;
	return 0;
}

static void close_fds(struct message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++)
		close(message->fds[i]);
	message->fd_count = 0;
}

/* Ends the connection on both sides; what waits on the descriptors is not reported any more. */
static void end(struct vhost_relay *relay)
{
	if (relay->inner < 0)
		return;
	epoll_ctl(relays_fd, EPOLL_CTL_DEL, relay->outer, NULL);
	epoll_ctl(relays_fd, EPOLL_CTL_DEL, relay->inner, NULL);
	shutdown(relay->outer, SHUT_RDWR);
	close(relay->inner);
	relay->inner = -1;
	close_fds(&relay->message);
}

void vhost_relay_free(struct vhost_relay *relay)
{
	if (relay == NULL)
		return;
	end(relay);
	free(relay);
}

int vhost_relay_fd(void)
{
	return relays_fd;
}

/* Keeps the descriptors that came with a part of a message. */
static int take_fds(struct message *message, struct msghdr *part)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(part);
	int error = 0;

	for (; control != NULL; control = CMSG_NXTHDR(part, control)) {
		size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(control) + i * sizeof(fd), sizeof(fd));
			if (message->fd_count == FDS_MAX) {
				close(fd);
				error = -EPROTO;
			} else {
				message->fds[message->fd_count++] = fd;
			}
		}
	}
	return (part->msg_flags & MSG_CTRUNC) != 0 ? -EPROTO : error;
}

/* Reads up to `wanted` octets of a message. Returns how many, 0 at the end, or a negative errno. */
static ssize_t receive_part(struct message *message, int fd, size_t wanted)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct iovec place = {message->octets + message->size, wanted};
	struct msghdr part = {
		.msg_iov = &place,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t size;
	int error;

	do {
		size = recvmsg(fd, &part, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	error = take_fds(message, &part);
	if (error < 0)
		return error;
	message->size += (size_t)size;
	return size;
}

/* Sends octets with the descriptors that are kept. Returns 0 or a negative errno. */
static int send_message(struct message *message, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))] = {0};
	struct iovec place = {message->octets, message->size};
	struct msghdr whole = {.msg_iov = &place, .msg_iovlen = 1};
	size_t fds_size = message->fd_count * sizeof(int);
	ssize_t sent;

	if (message->fd_count > 0) {
		struct cmsghdr *header;

		whole.msg_control = control;
		whole.msg_controllen = CMSG_SPACE(fds_size);
		header = CMSG_FIRSTHDR(&whole);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(fds_size);
		memcpy(CMSG_DATA(header), message->fds, fds_size);
	}
	do {
		sent = sendmsg(fd, &whole, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	close_fds(message);
	/* Less than all of it: the other side leaves its buffer full, and will not get well. */
	if ((size_t)sent < message->size)
		return -ENOBUFS;
	message->size = 0;
	return 0;
}

/* The size of the message that began to come; 0: its header is not here yet. */
static int whole_size(const struct message *message, size_t *size)
{
	uint32_t payload;

	*size = 0;
	if (message->size < HEADER_SIZE)
		return 0;
	memcpy(&payload, message->octets + 8, sizeof(payload));
	if (payload > PAYLOAD_MAX)
		return -EMSGSIZE;
	*size = HEADER_SIZE + payload;
	return 0;
}

struct region {
	uint64_t guest_address, size, frontend_address, offset;
};

/* Whether the memory is all there, in a file: of what it cannot map, the library loses the
 * descriptors. */
static bool region_fits(const struct region *region, int fd)
{
	struct stat file;
	uint64_t end;

	return fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && region->size > 0 &&
	       !__builtin_add_overflow(region->offset, region->size, &end) &&
	       end <= (uint64_t)file.st_size;
}

/* A number of regions, 32 bits that mean nothing, and the regions: each with a descriptor. */
static int check_memory(const struct message *message)
{
	const uint8_t *payload = message->octets + HEADER_SIZE;
	uint32_t count = 0;

	if (message->size >= HEADER_SIZE + 2 * sizeof(count))
		memcpy(&count, payload, sizeof(count));
	if (count < 1 || count > REGIONS_MAX || count != message->fd_count ||
	    message->size < HEADER_SIZE + 2 * sizeof(count) + count * sizeof(struct region))
		return -EPROTO;
	for (uint32_t i = 0; i < count; i++) {
		struct region region;

		memcpy(&region, payload + 2 * sizeof(count) + i * sizeof(region), sizeof(region));
		if (!region_fits(&region, message->fds[i]))
			return -EPROTO;
	}
	return 0;
}

/*
 * Workers write to the descriptor by which a guest is interrupted: one that blocks would stop them.
 * (A frontend that means harm can take the flag away again.)
 */
static void unblock_call(const struct message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++)
		fcntl(message->fds[i], F_SETFL, fcntl(message->fds[i], F_GETFL) | O_NONBLOCK);
}

/* Looks into a whole message. Returns 0, or a negative errno for what must not be passed on. */
static int check_message(const struct message *message)
{
	uint32_t request;

	memcpy(&request, message->octets, sizeof(request));
	if (request == SET_VRING_CALL)
		unblock_call(message);
	return request == SET_MEM_TABLE ? check_memory(message) : 0;
}

/* Passes a whole message on, or waits until the library has room for it. */
static int pass_in(struct vhost_relay *relay)
{
	int error = check_message(&relay->message);

	if (error < 0)
		return error;
	error = send_message(&relay->message, relay->inner);
	if (error == -EAGAIN) {
		error = watch(relay, EPOLL_CTL_MOD, relay->outer, 0);
		return error < 0 ? error
				 : watch(relay, EPOLL_CTL_MOD, relay->inner, EPOLLIN | EPOLLOUT);
	}
	return error;
}

/* The frontend has sent something. */
static int serve_outer(struct vhost_relay *relay)
{
	size_t wanted;
	int error = whole_size(&relay->message, &wanted);
	ssize_t size;

	if (error < 0)
		return error;
	if (wanted == 0)
		wanted = HEADER_SIZE;
	size = receive_part(&relay->message, relay->outer, wanted - relay->message.size);
	if (size == 0)
		return -ECONNRESET;
	if (size < 0)
		return size == -EAGAIN ? 0 : (int)size;
	error = whole_size(&relay->message, &wanted);
	return error == 0 && relay->message.size == wanted ? pass_in(relay) : error;
}

/* The library answers: what it sends goes as it comes. */
static int answer(const struct vhost_relay *relay)
{
	struct message reply = {.size = 0};
	ssize_t size = receive_part(&reply, relay->inner, sizeof(reply.octets));
	int error;

	if (size == -EAGAIN)
		return 0;
	error = size == 0 ? -EPROTO : (int)size;
	/* A frontend waits for answers; one that leaves them is none. */
	if (size > 0)
		error = send_message(&reply, relay->outer);
	close_fds(&reply);
	return error;
}

static int serve(struct vhost_relay *relay, uint32_t events)
{
	size_t wanted;
	int error = 0;

	/* Both descriptors have the relay's events: which of them is ready is seen by trying. */
	if ((events & EPOLLOUT) != 0) {
		error = watch(relay, EPOLL_CTL_MOD, relay->inner, EPOLLIN);
		if (error == 0)
			error = watch(relay, EPOLL_CTL_MOD, relay->outer, EPOLLIN);
		if (error == 0)
			error = pass_in(relay);
	}
	if (error == 0)
		error = answer(relay);
	/* A whole message is here when the library has no room for it. */
	if (error == 0 && whole_size(&relay->message, &wanted) == 0 &&
	    (wanted == 0 || relay->message.size < wanted))
		error = serve_outer(relay);
	return error;
}

bool vhost_relay_serve(struct proto_ref *port, int *error)
{
	struct epoll_event event;

	/* One at a time: what is done for one may free another. */
	for (unsigned i = 0; relays_fd >= 0 && i < EVENTS_A_TURN; i++) {
		struct vhost_relay *relay;
		int result;

		if (epoll_wait(relays_fd, &event, 1, 0) != 1)
			break;
		relay = event.data.ptr;
		result = serve(relay, event.events);
		if (result == 0)
			continue;
		*port = relay->port;
		*error = -result;
		end(relay);
		return true;
	}
	return false;
}
