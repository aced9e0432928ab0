/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_MEMORY_H
#define VSWITCH_DATAPATH_PORTS_MEMORY_H

/*
 * Ports without a kernel: a test injects frames and collects what the switch sends. One thread.
 * In a daemon such a port takes what it is sent and never receives anything.
 */

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/ports/port.h"

struct memory_frame {
	struct memory_frame *next;
	struct virtio_net_hdr offload;
	/* As the VTEP: where a frame came from, or what it is sent to. */
	bool overlay;
	uint32_t outer_source, vni;
	uint8_t outer_tos;
	uint32_t peer;
	uint32_t flow_hash; /* of what is sent */
	size_t size;
	uint8_t data[];
};

/* From now on keeps what is sent, for memory_collect(), and offers these features (PORT_CAN_*). */
void memory_capture(struct port *port, uint32_t features);
/* Makes transmit drop everything with this reason; DROP_NONE: no longer. */
void memory_fail(struct port *port, enum drop_reason reason);
/* The same for the last so many frames of a super-packet; what goes out is not collected. */
void memory_fail_part(struct port *port, enum drop_reason reason, uint16_t frames);
/* Makes transmit take so many packets and let all others wait; UINT_MAX: takes all. */
void memory_fill(struct port *port, unsigned room);
/* Queues a frame for receive(); offload may be NULL. Returns 0 or -ENOMEM. */
int memory_inject(struct port *port, const struct virtio_net_hdr *offload, const void *data,
		  size_t size);
/* The same as if it came from a peer, by VXLAN. */
int memory_inject_overlay(struct port *port, uint32_t outer_source, uint32_t vni, uint8_t outer_tos,
			  const void *data, size_t size);
/* Returns the oldest frame that was sent, to be freed by free(); NULL: none. */
struct memory_frame *memory_collect(struct port *port);

#endif
