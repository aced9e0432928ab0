/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_API_FIXTURE_H
#define VSWITCH_TESTS_API_FIXTURE_H

/*
 * The API over a real Unix socket, with the real model and store and a fake
 * reconciler, in the test's own process: a call sends a request and turns the
 * event loop until the answer is there.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "control/access.h"
#include "tests/unit/fake_reconcile.h"

struct api;
struct event_base;
struct store;

struct api_fixture {
	char dir[64]; /* state directory and socket are in it */
	char socket_path[96];
	char state_dir[96];
	struct event_base *base;
	struct model *model;
	struct store *store;
	struct reconcile *reconcile;
	struct api *api;
	struct access access;
	unsigned rights; /* that the client has */
	int tcp_fd;	 /* a listening socket that api_restart() hands over, or -1 */
};

struct api_answer {
	int status;   /* of HTTP; 0: the connection ended without an answer */
	char *text;   /* all of it */
	json_t *json; /* NULL: none, or no JSON */
};

/* For cmocka: *state is a struct api_fixture; everything is removed by the tear-down. */
int api_setup(void **state);
int api_teardown(void **state);
/* Starts the daemon's part anew from what is on disk. */
void api_restart(struct api_fixture *fixture);

/* Opens a connection. */
int api_connect(const struct api_fixture *fixture);
/* Sends all of it, while the event loop turns; stops when the server does not read any more. */
void api_send(struct api_fixture *fixture, int fd, const void *data, size_t size);
/* Reads to the end of the connection, which it closes. */
struct api_answer api_receive(struct api_fixture *fixture, int fd);
void api_answer_fini(struct api_answer *answer);

/* One request on one connection; headers are whole lines ("If-Match: \"1\"\r\n") or "". */
struct api_answer api_request(struct api_fixture *fixture, const char *method, const char *path,
			      const char *headers, const char *body);

/* Requests whose answer is only its status; a failure prints the answer. */
void api_expect(struct api_fixture *fixture, int status, const char *method, const char *path,
		const char *body);
/* A refusal with this code, after which the configuration is what it was. */
void api_refuse(struct api_fixture *fixture, int status, const char *code, const char *method,
		const char *path, const char *body);

/* GET of a path; the caller owns the answer. */
json_t *api_get(struct api_fixture *fixture, const char *path);
/* The member at a path of names and indices divided by dots ("status.state", "ports.0.name"). */
const json_t *api_at(const json_t *json, const char *path);
const char *api_text(const json_t *json, const char *path);
long long api_number(const json_t *json, const char *path);

/* Two tenants, as the main example of the documentation has them. */
void api_populate(struct api_fixture *fixture);

#endif
