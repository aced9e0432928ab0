/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_VXLAN_FIXTURE_H
#define VSWITCH_TESTS_UNIT_VXLAN_FIXTURE_H

/* Two VTEPs over loopback addresses, against the kernel's UDP. */

#include <linux/udp.h>
#include <netinet/in.h>

#include "datapath/offload/checksum.h"
#include "datapath/offload/segment.h"
#include "kernel_fixture.h"

#define UDP_PORT 4789
#define SENDERS	 8u
#define VNI	 0xabcdefu

/* 127.0.0.1 sends; peers 0 … 3 are 127.0.0.2 … 5. */
enum { PEER, DEAF, PLAIN, OTHER, PEERS };

struct vteps {
	struct fixture *fixture;
	struct port *here, *there; /* there: peer 0 */
	struct config *config;
	struct packet_list frames; /* that were received, and not looked at yet */
};

static struct frame frame; /* too large for a stack */

static inline int open_udp(uint8_t host, uint16_t udp_port, bool options)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(udp_port),
				      .sin_addr.s_addr = htonl(0x7f000000u + host)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, discover = IP_PMTUDISC_DO, size = 8 << 20;

	assert_true(fd >= 0);
	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (options) {
		assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one)), 0);
		assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)), 0);
	}
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static inline struct port *open_vtep(uint8_t host)
{
	int fds[1 + SENDERS];

	for (unsigned i = 0; i <= SENDERS; i++)
		fds[i] = open_udp(host, i == 0 ? UDP_PORT : 0, i == 0);
	return make_port(PORT_TYPE_VXLAN, fds, 1 + SENDERS);
}

static inline struct config *make_config(void)
{
	struct proto_tenant tenant = {.ref = {0, 1}};
	struct proto_segment segment = {
		.ref = {0, 1}, .tenant = {0, 1}, .vni = VNI, .mtu = 9000, .ageing = 300};
	struct proto_vtep vtep = {
		.ref = {1, 1}, .local = {AF_INET, .bytes = {127, 0, 0, 1}}, .udp_port = UDP_PORT};
	struct config *config = config_new();
	char text[PROTO_TEXT_SIZE];

	assert_non_null(config);
	assert_int_equal(config_set_tenant(config, &tenant), 0);
	assert_int_equal(config_set_segment(config, &segment), 0);
	assert_int_equal(config_set_vtep(config, &vtep, NULL), 0);
	for (uint32_t i = 0; i < PEERS; i++) {
		struct proto_peer peer = {
			.ref = {i, 1}, .addr = {AF_INET, .bytes = {127, 0, 0, (uint8_t)(2 + i)}}};

		assert_int_equal(config_set_peer(config, &peer), 0);
	}
	assert_int_equal(config_finish(config, text), 0);
	return config;
}

static inline int set_up(void **state)
{
	struct vteps *vteps = calloc(1, sizeof(*vteps));
	void *fixture;

	fixture_setup(&fixture);
	vteps->fixture = fixture;
	ip("link", "set", "lo", "mtu", "65536", "up", NULL);
	vteps->here = open_vtep(1);
	vteps->there = open_vtep(2);
	vteps->config = make_config();
	packet_list_init(&vteps->frames);
	*state = vteps;
	return 0;
}

static inline int tear_down(void **state)
{
	struct vteps *vteps = *state;
	void *fixture = vteps->fixture;

	port_unref(vteps->here);
	port_unref(vteps->there);
	config_free(vteps->config);
	free(vteps);
	return fixture_teardown(&fixture);
}

/* Sends packets, frees them, and gives the results. */
static inline void transmit_all(struct vteps *vteps, struct packet **packets, unsigned count,
				uint8_t *results)
{
	memset(results, DROP_REASON_COUNT, count);
	vteps->here->ops->transmit(vteps->here, vteps->config, 0, packets, count, results);
	for (unsigned i = 0; i < count; i++)
		packet_free(vteps->fixture->pool, packets[i]);
}

static inline struct packet *packet_to(struct vteps *vteps, uint32_t peer,
				       const struct frame_spec *spec)
{
	struct packet *packet;

	frame_build(&frame, spec);
	packet = packet_of(vteps->fixture, &frame);
	packet->peer_out = peer;
	return packet;
}

static inline enum drop_reason transmit_one(struct vteps *vteps, uint32_t peer,
					    const struct frame_spec *spec)
{
	struct packet *packet = packet_to(vteps, peer, spec);
	uint8_t result;

	transmit_all(vteps, &packet, 1, &result);
	return result;
}

/*
 * The next frame at peer 0, to be freed; NULL when none comes in time. What was joined on its way
 * is cut again, and has the checksums that it came with.
 */
static inline struct packet *next_packet(struct vteps *vteps)
{
	struct packet_pool *pool = vteps->fixture->pool;
	struct batch *batch = &vteps->fixture->batch;
	uint32_t lost_frames, lost_bytes;
	struct packet *packet;

	if (vteps->frames.first == NULL && batch->count == 0)
		receive(vteps->fixture, vteps->there, 1);
	for (unsigned i = 0; i < batch->count; i++) {
		packet = batch->packets[i];
		if (packet->offload.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
			packet_list_append(&vteps->frames, packet);
			continue;
		}
		assert_int_equal(parse_packet(packet), DROP_NONE);
		assert_int_equal(
			segment_cut(pool, packet, 1, &vteps->frames, &lost_frames, &lost_bytes), 0);
	}
	batch->count = 0;
	packet = packet_list_pop(&vteps->frames);
	if (packet != NULL) {
		checksum_complete(packet);
		packet->flags &= PACKET_FROM_OVERLAY; /* as if it was not parsed */
	}
	return packet;
}

static inline void expect_packet(struct vteps *vteps, const struct frame_spec *spec)
{
	static uint8_t octets[FRAME_MAX];
	struct packet *packet = next_packet(vteps);

	frame_build(&frame, spec);
	assert_non_null(packet);
	assert_int_equal(packet->drop, DROP_NONE);
	assert_int_equal(packet->flags, PACKET_FROM_OVERLAY);
	assert_int_equal(packet->outer_vni, VNI);
	assert_int_equal(packet->outer_source, htonl(0x7f000001u));
	assert_int_equal(packet->size, frame.size);
	assert_int_equal(packet_read(packet, 0, octets, FRAME_MAX), frame.size);
	assert_memory_equal(octets, frame.octets, frame.size);
	assert_int_equal(parse_packet(packet), DROP_NONE);
	assert_int_equal(packet->outer_tos, packet->ip_ecn_dscp);
	packet_free(vteps->fixture->pool, packet);
}

#endif
