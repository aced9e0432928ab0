/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "common/rate.h"
#include "control/model_internal.h"

/* One direction, as checks look at it: what there is to divide, and what is promised of it. */
struct balance {
	const char *verb, *min_key, *capacity_key;
	uint64_t capacity, promised;
};

static struct balance send_balance(const struct model *model);
static struct balance receive_balance(const struct model *model);
static int check_capacity(const struct balance *balance, struct problem *problem);
static int check_guarantee(const struct balance *balance, const char *name, uint64_t min,
			   struct problem *problem);

/*
 * How this works: a transaction begins with sums that fit. It ends with sums that do not only if it
 * took capacity away or gave some tenant more, so that only these need to be looked at, and the
 * sums are kept up by link and unlink. A check costs the same however many tenants there are.
 */
int model_check_capacity(const struct model *model, const struct model_host *former,
			 struct problem *problem)
{
	const struct balance send = send_balance(model), receive = receive_balance(model);

	if (send.capacity < former->send_capacity && check_capacity(&send, problem) < 0)
		return -EINVAL;
	if (receive.capacity < former->receive_capacity)
		return check_capacity(&receive, problem);
	return 0;
}

int model_check_guarantees(const struct model *model, const struct model_tenant *tenant,
			   const struct model_tenant *former, struct problem *problem)
{
	const struct balance send = send_balance(model), receive = receive_balance(model);
	uint64_t send_min = tenant->bandwidth.send.min;
	uint64_t receive_min = tenant->bandwidth.receive.min;

	if (send_min > (former != NULL ? former->bandwidth.send.min : 0) &&
	    check_guarantee(&send, tenant->name, send_min, problem) < 0)
		return -EINVAL;
	if (receive_min > (former != NULL ? former->bandwidth.receive.min : 0))
		return check_guarantee(&receive, tenant->name, receive_min, problem);
	return 0;
}

static struct balance send_balance(const struct model *model)
{
	return (struct balance){.verb = "send",
				.min_key = "send-min",
				.capacity_key = "send-capacity",
				.capacity = model->host.values.send_capacity,
				.promised = model->send_min};
}

static struct balance receive_balance(const struct model *model)
{
	return (struct balance){.verb = "receive",
				.min_key = "receive-min",
				.capacity_key = "receive-capacity",
				.capacity = model->host.values.receive_capacity,
				.promised = model->receive_min};
}

static int check_capacity(const struct balance *balance, struct problem *problem)
{
	char capacity[RATE_TEXT_SIZE], promised[RATE_TEXT_SIZE];

	if (balance->promised <= balance->capacity)
		return 0;
	rate_format(balance->capacity, capacity);
	rate_format(balance->promised, promised);
	return problem_set(
		problem, 409, "over-capacity", balance->capacity_key,
		"host cannot have a %s of %s: tenants are guaranteed %s together to %s, so "
		"give it %s or more, or take some %s away first",
		balance->capacity_key, capacity, promised, balance->verb, promised,
		balance->min_key);
}

static int check_guarantee(const struct balance *balance, const char *name, uint64_t min,
			   struct problem *problem)
{
	char wanted[RATE_TEXT_SIZE], capacity[RATE_TEXT_SIZE], promised[RATE_TEXT_SIZE];

	if (balance->promised <= balance->capacity)
		return 0;
	rate_format(min, wanted);
	if (balance->capacity == 0)
		return problem_set(
			problem, 409, "no-capacity", balance->min_key,
			"tenant %s cannot be guaranteed %s to %s: the host has no %s to "
			"divide, so give it one first, as with 'vswitchctl host set --%s'",
			name, wanted, balance->verb, balance->capacity_key, balance->capacity_key);
	rate_format(balance->promised, promised);
	rate_format(balance->capacity, capacity);
	return problem_set(
		problem, 409, "over-capacity", balance->min_key,
		"tenant %s cannot be guaranteed %s to %s: all guarantees would come to %s, "
		"and the host's %s is %s; lower some %s, or raise that with 'vswitchctl "
		"host set --%s'",
		name, wanted, balance->verb, promised, balance->capacity_key, capacity,
		balance->min_key, balance->capacity_key);
}
