/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire decoder: whatever a peer sends, a channel receives whole messages or breaks, and no
 * descriptor stays open.
 *
 * An input is a row of messages: 4 octets with the size (little-endian, the lower 18 bits), 1 octet
 * with the number of descriptors, and so many octets of message. Where the input ends early, the
 * message goes on with zeros: a short input can make a long message.
 */

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/channel.h"
#include "fuzz.h"

#define PREFIX_SIZE	 5
#define MESSAGE_SIZE_MAX (1u << 18)

static void require(bool condition)
{
	if (!condition)
		abort();
}

static int lowest_free_fd(int fd)
{
	int lowest = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	require(lowest >= 0);
	close(lowest);
	return lowest;
}

/* Takes one message off the input and sends it with copies of a descriptor. Returns what is left.
 */
static size_t send_one(int fd, const uint8_t **data, size_t size)
{
	static uint8_t bytes[MESSAGE_SIZE_MAX];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(PROTO_FDS_MAX * sizeof(int))];
	} control;
	struct iovec vector = {.iov_base = bytes};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
	uint8_t prefix[PREFIX_SIZE] = {0};
	size_t taken = size < PREFIX_SIZE ? size : PREFIX_SIZE;

	memcpy(prefix, *data, taken);
	*data += taken;
	size -= taken;
	vector.iov_len = (prefix[0] | prefix[1] << 8 | prefix[2] << 16) & (MESSAGE_SIZE_MAX - 1);
	taken = size < vector.iov_len ? size : vector.iov_len;
	memcpy(bytes, *data, taken);
	memset(bytes + taken, 0, vector.iov_len - taken);
	*data += taken;

	if (prefix[4] > 0) {
		size_t count = prefix[4] < PROTO_FDS_MAX ? prefix[4] : PROTO_FDS_MAX;

		memset(&control, 0, sizeof(control));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		for (size_t i = 0; i < count; i++)
			memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(fd));
	}
	/* Refused when it is larger than any message of this socket can be. */
	(void)sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	return size - taken;
}

static void use_message(struct channel_message *message)
{
	uint8_t record[UINT16_MAX + 1];

	require(message->fd_count <= PROTO_FDS_MAX);
	require(message->count <= PROTO_MESSAGE_SIZE_MAX);
	require(message->count > 0 || message->fd_count == 0);
	for (uint32_t i = 0; i < message->count; i++)
		channel_record(message, i, record, 24);
	channel_record(message, message->count - 1, record, 1);
	channel_record(message, message->count - 1, record, sizeof(record));
	channel_record(message, message->count, record, sizeof(record));
	for (uint32_t i = 0; i < message->fd_count; i++) {
		require(fcntl(message->fds[i], F_GETFD) == FD_CLOEXEC);
		if (i % 2 == 0) {
			close(message->fds[i]);
			message->fds[i] = -1;
		}
	}
	channel_message_close(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct channel_message message;
	struct channel *channel;
	int fds[2], lowest, result = 0;

	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	lowest = lowest_free_fd(fds[0]);
	channel = channel_new(fds[1]);
	require(channel != NULL);
	while (size > 0 && result >= 0) {
		size = send_one(fds[0], &data, size);
		while ((result = channel_receive(channel, &message)) > 0)
			use_message(&message);
	}
	close(fds[0]);
	if (result == 0)
		require(channel_receive(channel, &message) < 0);
	else
		require(channel_receive(channel, &message) == result);
	require(fcntl(fds[1], F_DUPFD_CLOEXEC, lowest) == lowest);
	close(lowest);
	channel_free(channel);
	return 0;
}
