/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/share_fixture.h"

/*
 * A host with 100,000 tenants, for weeks, and a host whose operator never rests: the shaper on a
 * clock that goes as fast as packets do, held against models that share nothing with it.
 */

#define TENANTS	  100000u
#define SLOW	  16u /* tenants whose packets take minutes each, and who always have more */
#define FRAME_MAX 1514u
#define LATE_MAX  (3 * MILLISECOND) /* of a wake-up; a gate makes up for 4 ms */
#define DAY	  (86400 * SECOND)

/* What one tenant's gate may let through, worked out beside the shaper. */
struct channel {
	uint64_t rate;
	double level;  /* octets that may pass now; less than 0: a debt */
	uint64_t time; /* of level, ns */
	uint32_t waiting;
};

struct weeks {
	struct shaper *shaper;
	struct shaper_worker *worker;
	struct channel *channels;
	uint64_t start, now, late, random;
	uint64_t slow_octets[SLOW];
	uint64_t packets, herd_waiting;
};

/* Where the slow tenants are among all. */
static uint32_t slow_index(uint32_t i)
{
	return i * (TENANTS / SLOW) + 77;
}

static bool is_slow(uint32_t index)
{
	return index % (TENANTS / SLOW) == 77;
}

/* Octets that are exact: 2^-8 ns are some, at a high rate. */
static double rounding(const struct channel *channel)
{
	return 1e-6 + 0.01 + (double)channel->rate * 8 / 256 / 8e9;
}

/* A packet passes: that is never too early, and not too late unless it had only just come. */
static void channel_pass(struct weeks *weeks, struct channel *channel, uint32_t size, bool waited)
{
	double octets = (double)channel->rate / 8e9;
	double full = octets * (double)SHAPER_BURST_NS;

	channel->level += (double)(weeks->now - channel->time) * octets;
	if (channel->level > full)
		channel->level = full;
	channel->time = weeks->now;
	assert_true(channel->level >= -rounding(channel));
	if (waited)
		assert_true(channel->level <=
			    octets * (double)(weeks->late + 2 * WHEEL_SLACK) + rounding(channel));
	channel->level -= size;
}

/* A slow tenant is exact to the nanosecond, after any time: what passed is paid when more does. */
static void slow_pass(struct weeks *weeks, uint32_t i, uint32_t size)
{
	uint64_t rate = weeks->channels[slow_index(i)].rate;
	double paid = (double)weeks->slow_octets[i] * 8e9 / (double)rate;
	double elapsed = (double)(weeks->now - weeks->start);

	assert_true(elapsed >= paid - 1e-9 * elapsed);
	assert_true(elapsed <= paid + (double)(weeks->late + 2 * WHEEL_SLACK));
	weeks->slow_octets[i] += size;
}

static void weeks_pass(struct weeks *weeks, struct packet *packet, bool waited)
{
	struct channel *channel = &weeks->channels[packet->tenant];

	weeks->packets++;
	channel->waiting -= waited;
	if (is_slow(packet->tenant))
		slow_pass(weeks, packet->tenant / (TENANTS / SLOW), packet->wire_size);
	else
		channel_pass(weeks, channel, packet->wire_size, waited);
	weeks->herd_waiting -= waited && !is_slow(packet->tenant);
	free(packet);
}

static void weeks_offer(struct weeks *weeks, uint32_t index)
{
	uint32_t size = 60 + (uint32_t)random_below(&weeks->random, FRAME_MAX - 59);
	struct packet *packet = test_packet(index, size, 0);

	if (shaper_offer(weeks->worker, SHAPER_TENANT_RECEIVE, index, packet, weeks->now) ==
	    SHAPER_PASS) {
		weeks_pass(weeks, packet, false);
		return;
	}
	weeks->channels[index].waiting++;
	weeks->herd_waiting += !is_slow(index);
}

static void feed_slow(struct weeks *weeks)
{
	for (uint32_t i = 0; i < SLOW; i++)
		while (weeks->channels[slow_index(i)].waiting < 2)
			weeks_offer(weeks, slow_index(i));
}

static void weeks_release(struct weeks *weeks)
{
	struct batch batch = {0};
	enum shaper_kind kind;

	while (shaper_release(weeks->worker, weeks->now, &batch, &kind)) {
		assert_int_equal(kind, SHAPER_TENANT_RECEIVE);
		for (unsigned i = 0; i < batch.count; i++)
			weeks_pass(weeks, batch.packets[i], true);
		batch.count = 0;
	}
	feed_slow(weeks);
}

/* Sleeps as a worker does, and wakes late, mostly a little. */
static void weeks_sleep(struct weeks *weeks)
{
	uint64_t next = shaper_next(weeks->worker, weeks->now);
	uint64_t bound = random_below(&weeks->random, 100) == 0 ? LATE_MAX : 60000;

	assert_true(next != UINT64_MAX && next <= weeks->now + 10 * MILLISECOND);
	/* A call that looked in vain goes on at once. */
	if (next > weeks->now) {
		weeks->now = next;
		weeks->late = 0;
	}
	bound = random_below(&weeks->random, bound);
	weeks->late += bound;
	weeks->now += bound;
}

/* Many tenants at once, whoever that is, send some packets each; until all of these are out. */
static void herd(struct weeks *weeks)
{
	uint64_t count = 1 + random_below(&weeks->random, 2500);

	while (count-- > 0) {
		uint32_t index = (uint32_t)random_below(&weeks->random, TENANTS);
		uint64_t packets = is_slow(index) ? 0 : 2 + random_below(&weeks->random, 6);

		while (packets-- > 0)
			weeks_offer(weeks, index);
	}
	while (weeks->herd_waiting != 0) {
		weeks_sleep(weeks);
		weeks_release(weeks);
	}
}

/* Until one of the slow tenants has its turn: up to there nothing happens. */
static void skip_idle_time(struct weeks *weeks)
{
	double first = 1e300;
	uint64_t before = weeks->packets;

	for (uint32_t i = 0; i < SLOW; i++) {
		double paid = (double)weeks->slow_octets[i] * 8e9 /
			      (double)weeks->channels[slow_index(i)].rate;

		first = paid < first ? paid : first;
	}
	/* The looks between, every 10 ms, are left out. */
	if (weeks->start + (uint64_t)first > weeks->now + 20 * MILLISECOND)
		weeks->now = weeks->start + (uint64_t)first - 10 * MILLISECOND;
	while (weeks->packets == before) {
		weeks_sleep(weeks);
		weeks_release(weeks);
	}
}

static void weeks_new(struct weeks *weeks)
{
	memset(weeks, 0, sizeof(*weeks));
	weeks->shaper = shaper_new(1u << 17);
	weeks->worker = shaper_worker_new(weeks->shaper);
	weeks->channels = calloc(TENANTS, sizeof(*weeks->channels));
	assert_non_null(weeks->channels);
	/* Shortly before the clock's word wraps. */
	weeks->start = weeks->now = 3 * (1ull << 48) - 3600 * SECOND;
	for (uint32_t index = 0; index < TENANTS; index++) {
		uint64_t rate = MBIT << (1 + random_below(&weeks->random, 15));

		rate += random_below(&weeks->random, rate);
		if (is_slow(index))
			rate = 5 + random_below(&weeks->random, 50);
		weeks->channels[index].rate = rate;
		weeks->channels[index].time = weeks->now;
		shaper_set(weeks->shaper, SHAPER_TENANT_RECEIVE, index, rate, weeks->now);
	}
}

static void weeks_of_100000_tenants(void **state)
{
	struct weeks weeks;
	uint64_t herds = 0;

	(void)state;
	weeks_new(&weeks);
	feed_slow(&weeks);
	while (weeks.now - weeks.start < 21 * DAY) {
		skip_idle_time(&weeks);
		if (random_below(&weeks.random, 800) == 0) {
			herd(&weeks);
			herds++;
		}
	}
	assert_true(herds > 100 && weeks.packets > 500000);
	for (uint32_t i = 0; i < SLOW; i++) {
		uint64_t rate = weeks.channels[slow_index(i)].rate;
		double fair = (double)(weeks.now - weeks.start) / 8e9 * (double)rate;

		/* It is ahead by a packet at most, and had a million octets or more. */
		assert_true((double)weeks.slow_octets[i] >= fair * (1 - 1e-6));
		assert_true((double)weeks.slow_octets[i] <= fair * (1 + 1e-6) + FRAME_MAX);
		assert_true(fair > 1.1e6);
	}
	/* Nothing was lost to anything. */
	assert_int_equal(test_drain_all(weeks.worker), 2 * SLOW);
	shaper_worker_free(weeks.worker);
	shaper_free(weeks.shaper);
	free(weeks.channels);
}

/* A crowd of greedy tenants at one capacity; every other weighs 2. */
struct crowd {
	struct shaper *shaper;
	struct shaper_worker *worker;
	uint64_t now, passed;
	uint64_t *last; /* when a tenant was served */
};

#define CROWD_CAPACITY (8 * GBIT)
#define CROWD_WEIGHTS  (TENANTS + TENANTS / 2)
#define CROWD_OCTETS   1000u

static uint32_t crowd_weight(uint32_t index)
{
	return 1 + index % 2;
}

static void crowd_release(struct crowd *crowd)
{
	struct batch batch = {0};
	enum shaper_kind kind;

	crowd->now += 50000;
	shaper_turn(crowd->worker, crowd->now);
	while (shaper_release(crowd->worker, crowd->now, &batch, &kind)) {
		for (unsigned i = 0; i < batch.count; i++) {
			struct packet *packet = batch.packets[i];

			crowd->last[packet->tenant] = crowd->now;
			do {
				crowd->passed += CROWD_OCTETS;
			} while (shaper_offer(crowd->worker, KIND, packet->tenant, packet,
					      crowd->now) == SHAPER_PASS);
		}
		batch.count = 0;
	}
}

/* They come within 100 ms; each has two packets that wait from there on. */
static void crowd_gather(struct crowd *crowd)
{
	for (uint32_t index = 0; index < TENANTS; index++) {
		struct shaper_limits limits = {.weight = crowd_weight(index)};
		unsigned waiting = 0;

		shaper_set_limits(crowd->shaper, KIND, index, &limits, crowd->now);
		while (waiting < 2) {
			struct packet *packet = test_packet(index, CROWD_OCTETS, 0);

			if (shaper_offer(crowd->worker, KIND, index, packet, crowd->now) ==
			    SHAPER_PASS)
				free(packet);
			else
				waiting++;
		}
		if (index % (TENANTS / 2000) == 0)
			crowd_release(crowd);
	}
}

/* Who shares with 99,999 others is served as often as its share allows. */
static void nobody_starves(void **state)
{
	struct crowd crowd = {.now = 7 * SECOND};
	uint64_t turn = CROWD_OCTETS * 8 * SECOND / (CROWD_CAPACITY / CROWD_WEIGHTS), end;
	uint64_t fair = 2ull * CROWD_WEIGHTS * CROWD_OCTETS;

	(void)state;
	crowd.shaper = shaper_new(TENANTS);
	crowd.worker = shaper_worker_new(crowd.shaper);
	crowd.last = calloc(TENANTS, sizeof(*crowd.last));
	assert_non_null(crowd.last);
	shaper_set_capacity(crowd.shaper, KIND, CROWD_CAPACITY, crowd.now);
	crowd_gather(&crowd);
	/* What they passed when they were fewer is made up for. */
	for (end = crowd.now + turn; crowd.now < end;)
		crowd_release(&crowd);
	/* In which everybody of weight 1 passes two packets. */
	crowd.passed = 0;
	for (end = crowd.now + 2 * turn; crowd.now < end;)
		crowd_release(&crowd);
	for (uint32_t index = 0; index < TENANTS; index++)
		assert_true(crowd.now - crowd.last[index] <= turn / crowd_weight(index) * 11 / 10);
	assert_in_range(crowd.passed, fair * 97 / 100, fair * 101 / 100);
	test_drain_all(crowd.worker);
	shaper_worker_free(crowd.worker);
	shaper_free(crowd.shaper);
	free(crowd.last);
}

enum { RIVALS = 24, WINDOW = 50 /* ms */ };

/* An operator who changes everything all the time, and what may be expected nevertheless. */
struct trial {
	struct world world;
	uint64_t capacity, ms;
	bool unshared; /* the capacity is not in force */
	/* Of the last milliseconds: octets that passed, and that the capacity allowed. */
	double passed[WINDOW], allowed[WINDOW];
	/* Sources that began to send: each finds its gate rested. */
	uint32_t came[WINDOW];
	/* From when on a tenant's guarantee is measured, and what it had passed by then. */
	uint64_t since[RIVALS], before[RIVALS];
};

static uint64_t random_rate(uint64_t *random, uint64_t most)
{
	return most / 1000 * (1 + random_below(random, 1000));
}

/* The guarantee holds from 10 ms on after it was given, or the source began. */
static void measure_anew(struct trial *trial, uint32_t index)
{
	trial->since[index] = trial->world.now + 10 * MILLISECOND;
}

static void change_tenant(struct trial *trial, uint32_t index)
{
	uint64_t *random = &trial->world.random;
	struct shaper_limits limits = {.weight = (uint32_t)random_below(random, 10)};

	if (random_below(random, 2) == 0)
		limits.min = random_rate(random, trial->capacity / RIVALS);
	if (random_below(random, 2) == 0)
		limits.rate = limits.min + random_rate(random, trial->capacity);
	world_limit(&trial->world, index, limits);
	measure_anew(trial, index);
}

static void change_capacity(struct trial *trial)
{
	uint64_t capacity = random_rate(&trial->world.random, GBIT) + 10 * MBIT;

	/* Those that wait when a capacity comes into force are found to contend when more come. */
	if (trial->unshared)
		trial->came[trial->ms % WINDOW] += RIVALS;
	trial->unshared = random_below(&trial->world.random, 4) == 0;
	if (trial->unshared) {
		shaper_set_capacity(trial->world.shaper, KIND, 0, trial->world.now);
		return;
	}
	/* Guarantees fit at any time. */
	if (capacity >= trial->capacity)
		shaper_set_capacity(trial->world.shaper, KIND, capacity, trial->world.now);
	trial->capacity = capacity;
	for (uint32_t index = 0; index < RIVALS; index++)
		change_tenant(trial, index);
	shaper_set_capacity(trial->world.shaper, KIND, capacity, trial->world.now);
}

static void change_demand(struct trial *trial, uint32_t index)
{
	struct tenant *tenant = &trial->world.tenants[index];
	uint64_t *random = &trial->world.random, former = tenant->demand;

	switch (random_below(random, 4)) {
	case 0:
		tenant->demand = 0;
		break;
	case 1:
		tenant->demand = random_rate(random, trial->capacity / 10);
		break;
	default:
		tenant->demand = UINT64_MAX;
	}
	tenant->owed = 0;
	tenant->size_min = 60 + (uint32_t)random_below(random, 1000);
	tenant->size_max = tenant->size_min + (uint32_t)random_below(random, 454);
	if (former == 0)
		trial->came[trial->ms % WINDOW] += tenant->demand != 0;
	if (former != UINT64_MAX)
		measure_anew(trial, index);
}

static void change(struct trial *trial)
{
	uint64_t *random = &trial->world.random;
	uint32_t index = (uint32_t)random_below(random, RIVALS);

	switch (random_below(random, 400)) {
	case 0:
		change_capacity(trial);
		break;
	case 1 ... 20:
		change_tenant(trial, index);
		break;
	case 21 ... 40:
		change_demand(trial, index);
		break;
	default:
		break;
	}
}

static void check_guarantees(struct trial *trial)
{
	for (uint32_t index = 0; index < RIVALS; index++) {
		const struct tenant *tenant = &trial->world.tenants[index];
		uint64_t since = trial->since[index], now = trial->world.now;
		double least = (double)tenant->limits.min / 8e9 * (double)(now - since);

		if (now <= since || tenant->demand != UINT64_MAX)
			trial->before[index] = tenant->passed;
		else
			assert_true((double)(tenant->passed - trial->before[index]) >=
				    least * 0.98 - 2 * FRAME_MAX);
	}
}

/* What passed in the window against the capacity of that time. */
static void check_capacity(const struct trial *trial)
{
	double passed = 0, allowed = 0, most = 0;
	uint32_t came = 0;

	for (unsigned ms = 0; ms < WINDOW; ms++) {
		passed += trial->passed[ms];
		allowed += trial->allowed[ms];
		came += trial->came[ms];
		most = trial->allowed[ms] > most ? trial->allowed[ms] : most;
	}
	/* A turn of the share, and what everybody may be ahead by. */
	allowed += 2 * most + RIVALS * FRAME_MAX;
	allowed += came * (most * (double)SHAPER_REST_NS / 1e6 + FRAME_MAX);
	if (passed > allowed)
		fail_msg("%.0f octets instead of %.0f, at %lu ms", passed, allowed,
			 (unsigned long)trial->ms);
}

static void limits_hold_whatever_changes(void **state)
{
	struct trial trial = {.capacity = GBIT};
	uint64_t passed = 0;

	(void)state;
	world_new(&trial.world, RIVALS, GBIT);
	change_capacity(&trial);
	for (trial.ms = 0; trial.ms < 8000; trial.ms++) {
		unsigned place = trial.ms % WINDOW;

		trial.came[place] = 0;
		change(&trial);
		passed = trial.world.passed;
		run(&trial.world, MILLISECOND);
		trial.passed[place] = (double)(trial.world.passed - passed);
		trial.allowed[place] = trial.unshared ? 1e300 : (double)trial.capacity / 8000;
		check_guarantees(&trial);
		check_capacity(&trial);
	}
	world_free(&trial.world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weeks_of_100000_tenants),
		cmocka_unit_test(nobody_starves),
		cmocka_unit_test(limits_hold_whatever_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
