/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/stages/outlet.h"

#include <assert.h>
#include <string.h>

#include "datapath/backlog.h"
#include "datapath/stages/stages.h"

static_assert((unsigned)DROP_REASON_COUNT <= PORT_WAIT, "no reason is PORT_WAIT");

enum drop_reason outlet_check(const struct config *config, const struct packet *packet,
			      struct port **port, uint16_t *vid)
{
	const struct config_port *out = config_port(config, packet->port_out);

	if (out == NULL || out->incarnation != packet->port_out_incarnation || out->port == NULL)
		return DROP_PORT_GONE;
	*port = out->port;
	*vid = 0;
	if (packet->peer_out != PROTO_NO_INDEX) {
		const struct config_segment *segment = &config->segments[packet->segment];

		if (packet->port_out != config->vtep || segment->vni == 0)
			return DROP_NO_VTEP;
		return config_segment_has_peer(segment, packet->peer_out) ? DROP_NONE
									  : DROP_PEER_UNKNOWN;
	}
	if (!config_port_carries(out, packet->segment, vid))
		return DROP_NO_MEMBER;
	return out->admin_up ? DROP_NONE : DROP_PORT_DOWN;
}

bool outlet_takes_super(const struct port *port, const struct packet *packet)
{
	if ((port->features & PORT_CAN_CHECKSUM) == 0)
		return false;
	switch (packet->offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return (port->features & PORT_CAN_TSO4) != 0;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return (port->features & PORT_CAN_TSO6) != 0;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return (port->features & PORT_CAN_USO) != 0;
	default:
		return false;
	}
}

/* Octets on the wire of each frame of a super-packet but the last. */
static uint32_t frame_size(const struct packet *packet)
{
	uint32_t payload = packet->size - packet->payload_offset;

	return (packet->wire_size - payload) / packet->frame_count + packet->offload.gso_size;
}

/* Leaves of a super-packet what was sent, and counts the rest. Returns false when nothing was. */
static bool sent_in_part(struct worker *worker, struct packet *packet, enum drop_reason reason)
{
	uint32_t lost = packet->lost_frames;

	if (packet->offload.gso_type == VIRTIO_NET_HDR_GSO_NONE || lost == 0 ||
	    lost == packet->frame_count)
		return false;
	account_lost(worker, packet, lost, reason);
	/* The last ones are lost, and all but the last of all are of one size. */
	packet->wire_size = (packet->frame_count - lost) * frame_size(packet);
	packet->frame_count = (uint16_t)(packet->frame_count - lost);
	return true;
}

/* Lets a packet wait for room in the port, if there is room for it to wait. */
static void wait_for_room(struct outlet *outlet, struct packet *packet)
{
	struct worker *worker = outlet->worker;

	if (!backlog_add(&worker->backlog, outlet->index, packet, worker->now)) {
		account_drop(worker, packet, DROP_PORT_FULL);
		return;
	}
	/* It has passed all gates. */
	packet->gate = SHAPER_KIND_COUNT;
	account_queued(worker, packet, 1);
}

/* Parts with what was not sent, and returns how many packets were: the first of them. */
static unsigned sort_refused(struct outlet *outlet, const uint8_t *results)
{
	unsigned sent = 0;

	for (unsigned i = 0; i < outlet->count; i++) {
		struct packet *packet = outlet->packets[i];

		if (results[i] == PORT_WAIT)
			wait_for_room(outlet, packet);
		else if (results[i] == DROP_NONE ||
			 sent_in_part(outlet->worker, packet, results[i]))
			outlet->packets[sent++] = packet;
		else
			account_drop(outlet->worker, packet, results[i]);
	}
	return sent;
}

static void count_sent(const struct outlet *outlet, unsigned sent)
{
	struct account_sum sum = {0};

	for (unsigned i = 0; i < sent; i++) {
		const struct packet *packet = outlet->packets[i];

		if (!account_same_port(&sum, packet)) {
			account_sent(outlet->worker, sum, outlet->index);
			account_begin_port(&sum, packet);
		}
		account_sum_add(&sum, packet->frame_count, packet->wire_size);
	}
	account_sent(outlet->worker, sum, outlet->index);
}

static void transmit(struct outlet *outlet, uint8_t *results)
{
	const struct worker *worker = outlet->worker;

	outlet->port->ops->transmit(outlet->port, worker->config, worker->index, outlet->packets,
				    outlet->count, results);
}

/* The first so many are the port's now. */
static void finish_sent(struct outlet *outlet, unsigned sent)
{
	count_sent(outlet, sent);
	packet_free_all(outlet->worker->pool, outlet->packets, sent);
}

void outlet_flush(struct outlet *outlet)
{
	static const uint8_t all_sent[BATCH_SIZE];
	struct worker *worker = outlet->worker;
	unsigned sent = outlet->count;
	uint8_t results[BATCH_SIZE];

	if (outlet->count == 0)
		return;
	if (backlog_of(&worker->backlog, outlet->index) != NULL)
		memset(results, PORT_WAIT, sizeof(results));
	else
		transmit(outlet, results);
	if (memcmp(results, all_sent, sent) != 0)
		sent = sort_refused(outlet, results);
	finish_sent(outlet, sent);
	outlet->count = 0;
}

/* ---- what waits ---- */

/* Whether the port takes the packet as it is: another guest may have come meanwhile. */
static bool takes(const struct port *port, const struct packet *packet)
{
	if (packet->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return outlet_takes_super(port, packet);
	return (packet->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 ||
	       (port->features & PORT_CAN_CHECKSUM) != 0;
}

/*
 * Takes the oldest packets that wait for a port, but for those that may not leave by it any more:
 * the configuration may have changed.
 */
static void take_waiting(struct outlet *outlet, struct backlog_port *waiting)
{
	struct worker *worker = outlet->worker;
	unsigned taken = backlog_take(&worker->backlog, waiting, outlet->packets, BATCH_SIZE);

	outlet->count = 0;
	for (unsigned i = 0; i < taken; i++) {
		struct packet *packet = outlet->packets[i];
		uint16_t vid;
		enum drop_reason reason = outlet_check(worker->config, packet, &outlet->port, &vid);

		if (reason == DROP_NONE && !takes(outlet->port, packet))
			reason = DROP_PORT_DOWN;
		if (reason == DROP_NONE)
			outlet->packets[outlet->count++] = packet;
		else
			account_waiting_lost(worker, packet, reason);
	}
}

/* Sends what was taken, and puts back what the port has no room for. Returns how many that are. */
static unsigned send_waiting(struct outlet *outlet, struct backlog_port *waiting)
{
	struct worker *worker = outlet->worker;
	struct packet *refused[BATCH_SIZE];
	uint8_t results[BATCH_SIZE];
	unsigned sent = 0, kept = 0;

	if (outlet->count == 0)
		return 0;
	transmit(outlet, results);
	for (unsigned i = 0; i < outlet->count; i++) {
		struct packet *packet = outlet->packets[i];

		if (results[i] == PORT_WAIT) {
			refused[kept++] = packet;
			continue;
		}
		account_queued(worker, packet, -1);
		if (results[i] == DROP_NONE || sent_in_part(worker, packet, results[i]))
			outlet->packets[sent++] = packet;
		else
			account_drop(worker, packet, results[i]);
	}
	backlog_put_back(&worker->backlog, waiting, refused, kept);
	finish_sent(outlet, sent);
	return kept;
}

/* Gives a port up that takes nothing: its reader is stopped, or gone. */
static void drop_waiting(struct worker *worker, struct backlog_port *waiting)
{
	struct packet *packets[BATCH_SIZE];
	unsigned count;

	while ((count = backlog_take(&worker->backlog, waiting, packets, BATCH_SIZE)) > 0) {
		for (unsigned i = 0; i < count; i++)
			account_waiting_lost(worker, packets[i], DROP_PORT_FULL);
	}
}

static void retry(struct worker *worker, struct backlog_port *waiting)
{
	struct outlet outlet = {.worker = worker, .index = waiting->port};
	unsigned before = waiting->packets.count, kept = 0;

	while (kept == 0 && waiting->packets.count > 0) {
		take_waiting(&outlet, waiting);
		kept = send_waiting(&outlet, waiting);
	}
	if (waiting->packets.count < before)
		waiting->moved = worker->now;
	else if (worker->now - waiting->moved >= BACKLOG_STALLED_NS)
		drop_waiting(worker, waiting);
	backlog_postpone(waiting, worker->now);
}

void stage_retry(struct worker *worker)
{
	struct backlog *backlog = &worker->backlog;

	for (unsigned i = 0; i < backlog->count;) {
		struct backlog_port *waiting = &backlog->ports[i];

		if (waiting->due <= worker->now)
			retry(worker, waiting);
		if (waiting->packets.count == 0)
			backlog_remove(backlog, waiting);
		else
			i++;
	}
}
