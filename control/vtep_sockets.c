/* SPDX-License-Identifier: Apache-2.0 */
#include "control/vtep_sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define RECEIVE_BUFFER (8 * 1024 * 1024)
#define SEND_BUFFER    (4 * 1024 * 1024)
#define TTL	       64

static int open_all(struct vtep_sockets *sockets, uint32_t receive_count);
static int open_one(const struct proto_addr *local, uint16_t udp_port, bool joins);
static int set_options(int fd, bool receives);
static int set_int(int fd, int level, int name, int value);
static bool matches(int fd, const struct proto_addr *local, uint16_t udp_port, bool receives,
		    uint64_t cookie);

int vtep_sockets_open(struct vtep_sockets *sockets, const struct proto_addr *local,
		      uint16_t udp_port, uint32_t receive_count)
{
	struct vtep_sockets made = {.local = *local, .udp_port = udp_port};
	int error;

	if (local->family != AF_INET)
		return -EAFNOSUPPORT;
	error = open_all(&made, receive_count);
	if (error < 0)
		vtep_sockets_close(&made);
	else
		*sockets = made;
	return error;
}

int vtep_sockets_grow(struct vtep_sockets *sockets, uint32_t receive_count)
{
	const uint32_t first = sockets->receive_count;
	int made[PROTO_QUEUES_MAX];
	uint32_t count = 0;
	/* Whoever binds to the port without, finds it taken: so did the first, and may be joined
	 * only now. */
	int error = set_int(sockets->fds[0], SOL_SOCKET, SO_REUSEPORT, 1);

	while (error == 0 && first + count < receive_count) {
		int fd = open_one(&sockets->local, sockets->udp_port, true);

		if (fd >= 0)
			made[count++] = fd;
		else
			error = fd;
	}
	if (error < 0) {
		while (count > 0)
			close(made[--count]);
		return error;
	}
	memmove(sockets->fds + first + count, sockets->fds + first,
		(sockets->count - first) * sizeof(*made));
	memcpy(sockets->fds + first, made, count * sizeof(*made));
	sockets->receive_count += count;
	sockets->count += count;
	return 0;
}

uint32_t vtep_sockets_shrink(struct vtep_sockets *sockets, uint32_t receive_count,
			     int surplus[PROTO_QUEUES_MAX])
{
	const uint32_t former = sockets->receive_count;
	uint32_t count = former > receive_count ? former - receive_count : 0;

	memcpy(surplus, sockets->fds + former - count, count * sizeof(*surplus));
	memmove(sockets->fds + former - count, sockets->fds + former,
		(sockets->count - former) * sizeof(*surplus));
	sockets->receive_count -= count;
	sockets->count -= count;
	return count;
}

void vtep_sockets_close(struct vtep_sockets *sockets)
{
	while (sockets->count > 0)
		close(sockets->fds[--sockets->count]);
	sockets->receive_count = 0;
}

uint32_t vtep_sockets_match(const int *fds, uint32_t count, const struct proto_addr *local,
			    uint16_t udp_port, uint64_t netns_cookie)
{
	uint32_t receive_count = count - VTEP_SOCKETS_SENDERS;
	uint32_t i;

	if (count <= VTEP_SOCKETS_SENDERS || count > VTEP_SOCKETS_MAX || local->family != AF_INET)
		return 0;
	for (i = 0; i < count; i++)
		if (!matches(fds[i], local, udp_port, i < receive_count, netns_cookie))
			return 0;
	return receive_count;
}

static int open_all(struct vtep_sockets *sockets, uint32_t receive_count)
{
	int fd = open_one(&sockets->local, sockets->udp_port, false);

	if (fd < 0)
		return fd;
	sockets->fds[sockets->count++] = fd;
	sockets->receive_count = 1;
	while (sockets->count < 1 + VTEP_SOCKETS_SENDERS) {
		fd = open_one(&sockets->local, 0, false);
		if (fd < 0)
			return fd;
		sockets->fds[sockets->count++] = fd;
	}
	return receive_count > 1 ? vtep_sockets_grow(sockets, receive_count) : 0;
}

/* udp_port 0: one that sends. joins: beside another of the port. */
static int open_one(const struct proto_addr *local, uint16_t udp_port, bool joins)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(udp_port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	memcpy(&address.sin_addr, local->bytes, sizeof(address.sin_addr));
	error = set_options(fd, udp_port != 0);
	if (error == 0 && joins)
		error = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (error == 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		error = -errno;
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

/* DF is always set: the outer packet is never fragmented. Buffers and GRO are for speed and may
 * fail. */
static int set_options(int fd, bool receives)
{
	int error = set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);

	if (error == 0)
		error = set_int(fd, IPPROTO_IP, IP_TTL, TTL);
	if (error < 0)
		return error;
	if (!receives) {
		(void)set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER);
		return 0;
	}
	(void)set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
	(void)set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
	return set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
}

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* One that sends has any port but none and the VTEP's. */
static bool matches(int fd, const struct proto_addr *local, uint16_t udp_port, bool receives,
		    uint64_t cookie)
{
	struct sockaddr_in address = {0}, peer;
	socklen_t size = sizeof(address), peer_size = sizeof(peer), cookie_size = sizeof(cookie);
	socklen_t int_size = sizeof(int);
	uint64_t own_cookie = 0;
	int domain = 0, protocol = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &int_size) < 0 || domain != AF_INET)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &int_size) < 0 ||
	    protocol != IPPROTO_UDP)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &own_cookie, &cookie_size) < 0 ||
	    own_cookie != cookie)
		return false;
	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
	    address.sin_family != AF_INET ||
	    memcmp(&address.sin_addr, local->bytes, sizeof(address.sin_addr)) != 0)
		return false;
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0)
		return false; /* connected: it would hear one peer only */
	return address.sin_port != 0 && (address.sin_port == htons(udp_port)) == receives;
}
