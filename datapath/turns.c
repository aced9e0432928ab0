/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/turns.h"

void turns_remove(struct turns *turns, void *cells, enum turn_ring ring, uint32_t id)
{
	struct turn *turn = turn_at(cells, id), *before = turn;
	uint32_t before_id = id;

	if (turn->next[ring] == 0)
		return;
	while (before->next[ring] != id) {
		before_id = before->next[ring];
		before = turn_at(cells, before_id);
	}
	before->next[ring] = turn->next[ring];
	turn->next[ring] = 0;
	if (turns->last[ring] == id)
		turns->last[ring] = before_id == id ? 0 : before_id;
}

/* Does to all members what so many rounds would in which nobody may send. */
static void skip_rounds(struct turns *turns, void *cells, int32_t octets)
{
	uint32_t id = turns->last[TURN_ROUND];

	do {
		struct turn *turn = turn_at(cells, id);

		turn->deficit += octets;
		id = turn->next[TURN_ROUND];
	} while (id != turns->last[TURN_ROUND]);
}

uint32_t turns_next(struct turns *turns, void *cells, uint32_t quantum)
{
	int32_t most = INT32_MIN, step = (int32_t)quantum;
	uint32_t begin = 0, id;

	while ((id = turns_first(turns, cells, TURN_ROUND)) != 0) {
		struct turn *turn = turn_at(cells, id);

		if (turn->deficit > 0)
			return id;
		if (id == begin && most <= 0) {
			skip_rounds(turns, cells, (-most / step + 1) * step);
			begin = 0;
			most = INT32_MIN;
			continue;
		}
		if (begin == 0)
			begin = id;
		turn->deficit += step;
		if (turn->deficit > most)
			most = turn->deficit;
		turns->last[TURN_ROUND] = id;
	}
	return 0;
}
