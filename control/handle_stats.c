/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "common/drop.h"
#include "control/counters.h"
#include "control/edit.h"
#include "control/handle.h"
#include "control/json_channel.h"
#include "control/json_object.h"
#include "control/reconcile.h"
#include "control/request.h"

/* Which counter an answer names how. */
struct field {
	const char *name;
	size_t offset;
};

/* What visit() needs to add an object to a list. */
struct append {
	const struct request *request;
	json_t *list;
};

static json_t *counters_json(json_t *name, const struct counters *counters,
			     const struct field *fields, size_t drops);
static uint64_t drop_count(const struct counters *counters, size_t drops, unsigned reason);
static json_t *port_counters(const struct request *request, json_t *name,
			     const struct proto_ref *ref);
static json_t *worker_counters(const struct counters *counters);
static json_t *tenant_counters(const struct request *request, const struct model_tenant *tenant);
static json_t *segment_counters(const struct request *request, const struct model_segment *segment);
static int append_tenant(void *context, struct model_tenant *tenant);
static int append_segment(void *context, struct model_segment *segment);
static int append_port(void *context, struct model_port *port);
static json_t *list_tenants(const struct request *request);
static json_t *list_segments(const struct request *request);
static json_t *list_ports(const struct request *request);
static int append_drops(void *context, struct model_port *port);
static int append_port_drops(struct append *append, json_t *name, json_t *tenant,
			     const struct proto_ref *ref);
static int answer(struct request *request, json_t *json);

static const struct field port_fields[] = {
	{"rx_packets", offsetof(struct stats_port, rx_packets)},
	{"rx_bytes", offsetof(struct stats_port, rx_bytes)},
	{"tx_packets", offsetof(struct stats_port, tx_packets)},
	{"tx_bytes", offsetof(struct stats_port, tx_bytes)},
	{"copies", offsetof(struct stats_port, copies)},
	{"forwarded", offsetof(struct stats_port, forwarded)},
	{"queued", offsetof(struct stats_port, queued)},
	{NULL, 0},
};

static const struct field tenant_fields[] = {
	{"send_packets", offsetof(struct stats_tenant, send_packets)},
	{"send_bytes", offsetof(struct stats_tenant, send_bytes)},
	{"receive_packets", offsetof(struct stats_tenant, receive_packets)},
	{"receive_bytes", offsetof(struct stats_tenant, receive_bytes)},
	{NULL, 0},
};

static const struct field segment_fields[] = {
	{"packets", offsetof(struct stats_segment, packets)},
	{"bytes", offsetof(struct stats_segment, bytes)},
	{"flooded", offsetof(struct stats_segment, flooded)},
	{"learned", offsetof(struct stats_segment, learned)},
	{"moved", offsetof(struct stats_segment, moved)},
	{NULL, 0},
};

int handle_stats_all(struct request *request)
{
	return answer(request,
		      json_pack("{s:o, s:o, s:o}", "tenants", list_tenants(request), "segments",
				list_segments(request), "ports", list_ports(request)));
}

int handle_stats_tenants(struct request *request)
{
	return request_answer_list(request, "tenants", list_tenants(request));
}

int handle_stats_tenant(struct request *request)
{
	const struct model_tenant *tenant = request_tenant(request);

	return tenant != NULL ? answer(request, tenant_counters(request, tenant)) : -EINVAL;
}

int handle_stats_segments(struct request *request)
{
	return request_answer_list(request, "segments", list_segments(request));
}

int handle_stats_segment(struct request *request)
{
	const struct model_segment *segment = request_segment(request);

	return segment != NULL ? answer(request, segment_counters(request, segment)) : -EINVAL;
}

int handle_stats_ports(struct request *request)
{
	return request_answer_list(request, "ports", list_ports(request));
}

int handle_stats_uplink(struct request *request)
{
	const struct model_vtep *vtep = model_vtep(request->model);
	const struct model_port *port;

	if (vtep->present && strcmp(request->args[0], EDIT_VTEP_NAME) == 0)
		return answer(request,
			      port_counters(request, json_string(EDIT_VTEP_NAME), &vtep->ref));
	port = request_port(request, true);
	if (port == NULL)
		return -EINVAL;
	return answer(request, port_counters(request, json_port_name(port), &port->ref));
}

int handle_stats_port(struct request *request)
{
	const struct model_port *port = request_port(request, false);

	if (port == NULL)
		return -EINVAL;
	return answer(request, port_counters(request, json_port_name(port), &port->ref));
}

int handle_drops_list(struct request *request)
{
	struct append append = {.request = request, .list = json_array()};
	const struct model_vtep *vtep = model_vtep(request->model);

	if (vtep->present)
		append_port_drops(&append, json_string(EDIT_VTEP_NAME), NULL, &vtep->ref);
	model_each_port(request->model, append_drops, &append);
	return request_answer_list(request, "drops", append.list);
}

/* Takes name. drops: where the counts by reason are in the object. */
static json_t *counters_json(json_t *name, const struct counters *counters,
			     const struct field *fields, size_t drops)
{
	json_t *json = json_pack("{s:o}", "name", name);
	json_t *reasons = json_object();

	for (const struct field *field = fields; field->name != NULL; field++)
		json_object_set_new(json, field->name,
				    request_counter(counters_sum(counters, field->offset)));
	for (unsigned reason = DROP_NONE + 1; reason < DROP_REASON_COUNT; reason++) {
		uint64_t packets = drop_count(counters, drops, reason);

		if (packets != 0)
			json_object_set_new(reasons, drop_name(reason), request_counter(packets));
	}
	json_object_set_new(json, "drops", reasons);
	return json;
}

static uint64_t drop_count(const struct counters *counters, size_t drops, unsigned reason)
{
	return counters_sum(counters, drops + reason * sizeof(uint64_t));
}

static json_t *port_counters(const struct request *request, json_t *name,
			     const struct proto_ref *ref)
{
	struct counters counters = counters_of_port(reconcile_stats(request->reconcile), ref);
	json_t *json =
		counters_json(name, &counters, port_fields, offsetof(struct stats_port, drops));

	if (counters_block_count(counters.memory) > 1)
		json_object_set_new(json, "workers", worker_counters(&counters));
	return json;
}

/* How a port's traffic is spread over the workers. */
static json_t *worker_counters(const struct counters *counters)
{
	json_t *list = json_array();

	for (uint64_t i = 0; i < counters_block_count(counters->memory); i++) {
		uint64_t received =
			counters_of_worker(counters, i, offsetof(struct stats_port, rx_packets));
		uint64_t sent =
			counters_of_worker(counters, i, offsetof(struct stats_port, tx_packets));

		json_array_append_new(list, json_pack("{s:o, s:o}", "rx_packets",
						      request_counter(received), "tx_packets",
						      request_counter(sent)));
	}
	return list;
}

static json_t *tenant_counters(const struct request *request, const struct model_tenant *tenant)
{
	const struct stats_memory *memory = reconcile_stats(request->reconcile);
	const struct model_host *host = model_host(request->model);
	struct counters counters = counters_of_tenant(memory, &tenant->ref);
	struct json_channel_grant send = {
		.channel = &tenant->bandwidth.send,
		.weight = tenant->bandwidth.weight,
		.capacity = host->send_capacity,
		.share = counters_share(memory, offsetof(struct stats_memory, send_share)),
	};
	struct json_channel_grant receive = {
		.channel = &tenant->bandwidth.receive,
		.weight = tenant->bandwidth.weight,
		.capacity = host->receive_capacity,
		.share = counters_share(memory, offsetof(struct stats_memory, receive_share)),
	};
	json_t *json = counters_json(json_string(tenant->name), &counters, tenant_fields,
				     offsetof(struct stats_tenant, drops));

	json_object_set_new(json, "send",
			    json_channel(&counters, offsetof(struct stats_tenant, send), &send));
	json_object_set_new(
		json, "receive",
		json_channel(&counters, offsetof(struct stats_tenant, receive), &receive));
	return json;
}

static json_t *segment_counters(const struct request *request, const struct model_segment *segment)
{
	struct counters counters =
		counters_of_segment(reconcile_stats(request->reconcile), &segment->ref);

	return counters_json(json_sprintf("%s/%s", segment->tenant->name, segment->name), &counters,
			     segment_fields, offsetof(struct stats_segment, drops));
}

static int append_tenant(void *context, struct model_tenant *tenant)
{
	struct append *append = context;

	return json_array_append_new(append->list, tenant_counters(append->request, tenant));
}

static int append_segment(void *context, struct model_segment *segment)
{
	struct append *append = context;

	return json_array_append_new(append->list, segment_counters(append->request, segment));
}

static int append_port(void *context, struct model_port *port)
{
	struct append *append = context;

	return json_array_append_new(
		append->list, port_counters(append->request, json_port_name(port), &port->ref));
}

static json_t *list_tenants(const struct request *request)
{
	struct append append = {.request = request, .list = json_array()};

	model_each_tenant(request->model, append_tenant, &append);
	return append.list;
}

static json_t *list_segments(const struct request *request)
{
	struct append append = {.request = request, .list = json_array()};

	model_each_segment(request->model, append_segment, &append);
	return append.list;
}

static json_t *list_ports(const struct request *request)
{
	struct append append = {.request = request, .list = json_array()};
	const struct model_vtep *vtep = model_vtep(request->model);

	if (vtep->present)
		json_array_append_new(
			append.list,
			port_counters(request, json_string(EDIT_VTEP_NAME), &vtep->ref));
	model_each_port(request->model, append_port, &append);
	return append.list;
}

static int append_drops(void *context, struct model_port *port)
{
	json_t *tenant = port->tenant != NULL ? json_string(port->tenant->name) : NULL;

	return append_port_drops(context, json_port_name(port), tenant, &port->ref);
}

/* Takes name and tenant. */
static int append_port_drops(struct append *append, json_t *name, json_t *tenant,
			     const struct proto_ref *ref)
{
	struct counters counters =
		counters_of_port(reconcile_stats(append->request->reconcile), ref);

	for (unsigned reason = DROP_NONE + 1; reason < DROP_REASON_COUNT; reason++) {
		uint64_t packets =
			drop_count(&counters, offsetof(struct stats_port, drops), reason);
		json_t *json;

		if (packets == 0)
			continue;
		json = json_pack("{s:O, s:s, s:o, s:s}", "port", name, "reason", drop_name(reason),
				 "packets", request_counter(packets), "explanation",
				 drop_explanation(reason));
		if (tenant != NULL)
			json_object_set(json, "tenant", tenant);
		json_array_append_new(append->list, json);
	}
	json_decref(name);
	json_decref(tenant);
	return 0;
}

static int answer(struct request *request, json_t *json)
{
	request->answer = json;
	request->status = 200;
	return json != NULL ? 0 : -ENOMEM;
}
