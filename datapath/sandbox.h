/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_SANDBOX_H
#define VSWITCH_DATAPATH_SANDBOX_H

/*
 * Gives up what the datapath does not need, once it listens: the file system,
 * its user, every capability. Called once by main, before threads start. A
 * system call filter and Landlock have their place here.
 */

/*
 * Confines the process: as root, its root directory becomes `root` and its user `user` (a name, or
 * NULL: the user "vswitch-datapath" if there is one, else an id of its own that nobody has). In any
 * case it can gain no privileges again. writable: the name of a directory in `root` that is made
 * and is the only place where the process can make files; NULL: there is none. Returns 1 when
 * `root` is the root directory now, 0 when it is not, or a negative errno after logging why.
 */
int sandbox_enter(const char *root, const char *user, const char *writable);

#endif
