/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/settle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "datapath/account.h"
#include "datapath/ports/port.h"

#define AGE_ROUNDS 16u /* calls of switch_age() that go over the whole FDB */

/* Maps a memfd that cannot shrink under us. */
static void *map_sealed(int fd, size_t size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat file;
	void *memory;

	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &file) < 0 || file.st_size < 0 ||
	    (size_t)file.st_size < size)
		return NULL;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

static int take_memory(struct switch_state *state, const struct proto_memory *record, int *fd)
{
	void *memory;

	/* What is in use stays in use: workers write to it. */
	if ((record->kind == PROTO_MEMORY_STATS && state->stats_fd >= 0) ||
	    (record->kind == PROTO_MEMORY_FDB && state->fdb_fd >= 0))
		return 0;
	if (record->kind == PROTO_MEMORY_STATS) {
		memory = record->size < STATS_MEMORY_SIZE ? NULL
							  : map_sealed(*fd, STATS_MEMORY_SIZE);
		if (memory == NULL)
			return -EPROTO;
		if (((struct stats_memory *)memory)->magic != STATS_MAGIC) {
			munmap(memory, STATS_MEMORY_SIZE);
			return -EPROTO;
		}
		state->shared.stats = memory;
		state->stats_fd = *fd;
	} else if (record->kind == PROTO_MEMORY_FDB) {
		memory = map_sealed(*fd, record->size);
		if (memory == NULL)
			return -EPROTO;
		/* Entries lie all over it. Large pages come only where shmem_enabled allows it. */
		madvise(memory, record->size, MADV_HUGEPAGE);
		state->fdb_memory = memory;
		state->fdb_size = record->size;
		state->fdb_fd = *fd;
	} else {
		return -EPROTO;
	}
	*fd = -1;
	return 0;
}

int settle_memory(struct switch_state *state, struct channel_message *message)
{
	if (message->fd_count != message->count)
		return -EPROTO;
	for (uint32_t i = 0; i < message->count; i++) {
		struct proto_memory record;
		int error;

		channel_record(message, i, &record, sizeof(record));
		error = take_memory(state, &record, &message->fds[i]);
		if (error < 0)
			return error;
	}
	return 0;
}

static void hold_clear(struct switch_hold *hold)
{
	for (uint32_t i = 0; i < hold->fd_count; i++)
		close(hold->fds[i]);
	hold->fd_count = 0;
}

int settle_hold(struct switch_state *state, struct channel_message *message)
{
	uint32_t next = 0;

	for (uint32_t i = 0; i < message->count; i++) {
		struct switch_hold *place = NULL;
		struct proto_hold record;

		channel_record(message, i, &record, sizeof(record));
		if (record.fd_count > SWITCH_HOLD_FDS || record.fd_count > message->fd_count - next)
			return -EPROTO;
		for (unsigned j = 0; j < SWITCH_HOLDS_MAX; j++) {
			struct switch_hold *hold = &state->holds[j];

			if (hold->fd_count > 0 && hold->key == record.key)
				hold_clear(hold);
			if (hold->fd_count == 0 && place == NULL)
				place = hold;
		}
		if (place == NULL)
			return -EPROTO;
		place->key = record.key;
		place->fd_count = record.fd_count;
		for (uint32_t j = 0; j < record.fd_count; j++, next++) {
			place->fds[j] = message->fds[next];
			message->fds[next] = -1;
		}
	}
	return 0;
}

/* Whether a destination is one of the segment's. */
static bool fits(const struct config *config, uint32_t segment, uint32_t destination)
{
	const struct config_segment *found = config_segment(config, segment);
	const struct config_port *port;
	uint16_t vid;

	if (found == NULL)
		return false;
	if ((destination & FDB_TO_PEER) != 0)
		return config_segment_has_peer(found, destination & FDB_INDEX_MASK);
	port = config_port(config, destination & FDB_INDEX_MASK);
	return port != NULL && config_port_carries(port, segment, &vid);
}

static bool accept_entry(void *context, uint32_t segment, uint32_t destination)
{
	return fits(context, segment, destination);
}

/* The blocks of counters that this datapath or a former one with more workers has used. */
static uint64_t stats_blocks(const struct switch_state *state)
{
	uint64_t used = state->shared.stats->worker_count;

	return used > STATS_WORKERS ? STATS_WORKERS : used;
}

static void lose_queued(struct stats_channel *channel)
{
	account_add(&channel->dropped_packets, channel->queued_packets);
	account_add(&channel->dropped_bytes, channel->queued_bytes);
	account_add(&channel->queued_packets, -channel->queued_packets);
	account_add(&channel->queued_bytes, -channel->queued_bytes);
}

/* What waited in a former datapath's shapers is lost, and counted. */
static void settle_queued(struct switch_state *state, const struct config *config)
{
	for (uint32_t i = 0; i < config->port_count; i++) {
		if (config->ports[i].incarnation == 0)
			continue;
		for (uint64_t w = 0; w < stats_blocks(state); w++) {
			struct stats_port *port = &state->shared.stats->workers[w].ports[i];

			account_add(&port->drops[DROP_RESTART], port->queued);
			account_add(&port->queued, -port->queued);
		}
	}
	for (uint32_t i = 0; i < config->tenant_count; i++) {
		if (config->tenants[i].incarnation == 0)
			continue;
		for (uint64_t w = 0; w < stats_blocks(state); w++) {
			struct stats_tenant *tenant = &state->shared.stats->workers[w].tenants[i];

			lose_queued(&tenant->send);
			lose_queued(&tenant->receive);
		}
	}
}

static int start_workers(struct switch_state *state)
{
	for (unsigned i = 0; i < state->worker_count; i++) {
		struct worker *worker = calloc(1, sizeof(*worker));
		int error = worker == NULL ? -ENOMEM : worker_init(worker, i, &state->shared);

		if (error < 0) {
			free(worker);
			return error;
		}
		state->workers[i] = worker;
	}
	return 0;
}

int settle_first(struct switch_state *state, const struct config *config)
{
	int error = 0;

	if (state->shared.fdb == NULL)
		error = fdb_new(&state->shared.fdb, state->fdb_memory, state->fdb_size,
				accept_entry, (void *)config);
	if (error == 0 && state->workers[0] == NULL) {
		if (stats_blocks(state) < state->worker_count)
			state->shared.stats->worker_count = state->worker_count;
		settle_queued(state, config);
		error = start_workers(state);
	}
	return error;
}

/* One kind of object's counters: where they start in a worker's block, and their incarnation's
 * place. */
static void zero_if_new(struct switch_state *state, size_t offset, size_t size,
			size_t incarnation_offset, uint32_t incarnation)
{
	uint8_t *first = (uint8_t *)&state->shared.stats->workers[0] + offset;
	uint64_t *owner = (uint64_t *)(first + incarnation_offset);

	if (*owner == incarnation)
		return;
	for (uint64_t w = 0; w < stats_blocks(state); w++) {
		uint64_t *words =
			(uint64_t *)((uint8_t *)&state->shared.stats->workers[w] + offset);

		for (size_t i = 0; i < size / sizeof(*words); i++) {
			if (__atomic_load_n(&words[i], __ATOMIC_RELAXED) != 0)
				__atomic_store_n(&words[i], 0, __ATOMIC_RELAXED);
		}
	}
	__atomic_store_n(owner, incarnation, __ATOMIC_RELAXED);
}

#define FORMER_INCARNATION(former, table, count, i)                                                \
	((former) != NULL && (i) < (former)->count ? (former)->table[i].incarnation : 0)

static bool reuses(uint32_t former, uint32_t incarnation)
{
	return former != 0 && incarnation != 0 && former != incarnation;
}

bool settle_reuses(const struct config *former, const struct config *config)
{
	for (uint32_t i = 0; i < config->port_count; i++) {
		if (reuses(FORMER_INCARNATION(former, ports, port_count, i),
			   config->ports[i].incarnation))
			return true;
	}
	for (uint32_t i = 0; i < config->tenant_count; i++) {
		if (reuses(FORMER_INCARNATION(former, tenants, tenant_count, i),
			   config->tenants[i].incarnation))
			return true;
	}
	for (uint32_t i = 0; i < config->segment_count; i++) {
		if (reuses(FORMER_INCARNATION(former, segments, segment_count, i),
			   config->segments[i].incarnation))
			return true;
	}
	return false;
}

void settle_counters(struct switch_state *state, const struct config *former,
		     const struct config *config)
{
	for (uint32_t i = 0; i < config->port_count; i++) {
		uint32_t is = config->ports[i].incarnation;

		if (is != 0 && is != FORMER_INCARNATION(former, ports, port_count, i))
			zero_if_new(state, offsetof(struct stats_worker, ports[i]),
				    sizeof(struct stats_port),
				    offsetof(struct stats_port, incarnation), is);
	}
	for (uint32_t i = 0; i < config->tenant_count; i++) {
		uint32_t is = config->tenants[i].incarnation;

		if (is != 0 && is != FORMER_INCARNATION(former, tenants, tenant_count, i))
			zero_if_new(state, offsetof(struct stats_worker, tenants[i]),
				    sizeof(struct stats_tenant),
				    offsetof(struct stats_tenant, incarnation), is);
	}
	for (uint32_t i = 0; i < config->segment_count; i++) {
		uint32_t is = config->segments[i].incarnation;

		if (is != 0 && is != FORMER_INCARNATION(former, segments, segment_count, i))
			zero_if_new(state, offsetof(struct stats_worker, segments[i]),
				    sizeof(struct stats_segment),
				    offsetof(struct stats_segment, incarnation), is);
	}
}

void settle_gates(struct switch_state *state, const struct config *former,
		  const struct config *config)
{
	struct shaper *shaper = state->shared.shaper;

	for (uint32_t i = 0; former != NULL && i < former->tenant_count; i++) {
		if (former->tenants[i].incarnation == 0 ||
		    former->tenants[i].incarnation ==
			    FORMER_INCARNATION(config, tenants, tenant_count, i))
			continue;
		shaper_set(shaper, SHAPER_TENANT_SEND, i, 0, 0);
		shaper_set(shaper, SHAPER_TENANT_RECEIVE, i, 0, 0);
	}
	for (uint32_t i = 0; former != NULL && i < former->port_count; i++) {
		if (former->ports[i].incarnation == 0 ||
		    former->ports[i].incarnation ==
			    FORMER_INCARNATION(config, ports, port_count, i))
			continue;
		shaper_set(shaper, SHAPER_PORT_SEND, i, 0, 0);
		shaper_set(shaper, SHAPER_PORT_RECEIVE, i, 0, 0);
	}
}

static const struct port *port_object(const struct config *config, uint32_t index)
{
	const struct config_port *port = config == NULL ? NULL : config_port(config, index);

	return port == NULL ? NULL : port->port;
}

/*
 * A port with a queue for each worker has the same one of each, so that a worker answers by the
 * queue that it heard, where the kernel expects the flow. Fewer are dealt out, starting at another
 * worker for each port.
 */
static struct worker *queue_worker(struct switch_state *state, const struct port *port,
				   unsigned queue)
{
	uint32_t first = port->receive_count < state->worker_count ? port->ref.index : 0;

	return state->workers[(first + queue) % state->worker_count];
}

void settle_queues_removed(struct switch_state *state, const struct config *former,
			   const struct config *config)
{
	for (uint32_t i = 0; former != NULL && i < former->port_count; i++) {
		const struct port *port = port_object(former, i);

		if (port == NULL || port == port_object(config, i))
			continue;
		for (unsigned q = 0; q < port->receive_count; q++)
			worker_remove_queue(queue_worker(state, port, q), port, q);
	}
}

void settle_queues_added(struct switch_state *state, const struct config *config)
{
	for (uint32_t i = 0; i < config->port_count; i++) {
		struct port *port =
			config->ports[i].incarnation == 0 ? NULL : config->ports[i].port;

		if (port == NULL || port->attached)
			continue;
		port->attached = true;
		for (unsigned q = 0; q < port->receive_count; q++) {
			int error = worker_add_queue(queue_worker(state, port, q), port, q);

			if (error < 0)
				log_error("port %u: cannot wait for queue %u: %s", i, q,
					  strerror(-error));
		}
	}
	for (unsigned i = 0; i < state->worker_count; i++) {
		if (!state->workers[i]->running && worker_start(state->workers[i]) < 0)
			log_error("cannot start worker %u", i);
	}
}

/* Which entries go when `former` becomes `config`. */
struct fdb_change {
	const struct config *former, *config;
	const struct transaction *transaction;
	bool whole;
};

static bool keep_entry(void *context, uint64_t key, uint64_t value)
{
	const struct fdb_change *change = context;
	uint32_t segment = fdb_key_segment(key);
	uint32_t destination = (uint32_t)(value >> 32);
	uint32_t index = destination & FDB_INDEX_MASK;
	bool peer = (destination & FDB_TO_PEER) != 0;

	if ((value & FDB_FLAG_STATIC) != 0 &&
	    transaction_sets(change->transaction, key, destination))
		return true;
	if ((change->whole && (value & FDB_FLAG_STATIC) != 0) ||
	    !fits(change->config, segment, destination))
		return false;
	/* An index that changed hands is another object. */
	return FORMER_INCARNATION(change->former, segments, segment_count, segment) ==
		       change->config->segments[segment].incarnation &&
	       (peer ? FORMER_INCARNATION(change->former, peers, peer_count, index) ==
				change->config->peers[index].incarnation
		     : FORMER_INCARNATION(change->former, ports, port_count, index) ==
				change->config->ports[index].incarnation);
}

/* Whether something is gone that an entry could refer to. */
static bool loses(const struct config *former, const struct config *config)
{
	for (uint32_t i = 0; i < former->segment_count; i++) {
		const struct config_segment *was = &former->segments[i];

		if (was->incarnation != 0 &&
		    (was->incarnation != FORMER_INCARNATION(config, segments, segment_count, i) ||
		     was->members != config->segments[i].members ||
		     was->peers != config->segments[i].peers))
			return true;
	}
	return false;
}

void settle_fdb(struct switch_state *state, const struct config *former,
		const struct config *config, bool whole)
{
	struct fdb_change change = {former, config, &state->transaction, whole};

	if (former != NULL && (whole || loses(former, config)))
		fdb_visit(state->shared.fdb, keep_entry, &change);
	else if (former == NULL) {
		/* A former datapath's entries were checked by fdb_new(); static ones are sent
		 * again. */
		change.former = config;
		fdb_visit(state->shared.fdb, keep_entry, &change);
	}
}

struct flush_filter {
	struct proto_fdb_flush record;
};

static bool survives_flush(void *context, uint64_t key, uint64_t value)
{
	const struct proto_fdb_flush *flush = &((struct flush_filter *)context)->record;
	uint32_t destination = (uint32_t)(value >> 32);
	bool peer = (destination & FDB_TO_PEER) != 0;
	uint32_t index = destination & FDB_INDEX_MASK;

	if ((value & FDB_FLAG_STATIC) != 0)
		return true;
	if (flush->segment.index != PROTO_NO_INDEX && fdb_key_segment(key) != flush->segment.index)
		return true;
	if (flush->port.index != PROTO_NO_INDEX && (peer || index != flush->port.index))
		return true;
	return flush->peer.index != PROTO_NO_INDEX && (!peer || index != flush->peer.index);
}

int settle_flush(struct switch_state *state, struct channel_message *message)
{
	for (uint32_t i = 0; i < message->count && state->shared.fdb != NULL; i++) {
		struct flush_filter filter;

		channel_record(message, i, &filter.record, sizeof(filter.record));
		fdb_visit(state->shared.fdb, survives_flush, &filter);
	}
	return 0;
}

static uint32_t ageing_of(void *context, uint32_t segment)
{
	const struct config_segment *found = config_segment(context, segment);

	return found == NULL ? 0 : found->ageing;
}

void switch_age(struct switch_state *state)
{
	struct timespec boot;
	const struct fdb_memory *memory = state->fdb_memory;

	if (state->shared.fdb == NULL || state->config == NULL)
		return;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	fdb_age(state->shared.fdb, (uint32_t)(memory->bucket_count / AGE_ROUNDS) + 1,
		(uint32_t)boot.tv_sec, ageing_of, state->config);
}

int switch_init(struct switch_state *state, unsigned worker_count)
{
	memset(state, 0, sizeof(*state));
	state->worker_count = worker_count;
	state->stats_fd = state->fdb_fd = -1;
	state->shared.event_fd = -1;
	pthread_mutex_init(&state->shared.event_lock, NULL);
	state->shared.shaper = shaper_new(PROTO_INDEX_CAPACITY);
	return state->shared.shaper == NULL ? -ENOMEM : 0;
}

void switch_fini(struct switch_state *state)
{
	for (unsigned i = 0; i < state->worker_count && state->workers[i] != NULL; i++)
		worker_stop(state->workers[i]);
	for (unsigned i = 0; i < state->worker_count && state->workers[i] != NULL; i++) {
		worker_fini(state->workers[i]);
		free(state->workers[i]);
	}
	switch_abort(state);
	config_free(state->config);
	fdb_free(state->shared.fdb);
	shaper_free(state->shared.shaper);
	if (state->stats_fd >= 0) {
		munmap(state->shared.stats, STATS_MEMORY_SIZE);
		close(state->stats_fd);
	}
	if (state->fdb_fd >= 0) {
		munmap(state->fdb_memory, state->fdb_size);
		close(state->fdb_fd);
	}
	for (unsigned i = 0; i < SWITCH_HOLDS_MAX; i++)
		hold_clear(&state->holds[i]);
	pthread_mutex_destroy(&state->shared.event_lock);
}
