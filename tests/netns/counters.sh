#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Counters are exact, and add up: for every port, what came in and the copies of it = what went out
# somewhere + drops with reasons + what is queued.
#
#     p1 (tap)   p2 (veth)   p3 (tap)
#     [ switch s: tenant acme, segment web ]
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
HERE=$TOP/tests/netns

lab_begin "${1:-}"
ns_add p1 p2 p3
switch_start s
ctl s tenant add acme
ctl s segment add acme/web
for port in p1:tap:1 p2:veth:2 p3:tap:3; do
	IFS=: read -r name type number <<<"$port"
	check "port acme/$name" ctl s port add "acme/$name" --type "$type" --segment web --ifname eth0 \
		--netns "$LAB_PREFIX$name" --mac "02:00:00:00:00:0$number" --ip "10.0.0.$number/24"
done

inject() {
	"$PYTHON" -B "$HERE/wire.py" send "$LAB_PREFIX$1" "$2" "$3" "$4" "$5"
}

# counters PORT: "rx_packets rx_bytes tx_packets tx_bytes"
counters() {
	local name
	for name in rx_packets rx_bytes tx_packets tx_bytes; do
		printf '%s ' "$(port_counter s "acme/$1" $name)"
	done
}
counted() {
	[ "$(counters "$1")" = "$2" ]
}
# expect PORT COUNTERS: the datapath counts when it forwards; wait for that, then compare.
expect() {
	wait_until 10 counted "$1" "$2 "
	check_is "acme/$1: rx_packets rx_bytes tx_packets tx_bytes" "$2 " "$(counters "$1")"
}

# The kernel may have spoken on a port when it came up; count from here.
for name in p1 p2 p3; do
	check_is "acme/$name is silent until a test speaks" "0 0 0 0 " "$(counters $name)"
done

# 50 broadcasts of 100 octets from p1, 30 unicasts of 200 from p2 to p1's (now known) address, 7 with a bad
# source from p3.
inject p1 50 ff:ff:ff:ff:ff:ff 02:00:00:00:00:01 100 || fail inject
expect p1 "50 5000 0 0"
expect p2 "0 0 50 5000"
expect p3 "0 0 50 5000"
inject p2 30 02:00:00:00:00:01 02:00:00:00:00:02 200 || fail inject
expect p1 "50 5000 30 6000"
expect p2 "30 6000 50 5000"
expect p3 "0 0 50 5000"
inject p3 7 ff:ff:ff:ff:ff:ff 01:00:5e:00:00:01 64 || fail inject
expect p3 "7 448 50 5000"
expect p1 "50 5000 30 6000"
check_is "drops at acme/p3 for source-mac" 7 "$(drop_counter s acme/p3 source-mac)"

check_is "tenant: send_packets send_bytes receive_packets receive_bytes" "80 11000 130 16000" \
	"$(for name in send_packets send_bytes receive_packets receive_bytes; do
		tenant_counter s acme $name; done | paste -sd ' ')"

# sums: for every port, that the sum is right.
sums() {
	ctl s --json stats port | jq -e '
		[.. | objects | select(has("rx_packets") and has("copies"))] | length >= 3 and all(
			.rx_packets + .copies == .forwarded + ((.drops // {}) | add // 0) + .queued)'
}
check "the counters of every port add up" sums

# The same under real traffic with super-packets and a ceiling that drops, once it is over.
ctl s tenant set acme --send 100mbit
iperf_server p2
in_ns p1 iperf3 --client 10.0.0.2 --time 1 >/dev/null || fail "iperf3"
in_ns p1 iperf3 --client 10.0.0.2 --time 1 --udp --bitrate 200M >/dev/null || fail "iperf3 --udp"
check "they add up after TCP and UDP at a ceiling" wait_until 10 sums
check_between "the ceiling dropped" 1 "$(drop_counter s acme/p1 tenant-send-queue)" 10000000

# What went out of one port is what the kernel says that its other end received. It counts a super-packet's
# headers once and the switch those of every frame in it, so the sender makes none here.
in_ns p1 ethtool -K eth0 tso off gso off >/dev/null || fail "ethtool"
received() {
	echo "$(in_ns p2 cat /sys/class/net/eth0/statistics/rx_packets /sys/class/net/eth0/statistics/rx_bytes |
		paste -sd ' ') $(port_counter s acme/p2 tx_packets) $(port_counter s acme/p2 tx_bytes)"
}
read -r frames octets tx_packets tx_bytes < <(received)
job_in p2 taken "$PYTHON" "$HERE/traffic.py" take 7000
taker=$!
wait_until 10 port_listens p2 7000 || die "no receiver"
in_ns p1 "$PYTHON" "$HERE/traffic.py" give 10.0.0.2 7000 4 >/dev/null || fail "traffic.py"
wait "$taker"
# Nothing is on its way any more when two looks are the same.
settled() {
	local first
	first=$(received)
	[ "$first" = "$(received)" ]
}
wait_until 10 settled || fail "the counters do not settle"
read -r frames_now octets_now tx_packets_now tx_bytes_now < <(received)
check_between "frames of 4 MiB by TCP" 2897 $((frames_now - frames)) 20000
check_is "frames and octets out of acme/p2 are what its interface received" \
	"$((frames_now - frames)) $((octets_now - octets))" \
	"$((tx_packets_now - tx_packets)) $((tx_bytes_now - tx_bytes))"
lab_finish
