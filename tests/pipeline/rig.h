/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_PIPELINE_RIG_H
#define VSWITCH_TESTS_PIPELINE_RIG_H

/*
 * A whole datapath on memory ports, without threads, root or real time: a test
 * configures objects, injects frames, lets the switch run, and says exactly
 * what comes out of every port. Anything that was not expected fails.
 */

#include <stdbool.h>
#include <stdint.h>

#include "datapath/ports/memory.h"
#include "datapath/worker.h"

#define RIG_UPLINK PROTO_NO_INDEX /* as a port's tenant */

struct rig {
	struct worker_shared shared;
	struct worker worker;
	struct config *config; /* being edited until rig_start() */
	void *fdb_memory;
	size_t fdb_size;
	uint64_t now; /* ns; tests move it */
	uint32_t seconds;
	uint32_t life; /* what is added to the incarnation of a port that is made */
};

void rig_init(struct rig *rig);
/* The same with an FDB of so many buckets, a power of two. */
void rig_init_sized(struct rig *rig, uint32_t buckets);
/* Checks what rig_check() does, and frees it. */
void rig_fini(struct rig *rig);
/* Checks that ports' and tenants' counters add up, and that no packet is lost when none waits. */
void rig_check(const struct rig *rig);

void rig_tenant(struct rig *rig, uint32_t index);
/* The same; each of its frames is charged so many octets more. */
void rig_tenant_overhead(struct rig *rig, uint32_t index, int32_t overhead);
void rig_segment(struct rig *rig, uint32_t index, uint32_t tenant, uint32_t vni, uint32_t mtu,
		 uint32_t flags);
/* A memory port that takes these offloads (PORT_CAN_*). */
void rig_port(struct rig *rig, uint32_t index, uint32_t tenant, uint32_t features);
/* A port of the caller's own type; the operations get `private`, and nothing is opened. */
void rig_port_of(struct rig *rig, uint32_t index, uint32_t tenant, const struct port_ops *ops,
		 void *private);
void rig_member(struct rig *rig, uint32_t port, uint32_t segment, uint16_t vid);
/* Removes; the index may be used again by what follows. */
void rig_remove_port(struct rig *rig, uint32_t index);
void rig_remove_segment(struct rig *rig, uint32_t index);
void rig_remove_tenant(struct rig *rig, uint32_t index);
void rig_port_admin(struct rig *rig, uint32_t index, bool up);
/* A VTEP on a memory port, and peers with addresses 192.0.2.(1 + index) that segments flood to. */
void rig_vtep(struct rig *rig, uint32_t index);
void rig_vtep_of(struct rig *rig, uint32_t index, const struct port_ops *ops, void *private);
void rig_peer(struct rig *rig, uint32_t index, uint32_t segment);
/* Publishes what was configured. The next edit starts from a copy. */
void rig_commit(struct rig *rig);
void rig_rate(struct rig *rig, enum shaper_kind kind, uint32_t index, uint64_t rate);
void rig_limit(struct rig *rig, enum shaper_kind kind, uint32_t index,
	       const struct shaper_limits *limits);
/* What tenants share, bit/s; 0: nothing. */
void rig_capacity(struct rig *rig, enum shaper_kind kind, uint64_t capacity);

/* Injects a frame at a port and lets the switch run. offload may be NULL. */
void rig_send(struct rig *rig, uint32_t port, const void *frame, size_t size);
void rig_send_offload(struct rig *rig, uint32_t port, const struct virtio_net_hdr *offload,
		      const void *frame, size_t size);
/* Injects a frame at the VTEP as if it came from a peer. */
void rig_send_overlay(struct rig *rig, uint32_t vtep, uint32_t peer, uint32_t vni, uint8_t tos,
		      const void *frame, size_t size);
/* Injects a frame that waits at the port for rig_receive(), with as many more as the test likes. */
void rig_inject(struct rig *rig, uint32_t port, const struct virtio_net_hdr *offload,
		const void *frame, size_t size);
/* Lets the switch receive what waits at the port, up to a batch, and run. */
void rig_receive(struct rig *rig, uint32_t port);
/* Moves the clock and lets out what the shaper has. */
void rig_advance(struct rig *rig, uint64_t ns);

/* The next frame that left by the port, to be freed; NULL: none. */
struct memory_frame *rig_collect(struct rig *rig, uint32_t port);
/* Asserts that exactly this frame left by the port next, without offload state. */
#define rig_expect(rig, port, frame, size) rig_expect_at(rig, port, frame, size, __FILE__, __LINE__)
void rig_expect_at(struct rig *rig, uint32_t port, const void *frame, size_t size, const char *file,
		   int line);
/* Asserts that nothing more left by any port. */
#define rig_expect_nothing(rig) rig_expect_nothing_at(rig, __FILE__, __LINE__)
void rig_expect_nothing_at(struct rig *rig, const char *file, int line);
/* Drops with a reason of what came in on a port. */
uint64_t rig_drops(const struct rig *rig, uint32_t port, enum drop_reason reason);
/* All drops of what came in on a port. */
uint64_t rig_all_drops(const struct rig *rig, uint32_t port);

/* Builds an Ethernet frame of `size` octets with pattern payload into `frame`; returns size. */
size_t rig_frame(uint8_t *frame, size_t size, uint64_t destination, uint64_t source,
		 uint16_t ether_type);

#endif
