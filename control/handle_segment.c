/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

static int append_segment(void *context, struct model_segment *segment);
static int put_segment(struct request *request, struct edit *edit);
static int delete_segment(struct request *request, struct edit *edit);
static int put_peer(struct request *request, struct edit *edit);
static int delete_peer(struct request *request, struct edit *edit);
static int put_peers(struct edit *edit, struct model_segment *segment, const struct proto_addr *add,
		     const struct model_peer *leave);
static int answer_segment(struct request *request, bool existed);
static const struct model_peer *find_peer(struct request *request,
					  const struct model_segment *segment,
					  struct proto_addr *addr);

json_t *request_segment_json(const struct request *request, const struct model_segment *segment)
{
	json_t *json = json_object();
	json_t *attributes = json_segment_write(segment);

	json_object_set_new(json, "name",
			    json_sprintf("%s/%s", segment->tenant->name, segment->name));
	json_object_update(json, attributes);
	json_decref(attributes);
	json_object_set_new(json, "status",
			    json_pack("{s:i, s:i, s:i}", "mtu",
				      (int)reconcile_segment_mtu(request->reconcile, segment),
				      "ports", (int)segment->member_count, "static-entries",
				      (int)segment->fdb_count));
	return json;
}

int handle_segment_list(struct request *request)
{
	struct append append = {.request = request, .list = json_array()};

	model_each_segment(request->model, append_segment, &append);
	return request_answer_list(request, "segments", append.list);
}

int handle_segment_list_tenant(struct request *request)
{
	const struct model_tenant *tenant = request_tenant(request);
	struct append append = {.request = request};

	if (tenant == NULL)
		return -EINVAL;
	append.list = json_array();
	model_tenant_each_segment(tenant, append_segment, &append);
	return request_answer_list(request, "segments", append.list);
}

int handle_segment_get(struct request *request)
{
	return answer_segment(request, true);
}

int handle_segment_put(struct request *request)
{
	const struct model_tenant *tenant = request_tenant(request);
	char name[2 * ADDR_NAME_SIZE];
	bool existed;

	if (tenant == NULL)
		return -EINVAL;
	existed = model_segment_find(tenant, request->args[1]) != NULL;
	snprintf(name, sizeof(name), "%s/%s", tenant->name, request->args[1]);
	problem_object(&request->problem, "segment %s", name);
	if (request_object_body(request, name) < 0 ||
	    request_change(request, existed, put_segment) < 0)
		return -EINVAL;
	return answer_segment(request, existed);
}

int handle_segment_delete(struct request *request)
{
	request->status = 204;
	return request_change(request, true, delete_segment);
}

int handle_peer_put(struct request *request)
{
	const struct model_segment *segment = request_segment(request);
	struct proto_addr addr;
	bool existed;

	if (segment == NULL || json_peer_parse(request->args[2], &addr, &request->problem) < 0)
		return -EINVAL;
	existed = find_peer(request, segment, &addr) != NULL;
	if (request_change(request, existed, put_peer) < 0)
		return -EINVAL;
	return answer_segment(request, existed);
}

int handle_peer_delete(struct request *request)
{
	request->status = 204;
	return request_change(request, true, delete_peer);
}

static int append_segment(void *context, struct model_segment *segment)
{
	struct append *append = context;

	return json_array_append_new(append->list, request_segment_json(append->request, segment));
}

static int put_segment(struct request *request, struct edit *edit)
{
	struct model_tenant *tenant = request_tenant(request);

	return tenant != NULL ? edit_segment(edit, tenant, request->args[1], request->body)
			      : -EINVAL;
}

static int delete_segment(struct request *request, struct edit *edit)
{
	struct model_segment *segment = request_segment(request);
	bool recursive = false;

	if (segment == NULL || request_flag(request, "recursive", &recursive) < 0)
		return -EINVAL;
	if (recursive)
		model_segment_del_recursive(edit->model, segment);
	else
		model_segment_del(edit->model, segment);
	return 0;
}

static int put_peer(struct request *request, struct edit *edit)
{
	struct model_segment *segment = request_segment(request);
	struct proto_addr addr;

	if (json_peer_parse(request->args[2], &addr, edit->problem) < 0)
		return -EINVAL;
	if (segment->vni == 0)
		return problem_set(edit->problem, 409, "no-vni", NULL,
				   "%s has no VNI to reach a peer by: set its vni first",
				   edit->problem->object);
	if (find_peer(request, segment, &addr) != NULL)
		return 0;
	if (segment->peer_count == JSON_PEERS_MAX)
		return problem_set(edit->problem, 409, "limit", NULL,
				   "%s has %u peers, which is the most: remove one first",
				   edit->problem->object, JSON_PEERS_MAX);
	return put_peers(edit, segment, &addr, NULL);
}

static int delete_peer(struct request *request, struct edit *edit)
{
	struct model_segment *segment = request_segment(request);
	const struct model_peer *peer;
	struct proto_addr addr;

	if (segment == NULL || json_peer_parse(request->args[2], &addr, edit->problem) < 0)
		return -EINVAL;
	peer = find_peer(request, segment, &addr);
	if (peer == NULL)
		return problem_set(edit->problem, 404, "not-found", NULL,
				   "peer %.60s of %s does not exist, so there is nothing to "
				   "delete: name another, or delete with --if-exists",
				   request->args[2], edit->problem->object);
	return put_peers(edit, segment, NULL, peer);
}

/* Puts the segment with one peer more, or one less. */
static int put_peers(struct edit *edit, struct model_segment *segment, const struct proto_addr *add,
		     const struct model_peer *leave)
{
	struct proto_addr *addrs = calloc(segment->peer_count + 1, sizeof(*addrs));
	uint32_t count = 0;
	int result;

	if (addrs == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < segment->peer_count; i++) {
		if (segment->peers[i] != leave)
			addrs[count++] = segment->peers[i]->addr;
	}
	if (add != NULL)
		addrs[count++] = *add;
	result = model_segment_put(edit->model, segment, addrs, count, NULL, edit->problem);
	free(addrs);
	return result;
}

static int answer_segment(struct request *request, bool existed)
{
	const struct model_segment *segment = request_segment(request);

	if (segment == NULL)
		return -EINVAL;
	return request_answer_object(request, request_segment_json(request, segment), existed);
}

static const struct model_peer *find_peer(struct request *request,
					  const struct model_segment *segment,
					  struct proto_addr *addr)
{
	const struct model_peer *peer = model_peer_find(request->model, addr);

	return peer != NULL && model_segment_has_peer(segment, peer) ? peer : NULL;
}
