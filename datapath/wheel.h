/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_WHEEL_H
#define VSWITCH_DATAPATH_WHEEL_H

/*
 * A timing wheel: which of many entries is due first. An entry is an index
 * below the wheel's capacity and is in the wheel at most once; what it stands
 * for and when exactly it is due is the caller's. A wheel belongs to one
 * worker (the shaper has one for each kind of gate); nothing here is shared.
 *
 * How this works. Time is cut into ticks of WHEEL_TICK_NS; the next
 * WHEEL_SLOTS ticks have a slot each, a first-in first-out ring of entries
 * linked by index. Two levels of bitmaps (64 words of 64 bits, and one word
 * that says which of these are not zero) find the first slot that holds
 * something. Every call is O(1) in the number of entries.
 *
 * - An entry goes to the first tick that begins at or after its time, so that
 *   whatever is popped is due, at most one tick late, and no wake-up comes
 *   early. Entries of one tick share a wake-up.
 * - An entry whose time has come already goes to the back of the present tick:
 *   what is put back after its turn comes after everything else that is due.
 * - An entry beyond the horizon goes to the last slot and is popped there,
 *   early: the caller looks whether it is due and puts it back if it is not.
 * - No time is kept with an entry, and memory that no entry used is not
 *   touched: an entry costs eight octets.
 */

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_TICK_NS 8192ull
#define WHEEL_SLOTS   4096u
#define WHEEL_NONE    UINT32_MAX

struct wheel;

/* Makes an empty wheel for entries 0 … capacity - 1. Returns NULL when out of memory. */
struct wheel *wheel_new(uint32_t capacity);
void wheel_free(struct wheel *wheel);

/* Puts an entry, which is not in the wheel, in for time; both times in nanoseconds. */
void wheel_insert(struct wheel *wheel, uint32_t index, uint64_t time, uint64_t now);
/* Takes the entry out; one that is not there is accepted. */
void wheel_remove(struct wheel *wheel, uint32_t index);
bool wheel_contains(const struct wheel *wheel, uint32_t index);

/* The first time at which wheel_pop() returns something; UINT64_MAX: the wheel is empty. */
uint64_t wheel_next(const struct wheel *wheel);
/* Takes out the entry that is due first, or returns WHEEL_NONE when none is due at now. */
uint32_t wheel_pop(struct wheel *wheel, uint64_t now);

/* Makes every entry due at once, in the order of their slots. */
void wheel_expire(struct wheel *wheel);

#endif
