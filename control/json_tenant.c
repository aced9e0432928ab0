/* SPDX-License-Identifier: Apache-2.0 */

/* Bandwidth as JSON: what a host has, and what a tenant gets of it. */

#include <errno.h>

#include "common/rate.h"
#include "common/size.h"
#include "control/json_object.h"
#include "control/json_read.h"

/* How the attributes of one direction are called. */
struct channel_keys {
	const char *rate, *min, *burst;
};

static const struct channel_keys send_keys = {"send", "send-min", "send-burst"};
static const struct channel_keys receive_keys = {"receive", "receive-min", "receive-burst"};

static int read_channel(const json_t *json, const struct channel_keys *keys,
			struct model_channel *channel, struct problem *problem);
static void write_channel(json_t *json, const struct channel_keys *keys,
			  const struct model_channel *channel);
static json_t *rate_json(uint64_t rate);
static json_t *size_json(uint64_t octets);

int json_host_read(const json_t *json, struct model_host *values, struct problem *problem)
{
	static const char *const keys[] = {"send-capacity", "receive-capacity", NULL};
	struct model_host read = {0};

	if (json_read_keys(json, keys, problem) < 0 ||
	    json_read_rate(json, "send-capacity", &read.send_capacity, problem) < 0 ||
	    json_read_rate(json, "receive-capacity", &read.receive_capacity, problem) < 0)
		return -EINVAL;
	*values = read;
	return 0;
}

json_t *json_host_write(const struct model_host *host)
{
	return json_pack("{s:o, s:o}", "send-capacity", rate_json(host->send_capacity),
			 "receive-capacity", rate_json(host->receive_capacity));
}

int json_tenant_read(const json_t *json, struct model_tenant *values, struct problem *problem)
{
	static const char *const keys[] = {"send",    "send-min",    "send-burst",
					   "receive", "receive-min", "receive-burst",
					   "weight",  "overhead",    NULL};
	struct model_bandwidth read = {.weight = 1};

	if (json_read_keys(json, keys, problem) < 0 ||
	    read_channel(json, &send_keys, &read.send, problem) < 0 ||
	    read_channel(json, &receive_keys, &read.receive, problem) < 0 ||
	    json_read_number(json, "weight", 1, PROTO_WEIGHT_MAX, &read.weight, problem) < 0 ||
	    json_read_signed(json, "overhead", PROTO_OVERHEAD_MIN, PROTO_OVERHEAD_MAX,
			     &read.overhead, problem) < 0)
		return -EINVAL;
	values->bandwidth = read;
	return 0;
}

json_t *json_tenant_write(const struct model_tenant *tenant)
{
	json_t *json = json_object();

	write_channel(json, &send_keys, &tenant->bandwidth.send);
	write_channel(json, &receive_keys, &tenant->bandwidth.receive);
	json_object_set_new(json, "weight", json_integer(tenant->bandwidth.weight));
	json_object_set_new(json, "overhead", json_integer(tenant->bandwidth.overhead));
	return json;
}

static int read_channel(const json_t *json, const struct channel_keys *keys,
			struct model_channel *channel, struct problem *problem)
{
	char min[RATE_TEXT_SIZE], rate[RATE_TEXT_SIZE];

	if (json_read_rate(json, keys->rate, &channel->rate, problem) < 0 ||
	    json_read_rate(json, keys->min, &channel->min, problem) < 0 ||
	    json_read_size(json, keys->burst, &channel->burst, problem) < 0)
		return -EINVAL;
	if (channel->rate == 0 || channel->min <= channel->rate)
		return 0;
	return problem_set(
		problem, 409, "above-ceiling", keys->min,
		"%s cannot be guaranteed %s to %s, above its ceiling of %s: lower %s, or "
		"raise %s",
		problem->object, rate_format(channel->min, min), keys->rate,
		rate_format(channel->rate, rate), keys->min, keys->rate);
}

static void write_channel(json_t *json, const struct channel_keys *keys,
			  const struct model_channel *channel)
{
	json_object_set_new(json, keys->rate, rate_json(channel->rate));
	json_object_set_new(json, keys->min, rate_json(channel->min));
	json_object_set_new(json, keys->burst, size_json(channel->burst));
}

static json_t *rate_json(uint64_t rate)
{
	char text[RATE_TEXT_SIZE];

	return json_string(rate_format(rate, text));
}

static json_t *size_json(uint64_t octets)
{
	char text[SIZE_TEXT_SIZE];

	return json_string(size_format(octets, text));
}
