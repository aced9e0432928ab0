/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PACKET_H
#define VSWITCH_DATAPATH_PACKET_H

/*
 * A packet: metadata, a head of its own with room before it, and up to two
 * slices of shared payload. The head holds at least every header that parse
 * looked at; a small frame is all head. Payload slices are read-only and
 * counted by reference, so that flooding and segmenting copy headers only.
 *
 * Packets and buffers come from a pool that belongs to one worker. Nothing
 * here is atomic: a packet stays with the worker that received it, from the
 * port to the kernel, shapers' queues included.
 *
 * A packet has one owner at a time: a batch, a list or a queue. Transmit and
 * drop both consume it.
 */

#include <linux/virtio_net.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/drop.h"

#define PACKET_CACHE_LINE  64u
#define PACKET_OBJECT_SIZE 2432u /* metadata, headroom, and a head for 1,518 octets and more */
#define PACKET_HEADROOM	   128u
#define PACKET_SLICES	   2u
#define PACKET_BUFFER_SIZE (66u * 1024u) /* a super-packet's payload */
#define PACKET_SIZE_MAX	   65558u /* the largest frame: 65,535 behind an Ethernet header, 2 tags */

/* Since Linux 6.2; distributions' headers are older. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* Octets in a large buffer or in another packet's head; holds one reference to its owner. */
struct packet_slice {
	struct packet *owner_packet; /* exactly one of these is set */
	struct packet_buffer *owner_buffer;
	const uint8_t *data;
	uint32_t size;
};

enum packet_flags {
	PACKET_TAGGED = 0x01,	/* vlan_tci holds the tag that was taken off the frame */
	PACKET_TAG_KEPT = 0x02, /* the tag is the workload's: output puts it back */
	PACKET_FROM_OVERLAY = 0x04,
	PACKET_GROUP = 0x08,  /* destination is multicast or broadcast */
	PACKET_MARKED = 0x10, /* a queue here marked it (ECN), and nobody counted that yet */
	PACKET_IS_IPV4 = 0x20,
	PACKET_IS_IPV6 = 0x40,
	PACKET_FRAGMENT = 0x80, /* an IP fragment: no layer-4 header is looked at */
};

/*
 * Without slices, a packet's metadata are the first two cache lines. The first has what ports and
 * parse write, and is zero in a new packet; the second is written by the stages behind.
 */
struct packet {
	uint8_t *data;	    /* first octet of the Ethernet header, inside this object */
	uint32_t size;	    /* octets of the frame: head and slices */
	uint16_t head_size; /* octets at data */
	uint8_t slice_count;
	uint8_t flags; /* enum packet_flags */

	uint32_t port_in, port_in_incarnation; /* index and incarnation, never a pointer */

	/* Offload state, offsets from data; little-endian fields equal the host's order here. */
	struct virtio_net_hdr offload;
	uint8_t drop; /* enum drop_reason; set by a port that knows what is wrong */
	uint8_t gate; /* the shaper gate that it waits at; enum shaper_kind */

	/* Written by parse; offsets from data. */
	uint16_t ether_type; /* behind tags, host order */
	uint16_t vlan_tci;   /* PCP, DEI, VID, host order; with PACKET_TAGGED */
	uint16_t vlan_tpid;  /* 0x8100 or 0x88a8 */
	uint16_t l4_offset;  /* behind the IP headers; 0: not IP, a fragment, or a header cut off */
	uint8_t ip_protocol; /* layer 4, behind IPv6 extension headers */
	uint8_t ip_ecn_dscp; /* the whole TOS or traffic class octet */
	uint16_t l3_offset;  /* behind ether_type, whatever it is */
	uint16_t payload_offset; /* behind the last header that parse knows */
	uint16_t frame_count;	 /* frames on the wire that it stands for; 1 without GSO */
	uint32_t wire_size;	 /* octets of these frames, each with its headers */
	uint32_t flow_hash;	 /* the same for a flow's packets; see parse.h */

	uint32_t references; /* private: 1 for the packet, 1 for each slice elsewhere in its head */

	/* Written by classify. */
	uint32_t segment, tenant; /* PROTO_NO_INDEX: no segment yet */
	uint32_t segment_incarnation, tenant_incarnation;

	/* Written by lookup and replicate. */
	uint32_t port_out, peer_out; /* PROTO_NO_INDEX: none */
	uint32_t port_out_incarnation;

	uint16_t lost_frames; /* of a super-packet that is being sent; see ports/port.h */

	/* Of the VXLAN packet that it came in (PACKET_FROM_OVERLAY). */
	uint32_t outer_source; /* IPv4 address, network order */
	uint32_t outer_vni;
	uint8_t outer_tos;

	/* Written by flow_queue.h, of the gate that it waits at. */
	uint32_t cost;	    /* octets that the gate charges for it */
	uint64_t queued_at; /* ns */

	struct packet *next; /* in a list or queue */
	struct packet_slice slices[PACKET_SLICES];

	alignas(PACKET_CACHE_LINE) uint8_t storage[];
};

/* Memory that slices refer to: a buffer of the pool, or the header of memory of somebody else's. */
struct packet_buffer {
	uint32_t references;
	/* Of memory that is not the pool's: takes it back with the last reference. Else NULL. */
	void (*give_back)(struct packet_buffer *buffer);
	struct packet_buffer *next;
	uint8_t data[PACKET_BUFFER_SIZE];
};

struct packet_list {
	struct packet *first, **last;
	uint32_t count;
};

struct packet_pool;

/*
 * Makes a pool of at most packet_max packets and buffer_max buffers. Address space is reserved at
 * once, so that nothing has to be mapped when the sandbox is up; memory is taken when it is first
 * used, and not given back before packet_pool_free(), which must come after every packet and
 * buffer is back. Returns NULL when out of memory.
 */
struct packet_pool *packet_pool_new(uint32_t packet_max, uint32_t buffer_max);
void packet_pool_free(struct packet_pool *pool);
/* Packets and buffers that are not back yet; those that only a slice refers to count too. */
uint32_t packet_pool_in_use(const struct packet_pool *pool);

/*
 * Returns an empty packet, or NULL: data behind the headroom, no head, no slices, all else up to
 * port_in zero; what is written by the pipeline's stages is undefined.
 */
struct packet *packet_new(struct packet_pool *pool);
/* Gives the packet and its references to payload back. NULL is accepted. */
void packet_free(struct packet_pool *pool, struct packet *packet);
/* The same for many packets. */
void packet_free_all(struct packet_pool *pool, struct packet *const *packets, unsigned count);
/* Octets that fit behind data. */
size_t packet_tailroom(const struct packet *packet);

/* Returns a buffer with one reference, its octets undefined, or NULL. */
struct packet_buffer *packet_buffer_new(struct packet_pool *pool);
/* Drops one reference. NULL is accepted. */
void packet_buffer_release(struct packet_pool *pool, struct packet_buffer *buffer);

/*
 * Appends a slice of `size` octets at `offset` of the buffer, and takes over the caller's
 * reference. The packet must have less than PACKET_SLICES slices.
 */
void packet_attach(struct packet *packet, struct packet_buffer *buffer, uint32_t offset,
		   uint32_t size);

/* The same for memory that is not the pool's, of which `buffer` is the header. */
void packet_attach_foreign(struct packet *packet, struct packet_buffer *buffer, const void *data,
			   uint32_t size);

/*
 * Returns a packet with the metadata and a copy of the first head_size octets of the head, at the
 * same distance from the headroom's start, and nothing behind them; in no list. NULL when the pool
 * is exhausted.
 */
struct packet *packet_new_from(struct packet_pool *pool, const struct packet *packet,
			       uint16_t head_size);

/*
 * Returns a copy for another port: metadata and at least all headers are copied, the rest may be
 * shared. NULL when the pool is exhausted. The original is unchanged but for reference counts; of
 * both, headers (and the checksum field of the offload state) may be changed afterwards.
 */
struct packet *packet_clone(struct packet_pool *pool, struct packet *packet);

/*
 * Appends to `to` a reference to octets offset … offset+size of from's frame, wherever they lie.
 * Octets of from's head are referred to, not copied: they must not change afterwards. Returns 0;
 * -ENOBUFS when `to` would need more than PACKET_SLICES slices, or -EINVAL when the frame ends
 * before: then nothing has changed.
 */
int packet_share(struct packet *to, struct packet *from, uint32_t offset, uint32_t size);

/* Copies up to `size` octets from `offset` of the frame on, wherever they lie. Returns how many. */
uint32_t packet_read(const struct packet *packet, uint32_t offset, void *buffer, uint32_t size);

/* Returns the head at offset if size octets of the frame are there in the head, else NULL. */
static inline uint8_t *packet_at(const struct packet *packet, uint32_t offset, uint32_t size)
{
	if (offset > packet->head_size || size > packet->head_size - offset)
		return NULL;
	return packet->data + offset;
}

static inline void packet_list_init(struct packet_list *list)
{
	list->first = NULL;
	list->last = &list->first;
	list->count = 0;
}

static inline void packet_list_append(struct packet_list *list, struct packet *packet)
{
	packet->next = NULL;
	*list->last = packet;
	list->last = &packet->next;
	list->count++;
}

static inline void packet_list_prepend(struct packet_list *list, struct packet *packet)
{
	packet->next = list->first;
	if (list->first == NULL)
		list->last = &packet->next;
	list->first = packet;
	list->count++;
}

static inline struct packet *packet_list_pop(struct packet_list *list)
{
	struct packet *packet = list->first;

	if (packet == NULL)
		return NULL;
	list->first = packet->next;
	if (list->first == NULL)
		list->last = &list->first;
	list->count--;
	packet->next = NULL;
	return packet;
}

#endif
