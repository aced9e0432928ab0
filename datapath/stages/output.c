/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "datapath/offload/checksum.h"
#include "datapath/offload/segment.h"
#include "datapath/ports/port.h"
#include "datapath/stages/outlet.h"
#include "datapath/stages/stages.h"
#include "datapath/vlan.h"

#define VLAN_PRIORITY_MASK 0xf000u /* PCP and DEI */

/* Adds a packet that the port takes but for its checksum. */
static void add(struct outlet *outlet, struct packet *packet)
{
	if ((packet->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 &&
	    (outlet->port->features & PORT_CAN_CHECKSUM) == 0)
		checksum_complete(packet);
	packet->lost_frames = 0;
	packet->offload.hdr_len =
		packet->offload.gso_type == VIRTIO_NET_HDR_GSO_NONE ? 0 : packet->payload_offset;
	outlet->packets[outlet->count++] = packet;
	if (outlet->count == BATCH_SIZE)
		outlet_flush(outlet);
}

/* How many of its wire frames the port takes together. */
static uint32_t frames_together(const struct port *port, const struct packet *packet)
{
	uint32_t most, parts;

	if (packet->frame_count == 1 || !outlet_takes_super(port, packet))
		return 1;
	if (port->ops->super_frames == NULL)
		return packet->frame_count;
	most = port->ops->super_frames(packet);
	/* In parts of one size, rather than a large one and a small rest. */
	parts = (packet->frame_count + most - 1) / most;
	return (packet->frame_count + parts - 1) / parts;
}

/* Whether a packet goes out as it is where its segment has no tag, whatever the port takes. */
static bool is_plain(const struct packet *packet)
{
	return (packet->flags & PACKET_TAG_KEPT) == 0 &&
	       (packet->offload.flags | packet->offload.gso_type) == 0;
}

/* Puts the workload's own tag back, and the tag of the segment on this port around it. */
static void push_tags(struct packet *packet, uint16_t vid)
{
	bool kept = (packet->flags & PACKET_TAG_KEPT) != 0;
	bool tagged = (packet->flags & PACKET_TAGGED) != 0;

	if (kept)
		vlan_push(packet, packet->vlan_tpid, packet->vlan_tci);
	if (vid == 0)
		return;
	vlan_push(packet, VLAN_TPID_8021Q,
		  tagged && !kept ? (packet->vlan_tci & VLAN_PRIORITY_MASK) | vid : vid);
	packet->wire_size += packet->frame_count * VLAN_TAG_SIZE;
}

/* Cuts a packet that is the caller's no more, and counts what is lost of it. */
static void cut(struct worker *worker, struct packet *packet, uint32_t frames,
		struct packet_list *pieces)
{
	struct packet former = *packet;
	uint32_t lost_frames = 0, lost_bytes = 0;

	packet_list_init(pieces);
	if (segment_cut(worker->pool, packet, frames, pieces, &lost_frames, &lost_bytes) < 0)
		account_lost(worker, &former, lost_frames, DROP_NO_BUFFER);
}

static void add_all(struct outlet *outlet, struct packet_list *pieces)
{
	struct packet *piece;

	while ((piece = packet_list_pop(pieces)) != NULL)
		add(outlet, piece);
}

static void send_packet(struct outlet *outlet, struct packet *packet, uint16_t vid)
{
	struct packet_list parts, pieces;
	uint32_t frames;

	push_tags(packet, vid);
	frames = frames_together(outlet->port, packet);
	if (frames >= packet->frame_count) {
		add(outlet, packet);
		return;
	}
	if (frames > 1) {
		cut(outlet->worker, packet, frames, &pieces);
		add_all(outlet, &pieces);
		return;
	}
	/* A batch at a time, so that a packet of very many frames does not empty the pool. */
	cut(outlet->worker, packet, BATCH_SIZE, &parts);
	while ((packet = packet_list_pop(&parts)) != NULL) {
		cut(outlet->worker, packet, 1, &pieces);
		add_all(outlet, &pieces);
	}
}

/* Sends packets that are to go out as they are. */
static void send_plain(struct outlet *outlet, struct packet *const *packets, unsigned count)
{
	while (count > 0) {
		unsigned room = BATCH_SIZE - outlet->count;
		unsigned part = count < room ? count : room;

		batch_move(&outlet->packets[outlet->count], packets, part);
		outlet->count += part;
		packets += part;
		count -= part;
		if (outlet->count == BATCH_SIZE)
			outlet_flush(outlet);
	}
}

/*
 * A batch by the ports that its packets go to, so that all packets to one port go together, in
 * their order. Runs that follow each other and have the same way are one part of it.
 */
struct sorted {
	unsigned port_count, part_count;
	struct sorted_port {
		struct port *port;
		uint32_t index;
		uint8_t first, last; /* parts */
	} ports[BATCH_SIZE];
	struct sorted_part {
		uint16_t vid;
		bool plain;	      /* packets go out as they are, whatever the port takes */
		uint8_t begin, count; /* packets */
		uint8_t next;	      /* part that goes to the same port */
	} parts[BATCH_SIZE];
	/* Open addressing by index: a place in ports, and 1; 0 is empty. */
	uint8_t slots[2 * BATCH_SIZE];
};

/* Returns the place of a port; it is new where the next part is the port's first. */
static struct sorted_port *place_of(struct sorted *sorted, struct port *port, uint32_t index)
{
	unsigned slot = index % sizeof(sorted->slots);
	uint8_t part = (uint8_t)sorted->part_count;
	struct sorted_port *place;

	for (; sorted->slots[slot] != 0; slot = (slot + 1) % sizeof(sorted->slots)) {
		place = &sorted->ports[sorted->slots[slot] - 1];
		if (place->index == index)
			return place;
	}
	place = &sorted->ports[sorted->port_count];
	*place = (struct sorted_port){port, index, part, part};
	sorted->slots[slot] = (uint8_t)++sorted->port_count;
	return place;
}

/* Begins a part with packet `begin`, unless that cannot leave. */
static enum drop_reason begin_part(struct worker *worker, const struct packet *packet,
				   unsigned begin, struct sorted *sorted)
{
	struct sorted_port *place;
	struct port *port;
	uint16_t vid;
	enum drop_reason reason = outlet_check(worker->config, packet, &port, &vid);

	if (reason != DROP_NONE)
		return reason;
	place = place_of(sorted, port, packet->port_out);
	sorted->parts[place->last].next = (uint8_t)sorted->part_count;
	place->last = (uint8_t)sorted->part_count;
	sorted->parts[sorted->part_count++] = (struct sorted_part){
		.vid = vid,
		.plain = vid == 0 && is_plain(packet),
		.begin = (uint8_t)begin,
	};
	return DROP_NONE;
}

/* Whether a packet may go out behind the one before it, which is in the part. */
static bool continues(const struct config *config, const struct sorted_part *part,
		      const struct packet *former, const struct packet *packet)
{
	if (former->port_out != packet->port_out ||
	    former->port_out_incarnation != packet->port_out_incarnation ||
	    former->segment != packet->segment || (part->plain && !is_plain(packet)))
		return false;
	if (former->peer_out == packet->peer_out)
		return true;
	/* Both go to peers, of the same segment. */
	return former->peer_out != PROTO_NO_INDEX && packet->peer_out != PROTO_NO_INDEX &&
	       config_segment_has_peer(&config->segments[packet->segment], packet->peer_out);
}

static void sort(struct worker *worker, struct batch *batch, struct sorted *sorted)
{
	const struct packet *former = NULL;
	struct sorted_part *part = NULL;
	struct batch_run run = batch_runs(batch);

	while (batch_next(&run)) {
		const struct packet *packet = run.packets[0];
		enum drop_reason reason = DROP_NONE;

		if (former == NULL || !continues(worker->config, part, former, packet)) {
			part = &sorted->parts[sorted->part_count];
			reason = begin_part(worker, packet,
					    (unsigned)(run.packets - batch->packets), sorted);
		}
		former = reason == DROP_NONE ? packet : NULL;
		if (reason != DROP_NONE)
			account_drop_all(worker, run.packets, run.count, reason);
		else
			part->count = (uint8_t)(part->count + run.count);
	}
}

static void send_part(struct outlet *outlet, struct packet *const *packets,
		      const struct sorted_part *part)
{
	if (part->plain) {
		send_plain(outlet, packets + part->begin, part->count);
		return;
	}
	for (unsigned i = part->begin; i < (unsigned)part->begin + part->count; i++)
		send_packet(outlet, packets[i], part->vid);
}

void stage_output(struct worker *worker, struct batch *batch)
{
	struct outlet outlet;
	struct sorted sorted;

	outlet.worker = worker;
	outlet.count = 0;
	sorted.port_count = sorted.part_count = 0;
	memset(sorted.slots, 0, sizeof(sorted.slots));
	sort(worker, batch, &sorted);
	for (unsigned i = 0; i < sorted.port_count; i++) {
		const struct sorted_part *part = &sorted.parts[sorted.ports[i].first];
		const struct sorted_part *last = &sorted.parts[sorted.ports[i].last];

		outlet.port = sorted.ports[i].port;
		outlet.index = sorted.ports[i].index;
		for (;; part = &sorted.parts[part->next]) {
			send_part(&outlet, batch->packets, part);
			if (part == last)
				break;
		}
		outlet_flush(&outlet);
	}
	batch_init(batch);
}
