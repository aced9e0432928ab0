/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/mbuf_slots.h"

#include <assert.h>
#include <errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <stdlib.h>

#define POOL_OPS  "vswitch_slots"
#define HEAD_SIZE (PACKET_OBJECT_SIZE - offsetof(struct packet, storage))

struct mbuf_slots {
	/*
	 * Made here and not by the library, which begins with the operations of a driver that is
	 * not there in the sandbox. What is private to a pool of mbufs lies right behind it.
	 */
	struct rte_mempool pool;
	struct rte_pktmbuf_pool_private private;
	struct receiver *receiver;
	unsigned heads, tails; /* that were handed out in this burst */
	/* By slot: whose data lie in its packet, and in its buffer. */
	struct rte_mbuf head_mbufs[BATCH_SIZE], tail_mbufs[BATCH_SIZE];
};

static_assert(offsetof(struct mbuf_slots, private) == sizeof(struct rte_mempool),
	      "where DPDK looks for it");
static_assert(RTE_PKTMBUF_HEADROOM == PACKET_HEADROOM, "a packet's data begin where an mbuf's do");

static void *tail_of(struct mbuf_slots *slots)
{
	struct receiver_slot *slot = &slots->receiver->slots[slots->tails];
	struct rte_mbuf *mbuf = &slots->tail_mbufs[slots->tails];

	if (slot->buffer == NULL)
		slot->buffer = packet_buffer_new(slots->receiver->pool);
	if (slot->buffer == NULL)
		return NULL;
	mbuf->buf_addr = slot->buffer->data;
	slots->tails++;
	return mbuf;
}

static void *head_of(struct mbuf_slots *slots)
{
	struct rte_mbuf *mbuf = &slots->head_mbufs[slots->heads];

	mbuf->buf_addr = slots->receiver->slots[slots->heads++].packet->storage;
	return mbuf;
}

/*
 * The library takes a burst's mbufs all at once, and then one at a time for what does not fit into
 * them. (A guest that was moved here may have one taken before, for a frame that announces it.)
 */
static int take_mbufs(struct rte_mempool *pool, void **mbufs, unsigned count)
{
	struct mbuf_slots *slots = pool->pool_data;
	bool tail = slots->heads > 0 && count == 1;

	if (tail ? slots->tails == BATCH_SIZE : count > BATCH_SIZE - slots->heads)
		return -ENOBUFS;
	for (unsigned i = 0; i < count; i++) {
		mbufs[i] = tail ? tail_of(slots) : head_of(slots);
		if (mbufs[i] == NULL)
			return -ENOBUFS;
	}
	return 0;
}

/* They are all free when the next burst begins. */
static int give_mbufs(struct rte_mempool *pool, void *const *mbufs, unsigned count)
{
	(void)pool;
	(void)mbufs;
	(void)count;
	return 0;
}

static int begin_pool(struct rte_mempool *pool)
{
	(void)pool;
	return 0;
}

static unsigned count_free(const struct rte_mempool *pool)
{
	const struct mbuf_slots *slots = pool->pool_data;

	return BATCH_SIZE - slots->heads;
}

static const struct rte_mempool_ops pool_ops = {
	.name = POOL_OPS,
	.alloc = begin_pool,
	.enqueue = give_mbufs,
	.dequeue = take_mbufs,
	.get_count = count_free,
};
RTE_MEMPOOL_REGISTER_OPS(pool_ops);

static void init_mbufs(struct rte_mbuf *mbufs, struct rte_mempool *pool, uint16_t size)
{
	for (unsigned i = 0; i < BATCH_SIZE; i++) {
		mbufs[i].pool = pool;
		mbufs[i].buf_len = size;
		mbufs[i].refcnt = 1;
		mbufs[i].nb_segs = 1;
	}
}

static void free_slots(struct receiver *receiver)
{
	struct mbuf_slots *slots = receiver->mbufs;

	free(slots);
	receiver->mbufs = NULL;
}

struct mbuf_slots *mbuf_slots_of(struct receiver *receiver)
{
	struct mbuf_slots *slots = receiver->mbufs;

	if (slots != NULL)
		return slots;
	slots = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*slots));
	if (slots == NULL)
		return NULL;
	memset(slots, 0, sizeof(*slots));
	slots->receiver = receiver;
	slots->pool.size = BATCH_SIZE;
	slots->pool.elt_size = sizeof(struct rte_mbuf);
	slots->pool.private_data_size = sizeof(slots->private);
	slots->pool.socket_id = SOCKET_ID_ANY;
	slots->pool.pool_data = slots;
	slots->private.mbuf_data_room_size = HEAD_SIZE;
	if (rte_mempool_set_ops_byname(&slots->pool, POOL_OPS, NULL) < 0) {
		free(slots);
		return NULL;
	}
	init_mbufs(slots->head_mbufs, &slots->pool, HEAD_SIZE);
	init_mbufs(slots->tail_mbufs, &slots->pool, UINT16_MAX);
	receiver->mbufs = slots;
	receiver->mbufs_free = free_slots;
	return slots;
}

struct rte_mempool *mbuf_slots_begin(struct mbuf_slots *slots)
{
	slots->heads = 0;
	slots->tails = 0;
	return &slots->pool;
}

/* Gives the slot's large buffer to the packet. */
static void attach_tail(struct mbuf_slots *slots, struct packet *packet,
			const struct rte_mbuf *tail)
{
	struct receiver_slot *slot = &slots->receiver->slots[tail - slots->tail_mbufs];

	packet_attach(packet, slot->buffer, tail->data_off, tail->data_len);
	slot->buffer = NULL;
}

static bool is_head(const struct mbuf_slots *slots, const struct rte_mbuf *mbuf)
{
	return mbuf >= slots->head_mbufs && mbuf < slots->head_mbufs + BATCH_SIZE;
}

struct packet *mbuf_slots_take(struct mbuf_slots *slots, struct rte_mbuf *mbuf)
{
	struct receiver *receiver = slots->receiver;
	struct receiver_slot *slot = &receiver->slots[mbuf - slots->head_mbufs];
	struct packet *packet, *fresh;

	if (mbuf->pkt_len > PACKET_SIZE_MAX || mbuf->nb_segs > 1 + PACKET_SLICES) {
		receiver_drop(receiver, DROP_TOO_LONG, mbuf->pkt_len);
		return NULL;
	}
	/* The announcement took the place of a burst of one frame, see above. */
	fresh = is_head(slots, mbuf) ? packet_new(receiver->pool) : NULL;
	if (fresh == NULL) {
		receiver_drop(receiver, DROP_NO_BUFFER, mbuf->pkt_len);
		return NULL;
	}
	packet = slot->packet;
	slot->packet = fresh;
	packet->head_size = mbuf->data_len;
	packet->size = mbuf->data_len;
	for (const struct rte_mbuf *tail = mbuf->next; tail != NULL; tail = tail->next)
		attach_tail(slots, packet, tail);
	return packet;
}
