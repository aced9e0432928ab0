/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_OUTPUT_CHANNEL_H
#define VSWITCH_CLI_OUTPUT_CHANNEL_H

/*
 * The counters of one tenant as text for people: its two directions side by
 * side. A part of output_counters.c, which calls it.
 */

#include "cli/output.h"

/* Whether the object is a tenant's counters. */
bool output_channel_is(const json_t *object);
void output_channel(const struct output_look *look);

#endif
