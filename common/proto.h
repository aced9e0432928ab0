/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_PROTO_H
#define VSWITCH_COMMON_PROTO_H

/*
 * The messages between the control daemon and the datapath, over a Unix
 * SOCK_SEQPACKET socket that the datapath listens on (docs/protocol.md).
 *
 * A message is a header and `count` records of `record_size` octets, in the
 * byte order of the host. A record may grow at its end: what a receiver does
 * not know it ignores, what a sender did not send reads as zero. Descriptors
 * ride along with a message (SCM_RIGHTS) and belong to its records in order:
 * each record says how many are its own (fd_count).
 *
 * The control daemon changes the datapath's configuration in transactions:
 * BEGIN(generation, base), then *_SET and *_DEL, then COMMIT, answered by one
 * REPLY. base 0 replaces everything: what is not set is removed. Any other
 * base must be the committed generation, and only what is named changes. An
 * error anywhere refuses the whole transaction and changes nothing.
 *
 * Objects are named by a reference: an index below PROTO_INDEX_CAPACITY that
 * the datapath uses for its tables, and an incarnation that is never used
 * again, so that an index can.
 */

#include <stdint.h>

#define PROTO_VERSION	       1u
#define PROTO_MESSAGE_SIZE_MAX (192u * 1024u)
#define PROTO_FDS_MAX	       253u
#define PROTO_QUEUES_MAX       16u /* of a port: as many as there can be workers */
#define PROTO_VTEP_FDS_MAX     (PROTO_QUEUES_MAX + 8u)
#define PROTO_INDEX_CAPACITY   (1u << 17)
#define PROTO_NO_INDEX	       UINT32_MAX
#define PROTO_TEXT_SIZE	       160u

/*
 * What the datapath puts into one send to another VTEP, VXLAN headers included: the control daemon
 * lets workloads make super-packets that fit.
 */
#define PROTO_SEND_FRAMES_MAX 64u
#define PROTO_SEND_SIZE_MAX   65000u

enum proto_type {
	/* datapath to control daemon */
	PROTO_HELLO = 1,    /* struct proto_hello; first on every connection */
	PROTO_REPLY,	    /* struct proto_reply; answers COMMIT */
	PROTO_HANDBACK,	    /* struct proto_handback + fds; answers HANDBACK_REQUEST */
	PROTO_HANDBACK_END, /* no records */
	PROTO_PORT_LOST,    /* struct proto_port_lost: an interface went away */
	PROTO_MAC_HELD,	    /* struct proto_mac_held: a MAC moves too often */
	PROTO_DEVICE, /* struct proto_device; behind HELLO, one for each that it was to open */

	/* control daemon to datapath */
	PROTO_HANDBACK_REQUEST = 32, /* no records: hand every descriptor back */
	PROTO_MEMORY,		     /* struct proto_memory + 1 fd each; before the first BEGIN */
	PROTO_HOLD,		     /* struct proto_hold + fds: kept, not used */
	PROTO_BEGIN,		     /* struct proto_begin */
	PROTO_COMMIT,		     /* struct proto_commit */
	PROTO_TENANT_SET,	     /* struct proto_tenant */
	PROTO_TENANT_DEL,	     /* struct proto_ref */
	PROTO_SEGMENT_SET,	     /* struct proto_segment */
	PROTO_SEGMENT_DEL,	     /* struct proto_ref */
	PROTO_PORT_SET,		     /* struct proto_port + fds */
	PROTO_PORT_DEL,		     /* struct proto_ref */
	PROTO_MEMBER_SET,	     /* struct proto_member */
	PROTO_MEMBER_DEL,	     /* struct proto_member; vid is ignored */
	PROTO_VTEP_SET,		     /* struct proto_vtep + fds: at most one */
	PROTO_VTEP_DEL,		     /* no records */
	PROTO_PEER_SET,		     /* struct proto_peer: a remote VTEP */
	PROTO_PEER_DEL,		     /* struct proto_ref */
	PROTO_SEGMENT_PEER_SET,	     /* struct proto_segment_peer */
	PROTO_SEGMENT_PEER_DEL,	     /* struct proto_segment_peer */
	PROTO_FDB_SET,		     /* struct proto_fdb: a static entry */
	PROTO_FDB_DEL,	 /* struct proto_fdb: static or learned; only segment and mac count */
	PROTO_FDB_FLUSH, /* struct proto_fdb_flush: learned entries; outside transactions */
	PROTO_HOST_SET,	 /* struct proto_host */
	PROTO_RESTART,	 /* no records: end, and be started again to open other devices */
};

struct proto_header {
	uint16_t type;	      /* enum proto_type */
	uint16_t record_size; /* octets of one record; 0 with count 0 */
	uint32_t count;	      /* records */
};

struct proto_ref {
	uint32_t index; /* PROTO_NO_INDEX: none */
	uint32_t incarnation;
};

#define PROTO_HELLO_DPDK     0x1u /* it was built with DPDK: vhost-user ports and devices */
#define PROTO_HELLO_RESTARTS 0x2u /* something starts it again when it ends */

struct proto_hello {
	uint32_t version;
	uint32_t pid;
	uint64_t generation; /* committed; 0: none yet */
	uint64_t started;    /* CLOCK_BOOTTIME, ns */
	uint32_t workers;
	uint32_t flags; /* PROTO_HELLO_* */
	char build[64]; /* version text, NUL-terminated */
};

struct proto_reply {
	uint64_t generation;
	int32_t error; /* 0 or a positive errno; ESTALE: send everything */
	uint32_t reserved;
	char text[PROTO_TEXT_SIZE]; /* one sentence, NUL-terminated */
};

enum proto_handback_kind {
	PROTO_HANDBACK_PORT = 1,
	PROTO_HANDBACK_VTEP,
	PROTO_HANDBACK_MEMORY, /* ref.index: enum proto_memory_kind */
	PROTO_HANDBACK_HOLD,   /* ref.index: key */
};

struct proto_handback {
	uint32_t kind; /* enum proto_handback_kind */
	uint32_t fd_count;
	struct proto_ref ref;
};

struct proto_port_lost {
	struct proto_ref port;
	int32_t error; /* a positive errno */
	uint32_t reserved;
};

struct proto_mac_held {
	struct proto_ref segment;
	uint8_t mac[6];
	uint16_t moves; /* within the last second */
};

/*
 * A device of DPDK that the datapath was told to open when it started: a line of the file `devices`
 * in the run directory, "INDEX INCARNATION DEVICE", with the port that it is for.
 */
struct proto_device {
	struct proto_ref port;
	int32_t error; /* 0: it is open; else a positive errno */
	uint32_t reserved;
	char text[PROTO_TEXT_SIZE]; /* with an error: one sentence, NUL-terminated */
};

enum proto_memory_kind { PROTO_MEMORY_STATS = 1, PROTO_MEMORY_FDB };

struct proto_memory {
	uint32_t kind; /* enum proto_memory_kind */
	uint32_t reserved;
	uint64_t size; /* octets; the file is at least so long, and sealed against shrinking */
};

struct proto_hold {
	uint32_t key; /* what the control daemon knows it by; replaces the same key */
	uint32_t fd_count;
};

struct proto_begin {
	uint64_t generation; /* what is committed if all goes well; never 0 */
	uint64_t base;	     /* 0: everything follows */
};

struct proto_commit {
	uint64_t generation; /* as in BEGIN */
};

/* What there is to divide among tenants. */
struct proto_host {
	uint64_t send_capacity;	   /* bit/s; 0: nothing is divided, only ceilings hold */
	uint64_t receive_capacity; /* bit/s; likewise */
};

/* Weights of tenants are from 1 to so much. */
#define PROTO_WEIGHT_MAX 10000u
/* Octets that a frame is charged more, or less, than it has: within these. */
#define PROTO_OVERHEAD_MIN (-64)
#define PROTO_OVERHEAD_MAX 1024

struct proto_tenant {
	struct proto_ref ref;
	uint64_t send_rate;    /* bit/s; 0: unlimited */
	uint64_t receive_rate; /* bit/s; 0: unlimited */
	uint64_t send_min;     /* bit/s, guaranteed while the host has a capacity; 0: none */
	uint64_t receive_min;
	uint64_t send_burst; /* octets that one that rested may send at once; 0: what 4 ms take */
	uint64_t receive_burst;
	uint32_t weight;  /* 1 to PROTO_WEIGHT_MAX; 0 reads as 1 */
	int32_t overhead; /* octets that each frame is charged besides its own */
};

#define PROTO_SEGMENT_VLAN_TRANSPARENT 0x1u

struct proto_segment {
	struct proto_ref ref;
	struct proto_ref tenant;
	uint32_t vni;	 /* 1 to 2^24 - 1; 0: no overlay */
	uint32_t mtu;	 /* octets of a layer-3 packet, 68 to 65521 */
	uint32_t ageing; /* seconds until a learned entry that is not seen goes, 1 to 1000000 */
	uint32_t flags;	 /* PROTO_SEGMENT_* */
};

enum proto_port_type {
	PROTO_PORT_TAP =
		1, /* one fd a queue: /dev/net/tun, IFF_VNET_HDR of 10 octets, little-endian */
	PROTO_PORT_PACKET, /* one fd a queue: AF_PACKET, SOCK_RAW, bound, PACKET_VNET_HDR */
	PROTO_PORT_MEMORY, /* no fd: tests inject and collect */
	PROTO_PORT_PCAP,   /* one or two files, as proto_port.capture says */
	PROTO_PORT_VHOST,  /* one fd: a Unix stream socket, connected with a vhost-user frontend */
	PROTO_PORT_DPDK,   /* no fd: the device that was opened for this ref; see proto_device */
};

#define PROTO_PORT_ADMIN_UP 0x1u
#define PROTO_PORT_DETACH   0x2u /* close the descriptors that are held for it */

/*
 * Files of a PROTO_PORT_PCAP, in this order. Where an open file stands is where the port stands, so
 * that another datapath goes on from there: at the next frame to replay, or behind the last that
 * was recorded (beyond the end: nothing more is recorded).
 */
#define PROTO_CAPTURE_REPLAY 0x1u /* O_RDONLY: a pcap file of Ethernet frames */
#define PROTO_CAPTURE_RECORD 0x2u /* O_WRONLY, O_APPEND: empty, or a pcap file that we wrote */

#define PROTO_REPLAY_OWN 0u	    /* as its time stamps say */
#define PROTO_REPLAY_MAX UINT64_MAX /* as fast as the switch takes it */

struct proto_port {
	struct proto_ref ref;
	struct proto_ref tenant; /* index PROTO_NO_INDEX: an uplink, which is not charged */
	uint32_t type;		 /* enum proto_port_type */
	uint32_t flags;		 /* PROTO_PORT_* */
	uint32_t mtu;		 /* octets of a layer-3 packet that its interface takes */
	uint32_t fd_count;	 /* 0: keep the descriptors that are held for this ref */
	uint64_t send_rate;	 /* bit/s; 0: unlimited */
	uint64_t receive_rate;	 /* bit/s; 0: unlimited */
	uint32_t capture;	 /* of PROTO_PORT_PCAP: PROTO_CAPTURE_* */
	uint32_t queues;	 /* of PROTO_PORT_VHOST: as many as workers; 0 reads as 1 */
	/* Of PROTO_PORT_PCAP: */
	uint64_t replay_rate;  /* bit/s, or PROTO_REPLAY_* */
	uint64_t record_limit; /* octets of the file */
};

struct proto_member {
	struct proto_ref port;
	struct proto_ref segment;
	uint32_t vid; /* 1 to 4094: tagged on this port; 0: untagged, at most once a port */
	uint32_t reserved;
};

struct proto_addr {
	uint8_t family; /* AF_INET or AF_INET6 */
	uint8_t reserved[3];
	uint8_t bytes[16]; /* network order; IPv4 takes the first four */
};

/*
 * fds: the receiving sockets first (of one port, SO_REUSEPORT: one a queue), then at least one
 * sending socket (UDP, bound, not connected).
 */
struct proto_vtep {
	struct proto_ref ref; /* index: the port index under which it is counted */
	struct proto_addr local;
	uint32_t udp_port;	/* host order; also the destination port */
	uint32_t fd_count;	/* 0: keep; at most PROTO_VTEP_FDS_MAX */
	uint32_t receive_count; /* so many of them receive, 1 to PROTO_QUEUES_MAX */
};

struct proto_peer {
	struct proto_ref ref;
	struct proto_addr addr;
	uint32_t reserved;
};

struct proto_segment_peer {
	struct proto_ref segment;
	struct proto_ref peer;
};

struct proto_fdb {
	struct proto_ref segment;
	struct proto_ref port; /* index PROTO_NO_INDEX: to peer */
	struct proto_ref peer;
	uint8_t mac[6]; /* unicast, not zero */
	uint16_t reserved;
};

/* Every index that is not PROTO_NO_INDEX narrows it down. */
struct proto_fdb_flush {
	struct proto_ref segment;
	struct proto_ref port;
	struct proto_ref peer;
};

#endif
