#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Ports of type netdev: interfaces that somebody else made, adopted where they are. The switch runs in a
# namespace of its own, "host", whose stack is to stay out of them.
#
#     out 10.0.0.9 ==veth==> v1 \                  / c1 <==veth== peer 10.0.0.3 (c1 is in namespace far)
#     (a TAP of another process) vm1 -[ host: switch s ]- home 10.0.0.1 (tap)
#                                       acme/web
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add home out far peer
# This one has IPv6, as hosts do.
ip netns add "${LAB_PREFIX}host" || die "cannot make the host"
LAB_NAMESPACES+=("${LAB_PREFIX}host")
HOST=${LAB_PREFIX}host FAR=${LAB_PREFIX}far
ip -n "$HOST" link set lo up
in_ns host sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
switch_start s host
ctl s tenant add acme
ctl s segment add acme/web --mtu 1500
check "port acme/home" ctl s port add acme/home --type tap --segment web --ifname eth0 \
	--netns "${LAB_PREFIX}home" --ip 10.0.0.1/24

state() { ctl s --json port show "$1" | jq -r .status.state; }
reason() { ctl s --json port show "$1" | jq -r '.status.reason // ""'; }
is() { [ "$(state "$1")" = "$2" ]; }
waits_for() { [ "$(state "$1"): $(reason "$1")" = "waiting: $2" ]; }
down_for() { [ "$(state "$1"): $(reason "$1")" = "down: $2" ]; }
# settings NAME IFNAME: what the switch may change on it, to be compared.
settings() {
	printf 'ipv6 off %s, ' "$(in_ns "$1" cat "/proc/sys/net/ipv6/conf/$2/disable_ipv6")"
	printf 'qdiscs %s, ' "$(in_ns "$1" tc qdisc show dev "$2" | awk '{ print $2 }' | sort | tr '\n' ' ')"
	ip -n "$LAB_PREFIX$1" -j -d link show dev "$2" |
		jq -r '.[0] | "\(.flags | map(select(. == "UP"))), promiscuity \(.promiscuity), alias \(.ifalias)"'
}
settings_are() { [ "$(settings "$1" "$2")" = "$3" ]; }
# refused TEXT PATTERN ARGUMENT...: exit 1, one sentence that says so, nothing changed.
refused() {
	local text=$1 pattern=$2 before output status
	shift 2
	before=$(ctl s export)
	output=$(ctl s "$@" 2>&1)
	status=$?
	if [ "$status" = 1 ] && [ "$(wc -l <<<"$output")" = 1 ] && grep -q -- "$pattern" <<<"$output"; then
		pass "$text is refused"
	else
		fail "$text is refused" "exit $status: $output"
	fi
	check_is "$text: and nothing changed" "$before" "$(ctl s export)"
}

# ---- it waits, is attached, goes and comes back ----
check_is "an interface that is not there is accepted, exit 4" 4 \
	"$(ctl s --wait 0.2 port add acme/v1 --type netdev --segment web --ifname v1 >/dev/null 2>&1; echo $?)"
check "it waits for it" waits_for acme/v1 "no interface v1"
check_is "status counts it" 1 "$(ctl s --json status | jq '.counts."waiting-ports"')"
make_v1() {
	ip -n "$HOST" link add v1 type veth peer name eth0 address 02:00:00:00:00:09 netns "${LAB_PREFIX}out" || return
	ip -n "${LAB_PREFIX}out" addr add 10.0.0.9/24 dev eth0
	ip -n "${LAB_PREFIX}out" link set eth0 up
}
# appears PORT: soon. The kernel tells of most of what happens, and what waits is looked for every 250 ms.
appears() {
	wait_until 2 is "$1" up
}
make_v1
check "it appears: up" appears acme/v1
check "ping through it" can_ping home 10.0.0.9
check "and back" can_ping out 10.0.0.1
check_is "its MAC is shown" "$(ip -n "$HOST" -j link show v1 | jq -r '.[0].address')" \
	"$(ctl s --json port show acme/v1 | jq -r .status.mac)"
check_between "it is counted" 3 "$(port_counter s acme/v1 rx_packets)" 1000
ip -n "$HOST" link set v1 down
ip -n "$HOST" link set v1 name other
ip -n "$HOST" link set other up
check "it is renamed: the port waits" wait_until 10 waits_for acme/v1 "no interface v1"
check_is "and the host has it as it was" "ipv6 off 0, qdiscs noqueue , [\"UP\"], promiscuity 0, alias null" \
	"$(settings host other)"
ip -n "$HOST" link set other down
ip -n "$HOST" link set other name v1
ip -n "$HOST" link set v1 up
check "it has its name again: up" appears acme/v1
check "ping" can_ping home 10.0.0.9
ip -n "$HOST" link del v1
check "it is removed: the port waits" wait_until 10 waits_for acme/v1 "no interface v1"
make_v1
check "another one of that name: up" appears acme/v1
check "ping" wait_until 10 can_ping home 10.0.0.9
ip -n "$HOST" link set v1 netns "$FAR"
check "it is moved away: the port waits" wait_until 10 waits_for acme/v1 "no interface v1"
check_is "and there it is as any" "ipv6 off 1, qdiscs , [], promiscuity 0, alias null" \
	"$(settings far v1)"
ip -n "$FAR" link set v1 netns "$HOST"
check "it is moved back: up" appears acme/v1
check "ping" wait_until 10 can_ping home 10.0.0.9

# ---- up and down, MTU ----
ip -n "$HOST" link set v1 down
check "it is taken down: the port is down" wait_until 10 down_for acme/v1 "interface v1 is down"
sleep 0.6
check "it stays so" down_for acme/v1 "interface v1 is down"
ip -n "$HOST" link set v1 up
check "it is up again" wait_until 10 is acme/v1 up
check "ping" wait_until 10 can_ping home 10.0.0.9
ip -n "${LAB_PREFIX}out" link set eth0 down
check "its other end is down: no carrier" wait_until 10 down_for acme/v1 "no carrier"
ip -n "${LAB_PREFIX}out" link set eth0 up
check "and up" wait_until 10 is acme/v1 up
check "ping" wait_until 10 can_ping home 10.0.0.9
mtu_named() {
	[ "$(reason acme/v1)" = "interface v1 has MTU 1400, segment acme/web needs 1500: raise it, or set the segment's" ]
}
ip -n "$HOST" link set v1 mtu 1400
check "an MTU below the segment's is named" wait_until 10 mtu_named
check "in the status too" status_says s '.problems[0] | contains("MTU 1400")'
check_is "and shown" 1400 "$(ctl s --json port show acme/v1 | jq .status.mtu)"
check "the segment's is set: all is well" ctl s segment set acme/web --mtu 1400
check_is "no reason" "" "$(reason acme/v1)"
ctl s segment set acme/web --mtu 1500
ip -n "$HOST" link set v1 mtu 1500
check "port down" ctl s port down acme/v1
check_is "is down" down "$(state acme/v1)"
check_not "and carries nothing" can_ping home 10.0.0.9
check "port up" ctl s port up acme/v1
check "carries" wait_until 10 can_ping home 10.0.0.9

# ---- the host's stack stays out ----
# What the host does on an interface that is its own, and must not do on this one; at the end the same is seen to
# work. 10.9.0.1 is its address on another interface, 10.9.0.2 a machine behind that.
ip -n "$HOST" link add lan type veth peer name eth1 netns "${LAB_PREFIX}peer"
ip -n "$HOST" addr add 10.9.0.1/24 dev lan
ip -n "$HOST" link set lan up
ip -n "${LAB_PREFIX}peer" addr add 10.9.0.2/24 dev eth1
ip -n "${LAB_PREFIX}peer" link set eth1 up
ip -n "${LAB_PREFIX}peer" route add 10.0.0.0/24 via 10.9.0.1
V1_MAC=$(ip -n "$HOST" -j link show v1 | jq -r '.[0].address')
ip -n "${LAB_PREFIX}out" neigh add 10.0.0.254 lladdr "$V1_MAC" dev eth0
ip -n "${LAB_PREFIX}out" route add 10.9.0.0/24 via 10.0.0.254
ip -n "${LAB_PREFIX}out" route add 10.9.0.1/32 dev eth0
host_answers_arp() {
	ip -n "${LAB_PREFIX}out" neigh flush dev eth0 to "$1"
	in_ns out ping -q -c 1 -W 1 "$1"
	ip -n "${LAB_PREFIX}out" neigh show "$1" dev eth0 | grep lladdr
}
host_forwards() { in_ns out ping -q -c 2 -i 0.2 -W 1 10.9.0.2; }
# host_says: what the host says on v1 of its own accord when it goes down and up (IPv6) and looks for somebody.
host_says() {
	job_in out said tcpdump -n -e -U -i eth0 -w "$LAB_DIR/said.pcap" ether src "$V1_MAC"
	local job=$!
	wait_until 10 test -s "$LAB_DIR/said.pcap" || die "no tcpdump"
	ip -n "$HOST" link set v1 down
	ip -n "$HOST" link set v1 up
	in_ns host ping -q -c 1 -W 1 10.0.0.99 >/dev/null 2>&1
	sleep 1
	end_process "$job"
	in_ns out tcpdump -n -e -r "$LAB_DIR/said.pcap" 2>/dev/null
	rm -f "$LAB_DIR/said.pcap"
}
ip -n "$HOST" addr add 10.0.0.77/24 dev v1
check_not "the host answers no ARP for its address on another interface" host_answers_arp 10.9.0.1
check_not "nor for one that it gets on this one" host_answers_arp 10.0.0.77
check_not "it forwards nothing" host_forwards
check_is "it says nothing" "" "$(host_says)"
check "while the switch carries on" wait_until 10 can_ping home 10.0.0.9
ip -n "$HOST" addr del 10.0.0.77/24 dev v1

# ---- what was changed is put back ----
adopted='ipv6 off 1, qdiscs clsact noqueue , ["UP"], promiscuity 1, alias null'
check_is "adopted" "$adopted" "$(settings host v1)"
ctl s port del acme/v1
before='ipv6 off 0, qdiscs noqueue , [], promiscuity 0, alias null'
# The switch found it down, as "ip link add" left it.
check "the port is deleted: all is as it was" wait_until 10 settings_are host v1 "$before"
ip -n "$HOST" link set v1 up
ip -n "$HOST" addr add 10.0.0.77/24 dev v1
check "the host answers ARP again" host_answers_arp 10.9.0.1
check "and for its address here" host_answers_arp 10.0.0.77
check "it forwards" host_forwards
check "it speaks" grep -q . <<<"$(host_says)"
ip -n "$HOST" addr del 10.0.0.77/24 dev v1
in_ns host tc qdisc add dev v1 clsact
in_ns host sysctl -qw net.ipv6.conf.v1.disable_ipv6=1
with_clsact='ipv6 off 1, qdiscs clsact noqueue , ["UP"], promiscuity 0, alias null'
check_is "a clsact and settings of the host's own" "$with_clsact" "$(settings host v1)"
check "adopted again" ctl s port add acme/v1 --type netdev --segment web --ifname v1
check "ping" wait_until 10 can_ping home 10.0.0.9
ctl s port del acme/v1
check "are left" wait_until 10 settings_are host v1 "$with_clsact"
check_is "without a filter" "" "$(in_ns host tc filter show dev v1 ingress)$(in_ns host tc filter show dev v1 egress)"
in_ns host tc qdisc del dev v1 clsact
in_ns host sysctl -qw net.ipv6.conf.v1.disable_ipv6=0
before='ipv6 off 0, qdiscs noqueue , ["UP"], promiscuity 0, alias null'

# ---- the daemons die ----
check "adopted again" ctl s port add acme/v1 --type netdev --segment web --ifname v1
for dead in control datapath "control datapath"; do
	for daemon in $dead; do daemon_kill s "$daemon" KILL; done
	for daemon in $dead; do daemon_start s "$daemon"; done
	check "after the death of $dead: settled" wait_until 10 switch_settled s
	check "ping" wait_until 10 can_ping home 10.0.0.9
	check_is "the host is kept out" "$adopted" "$(settings host v1)"
done
daemon_kill s control KILL
ip -n "$HOST" link set v1 down
ip -n "$HOST" link set v1 name renamed
ip -n "$HOST" link set renamed up
daemon_start s control
wait_until 10 switch_connected s
check "renamed while it was away: the port waits" wait_until 10 waits_for acme/v1 "no interface v1"
check "and the host has it as it was" wait_until 10 settings_are host renamed "$before"
ctl s port del acme/v1
ip -n "$HOST" link set renamed down
ip -n "$HOST" link set renamed name v1
ip -n "$HOST" link set v1 up
check "adopted again" ctl s port add acme/v1 --type netdev --segment web --ifname v1
ctl s port del acme/v1
check "put back" wait_until 10 settings_are host v1 "$before"

# ---- by MAC ----
check_is "another MAC is accepted, exit 4" 4 \
	"$(ctl s --wait 0.2 port add acme/v1 --type netdev --segment web --ifname v1 --match-mac 02:00:00:00:00:77 >/dev/null 2>&1; echo $?)"
check "and waits" waits_for acme/v1 "interface v1 has MAC $V1_MAC, not 02:00:00:00:00:77"
check_is "without a change to it" "$before" "$(settings host v1)"
ip -n "$HOST" link set v1 address 02:00:00:00:00:77
check "it gets that MAC: up" wait_until 10 is acme/v1 up
check "ping" wait_until 10 can_ping home 10.0.0.9
exported=$(ctl s export)
check_is "what is exported changes nothing when applied" "" "$(ctl s export | ctl s --wait 0.1 --json apply - 2>/dev/null | jq -r '.changes[]')"
ctl s export | grep -q 'match-mac: .*02:00:00:00:00:77' || fail "match-mac is exported" "$exported"
ip -n "$HOST" link set v1 address "$V1_MAC"
check "it has another: waits" wait_until 10 is acme/v1 waiting
check "and is the host's" wait_until 10 settings_are host v1 "$before"
ctl s port del acme/v1

# ---- in another namespace: by name, by path, by process ----
ip -n "${LAB_PREFIX}peer" route del 10.0.0.0/24
ip -n "$FAR" link add c1 type veth peer name eth0 address 02:00:00:00:00:03 netns "${LAB_PREFIX}peer"
ip -n "${LAB_PREFIX}peer" addr add 10.0.0.3/24 dev eth0
ip -n "${LAB_PREFIX}peer" link set eth0 up
job_in far far.sleep sleep 300
FAR_PID=$!
for netns in "$FAR" "/run/netns/$FAR" "pid:$FAR_PID"; do
	check "an interface in namespace ${netns#"$LAB_PREFIX"}" ctl s port add acme/c1 --type netdev --segment web \
		--ifname c1 --netns "$netns"
	check "ping" wait_until 10 can_ping home 10.0.0.3
	ip -n "$FAR" link set c1 down
	check "taken down: down" wait_until 10 down_for acme/c1 "interface c1 is down"
	ip -n "$FAR" link set c1 up
	check "up" wait_until 10 is acme/c1 up
	ip -n "$FAR" link set c1 down
	ip -n "$FAR" link set c1 name c2
	check "renamed: waits" wait_until 10 is acme/c1 waiting
	ip -n "$FAR" link set c2 name c1
	check "back: up" appears acme/c1
	ctl s port del acme/c1
done
ctl s port add acme/c1 --type netdev --segment web --ifname c1 --netns "$FAR"
refused "the same interface by another way to call its namespace" 'is taken by port acme/c1' \
	port add acme/c2 --type netdev --segment web --ifname c1 --netns "pid:$FAR_PID"
end_process "$FAR_PID"
gone() { [ "$(ip -n "${LAB_PREFIX}peer" -j link show eth0 2>/dev/null)" = "" ]; }
ip netns del "$FAR"
check "the namespace goes: the port waits" wait_until 10 waits_for acme/c1 "no namespace $FAR"
check "and the switch does not keep it alive" wait_until 10 gone
ctl s port del acme/c1

# A process has a namespace that has no name.
job_in peer pid.sleep unshare --net sleep 300
PID=$!
has_own_namespace() { [ "$(readlink "/proc/$PID/ns/net")" != "$(in_ns peer readlink /proc/self/ns/net)" ]; }
wait_until 10 has_own_namespace || die "no process in a namespace"
ip -n "${LAB_PREFIX}peer" link add eth0 address 02:00:00:00:00:03 type veth peer name c1 netns "$PID"
ip -n "${LAB_PREFIX}peer" addr add 10.0.0.3/24 dev eth0
ip -n "${LAB_PREFIX}peer" link set eth0 up
check "a process's interface" ctl s port add acme/c1 --type netdev --segment web --ifname c1 --netns "pid:$PID"
check "ping" wait_until 10 can_ping home 10.0.0.3
end_process "$PID"
check "the process ends: the port waits" wait_until 10 waits_for acme/c1 "no namespace pid:$PID"
check "and the switch does not keep its namespace alive" wait_until 10 gone
ctl s port del acme/c1

# ---- refused ----
ip -n "$HOST" addr add 10.8.0.1/24 dev v1
refused "an interface with an address" 'carries the host.s address 10.8.0.1/24' \
	port add acme/x --type netdev --segment web --ifname v1
ip -n "$HOST" addr del 10.8.0.1/24 dev v1
ip -n "$HOST" route add 10.7.0.0/16 dev v1
refused "an interface with a route" 'carries the host.s route to 10.7.0.0/16' \
	port add acme/x --type netdev --segment web --ifname v1
ip -n "$HOST" route del 10.7.0.0/16 dev v1
ip -n "$HOST" link add br0 type bridge
ip -n "$HOST" link set v1 master br0
refused "an interface in a bridge" 'belongs to br0' port add acme/x --type netdev --segment web --ifname v1
ip -n "$HOST" link set v1 nomaster
ip -n "$HOST" link add mv0 link v1 type macvtap 2>/dev/null &&
	refused "an interface that carries another" 'carries the host.s interface mv0' \
		port add acme/x --type netdev --segment web --ifname v1
ip -n "$HOST" link del mv0 2>/dev/null
refused "loopback" 'is a loopback' port add acme/x --type netdev --segment web --ifname lo
refused "an uplink on loopback" 'is a loopback' port add up0 --type netdev --ifname lo --native acme/web --shared
check "a TAP of ours" ctl s port add acme/t1 --type tap --segment web --ifname t1
refused "our own TAP" 'was made by a switch' port add acme/x --type netdev --segment web --ifname t1
refused "our own TAP, shared" 'was made by a switch' port add up0 --type netdev --ifname t1 --native acme/web --shared
refused "our own TAP in another namespace" 'was made by a switch' \
	port add acme/x --type netdev --segment web --ifname eth0 --netns "/run/netns/${LAB_PREFIX}home"
refused "tap on an existing interface" 'interface name v1 is taken' \
	port add acme/x --type tap --segment web --ifname v1
check "an interface" ctl s port add acme/v1 --type netdev --segment web --ifname v1
refused "an interface that is used twice" 'taken in the host.s namespace by port acme/v1' \
	port add acme/x --type netdev --segment web --ifname v1
refused "an address for it" 'leave ip out' port set acme/v1 --ip 10.0.0.5/24
refused "a MAC for it" 'leave mac out' port set acme/v1 --mac 02:00:00:00:00:05
refused "match-mac for a TAP" 'leave match-mac out' port set acme/t1 --match-mac 02:00:00:00:00:05
refused "shared for a workload" 'shared' port add acme/x --type netdev --segment web --ifname nothing --shared
refused "--require for what is not there" 'no interface nothing' \
	port add acme/x --type netdev --segment web --ifname nothing --require
check_is "the refused have changed nothing on it" "$adopted" "$(settings host v1)"

# ---- a second switch ----
switch_start z host
ctl z tenant add other
ctl z segment add other/net
check_is "another switch's interface is refused" 1 \
	"$(ctl z port add other/v1 --type netdev --segment net --ifname v1 >/dev/null 2>&1; echo $?)"
check "and waits for what it finds later" eval 'ctl z --wait 0.2 port add other/late --type netdev --segment net --ifname late >/dev/null 2>&1; [ $? = 4 ]'
ctl s port del acme/v1
check "it may have it when it is free" ctl z port add other/v1 --type netdev --segment net --ifname v1
ctl z port del other/v1
check "put back" wait_until 10 settings_are host v1 "$before"

# ---- the TAP of another process, as QEMU's, which comes and goes ----
check_is "a machine's TAP, before the machine, exit 4" 4 \
	"$(ctl s --wait 0.1 port add acme/vm1 --type netdev --segment web --ifname vm1 >/dev/null 2>&1; echo $?)"
for round in first second; do
	job_in host "vm1.$round" "$PYTHON" "$TOP/tests/netns/tap_guest.py" vm1 10.0.0.50 02:00:00:00:00:50
	GUEST=$!
	check "the machine is on the $round time: up" wait_until 10 is acme/vm1 up
	check "it answers" wait_until 10 can_ping home 10.0.0.50
	end_process "$GUEST"
	check "it is off: the port waits" wait_until 10 waits_for acme/vm1 "no interface vm1"
done

# ---- shared with the host ----
ip -n "$HOST" addr add 10.8.0.1/24 dev v1
ip -n "${LAB_PREFIX}out" addr add 10.8.0.9/24 dev eth0
check "the host uses it" in_ns host ping -q -c 2 -i 0.2 -W 1 10.8.0.9
shared='ipv6 off 0, qdiscs noqueue , ["UP"], promiscuity 1, alias null'
check "shared" ctl s port add up0 --type netdev --ifname v1 --native acme/web --shared
check_is "nothing of the host's is touched" "$shared" "$(settings host v1)"
check "the host uses it still" in_ns host ping -q -c 2 -i 0.2 -W 1 10.8.0.9
check "and so does the segment" wait_until 10 can_ping home 10.0.0.9
check_is "what is exported changes nothing when applied" "" "$(ctl s export | ctl s --wait 0.1 --json apply - 2>/dev/null | jq -r '.changes[]')"
ctl s port del up0
check "put back" wait_until 10 settings_are host v1 "$before"
check_is "no problem is left" "[]" "$(ctl s --json status | jq -c .problems)"
lab_finish
