# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Pairs of workloads, each joined by one side of the comparison. Sourced by tests/bench/run.
#
#     WIRE-SIDE-a                                        WIRE-SIDE-b
#     eth0 10.0.0.1 ---- [ the side, in WIRE-SIDE-host ] ---- eth0 10.0.0.2, servers of iperf3 and rtt
#
# All pairs of a path are there at once, and wait while another is measured. The function pair_WIRE_SIDE
# (sides.sh, peers.sh) makes one; it returns 1, with the reason in WHY, when it cannot.

RTT_PORT=7
PAIRS=() WHY=''
declare -A PAIR_PROCESSES=() # of a pair: NAME:PID of each process that carries its packets
# shellcheck disable=SC2034 # cpu_begin reads it
declare -A PAIR_GUESTS=() # of a pair: processes that do what a virtual machine's would

# because REASON: for what cannot go on.
because() {
	WHY=$1
	return 1
}

# pairs_make WIRE SIDE...
pairs_make() {
	local wire=$1 side pair
	shift
	PAIRS=()
	for side; do
		pair=$wire-$side
		WHY=''
		PAIR_PROCESSES["$pair"]=''
		ns_add "$pair-a" "$pair-b" "$pair-host"
		if ! "pair_${wire}_$side" "$pair"; then
			absent "$wire" "$side" "$WHY"
			echo "$pair is left out: $WHY"
			continue
		fi
		wait_until 10 can_ping "$pair-a" 10.0.0.2 || die "$pair does not forward"
		tcp_cubic "$pair-a" "$pair-b"
		PAIRS+=("$pair")
		iperf_server "$pair-b"
		job_in "$pair-b" "$pair.rtt.log" "$LAB_BUILD/tests/bench/rtt" serve "$RTT_PORT"
		wait_until 5 udp_open "$pair-b" "$RTT_PORT" || die "rtt in $pair-b does not listen"
	done
}

# few SIDE...: those of them that a smoke run measures where another path has shown the others.
few() {
	[ "$SMOKE" = no ] && echo "$*" || echo switch loop
}

# pair_process PAIR NAME PID
pair_process() {
	PAIR_PROCESSES[$1]=${PAIR_PROCESSES[$1]:-}"$2:$3 "
}

# by_turns FUNCTION ARGUMENT...: calls FUNCTION PAIR SIDE ARGUMENT... for each pair, in each round.
by_turns() {
	local function=$1 round pair
	shift
	for ((round = 1; round <= ROUNDS; round++)); do
		for pair in "${PAIRS[@]}"; do
			progress "$function $* $pair ($round of $ROUNDS)"
			attempt "$function" "$pair" "${pair##*-}" "$@" || fail "$function through $pair: $WHY"
		done
	done
}

# workload_veth NAMESPACE HOST IFNAME ADDRESS [MTU]: eth0 there, its other end IFNAME in HOST.
workload_veth() {
	local there=$LAB_PREFIX$1 host=$LAB_PREFIX$2 mtu=${5:-1500}
	ip -n "$host" link add "$3" mtu "$mtu" type veth peer name eth0 mtu "$mtu" netns "$there" || die "veth $3"
	ip -n "$host" link set "$3" up
	workload_up "$1" "$4" "$mtu"
}

# workload_up NAMESPACE ADDRESS [MTU]
workload_up() {
	local there=$LAB_PREFIX$1
	ip -n "$there" link set eth0 mtu "${3:-1500}" || die "no eth0 in $1"
	ip -n "$there" addr add "$2/24" dev eth0
	ip -n "$there" link set eth0 up
}
