/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_CHANNEL_H
#define VSWITCH_COMMON_CHANNEL_H

/*
 * Messages with descriptors over a Unix SOCK_SEQPACKET socket: both ends of
 * the protocol in proto.h. A channel belongs to one thread. It does not block:
 * what the socket does not take is queued, within bounds, and sent when
 * channel_flush() is called on EPOLLOUT.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/proto.h"

struct channel;

/* A received message. Descriptors that the receiver takes are set to -1 in fds; the rest is closed.
 */
struct channel_message {
	uint16_t type;
	uint32_t count;
	uint32_t fd_count;
	int fds[PROTO_FDS_MAX];
	/* private: */
	uint16_t record_size;
	const uint8_t *records;
};

/* Takes the connected non-blocking socket (closed by channel_free). Returns NULL when out of
 * memory. */
struct channel *channel_new(int fd);
void channel_free(struct channel *channel);
int channel_fd(const struct channel *channel);
bool channel_wants_write(const struct channel *channel);

/*
 * Sends what is pending of the former message type, if another, and appends one record and its
 * descriptors to a message of this type; full messages go out by themselves. The descriptors are
 * duplicated: the caller keeps its own. Returns 0 or a negative errno (-ENOBUFS: the peer does
 * not read, more than 64 MiB or 16,384 descriptors would wait); after an error the channel is
 * broken and every later call returns it.
 */
int channel_append(struct channel *channel, uint16_t type, const void *record, uint16_t record_size,
		   const int *fds, uint32_t fd_count);
/* Appends a message without records. */
int channel_append_empty(struct channel *channel, uint16_t type);
/* Sends what is pending as far as the socket takes it. Returns 0 (see channel_wants_write) or a
 * negative errno. */
int channel_flush(struct channel *channel);

/*
 * Receives one message into *message, whose records stay valid until the next call. Returns 1, 0
 * when there is none now, -EPIPE at the end, -EPROTO for what is no message (truncated, sizes that
 * do not agree, more descriptors than fit), or another negative errno.
 */
int channel_receive(struct channel *channel, struct channel_message *message);

/* Copies record `index` into `record`, cutting what is longer and filling what is shorter with
 * zero. */
void channel_record(const struct channel_message *message, uint32_t index, void *record,
		    size_t size);
/* Closes the descriptors that were not taken. */
void channel_message_close(struct channel_message *message);

#endif
