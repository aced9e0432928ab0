/* SPDX-License-Identifier: Apache-2.0 */
#include "control/topology.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/edit.h"
#include "control/json_read.h"

#define TOPOLOGY_VERSION 1

/*
 * How this works: the topology is first read for its shape alone, and becomes flat lists of what it
 * names: tenants, segments, ports and static entries by full name, each with its attributes. Then
 * what is not named is removed, and what is named is put, in an order in which everything exists
 * before it is referred to. The model's checks wait for the end, so that two segments may swap
 * their VNIs.
 */
struct topology {
	struct edit *edit;
	const struct topology_options *options;
	const json_t *root;
	json_t *tenants;  /* "acme": attributes */
	json_t *segments; /* "acme/web": attributes */
	json_t *ports;	  /* "acme/web1": attributes; "uplink0" of uplinks */
	json_t *fdb;	  /* "acme/web/02:00:00:00:00:01": attributes */
	json_t *places;	  /* where a port stands in the topology, for problems */
};

static int read_shape(struct topology *topology);
static int read_tenant(struct topology *topology, const char *name, const json_t *tenant);
static int read_segment(struct topology *topology, const char *tenant, const char *name,
			const json_t *segment);
static int read_port(struct topology *topology, const char *full_name, const char *place,
		     const json_t *port, const char *segment);
static int members_of(struct topology *topology, const json_t *object, const char *key,
		      const json_t **members);
static json_t *without(const json_t *object, const char *first, const char *second);
static int is_object(struct topology *topology, const json_t *value, const char *place);
static int check_name(struct topology *topology, const char *kind, const char *name,
		      const char *place);
static int prune(struct topology *topology);
static bool in_scope(const struct topology *topology, const char *tenant);
static int prune_fdb(void *context, struct model_fdb *fdb);
static int prune_port(void *context, struct model_port *port);
static int prune_segment(void *context, struct model_segment *segment);
static int prune_tenant(void *context, struct model_tenant *tenant);
static int put(struct topology *topology);
static int put_switch(struct topology *topology);
static int put_tenants(struct topology *topology);
static int put_segments(struct topology *topology);
static int put_ports(struct topology *topology);
static int put_fdb(struct topology *topology);
static void use_mode(struct topology *topology, const char *tenant);
static struct model_tenant *split(struct topology *topology, const char *full_name,
				  const char **rest);

int topology_apply(struct edit *edit, const json_t *root, const struct topology_options *options)
{
	struct topology topology = {
		.edit = edit,
		.options = options,
		.root = root,
		.tenants = json_object(),
		.segments = json_object(),
		.ports = json_object(),
		.fdb = json_object(),
		.places = json_object(),
	};
	int result = read_shape(&topology);

	if (result == 0 && options->prune)
		result = prune(&topology);
	if (result == 0)
		result = put(&topology);
	json_decref(topology.tenants);
	json_decref(topology.segments);
	json_decref(topology.ports);
	json_decref(topology.fdb);
	json_decref(topology.places);
	return result;
}

static int read_shape(struct topology *topology)
{
	static const char *const keys[] = {"version", "host", "vtep", "tenants", "uplinks", NULL};
	struct problem *problem = topology->edit->problem;
	const json_t *tenants, *uplinks;
	char place[PROBLEM_NAME_SIZE];
	uint32_t version = 0;
	const char *name;
	json_t *value;

	problem_object(problem, "topology");
	problem_base(problem, "%s", "");
	if (json_read_keys(topology->root, keys, problem) < 0 ||
	    json_read_number(topology->root, "version", TOPOLOGY_VERSION, TOPOLOGY_VERSION,
			     &version, problem) < 0 ||
	    members_of(topology, topology->root, "tenants", &tenants) < 0 ||
	    members_of(topology, topology->root, "uplinks", &uplinks) < 0)
		return -EINVAL;
	if (version == 0)
		return problem_set(problem, 400, "missing", "version",
				   "the topology does not say its version: add version: %d",
				   TOPOLOGY_VERSION);
	json_object_foreach ((json_t *)tenants, name, value) {
		if (read_tenant(topology, name, value) < 0)
			return -EINVAL;
	}
	json_object_foreach ((json_t *)uplinks, name, value) {
		snprintf(place, sizeof(place), "/uplinks/%.80s", name);
		if (check_name(topology, "uplink", name, place) < 0 ||
		    read_port(topology, name, place, value, NULL) < 0)
			return -EINVAL;
	}
	return 0;
}

static int read_tenant(struct topology *topology, const char *name, const json_t *tenant)
{
	char place[PROBLEM_NAME_SIZE], full_name[2 * ADDR_NAME_SIZE];
	const json_t *segments, *ports;
	const char *key;
	json_t *value;

	snprintf(place, sizeof(place), "/tenants/%.80s", name);
	if (check_name(topology, "tenant", name, place) < 0 ||
	    is_object(topology, tenant, place) < 0 ||
	    members_of(topology, tenant, "segments", &segments) < 0 ||
	    members_of(topology, tenant, "ports", &ports) < 0)
		return -EINVAL;
	json_object_set_new(topology->tenants, name, without(tenant, "segments", "ports"));
	json_object_foreach ((json_t *)segments, key, value) {
		if (read_segment(topology, name, key, value) < 0)
			return -EINVAL;
	}
	json_object_foreach ((json_t *)ports, key, value) {
		snprintf(place, sizeof(place), "/tenants/%s/ports/%.80s", name, key);
		snprintf(full_name, sizeof(full_name), "%s/%.*s", name, ADDR_NAME_SIZE - 1, key);
		if (check_name(topology, "port", key, place) < 0 ||
		    read_port(topology, full_name, place, value, NULL) < 0)
			return -EINVAL;
	}
	return 0;
}

static int read_segment(struct topology *topology, const char *tenant, const char *name,
			const json_t *segment)
{
	char place[PROBLEM_NAME_SIZE], full_name[3 * ADDR_NAME_SIZE], text[41];
	const json_t *ports, *fdb;
	struct addr_mac mac;
	const char *key;
	json_t *value;

	snprintf(place, sizeof(place), "/tenants/%s/segments/%.80s", tenant, name);
	if (check_name(topology, "segment", name, place) < 0 ||
	    is_object(topology, segment, place) < 0 ||
	    members_of(topology, segment, "ports", &ports) < 0 ||
	    members_of(topology, segment, "fdb", &fdb) < 0)
		return -EINVAL;
	snprintf(full_name, sizeof(full_name), "%s/%s", tenant, name);
	json_object_set_new(topology->segments, full_name, without(segment, "ports", "fdb"));
	json_object_foreach ((json_t *)ports, key, value) {
		snprintf(place, sizeof(place), "/tenants/%s/segments/%s/ports/%.30s", tenant, name,
			 key);
		snprintf(full_name, sizeof(full_name), "%s/%.*s", tenant, ADDR_NAME_SIZE - 1, key);
		if (check_name(topology, "port", key, place) < 0 ||
		    read_port(topology, full_name, place, value, name) < 0)
			return -EINVAL;
	}
	json_object_foreach ((json_t *)fdb, key, value) {
		/* What is no MAC is refused when it is put. */
		if (addr_mac_parse(key, &mac) == 0)
			addr_mac_format(&mac, text);
		else
			snprintf(text, sizeof(text), "%s", key);
		snprintf(full_name, sizeof(full_name), "%s/%s/%s", tenant, name, text);
		json_object_set(topology->fdb, full_name, value);
	}
	return 0;
}

/* segment: the one that the port stands in, or NULL. */
static int read_port(struct topology *topology, const char *full_name, const char *place,
		     const json_t *port, const char *segment)
{
	struct problem *problem = topology->edit->problem;
	const char *given;
	json_t *copy;

	if (is_object(topology, port, place) < 0)
		return -EINVAL;
	problem_object(problem, "port %s", full_name);
	problem_base(problem, "%s", place);
	if (json_object_get(topology->ports, full_name) != NULL)
		return problem_set(
			problem, 400, "port-twice", NULL,
			"port %s stands in the topology twice, at %s too: a tenant's ports "
			"need different names",
			full_name, json_string_value(json_object_get(topology->places, full_name)));
	copy = without(port, NULL, NULL);
	if (segment != NULL) {
		given = json_string_value(json_object_get(copy, "segment"));
		if (json_object_get(copy, "segment") != NULL &&
		    (given == NULL || strcmp(given, segment) != 0)) {
			json_decref(copy);
			return problem_set(problem, 400, "bad-membership", "segment",
					   "port %s stands in segment %s but names another: leave "
					   "segment out, or move the port",
					   full_name, segment);
		}
		json_object_set_new(copy, "segment", json_string(segment));
	}
	json_object_set_new(topology->ports, full_name, copy);
	json_object_set_new(topology->places, full_name, json_string(place));
	return 0;
}

/* Gives the object at key; what is missing or null (an empty place in YAML) is empty. */
static int members_of(struct topology *topology, const json_t *object, const char *key,
		      const json_t **members)
{
	const json_t *value = json_object_get(object, key);

	*members = NULL;
	if (value == NULL || json_is_null(value))
		return 0;
	if (!json_is_object(value))
		return problem_set(topology->edit->problem, 400, "bad-type", key,
				   "%s of %s must be an object, with a member for each name", key,
				   topology->edit->problem->object);
	*members = value;
	return 0;
}

/* A shallow copy without these members. */
static json_t *without(const json_t *object, const char *first, const char *second)
{
	json_t *copy = json_object();

	if (json_is_object(object))
		json_object_update(copy, (json_t *)object);
	if (first != NULL)
		json_object_del(copy, first);
	if (second != NULL)
		json_object_del(copy, second);
	return copy;
}

static int is_object(struct topology *topology, const json_t *value, const char *place)
{
	if (json_is_object(value) || json_is_null(value))
		return 0;
	problem_base(topology->edit->problem, "%s", place);
	return problem_set(topology->edit->problem, 400, "bad-type", NULL,
			   "%s must be an object with attributes", place);
}

static int check_name(struct topology *topology, const char *kind, const char *name,
		      const char *place)
{
	problem_base(topology->edit->problem, "%s", place);
	if (json_read_name(kind, name, topology->edit->problem) < 0)
		return -EINVAL;
	problem_object(topology->edit->problem, "%s %s", kind, name);
	return 0;
}

static int prune(struct topology *topology)
{
	const char *tenant = topology->options->tenant;
	struct model *model = topology->edit->model;

	if (tenant != NULL && model_tenant_find(model, tenant) == NULL &&
	    json_object_get(topology->tenants, tenant) == NULL) {
		problem_object(topology->edit->problem, "tenant %.80s", tenant);
		problem_base(topology->edit->problem, "%s", "");
		return problem_set(topology->edit->problem, 404, "not-found", NULL,
				   "tenant %.80s does not exist, nor does the topology name it",
				   tenant);
	}
	model_each_fdb(model, prune_fdb, topology);
	model_each_port(model, prune_port, topology);
	model_each_segment(model, prune_segment, topology);
	model_each_tenant(model, prune_tenant, topology);
	if (tenant == NULL && !json_read_has(topology->root, "vtep") && model_vtep(model)->present)
		model_vtep_del(model);
	return 0;
}

static bool in_scope(const struct topology *topology, const char *tenant)
{
	return topology->options->tenant == NULL ||
	       (tenant != NULL && strcmp(topology->options->tenant, tenant) == 0);
}

static int prune_fdb(void *context, struct model_fdb *fdb)
{
	struct topology *topology = context;
	const char *tenant = fdb->segment->tenant->name;
	char mac[ADDR_MAC_TEXT_SIZE], name[3 * ADDR_NAME_SIZE];

	snprintf(name, sizeof(name), "%s/%s/%s", tenant, fdb->segment->name,
		 addr_mac_format(&fdb->mac, mac));
	if (in_scope(topology, tenant) && json_object_get(topology->fdb, name) == NULL)
		model_fdb_del(topology->edit->model, fdb);
	return 0;
}

static int prune_port(void *context, struct model_port *port)
{
	struct topology *topology = context;
	const char *tenant = port->tenant != NULL ? port->tenant->name : NULL;
	char name[2 * ADDR_NAME_SIZE];

	snprintf(name, sizeof(name), "%s%s%s", tenant != NULL ? tenant : "",
		 tenant != NULL ? "/" : "", port->name);
	if (in_scope(topology, tenant) && json_object_get(topology->ports, name) == NULL)
		model_port_del(topology->edit->model, port);
	return 0;
}

static int prune_segment(void *context, struct model_segment *segment)
{
	struct topology *topology = context;
	char name[2 * ADDR_NAME_SIZE];

	snprintf(name, sizeof(name), "%s/%s", segment->tenant->name, segment->name);
	if (in_scope(topology, segment->tenant->name) &&
	    json_object_get(topology->segments, name) == NULL)
		model_segment_del(topology->edit->model, segment);
	return 0;
}

static int prune_tenant(void *context, struct model_tenant *tenant)
{
	struct topology *topology = context;

	if (in_scope(topology, tenant->name) &&
	    json_object_get(topology->tenants, tenant->name) == NULL)
		model_tenant_del(topology->edit->model, tenant);
	return 0;
}

static int put(struct topology *topology)
{
	int result = put_switch(topology);

	if (result == 0)
		result = put_tenants(topology);
	if (result == 0)
		result = put_segments(topology);
	if (result == 0)
		result = put_ports(topology);
	if (result == 0)
		result = put_fdb(topology);
	return result;
}

static int put_switch(struct topology *topology)
{
	struct problem *problem = topology->edit->problem;
	const json_t *host = json_object_get(topology->root, "host");
	const json_t *vtep = json_object_get(topology->root, "vtep");
	json_t *empty = json_object();
	int result = 0;

	use_mode(topology, NULL);
	problem_base(problem, "%s", "/host");
	if (json_read_has(topology->root, "host"))
		result = edit_host(topology->edit, host);
	else if (topology->edit->mode == EDIT_PUT)
		result = edit_host(topology->edit, empty);
	problem_base(problem, "%s", "/vtep");
	if (result == 0 && json_read_has(topology->root, "vtep"))
		result = edit_vtep(topology->edit, vtep);
	json_decref(empty);
	return result;
}

static int put_tenants(struct topology *topology)
{
	const char *name;
	json_t *value;

	json_object_foreach (topology->tenants, name, value) {
		use_mode(topology, name);
		problem_base(topology->edit->problem, "/tenants/%s", name);
		if (edit_tenant(topology->edit, name, value) < 0)
			return -EINVAL;
	}
	return 0;
}

static int put_segments(struct topology *topology)
{
	struct model_tenant *tenant;
	const char *full_name, *name;
	json_t *value;

	json_object_foreach (topology->segments, full_name, value) {
		tenant = split(topology, full_name, &name);
		problem_base(topology->edit->problem, "/tenants/%s/segments/%s", tenant->name,
			     name);
		if (edit_segment(topology->edit, tenant, name, value) < 0)
			return -EINVAL;
	}
	return 0;
}

static int put_ports(struct topology *topology)
{
	struct model_tenant *tenant;
	const char *full_name, *name;
	json_t *value;

	json_object_foreach (topology->ports, full_name, value) {
		tenant = split(topology, full_name, &name);
		problem_base(topology->edit->problem, "%s",
			     json_string_value(json_object_get(topology->places, full_name)));
		if (edit_port(topology->edit, tenant, name, value) < 0)
			return -EINVAL;
	}
	return 0;
}

static int put_fdb(struct topology *topology)
{
	const struct model_tenant *tenant;
	char segment_name[ADDR_NAME_SIZE];
	const char *full_name, *name, *mac;
	json_t *value;

	json_object_foreach (topology->fdb, full_name, value) {
		tenant = split(topology, full_name, &name);
		mac = strchr(name, '/') + 1;
		snprintf(segment_name, sizeof(segment_name), "%.*s", (int)(mac - 1 - name), name);
		problem_base(topology->edit->problem, "/tenants/%s/segments/%s/fdb/%s",
			     tenant->name, segment_name, mac);
		if (edit_fdb(topology->edit, model_segment_find(tenant, segment_name), mac, value) <
		    0)
			return -EINVAL;
	}
	return 0;
}

/* Pruning leaves an object as the topology says it; otherwise what it does not say stays. */
static void use_mode(struct topology *topology, const char *tenant)
{
	bool exact = topology->options->prune && in_scope(topology, tenant);

	topology->edit->mode = exact ? EDIT_PUT : EDIT_MERGE;
}

/* The tenant of a full name, which was put before, or NULL of an uplink's; the rest is its name. */
static struct model_tenant *split(struct topology *topology, const char *full_name,
				  const char **rest)
{
	const char *slash = strchr(full_name, '/');
	struct model_tenant *tenant = NULL;
	char name[ADDR_NAME_SIZE];

	*rest = full_name;
	if (slash != NULL) {
		snprintf(name, sizeof(name), "%.*s", (int)(slash - full_name), full_name);
		tenant = model_tenant_find(topology->edit->model, name);
		*rest = slash + 1;
	}
	use_mode(topology, tenant != NULL ? tenant->name : NULL);
	return tenant;
}
