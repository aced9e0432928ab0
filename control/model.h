/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_MODEL_H
#define VSWITCH_CONTROL_MODEL_H

/*
 * The desired state: what users asked for, in memory, as the store (store.h)
 * holds it. Changes are made inside a transaction: objects are changed one by
 * one, checked as a whole, and either stored and kept or undone. What a
 * committed transaction touched goes to the reconciler as a list of changes.
 * Everything runs on the control daemon's one thread.
 *
 * Objects belong to the model. A pointer is good until the next transaction
 * that removes the object is committed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/proto.h"

#define MODEL_NETNS_SIZE       256
#define MODEL_MTU_AUTO	       0u
#define MODEL_AGEING_DEFAULT   300u
#define MODEL_UDP_PORT_DEFAULT 4789u
#define MODEL_TEXT_SIZE	       512
#define MODEL_FILE_SIZE	       128
#define MODEL_SOCKET_SIZE      108 /* as sun_path */
#define MODEL_DEVICE_SIZE      256

/* MiB that a pcap port records */
#define MODEL_RECORD_LIMIT_DEFAULT 1024u
#define MODEL_RECORD_LIMIT_MAX	   (1024u * 1024u)

enum model_kind {
	MODEL_HOST,
	MODEL_VTEP,
	MODEL_TENANT,
	MODEL_SEGMENT,
	MODEL_PORT,
	MODEL_PEER, /* a remote VTEP that segments refer to; made and removed with the reference */
	MODEL_FDB   /* a static entry */
};

enum model_port_type {
	MODEL_PORT_TAP = 1,
	MODEL_PORT_VETH,
	MODEL_PORT_MEMORY,
	MODEL_PORT_NETDEV,
	MODEL_PORT_PCAP,
	MODEL_PORT_VHOST_USER,
	MODEL_PORT_DPDK
};

struct model_host {
	uint64_t send_capacity, receive_capacity; /* bit/s to divide; 0: nothing is divided */
};

struct model_vtep {
	bool present;
	struct proto_ref ref; /* in the index space of ports */
	struct proto_addr local;
	uint16_t udp_port;
};

/* One direction of a tenant's bandwidth. */
struct model_channel {
	uint64_t rate;	/* the ceiling, bit/s; 0: unlimited */
	uint64_t min;	/* guaranteed, bit/s, at most the ceiling; 0: nothing */
	uint64_t burst; /* octets at once after a rest; 0: what 4 ms at the rate take */
};

struct model_bandwidth {
	struct model_channel send, receive;
	uint32_t weight;  /* of its share of what is left, 1 to PROTO_WEIGHT_MAX */
	int32_t overhead; /* octets that each frame is charged besides its own */
};

struct model_tenant {
	struct proto_ref ref;
	char name[ADDR_NAME_SIZE];
	struct model_bandwidth bandwidth;
	uint32_t segment_count, port_count;
};

struct model_peer {
	struct proto_ref ref;
	struct proto_addr addr;
	uint32_t use_count;
};

struct model_segment {
	struct proto_ref ref;
	struct model_tenant *tenant;
	char name[ADDR_NAME_SIZE];
	uint32_t vni;	 /* 0: none */
	uint16_t vlan;	 /* VID on uplinks where the port does not say another; 0: none */
	uint32_t mtu;	 /* MODEL_MTU_AUTO: follows the underlay */
	uint32_t ageing; /* seconds */
	bool vlan_transparent;
	uint32_t peer_count, fdb_count;
	struct model_peer **peers; /* sorted by address */
	uint32_t member_count;	   /* ports */
};

struct model_member {
	struct model_segment *segment;
	uint16_t vid;	    /* 0: untagged (access or native) */
	bool vid_inherited; /* the segment's vlan, which it follows */
};

struct model_port {
	struct proto_ref ref;
	struct model_tenant *tenant; /* NULL: an uplink */
	char name[ADDR_NAME_SIZE];
	enum model_port_type type;
	uint32_t member_count;
	struct model_member *members; /* the untagged one first */
	char ifname[ADDR_IFNAME_SIZE];
	char netns[MODEL_NETNS_SIZE]; /* "": the control daemon's; NAME, an absolute path, or pid:N
				       */
	struct addr_mac mac; /* of the workload's interface: as asked, or made once and kept */
	bool mac_given;
	struct addr_mac match_mac; /* that an adopted interface must have */
	bool match_mac_given;
	bool shared; /* an adopted interface stays the host's as well */
	struct addr_prefix *ips;
	uint32_t ip_count;
	struct proto_addr gateway;					 /* family 0: none */
	char replay_file[MODEL_FILE_SIZE], record_file[MODEL_FILE_SIZE]; /* of pcap; "": none */
	uint64_t replay_rate;		/* bit/s, or PROTO_REPLAY_* */
	uint32_t record_limit;		/* MiB */
	char socket[MODEL_SOCKET_SIZE]; /* of vhost-user, from the root; else "" */
	bool server;			/* we listen on it, and the hypervisor connects */
	char device[MODEL_DEVICE_SIZE]; /* of dpdk: a name, and arguments behind commas */
	uint64_t send_rate, receive_rate;
	bool admin_up;
};

struct model_fdb {
	struct model_segment *segment;
	struct addr_mac mac;
	struct model_port *port; /* or */
	struct model_peer *peer;
};

/* One object that a committed transaction added, changed or removed. */
struct model_change {
	enum model_kind kind;
	bool added; /* neither: changed */
	bool removed;
	struct proto_ref ref;	       /* MODEL_FDB: of the segment */
	struct addr_mac mac;	       /* MODEL_FDB */
	char ifname[ADDR_IFNAME_SIZE]; /* a removed or changed port's former interface and place */
	char netns[MODEL_NETNS_SIZE];
	enum model_port_type type;
	bool records_anew; /* a port that is new, or has another file to record to */
};

struct model;

/* For readers: the objects. NULL when there is none. */
const struct model_host *model_host(const struct model *model);
const struct model_vtep *model_vtep(const struct model *model); /* see present */
uint64_t model_generation(
	const struct model *model); /* of the last committed transaction; starts at 1 */
struct model_tenant *model_tenant_find(const struct model *model, const char *name);
struct model_segment *model_segment_find(const struct model_tenant *tenant, const char *name);
struct model_port *model_port_find(const struct model *model, const struct model_tenant *tenant,
				   const char *name); /* tenant NULL: an uplink */
struct model_peer *model_peer_find(const struct model *model, const struct proto_addr *addr);
struct model_fdb *model_fdb_find(const struct model_segment *segment, const struct addr_mac *mac);
bool model_segment_has_peer(const struct model_segment *segment, const struct model_peer *peer);
bool model_port_has_segment(const struct model_port *port, const struct model_segment *segment);
struct model_tenant *model_tenant_by_index(const struct model *model, uint32_t index);
struct model_segment *model_segment_by_index(const struct model *model, uint32_t index);
struct model_port *model_port_by_index(const struct model *model, uint32_t index);
struct model_peer *model_peer_by_index(const struct model *model, uint32_t index);

/* Call visit() for every object, sorted by tenant and name; it stops and returns what is not 0. */
int model_each_tenant(const struct model *model, int (*visit)(void *, struct model_tenant *),
		      void *context);
int model_each_segment(const struct model *model, int (*visit)(void *, struct model_segment *),
		       void *context);
int model_each_port(const struct model *model, int (*visit)(void *, struct model_port *),
		    void *context);
int model_each_peer(const struct model *model, int (*visit)(void *, struct model_peer *),
		    void *context);
int model_each_fdb(const struct model *model, int (*visit)(void *, struct model_fdb *),
		   void *context);

/* The same for what one tenant, segment or port has. A tenant NULL has the uplinks. */
int model_tenant_each_segment(const struct model_tenant *tenant,
			      int (*visit)(void *, struct model_segment *), void *context);
int model_tenant_each_port(const struct model *model, const struct model_tenant *tenant,
			   int (*visit)(void *, struct model_port *), void *context);
int model_segment_each_port(const struct model_segment *segment,
			    int (*visit)(void *, struct model_port *), void *context);
int model_segment_each_fdb(const struct model_segment *segment,
			   int (*visit)(void *, struct model_fdb *), void *context);
int model_port_each_fdb(const struct model_port *port, int (*visit)(void *, struct model_fdb *),
			void *context);

struct model_counts {
	uint32_t tenants, segments, ports, uplinks, peers;
};
void model_counts(const struct model *model, struct model_counts *counts);

#endif
