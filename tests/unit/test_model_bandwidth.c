/* SPDX-License-Identifier: Apache-2.0 */

/* What tenants are guaranteed fits the host's capacity, whatever a transaction does on its way. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rate.h"
#include "control/model_edit.h"

#define MBIT	1000000ull
#define TENANTS 12
#define ROUNDS	20000

static int setup(void **state)
{
	*state = model_new();
	return 0;
}

static int teardown(void **state)
{
	model_free(*state);
	return 0;
}

static struct model_tenant *put(struct model *model, const char *name, uint64_t send_min,
				uint64_t receive_min)
{
	struct model_tenant values = {
		.bandwidth = {.send.min = send_min, .receive.min = receive_min, .weight = 1}};
	struct model_tenant *tenant;
	struct problem problem;

	problem_init(&problem);
	snprintf(values.name, sizeof(values.name), "%s", name);
	assert_int_equal(model_tenant_put(model, &values, &tenant, &problem), 0);
	return tenant;
}

static void put_host(struct model *model, uint64_t send, uint64_t receive)
{
	const struct model_host host = {.send_capacity = send, .receive_capacity = receive};

	assert_int_equal(model_host_put(model, &host), 0);
}

static void commit(struct model *model)
{
	struct problem problem;

	problem_init(&problem);
	if (model_check(model, &problem) < 0)
		fail_msg("%s", problem.detail);
	model_commit(model);
}

/* The transaction is refused for this object, with this sentence, and undone. */
static void refuse(struct model *model, const char *code, const char *object, const char *pointer,
		   const char *detail)
{
	struct problem problem;

	problem_init(&problem);
	assert_int_not_equal(model_check(model, &problem), 0);
	assert_string_equal(problem.code, code);
	assert_string_equal(problem.object, object);
	assert_string_equal(problem.pointer, pointer);
	assert_string_equal(problem.detail, detail);
	assert_int_equal(problem.status, 409);
	model_rollback(model);
}

static void sums_fit_the_capacity(void **state)
{
	struct model *model = *state;

	model_begin(model);
	put_host(model, 1000 * MBIT, 500 * MBIT);
	put(model, "a", 600 * MBIT, 500 * MBIT);
	put(model, "b", 400 * MBIT, 0);
	commit(model);

	model_begin(model);
	put(model, "c", 1 * MBIT, 0);
	refuse(model, "over-capacity", "tenant c", "/send-min",
	       "tenant c cannot be guaranteed 1mbit to send: all guarantees would come to "
	       "1001mbit, "
	       "and the host's send-capacity is 1gbit; lower some send-min, or raise that with "
	       "'vswitchctl host set --send-capacity'");
	model_begin(model);
	put(model, "b", 400 * MBIT, 8);
	refuse(model, "over-capacity", "tenant b", "/receive-min",
	       "tenant b cannot be guaranteed 8bit to receive: all guarantees would come to "
	       "500000008bit, and the host's receive-capacity is 500mbit; lower some receive-min, "
	       "or raise that with 'vswitchctl host set --receive-capacity'");
	model_begin(model);
	put_host(model, 999 * MBIT, 500 * MBIT);
	refuse(model, "over-capacity", "host", "/send-capacity",
	       "host cannot have a send-capacity of 999mbit: tenants are guaranteed 1gbit together "
	       "to send, so give it 1gbit or more, or take some send-min away first");
	model_begin(model);
	put_host(model, 1000 * MBIT, 0);
	refuse(model, "over-capacity", "host", "/receive-capacity",
	       "host cannot have a receive-capacity of none: tenants are guaranteed 500mbit "
	       "together to receive, so give it 500mbit or more, or take some receive-min away "
	       "first");
	/* What was refused has left nothing behind. */
	model_begin(model);
	put_host(model, 1001 * MBIT, 500 * MBIT);
	put(model, "c", 1 * MBIT, 0);
	commit(model);
}

static void nothing_is_guaranteed_of_no_capacity(void **state)
{
	struct model *model = *state;

	model_begin(model);
	put_host(model, 0, 1000 * MBIT);
	put(model, "a", 8, 0);
	refuse(model, "no-capacity", "tenant a", "/send-min",
	       "tenant a cannot be guaranteed 8bit to send: the host has no send-capacity to "
	       "divide, "
	       "so give it one first, as with 'vswitchctl host set --send-capacity'");
	model_begin(model);
	put(model, "a", 0, 0);
	commit(model);
	/* The order of steps does not matter. */
	model_begin(model);
	put(model, "a", 8, 0);
	put_host(model, 8, 0);
	commit(model);
}

/* Whoever gets more is named, not whoever made room. */
static void guarantees_are_swapped(void **state)
{
	struct model *model = *state;

	model_begin(model);
	put_host(model, 100 * MBIT, 0);
	put(model, "a", 90 * MBIT, 0);
	put(model, "b", 10 * MBIT, 0);
	commit(model);
	for (int i = 0; i < 2; i++) {
		model_begin(model);
		put(model, i == 0 ? "b" : "a", 90 * MBIT, 0);
		put(model, i == 0 ? "a" : "b", 10 * MBIT, 0);
		commit(model);
	}
	model_begin(model);
	put(model, "a", 80 * MBIT, 0);
	put(model, "b", 30 * MBIT, 0);
	refuse(model, "over-capacity", "tenant b", "/send-min",
	       "tenant b cannot be guaranteed 30mbit to send: all guarantees would come to "
	       "110mbit, "
	       "and the host's send-capacity is 100mbit; lower some send-min, or raise that with "
	       "'vswitchctl host set --send-capacity'");
	/* A tenant that goes leaves what it had, also to one of the same name. */
	model_begin(model);
	model_tenant_del(model, model_tenant_find(model, "a"));
	put(model, "a", 70 * MBIT, 0);
	put(model, "b", 30 * MBIT, 0);
	commit(model);
	model_begin(model);
	model_tenant_del(model, model_tenant_find(model, "a"));
	put(model, "a", 71 * MBIT, 0);
	refuse(model, "over-capacity", "tenant a", "/send-min",
	       "tenant a cannot be guaranteed 71mbit to send: all guarantees would come to "
	       "101mbit, "
	       "and the host's send-capacity is 100mbit; lower some send-min, or raise that with "
	       "'vswitchctl host set --send-capacity'");
}

/* So much that 64 bits would only just hold it. */
static void sums_do_not_wrap(void **state)
{
	struct model *model = *state;
	struct problem problem;
	char name[16];

	model_begin(model);
	put_host(model, RATE_MAX, RATE_MAX);
	for (unsigned i = 0; i < PROTO_INDEX_CAPACITY; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		put(model, name, RATE_MAX, RATE_MAX);
	}
	problem_init(&problem);
	assert_int_not_equal(model_check(model, &problem), 0);
	assert_non_null(strstr(problem.detail, "131072tbit"));
	model_rollback(model);
}

/* What there is, kept by hand: the sum of everything, each time. */
struct world {
	uint64_t mins[TENANTS], capacity;
};

static uint64_t sum(const struct world *world)
{
	uint64_t total = 0;

	for (int i = 0; i < TENANTS; i++)
		total += world->mins[i];
	return total;
}

static void step(struct model *model, struct world *world)
{
	int i = rand() % TENANTS;
	char name[16];

	snprintf(name, sizeof(name), "t%d", i);
	if (rand() % 8 == 0) {
		world->capacity = (uint64_t)(rand() % 100);
		put_host(model, 0, world->capacity);
	} else if (rand() % 4 == 0) {
		world->mins[i] = 0;
		if (model_tenant_find(model, name) != NULL)
			model_tenant_del(model, model_tenant_find(model, name));
	} else {
		world->mins[i] = (uint64_t)(rand() % 20);
		put(model, name, 0, world->mins[i]);
	}
}

/* Any steps: refused exactly when the whole does not fit. */
static void any_transaction_is_judged_as_a_whole(void **state)
{
	struct model *model = *state;
	struct world world = {0};
	unsigned refused = 0;

	srand(1);
	for (int round = 0; round < ROUNDS; round++) {
		struct world next = world;
		struct problem problem;
		int result;

		problem_init(&problem);
		model_begin(model);
		for (int i = rand() % 6; i >= 0; i--)
			step(model, &next);
		result = model_check(model, &problem);
		assert_int_equal(result<0, sum(&next)> next.capacity);
		refused += result < 0;
		if (result < 0 || rand() % 10 == 0)
			model_rollback(model);
		else
			model_commit(model), world = next;
	}
	assert_true(refused > ROUNDS / 20 && refused < ROUNDS - ROUNDS / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sums_fit_the_capacity, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_guaranteed_of_no_capacity, setup,
						teardown),
		cmocka_unit_test_setup_teardown(guarantees_are_swapped, setup, teardown),
		cmocka_unit_test_setup_teardown(sums_do_not_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(any_transaction_is_judged_as_a_whole, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
