/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_DPDK_TRIAL_H
#define VSWITCH_DATAPATH_PORTS_DPDK_TRIAL_H

/*
 * Drivers are others' code, and take arguments that nobody checks: one may crash while it opens a
 * device, or wait for ever. The process then executes itself anew, with its arguments and the
 * environment that it was started with, and leaves that device out. For what happens before the
 * sandbox is closed; one device at a time, in one thread.
 */

#include <stdbool.h>

/* Seconds that a driver may take. */
#define DPDK_TRIAL_SECONDS 10u

/*
 * Returns NULL, or why a device is to be left out: what became of it in a former life of this
 * process. The text is constant.
 */
const char *dpdk_trial_past(const char *device);

/*
 * Around what opens a device, whose name has no line breaks. Returns whether it may be opened: if
 * not, the process could not begin anew.
 */
bool dpdk_trial_begin(const char *device);
void dpdk_trial_end(void);

#endif
