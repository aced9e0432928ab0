/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "datapath/icmp_error.h"
#include "datapath/stages/parse.h"
#include "datapath/stages/stages.h"
#include "datapath/vlan.h"

#define REPLIES_PER_SECOND 1000u /* of one worker */

/* 01:80:c2:00:00:00 to 0f, IEEE 802.1Q table 8-1: never forwarded by a bridge. */
static bool is_link_local(const uint8_t *mac)
{
	static const uint8_t group[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};

	return memcmp(mac, group, sizeof(group)) == 0 && mac[5] <= 0x0f;
}

static bool is_source(const uint8_t *mac)
{
	static const uint8_t zero[6];

	return (mac[0] & 1) == 0 && memcmp(mac, zero, sizeof(zero)) != 0;
}

/* Octets of the largest layer-3 packet on the wire that this one stands for. */
static uint32_t network_size(const struct packet *packet)
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

static enum drop_reason admit(const struct config *config, const struct packet *packet)
{
	if (!is_source(packet->data + 6))
		return DROP_SOURCE_MAC;
	if (is_link_local(packet->data))
		return DROP_LINK_LOCAL;
	/* A peer with a larger MTU is its own operator's matter: it was carried already. */
	if ((packet->flags & PACKET_FROM_OVERLAY) == 0 &&
	    network_size(packet) > config->segments[packet->segment].mtu)
		return DROP_OVERSIZE;
	return DROP_NONE;
}

/* Drops a run, and answers to what is too long. */
static void refuse(struct worker *worker, struct packet *const *packets, unsigned count,
		   enum drop_reason reason, struct packet_list *replies)
{
	uint32_t segment = packets[0]->segment;

	for (unsigned i = 0; reason == DROP_OVERSIZE && i < count; i++)
		reply_too_big(worker, packets[i], worker->config->segments[segment].mtu, replies);
	account_drop_all(worker, packets, count, reason);
}

void stage_admit(struct worker *worker, struct batch *batch, struct packet_list *replies)
{
	struct account_sum admitted = {0};
	struct batch_run run = {0};

	while (batch_next(batch, &run)) {
		const struct packet *packet = run.packets[0];
		enum drop_reason reason = admit(worker->config, packet);

		if (reason != DROP_NONE) {
			refuse(worker, run.packets, run.count, reason, replies);
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
	batch_end(batch, &run);
	account_admitted(worker, admitted);
}
