/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/json_object.h"
#include "control/json_read.h"

#define VID_MAX 4094ul

/* What the readers of a membership share. */
struct member_reader {
	const struct model *model;
	const json_t *json;
	struct model_port *values;
	struct problem *problem;
};

static int check_forms(const struct member_reader *reader, uint32_t trunk_count);
static int read_untagged(const struct member_reader *reader, const char *key);
static int read_tagged(const struct member_reader *reader, const char *text);
static int parse_vid(const struct member_reader *reader, const char *text, uint16_t *vid);
static struct model_segment *find_segment(const struct member_reader *reader, const char *key,
					  const char *text);
static json_t *member_json(const struct model_port *port, const struct model_member *member);

int json_members_read(const struct model *model, const json_t *json, struct model_port *values,
		      struct problem *problem)
{
	const struct member_reader member_reader = {
		.model = model, .json = json, .values = values, .problem = problem};
	const struct member_reader *reader = &member_reader;
	const char **trunk = NULL;
	uint32_t count = 0;
	int result;

	if (json_read_texts(reader->json, "trunk", JSON_TRUNK_MAX, &trunk, &count,
			    reader->problem) < 0)
		return -EINVAL;
	reader->values->members = calloc(count + 1, sizeof(struct model_member));
	result = reader->values->members != NULL ? check_forms(reader, count) : -ENOMEM;
	if (result == 0)
		result = read_untagged(reader, "segment");
	if (result == 0)
		result = read_untagged(reader, "native");
	for (uint32_t i = 0; i < count && result == 0; i++)
		result = read_tagged(reader, trunk[i]);
	free(trunk);
	return result;
}

void json_members_write(json_t *json, const struct model_port *port)
{
	bool untagged = port->member_count > 0 && port->members[0].vid == 0 &&
			!port->members[0].vid_inherited;
	bool trunk = port->tenant == NULL || !untagged || port->member_count > 1;
	json_t *list;

	if (untagged)
		json_object_set_new(json, trunk ? "native" : "segment",
				    member_json(port, &port->members[0]));
	if (!trunk)
		return;
	list = json_array();
	for (uint32_t i = untagged ? 1 : 0; i < port->member_count; i++)
		json_array_append_new(list, member_json(port, &port->members[i]));
	json_object_set_new(json, "trunk", list);
}

/*
 * An access port that is given a trunk keeps its segment as the native one, unless the patch takes
 * that away (null); a trunk port that is given a segment becomes an access port.
 */
int json_port_prepare_merge(json_t *port, const json_t *patch)
{
	json_t *segment = json_object_get(port, "segment");

	if (json_read_has(patch, "segment")) {
		json_object_del(port, "trunk");
		json_object_del(port, "native");
	} else if (segment != NULL && json_object_get(patch, "segment") == NULL &&
		   (json_read_has(patch, "trunk") || json_read_has(patch, "native"))) {
		if (json_object_set(port, "native", segment) < 0)
			return -ENOMEM;
		json_object_del(port, "segment");
	}
	return 0;
}

/* An access port has a segment; a trunk port has a trunk, a native segment, or both. */
static int check_forms(const struct member_reader *reader, uint32_t trunk_count)
{
	bool access = json_read_has(reader->json, "segment");
	bool native = json_read_has(reader->json, "native");

	if (access && (native || trunk_count != 0))
		return problem_set(reader->problem, 400, "bad-membership", "segment",
				   "%s has both a segment and a trunk: give segment for an access "
				   "port, or trunk and native",
				   reader->problem->object);
	/* An uplink whose last segment was deleted has an empty trunk, and says so. */
	if (reader->values->tenant == NULL && !native && !json_read_has(reader->json, "trunk"))
		return problem_set(reader->problem, 400, "missing", "trunk",
				   "%s carries no segment: give trunk, native, or both",
				   reader->problem->object);
	if (reader->values->tenant != NULL && !access && !native && trunk_count == 0)
		return problem_set(reader->problem, 400, "missing", "segment",
				   "%s is in no segment: give segment, or trunk",
				   reader->problem->object);
	return 0;
}

static int read_untagged(const struct member_reader *reader, const char *key)
{
	struct model_port *values = reader->values;
	struct model_segment *segment;
	const char *text = NULL;

	if (json_read_text(reader->json, key, &text, reader->problem) < 0)
		return -EINVAL;
	if (text == NULL)
		return 0;
	segment = find_segment(reader, key, text);
	if (segment == NULL)
		return -EINVAL;
	values->members[values->member_count++] = (struct model_member){.segment = segment};
	return 0;
}

/* SEGMENT=VID, or SEGMENT with the segment's own VID. */
static int read_tagged(const struct member_reader *reader, const char *text)
{
	struct model_port *values = reader->values;
	struct model_member member = {0};
	const char *equals = strchr(text, '=');
	char name[2 * ADDR_NAME_SIZE];
	size_t size = equals != NULL ? (size_t)(equals - text) : strlen(text);

	if (size >= sizeof(name))
		size = sizeof(name) - 1;
	memcpy(name, text, size);
	name[size] = '\0';
	member.segment = find_segment(reader, "trunk", name);
	if (member.segment == NULL)
		return -EINVAL;
	if (equals == NULL) {
		member.vid = member.segment->vlan;
		member.vid_inherited = true;
	} else if (parse_vid(reader, text, &member.vid) < 0) {
		return -EINVAL;
	}
	values->members[values->member_count++] = member;
	return 0;
}

static int parse_vid(const struct member_reader *reader, const char *text, uint16_t *vid)
{
	const char *digits = strchr(text, '=') + 1;
	size_t size = strlen(digits);
	unsigned long number = 0;

	if (size >= 1 && size <= 4 && strspn(digits, "0123456789") == size)
		number = strtoul(digits, NULL, 10);
	if (number < 1 || number > VID_MAX)
		return problem_set(reader->problem, 400, "bad-value", "trunk",
				   "\"%.140s\" in the trunk of %s has no valid VID: write it as "
				   "SEGMENT=VID, with 1 to 4094",
				   text, reader->problem->object);
	*vid = (uint16_t)number;
	return 0;
}

static struct model_segment *find_segment(const struct member_reader *reader, const char *key,
					  const char *text)
{
	const struct model_tenant *tenant = reader->values->tenant;
	char tenant_name[ADDR_NAME_SIZE], name[ADDR_NAME_SIZE];
	struct model_segment *segment;

	if (tenant == NULL)
		return json_segment_lookup(reader->model, text, key, reader->problem);
	if (strchr(text, '/') != NULL) {
		if (!json_read_split(text, tenant_name, name) ||
		    strcmp(tenant_name, tenant->name) != 0) {
			problem_set(
				reader->problem, 400, "foreign-segment", key,
				"%s cannot be in segment %.130s of another tenant: name a segment "
				"of tenant %s",
				reader->problem->object, text, tenant->name);
			return NULL;
		}
		text = name;
	}
	segment = model_segment_find(tenant, text);
	if (segment == NULL)
		problem_set(reader->problem, 400, "unknown-segment", key,
			    "segment %s/%.64s does not exist: add it first, or name another",
			    tenant->name, text);
	return segment;
}

/* A workload's port names segments of its own tenant, an uplink those of any. */
static json_t *member_json(const struct model_port *port, const struct model_member *member)
{
	const struct model_segment *segment = member->segment;
	char vid[8] = "";

	if (member->vid != 0 && !member->vid_inherited)
		snprintf(vid, sizeof(vid), "=%u", member->vid);
	return json_sprintf("%s%s%s%s", port->tenant == NULL ? segment->tenant->name : "",
			    port->tenant == NULL ? "/" : "", segment->name, vid);
}
