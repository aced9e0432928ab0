/* SPDX-License-Identifier: Apache-2.0 */

/*
 * crowd MAC TENANTS RATE SECONDS IFNAME...: sends RATE frames a second of many tenants to a MAC,
 * and prints how many as JSON.
 *
 * Tenants have their turns, in an order that jumps about, with two frames in a row each, so that
 * under a ceiling of more than the mean rate and a small burst one passes and the other waits.
 * Through one interface, frames are untagged, and the last two octets of their source MAC are the
 * tenant's number, counted from 1. Through several (uplinks), each carries CROWD_VIDS tenants, by
 * VIDs from 2.
 *
 * It wakes once a millisecond for all that is due, and never waits for the kernel.
 */

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "tests/bench/shaping/tool.h"

#define CROWD_VIDS   4000u
#define VID_FIRST    2u
#define FRAME_SIZE   500u /* octets without a tag and FCS */
#define TAG_SIZE     4u
#define MACS_SIZE    12u
#define LINKS_MAX    32u
#define BATCH	     64u
#define LATE_NS	     (10 * MILLISECOND) /* what a late wake-up makes up for */
#define GOLDEN_RATIO 0.6180339887498949

struct link {
	int fd;
	unsigned count; /* frames that wait to be sent */
	uint8_t heads[BATCH][MACS_SIZE + TAG_SIZE];
	struct iovec vectors[BATCH][2];
	struct mmsghdr messages[BATCH];
};

struct crowd {
	struct ether_addr to;
	uint32_t tenants, step; /* `step` has no divisor in common with `tenants` */
	uint32_t tenant, repeat;
	struct link links[LINKS_MAX];
	unsigned link_count;
	uint64_t tried, taken;
};

/* What follows the MACs and the tag: UDP to port 9 of an address that nobody has. */
static uint8_t rest[FRAME_SIZE - MACS_SIZE] = {
	0x08,
	0x00,
	0x45,
	0x00,
	(FRAME_SIZE - 14) >> 8,
	(FRAME_SIZE - 14) & 0xff,
	0x00,
	0x00,
	0x40,
	0x00,
	0x40,
	0x11,
	0x00,
	0x00,
	10,
	0,
	0,
	1,
	10,
	0,
	0,
	250,
	0x04,
	0x00,
	0x00,
	0x09,
	(FRAME_SIZE - 34) >> 8,
	(FRAME_SIZE - 34) & 0xff,
};

static void put_ip_checksum(uint8_t *header)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	header[10] = (uint8_t)(sum >> 8);
	header[11] = (uint8_t)sum;
}

static void open_link(struct link *link, const char *ifname)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_ifindex = (int)if_nametoindex(ifname)};

	link->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (link->fd < 0 || address.sll_ifindex == 0 ||
	    bind(link->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail(ifname);
	for (unsigned i = 0; i < BATCH; i++) {
		link->vectors[i][0].iov_base = link->heads[i];
		link->vectors[i][1] = (struct iovec){rest, sizeof(rest)};
		link->messages[i].msg_hdr.msg_iov = link->vectors[i];
		link->messages[i].msg_hdr.msg_iovlen = 2;
	}
}

static void flush(struct crowd *crowd, struct link *link)
{
	int sent = link->count == 0 ? 0
				    : sendmmsg(link->fd, link->messages, link->count, MSG_DONTWAIT);

	crowd->tried += link->count;
	crowd->taken += sent > 0 ? (unsigned)sent : 0;
	link->count = 0;
}

static void put_frame(struct crowd *crowd)
{
	bool tagged = crowd->link_count > 1;
	struct link *link = &crowd->links[tagged ? crowd->tenant / CROWD_VIDS : 0];
	uint32_t vid = VID_FIRST + crowd->tenant % CROWD_VIDS, number = crowd->tenant + 1;
	uint8_t *head = link->heads[link->count];

	memcpy(head, &crowd->to, 6);
	memcpy(head + 6, (const uint8_t[]){0x02, 0, 0, 0x01}, 4);
	head[10] = tagged ? 0 : (uint8_t)(number >> 8);
	head[11] = tagged ? 1 : (uint8_t)number;
	head[12] = ETHERTYPE_VLAN >> 8;
	head[13] = ETHERTYPE_VLAN & 0xff;
	head[14] = (uint8_t)(vid >> 8);
	head[15] = (uint8_t)vid;
	link->vectors[link->count][0].iov_len = MACS_SIZE + (tagged ? TAG_SIZE : 0);
	if (++link->count == BATCH)
		flush(crowd, link);
	crowd->repeat ^= 1;
	if (crowd->repeat == 0)
		crowd->tenant = (crowd->tenant + crowd->step) % crowd->tenants;
}

static void send_all(struct crowd *crowd, double rate, uint64_t length)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC), now = start;
	double sent = 0, late = rate * LATE_NS / 1e9;

	for (; now < start + length; now = clock_ns(CLOCK_MONOTONIC)) {
		double due = rate * (double)(now - start) / 1e9;

		if (sent < due - late)
			sent = due - late;
		while (sent <= due) {
			put_frame(crowd);
			sent += 1;
		}
		for (unsigned i = 0; i < crowd->link_count; i++)
			flush(crowd, &crowd->links[i]);
		sleep_until((now / MILLISECOND + 1) * MILLISECOND);
	}
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t remainder = a % b;

		a = b;
		b = remainder;
	}
	return a;
}

int main(int argc, char **argv)
{
	static struct crowd crowd;
	double rate, length;

	if (argc < 6 || argc - 5 > (int)LINKS_MAX || ether_aton_r(argv[1], &crowd.to) == NULL) {
		fprintf(stderr, "usage: crowd MAC TENANTS RATE SECONDS IFNAME...\n");
		return 2;
	}
	crowd.tenants = (uint32_t)strtoul(argv[2], NULL, 10);
	rate = strtod(argv[3], NULL);
	length = strtod(argv[4], NULL);
	crowd.link_count = (unsigned)argc - 5;
	if (crowd.tenants == 0 || !(rate > 0) || !(length > 0 && length <= 600) ||
	    (crowd.link_count > 1 && crowd.tenants > crowd.link_count * CROWD_VIDS)) {
		fprintf(stderr, "crowd: not so many\n");
		return 2;
	}
	crowd.step = (uint32_t)(crowd.tenants * GOLDEN_RATIO) | 1;
	while (common_divisor(crowd.tenants, crowd.step) != 1)
		crowd.step += 2;
	for (unsigned i = 0; i < crowd.link_count; i++)
		open_link(&crowd.links[i], argv[5 + i]);
	put_ip_checksum(rest + 2);
	prctl(PR_SET_TIMERSLACK, 1ul);
	send_all(&crowd, rate, (uint64_t)(length * 1e9));
	printf("{\"tried\": %llu, \"taken\": %llu}\n", (unsigned long long)crowd.tried,
	       (unsigned long long)crowd.taken);
	return 0;
}
