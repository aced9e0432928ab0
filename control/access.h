/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_ACCESS_H
#define VSWITCH_CONTROL_ACCESS_H

/*
 * Who may do what at the API's socket. The kernel says who connected
 * (SO_PEERCRED, and SO_PEERGROUPS, since the former lacks the supplementary
 * groups); group names say what they may. Used by the API; keeps nothing.
 */

#define ACCESS_READ   0x1u
#define ACCESS_CHANGE 0x2u

#define ACCESS_GROUP_CHANGE "vswitch"
#define ACCESS_GROUP_READ   "vswitch-read"

/* Another way to decide, as tests have. */
struct access {
	/* Returns the rights (ACCESS_*) of whoever is at the other end of the socket. */
	unsigned (*rights)(void *context, int fd);
	void *context;
};

/*
 * Returns the rights of the peer: everything for root, the daemon's own user and members of the
 * first group; reading for members of the second; nothing for others, and where the kernel does
 * not tell. A group that does not exist has no members.
 */
unsigned access_rights(int fd, const char *change_group, const char *read_group);

#endif
