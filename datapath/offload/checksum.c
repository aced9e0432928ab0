/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/offload/checksum.h"

#include <netinet/in.h>
#include <string.h>

/* Adds with end-around carry: sums modulo 2^64 - 1 fold to sums modulo 2^16 - 1. */
static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

static inline uint64_t load(const uint8_t *octets)
{
	uint64_t word;

	memcpy(&word, octets, sizeof(word));
	return word;
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t size, bool odd)
{
	const uint8_t *octets = data;
	uint64_t a = 0, b = 0, c = 0, d = 0, tail = 0;

	/* Four chains, since an addition with carry waits for the one before. */
	for (; size >= 32; octets += 32, size -= 32) {
		a = add_carry(a, load(octets));
		b = add_carry(b, load(octets + 8));
		c = add_carry(c, load(octets + 16));
		d = add_carry(d, load(octets + 24));
	}
	for (; size >= 8; octets += 8, size -= 8)
		a = add_carry(a, load(octets));
	memcpy(&tail, octets, size);
	a = add_carry(add_carry(add_carry(a, b), add_carry(c, d)), tail);
	/* Swapped octets give the swapped sum (RFC 1071, section 2(B)). */
	if (odd)
		a = a << 8 | a >> 56;
	return add_carry(sum, a);
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	/* At most 0x1fffe: no carry is left. */
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

uint64_t checksum_packet(const struct packet *packet, uint32_t offset, uint64_t sum)
{
	uint32_t begin = 0, done = 0;

	for (unsigned i = 0; i <= packet->slice_count; i++) {
		const uint8_t *data = i == 0 ? packet->data : packet->slices[i - 1].data;
		uint32_t size = i == 0 ? packet->head_size : packet->slices[i - 1].size;
		uint32_t skip = offset > begin ? offset - begin : 0;

		begin += size;
		if (skip >= size)
			continue;
		sum = checksum_add(sum, data + skip, size - skip, done & 1);
		done += size - skip;
	}
	return sum;
}

void checksum_complete(struct packet *packet)
{
	uint32_t start = packet->offload.csum_start;
	uint8_t *field = packet->data + start + packet->offload.csum_offset;
	uint16_t checksum;

	if ((packet->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0)
		return;
	checksum = (uint16_t)~checksum_fold(checksum_packet(packet, start, 0));
	/* 0 says that there is none (RFC 768); an inner field of a tunnel may be UDP's as well. */
	if (checksum == 0 && packet->ip_protocol != IPPROTO_TCP)
		checksum = 0xffff;
	memcpy(field, &checksum, sizeof(checksum));
	packet->offload.flags &= (uint8_t)~VIRTIO_NET_HDR_F_NEEDS_CSUM;
	packet->offload.csum_start = 0;
	packet->offload.csum_offset = 0;
}
