/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_HANDLE_H
#define VSWITCH_CONTROL_HANDLE_H

/*
 * The handlers of the API's routes, which route.c lists with the patterns
 * that say what their args are. Each returns 0 with the request's status and
 * answer set, or a negative errno with its problem.
 */

struct request;

int handle_status_get(struct request *request);
int handle_config_get(struct request *request);
int handle_apply(struct request *request);
int handle_host_get(struct request *request);
int handle_host_put(struct request *request);
int handle_vtep_get(struct request *request);
int handle_vtep_put(struct request *request);
int handle_vtep_delete(struct request *request);
int handle_tenant_list(struct request *request);
int handle_tenant_get(struct request *request);
int handle_tenant_put(struct request *request);
int handle_tenant_delete(struct request *request);
int handle_segment_list(struct request *request);
int handle_segment_list_tenant(struct request *request);
int handle_segment_get(struct request *request);
int handle_segment_put(struct request *request);
int handle_segment_delete(struct request *request);
int handle_peer_put(struct request *request);
int handle_peer_delete(struct request *request);
int handle_port_list(struct request *request);
int handle_port_list_tenant(struct request *request);
int handle_port_get(struct request *request);
int handle_port_put(struct request *request);
int handle_port_delete(struct request *request);
int handle_uplink_list(struct request *request);
int handle_uplink_get(struct request *request);
int handle_uplink_put(struct request *request);
int handle_uplink_delete(struct request *request);
int handle_fdb_list(struct request *request);
int handle_fdb_put(struct request *request);
int handle_fdb_delete(struct request *request);
int handle_fdb_flush(struct request *request);
int handle_stats_all(struct request *request);
int handle_stats_tenants(struct request *request);
int handle_stats_tenant(struct request *request);
int handle_stats_segments(struct request *request);
int handle_stats_segment(struct request *request);
int handle_stats_ports(struct request *request);
int handle_stats_uplink(struct request *request);
int handle_stats_port(struct request *request);
int handle_drops_list(struct request *request);

#endif
