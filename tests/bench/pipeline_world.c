/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/pipeline_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/packet.h"
#include "datapath/ports/port.h"
#include "datapath/vlan.h"

#define MTU	       1500u
#define RING_MAX       (1u << 18) /* frames; enough that a table is not met in the same order soon */
#define WARM_PACKETS   256u	  /* more than are ever in use at once */
#define TRUNK_SEGMENTS 4000u
#define TRUNK_FIRST    2u /* the first VID */
#define TRUNK_FLOWS    10000u
#define SPREAD_MACS    1000u
#define PEER_MACS      64u

static const uint8_t frame_rest[] = {
	0x08, 0x00,					/* IPv4 */
	0x45, 0x00, 0x00, 0x2e, 0x00, 0x01, 0x40, 0x00, /* 46 octets, do not fragment */
	0x40, 0x11, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x01, /* UDP, from 10.0.0.1 */
	0x0a, 0x00, 0x00, 0x02,				/* to 10.0.0.2 */
	0x04, 0x00, 0x04, 0x01, 0x00, 0x1a, 0x00, 0x00, /* 26 octets, no checksum */
};

static uint32_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state * 0x2545f4914f6cdd1dull >> 32);
}

static void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL) {
		fprintf(stderr, "pipeline_bench: out of memory\n");
		exit(1);
	}
	return memory;
}

/* MACs like those of a data centre: one vendor's, counted up. */
static void write_macs(uint8_t *data, const struct world_frame *frame)
{
	data[0] = data[6] = 0x52;
	data[1] = data[7] = 0x54;
	memcpy(data + 2, &frame->destination, 4);
	memcpy(data + 8, &frame->source, 4);
}

static void write_tag(uint8_t *data, uint32_t vid)
{
	data[12] = VLAN_TPID_8021Q >> 8;
	data[13] = VLAN_TPID_8021Q & 0xff;
	data[14] = (uint8_t)(vid >> 8);
	data[15] = (uint8_t)vid;
}

static int receive(struct port *port, unsigned queue, struct receiver *receiver,
		   struct batch *batch)
{
	struct world *world = port->private;
	const struct world_frame *frames = &world->ring.frames[world->ring.next * BATCH_SIZE];
	uint32_t size = world->tagged ? WORLD_FRAME_SIZE + VLAN_TAG_SIZE : WORLD_FRAME_SIZE;

	(void)queue;
	for (unsigned i = 0; i < BATCH_SIZE; i++) {
		struct packet *packet = packet_new(receiver->pool);

		packet->size = size;
		packet->head_size = (uint16_t)size;
		write_macs(packet->data, &frames[i]);
		batch->packets[i] = packet;
	}
	for (unsigned i = 0; world->tagged && i < BATCH_SIZE; i++)
		write_tag(batch->packets[i]->data, frames[i].vid);
	batch->count = BATCH_SIZE;
	return 0;
}

static void transmit(struct port *port, const struct config *config, unsigned queue,
		     struct packet **packets, unsigned count, uint8_t *results)
{
	struct world *world = port->private;

	(void)config;
	(void)queue;
	(void)packets;
	world->sent += count;
	memset(results, DROP_NONE, count);
}

static const struct port_ops world_port_ops = {
	.name = "world",
	.features = PORT_CAN_ALL,
	.receive = receive,
	.transmit = transmit,
};

/* Writes the frame's constant part into the packets that will be used, the most recent first. */
static void warm_pool(struct packet_pool *pool, bool tagged)
{
	struct packet *packets[WARM_PACKETS];

	for (unsigned i = 0; i < WARM_PACKETS; i++) {
		uint8_t *rest;

		packets[i] = packet_new(pool);
		rest = packets[i]->data + 12;
		memset(rest, 0, WORLD_FRAME_SIZE + VLAN_TAG_SIZE - 12);
		if (tagged)
			rest += VLAN_TAG_SIZE;
		memcpy(rest, frame_rest, sizeof(frame_rest));
	}
	for (unsigned i = 0; i < WARM_PACKETS; i++)
		packet_free(pool, packets[i]);
}

static void learn(struct world *world, uint32_t segment, uint32_t mac, uint32_t destination)
{
	struct world_frame frame = {.source = mac};
	uint8_t macs[12];

	write_macs(macs, &frame);
	fdb_learn(world->rig.shared.fdb, fdb_key(segment, macs + 6), destination,
		  world->rig.seconds);
}

static void make_ring(struct world *world, uint32_t batch_count)
{
	world->ring.batch_count = batch_count;
	world->ring.frames = allocate(batch_count, BATCH_SIZE * sizeof(*world->ring.frames));
	world->ring.ports = allocate(batch_count, sizeof(*world->ring.ports));
}

static void access_port(struct world *world, uint32_t index, uint32_t segment)
{
	rig_port_of(&world->rig, index, 0, &world_port_ops, world);
	rig_member(&world->rig, index, segment, 0);
}

/* Half of the MACs behind each of two access ports; frames go from any here to any there. */
static void make_macs(struct world *world, uint32_t count)
{
	uint32_t half = count < 2 ? 1 : count / 2;
	uint64_t random = 0x9e3779b97f4a7c15ull;

	rig_segment(&world->rig, 0, 0, 0, MTU, 0);
	access_port(world, 0, 0);
	access_port(world, 1, 0);
	for (uint32_t i = 0; i < half; i++) {
		learn(world, 0, i, FDB_TO_PORT | 0);
		learn(world, 0, half + i, FDB_TO_PORT | 1);
	}
	make_ring(world, half < BATCH_SIZE ? 2 : RING_MAX / BATCH_SIZE);
	for (uint32_t i = 0; i < world->ring.batch_count * BATCH_SIZE; i++) {
		uint32_t here = i / BATCH_SIZE % 2;

		world->ring.ports[i / BATCH_SIZE] = here;
		world->ring.frames[i].source = here * half + next_random(&random) % half;
		world->ring.frames[i].destination = (1 - here) * half + next_random(&random) % half;
	}
}

static void add_ports(struct world *world, uint32_t count)
{
	rig_segment(&world->rig, 0, 0, 0, MTU, 0);
	for (uint32_t i = 0; i < count; i++)
		access_port(world, i, 0);
}

/* One MAC behind each of so many ports of a segment. Each batch goes from one port to another. */
static void make_ports(struct world *world, uint32_t count)
{
	uint64_t random = 0x9e3779b97f4a7c15ull;

	add_ports(world, count);
	for (uint32_t i = 0; i < count; i++)
		learn(world, 0, i, FDB_TO_PORT | i);
	make_ring(world, count < 64 ? 64 : count * 4);
	for (uint32_t i = 0; i < world->ring.batch_count; i++) {
		uint32_t port = i % count;
		uint32_t other = (port + 1 + next_random(&random) % (count - 1)) % count;

		world->ring.ports[i] = port;
		for (uint32_t j = 0; j < BATCH_SIZE; j++)
			world->ring.frames[i * BATCH_SIZE + j] =
				(struct world_frame){.source = port, .destination = other};
	}
}

/* The packets of each batch go from one port to any of a thousand MACs behind the others. */
static void make_spread(struct world *world, uint32_t count)
{
	uint64_t random = 0x9e3779b97f4a7c15ull;

	add_ports(world, count);
	for (uint32_t i = 0; i < SPREAD_MACS; i++)
		learn(world, 0, i, FDB_TO_PORT | i % count);
	make_ring(world, 4 * SPREAD_MACS);
	for (uint32_t i = 0; i < world->ring.batch_count * BATCH_SIZE; i++) {
		uint32_t port = i / BATCH_SIZE % count;
		uint32_t other = next_random(&random) % SPREAD_MACS;

		world->ring.ports[i / BATCH_SIZE] = port;
		world->ring.frames[i].source = port;
		world->ring.frames[i].destination =
			other % count != port ? other : (other + 1) % SPREAD_MACS;
	}
}

/* So many segments of two access ports each, with the same two MACs. */
static void make_segments(struct world *world, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		rig_segment(&world->rig, i, 0, 0, MTU, 0);
		for (uint32_t side = 0; side < 2; side++) {
			access_port(world, 2 * i + side, i);
			learn(world, i, side, FDB_TO_PORT | (2 * i + side));
		}
	}
	make_ring(world, count < 64 ? 64 : count * 2);
	for (uint32_t i = 0; i < world->ring.batch_count; i++) {
		uint32_t side = i / count % 2;

		world->ring.ports[i] = 2 * (i % count) + side;
		for (uint32_t j = 0; j < BATCH_SIZE; j++)
			world->ring.frames[i * BATCH_SIZE + j] =
				(struct world_frame){.source = side, .destination = 1 - side};
	}
}

/*
 * Ten thousand flows, each between two MACs of its own, in so many segments on pairs of uplinks;
 * the packets of each batch are of any of the pair's flows.
 */
static void make_trunk(struct world *world, uint32_t count)
{
	uint32_t pairs = (count + TRUNK_SEGMENTS - 1) / TRUNK_SEGMENTS;
	uint64_t random = 0x9e3779b97f4a7c15ull;

	for (uint32_t port = 0; port < 2 * pairs; port++)
		rig_port_of(&world->rig, port, RIG_UPLINK, &world_port_ops, world);
	for (uint32_t i = 0; i < count; i++) {
		rig_segment(&world->rig, i, 0, 0, MTU, 0);
		for (uint32_t side = 0; side < 2; side++)
			rig_member(&world->rig, i / TRUNK_SEGMENTS * 2 + side, i,
				   (uint16_t)(TRUNK_FIRST + i % TRUNK_SEGMENTS));
	}
	for (uint32_t i = 0; i < 2 * TRUNK_FLOWS; i++)
		learn(world, i / 2 % count, i,
		      FDB_TO_PORT | (i / 2 % count / TRUNK_SEGMENTS * 2 + i % 2));
	make_ring(world, RING_MAX / BATCH_SIZE);
	for (uint32_t i = 0; i < world->ring.batch_count * BATCH_SIZE; i++) {
		uint32_t port = i / BATCH_SIZE % (2 * pairs), flow, segment;

		do {
			flow = next_random(&random) % TRUNK_FLOWS;
			segment = flow % count;
		} while (segment / TRUNK_SEGMENTS != port / 2);
		world->ring.ports[i / BATCH_SIZE] = port;
		world->ring.frames[i] = (struct world_frame){
			.source = 2 * flow + port % 2,
			.destination = 2 * flow + 1 - port % 2,
			.vid = TRUNK_FIRST + segment % TRUNK_SEGMENTS,
		};
	}
}

/* From an access port to any of 64 MACs behind so many peers; the VTEP takes everything. */
static void make_peers(struct world *world, uint32_t count)
{
	uint64_t random = 0x9e3779b97f4a7c15ull;

	rig_segment(&world->rig, 0, 0, 5001, MTU, 0);
	access_port(world, 0, 0);
	rig_vtep_of(&world->rig, 1, &world_port_ops, world);
	for (uint32_t i = 0; i < count; i++)
		rig_peer(&world->rig, i, 0);
	for (uint32_t i = 0; i < PEER_MACS; i++)
		learn(world, 0, i, FDB_TO_PEER | i % count);
	learn(world, 0, PEER_MACS, FDB_TO_PORT | 0);
	make_ring(world, 64);
	for (uint32_t i = 0; i < world->ring.batch_count * BATCH_SIZE; i++)
		world->ring.frames[i] = (struct world_frame){
			.source = PEER_MACS, .destination = next_random(&random) % PEER_MACS};
}

const struct world_row world_rows[] = {
	{"macs", 1, "access port to access port, so many MACs in all", make_macs},
	{"macs", 1000, NULL, make_macs},
	{"macs", 100000, NULL, make_macs},
	{"macs", 1000000, NULL, make_macs},
	{"ports", 2, "each batch from one access port to one other", make_ports},
	{"ports", 100, NULL, make_ports},
	{"ports", 1000, NULL, make_ports},
	{"spread", 2, "each batch from one access port to 1,000 MACs behind the others",
	 make_spread},
	{"spread", 100, NULL, make_spread},
	{"spread", 1000, NULL, make_spread},
	{"segments", 1, "two access ports in each segment", make_segments},
	{"segments", 10000, NULL, make_segments},
	{"trunk", 1, "10,000 flows in segments on uplinks, mixed in each batch", make_trunk},
	{"trunk", 10000, NULL, make_trunk},
	{"peers", 1, "access port to 64 MACs behind peers, mixed in each batch", make_peers},
	{"peers", 8, NULL, make_peers},
	{"peers", 64, NULL, make_peers},
};
const unsigned world_row_count = sizeof(world_rows) / sizeof(world_rows[0]);

void world_init(struct world *world, const struct world_row *row)
{
	memset(world, 0, sizeof(*world));
	rig_init_sized(&world->rig, FDB_BUCKETS_DEFAULT);
	rig_tenant(&world->rig, 0);
	row->make(world, row->count);
	rig_commit(&world->rig);
	world->tagged = world->ring.frames[0].vid != 0;
	warm_pool(world->rig.worker.pool, world->tagged);
	world->rig.worker.now = world->rig.now;
	world->rig.worker.now_seconds = world->rig.seconds;
}

void world_fini(struct world *world)
{
	const struct stats_worker *stats = &world->rig.shared.stats->workers[0];
	const struct config *config = world->rig.shared.config;
	uint64_t received = 0, flooded = 0;

	for (uint32_t i = 0; i < config->port_count; i++)
		received += stats->ports[i].rx_packets;
	for (uint32_t i = 0; i < config->segment_count; i++)
		flooded += stats->segments[i].flooded;
	/* Of a million MACs some hundred find their buckets full, and make room for each other. */
	if (received != world->sent || flooded > received / 1000) {
		fprintf(stderr, "pipeline_bench: %llu packets received, %llu sent, %llu flooded\n",
			(unsigned long long)received, (unsigned long long)world->sent,
			(unsigned long long)flooded);
		for (unsigned reason = 1; reason < DROP_REASON_COUNT; reason++) {
			uint64_t drops = 0;

			for (uint32_t i = 0; i < config->port_count; i++)
				drops += stats->ports[i].drops[reason];
			if (drops > 0)
				fprintf(stderr, "pipeline_bench: %llu dropped: %s\n",
					(unsigned long long)drops, drop_name(reason));
		}
		exit(1);
	}
	rig_fini(&world->rig);
	free(world->ring.frames);
	free(world->ring.ports);
}

void world_run(struct world *world, uint32_t batches)
{
	struct world_ring *ring = &world->ring;

	for (; batches > 0; batches--) {
		uint32_t port = ring->ports[ring->next];

		worker_receive(&world->rig.worker, port,
			       world->rig.shared.config->ports[port].incarnation, 0);
		ring->next = ring->next + 1 == ring->batch_count ? 0 : ring->next + 1;
	}
}
