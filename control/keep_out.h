/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_KEEP_OUT_H
#define VSWITCH_CONTROL_KEEP_OUT_H

/*
 * Keeps the host's stack out of an interface that the switch adopted, and
 * lets it in again. Called by links on the control daemon's one thread, with
 * the namespace that the interface is in.
 *
 * How this works: packet sockets see a frame before tc does. A BPF program on
 * ingress (clsact) drops every frame behind them; one on egress drops every
 * frame that does not carry the mark of the switch's socket, and takes the
 * mark off. IPv6 is switched off besides, so that the host does not count on
 * the interface.
 *
 * The ingress program's name says whose it is and what there was before. So
 * the memory is where what it is about is: it survives this daemon, follows a
 * renamed interface, and ends with one that is removed. One that moves to
 * another namespace loses it, and there the kernel gives it fresh settings.
 * What a death may leave for good is an empty clsact, which does nothing: it
 * has no name that could say whose it is.
 */

#include <stdbool.h>
#include <stdint.h>

struct namespaces;

/* Of frames that may leave (SO_MARK); seen by nobody behind the egress program. */
#define KEEP_OUT_MARK 0x76737764u

/* An interface as it is called by whoever keeps the host out. */
struct keep_out_place {
	const struct namespaces *namespaces;
	int netns;
	uint64_t instance;
	uint32_t ifindex;
};

enum keep_out_owner { KEEP_OUT_NOBODY, KEEP_OUT_OURS, KEEP_OUT_ANOTHER };
/* Which switch keeps the host out of it. */
enum keep_out_owner keep_out_owner(const struct keep_out_place *place);

/*
 * Keeps the host out; what is so already stays. was_down: whether keep_out_end() is to bring the
 * interface down. Returns 1 when it was not kept out before, 0 when it was, or a negative errno,
 * and then all is as it was.
 */
int keep_out_begin(const struct keep_out_place *place, bool was_down);
/* Puts back what there was before, if it is this switch that keeps the host out. */
void keep_out_end(const struct keep_out_place *place);

#endif
