/* SPDX-License-Identifier: Apache-2.0 */
#include "control/json_object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/json_read.h"

#define VNI_MAX	   16777215u
#define VID_MAX	   4094u
#define MTU_MIN	   68u
#define MTU_MAX	   65521u
#define AGEING_MAX 1000000u

static int read_peers(const json_t *json, struct json_peers *peers, struct problem *problem);
static int compare_addrs(const void *a, const void *b);
static json_t *ip_json(const struct proto_addr *addr);

int json_vtep_read(const json_t *json, struct model_vtep *values, struct problem *problem)
{
	static const char *const keys[] = {"local", "udp-port", NULL};
	uint32_t udp_port = MODEL_UDP_PORT_DEFAULT;
	struct proto_addr local = {0};

	if (json_read_keys(json, keys, problem) < 0 ||
	    json_read_ip(json, "local", &local, problem) < 0 ||
	    json_read_number(json, "udp-port", 1, 65535, &udp_port, problem) < 0)
		return -EINVAL;
	if (local.family == 0)
		return problem_set(problem, 400, "missing", "local",
				   "vtep needs a local address: give the underlay address of this "
				   "host");
	if (local.family != AF_INET)
		return problem_set(problem, 400, "bad-value", "local",
				   "vtep address %s is not IPv4: give an IPv4 address of this host",
				   json_string_value(json_object_get(json, "local")));
	values->present = true;
	values->local = local;
	values->udp_port = (uint16_t)udp_port;
	return 0;
}

json_t *json_vtep_write(const struct model_vtep *vtep)
{
	return json_pack("{s:o, s:i}", "local", ip_json(&vtep->local), "udp-port", vtep->udp_port);
}

int json_segment_read(const json_t *json, struct model_segment *values, struct json_peers *peers,
		      struct problem *problem)
{
	static const char *const keys[] = {
		"vni", "vlan", "mtu", "ageing", "peers", "vlan-transparent", NULL};
	uint32_t vni = 0, vlan = 0, mtu = MODEL_MTU_AUTO, ageing = MODEL_AGEING_DEFAULT;
	struct json_peers read = {0};
	bool transparent = false;

	if (json_read_keys(json, keys, problem) < 0 ||
	    json_read_number(json, "vni", 1, VNI_MAX, &vni, problem) < 0 ||
	    json_read_number(json, "vlan", 1, VID_MAX, &vlan, problem) < 0 ||
	    json_read_number(json, "mtu", MTU_MIN, MTU_MAX, &mtu, problem) < 0 ||
	    json_read_number(json, "ageing", 1, AGEING_MAX, &ageing, problem) < 0 ||
	    json_read_bool(json, "vlan-transparent", &transparent, problem) < 0 ||
	    read_peers(json, &read, problem) < 0)
		return -EINVAL;
	if (read.count != 0 && vni == 0) {
		free(read.addrs);
		return problem_set(problem, 400, "no-vni", "peers",
				   "%s has peers but no VNI: give it a vni, or leave the peers out",
				   problem->object);
	}
	values->vni = vni;
	values->vlan = (uint16_t)vlan;
	values->mtu = mtu;
	values->ageing = ageing;
	values->vlan_transparent = transparent;
	*peers = read;
	return 0;
}

json_t *json_segment_write(const struct model_segment *segment)
{
	json_t *json = json_object();
	json_t *peers;

	if (segment->vni != 0)
		json_object_set_new(json, "vni", json_integer(segment->vni));
	if (segment->vlan != 0)
		json_object_set_new(json, "vlan", json_integer(segment->vlan));
	if (segment->mtu != MODEL_MTU_AUTO)
		json_object_set_new(json, "mtu", json_integer(segment->mtu));
	json_object_set_new(json, "ageing", json_integer(segment->ageing));
	json_object_set_new(json, "vlan-transparent", json_boolean(segment->vlan_transparent));
	if (segment->vni != 0) {
		peers = json_array();
		for (uint32_t i = 0; i < segment->peer_count; i++)
			json_array_append_new(peers, ip_json(&segment->peers[i]->addr));
		json_object_set_new(json, "peers", peers);
	}
	return json;
}

int json_peer_parse(const char *text, struct proto_addr *addr, struct problem *problem)
{
	struct proto_addr parsed;

	if (addr_ip_parse(text, &parsed) == 0 && parsed.family == AF_INET &&
	    json_read_is_unicast(&parsed)) {
		*addr = parsed;
		return 0;
	}
	return problem_set(problem, 400, "bad-value", "peers",
			   "\"%.60s\" is no peer for %s: give the unicast IPv4 address of another "
			   "host's vtep",
			   text, problem->object);
}

int json_fdb_read(const struct model *model, const json_t *json, struct model_fdb *values,
		  struct problem *problem)
{
	static const char *const keys[] = {"port", "vtep", NULL};
	const char *port = NULL, *vtep = NULL;
	struct proto_addr addr;

	if (json_read_keys(json, keys, problem) < 0 ||
	    json_read_text(json, "port", &port, problem) < 0 ||
	    json_read_text(json, "vtep", &vtep, problem) < 0)
		return -EINVAL;
	if ((port != NULL) == (vtep != NULL))
		return problem_set(problem, 400, "missing", NULL,
				   "%s leads to one place: give either a port or a vtep",
				   problem->object);
	values->port = NULL;
	values->peer = NULL;
	if (port != NULL) {
		values->port = json_port_lookup(model, port, "port", problem);
		return values->port != NULL ? 0 : -EINVAL;
	}
	if (json_peer_parse(vtep, &addr, problem) < 0)
		return -EINVAL;
	values->peer = model_peer_find(model, &addr);
	if (values->peer == NULL || !model_segment_has_peer(values->segment, values->peer))
		return problem_set(problem, 409, "not-a-peer", "vtep",
				   "vtep %.60s is not a peer of segment %s/%s: add the peer first",
				   vtep, values->segment->tenant->name, values->segment->name);
	return 0;
}

json_t *json_fdb_write(const struct model_fdb *fdb)
{
	if (fdb->port != NULL)
		return json_pack("{s:o}", "port", json_port_name(fdb->port));
	return json_pack("{s:o}", "vtep", ip_json(&fdb->peer->addr));
}

struct model_segment *json_segment_lookup(const struct model *model, const char *text,
					  const char *key, struct problem *problem)
{
	char tenant_name[ADDR_NAME_SIZE], name[ADDR_NAME_SIZE];
	const struct model_tenant *tenant;
	struct model_segment *segment = NULL;

	if (!json_read_split(text, tenant_name, name)) {
		problem_set(problem, 400, "bad-value", key,
			    "\"%.130s\" names no segment: write it as TENANT/NAME", text);
		return NULL;
	}
	tenant = model_tenant_find(model, tenant_name);
	if (tenant != NULL)
		segment = model_segment_find(tenant, name);
	if (segment == NULL)
		problem_set(problem, 400, "unknown-segment", key,
			    "segment %s does not exist: add it first, or name another", text);
	return segment;
}

struct model_port *json_port_lookup(const struct model *model, const char *text, const char *key,
				    struct problem *problem)
{
	char tenant_name[ADDR_NAME_SIZE], name[ADDR_NAME_SIZE];
	const struct model_tenant *tenant;
	struct model_port *port = NULL;

	if (strchr(text, '/') == NULL) {
		port = model_port_find(model, NULL, text);
	} else if (json_read_split(text, tenant_name, name)) {
		tenant = model_tenant_find(model, tenant_name);
		port = tenant != NULL ? model_port_find(model, tenant, name) : NULL;
	}
	if (port == NULL)
		problem_set(problem, 400, "unknown-port", key,
			    "port \"%.130s\" does not exist: add it first, or name another "
			    "(TENANT/NAME, "
			    "or an uplink's NAME)",
			    text);
	return port;
}

static int read_peers(const json_t *json, struct json_peers *peers, struct problem *problem)
{
	struct json_peers read = {0};
	const char **texts = NULL;
	int result = -ENOMEM;

	if (json_read_texts(json, "peers", JSON_PEERS_MAX, &texts, &read.count, problem) < 0)
		return -EINVAL;
	read.addrs = calloc(read.count + 1, sizeof(*read.addrs));
	if (read.addrs == NULL)
		goto free_texts;
	result = -EINVAL;
	for (uint32_t i = 0; i < read.count; i++) {
		if (json_peer_parse(texts[i], &read.addrs[i], problem) < 0)
			goto free_addrs;
	}
	qsort(read.addrs, read.count, sizeof(*read.addrs), compare_addrs);
	for (uint32_t i = 1; i < read.count; i++) {
		if (addr_ip_equal(&read.addrs[i - 1], &read.addrs[i])) {
			problem_set(problem, 400, "bad-value", "peers",
				    "%s names a peer twice: name each once", problem->object);
			goto free_addrs;
		}
	}
	*peers = read;
	result = 0;
	goto free_texts;
free_addrs:
	free(read.addrs);
free_texts:
	free(texts);
	return result;
}

static int compare_addrs(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct proto_addr));
}

static json_t *ip_json(const struct proto_addr *addr)
{
	char text[ADDR_IP_TEXT_SIZE];

	return json_string(addr_ip_format(addr, text));
}
