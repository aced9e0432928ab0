#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What is changed under traffic concerns nobody else: ports and tenants come and go, ports move from namespace to
# namespace, and not a datagram between others is lost.
#
#     v1 10.0.0.1 (veth)  t1 10.0.0.2 (tap)   x1 10.0.0.3 (comes and goes)     b1 10.0.0.1  b2 10.0.0.2
#                [ tenant acme, segment web ]                             [ tenant beta, segment web ]    switch s
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
TRAFFIC=$TOP/tests/netns/traffic.py

lab_begin "${1:-}"
ns_add v1 t1 x1 b1 b2 other
switch_start s

# port_add NAME TYPE NAMESPACE ADDRESS
port_add() {
	ctl s port add "$1" --type "$2" --segment web --ifname eth0 --netns "$LAB_PREFIX$3" --ip "$4/24" \
		--mac "02:00:00:00:00:0${4##*.}" >/dev/null
}
for tenant in acme beta; do
	ctl s tenant add $tenant
	ctl s segment add $tenant/web
done
check "ports" eval 'port_add acme/v1 veth v1 10.0.0.1 && port_add acme/t1 tap t1 10.0.0.2 &&
	port_add beta/b1 tap b1 10.0.0.1 && port_add beta/b2 veth b2 10.0.0.2'

# counted_start FROM TO SECONDS: 2000 numbered datagrams a second to 10.0.0.2, in the background. counted_end says
# what became of them in $COUNTED.
counted_start() {
	job_in "$2" counted "$PYTHON" "$TRAFFIC" count 7001
	COUNTER=$!
	wait_until 10 udp_open "$2" 7001 || die "no receiver in $2"
	job_in "$1" sent "$PYTHON" "$TRAFFIC" number 10.0.0.2 7001 "$3" 2000 500
	SENDER=$!
}
counted_end() {
	wait "$COUNTER" "$SENDER"
	COUNTED=$(cat "$LAB_DIR/counted")
}

# What waits for a neighbour to be found may be overtaken by what is sent right after, from another processor.
check "they reach each other" can_ping v1 10.0.0.2

# ---- a port that is sent to comes and goes ----
# No ARP for it: what cannot be answered for would not be sent.
in_ns v1 ip neighbor add 10.0.0.3 lladdr 02:00:00:00:00:03 dev eth0
counted_start v1 t1 3
job_in v1 flood "$PYTHON" "$TRAFFIC" number 10.0.0.3 7009 3 5000 1000
flood=$!
rounds=0
while ! process_gone "$SENDER"; do
	type=$([ $((rounds % 2)) = 0 ] && echo tap || echo veth)
	port_add acme/x1 "$type" x1 10.0.0.3 || fail "cannot make acme/x1 ($type)"
	ctl s port del acme/x1 || fail "cannot delete acme/x1 ($type)"
	rounds=$((rounds + 1))
done
counted_end
check_is "ports came and went: others lost nothing" "sent 6000 received 6000 duplicated 0 reordered 0" "$COUNTED"
check_between "so many times" 5 "$rounds" 1000
wait "$flood"

# ---- a tenant goes, with its traffic ----
job_in b2 b2.taken "$PYTHON" "$TRAFFIC" meter tcp 7000
wait_until 10 port_listens b2 7000 || die "no receiver in b2"
counted_start v1 t1 2
job_in b1 pushed "$PYTHON" "$TRAFFIC" push 10.0.0.2 7000 2
wait_until 10 eval '[ "$(port_counter s beta/b2 tx_packets)" -gt 1000 ]' || fail "beta has no traffic"
check "tenant del --recursive, in the middle of its traffic" ctl s tenant del beta --recursive
check_is "its ports are gone" '["acme/t1","acme/v1"]' "$(ctl s --json port list | jq -c '[.ports[].name] | sort')"
check "and their interfaces" wait_until 10 eval '! ip -n "${LAB_PREFIX}b1" link show eth0 && ! ip -n "${LAB_PREFIX}b2" link show eth0'
counted_end
check_is "acme lost nothing" "sent 4000 received 4000 duplicated 0 reordered 0" "$COUNTED"

# ---- a port moves to another namespace, with all it has ----
for name in t1 v1; do
	far=$([ $name = t1 ] && echo 10.0.0.1 || echo 10.0.0.2)
	here=$([ $name = t1 ] && echo 10.0.0.2 || echo 10.0.0.1)
	check "acme/$name moves" ctl s port set "acme/$name" --netns "${LAB_PREFIX}other"
	check_is "acme/$name: the address is there" "$here" \
		"$(in_ns other ip -json addr show eth0 | jq -r '.[0].addr_info[] | select(.family == "inet").local')"
	check_not "acme/$name: and nothing where it was" ip -n "$LAB_PREFIX$name" link show eth0
	check "acme/$name: ping from there" can_ping other "$far"
	check "acme/$name moves back" ctl s port set "acme/$name" --netns "$LAB_PREFIX$name"
	check "acme/$name: ping" can_ping "$name" "$far"
	check_not "acme/$name: and nothing is left there" ip -n "${LAB_PREFIX}other" link show eth0
done

# ---- what others do to the interfaces ----
# interface_is NAME MAC: the workload of that port has it.
interface_is() {
	[ "$(in_ns "$1" cat /sys/class/net/eth0/address)" = "$2" ]
}
for name in t1 v1; do
	far=$([ $name = t1 ] && echo 10.0.0.1 || echo 10.0.0.2)
	ip -n "$LAB_PREFIX$name" link set eth0 down
	ip -n "$LAB_PREFIX$name" link set eth0 up
	check "$name: down and up again: ping" wait_until 10 can_ping "$name" "$far"
	mac=$(in_ns "$name" cat /sys/class/net/eth0/address)
	ip -n "$LAB_PREFIX$name" link del eth0
	check "$name: deleted by hand: made anew, with its MAC" wait_until 10 interface_is "$name" "$mac"
	check "$name: ping" wait_until 10 can_ping "$name" "$far"
done

# ---- both daemons die in turn under one TCP connection ----
ctl s tenant set acme --send 300mbit
job_in t1 taken "$PYTHON" "$TRAFFIC" take 7000
taker=$!
wait_until 10 port_listens t1 7000 || die "no receiver in t1"
job_in v1 given "$PYTHON" "$TRAFFIC" give 10.0.0.2 7000 48
giver=$!
for kind in datapath control datapath; do
	sleep 0.3
	daemon_kill s $kind KILL
	process_gone "$giver" && fail "the connection ended before the $kind daemon died"
	daemon_start s $kind
	wait_until 10 switch_settled s || fail "the $kind daemon does not come back"
done
wait "$giver"
check_is "a TCP connection outlives them: exit" 0 $?
wait "$taker"
check_is "octet for octet" "$(cat "$LAB_DIR/given")" "$(cat "$LAB_DIR/taken")"
lab_finish
