/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_SEGMENT_FIXTURE_H
#define VSWITCH_TESTS_UNIT_SEGMENT_FIXTURE_H

/* A pool for each test, which must be full again at its end, and frames that a host would take. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datapath/offload/checksum.h"
#include "datapath/stages/parse.h"
#include "frames.h"

#define POOL_PACKETS 2048u

static struct frame frame, wire; /* too large for a stack */

static int set_up(void **state)
{
	*state = packet_pool_new(POOL_PACKETS, 8);
	return *state == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	uint32_t in_use = packet_pool_in_use(*state);

	packet_pool_free(*state);
	return in_use == 0 ? 0 : -1;
}

/* Brings a packet's octets into `wire`, and finds the headers there. */
static void flatten(const struct packet *packet)
{
	wire.size = packet_read(packet, 0, wire.octets, FRAME_MAX);
	assert_int_equal(wire.size, packet->size);
	wire.l3 = packet->l3_offset;
	wire.l4 = packet->l4_offset;
	wire.payload = packet->payload_offset;
}

/* The frame in `wire` is one that a host would take: lengths and checksums are right. */
static void assert_sound(void)
{
	const uint8_t *ip = wire.octets + wire.l3, *layer4 = wire.octets + wire.l4;
	uint8_t protocol;

	if (ip[0] >> 4 == 4) {
		assert_int_equal(frame_get16(ip + 2), wire.size - wire.l3);
		assert_int_equal(frame_sum(0, ip, (ip[0] & 0xf) * 4u), 0xffff);
		protocol = ip[9];
	} else {
		assert_int_equal(frame_get16(ip + 4), wire.size - wire.l3 - 40);
		protocol = ip[6] == 60 ? ip[40] : ip[6];
	}
	if (protocol == 17) {
		assert_int_equal(frame_get16(layer4 + 4), wire.size - wire.l4);
		assert_int_not_equal(frame_get16(layer4 + 6), 0);
	}
	assert_int_equal(frame_sum(frame_pseudo_sum(&wire, protocol), layer4, wire.size - wire.l4),
			 0xffff);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
