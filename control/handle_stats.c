/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "common/drop.h"
#include "common/stats_layout.h"
#include "control/edit.h"
#include "control/handle.h"
#include "control/json_object.h"
#include "control/reconcile.h"
#include "control/request.h"

/*
 * Every worker writes a block of its own; a counter is the sum over the blocks. A block that is not
 * in use is not read: reading would give the sparse memory its pages. Counters whose incarnation is
 * another's are those of an object that had the index before: the datapath has not counted yet.
 */

/* Which counter an answer names how. */
struct field {
	const char *name;
	size_t offset;
};

/* A counted object: where it is in a worker's block, and how its counters are called. */
struct counted {
	struct proto_ref ref;
	size_t offset;
	const struct field *fields;
	size_t drops, incarnation;
};

/* What visit() needs to add an object to a list. */
struct append {
	const struct request *request;
	json_t *list;
};

static uint64_t sum(const struct request *request, const struct counted *counted, size_t offset);
static uint64_t block_count(const struct stats_memory *memory);
static bool is_counted(const struct stats_memory *memory, const struct counted *counted);
static json_t *counters_json(const struct request *request, json_t *name,
			     const struct counted *counted);
static json_t *drops_json(const struct request *request, const struct counted *counted);
static struct counted count_port(const struct proto_ref *ref);
static json_t *port_counters(const struct request *request, json_t *name,
			     const struct proto_ref *ref);
static json_t *worker_counters(const struct request *request, const struct counted *counted);
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

/* offset: of a counter within the object's */
static uint64_t sum(const struct request *request, const struct counted *counted, size_t offset)
{
	const struct stats_memory *memory = reconcile_stats(request->reconcile);
	uint64_t blocks = block_count(memory);
	uint64_t total = 0;

	if (blocks == 0 || !is_counted(memory, counted))
		return 0;
	for (uint64_t i = 0; i < blocks; i++) {
		const char *object = (const char *)&memory->workers[i] + counted->offset;

		total += __atomic_load_n((const uint64_t *)(object + offset), __ATOMIC_RELAXED);
	}
	return total;
}

/* Those that any datapath has used so far. */
static uint64_t block_count(const struct stats_memory *memory)
{
	uint64_t count =
		memory == NULL ? 0 : __atomic_load_n(&memory->worker_count, __ATOMIC_RELAXED);

	return count < STATS_WORKERS ? count : STATS_WORKERS;
}

/* Whether what is counted there is the object's. */
static bool is_counted(const struct stats_memory *memory, const struct counted *counted)
{
	const char *object = (const char *)&memory->workers[0] + counted->offset;

	return __atomic_load_n((const uint64_t *)(object + counted->incarnation),
			       __ATOMIC_RELAXED) == counted->ref.incarnation;
}

/* Takes name. */
static json_t *counters_json(const struct request *request, json_t *name,
			     const struct counted *counted)
{
	json_t *json = json_pack("{s:o}", "name", name);

	for (const struct field *field = counted->fields; field->name != NULL; field++)
		json_object_set_new(json, field->name,
				    request_counter(sum(request, counted, field->offset)));
	json_object_set_new(json, "drops", drops_json(request, counted));
	return json;
}

static json_t *drops_json(const struct request *request, const struct counted *counted)
{
	json_t *json = json_object();

	for (unsigned reason = DROP_NONE + 1; reason < DROP_REASON_COUNT; reason++) {
		uint64_t packets =
			sum(request, counted, counted->drops + reason * sizeof(uint64_t));

		if (packets != 0)
			json_object_set_new(json, drop_name(reason), request_counter(packets));
	}
	return json;
}

static struct counted count_port(const struct proto_ref *ref)
{
	return (struct counted){
		.ref = *ref,
		.offset = offsetof(struct stats_worker, ports) +
			  ref->index * sizeof(struct stats_port),
		.fields = port_fields,
		.drops = offsetof(struct stats_port, drops),
		.incarnation = offsetof(struct stats_port, incarnation),
	};
}

static json_t *port_counters(const struct request *request, json_t *name,
			     const struct proto_ref *ref)
{
	struct counted counted = count_port(ref);
	json_t *json = counters_json(request, name, &counted);

	if (block_count(reconcile_stats(request->reconcile)) > 1)
		json_object_set_new(json, "workers", worker_counters(request, &counted));
	return json;
}

/* How a port's traffic is spread over the workers. */
static json_t *worker_counters(const struct request *request, const struct counted *counted)
{
	const struct stats_memory *memory = reconcile_stats(request->reconcile);
	bool known = is_counted(memory, counted);
	json_t *list = json_array();

	for (uint64_t i = 0; i < block_count(memory); i++) {
		const struct stats_port *port =
			(const struct stats_port *)((const char *)&memory->workers[i] +
						    counted->offset);
		uint64_t received = __atomic_load_n(&port->rx_packets, __ATOMIC_RELAXED);
		uint64_t sent = __atomic_load_n(&port->tx_packets, __ATOMIC_RELAXED);

		json_array_append_new(list,
				      json_pack("{s:o, s:o}", "rx_packets",
						request_counter(known ? received : 0), "tx_packets",
						request_counter(known ? sent : 0)));
	}
	return list;
}

static json_t *tenant_counters(const struct request *request, const struct model_tenant *tenant)
{
	struct counted counted = {
		.ref = tenant->ref,
		.offset = offsetof(struct stats_worker, tenants) +
			  tenant->ref.index * sizeof(struct stats_tenant),
		.fields = tenant_fields,
		.drops = offsetof(struct stats_tenant, drops),
		.incarnation = offsetof(struct stats_tenant, incarnation),
	};

	return counters_json(request, json_string(tenant->name), &counted);
}

static json_t *segment_counters(const struct request *request, const struct model_segment *segment)
{
	struct counted counted = {
		.ref = segment->ref,
		.offset = offsetof(struct stats_worker, segments) +
			  segment->ref.index * sizeof(struct stats_segment),
		.fields = segment_fields,
		.drops = offsetof(struct stats_segment, drops),
		.incarnation = offsetof(struct stats_segment, incarnation),
	};

	return counters_json(request, json_sprintf("%s/%s", segment->tenant->name, segment->name),
			     &counted);
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
	struct counted counted = count_port(ref);

	for (unsigned reason = DROP_NONE + 1; reason < DROP_REASON_COUNT; reason++) {
		uint64_t packets =
			sum(append->request, &counted, counted.drops + reason * sizeof(uint64_t));
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
