/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_VXLAN_H
#define VSWITCH_DATAPATH_PORTS_VXLAN_H

/*
 * What the parts of the VTEP (RFC 7348) share: vxlan.c makes the port, vxlan_receive.c takes
 * datagrams apart and joins what they carry, vxlan_send.c puts frames into datagrams.
 */

#include <netinet/udp.h>

#include "datapath/offload/coalesce.h"
#include "datapath/ports/port.h"

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
/* Since Linux 4.18 and 5.0; some C libraries' headers are older. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define VXLAN_HEADER_SIZE 8u
#define VXLAN_FLAG_VNI	  0x08u
/* Of one send. Older kernels refuse more; closer to 64 KiB, receivers get it in pieces. */
#define VXLAN_SEND_FRAMES  PROTO_SEND_FRAMES_MAX
#define VXLAN_SEND_SIZE	   PROTO_SEND_SIZE_MAX
#define VXLAN_SCRATCH_SIZE (128u * 1024u)

/* What was received from one socket and not taken apart yet. Belongs to one worker, and shares no
 * cache line. */
struct vxlan_queue {
	_Alignas(PACKET_CACHE_LINE) unsigned message;
	unsigned message_count;
	bool more;	       /* the socket had as many messages as were asked for */
	uint32_t offset;       /* in the message */
	unsigned packets;      /* made of these messages so far */
	unsigned packets_each; /* of a message, of the last ones received */
	uint32_t average;      /* octets of a message, likewise */
	struct coalesce coalesce;
};

struct vxlan_port {
	struct vxlan_queue queues[PORT_QUEUES_MAX];
	/* Where each worker writes the frames of super-packets for one send. */
	uint8_t scratch[PORT_QUEUES_MAX][VXLAN_SCRATCH_SIZE];
};

/* As the port's contract (ports/port.h) says. */
int vxlan_receive(struct port *port, unsigned queue, struct receiver *receiver,
		  struct batch *batch);
void vxlan_transmit(struct port *port, const struct config *config, unsigned queue,
		    struct packet **packets, unsigned count, uint8_t *results);

#endif
