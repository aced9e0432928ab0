/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "common/rate.h"
#include "control/capture_files.h"
#include "control/json_object.h"
#include "control/json_read.h"

static int refuse(const char *key, struct problem *problem);
static int read_file(const json_t *json, const char *key, char file[MODEL_FILE_SIZE],
		     struct problem *problem);
static int read_replay(const json_t *json, uint64_t *rate, struct problem *problem);

int json_pcap_read(const json_t *json, struct model_port *values, struct problem *problem)
{
	static const char *const keys[] = {"read", "replay", "write", "write-limit"};
	uint64_t rate = PROTO_REPLAY_OWN;
	uint32_t limit = MODEL_RECORD_LIMIT_DEFAULT;

	if (values->type != MODEL_PORT_PCAP) {
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (json_read_has(json, keys[i]))
				return refuse(keys[i], problem);
		return 0;
	}
	if (read_file(json, "read", values->replay_file, problem) < 0 ||
	    read_file(json, "write", values->record_file, problem) < 0 ||
	    read_replay(json, &rate, problem) < 0 ||
	    json_read_number(json, "write-limit", 1, MODEL_RECORD_LIMIT_MAX, &limit, problem) < 0)
		return -EINVAL;
	if (values->replay_file[0] == '\0' && values->record_file[0] == '\0')
		return problem_set(problem, 400, "missing", "read",
				   "%s neither reads nor writes a file: give read, write, or both",
				   problem->object);
	if (strcmp(values->replay_file, values->record_file) == 0)
		return problem_set(problem, 400, "bad-value", "write",
				   "%s reads and writes the same file %s: write another",
				   problem->object, values->record_file);
	/* What concerns no file is not kept, so that a file that comes later finds the default. */
	values->replay_rate = values->replay_file[0] == '\0' ? PROTO_REPLAY_OWN : rate;
	values->record_limit = values->record_file[0] == '\0' ? MODEL_RECORD_LIMIT_DEFAULT : limit;
	return 0;
}

void json_pcap_write(json_t *json, const struct model_port *port)
{
	char text[RATE_TEXT_SIZE];

	if (port->replay_file[0] != '\0') {
		json_object_set_new(json, "read", json_string(port->replay_file));
		if (port->replay_rate == PROTO_REPLAY_OWN)
			strcpy(text, "own");
		else if (port->replay_rate == PROTO_REPLAY_MAX)
			strcpy(text, "max");
		else
			rate_format(port->replay_rate, text);
		json_object_set_new(json, "replay", json_string(text));
	}
	if (port->record_file[0] != '\0') {
		json_object_set_new(json, "write", json_string(port->record_file));
		json_object_set_new(json, "write-limit", json_integer(port->record_limit));
	}
}

static int refuse(const char *key, struct problem *problem)
{
	return problem_set(problem, 400, "no-file", key,
			   "%s is not of type pcap, and has no files: leave %s out",
			   problem->object, key);
}

/* A name, or an absolute path: where that leads only the reconciler knows. */
static int read_file(const json_t *json, const char *key, char file[MODEL_FILE_SIZE],
		     struct problem *problem)
{
	const char *text = NULL;

	if (json_read_text(json, key, &text, problem) < 0)
		return -EINVAL;
	if (text == NULL)
		return 0;
	if (text[0] == '/' ? strlen(text) >= MODEL_FILE_SIZE : !capture_files_valid(text))
		return problem_set(problem, 400, "bad-value", key,
				   "\"%.100s\" is no file for %s: give its name below pcap in the "
				   "state directory, at most 127 characters, of letters, digits, "
				   "'.', '_' and '-', with '/' between directories",
				   text, problem->object);
	memcpy(file, text, strlen(text) + 1);
	return 0;
}

static int read_replay(const json_t *json, uint64_t *rate, struct problem *problem)
{
	const char *text = NULL;
	uint64_t read;

	if (json_read_text(json, "replay", &text, problem) < 0)
		return -EINVAL;
	if (text == NULL || strcmp(text, "own") == 0)
		return 0;
	if (strcmp(text, "max") == 0) {
		*rate = PROTO_REPLAY_MAX;
		return 0;
	}
	if (rate_parse(text, &read) < 0 || read == 0)
		return problem_set(problem, 400, "bad-value", "replay",
				   "\"%.40s\" is no way to replay for %s: give own (the file's "
				   "time stamps), max, or a rate such as 10mbit",
				   text, problem->object);
	*rate = read;
	return 0;
}
