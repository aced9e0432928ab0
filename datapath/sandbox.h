/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_SANDBOX_H
#define VSWITCH_DATAPATH_SANDBOX_H

/*
 * Gives up what the datapath does not need, once it listens: the file system,
 * its user, every capability. Called once by main, before threads start. A
 * system call filter and Landlock have their place here.
 */

/*
 * Confines the process: as root, its root directory becomes `empty_dir` and its user `user` (a
 * name, or NULL: the user "vswitch-datapath" if there is one, else an id of its own that nobody
 * has). In any case it can gain no privileges again. Returns 0, or a negative errno after logging
 * why.
 */
int sandbox_enter(const char *empty_dir, const char *user);

#endif
