/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_API_H
#define VSWITCH_CONTROL_API_H

/*
 * The public API: HTTP/1.1 and JSON over a Unix socket (docs/api/openapi.yaml),
 * and over TCP for reading. It parses, asks the model for the change, stores it, and tells the
 * reconciler. main(), which ignores SIGPIPE, starts it; it runs on the control
 * daemon's event loop.
 */

struct access;
struct api;
struct event_base;
struct model;
struct reconcile;
struct store;

struct api_options {
	const char *socket_path;
	/* Who may do what (access.h); NULL: as credentials and the groups vswitch and vswitch-read
	 * say. */
	const struct access *access;
	/* A listening TCP socket (listen.h) for reading without credentials, or -1. Taken on
	 * success. */
	int tcp_fd;
};

/*
 * Listens on socket_path, which replaces a socket that nobody listens on. Everything given must
 * outlive it. Returns 0 or a negative errno (-EADDRINUSE: somebody serves it).
 */
int api_new(struct api **api, struct event_base *base, struct model *model, struct store *store,
	    struct reconcile *reconcile, const struct api_options *options);
/* Ends every connection and removes the socket. */
void api_free(struct api *api);

#endif
