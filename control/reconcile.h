/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_RECONCILE_H
#define VSWITCH_CONTROL_RECONCILE_H

/*
 * Makes the world as the model says: namespaces, interfaces and sockets
 * (links.h), and the datapath's configuration (datapath_link.h). The API
 * calls it after a committed transaction; timers, netlink and the datapath
 * call it when the world changed. It never changes the model. Runs on the
 * control daemon's one thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "control/model.h"

struct event_base;
struct reconcile;

struct reconcile_options {
	const char *run_dir;
	const char *state_dir;
};

/*
 * Starts: finds or makes the private namespace and the shared memories, connects to the datapath
 * when there is one (and again whenever it returns), and works towards the model. The model must
 * outlive it. Returns 0 or a negative errno.
 */
int reconcile_new(struct reconcile **reconcile, struct event_base *base, struct model *model,
		  const struct reconcile_options *options);
/* Lets go of everything; interfaces and the datapath go on. */
void reconcile_free(struct reconcile *reconcile);

/* Takes what a committed transaction touched. Never fails: what cannot be done now waits and is
 * tried again. */
void reconcile_apply(struct reconcile *reconcile, const struct model_change *changes,
		     uint32_t count);

/*
 * Before a transaction that adds or changes this port is committed: whether its interface name is
 * free in its namespace, as far as the namespace is there. Returns 0, -EEXIST (text says one
 * sentence that names the object and the way out), or 0 when it is not known yet.
 */
int reconcile_check_port(struct reconcile *reconcile, const struct model_port *port,
			 char text[MODEL_TEXT_SIZE]);

enum reconcile_port_state { RECONCILE_PORT_WAITING, RECONCILE_PORT_UP, RECONCILE_PORT_DOWN };

/* What a port is now; reason says why it waits ("no namespace web1"), static or valid until the
 * next call. */
enum reconcile_port_state reconcile_port_state(const struct reconcile *reconcile,
					       const struct model_port *port, const char **reason);

struct reconcile_status {
	bool datapath_connected;
	uint32_t datapath_pid;
	uint32_t datapath_workers;
	uint64_t datapath_started; /* CLOCK_BOOTTIME, ns */
	char datapath_build[64];
	uint64_t applied_generation; /* what the datapath committed and the interfaces follow; 0:
					nothing */
	uint32_t waiting_ports;
	char problem[MODEL_TEXT_SIZE]; /* the last refusal or failure that still stands, or "" */
};
void reconcile_status(const struct reconcile *reconcile, struct reconcile_status *status);

/* The MTU that a segment has in effect, octets: as configured, or what its underlay leaves. */
uint32_t reconcile_segment_mtu(const struct reconcile *reconcile,
			       const struct model_segment *segment);

/* The shared memories, mapped; NULL until they are there. Written by the datapath: believe nothing.
 */
const struct stats_memory *reconcile_stats(const struct reconcile *reconcile);
const struct fdb_memory *reconcile_fdb(const struct reconcile *reconcile);

/* Flushes learned entries (PROTO_FDB_FLUSH). Returns 0 or -ENOTCONN without a datapath. */
int reconcile_fdb_flush(struct reconcile *reconcile, const struct proto_fdb_flush *flush);

#endif
