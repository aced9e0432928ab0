#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The switch leaves nothing behind and stays out of the host's way: interfaces are made as asked and vanish
# with their port, its own ends are in a private namespace without addresses and IPv6, and the datapath has no
# privileges.
#
#     t (tap)   v (veth)   both in one namespace, work      switch s
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add host work
links_before=$(ip -n "${LAB_PREFIX}host" -o link | wc -l)
switch_start s host
ctl s tenant add acme
ctl s segment add acme/web --mtu 1400
check "a tap" ctl s port add acme/t --type tap --segment web --ifname tap7 --netns "${LAB_PREFIX}work" \
	--mac 02:00:00:00:00:07 --ip 10.0.0.7/24 --ip 10.1.0.7/16 --gateway 10.0.0.254
check "a veth" ctl s port add acme/v --type veth --segment web --ifname veth8 --netns "${LAB_PREFIX}work" \
	--mac 02:00:00:00:00:08 --ip 10.2.0.8/24

link() {
	in_ns work ip -json -details addr show dev "$1" 2>/dev/null | jq -c '.[0] | [.ifname, .address, .mtu,
		(.flags | contains(["UP", "LOWER_UP"])), ([.addr_info[] | select(.family == "inet")
		| "\(.local)/\(.prefixlen)"] | sort)]'
}
check_is "the tap is as asked" '["tap7","02:00:00:00:00:07",1400,true,["10.0.0.7/24","10.1.0.7/16"]]' "$(link tap7)"
check_is "the veth is as asked" '["veth8","02:00:00:00:00:08",1400,true,["10.2.0.8/24"]]' "$(link veth8)"
check_is "the gateway is as asked" 10.0.0.254 \
	"$(in_ns work ip -json route show default | jq -r '.[0].gateway')"
check_is "nothing new in the host's namespace" "$links_before" "$(ip -n "${LAB_PREFIX}host" -o link | wc -l)"

# The host cannot be reached from a workload, not even at an address that the workload's link has.
ip -n "${LAB_PREFIX}host" addr add 10.0.0.200/32 dev lo
check_not "the host does not answer the workload" in_ns work ping -q -n -c 2 -i 0.2 -W 0.5 -I tap7 10.0.0.200
check_not "nor its ARP" eval 'in_ns work ip neighbor show 10.0.0.200 | grep -q lladdr'

# A MAC that nobody gave is made once and kept.
check "a port without a MAC" ctl s port add acme/m --type tap --segment web --ifname tap9 --netns "${LAB_PREFIX}work"
mac=$(link tap9 | jq -r '.[1]')
daemon_kill s control KILL
daemon_kill s datapath KILL
daemon_start s control
daemon_start s datapath
wait_until 10 switch_settled s
check_is "its MAC is the same after the death of both" "$mac" "$(link tap9 | jq -r '.[1]')"

# Renaming and moving are changes like others.
check "another MTU" ctl s segment set acme/web --mtu 1300
check "reaches the tap" wait_until 10 eval '[ "$(link tap7 | jq ".[2]")" = 1300 ]'
check "and the veth" wait_until 10 eval '[ "$(link veth8 | jq ".[2]")" = 1300 ]'
check "another address" ctl s port set acme/v --ip 10.2.0.9/24
check "replaces the former" wait_until 10 eval '[ "$(link veth8 | jq -c ".[4]")" = "[\"10.2.0.9/24\"]" ]'

# ---- the private namespace ----
# It is the one namespace that the control daemon holds open and that is not the host's or a workload's.
private() {
	local fd own
	own=$(stat -L -c %i "/proc/${LAB_PID[s.control]}/ns/net")
	for fd in "/proc/${LAB_PID[s.control]}/fd/"*; do
		[[ $(readlink "$fd") == net:* || $(stat -L -f -c %T "$fd" 2>/dev/null) == nsfs ]] || continue
		[ "$(stat -L -c %i "$fd")" != "$own" ] || continue
		nsenter --net="$fd" ip -o link 2>/dev/null | grep -q veth8 && continue
		echo "$fd"
		return
	done
	return 1
}
if fd=$(private); then
	check_is "the private namespace has no address" "" "$(nsenter --net="$fd" ip -o addr show scope global)"
	check_is "and no IPv6 at all" "" "$(nsenter --net="$fd" ip -6 -o addr)"
	check_is "and does not forward" 0 "$(nsenter --net="$fd" sysctl -n net.ipv4.ip_forward)"
else
	fail "the control daemon holds no private namespace"
fi

# ---- the datapath's privileges ----
status=/proc/${LAB_PID[s.datapath]}/status
check_is "the datapath has no capabilities" "0000000000000000 0000000000000000 0000000000000000" \
	"$(awk '/^Cap(Prm|Eff|Bnd):/ { print $2 }' "$status" | paste -sd ' ')"
check_is "and cannot get new ones" 1 "$(awk '/^NoNewPrivs:/ { print $2 }' "$status")"
check_not "and is not root" grep -qE '^[UG]id:.*[[:space:]]0([[:space:]]|$)' "$status"
check_is "the state directory is root's alone" 700 "$(stat -c %a "$LAB_DIR/s/state")"

# ---- everything vanishes with its port ----
gone() {
	[ -z "$(link "$1")" ]
}
check "delete a tap" ctl s port del acme/t
check "its interface vanishes" wait_until 10 gone tap7
check "delete a tenant and what it holds" ctl s tenant del acme --recursive
check "the veth vanishes" wait_until 10 gone veth8
check "the tap vanishes" wait_until 10 gone tap9
check_is "only the loopback is left" 1 "$(ip -n "${LAB_PREFIX}work" -o link | wc -l)"
if fd=$(private); then
	check_is "in the private namespace too" 1 "$(nsenter --net="$fd" ip -o link | wc -l)"
fi

# An interface that another made is not taken, and not removed.
ip -n "${LAB_PREFIX}work" link add other type veth peer name other2
ctl s tenant add acme
ctl s segment add acme/web
check_is "an interface name in use is refused, exit 1" 1 \
	"$(ctl s port add acme/t --type tap --segment web --ifname other --netns "${LAB_PREFIX}work" 2>/dev/null >&2; echo $?)"
check "the other's interface is still there" ip -n "${LAB_PREFIX}work" link show other
lab_finish
