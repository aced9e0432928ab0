/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/rate.h"
#include "control/json_object.h"
#include "control/json_read.h"

/* What the readers of a port's parts share. */
struct port_reader {
	const json_t *json;
	struct model_port *values;
	struct problem *problem;
};

static const struct {
	enum model_port_type type;
	const char *name;
} port_types[] = {
	{MODEL_PORT_TAP, "tap"},       {MODEL_PORT_VETH, "veth"},
	{MODEL_PORT_NETDEV, "netdev"}, {MODEL_PORT_VHOST_USER, "vhost-user"},
	{MODEL_PORT_DPDK, "dpdk"},     {MODEL_PORT_PCAP, "pcap"},
	{MODEL_PORT_MEMORY, "memory"},
};
#define TYPE_NAMES "tap, veth, netdev, vhost-user, dpdk, pcap"

static int read_keys(const struct port_reader *reader);
static int read_type(const struct port_reader *reader);
static bool has_interface(const struct model_port *port);
static int read_interface(const struct port_reader *reader);
static int refuse_keys(const struct port_reader *reader, const char *const keys[], const char *why);
static int read_adoption(const struct port_reader *reader);
static int read_netns(const struct port_reader *reader);
static const char *short_netns(const char *text);
static int read_mac(const struct port_reader *reader, const struct model_port *former);
static int make_mac(struct addr_mac *mac);
static int read_ips(const struct port_reader *reader);
static int read_ip(const struct port_reader *reader, const char *text);
static int read_gateway(const struct port_reader *reader);
static bool prefix_holds(const struct addr_prefix *prefix, const struct proto_addr *addr);
static int read_admin(const struct port_reader *reader);
static void write_interface(json_t *json, const struct model_port *port);

int json_port_read(const struct model *model, const json_t *json, const struct model_port *former,
		   struct model_port *values, struct problem *problem)
{
	struct model_port read = {.tenant = values->tenant, .admin_up = true};
	struct port_reader reader = {.json = json, .values = &read, .problem = problem};

	memcpy(read.name, values->name, sizeof(read.name));
	if (read_keys(&reader) < 0 || read_type(&reader) < 0 ||
	    json_members_read(model, json, &read, problem) < 0 || read_interface(&reader) < 0 ||
	    read_mac(&reader, former) < 0 || read_ips(&reader) < 0 || read_gateway(&reader) < 0 ||
	    json_pcap_read(json, &read, problem) < 0 || json_dpdk_read(json, &read, problem) < 0 ||
	    json_read_rate(json, "send", &read.send_rate, problem) < 0 ||
	    json_read_rate(json, "receive", &read.receive_rate, problem) < 0 ||
	    read_admin(&reader) < 0) {
		json_port_fini(&read);
		return -EINVAL;
	}
	*values = read;
	return 0;
}

void json_port_fini(struct model_port *values)
{
	free(values->members);
	free(values->ips);
	values->members = NULL;
	values->ips = NULL;
}

json_t *json_port_write(const struct model_port *port)
{
	char text[RATE_TEXT_SIZE];
	json_t *json = json_object();

	json_object_set_new(json, "type", json_string(json_port_type(port->type)));
	json_members_write(json, port);
	write_interface(json, port);
	json_pcap_write(json, port);
	json_dpdk_write(json, port);
	if (port->tenant != NULL) {
		json_object_set_new(json, "send", json_string(rate_format(port->send_rate, text)));
		json_object_set_new(json, "receive",
				    json_string(rate_format(port->receive_rate, text)));
	}
	json_object_set_new(json, "admin", json_string(port->admin_up ? "up" : "down"));
	return json;
}

json_t *json_port_name(const struct model_port *port)
{
	if (port->tenant == NULL)
		return json_string(port->name);
	return json_sprintf("%s/%s", port->tenant->name, port->name);
}

const char *json_port_type(enum model_port_type type)
{
	for (size_t i = 0; i < sizeof(port_types) / sizeof(port_types[0]); i++) {
		if (port_types[i].type == type)
			return port_types[i].name;
	}
	return "unknown";
}

static int read_keys(const struct port_reader *reader)
{
	static const char *const workload_keys[] = {
		"type",	  "segment", "trunk",	    "native",  "ifname", "netns",     "mac",
		"ip",	  "gateway", "send",	    "receive", "admin",	 "match-mac", "read",
		"replay", "write",   "write-limit", "socket",  "server", "dev",	      NULL};
	static const char *const uplink_keys[] = {
		"type",	       "trunk",	 "native",    "ifname", "netns", "mac",	   "ip",
		"gateway",     "admin",	 "match-mac", "shared", "read",	 "replay", "write",
		"write-limit", "socket", "server",    "dev",	NULL};

	return json_read_keys(reader->json,
			      reader->values->tenant != NULL ? workload_keys : uplink_keys,
			      reader->problem);
}

static int read_type(const struct port_reader *reader)
{
	const char *text = NULL;

	if (json_read_text(reader->json, "type", &text, reader->problem) < 0)
		return -EINVAL;
	if (text == NULL)
		return problem_set(reader->problem, 400, "missing", "type",
				   "%s needs a type: give " TYPE_NAMES " or memory",
				   reader->problem->object);
	for (size_t i = 0; i < sizeof(port_types) / sizeof(port_types[0]); i++) {
		if (strcmp(port_types[i].name, text) == 0) {
			reader->values->type = port_types[i].type;
			return 0;
		}
	}
	return problem_set(reader->problem, 400, "unknown-type", "type",
			   "unknown port type \"%.40s\" for %s (known: " TYPE_NAMES ", memory)",
			   text, reader->problem->object);
}

static bool has_interface(const struct model_port *port)
{
	return port->type == MODEL_PORT_TAP || port->type == MODEL_PORT_VETH ||
	       port->type == MODEL_PORT_NETDEV;
}

static int read_interface(const struct port_reader *reader)
{
	static const char *const interface_keys[] = {"ifname",	"netns",     "mac",    "ip",
						     "gateway", "match-mac", "shared", NULL};
	struct model_port *values = reader->values;
	const char *ifname = NULL;
	char why[64];

	if (!has_interface(values)) {
		snprintf(why, sizeof(why), "is of type %s, which has no interface",
			 json_port_type(values->type));
		return refuse_keys(reader, interface_keys, why);
	}
	if (read_adoption(reader) < 0)
		return -EINVAL;
	if (json_read_text(reader->json, "ifname", &ifname, reader->problem) < 0)
		return -EINVAL;
	if (ifname == NULL && !addr_ifname_valid(values->name))
		return problem_set(reader->problem, 400, "missing", "ifname",
				   "the name of %s cannot be an interface's (at most 15 "
				   "characters, and neither all nor default): give it an ifname",
				   reader->problem->object);
	if (ifname != NULL && !addr_ifname_valid(ifname))
		return problem_set(reader->problem, 400, "bad-value", "ifname",
				   "\"%.40s\" is no interface name for %s: use 1 to 15 letters, "
				   "digits, '.', '_' and '-', the first a letter or a digit, and "
				   "neither all nor default",
				   ifname, reader->problem->object);
	if (ifname == NULL)
		ifname = values->name;
	memcpy(values->ifname, ifname, strlen(ifname) + 1);
	return read_netns(reader);
}

static int refuse_keys(const struct port_reader *reader, const char *const keys[], const char *why)
{
	for (size_t i = 0; keys[i] != NULL; i++) {
		if (json_read_has(reader->json, keys[i]))
			return problem_set(reader->problem, 400, "no-interface", keys[i],
					   "%s %s: leave %s out", reader->problem->object, why,
					   keys[i]);
	}
	return 0;
}

/* Of an adopted interface nothing is set up, of one that the switch makes nothing is in question.
 */
static int read_adoption(const struct port_reader *reader)
{
	static const char *const set_up_keys[] = {"mac", "ip", "gateway", NULL};
	static const char *const adoption_keys[] = {"match-mac", "shared", NULL};
	struct model_port *values = reader->values;

	if (values->type != MODEL_PORT_NETDEV)
		return refuse_keys(reader, adoption_keys,
				   "is not of type netdev, so the switch makes its interface");
	if (refuse_keys(reader, set_up_keys,
			"is of type netdev, whose interface is not the switch's to set up") < 0 ||
	    json_read_mac(reader->json, "match-mac", &values->match_mac, &values->match_mac_given,
			  reader->problem) < 0)
		return -EINVAL;
	return json_read_bool(reader->json, "shared", &values->shared, reader->problem);
}

/* NAME as in /run/netns, an absolute path, or pid:N. */
static int read_netns(const struct port_reader *reader)
{
	const char *text = NULL;
	bool valid;

	if (json_read_text(reader->json, "netns", &text, reader->problem) < 0)
		return -EINVAL;
	if (text == NULL)
		return 0;
	if (text[0] == '/')
		valid = strlen(text) < MODEL_NETNS_SIZE;
	else if (strncmp(text, "pid:", 4) == 0)
		valid = text[4] >= '1' && text[4] <= '9' && strlen(text + 4) <= 9 &&
			strspn(text + 4, "0123456789") == strlen(text + 4);
	else
		valid = addr_name_valid(text);
	for (const char *c = text; *c != '\0'; c++)
		valid = valid && *c >= ' ' && *c <= '~';
	if (!valid)
		return problem_set(
			reader->problem, 400, "bad-value", "netns",
			"\"%.80s\" is no namespace for %s: give a name, an absolute path of "
			"at most 255 characters, or pid:N",
			text, reader->problem->object);
	text = short_netns(text);
	memcpy(reader->values->netns, text, strlen(text) + 1);
	return 0;
}

/* One namespace has one name, as far as names tell: by them what is taken is found. */
static const char *short_netns(const char *text)
{
	static const char *const places[] = {"/run/netns/", "/var/run/netns/"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		size_t size = strlen(places[i]);

		if (strncmp(text, places[i], size) == 0 && addr_name_valid(text + size))
			return text + size;
	}
	return text;
}

/* Made once: a workload may know its address by heart. */
static int read_mac(const struct port_reader *reader, const struct model_port *former)
{
	struct model_port *values = reader->values;

	if (json_read_mac(reader->json, "mac", &values->mac, &values->mac_given, reader->problem) <
	    0)
		return -EINVAL;
	if (values->mac_given || !has_interface(values) || values->type == MODEL_PORT_NETDEV)
		return 0;
	if (former == NULL)
		return make_mac(&values->mac);
	values->mac = former->mac;
	return 0;
}

static int make_mac(struct addr_mac *mac)
{
	if (getrandom(mac->bytes, sizeof(mac->bytes), 0) != (ssize_t)sizeof(mac->bytes))
		return -EIO;
	mac->bytes[0] = 0x02;
	return 0;
}

static int read_ips(const struct port_reader *reader)
{
	struct model_port *values = reader->values;
	const char **texts = NULL;
	uint32_t count = 0;
	int result = 0;

	if (json_read_texts(reader->json, "ip", JSON_IPS_MAX, &texts, &count, reader->problem) < 0)
		return -EINVAL;
	values->ips = calloc(count + 1, sizeof(*values->ips));
	if (values->ips == NULL)
		result = -ENOMEM;
	for (uint32_t i = 0; i < count && result == 0; i++)
		result = read_ip(reader, texts[i]);
	free(texts);
	return result;
}

static int read_ip(const struct port_reader *reader, const char *text)
{
	struct model_port *values = reader->values;
	struct addr_prefix prefix;

	if (addr_prefix_parse(text, &prefix) < 0 || prefix.length == 0 ||
	    !json_read_is_host(&prefix.addr, &prefix))
		return problem_set(reader->problem, 400, "bad-value", "ip",
				   "\"%.60s\" is no address that %s can have: write a host's, as "
				   "10.0.0.1/24 or fd00::1/64",
				   text, reader->problem->object);
	for (uint32_t i = 0; i < values->ip_count; i++) {
		if (addr_ip_equal(&values->ips[i].addr, &prefix.addr))
			return problem_set(reader->problem, 400, "bad-value", "ip",
					   "%s names address %.60s twice: name it once",
					   reader->problem->object, text);
	}
	values->ips[values->ip_count++] = prefix;
	return 0;
}

static int read_gateway(const struct port_reader *reader)
{
	struct model_port *values = reader->values;
	char text[ADDR_IP_TEXT_SIZE];
	bool reached = false;

	if (json_read_ip(reader->json, "gateway", &values->gateway, reader->problem) < 0)
		return -EINVAL;
	if (values->gateway.family == 0)
		return 0;
	for (uint32_t i = 0; i < values->ip_count; i++) {
		if (addr_ip_equal(&values->ips[i].addr, &values->gateway))
			return problem_set(reader->problem, 400, "bad-value", "gateway",
					   "gateway %s of %s is its own address: give the router's",
					   addr_ip_format(&values->gateway, text),
					   reader->problem->object);
		reached = reached || (prefix_holds(&values->ips[i], &values->gateway) &&
				      json_read_is_host(&values->gateway, &values->ips[i]));
	}
	if (reached)
		return 0;
	return problem_set(reader->problem, 400, "bad-value", "gateway",
			   "gateway %s is no host in any of the prefixes of %s: give it an ip in "
			   "the same prefix, or another gateway",
			   addr_ip_format(&values->gateway, text), reader->problem->object);
}

static bool prefix_holds(const struct addr_prefix *prefix, const struct proto_addr *addr)
{
	unsigned whole = prefix->length / 8, rest = prefix->length % 8;

	if (prefix->addr.family != addr->family ||
	    memcmp(prefix->addr.bytes, addr->bytes, whole) != 0)
		return false;
	return rest == 0 || ((prefix->addr.bytes[whole] ^ addr->bytes[whole]) >> (8 - rest)) == 0;
}

static int read_admin(const struct port_reader *reader)
{
	const char *text = NULL;

	if (json_read_text(reader->json, "admin", &text, reader->problem) < 0)
		return -EINVAL;
	if (text != NULL && strcmp(text, "up") != 0 && strcmp(text, "down") != 0)
		return problem_set(reader->problem, 400, "bad-value", "admin",
				   "admin \"%.40s\" of %s is neither up nor down", text,
				   reader->problem->object);
	reader->values->admin_up = text == NULL || strcmp(text, "up") == 0;
	return 0;
}

static void write_interface(json_t *json, const struct model_port *port)
{
	char text[ADDR_PREFIX_TEXT_SIZE];
	json_t *list;

	if (!has_interface(port))
		return;
	json_object_set_new(json, "ifname", json_string(port->ifname));
	if (port->netns[0] != '\0')
		json_object_set_new(json, "netns", json_string(port->netns));
	if (port->match_mac_given)
		json_object_set_new(json, "match-mac",
				    json_string(addr_mac_format(&port->match_mac, text)));
	if (port->shared)
		json_object_set_new(json, "shared", json_true());
	if (port->mac_given)
		json_object_set_new(json, "mac", json_string(addr_mac_format(&port->mac, text)));
	if (port->ip_count != 0) {
		list = json_array();
		for (uint32_t i = 0; i < port->ip_count; i++)
			json_array_append_new(list,
					      json_string(addr_prefix_format(&port->ips[i], text)));
		json_object_set_new(json, "ip", list);
	}
	if (port->gateway.family != 0)
		json_object_set_new(json, "gateway",
				    json_string(addr_ip_format(&port->gateway, text)));
}
