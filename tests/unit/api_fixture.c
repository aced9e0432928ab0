/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/api_fixture.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/api.h"
#include "control/model_edit.h"
#include "control/store.h"

#define DEADLINE_SECONDS 20

static void start(struct api_fixture *fixture);
static void stop(struct api_fixture *fixture);
static unsigned fixture_rights(void *context, int fd);
static time_t now(void);

int api_setup(void **state)
{
	struct api_fixture *fixture = calloc(1, sizeof(*fixture));

	signal(SIGPIPE, SIG_IGN);
	strcpy(fixture->dir, "/tmp/vswitch-api-XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	snprintf(fixture->socket_path, sizeof(fixture->socket_path), "%s/sock", fixture->dir);
	snprintf(fixture->state_dir, sizeof(fixture->state_dir), "%s/state", fixture->dir);
	fixture->access = (struct access){.rights = fixture_rights, .context = fixture};
	fixture->rights = ACCESS_READ | ACCESS_CHANGE;
	fixture->tcp_fd = -1;
	fixture->base = event_base_new();
	start(fixture);
	*state = fixture;
	return 0;
}

int api_teardown(void **state)
{
	struct api_fixture *fixture = *state;
	char path[160];

	stop(fixture);
	event_base_free(fixture->base);
	snprintf(path, sizeof(path), "%s/%s", fixture->state_dir, STORE_FILE);
	unlink(path);
	rmdir(fixture->state_dir);
	/* Nothing else may be left: neither the socket nor a log of the database. */
	assert_int_equal(rmdir(fixture->dir), 0);
	free(fixture);
	return 0;
}

void api_restart(struct api_fixture *fixture)
{
	stop(fixture);
	start(fixture);
}

int api_connect(const struct api_fixture *fixture)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, fixture->socket_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

void api_send(struct api_fixture *fixture, int fd, const void *data, size_t size)
{
	const char *next = data;
	time_t deadline = now() + DEADLINE_SECONDS;

	while (size > 0) {
		ssize_t sent = send(fd, next, size, MSG_NOSIGNAL);

		assert_true(now() < deadline);
		if (sent < 0 && errno != EAGAIN)
			return;
		if (sent > 0) {
			next += sent;
			size -= (size_t)sent;
		}
		event_base_loop(fixture->base, EVLOOP_NONBLOCK);
	}
}

struct api_answer api_receive(struct api_fixture *fixture, int fd)
{
	struct api_answer answer = {0};
	time_t deadline = now() + DEADLINE_SECONDS;
	size_t size = 0, capacity = 65536;
	const char *body;
	ssize_t got;

	answer.text = malloc(capacity);
	do {
		event_base_loop(fixture->base, EVLOOP_NONBLOCK);
		if (capacity - size < 65536) {
			capacity *= 2;
			answer.text = realloc(answer.text, capacity);
		}
		got = recv(fd, answer.text + size, capacity - size - 1, 0);
		if (got > 0)
			size += (size_t)got;
		assert_true(now() < deadline);
	} while (got > 0 || (got < 0 && errno == EAGAIN));
	close(fd);
	event_base_loop(fixture->base, EVLOOP_NONBLOCK);
	answer.text[size] = '\0';
	answer.status = strncmp(answer.text, "HTTP/1.1 ", 9) == 0
				? (int)strtol(answer.text + 9, NULL, 10)
				: 0;
	body = strstr(answer.text, "\r\n\r\n");
	if (body != NULL)
		answer.json = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
	return answer;
}

void api_answer_fini(struct api_answer *answer)
{
	free(answer->text);
	json_decref(answer->json);
}

struct api_answer api_request(struct api_fixture *fixture, const char *method, const char *path,
			      const char *headers, const char *body)
{
	size_t body_size = body != NULL ? strlen(body) : 0;
	size_t capacity = strlen(path) + strlen(headers) + body_size + 256;
	char *text = malloc(capacity);
	int fd = api_connect(fixture);
	int size = snprintf(text, capacity,
			    "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s"
			    "Content-Length: %zu\r\n\r\n%s",
			    method, path, headers, body_size, body != NULL ? body : "");

	api_send(fixture, fd, text, (size_t)size);
	free(text);
	return api_receive(fixture, fd);
}

void api_expect(struct api_fixture *fixture, int status, const char *method, const char *path,
		const char *body)
{
	struct api_answer answer = api_request(fixture, method, path, "", body);

	if (answer.status != status)
		print_error("%s %s %s\n%s\n", method, path, body != NULL ? body : "", answer.text);
	assert_int_equal(answer.status, status);
	api_answer_fini(&answer);
}

void api_refuse(struct api_fixture *fixture, int status, const char *code, const char *method,
		const char *path, const char *body)
{
	json_t *before = api_get(fixture, "/v1/config"), *after;
	uint64_t generation = model_generation(fixture->model);
	uint32_t apply_count = fixture->reconcile->apply_count;
	struct api_answer answer = api_request(fixture, method, path, "", body);
	const char *found = json_string_value(json_object_get(answer.json, "code"));

	if (answer.status != status || found == NULL || strcmp(found, code) != 0)
		print_error("%s %s %.300s: %d %s expected\n%s\n", method, path,
			    body != NULL ? body : "", status, code, answer.text);
	assert_int_equal(answer.status, status);
	assert_non_null(found);
	assert_string_equal(found, code);
	assert_int_equal(api_number(answer.json, "status"), status);
	assert_non_null(strstr(answer.text, "Content-Type: application/problem+json"));
	assert_true(strlen(api_text(answer.json, "detail")) > 10);
	after = api_get(fixture, "/v1/config");
	assert_true(json_equal(before, after));
	assert_int_equal(model_generation(fixture->model), generation);
	assert_int_equal(fixture->reconcile->apply_count, apply_count);
	json_decref(before);
	json_decref(after);
	api_answer_fini(&answer);
}

json_t *api_get(struct api_fixture *fixture, const char *path)
{
	struct api_answer answer = api_request(fixture, "GET", path, "", NULL);
	json_t *json = json_incref(answer.json);

	if (answer.status != 200)
		print_error("GET %s\n%s\n", path, answer.text);
	assert_int_equal(answer.status, 200);
	assert_non_null(json);
	api_answer_fini(&answer);
	return json;
}

const json_t *api_at(const json_t *json, const char *path)
{
	char name[128];

	while (json != NULL && *path != '\0') {
		size_t size = strcspn(path, ".");

		snprintf(name, sizeof(name), "%.*s", (int)size, path);
		json = json_is_array(json) ? json_array_get(json, strtoul(name, NULL, 10))
					   : json_object_get(json, name);
		path += size + (path[size] == '.');
	}
	return json;
}

const char *api_text(const json_t *json, const char *path)
{
	const char *text = json_string_value(api_at(json, path));

	if (text == NULL)
		print_error("no text %s\n", path);
	assert_non_null(text);
	return text;
}

long long api_number(const json_t *json, const char *path)
{
	const json_t *value = api_at(json, path);

	if (!json_is_integer(value))
		print_error("no number %s\n", path);
	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

void api_populate(struct api_fixture *fixture)
{
	static const char topology[] =
		"{\"version\":1,\"host\":{\"send-capacity\":\"10gbit\"},"
		"\"vtep\":{\"local\":\"172.31.0.1\"},"
		"\"tenants\":{"
		" \"acme\":{\"send\":\"1gbit\",\"segments\":{"
		"  \"web\":{\"vni\":5001,\"vlan\":100,\"peers\":[\"172.31.0.2\",\"172.31.0.3\"],"
		"   \"ports\":{\"web1\":{\"type\":\"tap\",\"netns\":\"web1\",\"ifname\":\"eth0\","
		"    \"ip\":\"10.0.0.1/24\",\"gateway\":\"10.0.0.254\"},"
		"    \"web2\":{\"type\":\"veth\",\"send\":\"10mbit\"}},"
		"   \"fdb\":{\"02:00:00:00:00:0a\":{\"port\":\"acme/web1\"},"
		"    \"02:00:00:00:00:0b\":{\"vtep\":\"172.31.0.2\"}}},"
		"  \"db\":{\"vlan\":200}},"
		" \"ports\":{\"both\":{\"type\":\"memory\",\"trunk\":[\"web=7\",\"db\"]}}},"
		" \"beta\":{\"segments\":{\"web\":{\"vni\":5002,\"ports\":{"
		"  \"web1\":{\"type\":\"tap\",\"netns\":\"beta1\",\"ifname\":\"eth0\","
		"   \"ip\":\"10.0.0.1/24\",\"admin\":\"down\"}}}}}},"
		"\"uplinks\":{\"up0\":{\"type\":\"veth\",\"trunk\":[\"acme/web\",\"beta/web=300\"],"
		" \"native\":\"acme/db\"}}}";

	api_expect(fixture, 200, "POST", "/v1/apply", topology);
}

static void start(struct api_fixture *fixture)
{
	struct api_options options = {.socket_path = fixture->socket_path,
				      .access = &fixture->access,
				      .tcp_fd = fixture->tcp_fd};
	char text[MODEL_TEXT_SIZE] = "";

	fixture->model = model_new();
	assert_int_equal(store_open(&fixture->store, fixture->state_dir, text), 0);
	if (store_load(fixture->store, fixture->model, text) != 0)
		fail_msg("%s", text);
	assert_int_equal(reconcile_new(&fixture->reconcile, fixture->base, fixture->model, NULL),
			 0);
	assert_int_equal(api_new(&fixture->api, fixture->base, fixture->model, fixture->store,
				 fixture->reconcile, &options),
			 0);
}

static void stop(struct api_fixture *fixture)
{
	api_free(fixture->api);
	reconcile_free(fixture->reconcile);
	store_free(fixture->store);
	model_free(fixture->model);
}

static unsigned fixture_rights(void *context, int fd)
{
	(void)fd;
	return ((struct api_fixture *)context)->rights;
}

static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}
