/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/wheel.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#define WORDS 64u
static_assert(WORDS * 64u == WHEEL_SLOTS, "two levels of bitmaps cover the slots");

/*
 * Rings are doubly linked by position in links[]: 0 is no position, so that untouched memory means
 * "not in the wheel"; 1 … WHEEL_SLOTS are the slots' ring heads; entries follow.
 */
struct link {
	uint32_t next, previous;
};

struct wheel {
	uint64_t base; /* the tick of the earliest slot; all entries are in base … base +
			  WHEEL_SLOTS - 1 */
	uint32_t count;
	uint64_t summary; /* bit w: words[w] is not zero */
	uint64_t words[WORDS];
	struct link links[];
};

static uint32_t slot_head(uint64_t tick)
{
	return 1 + (uint32_t)(tick % WHEEL_SLOTS);
}

static uint32_t entry_position(uint32_t index)
{
	return 1 + WHEEL_SLOTS + index;
}

static void mark_used(struct wheel *wheel, uint32_t slot)
{
	wheel->words[slot / 64] |= 1ull << slot % 64;
	wheel->summary |= 1ull << slot / 64;
}

static void mark_empty(struct wheel *wheel, uint32_t slot)
{
	wheel->words[slot / 64] &= ~(1ull << slot % 64);
	if (wheel->words[slot / 64] == 0)
		wheel->summary &= ~(1ull << slot / 64);
}

/* The tick of the first slot in use; the wheel must not be empty. */
static uint64_t first_tick(const struct wheel *wheel)
{
	uint32_t base = (uint32_t)(wheel->base % WHEEL_SLOTS);
	uint32_t word = base / 64, slot;
	uint64_t bits = wheel->words[word] & ~0ull << base % 64;

	if (bits == 0) {
		/* The words behind base's, or else round the end up to base's own lower half. */
		uint64_t later = word == WORDS - 1 ? 0 : wheel->summary & ~0ull << (word + 1);

		word = (uint32_t)__builtin_ctzll(later != 0 ? later : wheel->summary);
		bits = wheel->words[word];
	}
	slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
	return wheel->base + (slot - base) % WHEEL_SLOTS;
}

static void unlink_entry(struct wheel *wheel, uint32_t position)
{
	struct link *link = &wheel->links[position];

	wheel->links[link->previous].next = link->next;
	wheel->links[link->next].previous = link->previous;
	if (link->next == link->previous && link->next <= WHEEL_SLOTS)
		mark_empty(wheel, link->next - 1);
	link->next = link->previous = 0;
	wheel->count--;
}

struct wheel *wheel_new(uint32_t capacity)
{
	/* As large as this is, calloc() maps it and the kernel fills pages as they are touched. */
	struct wheel *wheel = calloc(1, sizeof(*wheel) + (1 + WHEEL_SLOTS + (size_t)capacity) *
								 sizeof(wheel->links[0]));

	if (wheel == NULL)
		return NULL;
	for (uint32_t head = 1; head <= WHEEL_SLOTS; head++)
		wheel->links[head].next = wheel->links[head].previous = head;
	return wheel;
}

void wheel_free(struct wheel *wheel)
{
	free(wheel);
}

void wheel_insert(struct wheel *wheel, uint32_t index, uint64_t time, uint64_t now)
{
	uint64_t current = now / WHEEL_TICK_NS, tick;
	uint32_t position = entry_position(index), head, last;

	assert(!wheel_contains(wheel, index));
	if (wheel->count == 0)
		wheel->base = current;
	tick = time <= now ? current : time / WHEEL_TICK_NS + (time % WHEEL_TICK_NS != 0);
	if (tick < wheel->base)
		tick = wheel->base;
	else if (tick - wheel->base >= WHEEL_SLOTS)
		tick = wheel->base + WHEEL_SLOTS - 1;
	head = slot_head(tick);
	last = wheel->links[head].previous;
	wheel->links[position] = (struct link){.next = head, .previous = last};
	wheel->links[last].next = position;
	wheel->links[head].previous = position;
	mark_used(wheel, head - 1);
	wheel->count++;
}

void wheel_remove(struct wheel *wheel, uint32_t index)
{
	if (wheel_contains(wheel, index))
		unlink_entry(wheel, entry_position(index));
}

bool wheel_contains(const struct wheel *wheel, uint32_t index)
{
	return wheel->links[entry_position(index)].next != 0;
}

uint64_t wheel_next(const struct wheel *wheel)
{
	return wheel->count == 0 ? UINT64_MAX : first_tick(wheel) * WHEEL_TICK_NS;
}

uint32_t wheel_pop(struct wheel *wheel, uint64_t now)
{
	uint64_t current = now / WHEEL_TICK_NS, tick;
	uint32_t position;

	if (wheel->count == 0)
		return WHEEL_NONE;
	if (current >= wheel->base + WHEEL_SLOTS) {
		/* All are due, and what is put back must not go where time has passed by. */
		wheel_expire(wheel);
		wheel->base = current - (current - wheel->base) % WHEEL_SLOTS;
	}
	tick = first_tick(wheel);
	if (tick > current) {
		/* Everything before is empty: the horizon moves on. */
		if (current > wheel->base)
			wheel->base = current;
		return WHEEL_NONE;
	}
	wheel->base = tick;
	position = wheel->links[slot_head(tick)].next;
	unlink_entry(wheel, position);
	return position - entry_position(0);
}

void wheel_expire(struct wheel *wheel)
{
	uint32_t to = slot_head(wheel->base);

	if (wheel->count == 0)
		return;
	for (uint64_t tick = wheel->base + 1; tick < wheel->base + WHEEL_SLOTS; tick++) {
		uint32_t from = slot_head(tick);
		struct link ring = wheel->links[from];

		if (ring.next == from)
			continue;
		wheel->links[ring.next].previous = wheel->links[to].previous;
		wheel->links[wheel->links[to].previous].next = ring.next;
		wheel->links[ring.previous].next = to;
		wheel->links[to].previous = ring.previous;
		wheel->links[from] = (struct link){.next = from, .previous = from};
		mark_empty(wheel, from - 1);
	}
	mark_used(wheel, to - 1);
}
