/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/port.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "datapath/ports/dpdk_runtime.h"

static const struct {
	uint32_t type;
	const struct port_ops *ops;
	uint32_t fds_min, fds_max;
} port_types[] = {
	{PROTO_PORT_TAP, &port_tap_ops, 1, PORT_QUEUES_MAX},
	{PROTO_PORT_PACKET, &port_packet_socket_ops, 1, PORT_QUEUES_MAX},
	{PROTO_PORT_MEMORY, &port_memory_ops, 0, 0},
	{PROTO_PORT_PCAP, &port_pcap_ops, 1, 2},
	{PORT_TYPE_VXLAN, &port_vxlan_ops, 2, PORT_FDS_MAX},
#ifdef HAVE_DPDK
	{PROTO_PORT_VHOST, &port_vhost_ops, 1, 1},
	{PROTO_PORT_DPDK, &port_dpdk_ops, 0, 0},
#endif
};

static int make_port(struct port **port, uint32_t type, const struct proto_ref *ref, const int *fds,
		     uint32_t fd_count, uint32_t receive_count);

int port_new(struct port **port, uint32_t type, const struct proto_ref *ref, const int *fds,
	     uint32_t fd_count)
{
	return make_port(port, type, ref, fds, fd_count, type == PORT_TYPE_VXLAN ? 1 : fd_count);
}

int port_new_vtep(struct port **port, const struct proto_ref *ref, const int *fds,
		  uint32_t fd_count, uint32_t receive_count)
{
	return make_port(port, PORT_TYPE_VXLAN, ref, fds, fd_count, receive_count);
}

static int make_port(struct port **port, uint32_t type, const struct proto_ref *ref, const int *fds,
		     uint32_t fd_count, uint32_t receive_count)
{
	struct port *made = calloc(1, sizeof(*made));
	int error = made == NULL ? -ENOMEM : -EINVAL;

	for (unsigned i = 0; made != NULL && i < sizeof(port_types) / sizeof(port_types[0]); i++) {
		if (port_types[i].type == type && fd_count >= port_types[i].fds_min &&
		    fd_count <= port_types[i].fds_max)
			made->ops = port_types[i].ops;
	}
	if (made == NULL || made->ops == NULL)
		goto fail;
	made->ref = *ref;
	made->references = 1;
	made->features = made->ops->features;
	made->queue_count = fd_count;
	made->receive_count = receive_count;
	for (uint32_t i = 0; i < fd_count; i++)
		made->fds[i] = fds[i];
	for (uint32_t i = 0; i < PORT_QUEUES_MAX; i++)
		made->wait_fds[i] = i < receive_count && i < fd_count ? fds[i] : -1;
	error = made->ops->open == NULL ? 0 : made->ops->open(made);
	if (error < 0)
		goto fail;
	*port = made;
	return 0;
fail:
	for (uint32_t i = 0; i < fd_count; i++)
		close(fds[i]);
	free(made);
	return error;
}

int port_configure(struct port *port, const struct proto_port *record)
{
	return port->ops->configure == NULL ? 0 : port->ops->configure(port, record);
}

bool port_differs(const struct port *port, const struct proto_port *record)
{
	return port->ops->differs != NULL && port->ops->differs(port, record);
}

void port_limit_features(struct port *port)
{
	unsigned long major = 0, minor = 0;
	struct utsname kernel;
	char *end;

	/* A kernel with patches of newer ones is taken for what it says: that costs a cut. */
	if (uname(&kernel) == 0) {
		major = strtoul(kernel.release, &end, 10);
		minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	}
	if (major < 6 || (major == 6 && minor < 2))
		port->features &= ~PORT_CAN_USO;
}

void port_thread_begin(void)
{
	dpdk_runtime_thread_begin();
}

void port_thread_end(void)
{
	dpdk_runtime_thread_end();
}

void port_ref(struct port *port)
{
	if (port != NULL)
		port->references++;
}

void port_unref(struct port *port)
{
	if (port == NULL || --port->references > 0)
		return;
	if (port->ops->close != NULL)
		port->ops->close(port);
	for (uint32_t i = 0; i < port->queue_count; i++)
		close(port->fds[i]);
	free(port);
}
