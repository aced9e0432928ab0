/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/effect.h"
#include "cli/object.h"
#include "cli/output.h"

#define REQUIRE_QUERY "?require=true"

/* With --require the daemon refuses a port that would wait, and changes nothing. */
static int send_port(struct cli *cli, const struct grammar_call *call,
		     const struct client_request *request)
{
	struct effect effect = {.object = request->path};
	struct client_request sent = *request;
	char path[OBJECT_PATH_SIZE + sizeof(REQUIRE_QUERY)];
	struct client_answer answer;
	int ret;

	if (grammar_text(call, "require") != NULL) {
		snprintf(path, sizeof(path), "%s" REQUIRE_QUERY, request->path);
		sent.path = path;
	}
	ret = client_call(cli->client, &sent, &answer);
	if (ret != CLI_DONE)
		return ret;
	effect.generation = answer.generation;
	cli->output->changed(answer.body, answer.generation);
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
