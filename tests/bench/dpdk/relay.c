/* SPDX-License-Identifier: Apache-2.0 */

/*
 * relay [OPTION OF EAL]... -- NETNS IFNAME: the guest's side of a vhost-user port, for a network
 * stack that is real: joins a TAP, which it makes in that namespace of /run/netns, to the first
 * port of EAL (--vdev virtio_user0,path=...). The kernel behind the TAP is the guest's. Checksums
 * and TCP's segmentation are left to the port as far as the switch takes them, as a guest's driver
 * does. Prints "ready", and sleeps when neither side has anything.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_net.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/open_tap.h"

#define BURST	     32u
#define DEVICE_RING  256u /* queue_size of the device, as QEMU has it */
#define RING_RESERVE 4u
/* The ring always holds some of the buffers: it has fewer places than there are buffers. */
#define SEND_RING   256u
#define LARGE_COUNT 511u
#define LARGE_CACHE 64u		       /* the last that was freed is the next that is used */
#define LARGE_SIZE  (UINT16_MAX - 64u) /* with headroom; a multiple of a cache line */
/* As Linux gives its driver for super-packets. */
#define SMALL_COUNT 4095u
#define SMALL_SIZE  (RTE_PKTMBUF_HEADROOM + 4096u)
#define VECTORS_MAX 64u
#define HEADER_SIZE 10u
#define RETRY_NS    20000 /* a ring does not tell when it has room again */

struct relay {
	int tap;
	int kick; /* readable when something came from the port */
	uint16_t port;
	struct rte_mempool *large; /* what the TAP's frames are read into */
	struct rte_mempool *small; /* what the port receives into */
	struct rte_mbuf *ready[2]; /* for the next frame from the TAP */
	struct rte_mbuf *waiting[BURST];
	unsigned waiting_count;
};

static void fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(abs(error)));
	exit(1);
}

/* The kernel finishes what the port does not take. */
static void limit_tap(const struct relay *relay, uint64_t offloads)
{
	unsigned flags = 0;

	if (offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
		flags |= TUN_F_CSUM;
	if (offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO)
		flags |= TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	if (ioctl(relay->tap, TUNSETOFFLOAD, flags) < 0)
		fail("TUNSETOFFLOAD", errno);
}

static void open_port(struct relay *relay)
{
	struct rte_eth_conf conf = {.intr_conf = {.rxq = 1}};
	/* What was sent is freed at once, so that its memory is still in the cache when it is used
	 * again. */
	struct rte_eth_txconf sending = {.tx_free_thresh = DEVICE_RING - RING_RESERVE};
	struct rte_eth_dev_info info;
	int error = rte_eth_dev_info_get(relay->port, &info);

	conf.rxmode.offloads =
		info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_TCP_CKSUM |
					RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
	conf.txmode.offloads = info.tx_offload_capa &
			       (RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
				RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	sending.offloads = conf.txmode.offloads;
	error = error < 0 ? error : rte_eth_dev_configure(relay->port, 1, 1, &conf);
	error = error < 0 ? error
			  : rte_eth_rx_queue_setup(relay->port, 0, 0, SOCKET_ID_ANY, NULL,
						   relay->small);
	error = error < 0 ? error
			  : rte_eth_tx_queue_setup(relay->port, 0, SEND_RING, SOCKET_ID_ANY,
						   &sending);
	error = error < 0 ? error : rte_eth_dev_start(relay->port);
	if (error < 0)
		fail("port", error);
	rte_eth_promiscuous_enable(relay->port);
	relay->kick = rte_eth_dev_rx_intr_ctl_q_get_fd(relay->port, 0);
	if (relay->kick < 0)
		fail("interrupt", EIO);
	limit_tap(relay, conf.txmode.offloads);
}

/* ---- from the TAP to the port ---- */

/* Says in a frame's descriptor what its virtio-net header says. */
static void describe(struct rte_mbuf *mbuf, const struct virtio_net_hdr *header)
{
	struct rte_net_hdr_lens lens;
	uint32_t kind;

	mbuf->ol_flags = 0;
	if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return;
	kind = rte_net_get_ptype(mbuf, &lens, RTE_PTYPE_ALL_MASK);
	mbuf->l2_len = lens.l2_len;
	mbuf->l3_len = lens.l3_len;
	mbuf->l4_len = lens.l4_len;
	mbuf->ol_flags |= RTE_ETH_IS_IPV4_HDR(kind) ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	mbuf->ol_flags |= (kind & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP ? RTE_MBUF_F_TX_UDP_CKSUM
									 : RTE_MBUF_F_TX_TCP_CKSUM;
	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		mbuf->tso_segsz = header->gso_size;
	}
}

/* One frame, or NULL. A frame of 64 KiB does not fit into one buffer, whose size has 16 bits. */
static struct rte_mbuf *read_tap(struct relay *relay)
{
	struct rte_mbuf **ready = relay->ready;
	struct virtio_net_hdr header;
	struct iovec vectors[3] = {{&header, HEADER_SIZE}};
	struct rte_mbuf *mbuf;
	ssize_t size;

	for (unsigned i = 0; i < 2; i++) {
		if (ready[i] == NULL)
			ready[i] = rte_pktmbuf_alloc(relay->large);
		if (ready[i] == NULL)
			return NULL;
		vectors[1 + i] = (struct iovec){rte_pktmbuf_mtod(ready[i], void *),
						rte_pktmbuf_tailroom(ready[i])};
	}
	size = readv(relay->tap, vectors, 3);
	if (size <= (ssize_t)HEADER_SIZE)
		return NULL;
	size -= HEADER_SIZE;
	mbuf = ready[0];
	mbuf->pkt_len = (uint32_t)size;
	mbuf->data_len = (uint16_t)RTE_MIN((size_t)size, vectors[1].iov_len);
	ready[0] = NULL;
	if (mbuf->pkt_len > mbuf->data_len) {
		ready[1]->data_len = (uint16_t)(mbuf->pkt_len - mbuf->data_len);
		mbuf->next = ready[1];
		mbuf->nb_segs = 2;
		ready[1] = NULL;
	}
	describe(mbuf, &header);
	return mbuf;
}

/* What the port's ring has no room for waits, and the TAP with it, as a driver stops its queue. */
static bool tap_to_port(struct relay *relay)
{
	unsigned sent;

	while (relay->waiting_count < BURST) {
		struct rte_mbuf *mbuf = read_tap(relay);

		if (mbuf == NULL)
			break;
		if (rte_eth_tx_prepare(relay->port, 0, &mbuf, 1) == 1)
			relay->waiting[relay->waiting_count++] = mbuf;
		else
			rte_pktmbuf_free(mbuf);
	}
	if (relay->waiting_count == 0)
		return false;
	sent = rte_eth_tx_burst(relay->port, 0, relay->waiting, (uint16_t)relay->waiting_count);
	relay->waiting_count -= sent;
	for (unsigned i = 0; i < relay->waiting_count; i++)
		relay->waiting[i] = relay->waiting[i + sent];
	return sent > 0;
}

/* ---- from the port to the TAP ---- */

static struct virtio_net_hdr header_of(struct rte_mbuf *mbuf)
{
	struct virtio_net_hdr header = {0};
	struct rte_net_hdr_lens lens;
	uint32_t kind;
	bool udp;

	if ((mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_NONE &&
	    !(mbuf->ol_flags & RTE_MBUF_F_RX_LRO)) {
		if ((mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
			header.flags = VIRTIO_NET_HDR_F_DATA_VALID;
		return header;
	}
	kind = rte_net_get_ptype(mbuf, &lens, RTE_PTYPE_ALL_MASK);
	udp = (kind & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP;
	header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header.csum_start = (uint16_t)(lens.l2_len + lens.l3_len);
	header.csum_offset = udp ? 6 : 16;
	if (mbuf->ol_flags & RTE_MBUF_F_RX_LRO) {
		header.hdr_len = (uint16_t)(header.csum_start + lens.l4_len);
		header.gso_type = RTE_ETH_IS_IPV4_HDR(kind) ? VIRTIO_NET_HDR_GSO_TCPV4
							    : VIRTIO_NET_HDR_GSO_TCPV6;
		header.gso_size = mbuf->tso_segsz;
	}
	return header;
}

static void write_tap(const struct relay *relay, struct rte_mbuf *mbuf)
{
	struct virtio_net_hdr header = header_of(mbuf);
	struct iovec vectors[VECTORS_MAX] = {{&header, HEADER_SIZE}};
	int count = 1;

	for (struct rte_mbuf *part = mbuf; part != NULL && count < (int)VECTORS_MAX;
	     part = part->next)
		vectors[count++] = (struct iovec){rte_pktmbuf_mtod(part, void *), part->data_len};
	/* A TAP that does not take it drops it, as its queue would. */
	if (writev(relay->tap, vectors, count) < 0 && errno != EAGAIN && errno != ENOBUFS &&
	    errno != EIO && errno != EINVAL)
		fail("TAP", errno);
}

static bool port_to_tap(const struct relay *relay)
{
	struct rte_mbuf *mbufs[BURST];
	unsigned count = rte_eth_rx_burst(relay->port, 0, mbufs, BURST);

	for (unsigned i = 0; i < count; i++)
		write_tap(relay, mbufs[i]);
	rte_pktmbuf_free_bulk(mbufs, count);
	return count > 0;
}

/* ---- both ---- */

static void sleep_until_work(struct relay *relay)
{
	const struct timespec moment = {.tv_nsec = RETRY_NS};
	bool full = relay->waiting_count > 0;
	struct pollfd polls[2] = {{.fd = full ? -1 : relay->tap, .events = POLLIN},
				  {.fd = relay->kick, .events = POLLIN}};
	uint64_t kicks;

	rte_eth_dev_rx_intr_enable(relay->port, 0);
	/* What came before that was asked for does not tell. */
	if (!port_to_tap(relay))
		ppoll(polls, 2, full ? &moment : NULL, NULL);
	if (polls[1].revents != 0 && read(relay->kick, &kicks, sizeof(kicks)) < 0 &&
	    errno != EAGAIN)
		fail("interrupt", errno);
	rte_eth_dev_rx_intr_disable(relay->port, 0);
}

int main(int argc, char **argv)
{
	struct relay relay = {0};
	int used = rte_eal_init(argc, argv);

	if (used < 0 || argc - used != 3 || rte_eth_dev_count_avail() == 0) {
		fprintf(stderr, "usage: relay [OPTION OF EAL]... -- NETNS IFNAME\n");
		return 2;
	}
	relay.large = rte_pktmbuf_pool_create("large", LARGE_COUNT, LARGE_CACHE, 0, LARGE_SIZE,
					      SOCKET_ID_ANY);
	relay.small =
		rte_pktmbuf_pool_create("small", SMALL_COUNT, 32, 0, SMALL_SIZE, SOCKET_ID_ANY);
	if (relay.large == NULL || relay.small == NULL)
		fail("buffers", rte_errno);
	relay.tap = open_tap(argv[used + 1], argv[used + 2]);
	open_port(&relay);
	puts("ready");
	fflush(stdout);
	for (;;) {
		bool moved = tap_to_port(&relay);

		moved |= port_to_tap(&relay);
		if (!moved)
			sleep_until_work(&relay);
	}
}
