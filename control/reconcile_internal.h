/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_RECONCILE_INTERNAL_H
#define VSWITCH_CONTROL_RECONCILE_INTERNAL_H

/*
 * What the files of reconcile share: reconcile.c (life, events, questions),
 * reconcile_ports.c (interfaces), reconcile_remove.c (how they and descriptors go),
 * reconcile_vtep.c (the VTEP's sockets),
 * reconcile_netdev.c, reconcile_pcap.c, reconcile_vhost.c and reconcile_devices.c (ports of other
 * kinds than those that the switch makes),
 * reconcile_handback.c (what a running datapath returns), reconcile_kept.c (what
 * the service manager returns), reconcile_sync.c (transactions),
 * reconcile_tell.c (what they say), reconcile_sent.c (what was said),
 * reconcile_setup.c (what is there before the first port), reconcile_report.c
 * (answers to the API).
 *
 * A change goes through these lists: a port whose interface may need work is
 * in `work`; one that cannot be done now is in `waiting`, and a timer moves it
 * to `work` again; one that an event of the host will bring back is `away`; what the datapath has
 * to hear is dirty in `sent`. The lists are worked off in slices, so that the API answers while a
 * thousand interfaces are made, and one transaction at a time is under way.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "control/datapath_link.h"
#include "control/links.h"
#include "control/links_netdev.h"
#include "control/links_removal.h"
#include "control/memories.h"
#include "control/reconcile.h"
#include "control/reconcile_sent.h"
#include "control/vhost_sockets.h"
#include "control/vtep_sockets.h"

struct event;
struct event_base;
struct namespaces;
struct link_watch;
struct reaper;
struct underlay;

#define RECONCILE_MTU_DEFAULT 1500u
#define RECONCILE_NO_DPDK                                                                          \
	"the datapath was built without DPDK: install libdpdk-dev, and build it again with "       \
	"-Ddpdk=enabled"

enum reconcile_list {
	RECONCILE_LIST_NONE,
	RECONCILE_LIST_WORK,
	RECONCILE_LIST_WAITING,
	RECONCILE_LIST_AWAY
};

/*
 * A port as it is. Its interface exists as `link` says while there are queues, of which there may
 * be fewer than link.queue_count when no more could be had; a memory port is attached without.
 * attachment tells descriptors from the next under the same ref; 0: none.
 */
struct reconcile_port {
	TAILQ_ENTRY(reconcile_port) entry;
	enum reconcile_list list;
	struct links_port link; /* netns, ifname and ips point to what is below */
	char ifname[ADDR_IFNAME_SIZE];
	char netns[MODEL_NETNS_SIZE];
	struct addr_prefix *ips;
	struct links_queues queues;
	uint64_t attachment;
	bool configured; /* the interface is as `link` says */
	bool lost;	 /* the datapath lost descriptors that are well: it gets them again */
	bool pins;	 /* see links_pins() */
	bool polled;	 /* it pins a namespace, and no event tells when that goes */
	bool amiss;	 /* reason tells of a problem, though the port carries traffic */
	struct links_seen seen;	  /* an adopted interface, while attached */
	struct link_watch *watch; /* of its namespace, if that is not the daemon's own */
	struct reconcile *reconcile;
	struct reconcile_pcap *pcap;   /* a pcap port's files, in place of queues; or NULL */
	struct reconcile_vhost *vhost; /* a vhost-user port's connection, likewise */
	char reason[MODEL_TEXT_SIZE];
};
TAILQ_HEAD(reconcile_port_list, reconcile_port);

/* One record of a handback, kept until all are there. */
struct reconcile_handback {
	struct proto_handback record;
	int fds[VTEP_SOCKETS_MAX];
};

struct reconcile {
	struct event_base *base;
	struct model *model;
	char *run_dir;
	uint64_t work_slice; /* ns */
	struct namespaces *namespaces;
	struct links *links;
	struct capture_files *captures;
	struct vhost_sockets vhost_sockets;
	struct underlay *underlay;
	struct link_watch *link_watch; /* NULL until there is a private namespace */
	struct link_watch *host_watch; /* the daemon's own namespace */
	struct datapath_link *datapath;
	struct fd_store *fd_store;
	struct event *work_event, *retry_event, *refused_event, *netns_event;

	int netns_fd; /* inotify on /run/netns */
	bool started; /* the first handback is over, or there was none: interfaces may be made */
	struct reconcile_port **ports;
	uint32_t port_capacity;
	struct reconcile_port_list work, waiting, away;
	uint64_t last_attachment;
	uint32_t polled_ports;

	struct reaper *reaper;
	struct links_removal removal; /* interfaces that this slice of work removes */
	int *closing; /* descriptors that the datapath may still have, oldest first */
	uint32_t closing_count;
	uint32_t closing_told; /* so many of them the transaction under way takes away */

	struct memory memories[2]; /* by kind - 1 */
	bool memory_sent[2], hold_sent;

	struct vtep_sockets vtep;
	bool vtep_stale; /* the model or the underlay changed */
	uint64_t vtep_attachment;
	uint32_t underlay_mtu; /* RECONCILE_MTU_DEFAULT while it is not known */

	struct reconcile_handback *handbacks;
	uint32_t handback_count;

	struct sent *sent;
	bool send_whole; /* the next transaction replaces everything */
	bool under_way;	 /* a transaction is not answered yet */
	bool refused;	 /* the last one was refused: the next waits for a change or the timer */
	uint64_t generation;	     /* of the last transaction */
	uint64_t committed;	     /* the last that the datapath confirmed; 0: none that counts */
	uint64_t model_generation;   /* that the transaction under way completes; 0: none */
	uint64_t applied_generation; /* of the model, completed */
	struct proto_hello hello;    /* of the datapath that runs or ran last */
	bool met;		     /* that datapath handed back what it had */
	bool vhost_told;	     /* a transaction under way gives connections away */

	struct proto_device *devices; /* what that datapath reported of devices of ports */
	uint32_t device_count;
	uint32_t restarted_for; /* the newest incarnation for which a datapath was told to start
				   again */
	bool devices_stale;	/* the file of devices is not as the model says */
	bool devices_unasked;	/* devices may be wanted that the datapath was not told of */

	char setup_problem[MODEL_TEXT_SIZE], vtep_problem[MODEL_TEXT_SIZE],
		datapath_problem[MODEL_TEXT_SIZE], devices_problem[MODEL_TEXT_SIZE];
};

/* Grows an array for `count` members of this size, or ends the daemon: what was answered is on
 * disk. */
void *reconcile_grow(void *array, size_t count, size_t size);
/* Sets a problem's text and logs it when it is another; format NULL: none any more. */
__attribute__((format(printf, 2, 3))) void reconcile_problem(char text[MODEL_TEXT_SIZE],
							     const char *format, ...);
/* "port acme/web1" */
const char *reconcile_port_name(const struct model_port *port, char text[2 * ADDR_NAME_SIZE + 8]);
/* Works lists off from the event loop. */
void reconcile_schedule(struct reconcile *reconcile);

/* reconcile_setup.c */
/* Reads the number that marks this switch's interfaces, or draws it. Returns 0 or a negative errno.
 */
int reconcile_read_instance(const char *state_dir, uint64_t *instance);
/* Removes interfaces of this switch that no port wants where they are. */
void reconcile_sweep(struct reconcile *reconcile);
/* The private namespace and the memories. Returns 0, or a negative errno and says so in
 * setup_problem. */
int reconcile_prepare(struct reconcile *reconcile);

/* reconcile_ports.c */
/* How many queues a port shall have: one for each worker of the datapath that runs or ran last. */
uint32_t reconcile_queue_count(const struct reconcile *reconcile);
/* Queues ports that have another number of them. */
void reconcile_ports_review_queues(struct reconcile *reconcile);
/* The interface of a port as the model wants it; pointers are the model's. */
void reconcile_port_wanted(const struct reconcile *reconcile, const struct model_port *port,
			   struct links_port *link);
struct reconcile_port *reconcile_port_at(const struct reconcile *reconcile, uint32_t index);
/* Puts the port of this index, there or gone, on the list of work. */
void reconcile_port_queue(struct reconcile *reconcile, uint32_t index);
/* Works for about this long; false: there is more. */
bool reconcile_ports_work(struct reconcile *reconcile, uint64_t nanoseconds);
/* Opens queues that an attached port lacks, and lets go of what is too much. */
void reconcile_port_fit(struct reconcile *reconcile, struct reconcile_port *state,
			const struct links_port *wanted);
/* Moves what waits to the list of work, but for what is known to wait for the same still. */
void reconcile_ports_retry(struct reconcile *reconcile);
/* Takes descriptors as the port's: just opened, its own, or handed back and checked. */
void reconcile_port_attach(struct reconcile *reconcile, struct reconcile_port *state,
			   const struct links_port *link, const struct links_queues *queues);
/* Detaches ports whose interface is gone; pinned: those that keep a namespace whose name is gone.
 */
void reconcile_ports_check(struct reconcile *reconcile, bool pinned);
/* Lets go of the descriptors alone: the interface is gone, or goes with them. */
void reconcile_port_detach(struct reconcile *reconcile, struct reconcile_port *state,
			   const char *reason);
void reconcile_port_move(struct reconcile *reconcile, struct reconcile_port *state,
			 enum reconcile_list list);
/* Logs that a port waits for another reason than before, or for none. */
void reconcile_port_log(const struct model_port *port, const char *former, const char *reason);
void reconcile_port_lost(struct reconcile *reconcile, const struct proto_port_lost *lost);
/* Looks at one port's interface, or at all (PROTO_NO_INDEX), after it was seen to go. */
void reconcile_port_gone(struct reconcile *reconcile, uint32_t index);
/* Queues ports whose segments' MTU is another now. */
void reconcile_ports_review_mtu(struct reconcile *reconcile);
void reconcile_ports_fini(struct reconcile *reconcile);

/* reconcile_remove.c */
/* Takes descriptors, and closes them once the datapath has let go of its copies. */
void reconcile_close_later(struct reconcile *reconcile, struct links_queues *queues);
/* The datapath answered: what the transaction took away is closed. */
void reconcile_close_told(struct reconcile *reconcile);
void reconcile_close_all(struct reconcile *reconcile);

/* reconcile_netdev.c */
/* Makes a port of an adopted interface as the model says, as far as it can be done now. */
void reconcile_netdev_work(struct reconcile *reconcile, struct reconcile_port *state,
			   const struct model_port *port, const struct links_port *wanted);
/* Follows the interfaces of the daemon's own namespace. Returns 0 or a negative errno. */
int reconcile_netdev_watch(struct reconcile *reconcile);
/* As reconcile_check_port(), for a port that adopts its interface. */
int reconcile_netdev_check(struct reconcile *reconcile, const struct model_port *port,
			   char text[MODEL_TEXT_SIZE]);
/* Whether a port keeps the host out of an interface there. */
bool reconcile_netdev_wants(void *context, int netns, const char *ifname);
/* Gives interfaces back to the host that no port has any more. */
void reconcile_netdev_sweep(struct reconcile *reconcile);

/* reconcile_pcap.c */
/* Opens the files of a pcap port as it wants them. */
void reconcile_pcap_work(struct reconcile *reconcile, struct reconcile_port *state,
			 const struct model_port *port);
/* Lets the port's recording take the place of what there is when its file is opened. */
void reconcile_pcap_renew(struct reconcile *reconcile, uint32_t index);
/* Takes descriptors that were handed back for what they are; those that it takes are set to -1.
 * Returns whether the port has all that it wants. */
bool reconcile_pcap_take(struct reconcile *reconcile, const struct model_port *port, int *fds,
			 uint32_t count);
/* Whether the files could be opened now. Returns 0, or -EAGAIN and the reason to wait. */
int reconcile_pcap_look(const struct reconcile *reconcile, const struct model_port *port,
			char reason[MODEL_TEXT_SIZE]);
/* The descriptors of an attached port, in their order. Returns how many. */
uint32_t reconcile_pcap_fds(const struct reconcile_port *state, int fds[PROTO_QUEUES_MAX]);
/* What a port's record says of its files. */
void reconcile_pcap_describe(const struct model_port *port, struct proto_port *message);
/* Its replay came upon what is no capture. */
void reconcile_pcap_lost(const struct reconcile *reconcile, struct reconcile_port *state);
enum reconcile_port_state reconcile_pcap_state(const struct reconcile_port *state,
					       const struct model_port *port, const char **reason);
/* Closes the files; nothing when there are none. */
void reconcile_pcap_free(struct reconcile_port *state);

/* reconcile_vhost.c */
/* Finds the port's frontend, if it has no connection and a datapath can have one. */
void reconcile_vhost_work(struct reconcile *reconcile, struct reconcile_port *state,
			  const struct model_port *port);
/* Whether nothing has changed for a port that waits: asked often, and in rounds of all. */
bool reconcile_vhost_still_waits(const struct reconcile *reconcile, struct reconcile_port *state,
				 struct vhost_round *round);
/* Whether a connection could be had now. Returns 0, or -EAGAIN and the reason to wait. */
int reconcile_vhost_look(const struct reconcile *reconcile, const struct model_port *port,
			 char reason[MODEL_TEXT_SIZE]);
/* The connection that the datapath does not have yet. Returns how many: one or none. */
uint32_t reconcile_vhost_fds(const struct reconcile_port *state, int fds[PROTO_QUEUES_MAX]);
/* It is sent with the transaction under way. */
void reconcile_vhost_told(struct reconcile *reconcile, struct reconcile_port *state);
/* That transaction was answered: what is committed is the datapath's alone. */
void reconcile_vhost_replied(struct reconcile *reconcile, bool committed);
/* The datapath went, and with it, as far as is known, all connections. Returns whether there were
 * any. */
bool reconcile_vhost_forget(struct reconcile *reconcile);
/* Looks at a connection that was handed back. Returns whether it is the port's, which then is
 * attached; the descriptor stays the caller's to close. */
bool reconcile_vhost_take(struct reconcile *reconcile, const struct model_port *port, int fd);
void reconcile_vhost_lost(struct reconcile *reconcile, struct reconcile_port *state);
/* Ends what there is; nothing when there is nothing. remove: a socket's file goes, too. */
void reconcile_vhost_free(struct reconcile *reconcile, struct reconcile_port *state, bool remove);

/* reconcile_devices.c */
/* Whether a datapath is connected that can have no port of DPDK. */
bool reconcile_lacks_dpdk(const struct reconcile *reconcile);
/* Why no port of DPDK can be had now, or NULL. */
const char *reconcile_dpdk_waits(const struct reconcile *reconcile);
/* As reconcile_check_port(), for a port of DPDK: -EOPNOTSUPP. */
int reconcile_dpdk_check(const struct reconcile *reconcile, const struct model_port *port,
			 char text[MODEL_TEXT_SIZE]);
/* Queues every port of DPDK: a datapath is there. */
void reconcile_dpdk_queue(struct reconcile *reconcile);
/* Writes the file of devices, if it is not as the model says; what fails is tried again. */
void reconcile_devices_write(struct reconcile *reconcile);
/* Tells the datapath to start again if devices are wanted that it was not told of. */
void reconcile_devices_ask(struct reconcile *reconcile);
/* Another datapath comes: what was reported does not hold. */
void reconcile_devices_forget(struct reconcile *reconcile);
void reconcile_device_reported(struct reconcile *reconcile, const struct proto_device *report);
void reconcile_device_work(struct reconcile *reconcile, struct reconcile_port *state,
			   const struct model_port *port);
/* As reconcile_vhost_look(). */
int reconcile_device_look(const struct reconcile *reconcile, const struct model_port *port,
			  char reason[MODEL_TEXT_SIZE]);
void reconcile_device_lost(struct reconcile *reconcile, const struct proto_port_lost *lost);

/* reconcile_report.c */
/* Whether a datapath has said what it is. */
bool reconcile_is_connected(const struct reconcile *reconcile);

/* reconcile_vtep.c */
/* Opens, changes or closes the sockets as the model says, and follows the underlay's MTU. */
void reconcile_vtep_review(struct reconcile *reconcile);
bool reconcile_vtep_waits(const struct reconcile *reconcile);

/* reconcile_handback.c */
void reconcile_handback_take(struct reconcile *reconcile, const struct proto_handback *record,
			     int *fds);
/* Uses what matches the model, and lets go of the rest. */
void reconcile_handback_use(struct reconcile *reconcile);
void reconcile_handback_drop(struct reconcile *reconcile);

/* reconcile_kept.c */
/* Takes what the service manager kept for us: the private namespace and the memories. */
void reconcile_kept_take(struct reconcile *reconcile);
/* Has it keep what there is now. */
void reconcile_kept_put(struct reconcile *reconcile);

/* reconcile_tell.c */
struct reconcile_transaction {
	struct reconcile *reconcile;
	struct sent *sent;
	struct datapath_link *datapath;
	uint32_t fd_count;
};
/* Sends what is between BEGIN and COMMIT: how the dirty objects differ from what was sent. */
void reconcile_tell(struct reconcile_transaction *transaction);

/* reconcile_sync.c */
/* Sends memories and the private namespace to a datapath that has not got them. */
void reconcile_announce(struct reconcile *reconcile);
/* Begins a transaction if there is something to say and nothing under way. */
void reconcile_sync(struct reconcile *reconcile);
void reconcile_replied(struct reconcile *reconcile, const struct proto_reply *reply);
/* Everything goes to the datapath anew. keep: it holds the descriptors that were sent. */
void reconcile_sync_whole(struct reconcile *reconcile, bool keep);

#endif
