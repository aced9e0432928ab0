/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_OUTPUT_COUNTERS_H
#define VSWITCH_CLI_OUTPUT_COUNTERS_H

/*
 * Counters as text for people: totals at one look, and per second between two.
 * A part of output_text.c, which calls it.
 */

#include "cli/output.h"

void output_counters_stats(const struct output_look *look);
void output_counters_drops(const struct output_look *look);

#endif
