/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_RELEASE_H
#define VSWITCH_CONTROL_RELEASE_H

/*
 * What a switch leaves behind when it is uninstalled: interfaces outlive its
 * daemons. Called by main() instead of everything else, with the run directory
 * locked.
 */

/*
 * Removes the interfaces that this switch made, and puts back what it changed on adopted ones, in
 * the host's namespace and in those that have a name. The configuration stays: a control daemon
 * makes all of it anew. Returns 0, also when there was nothing, or a negative errno.
 */
int release_interfaces(const char *state_dir);

#endif
