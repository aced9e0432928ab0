/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "cli/topology_file.h"
#include "cli/topology_schema.h"

struct writer {
	yaml_emitter_t emitter;
	bool failed;
};

/* The emitter owns the event, however this ends. */
static void emit(struct writer *writer, yaml_event_t *event, int initialized)
{
	if (initialized && writer->failed)
		yaml_event_delete(event);
	else if (!initialized || !yaml_emitter_emit(&writer->emitter, event))
		writer->failed = true;
}

/*
 * Whether another YAML reader would take this text for something else than text: a boolean, null,
 * a number in any base (a MAC of digits is one in base 60), or a date. Ours would not.
 */
static bool looks_special(const char *text)
{
	static const char *const words[] = {"y",  "n",	 "yes",	 "no",	 "true", "false",
					    "on", "off", "null", ".inf", ".nan", "~"};
	const char *dot = strchr(text, '.');

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0)
			return true;
	}
	if (strncasecmp(text, "0x", 2) == 0)
		return true;
	return strspn(text, "0123456789+-.:_eE") == strlen(text) &&
	       (dot == NULL || strchr(dot + 1, '.') == NULL);
}

static void write_text(struct writer *writer, const char *text, bool is_text)
{
	yaml_event_t event;
	yaml_scalar_style_t style = is_text && looks_special(text) ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
								   : YAML_ANY_SCALAR_STYLE;

	emit(writer, &event,
	     yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
					  (int)strlen(text), 1, 1, style));
}

static void write_scalar(struct writer *writer, const json_t *value)
{
	char number[32];

	if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
		write_text(writer, number, false);
	} else if (json_is_boolean(value)) {
		write_text(writer, json_is_true(value) ? "yes" : "no", false);
	} else if (json_is_string(value)) {
		write_text(writer, json_string_value(value), true);
	} else {
		writer->failed = true;
	}
}

static void write_list(struct writer *writer, const json_t *list)
{
	yaml_event_t event;
	size_t index;
	json_t *value;

	writer->failed = !json_is_array(list);
	emit(writer, &event,
	     yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_FLOW_SEQUENCE_STYLE));
	json_array_foreach (list, index, value)
		write_scalar(writer, value);
	emit(writer, &event, yaml_sequence_end_event_initialize(&event));
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of an object, sorted; the caller frees the array. NULL when out of memory. */
static const char **sorted_names(json_t *object, size_t *count)
{
	const char **names = calloc(json_object_size(object) + 1, sizeof(*names));
	const char *name;
	json_t *value;

	*count = 0;
	if (names == NULL)
		return NULL;
	json_object_foreach (object, name, value)
		names[(*count)++] = name;
	qsort(names, *count, sizeof(*names), compare_names);
	return names;
}

static void write_node(struct writer *writer, const struct topology_node *node, json_t *value);

static void write_table(struct writer *writer, const struct topology_node *node, json_t *table)
{
	size_t count;
	const char **names = sorted_names(table, &count);

	writer->failed = writer->failed || names == NULL;
	for (size_t i = 0; i < count && !writer->failed; i++) {
		write_text(writer, names[i], true);
		write_node(writer, node->values, json_object_get(table, names[i]));
	}
	free(names);
}

/* A key that the schema does not know cannot be read back, which is better said than hidden. */
static void write_keys(struct writer *writer, const struct topology_node *node, json_t *map)
{
	size_t written = 0;

	for (const struct topology_key *key = node->keys; key->name != NULL; key++) {
		json_t *value = json_object_get(map, key->name);

		if (value == NULL)
			continue;
		written++;
		write_text(writer, key->name, false);
		write_node(writer, &key->node, value);
	}
	if (written != json_object_size(map))
		writer->failed = true;
}

static void write_node(struct writer *writer, const struct topology_node *node, json_t *value)
{
	yaml_event_t event;

	if (writer->failed)
		return;
	if (node->kind == TOPOLOGY_SCALAR) {
		write_scalar(writer, value);
	} else if (node->kind == TOPOLOGY_LIST) {
		write_list(writer, value);
	} else if (!json_is_object(value)) {
		writer->failed = true;
	} else {
		emit(writer, &event,
		     yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
							 YAML_BLOCK_MAPPING_STYLE));
		if (node->kind == TOPOLOGY_TABLE)
			write_table(writer, node, value);
		else
			write_keys(writer, node, value);
		emit(writer, &event, yaml_mapping_end_event_initialize(&event));
	}
}

int topology_write(FILE *file, const json_t *topology)
{
	struct writer writer = {.failed = false};
	yaml_event_t event;
	json_t *root = json_copy((json_t *)topology);

	if (root == NULL || yaml_emitter_initialize(&writer.emitter) != 1) {
		json_decref(root);
		return -ENOMEM;
	}
	if (json_object_get(root, "version") == NULL)
		json_object_set_new(root, "version", json_integer(1));
	yaml_emitter_set_output_file(&writer.emitter, file);
	yaml_emitter_set_unicode(&writer.emitter, 1);
	yaml_emitter_set_width(&writer.emitter, -1);
	emit(&writer, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
	emit(&writer, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
	write_node(&writer, &topology_root, root);
	if (!writer.failed) {
		emit(&writer, &event, yaml_document_end_event_initialize(&event, 1));
		emit(&writer, &event, yaml_stream_end_event_initialize(&event));
	}
	yaml_emitter_delete(&writer.emitter);
	json_decref(root);
	return writer.failed ? -EINVAL : 0;
}
