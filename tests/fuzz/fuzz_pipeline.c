/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole datapath: whatever comes in on any port, in any order and at any time, is forwarded,
 * dropped with a reason, or waits; after every step the counters say so, and no packet is lost.
 *
 * An input is a row of steps. A step is an octet: 0 … 5 receives a frame at that port (a virtio-net
 * header of 10 octets, 2 octets of size, little-endian, and so many octets of frame; where the
 * input ends early, the frame goes on with zeros); 6 moves the clock by so many 16 us as the next
 * octet says; 7 sets a rate (an octet for the gate, or from 240 on for a capacity, and one for the
 * rate; from 128 on that is what a tenant is guaranteed, and it weighs and may burst more); 8
 * removes a port or brings another in its place. Larger octets are taken modulo 9.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/ports/port.h"
#include "fuzz.h"
#include "tests/pipeline/rig.h"

#define FRAME_MAX 70000u

enum { ACCESS, ACCESS_PLAIN, TRUNK, UPLINK, OTHER, VTEP, PORTS };

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t take(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

static void take_octets(struct input *input, void *octets, size_t size)
{
	size_t taken = size < input->size ? size : input->size;

	memset(octets, 0, size);
	memcpy(octets, input->data, taken);
	input->data += taken;
	input->size -= taken;
}

static void add_port(struct rig *rig, uint32_t port)
{
	static const uint32_t features[] = {PORT_CAN_ALL, 0, PORT_CAN_CHECKSUM, PORT_CAN_ALL,
					    PORT_CAN_TSO4 | PORT_CAN_CHECKSUM};

	rig_port(rig, port, port == UPLINK ? RIG_UPLINK : port == OTHER ? 1 : 0, features[port]);
	if (port == OTHER) {
		rig_member(rig, port, 2, 0);
		return;
	}
	rig_member(rig, port, 0, port == UPLINK ? 100 : 0);
	if (port == TRUNK || port == UPLINK)
		rig_member(rig, port, 1, 101);
	if (port == UPLINK)
		rig_member(rig, port, 2, 102);
}

/* Made once: what an input leaves behind is taken away after it. */
static struct rig the_rig;

static void free_rig(void)
{
	rig_fini(&the_rig);
}

static void make_rig(void)
{
	struct rig *rig = &the_rig;

	rig_init(rig);
	rig_tenant(rig, 0);
	rig_tenant(rig, 1);
	rig_segment(rig, 0, 0, 1, 1500, 0);
	rig_segment(rig, 1, 0, 2, 65521, PROTO_SEGMENT_VLAN_TRANSPARENT);
	rig_segment(rig, 2, 1, 3, 576, PROTO_SEGMENT_VLAN_TRANSPARENT);
	for (uint32_t port = ACCESS; port <= OTHER; port++)
		add_port(rig, port);
	rig_vtep(rig, VTEP);
	rig_peer(rig, 0, 0);
	rig_peer(rig, 1, 0);
	rig_peer(rig, 1, 2);
	rig_commit(rig);
	if (atexit(free_rig) != 0)
		abort();
}

static bool is_there(const struct rig *rig, uint32_t port)
{
	return rig->shared.config->ports[port].incarnation != 0;
}

static void discard(struct rig *rig)
{
	for (uint32_t port = 0; port < PORTS; port++) {
		struct memory_frame *out;

		while (is_there(rig, port) && (out = rig_collect(rig, port)) != NULL) {
			if (out->offload.gso_type == 0 && out->offload.gso_size != 0)
				abort();
			free(out);
		}
	}
}

static void receive(struct rig *rig, uint32_t port, struct input *input)
{
	static uint8_t octets[FRAME_MAX];
	struct virtio_net_hdr offload;
	size_t size;

	take_octets(input, &offload, sizeof(offload));
	size = take(input);
	size |= (size_t)take(input) << 8;
	take_octets(input, octets, size);
	if (!is_there(rig, port))
		return;
	if (port == VTEP)
		rig_send_overlay(rig, VTEP, offload.flags % 4, offload.gso_type % 4,
				 (uint8_t)offload.hdr_len, octets, size);
	else
		rig_send_offload(rig, port, &offload, octets, size);
}

/* Lets out all that waits. */
static void drain(struct rig *rig)
{
	uint64_t waiting;

	rig_capacity(rig, SHAPER_TENANT_SEND, 0);
	rig_capacity(rig, SHAPER_TENANT_RECEIVE, 0);
	for (uint32_t kind = 0; kind < SHAPER_KIND_COUNT; kind++) {
		for (uint32_t index = 0; index < PORTS; index++)
			rig_rate(rig, (enum shaper_kind)kind, index, 0);
	}
	do {
		rig_advance(rig, 10000000);
	} while (shaper_backlog(rig->worker.gates, &waiting) != 0);
}

static void change_port(struct rig *rig, uint32_t port)
{
	if (port >= VTEP)
		return;
	if (is_there(rig, port)) {
		rig_remove_port(rig, port);
	} else {
		rig->life++;
		memset(&rig->worker.stats->ports[port], 0, sizeof(struct stats_port));
		add_port(rig, port);
	}
	rig_commit(rig);
}

static bool forget(void *context, uint64_t key, uint64_t value)
{
	(void)context;
	(void)key;
	(void)value;
	return false;
}

static void reset(struct rig *rig)
{
	drain(rig);
	discard(rig);
	rig_check(rig);
	for (uint32_t port = 0; port < PORTS; port++) {
		if (is_there(rig, port) && rig->worker.stats->ports[port].queued != 0)
			abort();
		if (!is_there(rig, port))
			change_port(rig, port);
	}
	fdb_visit(rig->shared.fdb, forget, NULL);
	rig->seconds += 10;
	rig->worker.event_count = 0;
}

static void set_limit(struct rig *rig, uint8_t gate, uint8_t which)
{
	static const uint64_t rates[] = {0, 64000, 1000000, 50000000, 1000000000};
	enum shaper_kind kind = (enum shaper_kind)(gate % SHAPER_KIND_COUNT);
	bool tenants = kind == SHAPER_TENANT_SEND || kind == SHAPER_TENANT_RECEIVE;
	struct shaper_limits limits = {.rate = rates[which % 5]};

	if (gate >= 240) {
		rig_capacity(rig, gate % 2 == 0 ? SHAPER_TENANT_SEND : SHAPER_TENANT_RECEIVE,
			     limits.rate);
		return;
	}
	if (which >= 128 && tenants)
		limits = (struct shaper_limits){
			.min = limits.rate, .burst = which * 100u, .weight = which % 16};
	rig_limit(rig, kind, gate / SHAPER_KIND_COUNT % PORTS, &limits);
}

static void step(struct rig *rig, struct input *input)
{
	uint8_t what = take(input) % 9, gate;

	switch (what) {
	case 6:
		rig_advance(rig, (uint64_t)take(input) * 16384);
		break;
	case 7:
		gate = take(input);
		set_limit(rig, gate, take(input));
		break;
	case 8:
		change_port(rig, take(input) % PORTS);
		break;
	default:
		receive(rig, what, input);
		break;
	}
	discard(rig);
	rig_check(rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};

	if (the_rig.shared.config == NULL)
		make_rig();
	while (input.size > 0)
		step(&the_rig, &input);
	reset(&the_rig);
	return 0;
}
