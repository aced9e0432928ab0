/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/codel.h"

#define RECENT_INTERVALS 16u

/* The integer square root, by Newton's method from above. */
static uint64_t square_root(uint64_t value)
{
	uint64_t next, root;

	if (value == 0)
		return 0;
	next = 1ull << (64 - __builtin_clzll(value) + 1) / 2;
	do {
		root = next;
		next = (root + value / root) / 2;
	} while (next < root);
	return root;
}

/* interval / sqrt(count) */
static uint64_t spacing(uint64_t interval, uint16_t count)
{
	return square_root(interval * interval / count);
}

bool codel_due(struct codel *codel, bool waited, uint64_t now, uint64_t interval)
{
	if (!waited) {
		codel->wait_end = 0;
		return false;
	}
	if (codel->wait_end == 0)
		codel->wait_end = now + interval;
	return now >= (codel->wait_end == CODEL_SIGNALLING ? codel->next_signal : codel->wait_end);
}

void codel_signal(struct codel *codel, uint64_t now, uint64_t interval)
{
	uint16_t given = (uint16_t)(codel->count - codel->first_count);

	if (codel->wait_end == CODEL_SIGNALLING) {
		if (codel->count < UINT16_MAX)
			codel->count++;
		codel->next_signal += spacing(interval, codel->count);
		return;
	}
	codel->count = 1;
	if (given > 1 &&
	    (int64_t)(now - codel->next_signal) < (int64_t)(RECENT_INTERVALS * interval))
		codel->count = given;
	codel->first_count = codel->count;
	codel->next_signal = now + spacing(interval, codel->count);
	codel->wait_end = CODEL_SIGNALLING;
}
