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
	bool adopted; /* somebody else made the interface */
	uint32_t mark;
	int fd;
	unsigned int ifindex;
};

static int open_here(void *context);
static int set_options(int fd);
static int adopt(const struct packet_call *call, int fd);
static bool is_ours(int fd, uint32_t mark);
static uint64_t read_cookie(int fd);
static int find_index_here(void *context);

int links_packet_open(struct links *links, const char *ifname, struct links_queues *queues)
{
	struct packet_call call = {.ifname = ifname};
	int error = namespaces_run(links->namespaces, namespaces_private(links->namespaces),
				   open_here, &call);

	if (error == 0)
		*queues = (struct links_queues){.count = 1, .fds = {call.fd}};
	return error;
}

int links_packet_adopt(struct links *links, int netns, const char *ifname, uint32_t mark,
		       struct links_queues *queues)
{
	struct packet_call call = {.ifname = ifname, .adopted = true, .mark = mark};
	int error = namespaces_run(links->namespaces, netns, open_here, &call);

	if (error == 0)
		*queues = (struct links_queues){.count = 1, .fds = {call.fd}};
	return error;
}

bool links_packet_match(struct links *links, int netns, const char *ifname, uint32_t mark,
			const struct links_queues *queues)
{
	struct packet_call call = {.ifname = ifname};
	uint64_t cookie = namespaces_cookie(links->namespaces, netns);
	uint32_t i;

	for (i = 0; i < queues->count; i++)
		if (!is_ours(queues->fds[i], mark) || cookie == 0 ||
		    read_cookie(queues->fds[i]) != cookie)
			return false;
	if (namespaces_run(links->namespaces, netns, find_index_here, &call) < 0)
		return false;
	for (i = 0; i < queues->count; i++)
		if (links_packet_ifindex(queues->fds[i]) != call.ifindex)
			return false;
	return true;
}

uint32_t links_packet_ifindex(int fd)
{
	struct sockaddr_ll address = {0};
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
	    address.sll_family != AF_PACKET || address.sll_protocol != htons(ETH_P_ALL) ||
	    address.sll_ifindex < 0)
		return 0;
	return (uint32_t)address.sll_ifindex;
}

/* Made with protocol 0: until bind() has named the interface nothing arrives, so nothing foreign
 * does. */
static int open_here(void *context)
{
	struct packet_call *call = context;
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	const int one = 1;
	int fd, error;

	error = find_index_here(call);
	if (error < 0)
		return error;
	address.sll_ifindex = (int)call->ifindex;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = set_options(fd);
	if (error == 0 && call->adopted)
		error = adopt(call, fd);
	else if (error == 0) /* for speed only */
		(void)setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
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
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return 0;
}

/*
 * Frames for any address come in, as long as the socket is open. They leave by the interface's
 * queue: without it the kernel drops a super-packet that the device does not segment itself, and
 * whatever finds a NIC's ring full.
 */
static int adopt(const struct packet_call *call, int fd)
{
	const struct packet_mreq member = {.mr_ifindex = (int)call->ifindex,
					   .mr_type = PACKET_MR_PROMISC};

	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &member, sizeof(member)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_MARK, &call->mark, sizeof(call->mark)) < 0)
		return -errno;
	return 0;
}

static bool is_ours(int fd, uint32_t mark)
{
	int domain = 0, type = 0, header = 0;
	uint32_t has_mark = 0;
	socklen_t size = sizeof(int), mark_size = sizeof(has_mark);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_PACKET &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_RAW &&
	       getsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &header, &size) == 0 && header == 1 &&
	       getsockopt(fd, SOL_SOCKET, SO_MARK, &has_mark, &mark_size) == 0 && has_mark == mark;
}

static uint64_t read_cookie(int fd)
{
	socklen_t size = sizeof(uint64_t);
	uint64_t cookie = 0;

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

static int find_index_here(void *context)
{
	struct packet_call *call = context;

	call->ifindex = if_nametoindex(call->ifname);
	return call->ifindex == 0 ? -errno : 0;
}
