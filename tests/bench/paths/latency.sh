# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Round trips of small UDP datagrams: a thousand a second, and one after the other's answer; through an idle side, and
# beside a TCP stream at half of what the bare loop carries (a side that carries less gets half of its own).

declare -A HALF=() # bit/s, of a pair

path_latency() {
	side_is latency switch "as on the paths tap and veth"
	# shellcheck disable=SC2046 # one word for each side
	pairs_make tap $(few switch loop bridge ovs vde)
	latency_wire tap "TAP to TAP"
	# shellcheck disable=SC2046 # one word for each side
	pairs_make veth $(few switch loop bridge ovs)
	latency_wire veth "veth to veth"
}

# latency_wire WIRE TITLE
latency_wire() {
	latency_cases "rtt-$1-1khz" "round trip at 1 kHz, $2, idle"
	latency_cases "rtt-$1-flood" "round trip in turn, $2, idle"
	latency_cases "rtt-$1-1khz-bulk" "round trip at 1 kHz, $2, half load"
	latency_cases "rtt-$1-flood-bulk" "round trip in turn, $2, half load"
	by_turns round_trips "rtt-$1-1khz" 1000
	by_turns round_trips "rtt-$1-flood" 0
	half_loads "$1"
	by_turns round_trips_beside "rtt-$1-1khz-bulk" 1000
	by_turns round_trips_beside "rtt-$1-flood-bulk" 0
}

# latency_cases NAME TITLE
latency_cases() {
	case_add "$1-p50" "$2: median" µs less
	case_add "$1-p99" "$2: p99" µs less
	bar_at_most "$1-p50" 1 loop 5
	bar_at_most "$1-p99" 1 loop 50
}

# half_loads WIRE: one measurement of each pair, half of which is its load, but no more than the loop's.
half_loads() {
	local pair
	for pair in "${PAIRS[@]}"; do
		HALF[$pair]=1000000
		iperf "$pair" && HALF[$pair]=$(report_gbits | jq '. * 1e9 / 2 | round')
	done
	for pair in "${PAIRS[@]}"; do
		[ "${HALF[$pair]}" -le "${HALF[$1-loop]}" ] || HALF[$pair]=${HALF[$1-loop]}
	done
}
