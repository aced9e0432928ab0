/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_DATAPATH_LINK_H
#define VSWITCH_CONTROL_DATAPATH_LINK_H

/*
 * The control daemon's end of the connection to the datapath (common/proto.h):
 * connects, checks who listens, comes again when the datapath returns, and
 * keeps to the protocol's order. What is said is reconcile's, who calls it and
 * is called back, on the control daemon's one thread.
 *
 * state     means                             ways out
 * ABSENT    nobody listens; tried every       GREETING: connected
 *           100 ms
 * GREETING  connected, HELLO is awaited       READY: HELLO came; ABSENT: end, error, too long
 * HANDBACK  descriptors are coming back       READY: HANDBACK_END; ABSENT as above
 * READY     messages may be sent              HANDBACK, COMMITTED; ABSENT as above
 * COMMITTED the REPLY to COMMIT is awaited    READY: REPLY came; ABSENT as above
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/proto.h"

struct datapath_link;
struct event_base;

enum datapath_link_state {
	DATAPATH_LINK_ABSENT,
	DATAPATH_LINK_GREETING,
	DATAPATH_LINK_HANDBACK,
	DATAPATH_LINK_READY,
	DATAPATH_LINK_COMMITTED
};

/* Called from the event loop, never from within a call of this module. */
struct datapath_link_events {
	/* HELLO came: READY. */
	void (*connected)(void *context, const struct proto_hello *hello);
	/* One record of a handback. Descriptors that are taken are set to -1, the others are
	 * closed. */
	void (*handback)(void *context, const struct proto_handback *record, int *fds);
	void (*handback_end)(void *context);
	void (*replied)(void *context, const struct proto_reply *reply);
	void (*device)(void *context, const struct proto_device *device);
	void (*port_lost)(void *context, const struct proto_port_lost *lost);
	void (*mac_held)(void *context, const struct proto_mac_held *held);
	/* The connection is gone: ABSENT. */
	void (*disconnected)(void *context);
};

/*
 * Tries to connect to run_dir/datapath.sock at once (see the state) and from then on. Returns 0 or
 * a negative errno.
 */
int datapath_link_new(struct datapath_link **link, struct event_base *base, const char *run_dir,
		      const struct datapath_link_events *events, void *context);
/* Disconnects without a callback. */
void datapath_link_free(struct datapath_link *link);

enum datapath_link_state datapath_link_state(const struct datapath_link *link);
/*
 * Why there is no datapath to talk to: -EPERM: somebody else listens there; -EPROTONOSUPPORT: it
 * speaks another version of the protocol; another negative errno that ended the last connection; 0:
 * there is one, or none yet.
 */
int datapath_link_error(const struct datapath_link *link);

/* READY: asks for every descriptor; HANDBACK from here to handback_end(). */
void datapath_link_request_handback(struct datapath_link *link);

/*
 * READY: sends one record with its descriptors (duplicated: the caller keeps its own). Errors break
 * the connection, and disconnected() tells soon; a caller needs no result.
 */
void datapath_link_send(struct datapath_link *link, enum proto_type type, const void *record,
			uint16_t record_size, const int *fds, uint32_t fd_count);
void datapath_link_send_empty(struct datapath_link *link, enum proto_type type);
/* READY: sends COMMIT; COMMITTED from here to replied(). */
void datapath_link_commit(struct datapath_link *link, uint64_t generation);
/* Puts what was sent on its way; commit and handback do so themselves. */
void datapath_link_flush(struct datapath_link *link);

#endif
