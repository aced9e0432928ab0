/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_STAGES_FLOW_HASH_H
#define VSWITCH_DATAPATH_STAGES_FLOW_HASH_H

/*
 * The hash of a packet's flow, by which queues, sockets and a guest's rings are chosen. For parse
 * only, which has written ether_type and ip_protocol before; see packet->flow_hash for the others.
 * Any thread.
 */

#include <stdint.h>
#include <string.h>

#include "datapath/packet.h"

/* Odd constants without pattern: the fraction digits of the square roots of 2, 3, 5. */
#define FLOW_HASH_A 0x6a09e667f3bcc909ull
#define FLOW_HASH_B 0xbb67ae8584caa73bull
#define FLOW_HASH_C 0x3c6ef372fe94f82bull

/* Multiplies to 128 bits and folds: every bit of both reaches every bit of the result. */
static inline uint64_t flow_hash_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t flow_hash_tail(const struct packet *packet, uint32_t ports)
{
	return (uint64_t)packet->ether_type << 48 | (uint64_t)packet->ip_protocol << 32 | ports;
}

static inline uint32_t flow_hash_fold(uint64_t hash)
{
	return (uint32_t)(hash ^ hash >> 32);
}

/* Of addresses of 8 octets in all, IPv4's, and of ports as they lie there, or 0. */
static inline uint32_t flow_hash_short(const struct packet *packet, const uint8_t *addresses,
				       uint32_t ports)
{
	uint64_t word;

	memcpy(&word, addresses, sizeof(word));
	return flow_hash_fold(
		flow_hash_mix(word ^ FLOW_HASH_A, flow_hash_tail(packet, ports) ^ FLOW_HASH_B));
}

/* The same of up to 32 octets: IPv6's, and MACs. */
static inline uint32_t flow_hash_long(const struct packet *packet, const uint8_t *addresses,
				      uint32_t size, uint32_t ports)
{
	uint64_t words[4] = {0}, first;

	memcpy(words, addresses, size);
	first = flow_hash_mix(words[0] ^ FLOW_HASH_A, words[1] ^ FLOW_HASH_B);
	first = flow_hash_mix(words[2] ^ first, words[3] ^ FLOW_HASH_A);
	return flow_hash_fold(
		flow_hash_mix(first ^ FLOW_HASH_C, flow_hash_tail(packet, ports) ^ FLOW_HASH_B));
}

#endif
