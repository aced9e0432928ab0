#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The three ways of docs/uplink.md to use a NIC as uplink without losing the host's own connection, with the
# commands of that page. The switch runs in a namespace "host" whose NICs are eth0 and eth1.
#
#   host: eth0 192.0.2.10 ==veth== eth0 192.0.2.1 router (and 198.51.100.1)
#         eth1            ==veth== eth1 other: a second switch, whose port far is 10.0.0.2
#         workload near, 10.0.0.1, acme/web with VLAN 100
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add host router other near far
HOST=${LAB_PREFIX}host ROUTER=${LAB_PREFIX}router OTHER=${LAB_PREFIX}other
PAGE=$TOP/docs/uplink.md

ip -n "$HOST" link add eth0 type veth peer name eth0 netns "$ROUTER" || die "cannot make eth0"
ip -n "$HOST" link add eth1 type veth peer name eth1 netns "$OTHER" || die "cannot make eth1"
for link in "$HOST eth0" "$HOST eth1" "$ROUTER eth0" "$OTHER eth1"; do
	ip -n "${link% *}" link set "${link#* }" up
done
ip -n "$HOST" addr add 192.0.2.10/24 dev eth0
ip -n "$HOST" route add default via 192.0.2.1
ip -n "$ROUTER" addr add 192.0.2.1/24 dev eth0
ip -n "$ROUTER" addr add 198.51.100.1/32 dev lo

switch_start s host
switch_start far other
ctl s apply - >/dev/null <<END || die "cannot configure s"
version: 1
tenants: { acme: { segments: { web: { vlan: 100, ports: {
  near: { type: tap, netns: ${LAB_PREFIX}near, ifname: eth0, ip: 10.0.0.1/24 } } } } } }
END
ctl far apply - >/dev/null <<END || die "cannot configure far"
version: 1
tenants: { acme: { segments: { web: { vlan: 100, ports: {
  far: { type: tap, netns: ${LAB_PREFIX}far, ifname: eth0, ip: 10.0.0.2/24 } } } } } }
uplinks: { uplink0: { type: netdev, ifname: eth1, trunk: [acme/web] } }
END

# on_host COMMAND...: as the page has it, with this build's vswitchctl.
on_host() {
	in_ns host env PATH="$LAB_BUILD/cli:$PATH" VSWITCH_RUN_DIR="$LAB_DIR/s" "$@"
}
# page_has COMMAND: it is run, and the page says so.
page_has() {
	grep -qxF "    $1" "$PAGE" || { echo "not in docs/uplink.md: $1"; return 1; }
	on_host sh -c "$1"
}
host_state() {
	ip -n "$HOST" -o addr show dev "$1" | awk '{ print $3, $4 }' | sort
	ip -n "$HOST" route show dev "$1"
	ip -n "$HOST" -o link show dev "$1" | grep -o 'state [A-Z]*\|mtu [0-9]*'
	in_ns host cat "/proc/sys/net/ipv6/conf/$1/disable_ipv6"
	in_ns host tc qdisc show dev "$1"
}
host_is_online() { can_ping host 198.51.100.1; }
is_up() { [ "$(ctl s --json port show "$1" | jq -r .status.state)" = up ]; }

check "the host is online" host_is_online
ETH0=$(host_state eth0) ETH1=$(host_state eth1)
check_not "eth0, which carries the host's address, is refused" \
	on_host vswitchctl port add uplink0 --type netdev --ifname eth0 --trunk acme/web --require
check "and the host is online" host_is_online

# ---- a second NIC ----
check "a second NIC" page_has "vswitchctl port add uplink0 --type netdev --ifname eth1 --trunk acme/web"
check "workloads reach the other switch" wait_until 10 can_ping near 10.0.0.2
check "the host is online" host_is_online
check "the way back" page_has "vswitchctl port del uplink0"
check_is "eth1 is as it was" "$ETH1" "$(host_state eth1)"

# ---- a VLAN of the NIC ----
# Now the other switch is at the same wire as the router: a bridge joins them.
ip -n "$ROUTER" link add wire type bridge
ip -n "$ROUTER" link add to-other type veth peer name eth2 netns "$OTHER"
ip -n "$ROUTER" addr flush dev eth0
ip -n "$ROUTER" link set eth0 master wire
ip -n "$ROUTER" link set to-other master wire up
ip -n "$ROUTER" addr add 192.0.2.1/24 dev wire
ip -n "$ROUTER" link set wire up
ip -n "$OTHER" link set eth2 up
check "the host is online over the bridge" wait_until 10 host_is_online
check "the other switch changes its uplink" ctl far port set uplink0 --ifname eth2
check "a VLAN of the NIC" page_has \
	"vswitchctl port add uplink0 --type netdev --ifname eth0 --shared --trunk acme/web"
check "workloads reach the other switch" wait_until 10 can_ping near 10.0.0.2
check "the host is online" host_is_online
check_between "what is the host's is no uplink's: drops" 1 "$(drop_counter s uplink0 vlan-unknown)" 1000
check "the way back" page_has "vswitchctl port del uplink0"
check "the host is online" host_is_online
check_is "eth0 is as it was" "$ETH0" "$(host_state eth0)"

# ---- moving the host's address ----
awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$PAGE" >"$LAB_DIR/uplink-move"
check_is "the page has one script" 1 "$(grep -c '^#!' "$LAB_DIR/uplink-move")"
uplink_move() { on_host sh "$LAB_DIR/uplink-move" "$1"; }
# A connection that was there before, and shall live on; what it says in each second is counted at the end.
iperf_server host
job_in router session.json iperf3 --client 192.0.2.10 --time 6 --bitrate 10M --interval 1 --json
SESSION=$!
sleep 1
check "the move" uplink_move there
check "the host is online" host_is_online
check "and is reached" can_ping router 192.0.2.10
check_is "eth0 has no address" "" "$(ip -n "$HOST" -o -4 addr show dev eth0)"
check_is "lan0 has it" 192.0.2.10/24 "$(ip -n "$HOST" -o -4 addr show dev lan0 | awk '{ print $4 }')"
check "uplink0 is up" is_up uplink0
check "segments with tags go beside it" on_host vswitchctl port set uplink0 --trunk acme/web
check "workloads reach the other switch" wait_until 10 can_ping near 10.0.0.2
daemon_kill s control KILL
daemon_start s control
wait_until 10 switch_connected s
check "the control daemon was killed: the host is online" host_is_online
wait "$SESSION"
check_between "the connection of before lives: Mbit/s in its last second" 1 \
	"$(jq '.intervals[-1].sum.bits_per_second / 1e6' "$LAB_DIR/session.json")" 999
check "the way back" uplink_move back
check "the host is online" host_is_online
check "and is reached" can_ping router 192.0.2.10
check_is "eth0 is as it was" "$ETH0" "$(host_state eth0)"
check_not "lan0 is gone" ip -n "$HOST" link show lan0

# ---- a move that fails goes back by itself ----
ip -n "$ROUTER" link set wire down
check_not "the gateway does not answer: the move fails" uplink_move there
ip -n "$ROUTER" link set wire up
check "it went back: the host is online" wait_until 10 host_is_online
check_is "eth0 is as it was" "$ETH0" "$(host_state eth0)"

# ---- without the switch ----
check "the move" uplink_move there
daemon_kill s control KILL
daemon_kill s datapath KILL
check_not "the switch is killed: the host is offline" host_is_online
for command in "tc qdisc del dev eth0 clsact" "ip link del lan0" "ip addr add 192.0.2.10/24 dev eth0" \
	"ip route add default via 192.0.2.1"; do
	check "$command" page_has "$command"
done
check "the host is online" host_is_online

lab_finish
