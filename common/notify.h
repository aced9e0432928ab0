/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_NOTIFY_H
#define VSWITCH_COMMON_NOTIFY_H

/*
 * What a service tells the manager that started it (sd_notify(3)): that it is
 * ready, that it ends, and which descriptors to keep for its successor. Called
 * by main() of both daemons, on their main thread.
 *
 * libsystemd would open the manager's socket for every message, which the
 * datapath cannot do once it is in its sandbox: here it is opened once.
 */

/* Connects to the socket that $NOTIFY_SOCKET names. Returns the descriptor, or -1 when there is no
 * manager to tell. */
int notify_open(void);

/* Sends lines such as "READY=1". Nobody listening (-1) and failures are nothing to the caller. */
void notify_send(int notify, const char *lines);

/* The same with a descriptor, of which the receiver gets a duplicate. Returns 0, or a negative
 * errno (-ENOTCONN: nobody listens). */
int notify_send_fd(int notify, const char *lines, int fd);

#endif
