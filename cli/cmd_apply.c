/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/effect.h"
#include "cli/grammar.h"
#include "cli/output.h"
#include "cli/topology_file.h"
#include "cli/topology_lines.h"

#define APPLY_PATH_SIZE 160

/* Reads a file, or standard input for "-", up to one octet more than is allowed. */
static char *read_file(const char *name, size_t *size)
{
	FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	char *data = NULL, *grown;
	size_t capacity = 0, got = 1;

	*size = 0;
	while (file != NULL && got > 0 && *size <= TOPOLOGY_SIZE_MAX) {
		if (*size == capacity) {
			capacity = capacity == 0 ? 65536 : 2 * capacity;
			grown = realloc(data, capacity);
			if (grown == NULL) {
				errno = ENOMEM;
				break;
			}
			data = grown;
		}
		got = fread(data + *size, 1, capacity - *size, file);
		*size += got;
	}
	if (file == NULL || ferror(file) || data == NULL ||
	    (got > 0 && *size <= TOPOLOGY_SIZE_MAX)) {
		cli_error("%s cannot be read (%s): name a topology file, or - for standard input",
			  name, strerror(errno));
		free(data);
		data = NULL;
	}
	if (file != NULL && file != stdin)
		fclose(file);
	return data;
}

static void name_ports(json_t *names, const char *tenant, json_t *ports)
{
	const char *port;
	char name[160];
	json_t *value;

	json_object_foreach (ports, port, value) {
		snprintf(name, sizeof(name), "%s%s%s", tenant, tenant[0] != '\0' ? "/" : "", port);
		json_object_set_new(names, name, json_true());
	}
}

/* The names of all ports of a topology, as the API calls them, as the members of an object. */
static json_t *list_ports(const json_t *topology)
{
	json_t *names = json_object(), *tenant, *segment;
	const char *tenant_name, *segment_name;

	name_ports(names, "", json_object_get(topology, "uplinks"));
	json_object_foreach (json_object_get(topology, "tenants"), tenant_name, tenant) {
		name_ports(names, tenant_name, json_object_get(tenant, "ports"));
		json_object_foreach (json_object_get(tenant, "segments"), segment_name, segment)
			name_ports(names, tenant_name, json_object_get(segment, "ports"));
	}
	return names;
}

/* The daemon's sentence, with the line that it is about when it says where. */
static int report_refusal(const char *name, const struct topology_lines *lines,
			  const struct client_answer *answer)
{
	const char *pointer = json_string_value(json_object_get(answer->body, "pointer"));
	const char *detail = json_string_value(json_object_get(answer->body, "detail"));

	if (pointer == NULL || pointer[0] == '\0' || detail == NULL)
		return client_refused(answer);
	cli_error("%s:%zu: %s", name, topology_lines_find(lines, pointer), detail);
	return CLI_REFUSED;
}

static int make_path(const struct grammar_call *call, char path[APPLY_PATH_SIZE])
{
	const char *tenant = grammar_text(call, "tenant");
	bool prune = grammar_text(call, "prune") != NULL;
	bool dry_run = grammar_text(call, "dry-run") != NULL;

	if (tenant != NULL && !prune) {
		cli_error("--tenant narrows --prune: add --prune, or leave --tenant out");
		return CLI_USAGE;
	}
	snprintf(path, APPLY_PATH_SIZE, "/v1/apply%s%s%s%s%s%s", prune || dry_run ? "?" : "",
		 dry_run ? "dry-run=true" : "", prune && dry_run ? "&" : "",
		 prune ? "prune=true" : "", tenant != NULL ? "&tenant=" : "",
		 tenant != NULL ? tenant : "");
	return CLI_DONE;
}

static int send_topology(struct cli *cli, const struct grammar_call *call, const char *name,
			 const char *path, const json_t *topology,
			 const struct topology_lines *lines)
{
	const struct client_request request = {.method = "POST", .path = path, .body = topology};
	struct client_answer answer;
	struct effect effect = {0};
	json_t *ports;
	int ret = client_send(cli->client, &request, &answer);

	if (ret != CLI_DONE)
		return ret;
	if (answer.status >= 400) {
		ret = report_refusal(name, lines, &answer);
		client_answer_fini(&answer);
		return ret;
	}
	cli->output->changes(answer.body);
	effect.generation = answer.generation;
	effect.vtep = json_object_get(topology, "vtep") != NULL;
	client_answer_fini(&answer);
	if (grammar_text(call, "dry-run") != NULL)
		return CLI_DONE;
	ports = list_ports(topology);
	effect.ports = json_object_size(ports) > 0 ? ports : NULL;
	ret = effect_wait(cli, &effect);
	json_decref(ports);
	return ret;
}

int cmd_apply(struct cli *cli, const struct grammar_call *call)
{
	const char *file = call->arguments[0];
	const char *name = strcmp(file, "-") == 0 ? "<stdin>" : file;
	char path[APPLY_PATH_SIZE], error[TOPOLOGY_ERROR_SIZE];
	struct topology_lines *lines = NULL;
	json_t *topology;
	size_t size;
	char *data;
	int ret = make_path(call, path);

	if (ret != CLI_DONE)
		return ret;
	data = read_file(file, &size);
	if (data == NULL)
		return CLI_REFUSED;
	topology = topology_read(name, data, size, &lines, error);
	free(data);
	if (topology == NULL) {
		cli_error("%s", error);
		return CLI_REFUSED;
	}
	ret = send_topology(cli, call, name, path, topology, lines);
	topology_lines_free(lines);
	json_decref(topology);
	return ret;
}

int cmd_export(struct cli *cli, const struct grammar_call *call)
{
	struct client_answer answer;
	int ret = client_get(cli->client, "/v1/config", &answer);

	(void)call;
	if (ret != CLI_DONE)
		return ret;
	if (cli->output == &output_json) {
		cli->output->object(answer.body);
	} else if (topology_write(stdout, answer.body) < 0) {
		cli_error("the control daemon's configuration has what this vswitchctl does not "
			  "know: use the vswitchctl of its version, or --json");
		ret = CLI_REFUSED;
	}
	client_answer_fini(&answer);
	return ret;
}
