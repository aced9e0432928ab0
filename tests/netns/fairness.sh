#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A port that floods keeps nobody else waiting: requests and responses between other ports all arrive, soon, and
# are dropped nowhere, whatever the flood is made of.
#
#     work: t1 … t16 (tap), v1 … v16 (veth)      [ switch s ] 172.31.0.1 --- peer 172.31.0.2, a socket
#     t1 floods t2, or v1 v2, or the peer t2; between the others, two by two, 200 requests and responses a second
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add host wild work
underlay host wild
switch_start s host
{
	printf 'version: 1\nvtep: { local: 172.31.0.1 }\n'
	printf 'tenants: { acme: { segments: { web: { vni: 5001, peers: [172.31.0.2], ports: {\n'
	for number in $(seq 16); do
		printf '  t%d: { type: tap, ifname: t%d, netns: %s, mac: "02:00:00:00:01:%02x" },\n' \
			"$number" "$number" "${LAB_PREFIX}work" "$number"
		printf '  v%d: { type: veth, ifname: v%d, netns: %s, mac: "02:00:00:00:02:%02x" },\n' \
			"$number" "$number" "${LAB_PREFIX}work" "$number"
	done
	printf '} } } } }\n'
} >"$LAB_DIR/s.yaml"
check "apply 32 ports" ctl s --wait 20 apply "$LAB_DIR/s.yaml"
check "and all are up" wait_until 20 switch_settled s

# others: what was received from the ports of pairs, and dropped.
others() {
	ctl s --json stats | jq -r '[.ports[] | select(.name | test("/[tv]([3-9]|1[0-6])$")) |
		[.rx_packets, (.drops | add // 0)]] | transpose | map(add) | join(" ")'
}
vtep_or_port() {
	port_counter s "$([ "$1" = peer ] && echo vtep || echo "acme/$1")" rx_packets
}

# Bounds are for starvation, since the processor is shared: here are 0.1 ms without a flood, and 0.3 to 1.5 with.
asked=0
for flood in "none 0" "t1 60" "t1 60000" "v1 60" "v1 60000" "peer 60"; do
	read -r source size <<<"$flood"
	"$PYTHON" -B "$TOP/tests/netns/fairness.py" "$LAB_PREFIX" 2 "$source" "$size" >"$LAB_DIR/seen" ||
		fail "fairness.py"
	read -r requests responses median percentile most <"$LAB_DIR/seen"
	[ "$source" = none ] ||
		check_between "$source floods with $size octets: frames" 5000 "$(vtep_or_port "$source")" 100000000
	check_is "$source $size: every request has its response" "$requests" "$responses"
	check_between "$source $size: median of round trips, microseconds" 1 "$median" 100000
	check_between "$source $size: 99 of 100 within microseconds (most: $most)" 1 "$percentile" 300000
	asked=$((asked + requests))
	check_is "$source $size: the switch had them all, and dropped none" "$((2 * asked)) 0" "$(others)"
done
lab_finish
