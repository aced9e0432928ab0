/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "control/handle.h"
#include "control/json_object.h"
#include "control/request.h"

static int append_tenant(void *list, struct model_tenant *tenant);
static int put_tenant(struct request *request, struct edit *edit);
static int delete_tenant(struct request *request, struct edit *edit);

json_t *request_tenant_json(const struct model_tenant *tenant)
{
	json_t *json = json_pack("{s:s}", "name", tenant->name);
	json_t *attributes = json_tenant_write(tenant);

	json_object_update(json, attributes);
	json_decref(attributes);
	json_object_set_new(json, "status",
			    json_pack("{s:i, s:i}", "segments", (int)tenant->segment_count, "ports",
				      (int)tenant->port_count));
	return json;
}

int handle_tenant_list(struct request *request)
{
	json_t *list = json_array();

	model_each_tenant(request->model, append_tenant, list);
	return request_answer_list(request, "tenants", list);
}

int handle_tenant_get(struct request *request)
{
	const struct model_tenant *tenant = request_tenant(request);

	if (tenant == NULL)
		return -EINVAL;
	return request_answer_object(request, request_tenant_json(tenant), true);
}

int handle_tenant_put(struct request *request)
{
	const char *name = request->args[0];
	bool existed = model_tenant_find(request->model, name) != NULL;

	problem_object(&request->problem, "tenant %s", name);
	if (request_object_body(request, name) < 0 ||
	    request_change(request, existed, put_tenant) < 0)
		return -EINVAL;
	return request_answer_object(
		request, request_tenant_json(model_tenant_find(request->model, name)), existed);
}

int handle_tenant_delete(struct request *request)
{
	request->status = 204;
	return request_change(request, true, delete_tenant);
}

static int append_tenant(void *list, struct model_tenant *tenant)
{
	return json_array_append_new(list, request_tenant_json(tenant));
}

static int put_tenant(struct request *request, struct edit *edit)
{
	return edit_tenant(edit, request->args[0], request->body);
}

static int delete_tenant(struct request *request, struct edit *edit)
{
	struct model_tenant *tenant = request_tenant(request);
	bool recursive = false;

	if (tenant == NULL || request_flag(request, "recursive", &recursive) < 0)
		return -EINVAL;
	if (recursive)
		model_tenant_del_recursive(edit->model, tenant);
	else
		model_tenant_del(edit->model, tenant);
	return 0;
}
