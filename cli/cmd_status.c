/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

int cmd_status(struct cli *cli, const struct grammar_call *call)
{
	struct client_answer status, ports = {0};
	int ret = client_get(cli->client, "/v1/status", &status);

	(void)call;
	if (ret != CLI_DONE)
		return ret;
	if (json_integer_value(
		    json_object_get(json_object_get(status.body, "counts"), "waiting-ports")) > 0)
		ret = client_get(cli->client, "/v1/ports", &ports);
	if (ret == CLI_DONE)
		cli->output->status(status.body, json_object_get(ports.body, "ports"));
	client_answer_fini(&ports);
	client_answer_fini(&status);
	return ret;
}
