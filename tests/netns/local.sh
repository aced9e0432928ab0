#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Ports of every type reach each other with the defaults: ping, TCP without ethtool, UDP, octet for octet.
#
#     t1 10.0.0.1   t2 10.0.0.2   v1 10.0.0.3   v2 10.0.0.4
#        tap |         tap |        veth |        veth |
#            [ switch s: tenant acme, segment web ]
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
HERE=$TOP/tests/netns

declare -A ADDRESS=([t1]=10.0.0.1 [t2]=10.0.0.2 [v1]=10.0.0.3 [v2]=10.0.0.4)
PAIRS=("t1 t2" "t2 t1" "v1 v2" "v2 v1" "t1 v1" "v1 t1")

lab_begin "${1:-}"
ns_add "${!ADDRESS[@]}"
switch_start s
check "tenant and segment" eval 'ctl s tenant add acme && ctl s segment add acme/web'
for name in t1 t2 v1 v2; do
	type=tap
	[ "${name%?}" = t ] || type=veth
	check "port acme/$name ($type)" ctl s port add "acme/$name" --type $type --segment web --ifname eth0 \
		--netns "$LAB_PREFIX$name" --ip "${ADDRESS[$name]}/24"
done

# transfer FROM TO MEGABYTES: the receiver's digest is the sender's.
transfer() {
	local taker sent
	job_in "$2" taken "$PYTHON" "$HERE/traffic.py" take 7000
	taker=$!
	wait_until 10 port_listens "$2" 7000 || return
	sent=$(in_ns "$1" "$PYTHON" "$HERE/traffic.py" give "${ADDRESS[$2]}" 7000 "$3") || return
	wait "$taker" || return
	[ "$sent" = "$(cat "$LAB_DIR/taken")" ]
}

# datagrams FROM TO SIZE: 500 of them, slowly enough for any machine, and none may be missing.
datagrams() {
	local counter
	job_in "$2" counted "$PYTHON" "$HERE/traffic.py" count 7001
	counter=$!
	wait_until 10 udp_open "$2" 7001 || return
	in_ns "$1" "$PYTHON" "$HERE/traffic.py" number "${ADDRESS[$2]}" 7001 0.25 2000 "$3" >/dev/null || return
	wait "$counter" || return
	cat "$LAB_DIR/counted"
}

for pair in "${PAIRS[@]}"; do
	read -r from to <<<"$pair"
	check "$from to $to: ping" can_ping "$from" "${ADDRESS[$to]}"
	check "$from to $to: large ping, in fragments" \
		in_ns "$from" ping -q -n -i 0.05 -c 3 -w 3 -s 20000 "${ADDRESS[$to]}"
	check "$from to $to: 64 MiB by TCP, octet for octet" transfer "$from" "$to" 64
	for size in 100 1472 9000; do
		check_is "$from to $to: 500 datagrams of $size octets" \
			"sent 500 received 500 duplicated 0 reordered 0" "$(datagrams "$from" "$to" "$size")"
	done
done

# Nobody had to switch anything off.
for name in t1 v1; do
	iperf_server "$name"
	other=$([ $name = t1 ] && echo v2 || echo t2)
	in_ns "$other" iperf3 --client "${ADDRESS[$name]}" --time 1 --json >"$LAB_DIR/$name.json"
	check_between "$other to $name: TCP, Mbit/s" 100 \
		"$(jq -r '.end.sum_received.bits_per_second / 1e6 | floor' "$LAB_DIR/$name.json")" 1000000
done
lab_finish
