/* SPDX-License-Identifier: Apache-2.0 */

/* CoDel against the pseudo-code of RFC 8289, appendix A, and the schedule that follows from it. */

#include "tests/unit/shaper_fixture.h"

#include "datapath/codel.h"

#define TARGET	 (5 * MILLISECOND)
#define INTERVAL (100 * MILLISECOND)
#define QUEUE	 4096u

/* The largest s with s * s * count <= interval * interval, without any square root. */
static uint64_t exact_spacing(uint64_t interval, uint64_t count)
{
	uint64_t low = 0, high = interval + 1;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if ((unsigned __int128)middle * middle * count <=
		    (unsigned __int128)interval * interval)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Arrival times of packets of one size, and what the RFC says of them. */
struct reference {
	uint64_t arrivals[QUEUE];
	unsigned first, count;
	uint64_t first_above_time, drop_next;
	unsigned drop_count, last_count;
	bool dropping;
	unsigned dropped; /* by the last dequeue */
};

static bool reference_do_dequeue(struct reference *queue, uint64_t now)
{
	uint64_t arrival;

	if (queue->count == 0) {
		queue->first_above_time = 0;
		return false;
	}
	arrival = queue->arrivals[queue->first++ % QUEUE];
	queue->count--;
	if (now - arrival < TARGET || queue->count <= 1) {
		queue->first_above_time = 0;
		return false;
	}
	if (queue->first_above_time == 0) {
		queue->first_above_time = now + INTERVAL;
		return false;
	}
	return now >= queue->first_above_time;
}

static void reference_dequeue(struct reference *queue, uint64_t now)
{
	bool ok_to_drop = reference_do_dequeue(queue, now);
	unsigned delta = queue->drop_count - queue->last_count;

	queue->dropped = 0;
	if (queue->dropping) {
		if (!ok_to_drop)
			queue->dropping = false;
		while (queue->dropping && now >= queue->drop_next) {
			queue->dropped++;
			queue->drop_count++;
			if (!reference_do_dequeue(queue, now))
				queue->dropping = false;
			else
				queue->drop_next += exact_spacing(INTERVAL, queue->drop_count);
		}
	} else if (ok_to_drop) {
		queue->dropped++;
		reference_do_dequeue(queue, now);
		queue->dropping = true;
		queue->drop_count = 1;
		if (delta > 1 && now - queue->drop_next < 16 * INTERVAL)
			queue->drop_count = delta;
		queue->drop_next = now + exact_spacing(INTERVAL, queue->drop_count);
		queue->last_count = queue->drop_count;
	}
}

/* The same queue with the module's law. Returns what a dequeue drops. */
struct subject {
	uint64_t arrivals[QUEUE];
	unsigned first, count;
	struct codel codel;
};

static unsigned subject_dequeue(struct subject *queue, uint64_t now)
{
	unsigned dropped = 0;

	while (queue->count > 0) {
		uint64_t arrival = queue->arrivals[queue->first % QUEUE];
		bool due = codel_due(&queue->codel, now - arrival >= TARGET && queue->count > 2,
				     now, INTERVAL);

		queue->first++;
		queue->count--;
		if (!due)
			break;
		codel_signal(&queue->codel, now, INTERVAL);
		dropped++;
	}
	return dropped;
}

/* Arrivals that come and go, so that delays rise over the target, fall below and rise again. */
static void drops_as_the_rfc_does(void **state)
{
	struct reference *reference = calloc(1, sizeof(*reference));
	struct subject *subject = calloc(1, sizeof(*subject));
	uint64_t now = SECOND, random = 11, drops = 0, resumed = 0;

	(void)state;
	assert_non_null(reference);
	assert_non_null(subject);
	for (unsigned i = 0; i < 3000000; i++) {
		unsigned arrive = (unsigned)random_below(&random, 3);
		bool dropping = reference->dropping, flood = i / 20000 % 3 != 2;

		now += random_below(&random, 2 * MILLISECOND);
		for (unsigned j = flood ? arrive : arrive / 2; j > 0 && subject->count < 60; j--) {
			reference->arrivals[(reference->first + reference->count++) % QUEUE] = now;
			subject->arrivals[(subject->first + subject->count++) % QUEUE] = now;
		}
		if (reference->count == 0)
			continue;
		reference_dequeue(reference, now);
		assert_int_equal(subject_dequeue(subject, now), reference->dropped);
		assert_int_equal(subject->count, reference->count);
		drops += reference->dropped;
		resumed += !dropping && reference->dropping && reference->drop_count > 1;
	}
	/* It was about something. */
	assert_true(drops > 10000);
	assert_true(resumed > 100);
	free(reference);
	free(subject);
}

/* Time passes in steps of 10 us. Returns when the next signal was given. */
static uint64_t next_signal(struct codel *codel, uint64_t now, uint64_t end)
{
	for (now += 10000; now < end; now += 10000) {
		if (codel_due(codel, true, now, INTERVAL)) {
			codel_signal(codel, now, INTERVAL);
			return now;
		}
	}
	return 0;
}

static void assert_near(uint64_t value, uint64_t expected)
{
	assert_true(value >= expected && value <= expected + 20000);
}

static void signals_come_closer(void **state)
{
	struct codel codel = {0};
	uint64_t start = SECOND, now, plan;

	(void)state;
	assert_false(codel_due(&codel, true, start, INTERVAL));
	now = next_signal(&codel, start, start + SECOND);
	assert_near(now, start + INTERVAL);
	plan = now;
	for (unsigned n = 1; n < 100; n++) {
		plan += exact_spacing(INTERVAL, n);
		now = next_signal(&codel, now, now + SECOND);
		assert_near(now, plan);
	}
}

static void one_packet_in_time_ends_it(void **state)
{
	struct codel codel = {0};
	uint64_t now = SECOND;

	(void)state;
	/* Before the interval is over … */
	assert_false(codel_due(&codel, true, now, INTERVAL));
	assert_false(codel_due(&codel, true, now + INTERVAL - 1, INTERVAL));
	assert_false(codel_due(&codel, false, now + INTERVAL - 1, INTERVAL));
	now += INTERVAL;
	assert_false(codel_due(&codel, true, now, INTERVAL));
	/* … and after the first signals. */
	for (unsigned i = 0; i < 5; i++)
		now = next_signal(&codel, now, now + SECOND);
	assert_false(codel_due(&codel, false, now + SECOND, INTERVAL));
	assert_false(codel_due(&codel, true, now + SECOND, INTERVAL));
	assert_near(next_signal(&codel, now + SECOND, now + 2 * SECOND), now + SECOND + INTERVAL);
}

/* Gives so many signals in a row, then a packet in time. Returns when that was. */
static uint64_t signal_and_rest(struct codel *codel, uint64_t now, unsigned count)
{
	codel_due(codel, true, now, INTERVAL);
	for (unsigned i = 0; i < count; i++)
		now = next_signal(codel, now, now + SECOND);
	assert_true(now != 0);
	codel_due(codel, false, now, INTERVAL);
	return now;
}

static void comes_back_where_it_was(void **state)
{
	struct codel codel = {0};
	uint64_t now, first;

	(void)state;
	/* 1 and 9 more: 9 were needed. */
	now = signal_and_rest(&codel, SECOND, 10) + SECOND;
	codel_due(&codel, true, now, INTERVAL);
	first = next_signal(&codel, now, now + SECOND);
	assert_near(first, now + INTERVAL);
	assert_near(next_signal(&codel, first, first + SECOND), first + INTERVAL / 3);
	/* Later than 16 intervals it begins anew. */
	now = signal_and_rest(&codel, first + SECOND, 10) + 3 * SECOND;
	codel_due(&codel, true, now, INTERVAL);
	first = next_signal(&codel, now, now + SECOND);
	assert_near(next_signal(&codel, first, first + SECOND), first + INTERVAL);
}

/* The count stops at its largest value, and the spacing with it. */
static void count_does_not_wrap(void **state)
{
	struct codel codel = {0};
	uint64_t now = SECOND;

	(void)state;
	codel_due(&codel, true, now, INTERVAL);
	now += INTERVAL;
	for (unsigned i = 0; i < 200000; i++) {
		assert_true(codel_due(&codel, true, now, INTERVAL));
		codel_signal(&codel, now, INTERVAL);
		now = codel.next_signal;
	}
	codel_signal(&codel, now, INTERVAL);
	assert_int_equal(codel.next_signal - now, exact_spacing(INTERVAL, UINT16_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drops_as_the_rfc_does),
		cmocka_unit_test(signals_come_closer),
		cmocka_unit_test(one_packet_in_time_ends_it),
		cmocka_unit_test(comes_back_where_it_was),
		cmocka_unit_test(count_does_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
