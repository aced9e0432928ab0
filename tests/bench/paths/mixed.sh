# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# TCP where the sender has offloads and the receiver has not: from a TAP to an adopted veth that neither segments nor
# fills in checksums, and from a TAP over VXLAN to a vxlan device of the kernel, and back.

path_mixed() {
	side_is mixed switch "a TAP, and a netdev port on a veth whose offloads are off; a TAP, and a VTEP"
	side_is mixed bridge "a veth, and one whose offloads are off; a veth, and a vxlan device"
	side_is mixed ovs "$(ovs_version), datapath_type=netdev, a port of type tap, and a veth whose offloads are off or type vxlan"
	side_is mixed ovstso "the same with other_config:userspace-tso-enable=true; no tunnels, whose packets it drops"
	pairs_make limited switch bridge ovs ovstso
	mixed_case limited "TAP to a veth without offloads, one stream"
	by_turns stream limited 1

	pairs_make peer switch bridge ovs
	mixed_case peer "TAP to a kernel's vxlan device, one stream"
	mixed_case peer-from "a kernel's vxlan device to TAP, one stream"
	by_turns stream peer 1
	by_turns stream peer-from 1 from
}

mixed_case() {
	case_add "$1" "$2" Gbit/s more
	bar_at_least "$1" 3 ovs
}
