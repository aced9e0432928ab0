# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Round trips of a flow that sends a small datagram a thousand times a second: in a tenant that more is sent by than
# its ceiling lets pass, and in another tenant, beside the same load without a ceiling.

SPARSE_RATE=100mbit
SPARSE_MBIT=100

shaping_sparse() {
	local round side
	sparse_case sparse-udp "beside greedy UDP of the same tenant at $SPARSE_RATE"
	sparse_case sparse-tcp "beside four TCP flows of the same tenant at $SPARSE_RATE"
	bar_limit sparse-udp-p99 2000
	bar_limit sparse-tcp-p99 2000
	# shellcheck disable=SC2046 # words
	pairs_need shaped $(unless_smoke "switch tbf htb" switch)
	by_turns sparse_inside sparse-udp source_start "$(times $SPARSE_MBIT 1.5e6)" 60
	[ "$SMOKE" = yes ] || by_turns sparse_inside sparse-tcp tcp_start 60 --parallel 4

	sparse_case sparse-other "in another tenant, beside one at $SPARSE_RATE"
	bar_at_most sparse-other-p99 1 unshaped 100
	crew_need switch
	divide_nothing
	for ((round = 1; round <= ROUNDS; round++)); do
		for side in switch unshaped; do
			progress "sparse-other $side ($round of $ROUNDS)"
			attempt sparse_beside "$side" || fail "sparse-other, $side: $WHY"
		done
	done
}

# sparse_case NAME TITLE
sparse_case() {
	case_add "$1-p50" "round trip at 1 kHz $2: median" µs less
	case_add "$1-p99" "round trip at 1 kHz $2: p99" µs less
}

# sparse_inside PAIR SIDE CASE FUNCTION ARGUMENT...: the function starts what fills the tenant's ceiling.
sparse_inside() {
	local pair=$1 side=$2 case=$3 function=$4
	shift 4
	others_use
	set_ceiling "$pair" $SPARSE_RATE
	if [ "$function" = tcp_start ]; then
		tcp_start "$pair-a" "$@"
	else
		"$function" "$pair-a" "$pair.source" "$@"
	fi
	sparse_trips "$pair" "$pair-a" "$side" "$case" "$JOB" "$pair-b"
}

# sparse_beside SIDE: tenant 1 asks, tenant 2 has the load.
sparse_beside() {
	local ceiling=$SPARSE_RATE load=("$(times $SPARSE_MBIT 1.1e6)" 60)
	others_use
	# What a ceiling lets pass comes out frame by frame, each of which wakes the receiver.
	[ "$1" = switch ] || ceiling=none load=("${SPARSE_MBIT}000000" 60 tick=120)
	ctl crew-switch tenant set t2 --send "$ceiling" >/dev/null || die "tenant set"
	source_start crew-switch-a2 crew.source2 "${load[@]}"
	sparse_trips crew-switch crew-switch-a1 "$1" sparse-other "$JOB" crew-switch-b2
}

# sparse_trips PROCESSES NAMESPACE SIDE CASE LOAD SINK: asks when the load has come to the sink and had a moment to fill
# its queue, and ends it.
sparse_trips() {
	local answers status=0
	sink_start "$6" sparse.sink seconds="$(unless_smoke 1 0.1)" limit=10
	job_end "$JOB"
	sink_said sparse.sink || status=1
	cpu_begin "$1"
	answers=$(in_ns "$2" "$LAB_BUILD/tests/bench/rtt" 10.0.0.2 "$RTT_PORT" 1000 "$(moment)") || because "rtt" || status=1
	cpu_end "$1"
	job_stop "$5"
	[ "$status" = 0 ] || return 1
	trips_samples "$3" "$4" "$answers" "$CPU" "${LIMIT[@]}"
}
