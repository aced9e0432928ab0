/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/model_edit.h"
#include "tests/unit/api_fixture.h"

static void expect_etag(const struct api_answer *answer, uint64_t generation)
{
	char line[64];

	snprintf(line, sizeof(line), "ETag: \"%" PRIu64 "\"\r\n", generation);
	assert_non_null(strstr(answer->text, line));
}

static void puts_create_and_repeat(void **state)
{
	struct api_fixture *fixture = *state;
	struct api_answer answer;

	answer = api_request(fixture, "PUT", "/v1/tenants/acme", "", "{\"send\":\"1000mbit\"}");
	assert_int_equal(answer.status, 201);
	expect_etag(&answer, 2);
	assert_string_equal(api_text(answer.json, "name"), "acme");
	assert_string_equal(api_text(answer.json, "send"), "1gbit");
	assert_string_equal(api_text(answer.json, "receive"), "none");
	assert_int_equal(api_number(answer.json, "generation"), 2);
	api_answer_fini(&answer);
	assert_int_equal(fixture->reconcile->apply_count, 1);
	assert_int_equal(fixture->reconcile->change_count, 1);
	assert_int_equal(fixture->reconcile->generation_seen, 2);
	assert_true(fixture->reconcile->changes[0].added);

	answer = api_request(fixture, "PUT", "/v1/tenants/acme", "", "{\"send\":\"1gbit\"}");
	assert_int_equal(answer.status, 200);
	expect_etag(&answer, 2);
	api_answer_fini(&answer);
	assert_int_equal(fixture->reconcile->apply_count, 1);

	/* PUT says all of it: what it leaves out takes its default. */
	answer = api_request(fixture, "PUT", "/v1/tenants/acme", "", "{\"receive\":\"5mbit\"}");
	assert_int_equal(answer.status, 200);
	expect_etag(&answer, 3);
	assert_string_equal(api_text(answer.json, "send"), "none");
	api_answer_fini(&answer);
}

static void patch_merges(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *json;

	api_refuse(fixture, 404, "not-found", "PATCH", "/v1/tenants/acme", "{}");
	api_expect(fixture, 201, "PUT", "/v1/tenants/acme",
		   "{\"send\":\"1gbit\",\"receive\":\"2gbit\"}");
	api_expect(fixture, 200, "PATCH", "/v1/tenants/acme", "{\"send\":\"3gbit\"}");
	json = api_get(fixture, "/v1/tenants/acme");
	assert_string_equal(api_text(json, "send"), "3gbit");
	assert_string_equal(api_text(json, "receive"), "2gbit");
	json_decref(json);
	api_expect(fixture, 200, "PATCH", "/v1/tenants/acme", "{\"send\":null}");
	json = api_get(fixture, "/v1/tenants/acme");
	assert_string_equal(api_text(json, "send"), "none");
	assert_string_equal(api_text(json, "receive"), "2gbit");
	json_decref(json);
}

/* A port's own forms of membership are merged by their meaning. */
static void patch_moves_ports(void **state)
{
	struct api_fixture *fixture = *state;
	static const char path[] = "/v1/tenants/acme/ports/web2";
	json_t *json;

	api_populate(fixture);
	api_expect(fixture, 200, "PATCH", path, "{\"trunk\":[\"db=12\"]}");
	json = api_get(fixture, path);
	assert_string_equal(api_text(json, "native"), "web");
	assert_string_equal(api_text(json, "trunk.0"), "db=12");
	assert_null(json_object_get(json, "segment"));
	json_decref(json);
	api_expect(fixture, 200, "PATCH", path, "{\"segment\":\"acme/db\"}");
	json = api_get(fixture, path);
	assert_string_equal(api_text(json, "segment"), "db");
	assert_null(json_object_get(json, "trunk"));
	assert_null(json_object_get(json, "native"));
	json_decref(json);
}

static void every_object_goes_back(void **state)
{
	static const char *const paths[] = {
		"/v1/host",
		"/v1/vtep",
		"/v1/tenants/acme",
		"/v1/tenants/acme/segments/web",
		"/v1/tenants/acme/segments/db",
		"/v1/tenants/beta/segments/web",
		"/v1/tenants/acme/ports/web1",
		"/v1/tenants/acme/ports/web2",
		"/v1/tenants/acme/ports/both",
		"/v1/tenants/beta/ports/web1",
		"/v1/uplinks/up0",
	};
	struct api_fixture *fixture = *state;
	uint64_t generation;

	api_populate(fixture);
	generation = model_generation(fixture->model);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		json_t *json = api_get(fixture, paths[i]);
		char *text = json_dumps(json, 0);

		api_expect(fixture, 200, "PUT", paths[i], text);
		api_expect(fixture, 200, "PATCH", paths[i], text);
		api_expect(fixture, 200, "PATCH", paths[i], "{}");
		assert_int_equal(model_generation(fixture->model), generation);
		free(text);
		json_decref(json);
	}
}

static void conditions_are_kept(void **state)
{
	struct api_fixture *fixture = *state;
	static const struct {
		const char *method, *header, *body;
		int status;
	} cases[] = {
		{"PUT", "If-None-Match: *\r\n", "{\"send\":\"1gbit\"}", 201},
		{"PUT", "If-None-Match: *\r\n", "{\"send\":\"1gbit\"}", 200},
		{"PUT", "If-None-Match: *\r\n", "{\"send\":\"2gbit\"}", 412},
		{"PUT", "If-None-Match: *\r\n", "{}", 412},
		{"PATCH", "If-Match: \"1\"\r\n", "{\"send\":\"2gbit\"}", 412},
		{"PATCH", "If-Match: W/\"2\"\r\n", "{\"send\":\"2gbit\"}", 412},
		{"PATCH", "If-Match: 2\r\n", "{\"send\":\"2gbit\"}", 412},
		{"PATCH", "If-Match: \"22\"\r\n", "{\"send\":\"2gbit\"}", 412},
		{"DELETE", "If-Match: \"1\"\r\n", NULL, 412},
		{"PATCH", "If-Match: \"1\", \"2\"\r\n", "{\"send\":\"2gbit\"}", 200},
		{"PATCH", "If-Match: *\r\n", "{\"send\":\"3gbit\"}", 200},
		{"DELETE", "If-Match: \"4\"\r\n", NULL, 204},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct api_answer answer = api_request(fixture, cases[i].method, "/v1/tenants/acme",
						       cases[i].header, cases[i].body);

		if (answer.status != cases[i].status)
			print_error("case %zu: %s\n", i, answer.text);
		assert_int_equal(answer.status, cases[i].status);
		api_answer_fini(&answer);
	}
	api_expect(fixture, 404, "GET", "/v1/tenants/acme", NULL);
}

static void deletes_refuse_what_holds_others(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *json;

	api_populate(fixture);
	api_refuse(fixture, 409, "in-use", "DELETE", "/v1/tenants/acme", NULL);
	api_refuse(fixture, 409, "in-use", "DELETE", "/v1/tenants/acme/segments/web", NULL);
	api_refuse(fixture, 409, "in-use", "DELETE", "/v1/tenants/acme/ports/web1", NULL);
	api_refuse(fixture, 409, "in-use", "DELETE", "/v1/tenants/acme?recursive=false", NULL);
	api_refuse(fixture, 400, "bad-parameter", "DELETE", "/v1/tenants/acme?recursive=yes", NULL);
	api_refuse(fixture, 400, "unknown-parameter", "DELETE", "/v1/tenants/acme?recursiv=true",
		   NULL);
	api_expect(fixture, 204, "DELETE", "/v1/tenants/acme/ports/web1?recursive=true", NULL);
	api_expect(fixture, 204, "DELETE", "/v1/tenants/acme/segments/web?recursive=true", NULL);
	api_expect(fixture, 404, "GET", "/v1/tenants/acme/ports/web2", NULL);
	/* The trunk port and the uplink lose the segment and stay. */
	json = api_get(fixture, "/v1/tenants/acme/ports/both");
	assert_int_equal(json_array_size(json_object_get(json, "trunk")), 1);
	assert_string_equal(api_text(json, "trunk.0"), "db");
	json_decref(json);
	json = api_get(fixture, "/v1/uplinks/up0");
	assert_int_equal(json_array_size(json_object_get(json, "trunk")), 1);
	assert_string_equal(api_text(json, "trunk.0"), "beta/web=300");
	json_decref(json);
	api_expect(fixture, 204, "DELETE", "/v1/tenants/acme?recursive=true", NULL);
	api_refuse(fixture, 404, "not-found", "DELETE", "/v1/tenants/acme", NULL);
	json = api_get(fixture, "/v1/uplinks/up0");
	assert_null(json_object_get(json, "native"));
	json_decref(json);
	api_expect(fixture, 204, "DELETE", "/v1/uplinks/up0", NULL);
	api_expect(fixture, 204, "DELETE", "/v1/vtep", NULL);
	api_refuse(fixture, 404, "not-found", "DELETE", "/v1/vtep", NULL);
	json = api_get(fixture, "/v1/config");
	assert_int_equal(json_object_size(json_object_get(json, "tenants")), 1);
	json_decref(json);
}

static void peers_come_and_go(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *json;

	api_populate(fixture);
	api_expect(fixture, 201, "PUT", "/v1/tenants/beta/segments/web/peers/172.31.0.9", NULL);
	api_expect(fixture, 200, "PUT", "/v1/tenants/beta/segments/web/peers/172.31.0.9", NULL);
	api_refuse(fixture, 409, "no-vni", "PUT", "/v1/tenants/acme/segments/db/peers/172.31.0.9",
		   NULL);
	api_refuse(fixture, 409, "peer-is-local", "PUT",
		   "/v1/tenants/beta/segments/web/peers/172.31.0.1", NULL);
	json = api_get(fixture, "/v1/tenants/beta/segments/web");
	assert_string_equal(api_text(json, "peers.0"), "172.31.0.9");
	json_decref(json);
	/* A static entry leads there. */
	api_refuse(fixture, 409, "not-a-peer", "DELETE",
		   "/v1/tenants/acme/segments/web/peers/172.31.0.2", NULL);
	api_expect(fixture, 204, "DELETE", "/v1/tenants/acme/segments/web/peers/172.31.0.3", NULL);
	api_refuse(fixture, 404, "not-found", "DELETE",
		   "/v1/tenants/acme/segments/web/peers/172.31.0.3", NULL);
	api_refuse(fixture, 409, "peer-is-local", "PUT", "/v1/vtep", "{\"local\":\"172.31.0.9\"}");
	api_expect(fixture, 204, "DELETE", "/v1/tenants/beta/segments/web/peers/172.31.0.9", NULL);
	api_expect(fixture, 200, "PUT", "/v1/vtep", "{\"local\":\"172.31.0.9\"}");
}

/* Rights come from the connection, and are asked for at each request. */
static void rights_decide(void **state)
{
	struct api_fixture *fixture = *state;
	struct api_answer answer;
	char request[256];
	int fd;

	api_populate(fixture);
	fixture->rights = ACCESS_READ;
	api_expect(fixture, 200, "GET", "/v1/config", NULL);
	api_refuse(fixture, 403, "forbidden", "PUT", "/v1/tenants/x", "{}");
	api_refuse(fixture, 403, "forbidden", "PATCH", "/v1/host", "{}");
	api_refuse(fixture, 403, "forbidden", "DELETE", "/v1/tenants/acme", NULL);
	api_refuse(fixture, 403, "forbidden", "POST", "/v1/apply?dry-run=true", "{\"version\":1}");
	api_refuse(fixture, 403, "forbidden", "POST", "/v1/fdb/flush", "{\"all\":true}");
	assert_int_equal(fixture->reconcile->flush_count, 0);

	/* Without any, the answer comes before anything is read. */
	fixture->rights = 0;
	fd = api_connect(fixture);
	answer = api_receive(fixture, fd);
	assert_int_equal(answer.status, 403);
	assert_string_equal(api_text(answer.json, "code"), "forbidden");
	api_answer_fini(&answer);
	fd = api_connect(fixture);
	strcpy(request, "DELETE /v1/tenants/beta?recursive=true HTTP/1.1\r\n\r\n");
	api_send(fixture, fd, request, strlen(request));
	answer = api_receive(fixture, fd);
	assert_int_equal(answer.status, 403);
	assert_null(strstr(answer.text + 1, "HTTP/1.1"));
	api_answer_fini(&answer);

	fixture->rights = ACCESS_READ | ACCESS_CHANGE;
	api_expect(fixture, 200, "GET", "/v1/tenants/beta", NULL);
}

static void addresses_and_methods(void **state)
{
	struct api_fixture *fixture = *state;
	struct api_answer answer;

	api_refuse(fixture, 404, "unknown-path", "GET", "/", NULL);
	api_refuse(fixture, 404, "unknown-path", "GET", "/v1", NULL);
	api_refuse(fixture, 404, "unknown-path", "GET", "/v2/status", NULL);
	api_refuse(fixture, 404, "unknown-path", "GET", "/v1/status/", NULL);
	api_refuse(fixture, 404, "unknown-path", "GET", "/v1/a/b/c/d/e/f/g/h/i/j/k", NULL);
	api_refuse(fixture, 404, "unknown-path", "GET", "/v1/stat%00us", NULL);
	api_refuse(fixture, 404, "unknown-path", "GET", "//v1/status", NULL);
	answer = api_request(fixture, "POST", "/v1/tenants/acme", "", "{}");
	assert_int_equal(answer.status, 405);
	assert_non_null(strstr(answer.text, "Allow: GET, HEAD, PUT, PATCH, DELETE\r\n"));
	api_answer_fini(&answer);
	answer = api_request(fixture, "HEAD", "/v1/status", "", NULL);
	assert_int_equal(answer.status, 200);
	assert_string_equal(strstr(answer.text, "\r\n\r\n"), "\r\n\r\n");
	api_answer_fini(&answer);
	/* An encoded slash divides nothing; an encoded letter is that letter. */
	api_refuse(fixture, 400, "bad-name", "PUT", "/v1/tenants/a%2Fb", "{}");
	api_expect(fixture, 201, "PUT", "/v1/tenants/%61cme", "{}");
	api_expect(fixture, 200, "GET", "/v1/tenants/acme", NULL);
}

static void survives_what_is_no_request(void **state)
{
	static const char *const texts[] = {
		"",
		"\r\n\r\n",
		"GARBAGE\r\n\r\n",
		"GET\r\n\r\n",
		"GET /v1/status\r\n\r\n",
		"GET /v1/status HTTP/9.9\r\n\r\n",
		"BREW /v1/status HTTP/1.1\r\n\r\n",
		"GET http://[ HTTP/1.1\r\n\r\n",
		"GET /v1/status HTTP/1.1\r\nno colon\r\n\r\n",
		"PUT /v1/tenants/x HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}",
		"PUT /v1/tenants/x HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
		"PUT /v1/tenants/x HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"send\":",
		"PUT /v1/tenants/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"PUT /v1/tenants/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	};
	struct api_fixture *fixture = *state;
	char header[70000];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct api_answer answer;
		int fd = api_connect(fixture);

		api_send(fixture, fd, texts[i], strlen(texts[i]));
		shutdown(fd, SHUT_WR);
		answer = api_receive(fixture, fd);
		assert_true(answer.status == 0 || answer.status >= 400 ||
			    (i == 4 || i == 5)); /* libevent answers these as HTTP/1.0 and 1.1 */
		api_answer_fini(&answer);
		assert_int_equal(model_generation(fixture->model), 1);
	}
	memset(header, 'x', sizeof(header));
	header[0] = 'X';
	header[1] = ':';
	snprintf(header + sizeof(header) - 3, 3, "\r\n");
	{
		struct api_answer answer =
			api_request(fixture, "PUT", "/v1/tenants/x", header, "{}");

		assert_true(answer.status == 0 || answer.status >= 400);
		api_answer_fini(&answer);
	}
	assert_int_equal(model_generation(fixture->model), 1);
	api_expect(fixture, 200, "GET", "/v1/status", NULL);
}

static void bodies_are_bounded(void **state)
{
	struct api_fixture *fixture = *state;
	size_t most = 16u * 1024 * 1024;
	char *body = malloc(most + 2);
	struct api_answer answer;
	int fd;

	memset(body, ' ', most + 1);
	body[most + 1] = '\0';
	memcpy(body, "{}", 2);
	api_refuse(fixture, 413, "too-large", "PUT", "/v1/tenants/acme", body);
	body[most] = '\0';
	api_expect(fixture, 201, "PUT", "/v1/tenants/acme", body);
	free(body);

	/* Far beyond, it is refused by what it says that it will send. */
	fd = api_connect(fixture);
	body = strdup("PUT /v1/tenants/beta HTTP/1.1\r\nContent-Length: 70000000\r\n\r\n{}");
	api_send(fixture, fd, body, strlen(body));
	shutdown(fd, SHUT_WR);
	answer = api_receive(fixture, fd);
	assert_int_equal(answer.status, 413);
	api_answer_fini(&answer);
	free(body);
	api_expect(fixture, 404, "GET", "/v1/tenants/beta", NULL);
}

/* Several requests on one connection, and a client that leaves before its answer. */
static void connections_are_kept_and_lost(void **state)
{
	static const char two[] = "PUT /v1/tenants/a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
				  "PUT /v1/tenants/b HTTP/1.1\r\nContent-Length: 2\r\n"
				  "Connection: close\r\n\r\n{}";
	struct api_fixture *fixture = *state;
	struct api_answer answer;
	const char *second;
	int fd = api_connect(fixture);

	api_send(fixture, fd, two, strlen(two));
	answer = api_receive(fixture, fd);
	assert_int_equal(answer.status, 201);
	second = strstr(answer.text + 1, "HTTP/1.1 201");
	assert_non_null(second);
	api_answer_fini(&answer);
	for (int i = 0; i < 20; i++) {
		fd = api_connect(fixture);
		api_send(fixture, fd, two, strlen(two) - (size_t)i);
		close(fd);
	}
	api_expect(fixture, 200, "GET", "/v1/tenants/b", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(puts_create_and_repeat, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(patch_merges, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(patch_moves_ports, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(every_object_goes_back, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(conditions_are_kept, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(deletes_refuse_what_holds_others, api_setup,
						api_teardown),
		cmocka_unit_test_setup_teardown(peers_come_and_go, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(rights_decide, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(addresses_and_methods, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(survives_what_is_no_request, api_setup,
						api_teardown),
		cmocka_unit_test_setup_teardown(bodies_are_bounded, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(connections_are_kept_and_lost, api_setup,
						api_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
