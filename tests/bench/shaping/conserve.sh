# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A tenant that always has something to send, and two with guarantees that come and go: how much of the capacity is
# in use, and how long it takes until what one leaves is the others', and until a newcomer has its guarantee.

shaping_conserve() {
	local side round
	case_add conserve "capacity in use while tenants come and go, in bins of 10 ms" % more
	bar_floor conserve 98
	case_add conserve-taken "until what one leaves is in use, from its last frame" ms less
	bar_limit conserve-taken 10
	case_add conserve-arrived "until a newcomer has its guarantee, from its first frame" ms less
	bar_limit conserve-arrived 10
	for ((round = 1; round <= ROUNDS; round++)); do
		for side in $(unless_smoke "switch htb" switch); do
			progress "conserve $side ($round of $ROUNDS)"
			crew_need "$side"
			attempt conserve "$side" || fail "conserve, $side: $WHY"
		done
	done
}

# conserve SIDE
conserve() {
	local n sinks=() sources=() length found part
	length=$(unless_smoke 6 0.7)
	others_use
	divide "$1" "$CREW_CAPACITY" "${GUARANTEES[@]}"
	for n in "${CREW[@]}"; do
		sink_start "$(outside "$1" "$n")" "crew.sink$n" from=$((16 + n)) bin=2000 seconds=60
		sinks+=("$JOB")
	done
	cpu_begin "crew-$1"
	# Super-packets of 6 kB, since this is about time, and the machine's is short.
	come_and_go "$1" 1 "$(times "$CREW_CAPACITY" 1.2e6)" "$length"
	come_and_go "$1" 2 "$(times "${GUARANTEES[1]}" "${GREED}e6")" "$length" on=250 off=250
	come_and_go "$1" 3 "$(times "${GUARANTEES[2]}" "${GREED}e6")" "$length" on=400 off=310
	job_end "${sources[@]}"
	job_stop "${sinks[@]}"
	cpu_end "crew-$1"
	found=$("$PYTHON" -B "$BENCH/shaping/rates.py" conserve "$CREW_CAPACITY" "${GUARANTEES[*]}" \
		"$LAB_DIR"/crew.{sink,source}[123]) || because "rates.py" || return
	sample conserve "$1" "$(jq .in_use <<<"$found")" cpu="$CPU" found="$found" "${LIMIT[@]}"
	# A smoke run may be too short for somebody to come.
	for part in $(jq -r 'to_entries[] | select(.value.median?) | .key' <<<"$found"); do
		sample "conserve-$part" "$1" "$(jq ".$part.median" <<<"$found")" found="$found" "${LIMIT[@]}"
	done
}

# come_and_go SIDE N RATE SECONDS SETTING...: adds to the caller's sources.
come_and_go() {
	source_start "crew-$1-a$2" "crew.source$2" "$3" "$4" segments=4 "${@:5}"
	sources+=("$JOB")
}
