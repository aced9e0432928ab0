/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_CHANGE_H
#define VSWITCH_CLI_CHANGE_H

/*
 * What commands that change something have in common: the request, the answer
 * on stdout, and the wait until it is in effect. Each returns an exit code and
 * has said why when it is not CLI_DONE.
 */

#include <jansson.h>

struct cli;
struct client_answer;
struct client_request;
struct grammar_call;

int change_send(struct cli *cli, const struct client_request *request);

/* Prints an answer that accepts a change of the object at this path, ends it, and waits for the
 * effect. */
int change_finish(struct cli *cli, struct client_answer *answer, const char *path);

/* DELETE; what is not there is no mistake with --if-exists. */
int change_delete(struct cli *cli, const struct grammar_call *call, const char *path);

/* The body of a 'set', which the caller owns; CLI_USAGE when no option says what to set. */
int change_merge_body(const struct grammar_call *call, json_t **body);

#endif
