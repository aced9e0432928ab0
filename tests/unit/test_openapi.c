/* SPDX-License-Identifier: Apache-2.0 */

/*
 * docs/api/openapi.yaml says what the table of routes says and what the
 * running API does. The file is the first argument.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <yaml.h>

#include "control/route.h"
#include "tests/unit/api_fixture.h"

static yaml_document_t document;

static const char *const methods[] = {"GET", "PUT", "PATCH", "DELETE", "POST"};
#define METHOD_COUNT (sizeof(methods) / sizeof(methods[0]))

static const char *text_of(const yaml_node_t *node)
{
	assert_int_equal(node->type, YAML_SCALAR_NODE);
	return (const char *)node->data.scalar.value;
}

/* The member of a mapping, or NULL; what it refers to, if it is a reference. */
static yaml_node_t *member(yaml_node_t *node, const char *key);

static yaml_node_t *resolve(const char *reference)
{
	yaml_node_t *node = yaml_document_get_root_node(&document);
	char part[128];

	assert_memory_equal(reference, "#/", 2);
	for (reference += 2; *reference != '\0' && node != NULL;) {
		size_t size = strcspn(reference, "/");

		snprintf(part, sizeof(part), "%.*s", (int)size, reference);
		node = member(node, part);
		reference += size + (reference[size] == '/');
	}
	if (node == NULL)
		print_error("a reference to %s leads nowhere\n", part);
	assert_non_null(node);
	return node;
}

static yaml_node_t *follow(yaml_node_t *node)
{
	yaml_node_t *reference =
		node != NULL && node->type == YAML_MAPPING_NODE ? member(node, "$ref") : NULL;

	return reference != NULL ? resolve(text_of(reference)) : node;
}

static yaml_node_t *member(yaml_node_t *node, const char *key)
{
	assert_int_equal(node->type, YAML_MAPPING_NODE);
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *value = yaml_document_get_node(&document, pair->value);

		if (strcmp(text_of(yaml_document_get_node(&document, pair->key)), key) == 0)
			return strcmp(key, "$ref") == 0 ? value : follow(value);
	}
	return NULL;
}

static yaml_node_t *operation_of(const struct route *route)
{
	yaml_node_t *paths = member(yaml_document_get_root_node(&document), "paths");
	yaml_node_t *path = member(paths, route->pattern);
	char method[16] = "";

	for (size_t i = 0; route->method[i] != '\0'; i++)
		method[i] = (char)tolower((unsigned char)route->method[i]);
	return path != NULL ? member(path, method) : NULL;
}

static bool has_parameter(yaml_node_t *operation, const char *name, const char *place)
{
	yaml_node_t *list = member(operation, "parameters");

	if (list == NULL)
		return false;
	for (yaml_node_item_t *item = list->data.sequence.items.start;
	     item < list->data.sequence.items.top; item++) {
		yaml_node_t *parameter = follow(yaml_document_get_node(&document, *item));

		if (strcmp(text_of(member(parameter, "name")), name) == 0 &&
		    strcmp(text_of(member(parameter, "in")), place) == 0)
			return true;
	}
	return false;
}

static size_t query_count(yaml_node_t *operation)
{
	yaml_node_t *list = member(operation, "parameters");
	size_t count = 0;

	for (yaml_node_item_t *item = list != NULL ? list->data.sequence.items.start : NULL;
	     list != NULL && item < list->data.sequence.items.top; item++) {
		yaml_node_t *parameter = follow(yaml_document_get_node(&document, *item));

		count += strcmp(text_of(member(parameter, "in")), "query") == 0;
	}
	return count;
}

static void every_route_is_described(void **state)
{
	(void)state;
	for (const struct route *route = route_table(); route->pattern != NULL; route++) {
		yaml_node_t *operation = operation_of(route);
		char queries[128] = "", *rest = NULL;
		size_t count = 0;

		if (operation == NULL)
			print_error("%s %s is not described\n", route->method, route->pattern);
		assert_non_null(operation);
		assert_string_equal(text_of(member(operation, "summary")), route->summary);
		assert_int_equal(member(operation, "requestBody") != NULL, route->has_body);
		assert_int_equal(has_parameter(operation, "If-Match", "header"), route->changes);
		assert_non_null(member(member(operation, "responses"), "default"));
		if (route->queries != NULL)
			snprintf(queries, sizeof(queries), "%s", route->queries);
		for (char *name = strtok_r(queries, " ", &rest); name != NULL;
		     name = strtok_r(NULL, " ", &rest)) {
			assert_true(has_parameter(operation, name, "query"));
			count++;
		}
		assert_int_equal(query_count(operation), count);
	}
}

static void nothing_else_is_described(void **state)
{
	yaml_node_t *paths = member(yaml_document_get_root_node(&document), "paths");
	size_t described = 0, routes = 0;

	(void)state;
	for (yaml_node_pair_t *pair = paths->data.mapping.pairs.start;
	     pair < paths->data.mapping.pairs.top; pair++) {
		yaml_node_t *path = yaml_document_get_node(&document, pair->value);
		size_t members =
			(size_t)(path->data.mapping.pairs.top - path->data.mapping.pairs.start);

		described += members - (member(path, "parameters") != NULL);
	}
	for (const struct route *route = route_table(); route->pattern != NULL; route++)
		routes++;
	assert_int_equal(described, routes);
}

/* The path with names that api_populate() made. */
static void fill_path(const char *pattern, char path[256])
{
	static const char *const values[][2] = {
		{"{tenant}", "acme"}, {"{segment}", "web"},	{"{port}", "web1"},
		{"{uplink}", "up0"},  {"{peer}", "172.31.0.2"}, {"{mac}", "02:00:00:00:00:0a"},
	};
	size_t size = 0;

	while (*pattern != '\0') {
		bool filled = false;

		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]) && !filled; i++) {
			size_t length = strlen(values[i][0]);

			if (strncmp(pattern, values[i][0], length) == 0) {
				size += (size_t)sprintf(path + size, "%s", values[i][1]);
				pattern += length;
				filled = true;
			}
		}
		if (!filled)
			path[size++] = *pattern++;
	}
	path[size] = '\0';
}

static bool schema_has(yaml_node_t *schema, const char *key)
{
	yaml_node_t *all = member(schema, "allOf");
	yaml_node_t *properties = member(schema, "properties");

	if (properties != NULL && member(properties, key) != NULL)
		return true;
	for (yaml_node_item_t *item = all != NULL ? all->data.sequence.items.start : NULL;
	     all != NULL && item < all->data.sequence.items.top; item++) {
		if (schema_has(follow(yaml_document_get_node(&document, *item)), key))
			return true;
	}
	return false;
}

static void answers_are_as_described(void **state)
{
	struct api_fixture *fixture = *state;
	size_t count = 0;

	api_populate(fixture);
	for (const struct route *route = route_table(); route->pattern != NULL; route++) {
		yaml_node_t *schema, *response;
		char path[256];
		const char *key;
		json_t *json, *value;

		if (strcmp(route->method, "GET") != 0)
			continue;
		fill_path(route->pattern, path);
		json = api_get(fixture, path);
		response = member(member(operation_of(route), "responses"), "200");
		schema = member(member(member(response, "content"), "application/json"), "schema");
		json_object_foreach (json, key, value) {
			if (!schema_has(schema, key))
				print_error("%s: %s is not described\n", path, key);
			assert_true(schema_has(schema, key));
		}
		assert_true(json_object_size(json) > 0);
		json_decref(json);
		count++;
	}
	assert_true(count > 20);
}

/* The methods that are not described get 405, with those that are. */
static void other_methods_are_refused(void **state)
{
	struct api_fixture *fixture = *state;

	for (const struct route *route = route_table(); route->pattern != NULL; route++) {
		char path[256];

		fill_path(route->pattern, path);
		for (size_t i = 0; i < METHOD_COUNT; i++) {
			struct route other = {.method = methods[i], .pattern = route->pattern};
			struct api_answer answer;
			const char *allow;

			if (operation_of(&other) != NULL)
				continue;
			answer = api_request(fixture, methods[i], path, "", "{}");
			assert_int_equal(answer.status, 405);
			allow = strstr(answer.text, "Allow: ");
			assert_non_null(allow);
			*strchr(allow, '\r') = '\0';
			for (size_t j = 0; j < METHOD_COUNT; j++) {
				other.method = methods[j];
				/* A space before it: "PUT" is no part of another word. */
				assert_int_equal(operation_of(&other) != NULL,
						 strstr(allow, methods[j]) != NULL &&
							 strstr(allow, methods[j])[-1] == ' ');
			}
			api_answer_fini(&answer);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_is_described),
		cmocka_unit_test(nothing_else_is_described),
		cmocka_unit_test_setup_teardown(answers_are_as_described, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(other_methods_are_refused, api_setup, api_teardown),
	};
	const char *file_name = argc > 1 ? argv[1] : "docs/api/openapi.yaml";
	yaml_parser_t parser;
	FILE *file;
	int result;

	file = fopen(file_name, "r");
	if (file == NULL || !yaml_parser_initialize(&parser)) {
		fprintf(stderr, "%s cannot be read\n", file_name);
		return 1;
	}
	yaml_parser_set_input_file(&parser, file);
	if (!yaml_parser_load(&parser, &document)) {
		fprintf(stderr, "%s:%zu: %s\n", file_name, parser.problem_mark.line + 1,
			parser.problem);
		return 1;
	}
	result = cmocka_run_group_tests(tests, NULL, NULL);
	yaml_document_delete(&document);
	yaml_parser_delete(&parser);
	fclose(file);
	return result;
}
