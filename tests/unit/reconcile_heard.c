/* SPDX-License-Identifier: Apache-2.0 */

/* What the datapath that the test plays hears, as lines of text. */

#include "tests/unit/reconcile_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

union record {
	struct proto_ref ref;
	struct proto_memory memory;
	struct proto_hold hold;
	struct proto_begin begin;
	struct proto_commit commit;
	struct proto_host host;
	struct proto_tenant tenant;
	struct proto_segment segment;
	struct proto_port port;
	struct proto_member member;
	struct proto_vtep vtep;
	struct proto_peer peer;
	struct proto_segment_peer segment_peer;
	struct proto_fdb fdb;
	struct proto_fdb_flush flush;
};

static void write_object(struct fixture *fixture, uint16_t type, const union record *record);
static void write_port(struct fixture *fixture, const struct proto_port *port);
static void write_tenant(struct fixture *fixture, const struct proto_tenant *tenant);
static void write_link(struct fixture *fixture, uint16_t type, const union record *record);
static void keep(struct fixture *fixture, struct channel_message *message, uint32_t *next_fd,
		 enum proto_handback_kind kind, struct proto_ref ref, uint32_t count);
__attribute__((format(printf, 2, 3))) static void write_line(struct fixture *fixture,
							     const char *format, ...);

void fixture_take_record(struct fixture *fixture, struct channel_message *message, uint32_t i,
			 uint32_t *next_fd)
{
	const struct proto_ref none = {0, 0};
	union record record;

	channel_record(message, i, &record, sizeof(record));
	switch (message->type) {
	case PROTO_MEMORY:
		write_line(fixture, "memory %u", record.memory.kind);
		keep(fixture, message, next_fd, PROTO_HANDBACK_MEMORY,
		     (struct proto_ref){record.memory.kind, 0}, 1);
		break;
	case PROTO_HOLD:
		write_line(fixture, "hold");
		keep(fixture, message, next_fd, PROTO_HANDBACK_HOLD, none, record.hold.fd_count);
		break;
	case PROTO_BEGIN:
		fixture->begin = record.begin;
		write_line(fixture, "begin %" PRIu64 " on %" PRIu64, record.begin.generation,
			   record.begin.base);
		break;
	case PROTO_COMMIT:
		assert_true(record.commit.generation == fixture->begin.generation);
		write_line(fixture, "commit");
		break;
	case PROTO_HOST_SET:
		write_line(fixture, "host send %" PRIu64 " receive %" PRIu64,
			   record.host.send_capacity, record.host.receive_capacity);
		break;
	case PROTO_PORT_SET:
		keep(fixture, message, next_fd, PROTO_HANDBACK_PORT, record.port.ref,
		     record.port.fd_count);
		write_object(fixture, message->type, &record);
		break;
	case PROTO_VTEP_SET:
		keep(fixture, message, next_fd, PROTO_HANDBACK_VTEP, record.vtep.ref,
		     record.vtep.fd_count);
		write_object(fixture, message->type, &record);
		break;
	default:
		write_object(fixture, message->type, &record);
	}
}

void fixture_take_empty(struct fixture *fixture, uint16_t type)
{
	if (type == PROTO_VTEP_DEL)
		write_line(fixture, "vtep-");
	else if (type == PROTO_RESTART)
		write_line(fixture, "restart");
	else
		assert_int_equal(type, PROTO_HANDBACK_REQUEST);
}

static void write_object(struct fixture *fixture, uint16_t type, const union record *record)
{
	const struct proto_ref *ref = &record->ref; /* every object begins with it */
	char addr[ADDR_IP_TEXT_SIZE];

	switch (type) {
	case PROTO_TENANT_SET:
		write_tenant(fixture, &record->tenant);
		break;
	case PROTO_SEGMENT_SET:
		write_line(fixture, "segment %u.%u of %u.%u vni %u mtu %u", ref->index,
			   ref->incarnation, record->segment.tenant.index,
			   record->segment.tenant.incarnation, record->segment.vni,
			   record->segment.mtu);
		break;
	case PROTO_PORT_SET:
		write_port(fixture, &record->port);
		break;
	case PROTO_VTEP_SET:
		addr_ip_format(&record->vtep.local, addr);
		write_line(fixture, "vtep %u.%u %s:%u fds %u, %u receive", ref->index,
			   ref->incarnation, addr, record->vtep.udp_port, record->vtep.fd_count,
			   record->vtep.receive_count);
		break;
	case PROTO_PEER_SET:
		addr_ip_format(&record->peer.addr, addr);
		write_line(fixture, "peer %u.%u %s", ref->index, ref->incarnation, addr);
		break;
	case PROTO_TENANT_DEL:
		write_line(fixture, "tenant- %u.%u", ref->index, ref->incarnation);
		break;
	case PROTO_SEGMENT_DEL:
		write_line(fixture, "segment- %u.%u", ref->index, ref->incarnation);
		break;
	case PROTO_PORT_DEL:
		write_line(fixture, "port- %u.%u", ref->index, ref->incarnation);
		break;
	case PROTO_PEER_DEL:
		write_line(fixture, "peer- %u.%u", ref->index, ref->incarnation);
		break;
	default:
		write_link(fixture, type, record);
	}
}

static void write_port(struct fixture *fixture, const struct proto_port *port)
{
	char kind[32] = "";

	if (port->type == PROTO_PORT_VHOST)
		snprintf(kind, sizeof(kind), "vhost of %u ", port->queues);
	else if (port->type == PROTO_PORT_DPDK)
		snprintf(kind, sizeof(kind), "dpdk ");
	write_line(fixture, "%sport %u.%u fds %u%s%s", kind, port->ref.index, port->ref.incarnation,
		   port->fd_count, port->flags & PROTO_PORT_ADMIN_UP ? " up" : "",
		   port->flags & PROTO_PORT_DETACH ? " detached" : "");
}

/* What is not at its default beyond the rate to send: each word is a test's to expect. */
static void write_tenant(struct fixture *fixture, const struct proto_tenant *tenant)
{
	char more[256] = "";
	const struct {
		const char *name;
		int64_t value, is_default;
	} fields[] = {
		{"receive", (int64_t)tenant->receive_rate, 0},
		{"send-min", (int64_t)tenant->send_min, 0},
		{"receive-min", (int64_t)tenant->receive_min, 0},
		{"send-burst", (int64_t)tenant->send_burst, 0},
		{"receive-burst", (int64_t)tenant->receive_burst, 0},
		{"weight", tenant->weight, 1},
		{"overhead", tenant->overhead, 0},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		size_t used = strlen(more);

		if (fields[i].value != fields[i].is_default)
			snprintf(more + used, sizeof(more) - used, " %s %" PRId64, fields[i].name,
				 fields[i].value);
	}
	write_line(fixture, "tenant %u.%u send %" PRIu64 "%s", tenant->ref.index,
		   tenant->ref.incarnation, tenant->send_rate, more);
}

static void write_link(struct fixture *fixture, uint16_t type, const union record *record)
{
	const struct proto_fdb *fdb = &record->fdb;
	const struct proto_member *member = &record->member;
	const struct proto_segment_peer *peer = &record->segment_peer;

	switch (type) {
	case PROTO_MEMBER_SET:
	case PROTO_MEMBER_DEL:
		write_line(fixture, "member%s %u.%u in %u.%u vid %u",
			   type == PROTO_MEMBER_DEL ? "-" : "", member->port.index,
			   member->port.incarnation, member->segment.index,
			   member->segment.incarnation, member->vid);
		break;
	case PROTO_SEGMENT_PEER_SET:
	case PROTO_SEGMENT_PEER_DEL:
		write_line(fixture, "segment-peer%s %u.%u to %u.%u",
			   type == PROTO_SEGMENT_PEER_DEL ? "-" : "", peer->segment.index,
			   peer->segment.incarnation, peer->peer.index, peer->peer.incarnation);
		break;
	case PROTO_FDB_SET:
		write_line(fixture, "fdb %02x in %u.%u to %s %u.%u", fdb->mac[5],
			   fdb->segment.index, fdb->segment.incarnation,
			   fdb->port.index != PROTO_NO_INDEX ? "port" : "peer",
			   fdb->port.index != PROTO_NO_INDEX ? fdb->port.index : fdb->peer.index,
			   fdb->port.index != PROTO_NO_INDEX ? fdb->port.incarnation
							     : fdb->peer.incarnation);
		break;
	case PROTO_FDB_DEL:
		write_line(fixture, "fdb- %02x in %u.%u", fdb->mac[5], fdb->segment.index,
			   fdb->segment.incarnation);
		break;
	case PROTO_FDB_FLUSH:
		write_line(fixture, "flush");
		break;
	default:
		fail_msg("message %u is none of the datapath's", type);
	}
}

static void keep(struct fixture *fixture, struct channel_message *message, uint32_t *next_fd,
		 enum proto_handback_kind kind, struct proto_ref ref, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		assert_true(*next_fd < message->fd_count);
		fixture->kept =
			realloc(fixture->kept, (fixture->kept_count + 1) * sizeof(*fixture->kept));
		assert_non_null(fixture->kept);
		fixture->kept[fixture->kept_count++] =
			(struct fixture_kept){{kind, 1, ref}, message->fds[*next_fd]};
		message->fds[(*next_fd)++] = -1;
	}
}

static void write_line(struct fixture *fixture, const char *format, ...)
{
	size_t room = sizeof(fixture->heard) - fixture->heard_size;
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(fixture->heard + fixture->heard_size, room, format, arguments);
	va_end(arguments);
	/* A transaction of thousands is counted, not read. */
	if (size < 0 || (size_t)size + 2 > room) {
		fixture->heard[fixture->heard_size] = '\0';
		return;
	}
	fixture->heard_size += (size_t)size;
	fixture->heard[fixture->heard_size++] = '\n';
	fixture->heard[fixture->heard_size] = '\0';
}
