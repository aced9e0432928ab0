/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_DROP_H
#define VSWITCH_COMMON_DROP_H

/*
 * The reasons for which a packet is dropped. The datapath counts by reason,
 * the control daemon reads the counters, and both name them from one table.
 * Numbers are part of the layout of the counters' memory: append only.
 */

#include <stdint.h>

enum drop_reason {
	DROP_NONE,
	/* receive and parse */
	DROP_NO_BUFFER,
	DROP_TOO_SHORT,
	DROP_TOO_LONG,
	DROP_BAD_OFFLOAD,
	DROP_BAD_HEADER,
	/* classify and admit */
	DROP_PORT_DOWN,
	DROP_VLAN_INVALID,
	DROP_VLAN_UNKNOWN,
	DROP_VLAN_TAGGED,
	DROP_SOURCE_MAC,
	DROP_LINK_LOCAL,
	DROP_OVERSIZE,
	/* overlay */
	DROP_VXLAN_HEADER,
	DROP_VNI_UNKNOWN,
	DROP_PEER_UNKNOWN,
	DROP_ECN_INVALID,
	/* look up and replicate */
	DROP_SAME_PORT,
	DROP_NO_MEMBER,
	DROP_OVERLAY_LOOP,
	/* shape */
	DROP_PORT_SEND_QUEUE,
	DROP_TENANT_SEND_QUEUE,
	DROP_TENANT_RECEIVE_QUEUE,
	DROP_PORT_RECEIVE_QUEUE,
	/* output */
	DROP_PORT_GONE,
	DROP_PORT_FULL,
	DROP_PORT_ERROR,
	DROP_NO_ROUTE,
	DROP_NO_VTEP,
	DROP_RESTART,
	/* shape, as a flow's queue was too long for too long (CoDel) */
	DROP_QUEUE_DELAY,
	DROP_REASON_COUNT
};

/* The place for reasons in the counters' memory. */
#define DROP_REASON_CAPACITY 64

/* Returns the reason's name as users see it ("no-buffer"), or "unknown". Static storage. */
const char *drop_name(unsigned reason);

/* Returns one sentence that says what it means and what to do. Static storage. */
const char *drop_explanation(unsigned reason);

#endif
