/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/grammar.h"
#include "cli/output.h"

int cmd_help(struct cli *cli, const struct grammar_call *call)
{
	char words[128];

	(void)cli;
	if (grammar_text(call, "man") != NULL) {
		grammar_manual(stdout);
		return CLI_DONE;
	}
	if (grammar_text(call, "bash-completion") != NULL) {
		grammar_bash_completion(stdout);
		return CLI_DONE;
	}
	snprintf(words, sizeof(words), "%.40s%s%.40s%s%.40s",
		 call->argument_count > 0 ? call->arguments[0] : "",
		 call->argument_count > 1 ? " " : "",
		 call->argument_count > 1 ? call->arguments[1] : "",
		 call->argument_count > 2 ? " " : "",
		 call->argument_count > 2 ? call->arguments[2] : "");
	if (grammar_help(stdout, words))
		return CLI_DONE;
	cli_error("there is no command '%s': see 'vswitchctl help'", words);
	return CLI_USAGE;
}

int cmd_version(struct cli *cli, const struct grammar_call *call)
{
	json_t *body = json_pack("{s:s}", "version", VSWITCH_VERSION);

	(void)call;
	if (cli->output == &output_json)
		cli->output->object(body);
	else
		printf("vswitchctl %s\n", VSWITCH_VERSION);
	json_decref(body);
	return CLI_DONE;
}
