/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_REAPER_H
#define VSWITCH_CONTROL_REAPER_H

/*
 * Does what the kernel lets its caller wait for: deleting interfaces, and the
 * last close of a packet socket or a TAP, each of which takes grace periods
 * of some 20 ms however little there is to do. Threads of its own wait, so
 * that the event loop need not; they touch nothing but the socket or
 * descriptor they were given. Called by reconcile on the control daemon's
 * event loop.
 */

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct nl_sock;
struct reaper;

/*
 * drained(context) is called from the event loop when the last deletion that was asked for is done.
 * Returns 0 or a negative errno.
 */
int reaper_new(struct reaper **reaper, struct event_base *base, void (*drained)(void *context),
	       void *context);
/* Waits until everything is done. */
void reaper_free(struct reaper *reaper);

/* Takes the descriptor and closes it. */
void reaper_close(struct reaper *reaper, int fd);
/* Takes a NETLINK_ROUTE socket, and deletes the interfaces of this group in its namespace. */
void reaper_delete(struct reaper *reaper, struct nl_sock *socket, uint32_t group);
/* Whether a deletion is not done yet. */
bool reaper_deletes(struct reaper *reaper);

#endif
