/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_DPDK_DEVICES_H
#define VSWITCH_DATAPATH_PORTS_DPDK_DEVICES_H

/*
 * The network devices of DPDK that ports are to be made of: opened when the datapath starts, since
 * that takes privileges and files, and kept until it ends. Which ones says the file `devices` in
 * the run directory, which the control daemon writes (common/proto.h).
 */

#include <stdint.h>

#include "common/proto.h"

/* That are reported of; DPDK opens 32 (RTE_MAX_ETHPORTS), and of the rest it says so. */
#define DPDK_DEVICES_MAX 256u

struct dpdk_devices {
	uint32_t count;
	struct proto_device list[DPDK_DEVICES_MAX]; /* as they are reported */
};

#ifdef HAVE_DPDK

/*
 * Opens what the file names, with a queue for each worker where a device has so many. What cannot
 * be opened is in the list with its error, and in the log. Without a file, or with an empty one,
 * nothing happens, and EAL is not started. Called before the sandbox.
 */
void dpdk_devices_open(struct dpdk_devices *devices, const char *run_dir, unsigned workers);

/* The device that was opened for a port, as DPDK numbers it, or -ENODEV. */
int dpdk_devices_find(const struct proto_ref *port);

#else

static inline void dpdk_devices_open(struct dpdk_devices *devices, const char *run_dir,
				     unsigned workers)
{
	(void)run_dir;
	(void)workers;
	devices->count = 0;
}

#endif

#endif
