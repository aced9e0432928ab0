/* SPDX-License-Identifier: Apache-2.0 */

/* Checksums, against RFC 1071 spelled out. */

#include "segment_fixture.h"

static uint16_t swapped(uint32_t sum)
{
	uint8_t octets[2] = {(uint8_t)(sum >> 8), (uint8_t)sum};
	uint16_t value;

	memcpy(&value, octets, 2);
	return value;
}

static void test_sum_is_that_of_rfc_1071(void **state)
{
	static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	uint8_t octets[300];
	uint32_t random = 1;

	(void)state;
	/* The example of section 3. */
	assert_int_equal(checksum_fold(checksum_add(0, example, 8, false)), swapped(0xddf2));
	for (unsigned i = 0; i < sizeof(octets); i++)
		octets[i] = i < 100 ? 0xff : (uint8_t)frame_random(&random);
	for (uint32_t begin = 0; begin < 9; begin++) {
		for (uint32_t size = 0; begin + size <= sizeof(octets); size++) {
			uint64_t whole = checksum_add(0, octets + begin, size, false), split;
			uint32_t cut = size / 3;

			assert_int_equal(checksum_fold(whole),
					 swapped(frame_sum(0, octets + begin, size)));
			split = checksum_add(0, octets + begin, cut, false);
			split = checksum_add(split, octets + begin + cut, size - cut, cut & 1);
			assert_int_equal(checksum_fold(split), checksum_fold(whole));
		}
	}
}

/* The sum of an octet and what follows it. */
static uint32_t sum_behind_octet(uint8_t first, const uint8_t *at, uint32_t size)
{
	uint8_t octets[256] = {first};

	memcpy(octets + 1, at, size);
	return frame_sum(0, octets, size + 1);
}

/* Every alignment of both places, every size; nothing beside what is copied is written. */
static void test_copy(void **state)
{
	uint8_t from[160], to[200];
	uint32_t random = 2;

	(void)state;
	for (unsigned i = 0; i < sizeof(from); i++)
		from[i] = i < 40 ? 0xff : (uint8_t)frame_random(&random);
	for (uint32_t begin = 0; begin < 17; begin++) {
		for (uint32_t size = 0; begin + size <= sizeof(from); size++) {
			uint32_t place = frame_random(&random) % 17, plain, odd;

			memset(to, 0xa5, sizeof(to));
			plain = checksum_fold(
				checksum_copy(0, to + place, from + begin, size, false));
			assert_int_equal(plain, swapped(frame_sum(0, from + begin, size)));
			assert_memory_equal(to + place, from + begin, size);
			for (uint32_t i = 0; i < sizeof(to); i++)
				assert_true(to[i] == 0xa5 || (i >= place && i < place + size));
			odd = checksum_fold(checksum_copy(3, to, from + begin, size, true));
			assert_int_equal(odd,
					 checksum_fold(checksum_add(3, from + begin, size, true)));
			/* An octet before them makes the first the second of a word. */
			assert_int_equal(
				checksum_fold(checksum_copy(checksum_add(0, "\7", 1, false), to,
							    from + begin, size, true)),
				swapped(sum_behind_octet(7, from + begin, size)));
		}
	}
}

/* Sums whose lanes carry all the time, and as many as the largest packet has. */
static void test_large_sums(void **state)
{
	static uint8_t octets[70000], copy[70000];

	(void)state;
	for (uint32_t size = 65000; size < 65100; size++) {
		uint32_t want;

		memset(octets, 0xff, size);
		octets[size / 2] = (uint8_t)size;
		want = swapped(frame_sum(0, octets, size));
		assert_int_equal(checksum_fold(checksum_add(0, octets, size, false)), want);
		assert_int_equal(checksum_fold(checksum_copy(0, copy, octets, size, false)), want);
		assert_memory_equal(copy, octets, size);
	}
}

static void test_fold(void **state)
{
	(void)state;
	assert_int_equal(checksum_fold(0), 0);
	assert_int_equal(checksum_fold(0xffff), 0xffff);
	assert_int_equal(checksum_fold(0x10000), 1);
	assert_int_equal(checksum_fold(UINT64_MAX), 0xffff);
	assert_int_equal(checksum_fold(UINT64_MAX - 1), 0xfffe);
	assert_int_equal(checksum_fold(0xffff0001ffffffff), 1);
	/* Carries that only a sum near the end of its range has. */
	assert_int_equal(checksum_fold(checksum_add(UINT64_MAX, "\1\0", 2, false)),
			 swapped(0x0100));
}

/* Slices with odd sizes shift the words of what is behind them. */
static void test_sum_over_slices(void **state)
{
	struct frame_spec spec = {.protocol = 17, .payload_size = 3001};

	frame_build(&frame, &spec);
	for (uint32_t head = 42; head < 46; head++) {
		for (uint32_t offset = 0; offset<3043; offset += offset> 38 ? 331 : 1) {
			struct packet *packet = frame_packet(*state, &frame, head, 2);
			uint32_t sum = frame_sum(5, frame.octets + offset, frame.size - offset);
			uint64_t got = checksum_packet(packet, offset, swapped(5));

			assert_int_equal(checksum_fold(got), swapped(sum));
			packet_free(*state, packet);
		}
	}
}

static void test_complete(void **state)
{
	for (unsigned i = 0; i < 200; i++) {
		struct frame_spec spec = {.ipv6 = i & 1,
					  .protocol = i & 2 ? 6 : 17,
					  .payload_size = i * 17,
					  .seed = i,
					  .option_size = i & 4 ? 8 : 0,
					  .partial = true};
		struct packet *packet;

		frame_build(&frame, &spec);
		packet = frame_packet(*state, &frame, 100 + i, 1 + i % 2);
		assert_int_equal(parse_packet(packet), DROP_NONE);
		checksum_complete(packet);
		assert_int_equal(packet->offload.flags, 0);
		flatten(packet);
		assert_sound();
		/* Once is enough. */
		memcpy(frame.octets, wire.octets, wire.size);
		checksum_complete(packet);
		flatten(packet);
		assert_memory_equal(frame.octets, wire.octets, wire.size);
		packet_free(*state, packet);
	}
}

/* A payload for which the checksum comes out as 0. */
static void test_complete_of_zero(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct frame_spec spec = {
			.protocol = i ? 6 : 17, .payload_size = 2, .partial = true};
		struct packet *packet;
		uint32_t field;

		frame_build(&frame, &spec);
		field = frame.l4 + (i ? 16 : 6);
		memset(frame.octets + frame.payload, 0, 2);
		frame_put16(frame.octets + frame.payload,
			    ~frame_sum(0, frame.octets + frame.l4, frame.size - frame.l4));
		packet = frame_packet(*state, &frame, frame.size, 1);
		assert_int_equal(parse_packet(packet), DROP_NONE);
		checksum_complete(packet);
		assert_int_equal(frame_get16(packet->data + field), i ? 0 : 0xffff);
		flatten(packet);
		assert_sound();
		packet_free(*state, packet);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sum_is_that_of_rfc_1071),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_large_sums),
		cmocka_unit_test(test_fold),
		TEST(test_sum_over_slices),
		TEST(test_complete),
		TEST(test_complete_of_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
