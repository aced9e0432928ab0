/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "datapath/wheel.h"

#define TICK	WHEEL_TICK_NS
#define HORIZON (TICK * WHEEL_SLOTS)

static uint64_t mix(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void empty_wheel_has_nothing(void **state)
{
	struct wheel *wheel = wheel_new(10);

	(void)state;
	assert_non_null(wheel);
	assert_true(wheel_next(wheel) == UINT64_MAX);
	assert_int_equal(wheel_pop(wheel, UINT64_MAX), WHEEL_NONE);
	for (uint32_t index = 0; index < 10; index++) {
		assert_false(wheel_contains(wheel, index));
		wheel_remove(wheel, index);
	}
	wheel_expire(wheel);
	assert_true(wheel_next(wheel) == UINT64_MAX);
	wheel_free(wheel);
	wheel_free(NULL);
}

/* Whatever the position in the wheel: never early, never more than a tick late. */
static void entry_is_due_at_the_next_tick(void **state)
{
	struct wheel *wheel = wheel_new(1);
	uint64_t random = 88172645463325252ull;

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		uint64_t now = mix(&random) >> (mix(&random) % 40);
		uint64_t time = now + mix(&random) % (HORIZON - 2 * TICK), next;

		if (time < now)
			continue;
		wheel_insert(wheel, 0, time, now);
		next = wheel_next(wheel);
		if (time > now) {
			assert_true(next >= time && next - time < TICK);
			assert_int_equal(wheel_pop(wheel, next - 1), WHEEL_NONE);
		} else {
			assert_true(next <= now);
		}
		assert_int_equal(wheel_pop(wheel, next), 0);
		assert_false(wheel_contains(wheel, 0));
		assert_true(wheel_next(wheel) == UINT64_MAX);
	}
	wheel_free(wheel);
}

static void beyond_the_horizon_is_popped_early(void **state)
{
	struct wheel *wheel = wheel_new(3);
	uint64_t now = 5 * TICK + 17;

	(void)state;
	wheel_insert(wheel, 0, now + 1000 * HORIZON, now);
	wheel_insert(wheel, 1, now + HORIZON + TICK, now);
	wheel_insert(wheel, 2, now + TICK, now);
	assert_int_equal(wheel_next(wheel), 7 * TICK);
	assert_int_equal(wheel_pop(wheel, 7 * TICK), 2);
	assert_int_equal(wheel_next(wheel), (5 + WHEEL_SLOTS - 1) * TICK);
	/* The horizon moved with the pop: this one does not collide with the last slot. */
	wheel_insert(wheel, 2, 7 * TICK + HORIZON - TICK, 7 * TICK);
	assert_int_equal(wheel_pop(wheel, wheel_next(wheel)), 0);
	assert_int_equal(wheel_pop(wheel, wheel_next(wheel)), 1);
	assert_int_equal(wheel_next(wheel), (7 + WHEEL_SLOTS - 1) * TICK);
	assert_int_equal(wheel_pop(wheel, wheel_next(wheel)), 2);
	wheel_free(wheel);
}

/* Who slept through many horizons finds each entry once, and puts it where it belongs. */
static void long_sleep_leaves_no_time_behind(void **state)
{
	struct wheel *wheel = wheel_new(100);
	uint64_t now = 7 * TICK + 5;

	(void)state;
	for (uint32_t index = 0; index < 100; index++)
		wheel_insert(wheel, index, now + index * HORIZON / 50, now);
	for (unsigned sleep = 0; sleep < 3; sleep++) {
		uint64_t later = sleep == 1 ? HORIZON + 1 : 1000000 * HORIZON + 77777777;

		now += later;
		for (uint32_t index = 0; index < 100; index++) {
			uint32_t popped = wheel_pop(wheel, now);

			/* Of those beyond the horizon nothing is known but that they were. */
			assert_int_equal(popped, index);
			wheel_insert(wheel, popped, now + (1 + popped) * HORIZON / 200, now);
		}
		assert_int_equal(wheel_pop(wheel, now), WHEEL_NONE);
		assert_true(wheel_next(wheel) > now);
		assert_true(wheel_next(wheel) <= now + HORIZON / 200 + TICK);
	}
	wheel_free(wheel);
}

static void what_is_put_back_comes_last(void **state)
{
	struct wheel *wheel = wheel_new(4);
	uint64_t now = 100 * TICK;

	(void)state;
	wheel_insert(wheel, 0, now - 50 * TICK, now - 60 * TICK);
	wheel_insert(wheel, 1, now - 20 * TICK, now - 60 * TICK);
	wheel_insert(wheel, 2, now, now - 60 * TICK);
	wheel_insert(wheel, 3, now + 1, now - 60 * TICK);
	assert_int_equal(wheel_pop(wheel, now), 0);
	wheel_insert(wheel, 0, now - 50 * TICK, now);
	assert_int_equal(wheel_pop(wheel, now), 1);
	assert_int_equal(wheel_pop(wheel, now), 2);
	assert_int_equal(wheel_pop(wheel, now), 0);
	assert_int_equal(wheel_pop(wheel, now), WHEEL_NONE);
	assert_int_equal(wheel_pop(wheel, now + TICK), 3);
	wheel_free(wheel);
}

static void expire_makes_all_due_in_order(void **state)
{
	enum { COUNT = 1000 };
	struct wheel *wheel = wheel_new(COUNT);
	uint64_t now = 12345678901ull;

	(void)state;
	for (uint32_t index = 0; index < COUNT; index++)
		wheel_insert(wheel, index, now + (uint64_t)index * 30000, now);
	wheel_expire(wheel);
	assert_true(wheel_next(wheel) <= now);
	wheel_remove(wheel, 500);
	for (uint32_t index = 0; index < COUNT; index++)
		if (index != 500)
			assert_int_equal(wheel_pop(wheel, now), index);
	assert_int_equal(wheel_pop(wheel, now), WHEEL_NONE);
	wheel_insert(wheel, 500, now + TICK, now);
	assert_true(wheel_next(wheel) > now);
	wheel_free(wheel);
}

enum { COUNT = 300 };

static uint64_t earliest(const uint64_t *due)
{
	uint64_t first = UINT64_MAX;

	for (unsigned i = 0; i < COUNT; i++)
		if (due[i] != 0 && due[i] < first)
			first = due[i];
	return first;
}

/* After a sleep for longer than the horizon all are due, at a tick that is not long ago. */
static void gather(uint64_t *due, uint64_t tick)
{
	for (unsigned i = 0; i < COUNT; i++)
		due[i] = due[i] == 0 ? 0 : tick;
}

/* Random operations against a plain table of the ticks that entries are due at. */
static void random_operations_agree_with_a_table(void **state)
{
	struct wheel *wheel = wheel_new(COUNT);
	uint64_t due[COUNT] = {0}, random = 42, now = 1ull << 40, base = 0, popped = 0, early = 0;
	uint32_t used = 0, gathered = 0;

	(void)state;
	for (unsigned round = 0; round < 300000; round++) {
		uint32_t index = (uint32_t)(mix(&random) % COUNT), found;
		uint64_t first, time;

		switch (mix(&random) % 16) {
		case 0 ... 4:
			if (due[index] != 0)
				break;
			time = now + mix(&random) % (mix(&random) % 8 ? HORIZON / 2 : HORIZON * 3);
			wheel_insert(wheel, index, time, now);
			if (used++ == 0)
				base = now / TICK;
			due[index] = time == now ? now / TICK : (time + TICK - 1) / TICK;
			if (due[index] > base + WHEEL_SLOTS - 1)
				due[index] = base + WHEEL_SLOTS - 1;
			break;
		case 5:
			used -= due[index] != 0;
			wheel_remove(wheel, index);
			due[index] = 0;
			break;
		default:
			now += mix(&random) % (mix(&random) % 64 ? 40000 : HORIZON * 2);
			first = earliest(due);
			assert_true(wheel_next(wheel) == (used ? first * TICK : UINT64_MAX));
			if (used != 0 && now / TICK >= base + WHEEL_SLOTS) {
				base = now / TICK - (now / TICK - base) % WHEEL_SLOTS;
				first = base;
				gather(due, base);
				gathered++;
			}
			found = wheel_pop(wheel, now);
			if (found == WHEEL_NONE) {
				assert_true(used == 0 || first > now / TICK);
				if (used != 0)
					base = now / TICK;
				early++;
				break;
			}
			assert_true(due[found] == first && first <= now / TICK);
			base = first;
			due[found] = 0;
			used--;
			popped++;
		}
		assert_int_equal(wheel_contains(wheel, index), due[index] != 0);
	}
	assert_true(popped > 10000 && early > 1000 && gathered > 100);
	wheel_free(wheel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_wheel_has_nothing),
		cmocka_unit_test(entry_is_due_at_the_next_tick),
		cmocka_unit_test(beyond_the_horizon_is_popped_early),
		cmocka_unit_test(long_sleep_leaves_no_time_behind),
		cmocka_unit_test(what_is_put_back_comes_last),
		cmocka_unit_test(expire_makes_all_due_in_order),
		cmocka_unit_test(random_operations_agree_with_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
