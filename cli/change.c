/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/change.h"

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/effect.h"
#include "cli/object.h"
#include "cli/output.h"

int change_send(struct cli *cli, const struct client_request *request)
{
	struct client_answer answer;
	int ret = client_call(cli->client, request, &answer);

	return ret == CLI_DONE ? change_finish(cli, &answer, request->path) : ret;
}

/* What can wait says in its answer whether it does. */
int change_finish(struct cli *cli, struct client_answer *answer, const char *path)
{
	const json_t *status = json_object_get(answer->body, "status");
	const struct effect effect = {.generation = answer->generation,
				      .object = json_object_get(status, "state") != NULL ? path
											 : NULL};

	cli->output->changed(answer->body, answer->generation);
	client_answer_fini(answer);
	return effect_wait(cli, &effect);
}

int change_delete(struct cli *cli, const struct grammar_call *call, const char *path)
{
	const struct client_request request = {.method = "DELETE", .path = path};
	struct client_answer answer;
	int ret = client_send(cli->client, &request, &answer);

	if (ret != CLI_DONE)
		return ret;
	if (answer.status < 400)
		return change_finish(cli, &answer, path);
	if (answer.status != 404 || grammar_text(call, "if-exists") == NULL)
		ret = client_refused(&answer);
	else
		cli->output->changed(NULL, answer.generation);
	client_answer_fini(&answer);
	return ret;
}

int change_merge_body(const struct grammar_call *call, json_t **body)
{
	json_t *merge = object_body(call, true);

	if (merge == NULL)
		return CLI_REFUSED;
	if (json_object_size(merge) == 0) {
		json_decref(merge);
		cli_error("'%s' needs an option that says what to set: see 'vswitchctl help %s'",
			  call->command->words, call->command->words);
		return CLI_USAGE;
	}
	*body = merge;
	return CLI_DONE;
}
