/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_WORKER_H
#define VSWITCH_DATAPATH_WORKER_H

/*
 * A worker: a thread that receives batches from the queues that it owns, runs
 * them through the pipeline to completion, lets packets out of the shaper when
 * their time has come, and sleeps when there is nothing to do. The main
 * thread makes it, gives it queues and takes them away; what is in the struct
 * is the worker's own, but for what is said to be shared.
 *
 * Tests run a worker without a thread: worker_init(), then pipeline calls.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/stats_layout.h"
#include "datapath/backlog.h"
#include "datapath/batch.h"
#include "datapath/config.h"
#include "datapath/fdb.h"
#include "datapath/packet.h"
#include "datapath/ports/receiver.h"
#include "datapath/shaper.h"

#define WORKER_EVENTS_MAX 32u

enum worker_event_type { WORKER_PORT_LOST, WORKER_MAC_HELD };

/* What the main thread tells the control daemon. */
struct worker_event {
	enum worker_event_type type;
	struct proto_ref ref; /* the port, or the segment */
	int error;	      /* WORKER_PORT_LOST: a positive errno */
	uint8_t mac[6];	      /* WORKER_MAC_HELD */
};

/* What all workers and the main thread share. */
struct worker_shared {
	struct config *config; /* published; never changed; read under QSBR */
	struct shaper *shaper;
	struct fdb *fdb;
	struct stats_memory *stats;
	bool poll_always; /* queues that can be polled are, for ever */
	int event_fd;	  /* an eventfd that wakes the main thread; -1 in tests */
	pthread_mutex_t event_lock;
	struct worker_event events[WORKER_EVENTS_MAX]; /* what is too much is lost */
	unsigned event_count;
};

#define WORKER_BUSY_MAX	  64u
#define WORKER_HELD_MAX	  64u
#define WORKER_POLLED_MAX 64u

/* A queue that is looked at in every turn, since its descriptor is not asked to tell. */
struct worker_polled {
	uint64_t token;
	uint64_t had; /* when it had something last, ns */
};

struct worker {
	unsigned index;
	struct worker_shared *shared;
	const struct config *config; /* of this turn */
	struct stats_worker *stats;
	struct packet_pool *pool;
	struct shaper_worker *gates;
	uint64_t now;			    /* CLOCK_MONOTONIC, ns, of this turn */
	uint32_t now_seconds;		    /* CLOCK_BOOTTIME, of this turn */
	uint64_t boot_ahead, boot_due;	    /* what it is ahead by, ns; until when that holds */
	uint32_t reply_second, reply_count; /* bounds the ICMP errors that are made */

	struct worker_event events[WORKER_EVENTS_MAX]; /* of this turn */
	unsigned event_count;

	/* Queues that are received from in turns: tokens of those that had something lately. */
	uint64_t busy[WORKER_BUSY_MAX];
	unsigned busy_count;
	/* Queues whose source waits until there is room in the shaper: epoll does not look at them.
	 */
	uint64_t held[WORKER_HELD_MAX];
	unsigned held_count;
	struct worker_polled polled[WORKER_POLLED_MAX];
	unsigned polled_count;
	uint64_t looked;  /* when epoll was asked last, ns */
	uint64_t worked;  /* when there was something to do last, ns */
	uint64_t spin_ns; /* how long to look before sleeping */

	int epoll_fd, stop_fd;
	pthread_t thread;
	bool running;

	struct backlog backlog; /* of packets that ports had no room for */
	struct receiver receiver;
};

#define WORKER_PACKETS_MAX 65536u
#define WORKER_BUFFERS_MAX 4096u
/* Of these, what may wait in the shaper; the rest is for what is under way. */
#define WORKER_WAITING_MAX	  (WORKER_PACKETS_MAX / 4 * 3)
#define WORKER_WAITING_OCTETS_MAX ((uint64_t)WORKER_BUFFERS_MAX * 48 * 1024)

/* Makes a worker that is not running. Returns 0 or a negative errno. */
int worker_init(struct worker *worker, unsigned index, struct worker_shared *shared);
void worker_fini(struct worker *worker);

int worker_start(struct worker *worker);
/*
 * Ends the thread and waits for it. What waits in the shaper waits on for worker_start();
 * worker_fini() drops and counts it.
 */
void worker_stop(struct worker *worker);

/* Gives the worker a port's queue to receive from, or takes it away. Main thread. */
int worker_add_queue(struct worker *worker, const struct port *port, unsigned queue);
void worker_remove_queue(struct worker *worker, const struct port *port, unsigned queue);

/* Receives a batch from one queue. Returns whether it is worth looking there again soon. */
bool worker_receive(struct worker *worker, uint32_t port_index, uint32_t incarnation,
		    unsigned queue);
/* Sends on what the shaper lets out now, and what ports have room for again. */
void worker_release(struct worker *worker);
/* Reads the clocks and the published configuration for the next turn. */
void worker_begin_turn(struct worker *worker);
/* Hands this turn's events to the main thread. */
void worker_end_turn(struct worker *worker);

/* Notes an event for the main thread; called by stages. */
void worker_note(struct worker *worker, const struct worker_event *event);

#endif
