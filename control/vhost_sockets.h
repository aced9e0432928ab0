/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_VHOST_SOCKETS_H
#define VSWITCH_CONTROL_VHOST_SOCKETS_H

/*
 * The Unix sockets of vhost-user ports: connecting to a frontend that listens,
 * and listening for one that connects. Whoever may write the directory of a
 * socket may be another than root, so that nothing is followed or removed that
 * is not what it was found to be. Called by reconcile_vhost.c, on the control
 * daemon's one thread; nothing here waits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

struct vhost_sockets {
	int probe; /* tells whether somebody listens, without a sign to them; -1: not open */
};

/* A socket that listens, and its file. */
struct vhost_listener {
	int fd; /* -1: none */
	dev_t device;
	ino_t inode;
};

/* A directory as it was at some time; inode 0: not known. */
struct vhost_place {
	dev_t device;
	ino_t inode;
	struct timespec changed;
};

/*
 * One round of looks at directories, which looks at neighbours' once. Begins as {0}. A socket's
 * file can neither come, go nor change hands without a trace in its directory, so that a thousand
 * that are waited for cost no more than their directories.
 */
struct vhost_round {
	const char *path; /* of the last that was asked for, as far as its directory; or NULL */
	size_t directory_size;
	struct vhost_place place;
};

/* Returns 0 or a negative errno. */
int vhost_sockets_init(struct vhost_sockets *sockets);
void vhost_sockets_fini(struct vhost_sockets *sockets);

/*
 * Whether a stream socket is bound to the path and open. Returns 0 if so; -ENOENT (no file),
 * -ECONNREFUSED (a file that nobody has open), -EPROTOTYPE (a socket of another type), or another
 * negative errno.
 */
int vhost_sockets_probe(const struct vhost_sockets *sockets, const char *path);

/*
 * Connects. Returns a descriptor of the caller's, on which calls wait; or as above, or -EAGAIN
 * (whoever listens has enough to accept).
 */
int vhost_sockets_connect(const struct vhost_sockets *sockets, const char *path);

/*
 * Whether the directory of the path is as it was when *place was taken. If not, *place is what it
 * is now, for who looks at the file after that; not known while it changed within the last second.
 * The paths of a round must live as long as it.
 */
bool vhost_round_unchanged(struct vhost_round *round, const char *path, struct vhost_place *place);

/* Whether a descriptor is a connection with the port's frontend, as far as the kernel tells. */
bool vhost_sockets_match(int fd, const char *path, bool server);

/* One phrase that says why there is no connection, for an error of connect, open or accept. */
const char *vhost_sockets_explain(const char *path, bool server, int error, char *text,
				  size_t size);

/*
 * Listens on the path, with a file for root and group kvm. What an earlier listener of this user
 * left there is replaced. Returns 0, or -ENOENT (no directory), -EADDRINUSE (somebody listens
 * there), -EEXIST (something else is there), or another negative errno; then there is none.
 */
int vhost_listener_open(struct vhost_listener *listener, const struct vhost_sockets *sockets,
			const char *path);
/* Whether the path still leads to the listener. */
bool vhost_listener_stands(const struct vhost_listener *listener, const char *path);
/* Returns a connection that lives, the caller's; -EAGAIN: none has come; or a negative errno. */
int vhost_listener_accept(const struct vhost_listener *listener);
/* Ends it. The file stays, with nobody behind it, unless it is to be removed and still its own. */
void vhost_listener_close(struct vhost_listener *listener, const char *path, bool remove);

#endif
