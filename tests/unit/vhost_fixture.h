/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_VHOST_FIXTURE_H
#define VSWITCH_TESTS_UNIT_VHOST_FIXTURE_H

/*
 * The reconciler's fixture with ports of type vhost-user, and the hypervisor's
 * side of them: sockets in a directory of the test's own, where nothing may be
 * left but what is at these two paths. The datapath has DPDK, tenant 0.1 is
 * acme, segment 0.2 acme/web; ports follow.
 */

#include "tests/unit/reconcile_fixture.h"

extern char vhost_path_a[64], vhost_path_b[64];

/* cmocka's set-up and tear-down. */
int vhost_set_up(void **state);
int vhost_tear_down(void **state);

/* Makes the port of acme in web, or changes it, in a transaction of its own. */
void vhost_put_port(struct fixture *fixture, const char *name, const char *path, bool server);
void vhost_delete_port(struct fixture *fixture, const char *name);

/* A hypervisor that listens, one that connects, and the connection that the former gets. Nothing
 * of these waits for the kernel. */
int vhost_listen(const char *path);
int vhost_connect(const char *path);
int vhost_accept(struct fixture *fixture, int listener);

/* Nothing has happened there for a while. */
void vhost_age_directory(void);

void vhost_expect_up(struct fixture *fixture, const char *name);
/* Works until the port waits for this. */
__attribute__((format(printf, 3, 4))) void vhost_expect_waiting(struct fixture *fixture,
								const char *name,
								const char *format, ...);
/* The datapath's end of the connection of the port with this index is the only one: when it is
 * closed, with all that the datapath got, the hypervisor sees it. */
void vhost_expect_given_away(struct fixture *fixture, int frontend, uint32_t index);
/* Works until the connection ends, and closes the hypervisor's end. */
void vhost_expect_ended(struct fixture *fixture, int frontend);

void vhost_say_lost(struct fixture *fixture, uint32_t index, uint32_t incarnation);

#endif
