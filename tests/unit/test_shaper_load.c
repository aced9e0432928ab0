/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/effort.h"
#include "tests/unit/shaper_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* What a gate may still let through, in octets: an independent model of its limit. */
struct bucket {
	double level, rate; /* bit/s; 0: unlimited */
	uint64_t time;
};

static double bucket_full(const struct bucket *bucket)
{
	return bucket->rate / 8e9 * (double)SHAPER_BURST_NS;
}

static void bucket_advance(struct bucket *bucket, uint64_t now)
{
	bucket->level += (double)(now - bucket->time) * bucket->rate / 8e9;
	if (bucket->level > bucket_full(bucket))
		bucket->level = bucket_full(bucket);
	bucket->time = now;
}

static void bucket_pass(struct bucket *bucket, uint64_t octets, uint64_t now)
{
	if (bucket->rate == 0)
		return;
	bucket_advance(bucket, now);
	/* 2^-8 ns at 100 Gbit/s are a twentieth of an octet. */
	assert_true(bucket->level >= -1);
	bucket->level -= (double)octets;
}

static void bucket_set(struct bucket *bucket, uint64_t rate, uint64_t now)
{
	if ((double)rate == bucket->rate)
		return;
	bucket_advance(bucket, now);
	if (bucket->rate == 0 || rate == 0)
		bucket->level = 0;
	bucket->rate = (double)rate;
	bucket_advance(bucket, now);
}

enum { FUZZ_INDICES = 3, FUZZ_GATES = FUZZ_INDICES * SHAPER_KIND_COUNT, FUZZ_WORKERS = 2 };

struct fuzz {
	struct shaper *shaper;
	struct shaper_worker *workers[FUZZ_WORKERS];
	struct bucket buckets[FUZZ_GATES];
	uint64_t first[FUZZ_WORKERS][FUZZ_GATES], last[FUZZ_WORKERS][FUZZ_GATES]; /* that wait */
	uint64_t octets[FUZZ_WORKERS];
	uint64_t now, random, passed, released, drained;
	uint64_t lost[DROP_REASON_COUNT];
};

static void fuzz_take(struct fuzz *fuzz, unsigned w, unsigned gate, struct packet *packet)
{
	assert_int_equal(packet->tenant, gate % FUZZ_INDICES);
	assert_int_equal(packet->gate, gate / FUZZ_INDICES);
	assert_int_equal(packet->outer_vni, fuzz->first[w][gate]);
	fuzz->first[w][gate]++;
	fuzz->octets[w] -= packet->wire_size;
	free(packet);
}

/* At every gate packets go in order, whether they are let out or lost. */
static void fuzz_leave(struct fuzz *fuzz, unsigned w, enum shaper_kind kind, struct batch *batch)
{
	struct packet_list lost;
	unsigned taken = 0;

	packet_list_init(&lost);
	shaper_take_lost(fuzz->workers[w], &lost);
	while (lost.first != NULL || taken < batch->count) {
		struct packet *packet = lost.first;
		unsigned gate = packet == NULL ? 0 : packet->gate * FUZZ_INDICES + packet->tenant;

		if (packet != NULL && packet->outer_vni == fuzz->first[w][gate]) {
			packet_list_pop(&lost);
			assert_true(fuzz->buckets[gate].rate != 0);
			fuzz->lost[packet->drop]++;
		} else {
			assert_true(taken < batch->count);
			packet = batch->packets[taken++];
			gate = kind * FUZZ_INDICES + packet->tenant;
			bucket_pass(&fuzz->buckets[gate], packet->wire_size, fuzz->now);
			fuzz->released++;
		}
		fuzz_take(fuzz, w, gate, packet);
	}
	batch->count = 0;
}

static void fuzz_offer(struct fuzz *fuzz, unsigned w, unsigned gate)
{
	uint32_t size = 1 + (uint32_t)random_below(&fuzz->random, 1500);
	uint32_t index = gate % FUZZ_INDICES;
	uint64_t lost = fuzz->lost[DROP_NONE];
	uint64_t waiting = fuzz->last[w][gate] - fuzz->first[w][gate];
	struct packet *packet = test_packet(index, size, fuzz->last[w][gate]);
	struct batch none = {0};

	if (shaper_offer(fuzz->workers[w], (enum shaper_kind)(gate / FUZZ_INDICES), index, packet,
			 fuzz->now) == SHAPER_PASS) {
		assert_true(waiting == 0);
		bucket_pass(&fuzz->buckets[gate], size, fuzz->now);
		fuzz->passed++;
		free(packet);
		return;
	}
	assert_true(waiting != 0 || fuzz->buckets[gate].rate != 0);
	fuzz->last[w][gate]++;
	fuzz->octets[w] += size;
	fuzz_leave(fuzz, w, SHAPER_KIND_COUNT, &none);
	if (fuzz->lost[DROP_NONE] != lost)
		assert_true(waiting >= SHAPER_QUEUE_FRAMES);
}

static void fuzz_release(struct fuzz *fuzz, unsigned w)
{
	struct batch batch = {0};
	enum shaper_kind kind = SHAPER_KIND_COUNT;
	bool more = random_below(&fuzz->random, 2);

	while (shaper_release(fuzz->workers[w], fuzz->now, &batch, &kind)) {
		assert_in_range(batch.count, 1, BATCH_SIZE);
		fuzz_leave(fuzz, w, kind, &batch);
		if (!more)
			return;
	}
	fuzz_leave(fuzz, w, kind, &batch);
	/* What is still there is not due: what was unlimited is gone. */
	assert_true(shaper_next(fuzz->workers[w], fuzz->now) > fuzz->now);
	for (unsigned gate = 0; gate < FUZZ_GATES; gate++)
		if (fuzz->buckets[gate].rate == 0)
			assert_true(fuzz->first[w][gate] == fuzz->last[w][gate]);
}

static void fuzz_set(struct fuzz *fuzz, unsigned gate)
{
	static const uint64_t rates[] = {0,	  1000,	    64000,	 999999,
					 8000000, 50000000, 10000000000, 100000000000};
	uint64_t rate = rates[random_below(&fuzz->random, 8)];

	shaper_set(fuzz->shaper, (enum shaper_kind)(gate / FUZZ_INDICES), gate % FUZZ_INDICES, rate,
		   fuzz->now);
	bucket_set(&fuzz->buckets[gate], rate, fuzz->now);
}

static void fuzz_drain(struct fuzz *fuzz, unsigned w, unsigned gate)
{
	struct packet_list list;
	struct packet *packet;

	packet_list_init(&list);
	shaper_drain(fuzz->workers[w], (enum shaper_kind)(gate / FUZZ_INDICES), gate % FUZZ_INDICES,
		     &list);
	while ((packet = packet_list_pop(&list)) != NULL) {
		fuzz_take(fuzz, w, gate, packet);
		fuzz->drained++;
	}
	assert_true(fuzz->first[w][gate] == fuzz->last[w][gate]);
}

static void fuzz_check(const struct fuzz *fuzz)
{
	for (unsigned w = 0; w < FUZZ_WORKERS; w++) {
		uint64_t count = 0, packets, next = shaper_next(fuzz->workers[w], fuzz->now);

		for (unsigned gate = 0; gate < FUZZ_GATES; gate++)
			count += fuzz->last[w][gate] - fuzz->first[w][gate];
		assert_true(shaper_backlog(fuzz->workers[w], &packets) == fuzz->octets[w]);
		assert_true(packets == count);
		assert_int_equal(next == UINT64_MAX, count == 0);
		assert_true(count == 0 || next <= fuzz->now + 10 * MILLISECOND);
	}
}

/* Every packet passes, is released or lost in order, or drained; no gate exceeds its limit. */
static void random_operations_keep_the_limits(void **state)
{
	struct fuzz fuzz = {.now = (1ull << 47) - 60 * SECOND};

	(void)state;
	fuzz.shaper = shaper_new(FUZZ_INDICES);
	for (unsigned w = 0; w < FUZZ_WORKERS; w++)
		fuzz.workers[w] = shaper_worker_new(fuzz.shaper);
	for (unsigned round = 0; round < EFFORT(600000u); round++) {
		unsigned w = (unsigned)random_below(&fuzz.random, FUZZ_WORKERS);
		unsigned gate = (unsigned)random_below(&fuzz.random, FUZZ_GATES);
		uint64_t scale = random_below(&fuzz.random, 28);

		switch (random_below(&fuzz.random, 400)) {
		case 0:
		case 1:
		case 2:
			fuzz_set(&fuzz, gate);
			break;
		case 3:
			fuzz_drain(&fuzz, w, gate);
			break;
		case 4 ... 20:
			fuzz.now += random_below(&fuzz.random, 1ull << scale);
			break;
		case 21 ... 60:
			fuzz_release(&fuzz, w);
			break;
		default:
			fuzz_offer(&fuzz, w, gate);
		}
		fuzz_check(&fuzz);
	}
	assert_true(fuzz.passed > EFFORT(10000) && fuzz.released > EFFORT(10000) &&
		    fuzz.drained > EFFORT(100));
	assert_true(fuzz.lost[DROP_NONE] > EFFORT(10000) &&
		    fuzz.lost[DROP_QUEUE_DELAY] > EFFORT(100));
	assert_int_equal(fuzz.lost[DROP_PORT_GONE], 0);
	for (unsigned w = 0; w < FUZZ_WORKERS; w++) {
		test_drain_all(fuzz.workers[w]);
		shaper_worker_free(fuzz.workers[w]);
	}
	shaper_free(fuzz.shaper);
}

enum { MANY = 100000 };

/* 100,000 gates with a few packets each: every packet goes out at its gate's time. */
static void many_gates_with_little(void **state)
{
	struct shaper *shaper = shaper_new(131072);
	struct shaper_worker *worker = shaper_worker_new(shaper);
	uint64_t now = 99 * SECOND, random = 3, released = 0, *due = calloc(MANY, sizeof(*due));
	struct batch batch = {0};
	enum shaper_kind kind;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		uint32_t index = i + 31000, size = 1000;
		uint64_t rate = 100000 + random_below(&random, 10000000);

		shaper_set(shaper, SHAPER_PORT_SEND, index, rate, now);
		due[i] = now;
		for (unsigned n = 0; n < 3; n++) {
			struct packet *packet = test_packet(index, size, size * 8e9 / (double)rate);

			if (shaper_offer(worker, SHAPER_PORT_SEND, index, packet, now) ==
			    SHAPER_PASS) {
				due[i] += packet->outer_vni;
				free(packet);
			}
		}
	}
	assert_int_equal(test_backlog(worker), 2 * MANY);
	while ((now = shaper_next(worker, now)) != UINT64_MAX) {
		while (shaper_release(worker, now, &batch, &kind)) {
			for (unsigned i = 0; i < batch.count; i++) {
				uint64_t *time = &due[batch.packets[i]->tenant - 31000];

				assert_true(now >= *time && now < *time + 2 * WHEEL_SLACK);
				*time += batch.packets[i]->outer_vni;
				free(batch.packets[i]);
			}
			released += batch.count;
			batch.count = 0;
		}
	}
	assert_int_equal(released, 2 * MANY);
	free(due);
	shaper_worker_free(worker);
	shaper_free(shaper);
}

/* One gate with a thousand packets that all may go does not hold up those with one. */
static void gates_take_turns(void **state)
{
	struct shaper *shaper = shaper_new(101);
	struct shaper_worker *worker = shaper_worker_new(shaper);
	uint64_t now = 5 * SECOND;
	unsigned released = 0, others = 0;
	struct batch batch = {0};
	enum shaper_kind kind;

	(void)state;
	for (uint32_t index = 0; index <= 100; index++) {
		shaper_set(shaper, SHAPER_TENANT_SEND, index, 1000000000, now);
		for (unsigned n = 0; n < (index == 0 ? 1000 : 2); n++) {
			struct packet *packet = test_packet(index, 1000, n);

			if (shaper_offer(worker, SHAPER_TENANT_SEND, index, packet, now) ==
			    SHAPER_PASS)
				free(packet);
		}
	}
	for (uint32_t index = 0; index <= 100; index++)
		shaper_set(shaper, SHAPER_TENANT_SEND, index, 0, now);
	while (shaper_release(worker, now, &batch, &kind)) {
		for (unsigned i = 0; i < batch.count; i++) {
			others += batch.packets[i]->tenant != 0;
			/* The first may have had two turns by the time that all others had one. */
			assert_true(others == 100 || released - others <= 16);
			released++;
			free(batch.packets[i]);
		}
		batch.count = 0;
	}
	assert_int_equal(released, 999 + 100);
	shaper_worker_free(worker);
	shaper_free(shaper);
}

enum { THREADS = 2, STEPS = 3000 };

/* Real workers on one gate, with a clock that moves when all have seen where it is. */
struct threads {
	struct shaper *shaper;
	_Atomic uint64_t now;
	struct thread {
		struct threads *all;
		pthread_t id;
		_Atomic uint64_t seen;
		uint64_t offered, passed, waiting, octets, lost[DROP_REASON_COUNT];
	} threads[THREADS];
};

static void thread_turn(struct thread *thread, struct shaper_worker *worker, uint64_t now)
{
	struct batch batch = {0};
	enum shaper_kind kind;

	while (shaper_release(worker, now, &batch, &kind)) {
		for (unsigned i = 0; i < batch.count; i++) {
			thread->octets += batch.packets[i]->wire_size;
			thread->passed++;
			free(batch.packets[i]);
		}
		batch.count = 0;
	}
	for (unsigned i = 0; test_backlog(worker) < 60 && i < 60; i++) {
		uint32_t size = 60 + (uint32_t)(thread->offered++ * 7919 % 1454);
		struct packet *packet = test_packet(0, size, 0);

		if (shaper_offer(worker, SHAPER_TENANT_RECEIVE, 0, packet, now) == SHAPER_PASS) {
			thread->octets += size;
			thread->passed++;
			free(packet);
		}
	}
	test_lost(worker, thread->lost);
}

static void *thread_run(void *argument)
{
	struct thread *thread = argument;
	struct shaper_worker *worker = shaper_worker_new(thread->all->shaper);
	uint64_t now;

	while ((now = atomic_load(&thread->all->now)) != UINT64_MAX) {
		if (now == atomic_load(&thread->seen)) {
			sched_yield();
			continue;
		}
		thread_turn(thread, worker, now);
		atomic_store(&thread->seen, now);
	}
	thread->waiting = test_drain_all(worker);
	shaper_worker_free(worker);
	return NULL;
}

/* Rates change (or not) while both work; returns the octets that the rates make in all. */
static double threads_run(struct threads *threads, bool change, double *highest)
{
	static const uint64_t rates[] = {1000000000, 10000000000, 100000000, 3000000000};
	uint64_t now = SECOND, rate = rates[0];
	double fair = 0;

	*highest = (double)rates[change];
	threads->shaper = shaper_new(1);
	shaper_set(threads->shaper, SHAPER_TENANT_RECEIVE, 0, rate, now);
	atomic_store(&threads->now, now);
	for (unsigned t = 0; t < THREADS; t++) {
		threads->threads[t].all = threads;
		pthread_create(&threads->threads[t].id, NULL, thread_run, &threads->threads[t]);
	}
	for (unsigned step = 0; step < STEPS; step++) {
		atomic_store(&threads->now, now += 20000);
		fair += (double)rate / 8e9 * 20000;
		if (change && step % 3 == 0) {
			/* While the workers are at work. */
			rate = rates[step / 3 % 4];
			shaper_set(threads->shaper, SHAPER_TENANT_RECEIVE, 0, rate, now);
		}
		for (unsigned t = 0; t < THREADS; t++)
			while (atomic_load(&threads->threads[t].seen) != now)
				sched_yield();
	}
	atomic_store(&threads->now, UINT64_MAX);
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(threads->threads[t].id, NULL);
	shaper_free(threads->shaper);
	return fair;
}

static void threads_share_a_gate(void **state)
{
	(void)state;
	for (unsigned change = 0; change < 2; change++) {
		struct threads threads = {0};
		double highest, fair = threads_run(&threads, change, &highest), octets = 0;
		double burst = highest / 8e9 * (double)SHAPER_BURST_NS;

		for (unsigned t = 0; t < THREADS; t++) {
			struct thread *thread = &threads.threads[t];

			/* In all that takes less than CoDel waits, and there is room. */
			assert_int_equal(thread->offered, thread->passed + thread->waiting);
			assert_true(thread->passed > 100);
			octets += (double)thread->octets;
		}
		assert_true(octets <= fair + (change ? burst : 0) + 1514 + 1);
		/* They leave each other 0.1 ms, and a queue of 60 packets may run dry. */
		assert_true(octets >= fair * (change ? 0.2 : 0.98));
	}
}

/* Two workers that use up one credit at the same time. */
struct burst {
	struct shaper *shaper;
	pthread_barrier_t barrier;
	uint64_t now;
	_Atomic uint64_t octets;
	_Atomic unsigned running;
};

static void *burst_run(void *argument)
{
	struct burst *burst = argument;
	struct shaper_worker *worker = shaper_worker_new(burst->shaper);
	struct packet *packet = test_packet(0, 64, 0);
	uint64_t octets = 0;

	pthread_barrier_wait(&burst->barrier);
	while (shaper_offer(worker, SHAPER_TENANT_SEND, 0, packet, burst->now) == SHAPER_PASS)
		octets += packet->wire_size;
	atomic_fetch_add(&burst->octets, octets);
	atomic_fetch_sub(&burst->running, 1);
	assert_int_equal(test_drain_all(worker), 1);
	shaper_worker_free(worker);
	return NULL;
}

/*
 * The clock stands still: what passes is the credit and a packet, though the rate changes on. The
 * rest was half as long as the burst, so that at half the rate the credit is the whole burst.
 */
static void burst_round(bool change)
{
	const uint64_t high = 40000000000, low = 20000000000;
	const double credit = (double)high / 8e9 * (double)SHAPER_BURST_NS / 2;
	struct burst burst = {.now = SECOND, .running = THREADS};
	pthread_t ids[THREADS];
	double octets, rounding;
	unsigned sets = 0;

	burst.shaper = shaper_new(1);
	shaper_set(burst.shaper, SHAPER_TENANT_SEND, 0, high, SECOND - SHAPER_BURST_NS / 2);
	pthread_barrier_init(&burst.barrier, NULL, THREADS);
	for (unsigned t = 0; t < THREADS; t++)
		pthread_create(&ids[t], NULL, burst_run, &burst);
	while (change && atomic_load(&burst.running) != 0)
		shaper_set(burst.shaper, SHAPER_TENANT_SEND, 0, sets++ % 2 ? high : low, burst.now);
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(ids[t], NULL);
	octets = (double)atomic_load(&burst.octets);
	/* A change rounds the clock to 2^-8 ns. */
	rounding = 1 + (double)sets / 256 * (double)high / 8e9;
	assert_true(octets >= credit - rounding);
	assert_true(octets <= credit + 64 + rounding);
	pthread_barrier_destroy(&burst.barrier);
	shaper_free(burst.shaper);
}

static void threads_share_a_burst(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		burst_round(false);
		burst_round(true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_keep_the_limits),
		cmocka_unit_test(many_gates_with_little),
		cmocka_unit_test(gates_take_turns),
		cmocka_unit_test(threads_share_a_gate),
		cmocka_unit_test(threads_share_a_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
