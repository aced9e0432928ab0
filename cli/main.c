/* SPDX-License-Identifier: Apache-2.0 */

/* vswitchctl: reads the command line, runs one command, and ends with its exit code. */

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/grammar.h"
#include "cli/output.h"

#define RUN_DIR_DEFAULT "/run/vswitch"
#define WAIT_DEFAULT	2.0

static const char *choose_run_dir(const struct grammar_call *call)
{
	const char *given = grammar_text(call, "run-dir");
	const char *environment = getenv("VSWITCH_RUN_DIR");

	if (given != NULL)
		return given;
	return environment != NULL && environment[0] != '\0' ? environment : RUN_DIR_DEFAULT;
}

static int run(const struct grammar_call *call)
{
	const char *wait = grammar_text(call, "wait");
	struct cli cli = {
		.run_dir = choose_run_dir(call),
		.output = grammar_text(call, "json") != NULL ? &output_json : &output_text,
		.wait = wait != NULL ? strtod(wait, NULL) : WAIT_DEFAULT,
	};
	int ret;

	if (grammar_text(call, "help") != NULL) {
		grammar_help(stdout, call->words);
		return CLI_DONE;
	}
	cli.client = client_new(cli.run_dir);
	if (cli.client == NULL) {
		cli_error("out of memory");
		return CLI_REFUSED;
	}
	ret = call->command->run(&cli, call);
	client_free(cli.client);
	return ret;
}

int main(int argc, char **argv)
{
	char error[VALUE_ERROR_SIZE];
	struct grammar_call call;
	int ret = grammar_parse(argc, argv, &call, error);

	if (ret == CLI_DONE)
		ret = run(&call);
	else
		cli_error("%s", error);
	grammar_call_fini(&call);
	if ((fflush(stdout) != 0 || ferror(stdout)) && ret == CLI_DONE) {
		cli_error("standard output cannot be written: %s", strerror(errno));
		ret = CLI_REFUSED;
	}
	return ret;
}
