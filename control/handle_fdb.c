/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <event2/http.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/fdb_layout.h"
#include "control/handle.h"
#include "control/json_object.h"
#include "control/json_read.h"
#include "control/reconcile.h"
#include "control/request.h"

#define ENTRIES_MAX 100000u

/* What entries are asked for: those that match everything that is not NULL. */
struct filter {
	const struct model_segment *segment;
	const struct model_port *port;
	const struct model_peer *peer;
	const struct addr_mac *mac;
};

/* A learned entry, checked against the model. */
struct learned {
	const struct model_segment *segment;
	struct addr_mac mac;
	const struct model_port *port; /* or */
	const struct model_peer *peer;
	uint32_t age; /* seconds */
};

struct listing {
	struct request *request;
	struct filter filter;
	json_t *list;
	bool truncated;
};

static int read_filter(struct request *request, const char *segment, const char *port,
		       const char *vtep, struct filter *filter);
static int append_static(void *context, struct model_fdb *fdb);
static void append(struct listing *listing, const struct learned *entry, bool is_static);
static bool wanted(const struct filter *filter, const struct learned *entry);
static int each_learned(const struct request *request, int (*visit)(void *, const struct learned *),
			void *context);
static bool read_entry(const struct request *request, const struct fdb_entry *entry, uint32_t now,
		       struct learned *learned);
static int append_learned(void *context, const struct learned *entry);
static int find_learned(void *context, const struct learned *entry);
static int put_entry(struct request *request, struct edit *edit);
static int delete_entry(struct request *request, struct edit *edit);
static int parse_mac(struct request *request, const struct model_segment *segment,
		     struct addr_mac *mac);

int handle_fdb_list(struct request *request)
{
	struct listing listing = {.request = request};

	if (read_filter(request, evhttp_find_header(request->query, "segment"),
			evhttp_find_header(request->query, "port"),
			evhttp_find_header(request->query, "vtep"), &listing.filter) < 0)
		return -EINVAL;
	listing.list = json_array();
	model_each_fdb(request->model, append_static, &listing);
	each_learned(request, append_learned, &listing);
	request->answer = json_pack("{s:o}", "entries", listing.list);
	if (listing.truncated)
		json_object_set_new(request->answer, "truncated", json_true());
	request->status = 200;
	return request->answer != NULL ? 0 : -ENOMEM;
}

int handle_fdb_put(struct request *request)
{
	const struct model_segment *segment = request_segment(request);
	const struct model_fdb *fdb;
	struct addr_mac mac;
	char name[3 * ADDR_NAME_SIZE];
	bool existed;
	json_t *json;

	if (segment == NULL || parse_mac(request, segment, &mac) < 0)
		return -EINVAL;
	existed = model_fdb_find(segment, &mac) != NULL;
	snprintf(name, sizeof(name), "%s/%s/%.40s", segment->tenant->name, segment->name,
		 request->args[2]);
	request->exists_advice = "delete it first, and add it again";
	if (request_object_body(request, name) < 0 ||
	    request_change(request, existed, put_entry) < 0)
		return -EINVAL;
	fdb = model_fdb_find(segment, &mac);
	json = json_pack("{s:s}", "name", name);
	json_object_update_new(json, json_fdb_write(fdb));
	return request_answer_object(request, json, existed);
}

int handle_fdb_delete(struct request *request)
{
	request->status = 204;
	return request_change(request, true, delete_entry);
}

int handle_fdb_flush(struct request *request)
{
	static const char *const keys[] = {"segment", "port", "vtep", "all", NULL};
	const char *segment = NULL, *port = NULL, *vtep = NULL;
	struct proto_fdb_flush flush = {
		.segment.index = PROTO_NO_INDEX,
		.port.index = PROTO_NO_INDEX,
		.peer.index = PROTO_NO_INDEX,
	};
	struct filter filter = {0};
	bool all = false;

	problem_object(&request->problem, "fdb");
	if (json_read_keys(request->body, keys, &request->problem) < 0 ||
	    json_read_text(request->body, "segment", &segment, &request->problem) < 0 ||
	    json_read_text(request->body, "port", &port, &request->problem) < 0 ||
	    json_read_text(request->body, "vtep", &vtep, &request->problem) < 0 ||
	    json_read_bool(request->body, "all", &all, &request->problem) < 0)
		return -EINVAL;
	if (all == (segment != NULL || port != NULL || vtep != NULL))
		return problem_set(
			&request->problem, 400, "missing", NULL,
			"say which learned entries of the fdb to flush: a segment, port or "
			"vtep, or else all");
	if (read_filter(request, segment, port, vtep, &filter) < 0)
		return -EINVAL;
	if (filter.segment != NULL)
		flush.segment = filter.segment->ref;
	if (filter.port != NULL)
		flush.port = filter.port->ref;
	if (filter.peer != NULL)
		flush.peer = filter.peer->ref;
	if (reconcile_fdb_flush(request->reconcile, &flush) < 0)
		return problem_set(&request->problem, 503, "no-datapath", NULL,
				   "the fdb cannot be flushed while no datapath runs: start "
				   "vswitch-datapath and try again");
	request->status = 204;
	return 0;
}

static int read_filter(struct request *request, const char *segment, const char *port,
		       const char *vtep, struct filter *filter)
{
	struct filter read = {0};
	struct proto_addr addr;

	problem_object(&request->problem, "fdb");
	if (segment != NULL) {
		read.segment =
			json_segment_lookup(request->model, segment, "segment", &request->problem);
		if (read.segment == NULL)
			return -EINVAL;
	}
	if (port != NULL) {
		read.port = json_port_lookup(request->model, port, "port", &request->problem);
		if (read.port == NULL)
			return -EINVAL;
	}
	if (vtep != NULL) {
		if (json_peer_parse(vtep, &addr, &request->problem) < 0)
			return -EINVAL;
		read.peer = model_peer_find(request->model, &addr);
		if (read.peer == NULL)
			return problem_set(&request->problem, 400, "unknown-peer", "vtep",
					   "vtep %.60s is a peer of no segment: name one that is",
					   vtep);
	}
	*filter = read;
	return 0;
}

static int append_static(void *context, struct model_fdb *fdb)
{
	struct learned entry = {
		.segment = fdb->segment, .mac = fdb->mac, .port = fdb->port, .peer = fdb->peer};

	append(context, &entry, true);
	return 0;
}

static void append(struct listing *listing, const struct learned *entry, bool is_static)
{
	char mac[ADDR_MAC_TEXT_SIZE], peer[ADDR_IP_TEXT_SIZE];
	json_t *json;

	if (!wanted(&listing->filter, entry))
		return;
	if (json_array_size(listing->list) >= ENTRIES_MAX) {
		listing->truncated = true;
		return;
	}
	json = json_pack("{s:o, s:s}", "segment",
			 json_sprintf("%s/%s", entry->segment->tenant->name, entry->segment->name),
			 "mac", addr_mac_format(&entry->mac, mac));
	if (entry->port != NULL)
		json_object_set_new(json, "port", json_port_name(entry->port));
	else
		json_object_set_new(json, "vtep",
				    json_string(addr_ip_format(&entry->peer->addr, peer)));
	json_object_set_new(json, "static", json_boolean(is_static));
	if (!is_static)
		json_object_set_new(json, "age", json_integer(entry->age));
	json_array_append_new(listing->list, json);
}

static bool wanted(const struct filter *filter, const struct learned *entry)
{
	return (filter->segment == NULL || filter->segment == entry->segment) &&
	       (filter->port == NULL || filter->port == entry->port) &&
	       (filter->peer == NULL || filter->peer == entry->peer) &&
	       (filter->mac == NULL || memcmp(filter->mac, &entry->mac, sizeof(entry->mac)) == 0);
}

/*
 * The datapath writes while this reads: an entry that changed in between is left out. The number
 * of buckets is what this daemon made, whatever the memory says now.
 */
static int each_learned(const struct request *request, int (*visit)(void *, const struct learned *),
			void *context)
{
	const struct fdb_memory *memory = reconcile_fdb(request->reconcile);
	struct learned learned;
	struct timespec now;
	int result = 0;

	if (memory == NULL)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &now);
	for (size_t i = 0; i <= FDB_BUCKETS_DEFAULT && result == 0; i++) {
		for (int j = 0; j < 4 && result == 0; j++) {
			if (read_entry(request, &memory->buckets[i].entries[j],
				       (uint32_t)now.tv_sec, &learned))
				result = visit(context, &learned);
		}
	}
	return result;
}

static bool read_entry(const struct request *request, const struct fdb_entry *entry, uint32_t now,
		       struct learned *learned)
{
	uint64_t key = __atomic_load_n(&entry->key, __ATOMIC_ACQUIRE);
	uint64_t value = __atomic_load_n(&entry->value, __ATOMIC_ACQUIRE);
	uint32_t to = fdb_value_destination(value);

	if ((value & FDB_FLAG_VALID) == 0 || (value & FDB_FLAG_STATIC) != 0 ||
	    __atomic_load_n(&entry->key, __ATOMIC_RELAXED) != key)
		return false;
	learned->segment = model_segment_by_index(request->model, (uint32_t)(key >> 47));
	learned->port = NULL;
	learned->peer = NULL;
	if ((to & FDB_TO_PEER) != 0)
		learned->peer = model_peer_by_index(request->model, to & FDB_INDEX_MASK);
	else
		learned->port = model_port_by_index(request->model, to & FDB_INDEX_MASK);
	for (int i = 0; i < 6; i++)
		learned->mac.bytes[i] = (uint8_t)(key >> (8 * (5 - i)));
	/* Bits 46 to 40 are the first octet without its lowest bit, the group bit. */
	learned->mac.bytes[0] = (uint8_t)((key >> 40 & 0x7f) << 1);
	learned->age = fdb_value_age(value, now);
	/* What is too old is as good as gone, to the datapath too, which clears it away in time. */
	return learned->segment != NULL && (learned->port != NULL || learned->peer != NULL) &&
	       learned->age <= learned->segment->ageing;
}

static int append_learned(void *context, const struct learned *entry)
{
	struct listing *listing = context;

	append(listing, entry, false);
	return listing->truncated ? 1 : 0;
}

static int find_learned(void *context, const struct learned *entry)
{
	return wanted(context, entry) ? 1 : 0;
}

static int put_entry(struct request *request, struct edit *edit)
{
	struct model_segment *segment = request_segment(request);

	return segment != NULL ? edit_fdb(edit, segment, request->args[2], request->body) : -EINVAL;
}

/* A static entry goes from the model, a learned one from the datapath by the same way. */
static int delete_entry(struct request *request, struct edit *edit)
{
	struct model_segment *segment = request_segment(request);
	struct filter filter = {.segment = segment};
	struct model_fdb *fdb;
	struct addr_mac mac;

	if (segment == NULL || parse_mac(request, segment, &mac) < 0)
		return -EINVAL;
	filter.mac = &mac;
	fdb = model_fdb_find(segment, &mac);
	if (fdb != NULL)
		model_fdb_del(edit->model, fdb);
	else if (each_learned(request, find_learned, &filter) != 0)
		model_fdb_forget(edit->model, segment, &mac);
	else
		return request_missing(request);
	return 0;
}

static int parse_mac(struct request *request, const struct model_segment *segment,
		     struct addr_mac *mac)
{
	struct addr_mac parsed;

	problem_object(&request->problem, "fdb %s/%s/%.40s", segment->tenant->name, segment->name,
		       request->args[2]);
	if (addr_mac_parse(request->args[2], &parsed) == 0 && addr_mac_is_unicast(&parsed)) {
		*mac = parsed;
		return 0;
	}
	return problem_set(&request->problem, 400, "bad-value", NULL,
			   "\"%.40s\" is no unicast MAC address: write it as 02:00:00:00:00:01",
			   request->args[2]);
}
