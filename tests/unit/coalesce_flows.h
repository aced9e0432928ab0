/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_COALESCE_FLOWS_H
#define VSWITCH_TESTS_UNIT_COALESCE_FLOWS_H

/* Frames of a flow, one by one, for tests that change them before they arrive. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coalesce_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Too large for a stack. */
static struct arrivals arrivals;
static struct frame frame;

static const struct frame_spec tcp4 = {
	.protocol = 6, .tcp_flags = 0x10, .tcp_option_size = 12, .payload_size = 100};
static const struct frame_spec tcp6 = {
	.ipv6 = true, .protocol = 6, .tcp_flags = 0x10, .tcp_option_size = 12, .payload_size = 100};
static const struct frame_spec udp4 = {.protocol = 17, .payload_size = 100};
static const struct frame_spec udp6 = {.ipv6 = true, .protocol = 17, .payload_size = 100};
static const struct frame_spec *const kinds[] = {&tcp4, &tcp6, &udp4, &udp6};

static inline int set_up(void **state)
{
	*state = packet_pool_new(2048, 16);
	return *state == NULL ? -1 : 0;
}

static inline int tear_down(void **state)
{
	uint32_t in_use = packet_pool_in_use(*state);

	packet_pool_free(*state);
	arrivals_clear(&arrivals);
	return in_use == 0 ? 0 : -1;
}

/* Adds a frame, which stays in `frame` as well. */
static inline struct arrival *add(const struct frame_spec *spec)
{
	frame_build(&frame, spec);
	return arrivals_add(&arrivals, frame.octets, frame.size);
}

/* Adds the flow's frame number `index`, if all are as long as the first. */
static inline struct arrival *add_next(const struct frame_spec *first, uint32_t index)
{
	struct frame_spec spec = *first;

	spec.sequence += index * spec.payload_size;
	spec.identification = (uint16_t)(spec.identification + index);
	spec.seed += index;
	return add(&spec);
}

/* Makes a change the sender's: checksums are right. */
static inline void send_again(struct arrival *arrival)
{
	arrival_fix_checksums(arrival->octets, arrival->size, true, true);
}

/* Coalesces what was added, checks it, forgets it. Returns how many packets it became. */
static inline uint32_t packets_of(struct packet_pool *pool)
{
	struct packet_list list;
	const char *wrong;
	uint32_t count;

	assert_true(arrivals_coalesce(&arrivals, pool, &list));
	count = list.count;
	wrong = arrivals_check(&arrivals, pool, &list);
	if (wrong != NULL)
		print_error("%s\n", wrong);
	assert_null(wrong);
	arrivals_clear(&arrivals);
	return count;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
