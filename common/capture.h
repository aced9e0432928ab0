/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_CAPTURE_H
#define VSWITCH_COMMON_CAPTURE_H

/*
 * What both daemons know of capture files: the header of a pcap file, of
 * which the control daemon says early whether a port can replay it, and the
 * datapath before libpcap gets to see the rest. Pure functions.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAPTURE_HEADER_SIZE 24u

/*
 * Looks at the first `size` octets of a file. Returns 0 for a pcap file of Ethernet frames without
 * FCS, in either byte order, with microseconds or nanoseconds; -ENODATA when it ends within its
 * header, -EPROTONOSUPPORT for pcapng, -EMEDIUMTYPE for frames of another kind, -EBADMSG for what
 * is no pcap file.
 */
int capture_check(const uint8_t *header, size_t size);

/* Whether it is a file as the datapath records it: what may be appended to. */
bool capture_is_recording(const uint8_t *header, size_t size);

#endif
