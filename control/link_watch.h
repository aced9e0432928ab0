/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_LINK_WATCH_H
#define VSWITCH_CONTROL_LINK_WATCH_H

/*
 * Notices what happens to the interfaces of a namespace. In the private one,
 * our end of a veth goes, because its other end went with its namespace: the
 * datapath may miss it, since a failing send takes the error that a receive
 * waits for, and it may not be there. In others, interfaces that ports adopt
 * appear, go, are renamed, go up and down. Made by reconcile; the control
 * daemon's one thread. Like any socket it keeps its namespace alive.
 */

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct link_watch;
struct namespaces;

/* An interface as a message tells of it. */
struct link_watch_event {
	const char *ifname;
	uint32_t ifindex;
	bool gone; /* else it is new, or changed */
};

/*
 * Calls changed(context, event) from the event loop; event NULL when messages were lost and any
 * interface may have changed. changed() must not free the watch. Returns 0 or a negative errno.
 */
int link_watch_new(struct link_watch **watch, struct event_base *base,
		   const struct namespaces *namespaces, int netns,
		   void (*changed)(void *context, const struct link_watch_event *event),
		   void *context);
void link_watch_free(struct link_watch *watch);

#endif
