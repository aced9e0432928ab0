/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/object.h"
#include "cli/output.h"

#define FDB_PATH_SIZE 512

static const struct output_column fdb_columns[] = {
	{"SEGMENT", "segment", OUTPUT_TEXT},  {"MAC", "mac", OUTPUT_TEXT},
	{"BEHIND", "port|vtep", OUTPUT_TEXT}, {"STATIC", "static", OUTPUT_TEXT},
	{"SEEN BEFORE", "age", OUTPUT_AGE},   {.title = NULL},
};

/* The members that narrow a list or a flush down, from the options of the same names. */
static const char *const filters[] = {"segment", "port", "vtep"};
#define FILTER_COUNT (sizeof(filters) / sizeof(filters[0]))

/* Keeps only the entries with this address. */
static void keep_address(json_t *entries, const char *mac)
{
	for (size_t i = json_array_size(entries); i-- > 0;) {
		const json_t *entry = json_array_get(entries, i);
		const char *text = json_string_value(json_object_get(entry, "mac"));

		if (text == NULL || strcasecmp(text, mac) != 0)
			json_array_remove(entries, i);
	}
}

int cmd_fdb_list(struct cli *cli, const struct grammar_call *call)
{
	char path[FDB_PATH_SIZE] = "/v1/fdb";
	size_t used = strlen(path);
	char separator = '?';
	struct client_answer answer;
	int ret;

	for (size_t i = 0; i < FILTER_COUNT; i++) {
		const char *text = grammar_text(call, filters[i]);

		if (text == NULL)
			continue;
		used += (size_t)snprintf(path + used, sizeof(path) - used, "%c%s=%s", separator,
					 filters[i], text);
		separator = '&';
	}
	ret = client_get(cli->client, path, &answer);
	if (ret != CLI_DONE)
		return ret;
	if (call->argument_count > 0)
		keep_address(json_object_get(answer.body, "entries"), call->arguments[0]);
	cli->output->list(answer.body, "entries", fdb_columns);
	client_answer_fini(&answer);
	return CLI_DONE;
}

static char *entry_path(const struct grammar_call *call, char path[FDB_PATH_SIZE])
{
	snprintf(path, FDB_PATH_SIZE, "/v1/fdb/%s/%s", grammar_text(call, "segment"),
		 call->arguments[0]);
	return path;
}

int cmd_fdb_add(struct cli *cli, const struct grammar_call *call)
{
	const char *port = grammar_text(call, "port"), *vtep = grammar_text(call, "vtep");
	char path[FDB_PATH_SIZE];
	struct client_request request = {
		.method = "PUT", .path = entry_path(call, path), .header = "If-None-Match: *"};
	json_t *body;
	int ret;

	if ((port == NULL) == (vtep == NULL)) {
		cli_error("'fdb add' needs one of --port and --vtep: say behind which of them %s "
			  "is",
			  call->arguments[0]);
		return CLI_USAGE;
	}
	body = json_pack("{s:s}", port != NULL ? "port" : "vtep", port != NULL ? port : vtep);
	request.body = body;
	ret = change_send(cli, &request);
	json_decref(body);
	return ret;
}

int cmd_fdb_del(struct cli *cli, const struct grammar_call *call)
{
	char path[FDB_PATH_SIZE];

	return change_delete(cli, call, entry_path(call, path));
}

/* What flush is asked for, or NULL after saying that it is nothing, or too much. */
static json_t *flush_body(const struct grammar_call *call)
{
	bool all = grammar_text(call, "all") != NULL;
	json_t *body = json_object();

	for (size_t i = 0; i < FILTER_COUNT; i++) {
		const char *text = grammar_text(call, filters[i]);

		if (text != NULL)
			json_object_set_new(body, filters[i], json_string(text));
	}
	if (all == (json_object_size(body) > 0)) {
		cli_error("'fdb flush' needs --segment, --port or --vtep, or --all for everything");
		json_decref(body);
		return NULL;
	}
	if (all)
		json_object_set_new(body, "all", json_true());
	return body;
}

int cmd_fdb_flush(struct cli *cli, const struct grammar_call *call)
{
	json_t *body = flush_body(call);
	const struct client_request request = {
		.method = "POST", .path = "/v1/fdb/flush", .body = body};
	int ret;

	if (body == NULL)
		return CLI_USAGE;
	ret = change_send(cli, &request);
	json_decref(body);
	return ret;
}
