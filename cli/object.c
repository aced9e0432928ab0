/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/object.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"

static const struct output_column tenant_columns[] = {
	{"TENANT", "name", OUTPUT_TEXT},
	{"SEND", "send", OUTPUT_TEXT},
	{"SEND-MIN", "send-min", OUTPUT_TEXT},
	{"RECEIVE", "receive", OUTPUT_TEXT},
	{"RECEIVE-MIN", "receive-min", OUTPUT_TEXT},
	{"WEIGHT", "weight", OUTPUT_NUMBER},
	{"SEGMENTS", "status.segments", OUTPUT_NUMBER},
	{"PORTS", "status.ports", OUTPUT_NUMBER},
	{.title = NULL},
};

static const struct output_column segment_columns[] = {
	{"SEGMENT", "name", OUTPUT_TEXT},
	{"VNI", "vni", OUTPUT_NUMBER},
	{"VLAN", "vlan", OUTPUT_NUMBER},
	{"MTU", "status.mtu|mtu", OUTPUT_NUMBER},
	{"PORTS", "status.ports", OUTPUT_NUMBER},
	{"PEERS", "peers", OUTPUT_TEXT},
	{.title = NULL},
};

static const struct output_column port_columns[] = {
	{"PORT", "name", OUTPUT_TEXT},
	{"TYPE", "type", OUTPUT_TEXT},
	{"STATE", "status.state", OUTPUT_TEXT},
	{"SEGMENT", "segment|trunk", OUTPUT_TEXT},
	{"INTERFACE", "ifname|socket|dev", OUTPUT_TEXT},
	{"NETNS", "netns", OUTPUT_TEXT},
	{"MAC", "mac|status.mac", OUTPUT_TEXT},
	{"IP", "ip", OUTPUT_TEXT},
	{"SEND", "send", OUTPUT_TEXT},
	{"RECEIVE", "receive", OUTPUT_TEXT},
	{"REASON", "status.reason", OUTPUT_TEXT},
	{.title = NULL},
};

static const struct object_info infos[] = {
	[OBJECT_NONE] = {"", NULL, NULL, NULL},
	[OBJECT_HOST] = {"host", NULL, NULL, NULL},
	[OBJECT_VTEP] = {"vtep", NULL, NULL, NULL},
	[OBJECT_TENANT] = {"tenant", "/v1/tenants", "tenants", tenant_columns},
	[OBJECT_SEGMENT] = {"segment", "/v1/segments", "segments", segment_columns},
	[OBJECT_PORT] = {"port", "/v1/ports", "ports", port_columns},
};
_Static_assert(sizeof(infos) / sizeof(infos[0]) == OBJECT_KIND_COUNT, "a row for every kind");

const struct object_info *object_info(enum object_kind kind)
{
	return &infos[kind];
}

char *object_path(enum object_kind kind, const char *name, char path[OBJECT_PATH_SIZE])
{
	const char *slash = name != NULL ? strchr(name, '/') : NULL;
	int tenant_length = slash != NULL ? (int)(slash - name) : 0;

	switch (kind) {
	case OBJECT_TENANT:
		snprintf(path, OBJECT_PATH_SIZE, "/v1/tenants/%s", name);
		break;
	case OBJECT_SEGMENT:
	case OBJECT_PORT:
		if (slash == NULL)
			snprintf(path, OBJECT_PATH_SIZE, "/v1/uplinks/%s", name);
		else
			snprintf(path, OBJECT_PATH_SIZE, "/v1/tenants/%.*s/%ss/%s", tenant_length,
				 name, infos[kind].noun, slash + 1);
		break;
	default:
		snprintf(path, OBJECT_PATH_SIZE, "/v1/%s", infos[kind].noun);
	}
	return path;
}

char *object_title(enum object_kind kind, const char *name, char text[OBJECT_PATH_SIZE])
{
	snprintf(text, OBJECT_PATH_SIZE, "%s%s%s", infos[kind].noun, name != NULL ? " " : "",
		 name != NULL ? name : "");
	return text;
}

/*
 * A workload port's segments are of its own tenant, and the API names them without it. Returns
 * where the segment's own name starts, or NULL after saying that it is another tenant's.
 */
static const char *own_segment(const struct grammar_call *call, const char *text)
{
	const char *port = call->arguments[0], *port_slash = strchr(port, '/');
	const char *slash = strchr(text, '/');

	if (port_slash == NULL || slash == NULL)
		return text;
	if (slash - text == port_slash - port && memcmp(text, port, (size_t)(slash - text)) == 0)
		return slash + 1;
	cli_error("port %s cannot be in segment %.*s: name a segment of its own tenant", port,
		  (int)strcspn(text, "="), text);
	return NULL;
}

static json_t *member_value(const struct grammar_call *call, enum value_type type, const char *text)
{
	if (type == VALUE_PLACE || type == VALUE_TRUNK)
		text = own_segment(call, text);
	return text != NULL ? value_json(type, text) : NULL;
}

/* Appends what one option holds, with commas between, to the list that it sets. */
static int add_to_list(const struct grammar_call *call, const struct grammar_value *value,
		       json_t *body)
{
	json_t *list = json_object_get(body, value->option->attribute);
	const char *text = value->text;
	char element[OBJECT_PATH_SIZE];

	if (!json_is_array(list)) {
		list = json_array();
		if (json_object_set_new(body, value->option->attribute, list) < 0)
			return -1;
	}
	for (;; text++) {
		size_t length = strcspn(text, ",");

		snprintf(element, sizeof(element), "%.*s", (int)length, text);
		if (json_array_append_new(list, member_value(call, value->option->type, element)) <
		    0)
			return -1;
		text += length;
		if (*text == '\0')
			return 0;
	}
}

static int add_member(const struct grammar_call *call, const struct grammar_value *value,
		      bool merge, json_t *body)
{
	const struct grammar_option *option = value->option;

	if (value_is_default(option->type, value->text))
		return merge ? json_object_set_new(body, option->attribute, json_null()) : 0;
	if (option->repeatable)
		return add_to_list(call, value, body);
	return json_object_set_new(body, option->attribute,
				   member_value(call, option->type, value->text));
}

json_t *object_body(const struct grammar_call *call, bool merge)
{
	json_t *body = json_object();

	for (unsigned i = 0; body != NULL && i < call->value_count; i++) {
		if (call->values[i].option->attribute == NULL)
			continue;
		if (add_member(call, &call->values[i], merge, body) < 0) {
			json_decref(body);
			return NULL;
		}
	}
	return body;
}
