/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <linux/if_ether.h>
#include <string.h>

#include "datapath/icmp_error.h"
#include "datapath/stages/parse.h"
#include "datapath/stages/stages.h"
#include "datapath/vlan.h"

#define REPLIES_PER_SECOND 1000u /* of one worker */

/* Eight octets as they lie in memory, the first one lowest. */
static inline uint64_t load_le64(const uint8_t *octets)
{
	uint64_t word;

	memcpy(&word, octets, sizeof(word));
	return le64toh(word);
}

static inline enum drop_reason judge_macs(const uint8_t *frame)
{
	/* Of a whole Ethernet header both loads are in the frame. */
	uint64_t source = load_le64(frame + ETH_ALEN) & 0xffffffffffff;

	if (source == 0 || (source & 1) != 0)
		return DROP_SOURCE_MAC;
	/* 01:80:c2:00:00:00 to 0f, IEEE 802.1Q table 8-1: never forwarded by a bridge. */
	if ((load_le64(frame) & 0xf0ffffffffff) == 0xc28001)
		return DROP_LINK_LOCAL;
	return DROP_NONE;
}

/* Octets of the largest layer-3 packet on the wire that this one stands for. */
static inline uint32_t network_size(const struct packet *packet)
{
	if (packet->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return packet->payload_offset - packet->l3_offset + packet->offload.gso_size;
	return packet->size - packet->l3_offset;
}

/* Makes the answer to a packet that is too long, as if the network had sent it back. */
static void reply_too_big(struct worker *worker, struct packet *packet, uint32_t mtu,
			  struct packet_list *replies)
{
	struct packet *reply;

	if (worker->reply_second != worker->now_seconds) {
		worker->reply_second = worker->now_seconds;
		worker->reply_count = 0;
	}
	if (worker->reply_count >= REPLIES_PER_SECOND)
		return;
	reply = icmp_error_too_big(worker->pool, packet, mtu);
	if (reply == NULL)
		return;
	if (parse_packet(reply) != DROP_NONE) {
		packet_free(worker->pool, reply);
		return;
	}
	worker->reply_count++;
	reply->port_in = reply->port_out = packet->port_in;
	reply->port_in_incarnation = reply->port_out_incarnation = packet->port_in_incarnation;
	reply->peer_out = PROTO_NO_INDEX;
	reply->segment = packet->segment;
	reply->segment_incarnation = packet->segment_incarnation;
	reply->tenant = packet->tenant;
	reply->tenant_incarnation = packet->tenant_incarnation;
	account_copied(worker, reply);
	packet_list_append(replies, reply);
}

static void admit_macs(struct worker *worker, struct batch *batch)
{
	struct batch_run flow = batch_flows(batch);

	while (batch_next(&flow)) {
		enum drop_reason reason = judge_macs(flow.packets[0]->data);

		if (reason != DROP_NONE) {
			account_drop_all(worker, flow.packets, flow.count, reason);
			batch_drop(&flow);
		}
	}
	batch_end(&flow);
}

static bool fits(const struct config *config, const struct packet *packet)
{
	/* A peer with a larger MTU is its own operator's matter: it was carried already. */
	return (packet->flags & PACKET_FROM_OVERLAY) != 0 ||
	       network_size(packet) <= config->segments[packet->segment].mtu;
}

/* Drops a run of packets that are too long, and answers to them. */
static void refuse(struct worker *worker, struct packet *const *packets, unsigned count,
		   struct packet_list *replies)
{
	uint32_t mtu = worker->config->segments[packets[0]->segment].mtu;

	for (unsigned i = 0; i < count; i++)
		reply_too_big(worker, packets[i], mtu, replies);
	account_drop_all(worker, packets, count, DROP_OVERSIZE);
}

void stage_admit(struct worker *worker, struct batch *batch, struct packet_list *replies)
{
	struct account_sum admitted = {0};
	struct batch_run run;

	admit_macs(worker, batch);
	run = batch_runs(batch);
	while (batch_next(&run)) {
		const struct packet *packet = run.packets[0];

		if (!fits(worker->config, packet)) {
			refuse(worker, run.packets, run.count, replies);
			batch_drop(&run);
			continue;
		}
		if (!account_same_segment(&admitted, packet)) {
			account_admitted(worker, admitted);
			account_begin_segment(&admitted, packet);
		}
		account_sum_add(&admitted, (uint64_t)run.count * packet->frame_count,
				(uint64_t)run.count * packet->wire_size);
	}
	batch_end(&run);
	account_admitted(worker, admitted);
}
