/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_BENCH_DPDK_FRAMES_H
#define VSWITCH_TESTS_BENCH_DPDK_FRAMES_H

/* The frames that a guest sends (guest.c): each from and to one of many MACs. */

#include <rte_mbuf.h>
#include <stdint.h>

#define FRAME_SIZE_MIN 60u /* without FCS: 64 octets on a wire */
#define FRAME_SIZE_MAX 65000u

/*
 * Where frames go from and to. Behind each port there are `macs` of them, taken in turns, so that
 * the frames from one port to the other have all their MACs, too. Where frames go to several ports
 * in turns there is one behind each.
 */
struct frames {
	struct rte_mempool *pool;
	unsigned size; /* octets of a frame, without FCS */
	unsigned mss;  /* payload of each segment of a TCP super-packet; 0: a plain frame */
	uint16_t from; /* ports */
	uint16_t to;   /* the first of them; UINT16_MAX: broadcast */
	uint16_t to_count;
	uint32_t macs; /* 0: one, which is written once and for all */
	uint32_t next;
};

/* Makes `count` frames. Returns how many buffers there were for. */
unsigned frames_make(struct frames *frames, struct rte_mbuf **mbufs, unsigned count);

/* Frames that came through the switch, and have these MACs or others of them, are to go again. */
void frames_renew(struct frames *frames, struct rte_mbuf **mbufs, unsigned count);

#endif
