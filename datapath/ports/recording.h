/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_RECORDING_H
#define VSWITCH_DATAPATH_PORTS_RECORDING_H

/*
 * A capture file that frames are written to, with the time to the nanosecond:
 * where what a pcap port sends goes. Made by the main thread; any worker
 * writes.
 *
 * Whole records are appended, a batch at a time. Where the descriptor stands
 * is kept behind the last whole record, so that a datapath that takes over
 * from a dead one cuts off what was half written; beyond the end of the file
 * it says that the recording has reached its limit.
 */

#include <stdint.h>

#include "datapath/packet.h"

struct recording;

/*
 * Makes a recording of at most `limit` octets to the file fd, which stays the caller's. Returns 0
 * or a negative errno.
 */
int recording_new(struct recording **recording, int fd, uint64_t limit);
/* NULL is accepted. */
void recording_free(struct recording *recording);

/* As transmit() of struct port_ops; packets have no offload state. */
void recording_write(struct recording *recording, struct packet **packets, unsigned count,
		     uint8_t *results);

#endif
