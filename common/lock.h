/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_LOCK_H
#define VSWITCH_COMMON_LOCK_H

/* The lock that keeps a second daemon out of a run directory. Called by main, before threads start.
 */

/*
 * Opens the file, made if it is not there, and locks it; a daemon that was just killed holds its
 * lock until the kernel has closed the last of its descriptors, so it is tried for three seconds.
 * Returns the descriptor, which holds the lock until the process ends, however it ends; -EBUSY when
 * another process holds it; or another negative errno.
 */
int lock_take(const char *path);

#endif
