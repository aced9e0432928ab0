# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# TCP between two veths. The loop is bare recvmmsg() and sendmmsg() on packet sockets.

path_veth() {
	side_is veth switch "one worker, as it comes"
	side_is veth switch2 "the same with --workers 2"
	side_is veth loop "tests/bench/veth_loop.c"
	side_is veth bridge "nothing set"
	side_is veth ovs "$(ovs_version), bridge with datapath_type=netdev; the workloads' offloads off, without which no TCP goes"
	side_is veth ovstso "the same with other_config:userspace-tso-enable=true, the offloads as they come"
	side_is veth direct "one veth pair, nothing in between"
	pairs_make veth switch switch2 loop bridge ovs ovstso direct
	case_add veth-1 "veth to veth, one stream" Gbit/s more
	case_add veth-8 "veth to veth, eight streams each way" Gbit/s more
	veth_bars veth-1
	veth_bars veth-8
	bar_at_least veth-1 0.95 switch switch2
	by_turns stream veth-1 1
	by_turns stream veth-8 8 both
}

veth_bars() {
	bar_at_least "$1" 0.97 loop
	bar_at_least "$1" 0.92 bridge
}
