/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The order in which a writer stores and a reader loads, at the grain of instructions: a timer's
 * signal interrupts one of them, and its handler is the other. Unlike with threads, exactly one
 * change happens within a lookup, so that the FDB promises an exact answer.
 */

#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "fdb_fixture.h"

#define SIGNALS	   3000u
#define PERIOD_US  20
#define DEADLINE_S 20

/* What the handler works on. It runs in this thread, which has one such test at a time. */
static struct {
	struct table table;
	void (*act)(void);
	volatile sig_atomic_t signals, found, wrong, armed;
	volatile uint64_t expected; /* a key that must be found; 0: none */
} interrupted;

static uint64_t key_in_turn(uint32_t turn)
{
	return key_of(1, turn % 2);
}

static void handle(int number)
{
	(void)number;
	interrupted.signals++;
	interrupted.act();
}

static void interrupt_with(void (*act)(void), suseconds_t period)
{
	struct itimerval timer = {{0, period}, {0, period}};
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};

	if (act != NULL) {
		interrupted.act = act;
		interrupted.signals = interrupted.found = interrupted.wrong = 0;
		interrupted.armed = 0;
		interrupted.expected = 0;
		assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	}
	assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static bool more_to_come(time_t start)
{
	return interrupted.signals < (sig_atomic_t)SIGNALS && seconds() < start + DEADLINE_S;
}

/* A table in which two keys can only take turns in one entry. */
static void make_narrow_table(void)
{
	table_new(&interrupted.table, 1);
	for (uint32_t i = 0; i < 7; i++)
		assert_int_equal(fdb_set_static(interrupted.table.fdb, key_of(2, i), PORT(9), 1),
				 0);
}

static void look_up_both(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t destination;

		if (!fdb_lookup(interrupted.table.fdb, key_in_turn(i), &destination))
			continue;
		interrupted.found++;
		interrupted.wrong += destination != PORT(i);
	}
}

static void a_reader_amid_a_replacement_sees_no_mixture(void **state)
{
	time_t start = seconds();

	(void)state;
	make_narrow_table();
	interrupt_with(look_up_both, PERIOD_US);
	for (uint32_t i = 0; i % 64 != 0 || more_to_come(start); i++)
		assert_int_equal(fdb_learn(interrupted.table.fdb, key_in_turn(i), PORT(i % 2), 1),
				 FDB_NEW);
	interrupt_with(NULL, 0);
	assert_int_not_equal(interrupted.found, 0);
	assert_int_equal(interrupted.wrong, 0);
	table_free(&interrupted.table);
}

/* Replaces whichever of the two is there, once in a lookup. */
static void replace_once(void)
{
	uint32_t turn, destination;

	if (!interrupted.armed)
		return;
	interrupted.armed = 0;
	turn = fdb_lookup(interrupted.table.fdb, key_in_turn(0), &destination);
	fdb_learn(interrupted.table.fdb, key_in_turn(turn), PORT(turn), 1);
}

static void a_replacement_amid_a_lookup_shows_no_mixture(void **state)
{
	time_t start = seconds();
	uint32_t found = 0, wrong = 0;

	(void)state;
	make_narrow_table();
	interrupt_with(replace_once, PERIOD_US);
	for (uint32_t i = 0; i % 64 != 0 || more_to_come(start); i++) {
		uint32_t destination;

		interrupted.armed = 1;
		if (fdb_lookup(interrupted.table.fdb, key_in_turn(i), &destination)) {
			found++;
			wrong += destination != PORT(i % 2);
		}
		interrupted.armed = 0;
	}
	interrupt_with(NULL, 0);
	assert_int_not_equal(found, 0);
	assert_int_equal(wrong, 0);
	table_free(&interrupted.table);
}

static void look_up_expected(void)
{
	uint32_t destination;

	if (interrupted.expected == 0)
		return;
	interrupted.found++;
	if (!fdb_lookup(interrupted.table.fdb, interrupted.expected, &destination) ||
	    destination != PORT(11))
		interrupted.wrong++;
}

static void an_entry_that_steps_aside_is_always_found(void **state)
{
	uint64_t first[4], second[5];
	time_t start = seconds();

	(void)state;
	table_new(&interrupted.table, 64);
	for (uint32_t i = 0; i < 4; i++)
		first[i] = key_at(&interrupted.table, 11, i);
	for (uint32_t i = 0; i < 5; i++)
		second[i] = key_at(&interrupted.table, 10, i);
	interrupt_with(look_up_expected, PERIOD_US);
	while (more_to_come(start)) {
		struct fdb *fdb = interrupted.table.fdb;

		for (uint32_t i = 0; i < 4; i++)
			fdb_learn(fdb, first[i], PORT(11), 1);
		for (uint32_t i = 0; i < 4; i++)
			fdb_learn(fdb, second[i], PORT(10), 1);
		/* The first of bucket 11 makes room for the fifth of bucket 10. */
		interrupted.expected = first[0];
		fdb_learn(fdb, second[4], PORT(10), 1);
		interrupted.expected = 0;
		assert_true(entry_at(&interrupted.table, 12, 0)->key == first[0]);
		for (uint32_t i = 0; i < 4; i++)
			assert_true(fdb_remove(fdb, first[i]));
		for (uint32_t i = 0; i < 5; i++)
			assert_true(fdb_remove(fdb, second[i]));
	}
	interrupt_with(NULL, 0);
	assert_int_not_equal(interrupted.found, 0);
	assert_int_equal(interrupted.wrong, 0);
	table_free(&interrupted.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_amid_a_replacement_sees_no_mixture),
		cmocka_unit_test(a_replacement_amid_a_lookup_shows_no_mixture),
		cmocka_unit_test(an_entry_that_steps_aside_is_always_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
