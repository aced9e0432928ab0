/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports on devices of DPDK, with a device that delivers what it is sent (net_ring): octets are the
 * same, and every mbuf comes back.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "datapath/ports/dpdk.h"
#include "datapath/ports/dpdk_devices.h"
#include "datapath/ports/port.h"
#include "datapath/ports/receiver.h"

#define POOL_PACKETS 1024u
#define POOL_BUFFERS 64u

static const struct proto_ref ring_ref = {3, 30};

struct fixture {
	struct dpdk_devices devices;
	struct packet_pool *pool;
	struct receiver receiver;
	struct port *port;
	uint32_t held;	/* of the pool, by the receiver */
	unsigned mbufs; /* of DPDK's pool, by nobody */
};

static void write_devices(const char *directory, const char *text, mode_t mode)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/devices", directory);
	unlink(path);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char directory[] = "/tmp/vswitch-devices-XXXXXX", path[512];

	assert_non_null(fixture);
	assert_non_null(mkdtemp(directory));
	/* No file, and one that others can write: nothing is started. */
	dpdk_devices_open(&fixture->devices, directory, 1);
	assert_int_equal(fixture->devices.count, 0);
	write_devices(directory, "3 30 net_ring0\n", 0666);
	dpdk_devices_open(&fixture->devices, directory, 1);
	assert_int_equal(fixture->devices.count, 0);
	write_devices(directory, "3 30 net_ring0\nnonsense\n4 40 net_pcap0,iface=no-such-if\n",
		      0600);
	dpdk_devices_open(&fixture->devices, directory, 1);
	snprintf(path, sizeof(path), "%s/devices", directory);
	unlink(path);
	/* What EAL makes. */
	snprintf(path, sizeof(path), "%s/dpdk/rte", directory);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk", directory);
	rmdir(path);
	assert_int_equal(rmdir(directory), 0);
	fixture->pool = packet_pool_new(POOL_PACKETS, POOL_BUFFERS);
	assert_non_null(fixture->pool);
	assert_int_equal(receiver_init(&fixture->receiver, fixture->pool), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	receiver_fini(&fixture->receiver);
	packet_pool_free(fixture->pool);
	free(fixture);
	return 0;
}

static unsigned mbufs_free(void)
{
	return rte_mempool_avail_count(rte_mempool_lookup(DPDK_POOL));
}

static int open_port(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(port_new(&fixture->port, PROTO_PORT_DPDK, &ring_ref, NULL, 0), 0);
	fixture->held = packet_pool_in_use(fixture->pool);
	fixture->mbufs = mbufs_free();
	return 0;
}

/* Nothing is left of what went through. */
static int close_port(void **state)
{
	struct fixture *fixture = *state;

	port_unref(fixture->port);
	assert_int_equal(packet_pool_in_use(fixture->pool) - receiver_held(&fixture->receiver), 0);
	assert_int_equal(mbufs_free(), fixture->mbufs);
	return 0;
}

static void test_devices(void **state)
{
	struct fixture *fixture = *state;
	const struct proto_ref other = {3, 31};
	struct port *port;

	assert_int_equal(fixture->devices.count, 2);
	assert_int_equal(fixture->devices.list[0].port.index, 3);
	assert_int_equal(fixture->devices.list[0].port.incarnation, 30);
	assert_int_equal(fixture->devices.list[0].error, 0);
	assert_string_equal(fixture->devices.list[0].text, "");
	assert_int_equal(fixture->devices.list[1].port.index, 4);
	assert_true(fixture->devices.list[1].error > 0);
	assert_non_null(strstr(fixture->devices.list[1].text, "net_pcap0,iface=no-such-if"));
	/* Only the port that it was opened for has it. */
	assert_int_equal(port_new(&port, PROTO_PORT_DPDK, &other, NULL, 0), -ENODEV);
}

/* A packet with a head of up to head_max octets and the rest in buffers of up to slice_max. */
static struct packet *make_packet(struct fixture *fixture, const uint8_t *frame, uint32_t size,
				  uint32_t head_max, uint32_t slice_max)
{
	struct packet *packet = packet_new(fixture->pool);
	uint32_t at;

	assert_non_null(packet);
	at = size < head_max ? size : head_max;
	memcpy(packet->data, frame, at);
	packet->head_size = (uint16_t)at;
	packet->size = at;
	while (at < size) {
		struct packet_buffer *buffer = packet_buffer_new(fixture->pool);
		uint32_t part = size - at < slice_max ? size - at : slice_max;

		assert_non_null(buffer);
		memcpy(buffer->data, frame + at, part);
		packet_attach(packet, buffer, 0, part);
		at += part;
	}
	return packet;
}

static void transmit(struct fixture *fixture, struct packet *packet, enum drop_reason expected)
{
	uint8_t result = 0xff;

	fixture->port->ops->transmit(fixture->port, NULL, 0, &packet, 1, &result);
	assert_int_equal(result, expected);
	packet_free(fixture->pool, packet);
}

static struct packet *receive(struct fixture *fixture)
{
	struct batch batch;
	int more;

	batch_init(&batch);
	more = fixture->port->ops->receive(fixture->port, 0, &fixture->receiver, &batch);
	assert_int_equal(more, PORT_MORE);
	assert_int_equal(batch.count, 1);
	return batch.packets[0];
}

static void expect_frame(const struct packet *packet, const uint8_t *frame, uint32_t size)
{
	static uint8_t octets[PACKET_SIZE_MAX];

	assert_int_equal(packet->size, size);
	assert_int_equal(packet_read(packet, 0, octets, size), size);
	assert_memory_equal(octets, frame, size);
	assert_int_equal(packet->offload.flags | packet->offload.gso_type, 0);
}

static void fill(uint8_t *frame, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		frame[i] = (uint8_t)(i * 7 + i / 251);
}

static void test_octets(void **state)
{
	static const uint32_t sizes[] = {14,  60,   255,  256,	257,  512,
					 513, 1514, 2112, 4000, 9018, PACKET_SIZE_MAX};
	struct fixture *fixture = *state;
	static uint8_t frame[PACKET_SIZE_MAX];

	fill(frame, sizeof(frame));
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t size = sizes[i];
		struct packet *packet = make_packet(fixture, frame, size, 2112, PACKET_BUFFER_SIZE);

		transmit(fixture, packet, DROP_NONE);
		packet = receive(fixture);
		expect_frame(packet, frame, size);
		/* On and on, as between devices: what is shared is sent again. */
		for (unsigned round = 0; round < 3; round++) {
			transmit(fixture, packet, DROP_NONE);
			packet = receive(fixture);
			expect_frame(packet, frame, size);
		}
		packet_free(fixture->pool, packet);
	}
}

static void test_slices(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[3000];
	struct packet *packet;

	fill(frame, sizeof(frame));
	transmit(fixture, make_packet(fixture, frame, sizeof(frame), 100, 1500), DROP_NONE);
	packet = receive(fixture);
	expect_frame(packet, frame, sizeof(frame));
	packet_free(fixture->pool, packet);
}

/* A flood: copies share what lies in the device's memory, and outlive each other in any order. */
static void test_clones(void **state)
{
	struct fixture *fixture = *state;
	struct packet *packet, *clones[5];
	uint8_t frame[1514];

	fill(frame, sizeof(frame));
	transmit(fixture, make_packet(fixture, frame, sizeof(frame), 2112, 1), DROP_NONE);
	packet = receive(fixture);
	for (unsigned i = 0; i < 5; i++) {
		clones[i] = packet_clone(fixture->pool, packet);
		assert_non_null(clones[i]);
	}
	packet_free(fixture->pool, packet);
	for (unsigned i = 0; i < 5; i++) {
		expect_frame(clones[i], frame, sizeof(frame));
		transmit(fixture, clones[i], DROP_NONE);
		packet = receive(fixture);
		expect_frame(packet, frame, sizeof(frame));
		packet_free(fixture->pool, packet);
	}
}

/* What a device has no room for is dropped, and its memory comes back. */
static void test_full(void **state)
{
	struct fixture *fixture = *state;
	struct packet *packets[BATCH_SIZE];
	uint8_t results[BATCH_SIZE], frame[60];
	unsigned sent = 0, full = 0, received = 0;

	fill(frame, sizeof(frame));
	for (unsigned i = 0; i < BATCH_SIZE; i++)
		packets[i] = make_packet(fixture, frame, sizeof(frame), 2112, 1);
	for (unsigned round = 0; round < 2000 && full == 0; round++) {
		fixture->port->ops->transmit(fixture->port, NULL, 0, packets, BATCH_SIZE, results);
		for (unsigned i = 0; i < BATCH_SIZE; i++) {
			sent += results[i] == DROP_NONE;
			full += results[i] == DROP_PORT_FULL || results[i] == DROP_NO_BUFFER;
		}
	}
	assert_true(full > 0);
	packet_free_all(fixture->pool, packets, BATCH_SIZE);
	for (;;) {
		struct batch batch;

		batch_init(&batch);
		if (fixture->port->ops->receive(fixture->port, 0, &fixture->receiver, &batch) ==
		    PORT_POLL)
			break;
		received += batch.count;
		packet_free_all(fixture->pool, batch.packets, batch.count);
	}
	assert_int_equal(received, sent);
}

#define REFUSED_SIZE 61u

/* A driver that cannot send what is of that size. */
static uint16_t refuse(void *queue, struct rte_mbuf **mbufs, uint16_t count)
{
	(void)queue;
	for (uint16_t i = 0; i < count; i++) {
		if (mbufs[i]->pkt_len == REFUSED_SIZE)
			return i;
	}
	return count;
}

/* What a driver refuses is dropped; what follows it is not. */
static void test_refused(void **state)
{
	static const uint32_t sizes[] = {REFUSED_SIZE, 60, REFUSED_SIZE, REFUSED_SIZE, 62, 60};
	struct fixture *fixture = *state;
	struct rte_eth_fp_ops *operations = &rte_eth_fp_ops[0];
	eth_tx_prep_t former = operations->tx_pkt_prepare;
	struct packet *packets[6];
	struct batch batch;
	uint8_t results[6], frame[62];
	unsigned received = 0;

	fill(frame, sizeof(frame));
	for (unsigned i = 0; i < 6; i++)
		packets[i] = make_packet(fixture, frame, sizes[i], 2112, 1);
	operations->tx_pkt_prepare = refuse;
	fixture->port->ops->transmit(fixture->port, NULL, 0, packets, 6, results);
	operations->tx_pkt_prepare = former;
	batch_init(&batch);
	fixture->port->ops->receive(fixture->port, 0, &fixture->receiver, &batch);
	assert_int_equal(batch.count, 3);
	for (unsigned i = 0; i < 6; i++) {
		bool taken = sizes[i] != REFUSED_SIZE;

		assert_int_equal(results[i], taken ? DROP_NONE : DROP_PORT_ERROR);
		if (taken)
			assert_int_equal(batch.packets[received++]->size, sizes[i]);
	}
	packet_free_all(fixture->pool, batch.packets, batch.count);
	packet_free_all(fixture->pool, packets, 6);
}

/* The queue's descriptor tells when to look again; until then the worker need not. */
static void test_rest(void **state)
{
	struct fixture *fixture = *state;
	struct port *port = fixture->port;
	struct batch batch;
	uint8_t frame[60];

	assert_true(port->wait_fds[0] >= 0);
	fill(frame, sizeof(frame));
	transmit(fixture, make_packet(fixture, frame, sizeof(frame), 2112, 1), DROP_NONE);
	packet_free(fixture->pool, receive(fixture));
	batch_init(&batch);
	assert_int_equal(port->ops->receive(port, 0, &fixture->receiver, &batch), PORT_POLL);
	port->ops->rest(port, 0);
	assert_int_equal(port->ops->receive(port, 0, &fixture->receiver, &batch), PORT_DRAINED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_devices),
		cmocka_unit_test_setup_teardown(test_octets, open_port, close_port),
		cmocka_unit_test_setup_teardown(test_slices, open_port, close_port),
		cmocka_unit_test_setup_teardown(test_clones, open_port, close_port),
		cmocka_unit_test_setup_teardown(test_full, open_port, close_port),
		cmocka_unit_test_setup_teardown(test_refused, open_port, close_port),
		cmocka_unit_test_setup_teardown(test_rest, open_port, close_port),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
