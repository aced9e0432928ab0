/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_BACKLOG_H
#define VSWITCH_DATAPATH_BACKLOG_H

/*
 * Packets that a port had no room for (PORT_WAIT), each port's in their order, until it has: the
 * queue that the kernel has before a TAP, for ports without one. A worker's own; the output stage
 * fills and empties it. Times are those of worker->now, ns.
 */

#include <stdbool.h>
#include <stdint.h>

#include "datapath/packet.h"

#define BACKLOG_PORTS_MAX 64u
/* Of one port: as many packets as before a TAP. */
#define BACKLOG_PACKETS_MAX 1000u
#define BACKLOG_OCTETS_MAX  (4u << 20)
/* Of all ports together. */
#define BACKLOG_ALL_PACKETS_MAX 8192u
#define BACKLOG_ALL_OCTETS_MAX	(32u << 20)

/* From one attempt to the next: a quarter of the time that the port took nothing, within these. */
#define BACKLOG_RETRY_NS     50000u
#define BACKLOG_RETRY_MAX_NS 5000000u
#define BACKLOG_STALLED_NS   100000000u /* a port that takes nothing for so long loses all */

struct backlog_port {
	uint32_t port; /* index */
	uint64_t octets;
	uint64_t due;	/* when it is tried again */
	uint64_t moved; /* when it took something last, or the first packet came */
	struct packet_list packets;
};

/* Empty when it is zero. */
struct backlog {
	unsigned count;
	uint32_t packets;
	uint64_t octets;
	struct backlog_port ports[BACKLOG_PORTS_MAX];
};

/* Returns what waits for the port, NULL: nothing. It is valid until something is removed. */
struct backlog_port *backlog_of(struct backlog *backlog, uint32_t port);

/* Appends a packet to what waits for the port. Returns false when there is no room. */
bool backlog_add(struct backlog *backlog, uint32_t port, struct packet *packet, uint64_t now);

/* Takes up to `max` packets, the oldest ones, and returns how many. */
unsigned backlog_take(struct backlog *backlog, struct backlog_port *port, struct packet **packets,
		      unsigned max);
/* Puts packets that were taken before the others again. */
void backlog_put_back(struct backlog *backlog, struct backlog_port *port,
		      struct packet *const *packets, unsigned count);
/* Forgets a port for which nothing waits any more. Another may take its place in the array. */
void backlog_remove(struct backlog *backlog, struct backlog_port *port);

/* Appends all packets that wait to a list. */
void backlog_drain_all(struct backlog *backlog, struct packet_list *packets);

/* Says when the port, which was just tried, is tried again. */
void backlog_postpone(struct backlog_port *port, uint64_t now);

/* When a port is to be tried again; UINT64_MAX: nothing waits. */
uint64_t backlog_next(const struct backlog *backlog);

#endif
