/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
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

/*
 * How this works: several sockets on an interface are one fanout group, in which the kernel gives
 * each flow to one socket. A socket can join only once it is bound, from when on it would get a
 * copy of everything, which the group gets as well: until it has joined, a filter drops all that it
 * gets. A group does not know PACKET_IGNORE_OUTGOING, which its sockets have (its own frames it
 * does not get, but the host's on an interface that is shared): its sockets have a filter for that.
 */
#define FANOUT_TYPE PACKET_FANOUT_HASH

struct packet_call {
	const char *ifname;
	bool adopted; /* somebody else made the interface */
	uint32_t mark;
	uint32_t count;
	struct links_queues *queues;
	unsigned int ifindex;
};

static int open_here(void *context);
static int open_one(const struct packet_call *call, bool joins);
static int set_options(int fd);
static int adopt(const struct packet_call *call, int fd);
static int take_nothing(int fd);
static int take_incoming(int fd);
static int join(int first, int fd);
static int find_group(int fd, uint16_t *id);
static bool is_ours(int fd, uint32_t mark);
static uint64_t read_cookie(int fd);
static int find_index_here(void *context);

int links_packet_open(struct links *links, const char *ifname, uint32_t count,
		      struct links_queues *queues)
{
	struct packet_call call = {.ifname = ifname, .count = count, .queues = queues};

	return namespaces_run(links->namespaces, namespaces_private(links->namespaces), open_here,
			      &call);
}

int links_packet_adopt(struct links *links, int netns, const char *ifname, uint32_t mark,
		       uint32_t count, struct links_queues *queues)
{
	struct packet_call call = {
		.ifname = ifname, .adopted = true, .mark = mark, .count = count, .queues = queues};

	return namespaces_run(links->namespaces, netns, open_here, &call);
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

/* Opens what is missing of `count`. What was open before stays so, whatever happens. */
static int open_here(void *context)
{
	struct packet_call *call = context;
	struct links_queues *queues = call->queues;
	uint32_t first = queues->count;
	int error = find_index_here(call);

	while (error == 0 && queues->count < call->count) {
		int fd = open_one(call, queues->count > 0);

		if (fd < 0) {
			error = fd;
			break;
		}
		queues->fds[queues->count++] = fd;
		if (queues->count > 1)
			error = join(queues->fds[0], fd);
	}
	while (error < 0 && queues->count > first)
		close(queues->fds[--queues->count]);
	return error;
}

/* Made with protocol 0: until bind() has named the interface nothing arrives, so nothing foreign
 * does. */
static int open_one(const struct packet_call *call, bool joins)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_protocol = htons(ETH_P_ALL),
				      .sll_ifindex = (int)call->ifindex};
	const int one = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	error = set_options(fd);
	if (error == 0 && call->adopted)
		error = adopt(call, fd);
	else if (error == 0) /* for speed only */
		(void)setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	if (error == 0 && joins)
		error = take_nothing(fd);
	if (error == 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		error = -errno;
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
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

static int take_nothing(int fd)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog program = {.len = 1, .filter = &drop};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

/* In the place of the filter before. */
static int take_incoming(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

/* Makes a bound socket that takes nothing yet one of the group of the first. */
static int join(int first, int fd)
{
	uint32_t group;
	uint16_t id = 0;
	int error = find_group(first, &id);

	if (error < 0)
		return error;
	group = id | (uint32_t)FANOUT_TYPE << 16;
	if (setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, sizeof(group)) < 0)
		return -errno;
	return take_incoming(fd);
}

/* The group of a socket, which is made if there is none. The kernel chooses its number: somebody
 * else may have some in the namespace. */
static int find_group(int fd, uint16_t *id)
{
	const uint32_t wanted = (uint32_t)(FANOUT_TYPE | PACKET_FANOUT_FLAG_UNIQUEID) << 16;
	uint32_t group = 0;
	socklen_t size = sizeof(group);
	int error = take_incoming(fd);

	if (error < 0)
		return error;
	/* EALREADY: it is in one. */
	if ((setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &wanted, sizeof(wanted)) < 0 &&
	     errno != EALREADY) ||
	    getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, &size) < 0)
		return -errno;
	*id = (uint16_t)group;
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
