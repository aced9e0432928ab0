/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/dpdk/circulate.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "tests/bench/dpdk/waits.h"

#define BURST	      32u
#define SLICE_MS      20u
#define QUIET_MS      10u /* what has not come by then is lost */
#define WARM_UP_MIN_S 0.2
#define WARM_UP_MAX_S 5.0

/* Sends `count` frames, and those that do not go are none. */
static void lane_send(struct lane *lane, struct rte_mbuf **mbufs, unsigned count)
{
	unsigned sent;

	if (lane->frames.mss > 0)
		count = rte_eth_tx_prepare(lane->frames.from, 0, mbufs, (uint16_t)count);
	sent = rte_eth_tx_burst(lane->frames.from, 0, mbufs, (uint16_t)count);
	lane->copies_away += (int64_t)sent * lane->copies;
	rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
}

/* One look at one of the lane's ports. Returns how many frames came. */
static unsigned lane_receive(struct lane *lane, uint16_t port, struct rte_mbuf **mbufs,
			     struct slice *slice)
{
	unsigned count = rte_eth_rx_burst(port, 0, mbufs, BURST);

	/* What was given up as lost may come later. */
	lane->copies_away = RTE_MAX(lane->copies_away - count, 0);
	slice->frames += count;
	for (unsigned i = 0; i < count && lane->frames.size > FRAME_SIZE_MIN; i++)
		slice->octets += mbufs[i]->pkt_len;
	return count;
}

/* New frames, at the start and where there are copies: as many as the window has room for. */
static void lane_fill(struct lane *lane, unsigned window)
{
	int64_t room = (int64_t)window * lane->copies - lane->copies_away;
	struct rte_mbuf *mbufs[BURST];
	unsigned count = 0;

	for (; count < BURST && room >= lane->copies; count++)
		room -= lane->copies;
	if (count > 0)
		lane_send(lane, mbufs, frames_make(&lane->frames, mbufs, count));
}

/* Returns whether anything came. */
static bool lane_turn(struct lane *lane, unsigned window, struct slice *slice)
{
	struct rte_mbuf *mbufs[BURST];
	bool moved = false;

	for (uint16_t i = 0; i < lane->to_count; i++) {
		uint16_t port = (uint16_t)(lane->to_first + i);
		unsigned count = lane_receive(lane, port, mbufs, slice);

		if (count == 0)
			continue;
		moved = true;
		if (lane->copies > 1) {
			rte_pktmbuf_free_bulk(mbufs, count);
			continue;
		}
		frames_renew(&lane->frames, mbufs, count);
		lane_send(lane, mbufs, count);
	}
	if (lane->copies > 1 || !moved)
		lane_fill(lane, window);
	return moved;
}

static void run_slice(struct circulation *circulation, struct slice *slice, uint64_t cycles)
{
	uint64_t start = rte_rdtsc(), now = start, busy = 0;

	while (now - start < cycles) {
		bool moved = false;
		uint64_t then = now;

		for (unsigned i = 0; i < circulation->lane_count; i++)
			moved |= lane_turn(&circulation->lanes[i], circulation->window, slice);
		now = rte_rdtsc();
		busy += moved ? now - then : 0;
	}
	slice->seconds = (double)(now - start) / (double)rte_get_tsc_hz();
	slice->busy = (double)busy / (double)(now - start);
}

/* Takes what is still under way, and counts what does not come as lost. */
static void drain(struct circulation *circulation, struct slice *slice)
{
	uint64_t quiet = rte_get_tsc_hz() / 1000 * QUIET_MS, last = rte_rdtsc();
	struct slice uncounted;
	int64_t away = 1;

	while (away > 0 && rte_rdtsc() - last < quiet) {
		away = 0;
		for (unsigned i = 0; i < circulation->lane_count; i++) {
			struct lane *lane = &circulation->lanes[i];
			struct rte_mbuf *mbufs[BURST];

			for (uint16_t p = 0; p < lane->to_count; p++) {
				unsigned count = lane_receive(lane, (uint16_t)(lane->to_first + p),
							      mbufs, &uncounted);

				rte_pktmbuf_free_bulk(mbufs, count);
				last = count > 0 ? rte_rdtsc() : last;
			}
			away += lane->copies_away;
		}
	}
	slice->lost = (uint64_t)away;
	for (unsigned i = 0; i < circulation->lane_count; i++)
		circulation->lanes[i].copies_away = 0;
}

/* Until everything was learned, and the clock of an idle core is up. */
static void warm_up(struct circulation *circulation)
{
	struct slice slice = {0};
	uint64_t hz = rte_get_tsc_hz(), start = rte_rdtsc();
	double least = RTE_MAX(circulation->warm_up_seconds, WARM_UP_MIN_S), passed;

	do {
		run_slice(circulation, &slice, hz / 1000 * SLICE_MS);
		drain(circulation, &slice);
		passed = (double)(rte_rdtsc() - start) / (double)hz;
	} while (passed < least || (slice.frames < circulation->warm_up && passed < WARM_UP_MAX_S));
}

unsigned circulate(struct circulation *circulation, struct slice *slices)
{
	uint64_t hz = rte_get_tsc_hz(), end;
	struct waits waits;
	double before;
	unsigned count = 0;

	warm_up(circulation);
	waits_init(&waits, circulation->switch_process);
	end = rte_rdtsc() + (uint64_t)(circulation->seconds * (double)hz);
	before = distance_measure(circulation->distance);
	while (rte_rdtsc() < end && count < SLICES_MAX) {
		struct slice *slice = &slices[count++];
		uint64_t waited = waits_ns(&waits);
		double after;

		*slice = (struct slice){0};
		run_slice(circulation, slice, hz / 1000 * SLICE_MS);
		slice->waited = (double)(waits_ns(&waits) - waited) / slice->seconds / 1e9;
		drain(circulation, slice);
		after = distance_measure(circulation->distance);
		slice->nanoseconds = RTE_MAX(before, after);
		before = after;
		if (slice->octets == 0)
			slice->octets = slice->frames * FRAME_SIZE_MIN;
	}
	waits_fini(&waits);
	return count;
}
