/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/packet.h"

#include <assert.h>
#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BUFFER_STRIDE ((uint32_t)sizeof(struct packet_buffer))
#define COPY_WHOLE    512u /* a head up to this is cheaper to copy than to share */
#define COPY_LEAST    128u /* octets that a copy has of its own in any case */

static_assert(sizeof(struct packet) + PACKET_HEADROOM + 1518 <= PACKET_OBJECT_SIZE,
	      "a head holds every frame of the usual size");
static_assert(PACKET_OBJECT_SIZE % PACKET_CACHE_LINE == 0, "objects begin with a cache line");
static_assert(offsetof(struct packet, segment) == PACKET_CACHE_LINE,
	      "the first cache line is for what ports and parse write");
static_assert(offsetof(struct packet, slices) <= 2 * PACKET_CACHE_LINE,
	      "without slices two cache lines do");

/*
 * Objects lie side by side in one mapping each for packets and for buffers. Those that were in use
 * before are taken first, last in first out, because these are in the cache: packets from a stack,
 * so that taking one does not wait for another to be read, and buffers from a list. The rest, from
 * *_fresh on, has never been touched and takes no memory. Under AddressSanitizer, what is free is
 * poisoned.
 */
struct packet_pool {
	struct packet **packets_free;
	uint32_t packets_free_count;
	struct packet_buffer *buffers_free;
	uint32_t buffers_free_count;
	uint8_t *packets, *buffers;
	uint32_t packets_fresh, buffers_fresh;
	uint32_t packets_max, buffers_max;
};

static void *reserve(uint64_t size)
{
	void *memory;

	if (size == 0)
		return NULL;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return memory;
	/* Of large pages fewer must be found. Where there are none, nothing happens. */
	madvise(memory, size, MADV_HUGEPAGE);
	ASAN_POISON_MEMORY_REGION(memory, size);
	return memory;
}

static void unreserve(void *memory, uint64_t size)
{
	if (memory == NULL || memory == MAP_FAILED)
		return;
	ASAN_UNPOISON_MEMORY_REGION(memory, size);
	munmap(memory, size);
}

struct packet_pool *packet_pool_new(uint32_t packet_max, uint32_t buffer_max)
{
	struct packet_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->packets_max = packet_max;
	pool->buffers_max = buffer_max;
	pool->packets_free = malloc(((size_t)packet_max + 1) * sizeof(struct packet *));
	pool->packets = reserve((uint64_t)packet_max * PACKET_OBJECT_SIZE);
	pool->buffers = reserve((uint64_t)buffer_max * BUFFER_STRIDE);
	if (pool->packets_free == NULL || pool->packets == MAP_FAILED ||
	    pool->buffers == MAP_FAILED) {
		packet_pool_free(pool);
		return NULL;
	}
	return pool;
}

void packet_pool_free(struct packet_pool *pool)
{
	if (pool == NULL)
		return;
	unreserve(pool->packets, (uint64_t)pool->packets_max * PACKET_OBJECT_SIZE);
	unreserve(pool->buffers, (uint64_t)pool->buffers_max * BUFFER_STRIDE);
	free(pool->packets_free);
	free(pool);
}

uint32_t packet_pool_in_use(const struct packet_pool *pool)
{
	return pool->packets_fresh - pool->packets_free_count + pool->buffers_fresh -
	       pool->buffers_free_count;
}

/* Puts a packet that was never used on the empty stack. Returns whether there is one. */
static bool pool_grow(struct packet_pool *pool)
{
	if (pool->packets_fresh == pool->packets_max)
		return false;
	pool->packets_free[pool->packets_free_count++] =
		(void *)(pool->packets + (uint64_t)pool->packets_fresh++ * PACKET_OBJECT_SIZE);
	return true;
}

/* Returns an object whose octets are undefined, or NULL. */
static inline struct packet *packet_take(struct packet_pool *pool)
{
	struct packet *packet;

	if (pool->packets_free_count == 0 && !pool_grow(pool))
		return NULL;
	packet = pool->packets_free[--pool->packets_free_count];
	ASAN_UNPOISON_MEMORY_REGION(packet, PACKET_OBJECT_SIZE);
	return packet;
}

/* Drops one reference. With the last one the packet goes to *place; returns the place behind. */
static inline struct packet **packet_release(struct packet *packet, struct packet **place)
{
	assert(packet->references > 0);
	if (--packet->references > 0)
		return place;
	ASAN_POISON_MEMORY_REGION(packet, PACKET_OBJECT_SIZE);
	*place = packet;
	return place + 1;
}

struct packet *packet_new(struct packet_pool *pool)
{
	struct packet *packet = packet_take(pool);

	if (packet == NULL)
		return NULL;
	memset(packet, 0, offsetof(struct packet, segment));
	packet->data = packet->storage + PACKET_HEADROOM;
	packet->references = 1;
	return packet;
}

static struct packet **release_slices(struct packet_pool *pool, struct packet *packet,
				      struct packet **place)
{
	for (unsigned i = 0; i < packet->slice_count; i++) {
		if (packet->slices[i].owner_packet != NULL)
			place = packet_release(packet->slices[i].owner_packet, place);
		else
			packet_buffer_release(pool, packet->slices[i].owner_buffer);
	}
	/* Others may refer to the head for long, but to nothing behind it through this packet. */
	packet->slice_count = 0;
	return place;
}

void packet_free(struct packet_pool *pool, struct packet *packet)
{
	if (packet != NULL)
		packet_free_all(pool, &packet, 1);
}

void packet_free_all(struct packet_pool *pool, struct packet *const *packets, unsigned count)
{
	struct packet **place = pool->packets_free + pool->packets_free_count;

	for (unsigned i = 0; i < count; i++) {
		if (packets[i]->slice_count > 0)
			place = release_slices(pool, packets[i], place);
		place = packet_release(packets[i], place);
	}
	pool->packets_free_count = (uint32_t)(place - pool->packets_free);
}

size_t packet_tailroom(const struct packet *packet)
{
	return (size_t)((const uint8_t *)packet + PACKET_OBJECT_SIZE -
			(packet->data + packet->head_size));
}

struct packet_buffer *packet_buffer_new(struct packet_pool *pool)
{
	struct packet_buffer *buffer = pool->buffers_free;

	if (buffer != NULL) {
		ASAN_UNPOISON_MEMORY_REGION(buffer, BUFFER_STRIDE);
		pool->buffers_free = buffer->next;
		pool->buffers_free_count--;
	} else if (pool->buffers_fresh < pool->buffers_max) {
		buffer = (void *)(pool->buffers + (uint64_t)pool->buffers_fresh++ * BUFFER_STRIDE);
		ASAN_UNPOISON_MEMORY_REGION(buffer, BUFFER_STRIDE);
	} else {
		return NULL;
	}
	buffer->references = 1;
	buffer->give_back = NULL;
	return buffer;
}

void packet_buffer_release(struct packet_pool *pool, struct packet_buffer *buffer)
{
	if (buffer == NULL)
		return;
	assert(buffer->references > 0);
	if (--buffer->references > 0)
		return;
	if (buffer->give_back != NULL) {
		buffer->give_back(buffer);
		return;
	}
	buffer->next = pool->buffers_free;
	pool->buffers_free = buffer;
	pool->buffers_free_count++;
	ASAN_POISON_MEMORY_REGION(buffer, BUFFER_STRIDE);
}

void packet_attach(struct packet *packet, struct packet_buffer *buffer, uint32_t offset,
		   uint32_t size)
{
	packet_attach_foreign(packet, buffer, buffer->data + offset, size);
}

void packet_attach_foreign(struct packet *packet, struct packet_buffer *buffer, const void *data,
			   uint32_t size)
{
	assert(packet->slice_count < PACKET_SLICES);
	packet->slices[packet->slice_count++] =
		(struct packet_slice){.owner_buffer = buffer, .data = data, .size = size};
	packet->size += size;
}

struct packet *packet_new_from(struct packet_pool *pool, const struct packet *packet,
			       uint16_t head_size)
{
	struct packet *copy = packet_take(pool);

	if (copy == NULL)
		return NULL;
	memcpy(copy, packet, offsetof(struct packet, slices));
	copy->data = copy->storage + (packet->data - packet->storage);
	memcpy(copy->data, packet->data, head_size);
	copy->size = head_size;
	copy->head_size = head_size;
	copy->slice_count = 0;
	copy->next = NULL;
	copy->references = 1;
	return copy;
}

/* Returns how many octets of the head a copy must have of its own. */
static uint16_t clone_head_size(const struct packet *packet)
{
	uint32_t size = COPY_LEAST;

	/* The rest of the head takes a slice of its own. */
	if (packet->head_size <= COPY_WHOLE || packet->slice_count == PACKET_SLICES)
		return packet->head_size;
	if (size < packet->payload_offset)
		size = packet->payload_offset;
	if (packet->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		uint32_t end = packet->offload.csum_start + packet->offload.csum_offset + 2u;

		if (size < end)
			size = end;
	}
	return size < packet->head_size ? (uint16_t)size : packet->head_size;
}

struct packet *packet_clone(struct packet_pool *pool, struct packet *packet)
{
	uint16_t head_size = clone_head_size(packet);
	struct packet *copy = packet_new_from(pool, packet, head_size);

	if (copy != NULL && packet->size > head_size) {
		int error = packet_share(copy, packet, head_size, packet->size - head_size);

		assert(error == 0);
		(void)error;
	}
	return copy;
}

int packet_share(struct packet *to, struct packet *from, uint32_t offset, uint32_t size)
{
	struct packet_slice parts[1 + PACKET_SLICES];
	uint32_t begin = 0, left = size;
	unsigned count = 0;

	for (unsigned i = 0; i <= from->slice_count && left > 0; i++) {
		struct packet_slice part = {
			.owner_packet = from, .data = from->data, .size = from->head_size};
		uint32_t skip;

		if (i > 0)
			part = from->slices[i - 1];
		skip = offset > begin ? offset - begin : 0;
		begin += part.size;
		if (skip >= part.size)
			continue;
		part.data += skip;
		part.size -= skip;
		if (part.size > left)
			part.size = left;
		left -= part.size;
		parts[count++] = part;
	}
	if (left > 0)
		return -EINVAL;
	if (to->slice_count + count > PACKET_SLICES)
		return -ENOBUFS;
	for (unsigned i = 0; i < count; i++) {
		if (parts[i].owner_packet != NULL)
			parts[i].owner_packet->references++;
		else
			parts[i].owner_buffer->references++;
		to->slices[to->slice_count++] = parts[i];
	}
	to->size += size;
	return 0;
}

uint32_t packet_read(const struct packet *packet, uint32_t offset, void *buffer, uint32_t size)
{
	uint32_t begin = 0, done = 0;

	for (unsigned i = 0; i <= packet->slice_count && done < size; i++) {
		const uint8_t *data = i == 0 ? packet->data : packet->slices[i - 1].data;
		uint32_t here = i == 0 ? packet->head_size : packet->slices[i - 1].size;
		uint32_t skip = offset > begin ? offset - begin : 0, part;

		begin += here;
		if (skip >= here)
			continue;
		part = here - skip;
		if (part > size - done)
			part = size - done;
		memcpy((uint8_t *)buffer + done, data + skip, part);
		done += part;
	}
	return done;
}
