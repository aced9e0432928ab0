/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_KERNEL_SEGMENTS_H
#define VSWITCH_TESTS_UNIT_KERNEL_SEGMENTS_H

/*
 * What Linux 6.18 makes of super-packets: written to a TAP with their virtio-net header, bridged,
 * and read from a TAP without any offload. `digest` is of all frames in order, the outermost tag
 * taken off; the descriptions are those of frames.h.
 */

#include "frames.h"

struct kernel_segments {
	struct frame_spec spec;
	unsigned count;
	uint64_t digest;
};

static const struct kernel_segments kernel_segments[] = {
	/* TCP with timestamps' room, every flag, sequence and identification that wrap. */
	{{.protocol = 6,
	  .payload_size = 20000,
	  .gso_size = 1448,
	  .tcp_option_size = 12,
	  .tcp_flags = 0xd9,
	  .sequence = 0xfffff000,
	  .identification = 65530,
	  .partial = true,
	  .ecn = true},
	 14,
	 0x303c8b35548b56cf},
	/* IP options, "don't fragment", a last segment of one octet. */
	{{.protocol = 6,
	  .payload_size = 4001,
	  .gso_size = 1000,
	  .option_size = 8,
	  .fragment = 0x4000,
	  .tcp_flags = 0x18,
	  .identification = 7,
	  .partial = true},
	 5,
	 0xe0433de2119b844c},
	{{.ipv6 = true,
	  .protocol = 6,
	  .payload_size = 60000,
	  .gso_size = 1428,
	  .tcp_option_size = 12,
	  .tcp_flags = 0x11,
	  .sequence = 1,
	  .partial = true},
	 43,
	 0xd7a94469ad97eaa2},
	/* A destination options header. */
	{{.ipv6 = true,
	  .protocol = 6,
	  .payload_size = 5555,
	  .gso_size = 1111,
	  .option_size = 16,
	  .tcp_flags = 0x18,
	  .partial = true},
	 5,
	 0x98f7657fcbeeb802},
	{{.protocol = 17,
	  .payload_size = 9999,
	  .gso_size = 1001,
	  .identification = 100,
	  .partial = true},
	 10,
	 0x3a5db90bb7a0100f},
	{{.ipv6 = true, .protocol = 17, .payload_size = 12000, .gso_size = 1200, .partial = true},
	 10,
	 0xd82c521e6c6c59a4},
	/* One tag inside. */
	{{.protocol = 6,
	  .tags = 2,
	  .payload_size = 9000,
	  .gso_size = 1400,
	  .tcp_flags = 0x18,
	  .identification = 1,
	  .partial = true},
	 7,
	 0xc9c1bb568df83a40},
	{{.ipv6 = true,
	  .protocol = 17,
	  .tags = 1,
	  .payload_size = 3003,
	  .gso_size = 500,
	  .partial = true},
	 7,
	 0xc546e60dbf45fafb},
};

#endif
