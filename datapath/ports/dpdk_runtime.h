/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_DPDK_RUNTIME_H
#define VSWITCH_DATAPATH_PORTS_DPDK_RUNTIME_H

/*
 * The environment abstraction layer of DPDK, of which a process has one. Main thread only, but for
 * what workers call.
 *
 * The first vhost-user port brings it up, inside the sandbox: without hugepages (packets lie in
 * memory of ours, guests' memory is mapped from their descriptors), without drivers and without
 * privileges. What it reads of a machine's processors it finds in files that are made beforehand.
 * Devices bring it up before the sandbox, as it is meant to be.
 *
 * Without DPDK there is nothing to prepare.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef HAVE_DPDK

/* The directory in the sandbox's root in which DPDK makes sockets; NULL: there is none. */
#define DPDK_RUNTIME_DIRECTORY "vhost"

/*
 * Makes, in the directory that is to be the sandbox's root, what EAL wants to see: a machine of one
 * processor and without loaded modules. Called while that is still allowed. Returns 0 or a negative
 * errno.
 */
int dpdk_runtime_prepare(const char *root);
/* Says where the directory is when the sandbox has closed, and makes it if need be. Copies the
 * path.
 */
void dpdk_runtime_set_directory(const char *path);
const char *dpdk_runtime_directory(void);

/*
 * Brings EAL up, unless it is. Returns 0 or a negative errno, the same again later: it cannot be
 * tried twice.
 */
int dpdk_runtime_start(void);

/*
 * The same with drivers, for devices that are named as for dpdk_devices.h: those on a PCI bus are
 * opened with it. On hugepages where there are enough, which are reserved for a PCI device if
 * possible. What EAL leaves in files is below run_dir. Called before the sandbox.
 */
int dpdk_runtime_start_with(const char *run_dir, const char *const *devices, uint32_t count);

/*
 * What DPDK logged first since the last call, which mostly is why something failed; "" when there
 * was nothing. With size 0 it is only forgotten.
 */
void dpdk_runtime_why(char *text, size_t size);

/* A worker begins and ends: drivers keep something for each thread. */
void dpdk_runtime_thread_begin(void);
void dpdk_runtime_thread_end(void);

#else

#define DPDK_RUNTIME_DIRECTORY NULL

static inline int dpdk_runtime_prepare(const char *root)
{
	(void)root;
	return 0;
}

static inline void dpdk_runtime_set_directory(const char *path)
{
	(void)path;
}

static inline void dpdk_runtime_thread_begin(void)
{
}

static inline void dpdk_runtime_thread_end(void)
{
}

#endif

#endif
