/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/backlog.h"

#include <stddef.h>

struct backlog_port *backlog_of(struct backlog *backlog, uint32_t port)
{
	for (unsigned i = 0; i < backlog->count; i++) {
		if (backlog->ports[i].port == port)
			return &backlog->ports[i];
	}
	return NULL;
}

static struct backlog_port *make_port(struct backlog *backlog, uint32_t index, uint64_t now)
{
	struct backlog_port *port;

	if (backlog->count == BACKLOG_PORTS_MAX)
		return NULL;
	port = &backlog->ports[backlog->count++];
	*port = (struct backlog_port){
		.port = index,
		.due = now + BACKLOG_RETRY_NS,
		.moved = now,
	};
	packet_list_init(&port->packets);
	return port;
}

static void count(struct backlog *backlog, struct backlog_port *port, const struct packet *packet)
{
	backlog->packets++;
	backlog->octets += packet->size;
	port->octets += packet->size;
}

bool backlog_add(struct backlog *backlog, uint32_t index, struct packet *packet, uint64_t now)
{
	struct backlog_port *port = backlog_of(backlog, index);

	if (backlog->packets >= BACKLOG_ALL_PACKETS_MAX ||
	    backlog->octets + packet->size > BACKLOG_ALL_OCTETS_MAX)
		return false;
	if (port != NULL && (port->packets.count >= BACKLOG_PACKETS_MAX ||
			     port->octets + packet->size > BACKLOG_OCTETS_MAX))
		return false;
	if (port == NULL)
		port = make_port(backlog, index, now);
	if (port == NULL)
		return false;
	count(backlog, port, packet);
	packet_list_append(&port->packets, packet);
	return true;
}

unsigned backlog_take(struct backlog *backlog, struct backlog_port *port, struct packet **packets,
		      unsigned max)
{
	unsigned taken = 0;

	while (taken < max && port->packets.first != NULL) {
		struct packet *packet = packet_list_pop(&port->packets);

		backlog->packets--;
		backlog->octets -= packet->size;
		port->octets -= packet->size;
		packets[taken++] = packet;
	}
	return taken;
}

void backlog_put_back(struct backlog *backlog, struct backlog_port *port,
		      struct packet *const *packets, unsigned number)
{
	while (number-- > 0) {
		struct packet *packet = packets[number];

		count(backlog, port, packet);
		packet_list_prepend(&port->packets, packet);
	}
}

void backlog_remove(struct backlog *backlog, struct backlog_port *port)
{
	struct backlog_port *last = &backlog->ports[--backlog->count];

	if (port == last)
		return;
	*port = *last;
	/* An empty list ends where it lies. */
	if (port->packets.first == NULL)
		packet_list_init(&port->packets);
}

void backlog_drain_all(struct backlog *backlog, struct packet_list *packets)
{
	while (backlog->count > 0) {
		struct backlog_port *port = &backlog->ports[backlog->count - 1];
		struct packet *packet;

		while (backlog_take(backlog, port, &packet, 1) == 1)
			packet_list_append(packets, packet);
		backlog_remove(backlog, port);
	}
}

void backlog_postpone(struct backlog_port *port, uint64_t now)
{
	uint64_t wait = (now - port->moved) / 4;

	if (wait < BACKLOG_RETRY_NS)
		wait = BACKLOG_RETRY_NS;
	port->due = now + (wait < BACKLOG_RETRY_MAX_NS ? wait : BACKLOG_RETRY_MAX_NS);
}

uint64_t backlog_next(const struct backlog *backlog)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < backlog->count; i++) {
		if (backlog->ports[i].due < next)
			next = backlog->ports[i].due;
	}
	return next;
}
