/* SPDX-License-Identifier: Apache-2.0 */
#include "control/api.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/stats_layout.h"
#include "control/access.h"
#include "control/answer.h"
#include "control/reconcile.h"
#include "control/route.h"

#define BODY_SIZE_MAX (16u * 1024 * 1024)
/* Up to here a body is read to its end, so that the refusal is JSON like any other. */
#define BODY_SIZE_READ	(64u * 1024 * 1024)
#define HEADER_SIZE_MAX (64u * 1024)
#define TIMEOUT_SECONDS 30
#define LISTEN_BACKLOG	128
#define ALL_METHODS                                                                                \
	(EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH |  \
	 EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT)

struct api {
	struct event_base *base;
	struct evhttp *http;
	struct model *model;
	struct store *store;
	struct reconcile *reconcile;
	const struct access *access;
	char *socket_path;
	uint64_t started; /* CLOCK_BOOTTIME, ns */
};

struct arrival;

static int listen_unix(const char *path, int *fd);
static int replace_socket(const char *path, const struct sockaddr_un *address);
static int start_http(struct api *api, int fd);
static struct bufferevent *accept_connection(struct event_base *base, void *context);
static void check_peer(evutil_socket_t unused, short events, void *context);
static void send_away(evutil_socket_t fd, short events, void *context);
static void arrival_free(struct arrival *arrival);
static unsigned rights_of(const struct api *api, int fd);
static void handle_http(struct evhttp_request *http, void *context);
static void serve(struct api *api, struct evhttp_request *http, struct request *request);
static int dispatch(struct api *api, struct evhttp_request *http, struct request *request,
		    char **parts, size_t count);
static int check_rights(const struct api *api, struct evhttp_request *http,
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
	};
	result = listen_unix(options->socket_path, &fd);
	if (result < 0)
		goto free_api;
	made->socket_path = strdup(options->socket_path);
	result = made->socket_path != NULL ? start_http(made, fd) : -ENOMEM;
	if (result < 0)
		goto close_socket;
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
	evhttp_free(api->http);
	free(api->socket_path);
	free(api);
}

static int listen_unix(const char *path, int *fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int opened, result;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	result = replace_socket(path, &address);
	if (result < 0)
		return result;
	opened = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (opened < 0)
		return -errno;
	/* Everybody may connect: what they may do is decided by their credentials. */
	if (bind(opened, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(path, 0666) < 0 || listen(opened, LISTEN_BACKLOG) < 0) {
		result = -errno;
		close(opened);
		return result;
	}
	*fd = opened;
	return 0;
}

/* Removes a socket that a former daemon left; one that answers is in use. */
static int replace_socket(const char *path, const struct sockaddr_un *address)
{
	struct stat status;
	int fd, result = 0;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		result = -EADDRINUSE;
	else if (unlink(path) < 0 && errno != ENOENT)
		result = -errno;
	close(fd);
	return result;
}

/* Takes fd on success. */
static int start_http(struct api *api, int fd)
{
	api->http = evhttp_new(api->base);
	if (api->http == NULL)
		return -ENOMEM;
	evhttp_set_allowed_methods(api->http, ALL_METHODS);
	evhttp_set_max_body_size(api->http, BODY_SIZE_READ);
	evhttp_set_max_headers_size(api->http, HEADER_SIZE_MAX);
	evhttp_set_timeout(api->http, TIMEOUT_SECONDS);
	evhttp_set_default_content_type(api->http, NULL);
	evhttp_set_bevcb(api->http, accept_connection, api);
	evhttp_set_gencb(api->http, handle_http, api);
	if (evhttp_accept_socket_with_handle(api->http, fd) == NULL) {
		evhttp_free(api->http);
		return -ENOMEM;
	}
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
	struct api *api = context;
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
		serve(api, http, &request);
	answer_send(http, &request);
	evhttp_clear_headers(&query);
	json_decref(request.body);
	json_decref(request.answer);
}

/* Finds who answers, and lets him: afterwards the request has an answer or a problem. */
static void serve(struct api *api, struct evhttp_request *http, struct request *request)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
	char *parts[ROUTE_PARTS_MAX];
	size_t count = 0;

	if (split_path(path != NULL ? path : "", parts, &count) < 0) {
		problem_set(&request->problem, 404, "unknown-path", NULL,
			    "there is nothing at this address: see docs/api/openapi.yaml");
		count = 0;
	} else if (dispatch(api, http, request, parts, count) < 0) {
		request->status = 0;
		if (request->problem.status == 0)
			problem_set(&request->problem, 500, "no-memory", NULL,
				    "the daemon is out of memory: try again");
	}
	while (count > 0)
		free(parts[--count]);
}

static int dispatch(struct api *api, struct evhttp_request *http, struct request *request,
		    char **parts, size_t count)
{
	const char *method = method_name(http);
	char allow[ROUTE_ALLOW_SIZE];
	const struct route *route = route_find(method, parts, count, request->args, allow);

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
	if (check_rights(api, http, route, request) < 0 || check_queries(route, request) < 0 ||
	    check_conditions(http, route, request) < 0)
		return -EINVAL;
	if (route->has_body && read_body(http, request) < 0)
		return -EINVAL;
	return route->handle(request);
}

static int check_rights(const struct api *api, struct evhttp_request *http,
			const struct route *route, struct request *request)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(http);
	int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(connection));
	unsigned needed = route->changes ? ACCESS_CHANGE : ACCESS_READ;

	if ((rights_of(api, fd) & needed) != 0)
		return 0;
	return problem_set(&request->problem, 403, "forbidden", NULL,
			   route->changes ? "this user may not change the switch: be root or a "
					    "member of group " ACCESS_GROUP_CHANGE
					  : "this user may not read the switch: be a member of "
					    "group " ACCESS_GROUP_READ);
}

/* RFC 9110 section 13: If-Match for changes, If-None-Match only in its form for a new object. */
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
	request->must_be_new =
		request->is_put && none_match != NULL && strcmp(none_match, "*") == 0;
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

/* A parameter with a slip of the pen must not change what a request does. */
static int check_queries(const struct route *route, struct request *request)
{
	struct evkeyval *parameter;
	char word[64];

	TAILQ_FOREACH (parameter, request->query, next) {
		snprintf(word, sizeof(word), " %s ", parameter->key);
		if (route->queries == NULL || strstr(route->queries, word) == NULL)
			return problem_set(&request->problem, 400, "unknown-parameter", NULL,
					   "parameter \"%.40s\" is not for this address: leave it "
					   "out",
					   parameter->key);
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
