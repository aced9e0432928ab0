/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/effect.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/value.h"

#define RUN_DIR_SIZE 256 /* quoted: a socket's path is shorter */
/* How often to look: most changes are in effect within milliseconds, some within seconds. */
#define POLL_INTERVAL_NS     1000000L
#define POLL_INTERVAL_MAX_NS 16000000L
#define VTEP_PATH	     "/v1/vtep"
#define POLL_TIMEOUT	     5.0 /* seconds that one answer may take */

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int get(const struct cli *cli, const char *path, struct client_answer *answer)
{
	const struct client_request request = {
		.method = "GET", .path = path, .timeout = POLL_TIMEOUT};

	return client_call(cli->client, &request, answer);
}

bool effect_waits(const json_t *object, const char **reason)
{
	const json_t *status = json_object_get(object, "status");
	const char *state = json_string_value(json_object_get(status, "state"));
	const char *text = json_string_value(json_object_get(status, "reason"));

	*reason = text != NULL && text[0] != '\0' ? text : "it is not attached yet";
	return state != NULL && strcmp(state, "waiting") == 0;
}

/* Says in text why the generation is not in effect; leaves it empty when it is. */
static int look_at_generation(const struct cli *cli, uint64_t generation,
			      char text[VALUE_ERROR_SIZE])
{
	struct client_answer answer;
	uint64_t applied;
	const char *state, *problem;
	char run_dir[RUN_DIR_SIZE];
	int ret = get(cli, "/v1/status", &answer);

	if (ret != CLI_DONE)
		return ret;
	applied = (uint64_t)json_integer_value(json_object_get(answer.body, "applied-generation"));
	state = json_string_value(
		json_object_get(json_object_get(answer.body, "datapath"), "state"));
	problem = json_string_value(json_array_get(json_object_get(answer.body, "problems"), 0));
	text[0] = '\0';
	if (state != NULL && strcmp(state, "connected") != 0)
		snprintf(text, VALUE_ERROR_SIZE,
			 "no datapath is running: start it with 'vswitch-datapath --run-dir %s'",
			 cli_quote(cli->run_dir, run_dir, sizeof(run_dir)));
	else if (applied < generation && problem != NULL)
		snprintf(text, VALUE_ERROR_SIZE, "%s", problem);
	else if (applied < generation)
		snprintf(text, VALUE_ERROR_SIZE,
			 "the switch is at generation %" PRIu64 " and this is %" PRIu64
			 ": see 'vswitchctl status'",
			 applied, generation);
	client_answer_fini(&answer);
	return CLI_DONE;
}

static int look_at_object(const struct cli *cli, const char *path, char text[VALUE_ERROR_SIZE])
{
	struct client_answer answer;
	const char *reason;
	int ret = get(cli, path, &answer);

	if (ret != CLI_DONE)
		return ret;
	text[0] = '\0';
	if (effect_waits(answer.body, &reason))
		snprintf(text, VALUE_ERROR_SIZE, "the %s waits: %s",
			 strcmp(path, VTEP_PATH) == 0 ? "vtep" : "port", reason);
	client_answer_fini(&answer);
	return CLI_DONE;
}

static int look_at_ports(const struct cli *cli, const json_t *names, char text[VALUE_ERROR_SIZE])
{
	struct client_answer answer;
	const char *reason, *name, *first_name = NULL, *first_reason = NULL;
	size_t index, count = 0;
	json_t *port;
	int ret = get(cli, "/v1/ports", &answer);

	if (ret != CLI_DONE)
		return ret;
	json_array_foreach (json_object_get(answer.body, "ports"), index, port) {
		name = json_string_value(json_object_get(port, "name"));
		if (name == NULL || json_object_get(names, name) == NULL ||
		    !effect_waits(port, &reason))
			continue;
		if (count++ == 0) {
			first_name = name;
			first_reason = reason;
		}
	}
	text[0] = '\0';
	if (count == 1)
		snprintf(text, VALUE_ERROR_SIZE, "port %s waits: %s", first_name, first_reason);
	else if (count > 1)
		snprintf(text, VALUE_ERROR_SIZE,
			 "port %s waits: %s; so do %zu more, which 'vswitchctl status' lists",
			 first_name, first_reason, count - 1);
	client_answer_fini(&answer);
	return CLI_DONE;
}

/* Returns as effect_wait() does, with what the change waits for in text. */
static int look(const struct cli *cli, const struct effect *effect, char text[VALUE_ERROR_SIZE])
{
	struct timespec interval = {.tv_nsec = POLL_INTERVAL_NS};
	double deadline = now_seconds() + cli->wait;
	int ret;

	for (;;) {
		ret = look_at_generation(cli, effect->generation, text);
		if (ret == CLI_DONE && text[0] == '\0' && effect->object != NULL)
			ret = look_at_object(cli, effect->object, text);
		if (ret == CLI_DONE && text[0] == '\0' && effect->vtep)
			ret = look_at_object(cli, VTEP_PATH, text);
		if (ret == CLI_DONE && text[0] == '\0' && effect->ports != NULL)
			ret = look_at_ports(cli, effect->ports, text);
		if (ret != CLI_DONE || text[0] == '\0')
			return ret;
		if (now_seconds() >= deadline)
			return CLI_NOT_IN_EFFECT;
		nanosleep(&interval, NULL);
		if (interval.tv_nsec < POLL_INTERVAL_MAX_NS)
			interval.tv_nsec *= 2;
	}
}

int effect_wait(const struct cli *cli, const struct effect *effect)
{
	char text[VALUE_ERROR_SIZE];
	int ret = look(cli, effect, text);

	if (ret == CLI_NOT_IN_EFFECT)
		cli_error("accepted, but not in effect after %g s: %s", cli->wait, text);
	return ret;
}
