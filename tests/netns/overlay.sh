#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Ports of both types reach each other over VXLAN with the defaults: TCP at once, octet for octet, without
# ethtool; interfaces have the MTU that the underlay leaves; and who sends more is told so.
#
#     t1 10.0.0.1 (tap)  v1 10.0.0.3 (veth)         t2 10.0.0.2 (tap)  v2 10.0.0.4 (veth)
#        [ switch one in namespace host1 ]             [ switch two in namespace host2 ]
#                   172.31.0.1 ------- underlay, MTU 1500: VNI 5001 ------- 172.31.0.2
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
TRAFFIC=$TOP/tests/netns/traffic.py

lab_begin "${1:-}"
declare -A ADDRESS=([t1]=10.0.0.1 [t2]=10.0.0.2 [v1]=10.0.0.3 [v2]=10.0.0.4)
ns_add host1 host2 "${!ADDRESS[@]}"
underlay host1 host2

# both NUMBER PORT PORT: a switch with two ports, from one file, as after a boot.
both() {
	local number=$1 name type
	switch_start "s$number" "host$number"
	{
		printf 'version: 1\nvtep: { local: 172.31.0.%d }\ntenants: { acme: { segments: { web: {\n' "$number"
		printf '  vni: 5001, peers: [172.31.0.%d], ports: {\n' $((3 - number))
		for name in "${@:2}"; do
			type=$([ "${name%?}" = t ] && echo tap || echo veth)
			printf '    %s: { type: %s, ifname: eth0, netns: %s, ip: %s/24 },\n' \
				"$name" "$type" "$LAB_PREFIX$name" "${ADDRESS[$name]}"
		done
		printf '  }\n} } } }\n'
	} >"$LAB_DIR/s$number.yaml"
	check "switch $number: apply" ctl "s$number" apply "$LAB_DIR/s$number.yaml"
}

# transfer FROM TO: the receiver's digest of 16 MiB is the sender's.
transfer() {
	local taker sent
	job_in "$2" taken "$PYTHON" "$TRAFFIC" take 7000
	taker=$!
	wait_until 10 port_listens "$2" 7000 || return
	sent=$(in_ns "$1" "$PYTHON" "$TRAFFIC" give "${ADDRESS[$2]}" 7000 16) || return
	wait "$taker" || return
	[ "$sent" = "$(cat "$LAB_DIR/taken")" ]
}

both 1 t1 v1
both 2 t2 v2
# The first frames of all are those of TCP: nobody has pinged.
for pair in "t1 t2" "v1 v2" "t1 v2" "v1 t2" "t2 t1" "v2 v1" "t2 v1" "v2 t1"; do
	read -r from to <<<"$pair"
	check "$from to $to: 16 MiB by TCP, octet for octet" transfer "$from" "$to"
done

# ---- MTU: what the underlay leaves, or what the segment says; changed while it runs ----
mtu() {
	in_ns "$1" cat /sys/class/net/eth0/mtu
}
mtu_is() {
	[ "$(mtu "$1")" = "$2" ]
}
# A super-packet that is to leave as one datagram train has at most 65,000 octets: 44 frames of 1450.
gso_frames() {
	in_ns "$1" ip -json -details link show eth0 | jq '.[0].gso_max_segs'
}
gso_frames_are() {
	[ "$(gso_frames "$1")" = "$2" ]
}
for name in t1 v1; do
	check_is "$name: super-packets are of as many frames as one send takes" 44 "$(gso_frames $name)"
done
check_is "MTU of a tap: the underlay's, less 50" 1450 "$(mtu t1)"
check_is "MTU of a veth" 1450 "$(mtu v1)"
ip -n "${LAB_PREFIX}host1" link set underlay mtu 1420
for name in t1 v1; do
	check "$name follows the underlay's MTU" wait_until 10 mtu_is "$name" 1370
done
ip -n "${LAB_PREFIX}host1" link set underlay mtu 1500
for number in 1 2; do
	ctl "s$number" segment set acme/web --mtu 1400 || fail "cannot set the MTU"
done
for name in "${!ADDRESS[@]}"; do
	check "$name follows the segment's MTU" wait_until 10 mtu_is "$name" 1400
done
check "t1: so do its super-packets" wait_until 10 gso_frames_are t1 45
check "v1 to t2: TCP with the new MTU" transfer v1 t2

# ---- who sends more than the segment carries is told, and heeds it ----
# Its interface is made to take 1500 by hand; no route of TCP or ping knows better.
for name in t1 v2; do
	ip -n "$LAB_PREFIX$name" link set eth0 mtu 1500
done
# told FROM ADDRESS: the MTU that the answer to a ping with DF names.
told() {
	in_ns "$1" ping -n -c 1 -W 1 -M "do" -s 1472 "$2" 2>&1 | sed -n 's/.*Frag needed.*mtu = \([0-9]*\).*/\1/p'
}
check_is "t1: a ping of 1500 octets with DF is refused with the MTU" 1400 "$(told t1 10.0.0.4)"
check_is "v2: and so from the veth" 1400 "$(told v2 10.0.0.1)"
check_is "t1 has learned it" 1400 \
	"$(in_ns t1 ip -json route get 10.0.0.4 | jq -r '.[0].metrics[0].mtu // "nothing"')"
check "t1 to v2: TCP between interfaces that say 1500" transfer t1 v2
ip -n "${LAB_PREFIX}v1" link set eth0 mtu 1500
check "v1 to v2: the same, and TCP is the first to notice" transfer v1 v2
check_between "drops for too much are counted" 1 "$(drop_counter s1 acme/t1 oversize)" 1000

# ---- without an overlay nothing is limited ----
for name in t1 v1; do
	check "$name: another port, in a segment of its own" \
		ctl s1 apply - <<<"version: 1
tenants: { acme: { segments: { lan: { ports: { $name-lan: { type: $([ "${name%?}" = t ] && echo tap || echo veth), ifname: eth1, netns: $LAB_PREFIX$name } } } } } }"
	check_is "$name: super-packets of any size on a segment without VNI" 65535 \
		"$(in_ns $name ip -json -details link show eth1 | jq '.[0].gso_max_segs')"
done
ctl s1 segment set acme/lan --vni 5002 >/dev/null || fail "cannot give a VNI"
lan_is_limited() {
	[ "$(in_ns t1 ip -json -details link show eth1 | jq '.[0].gso_max_segs')" = 44 ]
}
check "a VNI that comes later limits them" wait_until 10 lan_is_limited
lab_finish
