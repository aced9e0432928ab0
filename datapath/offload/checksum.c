/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/offload/checksum.h"

#include <netinet/in.h>
#include <string.h>

#define LANES 2u

/* What SSE2 and NEON, which every machine of theirs has, add at once. */
typedef uint64_t lanes __attribute__((vector_size(LANES * sizeof(uint64_t))));

/* Adds with end-around carry: sums modulo 2^64 - 1 fold to sums modulo 2^16 - 1. */
static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

/* Less than 8 octets: a variable memcpy() would cost more than all of these. */
static inline uint64_t add_tail(uint8_t *to, const uint8_t *from, size_t size, uint64_t sum)
{
	uint32_t word;
	uint16_t half = 0;
	size_t at = 0;

	if (size & 4) {
		memcpy(&word, from, sizeof(word));
		if (to != NULL)
			memcpy(to, &word, sizeof(word));
		sum = add_carry(sum, word);
		at = 4;
	}
	if (size & 2) {
		memcpy(&half, from + at, sizeof(half));
		if (to != NULL)
			memcpy(to + at, &half, sizeof(half));
		sum = add_carry(sum, half);
		at += 2;
	}
	if (size & 1) {
		half = 0;
		memcpy(&half, from + at, 1);
		if (to != NULL)
			to[at] = from[at];
		sum = add_carry(sum, half);
	}
	return sum;
}

/*
 * Sums octets from an even place on, and copies them to `to` unless that is NULL.
 *
 * How this works: lanes of 64 bits lose their carries, so that what is above 32 bits is summed on
 * its own as well, where no carry can be lost. The sum of what is below is what both differ by,
 * and has no carry to lose either. That is a shift and two additions for 16 octets; two chains of
 * them keep the additions from waiting for each other.
 */
static inline __attribute__((always_inline)) uint64_t sum_octets(uint8_t *to, const uint8_t *from,
								 size_t size)
{
	lanes all_a = {0}, all_b = {0}, high_a = {0}, high_b = {0};
	uint64_t sum = 0;
	size_t at = 0;

	for (; size - at >= 2 * sizeof(lanes); at += 2 * sizeof(lanes)) {
		lanes a, b;

		memcpy(&a, from + at, sizeof(a));
		memcpy(&b, from + at + sizeof(a), sizeof(b));
		if (to != NULL) {
			memcpy(to + at, &a, sizeof(a));
			memcpy(to + at + sizeof(a), &b, sizeof(b));
		}
		all_a += a;
		all_b += b;
		high_a += a >> 32;
		high_b += b >> 32;
	}
	high_a += high_b;
	all_a += all_b - (high_a << 32);
	for (unsigned i = 0; i < LANES; i++) {
		sum = add_carry(sum, all_a[i]);
		/* Times 2^32, modulo 2^64 - 1. */
		sum = add_carry(sum, high_a[i] << 32 | high_a[i] >> 32);
	}
	for (; size - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, from + at, sizeof(word));
		if (to != NULL)
			memcpy(to + at, &word, sizeof(word));
		sum = add_carry(sum, word);
	}
	return add_tail(to == NULL ? NULL : to + at, from + at, size - at, sum);
}

/* Swapped octets give the swapped sum (RFC 1071, section 2(B)). */
static inline uint64_t add_part(uint64_t sum, uint64_t part, bool odd)
{
	return add_carry(sum, odd ? part << 8 | part >> 56 : part);
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t size, bool odd)
{
	return add_part(sum, sum_octets(NULL, data, size), odd);
}

uint64_t checksum_copy(uint64_t sum, void *to, const void *from, size_t size, bool odd)
{
	return add_part(sum, sum_octets(to, from, size), odd);
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	/* At most 0x1fffe: no carry is left. */
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

uint64_t checksum_pseudo(const uint8_t *ip, uint8_t protocol, uint32_t size)
{
	uint64_t sum = (uint64_t)htonl(size) + htons(protocol);

	return ip[0] >> 4 == 4 ? checksum_add(sum, ip + 12, 8, false)
			       : checksum_add(sum, ip + 8, 32, false);
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

uint16_t checksum_final(uint64_t sum, uint8_t ip_protocol)
{
	uint16_t checksum = (uint16_t)~checksum_fold(sum);

	/* 0 says that there is none (RFC 768); an inner field of a tunnel may be UDP's as well. */
	return checksum == 0 && ip_protocol != IPPROTO_TCP ? 0xffff : checksum;
}

void checksum_complete(struct packet *packet)
{
	uint32_t start = packet->offload.csum_start;
	uint8_t *field = packet->data + start + packet->offload.csum_offset;
	uint16_t checksum;

	if ((packet->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0)
		return;
	checksum = checksum_final(checksum_packet(packet, start, 0), packet->ip_protocol);
	memcpy(field, &checksum, sizeof(checksum));
	packet->offload.flags &= (uint8_t)~VIRTIO_NET_HDR_F_NEEDS_CSUM;
	packet->offload.csum_start = 0;
	packet->offload.csum_offset = 0;
}
