/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_GATHER_H
#define VSWITCH_DATAPATH_PORTS_GATHER_H

/* A packet as an I/O vector, and the kernel's errors as drop reasons. Shared by the port types. */

#include <sys/uio.h>

#include "datapath/packet.h"

#define GATHER_IOV_MAX (1u + PACKET_SLICES) /* head, slices */

/* Writes head and slices into iov (room for GATHER_IOV_MAX) and returns how many it used. */
unsigned gather_packet(const struct packet *packet, struct iovec *iov);
/* The same behind the packet's virtio-net header, which it writes into the headroom. */
unsigned gather_with_header(struct packet *packet, struct iovec *iov);

/* The reason for which a packet is dropped when a send fails with errno `error`. */
enum drop_reason gather_drop_reason(int error);

#endif
