/* SPDX-License-Identifier: Apache-2.0 */
#include "control/answer.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/access.h"
#include "control/request.h"

#define PROBLEM_TYPE "application/problem+json"

static json_t *problem_json(const struct problem *problem);
static const char *reason_phrase(int status);
static void send_length(struct evkeyvalq *headers, char **text);
static void free_text(const void *text, size_t size, void *context);

void answer_send(struct evhttp_request *http, const struct request *request)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
	bool refused = request->problem.status != 0;
	json_t *json = refused ? problem_json(&request->problem) : json_incref(request->answer);
	int status = refused ? request->problem.status : request->status;
	struct evbuffer *body = evbuffer_new();
	char tag[32];
	char *text = NULL;

	snprintf(tag, sizeof(tag), "\"%" PRIu64 "\"", model_generation(request->model));
	evhttp_add_header(headers, "ETag", tag);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	if (json != NULL) {
		evhttp_add_header(headers, "Content-Type",
				  refused ? PROBLEM_TYPE : "application/json");
		text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12));
	}
	if (evhttp_request_get_command(http) == EVHTTP_REQ_HEAD)
		send_length(headers, &text);
	if (text != NULL &&
	    (body == NULL || evbuffer_add_reference(body, text, strlen(text), free_text, NULL) < 0))
		free(text);
	evhttp_send_reply(http, status, reason_phrase(status), body);
	if (body != NULL)
		evbuffer_free(body);
	json_decref(json);
}

void answer_forbidden(int fd)
{
	static const char body[] =
		"{\"type\":\"about:blank\",\"title\":\"Forbidden\",\"status\":403,"
		"\"code\":\"forbidden\",\"detail\":\"this user may not use the switch: be root, or "
		"a "
		"member of group " ACCESS_GROUP_CHANGE " or " ACCESS_GROUP_READ "\"}\n";
	char text[sizeof(body) + 256];
	int size = snprintf(text, sizeof(text),
			    "HTTP/1.1 403 Forbidden\r\nContent-Type: " PROBLEM_TYPE
			    "\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
			    sizeof(body) - 1, body);

	/* Who does not read it is gone, which is as well. */
	(void)!send(fd, text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static json_t *problem_json(const struct problem *problem)
{
	json_t *json = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title",
				 reason_phrase(problem->status), "status", problem->status, "code",
				 problem->code, "detail", problem->detail);

	if (problem->object[0] != '\0')
		json_object_set_new(json, "object", json_string(problem->object));
	if (problem->pointer[0] != '\0')
		json_object_set_new(json, "pointer", json_string(problem->pointer));
	return json;
}

static const char *reason_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {
		{200, "OK"},
		{201, "Created"},
		{204, "No Content"},
		{400, "Bad Request"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{409, "Conflict"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{503, "Service Unavailable"},
	};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "Internal Server Error";
}

/* HEAD: what GET would have sent is only measured (RFC 9110 section 9.3.2). */
static void send_length(struct evkeyvalq *headers, char **text)
{
	char length[32];

	snprintf(length, sizeof(length), "%zu", *text != NULL ? strlen(*text) : 0);
	evhttp_add_header(headers, "Content-Length", length);
	free(*text);
	*text = NULL;
}

static void free_text(const void *text, size_t size, void *context)
{
	(void)size;
	(void)context;
	free((void *)text);
}
