/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_RECEIVER_H
#define VSWITCH_DATAPATH_PORTS_RECEIVER_H

/*
 * What a worker receives into: a slot for each message of a batch, with a packet and, for what does
 * not fit into its head, a large buffer. A received packet is handed over only against a new one,
 * and a slot without a buffer receives into one of last resort, so that an exhausted pool drops
 * frames with a reason and never stalls a port. A buffer is taken when a slot is prepared and not
 * before: it is then the one that was freed last, and still in the cache. Belongs to one worker.
 */

#include <sys/socket.h>

#include "datapath/batch.h"
#include "datapath/packet.h"

#define RECEIVER_CONTROL_SIZE 128u
#define RECEIVER_BYTES_MAX    (512u * 1024u) /* of one batch, when frames are large */

struct receiver_slot {
	struct packet *packet;
	struct packet_buffer *buffer; /* NULL: given away, and not needed since */
	struct iovec iov[2];	      /* virtio-net header and head; buffer */
	struct sockaddr_storage address;
	_Alignas(struct cmsghdr) uint8_t control[RECEIVER_CONTROL_SIZE];
};

struct mbuf_slots;

struct receiver {
	struct packet_pool *pool;
	unsigned batch_max; /* packets to receive at once from a port whose source waits */
	struct receiver_slot slots[BATCH_SIZE];
	struct mmsghdr messages[BATCH_SIZE];
	struct packet_buffer *last_resort; /* nothing that lies there is kept */
	/* What DPDK receives into, and what frees it; NULL: not used yet. */
	struct mbuf_slots *mbufs;
	void (*mbufs_free)(struct receiver *receiver);
	/* What was received and could not be kept, since the caller set it to zero. */
	uint32_t dropped_frames, dropped_bytes;
	uint32_t dropped[DROP_REASON_COUNT]; /* frames, by reason */
};

/* Returns 0 or -ENOMEM. */
int receiver_init(struct receiver *receiver, struct packet_pool *pool);
void receiver_fini(struct receiver *receiver);
/* The packets and buffers of the pool that the receiver has. */
uint32_t receiver_held(const struct receiver *receiver);

/*
 * Sets up slot i and its message for a virtio-net header and a frame. Returns false when no buffer
 * is left: what does not fit into the packet's head will be dropped.
 */
bool receiver_prepare(struct receiver *receiver, unsigned i);
/*
 * Sets up slots 0 … wanted - 1, but none behind one without a buffer. Returns how many, 1 at least.
 */
unsigned receiver_prepare_all(struct receiver *receiver, unsigned wanted);

/*
 * Returns how many messages to receive at once from a queue whose last ones had this many octets on
 * average: as many as have `octets`, 1 at least.
 */
unsigned receiver_wanted(uint32_t average, uint32_t octets);

/*
 * Returns the packet in slot i, with the virtio-net header and `size` octets of frame that were
 * received behind it, and gives the slot another one; NULL, counted as dropped, when that is not
 * possible.
 */
struct packet *receiver_take(struct receiver *receiver, unsigned i, size_t size);

/*
 * The same for a frame that lies in memory, with this virtio-net header; copies both. Uses slot 0.
 */
struct packet *receiver_copy(struct receiver *receiver, const struct virtio_net_hdr *offload,
			     const void *frame, size_t size);

/* Counts a frame that was received and cannot be kept. */
void receiver_drop(struct receiver *receiver, enum drop_reason reason, size_t size);

#endif
