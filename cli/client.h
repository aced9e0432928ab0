/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_CLIENT_H
#define VSWITCH_CLI_CLIENT_H

/*
 * Asks the control daemon: HTTP with JSON bodies over control.sock in the run
 * directory, on one connection that is kept. Every command uses it.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct cli;
struct client;

struct client_request {
	const char *method;
	const char *path;   /* with its query, if any */
	const json_t *body; /* NULL: none */
	const char *header; /* one more header, or NULL */
	double timeout;	    /* seconds; 0: as long as a change may take */
};

struct client_answer {
	long status;	     /* of HTTP */
	json_t *body;	     /* NULL when there is none */
	uint64_t generation; /* from the ETag; 0: not given */
};

/* Makes a client for a run directory; connects on the first request. Returns NULL when out of
 * memory. */
struct client *client_new(const char *run_dir);
void client_free(struct client *client);

/*
 * Returns CLI_DONE when there is an answer of any status, which the caller ends with
 * client_answer_fini(); or says what is wrong and returns CLI_NO_DAEMON or CLI_REFUSED.
 */
int client_send(struct client *client, const struct client_request *request,
		struct client_answer *answer);
void client_answer_fini(struct client_answer *answer);

/* Says why the daemon refused and returns CLI_REFUSED; for an answer of 400 and above. */
int client_refused(const struct client_answer *answer);

/* client_send(), and client_refused() for an answer of 400 and above (ended then). */
int client_call(struct client *client, const struct client_request *request,
		struct client_answer *answer);

/* client_call() for a GET. */
int client_get(struct client *client, const char *path, struct client_answer *answer);

#endif
