/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_RECEIVER_H
#define VSWITCH_DATAPATH_PORTS_RECEIVER_H

/*
 * What a worker receives into: a slot for each message of a batch, with a
 * packet and a large buffer for what does not fit into its head. Every slot is
 * always filled: a received packet is handed over only against a new one, so
 * that an exhausted pool drops frames with a reason and never stalls a port.
 * Belongs to one worker.
 */

#include <sys/socket.h>

#include "datapath/batch.h"
#include "datapath/packet.h"

#define RECEIVER_CONTROL_SIZE 128u
#define RECEIVER_BYTES_MAX    (256u * 1024u) /* of one batch: more would leave the cache */

struct receiver_slot {
	struct packet *packet;
	struct packet_buffer *buffer;
	struct virtio_net_hdr header;
	struct iovec iov[3]; /* header, head, buffer */
	struct sockaddr_storage address;
	_Alignas(struct cmsghdr) uint8_t control[RECEIVER_CONTROL_SIZE];
};

struct receiver {
	struct packet_pool *pool;
	struct receiver_slot slots[BATCH_SIZE];
	struct mmsghdr messages[BATCH_SIZE];
	/* What was received and could not be kept, since the caller set it to zero. */
	uint32_t dropped_frames, dropped_bytes;
	uint32_t dropped[DROP_REASON_COUNT]; /* frames, by reason */
};

/* Fills the slots. Returns 0 or -ENOMEM. */
int receiver_init(struct receiver *receiver, struct packet_pool *pool);
void receiver_fini(struct receiver *receiver);

/* Sets up slot i's message for a virtio-net header and a frame. */
void receiver_prepare(struct receiver *receiver, unsigned i);

/*
 * Returns the packet in slot i, with the `size` octets of frame that were received into its head
 * and buffer and the slot's virtio-net header, and fills the slot anew; NULL, counted as dropped,
 * when that is not possible.
 */
struct packet *receiver_take(struct receiver *receiver, unsigned i, size_t size);

/* Counts a frame that was received and cannot be kept. */
void receiver_drop(struct receiver *receiver, enum drop_reason reason, size_t size);

#endif
