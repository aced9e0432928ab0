/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_PARSE_FIXTURE_H
#define VSWITCH_TESTS_UNIT_PARSE_FIXTURE_H

/* A pool for each test, which must be full again at its end, and frames parsed out of it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datapath/stages/parse.h"
#include "frames.h"

static struct frame frame; /* too large for a stack */

static int set_up(void **state)
{
	*state = packet_pool_new(8, 4);
	return *state == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	uint32_t in_use = packet_pool_in_use(*state);

	packet_pool_free(*state);
	return in_use == 0 ? 0 : -1;
}

/* Parses the frame, with 1,600 octets in the head, and returns the packet; the caller frees it. */
static struct packet *parsed(void **state, enum drop_reason expected)
{
	struct packet *packet = frame_packet(*state, &frame, 1600, 1);

	assert_non_null(packet);
	assert_int_equal(parse_packet(packet), expected);
	return packet;
}

static void expect(void **state, enum drop_reason expected)
{
	packet_free(*state, parsed(state, expected));
}

static const struct frame_spec tcp4 = {.protocol = 6, .payload_size = 100};
static const struct frame_spec tcp4_super = {.protocol = 6,
					     .payload_size = 40000,
					     .gso_size = 1448,
					     .tcp_option_size = 12,
					     .partial = true};

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
