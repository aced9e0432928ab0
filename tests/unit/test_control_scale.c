/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The whole control daemon, from a request on its socket to the message that the datapath hears,
 * with many tenants. Times are printed; the bounds are five times what is wanted of a machine that
 * does nothing else.
 */

#include "tests/unit/reconcile_fixture.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/access.h"
#include "control/api.h"
#include "control/store.h"

#define FILE_TENANTS	 10000 /* that one request brings */
#define MANY_TENANTS	 100000
#define CHANGES		 20
#define APPLY_SECONDS	 2.0
#define CHANGE_SECONDS	 0.010
#define SLOWER_THAN_IDLE 5

struct daemon {
	struct fixture *fixture;
	struct store *store;
	struct api *api;
	struct access access;
	char socket_path[64];
};

static unsigned all_rights(void *context, int fd)
{
	(void)context;
	(void)fd;
	return ACCESS_READ | ACCESS_CHANGE;
}

static void start(struct daemon *daemon, struct fixture *fixture)
{
	char text[MODEL_TEXT_SIZE];
	struct api_options options = {
		.socket_path = daemon->socket_path, .access = &daemon->access, .tcp_fd = -1};

	*daemon = (struct daemon){.fixture = fixture, .access = {.rights = all_rights}};
	snprintf(daemon->socket_path, sizeof(daemon->socket_path), "%s/sock", fixture->dir);
	assert_int_equal(store_open(&daemon->store, fixture->dir, text), 0);
	fixture_start(fixture);
	fixture_meet(fixture);
	fixture_expect_silence(fixture);
	assert_int_equal(api_new(&daemon->api, fixture->base, fixture->model, daemon->store,
				 fixture->reconcile, &options),
			 0);
}

static void stop(struct daemon *daemon)
{
	char path[64];

	api_free(daemon->api);
	store_free(daemon->store);
	snprintf(path, sizeof(path), "%s/%s", daemon->fixture->dir, STORE_FILE);
	assert_int_equal(unlink(path), 0);
}

/* Tenants that are there from before, on disk as well. */
static void add_tenants(struct daemon *daemon, unsigned first, unsigned count)
{
	struct model *model = daemon->fixture->model;
	struct model_tenant values = {.bandwidth = {.send = {.rate = 2000, .min = 1000},
						    .receive = {.rate = 2000},
						    .weight = 1}};
	char text[MODEL_TEXT_SIZE];
	struct problem problem;

	problem_init(&problem);
	model_begin(model);
	for (unsigned i = first; i < first + count; i++) {
		snprintf(values.name, sizeof(values.name), "t%06u", i);
		assert_int_equal(model_tenant_put(model, &values, NULL, &problem), 0);
	}
	assert_int_equal(model_check(model, &problem), 0);
	assert_int_equal(store_commit(daemon->store, model, text), 0);
	model_commit(model);
}

/* A topology of so many tenants that have all that a tenant can have. */
static char *make_topology(unsigned count)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	fprintf(file, "{\"version\":1,\"host\":{\"send-capacity\":\"1tbit\","
		      "\"receive-capacity\":\"1tbit\"},\"tenants\":{");
	for (unsigned i = 0; i < count; i++)
		fprintf(file,
			"%s\"t%06u\":{\"send\":\"%ukbit\",\"send-min\":\"64kbit\",\"receive\":"
			"\"20mbit\",\"receive-min\":\"1mbit\",\"weight\":%u,\"send-burst\":"
			"\"64kb\",\"overhead\":24}",
			i == 0 ? "" : ",", i, 10000 + i, 1 + i % 100);
	fprintf(file, "}}");
	fclose(file);
	return text;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Writes as much as the socket takes; returns what is left. */
static const char *send_some(int fd, const char *text)
{
	ssize_t sent = send(fd, text, strlen(text), MSG_NOSIGNAL);

	assert_true(sent >= 0 || errno == EAGAIN);
	return sent > 0 ? text + sent : text;
}

/* Sends a request; returns how long it took until the first message came to the datapath. */
static double send_request(struct daemon *daemon, const char *method, const char *path,
			   const char *body)
{
	struct pollfd heard = {.fd = channel_fd(daemon->fixture->peer), .events = POLLIN};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char *text = NULL;
	const char *rest;
	double began;

	assert_true(asprintf(&text,
			     "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
			     "Content-Length: %zu\r\n\r\n%s",
			     method, path, strlen(body), body) > 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", daemon->socket_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	rest = text;
	began = seconds();
	while (poll(&heard, 1, 0) == 0) {
		rest = send_some(fd, rest);
		event_base_loop(daemon->fixture->base, EVLOOP_NONBLOCK);
		assert_true(seconds() < began + FIXTURE_DEADLINE);
	}
	close(fd);
	free(text);
	return seconds() - began;
}

/* The rest of the transaction; returns how long that took. */
static double hear_commit(struct daemon *daemon)
{
	double began = seconds();

	fixture_hear(daemon->fixture, PROTO_COMMIT);
	fixture_reply(daemon->fixture, 0, "");
	return seconds() - began;
}

static void a_file_brings_many(void **state)
{
	char *topology = make_topology(FILE_TENANTS);
	struct model_counts counts;
	struct daemon daemon;
	double took;

	start(&daemon, *state);
	took = send_request(&daemon, "POST", "/v1/apply", topology);
	took += hear_commit(&daemon);
	print_message("apply of %u tenants: %.3f s\n", FILE_TENANTS, took);
	model_counts(daemon.fixture->model, &counts);
	assert_int_equal(counts.tenants, FILE_TENANTS);
	assert_true(took < APPLY_SECONDS * SLOWER_THAN_IDLE);
	stop(&daemon);
	free(topology);
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void one_changes_among_many(void **state)
{
	struct fixture *fixture = *state;
	const struct model_host host = {.send_capacity = 1000000000};
	double took[CHANGES];
	char body[32], expected[128];
	struct daemon daemon;

	start(&daemon, fixture);
	model_begin(fixture->model);
	model_host_put(fixture->model, &host);
	model_check(fixture->model, &(struct problem){0});
	model_commit(fixture->model);
	add_tenants(&daemon, 0, MANY_TENANTS);
	for (unsigned i = 0; i < CHANGES; i++) {
		fixture_forget(fixture);
		snprintf(body, sizeof(body), "{\"weight\":%u}", i + 2);
		took[i] = send_request(&daemon, "PATCH", "/v1/tenants/t050000", body);
		hear_commit(&daemon);
		snprintf(expected, sizeof(expected),
			 "begin %u on %u\n"
			 "tenant 50000.50001 send 2000 receive 2000 send-min 1000 weight %u\n"
			 "commit\n",
			 i + 2, i + 1, i + 2);
		assert_string_equal(fixture->heard, expected);
	}
	qsort(took, CHANGES, sizeof(*took), compare);
	print_message("a change among %u tenants: median %.2f ms, at most %.2f ms\n", MANY_TENANTS,
		      took[CHANGES / 2] * 1e3, took[CHANGES - 1] * 1e3);
	assert_true(took[CHANGES / 2] < CHANGE_SECONDS * SLOWER_THAN_IDLE);
	stop(&daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_brings_many, fixture_set_up,
						fixture_tear_down),
		cmocka_unit_test_setup_teardown(one_changes_among_many, fixture_set_up,
						fixture_tear_down),
	};

	signal(SIGPIPE, SIG_IGN); /* a client that is served may be gone */
	if (!fixture_isolate())
		return FIXTURE_SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
