/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/fdb.h"
#include "datapath/fdb_table.h"

/* An entry is held for the second in which it was, and for the next. */
static bool moves_over(const struct fdb_moves *moves, uint32_t now)
{
	return (int32_t)(now - moves->second) > (moves->count > FDB_MOVES_MAX ? 1 : 0);
}

/* Returns the key's moves; if there are none yet, in place of what is over or moved least. */
static struct fdb_moves *moves_of(struct fdb_stripe *stripe, uint64_t key, uint32_t now)
{
	struct fdb_moves *least = NULL;
	uint32_t least_count = 0;

	for (unsigned i = 0; i < FDB_STRIPE_MOVES; i++) {
		struct fdb_moves *moves = &stripe->moves[i];
		uint32_t count = moves_over(moves, now) ? 0 : moves->count;

		if (moves->key == key && count > 0)
			return moves;
		if (least == NULL || count < least_count) {
			least = moves;
			least_count = count;
		}
	}
	*least = (struct fdb_moves){.key = key, .second = now};
	return least;
}

enum fdb_learned fdb_judge_move(struct fdb_stripe *stripe, uint64_t key, uint32_t now)
{
	struct fdb_moves *moves = moves_of(stripe, key, now);

	if (moves->count > FDB_MOVES_MAX)
		return FDB_HELD;
	moves->count++;
	if (moves->count <= FDB_MOVES_MAX)
		return FDB_MOVED;
	moves->second = now;
	return FDB_HELD_NEW;
}
