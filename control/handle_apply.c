/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <event2/http.h>
#include <string.h>

#include "control/handle.h"
#include "control/request.h"
#include "control/topology.h"

static int apply(struct request *request, struct edit *edit);
static json_t *changes_json(const struct request *request);

int handle_apply(struct request *request)
{
	bool dry_run = false, prune = false;

	if (request_flag(request, "dry-run", &dry_run) < 0 ||
	    request_flag(request, "prune", &prune) < 0)
		return -EINVAL;
	if (!prune && evhttp_find_header(request->query, "tenant") != NULL)
		return problem_set(
			&request->problem, 400, "bad-parameter", NULL,
			"parameter tenant limits what is pruned: give prune=true with it, "
			"or leave it out");
	request->dry_run = dry_run;
	if (request_change(request, true, apply) < 0) {
		json_decref(request->answer);
		request->answer = NULL;
		return -EINVAL;
	}
	return request_answer_object(request, request->answer, true);
}

/* The list of changes is made before the commit, while what is removed still has its name. */
static int apply(struct request *request, struct edit *edit)
{
	struct topology_options options = {
		.tenant = evhttp_find_header(request->query, "tenant"),
	};

	if (request_flag(request, "prune", &options.prune) < 0 ||
	    topology_apply(edit, request->body, &options) < 0)
		return -EINVAL;
	problem_base(&request->problem, "%s", "");
	if (model_check(edit->model, &request->problem) < 0) {
		/* The object says where it is; its place in the topology is not known here. */
		request->problem.pointer[0] = '\0';
		return -EINVAL;
	}
	request->answer = changes_json(request);
	return request->answer != NULL ? 0 : -ENOMEM;
}

static json_t *changes_json(const struct request *request)
{
	static const char *const kinds[] = {
		[MODEL_HOST] = "host",	     [MODEL_VTEP] = "vtep", [MODEL_TENANT] = "tenant",
		[MODEL_SEGMENT] = "segment", [MODEL_PORT] = "port", [MODEL_PEER] = NULL,
		[MODEL_FDB] = "fdb",
	};
	const struct model_change *changes;
	char name[PROBLEM_NAME_SIZE];
	json_t *list = json_array();
	uint32_t count;

	changes = model_changes(request->model, &count);
	for (uint32_t i = 0; i < count; i++) {
		const struct model_change *change = &changes[i];
		bool uplink;

		/* Users know peers as a part of their segment, whose change is listed as well. */
		if (change->kind == MODEL_PEER)
			continue;
		model_change_name(request->model, change, name);
		uplink = change->kind == MODEL_PORT && strchr(name, '/') == NULL;
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s}", "action",
						change->added	  ? "add"
						: change->removed ? "remove"
								  : "change",
						"kind", uplink ? "uplink" : kinds[change->kind],
						"name", name));
	}
	return json_pack("{s:o}", "changes", list);
}
