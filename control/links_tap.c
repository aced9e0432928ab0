/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/log.h"
#include "control/links_internal.h"
#include "control/namespaces.h"
#include "control/netlink.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/*
 * Every TAP is made for several queues, though it has one while there is one worker: a TAP that was
 * not can never have more, and the number of workers changes without the interface.
 */
#define TAP_FLAGS	 (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define VNET_HEADER_SIZE 10
#define OFFLOADS	 (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)

struct tap_call {
	const char *ifname;
	int flags;
	int fd;
};

static int open_tap(struct links *links, int netns, const char *ifname, int flags, int *fd);
static int open_here(void *context);
static int attach_queue(struct links *links, const struct links_port *port, int netns, int flags,
			struct links_queues *queues);
static int set_up_queue(int fd);
static bool is_of_port(const struct links_port *port, int fd, int netns);
static bool pins_namespace(const struct links *links, int fd);
static int finish(struct links *links, const struct links_port *port, int home, const char *ifname,
		  int fd);
static int move(struct links *links, const struct links_port *port, const char *ifname, int netns);
static int read_flags(int fd, struct ifreq *request);

/*
 * Directly in place when that is the daemon's own namespace, which is there as long as the daemon;
 * else in the private one under a temporary name, and moved.
 */
int links_tap_make(struct links *links, const struct links_port *port, int netns,
		   struct links_queues *queues)
{
	int own = namespaces_own(links->namespaces);
	bool stays = namespaces_same(netns, own);
	int home = stays ? own : namespaces_private(links->namespaces);
	char ifname[ADDR_IFNAME_SIZE];
	int error;

	if (stays)
		snprintf(ifname, sizeof(ifname), "%s", port->ifname);
	else
		snprintf(ifname, sizeof(ifname), LINKS_TEMPORARY "%05" PRIx32 "%06x",
			 port->ref.index, (unsigned int)(links->instance & 0xffffff));
	queues->count = 0;
	error = open_tap(links, home, ifname, TAP_FLAGS | IFF_MULTI_QUEUE | IFF_TUN_EXCL,
			 &queues->fds[0]);
	if (error == -EBUSY)
		error = -EEXIST; /* what IFF_TUN_EXCL says of a name that is taken */
	if (error < 0)
		return error;
	queues->count = 1;
	error = finish(links, port, home, ifname, queues->fds[0]);
	/* All of them before it moves: they shall not keep the workload's namespace alive. */
	while (error == 0 && queues->count < port->queue_count) {
		error = open_tap(links, home, ifname, TAP_FLAGS | IFF_MULTI_QUEUE,
				 &queues->fds[queues->count]);
		if (error == 0)
			queues->count++;
	}
	if (error == 0 && !stays)
		error = move(links, port, ifname, netns);
	if (error < 0) {
		links_tap_release(queues->fds[0]);
		links_queues_close(queues);
	}
	return error;
}

/* One that a version before made has one queue. */
int links_tap_attach(struct links *links, const struct links_port *port, int netns,
		     struct links_queues *queues)
{
	int error;

	queues->count = 0;
	if (links_queues_held(links, netns, port->ifname) > 0)
		return -EBUSY;
	error = attach_queue(links, port, netns, IFF_MULTI_QUEUE, queues);
	if (error == -EINVAL)
		return attach_queue(links, port, netns, 0, queues);
	if (error == 0)
		error = links_tap_grow(links, port, netns, queues);
	if (error < 0)
		links_queues_close(queues);
	return error;
}

int links_tap_grow(struct links *links, const struct links_port *port, int netns,
		   struct links_queues *queues)
{
	uint32_t first = queues->count;
	int error = 0;

	while (error == 0 && queues->count < port->queue_count)
		error = attach_queue(links, port, netns, IFF_MULTI_QUEUE, queues);
	while (error < 0 && queues->count > first)
		close(queues->fds[--queues->count]);
	return error == -EINVAL ? -EOPNOTSUPP : error;
}

/* Adds one queue of the TAP that is there. */
static int attach_queue(struct links *links, const struct links_port *port, int netns, int flags,
			struct links_queues *queues)
{
	int opened = -1;
	int error = open_tap(links, netns, port->ifname, TAP_FLAGS | flags, &opened);

	if (error < 0)
		return error;
	/* Had the interface gone in between, a new one was made that nobody asked for; it goes with
	 * the fd. */
	if (!is_of_port(port, opened, netns) ||
	    links_owner_in(links, netns, port->ifname, &port->ref) != LINKS_OURS)
		error = -EAGAIN;
	else if (queues->count == 0)
		error = set_up_queue(opened);
	if (error < 0) {
		close(opened);
		return error;
	}
	queues->fds[queues->count++] = opened;
	return 0;
}

bool links_tap_match(const struct links_port *port, const struct links_queues *queues, int netns)
{
	uint32_t i;

	for (i = 0; i < queues->count; i++)
		if (!is_of_port(port, queues->fds[i], netns))
			return false;
	return true;
}

static bool is_of_port(const struct links_port *port, int fd, int netns)
{
	struct ifreq request;
	int place;
	bool match;

	if (read_flags(fd, &request) < 0 || strcmp(request.ifr_name, port->ifname) != 0 ||
	    (request.ifr_flags & TAP_FLAGS) != TAP_FLAGS)
		return false;
	place = ioctl(fd, TUNGETDEVNETNS);
	if (place < 0)
		return false;
	match = namespaces_same(place, netns);
	close(place);
	return match;
}

bool links_pins(struct links *links, const struct links_port *port,
		const struct links_queues *queues)
{
	uint32_t i;

	if (port->type != MODEL_PORT_TAP && port->type != MODEL_PORT_NETDEV)
		return false;
	for (i = 0; i < queues->count; i++)
		if (pins_namespace(links, queues->fds[i]))
			return true;
	return false;
}

/* The kernel holds the namespace that the descriptor was opened in for as long as it is open. */
static bool pins_namespace(const struct links *links, int fd)
{
	int home = ioctl(fd, SIOCGSKNS);
	bool pins;

	if (home < 0)
		return false;
	pins = !namespaces_same(home, namespaces_own(links->namespaces)) &&
	       !namespaces_same(home, namespaces_private(links->namespaces));
	close(home);
	return pins;
}

void links_discard(struct links *links, const struct proto_ref *ref, int fd)
{
	if (links_tap_alive(fd) && links_tap_remove(links, fd, ref) < 0)
		log_warning("a TAP that the datapath handed back for no port is not this switch's");
}

int links_tap_remove(struct links *links, int fd, const struct proto_ref *ref)
{
	char ifname[ADDR_IFNAME_SIZE];
	int netns = links_tap_find(fd, ifname);
	int error;

	if (netns < 0)
		return netns;
	error = links_delete_in(links, netns, ifname, ref);
	close(netns);
	return error;
}

int links_tap_find(int fd, char ifname[ADDR_IFNAME_SIZE])
{
	struct ifreq request;
	int error = read_flags(fd, &request);
	int netns;

	if (error < 0)
		return error;
	netns = ioctl(fd, TUNGETDEVNETNS);
	if (netns < 0)
		return -errno;
	snprintf(ifname, ADDR_IFNAME_SIZE, "%s", request.ifr_name);
	return netns;
}

bool links_tap_alive(int fd)
{
	struct ifreq request;

	return read_flags(fd, &request) == 0;
}

void links_tap_release(int fd)
{
	(void)ioctl(fd, TUNSETPERSIST, 0);
}

static int open_tap(struct links *links, int netns, const char *ifname, int flags, int *fd)
{
	struct tap_call call = {.ifname = ifname, .flags = flags};
	int error = namespaces_run(links->namespaces, netns, open_here, &call);

	if (error == 0)
		*fd = call.fd;
	return error;
}

static int open_here(void *context)
{
	struct tap_call *call = context;
	struct ifreq request = {.ifr_flags = (short)call->flags};
	int error;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", call->ifname);
	call->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (call->fd < 0)
		return errno == ENOENT ? -ENXIO
				       : -errno; /* ENOENT means a missing namespace to callers */
	if (ioctl(call->fd, TUNSETIFF, &request) < 0) {
		error = -errno;
		close(call->fd);
		return error;
	}
	return 0;
}

/* UDP segmentation offload is younger than the rest: without it the kernel cuts before the TAP. */
static int set_up_queue(int fd)
{
	const int header_size = VNET_HEADER_SIZE, little_endian = 1, buffer = INT_MAX;

	if (ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0 ||
	    ioctl(fd, TUNSETVNETLE, &little_endian) < 0)
		return -errno;
	if (ioctl(fd, TUNSETOFFLOAD, OFFLOADS | TUN_F_USO4 | TUN_F_USO6) < 0 &&
	    ioctl(fd, TUNSETOFFLOAD, OFFLOADS) < 0)
		return -errno;
	return ioctl(fd, TUNSETSNDBUF, &buffer) < 0 ? -errno : 0;
}

/* The alias comes before persistence, so that no TAP stays without its owner's name. */
static int finish(struct links *links, const struct links_port *port, int home, const char *ifname,
		  int fd)
{
	struct nl_sock *socket;
	int error = set_up_queue(fd);

	if (error < 0)
		return error;
	error = netlink_open(links->namespaces, home, &socket);
	if (error < 0)
		return error;
	error = links_label(links, socket, ifname, &port->ref);
	if (error == 0) /* for memory only */
		(void)links_queues_make_cheap(socket, ifname);
	nl_socket_free(socket);
	if (error == 0 && ioctl(fd, TUNSETPERSIST, 1) < 0)
		error = -errno;
	return error;
}

/* With its name in one message: in the workload's namespace it never has another. */
static int move(struct links *links, const struct links_port *port, const char *ifname, int netns)
{
	struct nl_sock *socket;
	struct rtnl_link *link, *change;
	int error = netlink_open(links->namespaces, namespaces_private(links->namespaces), &socket);

	if (error < 0)
		return error;
	error = netlink_link(socket, ifname, &link);
	if (error < 0)
		goto free_socket;
	error = -ENOMEM;
	change = rtnl_link_alloc();
	if (change != NULL) {
		rtnl_link_set_ns_fd(change, netns);
		rtnl_link_set_name(change, port->ifname);
		error = netlink_error(rtnl_link_change(socket, link, change, 0));
		rtnl_link_put(change);
	}
	rtnl_link_put(link);
free_socket:
	nl_socket_free(socket);
	return error;
}

static int read_flags(int fd, struct ifreq *request)
{
	memset(request, 0, sizeof(*request));
	return ioctl(fd, TUNGETIFF, request) < 0 ? -errno : 0;
}
