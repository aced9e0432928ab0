/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/shaper_fixture.h"

#define GATE SHAPER_TENANT_SEND, 3

/* One gate, one or two workers that always have something for it, on a synthetic clock. */
struct run {
	struct shaper *shaper;
	struct shaper_worker *workers[2];
	unsigned worker_count;
	uint64_t rate, start, now, end;
	uint32_t size_min, size_max;
	uint64_t late_max, late_rare; /* how late wake-ups usually are, and one of 200 is */
	uint64_t random, passed[2];
	double backlog_target; /* octets */
	struct packet *spare;
};

static struct packet *run_packet(struct run *run)
{
	struct packet *packet = run->spare;
	uint64_t range = run->size_max - run->size_min + 1;

	if (packet == NULL)
		packet = test_packet(3, 0, 0);
	else
		run->spare = packet->next;
	packet->wire_size = run->size_min + (uint32_t)random_below(&run->random, range);
	packet->cost = packet->wire_size;
	return packet;
}

static void run_spare(struct run *run, struct packet *packet)
{
	packet->next = run->spare;
	run->spare = packet;
}

/* What CoDel took makes room for others. */
static void run_lose(struct run *run, unsigned w)
{
	struct packet_list lost;
	struct packet *packet;

	packet_list_init(&lost);
	shaper_take_lost(run->workers[w], &lost);
	while ((packet = packet_list_pop(&lost)) != NULL)
		run_spare(run, packet);
}

static void run_wake(struct run *run, unsigned w)
{
	struct shaper_worker *worker = run->workers[w];
	struct batch batch = {0};
	enum shaper_kind kind;
	uint64_t packets;

	while (shaper_release(worker, run->now, &batch, &kind)) {
		assert_int_equal(kind, SHAPER_TENANT_SEND);
		for (unsigned i = 0; i < batch.count; i++) {
			run->passed[w] += batch.packets[i]->wire_size;
			run_spare(run, batch.packets[i]);
		}
		batch.count = 0;
	}
	while ((double)shaper_backlog(worker, &packets) < run->backlog_target || packets < 2) {
		struct packet *packet = run_packet(run);

		if (shaper_offer(worker, GATE, packet, run->now) == SHAPER_PASS) {
			run->passed[w] += packet->wire_size;
			run_spare(run, packet);
		}
		run_lose(run, w);
	}
}

/* Never behind, and never ahead by more than a packet. */
static void run_check(const struct run *run)
{
	double fair = (double)(run->now - run->start) * (double)run->rate / 8e9;
	double passed = (double)(run->passed[0] + run->passed[1]);
	double rounding = 1 + fair * 1e-7;

	assert_true(passed <= fair + run->size_max + rounding);
	assert_true(passed >= fair - rounding);
}

static void run_to_end(struct run *run)
{
	uint64_t wake[2] = {run->start, run->start};

	run->shaper = shaper_new(4);
	assert_non_null(run->shaper);
	shaper_set(run->shaper, GATE, run->rate, run->start);
	run->now = run->start;
	run->backlog_target =
		(double)run->rate / 8e9 * (double)(run->late_max + run->late_rare + 200000);
	for (unsigned w = 0; w < run->worker_count; w++) {
		run->workers[w] = shaper_worker_new(run->shaper);
		assert_non_null(run->workers[w]);
	}
	while (run->now - run->start < run->end) {
		unsigned w = run->worker_count == 2 && wake[1] - run->start < wake[0] - run->start;
		uint64_t late = random_below(&run->random, run->late_max + 1), next;

		run->now = wake[w];
		run_wake(run, w);
		if (run->worker_count == 1)
			run_check(run);
		next = shaper_next(run->workers[w], run->now);
		assert_true(next - run->now <= 10 * MILLISECOND);
		wake[w] = next + (random_below(&run->random, 200) != 0 ? late : run->late_rare);
	}
	/* What they leave each other is made up for, too. */
	run->now += 200000;
	for (unsigned w = 0; w < run->worker_count; w++)
		run_wake(run, w);
	run_check(run);
	for (unsigned w = 0; w < run->worker_count; w++) {
		test_drain_all(run->workers[w]);
		shaper_worker_free(run->workers[w]);
	}
	shaper_free(run->shaper);
	while (run->spare != NULL) {
		struct packet *packet = run->spare;

		run->spare = packet->next;
		free(packet);
	}
}

/* At every wake-up the sum is that of the rate to within one packet: better than 1e-5 in the end.
 */
static void rate_is_exact_whatever_the_lateness(void **state)
{
	static const uint64_t rates[] = {64000,	     1000000,	  10000000,
					 1000000000, 10000000000, 100000000000};

	(void)state;
	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct run run = {.worker_count = 1, .rate = rates[i], .random = i};
		double seconds = 4e7 * 8 / (double)rates[i];

		run.size_min = 60;
		run.size_max = 1514;
		if (rates[i] > 1000000000)
			run.size_max = 65000;
		run.late_max = 80000;
		run.late_rare = 3 * MILLISECOND;
		run.start = 7777777 * SECOND;
		run.end = (uint64_t)(seconds * 1e9 * (run.size_max > 1514 ? 40 : 1));
		run_to_end(&run);
		assert_true((double)run.passed[0] > 3.9e7);
	}
}

/* A rounding error that is the same for each 64-octet frame would show at once. */
static void rounding_does_not_add_up(void **state)
{
	static const uint64_t rates[] = {10000000000, 99999999999, 1000000000000};

	(void)state;
	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct run run = {.worker_count = 1, .rate = rates[i], .random = i};

		run.size_min = run.size_max = 64;
		run.start = 123456789;
		run.end = 200000000000000000 / rates[i];
		run_to_end(&run);
		assert_true(run.passed[0] > 24800000);
	}
}

static void two_workers_share_one_rate(void **state)
{
	static const uint64_t rates[] = {64000, 100000000, 10000000000};

	(void)state;
	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		for (unsigned late = 0; late < 2; late++) {
			struct run run = {.worker_count = 2, .rate = rates[i], .random = i};
			double sum;

			run.size_min = 60;
			run.size_max = 1514;
			run.late_max = late ? 80000 : 0;
			run.late_rare = 3 * MILLISECOND;
			run.start = 55 * SECOND;
			run.end = (uint64_t)(2.5e16 * 8 / (double)rates[i]);
			run_to_end(&run);
			sum = (double)(run.passed[0] + run.passed[1]);
			assert_true((double)run.passed[0] > 0.25 * sum);
			assert_true((double)run.passed[1] > 0.25 * sum);
		}
	}
}

/* The clock's 56 bits wrap after 3.26 days, nanoseconds shifted after the same, signed after half.
 */
static void clock_wraps_unnoticed(void **state)
{
	static const uint64_t wraps[] = {1ull << 46, 1ull << 47, 1ull << 48, 1ull << 55,
					 1ull << 56, 1ull << 62, 1ull << 63};

	(void)state;
	for (unsigned i = 0; i < sizeof(wraps) / sizeof(wraps[0]); i++) {
		struct run run = {.worker_count = 1, .rate = 50000000, .random = i};

		run.size_min = 60;
		run.size_max = 1514;
		run.late_max = 80000;
		run.late_rare = 3 * MILLISECOND;
		run.start = wraps[i] - SECOND / 2;
		run.end = SECOND;
		run_to_end(&run);
	}
}

/* A minute and more for each packet, for a month: the sum is still exact. */
static void weeks_of_backlog(void **state)
{
	const uint64_t octet = 100000000; /* ns */
	struct shaper *shaper = shaper_new(4);
	struct shaper_worker *worker = shaper_worker_new(shaper);
	uint64_t start = 3 * SECOND, now = start, passed = 0, random = 1, open;
	struct batch batch = {0};
	enum shaper_kind kind;

	(void)state;
	shaper_set(shaper, GATE, 8 * SECOND / octet, now);
	while (now - start < 30 * 86400 * SECOND) {
		while (test_backlog(worker) < 2) {
			uint32_t size = 600 + (uint32_t)random_below(&random, 900);
			struct packet *packet = test_packet(3, size, 0);

			if (shaper_offer(worker, GATE, packet, now) == SHAPER_PASS) {
				passed += size;
				free(packet);
			}
		}
		/* The looks between, every 10 ms, are left out for most of the time. */
		open = start + passed * octet;
		now = open - 15 * MILLISECOND;
		while (!shaper_release(worker, now, &batch, &kind))
			now = shaper_next(worker, now);
		assert_in_range(now, open, open + 10 * MILLISECOND);
		for (; batch.count != 0; batch.count--) {
			passed += batch.packets[batch.count - 1]->wire_size;
			free(batch.packets[batch.count - 1]);
		}
		/* It is late for the next, which has no effect on those behind. */
		now += random_below(&random, 3 * MILLISECOND);
	}
	assert_true(passed > 25000000);
	test_drain_all(worker);
	shaper_worker_free(worker);
	shaper_free(shaper);
}

/* However long a gate rested, it is open, and has the burst and one packet to give and no more. */
static void rest_gives_the_burst_and_no_more(void **state)
{
	static const uint64_t rests[] = {
		SECOND,		  3600 * SECOND,       (1ull << 45) + 5,
		(1ull << 46) - 5, (1ull << 46) + 5,    1ull << 47,
		(1ull << 47) + 5, 3 * (1ull << 46),    (1ull << 48) - 1000000,
		1ull << 48,	  (1ull << 48) + 1000, (1ull << 48) * 7 + 50,
		1ull << 55,	  (1ull << 56) - 5,    1ull << 62};
	static const uint64_t rates[] = {64000, 1000000000, 100000000000};

	(void)state;
	for (unsigned i = 0; i < sizeof(rests) / sizeof(rests[0]) * 3; i++) {
		struct shaper *shaper = shaper_new(4);
		struct shaper_worker *worker = shaper_worker_new(shaper);
		double burst = (double)rates[i % 3] / 8e9 * (double)SHAPER_BURST_NS;
		struct packet *packet = test_packet(3, 1000, 0);
		uint64_t now = 42 * SECOND + i, passed = 0;

		shaper_set(shaper, GATE, rates[i % 3], now);
		assert_int_equal(shaper_offer(worker, GATE, packet, now), SHAPER_PASS);
		now += rests[i / 3];
		while (shaper_offer(worker, GATE, packet, now) == SHAPER_PASS)
			passed += packet->wire_size;
		assert_true((double)passed > burst - 1 && (double)passed < burst + 1001);
		assert_int_equal(test_drain_all(worker), 1);
		shaper_worker_free(worker);
		shaper_free(shaper);
	}
}

/* What passes at once; the packet is offered until it waits, and stays there. */
static uint64_t pass_at_once(struct shaper_worker *worker, struct packet *packet, uint64_t now)
{
	uint64_t passed = 0;

	while (shaper_offer(worker, GATE, packet, now) == SHAPER_PASS)
		passed += packet->wire_size;
	return passed;
}

/* A burst in octets: no less and no more than that and a packet, at any rate, after any rest. */
static void burst_is_in_octets(void **state)
{
	static const uint64_t rates[] = {64000, 10000000, 1000000000, 100000000000};
	static const uint64_t bursts[] = {1, 64, 1514, 50000, 4000000, 10000000};

	(void)state;
	for (unsigned i = 0; i < 4 * 6; i++) {
		struct shaper_limits limits = {.rate = rates[i / 6], .burst = bursts[i % 6]};
		struct shaper *shaper = shaper_new(4);
		struct shaper_worker *worker = shaper_worker_new(shaper);
		struct packet *packet = test_packet(3, 100, 0);
		uint64_t now = 42 * SECOND + i, next, passed;
		struct batch batch = {0};
		enum shaper_kind kind;

		shaper_set_limits(shaper, GATE, &limits, now);
		assert_int_equal(pass_at_once(worker, packet, now), 100);
		for (unsigned rest = 0; rest < 3; rest++) {
			next = now + 3000 * SECOND;
			while (!shaper_release(worker, next, &batch, &kind))
				next = shaper_next(worker, next);
			batch.count = 0;
			/* What was let out began the rest. */
			now = next + 3000 * SECOND * (rest + 1);
			passed = pass_at_once(worker, packet, now);
			assert_in_range(passed, limits.burst, limits.burst + 100);
			/* Changed while the gate is in debt, it holds after the next rest. */
			limits.burst += 1000;
			shaper_set_limits(shaper, GATE, &limits, now);
		}
		assert_int_equal(test_drain_all(worker), 1);
		shaper_worker_free(worker);
		shaper_free(shaper);
	}
}

/* Who rested is ahead by its burst, and then has its rate. */
static void burst_adds_to_the_rate(void **state)
{
	struct shaper_limits limits = {.rate = 8000000, .burst = 500000};
	struct shaper *shaper = shaper_new(4);
	struct shaper_worker *worker = shaper_worker_new(shaper);
	uint64_t now = 42 * SECOND, passed = 0, end;
	struct packet *packets[4];

	(void)state;
	shaper_set_limits(shaper, GATE, &limits, now);
	end = (now += 100 * SECOND) + 2 * SECOND;
	for (unsigned i = 0; i < 4; i++)
		packets[i] = test_packet(3, 1000, 0);
	for (unsigned i = 0; i < 4; i++)
		passed += pass_at_once(worker, packets[i], now);
	while (now < end) {
		struct batch batch = {0};
		enum shaper_kind kind;

		now = shaper_next(worker, now);
		while (shaper_release(worker, now, &batch, &kind)) {
			for (unsigned i = 0; i < batch.count; i++) {
				passed += 1000;
				passed += pass_at_once(worker, batch.packets[i], now);
			}
			batch.count = 0;
		}
	}
	assert_in_range(passed, 2500000, 2500000 + 1100);
	test_drain_all(worker);
	shaper_worker_free(worker);
	shaper_free(shaper);
}

/* Nothing is due before 1 ns after the last packet's end, and then it is. */
static void next_packet_goes_when_its_time_has_come(void **state)
{
	struct shaper *shaper = shaper_new(4);
	struct shaper_worker *worker = shaper_worker_new(shaper);
	uint64_t now = 1000 * SECOND, open;
	struct batch batch = {0};
	enum shaper_kind kind;

	(void)state;
	shaper_set(shaper, GATE, 1000000, now);
	for (unsigned i = 0; i < 2; i++) {
		struct packet *packet = test_packet(3, 1250, i);

		if (shaper_offer(worker, GATE, packet, now) == SHAPER_PASS)
			free(packet);
	}
	assert_int_equal(test_backlog(worker), 1);
	open = now + 10 * MILLISECOND;
	assert_false(shaper_release(worker, open - 1, &batch, &kind));
	assert_true(shaper_next(worker, now) >= open && shaper_next(worker, now) < open + 8192);
	assert_true(shaper_release(worker, shaper_next(worker, now), &batch, &kind));
	assert_int_equal(batch.count, 1);
	free(batch.packets[0]);
	assert_true(shaper_next(worker, now) == UINT64_MAX);
	shaper_worker_free(worker);
	shaper_free(shaper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rate_is_exact_whatever_the_lateness),
		cmocka_unit_test(rounding_does_not_add_up),
		cmocka_unit_test(two_workers_share_one_rate),
		cmocka_unit_test(clock_wraps_unnoticed),
		cmocka_unit_test(weeks_of_backlog),
		cmocka_unit_test(rest_gives_the_burst_and_no_more),
		cmocka_unit_test(burst_is_in_octets),
		cmocka_unit_test(burst_adds_to_the_rate),
		cmocka_unit_test(next_packet_goes_when_its_time_has_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
