/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/shaper_internal.h"

#define LOOK_NS	     10000000ull
#define LOOK_GATES   256u      /* that one shaper_release() looks at */
#define TURN_PACKETS 8u	       /* that one gate releases before the next gate's turn */
#define YIELD_NS     100000ull /* what a worker that had a turn leaves to others at the same gate */
#define TARGET_NS    5000000ull /* RFC 8289 section 4.2, and two frames' time where that is more */
#define INTERVAL_NS  100000000ull /* section 4.3 */
#define FRAME_SIZE   1514u
#define QUANTUM_MAX  65536u

/* What waits at one gate, to see afterwards what a change did. */
struct census {
	uint64_t packets, octets;
};

static struct census census_of(const struct queue *queue)
{
	return (struct census){queue->flows.packets, queue->flows.octets};
}

/* What came to the queue since, or left, is counted for the worker and for all workers. */
static void count_change(struct shaper_worker *worker, struct queue *queue, struct census before)
{
	struct gate *gate = &worker->shaper->gates[queue - worker->queues];
	struct census now = census_of(queue);

	worker->packets += now.packets - before.packets;
	worker->octets += now.octets - before.octets;
	if (now.octets != before.octets)
		atomic_fetch_add_explicit(&gate->waiting, now.octets - before.octets,
					  memory_order_relaxed);
}

/* The port whose share the packet is of; a port is one for each kind of gate. */
static uint32_t flow_port(const struct shaper_worker *worker, enum shaper_kind kind,
			  const struct packet *packet)
{
	bool sending = kind == SHAPER_PORT_SEND || kind == SHAPER_TENANT_SEND;
	uint32_t port = sending ? packet->port_in : packet->port_out;

	return (uint32_t)gate_id(worker->shaper, kind, port);
}

/* Moves packets to the lost ones, which were lost for a reason; DROP_NONE: for want of room. */
static void lose(struct shaper_worker *worker, struct packet_list *list, enum drop_reason reason)
{
	struct packet *packet;

	while ((packet = packet_list_pop(list)) != NULL) {
		packet->drop = (uint8_t)reason;
		packet_list_append(&worker->lost, packet);
	}
}

/* The queue has no packets any more, though none was released. */
static void end_waiting(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
			uint64_t now)
{
	wheel_remove(worker->wheels[kind], index);
	shaper_begin_leaving(worker, kind, index, now);
}

/* Packets of a former port of this index, which wait elsewhere, are lost. */
static void evict(struct shaper_worker *worker, enum shaper_kind kind, struct queue *queue,
		  uint32_t port, uint64_t now)
{
	struct packet_list list;
	struct flow_queue *flows;
	struct queue *former;
	struct census before;
	size_t id;

	packet_list_init(&list);
	flows = flow_queue_evict(worker->memory, &queue->flows, port, &list);
	if (flows == NULL)
		return;
	former = (struct queue *)((char *)flows - offsetof(struct queue, flows));
	id = (size_t)(former - worker->queues);
	before = census_of(former);
	before.packets += list.count;
	for (const struct packet *packet = list.first; packet != NULL; packet = packet->next)
		before.octets += packet->cost;
	count_change(worker, former, before);
	if (former->flows.packets == 0)
		end_waiting(worker, kind, (uint32_t)(id - gate_id(worker->shaper, kind, 0)), now);
	lose(worker, &list, DROP_PORT_GONE);
}

/*
 * Whether there is more at the gate than its queues may hold: no more than what is left free of the
 * worker's room, so that there always is some for others, and what goes out in time.
 */
static bool is_over(const struct shaper_worker *worker, const struct queue *queue,
		    const struct gate *gate, uint64_t rate, uint64_t debt)
{
	uint64_t waiting = atomic_load_explicit(&gate->waiting, memory_order_relaxed);

	if (worker->packets + queue->flows.packets > worker->packets_max ||
	    worker->octets + queue->flows.octets > worker->octets_max)
		return true;
	return rate != 0 && queue->flows.packets > SHAPER_QUEUE_FRAMES &&
	       (debt > SHAPER_QUEUE_NS || gate_time(waiting, rate) > SHAPER_QUEUE_NS - debt);
}

/* The longest flow makes room for others. */
static void make_room(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		      uint64_t now)
{
	struct queue *queue = &worker->queues[gate_id(worker->shaper, kind, index)];
	struct census before = census_of(queue);
	struct packet_list dropped;

	packet_list_init(&dropped);
	flow_queue_drop_longest(worker->memory, &queue->flows, &dropped);
	count_change(worker, queue, before);
	lose(worker, &dropped, DROP_NONE);
	if (queue->flows.packets == 0)
		end_waiting(worker, kind, index, now);
}

/* Lets the packet wait, if there is room. */
static enum shaper_verdict enqueue(struct shaper_worker *worker, enum shaper_kind kind,
				   uint32_t index, struct packet *packet, uint64_t now)
{
	size_t id = gate_id(worker->shaper, kind, index);
	struct gate *gate = &worker->shaper->gates[id];
	struct queue *queue = &worker->queues[id];
	struct gate_share share = share_now(&worker->shaper->shares[kind]);
	uint32_t port = flow_port(worker, kind, packet);
	struct census before;
	uint64_t due;

	share.contends = queue->contends;
	due = gate_due(gate, share, now);
	evict(worker, kind, queue, port, now);
	before = census_of(queue);
	if (before.packets == 0)
		wheel_insert(worker->wheels[kind], index, due, now);
	if (share.capacity != 0 && !queue->contends)
		shaper_contend(worker, kind, index);
	packet->gate = (uint8_t)kind;
	flow_queue_append(worker->memory, &queue->flows, port, packet, packet->cost, now);
	count_change(worker, queue, before);
	if (is_over(worker, queue, gate, gate_rate(gate, share), due - now))
		make_room(worker, kind, index, now);
	return SHAPER_QUEUED;
}

void shaper_take_lost(struct shaper_worker *worker, struct packet_list *list)
{
	struct packet *packet;

	while ((packet = packet_list_pop(&worker->lost)) != NULL)
		packet_list_append(list, packet);
}

bool shaper_is_idle(const struct shaper_worker *worker, enum shaper_kind kind)
{
	return worker->packets == 0 &&
	       atomic_load_explicit(&worker->shaper->limited[kind], memory_order_relaxed) == 0 &&
	       share_now(&worker->shaper->shares[kind]).capacity == 0;
}

bool shaper_is_open(const struct shaper_worker *worker, enum shaper_kind kind, uint32_t index)
{
	size_t id = gate_id(worker->shaper, kind, index);

	return shaper_rate(worker->shaper, kind, index) == 0 &&
	       (worker->packets == 0 || worker->queues[id].flows.packets == 0);
}

uint64_t shaper_room(const struct shaper_worker *worker, enum shaper_kind kind, uint32_t index)
{
	const struct gate *gate = &worker->shaper->gates[gate_id(worker->shaper, kind, index)];
	uint64_t rate = shaper_rate(worker->shaper, kind, index);
	uint64_t waiting = atomic_load_explicit(&gate->waiting, memory_order_relaxed);
	uint64_t room = gate_octets(rate, TARGET_NS / 2);

	if (rate == 0)
		return waiting == 0 ? UINT64_MAX : 0;
	if (room < 2 * FRAME_SIZE)
		room = 2 * FRAME_SIZE;
	return room > waiting ? room - waiting : 0;
}

/*
 * Whether nothing waits before what comes now, here or at another worker: with workers that sleep,
 * one that is awake would take every chance before them.
 */
static bool is_next(struct shaper_worker *worker, size_t id, bool limited, uint64_t now)
{
	struct shaper *shaper = worker->shaper;

	if (worker->packets == 0) {
		/* Nothing waits that an earlier change could concern. This comes before the clock
		 * is read, so that no later one is missed. */
		worker->change_count =
			atomic_load_explicit(&shaper->change_count, memory_order_acquire);
		worker->looked = now;
	} else if (worker->queues[id].flows.packets != 0) {
		return false;
	}
	return !limited ||
	       atomic_load_explicit(&shaper->gates[id].waiting, memory_order_relaxed) == 0;
}

bool shaper_offer_all(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		      uint32_t octets, uint32_t before, uint64_t now)
{
	size_t id = gate_id(worker->shaper, kind, index);
	uint64_t due;

	return is_next(worker, id, shaper_rate(worker->shaper, kind, index) != 0, now) &&
	       shaper_charge(worker, kind, index, octets, before, now, &due);
}

enum shaper_verdict shaper_offer(struct shaper_worker *worker, enum shaper_kind kind,
				 uint32_t index, struct packet *packet, uint64_t now)
{
	struct shaper *shaper = worker->shaper;
	size_t id = gate_id(shaper, kind, index);
	bool limited = shaper_rate(shaper, kind, index) != 0;
	uint64_t due;

	if (worker->packets == 0 && !limited)
		return SHAPER_PASS;
	if (is_next(worker, id, limited, now) &&
	    shaper_charge(worker, kind, index, packet->cost, 0, now, &due))
		return SHAPER_PASS;
	return enqueue(worker, kind, index, packet, now);
}

/* Looks at the gates whose rate was changed since the last time as if they were due. */
static void notice_changes(struct shaper_worker *worker, uint64_t now)
{
	struct shaper *shaper = worker->shaper;
	uint64_t count = atomic_load_explicit(&shaper->change_count, memory_order_acquire);

	worker->looked = now;
	while (worker->change_count != count) {
		uint32_t id = atomic_load_explicit(
			&shaper->changes[worker->change_count % SHAPER_CHANGES],
			memory_order_acquire);
		unsigned kind = id / shaper->capacity;
		uint32_t index = id % shaper->capacity;

		/* Was it overwritten while it was read, or long before? */
		count = atomic_load_explicit(&shaper->change_count, memory_order_acquire);
		if (count - worker->change_count >= SHAPER_CHANGES) {
			for (kind = 0; kind < SHAPER_KIND_COUNT; kind++)
				wheel_expire(worker->wheels[kind]);
			worker->change_count = count;
			return;
		}
		worker->change_count++;
		if (wheel_contains(worker->wheels[kind], index)) {
			wheel_remove(worker->wheels[kind], index);
			wheel_insert(worker->wheels[kind], index, now, now);
		}
	}
}

/* The kind whose gate is due first; SHAPER_KIND_COUNT: none is due. */
static unsigned first_due(const struct shaper_worker *worker, uint64_t now)
{
	uint64_t first = now;
	unsigned found = SHAPER_KIND_COUNT;

	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++) {
		uint64_t next = wheel_next(worker->wheels[kind]);

		if (next <= first && (found == SHAPER_KIND_COUNT || next < first)) {
			first = next;
			found = kind;
		}
	}
	return found;
}

/* How flows share a gate of this rate. */
static struct flow_parameters flow_parameters(uint64_t rate)
{
	struct flow_parameters parameters = {
		.target = TARGET_NS,
		.interval = INTERVAL_NS,
		.quantum = QUANTUM_MAX,
	};
	uint64_t quantum = gate_octets(rate, SHAPER_QUANTUM_NS);

	if (rate == 0) {
		/* What waited before it became unlimited only goes. */
		parameters.target = INT64_MAX;
		return parameters;
	}
	if (2 * gate_time(FRAME_SIZE, rate) > parameters.target)
		parameters.target = 2 * gate_time(FRAME_SIZE, rate);
	if (quantum < QUANTUM_MAX)
		parameters.quantum = quantum < FRAME_SIZE ? FRAME_SIZE : (uint32_t)quantum;
	return parameters;
}

/* Takes packets out of the queue while the gate is open; else sets *due to when it will be. */
static unsigned take(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		     struct batch *batch, uint64_t now, uint64_t *due)
{
	struct queue *queue = &worker->queues[gate_id(worker->shaper, kind, index)];
	const struct flow_parameters parameters =
		flow_parameters(shaper_rate(worker->shaper, kind, index));
	struct packet_list dropped;
	unsigned count = 0;

	packet_list_init(&dropped);
	for (; count < TURN_PACKETS && !batch_full(batch); count++) {
		struct packet *packet =
			flow_queue_peek(worker->memory, &queue->flows, now, &parameters, &dropped);

		if (packet == NULL ||
		    !shaper_charge(worker, kind, index, packet->cost, 0, now, due))
			break;
		batch_add(batch, flow_queue_take(worker->memory, &queue->flows, &parameters));
	}
	lose(worker, &dropped, DROP_QUEUE_DELAY);
	return count;
}

/* One gate's turn; it was taken out of the wheel. */
static void serve(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		  struct batch *batch, uint64_t now)
{
	size_t id = gate_id(worker->shaper, kind, index);
	struct gate *gate = &worker->shaper->gates[id];
	struct queue *queue = &worker->queues[id];
	struct census before = census_of(queue);
	uint64_t due = now;
	unsigned count = take(worker, kind, index, batch, now, &due);

	count_change(worker, queue, before);
	if (queue->flows.packets == 0) {
		shaper_begin_leaving(worker, kind, index, now);
		return;
	}
	if (due > now && count != 0)
		queue->turn_end = due;
	if (due > now && due == queue->turn_end &&
	    atomic_load_explicit(&gate->waiting, memory_order_relaxed) != queue->flows.octets)
		due += YIELD_NS;
	wheel_insert(worker->wheels[kind], index, due, now);
}

bool shaper_release(struct shaper_worker *worker, uint64_t now, struct batch *batch,
		    enum shaper_kind *kind)
{
	unsigned before = batch->count, current = SHAPER_KIND_COUNT;

	if (worker->packets == 0)
		return false;
	notice_changes(worker, now);
	for (unsigned look = 0; look < LOOK_GATES && !batch_full(batch); look++) {
		uint32_t index;

		if (batch->count == before)
			current = first_due(worker, now);
		if (current == SHAPER_KIND_COUNT)
			break;
		index = wheel_pop(worker->wheels[current], now);
		if (index == WHEEL_NONE)
			break;
		serve(worker, (enum shaper_kind)current, index, batch, now);
	}
	if (batch->count == before)
		return false;
	*kind = (enum shaper_kind)current;
	return true;
}

uint64_t shaper_next(const struct shaper_worker *worker, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (unsigned kind = SHAPER_TENANT_SEND; kind <= SHAPER_TENANT_RECEIVE; kind++) {
		uint64_t turn = atomic_load_explicit(&worker->shaper->shares[kind].turn,
						     memory_order_relaxed);

		if (worker->contending[kind] != 0 && turn < next)
			next = turn;
	}
	if (worker->packets == 0)
		return next;
	if (atomic_load_explicit(&worker->shaper->change_count, memory_order_acquire) !=
	    worker->change_count)
		return now;
	if (worker->looked + LOOK_NS < next)
		next = worker->looked + LOOK_NS;
	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++) {
		uint64_t first = wheel_next(worker->wheels[kind]);

		next = first < next ? first : next;
	}
	return next;
}

uint64_t shaper_backlog(const struct shaper_worker *worker, uint64_t *packets)
{
	*packets = worker->packets;
	return worker->octets;
}

void shaper_drain(struct shaper_worker *worker, enum shaper_kind kind, uint32_t index,
		  struct packet_list *list)
{
	struct queue *queue = &worker->queues[gate_id(worker->shaper, kind, index)];
	struct census before = census_of(queue);

	if (before.packets == 0)
		return;
	flow_queue_drain(worker->memory, &queue->flows, list);
	count_change(worker, queue, before);
	end_waiting(worker, kind, index, worker->looked);
}

void shaper_drain_all(struct shaper_worker *worker, struct packet_list *list)
{
	for (unsigned kind = 0; kind < SHAPER_KIND_COUNT; kind++) {
		uint32_t index;

		while ((index = wheel_pop(worker->wheels[kind], UINT64_MAX)) != WHEEL_NONE)
			shaper_drain(worker, (enum shaper_kind)kind, index, list);
	}
}
