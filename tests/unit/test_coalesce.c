/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Coalescing as the inverse of segmentation: random super-packets are cut, something happens to
 * the frames on their way, and what coalescing makes of them is cut again. It has to be the same
 * frames, octet for octet and in their flow's order; and the very super-packet when nothing
 * happened.
 */

#include "coalesce_fixture.h"
#include "datapath/stages/recover.h"
#include "effort.h"
#include "kernel_segments.h"
#include "segment_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct arrivals arrivals; /* too large for a stack */

static int tear_down_arrivals(void **state)
{
	arrivals_clear(&arrivals);
	return tear_down(state);
}

/* Cuts `frame` as a host does that sends it. The outermost of its tags stays on. */
static void cut_into_arrivals(void **state, bool keep_tag)
{
	struct packet *packet = frame_packet(*state, &frame, 1000, 2);
	uint32_t lost_frames, lost_bytes;
	struct packet_list list;

	packet_list_init(&list);
	assert_int_equal(parse_packet(packet), DROP_NONE);
	assert_int_equal(segment_cut(*state, packet, 1, &list, &lost_frames, &lost_bytes), 0);
	while ((packet = packet_list_pop(&list)) != NULL) {
		checksum_complete(packet);
		if (keep_tag && (packet->flags & PACKET_TAGGED) != 0)
			vlan_push(packet, packet->vlan_tpid, packet->vlan_tci);
		flatten(packet);
		assert_sound();
		arrivals_add(&arrivals, wire.octets, wire.size);
		packet_free(*state, packet);
	}
}

/* What coalescing always can put together again. */
static struct frame_spec random_spec(uint32_t *random)
{
	struct frame_spec spec = {
		.ipv6 = frame_random(random) & 1,
		.protocol = frame_random(random) % 4 ? 6 : 17,
		.tags = frame_random(random) % 2,
		.sequence = frame_random(random),
		.identification = (uint16_t)frame_random(random),
		.fragment = frame_random(random) & 1 ? 0x4000 : 0,
		.seed = frame_random(random),
		.partial = true,
	};
	uint32_t frames = 2 + frame_random(random) % 60, flags = frame_random(random);

	if (spec.ipv6)
		spec.fragment = 0;
	else if (frame_random(random) % 4 == 0)
		spec.option_size = frame_random(random) % 11 * 4;
	if (spec.protocol == 6) {
		spec.tcp_option_size = frame_random(random) % 11 * 4;
		/* ACK always; FIN, PSH, ECE and CWR now and then. */
		spec.tcp_flags = (uint8_t)(0x10 | (flags & (flags >> 8) & 0xc9));
		spec.ecn = (spec.tcp_flags & 0x80) != 0;
	}
	spec.payload_size =
		2 + frame_random(random) % (frame_random(random) % 4 == 0 ? 64000 : 3000);
	spec.gso_size = (uint16_t)(spec.payload_size / frames + 1);
	if (spec.gso_size >= spec.payload_size)
		spec.gso_size = (uint16_t)(spec.payload_size - 1);
	return spec;
}

/* What arrived, was coalesced, and is `frame` now. */
static void expect_frame(void **state)
{
	struct virtio_net_hdr former;
	struct packet_list list;
	struct packet *packet;

	assert_true(arrivals_coalesce(&arrivals, *state, &list));
	assert_int_equal(list.count, 1);
	packet = packet_list_pop(&list);
	flatten(packet);
	assert_int_equal(wire.size, frame.size);
	assert_memory_equal(wire.octets, frame.octets, frame.size);
	assert_memory_equal(&packet->offload, &frame.offload, sizeof(frame.offload));
	assert_int_equal(parse_packet(packet), DROP_NONE);
	assert_int_equal(packet->frame_count, arrivals.count);
	/* Nothing was lost that could be found again, whatever the segment's MTU. */
	former = packet->offload;
	for (uint32_t mtu = 68; mtu < 3000; mtu += 977) {
		assert_int_equal(recover_offload(packet, mtu), DROP_NONE);
		assert_memory_equal(&packet->offload, &former, sizeof(former));
		assert_int_equal(packet->frame_count, arrivals.count);
	}
	packet_free(*state, packet);
}

static void test_super_packets_come_back(void **state)
{
	uint32_t random = 20260301;

	for (unsigned round = 0; round < 3000; round++) {
		struct frame_spec spec = random_spec(&random);

		frame_build(&frame, &spec);
		cut_into_arrivals(state, true);
		assert_in_range(arrivals.count, 2, 64);
		expect_frame(state);
		arrivals_clear(&arrivals);
		assert_int_equal(packet_pool_in_use(*state), 0);
	}
}

/* Whether a super-packet's segments are put together again. */
static bool is_merged(const struct frame_spec *spec)
{
	if (spec->gso_size == 0 || (spec->ipv6 && spec->option_size > 0))
		return false;
	return spec->protocol == 17 || (spec->tcp_flags & 0x36) == 0x10;
}

/* The outermost tag was taken off on the way. */
static void take_tag_off(void)
{
	memmove(frame.octets + 12, frame.octets + 16, frame.size - 16);
	frame.size -= 4;
	frame.offload.csum_start -= 4;
	frame.offload.hdr_len -= 4;
}

/* What test_segment.c shows to be equal to Linux's own segments. */
static void test_linux_segments_come_back(void **state)
{
	unsigned merged = 0;

	for (unsigned i = 0; i < COUNT(kernel_segments); i++) {
		struct frame_spec spec = kernel_segments[i].spec;
		struct packet_list list;

		frame_build(&frame, &spec);
		cut_into_arrivals(state, spec.tags == 1);
		assert_int_equal(arrivals.count, kernel_segments[i].count);
		if (is_merged(&spec)) {
			if (spec.tags == 2)
				take_tag_off();
			if ((spec.tcp_flags & 0x80) != 0)
				frame.offload.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
			expect_frame(state);
			merged++;
		} else {
			assert_true(arrivals_coalesce(&arrivals, *state, &list));
			assert_int_equal(list.count, arrivals.count);
			assert_null(arrivals_check(&arrivals, *state, &list));
		}
		arrivals_clear(&arrivals);
	}
	assert_int_equal(merged, 20);
}

static void exchange(struct arrival *a, struct arrival *b)
{
	struct arrival former = *a;

	*a = *b;
	*b = former;
}

/* A few bits differ, or a few octets. Headers are hit more often than payload. */
static void damage(struct arrival *arrival, uint32_t *random)
{
	uint32_t range = frame_random(random) % 4 ? 80 : arrival->size;
	uint32_t at = frame_random(random) % (range < arrival->size ? range : arrival->size);

	if (frame_random(random) & 1)
		arrival->octets[at] ^= (uint8_t)(1u << frame_random(random) % 8);
	else
		arrival->octets[at] = (uint8_t)frame_random(random);
}

/* Octets more or less, with lengths that follow or do not. */
static void resize(struct arrival *arrival, uint32_t *random)
{
	int change = (int)(frame_random(random) % 9) - 4;
	uint32_t size = arrival->size + (uint32_t)change, ip, ports;
	uint8_t *octets = arrival->octets;

	if (size < 60)
		return;
	octets = realloc(octets, size);
	for (uint32_t i = arrival->size; i < size; i++)
		octets[i] = 0;
	arrival->octets = octets;
	arrival->size = size;
	ports = arrival_ports(octets, size, &ip);
	if (frame_random(random) % 4 == 0)
		return;
	if (octets[ip] >> 4 == 4)
		frame_put16(octets + ip + 2, size - ip);
	else
		frame_put16(octets + ip + 4, size - ip - 40);
	if (ports != 0 && octets[ip + (octets[ip] >> 4 == 4 ? 9 : 6)] == 17)
		frame_put16(octets + ports + 4, size - ports);
}

/* One of the things that happen to frames. */
static void happen(uint32_t *random)
{
	uint32_t which = frame_random(random) % arrivals.count;
	struct arrival *arrival = &arrivals.items[which];
	struct coalesce_key *key = &arrival->key;

	switch (frame_random(random) % 8) {
	case 0: /* lost */
		if (arrivals.count == 1)
			break;
		free(arrival->octets);
		*arrival = arrivals.items[--arrivals.count];
		break;
	case 1: /* overtaken */
		exchange(arrival, &arrivals.items[frame_random(random) % arrivals.count]);
		break;
	case 2: /* twice */
		arrivals_add(&arrivals, arrival->octets, arrival->size)->key = *key;
		exchange(&arrivals.items[which + 1 < arrivals.count ? which + 1 : which],
			 &arrivals.items[arrivals.count - 1]);
		break;
	case 3: /* by another way */
		key->outer_source = frame_random(random) % 2;
		key->outer_vni = frame_random(random) % 2;
		key->outer_tos = frame_random(random) % 2;
		break;
	case 4:
		resize(arrival, random);
		arrival_fix_checksums(arrival->octets, arrival->size, true, true);
		break;
	case 5: /* damaged on the way, so that a checksum is wrong */
		damage(arrival, random);
		break;
	default: /* sent otherwise */
		damage(arrival, random);
		arrival_fix_checksums(arrival->octets, arrival->size, true, true);
		break;
	}
}

static void test_what_happens_to_frames_stays(void **state)
{
	uint32_t random = 20260302, merged = 0, whole = 0;

	for (unsigned round = 0; round < EFFORT(20000); round++) {
		struct frame_spec spec = random_spec(&random);
		struct packet_list list;
		const char *wrong;

		spec.payload_size = 2 + spec.payload_size % 4000;
		if (spec.gso_size >= spec.payload_size)
			spec.gso_size = (uint16_t)(spec.payload_size - 1);
		if (spec.gso_size < spec.payload_size / 30)
			spec.gso_size = (uint16_t)(spec.payload_size / 30 + 1);
		frame_build(&frame, &spec);
		cut_into_arrivals(state, true);
		for (uint32_t times = 1 + frame_random(&random) % 3; times > 0; times--)
			happen(&random);
		assert_true(arrivals_coalesce(&arrivals, *state, &list));
		merged += list.count < arrivals.count;
		whole += list.count == 1;
		wrong = arrivals_check(&arrivals, *state, &list);
		if (wrong != NULL)
			print_error("round %u: %s\n", round, wrong);
		assert_null(wrong);
		arrivals_clear(&arrivals);
		assert_int_equal(packet_pool_in_use(*state), 0);
	}
	/* Most rounds have something left to merge, and few have everything. */
	assert_in_range(merged, EFFORT(10000), EFFORT(20000) - 1);
	assert_in_range(whole, EFFORT(500), EFFORT(5000));
}

/* Everything of a segment is damaged, bit by bit: it is apart, and as damaged as it was. */
static void test_no_corruption_is_healed(void **state)
{
	struct frame_spec spec = {.protocol = 6,
				  .payload_size = 300,
				  .gso_size = 100,
				  .tcp_flags = 0x10,
				  .tcp_option_size = 12,
				  .partial = true};

	for (unsigned kind = 0; kind < 4; kind++) {
		spec.ipv6 = kind & 1;
		spec.protocol = kind & 2 ? 17 : 6;
		spec.tcp_option_size = kind & 2 ? 0 : 12;
		frame_build(&frame, &spec);
		for (uint32_t bit = 0; bit < 3 * 8 * (frame.payload + 100); bit++) {
			uint32_t which = bit % 3, at = bit / 3;
			struct packet_list list;

			cut_into_arrivals(state, true);
			arrivals.items[which].octets[at / 8] ^= (uint8_t)(1u << at % 8);
			assert_true(arrivals_coalesce(&arrivals, *state, &list));
			/* MAC addresses, flow label and so on have no checksum: another flow. */
			assert_in_range(list.count, 2, 3);
			assert_null(arrivals_check(&arrivals, *state, &list));
			arrivals_clear(&arrivals);
		}
	}
}

#define TEST_ARRIVALS(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down_arrivals)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ARRIVALS(test_super_packets_come_back),
		TEST_ARRIVALS(test_linux_segments_come_back),
		TEST_ARRIVALS(test_what_happens_to_frames_stays),
		TEST_ARRIVALS(test_no_corruption_is_healed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
