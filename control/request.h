/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_REQUEST_H
#define VSWITCH_CONTROL_REQUEST_H

/*
 * A request on its way through the API: api.c parses it, finds its route
 * (route.h) and sends the answer; the handlers (handle_*.c) do what it asks.
 * A handler returns 0 with status and answer set, or -EINVAL with problem.
 */

#include <event2/keyvalq_struct.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/edit.h"
#include "control/model.h"
#include "control/problem.h"

#define REQUEST_ARGS_MAX 3

struct reconcile;
struct store;

struct request {
	struct model *model;
	struct store *store;
	struct reconcile *reconcile;
	uint64_t started; /* the daemon's start, CLOCK_BOOTTIME, ns */
	bool is_put, is_patch, is_delete;
	bool must_be_new;	      /* If-None-Match: * */
	bool must_exist;	      /* If-Match: * */
	const char *exists_advice;    /* how to change what must be new; NULL: with set */
	bool dry_run;		      /* a change is checked and undone */
	char *args[REQUEST_ARGS_MAX]; /* what stands for the {names} of the route's pattern */
	const struct evkeyvalq *query;
	json_t *body; /* NULL: none */

	int status;
	json_t *answer; /* NULL: no body */
	struct problem problem;
};

/* Each finds what the first args name, or notes 404 or a name that is none. */
struct model_tenant *request_tenant(struct request *request);
struct model_segment *request_segment(struct request *request);
/* The port args[0]/args[1], or the uplink args[0]. */
struct model_port *request_port(struct request *request, bool uplink);

/* Notes that what the problem is about does not exist: 404, with the way out of this method. */
int request_missing(struct request *request);

/* A yes or no from the query; *value stays when it is not there. */
int request_flag(struct request *request, const char *name, bool *value);

/*
 * Takes from the body what a GET of the object put there beyond its attributes: name (which must
 * be this), status and generation.
 */
int request_object_body(struct request *request, const char *name);

/*
 * One change: begins, calls step(), checks, stores, commits and tells the reconciler; or undoes
 * all of it. `existed` is whether there was such an object.
 */
int request_change(struct request *request, bool existed,
		   int (*step)(struct request *, struct edit *));

/* Takes object; sets the answer to it with "generation", and the status of a PUT or PATCH. */
int request_answer_object(struct request *request, json_t *object, bool existed);
/* Takes the list; sets the answer to {key: list}. */
int request_answer_list(struct request *request, const char *key, json_t *list);
/* For a member of an answer; what is beyond JSON's integers is cut. */
json_t *request_counter(uint64_t value);

/* One object with its name and status, as lists and single answers have it. */
json_t *request_tenant_json(const struct model_tenant *tenant);
json_t *request_segment_json(const struct request *request, const struct model_segment *segment);
json_t *request_port_json(const struct request *request, const struct model_port *port);

#endif
