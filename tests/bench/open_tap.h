/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_BENCH_OPEN_TAP_H
#define VSWITCH_TESTS_BENCH_OPEN_TAP_H

/*
 * Makes a TAP with virtio-net headers (of 10 octets) and TCP's offloads in a namespace of
 * /run/netns, in which the process stays. Ends the program when it cannot.
 */
int open_tap(const char *netns, const char *ifname);

#endif
