/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_JSON_CHANNEL_H
#define VSWITCH_CONTROL_JSON_CHANNEL_H

/*
 * What one direction of a tenant's bandwidth did, as JSON: the counters of
 * its shaper, the rate that it is granted now, and for how long packets
 * waited. Called by the handlers of counters.
 */

#include <jansson.h>

#include "control/counters.h"
#include "control/model.h"

/* What a channel's rate follows from. */
struct json_channel_grant {
	const struct model_channel *channel;
	uint32_t weight;
	uint64_t capacity; /* of the host, bit/s; 0: nothing is divided */
	uint64_t share;	   /* as in struct stats_memory */
};

/* tenant: its counters; offset: of the direction's struct stats_channel in its struct stats_tenant.
 */
json_t *json_channel(const struct counters *tenant, size_t offset,
		     const struct json_channel_grant *grant);

#endif
