/* SPDX-License-Identifier: Apache-2.0 */

/* Coalescing, rule by rule: which frames are merged, and which are not. */

#include "coalesce_flows.h"

/* How many packets three frames become when the second is sent with one bit of its headers changed.
 */
static uint32_t wanted_packets(const struct frame_spec *spec, uint32_t at, uint8_t bit)
{
	uint32_t checksum = frame.l4 + (spec->protocol == 6 ? 16 : 6);

	/* The change is gone with the right checksum. */
	if ((at & ~1u) == checksum || (!spec->ipv6 && (at & ~1u) == frame.l3 + 10))
		return 1;
	/* PSH and FIN end the run, CWR begins one. */
	if (spec->protocol == 6 && at == frame.l4 + 13 && (bit & 0x89) != 0)
		return 2;
	/* It is another flow's, and nothing tells that the first and the third had one between. */
	if (spec->protocol == 17 && spec->ipv6 && at >= frame.l3 + 8 && at < frame.l4 + 4)
		return 2;
	return 3;
}

static void test_every_bit_of_the_headers(void **state)
{
	for (unsigned kind = 0; kind < 2 * COUNT(kinds); kind++) {
		struct frame_spec spec = *kinds[kind / 2];
		uint32_t payload;

		spec.tags = kind & 1;
		frame_build(&frame, &spec);
		payload = frame.payload;
		for (uint32_t bit = 0; bit < payload * 8; bit++) {
			uint8_t mask = (uint8_t)(1u << bit % 8);
			struct arrival *changed;

			add_next(&spec, 0);
			changed = add_next(&spec, 1);
			add_next(&spec, 2);
			changed->octets[bit / 8] ^= mask;
			send_again(changed);
			assert_int_equal(packets_of(*state), wanted_packets(&spec, bit / 8, mask));
		}
	}
}

/* Of the two checksums that a sum of zero has, a sender writes one. */
static void test_both_zeros(void **state)
{
	for (unsigned round = 0; round < 2 * COUNT(kinds); round++) {
		const struct frame_spec *spec = kinds[round / 2];

		for (unsigned other = 0; other < 2; other++) {
			struct arrival *pair[2] = {add_next(spec, 0), add_next(spec, 1)}, *zero;
			uint32_t field = frame.l4 + (spec->protocol == 6 ? 16 : 6);
			uint32_t written = spec->protocol == 6 ? 0 : 0xffff;

			zero = pair[round & 1];
			frame_put16(zero->octets + frame.payload, 0);
			send_again(zero);
			/* With its complement in the payload the sum is zero. */
			memcpy(zero->octets + frame.payload, zero->octets + field, 2);
			send_again(zero);
			assert_int_equal(frame_get16(zero->octets + field), written);
			if (other)
				frame_put16(zero->octets + field, ~written);
			assert_int_equal(packets_of(*state), other ? 2 : 1);
		}
	}
}

/* What cannot begin a run: how many packets it and its next frame become. */
static void test_first_frames(void **state)
{
	struct frame_spec spec;

	for (unsigned flags = 0; flags < 256; flags++) {
		bool good = (flags & ~0xc0u) == 0x10;
		struct arrival *next;

		for (unsigned kind = 0; kind < 2; kind++) {
			spec = *kinds[kind];
			spec.tcp_flags = (uint8_t)flags;
			add_next(&spec, 0);
			next = add_next(&spec, 1);
			next->octets[frame.l4 + 13] &= 0x7f; /* not CWR */
			send_again(next);
			assert_int_equal(packets_of(*state), good ? 1 : 2);
		}
	}
	for (unsigned i = 0; i < 7; i++) {
		spec = i < 4 ? tcp4 : i < 5 ? tcp6 : udp4;
		spec.fragment = i == 0 ? 0x2000 : i == 1 ? 0x0001 : 0;
		spec.tags = i == 2 ? 2 : 0;
		spec.payload_size = i == 3 ? 0 : 100;
		spec.option_size = i == 4 ? 8 : 0;
		for (uint32_t index = 0; index < 2; index++) {
			struct arrival *arrival = add_next(&spec, index);

			if (i == 5) /* no checksum */
				frame_put16(arrival->octets + frame.l4 + 6, 0);
			if (i == 6) { /* ends before IP does */
				frame_put16(arrival->octets + frame.l4 + 4, 107);
				send_again(arrival);
			}
		}
		assert_int_equal(packets_of(*state), 2);
	}
	/* Padding. */
	frame_build(&frame, &tcp4);
	arrivals_add(&arrivals, frame.octets, frame.size + 1);
	add_next(&tcp4, 1);
	assert_int_equal(packets_of(*state), 2);
}

/* Headers that cannot be, in frames that would continue each other. */
static void test_impossible_headers(void **state)
{
	static const struct {
		uint32_t at;
		uint8_t value;
		uint32_t packets;
	} changes[] = {
		{14, 0x55, 2}, /* version 5 */
		{14, 0x44, 2}, /* an IP header of 16 octets */
		{12, 0x86, 2}, /* another protocol than IP */
		{46, 0x40, 2}, /* a TCP header of 16 octets */
		{46, 0xf0, 1}, /* a longer one, which can be */
	};

	for (unsigned i = 0; i < COUNT(changes); i++) {
		for (uint32_t index = 0; index < 2; index++) {
			uint8_t *octets = add_next(&tcp4, index)->octets;

			if (changes[i].at == 46)
				octets[46] = changes[i].value;
			/* What may become options is equal; what is behind them counts. */
			memset(octets + frame.payload, 1, 28);
			frame_put16(octets + 40,
				    index * (frame.size - frame.l4 - (octets[46] >> 4) * 4u));
			send_again(&arrivals.items[index]);
			octets[changes[i].at] = changes[i].value;
			frame_put16(octets + 24, 0);
			frame_put16(octets + 24,
				    ~frame_sum(0, octets + 14, (octets[14] & 15) * 4u));
		}
		assert_int_equal(packets_of(*state), changes[i].packets);
	}
}

/* A packet has no room for the payload of others behind two slices. */
static void test_two_slices(void **state)
{
	struct coalesce_key key = {0};
	static struct coalesce coalesce;

	for (unsigned slices = 1; slices <= 2; slices++) {
		struct packet *packet;

		frame_build(&frame, &tcp4);
		packet = frame_packet(*state, &frame, 100, slices);
		coalesce_open(&coalesce, &key, packet);
		add_next(&tcp4, 1);
		assert_int_equal(coalesce_append(&coalesce, *state, &key, frame.octets, frame.size),
				 slices == 1);
		coalesce_finish(&coalesce);
		assert_int_equal(packet->size, slices == 1 ? frame.size + 100 : frame.size);
		packet_free(*state, packet);
	}
}

/* CWR of the first frame is the super-packet's, and says so. */
static void test_cwr(void **state)
{
	struct frame_spec spec = tcp4;
	struct packet_list list;
	struct packet *packet;

	spec.tcp_flags = 0xd0;
	add_next(&spec, 0);
	spec.tcp_flags = 0x50;
	add_next(&spec, 1);
	assert_true(arrivals_coalesce(&arrivals, *state, &list));
	assert_int_equal(list.count, 1);
	packet = list.first;
	assert_int_equal(packet->offload.gso_type,
			 VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
	assert_null(arrivals_check(&arrivals, *state, &list));
	arrivals_clear(&arrivals);
	spec.tcp_flags = 0xd0;
	add_next(&spec, 0);
	add_next(&spec, 1);
	assert_int_equal(packets_of(*state), 2);
}

/* Lengths: the last may be shorter, none longer. */
static void test_sizes(void **state)
{
	static const uint32_t sizes[][3] = {{100, 100, 100}, {100, 100, 1}, {100, 60, 100},
					    {100, 101, 100}, {1, 1, 1},	    {1, 2, 1}};
	static const uint32_t packets[] = {1, 1, 2, 3, 1, 3};

	for (unsigned i = 0; i < COUNT(sizes); i++) {
		for (unsigned kind = 0; kind < COUNT(kinds); kind++) {
			struct frame_spec spec = *kinds[kind];

			for (uint32_t index = 0; index < 3; index++) {
				spec.payload_size = sizes[i][index];
				add(&spec);
				spec.sequence += spec.payload_size;
				spec.identification++;
			}
			/* 101 and 100 are a run of their own, as 2 and 1 are. */
			assert_int_equal(packets_of(*state), packets[i] == 3 ? 2 : packets[i]);
		}
	}
}

/* A wrong checksum of the first frame shows when the second comes. */
static void test_first_frame_is_verified(void **state)
{
	for (unsigned kind = 0; kind < COUNT(kinds); kind++) {
		for (unsigned place = kinds[kind]->ipv6; place < 3; place++) {
			struct arrival *first = add_next(kinds[kind], 0);
			uint32_t at = place == 0   ? frame.l3 + 10
				      : place == 1 ? frame.l4 + 7
						   : frame.size - 1;

			if (place == 1 && kinds[kind]->protocol == 6)
				at = frame.l4 + 17;
			first->octets[at] ^= 0x40;
			add_next(kinds[kind], 1);
			add_next(kinds[kind], 2);
			assert_int_equal(packets_of(*state), 2);
		}
	}
}

/* What does not fit into a head lies in a slice, and the run goes on behind it. */
static void test_jumbo_frames(void **state)
{
	for (unsigned kind = 0; kind < COUNT(kinds); kind++) {
		struct frame_spec spec = *kinds[kind];

		for (spec.payload_size = 8900; spec.payload_size < 8902; spec.payload_size++) {
			for (uint32_t i = 0; i < 7; i++)
				add_next(&spec, i);
			assert_int_equal(packets_of(*state), 1);
			add_next(&spec, 0)->octets[8000] ^= 1;
			add_next(&spec, 1);
			assert_int_equal(packets_of(*state), 2);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_bit_of_the_headers),
		TEST(test_both_zeros),
		TEST(test_first_frames),
		TEST(test_impossible_headers),
		TEST(test_two_slices),
		TEST(test_cwr),
		TEST(test_sizes),
		TEST(test_first_frame_is_verified),
		TEST(test_jumbo_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
