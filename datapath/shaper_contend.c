/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/shaper_internal.h"

/* Numbers that fill their range evenly, and so does every regular choice of them. */
static uint64_t next_dither(struct shaper_worker *worker)
{
	return worker->dither += 0x9e3779b97f4a7c15ull; /* 2^64 / golden ratio */
}

/* Has one writer; atomic only so that a reader sees no half of it. */
static void add(_Atomic uint64_t *counter, uint64_t amount)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount,
			      memory_order_relaxed);
}

/* What passed at a gate that shares a capacity is measured. */
static void count_shared(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
			 uint32_t octets)
{
	size_t id = gate_id(worker->shaper, kind, index);
	struct share *share = &worker->shaper->shares[kind];
	struct share_worker *sums = &share->workers[worker->place];
	struct queue *queue = &worker->queues[id];
	uint64_t turn = atomic_load_explicit(&share->turn_count, memory_order_relaxed);

	if (queue->contends) {
		add(&sums->contending, octets);
		share_review(share, &worker->shaper->gates[id]);
		return;
	}
	if (queue->others_turn != turn) {
		queue->others_before = queue->others_turn + 1 == turn ? queue->others_octets : 0;
		queue->others_octets = 0;
	}
	queue->others_turn = turn;
	queue->others_octets += octets;
	add(&sums->others, octets);
}

bool shaper_charge(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		   uint32_t octets, uint32_t before, uint64_t now, uint64_t *due)
{
	struct shaper *shaper = worker->shaper;
	size_t id = gate_id(shaper, kind, index);
	struct gate_share share = share_now(&shaper->shares[kind]);

	share.contends = worker->queues[id].contends;
	if (!gate_charge(&shaper->gates[id], share, octets, before, next_dither(worker), now, due))
		return false;
	if (share.capacity != 0)
		count_shared(worker, kind, index, octets);
	return true;
}

void shaper_contend(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index)
{
	size_t id = gate_id(worker->shaper, kind, index);
	struct share *share = &worker->shaper->shares[kind];
	struct queue *queue = &worker->queues[id];
	uint64_t turn = atomic_load_explicit(&share->turn_count, memory_order_relaxed);
	uint64_t before = 0;

	/* What it passed in this turn and before is no others' use. */
	if (queue->others_turn == turn) {
		add(&share->workers[worker->place].others, -queue->others_octets);
		before = queue->others_before;
	} else if (queue->others_turn + 1 == turn) {
		before = queue->others_octets;
	}
	queue->others_octets = queue->others_before = 0;
	queue->contends = true;
	worker->contending[kind]++;
	share_enter(share, &worker->shaper->gates[id], before * (8000000000ull / SHARE_TURN_NS));
}

void shaper_begin_leaving(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
			  uint64_t now)
{
	struct leaving *leaving = &worker->leaving[kind];
	struct queue *queue = &worker->queues[gate_id(worker->shaper, kind, index)];

	queue->left = now;
	if (!queue->contends || queue->leaving)
		return;
	queue->leaving = true;
	queue->next_leaving = SHAPER_NO_GATE;
	if (leaving->first == SHAPER_NO_GATE)
		leaving->first = index;
	else
		worker->queues[gate_id(worker->shaper, kind, leaving->last)].next_leaving = index;
	leaving->last = index;
}

/* Gates that are empty for long enough cease to contend. */
static void end_leaving(struct shaper_worker *worker, enum shaper_kind kind, uint64_t now)
{
	struct leaving *leaving = &worker->leaving[kind];

	while (leaving->first != SHAPER_NO_GATE) {
		uint32_t index = leaving->first;
		size_t id = gate_id(worker->shaper, kind, index);
		struct queue *queue = &worker->queues[id];

		if (queue->flows.packets == 0 && now - queue->left < SHARE_LEAVE_NS)
			return;
		leaving->first = queue->next_leaving;
		queue->leaving = false;
		if (queue->flows.packets != 0)
			continue;
		queue->contends = false;
		worker->contending[kind]--;
		share_leave(&worker->shaper->shares[kind], &worker->shaper->gates[id]);
	}
}

void shaper_turn(struct shaper_worker *worker, uint64_t now)
{
	for (unsigned kind = SHAPER_TENANT_SEND; kind <= SHAPER_TENANT_RECEIVE; kind++) {
		struct share *share = &worker->shaper->shares[kind];
		uint64_t rises;

		end_leaving(worker, (enum shaper_kind)kind, now);
		share_turn(share, now);
		rises = atomic_load_explicit(&share->rise_count, memory_order_acquire);
		if (rises != worker->rise_counts[kind])
			wheel_expire(worker->wheels[kind]);
		worker->rise_counts[kind] = rises;
	}
}
