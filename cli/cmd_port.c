/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/effect.h"
#include "cli/object.h"
#include "cli/output.h"

/*
 * With --require a port that waits is refused. Only the daemons know whether it will, and only once
 * they have it: so the change is made, looked at, and taken back to what was there before, which
 * `former` holds (NULL: nothing).
 */
static int take_back(struct cli *cli, const struct grammar_call *call, const char *path,
		     json_t *former, const char *reason)
{
	const struct client_request request = {
		.method = former != NULL ? "PUT" : "DELETE", .path = path, .body = former};
	struct client_answer answer;
	int ret = client_call(cli->client, &request, &answer);

	if (ret != CLI_DONE)
		return ret;
	client_answer_fini(&answer);
	cli_error("port %s is refused, since it would not be in effect: %s", call->arguments[0],
		  reason);
	return CLI_REFUSED;
}

/* Reads what is at the path, NULL when nothing is. */
static int read_former(struct cli *cli, const char *path, json_t **former)
{
	const struct client_request request = {.method = "GET", .path = path};
	struct client_answer answer;
	int ret = client_send(cli->client, &request, &answer);

	if (ret != CLI_DONE)
		return ret;
	if (answer.status >= 400 && answer.status != 404)
		ret = client_refused(&answer);
	else if (answer.status < 400)
		*former = json_incref(answer.body);
	client_answer_fini(&answer);
	return ret;
}

static int send_required(struct cli *cli, const struct grammar_call *call,
			 const struct client_request *request)
{
	struct effect effect = {.port = request->path};
	struct client_answer answer;
	char reason[VALUE_ERROR_SIZE];
	json_t *former = NULL;
	int ret = read_former(cli, request->path, &former);

	if (ret == CLI_DONE)
		ret = client_call(cli->client, request, &answer);
	if (ret == CLI_DONE) {
		effect.generation = answer.generation;
		ret = effect_look(cli, &effect, reason);
		if (ret == CLI_NOT_IN_EFFECT)
			ret = take_back(cli, call, request->path, former, reason);
		if (ret == CLI_DONE)
			cli->output->changed(answer.body);
		client_answer_fini(&answer);
	}
	json_decref(former);
	return ret;
}

static int send_port(struct cli *cli, const struct grammar_call *call,
		     const struct client_request *request)
{
	struct effect effect = {.port = request->path};
	struct client_answer answer;
	int ret;

	if (grammar_text(call, "require") != NULL)
		return send_required(cli, call, request);
	ret = client_call(cli->client, request, &answer);
	if (ret != CLI_DONE)
		return ret;
	effect.generation = answer.generation;
	cli->output->changed(answer.body);
	client_answer_fini(&answer);
	return effect_wait(cli, &effect);
}

int cmd_port_add(struct cli *cli, const struct grammar_call *call)
{
	char path[OBJECT_PATH_SIZE];
	json_t *body = object_body(call, false);
	const struct client_request request = {
		.method = "PUT",
		.path = object_path(OBJECT_PORT, call->arguments[0], path),
		.body = body,
		.header = "If-None-Match: *"};
	int ret = body != NULL ? send_port(cli, call, &request) : CLI_REFUSED;

	json_decref(body);
	return ret;
}

int cmd_port_set(struct cli *cli, const struct grammar_call *call)
{
	char path[OBJECT_PATH_SIZE];
	struct client_request request = {.method = "PATCH"};
	json_t *body = NULL;
	int ret = change_merge_body(call, &body);

	if (ret != CLI_DONE)
		return ret;
	request.path = object_path(OBJECT_PORT, call->arguments[0], path);
	request.body = body;
	ret = send_port(cli, call, &request);
	json_decref(body);
	return ret;
}

static int set_admin(struct cli *cli, const struct grammar_call *call, const char *state)
{
	char path[OBJECT_PATH_SIZE];
	json_t *body = json_pack("{s:s}", "admin", state);
	const struct client_request request = {
		.method = "PATCH",
		.path = object_path(OBJECT_PORT, call->arguments[0], path),
		.body = body};
	int ret = send_port(cli, call, &request);

	json_decref(body);
	return ret;
}

int cmd_port_up(struct cli *cli, const struct grammar_call *call)
{
	return set_admin(cli, call, "up");
}

int cmd_port_down(struct cli *cli, const struct grammar_call *call)
{
	return set_admin(cli, call, "down");
}
