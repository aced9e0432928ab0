/* SPDX-License-Identifier: Apache-2.0 */

/*
 * guest [OPTION OF EAL]... -- CORE [tso]: the guest of a virtual switch, on one core; its ports are
 * the devices that EAL is told to make (--vdev virtio_user0,path=...). Prints "ready", how many
 * there are, and does what it reads, a line at a time:
 *
 *     loop KEY=VALUE...	frames from port 0 to port 1, and from port 1 to port 0, for ever
 *     spread KEY=VALUE...	frames from port 0 to all other ports in turns
 *     flood KEY=VALUE...	broadcasts from port 0 to all other ports
 *
 *     seconds=N	how long (4)
 *     window=N		frames under way in each direction (128)
 *     size=N		octets of a frame, without FCS (60)
 *     mss=N		payload of a segment, of TCP super-packets (0: plain frames)
 *     macs=N		behind each port, in turns (0: one, which is not written again)
 *     warm=N		seconds before, at least (0)
 *     switch=PID	the process of the switch (0: unknown)
 *
 * and answers with one line of JSON: {"slices": [{"seconds": …, "frames": …, "octets": …, "lost":
 * …, "busy": …, "waited": …, "distance": …}, …]}, that is, struct slice, for each 20 ms or so.
 * CORE is where the switch runs (distance.h).
 */

#include <errno.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/dpdk/circulate.h"
#include "tests/bench/dpdk/distance.h"
#include "tests/bench/dpdk/frames.h"

#define PORTS_MAX   64u
#define MBUF_COUNT  (32u * 1024u - 1)
#define BUFFER_SIZE (RTE_PKTMBUF_HEADROOM + 2048u)
#define TSO_BUFFER  (RTE_PKTMBUF_HEADROOM + 4096u)
#define WINDOW_MAX  4096u
#define MACS_MAX    (1u << 22)
#define WARM_MAX    300u
#define SECONDS_MAX 600.0

struct guest {
	struct distance *distance;
	struct rte_mempool *pool;
	bool tso;
	uint16_t ports;
	struct slice slices[SLICES_MAX];
};

static void fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(abs(error)));
	exit(1);
}

static void open_port(const struct guest *guest, uint16_t port)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	int error = rte_eth_dev_info_get(port, &info);

	if (guest->tso) {
		conf.rxmode.offloads = info.rx_offload_capa &
				       (RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_TCP_CKSUM |
					RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
		conf.txmode.offloads =
			info.tx_offload_capa &
			(RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
			 RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	}
	error = error < 0 ? error : rte_eth_dev_configure(port, 1, 1, &conf);
	error = error < 0 ? error
			  : rte_eth_rx_queue_setup(port, 0, 0, SOCKET_ID_ANY, NULL, guest->pool);
	error = error < 0 ? error : rte_eth_tx_queue_setup(port, 0, 0, SOCKET_ID_ANY, NULL);
	error = error < 0 ? error : rte_eth_dev_start(port);
	if (error < 0)
		fail("port", error);
	rte_eth_promiscuous_enable(port);
}

struct options {
	double seconds;
	unsigned long window, size, mss, macs, warm, switch_process;
};

/* Reads "KEY=VALUE". Returns false when it is something else. */
static bool read_option(const char *word, struct options *options)
{
	const struct {
		const char *key;
		unsigned long *value;
	} keys[] = {{"window", &options->window}, {"size", &options->size},
		    {"mss", &options->mss},	  {"macs", &options->macs},
		    {"warm", &options->warm},	  {"switch", &options->switch_process}};
	const char *value = strchr(word, '=');
	char *end;

	if (value++ == NULL)
		return false;
	if (strncmp(word, "seconds=", 8) == 0) {
		options->seconds = strtod(value, &end);
		return *end == '\0';
	}
	for (unsigned i = 0; i < RTE_DIM(keys); i++) {
		if (strlen(keys[i].key) != (size_t)(value - word) - 1 ||
		    strncmp(word, keys[i].key, strlen(keys[i].key)) != 0)
			continue;
		*keys[i].value = strtoul(value, &end, 10);
		return *end == '\0';
	}
	return false;
}

/* Returns false when there is something else, or too much. */
static bool read_options(char *words, struct options *options)
{
	char *rest;

	for (char *word = strtok_r(words, " \n", &rest); word != NULL;
	     word = strtok_r(NULL, " \n", &rest)) {
		if (!read_option(word, options))
			return false;
	}
	return options->seconds > 0 && options->seconds <= SECONDS_MAX && options->window > 0 &&
	       options->window <= WINDOW_MAX && options->size >= FRAME_SIZE_MIN &&
	       options->size <= FRAME_SIZE_MAX && options->warm <= WARM_MAX &&
	       options->mss < options->size && options->macs <= MACS_MAX;
}

static void print_slices(const struct slice *slices, unsigned count)
{
	printf("{\"slices\": [");
	for (unsigned i = 0; i < count; i++) {
		const struct slice *slice = &slices[i];

		printf("%s{\"seconds\": %.6f, \"frames\": %llu, \"octets\": %llu, \"lost\": %llu, "
		       "\"busy\": %.3f, \"waited\": %.3f, \"distance\": %.1f}",
		       i > 0 ? ", " : "", slice->seconds, (unsigned long long)slice->frames,
		       (unsigned long long)slice->octets, (unsigned long long)slice->lost,
		       slice->busy, slice->waited, slice->nanoseconds);
	}
	printf("]}\n");
}

enum pattern { LOOP, SPREAD, FLOOD, PATTERNS };

static const char *const patterns[PATTERNS] = {"loop ", "spread ", "flood "};

static struct lane lane_of(const struct guest *guest, const struct options *options,
			   enum pattern pattern, uint16_t from)
{
	uint16_t to = pattern == LOOP ? (uint16_t)(1 - from) : 1;
	uint16_t to_count = pattern == LOOP ? 1 : (uint16_t)(guest->ports - 1);

	return (struct lane){
		.to_first = to,
		.to_count = to_count,
		.copies = pattern == FLOOD ? to_count : 1,
		.frames = {.pool = guest->pool,
			   .size = (unsigned)options->size,
			   .mss = (unsigned)options->mss,
			   .from = from,
			   .to = pattern == FLOOD ? UINT16_MAX : to,
			   .to_count = pattern == SPREAD ? to_count : 1,
			   .macs = (uint32_t)options->macs},
	};
}

/* One frame from each other port to port 0, so that the switch knows where they are. */
static void announce(const struct guest *guest)
{
	uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 10;
	unsigned waiting = 0;

	for (uint16_t port = 1; port < guest->ports; port++) {
		struct frames frames = {.pool = guest->pool, .size = FRAME_SIZE_MIN, .from = port};
		struct rte_mbuf *mbuf;

		if (frames_make(&frames, &mbuf, 1) == 1 && rte_eth_tx_burst(port, 0, &mbuf, 1) == 1)
			waiting++;
	}
	while (waiting > 0 && rte_rdtsc() < end) {
		struct rte_mbuf *mbufs[PORTS_MAX];
		unsigned count = rte_eth_rx_burst(0, 0, mbufs, PORTS_MAX);

		rte_pktmbuf_free_bulk(mbufs, count);
		waiting -= RTE_MIN(waiting, count);
	}
}

/* One lane to all other ports, or one each way between the first two. */
static void run(struct guest *guest, enum pattern pattern, const struct options *options)
{
	struct circulation circulation = {.window = (unsigned)options->window,
					  .lane_count = pattern == LOOP ? LANES_MAX : 1,
					  .seconds = options->seconds,
					  .warm_up = 2 * LANES_MAX * options->macs,
					  .warm_up_seconds = (double)options->warm,
					  .distance = guest->distance,
					  .switch_process = (int)options->switch_process};

	if (pattern == SPREAD)
		announce(guest);
	for (unsigned i = 0; i < circulation.lane_count; i++)
		circulation.lanes[i] = lane_of(guest, options, pattern, (uint16_t)i);
	print_slices(guest->slices, circulate(&circulation, guest->slices));
}

static void obey(struct guest *guest, char *line)
{
	struct options options = {.seconds = 4, .window = 128, .size = FRAME_SIZE_MIN};
	enum pattern pattern = 0;

	while (pattern < PATTERNS &&
	       strncmp(line, patterns[pattern], strlen(patterns[pattern])) != 0)
		pattern++;
	if (pattern == PATTERNS || !read_options(line + strlen(patterns[pattern]), &options))
		printf("{\"error\": \"what?\"}\n");
	else
		run(guest, pattern, &options);
	fflush(stdout);
}

/* Returns NULL when the ports or the memory are not there. */
static struct guest *guest_new(unsigned other_core, bool tso)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (guest == NULL)
		return NULL;
	guest->tso = tso;
	guest->ports = rte_eth_dev_count_avail();
	guest->pool = rte_pktmbuf_pool_create("frames", MBUF_COUNT, 256, 0,
					      tso ? TSO_BUFFER : BUFFER_SIZE, SOCKET_ID_ANY);
	if (guest->pool == NULL || guest->ports < LANES_MAX || guest->ports > PORTS_MAX) {
		free(guest);
		return NULL;
	}
	guest->distance = distance_new(other_core);
	for (uint16_t port = 0; port < guest->ports; port++)
		open_port(guest, port);
	return guest;
}

int main(int argc, char **argv)
{
	int used = rte_eal_init(argc, argv);
	struct guest *guest;
	char line[256];

	if (used < 0 || argc - used < 2) {
		fprintf(stderr, "usage: guest [OPTION OF EAL]... -- CORE [tso]\n");
		return 2;
	}
	guest = guest_new((unsigned)strtoul(argv[used + 1], NULL, 10),
			  argc - used > 2 && strcmp(argv[used + 2], "tso") == 0);
	if (guest == NULL)
		fail("buffers or ports", rte_errno);
	printf("ready %u\n", guest->ports);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL)
		obey(guest, line);
	rte_eal_cleanup();
	free(guest);
	return 0;
}
