/* SPDX-License-Identifier: Apache-2.0 */

/*
 * vhost-user ports: the switch is the backend of a virtio network device (Virtio 1.2, section 5.1)
 * whose frontend is a hypervisor or a container. librte_vhost speaks with the frontend and moves
 * the packets; what it sends and receives goes through a relay, since the connection is made by the
 * control daemon.
 *
 * The library has a thread of its own for what frontends ask. It tells of a device that is ready or
 * gone, and of rings that are enabled or not, by calling back.
 */

#include "datapath/ports/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/virtio_net.h>
#include <rte_vhost.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <urcu-qsbr.h>

#include "common/log.h"
#include "datapath/ports/dpdk_runtime.h"
#include "datapath/ports/mbuf_offload.h"
#include "datapath/ports/vhost_memory.h"

#define FEATURE(name) (1ull << (name))
/*
 * Offered by the library, and not here: UDP fragmentation offload is gone from Linux, and it does
 * not tell which super-packets carry ECN's CWR.
 */
#define FEATURES_OFF                                                                               \
	(FEATURE(VIRTIO_NET_F_HOST_UFO) | FEATURE(VIRTIO_NET_F_GUEST_UFO) |                        \
	 FEATURE(VIRTIO_NET_F_HOST_ECN) | FEATURE(VIRTIO_NET_F_GUEST_ECN))

/* The library knows a port by its path only, which is made of the port's address. */
static struct vhost_port *port_of(int device)
{
	char path[sizeof(((struct vhost_port *)NULL)->path)];
	const char *name;
	char *end;
	uintptr_t address;

	if (rte_vhost_get_ifname(device, path, sizeof(path)) < 0)
		return NULL;
	name = strrchr(path, '/');
	if (name == NULL)
		return NULL;
	address = strtoull(name + 1, &end, 16);
	if (*end != '\0')
		return NULL;
	return (struct vhost_port *)address; /* NOLINT(performance-no-int-to-ptr) */
}

static uint32_t features_of(int device)
{
	uint64_t negotiated = 0;
	uint32_t features = 0;

	if (rte_vhost_get_negotiated_features(device, &negotiated) < 0)
		return 0;
	if ((negotiated & FEATURE(VIRTIO_NET_F_GUEST_CSUM)) != 0)
		features |= PORT_CAN_CHECKSUM;
	if ((negotiated & FEATURE(VIRTIO_NET_F_GUEST_TSO4)) != 0)
		features |= PORT_CAN_TSO4;
	if ((negotiated & FEATURE(VIRTIO_NET_F_GUEST_TSO6)) != 0)
		features |= PORT_CAN_TSO6;
	return features;
}

void vhost_wake(const struct vhost_queue *queue)
{
	uint64_t one = 1;

	if (write(queue->wake_fd, &one, sizeof(one)) < 0)
		return; /* it is readable already */
}

static struct vhost_queue *queue_of(struct vhost_port *vhost, uint32_t ring)
{
	return &vhost->queues[ring / 2 % vhost->port->receive_count];
}

/*
 * Whether to kick stands in the guest's memory. What it says at first is a former datapath's word,
 * which may have died while it polled: so the queue's worker polls, and then asks itself.
 */
static void begin_anew(struct vhost_queue *queue)
{
	__atomic_store_n(&queue->fresh, true, __ATOMIC_RELEASE);
	vhost_wake(queue);
}

/*
 * Kicks are waited for on a copy of the descriptor, which can be taken out of epoll when the
 * library has closed its own; edge-triggered, so that nobody has to read what a frontend gave.
 */
static void drop_kick(struct vhost_port *vhost, uint32_t ring)
{
	if (vhost->kick_fds[ring] < 0)
		return;
	epoll_ctl(queue_of(vhost, ring)->wait_fd, EPOLL_CTL_DEL, vhost->kick_fds[ring], NULL);
	close(vhost->kick_fds[ring]);
	vhost->kick_fds[ring] = -1;
}

/* There is none of this ring. */
static void take_kick(struct vhost_port *vhost, int device, uint32_t ring)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct rte_vhost_vring vring;

	if (rte_vhost_get_vhost_vring(device, (uint16_t)ring, &vring) < 0 || vring.kickfd < 0)
		return;
	vhost->kick_fds[ring] = fcntl(vring.kickfd, F_DUPFD_CLOEXEC, 0);
	if (vhost->kick_fds[ring] >= 0)
		epoll_ctl(queue_of(vhost, ring)->wait_fd, EPOLL_CTL_ADD, vhost->kick_fds[ring],
			  &event);
}

/* How many pairs the guest receives by: the first ones. */
static void count_pairs(struct vhost_port *vhost)
{
	uint32_t pairs = 0;

	while (pairs < VHOST_PAIRS_MAX && vhost->enabled[VHOST_RING_TO_GUEST(pairs)])
		pairs++;
	__atomic_store_n(&vhost->pairs_in_use, pairs, __ATOMIC_RELAXED);
}

static int ring_changed(int device, uint16_t ring, int enabled)
{
	struct vhost_port *vhost = port_of(device);

	if (vhost == NULL || ring >= VHOST_RINGS_MAX)
		return 0;
	__atomic_store_n(&vhost->enabled[ring], enabled != 0, __ATOMIC_RELAXED);
	count_pairs(vhost);
	if (ring % 2 == 0)
		return 0;
	drop_kick(vhost, ring);
	if (enabled) {
		take_kick(vhost, device, ring);
		begin_anew(queue_of(vhost, ring));
	}
	return 0;
}

static int device_ready(int device)
{
	struct vhost_port *vhost = port_of(device);
	uint32_t rings = rte_vhost_get_vring_num(device);

	if (vhost == NULL)
		return -1;
	/* A guest need not kick for what it makes room for. */
	for (uint32_t ring = 0; ring < rings && ring < VHOST_RINGS_MAX; ring += 2)
		rte_vhost_enable_guest_notification(device, (uint16_t)ring, 0);
	__atomic_store_n(&vhost->port->features, features_of(device), __ATOMIC_RELAXED);
	__atomic_store_n(&vhost->device, device, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < vhost->port->receive_count; i++)
		begin_anew(&vhost->queues[i]);
	return 0;
}

/* When this returns, nobody uses the device or the guest's memory any more. */
static void device_gone(int device)
{
	struct vhost_port *vhost = port_of(device);

	if (vhost == NULL)
		return;
	__atomic_store_n(&vhost->device, -1, __ATOMIC_RELEASE);
	synchronize_rcu();
	for (uint32_t ring = 0; ring < VHOST_RINGS_MAX; ring++)
		drop_kick(vhost, ring);
}

static const struct rte_vhost_device_ops device_ops = {
	.new_device = device_ready,
	.destroy_device = device_gone,
	.vring_state_changed = ring_changed,
};

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	memcpy(address.sun_path, path, strlen(path));
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

/* Has the library connect, to a socket that is gone afterwards. Returns our end or an errno. */
static int connect_library(struct vhost_port *vhost)
{
	const uint64_t flags = RTE_VHOST_USER_CLIENT | RTE_VHOST_USER_NO_RECONNECT |
			       RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;
	int listener, inner = -EIO;

	listener = listen_at(vhost->path);
	if (listener < 0)
		return listener;
	if (rte_vhost_driver_register(vhost->path, flags) == 0) {
		vhost->registered = true;
		if (rte_vhost_driver_disable_features(vhost->path, FEATURES_OFF) == 0 &&
		    rte_vhost_driver_callback_register(vhost->path, &device_ops) == 0 &&
		    rte_vhost_driver_start(vhost->path) == 0)
			inner = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	}
	if (inner == -1)
		inner = -errno;
	close(listener);
	unlink(vhost->path);
	return inner;
}

/* A connection that ends at once: so it is reported, and the configuration does not fail. */
static int connect_nothing(void)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	close(ends[1]);
	return ends[0];
}

static int open_queue(struct port *port, unsigned index)
{
	struct vhost_port *vhost = port->private;
	struct vhost_queue *queue = &vhost->queues[index];
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	queue->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->wait_fd < 0 || queue->wake_fd < 0 ||
	    epoll_ctl(queue->wait_fd, EPOLL_CTL_ADD, queue->wake_fd, &event) < 0)
		return -errno;
	queue->told = true;
	port->wait_fds[index] = queue->wait_fd;
	return 0;
}

static int vhost_open(struct port *port)
{
	struct vhost_port *vhost = calloc(1, sizeof(*vhost));

	if (vhost == NULL)
		return -ENOMEM;
	port->private = vhost;
	port->features = 0;
	port->wait_fds[0] = -1;
	vhost->port = port;
	vhost->device = -1;
	for (unsigned ring = 0; ring < VHOST_RINGS_MAX; ring++)
		vhost->kick_fds[ring] = -1;
	for (unsigned i = 0; i < PORT_QUEUES_MAX; i++)
		vhost->queues[i].wait_fd = vhost->queues[i].wake_fd = -1;
	return 0;
}

static int vhost_configure(struct port *port, const struct proto_port *record)
{
	struct vhost_port *vhost = port->private;
	uint32_t queues = record->queues == 0 ? 1 : record->queues;
	int error, inner;

	if (queues > PORT_QUEUES_MAX)
		return -EINVAL;
	port->receive_count = queues;
	for (unsigned i = 0; i < queues; i++) {
		error = open_queue(port, i);
		if (error < 0)
			return error;
	}
	if (snprintf(vhost->path, sizeof(vhost->path), "%s/%" PRIxPTR, dpdk_runtime_directory(),
		     (uintptr_t)vhost) >= (int)sizeof(vhost->path))
		return -ENAMETOOLONG;
	inner = vhost_memory_guard();
	if (inner == 0)
		inner = dpdk_runtime_start();
	if (inner == 0)
		inner = connect_library(vhost);
	if (inner < 0) {
		log_error("port %u: the vhost library does not take its connection: %s",
			  port->ref.index, strerror(-inner));
		inner = connect_nothing();
	}
	return inner < 0 ? inner : vhost_relay_new(&vhost->relay, &port->ref, port->fds[0], inner);
}

static void vhost_close(struct port *port)
{
	struct vhost_port *vhost = port->private;

	vhost_relay_free(vhost->relay);
	if (vhost->registered)
		rte_vhost_driver_unregister(vhost->path);
	for (uint32_t ring = 0; ring < VHOST_RINGS_MAX; ring++)
		drop_kick(vhost, ring);
	for (unsigned i = 0; i < PORT_QUEUES_MAX; i++) {
		if (vhost->queues[i].wait_fd >= 0)
			close(vhost->queues[i].wait_fd);
		if (vhost->queues[i].wake_fd >= 0)
			close(vhost->queues[i].wake_fd);
	}
	free(vhost);
}

const struct port_ops port_vhost_ops = {
	.name = "vhost-user",
	.super_frames = mbuf_offload_super_frames,
	.open = vhost_open,
	.configure = vhost_configure,
	.close = vhost_close,
	.receive = vhost_receive,
	.rest = vhost_rest,
	.transmit = vhost_transmit,
};
