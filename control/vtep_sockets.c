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

static int open_one(const struct proto_addr *local, uint16_t udp_port);
static int set_options(int fd, bool receives);
static int set_int(int fd, int level, int name, int value);
static bool matches(int fd, const struct proto_addr *local, uint16_t udp_port, uint64_t cookie);

int vtep_sockets_open(struct vtep_sockets *sockets, const struct proto_addr *local,
		      uint16_t udp_port)
{
	struct vtep_sockets made = {.local = *local, .udp_port = udp_port};

	if (local->family != AF_INET)
		return -EAFNOSUPPORT;
	while (made.count < VTEP_SOCKETS_COUNT) {
		int fd = open_one(local, made.count == 0 ? udp_port : 0);

		if (fd < 0) {
			vtep_sockets_close(&made);
			return fd;
		}
		made.fds[made.count++] = fd;
	}
	*sockets = made;
	return 0;
}

void vtep_sockets_close(struct vtep_sockets *sockets)
{
	while (sockets->count > 0)
		close(sockets->fds[--sockets->count]);
}

bool vtep_sockets_match(const int *fds, uint32_t count, const struct proto_addr *local,
			uint16_t udp_port, uint64_t netns_cookie)
{
	uint32_t i;

	if (count != VTEP_SOCKETS_COUNT || local->family != AF_INET)
		return false;
	for (i = 0; i < count; i++)
		if (!matches(fds[i], local, i == 0 ? udp_port : 0, netns_cookie))
			return false;
	return true;
}

static int open_one(const struct proto_addr *local, uint16_t udp_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(udp_port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	memcpy(&address.sin_addr, local->bytes, sizeof(address.sin_addr));
	error = set_options(fd, udp_port != 0);
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

/* udp_port 0: any but none. */
static bool matches(int fd, const struct proto_addr *local, uint16_t udp_port, uint64_t cookie)
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
	return udp_port == 0 ? address.sin_port != 0 : address.sin_port == htons(udp_port);
}
