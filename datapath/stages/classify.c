/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/if_ether.h>

#include "datapath/ecn.h"
#include "datapath/stages/alike.h"
#include "datapath/stages/parse.h"
#include "datapath/stages/recover.h"
#include "datapath/stages/stages.h"
#include "datapath/vlan.h"

static enum drop_reason parse(const struct config *config, struct packet *packet)
{
	enum drop_reason reason = parse_packet(packet);
	uint32_t segment;

	if (reason != DROP_NONE || (packet->flags & PACKET_FROM_OVERLAY) == 0)
		return reason;
	segment = config_segment_by_vni(config, packet->outer_vni);
	return segment == PROTO_NO_INDEX ? DROP_NONE
					 : recover_offload(packet, config->segments[segment].mtu);
}

/* Octets on the wire: every frame came in with the tag that parse has taken off. */
static uint32_t received_size(const struct packet *packet)
{
	if ((packet->flags & PACKET_TAGGED) == 0)
		return packet->wire_size;
	return packet->wire_size + packet->frame_count * VLAN_TAG_SIZE;
}

/* Drops a packet that parse refused; so many octets of it came in. */
static void refuse(struct worker *worker, struct packet *packet, enum drop_reason reason,
		   uint32_t octets)
{
	packet->frame_count = 1;
	packet->wire_size = octets;
	packet->segment = PROTO_NO_INDEX;
	account_drop(worker, packet, reason);
}

/*
 * Parses the first of `count` packets. Writes how many of them are a run of it, which is parsed,
 * and which of these begin a flow, as bits.
 */
static enum drop_reason parse_run(const struct config *config, struct packet **packets,
				  unsigned count, unsigned *size, uint64_t *flows)
{
	struct packet *packet = packets[0];
	enum drop_reason reason = packet->drop;
	struct alike alike;
	bool likely = count > 1 && alike_likely(packet, packets[1]);

	*size = 1;
	*flows = 1;
	if (likely)
		alike_remember(&alike, packet);
	if (reason == DROP_NONE)
		reason = parse(config, packet);
	if (likely && reason == DROP_NONE && alike_begin(&alike, packet)) {
		*size += alike_follow(&alike, packets + 1, count - 1, flows);
		*flows = *flows << 1 | 1;
	}
	return reason;
}

void stage_parse(struct worker *worker, struct batch *batch)
{
	struct account_sum received = {0};
	uint64_t runs = 0, flows = 0, run_flows;
	unsigned kept = 0, size;

	for (unsigned i = 0; i < batch->count; i += size) {
		struct packet *packet = batch->packets[i];
		uint32_t octets = packet->size;
		enum drop_reason reason = parse_run(worker->config, &batch->packets[i],
						    batch->count - i, &size, &run_flows);

		if (!account_same_port(&received, packet)) {
			account_received(worker, received);
			account_begin_port(&received, packet);
		}
		if (reason != DROP_NONE) {
			account_sum_add(&received, 1, octets);
			refuse(worker, packet, reason, octets);
			continue;
		}
		account_sum_add(&received, (uint64_t)size * packet->frame_count,
				(uint64_t)size * received_size(packet));
		if (kept != i)
			batch_move(&batch->packets[kept], &batch->packets[i], size);
		runs |= 1ull << kept;
		flows |= run_flows << kept;
		kept += size;
	}
	batch->count = kept;
	batch->runs = runs;
	batch->flows = flows;
	account_received(worker, received);
}

static void enter_segment(const struct config *config, struct packet *packet, uint32_t index)
{
	const struct config_segment *segment = &config->segments[index];

	packet->segment = index;
	packet->segment_incarnation = segment->incarnation;
	packet->tenant = segment->tenant;
	packet->tenant_incarnation = segment->tenant_incarnation;
}

/* Whether there is a tag in the frame behind the one that parse took off. */
static bool has_inner_tag(const struct packet *packet)
{
	return packet->l3_offset > ETH_HLEN;
}

/* Enters the segment of a frame that is untagged for us, and whose own tags stay with it. */
static enum drop_reason enter_with_tags(const struct config *config, struct packet *packet,
					uint32_t segment, bool tagged)
{
	bool transparent = (config->segments[segment].flags & PROTO_SEGMENT_VLAN_TRANSPARENT) != 0;

	enter_segment(config, packet, segment);
	if (!tagged && !has_inner_tag(packet))
		return DROP_NONE;
	if (!transparent)
		return DROP_VLAN_TAGGED;
	if (tagged) {
		packet->flags |= PACKET_TAG_KEPT;
		packet->wire_size += packet->frame_count * VLAN_TAG_SIZE;
	}
	return DROP_NONE;
}

static enum drop_reason classify_port(const struct config *config, const struct config_port *port,
				      struct packet *packet)
{
	bool tagged = (packet->flags & PACKET_TAGGED) != 0;
	uint16_t vid = packet->vlan_tci & VLAN_VID_MASK;

	if (!port->admin_up)
		return DROP_PORT_DOWN;
	if (tagged && vid == VLAN_VID_MASK)
		return DROP_VLAN_INVALID;
	if (tagged && vid != 0 && port->vids != NULL) {
		uint32_t segment = packet->vlan_tpid == VLAN_TPID_8021Q ? port->vids->segments[vid]
									: PROTO_NO_INDEX;

		if (segment == PROTO_NO_INDEX)
			return DROP_VLAN_UNKNOWN;
		return enter_with_tags(config, packet, segment, false);
	}
	if (port->untagged == PROTO_NO_INDEX)
		return DROP_VLAN_UNKNOWN;
	return enter_with_tags(config, packet, port->untagged, tagged && vid != 0);
}

static enum drop_reason classify_overlay(const struct config *config, struct packet *packet)
{
	uint32_t segment = config_segment_by_vni(config, packet->outer_vni);
	uint32_t peer = config_peer_by_ip(config, packet->outer_source);
	bool tagged =
		(packet->flags & PACKET_TAGGED) != 0 && (packet->vlan_tci & VLAN_VID_MASK) != 0;
	enum drop_reason reason;

	if (segment == PROTO_NO_INDEX)
		return DROP_VNI_UNKNOWN;
	if (peer == PROTO_NO_INDEX || !config_segment_has_peer(&config->segments[segment], peer)) {
		enter_segment(config, packet, segment);
		return DROP_PEER_UNKNOWN;
	}
	packet->peer_out = peer; /* where it came from, until lookup */
	reason = enter_with_tags(config, packet, segment, tagged);
	if (reason == DROP_NONE && !ecn_decapsulate(packet, packet->outer_tos))
		reason = DROP_ECN_INVALID;
	return reason;
}

/* The port that a packet came in on, unless it is gone. */
static const struct config_port *port_of(const struct config *config, const struct packet *packet)
{
	const struct config_port *port = config_port(config, packet->port_in);

	return port != NULL && port->incarnation == packet->port_in_incarnation ? port : NULL;
}

static enum drop_reason classify(const struct config *config, struct packet *packet)
{
	const struct config_port *port = port_of(config, packet);

	packet->segment = PROTO_NO_INDEX;
	if (port == NULL)
		return DROP_PORT_GONE;
	return (packet->flags & PACKET_FROM_OVERLAY) != 0 ? classify_overlay(config, packet)
							  : classify_port(config, port, packet);
}

/*
 * Whether a packet's place is that of another one: both came in on the same port, without a tag for
 * us or one of their own.
 */
static bool same_place(const struct packet *former, const struct packet *packet)
{
	return ((former->flags | packet->flags) & (PACKET_TAGGED | PACKET_FROM_OVERLAY)) == 0 &&
	       former->l3_offset == ETH_HLEN && packet->l3_offset == ETH_HLEN &&
	       former->port_in == packet->port_in &&
	       former->port_in_incarnation == packet->port_in_incarnation;
}

static void enter_as(struct packet *packet, const struct packet *former)
{
	packet->segment = former->segment;
	packet->tenant = former->tenant;
	packet->segment_incarnation = former->segment_incarnation;
	packet->tenant_incarnation = former->tenant_incarnation;
}

/* Gives the others of a run the place of its first. */
static void copy_place(const struct batch_run *run)
{
	const struct packet *first = run->packets[0];

	for (unsigned i = 1; i < run->count; i++) {
		struct packet *packet = run->packets[i];

		enter_as(packet, first);
		packet->port_out = packet->peer_out = PROTO_NO_INDEX;
	}
}

void stage_classify(struct worker *worker, struct batch *batch)
{
	const struct packet *former = NULL;
	struct batch_run run = batch_runs(batch);

	while (batch_next(&run)) {
		struct packet *packet = run.packets[0];
		enum drop_reason reason = DROP_NONE;

		packet->port_out = packet->peer_out = PROTO_NO_INDEX;
		if (former != NULL && same_place(former, packet))
			enter_as(packet, former);
		else
			reason = classify(worker->config, packet);
		copy_place(&run);
		former = packet;
		if (reason != DROP_NONE) {
			former = NULL;
			account_drop_all(worker, run.packets, run.count, reason);
			batch_drop(&run);
		}
	}
	batch_end(&run);
}
