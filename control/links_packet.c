/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/links_internal.h"
#include "control/namespaces.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define BUFFER (4 * 1024 * 1024)

struct packet_call {
	const char *ifname;
	int fd;
	unsigned int ifindex;
};

static int open_here(void *context);
static int set_options(int fd);
static int find_index_here(void *context);

int links_packet_open(struct links *links, const char *ifname, int *fd)
{
	struct packet_call call = {.ifname = ifname};
	int error = namespaces_run(links->namespaces, namespaces_private(links->namespaces),
				   open_here, &call);

	if (error == 0)
		*fd = call.fd;
	return error;
}

bool links_packet_match(struct links *links, const char *ifname, int fd)
{
	int private = namespaces_private(links->namespaces);
	struct packet_call call = {.ifname = ifname};
	struct sockaddr_ll address = {0};
	socklen_t size = sizeof(address), cookie_size = sizeof(uint64_t);
	uint64_t cookie = 0;
	int domain = 0, type = 0, header = 0;
	socklen_t int_size = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &int_size) < 0 || domain != AF_PACKET)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_size) < 0 || type != SOCK_RAW)
		return false;
	if (getsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &header, &int_size) < 0 || header != 1)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &cookie_size) < 0 || cookie == 0 ||
	    cookie != namespaces_cookie(links->namespaces, private))
		return false;
	if (namespaces_run(links->namespaces, private, find_index_here, &call) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return false;
	return address.sll_ifindex == (int)call.ifindex && address.sll_protocol == htons(ETH_P_ALL);
}

/* Made with protocol 0: until bind() has named the interface nothing arrives, so nothing foreign
 * does. */
static int open_here(void *context)
{
	struct packet_call *call = context;
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd, error;

	error = find_index_here(call);
	if (error < 0)
		return error;
	address.sll_ifindex = (int)call->ifindex;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = set_options(fd);
	if (error == 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		error = -errno;
	if (error < 0) {
		close(fd);
		return error;
	}
	call->fd = fd;
	return 0;
}

static int set_options(int fd)
{
	const int one = 1, size = BUFFER;

	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0)
		return -errno;
	/* For speed only. */
	(void)setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return 0;
}

static int find_index_here(void *context)
{
	struct packet_call *call = context;

	call->ifindex = if_nametoindex(call->ifname);
	return call->ifindex == 0 ? -errno : 0;
}
