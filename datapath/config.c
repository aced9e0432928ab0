/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/config.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/config_list.h"
#include "datapath/ports/port.h"

/* Makes room for `index` in a table; what is new is zero. */
static int table_grow(void **table, uint32_t *count, size_t item_size, uint32_t index)
{
	uint32_t wanted = *count == 0 ? 16 : *count;
	uint8_t *grown;

	if (index >= PROTO_INDEX_CAPACITY)
		return -EINVAL;
	if (index < *count)
		return 0;
	while (wanted <= index)
		wanted *= 2;
	grown = realloc(*table, wanted * item_size);
	if (grown == NULL)
		return -ENOMEM;
	memset(grown + *count * item_size, 0, (wanted - *count) * item_size);
	*table = grown;
	*count = wanted;
	return 0;
}

static int table_copy(void **to, const void *from, uint32_t count, size_t item_size)
{
	if (count == 0)
		return 0;
	*to = malloc(count * item_size);
	if (*to == NULL)
		return -ENOMEM;
	memcpy(*to, from, count * item_size);
	return 0;
}

struct config *config_new(void)
{
	struct config *config = calloc(1, sizeof(*config));

	if (config != NULL)
		config->vtep = PROTO_NO_INDEX;
	return config;
}

struct config *config_clone(const struct config *config)
{
	struct config *clone = config_new();

	if (clone == NULL)
		return NULL;
	if (table_copy((void **)&clone->tenants, config->tenants, config->tenant_count,
		       sizeof(*config->tenants)) < 0)
		goto fail;
	clone->tenant_count = config->tenant_count;
	if (table_copy((void **)&clone->peers, config->peers, config->peer_count,
		       sizeof(*config->peers)) < 0)
		goto fail;
	clone->peer_count = config->peer_count;
	if (table_copy((void **)&clone->segments, config->segments, config->segment_count,
		       sizeof(*config->segments)) < 0)
		goto fail;
	clone->segment_count = config->segment_count;
	for (uint32_t i = 0; i < clone->segment_count; i++) {
		config_list_ref(clone->segments[i].members);
		config_list_ref(clone->segments[i].peers);
	}
	if (table_copy((void **)&clone->ports, config->ports, config->port_count,
		       sizeof(*config->ports)) < 0)
		goto fail;
	clone->port_count = config->port_count;
	for (uint32_t i = 0; i < clone->port_count; i++) {
		config_list_ref(clone->ports[i].segments);
		config_vids_ref(clone->ports[i].vids);
		port_ref(clone->ports[i].port);
	}
	clone->vtep = config->vtep;
	clone->vtep_local = config->vtep_local;
	clone->vtep_udp_port = config->vtep_udp_port;
	clone->generation = config->generation;
	return clone;
fail:
	config_free(clone);
	return NULL;
}

static void segment_clear(struct config_segment *segment)
{
	config_list_unref(segment->members);
	config_list_unref(segment->peers);
	memset(segment, 0, sizeof(*segment));
}

static void port_clear(struct config_port *port)
{
	config_list_unref(port->segments);
	config_vids_unref(port->vids);
	port_unref(port->port);
	memset(port, 0, sizeof(*port));
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (uint32_t i = 0; i < config->segment_count; i++)
		segment_clear(&config->segments[i]);
	for (uint32_t i = 0; i < config->port_count; i++)
		port_clear(&config->ports[i]);
	free(config->tenants);
	free(config->segments);
	free(config->ports);
	free(config->peers);
	free(config->vnis);
	free(config->peers_by_ip);
	free(config);
}

/* Whether the slot's object is the one that ref names. */
static int check_ref(uint32_t incarnation, const struct proto_ref *ref)
{
	return ref->incarnation != 0 && incarnation == ref->incarnation ? 0 : -ENOENT;
}

/* Whether ref may be set in the slot: it is free or holds the same object. */
static int check_slot(uint32_t incarnation, const struct proto_ref *ref)
{
	if (ref->incarnation == 0)
		return -EINVAL;
	return incarnation == 0 || incarnation == ref->incarnation ? 0 : -EEXIST;
}

int config_set_tenant(struct config *config, const struct proto_tenant *record)
{
	int error;

	if (record->weight > PROTO_WEIGHT_MAX || record->overhead < PROTO_OVERHEAD_MIN ||
	    record->overhead > PROTO_OVERHEAD_MAX)
		return -EINVAL;
	error = table_grow((void **)&config->tenants, &config->tenant_count,
			   sizeof(*config->tenants), record->ref.index);

	if (error == 0)
		error = check_slot(config->tenants[record->ref.index].incarnation, &record->ref);
	if (error < 0)
		return error;
	config->tenants[record->ref.index].incarnation = record->ref.incarnation;
	config->tenants[record->ref.index].overhead = record->overhead;
	return 0;
}

int config_del_tenant(struct config *config, const struct proto_ref *ref)
{
	if (ref->index >= config->tenant_count ||
	    check_ref(config->tenants[ref->index].incarnation, ref) < 0)
		return -ENOENT;
	config->tenants[ref->index].incarnation = 0;
	return 0;
}

static struct config_segment *find_segment(struct config *config, const struct proto_ref *ref)
{
	if (ref->index >= config->segment_count ||
	    check_ref(config->segments[ref->index].incarnation, ref) < 0)
		return NULL;
	return &config->segments[ref->index];
}

static struct config_port *find_port(struct config *config, const struct proto_ref *ref)
{
	if (ref->index >= config->port_count ||
	    check_ref(config->ports[ref->index].incarnation, ref) < 0)
		return NULL;
	return &config->ports[ref->index];
}

int config_set_segment(struct config *config, const struct proto_segment *record)
{
	struct config_segment *segment;
	int error;

	if (record->vni >= 1u << 24 || record->mtu < 68 || record->mtu > 65521 ||
	    record->ageing == 0 || (record->flags & ~PROTO_SEGMENT_VLAN_TRANSPARENT) != 0)
		return -EINVAL;
	error = table_grow((void **)&config->segments, &config->segment_count,
			   sizeof(*config->segments), record->ref.index);
	if (error < 0)
		return error;
	segment = &config->segments[record->ref.index];
	error = check_slot(segment->incarnation, &record->ref);
	if (error < 0)
		return error;
	if (record->tenant.index >= config->tenant_count ||
	    check_ref(config->tenants[record->tenant.index].incarnation, &record->tenant) < 0)
		return -ENOENT;
	segment->incarnation = record->ref.incarnation;
	segment->tenant = record->tenant.index;
	segment->tenant_incarnation = record->tenant.incarnation;
	segment->vni = record->vni;
	segment->mtu = record->mtu;
	segment->ageing = record->ageing;
	segment->flags = record->flags;
	return 0;
}

int config_del_segment(struct config *config, const struct proto_ref *ref)
{
	struct config_segment *segment = find_segment(config, ref);

	if (segment == NULL)
		return -ENOENT;
	if (segment->members != NULL)
		return -EBUSY;
	segment_clear(segment);
	return 0;
}

int config_set_port(struct config *config, const struct proto_port *record, struct port *port)
{
	struct config_port *slot;
	int error = table_grow((void **)&config->ports, &config->port_count, sizeof(*config->ports),
			       record->ref.index);

	if (error < 0)
		goto fail;
	slot = &config->ports[record->ref.index];
	error = check_slot(slot->incarnation, &record->ref);
	if (error == 0 && record->ref.index == config->vtep)
		error = -EEXIST;
	if (error < 0)
		goto fail;
	error = -ENOENT;
	if (record->tenant.index != PROTO_NO_INDEX &&
	    (record->tenant.index >= config->tenant_count ||
	     check_ref(config->tenants[record->tenant.index].incarnation, &record->tenant) < 0))
		goto fail;
	if (slot->incarnation == 0)
		slot->untagged = PROTO_NO_INDEX;
	slot->incarnation = record->ref.incarnation;
	slot->tenant = record->tenant.index;
	slot->tenant_incarnation = record->tenant.incarnation;
	slot->type = record->type;
	slot->mtu = record->mtu;
	slot->admin_up = (record->flags & PROTO_PORT_ADMIN_UP) != 0;
	port_unref(slot->port);
	slot->port = port;
	return 0;
fail:
	port_unref(port);
	return error;
}

/* Takes the port out of the member list of every segment that it is in. */
static int leave_segments(struct config *config, struct config_port *port, uint32_t index)
{
	if (port->segments == NULL)
		return 0;
	for (uint32_t i = 0; i < port->segments->count; i++) {
		struct config_segment *segment = &config->segments[port->segments->items[i].index];
		int error = config_list_remove(&segment->members, index);

		if (error < 0)
			return error;
	}
	return 0;
}

int config_del_port(struct config *config, const struct proto_ref *ref)
{
	struct config_port *port = find_port(config, ref);
	int error;

	if (port == NULL || ref->index == config->vtep)
		return -ENOENT;
	error = leave_segments(config, port, ref->index);
	if (error == 0)
		port_clear(port);
	return error;
}

int config_set_member(struct config *config, const struct proto_member *record)
{
	struct config_port *port = find_port(config, &record->port);
	struct config_segment *segment = find_segment(config, &record->segment);
	int error;

	if (port == NULL || segment == NULL || record->port.index == config->vtep)
		return -ENOENT;
	if (record->vid > 4094)
		return -EINVAL;
	error = config_list_put(&port->segments, record->segment.index, (uint16_t)record->vid);
	if (error == 0)
		error = config_list_put(&segment->members, record->port.index,
					(uint16_t)record->vid);
	return error;
}

int config_del_member(struct config *config, const struct proto_member *record)
{
	struct config_port *port = find_port(config, &record->port);
	struct config_segment *segment = find_segment(config, &record->segment);
	int error;

	if (port == NULL || segment == NULL)
		return -ENOENT;
	error = config_list_remove(&port->segments, record->segment.index);
	if (error == 0)
		error = config_list_remove(&segment->members, record->port.index);
	return error;
}

int config_set_vtep(struct config *config, const struct proto_vtep *record, struct port *port)
{
	struct config_port *slot;
	int error = -EINVAL;

	if (record->udp_port == 0 || record->udp_port > 65535 || record->local.family != AF_INET)
		goto fail;
	error = table_grow((void **)&config->ports, &config->port_count, sizeof(*config->ports),
			   record->ref.index);
	if (error < 0)
		goto fail;
	slot = &config->ports[record->ref.index];
	error = check_slot(slot->incarnation, &record->ref);
	/* There is one VTEP, and its index is no other port's. */
	if (error == 0 && config->vtep != record->ref.index &&
	    (config->vtep != PROTO_NO_INDEX || slot->incarnation != 0))
		error = -EEXIST;
	if (error < 0)
		goto fail;
	slot->incarnation = record->ref.incarnation;
	slot->tenant = PROTO_NO_INDEX;
	slot->untagged = PROTO_NO_INDEX;
	slot->admin_up = true;
	port_unref(slot->port);
	slot->port = port;
	config->vtep = record->ref.index;
	config->vtep_local = record->local;
	config->vtep_udp_port = record->udp_port;
	return 0;
fail:
	port_unref(port);
	return error;
}

int config_del_vtep(struct config *config)
{
	if (config->vtep == PROTO_NO_INDEX)
		return -ENOENT;
	port_clear(&config->ports[config->vtep]);
	config->vtep = PROTO_NO_INDEX;
	return 0;
}

int config_set_peer(struct config *config, const struct proto_peer *record)
{
	static const uint8_t any[4];
	int error;

	if (record->addr.family != AF_INET || memcmp(record->addr.bytes, any, sizeof(any)) == 0)
		return -EINVAL;
	error = table_grow((void **)&config->peers, &config->peer_count, sizeof(*config->peers),
			   record->ref.index);
	if (error == 0)
		error = check_slot(config->peers[record->ref.index].incarnation, &record->ref);
	if (error < 0)
		return error;
	config->peers[record->ref.index].incarnation = record->ref.incarnation;
	config->peers[record->ref.index].addr = record->addr;
	return 0;
}

int config_del_peer(struct config *config, const struct proto_ref *ref)
{
	if (ref->index >= config->peer_count ||
	    check_ref(config->peers[ref->index].incarnation, ref) < 0)
		return -ENOENT;
	for (uint32_t i = 0; i < config->segment_count; i++) {
		if (config_segment_has_peer(&config->segments[i], ref->index))
			return -EBUSY;
	}
	memset(&config->peers[ref->index], 0, sizeof(*config->peers));
	return 0;
}

int config_set_segment_peer(struct config *config, const struct proto_segment_peer *record)
{
	struct config_segment *segment = find_segment(config, &record->segment);

	if (segment == NULL || record->peer.index >= config->peer_count ||
	    check_ref(config->peers[record->peer.index].incarnation, &record->peer) < 0)
		return -ENOENT;
	return config_list_put(&segment->peers, record->peer.index, 0);
}

int config_del_segment_peer(struct config *config, const struct proto_segment_peer *record)
{
	struct config_segment *segment = find_segment(config, &record->segment);

	return segment == NULL ? -ENOENT : config_list_remove(&segment->peers, record->peer.index);
}

bool config_port_carries(const struct config_port *port, uint32_t segment, uint16_t *vid)
{
	const struct config_member *member;

	if (port->untagged == segment) {
		*vid = 0;
		return true;
	}
	member = config_list_find(port->segments, segment);
	if (member == NULL)
		return false;
	*vid = member->vid;
	return true;
}

bool config_segment_has_peer(const struct config_segment *segment, uint32_t peer)
{
	return config_list_find(segment->peers, peer) != NULL;
}
