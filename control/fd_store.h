/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_FD_STORE_H
#define VSWITCH_CONTROL_FD_STORE_H

/*
 * Descriptors that the service manager keeps for the next control daemon
 * (sd_pid_notify_with_fds(3), FDSTORE=1; sd_listen_fds(3)), so that what
 * hangs off them outlives the death of both daemons. Without a manager it is
 * empty and keeps nothing. Made by main(), used by reconcile, on the control
 * daemon's one thread.
 */

struct fd_store;

/*
 * Takes the descriptors that the manager passed to this process ($LISTEN_FDS), and puts new ones to
 * it through `notify` (notify_open(); -1: nowhere). Call once: the variables are removed from the
 * environment. Returns 0 or -ENOMEM.
 */
int fd_store_new(struct fd_store **store, int notify);
/* Closes what nobody took; the manager's copies stay. NULL is fine. */
void fd_store_free(struct fd_store *store);

/* The descriptor that was kept under this name, from now on the caller's, or -1. */
int fd_store_take(struct fd_store *store, const char *name);

/*
 * Has the manager keep a duplicate under this name (letters, digits, '-') instead of what it had
 * under it; does nothing when that is the same file. The caller keeps its descriptor. store NULL:
 * nothing is kept.
 */
void fd_store_put(struct fd_store *store, const char *name, int fd);

#endif
