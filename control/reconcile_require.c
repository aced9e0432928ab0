/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whether a port could take effect at once, asked before it is committed: what a port needs is
 * looked at, and nothing is made.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/namespaces.h"
#include "control/reconcile_internal.h"

static int look(struct reconcile *reconcile, const struct model_port *port,
		char reason[MODEL_TEXT_SIZE]);
static bool is_attached(const struct reconcile *reconcile, const struct links_port *wanted);

int reconcile_check_place(struct reconcile *reconcile, const struct model_port *port, bool require,
			  char text[MODEL_TEXT_SIZE])
{
	char name[2 * ADDR_NAME_SIZE + 8], reason[MODEL_TEXT_SIZE] = "";
	int netns = namespaces_open(reconcile->namespaces, port->netns);

	if (netns >= 0)
		close(netns);
	reconcile_port_name(port, name);
	if (netns == -EMEDIUMTYPE) {
		snprintf(text, MODEL_TEXT_SIZE,
			 "%s: %s is no network namespace: name one, or leave netns out", name,
			 port->netns);
		return -EMEDIUMTYPE;
	}
	if (!require || look(reconcile, port, reason) == 0)
		return 0;
	snprintf(text, MODEL_TEXT_SIZE,
		 "%s would wait: %.300s: see to that first, or leave --require out", name, reason);
	return -EAGAIN;
}

/* Returns 0 or -EAGAIN and the reason to wait. */
static int look(struct reconcile *reconcile, const struct model_port *port,
		char reason[MODEL_TEXT_SIZE])
{
	char place[NAMESPACES_TEXT_SIZE];
	struct reconcile_status status;
	struct links_port wanted;
	int error;

	reconcile_status(reconcile, &status);
	if (!status.datapath_connected) {
		snprintf(reason, MODEL_TEXT_SIZE, "no datapath is running");
		return -EAGAIN;
	}
	if (port->type == MODEL_PORT_MEMORY)
		return 0;
	if (port->type == MODEL_PORT_PCAP)
		return reconcile_pcap_look(reconcile, port, reason);
	if (port->type == MODEL_PORT_VHOST_USER)
		return reconcile_vhost_look(reconcile, port, reason);
	if (port->type == MODEL_PORT_DPDK)
		return reconcile_device_look(reconcile, port, reason);
	reconcile_port_wanted(reconcile, port, &wanted);
	if (is_attached(reconcile, &wanted))
		return 0;
	if (reconcile->setup_problem[0] != '\0') {
		snprintf(reason, MODEL_TEXT_SIZE, "%s", reconcile->setup_problem);
		return -EAGAIN;
	}
	if (port->type == MODEL_PORT_NETDEV)
		return links_netdev_check(reconcile->links, &wanted, reason) < 0 ? -EAGAIN : 0;
	error = namespaces_open(reconcile->namespaces, port->netns);
	if (error >= 0) {
		close(error);
		return 0;
	}
	namespaces_describe(port->netns, place);
	if (error == -ENOENT)
		snprintf(reason, MODEL_TEXT_SIZE, "no %s", place);
	else
		snprintf(reason, MODEL_TEXT_SIZE, "%s cannot be opened: %s", place,
			 strerror(-error));
	return -EAGAIN;
}

/* What is attached where the port wants it stays so. */
static bool is_attached(const struct reconcile *reconcile, const struct links_port *wanted)
{
	const struct reconcile_port *state = reconcile_port_at(reconcile, wanted->ref.index);
	const struct links_port *link;

	if (state == NULL || state->queues.count == 0)
		return false;
	link = &state->link;
	return link->ref.incarnation == wanted->ref.incarnation && link->type == wanted->type &&
	       link->shared == wanted->shared && strcmp(link->netns, wanted->netns) == 0 &&
	       strcmp(link->ifname, wanted->ifname) == 0 &&
	       link->match_mac_given == wanted->match_mac_given &&
	       memcmp(&link->match_mac, &wanted->match_mac, sizeof(link->match_mac)) == 0;
}
