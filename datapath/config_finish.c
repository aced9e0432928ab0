/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/config_list.h"

/*
 * What makes a configuration ready to be published: whether all that it names
 * is there, and the tables by which workers find segments and peers.
 */

/* A multiplicative hash: Knuth's 2^32 / phi. */
static uint32_t slot_of(uint32_t key, uint32_t mask)
{
	return (key * 2654435761u) >> 7 & mask;
}

static uint32_t slots_find(const struct config_slot *slots, uint32_t mask, uint32_t key)
{
	if (slots == NULL || key == 0)
		return PROTO_NO_INDEX;
	for (uint32_t i = slot_of(key, mask); slots[i].key != 0; i = (i + 1) & mask) {
		if (slots[i].key == key)
			return slots[i].value;
	}
	return PROTO_NO_INDEX;
}

static void slots_put(struct config_slot *slots, uint32_t mask, uint32_t key, uint32_t value)
{
	uint32_t i = slot_of(key, mask);

	while (slots[i].key != 0)
		i = (i + 1) & mask;
	slots[i] = (struct config_slot){key, value};
}

/* Makes an empty table for `count` keys that is at most half full. */
static int slots_new(struct config_slot **slots, uint32_t *mask, uint32_t count)
{
	uint32_t size = 16;

	while (size < count * 2)
		size *= 2;
	*slots = calloc(size, sizeof(**slots));
	if (*slots == NULL)
		return -ENOMEM;
	*mask = size - 1;
	return 0;
}

static uint32_t peer_key(const struct config_peer *peer)
{
	uint32_t address;

	memcpy(&address, peer->addr.bytes, sizeof(address));
	return address;
}

static int finish_peers(struct config *config, char text[PROTO_TEXT_SIZE])
{
	int error = slots_new(&config->peers_by_ip, &config->peer_mask, config->peer_count);

	if (error < 0)
		return error;
	for (uint32_t i = 0; i < config->peer_count; i++) {
		if (config->peers[i].incarnation == 0)
			continue;
		if (config_peer_by_ip(config, peer_key(&config->peers[i])) != PROTO_NO_INDEX) {
			snprintf(text, PROTO_TEXT_SIZE, "two peers have the address of peer %u", i);
			return -EEXIST;
		}
		slots_put(config->peers_by_ip, config->peer_mask, peer_key(&config->peers[i]), i);
	}
	return 0;
}

static int finish_segments(struct config *config, char text[PROTO_TEXT_SIZE])
{
	int error = slots_new(&config->vnis, &config->vni_mask, config->segment_count);

	for (uint32_t i = 0; error == 0 && i < config->segment_count; i++) {
		const struct config_segment *segment = &config->segments[i];

		if (segment->incarnation == 0)
			continue;
		if (config->tenants[segment->tenant].incarnation != segment->tenant_incarnation) {
			snprintf(text, PROTO_TEXT_SIZE, "segment %u has no tenant", i);
			return -ENOENT;
		}
		for (uint32_t j = 0; segment->peers != NULL && j < segment->peers->count; j++) {
			if (config->peers[segment->peers->items[j].index].incarnation == 0) {
				snprintf(text, PROTO_TEXT_SIZE, "a peer of segment %u is gone", i);
				return -ENOENT;
			}
		}
		error = config_list_finish(segment->peers);
		if (error < 0 || segment->vni == 0)
			continue;
		if (config_segment_by_vni(config, segment->vni) != PROTO_NO_INDEX) {
			snprintf(text, PROTO_TEXT_SIZE, "two segments have VNI %u", segment->vni);
			return -EEXIST;
		}
		slots_put(config->vnis, config->vni_mask, segment->vni, i);
	}
	return error;
}

/* Checks the port's segments, and finds its untagged one and its VIDs. */
static int finish_port(struct config *config, uint32_t index, char text[PROTO_TEXT_SIZE])
{
	struct config_port *port = &config->ports[index];
	const struct config_list *list = port->segments;

	port->untagged = PROTO_NO_INDEX;
	config_vids_unref(port->vids);
	port->vids = NULL;
	for (uint32_t i = 0; list != NULL && i < list->count; i++) {
		uint32_t segment = list->items[i].index;
		uint16_t vid = list->items[i].vid;

		if (port->tenant != PROTO_NO_INDEX &&
		    config->segments[segment].tenant != port->tenant) {
			snprintf(text, PROTO_TEXT_SIZE,
				 "port %u is in segment %u of another tenant", index, segment);
			return -EPERM;
		}
		if (vid == 0 && port->untagged == PROTO_NO_INDEX) {
			port->untagged = segment;
			continue;
		}
		if (vid != 0 && port->vids == NULL) {
			port->vids = config_vids_new();
			if (port->vids == NULL)
				return -ENOMEM;
		}
		if (vid == 0 || port->vids->segments[vid] != PROTO_NO_INDEX) {
			snprintf(text, PROTO_TEXT_SIZE, "port %u has VID %u twice", index, vid);
			return -EEXIST;
		}
		port->vids->segments[vid] = segment;
	}
	return config_list_finish(port->segments);
}

int config_finish(struct config *config, char text[PROTO_TEXT_SIZE])
{
	int error;

	snprintf(text, PROTO_TEXT_SIZE, "out of memory");
	free(config->vnis);
	free(config->peers_by_ip);
	config->vnis = config->peers_by_ip = NULL;
	error = finish_peers(config, text);
	if (error == 0)
		error = finish_segments(config, text);
	for (uint32_t i = 0; error == 0 && i < config->port_count; i++) {
		const struct config_port *port = &config->ports[i];

		if (port->incarnation == 0)
			continue;
		if (port->tenant != PROTO_NO_INDEX &&
		    config->tenants[port->tenant].incarnation != port->tenant_incarnation) {
			snprintf(text, PROTO_TEXT_SIZE, "port %u has no tenant", i);
			return -ENOENT;
		}
		error = finish_port(config, i, text);
	}
	return error;
}

uint32_t config_segment_by_vni(const struct config *config, uint32_t vni)
{
	return slots_find(config->vnis, config->vni_mask, vni);
}

uint32_t config_peer_by_ip(const struct config *config, uint32_t address)
{
	return slots_find(config->peers_by_ip, config->peer_mask, address);
}
