/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_CONTROL_LINK_H
#define VSWITCH_DATAPATH_CONTROL_LINK_H

/*
 * The datapath's end of the connection to the control daemon (docs/protocol.md),
 * and the loop of the main thread that serves it. One control daemon is served
 * at a time, and only one of the user that started the datapath.
 */

#include "datapath/transaction.h"

/* Binds and listens on `path`. Returns the socket or a negative errno. */
int control_link_listen(const char *path);

/*
 * Serves control daemons until a signal of SIGTERM and SIGINT arrives, which must be blocked. Takes
 * the listening socket. owner: the user id that may connect. Returns 0 or a negative errno.
 */
int control_link_run(struct switch_state *state, int listen_fd, unsigned owner);

#endif
