/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "control/handle.h"
#include "control/json_object.h"
#include "control/reconcile.h"
#include "control/request.h"

static json_t *datapath_json(const struct reconcile_status *status);
static double seconds_since(uint64_t started);
static json_t *tenant_config(const struct request *request, const struct model_tenant *tenant);
static int add_tenant(void *context, struct model_tenant *tenant);
static int add_segment(void *context, struct model_segment *segment);
static int add_port(void *context, struct model_port *port);
static int add_fdb(void *context, struct model_fdb *fdb);

/* What visit() needs to add an object to the topology: where its kind is, and the tenant around. */
struct export
{
	const struct request *request;
	json_t *objects;  /* tenants, segments, static entries or uplinks by name */
	json_t *segments; /* of a tenant, for the access ports in them */
};

int handle_status_get(struct request *request)
{
	struct reconcile_status status = {0};
	struct model_counts counts;
	json_t *problems = json_array();

	reconcile_status(request->reconcile, &status);
	model_counts(request->model, &counts);
	if (status.problem[0] != '\0')
		json_array_append_new(problems, json_string(status.problem));
	request->answer = json_pack(
		"{s:s, s:o, s:o, s:f, s:i, s:o, s:{s:i, s:i, s:i, s:i, s:i}, s:o}", "version",
		VSWITCH_VERSION, "generation", request_counter(model_generation(request->model)),
		"applied-generation", request_counter(status.applied_generation), "uptime",
		seconds_since(request->started), "pid", (int)getpid(), "datapath",
		datapath_json(&status), "counts", "tenants", (int)counts.tenants, "segments",
		(int)counts.segments, "ports", (int)counts.ports, "uplinks", (int)counts.uplinks,
		"waiting-ports", (int)status.waiting_ports, "problems", problems);
	request->status = 200;
	return request->answer != NULL ? 0 : -ENOMEM;
}

int handle_config_get(struct request *request)
{
	struct export tenants = {.request = request, .objects = json_object()};
	struct export uplinks = {.request = request, .objects = json_object()};
	const struct model_vtep *vtep = model_vtep(request->model);

	request->answer = json_pack("{s:i, s:o}", "version", 1, "host",
				    json_host_write(model_host(request->model)));
	if (vtep->present)
		json_object_set_new(request->answer, "vtep", json_vtep_write(vtep));
	model_each_tenant(request->model, add_tenant, &tenants);
	model_tenant_each_port(request->model, NULL, add_port, &uplinks);
	json_object_set_new(request->answer, "tenants", tenants.objects);
	json_object_set_new(request->answer, "uplinks", uplinks.objects);
	request->status = 200;
	return request->answer != NULL ? 0 : -ENOMEM;
}

/* The text is the datapath's: JSON takes it only if it is UTF-8. */
static json_t *datapath_json(const struct reconcile_status *status)
{
	json_t *build;

	if (!status->datapath_connected)
		return json_pack("{s:s}", "state", "absent");
	build = json_string(status->datapath_build);
	return json_pack("{s:s, s:i, s:i, s:o, s:f}", "state", "connected", "pid",
			 (int)status->datapath_pid, "workers", (int)status->datapath_workers,
			 "version", build != NULL ? build : json_string("unknown"), "uptime",
			 seconds_since(status->datapath_started));
}

static double seconds_since(uint64_t started)
{
	struct timespec now;
	uint64_t ns, ms;

	clock_gettime(CLOCK_BOOTTIME, &now);
	ns = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
	ms = ns > started ? (ns - started) / 1000000ull : 0;
	return (double)ms / 1000.0;
}

static int add_tenant(void *context, struct model_tenant *tenant)
{
	struct export *export = context;

	return json_object_set_new(export->objects, tenant->name,
				   tenant_config(export->request, tenant));
}

static json_t *tenant_config(const struct request *request, const struct model_tenant *tenant)
{
	struct export segments = {.request = request, .objects = json_object()};
	struct export ports = {.request = request, .objects = json_object()};
	json_t *json = json_tenant_write(tenant);

	ports.segments = segments.objects;
	model_tenant_each_segment(tenant, add_segment, &segments);
	model_tenant_each_port(request->model, tenant, add_port, &ports);
	if (tenant->segment_count != 0)
		json_object_set(json, "segments", segments.objects);
	if (json_object_size(ports.objects) != 0)
		json_object_set(json, "ports", ports.objects);
	json_decref(segments.objects);
	json_decref(ports.objects);
	return json;
}

static int add_segment(void *context, struct model_segment *segment)
{
	json_t *entries = json_object();
	struct export fdb = {.objects = entries};
	json_t *json = json_segment_write(segment);

	model_segment_each_fdb(segment, add_fdb, &fdb);
	if (segment->fdb_count != 0)
		json_object_set(json, "fdb", entries);
	json_decref(entries);
	return json_object_set_new(((struct export *)context)->objects, segment->name, json);
}

/* An access port stands in its segment, which need not be named then. */
static int add_port(void *context, struct model_port *port)
{
	struct export *export = context;
	json_t *json = json_port_write(port);
	const char *name = json_string_value(json_object_get(json, "segment"));
	json_t *segment, *ports;

	if (name == NULL)
		return json_object_set_new(export->objects, port->name, json);
	segment = json_object_get(export->segments, name);
	ports = json_object_get(segment, "ports");
	if (ports == NULL) {
		ports = json_object();
		json_object_set_new(segment, "ports", ports);
	}
	json_object_del(json, "segment");
	return json_object_set_new(ports, port->name, json);
}

static int add_fdb(void *context, struct model_fdb *fdb)
{
	struct export *export = context;
	char mac[ADDR_MAC_TEXT_SIZE];

	return json_object_set_new(export->objects, addr_mac_format(&fdb->mac, mac),
				   json_fdb_write(fdb));
}
