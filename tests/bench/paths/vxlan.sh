# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# TCP over VXLAN: two of each side, each with a workload, over an underlay (a veth pair) with an MTU of 1500.

path_vxlan() {
	side_is vxlan switch "two switches, TAP ports, one worker each, as they come"
	side_is vxlan switch2 "the same with --workers 2"
	side_is vxlan bridge "two bridges, each with a veth and a vxlan device, nothing set"
	side_is vxlan ovs "$(ovs_version), two of them, datapath_type=netdev, ports of type tap and vxlan; the underlay's offloads off"
	absent vxlan ovstso "its log: Tunneling packets with HW offload flags is not supported: packet dropped"
	side_is vxlan direct "one veth pair with an MTU of 1450, nothing in between"
	pairs_make vxlan switch switch2 bridge ovs direct
	case_add vxlan-1 "TAP to TAP over VXLAN, one stream" Gbit/s more
	case_add vxlan-8 "TAP to TAP over VXLAN, eight streams each way" Gbit/s more
	vxlan_bars vxlan-1
	vxlan_bars vxlan-8
	bar_at_least vxlan-1 0.95 switch switch2
	by_turns stream vxlan-1 1
	by_turns stream vxlan-8 8 both
}

vxlan_bars() {
	bar_at_least "$1" 0.85 bridge
	bar_at_least "$1" 8 ovs
}
