/* SPDX-License-Identifier: Apache-2.0 */
#include "control/route.h"

#include <string.h>

#include "control/handle.h"

static const struct route routes[] = {
	{"GET", "/v1/status", handle_status_get, false, false, NULL,
	 "Versions, uptime, counts and problems"},
	{"GET", "/v1/config", handle_config_get, false, false, NULL,
	 "The whole configuration as a topology"},
	{"POST", "/v1/apply", handle_apply, true, true, " dry-run prune tenant ",
	 "Add and change what a topology says"},
	{"GET", "/v1/host", handle_host_get, false, false, NULL, "The host"},
	{"PUT", "/v1/host", handle_host_put, true, true, NULL, "Set the host"},
	{"PATCH", "/v1/host", handle_host_put, true, true, NULL, "Change the host"},
	{"GET", "/v1/vtep", handle_vtep_get, false, false, NULL, "The VXLAN endpoint"},
	{"PUT", "/v1/vtep", handle_vtep_put, true, true, NULL, "Set the VXLAN endpoint"},
	{"PATCH", "/v1/vtep", handle_vtep_put, true, true, NULL, "Change the VXLAN endpoint"},
	{"DELETE", "/v1/vtep", handle_vtep_delete, true, false, NULL, "Remove the VXLAN endpoint"},
	{"GET", "/v1/tenants", handle_tenant_list, false, false, NULL, "All tenants"},
	{"GET", "/v1/tenants/{tenant}", handle_tenant_get, false, false, NULL, "A tenant"},
	{"PUT", "/v1/tenants/{tenant}", handle_tenant_put, true, true, NULL, "Add or set a tenant"},
	{"PATCH", "/v1/tenants/{tenant}", handle_tenant_put, true, true, NULL, "Change a tenant"},
	{"DELETE", "/v1/tenants/{tenant}", handle_tenant_delete, true, false, " recursive ",
	 "Remove a tenant"},
	{"GET", "/v1/segments", handle_segment_list, false, false, NULL, "All segments"},
	{"GET", "/v1/tenants/{tenant}/segments", handle_segment_list_tenant, false, false, NULL,
	 "A tenant's segments"},
	{"GET", "/v1/tenants/{tenant}/segments/{segment}", handle_segment_get, false, false, NULL,
	 "A segment"},
	{"PUT", "/v1/tenants/{tenant}/segments/{segment}", handle_segment_put, true, true, NULL,
	 "Add or set a segment"},
	{"PATCH", "/v1/tenants/{tenant}/segments/{segment}", handle_segment_put, true, true, NULL,
	 "Change a segment"},
	{"DELETE", "/v1/tenants/{tenant}/segments/{segment}", handle_segment_delete, true, false,
	 " recursive ", "Remove a segment"},
	{"PUT", "/v1/tenants/{tenant}/segments/{segment}/peers/{peer}", handle_peer_put, true,
	 false, NULL, "Add a peer to a segment"},
	{"DELETE", "/v1/tenants/{tenant}/segments/{segment}/peers/{peer}", handle_peer_delete, true,
	 false, NULL, "Remove a peer from a segment"},
	{"GET", "/v1/ports", handle_port_list, false, false, NULL, "All ports and uplinks"},
	{"GET", "/v1/tenants/{tenant}/ports", handle_port_list_tenant, false, false, NULL,
	 "A tenant's ports"},
	{"GET", "/v1/tenants/{tenant}/ports/{port}", handle_port_get, false, false, NULL, "A port"},
	{"PUT", "/v1/tenants/{tenant}/ports/{port}", handle_port_put, true, true, " require ",
	 "Add or set a port"},
	{"PATCH", "/v1/tenants/{tenant}/ports/{port}", handle_port_put, true, true, " require ",
	 "Change a port"},
	{"DELETE", "/v1/tenants/{tenant}/ports/{port}", handle_port_delete, true, false,
	 " recursive ", "Remove a port"},
	{"GET", "/v1/uplinks", handle_uplink_list, false, false, NULL, "All uplinks"},
	{"GET", "/v1/uplinks/{uplink}", handle_uplink_get, false, false, NULL, "An uplink"},
	{"PUT", "/v1/uplinks/{uplink}", handle_uplink_put, true, true, " require ",
	 "Add or set an uplink"},
	{"PATCH", "/v1/uplinks/{uplink}", handle_uplink_put, true, true, " require ",
	 "Change an uplink"},
	{"DELETE", "/v1/uplinks/{uplink}", handle_uplink_delete, true, false, " recursive ",
	 "Remove an uplink"},
	{"GET", "/v1/fdb", handle_fdb_list, false, false, " segment port vtep ",
	 "Static and learned addresses"},
	{"PUT", "/v1/fdb/{tenant}/{segment}/{mac}", handle_fdb_put, true, true, NULL,
	 "Add or set a static entry"},
	{"DELETE", "/v1/fdb/{tenant}/{segment}/{mac}", handle_fdb_delete, true, false, NULL,
	 "Remove an entry, static or learned"},
	{"POST", "/v1/fdb/flush", handle_fdb_flush, true, true, NULL, "Forget learned entries"},
	{"GET", "/v1/stats", handle_stats_all, false, false, NULL, "All counters"},
	{"GET", "/v1/stats/tenants", handle_stats_tenants, false, false, NULL,
	 "Counters of all tenants"},
	{"GET", "/v1/stats/tenants/{tenant}", handle_stats_tenant, false, false, NULL,
	 "Counters of a tenant"},
	{"GET", "/v1/stats/segments", handle_stats_segments, false, false, NULL,
	 "Counters of all segments"},
	{"GET", "/v1/stats/segments/{tenant}/{segment}", handle_stats_segment, false, false, NULL,
	 "Counters of a segment"},
	{"GET", "/v1/stats/ports", handle_stats_ports, false, false, NULL,
	 "Counters of all ports, uplinks and the VXLAN endpoint"},
	{"GET", "/v1/stats/ports/{uplink}", handle_stats_uplink, false, false, NULL,
	 "Counters of an uplink, or of the VXLAN endpoint (vtep)"},
	{"GET", "/v1/stats/ports/{tenant}/{port}", handle_stats_port, false, false, NULL,
	 "Counters of a port"},
	{"GET", "/v1/drops", handle_drops_list, false, false, NULL,
	 "Dropped packets by port and reason"},
	{NULL, NULL, NULL, false, false, NULL, NULL},
};

static bool match(const char *pattern, char *const *parts, size_t count,
		  char *args[REQUEST_ARGS_MAX]);
static void allow_method(char allow[ROUTE_ALLOW_SIZE], const char *method);

const struct route *route_table(void)
{
	return routes;
}

const struct route *route_find(const char *method, char *const *parts, size_t count,
			       char *args[REQUEST_ARGS_MAX], char allow[ROUTE_ALLOW_SIZE])
{
	const char *served = strcmp(method, "HEAD") == 0 ? "GET" : method;

	allow[0] = '\0';
	for (const struct route *route = routes; route->pattern != NULL; route++) {
		if (!match(route->pattern, parts, count, args))
			continue;
		if (strcmp(route->method, served) == 0)
			return route;
		allow_method(allow, route->method);
		if (strcmp(route->method, "GET") == 0)
			allow_method(allow, "HEAD");
	}
	return NULL;
}

/* Every part of the pattern is a word that must be the same, or a {name} that takes any. */
static bool match(const char *pattern, char *const *parts, size_t count,
		  char *args[REQUEST_ARGS_MAX])
{
	size_t arg = 0, part = 0;

	while (*pattern == '/') {
		size_t size = strcspn(++pattern, "/");

		if (part == count)
			return false;
		if (*pattern == '{')
			args[arg++] = parts[part];
		else if (strlen(parts[part]) != size || memcmp(parts[part], pattern, size) != 0)
			return false;
		pattern += size;
		part++;
	}
	return part == count;
}

static void allow_method(char allow[ROUTE_ALLOW_SIZE], const char *method)
{
	size_t size = strlen(allow);

	if (size + strlen(method) + 3 > ROUTE_ALLOW_SIZE)
		return;
	if (size != 0) {
		strcpy(allow + size, ", ");
		size += 2;
	}
	strcpy(allow + size, method);
}
