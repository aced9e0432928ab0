/* SPDX-License-Identifier: Apache-2.0 */
#include "control/json_channel.h"

#include "control/request.h"

/* The longest that packets of a place waited, in microseconds. The last place has no end; as a
 * number it is told by what would come next. */
#define PLACE_BOUND(place) ((place) == 0 ? 0 : (json_int_t)16 << (place))

__extension__ typedef unsigned __int128 uint128;

/* Packets by how long they waited. */
struct delays {
	uint64_t packets[STATS_DELAYS];
	uint64_t total;
};

static json_t *rate_json(const struct json_channel_grant *grant);
static struct delays read_delays(const struct counters *tenant, size_t offset);
static json_t *delays_json(const struct delays *delays);
static json_t *quantile_json(const struct delays *delays, uint64_t above);

static const struct {
	const char *name;
	size_t offset;
} fields[] = {
	{"offered_packets", offsetof(struct stats_channel, offered_packets)},
	{"offered_bytes", offsetof(struct stats_channel, offered_bytes)},
	{"passed_packets", offsetof(struct stats_channel, passed_packets)},
	{"passed_bytes", offsetof(struct stats_channel, passed_bytes)},
	{"queued_packets", offsetof(struct stats_channel, queued_packets)},
	{"queued_bytes", offsetof(struct stats_channel, queued_bytes)},
	{"dropped_packets", offsetof(struct stats_channel, dropped_packets)},
	{"dropped_bytes", offsetof(struct stats_channel, dropped_bytes)},
	{"marked_packets", offsetof(struct stats_channel, marked_packets)},
};

json_t *json_channel(const struct counters *tenant, size_t offset,
		     const struct json_channel_grant *grant)
{
	struct delays delays = read_delays(tenant, offset);
	json_t *json = json_pack("{s:o}", "rate", rate_json(grant));

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		json_object_set_new(
			json, fields[i].name,
			request_counter(counters_sum(tenant, offset + fields[i].offset)));
	json_object_set_new(json, "delay_p50_us", quantile_json(&delays, 2));
	json_object_set_new(json, "delay_p99_us", quantile_json(&delays, 100));
	json_object_set_new(json, "delays", delays_json(&delays));
	return json;
}

/* null: nothing limits it now. */
static json_t *rate_json(const struct json_channel_grant *grant)
{
	const struct model_channel *channel = grant->channel;
	bool divided = grant->capacity != 0 && grant->share != UINT64_MAX;
	uint128 rate = channel->min + ((uint128)grant->share * grant->weight >> 16);

	if (!divided || (channel->rate != 0 && rate > channel->rate))
		return channel->rate != 0 ? request_counter(channel->rate) : json_null();
	return request_counter(rate < UINT64_MAX ? (uint64_t)rate : UINT64_MAX);
}

static struct delays read_delays(const struct counters *tenant, size_t offset)
{
	struct delays delays = {0};

	for (size_t i = 0; i < STATS_DELAYS; i++) {
		size_t place = offsetof(struct stats_channel, delays) + i * sizeof(uint64_t);

		delays.packets[i] = counters_sum(tenant, offset + place);
		delays.total += delays.packets[i];
	}
	return delays;
}

/* Only the places that have packets: most tenants of a large switch have few. */
static json_t *delays_json(const struct delays *delays)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < STATS_DELAYS; i++) {
		json_t *bound = i + 1 < STATS_DELAYS ? json_integer(PLACE_BOUND(i)) : json_null();

		if (delays->packets[i] == 0)
			json_decref(bound);
		else
			json_array_append_new(list,
					      json_pack("{s:o, s:o}", "up_to_us", bound, "packets",
							request_counter(delays->packets[i])));
	}
	return list;
}

/* The bound of the place of the packet than which one in `above` waited longer; null: nothing
 * passed. */
static json_t *quantile_json(const struct delays *delays, uint64_t above)
{
	uint64_t rank = delays->total - delays->total / above;
	unsigned place = 0;

	if (delays->total == 0)
		return json_null();
	while (place + 1 < STATS_DELAYS && rank > delays->packets[place])
		rank -= delays->packets[place++];
	return json_integer(PLACE_BOUND(place));
}
