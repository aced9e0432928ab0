/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/topology_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "cli/topology_lines.h"
#include "cli/topology_schema.h"

#define KEY_SIZE     64	 /* longer than any key or name */
#define POINTER_SIZE 512 /* deeper than the schema goes */

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the one that is looked at; see next() */
	bool has_event;
	const char *name;
	const char *data;
	size_t size;
	char pointer[POINTER_SIZE]; /* of the value that is read */
	struct topology_lines *lines;
	char *error;
};

__attribute__((format(printf, 3, 4))) static int fail_at(struct reader *reader, size_t line,
							 const char *format, ...)
{
	char sentence[TOPOLOGY_ERROR_SIZE / 2];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	snprintf(reader->error, TOPOLOGY_ERROR_SIZE, "%.400s:%zu: %s", reader->name, line,
		 sentence);
	return -EINVAL;
}

static size_t event_line(const struct reader *reader)
{
	return reader->event.start_mark.line + 1;
}

/* The parser's own complaint; an encoding error comes with an offset instead of a line. */
static int fail_parser(struct reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	size_t line = parser->problem_mark.line + 1;

	if (parser->error == YAML_MEMORY_ERROR)
		return fail_at(reader, line, "out of memory");
	if (parser->error == YAML_READER_ERROR) {
		line = 1;
		for (size_t i = 0; i < parser->problem_offset && i < reader->size; i++)
			line += reader->data[i] == '\n';
		return fail_at(reader, line, "this is not UTF-8 text (%s): save the file as UTF-8",
			       parser->problem);
	}
	return fail_at(reader, line, "this is not well-formed YAML: %s%s%s",
		       parser->context != NULL ? parser->context : "",
		       parser->context != NULL ? ", " : "",
		       parser->problem != NULL ? parser->problem : "it cannot be read");
}

/* Moves on to the next event; anchors, aliases and tags are refused wherever they are. */
static int next(struct reader *reader)
{
	const yaml_event_t *event = &reader->event;
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (reader->has_event)
		yaml_event_delete(&reader->event);
	reader->has_event = yaml_parser_parse(&reader->parser, &reader->event) == 1;
	if (!reader->has_event)
		return fail_parser(reader);
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return fail_at(reader, event_line(reader),
			       "aliases are not taken: write the value here as well");
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor != NULL)
		return fail_at(reader, event_line(reader),
			       "anchors are not taken: leave &%.40s out", anchor);
	if (tag != NULL)
		return fail_at(reader, event_line(reader), "tags are not taken: leave %.60s out",
			       tag);
	return 0;
}

/* Moves on by so many events. */
static int skip(struct reader *reader, unsigned count)
{
	int ret = 0;

	while (count-- > 0 && ret == 0)
		ret = next(reader);
	return ret;
}

/* Notes that the value at the reader's pointer is in this line. */
static int note_line(struct reader *reader, size_t line)
{
	if (topology_lines_add(reader->lines, reader->pointer, line) < 0)
		return fail_at(reader, line, "out of memory");
	return 0;
}

/* Appends "/token", escaped as RFC 6901 says. Keys and depth are bounded, and so is the pointer. */
static void push_pointer(struct reader *reader, const char *token)
{
	size_t used = strlen(reader->pointer);

	reader->pointer[used++] = '/';
	for (; *token != '\0' && used < POINTER_SIZE - 3; token++) {
		if (*token == '~' || *token == '/') {
			reader->pointer[used++] = '~';
			reader->pointer[used++] = *token == '~' ? '0' : '1';
		} else {
			reader->pointer[used++] = *token;
		}
	}
	reader->pointer[used] = '\0';
}

/* What the sentence calls the value: the last token of the pointer, unless that is a list's index.
 */
static const char *value_title(const struct reader *reader)
{
	const char *slash = strrchr(reader->pointer, '/');

	return slash != NULL ? slash + 1 : "the file";
}

/* The JSON of the scalar that is looked at, or NULL after saying why not. */
static json_t *read_scalar(struct reader *reader, const struct topology_node *node,
			   const char *title)
{
	const char *text = (const char *)reader->event.data.scalar.value;
	char error[VALUE_ERROR_SIZE];
	json_t *value;

	if (reader->event.type != YAML_SCALAR_EVENT) {
		fail_at(reader, event_line(reader), "%s is one value: do not write a %s here",
			title, reader->event.type == YAML_MAPPING_START_EVENT ? "map" : "list");
		return NULL;
	}
	if (strlen(text) != reader->event.data.scalar.length) {
		fail_at(reader, event_line(reader), "%s has a NUL character in its value", title);
		return NULL;
	}
	if (text[0] == '\0') {
		fail_at(reader, event_line(reader), "%s has no value: write one, or leave it out",
			title);
		return NULL;
	}
	if (node->type == VALUE_YES_NO && strcmp(text, "true") == 0)
		text = "yes";
	if (node->type == VALUE_YES_NO && strcmp(text, "false") == 0)
		text = "no";
	if (value_check(node->type, title, text, error) < 0) {
		fail_at(reader, event_line(reader), "%s", error);
		return NULL;
	}
	value = value_json(node->type, text);
	if (value == NULL)
		fail_at(reader, event_line(reader), "out of memory");
	return value;
}

/* A list, or one scalar that stands for a list of one. */
static json_t *read_list(struct reader *reader, const struct topology_node *node)
{
	size_t parent = strlen(reader->pointer);
	bool single = reader->event.type != YAML_SEQUENCE_START_EVENT;
	json_t *list = json_array(), *value;
	char title[KEY_SIZE], index[24];

	snprintf(title, sizeof(title), "%s", value_title(reader));
	if (list == NULL) {
		fail_at(reader, event_line(reader), "out of memory");
		return NULL;
	}
	while (single || (next(reader) == 0 && reader->event.type != YAML_SEQUENCE_END_EVENT)) {
		snprintf(index, sizeof(index), "%zu", json_array_size(list));
		push_pointer(reader, index);
		value = read_scalar(reader, node, title);
		if (value == NULL || note_line(reader, event_line(reader)) < 0) {
			json_decref(value);
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, value);
		reader->pointer[parent] = '\0';
		if (single)
			break;
	}
	if (!reader->has_event || reader->error[0] != '\0') {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *read_node(struct reader *reader, const struct topology_node *node);

/* What the keys of a map are called in sentences: "there is no key 'x' in …". */
static const struct topology_node *find_child(struct reader *reader,
					      const struct topology_node *node, const char *key)
{
	const struct topology_node *child;
	char error[VALUE_ERROR_SIZE], known[256] = "";
	size_t used = 0;

	if (node->kind == TOPOLOGY_TABLE) {
		if (value_check(node->type, value_title(reader), key, error) == 0)
			return node->values;
		fail_at(reader, event_line(reader), "%s", error);
		return NULL;
	}
	child = topology_find(node, key);
	if (child != NULL)
		return child;
	for (const struct topology_key *k = node->keys; k->name && used < sizeof(known); k++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
					 k == node->keys ? "" : ", ", k->name);
	fail_at(reader, event_line(reader), "there is no key '%.60s' in %s: use one of %s", key,
		value_title(reader), known);
	return NULL;
}

/* One key and its value, the event being the key. */
static int read_entry(struct reader *reader, const struct topology_node *node, json_t *object)
{
	const yaml_event_t *event = &reader->event;
	size_t parent = strlen(reader->pointer), line = event_line(reader);
	const struct topology_node *child;
	char key[KEY_SIZE];
	json_t *value;

	if (event->type != YAML_SCALAR_EVENT)
		return fail_at(reader, line, "a key in %s is not a plain word",
			       value_title(reader));
	if (event->data.scalar.length >= sizeof(key) ||
	    strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
		return fail_at(reader, line, "a key in %s is not a word of up to 63 characters",
			       value_title(reader));
	memcpy(key, event->data.scalar.value, event->data.scalar.length + 1);
	child = find_child(reader, node, key);
	if (child == NULL)
		return -EINVAL;
	if (json_object_get(object, key) != NULL)
		return fail_at(reader, line, "%s is given twice: keep one of the two", key);
	push_pointer(reader, key);
	if (note_line(reader, line) < 0 || next(reader) < 0)
		return -EINVAL;
	value = read_node(reader, child);
	if (value == NULL)
		return -EINVAL;
	if (json_object_set_new(object, key, value) < 0)
		return fail_at(reader, line, "out of memory");
	reader->pointer[parent] = '\0';
	return 0;
}

/* A map or a table. Nothing at all after its key is one without entries. */
static json_t *read_map(struct reader *reader, const struct topology_node *node)
{
	const yaml_event_t *event = &reader->event;
	json_t *object = json_object();

	if (object == NULL) {
		fail_at(reader, event_line(reader), "out of memory");
		return NULL;
	}
	if (event->type == YAML_SCALAR_EVENT && event->data.scalar.length == 0 &&
	    event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return object;
	if (event->type != YAML_MAPPING_START_EVENT) {
		fail_at(reader, event_line(reader), "%s is a map: write its keys below it, or {}",
			value_title(reader));
		json_decref(object);
		return NULL;
	}
	for (;;) {
		if (next(reader) < 0)
			break;
		if (event->type == YAML_MAPPING_END_EVENT)
			return object;
		if (read_entry(reader, node, object) < 0)
			break;
	}
	json_decref(object);
	return NULL;
}

/* Reads the value whose first event is looked at; the depth of the schema bounds the recursion. */
static json_t *read_node(struct reader *reader, const struct topology_node *node)
{
	switch (node->kind) {
	case TOPOLOGY_SCALAR:
		return read_scalar(reader, node, value_title(reader));
	case TOPOLOGY_LIST:
		return read_list(reader, node);
	default:
		return read_map(reader, node);
	}
}

static int check_version(struct reader *reader, const json_t *root)
{
	const json_t *version = json_object_get(root, "version");

	if (version == NULL)
		return fail_at(reader, 1, "version is missing: write 'version: 1' on top");
	if (json_integer_value(version) != 1)
		return fail_at(reader, topology_lines_find(reader->lines, "/version"),
			       "version %lld is not known: this vswitchctl reads version 1",
			       (long long)json_integer_value(version));
	return 0;
}

/* The stream: one document and nothing after it. */
static json_t *read_stream(struct reader *reader)
{
	json_t *root = NULL;

	if (skip(reader, 2) < 0)
		return NULL;
	if (reader->event.type == YAML_STREAM_END_EVENT) {
		fail_at(reader, 1, "the file is empty: write 'version: 1' at least");
		return NULL;
	}
	if (next(reader) < 0)
		return NULL;
	root = read_node(reader, &topology_root);
	if (root == NULL)
		return NULL;
	if (skip(reader, 2) < 0)
		goto drop;
	if (reader->event.type != YAML_STREAM_END_EVENT) {
		fail_at(reader, event_line(reader), "a second document begins: keep one in a file");
		goto drop;
	}
	if (check_version(reader, root) == 0)
		return root;
drop:
	json_decref(root);
	return NULL;
}

json_t *topology_read(const char *name, const char *data, size_t size,
		      struct topology_lines **lines, char error[TOPOLOGY_ERROR_SIZE])
{
	struct reader reader = {.name = name, .data = data, .size = size, .error = error};
	json_t *root = NULL;

	error[0] = '\0';
	if (size > TOPOLOGY_SIZE_MAX) {
		fail_at(&reader, 1, "the file is larger than 16 MiB: split it");
		return NULL;
	}
	reader.lines = topology_lines_new();
	if (reader.lines == NULL || yaml_parser_initialize(&reader.parser) != 1) {
		fail_at(&reader, 1, "out of memory");
		topology_lines_free(reader.lines);
		return NULL;
	}
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)data, size);
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	root = read_stream(&reader);
	if (reader.has_event)
		yaml_event_delete(&reader.event);
	yaml_parser_delete(&reader.parser);
	if (root == NULL)
		topology_lines_free(reader.lines);
	else
		*lines = reader.lines;
	return root;
}
