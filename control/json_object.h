/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_JSON_OBJECT_H
#define VSWITCH_CONTROL_JSON_OBJECT_H

/*
 * The objects of the model as JSON: what the API takes and gives, what the
 * store keeps, and what a topology file says are the same attributes. A read
 * checks each value by itself and finds the objects that it refers to; how
 * objects go together is checked by the model. *problem names the object
 * already. A write returns NULL when out of memory.
 */

#include <jansson.h>

#include "control/model.h"
#include "control/problem.h"

#define JSON_PEERS_MAX 4096u
#define JSON_TRUNK_MAX 4095u
#define JSON_IPS_MAX   64u

int json_host_read(const json_t *json, struct model_host *values, struct problem *problem);
json_t *json_host_write(const struct model_host *host);

int json_vtep_read(const json_t *json, struct model_vtep *values, struct problem *problem);
json_t *json_vtep_write(const struct model_vtep *vtep);

/* name is set, all else is read. */
int json_tenant_read(const json_t *json, struct model_tenant *values, struct problem *problem);
json_t *json_tenant_write(const struct model_tenant *tenant);

struct json_peers {
	struct proto_addr *addrs; /* freed by the caller */
	uint32_t count;
};

/* tenant and name are set, all else is read. On failure peers is empty. */
int json_segment_read(const json_t *json, struct model_segment *values, struct json_peers *peers,
		      struct problem *problem);
json_t *json_segment_write(const struct model_segment *segment);
/* An address that can be a peer's. */
int json_peer_parse(const char *text, struct proto_addr *addr, struct problem *problem);

/*
 * tenant and name are set, all else is read. `former` is the port as it is, or NULL: its MAC stays
 * when none is given. On success the caller frees members and ips with json_port_fini().
 */
int json_port_read(const struct model *model, const json_t *json, const struct model_port *former,
		   struct model_port *values, struct problem *problem);
void json_port_fini(struct model_port *values);
json_t *json_port_write(const struct model_port *port);
/* The attributes of a port that concern capture files, which only a pcap port has. */
int json_pcap_read(const json_t *json, struct model_port *values, struct problem *problem);
void json_pcap_write(json_t *json, const struct model_port *port);
/* The attributes of what DPDK serves: a vhost-user port's socket, a dpdk port's device. */
int json_dpdk_read(const json_t *json, struct model_port *values, struct problem *problem);
void json_dpdk_write(json_t *json, const struct model_port *port);
/* The segments that a port is in. On failure, too, members are the caller's to free. */
int json_members_read(const struct model *model, const json_t *json, struct model_port *values,
		      struct problem *problem);
void json_members_write(json_t *json, const struct model_port *port);
/* "TENANT/NAME", or "NAME" of an uplink */
json_t *json_port_name(const struct model_port *port);
const char *json_port_type(enum model_port_type type);

/* Before a patch is merged into a port: what its new membership makes of the former one. */
int json_port_prepare_merge(json_t *port, const json_t *patch);

/* segment and mac are set, all else is read. */
int json_fdb_read(const struct model *model, const json_t *json, struct model_fdb *values,
		  struct problem *problem);
json_t *json_fdb_write(const struct model_fdb *fdb);

/* Finds the port of "TENANT/NAME" or "NAME"; notes a problem with `key` when there is none. */
struct model_port *json_port_lookup(const struct model *model, const char *text, const char *key,
				    struct problem *problem);
struct model_segment *json_segment_lookup(const struct model *model, const char *text,
					  const char *key, struct problem *problem);

#endif
