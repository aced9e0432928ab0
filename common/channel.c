/* SPDX-License-Identifier: Apache-2.0 */
#include "common/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_SIZE_MAX (64u * 1024u * 1024u)
#define QUEUE_FDS_MAX  16384u

/* A message as it is on the socket. */
struct buffer {
	struct proto_header header;
	uint8_t records[PROTO_MESSAGE_SIZE_MAX - sizeof(struct proto_header)];
};

/* A whole message that the socket did not take yet. It owns its descriptors. */
struct queued {
	STAILQ_ENTRY(queued) entry;
	size_t size;
	uint32_t fd_count;
	int fds[PROTO_FDS_MAX];
	uint8_t bytes[];
};

/*
 * How this works: records gather in `batch` until one comes that does not fit it, or a flush. The
 * batch then goes to the socket as one message; when the socket is full, or others wait already,
 * a copy of it goes to the end of the queue. Order is kept, and no message is ever sent in part.
 */
struct channel {
	int fd;
	int error; /* the negative errno that broke it, or 0 */

	bool batch_open;
	size_t batch_size;	      /* header and records */
	uint32_t batch_fd_count;      /* 0 unless open */
	int batch_fds[PROTO_FDS_MAX]; /* duplicates */

	STAILQ_HEAD(, queued) queue;
	size_t queue_size; /* octets of memory */
	uint32_t queue_fd_count;

	struct buffer batch;
	struct buffer received;
};

/* Room for the most descriptors that the kernel passes, with the alignment of a cmsghdr. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(PROTO_FDS_MAX * sizeof(int))];
};

static int break_channel(struct channel *channel, int error);
static bool fits_batch(const struct channel *channel, uint16_t type, uint16_t record_size,
		       uint32_t fd_count);
static void open_batch(struct channel *channel, uint16_t type, uint16_t record_size);
static int duplicate_into_batch(struct channel *channel, const int *fds, uint32_t fd_count);
static int close_batch(struct channel *channel);
static int enqueue_batch(struct channel *channel);
static int send_queue(struct channel *channel);
static void remove_first(struct channel *channel);
static int send_message(int fd, const void *bytes, size_t size, const int *fds, uint32_t fd_count);
static ssize_t receive_bytes(struct channel *channel, struct channel_message *message, int *flags);
static void collect_fds(struct msghdr *header, struct channel_message *message);
static int check_received(struct channel *channel, struct channel_message *message, size_t size,
			  int flags);
static int why_empty(const struct channel *channel, const struct channel_message *message);
static int why_cut_off(const struct channel *channel);
static void close_fds(int *fds, uint32_t count);

struct channel *channel_new(int fd)
{
	struct channel *channel = malloc(sizeof(*channel));
	int size = (int)PROTO_MESSAGE_SIZE_MAX;

	if (!channel)
		return NULL;
	memset(channel, 0, offsetof(struct channel, batch));
	channel->fd = fd;
	STAILQ_INIT(&channel->queue);
	/* The default may be too small for one message. Where this is refused, sending says so. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return channel;
}

void channel_free(struct channel *channel)
{
	if (!channel)
		return;
	while (!STAILQ_EMPTY(&channel->queue))
		remove_first(channel);
	close_fds(channel->batch_fds, channel->batch_fd_count);
	close(channel->fd);
	free(channel);
}

int channel_fd(const struct channel *channel)
{
	return channel->fd;
}

bool channel_wants_write(const struct channel *channel)
{
	return !channel->error && (channel->batch_open || !STAILQ_EMPTY(&channel->queue));
}

int channel_append(struct channel *channel, uint16_t type, const void *record, uint16_t record_size,
		   const int *fds, uint32_t fd_count)
{
	int error;

	if (channel->error)
		return channel->error;
	if (record_size == 0 || fd_count > PROTO_FDS_MAX)
		return break_channel(channel, -EINVAL);
	if (channel->batch_open && !fits_batch(channel, type, record_size, fd_count)) {
		error = close_batch(channel);
		if (error)
			return break_channel(channel, error);
	}
	if (!channel->batch_open)
		open_batch(channel, type, record_size);
	error = duplicate_into_batch(channel, fds, fd_count);
	if (error)
		return break_channel(channel, error);
	memcpy((uint8_t *)&channel->batch + channel->batch_size, record, record_size);
	channel->batch_size += record_size;
	channel->batch.header.count++;
	return 0;
}

int channel_append_empty(struct channel *channel, uint16_t type)
{
	int error = channel->error;

	if (!error && channel->batch_open)
		error = close_batch(channel);
	if (!error) {
		open_batch(channel, type, 0);
		error = close_batch(channel);
	}
	return error ? break_channel(channel, error) : 0;
}

int channel_flush(struct channel *channel)
{
	int error = channel->error;

	if (!error)
		error = channel->batch_open ? close_batch(channel) : send_queue(channel);
	return error ? break_channel(channel, error) : 0;
}

int channel_receive(struct channel *channel, struct channel_message *message)
{
	struct channel_message received = {.fd_count = 0};
	ssize_t size;
	int error, flags = 0;

	if (channel->error)
		return channel->error;
	size = receive_bytes(channel, &received, &flags);
	if (size == -EAGAIN)
		return 0;
	if (size < 0)
		return break_channel(channel, (int)size);
	error = check_received(channel, &received, (size_t)size, flags);
	if (error) {
		close_fds(received.fds, received.fd_count);
		return break_channel(channel, error);
	}
	*message = received;
	return 1;
}

void channel_record(const struct channel_message *message, uint32_t index, void *record,
		    size_t size)
{
	size_t known = 0;

	if (index < message->count) {
		known = size < message->record_size ? size : message->record_size;
		memcpy(record, message->records + (size_t)index * message->record_size, known);
	}
	memset((uint8_t *)record + known, 0, size - known);
}

void channel_message_close(struct channel_message *message)
{
	close_fds(message->fds, message->fd_count);
}

static int break_channel(struct channel *channel, int error)
{
	channel->error = error;
	return error;
}

static bool fits_batch(const struct channel *channel, uint16_t type, uint16_t record_size,
		       uint32_t fd_count)
{
	const struct proto_header *header = &channel->batch.header;

	return header->type == type && header->record_size == record_size &&
	       channel->batch_size + record_size <= sizeof(channel->batch) &&
	       channel->batch_fd_count + fd_count <= PROTO_FDS_MAX;
}

static void open_batch(struct channel *channel, uint16_t type, uint16_t record_size)
{
	channel->batch.header = (struct proto_header){.type = type, .record_size = record_size};
	channel->batch_open = true;
	channel->batch_size = sizeof(channel->batch.header);
}

static int duplicate_into_batch(struct channel *channel, const int *fds, uint32_t fd_count)
{
	for (uint32_t i = 0; i < fd_count; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -errno; /* channel_free() closes those before */
		channel->batch_fds[channel->batch_fd_count++] = fd;
	}
	return 0;
}

/* Sends the batch, or leaves it to the queue. On an error the batch stays, for channel_free(). */
static int close_batch(struct channel *channel)
{
	int error = send_queue(channel);

	if (error)
		return error;
	error = STAILQ_EMPTY(&channel->queue)
			? send_message(channel->fd, &channel->batch, channel->batch_size,
				       channel->batch_fds, channel->batch_fd_count)
			: -EAGAIN;
	if (error == -EAGAIN)
		error = enqueue_batch(channel);
	else if (!error)
		close_fds(channel->batch_fds, channel->batch_fd_count);
	if (error)
		return error;
	channel->batch_open = false;
	channel->batch_fd_count = 0;
	return 0;
}

static int enqueue_batch(struct channel *channel)
{
	size_t size = sizeof(struct queued) + channel->batch_size;
	struct queued *queued;

	if (channel->queue_size + size > QUEUE_SIZE_MAX ||
	    channel->queue_fd_count + channel->batch_fd_count > QUEUE_FDS_MAX)
		return -ENOBUFS;
	queued = malloc(size);
	if (!queued)
		return -ENOMEM;
	queued->size = channel->batch_size;
	queued->fd_count = channel->batch_fd_count;
	memcpy(queued->bytes, &channel->batch, queued->size);
	memcpy(queued->fds, channel->batch_fds, queued->fd_count * sizeof(queued->fds[0]));
	STAILQ_INSERT_TAIL(&channel->queue, queued, entry);
	channel->queue_size += size;
	channel->queue_fd_count += queued->fd_count;
	return 0;
}

static int send_queue(struct channel *channel)
{
	while (!STAILQ_EMPTY(&channel->queue)) {
		const struct queued *first = STAILQ_FIRST(&channel->queue);
		int error = send_message(channel->fd, first->bytes, first->size, first->fds,
					 first->fd_count);

		if (error == -EAGAIN)
			return 0;
		if (error)
			return error;
		remove_first(channel);
	}
	return 0;
}

static void remove_first(struct channel *channel)
{
	struct queued *first = STAILQ_FIRST(&channel->queue);

	STAILQ_REMOVE_HEAD(&channel->queue, entry);
	channel->queue_size -= sizeof(*first) + first->size;
	channel->queue_fd_count -= first->fd_count;
	close_fds(first->fds, first->fd_count);
	free(first);
}

static int send_message(int fd, const void *bytes, size_t size, const int *fds, uint32_t fd_count)
{
	struct iovec vector = {.iov_base = (void *)bytes, .iov_len = size};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
	union control control;
	ssize_t sent;

	if (fd_count > 0) {
		memset(&control, 0, sizeof(control));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	do
		sent = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return 0;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

/* Returns what recvmsg() returns or a negative errno, with the descriptors in *message. */
static ssize_t receive_bytes(struct channel *channel, struct channel_message *message, int *flags)
{
	struct iovec vector = {.iov_base = &channel->received,
			       .iov_len = sizeof(channel->received)};
	union control control;
	struct msghdr header;
	ssize_t size;

	/*
	 * ECONNRESET says once that the peer went away without having read everything, and stands
	 * before messages that it sent: these are read, then comes the end.
	 */
	do {
		header = (struct msghdr){
			.msg_iov = &vector,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		size = recvmsg(channel->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (size < 0 && (errno == EINTR || errno == ECONNRESET));
	if (size < 0)
		return -errno;
	collect_fds(&header, message);
	*flags = header.msg_flags;
	return size;
}

static void collect_fds(struct msghdr *header, struct channel_message *message)
{
	for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control;
	     control = CMSG_NXTHDR(header, control)) {
		size_t count;

		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
			continue;
		count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(fd));
			if (message->fd_count < PROTO_FDS_MAX) {
				message->fds[message->fd_count++] = fd;
			} else {
				close(fd);
				header->msg_flags |= MSG_CTRUNC;
			}
		}
	}
}

/* Fills *message from what was received. Returns 0 or a negative errno. */
static int check_received(struct channel *channel, struct channel_message *message, size_t size,
			  int flags)
{
	const struct proto_header *header = &channel->received.header;

	if (flags & MSG_CTRUNC)
		return why_cut_off(channel);
	if (size == 0)
		return why_empty(channel, message);
	if (flags & MSG_TRUNC || size < sizeof(*header))
		return -EPROTO;
	if ((header->count == 0) != (header->record_size == 0) ||
	    (uint64_t)header->count * header->record_size != size - sizeof(*header))
		return -EPROTO;
	if (header->count == 0 && message->fd_count > 0)
		return -EPROTO; /* they would belong to no record */
	message->type = header->type;
	message->count = header->count;
	message->record_size = header->record_size;
	message->records = channel->received.records;
	return 0;
}

/* The kernel returns nothing both at the end and for a message without octets. */
static int why_empty(const struct channel *channel, const struct channel_message *message)
{
	struct pollfd poller = {.fd = channel->fd, .events = POLLRDHUP};

	if (message->fd_count > 0)
		return -EPROTO;
	return poll(&poller, 1, 0) == 1 ? -EPIPE : -EPROTO;
}

/* Descriptors are missing: when no more can be opened, that is why, and not the peer's fault. */
static int why_cut_off(const struct channel *channel)
{
	int fd = fcntl(channel->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	close(fd);
	return -EPROTO;
}

static void close_fds(int *fds, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}
