# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# TCP between two TAPs. The loop is bare read() and write(); the kernel's bridge joins two veths.

path_tap() {
	side_is tap switch "one worker, as it comes"
	side_is tap switch2 "the same with --workers 2"
	side_is tap loop "tests/bench/tap_loop.c"
	side_is tap bridge "two veths, nothing set"
	side_is tap ovs "$(ovs_version), bridge with datapath_type=netdev, ports of type tap, nothing set"
	side_is tap ovstso "the same with other_config:userspace-tso-enable=true"
	side_is tap vde "$(vde_version), a vde_plug2tap for each TAP, nothing set"
	side_is tap direct "one veth pair, nothing in between"
	pairs_make tap switch switch2 loop bridge ovs ovstso vde direct
	case_add tap-1 "TAP to TAP, one stream" Gbit/s more
	case_add tap-8 "TAP to TAP, eight streams each way" Gbit/s more
	tap_bars tap-1
	tap_bars tap-8
	bar_at_least tap-1 0.95 switch switch2
	by_turns stream tap-1 1
	by_turns stream tap-8 8 both
}

tap_bars() {
	bar_at_least "$1" 0.97 loop
	bar_at_least "$1" 8 ovs
}
