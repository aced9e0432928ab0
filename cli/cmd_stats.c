/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/object.h"
#include "cli/output.h"

#define INTERVAL_MS 1000

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Waits until the next look is due. Returns false when the user wants to stop. */
static bool wait_until(int signals, double due)
{
	struct pollfd poll_fd = {.fd = signals, .events = POLLIN};
	double left = due - now_seconds();

	return poll(&poll_fd, 1, left > 0 ? (int)(left * 1000) + 1 : 0) <= 0;
}

/* Looks every second. The signals are taken as a descriptor: no handler, and no state of its own.
 */
static int watch(struct cli *cli, const char *path, void (*show)(const struct output_look *look),
		 int signals)
{
	struct output_look look = {.watch = true};
	json_t *former = NULL;
	double before = 0, due = now_seconds();
	int ret = CLI_DONE;

	do {
		struct client_answer answer;
		double now;

		ret = client_get(cli->client, path, &answer);
		if (ret != CLI_DONE)
			break;
		now = now_seconds();
		look.body = answer.body;
		look.before = former;
		look.seconds = now - before;
		if (isatty(STDOUT_FILENO))
			fputs("\033[H\033[2J", stdout);
		show(&look);
		if (fflush(stdout) != 0)
			ret = CLI_REFUSED;
		json_decref(former);
		former = json_incref(answer.body);
		client_answer_fini(&answer);
		before = now;
		due += INTERVAL_MS / 1000.0;
	} while (ret == CLI_DONE && wait_until(signals, due));
	json_decref(former);
	return ret;
}

/* Shows what the path answers, once or with --watch. */
static int show_path(struct cli *cli, const struct grammar_call *call, const char *path,
		     void (*show)(const struct output_look *look))
{
	struct output_look look = {0};
	struct client_answer answer;
	sigset_t stops;
	int signals, ret;

	if (grammar_text(call, "watch") == NULL) {
		ret = client_get(cli->client, path, &answer);
		if (ret != CLI_DONE)
			return ret;
		look.body = answer.body;
		show(&look);
		client_answer_fini(&answer);
		return CLI_DONE;
	}
	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigprocmask(SIG_BLOCK, &stops, NULL);
	signals = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0) {
		cli_error("--watch cannot wait for signals: out of descriptors");
		return CLI_REFUSED;
	}
	ret = watch(cli, path, show, signals);
	close(signals);
	return ret;
}

int cmd_stats(struct cli *cli, const struct grammar_call *call)
{
	const char *kind = call->argument_count > 0 ? call->arguments[0] : NULL;
	const char *name = call->argument_count > 1 ? call->arguments[1] : NULL;
	char path[OBJECT_PATH_SIZE], error[VALUE_ERROR_SIZE];

	if (name != NULL && strcmp(kind, "port") != 0 &&
	    value_check(strcmp(kind, "tenant") == 0 ? VALUE_NAME : VALUE_SEGMENT, kind, name,
			error) < 0) {
		cli_error("%s", error);
		return CLI_REFUSED;
	}
	snprintf(path, sizeof(path), "/v1/stats%s%s%s%s%s", kind != NULL ? "/" : "",
		 kind != NULL ? kind : "", kind != NULL ? "s" : "", name != NULL ? "/" : "",
		 name != NULL ? name : "");
	return show_path(cli, call, path, cli->output->stats);
}

int cmd_drops(struct cli *cli, const struct grammar_call *call)
{
	return show_path(cli, call, "/v1/drops", cli->output->drops);
}
