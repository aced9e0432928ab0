#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Two workers share every port: flows are spread over both, each arrives complete and in order, a rate holds
# over both, and a datapath that comes with another number of workers has just so many queues everywhere.
#
#     t1 10.0.0.1 (tap)  t2 10.0.0.2 (tap)  v1 10.0.0.3 (veth)      t3 10.0.0.4 (tap)  v2 10.0.0.5 (veth)
#        [ switch one in namespace host1, --workers 2 ]        [ switch two in namespace host2, --workers 2 ]
#                        172.31.0.1 ----------- underlay: VNI 5001 ----------- 172.31.0.2
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
TRAFFIC=$TOP/tests/netns/traffic.py

lab_begin "${1:-}"
declare -A ADDRESS=([t1]=10.0.0.1 [t2]=10.0.0.2 [v1]=10.0.0.3 [t3]=10.0.0.4 [v2]=10.0.0.5)
ns_add host1 host2 "${!ADDRESS[@]}"
underlay host1 host2

# both NUMBER PORT...: a switch with these ports.
both() {
	local number=$1 name type
	LAB_WORKERS[s$number]=2
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

# flows FROM TO COUNT: so many numbered datagrams of each of 64 flows must come, in order.
flows() {
	local collector lost
	can_ping "$1" "${ADDRESS[$2]}" >/dev/null || die "$1 does not reach $2"
	job_in "$2" "$2.flows" "$PYTHON" "$TRAFFIC" collect 7001 64
	collector=$!
	wait_until 10 udp_open "$2" 7001 || die "no receiver in $2"
	lost=$(tx_dropped "$1")
	in_ns "$1" "$PYTHON" "$TRAFFIC" spread "${ADDRESS[$2]}" 7001 64 "$3"
	wait "$collector"
	lost=$(($(tx_dropped "$1") - lost))
	[ "$lost" = 0 ] || echo "      the sender's own interface dropped $lost"
	check_is "$1 to $2: every flow is complete and in order" \
		"flows 64 sent $((64 * $3)) received $((64 * $3)) reordered 0" "$(cat "$LAB_DIR/$2.flows")"
}

tx_dropped() {
	in_ns "$1" cat /sys/class/net/eth0/statistics/tx_dropped
}

# by_worker SWITCH PORT COUNTER: one number a worker
by_worker() {
	ctl "$1" --json stats port "$2" | jq -r --arg counter "$3" '.workers | map(.[$counter]) | join(" ")'
}

# least PACKETS NUMBER...: each is so many at least
least() {
	local packets=$1 number
	shift
	[ $# -ge 2 ] || return 1
	for number; do
		[ "$number" -ge "$packets" ] || return 1
	done
}

# taps_have NUMBER PORT...: so many queues of the TAPs are held by anybody
taps_have() {
	local number=$1 name
	shift
	for name; do
		[ "$(ip -n "$LAB_PREFIX$name" -json -d link show eth0 | jq '.[0].linkinfo.info_data.numqueues')" = \
			"$number" ] || return 1
	done
}

vtep_has() {
	[ "$(in_ns "$1" ss -Hlun "sport = :4789" | wc -l)" = "$2" ]
}

# queues_are NUMBER: of switch one, as far as it can be seen
queues_are() {
	taps_have "$1" t1 t2 && vtep_has host1 "$1"
}

both 1 t1 t2 v1
both 2 t3 v2
check "TAPs have two queues, and the VTEP two sockets that receive" queues_are 2

# ---- many flows, in order, over both workers ----
for pair in "t1 t2" "t1 v1" "v1 t2" "t1 t3" "v2 v1"; do
	read -r from to <<<"$pair"
	flows "$from" "$to" 60
done
# 64 flows that fall on two workers by chance: fewer than 5 of them on one is one case in 10^12.
for port in t1 v1; do
	read -r -a numbers <<<"$(by_worker s1 "acme/$port" rx_packets)"
	check "both workers received from $port (${numbers[*]})" least 300 "${numbers[@]}"
done
read -r -a numbers <<<"$(by_worker s1 acme/t2 tx_packets)"
check "both workers sent to t2 (${numbers[*]})" least 300 "${numbers[@]}"

# The overlay has eight source ports a peer, which all fall on one socket of the other side in one case of 128:
# then it gets others.
tries=0
until read -r -a numbers <<<"$(by_worker s2 vtep rx_packets)"; least 300 "${numbers[@]}"; do
	[ $((tries += 1)) -le 3 ] || break
	ctl s1 vtep del && ctl s1 vtep set --local 172.31.0.1
	flows t1 t3 60
done
check "both workers received from the overlay (${numbers[*]})" least 300 "${numbers[@]}"
check_is "nothing was dropped" 0 "$({ ctl s1 --json drops; ctl s2 --json drops; } |
	jq -s '[.[].drops[] | select(.reason != "unknown-vni" and .reason != "restart") | .packets] | add // 0')"

# ---- a tenant's rate is one over both workers ----
ctl s1 tenant set acme --send 200mbit
iperf_server t2
# The kernel spreads streams over the queues by their ports, which are chosen by chance: all but two of 32 at one worker is
# one case in four million.
job_in t1 t1.iperf3 iperf3 --client "${ADDRESS[t2]}" --parallel 32 --time 20
sent_both() {
	local -a now
	read -r -a now <<<"$(by_worker s1 acme/t1 rx_packets)"
	[ "${now[0]}" -gt $((before[0] + 100)) ] && [ "${now[1]}" -gt $((before[1] + 100)) ]
}
read -r -a before <<<"$(by_worker s1 acme/t1 rx_packets)"
check "32 streams go over both workers" wait_until 10 sent_both
# look: the tenant's octets, and the time in the middle of asking
look() {
	local asked=$EPOCHREALTIME octets
	octets=$(tenant_counter s1 acme send_bytes)
	awk "BEGIN { printf \"%d %.6f\", $octets, ($asked + $EPOCHREALTIME) / 2 }"
}
first=$(look)
sleep 2
check_between "and get 200 Mbit/s together, as far as the machine lets them" 180 "$(awk -v first="$first" -v second="$(look)" 'BEGIN {
	split(first, a); split(second, b); print (b[1] - a[1]) * 8 / (b[2] - a[2]) / 1000000 }')" 204
end_process "${LAB_JOBS[-1]}"
ctl s1 tenant set acme --send none

# ---- another number of workers, under traffic ----
# transfer_begin FROM TO: in the background, slowly
transfer_begin() {
	ctl s1 tenant set acme --send 300mbit --receive 300mbit
	job_in "$2" taken "$PYTHON" "$TRAFFIC" take 7000
	TAKER=$!
	wait_until 10 port_listens "$2" 7000 || die "no receiver in $2"
	job_in "$1" given "$PYTHON" "$TRAFFIC" give "${ADDRESS[$2]}" 7000 128
	GIVER=$!
}
transfer_end() {
	wait "$GIVER" "$TAKER"
	check_is "$1: TCP went on, octet for octet" "$(cat "$LAB_DIR/given")" "$(cat "$LAB_DIR/taken")"
}

transfer_begin t1 t3
for workers in 1 3; do
	daemon_kill s1 datapath KILL
	LAB_WORKERS[s1]=$workers
	daemon_start s1 datapath
	check "a datapath with $workers workers: settled" wait_until 10 switch_settled s1
	check "queues that nobody reads are gone" wait_until 10 queues_are "$workers"
done
transfer_end "t1 to t3"
ctl s1 tenant set acme --send none --receive none
for pair in "t1 t2" "v1 t1" "t3 v1"; do
	read -r from to <<<"$pair"
	flows "$from" "$to" 30
done

# ---- the other daemon, and both ----
daemon_kill s1 control KILL
daemon_start s1 control
check "the control daemon returned to three workers" wait_until 10 switch_settled s1
check "it has all queues back" queues_are 3
flows v1 t2 30
daemon_kill s1 control KILL
daemon_kill s1 datapath KILL
LAB_WORKERS[s1]=2
daemon_start s1 datapath
daemon_start s1 control
check "both returned, with two workers" wait_until 10 switch_settled s1
check "with two queues" wait_until 10 queues_are 2
flows t1 v2 30
lab_finish
