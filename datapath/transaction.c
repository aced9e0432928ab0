/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/transaction.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "datapath/ports/port.h"
#include "datapath/quiet.h"
#include "datapath/settle.h"

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t boot_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint32_t)now.tv_sec;
}

static void transaction_clear(struct transaction *transaction)
{
	config_free(transaction->config);
	free(transaction->limits);
	free(transaction->entries);
	memset(transaction, 0, sizeof(*transaction));
}

/* The first error refuses the whole transaction; later ones follow from it. */
static void fail(struct transaction *transaction, int error, const char *text)
{
	if (transaction->error != 0)
		return;
	transaction->error = error;
	snprintf(transaction->text, sizeof(transaction->text), "%s", text);
}

void transaction_begin(struct switch_state *state, uint64_t generation, uint64_t base)
{
	struct transaction *transaction = &state->transaction;
	uint64_t committed = state->config == NULL ? 0 : state->config->generation;

	transaction_clear(transaction);
	transaction->generation = generation;
	transaction->whole = base == 0;
	if (generation == 0)
		fail(transaction, -EINVAL, "generation 0 cannot be committed");
	if (base != 0 && base != committed)
		fail(transaction, -ESTALE,
		     "the base is not the committed generation: send everything");
	if (state->shared.stats == NULL || state->fdb_memory == NULL)
		fail(transaction, -EINVAL, "the memories for counters and FDB were not sent");
	transaction->config =
		base == 0 || state->config == NULL ? config_new() : config_clone(state->config);
	if (transaction->config == NULL)
		fail(transaction, -ENOMEM, "out of memory");
}

/* Makes room for one more item of an array that doubles. */
static void *grow(void *items, uint32_t count, uint32_t *room, size_t size)
{
	void *grown;

	if (count < *room)
		return items;
	grown = realloc(items, (*room == 0 ? 64 : *room * 2) * size);
	if (grown != NULL)
		*room = *room == 0 ? 64 : *room * 2;
	return grown;
}

static int stage_limits(struct transaction *transaction, enum shaper_kind kind, uint32_t index,
			const struct shaper_limits *limits)
{
	struct staged_limits *staged = grow(transaction->limits, transaction->limits_count,
					    &transaction->limits_room, sizeof(*staged));

	if (staged == NULL)
		return -ENOMEM;
	transaction->limits = staged;
	staged[transaction->limits_count++] = (struct staged_limits){kind, index, *limits};
	return 0;
}

/* A port has ceilings only. */
static int stage_port(struct transaction *transaction, const struct proto_port *record)
{
	const struct shaper_limits send = {.rate = record->send_rate};
	const struct shaper_limits receive = {.rate = record->receive_rate};
	int error = stage_limits(transaction, SHAPER_PORT_SEND, record->ref.index, &send);

	if (error < 0)
		return error;
	return stage_limits(transaction, SHAPER_PORT_RECEIVE, record->ref.index, &receive);
}

static int stage_entry(struct transaction *transaction, uint64_t key, uint32_t destination,
		       bool removed)
{
	struct staged_entry *entries = grow(transaction->entries, transaction->entry_count,
					    &transaction->entry_room, sizeof(*entries));

	if (entries == NULL)
		return -ENOMEM;
	transaction->entries = entries;
	entries[transaction->entry_count++] = (struct staged_entry){key, destination, removed};
	return 0;
}

/* The port object that is held for ref, with a reference of its own; NULL: none. */
static struct port *held_port(const struct switch_state *state, const struct proto_ref *ref)
{
	const struct config *configs[] = {state->transaction.config, state->config};

	for (unsigned i = 0; i < 2; i++) {
		const struct config_port *port =
			configs[i] == NULL ? NULL : config_port(configs[i], ref->index);

		if (port != NULL && port->incarnation == ref->incarnation && port->port != NULL) {
			port_ref(port->port);
			return port->port;
		}
	}
	return NULL;
}

/* Takes descriptors out of the message, in order. Returns false when there are not so many. */
static bool take_fds(struct channel_message *message, uint32_t *next, uint32_t count, int *fds)
{
	if (count > PORT_FDS_MAX || count > message->fd_count - *next)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		fds[i] = message->fds[*next + i];
		message->fds[*next + i] = -1;
	}
	*next += count;
	return true;
}

/* Makes a port as the record says. Takes over the descriptors; *port is not touched on failure. */
static int make_port(const struct proto_port *record, const int *fds, uint32_t fd_count,
		     struct port **port)
{
	struct port *made;
	int error = port_new(&made, record->type, &record->ref, fds, fd_count);

	if (error < 0)
		return error;
	error = port_configure(made, record);
	if (error < 0)
		port_unref(made);
	else
		*port = made;
	return error;
}

/* Lets another port take the place of a held one, with the same descriptors. */
static int remake_port(const struct proto_port *record, struct port **port)
{
	struct port *former = *port;
	int fds[PORT_FDS_MAX];
	int error;

	for (uint32_t i = 0; i < former->queue_count; i++) {
		fds[i] = fcntl(former->fds[i], F_DUPFD_CLOEXEC, 0);
		if (fds[i] < 0) {
			error = -errno;
			while (i-- > 0)
				close(fds[i]);
			return error;
		}
	}
	error = make_port(record, fds, former->queue_count, port);
	if (error == 0)
		port_unref(former);
	return error;
}

static bool needs_no_fds(uint32_t type)
{
	return type == PROTO_PORT_MEMORY || type == PROTO_PORT_DPDK;
}

static int edit_port(struct switch_state *state, const struct proto_port *record,
		     struct channel_message *message, uint32_t *next_fd)
{
	struct transaction *transaction = &state->transaction;
	struct port *port = NULL;
	int fds[PORT_FDS_MAX];
	int error = 0;

	if (!take_fds(message, next_fd, record->fd_count, fds))
		return -EINVAL;
	if (record->fd_count == 0 && (record->flags & PROTO_PORT_DETACH) == 0)
		port = held_port(state, &record->ref);
	if (record->fd_count > 0 || (needs_no_fds(record->type) && port == NULL))
		error = make_port(record, fds, record->fd_count, &port);
	else if (port != NULL && port_differs(port, record))
		error = remake_port(record, &port);
	/* Its device could not be opened when the datapath started: the port waits. */
	if (error == -ENODEV && record->type == PROTO_PORT_DPDK)
		error = 0;
	if (error < 0)
		port_unref(port);
	else
		error = config_set_port(transaction->config, record, port);
	if (error < 0)
		return error;
	return stage_port(transaction, record);
}

static int edit_vtep(struct switch_state *state, const struct proto_vtep *record,
		     struct channel_message *message, uint32_t *next_fd)
{
	struct port *port = NULL;
	int fds[PORT_FDS_MAX];
	int error = 0;

	if (!take_fds(message, next_fd, record->fd_count, fds))
		return -EINVAL;
	if (record->fd_count == 0)
		port = held_port(state, &record->ref);
	else
		error = port_new_vtep(&port, &record->ref, fds, record->fd_count,
				      record->receive_count);
	return error < 0 ? error : config_set_vtep(state->transaction.config, record, port);
}

static int edit_tenant(struct transaction *transaction, const struct proto_tenant *record)
{
	const struct shaper_limits send = {record->send_rate, record->send_min, record->send_burst,
					   record->weight};
	const struct shaper_limits receive = {record->receive_rate, record->receive_min,
					      record->receive_burst, record->weight};
	int error = config_set_tenant(transaction->config, record);

	if (error < 0)
		return error;
	error = stage_limits(transaction, SHAPER_TENANT_SEND, record->ref.index, &send);
	if (error < 0)
		return error;
	return stage_limits(transaction, SHAPER_TENANT_RECEIVE, record->ref.index, &receive);
}

static int edit_host(struct transaction *transaction, const struct proto_host *record)
{
	transaction->host = *record;
	transaction->host_given = true;
	return 0;
}

static int edit_fdb(struct transaction *transaction, const struct proto_fdb *record, bool removed)
{
	static const uint8_t zero[6];
	const struct config *config = transaction->config;
	const struct config_segment *segment = config_segment(config, record->segment.index);
	const struct config_port *port = config_port(config, record->port.index);
	uint64_t key = fdb_key(record->segment.index, record->mac);

	if (segment == NULL || segment->incarnation != record->segment.incarnation)
		return -ENOENT;
	if ((record->mac[0] & 1) != 0 || memcmp(record->mac, zero, sizeof(zero)) == 0)
		return -EINVAL;
	if (removed)
		return stage_entry(transaction, key, 0, true);
	if (record->port.index != PROTO_NO_INDEX) {
		if (port == NULL || port->incarnation != record->port.incarnation)
			return -ENOENT;
		return stage_entry(transaction, key, FDB_TO_PORT | record->port.index, false);
	}
	if (record->peer.index >= config->peer_count || record->peer.incarnation == 0 ||
	    config->peers[record->peer.index].incarnation != record->peer.incarnation)
		return -ENOENT;
	return stage_entry(transaction, key, FDB_TO_PEER | record->peer.index, false);
}

/* Reads record i of the message as what its type says, and edits the configuration. */
static int edit(struct switch_state *state, struct channel_message *message, uint32_t i,
		uint32_t *next_fd)
{
	struct config *config = state->transaction.config;
	union {
		struct proto_ref ref;
		struct proto_tenant tenant;
		struct proto_segment segment;
		struct proto_port port;
		struct proto_member member;
		struct proto_vtep vtep;
		struct proto_peer peer;
		struct proto_segment_peer segment_peer;
		struct proto_fdb fdb;
		struct proto_host host;
	} record;

	channel_record(message, i, &record, sizeof(record));
	switch (message->type) {
	case PROTO_HOST_SET:
		return edit_host(&state->transaction, &record.host);
	case PROTO_TENANT_SET:
		return edit_tenant(&state->transaction, &record.tenant);
	case PROTO_TENANT_DEL:
		return config_del_tenant(config, &record.ref);
	case PROTO_SEGMENT_SET:
		return config_set_segment(config, &record.segment);
	case PROTO_SEGMENT_DEL:
		return config_del_segment(config, &record.ref);
	case PROTO_PORT_SET:
		return edit_port(state, &record.port, message, next_fd);
	case PROTO_PORT_DEL:
		return config_del_port(config, &record.ref);
	case PROTO_MEMBER_SET:
		return config_set_member(config, &record.member);
	case PROTO_MEMBER_DEL:
		return config_del_member(config, &record.member);
	case PROTO_VTEP_SET:
		return edit_vtep(state, &record.vtep, message, next_fd);
	case PROTO_PEER_SET:
		return config_set_peer(config, &record.peer);
	case PROTO_PEER_DEL:
		return config_del_peer(config, &record.ref);
	case PROTO_SEGMENT_PEER_SET:
		return config_set_segment_peer(config, &record.segment_peer);
	case PROTO_SEGMENT_PEER_DEL:
		return config_del_segment_peer(config, &record.segment_peer);
	case PROTO_FDB_SET:
		return edit_fdb(&state->transaction, &record.fdb, false);
	case PROTO_FDB_DEL:
		return edit_fdb(&state->transaction, &record.fdb, true);
	default:
		return -EPROTO;
	}
}

static void edit_all(struct switch_state *state, struct channel_message *message)
{
	struct transaction *transaction = &state->transaction;
	uint32_t next_fd = 0;

	if (transaction->error != 0)
		return;
	if (message->type == PROTO_VTEP_DEL) {
		int error = config_del_vtep(transaction->config);

		if (error < 0)
			fail(transaction, error, "there is no VTEP to remove");
		return;
	}
	for (uint32_t i = 0; i < message->count && transaction->error == 0; i++) {
		int error = edit(state, message, i, &next_fd);
		char text[PROTO_TEXT_SIZE];

		if (error == 0)
			continue;
		snprintf(text, sizeof(text), "message type %u, record %u: %s", message->type, i,
			 strerror(-error));
		fail(transaction, error, text);
	}
}

/* A whole configuration without a host's capacity has none. */
static void set_limits(struct switch_state *state)
{
	struct transaction *transaction = &state->transaction;
	struct shaper *shaper = state->shared.shaper;
	const struct proto_host *host = &transaction->host;
	uint64_t now = now_ns();

	for (uint32_t i = 0; i < transaction->limits_count; i++) {
		const struct staged_limits *staged = &transaction->limits[i];

		shaper_set_limits(shaper, staged->kind, staged->index, &staged->limits, now);
	}
	if (!transaction->whole && !transaction->host_given)
		return;
	shaper_set_capacity(shaper, SHAPER_TENANT_SEND, host->send_capacity, now);
	shaper_set_capacity(shaper, SHAPER_TENANT_RECEIVE, host->receive_capacity, now);
}

static int compare_entries(const void *a, const void *b)
{
	const struct staged_entry *one = a, *other = b;

	if (one->key != other->key)
		return one->key < other->key ? -1 : 1;
	if (one->destination != other->destination)
		return one->destination < other->destination ? -1 : 1;
	return (int)one->removed - (int)other->removed;
}

static void set_entries(struct switch_state *state)
{
	struct transaction *transaction = &state->transaction;
	struct fdb *fdb = state->shared.fdb;

	for (uint32_t i = 0; i < transaction->entry_count; i++) {
		const struct staged_entry *entry = &transaction->entries[i];

		if (entry->removed)
			fdb_remove(fdb, entry->key);
		else
			fdb_set_static(fdb, entry->key, entry->destination, boot_seconds());
	}
	if (transaction->entry_count > 0)
		qsort(transaction->entries, transaction->entry_count,
		      sizeof(transaction->entries[0]), compare_entries);
}

bool transaction_sets(const struct transaction *transaction, uint64_t key, uint32_t destination)
{
	const struct staged_entry wanted = {key, destination, false};

	return transaction->entry_count > 0 &&
	       bsearch(&wanted, transaction->entries, transaction->entry_count, sizeof(wanted),
		       compare_entries) != NULL;
}

static void stop_workers(struct switch_state *state)
{
	for (unsigned i = 0; i < state->worker_count; i++)
		worker_stop(state->workers[i]);
}

int transaction_commit(struct switch_state *state, uint64_t generation)
{
	struct transaction *transaction = &state->transaction;
	struct config *former = state->config;
	struct config *config = transaction->config;
	int error;

	if (config == NULL || generation != transaction->generation)
		fail(transaction, -EPROTO, "this generation was not begun");
	if (transaction->error == 0) {
		error = config_finish(config, transaction->text);
		if (error < 0)
			transaction->error = error;
	}
	if (transaction->error == 0 && former == NULL) {
		error = settle_first(state, config);
		if (error < 0)
			fail(transaction, error, "the FDB's memory cannot be used");
	}
	if (transaction->error != 0 || config == NULL)
		return transaction->error;

	/* Nothing fails from here on. */
	config->generation = generation;
	transaction->config = NULL;
	/* What is zeroed must not be counted on meanwhile; settle_queues_added() goes on. */
	if (settle_reuses(former, config))
		stop_workers(state);
	settle_counters(state, former, config);
	settle_gates(state, former, config);
	set_limits(state);
	quiet_publish(&state->shared, config);
	state->config = config;
	settle_queues_removed(state, former, config);
	quiet_wait(&state->shared);
	/* What stays must not be gone for a moment. */
	set_entries(state);
	settle_fdb(state, former, config, transaction->whole);
	config_free(former);
	settle_queues_added(state, config);
	return 0;
}

static void commit(struct switch_state *state, uint64_t generation, struct proto_reply *reply)
{
	int error = transaction_commit(state, generation);

	*reply = (struct proto_reply){.generation = generation, .error = -error};
	if (error != 0)
		memcpy(reply->text, state->transaction.text, sizeof(reply->text));
	transaction_clear(&state->transaction);
}

void switch_abort(struct switch_state *state)
{
	transaction_clear(&state->transaction);
}

int switch_message(struct switch_state *state, struct channel_message *message,
		   struct proto_reply *reply)
{
	switch (message->type) {
	case PROTO_MEMORY:
		return settle_memory(state, message);
	case PROTO_HOLD:
		return settle_hold(state, message);
	case PROTO_BEGIN: {
		struct proto_begin begin;

		if (message->count != 1)
			return -EPROTO;
		channel_record(message, 0, &begin, sizeof(begin));
		transaction_begin(state, begin.generation, begin.base);
		return 0;
	}
	case PROTO_COMMIT: {
		struct proto_commit record;

		if (message->count != 1)
			return -EPROTO;
		channel_record(message, 0, &record, sizeof(record));
		commit(state, record.generation, reply);
		return 1;
	}
	case PROTO_FDB_FLUSH:
		return settle_flush(state, message);
	default:
		if (message->type < PROTO_TENANT_SET || message->type > PROTO_HOST_SET)
			return -EPROTO;
		/* Outside a transaction it has no configuration to edit: COMMIT will say so. */
		if (state->transaction.config != NULL)
			edit_all(state, message);
		return 0;
	}
}
