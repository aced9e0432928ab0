/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "control/handle.h"
#include "control/json_object.h"
#include "control/reconcile.h"
#include "control/request.h"

static int put_host(struct request *request, struct edit *edit);
static int put_vtep(struct request *request, struct edit *edit);
static int delete_vtep(struct request *request, struct edit *edit);
static int find_vtep(struct request *request);
static json_t *vtep_json(const struct request *request);

int handle_host_get(struct request *request)
{
	return request_answer_object(request, json_host_write(model_host(request->model)), true);
}

int handle_host_put(struct request *request)
{
	problem_object(&request->problem, "host");
	if (request_object_body(request, "host") < 0 || request_change(request, true, put_host) < 0)
		return -EINVAL;
	return handle_host_get(request);
}

int handle_vtep_get(struct request *request)
{
	if (find_vtep(request) < 0)
		return -EINVAL;
	return request_answer_object(request, vtep_json(request), true);
}

int handle_vtep_put(struct request *request)
{
	bool existed = model_vtep(request->model)->present;

	problem_object(&request->problem, "vtep");
	if (request_object_body(request, "vtep") < 0 ||
	    request_change(request, existed, put_vtep) < 0)
		return -EINVAL;
	return request_answer_object(request, vtep_json(request), existed);
}

int handle_vtep_delete(struct request *request)
{
	if (find_vtep(request) < 0)
		return -EINVAL;
	request->status = 204;
	return request_change(request, true, delete_vtep);
}

static int put_host(struct request *request, struct edit *edit)
{
	return edit_host(edit, request->body);
}

static int put_vtep(struct request *request, struct edit *edit)
{
	return edit_vtep(edit, request->body);
}

static int delete_vtep(struct request *request, struct edit *edit)
{
	(void)request;
	model_vtep_del(edit->model);
	return 0;
}

static int find_vtep(struct request *request)
{
	if (model_vtep(request->model)->present)
		return 0;
	problem_object(&request->problem, "vtep");
	if (request->is_delete)
		return request_missing(request);
	return problem_set(&request->problem, 404, "not-found", NULL,
			   "vtep is not configured: set its local address first");
}

static json_t *vtep_json(const struct request *request)
{
	json_t *json = json_vtep_write(model_vtep(request->model));
	json_t *status = json_object();
	const char *reason;
	bool up = reconcile_vtep_up(request->reconcile, &reason);

	json_object_set_new(status, "state", json_string(up ? "up" : "waiting"));
	if (!up)
		json_object_set_new(status, "reason", json_string(reason));
	json_object_set_new(json, "status", status);
	return json;
}
