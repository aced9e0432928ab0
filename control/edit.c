/* SPDX-License-Identifier: Apache-2.0 */
#include "control/edit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/json_object.h"
#include "control/json_read.h"
#include "control/reconcile.h"

static int merged(struct edit *edit, json_t *former, const json_t *json, json_t **result);
static int check_new_port(struct edit *edit, const struct model_port *former,
			  const struct model_port *values);
static int check_captures(struct edit *edit, const struct model_port *former,
			  struct model_port *values);
static int put_port(struct edit *edit, const struct model_port *former,
		    const struct model_port *values);

int edit_host(struct edit *edit, const json_t *json)
{
	struct model_host values;
	json_t *whole = NULL;
	int result;

	problem_object(edit->problem, "host");
	if (merged(edit, json_host_write(model_host(edit->model)), json, &whole) < 0)
		return -EINVAL;
	result = json_host_read(whole, &values, edit->problem);
	json_decref(whole);
	return result < 0 ? -EINVAL : model_host_put(edit->model, &values);
}

int edit_vtep(struct edit *edit, const json_t *json)
{
	const struct model_vtep *former = model_vtep(edit->model);
	struct model_vtep values = {0};
	json_t *whole = NULL;
	int result;

	problem_object(edit->problem, "vtep");
	if (merged(edit, former->present ? json_vtep_write(former) : NULL, json, &whole) < 0)
		return -EINVAL;
	result = json_vtep_read(whole, &values, edit->problem);
	json_decref(whole);
	return result < 0 ? -EINVAL : model_vtep_put(edit->model, &values, edit->problem);
}

int edit_tenant(struct edit *edit, const char *name, const json_t *json)
{
	struct model_tenant values = {0};
	const struct model_tenant *former;
	json_t *whole = NULL;
	int result;

	if (json_read_name("tenant", name, edit->problem) < 0)
		return -EINVAL;
	problem_object(edit->problem, "tenant %s", name);
	strcpy(values.name, name);
	former = model_tenant_find(edit->model, name);
	if (merged(edit, former != NULL ? json_tenant_write(former) : NULL, json, &whole) < 0)
		return -EINVAL;
	result = json_tenant_read(whole, &values, edit->problem);
	json_decref(whole);
	return result < 0 ? -EINVAL : model_tenant_put(edit->model, &values, NULL, edit->problem);
}

int edit_segment(struct edit *edit, struct model_tenant *tenant, const char *name,
		 const json_t *json)
{
	struct model_segment values = {.tenant = tenant};
	const struct model_segment *former;
	struct json_peers peers;
	json_t *whole = NULL;
	int result;

	if (json_read_name("segment", name, edit->problem) < 0)
		return -EINVAL;
	problem_object(edit->problem, "segment %s/%s", tenant->name, name);
	strcpy(values.name, name);
	former = model_segment_find(tenant, name);
	if (merged(edit, former != NULL ? json_segment_write(former) : NULL, json, &whole) < 0)
		return -EINVAL;
	result = json_segment_read(whole, &values, &peers, edit->problem);
	json_decref(whole);
	if (result < 0)
		return -EINVAL;
	result = model_segment_put(edit->model, &values, peers.addrs, peers.count, NULL,
				   edit->problem);
	free(peers.addrs);
	return result;
}

int edit_port(struct edit *edit, struct model_tenant *tenant, const char *name, const json_t *json)
{
	struct model_port values = {.tenant = tenant};
	const struct model_port *former;
	json_t *base = NULL, *whole = NULL;
	int result;

	if (json_read_name(tenant != NULL ? "port" : "uplink", name, edit->problem) < 0)
		return -EINVAL;
	problem_object(edit->problem, "%s %s%s%s", tenant != NULL ? "port" : "uplink",
		       tenant != NULL ? tenant->name : "", tenant != NULL ? "/" : "", name);
	strcpy(values.name, name);
	former = model_port_find(edit->model, tenant, name);
	if (former != NULL && edit->mode != EDIT_PUT) {
		base = json_port_write(former);
		if (json_port_prepare_merge(base, json) < 0)
			json_decref(base), base = NULL;
	}
	if (merged(edit, base, json, &whole) < 0)
		return -EINVAL;
	result = json_port_read(edit->model, whole, former, &values, edit->problem);
	json_decref(whole);
	if (result < 0)
		return -EINVAL;
	result = check_new_port(edit, former, &values);
	/* A device is known by its port's reference: with another, it is another port. */
	if (result == 0 && former != NULL && strcmp(former->device, values.device) != 0) {
		model_port_del(edit->model, (struct model_port *)former);
		former = NULL;
	}
	if (result == 0)
		result = check_captures(edit, former, &values);
	if (result == 0)
		result = put_port(edit, former, &values);
	json_port_fini(&values);
	return result;
}

int edit_fdb(struct edit *edit, struct model_segment *segment, const char *mac, const json_t *json)
{
	struct model_fdb values = {.segment = segment};
	bool is_mac = addr_mac_parse(mac, &values.mac) == 0;

	problem_object(edit->problem, "fdb %s/%s/%.40s", segment->tenant->name, segment->name, mac);
	if (!is_mac || !addr_mac_is_unicast(&values.mac))
		return problem_set(edit->problem, 400, "bad-value", NULL,
				   "\"%.40s\" is no unicast MAC address: write it as "
				   "02:00:00:00:00:01",
				   mac);
	if (json_fdb_read(edit->model, json, &values, edit->problem) < 0)
		return -EINVAL;
	return model_fdb_put(edit->model, &values);
}

int edit_missing(struct problem *problem)
{
	return problem_set(problem, 404, "not-found", NULL, "%s does not exist: add it first",
			   problem->object);
}

/* Takes `former` (NULL: there is no such object), and gives what is to be read. */
static int merged(struct edit *edit, json_t *former, const json_t *json, json_t **result)
{
	if (former == NULL && edit->mode == EDIT_PATCH)
		return edit_missing(edit->problem);
	if (!json_is_object(json)) {
		json_decref(former);
		return problem_set(edit->problem, 400, "bad-type", NULL, "%s must be a JSON object",
				   edit->problem->object);
	}
	if (former == NULL || edit->mode == EDIT_PUT) {
		json_decref(former);
		*result = json_incref((json_t *)json);
		return 0;
	}
	if (json_read_merge(former, json) < 0) {
		json_decref(former);
		return -ENOMEM;
	}
	*result = former;
	return 0;
}

static int check_new_port(struct edit *edit, const struct model_port *former,
			  const struct model_port *values)
{
	if (former == NULL && values->tenant == NULL && strcmp(values->name, EDIT_VTEP_NAME) == 0)
		return problem_set(
			edit->problem, 400, "bad-name", NULL,
			"uplink %s would be taken for the switch's own vtep: choose another "
			"name",
			values->name);
	if (former != NULL && former->type != values->type)
		return problem_set(
			edit->problem, 409, "type-fixed", "type",
			"%s is of type %s, which cannot change: delete it and add it again",
			edit->problem->object, json_port_type(former->type));
	return 0;
}

static int check_captures(struct edit *edit, const struct model_port *former,
			  struct model_port *values)
{
	char text[MODEL_TEXT_SIZE];
	const char *key;

	if (values->type != MODEL_PORT_PCAP ||
	    reconcile_check_captures(edit->reconcile, values, former, &key, text) == 0)
		return 0;
	return problem_set(edit->problem, 400, "bad-file", key, "%s", text);
}

/* Asks the host whether the interface's name is free where this port is new. */
static int put_port(struct edit *edit, const struct model_port *former,
		    const struct model_port *values)
{
	bool moves = former == NULL || strcmp(former->ifname, values->ifname) != 0 ||
		     strcmp(former->netns, values->netns) != 0 || former->shared != values->shared;
	char text[MODEL_TEXT_SIZE];
	int error = 0;
	struct model_port *port;

	if (model_port_put(edit->model, values, &port, edit->problem) < 0)
		return -EINVAL;
	if (moves || edit->require) {
		error = reconcile_check_port(edit->reconcile, port, text);
		if (error == 0)
			error = reconcile_check_place(edit->reconcile, port, edit->require, text);
	}
	switch (error) {
	case -EEXIST:
		return problem_set(edit->problem, 409, "ifname-taken", "ifname", "%s", text);
	case -EBUSY:
		return problem_set(edit->problem, 409, "interface-in-use", "ifname", "%s", text);
	case -EINVAL:
		return problem_set(edit->problem, 400, "bad-interface", "ifname", "%s", text);
	case -EMEDIUMTYPE:
		return problem_set(edit->problem, 400, "bad-value", "netns", "%s", text);
	case -EOPNOTSUPP:
		return problem_set(edit->problem, 409, "no-dpdk", "type", "%s", text);
	case -EAGAIN:
		return problem_set(edit->problem, 409, "would-wait", NULL, "%s", text);
	default:
		return 0;
	}
}
