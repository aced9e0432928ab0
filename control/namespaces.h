/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_NAMESPACES_H
#define VSWITCH_CONTROL_NAMESPACES_H

/*
 * Network namespaces: the one that the control daemon was started in, the
 * private one of the instance that holds our ends of veths, and those of
 * workloads, which are opened by name for every use and never kept: a cached
 * descriptor keeps a dead namespace alive. Called by reconcile and links on
 * the control daemon's one thread, which changes its namespace for the
 * length of a call.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMESPACES_TEXT_SIZE 300

struct namespaces;

/* Remembers the calling thread's network namespace as the daemon's own. Returns 0 or a negative
 * errno. */
int namespaces_new(struct namespaces **namespaces);
/* Lets go of the descriptors; the private namespace lives on where another process holds it. */
void namespaces_free(struct namespaces *namespaces);

/*
 * Makes the private namespace: no addresses, no IPv6, no forwarding. It has no name: who holds its
 * descriptor keeps it. Returns 0 or a negative errno.
 */
int namespaces_make_private(struct namespaces *namespaces);
/* Takes the descriptor of a private namespace over. Returns 0 (and owns it), or -EINVAL for what is
 * none. */
int namespaces_take_private(struct namespaces *namespaces, int fd);
/* Forgets the private namespace. */
void namespaces_drop_private(struct namespaces *namespaces);

/* Borrowed descriptors; -1 while there is no private namespace. */
int namespaces_own(const struct namespaces *namespaces);
int namespaces_private(const struct namespaces *namespaces);

/*
 * Opens a workload's namespace: "" is the daemon's own, NAME is /run/netns/NAME, else an absolute
 * path or pid:N. Returns a descriptor that the caller closes soon, -ENOENT when it is not there
 * (yet), -EMEDIUMTYPE for what is no network namespace, or another negative errno.
 */
int namespaces_open(const struct namespaces *namespaces, const char *text);

/*
 * Runs call(context) with the thread inside the namespace and returns what it returns, or a
 * negative errno when the namespace cannot be entered. The process ends when there is no way back:
 * everything it did from then on would hit the wrong namespace.
 */
int namespaces_run(const struct namespaces *namespaces, int fd, int (*call)(void *), void *context);

/* Whether both descriptors are of one namespace. */
bool namespaces_same(int a, int b);
/* The number that the kernel never uses twice for a network namespace (SO_NETNS_COOKIE), or 0. */
uint64_t namespaces_cookie(const struct namespaces *namespaces, int fd);

/* Writes how to call a namespace in a sentence ("namespace web1") and returns text. */
const char *namespaces_describe(const char *netns, char text[NAMESPACES_TEXT_SIZE]);

#endif
