/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_CODEL_H
#define VSWITCH_DATAPATH_CODEL_H

/*
 * CoDel's control law (RFC 8289) for one flow: when its sender is to be told, by a drop or a mark,
 * that packets wait too long. Packets are the caller's; see flow_queue.h. Used by one worker.
 *
 *	wait_end	state						ways out
 *	0		a packet waited less than the target		WAIT
 *	a time		all since interval before that time waited	0; SIGNALLING, by the first
 *			for the target or longer			signal at or after the time
 *	CODEL_SIGNALLING the sender is told at next_signal		0
 *
 * While it is signalling, signal n follows its predecessor by interval / sqrt(n). Who comes back
 * to it within 16 intervals goes on with about the n that was enough then.
 */

#include <stdbool.h>
#include <stdint.h>

#define CODEL_SIGNALLING UINT64_MAX

/* Aligned to four octets, so that a flow fits into a cache line. */
typedef uint64_t codel_time __attribute__((aligned(4)));

/* Zeroed memory is a flow that just began. */
struct codel {
	codel_time wait_end;
	codel_time next_signal; /* the last one that was planned */
	uint16_t count;		/* n of the last signal; no more than UINT16_MAX */
	uint16_t first_count;	/* n of the first one since SIGNALLING began */
};

/*
 * Looks at the packet that would leave now: waited says whether it waited for the target or longer
 * and more than a frame waits behind it. Returns whether a signal is due.
 */
bool codel_due(struct codel *codel, bool waited, uint64_t now, uint64_t interval);

/* Records that a signal that was due has been given. The interval is in ns, below 2^32. */
void codel_signal(struct codel *codel, uint64_t now, uint64_t interval);

#endif
