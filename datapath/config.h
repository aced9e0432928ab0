/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_CONFIG_H
#define VSWITCH_DATAPATH_CONFIG_H

/*
 * What the control daemon configured, as workers read it. A configuration is
 * edited by the main thread while nobody else knows it, checked, and then
 * published by one pointer; from there on it never changes. The next one
 * starts as a clone: tables are copied, lists are shared by reference. A
 * former one is freed after the workers passed a quiet point.
 *
 * Rates are not in here: they are the shaper's, and change without a new
 * configuration. Workers name objects by index and incarnation, so that what
 * outlives a configuration (a queued packet) can be checked against the next.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/proto.h"

struct port;

struct config_member {
	uint32_t index; /* of the port or the segment, whatever the list is of */
	uint16_t vid;	/* 0: untagged */
	uint16_t reserved;
};

/* Sorted by index; shared between configurations and never changed once one is published. */
struct config_list {
	uint32_t references;
	uint32_t count;
	uint32_t slot_mask;
	struct config_member *slots; /* the items by their index; NULL: not made, or too few */
	struct config_member items[];
};

/* A trunk port's segments by VID: PROTO_NO_INDEX where none. */
struct config_vids {
	uint32_t references;
	uint32_t segments[4096];
};

struct config_tenant {
	uint32_t incarnation; /* 0: no such tenant; the same in every table */
	int32_t overhead;     /* octets that its gates charge for a frame besides its own */
};

struct config_segment {
	uint32_t incarnation;
	uint32_t tenant, tenant_incarnation;
	uint32_t vni;
	uint32_t mtu;
	uint32_t ageing;
	uint32_t flags;		     /* PROTO_SEGMENT_* */
	struct config_list *members; /* ports; NULL: none */
	struct config_list *peers;   /* NULL: none */
};

struct config_port {
	uint32_t incarnation;
	uint32_t tenant; /* PROTO_NO_INDEX: an uplink, or the VTEP */
	uint32_t tenant_incarnation;
	uint32_t type; /* enum proto_port_type */
	uint32_t mtu;
	uint32_t untagged; /* segment of untagged frames; PROTO_NO_INDEX: none */
	bool admin_up;
	struct config_list *segments; /* NULL: none */
	struct config_vids *vids;     /* NULL: no tagged segment */
	struct port *port;	      /* NULL: no descriptors, it waits */
};

struct config_peer {
	uint32_t incarnation;
	struct proto_addr addr;
};

struct config_slot {
	uint32_t key, value;
};

struct config {
	uint64_t generation;
	uint32_t tenant_count, segment_count, port_count, peer_count; /* of the tables */
	struct config_tenant *tenants;
	struct config_segment *segments;
	struct config_port *ports;
	struct config_peer *peers;
	uint32_t vtep; /* index in ports; PROTO_NO_INDEX: none */
	struct proto_addr vtep_local;
	uint32_t vtep_udp_port;

	/* Built by config_finish(). */
	uint32_t vni_mask, peer_mask;
	struct config_slot *vnis;	 /* VNI to segment */
	struct config_slot *peers_by_ip; /* IPv4 address, network order, to peer */
};

/* Makes an empty configuration. NULL when out of memory. */
struct config *config_new(void);
/* Makes a copy to edit; lists and ports are shared by reference. NULL when out of memory. */
struct config *config_clone(const struct config *config);
/* Frees it and its references; a port that nobody refers to any more is closed. NULL is accepted.
 */
void config_free(struct config *config);

/*
 * Edits of a configuration that is not published. Each returns 0, -EINVAL for a value out of
 * range, -ENOENT for an object that is not there, -EEXIST for an index that another incarnation
 * has, -EBUSY for what is removed before what refers to it, or -ENOMEM.
 */
int config_set_tenant(struct config *config, const struct proto_tenant *record);
int config_del_tenant(struct config *config, const struct proto_ref *ref);
int config_set_segment(struct config *config, const struct proto_segment *record);
int config_del_segment(struct config *config, const struct proto_ref *ref);
/* port: takes over one reference, also on failure; NULL: none. */
int config_set_port(struct config *config, const struct proto_port *record, struct port *port);
int config_del_port(struct config *config, const struct proto_ref *ref);
int config_set_member(struct config *config, const struct proto_member *record);
int config_del_member(struct config *config, const struct proto_member *record);
int config_set_vtep(struct config *config, const struct proto_vtep *record, struct port *port);
int config_del_vtep(struct config *config);
int config_set_peer(struct config *config, const struct proto_peer *record);
int config_del_peer(struct config *config, const struct proto_ref *ref);
int config_set_segment_peer(struct config *config, const struct proto_segment_peer *record);
int config_del_segment_peer(struct config *config, const struct proto_segment_peer *record);

/*
 * Checks the whole (every reference resolves, a port's segments are its tenant's, VNIs are
 * unique) and builds the tables for look-up. Returns 0, or a negative errno with one sentence in
 * text.
 */
int config_finish(struct config *config, char text[PROTO_TEXT_SIZE]);

static inline const struct config_port *config_port(const struct config *config, uint32_t index)
{
	return index < config->port_count && config->ports[index].incarnation != 0
		       ? &config->ports[index]
		       : NULL;
}

static inline const struct config_segment *config_segment(const struct config *config,
							  uint32_t index)
{
	return index < config->segment_count && config->segments[index].incarnation != 0
		       ? &config->segments[index]
		       : NULL;
}

/* Whether segment is one of the port's, and the VID that its frames carry there (0: none). */
bool config_port_carries(const struct config_port *port, uint32_t segment, uint16_t *vid);
/* The segment of a VNI, or PROTO_NO_INDEX. */
uint32_t config_segment_by_vni(const struct config *config, uint32_t vni);
/* The peer with an IPv4 address in network order, or PROTO_NO_INDEX. */
uint32_t config_peer_by_ip(const struct config *config, uint32_t address);
/* Whether peer belongs to the segment. */
bool config_segment_has_peer(const struct config_segment *segment, uint32_t peer);

#endif
