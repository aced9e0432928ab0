/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/object.h"
#include "cli/output.h"

int cmd_add(struct cli *cli, const struct grammar_call *call)
{
	char path[OBJECT_PATH_SIZE];
	json_t *body = object_body(call, false);
	const struct client_request request = {
		.method = "PUT",
		.path = object_path(call->command->object, call->arguments[0], path),
		.body = body,
		.header = "If-None-Match: *"};
	int ret = body != NULL ? change_send(cli, &request) : CLI_REFUSED;

	json_decref(body);
	return ret;
}

/* What there is only one of has no add: set makes it. */
static int set_or_make(struct cli *cli, const struct grammar_call *call,
		       struct client_request *request)
{
	struct client_answer answer;
	json_t *body;
	int ret = client_send(cli->client, request, &answer);

	if (ret != CLI_DONE)
		return ret;
	if (answer.status < 400)
		return change_finish(cli, &answer, request->path);
	if (answer.status != 404 || object_info(call->command->object)->list_path != NULL) {
		ret = client_refused(&answer);
		client_answer_fini(&answer);
		return ret;
	}
	client_answer_fini(&answer);
	body = object_body(call, false);
	request->method = "PUT";
	request->body = body;
	ret = body != NULL ? change_send(cli, request) : CLI_REFUSED;
	json_decref(body);
	return ret;
}

int cmd_set(struct cli *cli, const struct grammar_call *call)
{
	char path[OBJECT_PATH_SIZE];
	struct client_request request = {.method = "PATCH"};
	json_t *body = NULL;
	int ret = change_merge_body(call, &body);

	if (ret != CLI_DONE)
		return ret;
	request.path = object_path(call->command->object, call->arguments[0], path);
	request.body = body;
	ret = set_or_make(cli, call, &request);
	json_decref(body);
	return ret;
}

int cmd_list(struct cli *cli, const struct grammar_call *call)
{
	const struct object_info *info = object_info(call->command->object);
	struct client_answer answer;
	int ret = client_get(cli->client, info->list_path, &answer);

	if (ret != CLI_DONE)
		return ret;
	cli->output->list(answer.body, info->list_key, info->columns);
	client_answer_fini(&answer);
	return CLI_DONE;
}

int cmd_show(struct cli *cli, const struct grammar_call *call)
{
	char path[OBJECT_PATH_SIZE];
	struct client_answer answer;
	int ret = client_get(cli->client,
			     object_path(call->command->object, call->arguments[0], path), &answer);

	if (ret != CLI_DONE)
		return ret;
	cli->output->object(answer.body);
	client_answer_fini(&answer);
	return CLI_DONE;
}

int cmd_del(struct cli *cli, const struct grammar_call *call)
{
	char path[OBJECT_PATH_SIZE];

	object_path(call->command->object, call->arguments[0], path);
	if (grammar_text(call, "recursive") != NULL)
		strncat(path, "?recursive=true", sizeof(path) - strlen(path) - 1);
	return change_delete(cli, call, path);
}

static char *peer_path(const struct grammar_call *call, char path[2 * OBJECT_PATH_SIZE])
{
	char segment[OBJECT_PATH_SIZE];

	object_path(OBJECT_SEGMENT, call->arguments[0], segment);
	snprintf(path, 2 * OBJECT_PATH_SIZE, "%s/peers/%s", segment, call->arguments[1]);
	return path;
}

int cmd_peer_add(struct cli *cli, const struct grammar_call *call)
{
	char path[2 * OBJECT_PATH_SIZE];
	const struct client_request request = {.method = "PUT", .path = peer_path(call, path)};

	return change_send(cli, &request);
}

int cmd_peer_del(struct cli *cli, const struct grammar_call *call)
{
	char path[2 * OBJECT_PATH_SIZE];

	return change_delete(cli, call, peer_path(call, path));
}
