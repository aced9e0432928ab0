# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Three tenants that all want more than there is, each with a guarantee that together are all of it: by how much the
# one that is furthest off misses it, over five seconds, after one.

GUARANTEES=(100 200 300) # Mbit/s
CREW_CAPACITY=600
GREED=1.4 # times its guarantee is what each offers

shaping_guarantee() {
	local side kind round
	for side in $(unless_smoke "switch htb" switch); do
		crew_need "$side"
	done
	guarantee_case plain "one flow each, frames of 1514 octets"
	guarantee_case flows "1, 1,000 and 100 flows"
	guarantee_case sizes "frames of 200 and 1514 octets, and super-packets"
	guarantee_case tcp "UDP, UDP of 1,000 flows, and one flow of TCP"
	for kind in $(unless_smoke "plain flows sizes tcp" flows); do
		for ((round = 1; round <= ROUNDS; round++)); do
			for side in $(unless_smoke "switch htb" switch); do
				progress "guarantee $kind $side ($round of $ROUNDS)"
				attempt guarantee "$side" "$kind" || fail "guarantee-$kind, $side: $WHY"
			done
		done
	done
}

guarantee_case() {
	case_add "guarantee-$1" "guarantees of ${GUARANTEES[*]} Mbit/s out of $CREW_CAPACITY, $2: the furthest is off by" % \
		"nearer to 0"
	bar_near "guarantee-$1" 0 1
}

# guarantee SIDE KIND
guarantee() {
	local n sinks=() sources=()
	others_use
	divide "$1" "$CREW_CAPACITY" "${GUARANTEES[@]}"
	for n in "${CREW[@]}"; do
		sink_start "$(outside "$1" "$n")" "crew.sink$n" from=$((16 + n)) skip="$(unless_smoke 1 0.3)" \
			seconds="$(unless_smoke 5 0.3)" limit=20
		sinks+=("$JOB")
	done
	cpu_begin "crew-$1"
	for n in "${CREW[@]}"; do
		greed_start "$1" "$n" "$2"
		sources+=("$JOB")
	done
	job_end "${sinks[@]}"
	cpu_end "crew-$1"
	job_stop "${sources[@]}"
	guarantee_sample "$1" "$2"
}

# greed_start SIDE N KIND: what tenant N sends.
greed_start() {
	local settings=()
	case $3$2 in
	tcp3) tcp_start "crew-$1-a3" 12; return ;;
	flows2 | tcp2) settings=(flows=1000) ;;
	flows3) settings=(flows=100) ;;
	sizes1) settings=(size=200) ;;
	sizes3) settings=(segments=40) ;;
	esac
	source_start "crew-$1-a$2" "crew.source$2" "$(times "${GUARANTEES[$2 - 1]}" "${GREED}e6")" 12 "${settings[@]}"
}

# guarantee_sample SIDE KIND
guarantee_sample() {
	local n off=()
	for n in "${CREW[@]}"; do
		sink_said "crew.sink$n" || return
		off+=("$(off_by "$(member rate "$FOUND")" "${GUARANTEES[n - 1]}e6")")
		[ "$2$n" = tcp3 ] || source_limit "crew.source$n" "${GUARANTEES[n - 1]}e6"
	done
	sample "guarantee-$2" "$1" "$(printf '%s\n' "${off[@]}" | awk '$1 ^ 2 >= worst ^ 2 { worst = $1 } END { print worst }')" \
		cpu="$CPU" off="[$(IFS=,; echo "${off[*]}")]" "${LIMIT[@]}"
}
