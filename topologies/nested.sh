# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Workloads that run a kernel's vxlan device of their own, inside a segment that is itself an overlay. Sourced by run.
#
#   pod 192.168.9.1                                              pod 192.168.9.2      vx0, MTU 1400
#      one (10.0.0.1)  tap                                 veth  two (10.0.0.2)       eth0, MTU 1450
#                        \                                 /
#                    [ switch host-a ]        [ switch host-b ]
#                       172.31.0.1 --- VNI 5001 --- 172.31.0.2

# shellcheck source=tests/lib.sh
declare -F lab_begin >/dev/null || . tests/lib.sh

topology_make() {
	local host
	ns_add host-a host-b one two
	underlay host-a host-b
	for host in host-a host-b; do
		switch_start "$host" "$host"
		ctl "$host" apply "$TOP/topologies/nested.$host.yaml" || die "cannot apply nested.$host.yaml"
		wait_until 10 switch_settled "$host" || die "$host did not settle: $(ctl "$host" status)"
	done
	nested_device one 10.0.0.1 10.0.0.2 192.168.9.1
	nested_device two 10.0.0.2 10.0.0.1 192.168.9.2
	iperf_server two
}

# nested_device NAME LOCAL REMOTE ADDRESS: the same VNI as the segment's, because nothing forbids it.
nested_device() {
	ip -n "$LAB_PREFIX$1" link add vx0 type vxlan id 5001 local "$2" remote "$3" dstport 4789 dev eth0 ||
		die "cannot make a vxlan device in $1"
	ip -n "$LAB_PREFIX$1" addr add "$4/24" dev vx0
	ip -n "$LAB_PREFIX$1" link set vx0 up
}

topology_prove() {
	local way
	row "pings between the workloads answered" 5 "$(nested_answers one 10.0.0.2)"
	row "pings between the pods answered" 5 "$(nested_answers one 192.168.9.2)"
	row "longest ping between the pods, DF, octets" 1372 "$(nested_longest)"
	for way in "" --reverse; do
		row_between "TCP between the pods${way:+, reversed}" 100 "$(nested_rate $way)" 99999 Mbit/s
	done
	row "drops for bad offload state" 0 "$(nested_bad_offloads)"
}

nested_answers() {
	in_ns "$1" ping -n -i 0.05 -c 5 -w 3 "$2" | grep -c 'bytes from'
}

# The payload of the longest echo that goes through without a fragment: MTU 1400 less 28.
nested_longest() {
	local size
	for size in 1373 1372; do
		if in_ns one ping -q -n -M "do" -s "$size" -i 0.05 -c 2 -w 2 192.168.9.2 >/dev/null 2>&1; then
			echo "$size"
			return
		fi
	done
	echo less
}

nested_rate() {
	in_ns one iperf3 --client 192.168.9.2 --time 2 --json "$@" |
		jq '.end.sum_received.bits_per_second / 1e6 | round'
}

nested_bad_offloads() {
	local host
	for host in host-a host-b; do
		ctl "$host" --json drops
	done | jq -s '[.[].drops[] | select(.reason == "bad-offload") | .packets] | add // 0'
}

topology_hints() {
	local ctl="${LAB_BUILD#"$TOP/"}/cli/vswitchctl --run-dir $LAB_DIR"
	cat <<END
Look around:
    $ctl/host-a stats port
    ip netns exec ${LAB_PREFIX}one ping 192.168.9.2
    ip netns exec ${LAB_PREFIX}one iperf3 -c 192.168.9.2
    ip netns exec ${LAB_PREFIX}one ethtool -k eth0
END
}
