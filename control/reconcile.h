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
struct fd_store;
struct reconcile;

struct reconcile_options {
	const char *run_dir;
	const char *state_dir;
	/* For how long work on interfaces holds up the event loop, in ns; 0: for one of them. */
	uint64_t work_slice;
	struct fd_store *fd_store; /* borrowed for good; NULL: nothing is kept */
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
 * free in its namespace, or the interface may be adopted, as far as either is there. Returns 0 if
 * so, or when it is not known yet; -EEXIST (the name is taken), -EBUSY (somebody else uses the
 * interface) or -EINVAL (it cannot be a port), and text says one sentence that names the object and
 * the way out.
 */
int reconcile_check_port(struct reconcile *reconcile, const struct model_port *port,
			 char text[MODEL_TEXT_SIZE]);

/*
 * Before a pcap port is put: gives its files the names that they are known by, and looks whether
 * those that `former` (or NULL) has not can be used, as far as they are there. Returns 0, or a
 * negative errno: *key is the attribute, text says one sentence that names object and way out.
 */
int reconcile_check_captures(struct reconcile *reconcile, struct model_port *values,
			     const struct model_port *former, const char **key,
			     char text[MODEL_TEXT_SIZE]);

/*
 * After reconcile_check_port(), for the same: whether what netns names is a network namespace, as
 * far as it is there (-EMEDIUMTYPE), and with `require` whether the port would take effect at once
 * (-EAGAIN). Returns 0 if so; text is as above.
 */
int reconcile_check_place(struct reconcile *reconcile, const struct model_port *port, bool require,
			  char text[MODEL_TEXT_SIZE]);

enum reconcile_port_state { RECONCILE_PORT_WAITING, RECONCILE_PORT_UP, RECONCILE_PORT_DOWN };

/* What a port is now; reason says why it waits ("no namespace web1"), static or valid until the
 * next call. */
enum reconcile_port_state reconcile_port_state(const struct reconcile *reconcile,
					       const struct model_port *port, const char **reason);

/* What an adopted interface is found to be; false: it is none, or not there. */
bool reconcile_port_seen(const struct reconcile *reconcile, const struct model_port *port,
			 struct addr_mac *mac, uint32_t *mtu);

/* Whether the configured VTEP's sockets are open; if not, reason says why, as above. */
bool reconcile_vtep_up(const struct reconcile *reconcile, const char **reason);

struct reconcile_status {
	bool datapath_connected;
	uint32_t datapath_pid;
	uint32_t datapath_workers;
	uint64_t datapath_started; /* CLOCK_BOOTTIME, ns */
	char datapath_build[64];
	uint64_t applied_generation;   /* what the datapath committed and the interfaces follow; 0:
					  nothing */
	uint32_t waiting_ports;	       /* for an interface or a namespace, datapath or not */
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
