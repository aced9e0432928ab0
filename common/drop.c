/* SPDX-License-Identifier: Apache-2.0 */
#include "common/drop.h"

#include <assert.h>
#include <stddef.h>

struct reason {
	const char *name;
	const char *explanation;
};

static const struct reason reasons[] = {
	[DROP_NONE] =
		{
			"none",
			"The packet was not dropped; nothing needs to be done.",
		},
	[DROP_NO_BUFFER] =
		{
			"no-buffer",
			"All packet buffers of the worker were in use: lower the load, or "
			"raise the rates that make packets wait in queues.",
		},
	[DROP_TOO_SHORT] =
		{
			"too-short",
			"The frame ended before the headers that it announces, or is cut in "
			"the capture that is replayed: look for a sender or a capture that "
			"cuts frames.",
		},
	[DROP_TOO_LONG] =
		{
			"too-long",
			"The frame is longer than the switch takes: lower the MTU or the GSO "
			"size of the sending interface.",
		},
	[DROP_BAD_OFFLOAD] =
		{
			"bad-offload",
			"The virtio-net header does not fit its frame: update the driver or "
			"guest that sends on this port, or switch its offloads off.",
		},
	[DROP_BAD_HEADER] =
		{
			"bad-header",
			"The IP version or lengths in the frame cannot be: look for a sender "
			"that makes broken packets.",
		},
	[DROP_PORT_DOWN] =
		{
			"port-down",
			"The port that the frame came from or was for is down, or nobody is at "
			"its other end: see 'vswitchctl port list', and 'vswitchctl port up'.",
		},
	[DROP_VLAN_INVALID] =
		{
			"vlan-invalid",
			"The VLAN ID is reserved (4095): give the sender one between 1 and "
			"4094.",
		},
	[DROP_VLAN_UNKNOWN] =
		{
			"vlan-unknown",
			"No segment has this VLAN on this port, or none is native for untagged "
			"frames: add it to the port's trunk, or correct the tag at the sender.",
		},
	[DROP_VLAN_TAGGED] =
		{
			"vlan-tagged",
			"A tagged frame came where only untagged ones are taken: remove the "
			"tag at the sender, make the port a trunk, or make the segment "
			"vlan-transparent.",
		},
	[DROP_SOURCE_MAC] =
		{
			"source-mac",
			"The source MAC is zero, multicast or broadcast: correct the sender's "
			"address.",
		},
	[DROP_LINK_LOCAL] =
		{
			"link-local",
			"The destination is a link-local group (01:80:c2:00:00:00 to 0f), such "
			"as STP or LLDP, which stays on its link: nothing needs to be done.",
		},
	[DROP_OVERSIZE] =
		{
			"oversize",
			"The packet is larger than the MTU on its way: lower the sender's MTU "
			"to the segment's, or raise the segment's and the underlay's.",
		},
	[DROP_VXLAN_HEADER] =
		{
			"vxlan-header",
			"The VXLAN header is cut off or lacks the valid-VNI flag: find out "
			"what else sends to the VTEP's UDP port.",
		},
	[DROP_VNI_UNKNOWN] =
		{
			"vni-unknown",
			"No segment has the VNI of this packet: give the segment this VNI, or "
			"remove this host from the sender's peers.",
		},
	[DROP_PEER_UNKNOWN] =
		{
			"peer-unknown",
			"The packet came from a VTEP that is no peer of its segment: add it "
			"with 'vswitchctl segment peer add' if it is to be trusted.",
		},
	[DROP_ECN_INVALID] =
		{
			"ecn-invalid",
			"The underlay marked congestion on a packet whose sender does not take "
			"part in ECN (RFC 6040): relieve the congested underlay, or have it "
			"mark only what is ECN-capable.",
		},
	[DROP_SAME_PORT] =
		{
			"same-port",
			"The destination is behind the port that the packet came from: "
			"harmless when a hub or bridge is behind the port, a loop otherwise.",
		},
	[DROP_NO_MEMBER] =
		{
			"no-member",
			"The segment has no other port or peer to send to: add one, or ignore "
			"it while the segment has a single member.",
		},
	[DROP_OVERLAY_LOOP] =
		{
			"overlay-loop",
			"A packet from the overlay would have gone back into it: make every "
			"VTEP of the segment a peer of every other one, since none relays.",
		},
	[DROP_PORT_SEND_QUEUE] =
		{
			"port-send-queue",
			"The port's send queue was full: the workload sends more than the "
			"port's send rate, so slow it down or raise the rate.",
		},
	[DROP_TENANT_SEND_QUEUE] =
		{
			"tenant-send-queue",
			"The tenant's send queue was full: its workloads send more than the "
			"tenant's send rate, so slow them down or raise the rate.",
		},
	[DROP_TENANT_RECEIVE_QUEUE] =
		{
			"tenant-receive-queue",
			"The tenant's receive queue was full: more is sent to its workloads "
			"than the tenant's receive rate, so slow the senders down or raise the "
			"rate.",
		},
	[DROP_PORT_RECEIVE_QUEUE] =
		{
			"port-receive-queue",
			"The port's receive queue was full: more is sent to the port than its "
			"receive rate, so slow the senders down or raise the rate.",
		},
	[DROP_PORT_GONE] =
		{
			"port-gone",
			"The port or segment was removed while the packet was on its way: "
			"expect a few after each removal.",
		},
	[DROP_PORT_FULL] =
		{
			"port-full",
			"The interface's own queue was full: its reader is too slow, so give "
			"the workload more CPU or a longer queue; or a recording has reached "
			"its limit.",
		},
	[DROP_PORT_ERROR] =
		{
			"port-error",
			"The kernel refused the packet at the port: see whether the interface "
			"is up, and what the datapath's log says.",
		},
	[DROP_NO_ROUTE] =
		{
			"no-route",
			"The host has no route or neighbour to the peer VTEP: see 'ip route "
			"get' with the peer's address.",
		},
	[DROP_NO_VTEP] =
		{
			"no-vtep",
			"The packet is for a peer and this host has no VTEP: set one with "
			"'vswitchctl vtep set'.",
		},
	[DROP_RESTART] =
		{
			"restart",
			"The packet waited in the datapath when that was restarted: expect "
			"some after each restart, and look for crashes in the log otherwise.",
		},
	[DROP_QUEUE_DELAY] =
		{
			"queue-delay",
			"Packets of the flow waited too long at a rate limit for too long, and "
			"this one tells its sender to slow down (CoDel): nothing needs to be "
			"done, or use ECN in the workload, or raise the rate.",
		},
};

static_assert(sizeof(reasons) / sizeof(reasons[0]) == DROP_REASON_COUNT,
	      "every reason has a name and an explanation");
static_assert(DROP_REASON_COUNT <= DROP_REASON_CAPACITY, "every reason has its counter");

const char *drop_name(unsigned reason)
{
	return reason < DROP_REASON_COUNT ? reasons[reason].name : "unknown";
}

const char *drop_explanation(unsigned reason)
{
	if (reason >= DROP_REASON_COUNT)
		return "A datapath of another version counted this: run daemons of one version.";
	return reasons[reason].explanation;
}
