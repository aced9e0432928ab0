/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/fdb_layout.h"
#include "common/stats_layout.h"
#include "control/namespaces.h"
#include "control/reconcile_internal.h"

/* Octets that VXLAN adds over IPv4: inner Ethernet 14, VXLAN 8, UDP 8, IPv4 20. */
#define OVERLAY_OVERHEAD 50u
#define MTU_MIN		 68u
#define MTU_MAX		 65521u

static const char *connection_problem(const struct reconcile *reconcile);
static const char *interface_problem(const struct reconcile *reconcile);

int reconcile_check_port(struct reconcile *reconcile, const struct model_port *port,
			 char text[MODEL_TEXT_SIZE])
{
	char name[2 * ADDR_NAME_SIZE + 8], place[NAMESPACES_TEXT_SIZE];
	const struct model_port *other;
	struct proto_ref ref;

	if (port->type == MODEL_PORT_MEMORY || port->type == MODEL_PORT_PCAP)
		return 0;
	if (port->type == MODEL_PORT_VHOST_USER || port->type == MODEL_PORT_DPDK)
		return reconcile_dpdk_check(reconcile, port, text);
	if (port->type == MODEL_PORT_NETDEV)
		return reconcile_netdev_check(reconcile, port, text);
	switch (links_owner(reconcile->links, port->netns, port->ifname, &ref)) {
	case LINKS_FREE:
		return 0;
	case LINKS_OURS:
		other = model_port_by_index(reconcile->model, ref.index);
		if (ref.index == port->ref.index || other == NULL ||
		    other->ref.incarnation != ref.incarnation ||
		    strcmp(other->ifname, port->ifname) != 0 ||
		    strcmp(other->netns, port->netns) != 0)
			return 0; /* its own, or one that goes away */
		break;
	case LINKS_FOREIGN:
		break;
	}
	snprintf(text, MODEL_TEXT_SIZE,
		 "%s: interface name %s is taken in %s: choose another ifname or remove that "
		 "interface",
		 reconcile_port_name(port, name), port->ifname,
		 namespaces_describe(port->netns, place));
	return -EEXIST;
}

bool reconcile_is_connected(const struct reconcile *reconcile)
{
	enum datapath_link_state state = datapath_link_state(reconcile->datapath);

	return state != DATAPATH_LINK_ABSENT && state != DATAPATH_LINK_GREETING;
}

static bool is_attached(const struct reconcile_port *state, const struct model_port *port)
{
	switch (port->type) {
	case MODEL_PORT_MEMORY:
		return true;
	case MODEL_PORT_VHOST_USER:
	case MODEL_PORT_DPDK:
		return state != NULL && state->attachment != 0;
	default:
		return state != NULL && state->queues.count > 0;
	}
}

enum reconcile_port_state reconcile_port_state(const struct reconcile *reconcile,
					       const struct model_port *port, const char **reason)
{
	const struct reconcile_port *state = reconcile_port_at(reconcile, port->ref.index);

	*reason = "";
	if (port->type == MODEL_PORT_PCAP)
		return reconcile_pcap_state(state, port, reason);
	/* Which devices are to be opened, only a datapath can tell. */
	if (port->type == MODEL_PORT_DPDK && !reconcile_is_connected(reconcile)) {
		*reason = "no datapath is running";
		return RECONCILE_PORT_WAITING;
	}
	if (!is_attached(state, port)) {
		*reason = state == NULL || state->reason[0] == '\0' ? "it is being attached"
								    : state->reason;
		return RECONCILE_PORT_WAITING;
	}
	if (state != NULL)
		*reason = state->reason;
	if ((port->type == MODEL_PORT_TAP || port->type == MODEL_PORT_VETH) && !state->configured) {
		if (state->reason[0] == '\0')
			*reason = "its interface is being set up";
		return RECONCILE_PORT_WAITING;
	}
	if (!reconcile_is_connected(reconcile)) {
		*reason = "no datapath is running";
		return RECONCILE_PORT_WAITING;
	}
	if (port->type == MODEL_PORT_NETDEV && (!state->seen.up || !state->seen.carrier))
		return RECONCILE_PORT_DOWN;
	return port->admin_up ? RECONCILE_PORT_UP : RECONCILE_PORT_DOWN;
}

bool reconcile_port_seen(const struct reconcile *reconcile, const struct model_port *port,
			 struct addr_mac *mac, uint32_t *mtu)
{
	const struct reconcile_port *state = reconcile_port_at(reconcile, port->ref.index);

	if (port->type != MODEL_PORT_NETDEV || state == NULL || state->queues.count == 0)
		return false;
	*mac = state->seen.mac;
	*mtu = state->seen.mtu;
	return true;
}

void reconcile_status(const struct reconcile *reconcile, struct reconcile_status *status)
{
	const struct reconcile_port *port;
	const char *problem = connection_problem(reconcile);

	memset(status, 0, sizeof(*status));
	status->datapath_connected = reconcile_is_connected(reconcile);
	if (status->datapath_connected) {
		status->datapath_pid = reconcile->hello.pid;
		status->datapath_workers = reconcile->hello.workers;
		status->datapath_started = reconcile->hello.started;
		memcpy(status->datapath_build, reconcile->hello.build,
		       sizeof(status->datapath_build));
		status->applied_generation = reconcile->applied_generation;
	}
	if (problem[0] == '\0')
		problem = reconcile->datapath_problem;
	if (problem[0] == '\0')
		problem = reconcile->setup_problem;
	if (problem[0] == '\0')
		problem = reconcile->vtep_problem;
	if (problem[0] == '\0')
		problem = reconcile->devices_problem;
	TAILQ_FOREACH (port, &reconcile->waiting, entry) {
		if (port->queues.count == 0 || !port->configured)
			status->waiting_ports++;
		if (port->queues.count > 0 && problem[0] == '\0')
			problem = port->reason;
	}
	TAILQ_FOREACH (port, &reconcile->away, entry)
		status->waiting_ports++;
	TAILQ_FOREACH (port, &reconcile->work, entry)
		if (port->queues.count == 0)
			status->waiting_ports++;
	if (problem[0] == '\0')
		problem = interface_problem(reconcile);
	snprintf(status->problem, sizeof(status->problem), "%s", problem);
}

static const char *interface_problem(const struct reconcile *reconcile)
{
	uint32_t i;

	for (i = 0; i < reconcile->port_capacity; i++) {
		const struct reconcile_port *port = reconcile->ports[i];

		if (port != NULL && port->queues.count > 0 && port->amiss)
			return port->reason;
	}
	return "";
}

static const char *connection_problem(const struct reconcile *reconcile)
{
	switch (datapath_link_error(reconcile->datapath)) {
	case -EPERM:
		return "datapath.sock is served by another user than root or the control daemon's: "
		       "start the datapath as root";
	case -EPROTONOSUPPORT:
		return "the datapath speaks another version of the protocol: install the same "
		       "version of both daemons";
	default:
		return "";
	}
}

uint32_t reconcile_segment_mtu(const struct reconcile *reconcile,
			       const struct model_segment *segment)
{
	uint32_t mtu = RECONCILE_MTU_DEFAULT;

	if (segment->mtu != MODEL_MTU_AUTO)
		return segment->mtu;
	if (segment->vni != 0)
		mtu = reconcile->underlay_mtu < MTU_MIN + OVERLAY_OVERHEAD
			      ? MTU_MIN
			      : reconcile->underlay_mtu - OVERLAY_OVERHEAD;
	return mtu > MTU_MAX ? MTU_MAX : mtu;
}

const struct stats_memory *reconcile_stats(const struct reconcile *reconcile)
{
	return reconcile->memories[PROTO_MEMORY_STATS - 1].map;
}

const struct fdb_memory *reconcile_fdb(const struct reconcile *reconcile)
{
	return reconcile->memories[PROTO_MEMORY_FDB - 1].map;
}

const char *reconcile_port_name(const struct model_port *port, char text[2 * ADDR_NAME_SIZE + 8])
{
	snprintf(text, 2 * ADDR_NAME_SIZE + 8, "port %s%s%s",
		 port->tenant == NULL ? "" : port->tenant->name, port->tenant == NULL ? "" : "/",
		 port->name);
	return text;
}
