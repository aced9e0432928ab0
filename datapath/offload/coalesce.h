/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_OFFLOAD_COALESCE_H
#define VSWITCH_DATAPATH_OFFLOAD_COALESCE_H

/*
 * Puts TCP segments and UDP datagrams of a flow that arrive one after the other together to a
 * super-packet: the inverse of segment.h. A port that receives many frames at once calls it before
 * a frame becomes a packet. Owned by one worker; frames stay together for one receive call.
 *
 * The rule: merged is only what segment_cut() and checksum_complete() give back octet for octet.
 *  - The frame is untagged or has one tag; behind it are IPv4 without fragments or IPv6 without
 *    extension headers, then TCP or UDP with payload, and nothing behind that.
 *  - Checksums are there and right, as a sender would write them, so that no corrupted frame is
 *    healed by the checksum of what it is merged into.
 *  - Everything in the headers is equal, options, TTL, DSCP, ECN and flow label included, but for:
 *    lengths and checksums; the IPv4 identification, which counts up by one whether fragments
 *    are allowed or not; TCP's sequence, which goes on; PSH and FIN, which end a run; CWR, which
 *    only the first may have.
 *  - Payload is as long as the first one's; a shorter one ends the run.
 *
 *   run        | frames | ways out
 *   -----------+--------+----------------------------------------------------------------------
 *   opened     | 1      | the next frame continues it: grown; a frame of its flow does not (or the
 *              |        | first one's checksum is wrong), room is needed, finish: left as it is
 *   grown      | 2 …    | the last frame came, or as above: the packet is made a super-packet
 */

#include <stdbool.h>
#include <stdint.h>

#include "datapath/packet.h"

#define COALESCE_RUNS 8u
#define COALESCE_HEADER_WORDS                                                                      \
	18u /* Ethernet, a tag, IPv4 and TCP with all options they can have                        \
	     */

/* What has to be equal besides the frame's own headers: where it came from. */
struct coalesce_key {
	uint32_t outer_source, outer_vni;
	uint8_t outer_tos;
};

/* Private. */
struct coalesce_run {
	struct packet *packet;	      /* with the first frame; the caller's */
	struct packet_buffer *buffer; /* payload of the other frames; the packet's. NULL before */
	struct coalesce_key key;
	uint32_t size;	      /* of the payload in the buffer */
	uint32_t l3_size;     /* of the packet that it becomes */
	uint32_t frame_count; /* the first one included */
	uint32_t next_sequence;
	uint16_t next_identification;
	uint16_t segment_size; /* octets of payload of each frame but the last */
	uint16_t l3_offset, l4_offset, header_size;
	uint8_t protocol, word_count;
	bool ipv6;
	bool ends; /* the last frame is there */
	/* Folded sums without what differs between frames; valid with two frames. */
	uint16_t ip_sum, pseudo_sum;
	/* The headers that the next frame must have, but for the bits that are not in the mask. */
	uint64_t wanted[COALESCE_HEADER_WORDS], mask[COALESCE_HEADER_WORDS];
};

/* All zero is a valid state without runs. */
struct coalesce {
	struct packet_pool *pool; /* of the last call */
	uint32_t open;		  /* bits: runs in use */
	uint32_t recent;
	uint32_t calls;
	uint32_t ports[COALESCE_RUNS]; /* of the runs' flows, side by side for a first look */
	uint32_t used[COALESCE_RUNS];  /* when they got a frame, in calls */
	struct coalesce_run runs[COALESCE_RUNS];
};

/*
 * Appends the payload of a frame (from its Ethernet header on, `size` octets) to the run that it
 * continues. Returns true when the frame is used up; false when it has to become a packet of its
 * own: it continues no run, or the pool has no buffer. A run of its flow has ended then, so that no
 * flow is reordered. (A frame whose flow cannot be seen, like a fragment, ends those between its
 * MAC addresses.)
 */
bool coalesce_append(struct coalesce *coalesce, struct packet_pool *pool,
		     const struct coalesce_key *key, const uint8_t *frame, uint32_t size);

/*
 * Opens a run with a packet that was made of a frame that coalesce_append() has just returned false
 * for: not parsed yet, without offload state, all headers in its head, the rest there or in one
 * slice. It stays the caller's, who must keep it as it is until coalesce_finish(). One that nothing
 * can be appended to opens nothing. When all runs are in use, that which has waited longest ends.
 */
void coalesce_open(struct coalesce *coalesce, const struct coalesce_key *key,
		   struct packet *packet);

/*
 * Ends all runs. Packets of more than one frame are super-packets now, as a port could have
 * received them: lengths, IPv4 header checksum, a partial checksum (NEEDS_CSUM), and a GSO type and
 * size. To be parsed next.
 */
void coalesce_finish(struct coalesce *coalesce);

#endif
