/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/topology_schema.h"

#include <string.h>

#define SCALAR(value_type)                                                                         \
	{                                                                                          \
		.kind = TOPOLOGY_SCALAR, .type = (value_type)                                      \
	}
#define LIST(value_type)                                                                           \
	{                                                                                          \
		.kind = TOPOLOGY_LIST, .type = (value_type)                                        \
	}
#define MAP(map_keys)                                                                              \
	{                                                                                          \
		.kind = TOPOLOGY_MAP, .keys = (map_keys)                                           \
	}
#define TABLE(key_type, node)                                                                      \
	{                                                                                          \
		.kind = TOPOLOGY_TABLE, .type = (key_type), .values = &(node)                      \
	}

static const struct topology_key host_keys[] = {
	{"send-capacity", SCALAR(VALUE_RATE)},
	{"receive-capacity", SCALAR(VALUE_RATE)},
	{.name = NULL},
};

static const struct topology_key vtep_keys[] = {
	{"local", SCALAR(VALUE_IP)},
	{"udp-port", SCALAR(VALUE_NUMBER)},
	{.name = NULL},
};

static const struct topology_key port_keys[] = {
	{"type", SCALAR(VALUE_PORT_TYPE)}, {"segment", SCALAR(VALUE_PLACE)},
	{"trunk", LIST(VALUE_TRUNK)},	   {"native", SCALAR(VALUE_PLACE)},
	{"ifname", SCALAR(VALUE_IFNAME)},  {"netns", SCALAR(VALUE_NETNS)},
	{"match-mac", SCALAR(VALUE_MAC)},  {"shared", SCALAR(VALUE_YES_NO)},
	{"mac", SCALAR(VALUE_MAC)},	   {"ip", LIST(VALUE_PREFIX)},
	{"gateway", SCALAR(VALUE_IP)},	   {"socket", SCALAR(VALUE_SOCKET)},
	{"server", SCALAR(VALUE_YES_NO)},  {"dev", SCALAR(VALUE_DEVICE)},
	{"read", SCALAR(VALUE_FILE)},	   {"replay", SCALAR(VALUE_REPLAY)},
	{"write", SCALAR(VALUE_FILE)},	   {"write-limit", SCALAR(VALUE_NUMBER)},
	{"send", SCALAR(VALUE_RATE)},	   {"receive", SCALAR(VALUE_RATE)},
	{"admin", SCALAR(VALUE_UP_DOWN)},  {.name = NULL},
};
static const struct topology_node port_node = MAP(port_keys);

static const struct topology_key fdb_keys[] = {
	{"port", SCALAR(VALUE_PORT)},
	{"vtep", SCALAR(VALUE_IP)},
	{.name = NULL},
};
static const struct topology_node fdb_node = MAP(fdb_keys);

static const struct topology_key segment_keys[] = {
	{"vlan", SCALAR(VALUE_NUMBER)},
	{"vni", SCALAR(VALUE_NUMBER)},
	{"peers", LIST(VALUE_IP)},
	{"mtu", SCALAR(VALUE_NUMBER)},
	{"ageing", SCALAR(VALUE_NUMBER)},
	{"vlan-transparent", SCALAR(VALUE_YES_NO)},
	{"ports", TABLE(VALUE_NAME, port_node)},
	{"fdb", TABLE(VALUE_MAC, fdb_node)},
	{.name = NULL},
};
static const struct topology_node segment_node = MAP(segment_keys);

static const struct topology_key tenant_keys[] = {
	{"send", SCALAR(VALUE_RATE)},
	{"send-min", SCALAR(VALUE_RATE)},
	{"send-burst", SCALAR(VALUE_SIZE)},
	{"receive", SCALAR(VALUE_RATE)},
	{"receive-min", SCALAR(VALUE_RATE)},
	{"receive-burst", SCALAR(VALUE_SIZE)},
	{"weight", SCALAR(VALUE_NUMBER)},
	{"overhead", SCALAR(VALUE_INTEGER)},
	{"segments", TABLE(VALUE_NAME, segment_node)},
	{"ports", TABLE(VALUE_NAME, port_node)},
	{.name = NULL},
};
static const struct topology_node tenant_node = MAP(tenant_keys);

static const struct topology_key root_keys[] = {
	{"version", SCALAR(VALUE_NUMBER)},
	{"host", MAP(host_keys)},
	{"vtep", MAP(vtep_keys)},
	{"tenants", TABLE(VALUE_NAME, tenant_node)},
	{"uplinks", TABLE(VALUE_NAME, port_node)},
	{.name = NULL},
};

const struct topology_node topology_root = MAP(root_keys);

const struct topology_node *topology_find(const struct topology_node *map, const char *name)
{
	for (const struct topology_key *key = map->keys; key->name != NULL; key++) {
		if (strcmp(key->name, name) == 0)
			return &key->node;
	}
	return NULL;
}
