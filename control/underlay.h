/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_UNDERLAY_H
#define VSWITCH_CONTROL_UNDERLAY_H

/*
 * What the daemon's own network namespace says of the interface that has the
 * VTEP's address: its MTU, and that something changed there. Used by
 * reconcile, on the control daemon's one thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/proto.h"

struct event_base;
struct namespaces;
struct underlay;

/*
 * Calls changed(context) from the event loop some time after interfaces or IPv4 addresses changed,
 * once for many changes. The namespaces must outlive it. Returns 0 or a negative errno.
 */
int underlay_new(struct underlay **underlay, struct event_base *base,
		 const struct namespaces *namespaces, void (*changed)(void *), void *context);
void underlay_free(struct underlay *underlay);

/*
 * Whether an interface has this address. bind() alone does not tell: where no interface has any
 * address at all, the kernel takes every one for a broadcast address, and allows it.
 */
bool underlay_has(const struct underlay *underlay, const struct proto_addr *local);
/*
 * The MTU of the interface that has this address; 0 when none has it, and for an address of the
 * loopback interface, whose MTU says nothing about the way out.
 */
uint32_t underlay_mtu(const struct underlay *underlay, const struct proto_addr *local);

#endif
