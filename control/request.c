/* SPDX-License-Identifier: Apache-2.0 */
#include "control/request.h"

#include <errno.h>
#include <event2/http.h>
#include <string.h>

#include "common/log.h"
#include "control/json_read.h"
#include "control/reconcile.h"
#include "control/store.h"

static int finish(struct request *request, bool existed);

struct model_tenant *request_tenant(struct request *request)
{
	const char *name = request->args[0];
	struct model_tenant *tenant = NULL;

	if (json_read_name("tenant", name, &request->problem) == 0) {
		problem_object(&request->problem, "tenant %s", name);
		tenant = model_tenant_find(request->model, name);
		if (tenant == NULL)
			request_missing(request);
	}
	return tenant;
}

struct model_segment *request_segment(struct request *request)
{
	struct model_tenant *tenant = request_tenant(request);
	const char *name = request->args[1];
	struct model_segment *segment = NULL;

	if (tenant != NULL && json_read_name("segment", name, &request->problem) == 0) {
		problem_object(&request->problem, "segment %s/%s", tenant->name, name);
		segment = model_segment_find(tenant, name);
		if (segment == NULL)
			request_missing(request);
	}
	return segment;
}

struct model_port *request_port(struct request *request, bool uplink)
{
	struct model_tenant *tenant = uplink ? NULL : request_tenant(request);
	const char *name = request->args[uplink ? 0 : 1];
	struct model_port *port = NULL;

	if ((uplink || tenant != NULL) &&
	    json_read_name(uplink ? "uplink" : "port", name, &request->problem) == 0) {
		if (uplink)
			problem_object(&request->problem, "uplink %s", name);
		else
			problem_object(&request->problem, "port %s/%s", tenant->name, name);
		port = model_port_find(request->model, tenant, name);
		if (port == NULL)
			request_missing(request);
	}
	return port;
}

int request_missing(struct request *request)
{
	if (!request->is_delete)
		return edit_missing(&request->problem);
	return problem_set(&request->problem, 404, "not-found", NULL,
			   "%s does not exist, so there is nothing to delete: name another, or "
			   "delete with --if-exists",
			   request->problem.object);
}

int request_flag(struct request *request, const char *name, bool *value)
{
	const char *text = evhttp_find_header(request->query, name);

	if (text == NULL)
		return 0;
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return problem_set(&request->problem, 400, "bad-parameter", NULL,
				   "parameter %s is \"%.40s\": give true or false", name, text);
	*value = strcmp(text, "true") == 0;
	return 0;
}

int request_object_body(struct request *request, const char *name)
{
	const char *given = json_string_value(json_object_get(request->body, "name"));

	if (json_object_get(request->body, "name") != NULL &&
	    (given == NULL || strcmp(given, name) != 0))
		return problem_set(&request->problem, 400, "bad-name", "name",
				   "%s cannot be given another name: leave name out, or delete it "
				   "and add it again",
				   name);
	json_object_del(request->body, "name");
	json_object_del(request->body, "status");
	json_object_del(request->body, "generation");
	return 0;
}

int request_change(struct request *request, bool existed,
		   int (*step)(struct request *, struct edit *))
{
	struct edit edit = {
		.model = request->model,
		.reconcile = request->reconcile,
		.problem = &request->problem,
		.mode = request->is_patch ? EDIT_PATCH : EDIT_PUT,
	};
	int result;

	if (request->must_exist && !existed)
		return problem_set(&request->problem, 412, "not-found", NULL,
				   "%s does not exist, and If-Match asks for one that does: leave "
				   "it out to add it",
				   request->problem.object);
	if (request_flag(request, "require", &edit.require) < 0)
		return -EINVAL;
	model_begin(request->model);
	result = step(request, &edit);
	if (result == 0)
		result = model_check(request->model, &request->problem);
	if (result == 0 && !request->dry_run)
		result = finish(request, existed);
	if (result < 0 || request->dry_run)
		model_rollback(request->model);
	return result;
}

int request_answer_object(struct request *request, json_t *object, bool existed)
{
	json_object_set_new(object, "generation",
			    request_counter(model_generation(request->model)));
	request->answer = object;
	request->status = existed ? 200 : 201;
	return object != NULL ? 0 : -ENOMEM;
}

int request_answer_list(struct request *request, const char *key, json_t *list)
{
	request->answer = json_pack("{s:o}", key, list);
	request->status = 200;
	return request->answer != NULL ? 0 : -ENOMEM;
}

json_t *request_counter(uint64_t value)
{
	return json_integer(value <= INT64_MAX ? (json_int_t)value : INT64_MAX);
}

/* On disk first, then in memory, then in the world: what is answered cannot be lost. */
static int finish(struct request *request, bool existed)
{
	const struct model_change *changes;
	char text[MODEL_TEXT_SIZE];
	uint32_t count;

	changes = model_changes(request->model, &count);
	if (count != 0 && existed && request->must_be_new)
		return problem_set(&request->problem, 412, "exists", NULL,
				   "%s exists with other values: %s", request->problem.object,
				   request->exists_advice != NULL
					   ? request->exists_advice
					   : "change it with set, or choose another name");
	if (count != 0 && store_commit(request->store, request->model, text) < 0) {
		log_error("%s", text);
		return problem_set(&request->problem, 500, "store", NULL, "%s", text);
	}
	model_commit(request->model);
	if (count != 0)
		reconcile_apply(request->reconcile, changes, count);
	return 0;
}
