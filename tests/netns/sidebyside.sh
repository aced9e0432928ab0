#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Several switches run side by side on one host, with the same names in each; a run directory has one owner.
#
#     x1 10.0.0.1  x2 10.0.0.2         y1 10.0.0.1  y2 10.0.0.2         z1 10.0.0.1  z2 10.0.0.2
#      [ switch x: acme/web ]           [ switch y: acme/web ]           [ switch z: acme/web ]
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add x1 x2 y1 y2 z1 z2
for switch in x y z; do
	switch_start $switch
	ctl $switch tenant add acme
	ctl $switch segment add acme/web
	check "$switch: port acme/p1" ctl $switch port add acme/p1 --type tap --segment web --ifname eth0 \
		--netns "$LAB_PREFIX${switch}1" --ip 10.0.0.1/24 --mac 02:00:00:00:00:01
	check "$switch: port acme/p2" ctl $switch port add acme/p2 --type veth --segment web --ifname eth0 \
		--netns "$LAB_PREFIX${switch}2" --ip 10.0.0.2/24 --mac 02:00:00:00:00:02
done
for switch in x y z; do
	check "$switch: ping" can_ping ${switch}1 10.0.0.2
	check_is "$switch: its own frames only" same \
		"$([ "$(port_counter $switch acme/p1 rx_packets)" -le 12 ] && echo same)"
done

# A second daemon on a run directory that has one is refused and disturbs nothing.
for kind in control datapath; do
	output=$(timeout 5 "$LAB_BUILD/$kind/vswitch-$kind" --run-dir "$LAB_DIR/x" 2>&1 </dev/null)
	status=$?
	check_between "a second vswitch-$kind is refused" 1 $status 100
	check "and names the run directory" grep -qF "$LAB_DIR/x" <<<"$output"
done
check "x: ping" can_ping x1 10.0.0.2
check "x: still answers" ctl x status

# The end of one is not the others'.
daemon_kill y control
daemon_kill y datapath
check "z: ping after y ended" can_ping z1 10.0.0.2
check "x: ping after y ended" can_ping x1 10.0.0.2
check_is "y: exit 3" 3 "$(ctl y status >/dev/null 2>&1; echo $?)"
lab_finish
