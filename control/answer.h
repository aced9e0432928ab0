/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_ANSWER_H
#define VSWITCH_CONTROL_ANSWER_H

/*
 * Answers of the API as they go out: an object, or a problem as RFC 9457 says,
 * with the generation as its entity tag. Called by api.c.
 */

struct evhttp_request;
struct request;

/* Sends the request's problem, if it has one, or its status and answer. */
void answer_send(struct evhttp_request *http, const struct request *request);

/* Writes the whole answer to somebody without rights, as far as the socket takes it at once. */
void answer_forbidden(int fd);

#endif
