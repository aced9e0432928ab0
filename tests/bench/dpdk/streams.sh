# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# TCP of guests, by iperf3: between two of them, to a TAP and over VXLAN to a vxlan device of the kernel. Sourced by
# paths/dpdk.sh; lib/pairs.sh says what a pair is.
#
#     WIRE-SIDE-a                                                    WIRE-SIDE-b
#     eth0 10.0.0.1, a TAP ---- relay ---- vhost-user ---- [ the side ] ---- eth0 10.0.0.2
#
# The relay (relay.c) copies what a guest's driver would not: a guest's figure is below a container's. Side vmtap gives
# guests what they have without vhost-user: a TAP that the process of the virtual machine opened, with one more relay of the
# same sort (tap_loop.c).

# streams_make WIRE SIDE...: PAIRS are those that could be made. All but the one that is measured rest.
streams_make() {
	local wire=$1 side pairs=()
	shift
	worlds_end
	for side; do
		# shellcheck disable=SC2034 # worlds_end reads it
		WORLD_STOPPABLE["$wire-$side"]=''
		pairs_make "$wire" "$side"
		[ ${#PAIRS[@]} != 0 ] || { world_end "$wire-$side"; continue; }
		world_pause "$wire-$side"
		pairs+=("$wire-$side")
	done
	# shellcheck disable=SC2034 # worlds_make reads it
	PAIRS=("${pairs[@]}") WORLD_WIRE=$wire
}

# stream_turn PAIR SIDE CASE [both|from]
stream_turn() {
	local status=0
	world_resume "$1"
	stream "$1" "$2" "$3" 1 "${4:-to}" || status=1
	world_pause "$1"
	return "$status"
}

# ---- guests: SIDE of PAIR with the address 10.0.0.NUMBER ----

# guest_vhost PAIR SIDE NUMBER [MTU]: behind the socket PAIR-SIDE.sock, to which the switch connects.
guest_vhost() {
	relay_start "$1" "$2" "$LAB_DIR/$1-$2.sock"
	wait_until "$CONNECT_SECONDS" relay_is_ready "$1-$2" || die "the guest $1-$2 is not connected"
	workload_up "$1-$2" "10.0.0.$3" "${4:-1500}"
}

# guest_switch PAIR SIDE NUMBER [MTU]
guest_switch() {
	local message
	message=$(vhost_port "$1" "$2" "$LAB_DIR/$1-$2.sock") || because "$message" || return
	guest_vhost "$@"
}

# guest_vmtap PAIR SIDE NUMBER: its TAP is adopted.
guest_vmtap() {
	job_in "$1-host" "$1-$2.vm.log" "$LAB_BUILD/tests/bench/tap_loop" "$LAB_PREFIX$1-$2" eth0 "$LAB_PREFIX$1-host" "vm-$2"
	wait_until 5 grep -q ready "$LAB_DIR/$1-$2.vm.log" || die "tap_loop does not start"
	ip -n "$LAB_PREFIX$1-host" link set "vm-$2" up
	ctl "$1" port add "bench/$2" --type netdev --segment s --ifname "vm-$2" >/dev/null || die "port $2 of $1"
	workload_up "$1-$2" "10.0.0.$3"
}

# guest_ovs PAIR SIDE NUMBER [MTU]
guest_ovs() {
	ovs "$1" "$1-host" add-port br0 "$2" -- set interface "$2" type=dpdkvhostuserclient \
		options:vhost-server-path="$LAB_DIR/$1-$2.sock"
	guest_vhost "$@"
}

# ---- sides ----

# vhost_switch PAIR: with segment bench/s.
vhost_switch() {
	hugepages_reserve $((2 * RELAY_MB)) || return
	switch_make "$1" "$1-host"
	ctl "$1" segment add bench/s >/dev/null || die "segment"
}

# vhost_ovs PAIR
vhost_ovs() {
	hugepages_reserve $((2 * RELAY_MB + OVS_MB)) || return
	OVS_DPDK=yes ovs_start "$1" "$1-host" "$1" || return
	# Its poller would have what others leave of their core, and half of what the two have in common. It has
	# few flows, and none to lose.
	# shellcheck disable=SC2034 # world_pause reads it
	WORLD_STOPPABLE[$1]+=" $!"
}

pair_guests_switch() {
	vhost_switch "$1" && guest_switch "$1" a 1 && guest_switch "$1" b 2
}

pair_guests_vmtap() {
	switch_make "$1" "$1-host"
	ctl "$1" segment add bench/s >/dev/null || die "segment"
	guest_vmtap "$1" a 1
	guest_vmtap "$1" b 2
}

pair_guests_tap() { pair_tap_switch "$1"; }

pair_guests_ovsdpdk() {
	vhost_ovs "$1" || return
	ovs_bridge "$1" "$1-host" br0
	guest_ovs "$1" a 1
	guest_ovs "$1" b 2
}

pair_guests_ovsdpdktso() { with_tso pair_guests_ovsdpdk "$1"; }

pair_vhosttap_switch() {
	vhost_switch "$1" && guest_switch "$1" a 1 && switch_port "$1" b 2 tap "$1-b"
}

pair_vhosttap_ovsdpdk() {
	vhost_ovs "$1" || return
	ovs_bridge "$1" "$1-host" br0
	ovs_tap "$1" "$1-host" br0 "$1-b" 10.0.0.2
	guest_ovs "$1" a 1
}

pair_vhosttap_ovsdpdktso() { with_tso pair_vhosttap_ovsdpdk "$1"; }

# Each with one of its own sort on the other host, which has the TAP.
pair_vhostaway_switch() {
	hugepages_reserve "$RELAY_MB" || return
	ns_add "$1-away"
	underlay "$1-host" "$1-away"
	switch_vxlan "$1" "$1-host" "$1" 1
	switch_vxlan "$1-away" "$1-away" "$1" 2
	guest_switch "$1" a 1 1450
	switch_port "$1-away" b 2 tap "$1-b"
}

pair_vhostaway_ovsdpdk() {
	hugepages_reserve "$OVS_MB" || return
	vhost_ovs "$1" || return
	ns_add "$1-away"
	underlay "$1-host" "$1-away"
	offloads_off "$1-host" underlay
	offloads_off "$1-away" underlay
	ovs_overlay "$1" "$1-host" 1
	# Its poller is on the guests' core: on that of the first, each would wait for the other.
	OVS_DPDK=yes OVS_PMD_CORES=1 ovs_start "$1-away" "$1-away" "$1" || return
	WORLD_STOPPABLE[$1]+=" $!"
	ovs_overlay "$1-away" "$1-away" 2
	ovs_tap "$1-away" "$1-away" br0 "$1-b" 10.0.0.2 1450
	guest_ovs "$1" a 1 1450
}

pair_vhostpeer_switch() {
	hugepages_reserve "$RELAY_MB" || return
	peer_underlay "$1"
	switch_vxlan "$1" "$1-host" "$1" 1
	guest_switch "$1" a 1 1450
}

pair_vhostpeer_ovsdpdk() {
	vhost_ovs "$1" || return
	peer_underlay "$1"
	offloads_off "$1-host" underlay
	offloads_off "$1-b" underlay
	ovs_overlay "$1" "$1-host" 1
	guest_ovs "$1" a 1 1450
}

# ---- the parts ----

dpdk_tcp() {
	side_is dpdk vmtap "guests whose TAPs the switch adopts, with the same relay"
	side_is dpdk tap "TAP ports of the switch's own, no relays"
	# shellcheck disable=SC2046 # one word for each side
	streams_make guests $(unless_smoke "switch vmtap tap ovsdpdk ovsdpdktso" switch)
	case_add dpdk-tcp "guest to guest, one stream" Gbit/s more
	bar_at_least dpdk-tcp 1 vmtap
	by_turns stream_turn dpdk-tcp
}

dpdk_tap() {
	# shellcheck disable=SC2046 # one word for each side
	streams_make vhosttap $(unless_smoke "switch ovsdpdk ovsdpdktso" switch)
	case_add dpdk-tap "guest to TAP, one stream" Gbit/s more
	case_add dpdk-tap-from "TAP to guest, one stream" Gbit/s more
	bar_at_least dpdk-tap 5 ovsdpdk
	bar_at_least dpdk-tap-from 5 ovsdpdk
	by_turns stream_turn dpdk-tap
	by_turns stream_turn dpdk-tap-from from
}

dpdk_vxlan() {
	# shellcheck disable=SC2046 # one word for each side
	streams_make vhostaway $(unless_smoke "switch ovsdpdk" switch)
	case_add dpdk-vxlan "guest to a TAP of another host, over VXLAN, one stream" Gbit/s more
	case_add dpdk-vxlan-from "TAP of another host to guest, over VXLAN, one stream" Gbit/s more
	bar_at_least dpdk-vxlan 5 ovsdpdk
	bar_at_least dpdk-vxlan-from 5 ovsdpdk
	by_turns stream_turn dpdk-vxlan
	by_turns stream_turn dpdk-vxlan-from from
}

dpdk_kernel() {
	# shellcheck disable=SC2046 # one word for each side
	streams_make vhostpeer $(unless_smoke "switch ovsdpdk" switch)
	case_add dpdk-kernel "guest to a kernel's vxlan device, one stream" Gbit/s more
	case_add dpdk-kernel-from "a kernel's vxlan device to guest, one stream" Gbit/s more
	by_turns stream_turn dpdk-kernel
	by_turns stream_turn dpdk-kernel-from from
}
