/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of the API's requests: as a topology, and as each kind of object. Any octets are refused
 * with a problem, and nothing is changed; or they are taken, and then what is exported can be
 * applied again and changes nothing.
 */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/edit.h"
#include "control/handle.h"
#include "control/json_object.h"
#include "control/reconcile.h"
#include "control/request.h"
#include "control/topology.h"
#include "fuzz.h"

struct subject {
	struct model *model;
	struct reconcile *reconcile;
	struct problem problem;
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

static json_t *exported(const struct subject *subject)
{
	struct request request = {.model = subject->model};

	require(handle_config_get(&request) == 0);
	return request.answer;
}

/* Ends the transaction as the API does. Returns how much it changed, or -1. */
static long end(struct subject *subject, int result)
{
	uint32_t count;

	if (result == 0)
		result = model_check(subject->model, &subject->problem);
	if (result < 0) {
		require(subject->problem.status >= 400 && subject->problem.status < 500);
		require(subject->problem.code != NULL && subject->problem.detail[0] != '\0');
		for (const char *c = subject->problem.detail; *c != '\0'; c++)
			require(*c >= ' ' && *c <= '~');
		model_rollback(subject->model);
		return -1;
	}
	model_changes(subject->model, &count);
	model_commit(subject->model);
	return count;
}

static struct edit begin(struct subject *subject, enum edit_mode mode)
{
	problem_init(&subject->problem);
	model_begin(subject->model);
	return (struct edit){.model = subject->model,
			     .reconcile = subject->reconcile,
			     .problem = &subject->problem,
			     .mode = mode};
}

static long apply(struct subject *subject, const json_t *topology, bool prune)
{
	struct topology_options options = {.prune = prune};
	struct edit edit = begin(subject, EDIT_PUT);

	return end(subject, topology_apply(&edit, topology, &options));
}

/* Whatever there is now can be exported, and applied again without effect. */
static void check_round_trip(struct subject *subject)
{
	json_t *config = exported(subject), *again;
	uint64_t generation = model_generation(subject->model);

	require(apply(subject, config, false) == 0);
	require(apply(subject, config, true) == 0);
	require(model_generation(subject->model) == generation);
	again = exported(subject);
	require(json_equal(config, again));
	json_decref(again);
	json_decref(config);
}

static void try_topology(struct subject *subject, const json_t *json, bool prune)
{
	json_t *before = exported(subject), *after;
	long result = apply(subject, json, prune);

	after = exported(subject);
	require(result > 0 || json_equal(before, after));
	if (result > 0)
		check_round_trip(subject);
	json_decref(before);
	json_decref(after);
}

static void try_objects(struct subject *subject, const json_t *json)
{
	for (int mode = EDIT_PUT; mode <= EDIT_MERGE; mode++) {
		for (int kind = 0; kind < 7; kind++) {
			struct edit edit = begin(subject, (enum edit_mode)mode);
			struct model_tenant *tenant = model_tenant_find(subject->model, "a");
			struct model_segment *segment =
				tenant != NULL ? model_segment_find(tenant, "s") : NULL;
			int result = -1;

			if (kind == 0)
				result = edit_host(&edit, json);
			else if (kind == 1)
				result = edit_vtep(&edit, json);
			else if (kind == 2)
				result = edit_tenant(&edit, "a", json);
			else if (kind == 3 && tenant != NULL)
				result = edit_segment(&edit, tenant, "s", json);
			else if (kind == 4 && tenant != NULL)
				result = edit_port(&edit, tenant, "p", json);
			else if (kind == 5)
				result = edit_port(&edit, NULL, "u", json);
			else if (kind == 6 && segment != NULL)
				result = edit_fdb(&edit, segment, "02:00:00:00:00:01", json);
			else
				problem_set(&subject->problem, 404, "none", NULL, "no place");
			end(subject, result);
		}
	}
	check_round_trip(subject);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char base[] =
		"{\"version\":1,\"vtep\":{\"local\":\"10.0.0.1\"},\"tenants\":{\"a\":{\"segments\":"
		"{\"s\":{\"vni\":1,\"vlan\":1,\"peers\":[\"10.0.0.2\"],\"fdb\":"
		"{\"02:00:00:00:00:01\":{\"port\":\"a/p\"}},\"ports\":{\"p\":{\"type\":\"tap\"}}},"
		"\"t\":{\"vlan\":2}}}},\"uplinks\":{\"u\":{\"type\":\"veth\",\"trunk\":[\"a/"
		"s\"]}}}";
	struct subject subject = {.model = model_new()};
	json_t *start = json_loads(base, 0, NULL);
	json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

	require(reconcile_new(&subject.reconcile, NULL, subject.model, NULL) == 0);
	if (json_is_object(json)) {
		require(apply(&subject, start, false) > 0);
		try_topology(&subject, json, false);
		try_topology(&subject, json, true);
		apply(&subject, start, true);
		try_objects(&subject, json);
	}
	json_decref(json);
	json_decref(start);
	reconcile_free(subject.reconcile);
	model_free(subject.model);
	return 0;
}
