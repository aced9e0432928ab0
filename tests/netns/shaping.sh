#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Ceilings hold, per tenant and per port, in both directions, side by side, and change under traffic without
# losing a packet to the change.
#
#     a1 10.0.0.1 (tap)  a2 10.0.0.2 (veth)          b1 10.0.0.1 (veth)  b2 10.0.0.2 (tap)
#        [ tenant acme, segment web ]                   [ tenant beta, segment web ]        switch s
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
TRAFFIC=$TOP/tests/netns/traffic.py

# TCP payload in a frame of 1514 octets, which is what a ceiling counts.
GOODPUT=$(awk 'BEGIN { print 1448 / 1514 }')

lab_begin "${1:-}"
ns_add a1 a2 b1 b2
switch_start s
for tenant in acme beta; do
	ctl s tenant add $tenant
	ctl s segment add $tenant/web --mtu 1500
done
for port in acme/a1:tap:1 acme/a2:veth:2 beta/b1:veth:1 beta/b2:tap:2; do
	IFS=: read -r name type host <<<"$port"
	check "port $name" ctl s port add "$name" --type "$type" --segment web --ifname eth0 \
		--netns "$LAB_PREFIX${name#*/}" --ip "10.0.0.$host/24"
done
iperf_server a2
iperf_server b2

# tcp NAME SECONDS: from NAME to 10.0.0.2; Mbit/s of payload, start-up left out.
tcp() {
	in_ns "$1" iperf3 --client 10.0.0.2 --time "$2" --omit 1 --json | jq -r '.end.sum_received.bits_per_second / 1e6'
}

# check_rate TEXT RATE SEEN: within 3 % of what a ceiling of RATE Mbit/s leaves for payload.
check_rate() {
	check_between "$1, Mbit/s" "$(awk "BEGIN { print $2 * $GOODPUT * 0.97 }")" "$3" \
		"$(awk "BEGIN { print $2 * $GOODPUT * 1.03 }")"
}

# with_ceiling TEXT RATE OBJECT NAME OPTION: measures acme under it, and takes it off again.
with_ceiling() {
	ctl s "$3" set "$4" "$5" "$2mbit" || fail "$1: cannot set"
	check_rate "$1" "$2" "$(tcp a1 2)"
	ctl s "$3" set "$4" "$5" none || fail "$1: cannot take off"
}

with_ceiling "tenant, send 20mbit" 20 tenant acme --send
with_ceiling "tenant, send 500mbit" 500 tenant acme --send
with_ceiling "tenant, receive 50mbit" 50 tenant acme --receive
with_ceiling "port, send 30mbit" 30 port acme/a1 --send
with_ceiling "port, receive 70mbit" 70 port acme/a2 --receive

# ---- two tenants, each at its own ceiling ----
ctl s tenant set acme --send 100mbit
ctl s tenant set beta --send 30mbit
tcp b1 3 >"$LAB_DIR/beta" &
acme=$(tcp a1 3)
wait $!
check_rate "acme at 100mbit beside beta" 100 "$acme"
check_rate "beta at 30mbit beside acme" 30 "$(cat "$LAB_DIR/beta")"

# ---- the tighter of two ceilings holds ----
ctl s port set acme/a1 --send 40mbit
check_rate "port 40mbit within tenant 100mbit" 40 "$(tcp a1 2)"
ctl s port set acme/a1 --send none

# ---- a live change is seen at once ----
job_in a1 live.json iperf3 --client 10.0.0.2 --time 5 --omit 1 --interval 1 --json
client=$!
sleep 3.5
ctl s tenant set acme --send 50mbit
wait "$client"
second() {
	jq -r --argjson second "$1" \
		'[.intervals[] | select(.sum.omitted | not)][$second].sum.bits_per_second / 1e6' "$LAB_DIR/live.json"
}
check_rate "live change: the second before it" 100 "$(second 1)"
check_rate "live change: the last second" 50 "$(second 4)"

# ---- and loses nothing ----
# Bursts of 20 datagrams of 1400 octets, 2000 a second (23 Mbit/s): at every change some are queued.
job_in a2 counted "$PYTHON" "$TRAFFIC" count 7001
counter=$!
wait_until 5 udp_open a2 7001 || die "no receiver"
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
wait "$counter"
check_between "changes made under traffic" 10 "$changes" 100000
check_is "no datagram was lost to a change" "sent 8000 received 8000 duplicated 0 reordered 0" "$(cat "$LAB_DIR/counted")"

# ---- the queue is bounded in time, and drops say why ----
ctl s tenant set acme --send 10mbit --receive none
ctl s port set acme/a1 --send none
job_in a2 counted "$PYTHON" "$TRAFFIC" count 7001
counter=$!
wait_until 5 udp_open a2 7001 || die "no receiver"
before=$(drop_counter s acme/a1 tenant-send-queue)
job_in a1 sent "$PYTHON" "$TRAFFIC" number 10.0.0.2 7001 1.5 3000 1400 10
in_ns a1 ping -n -c 10 -i 0.1 -W 2 10.0.0.2 >"$LAB_DIR/ping"
wait "$counter"
check_between "round trip behind a full queue, ms at most" 0 \
	"$(sed -n 's/.*time=\([0-9.]*\).*/\1/p' "$LAB_DIR/ping" | sort -n | tail -n 1)" 70
read -r _ sent _ received _ <"$LAB_DIR/counted"
dropped=$(($(drop_counter s acme/a1 tenant-send-queue) - before))
check_between "datagrams that are missing, less the drops that are counted" -10 $((sent - received - dropped)) 10
check_between "drops at the ceiling" 1 "$dropped" 100000
lab_finish
