/* SPDX-License-Identifier: Apache-2.0 */
#include "control/api.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/stats_layout.h"
#include "control/access.h"
#include "control/answer.h"
#include "control/listen.h"
#include "control/reconcile.h"
#include "control/route.h"

#define BODY_SIZE_MAX (16u * 1024 * 1024)
/* Up to here a body is read to its end, so that the refusal is JSON like any other. */
#define BODY_SIZE_READ	(64u * 1024 * 1024)
#define BODY_SIZE_TCP	(64u * 1024) /* a GET has none */
#define HEADER_SIZE_MAX (64u * 1024)
#define TIMEOUT_SECONDS 30
#define ALL_METHODS                                                                                \
	(EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH |  \
	 EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT)

/* Where requests come in. */
struct entrance {
	struct api *api;
	struct evhttp *http;
	bool is_tcp; /* nobody knows who asks: for reading */
};

struct api {
	struct event_base *base;
	struct entrance unix_entrance, tcp_entrance;
	struct model *model;
	struct store *store;
	struct reconcile *reconcile;
	const struct access *access;
	char *socket_path;
	uint64_t started; /* CLOCK_BOOTTIME, ns */
};

struct arrival;

static int start_http(struct api *api, struct entrance *entrance, int fd);
static struct bufferevent *accept_connection(struct event_base *base, void *context);
static void check_peer(evutil_socket_t unused, short events, void *context);
static void send_away(evutil_socket_t fd, short events, void *context);
static void arrival_free(struct arrival *arrival);
static unsigned rights_of(const struct api *api, int fd);
static void handle_http(struct evhttp_request *http, void *context);
static void serve(const struct entrance *entrance, struct evhttp_request *http,
		  struct request *request);
static int dispatch(const struct entrance *entrance, struct evhttp_request *http,
		    struct request *request, char **parts, size_t count);
static int check_framing(struct evhttp_request *http, struct request *request);
static int check_entrance(const struct entrance *entrance, struct evhttp_request *http,
			  struct request *request);
static int check_rights(const struct entrance *entrance, struct evhttp_request *http,
			const struct route *route, struct request *request);
static int check_conditions(struct evhttp_request *http, const struct route *route,
			    struct request *request);
static bool etag_matches(const char *list, uint64_t generation);
static int check_queries(const struct route *route, struct request *request);
static int read_body(struct evhttp_request *http, struct request *request);
static int split_path(const char *path, char *parts[ROUTE_PARTS_MAX], size_t *count);
static const char *method_name(struct evhttp_request *http);

/* A connection that was accepted, whose descriptor is known a moment later. */
struct arrival {
	struct api *api;
	struct bufferevent *connection; /* held */
};

int api_new(struct api **api, struct event_base *base, struct model *model, struct store *store,
	    struct reconcile *reconcile, const struct api_options *options)
{
	struct api *made = calloc(1, sizeof(*made));
	struct timespec now;
	int result, fd;

	if (made == NULL)
		return -ENOMEM;
	clock_gettime(CLOCK_BOOTTIME, &now);
	*made = (struct api){
		.base = base,
		.model = model,
		.store = store,
		.reconcile = reconcile,
		.access = options->access,
		.started = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec,
		.tcp_entrance.is_tcp = true,
	};
	result = listen_unix(options->socket_path, &fd);
	if (result < 0)
		goto free_api;
	made->socket_path = strdup(options->socket_path);
	result = made->socket_path != NULL ? start_http(made, &made->unix_entrance, fd) : -ENOMEM;
	if (result < 0)
		goto close_socket;
	if (options->tcp_fd >= 0)
		result = start_http(made, &made->tcp_entrance, options->tcp_fd);
	if (result < 0) {
		api_free(made);
		return result;
	}
	*api = made;
	return 0;
close_socket:
	unlink(options->socket_path);
	close(fd);
	free(made->socket_path);
free_api:
	free(made);
	return result;
}

void api_free(struct api *api)
{
	if (api == NULL)
		return;
	unlink(api->socket_path);
	evhttp_free(api->unix_entrance.http);
	if (api->tcp_entrance.http != NULL)
		evhttp_free(api->tcp_entrance.http);
	free(api->socket_path);
	free(api);
}

/* Takes fd on success. */
static int start_http(struct api *api, struct entrance *entrance, int fd)
{
	struct evhttp *http = evhttp_new(api->base);

	if (http == NULL)
		return -ENOMEM;
	evhttp_set_allowed_methods(http, ALL_METHODS);
	evhttp_set_max_body_size(http, entrance->is_tcp ? BODY_SIZE_TCP : BODY_SIZE_READ);
	evhttp_set_max_headers_size(http, HEADER_SIZE_MAX);
	evhttp_set_timeout(http, TIMEOUT_SECONDS);
	evhttp_set_default_content_type(http, NULL);
	if (!entrance->is_tcp)
		evhttp_set_bevcb(http, accept_connection, api);
	evhttp_set_gencb(http, handle_http, entrance);
	if (evhttp_accept_socket_with_handle(http, fd) == NULL) {
		evhttp_free(http);
		return -ENOMEM;
	}
	entrance->api = api;
	entrance->http = http;
	return 0;
}

/*
 * Everybody may connect, so whoever has no rights is sent away before anything of theirs is read
 * or kept. The descriptor is not known here; the event below runs before the first read.
 */
static struct bufferevent *accept_connection(struct event_base *base, void *context)
{
	static const struct timeval at_once = {0};
	struct bufferevent *connection = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct arrival *arrival = malloc(sizeof(*arrival));

	if (connection == NULL || arrival == NULL) {
		free(arrival);
		return connection;
	}
	*arrival = (struct arrival){.api = context, .connection = connection};
	bufferevent_incref(connection);
	if (event_base_once(base, -1, EV_TIMEOUT, check_peer, arrival, &at_once) < 0) {
		bufferevent_decref(connection);
		free(arrival);
	}
	return connection;
}

static void check_peer(evutil_socket_t unused, short events, void *context)
{
	static const struct timeval patience = {.tv_sec = 1};
	struct arrival *arrival = context;
	int fd = bufferevent_getfd(arrival->connection);

	(void)unused;
	(void)events;
	if (fd < 0 || rights_of(arrival->api, fd) != 0) {
		arrival_free(arrival);
		return;
	}
	answer_forbidden(fd);
	bufferevent_disable(arrival->connection, EV_READ);
	/* Who asks on a connection that is closed already sees that, and not why. */
	if (event_base_once(arrival->api->base, fd, EV_READ, send_away, arrival, &patience) < 0)
		send_away(fd, EV_TIMEOUT, arrival);
}

/* The request has begun to come, or takes too long. What of it is here is answered again, to
 * nobody. */
static void send_away(evutil_socket_t fd, short events, void *context)
{
	struct arrival *arrival = context;

	(void)events;
	shutdown(fd, SHUT_RDWR);
	bufferevent_enable(arrival->connection, EV_READ);
	arrival_free(arrival);
}

static void arrival_free(struct arrival *arrival)
{
	bufferevent_decref(arrival->connection);
	free(arrival);
}

static unsigned rights_of(const struct api *api, int fd)
{
	if (api->access != NULL)
		return api->access->rights(api->access->context, fd);
	return access_rights(fd, ACCESS_GROUP_CHANGE, ACCESS_GROUP_READ);
}

static void handle_http(struct evhttp_request *http, void *context)
{
	const struct entrance *entrance = context;
	struct api *api = entrance->api;
	struct evkeyvalq query = {0};
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
	const char *text = uri != NULL ? evhttp_uri_get_query(uri) : NULL;
	struct request request = {
		.model = api->model,
		.store = api->store,
		.reconcile = api->reconcile,
		.started = api->started,
		.query = &query,
	};

	TAILQ_INIT(&query);
	problem_init(&request.problem);
	if (text != NULL && evhttp_parse_query_str(text, &query) < 0)
		problem_set(&request.problem, 400, "bad-parameter", NULL,
			    "the query of the address is ill-formed: write it as ?name=value");
	else
		serve(entrance, http, &request);
	answer_send(http, &request);
	evhttp_clear_headers(&query);
	json_decref(request.body);
	json_decref(request.answer);
}

/* Finds who answers, and lets him: afterwards the request has an answer or a problem. */
static void serve(const struct entrance *entrance, struct evhttp_request *http,
		  struct request *request)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
	char *parts[ROUTE_PARTS_MAX];
	size_t count = 0;

	if (split_path(path != NULL ? path : "", parts, &count) < 0) {
		problem_set(&request->problem, 404, "unknown-path", NULL,
			    "there is nothing at this address: see docs/api/openapi.yaml");
		count = 0;
	} else if (dispatch(entrance, http, request, parts, count) < 0) {
		request->status = 0;
		if (request->problem.status == 0)
			problem_set(&request->problem, 500, "no-memory", NULL,
				    "the daemon is out of memory: try again");
	}
	while (count > 0)
		free(parts[--count]);
}

static int dispatch(const struct entrance *entrance, struct evhttp_request *http,
		    struct request *request, char **parts, size_t count)
{
	const char *method = method_name(http);
	char allow[ROUTE_ALLOW_SIZE];
	const struct route *route = route_find(method, parts, count, request->args, allow);

	if (check_framing(http, request) < 0 || check_entrance(entrance, http, request) < 0)
		return -EINVAL;
	if (route == NULL && allow[0] == '\0')
		return problem_set(&request->problem, 404, "unknown-path", NULL,
				   "there is nothing at this address: see docs/api/openapi.yaml");
	if (route == NULL) {
		evhttp_add_header(evhttp_request_get_output_headers(http), "Allow", allow);
		return problem_set(&request->problem, 405, "unknown-method", NULL,
				   "method %s is not for this address: use one of %s", method,
				   allow);
	}
	request->is_put = strcmp(method, "PUT") == 0;
	request->is_patch = strcmp(method, "PATCH") == 0;
	request->is_delete = strcmp(method, "DELETE") == 0;
	if (check_rights(entrance, http, route, request) < 0 || check_queries(route, request) < 0 ||
	    check_conditions(http, route, request) < 0)
		return -EINVAL;
	if (route->has_body && read_body(http, request) < 0)
		return -EINVAL;
	return route->handle(request);
}

/*
 * RFC 9112 section 6.3: where a message ends must not be a matter of opinion. The connection ends
 * with the answer, since what follows cannot be believed.
 */
static int check_framing(struct evhttp_request *http, struct request *request)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(http);
	const char *length = NULL;
	struct evkeyval *header;
	bool clear = true;

	TAILQ_FOREACH (header, headers, next) {
		if (evutil_ascii_strcasecmp(header->key, "Content-Length") != 0)
			continue;
		clear = clear && (length == NULL || strcmp(length, header->value) == 0);
		length = header->value;
	}
	if (clear && (length == NULL || evhttp_find_header(headers, "Transfer-Encoding") == NULL))
		return 0;
	evhttp_add_header(evhttp_request_get_output_headers(http), "Connection", "close");
	return problem_set(&request->problem, 400, "bad-length", NULL,
			   "the request has two lengths: send one Content-Length, or chunks");
}

static int check_entrance(const struct entrance *entrance, struct evhttp_request *http,
			  struct request *request)
{
	enum evhttp_cmd_type method = evhttp_request_get_command(http);
	const char *host = evhttp_find_header(evhttp_request_get_input_headers(http), "Host");

	if (!entrance->is_tcp)
		return 0;
	if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD)
		return problem_set(&request->problem, 403, "read-only", NULL,
				   "the API is for reading over TCP, which does not tell who asks: "
				   "send changes to control.sock in the run directory");
	if (!listen_host_is_local(host))
		return problem_set(&request->problem, 403, "bad-host", NULL,
				   "the API is for this host alone: call it by its loopback "
				   "address, or localhost");
	return 0;
}

static int check_rights(const struct entrance *entrance, struct evhttp_request *http,
			const struct route *route, struct request *request)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(http);
	int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(connection));
	unsigned rights = entrance->is_tcp ? ACCESS_READ : rights_of(entrance->api, fd);

	if ((rights & (route->changes ? ACCESS_CHANGE : ACCESS_READ)) != 0)
		return 0;
	return problem_set(&request->problem, 403, "forbidden", NULL,
			   route->changes ? "this user may not change the switch: be root or a "
					    "member of group " ACCESS_GROUP_CHANGE
					  : "this user may not read the switch: be a member of "
					    "group " ACCESS_GROUP_READ);
}

/*
 * RFC 9110 section 13: If-Match for changes, If-None-Match only in its form for a new object.
 * Reading has no conditions: nothing of it is kept anywhere.
 */
static int check_conditions(struct evhttp_request *http, const struct route *route,
			    struct request *request)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(http);
	const char *match = evhttp_find_header(headers, "If-Match");
	const char *none_match = evhttp_find_header(headers, "If-None-Match");
	uint64_t generation = model_generation(request->model);

	if (route->changes && match != NULL && !etag_matches(match, generation))
		return problem_set(&request->problem, 412, "stale", NULL,
				   "the configuration is at generation %" PRIu64 ", not at the one "
				   "that If-Match asks for: read it again",
				   generation);
	if (route->changes && none_match != NULL &&
	    (!request->is_put || strcmp(none_match, "*") != 0))
		return problem_set(
			&request->problem, 400, "bad-condition", NULL,
			"If-None-Match is for PUT, and takes * (the object must be new): "
			"leave it out, or give If-Match a generation");
	request->must_be_new = request->is_put && none_match != NULL;
	request->must_exist = request->is_put && match != NULL && strchr(match, '*') != NULL;
	return 0;
}

/* A list of entity tags, compared strongly: W/"12" is not "12". */
static bool etag_matches(const char *list, uint64_t generation)
{
	char current[32];
	size_t size = (size_t)snprintf(current, sizeof(current), "\"%" PRIu64 "\"", generation);

	while (*list != '\0') {
		size_t token;

		list += strspn(list, ", \t");
		token = strcspn(list, ", \t");
		if ((token == 1 && *list == '*') ||
		    (token == size && memcmp(list, current, size) == 0))
			return true;
		list += token;
	}
	return false;
}

/* A parameter with a slip of the pen, or given twice, must not change what a request does. */
static int check_queries(const struct route *route, struct request *request)
{
	struct evkeyval *parameter, *other;
	char word[64];

	TAILQ_FOREACH (parameter, request->query, next) {
		snprintf(word, sizeof(word), " %s ", parameter->key);
		if (route->queries == NULL || strstr(route->queries, word) == NULL)
			return problem_set(&request->problem, 400, "unknown-parameter", NULL,
					   "parameter \"%.40s\" is not for this address: leave it "
					   "out",
					   parameter->key);
		for (other = TAILQ_NEXT(parameter, next); other != NULL;
		     other = TAILQ_NEXT(other, next)) {
			if (strcmp(other->key, parameter->key) == 0)
				return problem_set(&request->problem, 400, "bad-parameter", NULL,
						   "parameter %s is given twice: give it once",
						   parameter->key);
		}
	}
	return 0;
}

static int read_body(struct evhttp_request *http, struct request *request)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(http);
	size_t size = evbuffer_get_length(input);
	const char *text;
	json_error_t error;

	if (size > BODY_SIZE_MAX)
		return problem_set(&request->problem, 413, "too-large", NULL,
				   "the body has %zu octets, and %u are the most: send it in parts",
				   size, BODY_SIZE_MAX);
	text = size != 0 ? (const char *)evbuffer_pullup(input, -1) : "";
	request->body = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (request->body == NULL)
		return problem_set(&request->problem, 400,
				   json_error_code(&error) == json_error_duplicate_key
					   ? "duplicate-key"
					   : "malformed",
				   NULL, "the body is not valid JSON at line %d, column %d: %s",
				   error.line, error.column, error.text);
	if (!json_is_object(request->body))
		return problem_set(&request->problem, 400, "bad-type", NULL,
				   "the body must be a JSON object: write it as {...}");
	return 0;
}

/* Parts are decoded one by one, so that an encoded slash divides nothing. */
static int split_path(const char *path, char *parts[ROUTE_PARTS_MAX], size_t *count)
{
	size_t made = 0, size;
	char *encoded, *decoded;

	while (*path == '/' && made < ROUTE_PARTS_MAX) {
		size = strcspn(++path, "/");
		encoded = strndup(path, size);
		decoded = encoded != NULL ? evhttp_uridecode(encoded, 0, &size) : NULL;
		path += strcspn(path, "/");
		free(encoded);
		if (decoded == NULL)
			break;
		parts[made++] = decoded;
		if (strlen(decoded) != size)
			break;
	}
	if (*path == '\0' && made > 0 && strlen(parts[made - 1]) == size) {
		*count = made;
		return 0;
	}
	while (made > 0)
		free(parts[--made]);
	return -EINVAL;
}

static const char *method_name(struct evhttp_request *http)
{
	switch (evhttp_request_get_command(http)) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_OPTIONS:
		return "OPTIONS";
	case EVHTTP_REQ_TRACE:
		return "TRACE";
	case EVHTTP_REQ_CONNECT:
		return "CONNECT";
	}
	return "";
}
