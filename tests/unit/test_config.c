/* SPDX-License-Identifier: Apache-2.0 */

/* Editing configurations: references that do not resolve, what is checked as a whole, and clones.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "datapath/config.h"
#include "datapath/ports/port.h"

#define REF(i)	 ((struct proto_ref){(i), 100 + (i)})
#define STALE(i) ((struct proto_ref){(i), 99})
#define NONE	 ((struct proto_ref){PROTO_NO_INDEX, 0})

static char text[PROTO_TEXT_SIZE];

static int set_tenant(struct config *config, struct proto_ref ref)
{
	return config_set_tenant(config, &(struct proto_tenant){.ref = ref});
}

static int set_segment(struct config *config, struct proto_ref ref, struct proto_ref tenant,
		       uint32_t vni)
{
	return config_set_segment(
		config,
		&(struct proto_segment){
			.ref = ref, .tenant = tenant, .vni = vni, .mtu = 1500, .ageing = 300});
}

static int set_port(struct config *config, struct proto_ref ref, struct proto_ref tenant)
{
	struct port *port;

	assert_int_equal(port_new(&port, PROTO_PORT_MEMORY, &ref, NULL, 0), 0);
	return config_set_port(config,
			       &(struct proto_port){.ref = ref,
						    .tenant = tenant,
						    .type = PROTO_PORT_MEMORY,
						    .flags = PROTO_PORT_ADMIN_UP},
			       port);
}

static int set_member(struct config *config, uint32_t port, uint32_t segment, uint32_t vid)
{
	return config_set_member(
		config,
		&(struct proto_member){.port = REF(port), .segment = REF(segment), .vid = vid});
}

static int del_member(struct config *config, uint32_t port, uint32_t segment)
{
	return config_del_member(
		config, &(struct proto_member){.port = REF(port), .segment = REF(segment)});
}

static int set_vtep(struct config *config, struct proto_ref ref)
{
	struct port *port;

	assert_int_equal(port_new(&port, PROTO_PORT_MEMORY, &ref, NULL, 0), 0);
	return config_set_vtep(config,
			       &(struct proto_vtep){.ref = ref,
						    .local = {AF_INET, .bytes = {192, 0, 2, 1}},
						    .udp_port = 4789},
			       port);
}

static int set_peer(struct config *config, struct proto_ref ref, uint8_t host)
{
	return config_set_peer(
		config,
		&(struct proto_peer){.ref = ref, .addr = {AF_INET, .bytes = {192, 0, 2, host}}});
}

static int set_segment_peer(struct config *config, uint32_t segment, uint32_t peer)
{
	return config_set_segment_peer(
		config, &(struct proto_segment_peer){.segment = REF(segment), .peer = REF(peer)});
}

/* Tenants 0 and 1 with a segment and a port each, an uplink 2 in both, the VTEP 3, two peers. */
static int set_up(void **state)
{
	struct config *config = config_new();

	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(set_tenant(config, REF(i)), 0);
		assert_int_equal(set_segment(config, REF(i), REF(i), 5000 + i), 0);
		assert_int_equal(set_port(config, REF(i), REF(i)), 0);
		assert_int_equal(set_member(config, i, i, 0), 0);
		assert_int_equal(set_peer(config, REF(i), (uint8_t)(10 + i)), 0);
		assert_int_equal(set_segment_peer(config, i, i), 0);
	}
	assert_int_equal(set_port(config, REF(2), NONE), 0);
	assert_int_equal(set_member(config, 2, 0, 100), 0);
	assert_int_equal(set_member(config, 2, 1, 101), 0);
	assert_int_equal(set_vtep(config, REF(3)), 0);
	assert_int_equal(config_finish(config, text), 0);
	*state = config;
	return 0;
}

static int tear_down(void **state)
{
	config_free(*state);
	return 0;
}

static uint32_t by_address(const struct config *config, uint8_t host)
{
	const uint8_t bytes[4] = {192, 0, 2, host};
	uint32_t address;

	memcpy(&address, bytes, sizeof(address));
	return config_peer_by_ip(config, address);
}

static void finds_what_was_set(void **state)
{
	struct config *config = *state;
	uint16_t vid = 7;

	assert_int_equal(config_segment_by_vni(config, 5000), 0);
	assert_int_equal(config_segment_by_vni(config, 5001), 1);
	assert_int_equal(config_segment_by_vni(config, 5002), PROTO_NO_INDEX);
	assert_int_equal(config_segment_by_vni(config, 0), PROTO_NO_INDEX);
	assert_int_equal(by_address(config, 11), 1);
	assert_int_equal(by_address(config, 12), PROTO_NO_INDEX);
	assert_int_equal(config_peer_by_ip(config, 0), PROTO_NO_INDEX);
	assert_true(config_port_carries(&config->ports[0], 0, &vid));
	assert_int_equal(vid, 0);
	assert_false(config_port_carries(&config->ports[0], 1, &vid));
	assert_true(config_port_carries(&config->ports[2], 1, &vid));
	assert_int_equal(vid, 101);
	assert_false(config_port_carries(&config->ports[3], 0, &vid));
	assert_int_equal(config->ports[2].untagged, PROTO_NO_INDEX);
	assert_int_equal(config->ports[2].vids->segments[100], 0);
	assert_int_equal(config->ports[2].vids->segments[0], PROTO_NO_INDEX);
	assert_true(config_segment_has_peer(&config->segments[0], 0));
	assert_false(config_segment_has_peer(&config->segments[0], 1));
	assert_null(config_port(config, 4));
	assert_null(config_port(config, PROTO_NO_INDEX));
	assert_null(config_segment(config, 2));
}

static void refuses_references_that_do_not_resolve(void **state)
{
	struct config *config = *state;

	assert_int_equal(set_tenant(config, STALE(0)), -EEXIST);
	assert_int_equal(set_tenant(config, (struct proto_ref){5, 0}), -EINVAL);
	assert_int_equal(set_tenant(config, NONE), -EINVAL);
	assert_int_equal(config_del_tenant(config, &STALE(0)), -ENOENT);
	assert_int_equal(config_del_tenant(config, &REF(70000)), -ENOENT);
	assert_int_equal(set_segment(config, REF(9), STALE(0), 0), -ENOENT);
	assert_int_equal(set_segment(config, REF(9), REF(70000), 0), -ENOENT);
	assert_int_equal(set_segment(config, STALE(0), REF(0), 0), -EEXIST);
	assert_int_equal(config_del_segment(config, &REF(0)), -EBUSY);
	assert_int_equal(config_del_segment(config, &STALE(0)), -ENOENT);
	assert_int_equal(set_port(config, STALE(0), REF(0)), -EEXIST);
	assert_int_equal(set_port(config, REF(9), STALE(0)), -ENOENT);
	assert_int_equal(set_port(config, (struct proto_ref){PROTO_INDEX_CAPACITY, 1}, REF(0)),
			 -EINVAL);
	assert_int_equal(config_del_port(config, &STALE(0)), -ENOENT);
	assert_int_equal(set_member(config, 9, 0, 0), -ENOENT);
	assert_int_equal(set_member(config, 0, 9, 0), -ENOENT);
	assert_int_equal(set_member(config, 0, 0, 4095), -EINVAL);
	assert_int_equal(del_member(config, 0, 1), -ENOENT);
	assert_int_equal(set_peer(config, STALE(0), 1), -EEXIST);
	assert_int_equal(config_del_peer(config, &STALE(0)), -ENOENT);
	assert_int_equal(config_del_peer(config, &REF(0)), -EBUSY);
	assert_int_equal(set_segment_peer(config, 0, 9), -ENOENT);
	assert_int_equal(set_segment_peer(config, 9, 0), -ENOENT);
	/* The VTEP is no other port, and no other port is the VTEP. */
	assert_int_equal(set_port(config, REF(3), NONE), -EEXIST);
	assert_int_equal(set_vtep(config, REF(4)), -EEXIST);
	assert_int_equal(config_del_port(config, &REF(3)), -ENOENT);
	assert_int_equal(set_member(config, 3, 0, 0), -ENOENT);
	assert_int_equal(config_del_vtep(config), 0);
	assert_int_equal(config_del_vtep(config), -ENOENT);
	assert_int_equal(set_vtep(config, REF(0)), -EEXIST);
	assert_int_equal(set_port(config, REF(3), NONE), 0);
	assert_int_equal(config_finish(config, text), 0);
}

static void refuses_values_out_of_range(void **state)
{
	static const struct proto_segment bad[] = {
		{.vni = 1 << 24, .mtu = 1500, .ageing = 300},
		{.vni = UINT32_MAX, .mtu = 1500, .ageing = 300},
		{.mtu = 67, .ageing = 300},
		{.mtu = 65522, .ageing = 300},
		{.mtu = 1500, .ageing = 0},
		{.mtu = 1500, .ageing = 300, .flags = 0x80000000u},
	};
	struct config *config = *state;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct proto_segment segment = bad[i];

		segment.ref = REF(0);
		segment.tenant = REF(0);
		assert_int_equal(config_set_segment(config, &segment), -EINVAL);
	}
	assert_int_equal(config->segments[0].vni, 5000);
	assert_int_equal(set_segment(config, REF(0), REF(0), (1 << 24) - 1), 0);
	assert_int_equal(config_finish(config, text), 0);
	assert_int_equal(config_segment_by_vni(config, (1 << 24) - 1), 0);
	assert_int_equal(config_segment_by_vni(config, 5000), PROTO_NO_INDEX);
}

/* Each is asserted to be refused as a whole, with a sentence. */
static void refuse(struct config *config, int error)
{
	assert_int_equal(config_finish(config, text), error);
	assert_int_not_equal(text[0], '\0');
	assert_non_null(memchr(text, '\0', sizeof(text)));
	config_free(config);
}

static void checks_the_whole(void **state)
{
	struct config *config = config_clone(*state);

	assert_int_equal(set_segment(config, REF(1), REF(1), 5000), 0); /* twice */
	refuse(config, -EEXIST);
	config = config_clone(*state);
	assert_int_equal(set_peer(config, REF(1), 10), 0); /* one address twice */
	refuse(config, -EEXIST);
	config = config_clone(*state);
	assert_int_equal(set_member(config, 2, 1, 100), 0); /* one VID twice */
	refuse(config, -EEXIST);
	config = config_clone(*state);
	assert_int_equal(set_member(config, 2, 0, 0), 0); /* untagged twice */
	assert_int_equal(set_member(config, 2, 1, 0), 0);
	refuse(config, -EEXIST);
	config = config_clone(*state);
	assert_int_equal(set_member(config, 0, 1, 5), 0); /* another tenant's segment */
	refuse(config, -EPERM);
	config = config_clone(*state);
	assert_int_equal(set_segment(config, REF(0), REF(1), 0), 0); /* it changes hands */
	refuse(config, -EPERM);
	config = config_clone(*state);
	assert_int_equal(config_del_tenant(config, &REF(0)), 0); /* and leaves a segment */
	refuse(config, -ENOENT);
	/* A new tenant under the index does not inherit what the former one had. */
	config = config_clone(*state);
	assert_int_equal(config_del_tenant(config, &REF(0)), 0);
	assert_int_equal(set_tenant(config, STALE(0)), 0);
	refuse(config, -ENOENT);
	config = config_clone(*state);
	assert_int_equal(del_member(config, 0, 0), 0);
	assert_int_equal(del_member(config, 2, 0), 0);
	assert_int_equal(config_del_segment(config, &REF(0)), 0);
	assert_int_equal(config_del_tenant(config, &REF(0)), 0);
	refuse(config, -ENOENT); /* port 0 is left */
}

static void removes_in_order(void **state)
{
	struct config *config = *state;

	assert_int_equal(config_del_port(config, &REF(0)), 0);
	assert_int_equal(config->segments[0].members->count, 1);
	assert_int_equal(config_del_port(config, &REF(2)), 0);
	assert_null(config->segments[0].members);
	assert_int_equal(
		config_del_segment_peer(config, &(struct proto_segment_peer){REF(0), REF(0)}), 0);
	assert_int_equal(config_del_peer(config, &REF(0)), 0);
	assert_int_equal(config_del_segment(config, &REF(0)), 0);
	assert_int_equal(config_del_tenant(config, &REF(0)), 0);
	assert_int_equal(config_finish(config, text), 0);
	assert_int_equal(config_segment_by_vni(config, 5000), PROTO_NO_INDEX);
	assert_int_equal(by_address(config, 10), PROTO_NO_INDEX);
	/* Indices can be used again, by others. */
	assert_int_equal(set_tenant(config, STALE(0)), 0);
	assert_int_equal(set_segment(config, STALE(0), STALE(0), 5000), 0);
	assert_int_equal(set_port(config, STALE(0), STALE(0)), 0);
	assert_int_equal(config->ports[0].untagged, PROTO_NO_INDEX);
	assert_null(config->ports[0].segments);
	assert_int_equal(config_finish(config, text), 0);
}

/* A clone shares lists and ports until one of the two changes. */
static void clones_do_not_touch_the_original(void **state)
{
	struct config *config = *state, *clone = config_clone(config);
	const struct port *port = config->ports[0].port;

	assert_ptr_equal(clone->segments[0].members, config->segments[0].members);
	assert_ptr_equal(clone->ports[0].port, port);
	assert_int_equal(port->references, 2);
	assert_int_equal(set_port(clone, REF(0), REF(0)), 0);
	assert_int_equal(port->references, 1);
	assert_ptr_not_equal(clone->ports[0].port, port);
	assert_int_equal(set_port(clone, REF(8), REF(0)), 0);
	assert_int_equal(set_member(clone, 8, 0, 0), 0);
	assert_int_equal(del_member(clone, 2, 0), 0);
	assert_int_equal(config_del_port(clone, &REF(1)), 0);
	assert_int_equal(set_segment(clone, REF(1), REF(1), 0), 0);
	assert_int_equal(set_peer(clone, REF(0), 77), 0);
	assert_int_equal(config_del_vtep(clone), 0);
	assert_int_equal(config_finish(clone, text), 0);

	assert_int_equal(config->segments[0].members->count, 2);
	assert_int_equal(config->ports[2].segments->count, 2);
	assert_int_equal(config->ports[2].vids->segments[100], 0);
	assert_int_equal(clone->ports[2].vids->segments[100], PROTO_NO_INDEX);
	assert_int_equal(config->ports[1].incarnation, 101);
	assert_int_equal(config_segment_by_vni(config, 5001), 1);
	assert_int_equal(by_address(config, 10), 0);
	assert_int_equal(config->vtep, 3);
	assert_ptr_equal(config->ports[0].port, port);
	/* Whichever goes first leaves the other whole: AddressSanitizer looks. */
	config_free(config);
	assert_int_equal(clone->segments[0].members->count, 2);
	assert_non_null(clone->ports[0].port->ops);
	*state = clone;
}

/* Many edits in any order: both sides of every membership agree, and lists stay sorted. */
static void memberships_agree(void **state)
{
	struct config *config = *state;
	uint32_t random = 5;

	for (uint32_t i = 4; i < 60; i++) {
		assert_int_equal(set_segment(config, REF(i), REF(0), 0), 0);
		assert_int_equal(set_port(config, REF(i), REF(0)), 0);
	}
	for (unsigned round = 0; round < 5000; round++) {
		uint32_t port, segment;
		bool member;
		uint16_t vid;

		random = random * 1664525 + 1013904223;
		port = 4 + (random >> 8) % 56;
		segment = 4 + (random >> 16) % 56;
		member = config_port_carries(&config->ports[port], segment, &vid);
		if (random >> 31 != 0)
			assert_int_equal(set_member(config, port, segment, 1 + segment), 0);
		else
			assert_int_equal(del_member(config, port, segment), member ? 0 : -ENOENT);
		assert_int_equal(config_port_carries(&config->ports[port], segment, &vid),
				 random >> 31);
	}
	assert_int_equal(config_finish(config, text), 0);
	for (uint32_t i = 4; i < 60; i++) {
		const struct config_list *list = config->segments[i].members;

		for (uint32_t j = 0; list != NULL && j < list->count; j++) {
			uint16_t vid;

			assert_true(j == 0 || list->items[j - 1].index < list->items[j].index);
			assert_true(
				config_port_carries(&config->ports[list->items[j].index], i, &vid));
			assert_int_equal(vid, 1 + i);
			assert_int_equal(list->items[j].vid, vid);
		}
	}
}

/* Whether the port's list, read from end to end, has the segment with that VID. */
static bool listed(const struct config_port *port, uint32_t segment, uint16_t vid)
{
	for (uint32_t i = 0; port->segments != NULL && i < port->segments->count; i++) {
		if (port->segments->items[i].index == segment)
			return port->segments->items[i].vid == vid;
	}
	return false;
}

/* Before and behind config_finish(), in a clone, and when the clone goes another way. */
static void long_lists_are_searched(void **state)
{
	struct config *config = *state, *clone;
	uint16_t vid;

	assert_int_equal(set_port(config, REF(4), REF(0)), 0);
	for (uint32_t i = 10; i < 4000; i++) {
		assert_int_equal(set_segment(config, REF(i), REF(0), 0), 0);
		if (i % 3 != 0)
			assert_int_equal(set_member(config, 4, i, i), 0);
	}
	for (unsigned finished = 0; finished < 2; finished++) {
		for (uint32_t i = 0; i < 4100; i++) {
			bool member = i >= 10 && i < 4000 && i % 3 != 0;

			assert_int_equal(config_port_carries(&config->ports[4], i, &vid), member);
			assert_int_equal(listed(&config->ports[4], i, (uint16_t)i), member);
			assert_true(!member || vid == i);
		}
		assert_int_equal(config_finish(config, text), 0);
	}
	assert_false(config_port_carries(&config->ports[4], PROTO_NO_INDEX - 1, &vid));

	clone = config_clone(config);
	assert_int_equal(del_member(clone, 4, 1000), 0);
	assert_int_equal(set_member(clone, 4, 999, 4001), 0);
	for (unsigned finished = 0; finished < 2; finished++) {
		assert_false(config_port_carries(&clone->ports[4], 1000, &vid));
		assert_true(config_port_carries(&clone->ports[4], 999, &vid));
		assert_int_equal(vid, 4001);
		assert_true(config_port_carries(&config->ports[4], 1000, &vid));
		assert_false(config_port_carries(&config->ports[4], 999, &vid));
		assert_int_equal(config_finish(clone, text), 0);
	}
	config_free(clone);
}

/* Far more than the tables begin with, and keys that collide. */
static void holds_many(void **state)
{
	struct config *config = *state;

	for (uint32_t i = 10; i < 3000; i++) {
		assert_int_equal(set_segment(config, REF(i), REF(0), i * 4096 % 16777213 + 1), 0);
		assert_int_equal(
			config_set_peer(config,
					&(struct proto_peer){
						.ref = REF(i),
						.addr = {AF_INET, .bytes = {10, (uint8_t)(i >> 8),
									    (uint8_t)i, 0}}}),
			0);
	}
	assert_int_equal(config_finish(config, text), 0);
	for (uint32_t i = 10; i < 3000; i++) {
		const uint8_t bytes[4] = {10, (uint8_t)(i >> 8), (uint8_t)i, 0};
		uint32_t address;

		memcpy(&address, bytes, sizeof(address));
		assert_int_equal(config_segment_by_vni(config, i * 4096 % 16777213 + 1), i);
		assert_int_equal(config_peer_by_ip(config, address), i);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(finds_what_was_set),
		TEST(refuses_references_that_do_not_resolve),
		TEST(refuses_values_out_of_range),
		TEST(checks_the_whole),
		TEST(removes_in_order),
		TEST(clones_do_not_touch_the_original),
		TEST(memberships_agree),
		TEST(long_lists_are_searched),
		TEST(holds_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
