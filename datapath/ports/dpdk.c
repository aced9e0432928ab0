/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports on network devices of DPDK. A frame that is longer than what is cheaper to copy stays in
 * its mbuf: the packet has its headers, and a slice of the rest, so that it goes on to another
 * device without being copied.
 *
 * A device from which nothing comes is looked at from time to time, ever more rarely.
 */

#include "datapath/ports/dpdk.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <rte_spinlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "datapath/offload/checksum.h"
#include "datapath/ports/dpdk_devices.h"
#include "datapath/ports/mbuf_offload.h"
#include "datapath/ports/port.h"
#include "datapath/ports/receiver.h"

#define BURST	    32u
#define COPY_WHOLE  512u /* a frame up to this is cheaper to copy than to share */
#define HEADERS_MAX 256u /* octets that a packet has of its own of a longer frame */

#define LOOK_LEAST_NS 100000u  /* how long a device from which nothing comes is left alone … */
#define LOOK_MOST_NS  1000000u /* … and at most */

/* A worker's queue. */
struct queue {
	int timer_fd;
	bool resting;
	uint32_t wait_ns; /* until it is looked at again */
};

struct dpdk_port {
	uint16_t id;
	uint16_t send_queues;
	bool multi_segment;
	struct rte_mempool *pool;
	rte_spinlock_t send_locks[PORT_QUEUES_MAX]; /* for devices with fewer queues than workers */
	struct queue queues[PORT_QUEUES_MAX];
};

static const struct virtio_net_hdr no_offload;

uint64_t dpdk_receive_offloads(const struct rte_eth_dev_info *info)
{
	uint64_t offloads = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
			    RTE_ETH_RX_OFFLOAD_SCATTER;

	/* Only where the sender makes super-packets: what a device joins may not be one. */
	if (strncmp(info->driver_name, "net_virtio", strlen("net_virtio")) == 0)
		offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
	return info->rx_offload_capa & offloads;
}

uint64_t dpdk_send_offloads(const struct rte_eth_dev_info *info)
{
	return info->tx_offload_capa &
	       (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
		RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO |
		RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
}

static uint32_t features_of(uint64_t offloads)
{
	const uint64_t checksums = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	const uint64_t super = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	uint32_t features = 0;

	if ((offloads & checksums) == checksums)
		features |= PORT_CAN_CHECKSUM;
	if ((offloads & super) == super)
		features |= PORT_CAN_TSO4 | PORT_CAN_TSO6;
	return features;
}

/* The queue is looked at again after a while, which grows as long as nothing comes. */
static void look_later(struct queue *queue)
{
	const struct itimerspec wait = {.it_value.tv_nsec = queue->wait_ns};

	timerfd_settime(queue->timer_fd, 0, &wait, NULL);
	if (queue->wait_ns < LOOK_MOST_NS)
		queue->wait_ns *= 2;
}

static void begin_rest(struct queue *queue)
{
	queue->resting = true;
	queue->wait_ns = LOOK_LEAST_NS;
	look_later(queue);
}

static void dpdk_close(struct port *port)
{
	struct dpdk_port *dpdk = port->private;

	for (unsigned i = 0; i < PORT_QUEUES_MAX; i++) {
		if (dpdk->queues[i].timer_fd >= 0)
			close(dpdk->queues[i].timer_fd);
	}
	free(dpdk);
}

static int dpdk_open(struct port *port)
{
	struct dpdk_port *dpdk;
	struct rte_eth_dev_info info;
	uint64_t offloads;
	int id = dpdk_devices_find(&port->ref);

	if (id < 0)
		return id;
	if (rte_eth_dev_info_get((uint16_t)id, &info) < 0)
		return -ENODEV;
	dpdk = calloc(1, sizeof(*dpdk));
	if (dpdk == NULL)
		return -ENOMEM;
	offloads = dpdk_send_offloads(&info);
	dpdk->id = (uint16_t)id;
	dpdk->send_queues = info.nb_tx_queues;
	dpdk->multi_segment = (offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
	dpdk->pool = rte_mempool_lookup(DPDK_POOL);
	port->private = dpdk;
	port->features = features_of(offloads);
	port->receive_count = info.nb_rx_queues;
	for (unsigned i = 0; i < PORT_QUEUES_MAX; i++)
		dpdk->queues[i].timer_fd = -1;
	for (unsigned i = 0; i < port->receive_count; i++) {
		struct queue *queue = &dpdk->queues[i];

		queue->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		if (queue->timer_fd < 0) {
			int error = -errno;

			dpdk_close(port);
			return error;
		}
		port->wait_fds[i] = queue->timer_fd;
		/* It wakes the worker, which polls until nothing came for a while. */
		queue->wait_ns = LOOK_LEAST_NS;
		look_later(queue);
	}
	return 0;
}

static struct packet_buffer *header_of(struct rte_mbuf *mbuf)
{
	return rte_mbuf_to_priv(mbuf);
}

static struct rte_mbuf *mbuf_of(const struct packet_buffer *header)
{
	/* The private area is what is behind the mbuf. */
	return (struct rte_mbuf *)((uintptr_t)header - sizeof(struct rte_mbuf));
}

/* The last slice that refers to an mbuf is gone. */
static void give_back(struct packet_buffer *header)
{
	rte_pktmbuf_free(mbuf_of(header));
}

/* Copies a frame as a whole. Its mbuf stays the caller's. */
static struct packet *copy(struct receiver *receiver, const struct rte_mbuf *mbuf)
{
	void *whole = mbuf->nb_segs > 1 ? malloc(mbuf->pkt_len) : NULL;
	struct packet *packet;

	if (mbuf->nb_segs > 1 && whole == NULL) {
		receiver_drop(receiver, DROP_NO_BUFFER, mbuf->pkt_len);
		return NULL;
	}
	packet = receiver_copy(receiver, &no_offload,
			       rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, whole), mbuf->pkt_len);
	free(whole);
	return packet;
}

/* Gives the packet a slice of each part of the mbuf, but for the first octets; takes the mbuf. */
static void attach(struct packet *packet, struct rte_mbuf *mbuf, uint32_t skip)
{
	struct rte_mbuf *next;

	for (; mbuf != NULL; mbuf = next, skip = 0) {
		next = mbuf->next;
		/* Each part lives as long as somebody refers to it. */
		mbuf->next = NULL;
		mbuf->nb_segs = 1;
		if (mbuf->data_len == skip) {
			rte_pktmbuf_free(mbuf);
			continue;
		}
		/* Only the header is there of the buffer. */
		header_of(mbuf)->references = 1;
		header_of(mbuf)->give_back = give_back;
		packet_attach_foreign(packet, header_of(mbuf),
				      rte_pktmbuf_mtod_offset(mbuf, void *, skip),
				      mbuf->data_len - skip);
	}
}

/* Returns the packet of an mbuf, which it takes; NULL, counted as dropped, when there is none. */
static struct packet *take(struct receiver *receiver, struct rte_mbuf *mbuf)
{
	uint32_t headers = RTE_MIN(mbuf->data_len, HEADERS_MAX);
	bool whole = mbuf->pkt_len <= COPY_WHOLE || mbuf->pkt_len > PACKET_SIZE_MAX ||
		     mbuf->nb_segs > PACKET_SLICES;
	struct packet *packet;

	packet = whole ? copy(receiver, mbuf)
		       : receiver_copy(receiver, &no_offload, rte_pktmbuf_mtod(mbuf, void *),
				       headers);
	if (packet != NULL)
		mbuf_offload_take(packet, mbuf);
	if (packet == NULL || whole)
		rte_pktmbuf_free(mbuf);
	else
		attach(packet, mbuf, headers);
	return packet;
}

static int dpdk_receive(struct port *port, unsigned index, struct receiver *receiver,
			struct batch *batch)
{
	struct dpdk_port *dpdk = port->private;
	struct queue *queue = &dpdk->queues[index];
	struct rte_mbuf *mbufs[BURST];
	uint16_t count;

	do {
		count = rte_eth_rx_burst(dpdk->id, (uint16_t)index, mbufs, BURST);
		for (uint16_t i = 0; i < count; i++) {
			struct packet *packet = take(receiver, mbufs[i]);

			if (packet != NULL)
				batch_add(batch, packet);
		}
	} while (count == BURST && batch->count <= BATCH_SIZE - BURST);
	if (batch->count > 0 || count > 0) {
		queue->resting = false;
		return PORT_MORE;
	}
	if (!queue->resting)
		return PORT_POLL;
	look_later(queue);
	return PORT_DRAINED;
}

static void dpdk_rest(struct port *port, unsigned index)
{
	struct dpdk_port *dpdk = port->private;

	begin_rest(&dpdk->queues[index]);
}

/* Appends octets to a chain of mbufs of the pool. Returns its new end, or NULL. */
static struct rte_mbuf *append_copy(struct rte_mbuf *first, struct rte_mbuf *last,
				    struct rte_mempool *pool, const uint8_t *data, uint32_t size)
{
	while (size > 0) {
		uint32_t part = RTE_MIN(size, rte_pktmbuf_tailroom(last));

		/* What is another's cannot be written to. */
		if (part == 0 || !RTE_MBUF_DIRECT(last)) {
			last->next = rte_pktmbuf_alloc(pool);
			if (last->next == NULL)
				return NULL;
			last = last->next;
			first->nb_segs++;
			continue;
		}
		memcpy(rte_pktmbuf_mtod_offset(last, void *, last->data_len), data, part);
		last->data_len = (uint16_t)(last->data_len + part);
		first->pkt_len += part;
		data += part;
		size -= part;
	}
	return last;
}

/* Appends a reference to octets that lie in a device's mbuf. Returns the chain's new end, or NULL.
 */
static struct rte_mbuf *append_shared(struct rte_mbuf *first, struct rte_mbuf *last,
				      struct rte_mempool *pool, const struct packet_slice *slice)
{
	struct rte_mbuf *owner = mbuf_of(slice->owner_buffer);
	struct rte_mbuf *part = rte_pktmbuf_alloc(pool);

	if (part == NULL)
		return NULL;
	rte_pktmbuf_attach(part, owner);
	part->data_off = (uint16_t)(slice->data - (const uint8_t *)part->buf_addr);
	part->data_len = (uint16_t)slice->size;
	part->pkt_len = slice->size;
	last->next = part;
	first->nb_segs++;
	first->pkt_len += slice->size;
	return part;
}

/* Returns a chain of mbufs for a packet, or NULL and the reason. */
static struct rte_mbuf *build(const struct dpdk_port *dpdk, struct packet *packet, uint8_t *reason)
{
	struct rte_mbuf *first = rte_pktmbuf_alloc(dpdk->pool), *last = first;

	*reason = DROP_NO_BUFFER;
	if (first == NULL)
		return NULL;
	/* A device takes it that the checksum is the one behind the first IP header. */
	if (packet->offload.csum_start != packet->l4_offset)
		checksum_complete(packet);
	mbuf_offload_give(packet, first);
	last = append_copy(first, last, dpdk->pool, packet->data, packet->head_size);
	for (unsigned i = 0; last != NULL && i < packet->slice_count; i++) {
		const struct packet_slice *slice = &packet->slices[i];
		bool shared = dpdk->multi_segment && slice->owner_buffer != NULL &&
			      slice->owner_buffer->give_back == give_back;

		last = shared ? append_shared(first, last, dpdk->pool, slice)
			      : append_copy(first, last, dpdk->pool, slice->data, slice->size);
	}
	if (last != NULL && (first->nb_segs == 1 || dpdk->multi_segment))
		return first;
	if (last != NULL)
		*reason = DROP_OVERSIZE;
	rte_pktmbuf_free(first);
	return NULL;
}

/*
 * Sends mbufs, and frees those that the device does not take: it has no room for them, or its
 * driver cannot do what one asks for. Writes what became of each.
 */
static void send_mbufs(struct dpdk_port *dpdk, unsigned worker, struct rte_mbuf **mbufs,
		       unsigned count, uint8_t *results)
{
	uint16_t queue = (uint16_t)(worker % dpdk->send_queues);
	unsigned done = 0;

	rte_spinlock_lock(&dpdk->send_locks[queue]);
	while (done < count) {
		uint16_t rest = (uint16_t)(count - done);
		uint16_t ready = rte_eth_tx_prepare(dpdk->id, queue, &mbufs[done], rest);
		uint16_t sent = rte_eth_tx_burst(dpdk->id, queue, &mbufs[done], ready);

		memset(&results[done], DROP_NONE, sent);
		done += sent;
		if (sent < ready)
			break;
		if (ready < rest) {
			results[done] = DROP_PORT_ERROR;
			rte_pktmbuf_free(mbufs[done++]);
		}
	}
	rte_spinlock_unlock(&dpdk->send_locks[queue]);
	for (; done < count; done++) {
		results[done] = DROP_PORT_FULL;
		rte_pktmbuf_free(mbufs[done]);
	}
}

static void dpdk_transmit(struct port *port, const struct config *config, unsigned worker,
			  struct packet **packets, unsigned count, uint8_t *results)
{
	struct dpdk_port *dpdk = port->private;
	struct rte_mbuf *mbufs[BATCH_SIZE];
	uint8_t places[BATCH_SIZE], sent[BATCH_SIZE];
	unsigned built = 0;

	(void)config;
	for (unsigned i = 0; i < count; i++) {
		mbufs[built] = build(dpdk, packets[i], &results[i]);
		places[built] = (uint8_t)i;
		if (mbufs[built] != NULL)
			built++;
	}
	send_mbufs(dpdk, worker, mbufs, built, sent);
	for (unsigned i = 0; i < built; i++)
		results[places[i]] = sent[i];
}

const struct port_ops port_dpdk_ops = {
	.name = "dpdk",
	.super_frames = mbuf_offload_super_frames,
	.open = dpdk_open,
	.close = dpdk_close,
	.receive = dpdk_receive,
	.rest = dpdk_rest,
	.transmit = dpdk_transmit,
};
