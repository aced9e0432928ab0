#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Workloads that tunnel by themselves: their kernels cut the tunnel's super-packets before a port that could not
# say what they are, so that TCP goes through octet for octet and nothing is refused.
#
#        ( 10.41.0, 10.42.0 ) ( 10.43.0, 10.44.0 )     vxlan, with and without an outer checksum
#     t1 10.0.0.1   v1 10.0.0.2   v2 10.0.0.3
#        tap |        veth |        veth |
#            [ switch s: tenant acme, segment web ]
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
HERE=$TOP/tests/netns

declare -A ADDRESS=([t1]=10.0.0.1 [v1]=10.0.0.2 [v2]=10.0.0.3)

lab_begin "${1:-}"
ns_add "${!ADDRESS[@]}"
switch_start s
check "tenant and segment" eval 'ctl s tenant add acme && ctl s segment add acme/web'
for name in t1 v1 v2; do
	type=tap
	[ "${name%?}" = t ] || type=veth
	check "port acme/$name ($type)" ctl s port add "acme/$name" --type $type --segment web --ifname eth0 \
		--netns "$LAB_PREFIX$name" --ip "${ADDRESS[$name]}/24"
done

# tunnel FROM TO NUMBER OPTION: between two workloads; 10.NUMBER.0.1 and .2 are inside.
tunnel() {
	local end other address=1
	for end in "$1 $2" "$2 $1"; do
		read -r end other <<<"$end"
		in_ns "$end" ip link add "tunnel$3" type vxlan id "$3" dstport 4789 "$4" \
			local "${ADDRESS[$end]}" remote "${ADDRESS[$other]}" dev eth0 || return
		in_ns "$end" ip address add "10.$3.0.$address/24" dev "tunnel$3" || return
		in_ns "$end" ip link set "tunnel$3" up || return
		address=2
	done
}

# transfer FROM TO ADDRESS: the receiver's digest is the sender's.
transfer() {
	local taker sent
	job_in "$2" taken "$PYTHON" "$HERE/traffic.py" take 7000
	taker=$!
	wait_until 10 port_listens "$2" 7000 || return
	sent=$(in_ns "$1" "$PYTHON" "$HERE/traffic.py" give "$3" 7000 16) || return
	wait "$taker" || return
	[ "$sent" = "$(cat "$LAB_DIR/taken")" ]
}

number=40
for pair in "t1 v1" "v1 v2"; do
	read -r from to <<<"$pair"
	for option in udpcsum noudpcsum; do
		number=$((number + 1))
		check "$from and $to: a vxlan with $option" tunnel "$from" "$to" $number $option
		check "$from to $to: ping through it" can_ping "$from" 10.$number.0.2
		check "$from to $to: 16 MiB by TCP through it" transfer "$from" "$to" 10.$number.0.2
		check "$to to $from: 16 MiB by TCP through it" transfer "$to" "$from" 10.$number.0.1
	done
done
for name in t1 v1 v2; do
	check_is "acme/$name: nothing is refused" 0 "$(drop_counter s "acme/$name" bad-offload)"
done
lab_finish
