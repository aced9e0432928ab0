/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_STATS_LAYOUT_H
#define VSWITCH_COMMON_STATS_LAYOUT_H

/*
 * The layout of the counters' memory: a memfd that the control daemon makes
 * and seals against resizing, that workers write and the control daemon reads.
 *
 * Every worker writes a block of its own, so that no counter has two writers;
 * a reader adds up the blocks with relaxed loads and touches no worker. The
 * file is sparse: only what is counted takes memory. The file outlives a
 * datapath, and counters go on where a former one stopped.
 *
 * Packets are counted as frames on the wire: a super-packet counts as the
 * frames that it would be cut into, with their headers. Octets are those of
 * the layer-2 frame without FCS.
 *
 * For every port, over all workers:
 *   rx_packets + copies = forwarded + sum(drops) + queued
 * where copies, forwarded, drops and queued are charged to the port that a
 * packet came in on, and tx_* to the port that it went out of.
 */

#include <stdint.h>

#include "common/drop.h"

#define STATS_MAGIC    0x7673776374727302ull
#define STATS_WORKERS  16u
#define STATS_CAPACITY (1u << 17)

struct stats_port {
	uint64_t rx_packets, rx_bytes;
	uint64_t tx_packets, tx_bytes;
	uint64_t copies;      /* made by flooding beyond the first */
	uint64_t forwarded;   /* accepted by the kernel at some port */
	uint64_t queued;      /* a gauge: waiting in a shaper */
	uint64_t incarnation; /* whose counters these are; in the first worker's block only */
	uint64_t drops[DROP_REASON_CAPACITY];
};

/*
 * Places of how long packets waited: 0 for those that did not, i for less than 2^i * 16 us that are
 * in no place before, and the last for all that waited longer.
 */
#define STATS_DELAYS 16u

/*
 * One direction of a tenant: what its shaper did, while it had a limit or something to share.
 * offered = passed + queued + dropped, in frames and in octets.
 */
struct stats_channel {
	uint64_t offered_packets, offered_bytes;
	uint64_t passed_packets, passed_bytes;
	uint64_t dropped_packets, dropped_bytes;
	uint64_t queued_packets, queued_bytes; /* gauges */
	uint64_t marked_packets;	       /* passed with a mark of congestion (ECN) */
	uint64_t reserved[7];
	uint64_t delays[STATS_DELAYS]; /* frames that passed, by how long they waited */
};

struct stats_tenant {
	uint64_t send_packets, send_bytes;	 /* passed by the tenant's send shaper */
	uint64_t receive_packets, receive_bytes; /* put out to its workload ports */
	uint64_t incarnation;
	uint64_t reserved[3];
	uint64_t drops[DROP_REASON_CAPACITY];
	struct stats_channel send, receive;
};

struct stats_segment {
	uint64_t packets, bytes; /* admitted to the segment, from any port */
	uint64_t flooded;	 /* of these, sent to every member */
	uint64_t learned, moved;
	uint64_t incarnation;
	uint64_t reserved[2];
	uint64_t drops[DROP_REASON_CAPACITY];
};

struct stats_worker {
	struct stats_port ports[STATS_CAPACITY];
	struct stats_tenant tenants[STATS_CAPACITY];
	struct stats_segment segments[STATS_CAPACITY];
};

struct stats_memory {
	uint64_t magic;
	uint64_t worker_count; /* blocks in use; to read another would only allocate it */
	/*
	 * What a tenant gets for each weight now, besides its guarantee and up to its ceiling, in
	 * 2^-16 bit/s: while the host's capacity is short, else UINT64_MAX.
	 */
	uint64_t send_share, receive_share;
	uint64_t reserved[508]; /* fills a page */
	struct stats_worker workers[STATS_WORKERS];
};

#define STATS_MEMORY_SIZE sizeof(struct stats_memory)

#endif
