/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/offload/coalesce.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "datapath/offload/checksum.h"
#include "datapath/vlan.h"

#define IPV4_HEADER_SIZE   20u
#define IPV4_FRAGMENT_MASK 0x3fff /* more fragments, and the offset */
#define IPV6_HEADER_SIZE   40u
#define TCP_HEADER_SIZE	   20u
#define TCP_CHECKSUM	   16u
#define TCP_FLAGS	   13u
#define TCP_FLAG_ACK	   0x10
#define TCP_FLAG_ECE	   0x40
#define TCP_FLAG_CWR	   0x80
#define TCP_FLAGS_LAST	   0x09 /* FIN and PSH */
#define UDP_HEADER_SIZE	   8u
#define UDP_CHECKSUM	   6u
#define UDP_FRAMES_MAX	   64u /* as many as the kernel puts together or lets a socket send */

#define SMALLEST_FRAME (ETH_HLEN + IPV4_HEADER_SIZE + UDP_HEADER_SIZE)
#define L3_SIZE_MAX    65535u
#define WORD	       ((uint32_t)sizeof(uint64_t))

/* Offsets from the frame's beginning. */
struct headers {
	uint32_t l3, l4, payload;
	uint32_t end; /* where the IP packet says that it ends */
	uint8_t protocol;
	bool ipv6;
};

static struct coalesce_run *find_run(struct coalesce *coalesce, const struct coalesce_key *key,
				     const uint8_t *frame, uint32_t size);
static bool continues(const struct coalesce_run *run, const uint8_t *frame, uint32_t size);
static bool take_payload(struct coalesce_run *run, struct packet_pool *pool, const uint8_t *frame,
			 uint32_t size);
static bool verify_first(struct coalesce_run *run);
static void close_run(struct coalesce *coalesce, struct coalesce_run *run);
static struct coalesce_run *free_run(struct coalesce *coalesce);
static bool find_headers(const uint8_t *frame, uint32_t size, struct headers *headers);
static bool can_be_first(const struct packet *packet, const struct headers *headers);
static void want_headers(struct coalesce_run *run, const uint8_t *frame);

static inline uint32_t load_be16(const uint8_t *octets)
{
	return (uint32_t)octets[0] << 8 | octets[1];
}

static inline uint32_t load_be32(const uint8_t *octets)
{
	return load_be16(octets) << 16 | load_be16(octets + 2);
}

static inline void store_be16(uint8_t *octets, uint32_t value)
{
	octets[0] = (uint8_t)(value >> 8);
	octets[1] = (uint8_t)value;
}

static inline void touch(struct coalesce *coalesce, const struct coalesce_run *run)
{
	coalesce->recent = (uint32_t)(run - coalesce->runs);
	coalesce->used[coalesce->recent] = ++coalesce->calls;
}

bool coalesce_append(struct coalesce *coalesce, struct packet_pool *pool,
		     const struct coalesce_key *key, const uint8_t *frame, uint32_t size)
{
	struct coalesce_run *run;

	if (coalesce->open == 0)
		return false;
	coalesce->pool = pool;
	run = find_run(coalesce, key, frame, size);
	if (run == NULL)
		return false;
	if (!continues(run, frame, size) || (run->frame_count == 1 && !verify_first(run)) ||
	    !take_payload(run, pool, frame, size)) {
		close_run(coalesce, run);
		return false;
	}
	touch(coalesce, run);
	if (run->ends)
		close_run(coalesce, run);
	return true;
}

void coalesce_open(struct coalesce *coalesce, const struct coalesce_key *key, struct packet *packet)
{
	struct coalesce_run *run;
	struct headers headers;

	if (!find_headers(packet->data, packet->head_size, &headers) ||
	    !can_be_first(packet, &headers))
		return;
	run = free_run(coalesce);
	run->packet = packet;
	run->key = *key;
	run->size = 0;
	run->frame_count = 1;
	run->l3_size = packet->size - headers.l3;
	run->l3_offset = (uint16_t)headers.l3;
	run->l4_offset = (uint16_t)headers.l4;
	run->header_size = (uint16_t)headers.payload;
	run->segment_size = (uint16_t)(packet->size - headers.payload);
	run->protocol = headers.protocol;
	run->ipv6 = headers.ipv6;
	run->ends = false;
	want_headers(run, packet->data);
	touch(coalesce, run);
	memcpy(&coalesce->ports[coalesce->recent], packet->data + headers.l4, sizeof(uint32_t));
	coalesce->open |= 1u << coalesce->recent;
}

void coalesce_finish(struct coalesce *coalesce)
{
	while (coalesce->open != 0)
		close_run(coalesce, &coalesce->runs[__builtin_ctz(coalesce->open)]);
}

static inline bool has_wanted(const struct coalesce_run *run, const uint8_t *frame)
{
	uint64_t difference = 0;

	for (uint32_t i = 0; i < run->word_count; i++) {
		uint64_t word;

		memcpy(&word, frame + i * WORD, sizeof(word));
		difference |= (word ^ run->wanted[i]) & run->mask[i];
	}
	return difference == 0;
}

/* Whether the frame has the run's headers, but for what differs from frame to frame. */
static inline bool matches(const struct coalesce_run *run, const struct coalesce_key *key,
			   const uint8_t *frame, uint32_t size)
{
	uint8_t padded[COALESCE_HEADER_WORDS * WORD];

	if (size <= run->header_size || run->key.outer_source != key->outer_source ||
	    run->key.outer_vni != key->outer_vni || run->key.outer_tos != key->outer_tos)
		return false;
	if (size >= run->word_count * WORD)
		return has_wanted(run, frame);
	memset(padded, 0, sizeof(padded));
	memcpy(padded, frame, size);
	return has_wanted(run, padded);
}

/* Whether the frame, with the same ports, is of the run's flow, whatever way it came. */
static bool same_flow(const struct coalesce_run *run, const uint8_t *frame,
		      const struct headers *headers)
{
	const uint8_t *first = run->packet->data;
	uint32_t addresses = run->ipv6 ? 8 : 12, size = run->ipv6 ? 32 : 8;

	return run->protocol == headers->protocol && run->ipv6 == headers->ipv6 &&
	       memcmp(first + run->l3_offset + addresses, frame + headers->l3 + addresses, size) ==
		       0;
}

static void close_between(struct coalesce *coalesce, uint32_t vni, const uint8_t *macs)
{
	for (uint32_t left = coalesce->open; left != 0; left &= left - 1) {
		struct coalesce_run *run = &coalesce->runs[__builtin_ctz(left)];

		if (run->key.outer_vni == vni && memcmp(run->packet->data, macs, 2 * ETH_ALEN) == 0)
			close_run(coalesce, run);
	}
}

/* Returns the open runs whose flows have these ports, as bits. */
static inline uint32_t with_ports(const struct coalesce *coalesce, const uint8_t *layer4)
{
	uint32_t ports, found = 0;

	memcpy(&ports, layer4, sizeof(ports));
	for (uint32_t i = 0; i < COALESCE_RUNS; i++)
		found |= (uint32_t)(coalesce->ports[i] == ports) << i;
	return found & coalesce->open;
}

/*
 * Returns the run whose headers the frame has, or NULL, and ends those that the frame must not be
 * overtaken by: of its flow with other headers, whatever tag it has or peer it came from; or, when
 * no flow can be seen, like that of a fragment, those between its MAC addresses.
 */
static struct coalesce_run *find_run(struct coalesce *coalesce, const struct coalesce_key *key,
				     const uint8_t *frame, uint32_t size)
{
	struct coalesce_run *run = &coalesce->runs[coalesce->recent], *found = NULL;
	struct headers headers;

	if ((coalesce->open >> coalesce->recent & 1) != 0 && matches(run, key, frame, size))
		return run;
	if (!find_headers(frame, size, &headers)) {
		if (size >= 2 * ETH_ALEN)
			close_between(coalesce, key->outer_vni, frame);
		return NULL;
	}
	for (uint32_t left = with_ports(coalesce, frame + headers.l4); left != 0;
	     left &= left - 1) {
		run = &coalesce->runs[__builtin_ctz(left)];
		if (matches(run, key, frame, size))
			found = run;
		else if (run->key.outer_vni == key->outer_vni && same_flow(run, frame, &headers))
			close_run(coalesce, run);
	}
	return found;
}

/* Whether a frame with the run's headers is its next, if its checksums are right. */
static bool continues(const struct coalesce_run *run, const uint8_t *frame, uint32_t size)
{
	const uint8_t *ip = frame + run->l3_offset, *layer4 = frame + run->l4_offset;
	uint32_t payload = size - run->header_size, l3_size = size - run->l3_offset;
	uint32_t frames_max = UINT16_MAX;

	if (run->ipv6) {
		if (load_be16(ip + 4) != l3_size - IPV6_HEADER_SIZE)
			return false;
	} else if (load_be16(ip + 2) != l3_size || load_be16(ip + 4) != run->next_identification) {
		return false;
	}
	if (run->protocol == IPPROTO_TCP) {
		if (load_be32(layer4 + 4) != run->next_sequence)
			return false;
	} else {
		frames_max = UDP_FRAMES_MAX;
		if (load_be16(layer4 + 4) != size - run->l4_offset)
			return false;
	}
	return payload <= run->segment_size && run->l3_size + payload <= L3_SIZE_MAX &&
	       run->frame_count < frames_max;
}

static inline uint16_t ip_checksum(const struct coalesce_run *run, uint32_t l3_size,
				   uint16_t identification)
{
	uint64_t sum = run->ip_sum;

	return (uint16_t)~checksum_fold(sum + htons((uint16_t)l3_size) + htons(identification));
}

/*
 * Whether a checksum that is right is the one that checksum_complete() writes, of the two that
 * one's complement has for zero: TCP writes 0x0000, UDP 0xffff, whose 0x0000 says that there is
 * none.
 */
static inline bool is_as_written(const struct coalesce_run *run, const uint8_t *layer4)
{
	if (run->protocol == IPPROTO_TCP)
		return load_be16(layer4 + TCP_CHECKSUM) != 0xffff;
	return load_be16(layer4 + UDP_CHECKSUM) != 0;
}

/* Verifies the checksums of the packet as it came, and gets the run's sums on the way. */
static bool verify_first(struct coalesce_run *run)
{
	const struct packet *packet = run->packet;
	const uint8_t *ip = packet->data + run->l3_offset;
	uint32_t l4_size = packet->size - run->l4_offset;
	uint16_t checksum;

	run->pseudo_sum = checksum_fold(checksum_pseudo(ip, run->protocol, 0));
	if (!run->ipv6) {
		uint64_t sum = checksum_add(0, ip, 2, false);

		sum = checksum_add(sum, ip + 6, 4, false);
		sum = checksum_add(sum, ip + 12, run->l4_offset - run->l3_offset - 12u, false);
		run->ip_sum = checksum_fold(sum);
		memcpy(&checksum, ip + 10, sizeof(checksum));
		if (checksum != ip_checksum(run, run->l3_size, (uint16_t)load_be16(ip + 4)))
			return false;
	}
	return is_as_written(run, packet->data + run->l4_offset) &&
	       checksum_fold(checksum_packet(packet, run->l4_offset,
					     (uint64_t)run->pseudo_sum +
						     htons((uint16_t)l4_size))) == 0xffff;
}

/* Copies the payload behind what is there, and lets it count if the checksums are right. */
static bool take_payload(struct coalesce_run *run, struct packet_pool *pool, const uint8_t *frame,
			 uint32_t size)
{
	const uint8_t *layer4 = frame + run->l4_offset;
	uint32_t payload = size - run->header_size;
	uint64_t sum = (uint64_t)run->pseudo_sum + htons((uint16_t)(size - run->l4_offset));
	uint16_t checksum;

	memcpy(&checksum, frame + run->l3_offset + 10, sizeof(checksum));
	if (!run->ipv6 &&
	    checksum != ip_checksum(run, size - run->l3_offset, run->next_identification))
		return false;
	if (run->frame_count == 1)
		run->buffer = packet_buffer_new(pool);
	if (run->buffer == NULL)
		return false;
	sum = checksum_add(sum, layer4, run->header_size - run->l4_offset, false);
	sum = checksum_copy(sum, run->buffer->data + run->size, frame + run->header_size, payload,
			    false);
	if (checksum_fold(sum) != 0xffff || !is_as_written(run, layer4)) {
		if (run->frame_count == 1)
			packet_buffer_release(pool, run->buffer);
		return false;
	}
	if (run->frame_count == 1)
		packet_attach(run->packet, run->buffer, 0, 0);
	run->size += payload;
	run->l3_size += payload;
	run->frame_count++;
	run->next_identification++;
	run->next_sequence += payload;
	run->ends = payload < run->segment_size;
	if (run->protocol == IPPROTO_TCP && (layer4[TCP_FLAGS] & TCP_FLAGS_LAST) != 0) {
		run->packet->data[run->l4_offset + TCP_FLAGS] |= layer4[TCP_FLAGS];
		run->ends = true;
	}
	return true;
}

/*
 * Gives a packet its payload. What is little goes into the head: a packet that waits would keep a
 * large buffer for it, and one tenant's queue of such packets all that the worker has.
 */
static void finish_payload(struct packet_pool *pool, const struct coalesce_run *run)
{
	struct packet *packet = run->packet;

	packet->size += run->size;
	if (packet->slice_count > 1 || run->size > packet_tailroom(packet)) {
		packet->slices[packet->slice_count - 1].size = run->size;
		return;
	}
	memcpy(packet->data + packet->head_size, run->buffer->data, run->size);
	packet->head_size = (uint16_t)(packet->head_size + run->size);
	packet->slice_count = 0;
	packet_buffer_release(pool, run->buffer);
}

/* Makes a packet with its payload a super-packet. */
static void finish_packet(struct packet_pool *pool, const struct coalesce_run *run)
{
	struct packet *packet = run->packet;
	uint8_t *ip = packet->data + run->l3_offset, *layer4 = packet->data + run->l4_offset;
	uint32_t l4_size = run->l3_size - (run->l4_offset - run->l3_offset);
	uint16_t checksum;

	finish_payload(pool, run);
	packet->offload = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.hdr_len = run->header_size,
		.gso_size = run->segment_size,
		.csum_start = run->l4_offset,
		.csum_offset = run->protocol == IPPROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM,
	};
	if (run->ipv6) {
		store_be16(ip + 4, run->l3_size - IPV6_HEADER_SIZE);
	} else {
		store_be16(ip + 2, run->l3_size);
		checksum = ip_checksum(run, run->l3_size, (uint16_t)load_be16(ip + 4));
		memcpy(ip + 10, &checksum, sizeof(checksum));
	}
	if (run->protocol == IPPROTO_TCP) {
		packet->offload.gso_type =
			run->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		if ((layer4[TCP_FLAGS] & TCP_FLAG_CWR) != 0)
			packet->offload.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	} else {
		packet->offload.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
		store_be16(layer4 + 4, l4_size);
	}
	checksum = checksum_fold((uint64_t)run->pseudo_sum + htons((uint16_t)l4_size));
	memcpy(layer4 + packet->offload.csum_offset, &checksum, sizeof(checksum));
}

static void close_run(struct coalesce *coalesce, struct coalesce_run *run)
{
	coalesce->open &= ~(1u << (run - coalesce->runs));
	if (run->frame_count > 1)
		finish_packet(coalesce->pool, run);
}

/* Returns a run that is not in use, if need be the one that has waited longest. */
static struct coalesce_run *free_run(struct coalesce *coalesce)
{
	uint32_t longest = 0;

	if (coalesce->open != (1u << COALESCE_RUNS) - 1)
		return &coalesce->runs[__builtin_ctz(~coalesce->open)];
	for (uint32_t i = 1; i < COALESCE_RUNS; i++)
		longest = coalesce->used[i] < coalesce->used[longest] ? i : longest;
	close_run(coalesce, &coalesce->runs[longest]);
	return &coalesce->runs[longest];
}

/* Returns false for what is not a TCP or UDP header behind IP, in the first `size` octets. */
static bool find_headers(const uint8_t *frame, uint32_t size, struct headers *headers)
{
	uint32_t type, header = UDP_HEADER_SIZE;
	const uint8_t *ip;

	if (size < SMALLEST_FRAME)
		return false;
	type = load_be16(frame + 2 * ETH_ALEN);
	headers->l3 = ETH_HLEN;
	if (vlan_is_tpid((uint16_t)type)) {
		type = load_be16(frame + 2 * ETH_ALEN + VLAN_TAG_SIZE);
		headers->l3 += VLAN_TAG_SIZE;
	}
	ip = frame + headers->l3;
	headers->ipv6 = type == ETH_P_IPV6;
	if (headers->ipv6) {
		if (ip[0] >> 4 != 6)
			return false;
		headers->protocol = ip[6];
		headers->l4 = headers->l3 + IPV6_HEADER_SIZE;
		headers->end = headers->l4 + load_be16(ip + 4);
	} else {
		if (type != ETH_P_IP || ip[0] >> 4 != 4 ||
		    (load_be16(ip + 6) & IPV4_FRAGMENT_MASK) != 0)
			return false;
		headers->protocol = ip[9];
		headers->l4 = headers->l3 + (ip[0] & 0xf) * 4u;
		headers->end = headers->l3 + load_be16(ip + 2);
		if (headers->l4 < headers->l3 + IPV4_HEADER_SIZE)
			return false;
	}
	if (headers->protocol == IPPROTO_TCP && size >= headers->l4 + TCP_HEADER_SIZE) {
		header = (frame[headers->l4 + 12] >> 4) * 4u;
		if (header < TCP_HEADER_SIZE)
			return false;
	} else if (headers->protocol != IPPROTO_UDP) {
		return false;
	}
	headers->payload = headers->l4 + header;
	return headers->payload <= size;
}

/* Whether more frames can be put behind this one. Checksums are verified when the second comes. */
static bool can_be_first(const struct packet *packet, const struct headers *headers)
{
	const uint8_t *layer4 = packet->data + headers->l4;

	if (headers->end != packet->size || headers->payload == headers->end ||
	    packet->slice_count == PACKET_SLICES)
		return false;
	if (headers->protocol == IPPROTO_TCP)
		return (layer4[TCP_FLAGS] & ~(TCP_FLAG_ECE | TCP_FLAG_CWR)) == TCP_FLAG_ACK;
	return load_be16(layer4 + 4) == headers->end - headers->l4 &&
	       load_be16(layer4 + UDP_CHECKSUM) != 0;
}

/* Sets what the frame after the first has to look like. */
static void want_headers(struct coalesce_run *run, const uint8_t *frame)
{
	uint8_t *wanted = (uint8_t *)run->wanted, *mask = (uint8_t *)run->mask;
	uint32_t l3 = run->l3_offset, l4 = run->l4_offset;

	run->word_count = (uint8_t)((run->header_size + WORD - 1) / WORD);
	run->mask[run->word_count - 1] = 0;
	memset(mask, 0xff, run->header_size);
	memcpy(wanted, frame, run->header_size);
	if (run->ipv6) {
		memset(mask + l3 + 4, 0, 2);
	} else {
		run->next_identification = (uint16_t)(load_be16(frame + l3 + 4) + 1);
		memset(mask + l3 + 2, 0, 4);
		memset(mask + l3 + 10, 0, 2);
	}
	if (run->protocol == IPPROTO_TCP) {
		run->next_sequence = load_be32(frame + l4 + 4) + run->segment_size;
		memset(mask + l4 + 4, 0, 4);
		memset(mask + l4 + TCP_CHECKSUM, 0, 2);
		mask[l4 + TCP_FLAGS] = (uint8_t)~TCP_FLAGS_LAST;
		wanted[l4 + TCP_FLAGS] &= (uint8_t)~TCP_FLAG_CWR;
	} else {
		memset(mask + l4 + 4, 0, 4);
	}
}
