/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "cli/cli.h"

#define TIMEOUT_DEFAULT 60.0	      /* seconds */
#define ANSWER_SIZE_MAX (512ul << 20) /* a table of a million addresses is a quarter of it */
#define URL_SIZE	1024

/* Of the longest path that a socket has, each character escaped. */
#define QUOTED_SIZE 256

struct client {
	CURL *curl;
	char *run_dir;
	char *socket;
};

struct buffer {
	char *data;
	size_t size;
};

struct client *client_new(const char *run_dir)
{
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->curl = curl_easy_init();
	client->run_dir = strdup(run_dir);
	if (asprintf(&client->socket, "%s/control.sock", run_dir) < 0)
		client->socket = NULL;
	if (client->curl == NULL || client->run_dir == NULL || client->socket == NULL) {
		client_free(client);
		return NULL;
	}
	return client;
}

void client_free(struct client *client)
{
	if (client == NULL)
		return;
	curl_easy_cleanup(client->curl);
	free(client->run_dir);
	free(client->socket);
	free(client);
}

static size_t store_body(char *data, size_t size, size_t count, void *user)
{
	struct buffer *buffer = user;
	char *grown;

	size *= count;
	if (size > ANSWER_SIZE_MAX - buffer->size)
		return 0;
	grown = realloc(buffer->data, buffer->size + size);
	if (grown == NULL)
		return 0;
	memcpy(grown + buffer->size, data, size);
	buffer->data = grown;
	buffer->size += size;
	return size;
}

/* Takes the generation from an ETag, which is "N". */
static size_t read_header(char *data, size_t size, size_t count, void *user)
{
	struct client_answer *answer = user;
	char line[64];

	size *= count;
	if (size > 5 && size < sizeof(line) && strncasecmp(data, "etag:", 5) == 0) {
		memcpy(line, data + 5, size - 5);
		line[size - 5] = '\0';
		answer->generation = strtoull(line + strspn(line, " \t\""), NULL, 10);
	}
	return size;
}

/* Says why there was no answer. */
static int report_failure(const struct client *client, CURLcode code)
{
	char run_dir[QUOTED_SIZE];
	long os_error = 0;

	curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &os_error);
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		if (os_error == EACCES || os_error == EPERM) {
			cli_error("%s may not be opened by this user: become root, or join group "
				  "vswitch",
				  client->socket);
			return CLI_REFUSED;
		}
		cli_error("no control daemon answers at %s: start it with 'vswitch-control "
			  "--run-dir %s'",
			  client->socket, cli_quote(client->run_dir, run_dir, sizeof(run_dir)));
		return CLI_NO_DAEMON;
	case CURLE_OPERATION_TIMEDOUT:
		cli_error("the control daemon at %s takes connections but does not answer: look "
			  "at its log, or restart it",
			  client->socket);
		return CLI_NO_DAEMON;
	case CURLE_WRITE_ERROR:
		cli_error("the answer of the control daemon is too large to hold: ask for less");
		return CLI_REFUSED;
	default:
		cli_error("the control daemon at %s went away before it answered (%s): ask again "
			  "what is so, with 'vswitchctl status'",
			  client->socket, curl_easy_strerror(code));
		return CLI_NO_DAEMON;
	}
}

static void set_options(struct client *client, const struct client_request *request,
			const char *text, struct curl_slist *headers, struct buffer *buffer,
			struct client_answer *answer)
{
	double timeout = request->timeout > 0 ? request->timeout : TIMEOUT_DEFAULT;
	char url[URL_SIZE];
	CURL *curl = client->curl;

	snprintf(url, sizeof(url), "http://localhost%s", request->path);
	curl_easy_reset(curl); /* keeps the connection */
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout * 1000) + 1);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, store_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, buffer);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, read_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
	if (text != NULL) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
	}
}

/* Headers of a request: the content type with a body, no "Expect: 100-continue", and the caller's.
 */
static struct curl_slist *make_headers(const struct client_request *request)
{
	const char *lines[] = {"Accept: application/json", "Expect:",
			       request->body != NULL ? "Content-Type: application/json" : NULL,
			       request->header};
	struct curl_slist *headers = NULL;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct curl_slist *longer;

		if (lines[i] == NULL)
			continue;
		longer = curl_slist_append(headers, lines[i]);
		if (longer == NULL) {
			curl_slist_free_all(headers);
			return NULL;
		}
		headers = longer;
	}
	return headers;
}

/* Reads what came as JSON, if it came. */
static int read_body(struct client *client, const struct buffer *buffer,
		     struct client_answer *answer)
{
	json_error_t error;

	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &answer->status);
	if (buffer->size == 0)
		return CLI_DONE;
	answer->body = json_loadb(buffer->data, buffer->size, JSON_DECODE_ANY, &error);
	if (answer->body == NULL && answer->status < 400) {
		cli_error("what answers at %s does not speak JSON (%s): is it vswitch-control?",
			  client->socket, error.text);
		return CLI_NO_DAEMON;
	}
	return CLI_DONE;
}

int client_send(struct client *client, const struct client_request *request,
		struct client_answer *answer)
{
	struct sockaddr_un address;
	struct buffer buffer = {0};
	struct curl_slist *headers = make_headers(request);
	char *text = request->body != NULL ? json_dumps(request->body, JSON_COMPACT) : NULL;
	CURLcode code;
	int ret;

	*answer = (struct client_answer){0};
	if (strlen(client->socket) >= sizeof(address.sun_path)) {
		cli_error("%s is too long for a socket: choose a shorter --run-dir",
			  client->socket);
		ret = CLI_REFUSED;
	} else if (headers == NULL || (request->body != NULL && text == NULL)) {
		cli_error("out of memory");
		ret = CLI_REFUSED;
	} else {
		set_options(client, request, text, headers, &buffer, answer);
		code = curl_easy_perform(client->curl);
		ret = code == CURLE_OK ? read_body(client, &buffer, answer)
				       : report_failure(client, code);
	}
	curl_slist_free_all(headers);
	free(buffer.data);
	free(text);
	if (ret != CLI_DONE)
		client_answer_fini(answer);
	return ret;
}

void client_answer_fini(struct client_answer *answer)
{
	json_decref(answer->body);
	answer->body = NULL;
}

int client_refused(const struct client_answer *answer)
{
	const char *detail = json_string_value(json_object_get(answer->body, "detail"));

	if (detail != NULL)
		cli_error("%s", detail);
	else
		cli_error("the control daemon refused with HTTP status %ld and no reason: look "
			  "at its log",
			  answer->status);
	return CLI_REFUSED;
}

int client_call(struct client *client, const struct client_request *request,
		struct client_answer *answer)
{
	int ret = client_send(client, request, answer);

	if (ret != CLI_DONE || answer->status < 400)
		return ret;
	ret = client_refused(answer);
	client_answer_fini(answer);
	return ret;
}

int client_get(struct client *client, const char *path, struct client_answer *answer)
{
	const struct client_request request = {.method = "GET", .path = path};

	return client_call(client, &request, answer);
}
