/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coalescing: whatever frames arrive, what becomes of them is the same frames when it is cut, in
 * the order of their flows (tests/unit/coalesce_fixture.h).
 *
 * An input is an octet that says how many buffers the pool has (modulo 16), then records of an
 * octet of flags and what they ask for. Without NEXT: the frame's size (2 octets, big-endian) and
 * the frame. With NEXT, a frame that continues the last one, with an octet changed: its offset (2
 * octets) and what it is XORed with.
 */

#include <stdbool.h>
#include <stdlib.h>

#include "fuzz.h"
#include "tests/unit/coalesce_fixture.h"

#define FRAMES_MAX     100u
#define FRAME_SIZE_MAX 9100u

enum flags {
	NEXT = 0x01,
	RIGHT_NETWORK = 0x02, /* with a right IPv4 header checksum */
	RIGHT_TRANSPORT = 0x04,
	OTHER_SOURCE = 0x08,
	OTHER_VNI = 0x10,
	OTHER_TOS = 0x20,
};

struct input {
	const uint8_t *data;
	size_t size;
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* Returns the next octet, 0 behind the end. */
static uint32_t take(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

/* Makes a frame the one behind it in its flow. */
static void advance(uint8_t *octets, uint32_t size)
{
	uint32_t ip, ports = arrival_ports(octets, size, &ip), sequence, headers;

	if (ports == 0)
		return;
	if (octets[ip] >> 4 == 4)
		frame_put16(octets + ip + 4, frame_get16(octets + ip + 4) + 1);
	if (octets[ip + (octets[ip] >> 4 == 4 ? 9 : 6)] != 6 || size < ports + 20)
		return;
	headers = ports + (octets[ports + 12] >> 4) * 4u;
	sequence = frame_get32(octets + ports + 4) + (headers < size ? size - headers : 0);
	frame_put16(octets + ports + 4, sequence >> 16);
	frame_put16(octets + ports + 6, sequence);
}

/* Adds the record's frame. Returns false when there is none. */
static bool read_record(struct arrivals *arrivals, struct input *input)
{
	struct arrival *arrival;
	uint32_t flags = take(input), size = take(input) << 8;

	size |= take(input);
	if ((flags & NEXT) != 0 && arrivals->count > 0) {
		const struct arrival *last = &arrivals->items[arrivals->count - 1];
		uint32_t at = size;

		arrival = arrivals_add(arrivals, last->octets, last->size);
		advance(arrival->octets, arrival->size);
		if (at < arrival->size)
			arrival->octets[at] ^= (uint8_t)take(input);
	} else {
		if (size > input->size)
			size = (uint32_t)input->size;
		if (size == 0 || size > FRAME_SIZE_MAX)
			return false;
		arrival = arrivals_add(arrivals, input->data, size);
		input->data += size;
		input->size -= size;
	}
	arrival_fix_checksums(arrival->octets, arrival->size, (flags & RIGHT_NETWORK) != 0,
			      (flags & RIGHT_TRANSPORT) != 0);
	arrival->key.outer_source = (flags & OTHER_SOURCE) != 0;
	arrival->key.outer_vni = (flags & OTHER_VNI) != 0;
	arrival->key.outer_tos = (flags & OTHER_TOS) != 0;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arrivals arrivals;
	struct input input = {data, size};
	struct packet_pool *pool = packet_pool_new(4 * FRAMES_MAX, take(&input) % 16);
	struct packet_list list;

	require(pool != NULL);
	while (input.size > 0 && arrivals.count < FRAMES_MAX && read_record(&arrivals, &input))
		continue;
	if (arrivals_coalesce(&arrivals, pool, &list)) {
		require(arrivals_check(&arrivals, pool, &list) == NULL);
	} else {
		struct packet *packet;

		while ((packet = packet_list_pop(&list)) != NULL)
			packet_free(pool, packet);
	}
	arrivals_clear(&arrivals);
	require(packet_pool_in_use(pool) == 0);
	packet_pool_free(pool);
	return 0;
}
