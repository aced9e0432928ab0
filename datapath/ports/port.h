/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_PORT_H
#define VSWITCH_DATAPATH_PORTS_PORT_H

/*
 * The contract of port types: what a port's descriptors can do. A port is made
 * by the main thread from descriptors that the control daemon opened, is used
 * by workers as long as a configuration refers to it, and is closed with the
 * last such configuration.
 *
 * Life cycle: port_new() -> open() -> configure() -> receive() and transmit() by
 * workers -> close(). Each queue is received from by one worker; any worker transmits.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/proto.h"
#include "datapath/batch.h"
#include "datapath/packet.h"

#define PORT_QUEUES_MAX PROTO_QUEUES_MAX   /* that are received from */
#define PORT_FDS_MAX	PROTO_VTEP_FDS_MAX /* with those that only send */

/* What the other end takes from us: else the output stage does it in software. */
#define PORT_CAN_CHECKSUM 0x1u
#define PORT_CAN_TSO4	  0x2u
#define PORT_CAN_TSO6	  0x4u
#define PORT_CAN_USO	  0x8u
#define PORT_CAN_ALL	  0xfu

/*
 * As what became of a packet that was to be sent: there is no room for it now, but soon. It and
 * what follows it to the same port, in its flow at least, waits with the worker (backlog.h).
 */
#define PORT_WAIT UINT8_MAX

/* What receive() left behind. */
enum port_more {
	PORT_DRAINED, /* nothing; what comes later makes its descriptor ready */
	PORT_MORE,    /* perhaps something: it is worth looking again soon */
	PORT_POLL,    /* nothing, and its descriptor will not tell of more before rest() */
	PORT_IN_HAND, /* in the worker's receiver: call again before turning to another port */
};

struct config;
struct port;
struct receiver;

struct port_ops {
	const char *name;
	uint32_t features; /* PORT_CAN_* */

	/*
	 * How many wire frames a super-packet like this one, of a kind that the port takes, may
	 * stand for at most; 1 or more. NULL: any.
	 */
	uint32_t (*super_frames)(const struct packet *packet);

	/* Takes over port->fds as far as it uses them. Returns 0 or a negative errno. */
	int (*open)(struct port *port);
	/*
	 * Takes what the record says for this type of port; after open(), before anybody uses the
	 * port. May be NULL. Returns 0 or a negative errno.
	 */
	int (*configure)(struct port *port, const struct proto_port *record);
	/*
	 * Whether configure() would make another port of it, so that one must take its place, on
	 * the same descriptors. NULL: never.
	 */
	bool (*differs)(const struct port *port, const struct proto_port *record);
	/* Frees what open() and configure() made; the descriptors are closed by the caller. May be
	 * NULL. */
	void (*close)(struct port *port);

	/*
	 * Receives from one queue into batch, until it is full or nothing is there: frames with
	 * their offload state, not parsed; packet->drop says what is wrong already. Returns enum
	 * port_more, or a negative errno when the port is lost, since its interface is gone or may
	 * be: nothing more is received until its descriptors are given anew.
	 */
	int (*receive)(struct port *port, unsigned queue, struct receiver *receiver,
		       struct batch *batch);

	/*
	 * The worker does not look at the queue from now on: its descriptor is to tell of what is
	 * there and of what comes. NULL where receive() never returns PORT_POLL: what it does not
	 * leave to the descriptor is polled.
	 */
	void (*rest)(struct port *port, unsigned queue);

	/*
	 * Sends packets, which stay the caller's, and writes for each 0, the enum drop_reason why
	 * the kernel did not take it, or PORT_WAIT. Of a super-packet of which only some frames
	 * went out it says in packet->lost_frames how many, the last ones, did not.
	 */
	void (*transmit)(struct port *port, const struct config *config, unsigned queue,
			 struct packet **packets, unsigned count, uint8_t *results);
};

struct port {
	const struct port_ops *ops;
	struct proto_ref ref;
	uint32_t references;	/* main thread only */
	uint32_t features;	/* PORT_CAN_* */
	uint32_t queue_count;	/* descriptors, whether they receive or only send */
	uint32_t receive_count; /* queues that are received from */
	int fds[PORT_FDS_MAX];
	/* By queue, what is ready when there is something to receive; -1: nothing tells. */
	int wait_fds[PORT_QUEUES_MAX];
	/*
	 * What is not received is not lost but waits at its source: no more is received than the
	 * shaper has room for (receiver->batch_max). Set by open() or configure().
	 */
	bool source_waits;
	bool attached; /* its queues were given to workers; main thread only */
	void *private;
};

/*
 * Makes a port with one reference. Takes over the descriptors, also on failure. Returns 0, -EINVAL
 * for an unknown type or a wrong number of descriptors, -ENOMEM or what open() says.
 */
int port_new(struct port **port, uint32_t type, const struct proto_ref *ref, const int *fds,
	     uint32_t fd_count);

#define PORT_TYPE_VXLAN 1000u /* made for the VTEP; not a type that can be configured */

/* Makes the VTEP's port, as port_new() does, of which the first receive_count descriptors receive.
 */
int port_new_vtep(struct port **port, const struct proto_ref *ref, const int *fds,
		  uint32_t fd_count, uint32_t receive_count);

/* Tells a new port what its record says besides. Returns 0 or a negative errno. */
int port_configure(struct port *port, const struct proto_port *record);
/* Whether a port that was configured has to be made anew to be as the record says. */
bool port_differs(const struct port *port, const struct proto_port *record);

/*
 * Takes from the port's features what the running kernel does not take from us as offload state of
 * a virtio-net header: UDP super-packets before Linux 6.2, which it refuses. Called by open().
 */
void port_limit_features(struct port *port);

/* A thread that receives and transmits begins, and ends. Called by it. */
void port_thread_begin(void);
void port_thread_end(void);

/* Take and give back a reference; NULL is accepted. The last one closes the port. */
void port_ref(struct port *port);
void port_unref(struct port *port);

extern const struct port_ops port_tap_ops, port_packet_socket_ops, port_vxlan_ops, port_memory_ops,
	port_pcap_ops, port_vhost_ops, port_dpdk_ops;

#endif
