/* SPDX-License-Identifier: Apache-2.0 */

/* Packets out of and into the rings of a guest. Called by workers. */

#include <linux/if_ether.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "datapath/ports/mbuf_offload.h"
#include "datapath/ports/mbuf_slots.h"
#include "datapath/ports/receiver.h"
#include "datapath/ports/vhost.h"

#define MBUFS_MAX (2u + PACKET_SLICES) /* that a packet takes */

/* Receives from one ring. Returns whether the ring may have more. */
static bool receive_ring(int device, uint32_t ring, struct mbuf_slots *slots, struct batch *batch)
{
	struct rte_mbuf *mbufs[MBUF_SLOTS_BURST];
	unsigned room = BATCH_SIZE - batch->count;
	uint16_t wanted = (uint16_t)(room < MBUF_SLOTS_BURST ? room : MBUF_SLOTS_BURST), count;

	count = rte_vhost_dequeue_burst(device, (uint16_t)ring, mbuf_slots_begin(slots), mbufs,
					wanted);
	for (uint16_t i = 0; i < count; i++) {
		struct packet *packet = mbuf_slots_take(slots, mbufs[i]);

		if (packet == NULL)
			continue;
		mbuf_offload_take(packet, mbufs[i]);
		batch_add(batch, packet);
	}
	return count == wanted;
}

/* Asks for kicks on the rings of a queue, or not. */
static void ask_for_kicks(struct vhost_port *vhost, unsigned queue, int device, int wanted)
{
	uint32_t pair = queue;

	vhost->queues[queue].told = wanted != 0;
	for (; device >= 0 && pair < VHOST_PAIRS_MAX; pair += vhost->port->receive_count) {
		uint32_t ring = VHOST_RING_FROM_GUEST(pair);

		if (!__atomic_load_n(&vhost->enabled[ring], __ATOMIC_RELAXED))
			break;
		rte_vhost_enable_guest_notification(device, (uint16_t)ring, wanted);
	}
}

/* Forgets the events that there were: what they told of is looked at next. */
static void forget_events(const struct vhost_queue *queue)
{
	struct epoll_event events[8];

	while (epoll_wait(queue->wait_fd, events, 8, 0) == 8)
		continue;
}

/* Receives from the rings of a queue, until the batch is full. */
static void receive_rings(struct vhost_port *vhost, unsigned queue, int device,
			  struct mbuf_slots *slots, struct batch *batch)
{
	for (uint32_t pair = queue; pair < VHOST_PAIRS_MAX; pair += vhost->port->receive_count) {
		uint32_t ring = VHOST_RING_FROM_GUEST(pair);

		if (!__atomic_load_n(&vhost->enabled[ring], __ATOMIC_RELAXED))
			break;
		while (!batch_full(batch) && receive_ring(device, ring, slots, batch))
			continue;
	}
}

/*
 * While kicks are asked for, the rings are looked at once an event: when there is nothing, it is
 * left to the next one.
 */
int vhost_receive(struct port *port, unsigned queue, struct receiver *receiver, struct batch *batch)
{
	struct vhost_port *vhost = port->private;
	int device = __atomic_load_n(&vhost->device, __ATOMIC_ACQUIRE);
	struct mbuf_slots *slots = mbuf_slots_of(receiver);
	uint32_t dropped = receiver->dropped_frames;
	bool told;

	if (__atomic_load_n(&vhost->queues[queue].fresh, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&vhost->queues[queue].fresh, false, __ATOMIC_ACQUIRE))
		vhost->queues[queue].told = false;
	told = vhost->queues[queue].told;
	if (told)
		forget_events(&vhost->queues[queue]);
	if (device >= 0 && slots != NULL)
		receive_rings(vhost, queue, device, slots, batch);
	if (batch->count == 0 && receiver->dropped_frames == dropped)
		return told ? PORT_DRAINED : PORT_POLL;
	if (told)
		ask_for_kicks(vhost, queue, device, 0);
	return PORT_MORE;
}

/* An event of its own has the worker look once more, at what came before kicks were asked for. */
void vhost_rest(struct port *port, unsigned queue)
{
	struct vhost_port *vhost = port->private;
	int device = __atomic_load_n(&vhost->device, __ATOMIC_ACQUIRE);

	ask_for_kicks(vhost, queue, device, 1);
	vhost_wake(&vhost->queues[queue]);
}

static void point(struct rte_mbuf *mbuf, const void *data, uint32_t size)
{
	mbuf->buf_addr = (void *)data;
	mbuf->data_off = 0;
	mbuf->data_len = (uint16_t)size;
	mbuf->next = NULL;
}

/*
 * Mbufs for the head and for each slice: the library copies from where they lie. Of a partial
 * checksum it would write the sum of the pseudo-header anew, as network cards want it and a guest
 * does not (and behind a tunnel's header, where another one lies): unless the headers are in more
 * than one mbuf.
 */
static void describe(struct packet *packet, struct rte_mbuf mbufs[MBUFS_MAX])
{
	unsigned last = 0;

	mbuf_offload_give(packet, &mbufs[0]);
	mbufs[0].pkt_len = packet->size;
	if (mbufs[0].ol_flags == 0) {
		point(&mbufs[0], packet->data, packet->head_size);
	} else {
		point(&mbufs[0], packet->data, ETH_HLEN);
		point(&mbufs[++last], packet->data + ETH_HLEN, packet->head_size - ETH_HLEN);
		mbufs[0].next = &mbufs[1];
	}
	for (unsigned i = 0; i < packet->slice_count; i++) {
		mbufs[last].next = &mbufs[last + 1];
		point(&mbufs[++last], packet->slices[i].data, packet->slices[i].size);
	}
	mbufs[0].nb_segs = (uint16_t)(1 + last);
}

/*
 * What becomes of a packet that the ring did not take. It waits for room, unless it would not fit
 * then: a guest without mergeable buffers has one for each packet, and in half of a ring of them
 * there is room for any that can be expected. Of a packed ring the library does not tell how much
 * is free.
 */
static uint8_t refused(int device, uint16_t ring)
{
	struct rte_vhost_vring vring;
	uint64_t features;
	uint16_t enough = 1;

	if (rte_vhost_get_negotiated_features(device, &features) < 0 ||
	    rte_vhost_get_vhost_vring(device, ring, &vring) < 0 ||
	    (features & 1ull << VIRTIO_F_RING_PACKED) != 0)
		return DROP_PORT_FULL;
	if ((features & 1ull << VIRTIO_NET_F_MRG_RXBUF) != 0)
		enough = (uint16_t)(vring.size / 2);
	return rte_vhost_avail_entries(device, ring) < enough ? PORT_WAIT : DROP_PORT_FULL;
}

/* Sends up to MBUF_SLOTS_BURST packets. What follows one that waits, waits as well. */
static void send_burst(int device, uint16_t ring, struct packet **packets, unsigned count,
		       uint8_t *results)
{
	struct rte_mbuf described[MBUF_SLOTS_BURST][MBUFS_MAX];
	struct rte_mbuf *mbufs[MBUF_SLOTS_BURST];
	unsigned done = 0;

	for (unsigned i = 0; i < count; i++) {
		describe(packets[i], described[i]);
		mbufs[i] = described[i];
	}
	while (done < count) {
		uint16_t sent = rte_vhost_enqueue_burst(device, ring, &mbufs[done],
							(uint16_t)(count - done));

		memset(&results[done], DROP_NONE, sent);
		done += sent;
		if (done == count || sent > 0)
			continue;
		results[done] = refused(device, ring);
		if (results[done] == PORT_WAIT) {
			memset(&results[done], PORT_WAIT, count - done);
			return;
		}
		done++;
	}
}

static void send_ring(int device, uint32_t pair, struct packet **packets, unsigned count,
		      uint8_t *results)
{
	for (unsigned done = 0; done < count; done += MBUF_SLOTS_BURST) {
		unsigned part = count - done;

		if (done > 0 && results[done - 1] == PORT_WAIT) {
			memset(&results[done], PORT_WAIT, count - done);
			return;
		}
		send_burst(device, (uint16_t)VHOST_RING_TO_GUEST(pair), &packets[done],
			   part < MBUF_SLOTS_BURST ? part : MBUF_SLOTS_BURST, &results[done]);
	}
}

/* Deals packets out to the pairs that the guest uses, a flow always to the same. */
static void send_pairs(int device, uint32_t pairs, struct packet **packets, unsigned count,
		       uint8_t *results)
{
	for (uint32_t pair = 0; pair < pairs; pair++) {
		struct packet *chosen[BATCH_SIZE];
		uint8_t places[BATCH_SIZE], part[BATCH_SIZE];
		unsigned size = 0;

		for (unsigned i = 0; i < count; i++) {
			if (packets[i]->flow_hash % pairs != pair)
				continue;
			places[size] = (uint8_t)i;
			chosen[size++] = packets[i];
		}
		send_ring(device, pair, chosen, size, part);
		for (unsigned i = 0; i < size; i++)
			results[places[i]] = part[i];
	}
}

void vhost_transmit(struct port *port, const struct config *config, unsigned queue,
		    struct packet **packets, unsigned count, uint8_t *results)
{
	struct vhost_port *vhost = port->private;
	int device = __atomic_load_n(&vhost->device, __ATOMIC_ACQUIRE);
	uint32_t pairs = __atomic_load_n(&vhost->pairs_in_use, __ATOMIC_RELAXED);

	(void)config;
	(void)queue;
	if (device < 0 || pairs == 0)
		memset(results, DROP_PORT_DOWN, count);
	else if (pairs == 1)
		send_ring(device, 0, packets, count, results);
	else
		send_pairs(device, pairs, packets, count, results);
}
