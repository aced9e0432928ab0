/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/pipeline/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "datapath/account.h"
#include "datapath/ports/port.h"

#define RIG_BUCKETS 1024u

static void put_port(struct rig *rig, uint32_t index, uint32_t tenant, struct port *port);

static struct proto_ref ref(uint32_t index)
{
	return (struct proto_ref){index, index + 1000};
}

static bool accept_all(void *context, uint32_t segment, uint32_t destination)
{
	(void)context;
	(void)segment;
	(void)destination;
	return true;
}

/* Memory as the control daemon would share it: aligned to pages, zero, taken as it is touched. */
static void *map_zeroed(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(memory != MAP_FAILED);
	return memory;
}

void rig_init(struct rig *rig)
{
	rig_init_sized(rig, RIG_BUCKETS);
}

void rig_init_sized(struct rig *rig, uint32_t buckets)
{
	memset(rig, 0, sizeof(*rig));
	rig->fdb_size = FDB_MEMORY_SIZE(buckets);
	rig->now = 1000000000;
	rig->seconds = 1000;
	rig->shared.event_fd = -1;
	pthread_mutex_init(&rig->shared.event_lock, NULL);
	rig->shared.shaper = shaper_new(PROTO_INDEX_CAPACITY);
	assert_non_null(rig->shared.shaper);
	rig->shared.stats = map_zeroed(STATS_MEMORY_SIZE);
	rig->fdb_memory = map_zeroed(rig->fdb_size);
	assert_int_equal(
		fdb_new(&rig->shared.fdb, rig->fdb_memory, rig->fdb_size, accept_all, NULL), 0);
	assert_int_equal(worker_init(&rig->worker, 0, &rig->shared), 0);
	rig->config = config_new();
	assert_non_null(rig->config);
}

static struct stats_port *port_stats(const struct rig *rig, uint32_t port)
{
	return &rig->shared.stats->workers[0].ports[port];
}

uint64_t rig_drops(const struct rig *rig, uint32_t port, enum drop_reason reason)
{
	return port_stats(rig, port)->drops[reason];
}

uint64_t rig_all_drops(const struct rig *rig, uint32_t port)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DROP_REASON_CAPACITY; i++)
		sum += port_stats(rig, port)->drops[i];
	return sum;
}

static void check_channel(const struct stats_channel *channel)
{
	uint64_t delays = 0;

	for (unsigned i = 0; i < STATS_DELAYS; i++)
		delays += channel->delays[i];
	assert_int_equal(channel->passed_packets, delays);
	assert_int_equal(channel->offered_packets, channel->passed_packets +
							   channel->queued_packets +
							   channel->dropped_packets);
	assert_int_equal(channel->offered_bytes,
			 channel->passed_bytes + channel->queued_bytes + channel->dropped_bytes);
	assert_true(channel->marked_packets <= channel->passed_packets);
}

void rig_check(const struct rig *rig)
{
	const struct config *config = rig->shared.config;
	uint64_t waiting;

	for (uint32_t i = 0; config != NULL && i < config->port_count; i++) {
		const struct stats_port *port = port_stats(rig, i);

		assert_int_equal(port->rx_packets + port->copies,
				 port->forwarded + port->queued + rig_all_drops(rig, i));
	}
	for (uint32_t i = 0; config != NULL && i < config->tenant_count; i++) {
		const struct stats_tenant *tenant = &rig->shared.stats->workers[0].tenants[i];

		check_channel(&tenant->send);
		check_channel(&tenant->receive);
	}
	/* The receiver holds a packet and a buffer for each message of a batch. */
	if (shaper_backlog(rig->worker.gates, &waiting) == 0 && rig->worker.backlog.count == 0)
		assert_int_equal(packet_pool_in_use(rig->worker.pool),
				 receiver_held(&rig->worker.receiver));
}

void rig_fini(struct rig *rig)
{
	if (rig->config == NULL)
		rig->config = rig->shared.config;
	rig_check(rig);
	worker_fini(&rig->worker);
	if (rig->config != rig->shared.config)
		config_free(rig->config);
	config_free(rig->shared.config);
	fdb_free(rig->shared.fdb);
	munmap(rig->fdb_memory, rig->fdb_size);
	shaper_free(rig->shared.shaper);
	munmap(rig->shared.stats, STATS_MEMORY_SIZE);
	pthread_mutex_destroy(&rig->shared.event_lock);
}

/* The configuration to edit: the first, or a copy of what is published. */
static struct config *editing(struct rig *rig)
{
	if (rig->config == NULL)
		rig->config = config_clone(rig->shared.config);
	assert_non_null(rig->config);
	return rig->config;
}

/* A port of a type that port_new() does not know. */
static struct port *port_of(uint32_t index, const struct port_ops *ops, void *private)
{
	struct port *port = calloc(1, sizeof(*port));

	assert_non_null(port);
	port->ops = ops;
	port->ref = ref(index);
	port->references = 1;
	port->features = ops->features;
	port->receive_count = 1;
	port->wait_fds[0] = -1;
	port->private = private;
	return port;
}

void rig_tenant(struct rig *rig, uint32_t index)
{
	rig_tenant_overhead(rig, index, 0);
}

void rig_tenant_overhead(struct rig *rig, uint32_t index, int32_t overhead)
{
	struct proto_tenant record = {.ref = ref(index), .overhead = overhead};

	assert_int_equal(config_set_tenant(editing(rig), &record), 0);
}

void rig_segment(struct rig *rig, uint32_t index, uint32_t tenant, uint32_t vni, uint32_t mtu,
		 uint32_t flags)
{
	struct proto_segment record = {
		.ref = ref(index),
		.tenant = ref(tenant),
		.vni = vni,
		.mtu = mtu,
		.ageing = 300,
		.flags = flags,
	};

	assert_int_equal(config_set_segment(editing(rig), &record), 0);
}

/* Ports' incarnations are the test's to choose; of what is there it is read. */
static struct proto_ref ref_of_port(const struct rig *rig, uint32_t index)
{
	const struct config *config = rig->config == NULL ? rig->shared.config : rig->config;
	const struct config_port *port = config_port(config, index);

	if (port != NULL)
		return (struct proto_ref){index, port->incarnation};
	return (struct proto_ref){index, index + 1000 + rig->life};
}

void rig_port(struct rig *rig, uint32_t index, uint32_t tenant, uint32_t features)
{
	struct proto_ref name = ref_of_port(rig, index);
	struct port *port;

	assert_int_equal(port_new(&port, PROTO_PORT_MEMORY, &name, NULL, 0), 0);
	memory_capture(port, features);
	put_port(rig, index, tenant, port);
}

void rig_port_of(struct rig *rig, uint32_t index, uint32_t tenant, const struct port_ops *ops,
		 void *private)
{
	put_port(rig, index, tenant, port_of(index, ops, private));
}

static void put_port(struct rig *rig, uint32_t index, uint32_t tenant, struct port *port)
{
	struct proto_port record = {
		.ref = ref_of_port(rig, index),
		.tenant = tenant == RIG_UPLINK ? (struct proto_ref){RIG_UPLINK, 0} : ref(tenant),
		.type = PROTO_PORT_MEMORY,
		.flags = PROTO_PORT_ADMIN_UP,
		.mtu = 65521,
	};

	assert_int_equal(config_set_port(editing(rig), &record, port), 0);
}

void rig_port_admin(struct rig *rig, uint32_t index, bool up)
{
	editing(rig)->ports[index].admin_up = up;
}

void rig_member(struct rig *rig, uint32_t port, uint32_t segment, uint16_t vid)
{
	struct proto_member record = {
		.port = ref_of_port(rig, port), .segment = ref(segment), .vid = vid};

	assert_int_equal(config_set_member(editing(rig), &record), 0);
}

void rig_remove_port(struct rig *rig, uint32_t index)
{
	struct proto_ref port = ref_of_port(rig, index);

	assert_int_equal(config_del_port(editing(rig), &port), 0);
}

void rig_remove_segment(struct rig *rig, uint32_t index)
{
	struct proto_ref segment = ref(index);

	assert_int_equal(config_del_segment(editing(rig), &segment), 0);
}

void rig_remove_tenant(struct rig *rig, uint32_t index)
{
	struct proto_ref tenant = ref(index);

	assert_int_equal(config_del_tenant(editing(rig), &tenant), 0);
}

static void put_vtep(struct rig *rig, uint32_t index, struct port *port)
{
	struct proto_vtep record = {
		.ref = ref(index),
		.local = {.family = AF_INET, .bytes = {198, 51, 100, 1}},
		.udp_port = 4789,
	};

	assert_int_equal(config_set_vtep(editing(rig), &record, port), 0);
}

void rig_vtep(struct rig *rig, uint32_t index)
{
	struct proto_ref name = ref(index);
	struct port *port;

	assert_int_equal(port_new(&port, PROTO_PORT_MEMORY, &name, NULL, 0), 0);
	memory_capture(port, 0);
	put_vtep(rig, index, port);
}

void rig_vtep_of(struct rig *rig, uint32_t index, const struct port_ops *ops, void *private)
{
	put_vtep(rig, index, port_of(index, ops, private));
}

static struct proto_addr peer_address(uint32_t index)
{
	return (struct proto_addr){.family = AF_INET, .bytes = {192, 0, 2, (uint8_t)(1 + index)}};
}

void rig_peer(struct rig *rig, uint32_t index, uint32_t segment)
{
	struct proto_peer record = {.ref = ref(index), .addr = peer_address(index)};
	struct proto_segment_peer member = {.segment = ref(segment), .peer = ref(index)};

	assert_int_equal(config_set_peer(editing(rig), &record), 0);
	assert_int_equal(config_set_segment_peer(editing(rig), &member), 0);
}

void rig_commit(struct rig *rig)
{
	char text[PROTO_TEXT_SIZE];

	assert_int_equal(config_finish(rig->config, text), 0);
	config_free(rig->shared.config);
	rig->shared.config = rig->config;
	rig->config = NULL;
	rig->worker.config = rig->shared.config;
}

void rig_rate(struct rig *rig, enum shaper_kind kind, uint32_t index, uint64_t rate)
{
	shaper_set(rig->shared.shaper, kind, index, rate, rig->now);
}

void rig_limit(struct rig *rig, enum shaper_kind kind, uint32_t index,
	       const struct shaper_limits *limits)
{
	shaper_set_limits(rig->shared.shaper, kind, index, limits, rig->now);
}

void rig_capacity(struct rig *rig, enum shaper_kind kind, uint64_t capacity)
{
	shaper_set_capacity(rig->shared.shaper, kind, capacity, rig->now);
}

static void set_clock(struct rig *rig)
{
	rig->worker.now = rig->now;
	rig->worker.now_seconds = rig->seconds;
	rig->worker.config = rig->shared.config;
}

void rig_inject(struct rig *rig, uint32_t port, const struct virtio_net_hdr *offload,
		const void *frame, size_t size)
{
	assert_int_equal(memory_inject(rig->shared.config->ports[port].port, offload, frame, size),
			 0);
}

void rig_receive(struct rig *rig, uint32_t port)
{
	set_clock(rig);
	worker_receive(&rig->worker, port, ref_of_port(rig, port).incarnation, 0);
	worker_release(&rig->worker);
}

void rig_send_offload(struct rig *rig, uint32_t port, const struct virtio_net_hdr *offload,
		      const void *frame, size_t size)
{
	rig_inject(rig, port, offload, frame, size);
	rig_receive(rig, port);
}

void rig_send_overlay(struct rig *rig, uint32_t vtep, uint32_t peer, uint32_t vni, uint8_t tos,
		      const void *frame, size_t size)
{
	struct proto_addr address = peer_address(peer);
	uint32_t source;

	set_clock(rig);
	memcpy(&source, address.bytes, sizeof(source));
	assert_int_equal(memory_inject_overlay(rig->shared.config->ports[vtep].port, source, vni,
					       tos, frame, size),
			 0);
	worker_receive(&rig->worker, vtep, ref(vtep).incarnation, 0);
	worker_release(&rig->worker);
}

void rig_send(struct rig *rig, uint32_t port, const void *frame, size_t size)
{
	rig_send_offload(rig, port, NULL, frame, size);
}

void rig_advance(struct rig *rig, uint64_t ns)
{
	rig->now += ns;
	set_clock(rig);
	worker_release(&rig->worker);
}

struct memory_frame *rig_collect(struct rig *rig, uint32_t port)
{
	return memory_collect(rig->shared.config->ports[port].port);
}

void rig_expect_at(struct rig *rig, uint32_t port, const void *frame, size_t size, const char *file,
		   int line)
{
	struct memory_frame *out = rig_collect(rig, port);
	static const struct virtio_net_hdr none;

	if (out == NULL) {
		print_error("port %u sent nothing\n", port);
		_fail(file, line);
		return;
	}
	_assert_int_equal(out->size, size, file, line);
	_assert_memory_equal(out->data, frame, size, file, line);
	_assert_memory_equal(&out->offload, &none, sizeof(none), file, line);
	free(out);
}

void rig_expect_nothing_at(struct rig *rig, const char *file, int line)
{
	const struct config *config = rig->shared.config;

	for (uint32_t i = 0; i < config->port_count; i++) {
		if (config->ports[i].port == NULL || config->ports[i].port->ops != &port_memory_ops)
			continue;
		if (rig_collect(rig, i) != NULL) {
			print_error("port %u sent a frame too many\n", i);
			_fail(file, line);
		}
	}
}

size_t rig_frame(uint8_t *frame, size_t size, uint64_t destination, uint64_t source,
		 uint16_t ether_type)
{
	for (unsigned i = 0; i < 6; i++) {
		frame[i] = (uint8_t)(destination >> (40 - 8 * i));
		frame[6 + i] = (uint8_t)(source >> (40 - 8 * i));
	}
	frame[12] = (uint8_t)(ether_type >> 8);
	frame[13] = (uint8_t)ether_type;
	for (size_t i = 14; i < size; i++)
		frame[i] = (uint8_t)(i * 7 + size);
	return size;
}
