/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/handle.h"
#include "control/json_object.h"
#include "control/reconcile.h"
#include "control/request.h"

/* What visit() needs to add an object to a list. */
struct append {
	const struct request *request;
	json_t *list;
};

static json_t *port_status(const struct request *request, const struct model_port *port);
static int append_port(void *context, struct model_port *port);
static int list_ports(struct request *request, const struct model_tenant *tenant, const char *key);
static int answer_port(struct request *request, bool uplink, bool existed);
static int put(struct request *request, struct model_tenant *tenant, const char *name,
	       int (*step)(struct request *, struct edit *));
static int put_port(struct request *request, struct edit *edit);
static int put_uplink(struct request *request, struct edit *edit);
static int delete_port(struct request *request, struct edit *edit);
static int delete_uplink(struct request *request, struct edit *edit);
static int delete (struct request *request, struct edit *edit, struct model_port *port);

json_t *request_port_json(const struct request *request, const struct model_port *port)
{
	json_t *json = json_object();
	json_t *attributes = json_port_write(port);

	json_object_set_new(json, "name", json_port_name(port));
	json_object_update(json, attributes);
	json_decref(attributes);
	json_object_set_new(json, "status", port_status(request, port));
	return json;
}

int handle_port_list(struct request *request)
{
	struct append append = {.request = request, .list = json_array()};

	model_each_port(request->model, append_port, &append);
	return request_answer_list(request, "ports", append.list);
}

int handle_port_list_tenant(struct request *request)
{
	const struct model_tenant *tenant = request_tenant(request);

	return tenant != NULL ? list_ports(request, tenant, "ports") : -EINVAL;
}

int handle_port_get(struct request *request)
{
	return answer_port(request, false, true);
}

int handle_port_put(struct request *request)
{
	struct model_tenant *tenant = request_tenant(request);
	bool existed;

	if (tenant == NULL)
		return -EINVAL;
	existed = model_port_find(request->model, tenant, request->args[1]) != NULL;
	if (put(request, tenant, request->args[1], put_port) < 0)
		return -EINVAL;
	return answer_port(request, false, existed);
}

int handle_port_delete(struct request *request)
{
	request->status = 204;
	return request_change(request, true, delete_port);
}

int handle_uplink_list(struct request *request)
{
	return list_ports(request, NULL, "uplinks");
}

int handle_uplink_get(struct request *request)
{
	return answer_port(request, true, true);
}

int handle_uplink_put(struct request *request)
{
	bool existed = model_port_find(request->model, NULL, request->args[0]) != NULL;

	if (put(request, NULL, request->args[0], put_uplink) < 0)
		return -EINVAL;
	return answer_port(request, true, existed);
}

int handle_uplink_delete(struct request *request)
{
	request->status = 204;
	return request_change(request, true, delete_uplink);
}

static json_t *port_status(const struct request *request, const struct model_port *port)
{
	static const char *const states[] = {
		[RECONCILE_PORT_WAITING] = "waiting",
		[RECONCILE_PORT_UP] = "up",
		[RECONCILE_PORT_DOWN] = "down",
	};
	json_t *status = json_object();
	enum reconcile_port_state state;
	const char *reason = NULL;
	char text[ADDR_MAC_TEXT_SIZE];
	struct addr_mac mac = port->mac;
	uint32_t mtu = 0;
	bool seen;

	state = reconcile_port_state(request->reconcile, port, &reason);
	json_object_set_new(status, "state", json_string(states[state]));
	if (reason != NULL && reason[0] != '\0')
		json_object_set_new(status, "reason", json_string(reason));
	seen = reconcile_port_seen(request->reconcile, port, &mac, &mtu);
	if (seen || addr_mac_is_unicast(&mac))
		json_object_set_new(status, "mac", json_string(addr_mac_format(&mac, text)));
	for (uint32_t i = 0; i < port->member_count && !seen; i++) {
		uint32_t segment_mtu =
			reconcile_segment_mtu(request->reconcile, port->members[i].segment);

		if (segment_mtu > mtu)
			mtu = segment_mtu;
	}
	if (mtu != 0)
		json_object_set_new(status, "mtu", json_integer(mtu));
	return status;
}

static int append_port(void *context, struct model_port *port)
{
	struct append *append = context;

	return json_array_append_new(append->list, request_port_json(append->request, port));
}

static int list_ports(struct request *request, const struct model_tenant *tenant, const char *key)
{
	struct append append = {.request = request, .list = json_array()};

	model_tenant_each_port(request->model, tenant, append_port, &append);
	return request_answer_list(request, key, append.list);
}

static int answer_port(struct request *request, bool uplink, bool existed)
{
	const struct model_port *port = request_port(request, uplink);

	if (port == NULL)
		return -EINVAL;
	return request_answer_object(request, request_port_json(request, port), existed);
}

static int put(struct request *request, struct model_tenant *tenant, const char *name,
	       int (*step)(struct request *, struct edit *))
{
	bool existed = model_port_find(request->model, tenant, name) != NULL;
	char full_name[2 * ADDR_NAME_SIZE];

	snprintf(full_name, sizeof(full_name), "%s%s%s", tenant != NULL ? tenant->name : "",
		 tenant != NULL ? "/" : "", name);
	problem_object(&request->problem, "%s %s", tenant != NULL ? "port" : "uplink", full_name);
	if (request_object_body(request, full_name) < 0)
		return -EINVAL;
	return request_change(request, existed, step);
}

static int put_port(struct request *request, struct edit *edit)
{
	struct model_tenant *tenant = request_tenant(request);

	return tenant != NULL ? edit_port(edit, tenant, request->args[1], request->body) : -EINVAL;
}

static int put_uplink(struct request *request, struct edit *edit)
{
	return edit_port(edit, NULL, request->args[0], request->body);
}

static int delete_port(struct request *request, struct edit *edit)
{
	return delete (request, edit, request_port(request, false));
}

static int delete_uplink(struct request *request, struct edit *edit)
{
	return delete (request, edit, request_port(request, true));
}

static int delete (struct request *request, struct edit *edit, struct model_port *port)
{
	bool recursive = false;

	if (port == NULL || request_flag(request, "recursive", &recursive) < 0)
		return -EINVAL;
	if (recursive)
		model_port_del_recursive(edit->model, port);
	else
		model_port_del(edit->model, port);
	return 0;
}
