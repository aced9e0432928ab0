/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sink IFNAME [KEY=NUMBER]...: measures what arrives at an interface of its own namespace, and
 * prints it as JSON, after a line "ready" when it listens.
 *
 *   seconds=S  for how long, from the first frame that counts (5)
 *   frames=N   and for at least so many frames (0)
 *   skip=S     for how long after the first arrival frames do not count yet (0)
 *   limit=S    when it ends, whatever has come by then (60); SIGTERM ends it, too
 *   bin=US     besides, octets in each so many microseconds since the epoch (0: not)
 *   from=N     only frames whose source MAC ends with that octet (-1: all)
 *
 * Octets are those of layer-2 frames without FCS, as shapers count them: a super-packet is as many
 * frames as it has segments, each with its own headers. The time of a frame is when the kernel had
 * it, so that this process may be late. The rate is the octets after the first arrival divided by
 * the time from the first to the last.
 */

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "tests/bench/shaping/tool.h"

#define MESSAGES      64u
#define HEADERS	      128u /* octets that are looked at, of each frame */
#define RECEIVE_BYTES (128 << 20)
#define BINS_MAX      (1u << 20)
#define NAP_NS	      MILLISECOND
#define ETHERNET      14u

struct wanted {
	double seconds, frames, skip, limit, bin, from;
};

struct tally {
	uint64_t arrived; /* when the very first came, ns since the epoch; 0: nothing yet */
	uint64_t first, last;
	uint64_t frames, octets;
	uint64_t first_octets; /* of the first arrival */
	uint64_t bin_first;    /* its number, counted from the epoch */
	uint64_t bin_count;
	uint32_t *bins;
	bool complete;
};

struct received {
	struct virtio_net_hdr offload;
	uint8_t headers[HEADERS];
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

/* Lets frames through whose source MAC ends with that octet. */
static void attach_filter(int fd, unsigned octet)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 11),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, octet, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		fail("filter");
}

static void set_option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		fail("socket option");
}

static int open_socket(const char *ifname, double from)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(ifname),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || address.sll_ifindex == 0)
		fail(ifname);
	set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES);
	set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	set_option(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	if (from >= 0)
		attach_filter(fd, (unsigned)from);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail(ifname);
	return fd;
}

/* Octets on the wire of a frame of so many octets; *frames: as how many frames. */
static uint64_t wire_octets(const struct received *received, uint64_t size, uint64_t *frames)
{
	const uint8_t *ip = received->headers + ETHERNET;
	unsigned gso_size = received->offload.gso_size, header = ETHERNET;

	*frames = 1;
	if (received->offload.gso_type == VIRTIO_NET_HDR_GSO_NONE || gso_size == 0 ||
	    received->headers[12] != 0x08 || received->headers[13] != 0)
		return size;
	header += (ip[0] & 0xfu) * 4;
	if (header + 20 > HEADERS)
		return size;
	header += ip[9] == IPPROTO_TCP ? (received->headers[header + 12] >> 4) * 4u : 8u;
	*frames = (size - header + gso_size - 1) / gso_size;
	return size + (*frames - 1) * header;
}

static void count_bin(struct tally *tally, uint64_t bin_ns, uint64_t time, uint64_t octets)
{
	uint64_t bin = time / bin_ns;

	if (tally->bin_count == 0)
		tally->bin_first = bin;
	if (bin < tally->bin_first || bin - tally->bin_first >= BINS_MAX)
		return;
	if (bin - tally->bin_first >= tally->bin_count)
		tally->bin_count = bin - tally->bin_first + 1;
	tally->bins[bin - tally->bin_first] += (uint32_t)octets;
}

static void count(struct tally *tally, const struct wanted *wanted, uint64_t time,
		  const struct received *received, uint64_t size)
{
	uint64_t frames, octets = wire_octets(received, size, &frames);

	if (tally->arrived == 0)
		tally->arrived = time;
	if (tally->complete || (double)(time - tally->arrived) < wanted->skip * 1e9)
		return;
	if (tally->first == 0) {
		tally->first = time;
		tally->first_octets = octets;
	}
	tally->last = time;
	tally->frames += frames;
	tally->octets += octets;
	if (tally->bins != NULL)
		count_bin(tally, (uint64_t)(wanted->bin * 1000), time, octets);
	tally->complete = (double)(time - tally->first) >= wanted->seconds * 1e9 &&
			  (double)tally->frames >= wanted->frames;
}

/* When the kernel had it, in ns since the epoch. */
static uint64_t arrival(struct msghdr *message)
{
	const struct cmsghdr *header = CMSG_FIRSTHDR(message);
	struct timespec time;

	if (header == NULL || header->cmsg_type != SO_TIMESTAMPNS)
		fail("no time stamp");
	memcpy(&time, CMSG_DATA(header), sizeof(time));
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* Counts what is there; false: there was nothing. */
static bool take(int fd, struct tally *tally, const struct wanted *wanted)
{
	static struct received received[MESSAGES];
	static uint8_t control[MESSAGES][CMSG_SPACE(sizeof(struct timespec))];
	struct mmsghdr messages[MESSAGES];
	struct iovec vectors[MESSAGES];
	int got;

	for (unsigned i = 0; i < MESSAGES; i++) {
		vectors[i] = (struct iovec){&received[i], sizeof(received[i])};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i],
						      .msg_iovlen = 1,
						      .msg_control = control[i],
						      .msg_controllen = sizeof(control[i])};
	}
	got = recvmmsg(fd, messages, MESSAGES, MSG_DONTWAIT | MSG_TRUNC, NULL);
	for (int i = 0; i < got; i++)
		count(tally, wanted, arrival(&messages[i].msg_hdr), &received[i],
		      messages[i].msg_len - sizeof(received[i].offload));
	return got > 0;
}

static void measure(int fd, struct tally *tally, const struct wanted *wanted)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(wanted->limit * 1e9);

	while (!tally->complete) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);

		if (take(fd, tally, wanted))
			continue;
		if (stopped || now >= end)
			return;
		sleep_until(now + NAP_NS);
	}
}

static void report_bins(const struct tally *tally)
{
	printf(", \"bin_first\": %llu, \"bins\": [", (unsigned long long)tally->bin_first);
	for (uint64_t i = 0; i < tally->bin_count; i++)
		printf("%s%u", i == 0 ? "" : ", ", tally->bins[i]);
	putchar(']');
}

static void report(int fd, const struct tally *tally)
{
	struct tpacket_stats stats = {0};
	socklen_t size = sizeof(stats);
	uint64_t octets = tally->octets - tally->first_octets;
	double seconds = (double)(tally->last - tally->first) / 1e9;

	getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size);
	printf("{\"frames\": %llu, \"octets\": %llu, \"seconds\": %.9f, \"rate\": %.0f, "
	       "\"lost\": %u, \"first\": %llu, \"last\": %llu",
	       (unsigned long long)tally->frames, (unsigned long long)octets, seconds,
	       seconds > 0 ? (double)octets * 8 / seconds : 0, stats.tp_drops,
	       (unsigned long long)tally->first, (unsigned long long)tally->last);
	if (tally->bins != NULL)
		report_bins(tally);
	puts("}");
}

int main(int argc, char **argv)
{
	struct wanted wanted = {.seconds = 5, .limit = 60, .from = -1};
	const struct setting settings[] = {
		{"seconds", &wanted.seconds}, {"frames", &wanted.frames}, {"skip", &wanted.skip},
		{"limit", &wanted.limit},     {"bin", &wanted.bin},	  {"from", &wanted.from},
	};
	struct sigaction action = {.sa_handler = stop};
	struct tally tally = {0};
	int fd;

	if (argc < 2 ||
	    !read_settings(argv + 2, settings, sizeof(settings) / sizeof(settings[0]))) {
		fprintf(stderr,
			"usage: sink IFNAME [seconds|frames|skip|limit|bin|from=NUMBER]...\n");
		return 2;
	}
	if (wanted.bin > 0)
		tally.bins = calloc(BINS_MAX, sizeof(*tally.bins));
	sigaction(SIGTERM, &action, NULL);
	fd = open_socket(argv[1], wanted.from);
	puts("ready");
	fflush(stdout);
	measure(fd, &tally, &wanted);
	report(fd, &tally);
	free(tally.bins);
	return 0;
}
