/* SPDX-License-Identifier: Apache-2.0 */

/* Packets and their pool: ownership, sharing, exhaustion. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/packet.h"

#define POOL_PACKETS 16u
#define POOL_BUFFERS 4u

static int set_up(void **state)
{
	*state = packet_pool_new(POOL_PACKETS, POOL_BUFFERS);
	return *state == NULL ? -1 : 0;
}

/* Whatever a test did, nothing may be left behind. */
static int tear_down(void **state)
{
	uint32_t in_use = packet_pool_in_use(*state);

	packet_pool_free(*state);
	return in_use == 0 ? 0 : -1;
}

/* A packet of `head` and `body` octets that count up from 0, body in a buffer. */
static struct packet *counting_packet(struct packet_pool *pool, uint32_t head, uint32_t body)
{
	struct packet *packet = packet_new(pool);
	struct packet_buffer *buffer;

	assert_non_null(packet);
	assert_true(head <= packet_tailroom(packet));
	for (uint32_t i = 0; i < head; i++)
		packet->data[i] = (uint8_t)(i * 7);
	packet->head_size = (uint16_t)head;
	packet->size = head;
	if (body == 0)
		return packet;
	buffer = packet_buffer_new(pool);
	assert_non_null(buffer);
	for (uint32_t i = 0; i < body; i++)
		buffer->data[3 + i] = (uint8_t)((head + i) * 7);
	packet_attach(packet, buffer, 3, body);
	return packet;
}

static void assert_counting(const struct packet *packet, uint32_t offset, uint32_t from,
			    uint32_t size)
{
	uint8_t *octets = malloc(size + 1);

	assert_non_null(octets);
	octets[size] = 0x5a;
	assert_int_equal(packet_read(packet, offset, octets, size), size);
	for (uint32_t i = 0; i < size; i++)
		assert_int_equal(octets[i], (uint8_t)((from + i) * 7));
	assert_int_equal(octets[size], 0x5a);
	free(octets);
}

static void test_new_is_empty(void **state)
{
	struct packet *packet = packet_new(*state);
	size_t tailroom;

	assert_non_null(packet);
	assert_int_equal((uintptr_t)packet % PACKET_CACHE_LINE, 0);
	assert_ptr_equal(packet->data, packet->storage + PACKET_HEADROOM);
	tailroom = packet_tailroom(packet);
	assert_true(tailroom >= 1518);
	/* All of it is there, and it does not reach the metadata or the next object. */
	memset(packet->storage, 0xff, PACKET_HEADROOM + tailroom);
	assert_int_equal(packet->size, 0);
	assert_int_equal(packet->slice_count, 0);
	packet->flags = 0xff;
	packet->port_in = 7;
	packet->offload.gso_type = 1;
	packet->vlan_tci = 9;
	packet->slice_count = 0;
	packet_free(*state, packet);

	packet = packet_new(*state);
	assert_int_equal(packet->flags, 0);
	assert_int_equal(packet->port_in, 0);
	assert_int_equal(packet->offload.gso_type, 0);
	assert_int_equal(packet->vlan_tci, 0);
	assert_int_equal(packet->head_size, 0);
	packet_free(*state, packet);
	packet_free(*state, NULL);
	packet_buffer_release(*state, NULL);
}

static void test_pool_is_bounded(void **state)
{
	struct packet *packets[POOL_PACKETS];
	struct packet_buffer *buffers[POOL_BUFFERS];

	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < POOL_PACKETS; i++) {
			packets[i] = packet_new(*state);
			assert_non_null(packets[i]);
			packets[i]->flow_hash = i;
			memset(packets[i]->storage, (int)i, PACKET_HEADROOM + 1518);
		}
		assert_null(packet_new(*state));
		for (unsigned i = 0; i < POOL_BUFFERS; i++) {
			buffers[i] = packet_buffer_new(*state);
			assert_non_null(buffers[i]);
			memset(buffers[i]->data, (int)i, PACKET_BUFFER_SIZE);
		}
		assert_null(packet_buffer_new(*state));
		assert_int_equal(packet_pool_in_use(*state), POOL_PACKETS + POOL_BUFFERS);
		/* Objects do not overlap. */
		for (unsigned i = 0; i < POOL_PACKETS; i++) {
			assert_int_equal(packets[i]->flow_hash, i);
			assert_int_equal(packets[i]->storage[0], i);
			assert_int_equal(packets[i]->storage[PACKET_HEADROOM + 1517], i);
			packet_free(*state, packets[i]);
		}
		for (unsigned i = 0; i < POOL_BUFFERS; i++) {
			assert_int_equal(buffers[i]->data[0], i);
			assert_int_equal(buffers[i]->data[PACKET_BUFFER_SIZE - 1], i);
			packet_buffer_release(*state, buffers[i]);
		}
		assert_int_equal(packet_pool_in_use(*state), 0);
	}
}

static void test_empty_pools(void **state)
{
	struct packet_pool *pool = packet_pool_new(0, 0);

	(void)state;
	assert_non_null(pool);
	assert_null(packet_new(pool));
	assert_null(packet_buffer_new(pool));
	packet_pool_free(pool);
	packet_pool_free(NULL);
}

static void test_at_checks_bounds(void **state)
{
	struct packet *packet = counting_packet(*state, 64, 100);

	assert_ptr_equal(packet_at(packet, 0, 64), packet->data);
	assert_ptr_equal(packet_at(packet, 64, 0), packet->data + 64);
	assert_null(packet_at(packet, 0, 65));
	assert_null(packet_at(packet, 64, 1));
	assert_null(packet_at(packet, 65, 0));
	assert_null(packet_at(packet, 1, UINT32_MAX));
	assert_null(packet_at(packet, UINT32_MAX, 2));
	packet_free(*state, packet);
}

static void test_read_ends_with_the_frame(void **state)
{
	struct packet *packet = counting_packet(*state, 60, 40);
	uint8_t octets[8];

	assert_counting(packet, 0, 0, 100);
	assert_counting(packet, 59, 59, 2);
	assert_counting(packet, 60, 60, 40);
	assert_int_equal(packet_read(packet, 97, octets, sizeof(octets)), 3);
	assert_int_equal(packet_read(packet, 100, octets, sizeof(octets)), 0);
	assert_int_equal(packet_read(packet, UINT32_MAX, octets, sizeof(octets)), 0);
	packet_free(*state, packet);
}

static void test_share_refers(void **state)
{
	struct packet *from = counting_packet(*state, 60, 1000);
	struct packet *to = packet_new(*state);

	assert_int_equal(packet_share(to, from, 50, 200), 0);
	assert_int_equal(to->slice_count, 2);
	assert_int_equal(to->size, 200);
	assert_ptr_equal(to->slices[0].data, from->data + 50);
	assert_int_equal(to->slices[0].size, 10);
	/* No third slice, and nothing changes by asking for it. */
	assert_int_equal(packet_share(to, from, 0, 1), -ENOBUFS);
	assert_int_equal(to->size, 200);
	packet_free(*state, from);
	/* The head's object and the buffer live on in the slices. */
	assert_int_equal(packet_pool_in_use(*state), 3);
	assert_counting(to, 0, 50, 200);
	packet_free(*state, to);
}

static void test_share_refuses_what_is_not_there(void **state)
{
	struct packet *from = counting_packet(*state, 60, 100);
	struct packet *to = packet_new(*state);

	assert_int_equal(packet_share(to, from, 0, 161), -EINVAL);
	assert_int_equal(packet_share(to, from, 160, 1), -EINVAL);
	assert_int_equal(packet_share(to, from, UINT32_MAX, 1), -EINVAL);
	assert_int_equal(packet_share(to, from, 1, UINT32_MAX), -EINVAL);
	assert_int_equal(to->slice_count, 0);
	assert_int_equal(to->size, 0);
	assert_int_equal(packet_share(to, from, 160, 0), 0);
	assert_int_equal(packet_share(to, from, 159, 1), 0);
	packet_free(*state, to);
	packet_free(*state, from);
}

/* Slices of slices refer to the memory, not to the packet between. */
static void test_share_of_shares(void **state)
{
	struct packet *first = counting_packet(*state, 100, 500), *second, *third;

	second = packet_new(*state);
	third = packet_new(*state);
	assert_int_equal(packet_share(second, first, 20, 400), 0);
	packet_free(*state, first);
	assert_int_equal(packet_share(third, second, 70, 100), 0);
	packet_free(*state, second);
	assert_int_equal(packet_pool_in_use(*state), 3);
	assert_counting(third, 0, 90, 100);
	packet_free(*state, third);
}

static void test_clone_is_independent(void **state)
{
	static const uint32_t heads[] = {14, 60, 512, 513, 1514, 2000};
	static const uint32_t bodies[] = {0, 1, 60000};

	for (unsigned i = 0; i < 6 * 3; i++) {
		uint32_t head = heads[i % 6], body = bodies[i / 6];
		struct packet *packet = counting_packet(*state, head, body), *clone;

		packet->payload_offset = 14;
		packet->flow_hash = 77;
		packet->next = packet;
		clone = packet_clone(*state, packet);
		assert_non_null(clone);
		assert_null(clone->next);
		assert_int_equal(clone->flow_hash, 77);
		assert_int_equal(clone->size, head + body);
		assert_counting(clone, 0, 0, head + body);
		/* Headers of both may be rewritten, and a tag may be put before them. */
		memset(clone->data - 4, 0xee, 18);
		assert_counting(packet, 0, 0, head + body);
		memset(packet->data, 0xdd, 14);
		assert_int_equal(clone->data[0], 0xee);
		packet_free(*state, packet);
		assert_counting(clone, 14, 14, head + body - 14);
		packet_free(*state, clone);
		assert_int_equal(packet_pool_in_use(*state), 0);
	}
}

static void test_clone_keeps_checksum_fields_apart(void **state)
{
	struct packet *packet = counting_packet(*state, 2000, 0), *clone;

	packet->payload_offset = 300;
	packet->offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	packet->offload.csum_start = 700;
	packet->offload.csum_offset = 16;
	clone = packet_clone(*state, packet);
	assert_true(clone->head_size >= 718);
	memset(packet->data + 716, 0xff, 2);
	assert_counting(clone, 0, 0, 2000);
	packet_free(*state, packet);
	packet_free(*state, clone);
}

/* A head that takes both slices' place is copied whole. */
static void test_clone_of_full_slices(void **state)
{
	struct packet *from = counting_packet(*state, 100, 3000);
	struct packet *packet = counting_packet(*state, 1000, 0), *clone, *again;

	assert_int_equal(packet_share(packet, from, 50, 950), 0);
	packet_free(*state, from);
	clone = packet_clone(*state, packet);
	assert_non_null(clone);
	assert_int_equal(clone->size, 1950);
	packet_free(*state, packet);
	again = packet_clone(*state, clone);
	packet_free(*state, clone);
	assert_counting(again, 0, 0, 1000);
	assert_counting(again, 1000, 50, 950);
	packet_free(*state, again);
}

/* A packet whose data begins late has a head that only fits at the same place. */
static void test_clone_keeps_headroom(void **state)
{
	struct packet *packet = packet_new(*state), *clone;
	size_t room = packet_tailroom(packet) + PACKET_HEADROOM;

	packet->data = packet->storage;
	packet->head_size = (uint16_t)room;
	packet->size = (uint32_t)room;
	memset(packet->data, 0x11, room);
	packet->payload_offset = (uint16_t)room;
	clone = packet_clone(*state, packet);
	assert_ptr_equal(clone->data, clone->storage);
	assert_int_equal(packet_tailroom(clone), room - clone->head_size);
	assert_int_equal(clone->size, room);
	packet_free(*state, packet);
	packet_free(*state, clone);
}

static void test_clone_of_exhausted_pool(void **state)
{
	struct packet *packets[POOL_PACKETS];

	for (unsigned i = 0; i < POOL_PACKETS; i++)
		packets[i] = counting_packet(*state, 1000, 0);
	assert_null(packet_clone(*state, packets[0]));
	for (unsigned i = 0; i < POOL_PACKETS; i++)
		packet_free(*state, packets[i]);
}

static void test_list_order(void **state)
{
	struct packet_list list;
	struct packet *packets[3];

	packet_list_init(&list);
	assert_null(packet_list_pop(&list));
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 3; i++) {
			packets[i] = packet_new(*state);
			packet_list_append(&list, packets[i]);
		}
		assert_int_equal(list.count, 3);
		for (unsigned i = 0; i < 3; i++) {
			assert_ptr_equal(packet_list_pop(&list), packets[i]);
			packet_free(*state, packets[i]);
		}
		assert_int_equal(list.count, 0);
		assert_null(packet_list_pop(&list));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new_is_empty),
		TEST(test_pool_is_bounded),
		cmocka_unit_test(test_empty_pools),
		TEST(test_at_checks_bounds),
		TEST(test_read_ends_with_the_frame),
		TEST(test_share_refers),
		TEST(test_share_refuses_what_is_not_there),
		TEST(test_share_of_shares),
		TEST(test_clone_is_independent),
		TEST(test_clone_keeps_checksum_fields_apart),
		TEST(test_clone_of_full_slices),
		TEST(test_clone_keeps_headroom),
		TEST(test_clone_of_exhausted_pool),
		TEST(test_list_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
