#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Ceilings hold, per tenant and per port, in both directions, side by side, and change under traffic without
# losing a packet to the change; guarantees hold, and what they leave goes by weight.
#
#     a1 10.0.0.1 (tap)  a2 10.0.0.2 (veth)     b1 10.0.0.1 (veth)  b2 10.0.0.2 (tap)     c1 (veth)  c2 (tap)
#        [ tenant acme, segment web ]              [ tenant beta, segment web ]            [ tenant core ]  switch s
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
TRAFFIC=$TOP/tests/netns/traffic.py

# A ceiling counts octets of Ethernet frames: datagrams of 1400 octets are in frames of 1442, TCP's payload of
# 1448 is in frames of 1514.
UDP_SIZE=1400 UDP_SHARE=0.97087 TCP_SHARE=0.95641

lab_begin "${1:-}"
ns_add a1 a2 b1 b2 c1 c2
switch_start s
for tenant in acme beta core; do
	ctl s tenant add $tenant
	ctl s segment add $tenant/web --mtu 1500
done
for port in acme/a1:tap:1 acme/a2:veth:2 beta/b1:veth:1 beta/b2:tap:2 core/c1:veth:1 core/c2:tap:2; do
	IFS=: read -r name type host <<<"$port"
	check "port $name" ctl s port add "$name" --type "$type" --segment web --ifname eth0 \
		--netns "$LAB_PREFIX${name#*/}" --ip "10.0.0.$host/24"
done
# offer NAME RECEIVER MBIT: half more than MBIT in the background, of UDP; what comes is measured in
# $LAB_DIR/RECEIVER.udp, once offer_end RECEIVER... has ended the senders and waited for what still comes.
declare -A METER=() SENDER=()
offer() {
	local before
	before=$(received "$2")
	job_in "$2" "$2.udp" "$PYTHON" "$TRAFFIC" meter udp 7001
	METER[$2]=$!
	wait_until 10 udp_open "$2" 7001 || die "no receiver in $2"
	job_in "$1" "$1.sent" "$PYTHON" "$TRAFFIC" number 10.0.0.2 7001 60 $(($3 * 130)) $UDP_SIZE 5
	SENDER[$2]=$!
	wait_until 10 more_received "$2" $((before + 50000)) || die "nothing comes to $2"
}
received() {
	in_ns "$1" cat /sys/class/net/eth0/statistics/rx_bytes
}
more_received() {
	[ "$(received "$1")" -gt "$2" ]
}
offer_end() {
	local name
	for name in "$@"; do
		kill "${SENDER[$name]}"
	done
	for name in "$@"; do
		wait "${METER[$name]}" "${SENDER[$name]}"
	done
}

# rate FILE SHARE [FROM TO]: Mbit/s of frames, of which SHARE is payload, between two times; without them, but for
# the first quarter of a second. The median of tenths of a second, so that a source that had to wait for the
# processor is not held against the switch; or the mean, if that is more.
rate() {
	awk -v share="$2" -v from="${3:-0}" -v to="${4:-1e12}" '
		NR == 1 && !from { from = $1 + 0.25 }
		$1 < from || $1 > to { next }
		!start { start = last = $1; first = before = $2 }
		{ end = $1; after = $2 }
		end - last >= 0.1 { print (after - before) * 8e-6 / (end - last) / share; last = end; before = after }
		END { printf "mean %.3f\n", (end > start ? (after - first) * 8e-6 / (end - start) / share : 0) }' "$LAB_DIR/$1" |
		sort -n | awk '$1 == "mean" { mean = $2; next } { tenth[++count] = $1 }
			END { median = tenth[int((count + 1) / 2)]; printf "%.3f", (median > mean ? median : mean) }'
}

# later TIME SECONDS
later() {
	awk "BEGIN { printf \"%.6f\", $1 + $2 }"
}

# check_rate TEXT RATE SEEN: within 2 % below a ceiling of RATE Mbit/s, and 1 % above it.
check_rate() {
	check_between "$1, Mbit/s" "$(awk "BEGIN { print $2 * 0.98 }")" "$3" "$(awk "BEGIN { print $2 * 1.01 }")"
}

# with_ceiling TEXT RATE OBJECT NAME OPTION: measures acme's UDP under it, and takes it off again.
with_ceiling() {
	ctl s "$3" set "$4" "$5" "$2mbit" || fail "$1: cannot set"
	offer a1 a2 "$2"
	sleep 1
	offer_end a2
	check_rate "UDP, $1" "$2" "$(rate a2.udp $UDP_SHARE)"
	ctl s "$3" set "$4" "$5" none || fail "$1: cannot take off"
}

with_ceiling "tenant, send 20mbit" 20 tenant acme --send
with_ceiling "tenant, receive 50mbit" 50 tenant acme --receive
with_ceiling "port, send 30mbit" 30 port acme/a1 --send
with_ceiling "port, receive 70mbit" 70 port acme/a2 --receive

# tcp_with_ceiling TEXT RATE OBJECT NAME OPTION: TCP cannot lose more than a few per cent under it. Acknowledgements
# are what the tenant sends, too.
tcp_with_ceiling() {
	local meter
	ctl s "$3" set "$4" "$5" "$2mbit" || fail "$1: cannot set"
	job_in a2 a2.tcp "$PYTHON" "$TRAFFIC" meter tcp 7002
	meter=$!
	wait_until 10 port_listens a2 7002 || die "no receiver in a2"
	in_ns a1 "$PYTHON" "$TRAFFIC" push 10.0.0.2 7002 1.5
	wait "$meter"
	check_between "TCP, $1, Mbit/s" "$(awk "BEGIN { print $2 * 0.92 }")" "$(rate a2.tcp $TCP_SHARE)" \
		"$(awk "BEGIN { print $2 * 1.02 }")"
	ctl s "$3" set "$4" "$5" none || fail "$1: cannot take off"
}
tcp_with_ceiling "tenant, send 20mbit" 20 tenant acme --send
tcp_with_ceiling "tenant, send 500mbit" 500 tenant acme --send
tcp_with_ceiling "port, receive 100mbit" 100 port acme/a2 --receive

# ---- two tenants, each at its own ceiling; the tighter of two ceilings holds; a change is seen at once ----
ctl s tenant set acme --send 100mbit
ctl s tenant set beta --send 30mbit
offer a1 a2 100
offer b1 b2 30
sleep 1
halving=$EPOCHREALTIME
ctl s tenant set acme --send 50mbit
halved=$EPOCHREALTIME
sleep 1
tightening=$EPOCHREALTIME
ctl s port set acme/a1 --send 20mbit
tightened=$EPOCHREALTIME
sleep 1
offer_end a2 b2
check_rate "acme at 100mbit beside beta" 100 "$(rate a2.udp $UDP_SHARE 0 "$halving")"
# vswitchctl returns when a change is in effect. What waited at the former rate, 100 ms of it, takes as much longer as
# the rate is less.
check_rate "acme halved under traffic" 50 "$(rate a2.udp $UDP_SHARE "$(later "$halved" 0.25)" "$tightening")"
check_rate "a port at 20mbit in a tenant at 50mbit" 20 "$(rate a2.udp $UDP_SHARE "$(later "$tightened" 0.15)")"
check_rate "beta at 30mbit beside acme, all the while" 30 "$(rate b2.udp $UDP_SHARE)"
ctl s port set acme/a1 --send none

# ---- and loses nothing ----
# Bursts of 20 datagrams of 1400 octets, 2000 a second (23 Mbit/s): at every change some are queued.
job_in a2 counted "$PYTHON" "$TRAFFIC" count 7001
counter=$!
wait_until 10 udp_open a2 7001 || die "no receiver"
job_in a1 sent "$PYTHON" "$TRAFFIC" number 10.0.0.2 7001 4 2000 1400 20
sender=$!
changes=0
while ! process_gone "$sender" && [ "$changes" -lt 200 ]; do
	for rate in 40mbit 2gbit none 60mbit; do
		ctl s tenant set acme --send $rate --receive $rate || fail "cannot set $rate"
		ctl s port set acme/a1 --send $rate || fail "cannot set $rate"
		changes=$((changes + 2))
	done
	sleep 0.05
done
wait "$counter" "$sender"
check_between "changes made under traffic" 10 "$changes" 100000
check_is "no datagram was lost to a change" "sent 8000 received 8000 duplicated 0 reordered 0" "$(cat "$LAB_DIR/counted")"

# ---- the queue is bounded in time, and drops say why ----
ctl s tenant set acme --send 10mbit --receive none
ctl s port set acme/a1 --send none
job_in a2 counted "$PYTHON" "$TRAFFIC" count 7001
counter=$!
wait_until 10 udp_open a2 7001 || die "no receiver"
# Those that found no room, and those that waited too long.
queue_drops() {
	echo $(($(drop_counter s acme/a1 tenant-send-queue) + $(drop_counter s acme/a1 queue-delay)))
}
before=$(queue_drops)
job_in a1 sent "$PYTHON" "$TRAFFIC" number 10.0.0.2 7001 1.5 3000 1400 10
sender=$!
in_ns a1 ping -n -c 10 -i 0.1 -W 2 10.0.0.2 >"$LAB_DIR/ping" &
client=$!
longest=0
for _ in {1..10}; do
	sleep 0.05
	queued=$(port_counter s acme/a1 queued)
	[ "$queued" -le "$longest" ] || longest=$queued
done
wait "$client" "$counter" "$sender"
# 100 ms at 10 Mbit/s are 86 frames of 1442 octets; one may come on top, and pings, which are smaller, be among them.
check_between "the longest queue, frames" 60 "$longest" 93
# Question and answer do not wait behind the bulk, but for the frame that is under way. The median, since this machine
# has other work.
check_between "round trip beside a full queue, ms" 0 \
	"$(sed -n 's/.*time=\([0-9.]*\).*/\1/p' "$LAB_DIR/ping" | sort -n | awk '{ time[NR] = $1 } END { print time[int((NR + 1) / 2)] }')" 10
read -r _ sent _ received _ <"$LAB_DIR/counted"
dropped=$(($(queue_drops) - before))
# Pings, and the marks of the end, of which there are 20, may be among the drops.
check_between "drops that are counted, less the datagrams that are missing" 0 $((dropped - sent + received)) 30
check_between "drops at the ceiling" 1 "$dropped" 100000
# What a tenant's statistics say adds up, once nothing waits.
statistics_add_up() {
	ctl s --json stats tenant acme | jq -e '[.. | objects | select(has("offered_packets"))]
		| any(.dropped_packets > 0) and all(.queued_packets == 0 and
			.offered_packets == .passed_packets + .dropped_packets and .offered_bytes == .passed_bytes + .dropped_bytes)'
}
check "acme's statistics add up" wait_until 10 statistics_add_up

# ---- guarantees ----
check_not "a guarantee without a capacity is refused" ctl s tenant set acme --send-min 10mbit
check "a host that has 60mbit to divide" ctl s host set --send-capacity 60mbit
ctl s tenant set acme --send none
check "acme is guaranteed 10mbit" ctl s tenant set acme --send none --send-min 10mbit --weight 3
check "beta 20mbit" ctl s tenant set beta --send none --send-min 20mbit
check_not "more than there is, is refused" ctl s tenant set core --send-min 31mbit
check "core 30mbit" ctl s tenant set core --send-min 30mbit
offer a1 a2 50
offer b1 b2 50
offer c1 c2 50
all=$EPOCHREALTIME
sleep 1.8
leaving=$EPOCHREALTIME
offer_end b2
left=$EPOCHREALTIME
sleep 1.3
ending=$EPOCHREALTIME
offer_end a2 c2
# What another's source was too slow to use goes to the others: more than its part each may have.
# part TEXT RATE RECEIVER FROM TO
part() {
	check_between "$1, Mbit/s" "$(awk "BEGIN { print $2 * 0.98 }")" \
		"$(rate "$3.udp" $UDP_SHARE "$(later "$4" 0.3)" "$5")" "$(awk "BEGIN { print $2 * 1.1 }")"
}
part "acme's guarantee" 10 a2 "$all" "$leaving"
part "beta's guarantee" 20 b2 "$all" "$leaving"
part "core's guarantee" 30 c2 "$all" "$leaving"
# Without beta its 20mbit go by weights of 3 and 1.
part "acme's guarantee and part" 25 a2 "$left" "$ending"
part "core's guarantee and part" 35 c2 "$left" "$ending"
lab_finish
