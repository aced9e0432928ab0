/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_LISTEN_H
#define VSWITCH_CONTROL_LISTEN_H

/*
 * The sockets that the API is served on: control.sock for those whose
 * credentials say what they may do, and, if asked for, a TCP port of this
 * host's own loopback, which has no credentials and is for reading. Called by
 * main() and the API when the daemon starts.
 */

#include <stdbool.h>
#include <sys/socket.h>

struct listen_address {
	struct sockaddr_storage address;
	socklen_t size;
};

/*
 * Listens on the path, which replaces a socket that nobody listens on. Returns 0 and the
 * descriptor, which the caller owns, or a negative errno (-EADDRINUSE: somebody serves it).
 */
int listen_unix(const char *path, int *fd);

/*
 * Reads ADDR:PORT (127.0.0.1:8080, [::1]:8080). Returns 0, -EINVAL for what is none, or -EACCES
 * for an address that others than this host can reach.
 */
int listen_parse(const char *text, struct listen_address *address);

/* Returns 0 and the descriptor, which the caller owns, or a negative errno. */
int listen_tcp(const struct listen_address *address, int *fd);

/*
 * Whether a Host header (RFC 9110 section 7.2) calls this host by a loopback address or as
 * localhost. A page whose name was made to lead here (DNS rebinding) brings its own.
 */
bool listen_host_is_local(const char *host);

#endif
