/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What callers meet at the API's edges: requests that say a thing twice or not at all, conditions,
 * what a port may be, what is refused before it is tried, and reading over TCP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/listen.h"
#include "tests/unit/api_fixture.h"

#define ACME "/v1/tenants/acme"
#define WEB2 ACME "/ports/web2"

static int setup(void **state)
{
	api_setup(state);
	api_populate(*state);
	return 0;
}

/* A request with these headers gets this status and code, and changes nothing. */
static void expect_code(struct api_fixture *fixture, const char *method, const char *path,
			const char *headers, int status, const char *code)
{
	uint64_t generation = model_generation(fixture->model);
	struct api_answer answer =
		api_request(fixture, method, path, headers, "{\"send\":\"7gbit\"}");

	if (answer.status != status)
		print_error("%s %s %s\n%s\n", method, path, headers, answer.text);
	assert_int_equal(answer.status, status);
	assert_string_equal(api_text(answer.json, "code"), code);
	assert_int_equal(model_generation(fixture->model), generation);
	api_answer_fini(&answer);
}

static struct api_answer send_text(struct api_fixture *fixture, const char *text)
{
	int fd = api_connect(fixture);

	api_send(fixture, fd, text, strlen(text));
	shutdown(fd, SHUT_WR);
	return api_receive(fixture, fd);
}

static void expect_text(struct api_fixture *fixture, const char *path, const char *member,
			const char *text)
{
	json_t *json = api_get(fixture, path);

	assert_string_equal(api_text(json, member), text);
	json_decref(json);
}

static void nothing_is_said_twice(void **state)
{
	struct api_fixture *fixture = *state;

	api_refuse(fixture, 400, "bad-parameter", "DELETE", ACME "?recursive=true&recursive=false",
		   NULL);
	api_refuse(fixture, 400, "bad-parameter", "DELETE", ACME "?recursive=true&recursive=true",
		   NULL);
	api_refuse(fixture, 400, "bad-parameter", "GET", "/v1/fdb?segment=acme/web&segment=acme/db",
		   NULL);
	api_refuse(fixture, 400, "bad-parameter", "POST",
		   "/v1/apply?prune=true&dry-run=true&prune=true", "{\"version\":1}");
	api_expect(fixture, 200, "POST", "/v1/apply?prune=false&dry-run=true", "{\"version\":1}");
}

/* Two lengths of one body: what follows on the connection would be anybody's guess. */
static void lengths_are_clear(void **state)
{
	static const struct {
		int status;
		const char *headers, *body;
	} cases[] = {
		{400, "Content-Length: 2\r\nContent-Length: 3\r\n", "{}\n"},
		{400, "content-length: 2\r\nContent-Length: 02\r\n", "{}"},
		{400, "Content-Length: 2, 2\r\n", "{}"},
		{400, "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
		 "2\r\n{}\r\n0\r\n\r\n"},
		{200, "Content-Length: 2\r\nContent-Length: 2\r\n", "{}"},
		{200, "Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"},
		{413, "Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"},
		{0, "Content-Length: 100\r\n", "{\"send\""},
	};
	struct api_fixture *fixture = *state;
	struct api_answer answer;
	char text[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t generation = model_generation(fixture->model);

		/* The second request is served only after one whose end is clear. */
		snprintf(text, sizeof(text),
			 "PUT " ACME " HTTP/1.1\r\n%s\r\n%sGET " ACME " HTTP/1.1\r\n"
			 "Connection: close\r\n\r\n",
			 cases[i].headers, cases[i].body);
		if (cases[i].status == 0)
			*(strstr(text, "GET")) = '\0';
		answer = send_text(fixture, text);
		if (answer.status != cases[i].status)
			print_error("case %zu: %s\n", i, answer.text);
		assert_int_equal(answer.status, cases[i].status);
		if (answer.status != 0)
			assert_int_equal(strstr(answer.text + 1, "HTTP/1.1 2") != NULL,
					 answer.status == 200);
		if (i < 2)
			assert_non_null(strstr(answer.text, "\"bad-length\""));
		if (answer.status != 200)
			assert_int_equal(model_generation(fixture->model), generation);
		api_answer_fini(&answer);
	}
}

static void conditions_mean_what_they_say(void **state)
{
	struct api_fixture *fixture = *state;

	expect_code(fixture, "PUT", "/v1/tenants/new", "If-Match: *\r\n", 412, "not-found");
	expect_code(fixture, "PUT", "/v1/tenants/new", "If-Match: \"1\", *\r\n", 412, "not-found");
	expect_code(fixture, "PATCH", "/v1/tenants/new", "If-Match: *\r\n", 404, "not-found");
	expect_code(fixture, "DELETE", "/v1/tenants/new", "If-Match: *\r\n", 404, "not-found");
	expect_code(fixture, "PUT", ACME, "If-None-Match: \"1\"\r\n", 400, "bad-condition");
	expect_code(fixture, "PUT", ACME, "If-None-Match: *, *\r\n", 400, "bad-condition");
	expect_code(fixture, "PATCH", ACME, "If-None-Match: *\r\n", 400, "bad-condition");
	expect_code(fixture, "DELETE", ACME, "If-None-Match: *\r\n", 400, "bad-condition");
	api_expect(fixture, 404, "GET", "/v1/tenants/new", NULL);
}

/* A way out that is named exists. */
static void ways_out_exist(void **state)
{
	static const char *const missing[] = {
		"/v1/tenants/none", ACME "/segments/none", ACME "/segments/db/peers/10.9.9.9",
		ACME "/ports/none", "/v1/uplinks/none",	   "/v1/fdb/acme/web/02:00:00:00:00:99",
		"/v1/vtep",
	};
	struct api_fixture *fixture = *state;
	struct api_answer answer;

	api_expect(fixture, 204, "DELETE", "/v1/vtep", NULL);
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		answer = api_request(fixture, "DELETE", missing[i], "", NULL);
		assert_int_equal(answer.status, 404);
		assert_null(strstr(api_text(answer.json, "detail"), "add it"));
		assert_non_null(strstr(api_text(answer.json, "detail"), "--if-exists"));
		api_answer_fini(&answer);
	}
	answer = api_request(fixture, "PUT", "/v1/fdb/acme/web/02:00:00:00:00:0a",
			     "If-None-Match: *\r\n", "{\"port\":\"acme/web2\"}");
	assert_int_equal(answer.status, 412);
	assert_null(strstr(api_text(answer.json, "detail"), "set"));
	assert_non_null(strstr(api_text(answer.json, "detail"), "delete it first"));
	api_answer_fini(&answer);
	answer = api_request(fixture, "PUT", ACME, "If-None-Match: *\r\n", "{}");
	assert_non_null(strstr(api_text(answer.json, "detail"), "change it with set"));
	api_answer_fini(&answer);
}

/* What a patch takes away does not come back by another name. */
static void membership_can_be_taken_away(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *json;

	api_expect(fixture, 200, "PATCH", WEB2, "{\"segment\":null,\"trunk\":[\"db=5\"]}");
	json = api_get(fixture, WEB2);
	assert_null(json_object_get(json, "segment"));
	assert_null(json_object_get(json, "native"));
	assert_string_equal(api_text(json, "trunk.0"), "db=5");
	json_decref(json);
	api_refuse(fixture, 400, "missing", "PATCH", WEB2, "{\"trunk\":null}");
	api_expect(fixture, 200, "PATCH", WEB2, "{\"segment\":\"web\",\"trunk\":null}");
	expect_text(fixture, WEB2, "segment", "web");
	api_refuse(fixture, 400, "missing", "PATCH", WEB2, "{\"segment\":null}");
	api_expect(fixture, 200, "PATCH", WEB2, "{\"segment\":null,\"native\":\"db\"}");
	expect_text(fixture, WEB2, "segment", "db");
	api_expect(fixture, 200, "PATCH", WEB2, "{\"native\":null}");
	expect_text(fixture, WEB2, "segment", "db");
}

/* An uplink says what it carries, be it nothing any more. */
static void uplinks_carry_something(void **state)
{
	static const char path[] = "/v1/uplinks/up1";
	struct api_fixture *fixture = *state;
	json_t *json;
	char *text;

	api_refuse(fixture, 400, "missing", "PUT", path, "{\"type\":\"tap\"}");
	api_refuse(fixture, 400, "missing", "PUT", path, "{\"type\":\"tap\",\"trunk\":null}");
	api_expect(fixture, 201, "PUT", path, "{\"type\":\"tap\",\"native\":\"acme/db\"}");
	api_refuse(fixture, 400, "missing", "PATCH", path, "{\"native\":null,\"trunk\":null}");
	api_expect(fixture, 204, "DELETE", ACME "/segments/db?recursive=true", NULL);
	json = api_get(fixture, path);
	text = json_dumps(json, 0);
	api_expect(fixture, 200, "PUT", path, text);
	api_expect(fixture, 200, "PATCH", path, "{\"admin\":\"down\"}");
	free(text);
	json_decref(json);
}

static void peers_are_their_segments(void **state)
{
	static const char topology[] =
		"{\"version\":1,\"tenants\":{\"acme\":{\"segments\":{\"web\":"
		"{\"peers\":[\"172.31.0.2\",\"172.31.0.9\"]}}}}}";
	struct api_fixture *fixture = *state;
	struct api_answer answer = api_request(fixture, "POST", "/v1/apply", "", topology);

	assert_int_equal(answer.status, 200);
	assert_int_equal(json_array_size(json_object_get(answer.json, "changes")), 1);
	assert_string_equal(api_text(answer.json, "changes.0.action"), "change");
	assert_string_equal(api_text(answer.json, "changes.0.kind"), "segment");
	assert_string_equal(api_text(answer.json, "changes.0.name"), "acme/web");
	api_answer_fini(&answer);
}

static void namespaces_have_one_name(void **state)
{
	static const struct {
		const char *given, *kept;
	} cases[] = {
		{"/run/netns/blue", "blue"},
		{"/var/run/netns/blue", "blue"},
		{"blue", "blue"},
		{"/run/netns/a/b", "/run/netns/a/b"},
		{"/run/netns/", "/run/netns/"},
		{"/run/netns/-x", "/run/netns/-x"},
		{"/srv/netns/blue", "/srv/netns/blue"},
	};
	struct api_fixture *fixture = *state;
	uint64_t generation;
	char body[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(body, sizeof(body), "{\"netns\":\"%s\"}", cases[i].given);
		api_expect(fixture, 200, "PATCH", WEB2, body);
		expect_text(fixture, WEB2, "netns", cases[i].kept);
	}
	api_expect(fixture, 200, "PATCH", WEB2, "{\"netns\":\"blue\",\"ifname\":\"eth9\"}");
	generation = model_generation(fixture->model);
	api_expect(fixture, 200, "PATCH", WEB2, "{\"netns\":\"/run/netns/blue\"}");
	assert_int_equal(model_generation(fixture->model), generation);
	api_refuse(fixture, 409, "ifname-taken", "PUT", ACME "/ports/new",
		   "{\"type\":\"tap\",\"segment\":\"web\",\"ifname\":\"eth9\","
		   "\"netns\":\"/var/run/netns/blue\"}");
	fixture->reconcile->no_netns = "/etc/passwd";
	api_refuse(fixture, 400, "bad-value", "PATCH", WEB2, "{\"netns\":\"/etc/passwd\"}");
}

static void refuse_ip(struct api_fixture *fixture, const char *ip)
{
	char body[256];

	snprintf(body, sizeof(body), "{\"ip\":\"%s\"}", ip);
	api_refuse(fixture, 400, "bad-value", "PATCH", WEB2, body);
}

static void addresses_are_those_of_hosts(void **state)
{
	static const char *const refused[] = {"127.0.0.1/8",
					      "127.255.255.254/32",
					      "::1/128",
					      "10.0.0.0/24",
					      "10.0.0.255/24",
					      "10.0.0.4/30",
					      "10.0.0.7/30",
					      "10.255.255.255/8",
					      "192.168.0.0/16",
					      "239.1.1.1/8",
					      "255.255.255.255/32",
					      "0.0.0.0/8",
					      "ff02::1/64",
					      "::/64"};
	static const char *const taken[] = {"10.0.0.0/31",   "10.0.0.1/31", "10.0.0.0/32",
					    "10.0.0.255/23", "10.0.1.0/23", "10.0.0.5/30",
					    "fd00::/64",     "fe80::1/64",  "128.0.0.1/8"};
	struct api_fixture *fixture = *state;
	char body[256];

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		refuse_ip(fixture, refused[i]);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		snprintf(body, sizeof(body), "{\"ip\":\"%s\"}", taken[i]);
		api_expect(fixture, 200, "PATCH", WEB2, body);
	}
	api_refuse(fixture, 400, "bad-value", "PATCH", WEB2,
		   "{\"ip\":\"10.0.0.1/24\",\"gateway\":\"10.0.0.0\"}");
	api_refuse(fixture, 400, "bad-value", "PATCH", WEB2,
		   "{\"ip\":\"10.0.0.1/24\",\"gateway\":\"10.0.0.255\"}");
	/* It is a host of the wider prefix. */
	api_expect(fixture, 200, "PATCH", WEB2,
		   "{\"ip\":[\"10.0.0.1/24\",\"10.1.0.1/8\"],\"gateway\":\"10.0.0.255\"}");
}

static void switches_may_share_a_host(void **state)
{
	struct api_fixture *fixture = *state;

	api_expect(fixture, 200, "PUT", "/v1/vtep", "{\"local\":\"127.0.0.1\"}");
	api_expect(fixture, 201, "PUT", "/v1/tenants/beta/segments/web/peers/127.0.0.2", NULL);
}

static void kernels_words_are_no_interfaces(void **state)
{
	struct api_fixture *fixture = *state;

	api_refuse(fixture, 400, "bad-value", "PATCH", WEB2, "{\"ifname\":\"all\"}");
	api_refuse(fixture, 400, "bad-value", "PATCH", WEB2, "{\"ifname\":\"default\"}");
	api_refuse(fixture, 400, "missing", "PUT", ACME "/ports/all",
		   "{\"type\":\"tap\",\"segment\":\"web\"}");
	api_expect(fixture, 201, "PUT", ACME "/ports/all",
		   "{\"type\":\"tap\",\"segment\":\"web\",\"ifname\":\"all0\"}");
}

/* What would wait is refused before anything is touched. */
static void require_is_asked_before(void **state)
{
	static const char body[] = "{\"type\":\"tap\",\"segment\":\"web\",\"netns\":\"later\"}";
	static const char path[] = ACME "/ports/new";
	struct api_fixture *fixture = *state;

	fixture->reconcile->absent_netns = "later";
	api_refuse(fixture, 409, "would-wait", "PUT", ACME "/ports/new?require=true", body);
	api_expect(fixture, 404, "GET", path, NULL);
	api_refuse(fixture, 409, "would-wait", "PATCH", WEB2 "?require=true",
		   "{\"netns\":\"later\"}");
	api_refuse(fixture, 400, "bad-parameter", "PUT", ACME "/ports/new?require=yes", body);
	api_refuse(fixture, 400, "unknown-parameter", "PUT", ACME "?require=true", "{}");
	api_expect(fixture, 201, "PUT", ACME "/ports/new?require=false", body);
	/* It waits already: what does not move it is refused as well. */
	api_refuse(fixture, 409, "would-wait", "PATCH", ACME "/ports/new?require=true",
		   "{\"send\":\"1mbit\"}");
	api_expect(fixture, 200, "PATCH", ACME "/ports/new?require=true", "{\"netns\":\"web9\"}");
	api_refuse(fixture, 409, "would-wait", "PUT", "/v1/uplinks/up1?require=true",
		   "{\"type\":\"tap\",\"native\":\"acme/db\",\"netns\":\"later\"}");
	fixture->reconcile->taken_ifname = "new";
	api_refuse(fixture, 409, "ifname-taken", "PATCH", ACME "/ports/new?require=true",
		   "{\"send\":\"1mbit\"}");
}

static void tcp_addresses_are_loopback(void **state)
{
	static const char *const no_address[] = {
		"",	    "8080",	   "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x",
		"::1:8080", "localhost:1", "[::1]:0",	"[::1]",       "127.0.0.1:65536"};
	static const char *const reachable[] = {"0.0.0.0:80", "10.0.0.1:80", "[::]:80",
						"[fd00::1]:80", "128.0.0.1:80"};
	static const char *const taken[] = {"127.0.0.1:80", "127.9.8.7:65535", "[::1]:8080"};
	static const char *const local[] = {"localhost",    "LOCALHOST:80", "127.0.0.1",
					    "127.0.0.1:80", "[::1]:80",	    "[::1]"};
	static const char *const foreign[] = {
		"evil.example",		 "localhost.evil.example", "10.0.0.1:80", "localhos", "",
		"127.0.0.1.evil.example"};
	struct listen_address address;

	(void)state;
	for (size_t i = 0; i < sizeof(no_address) / sizeof(no_address[0]); i++) {
		if (listen_parse(no_address[i], &address) != -EINVAL)
			fail_msg("taken: %s", no_address[i]);
	}
	for (size_t i = 0; i < sizeof(reachable) / sizeof(reachable[0]); i++)
		assert_int_equal(listen_parse(reachable[i], &address), -EACCES);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		assert_int_equal(listen_parse(taken[i], &address), 0);
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		if (!listen_host_is_local(local[i]))
			fail_msg("foreign: %s", local[i]);
	}
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		if (listen_host_is_local(foreign[i]))
			fail_msg("local: %s", foreign[i]);
	}
	assert_false(listen_host_is_local(NULL));
}

/* Sends a request over TCP, and expects a status and, of a refusal, a code. */
static void ask_tcp(struct api_fixture *fixture, uint16_t port, const char *line, const char *host,
		    int status, const char *code)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct api_answer answer;
	char text[512];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	snprintf(text, sizeof(text),
		 "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
		 line, host);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	assert_int_equal(evutil_make_socket_nonblocking(fd), 0);
	answer = api_receive(fixture, fd);
	if (answer.status != status)
		print_error("%s\n%s\n", line, answer.text);
	assert_int_equal(answer.status, status);
	if (code != NULL)
		assert_string_equal(api_text(answer.json, "code"), code);
	api_answer_fini(&answer);
}

/* TCP has no credentials, whoever asks there has the same rights. */
static void tcp_is_for_reading(void **state)
{
	struct api_fixture *fixture = *state;
	struct listen_address wanted = {.size = sizeof(struct sockaddr_in)};
	struct sockaddr_in *bound = (struct sockaddr_in *)&wanted.address;
	uint64_t generation = model_generation(fixture->model);
	socklen_t size = sizeof(*bound);
	uint16_t port;

	bound->sin_family = AF_INET;
	bound->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(listen_tcp(&wanted, &fixture->tcp_fd), 0);
	assert_int_equal(getsockname(fixture->tcp_fd, (struct sockaddr *)bound, &size), 0);
	port = ntohs(bound->sin_port);
	api_restart(fixture);
	fixture->tcp_fd = -1;
	fixture->rights = ACCESS_READ | ACCESS_CHANGE;
	ask_tcp(fixture, port, "GET /v1/tenants/acme", "localhost", 200, NULL);
	ask_tcp(fixture, port, "HEAD /v1/status", "127.0.0.1:8080", 200, NULL);
	ask_tcp(fixture, port, "GET /v1/nothing", "localhost", 404, "unknown-path");
	ask_tcp(fixture, port, "PUT /v1/tenants/new", "localhost", 403, "read-only");
	ask_tcp(fixture, port, "PATCH /v1/host", "localhost", 403, "read-only");
	ask_tcp(fixture, port, "DELETE /v1/tenants/acme?recursive=true", "localhost", 403,
		"read-only");
	ask_tcp(fixture, port, "POST /v1/fdb/flush", "localhost", 403, "read-only");
	ask_tcp(fixture, port, "OPTIONS /v1/status", "localhost", 403, "read-only");
	ask_tcp(fixture, port, "GET /v1/config", "evil.example", 403, "bad-host");
	assert_int_equal(model_generation(fixture->model), generation);
	assert_int_equal(fixture->reconcile->flush_count, 0);
	/* The Unix socket is served as before. */
	api_expect(fixture, 201, "PUT", "/v1/tenants/new", "{}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_said_twice, setup, api_teardown),
		cmocka_unit_test_setup_teardown(lengths_are_clear, setup, api_teardown),
		cmocka_unit_test_setup_teardown(conditions_mean_what_they_say, setup, api_teardown),
		cmocka_unit_test_setup_teardown(ways_out_exist, setup, api_teardown),
		cmocka_unit_test_setup_teardown(membership_can_be_taken_away, setup, api_teardown),
		cmocka_unit_test_setup_teardown(uplinks_carry_something, setup, api_teardown),
		cmocka_unit_test_setup_teardown(peers_are_their_segments, setup, api_teardown),
		cmocka_unit_test_setup_teardown(namespaces_have_one_name, setup, api_teardown),
		cmocka_unit_test_setup_teardown(addresses_are_those_of_hosts, setup, api_teardown),
		cmocka_unit_test_setup_teardown(switches_may_share_a_host, setup, api_teardown),
		cmocka_unit_test_setup_teardown(kernels_words_are_no_interfaces, setup,
						api_teardown),
		cmocka_unit_test_setup_teardown(require_is_asked_before, setup, api_teardown),
		cmocka_unit_test(tcp_addresses_are_loopback),
		cmocka_unit_test_setup_teardown(tcp_is_for_reading, setup, api_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
