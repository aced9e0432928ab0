/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "control/reaper.h"
#include "control/reconcile_internal.h"

/*
 * How this works: the last close of a packet socket waits for a grace period, and the datapath,
 * which holds a copy, must not be the last. So descriptors stay here until the datapath has
 * answered the transaction that takes its copies away, and are closed by a thread that may wait.
 */

static void reap(struct reconcile *reconcile, uint32_t count);

void reconcile_close_later(struct reconcile *reconcile, struct links_queues *queues)
{
	if (queues->count == 0)
		return;
	reconcile->closing =
		reconcile_grow(reconcile->closing, reconcile->closing_count + queues->count,
			       sizeof(*reconcile->closing));
	while (queues->count > 0)
		reconcile->closing[reconcile->closing_count++] = queues->fds[--queues->count];
	if (datapath_link_state(reconcile->datapath) == DATAPATH_LINK_ABSENT)
		reconcile_close_all(reconcile);
}

void reconcile_close_told(struct reconcile *reconcile)
{
	reap(reconcile, reconcile->closing_told);
}

void reconcile_close_all(struct reconcile *reconcile)
{
	reap(reconcile, reconcile->closing_count);
}

/* The first ones, in the order in which they came. */
static void reap(struct reconcile *reconcile, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		reaper_close(reconcile->reaper, reconcile->closing[i]);
	if (count > 0)
		memmove(reconcile->closing, reconcile->closing + count,
			(reconcile->closing_count - count) * sizeof(*reconcile->closing));
	reconcile->closing_count -= count;
	reconcile->closing_told = 0;
}
