# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What TCP gets of a ceiling, after ten seconds: payload, of what frames of 1514 octets with 1448 of payload allow.

GOODPUT_RATE=100mbit

shaping_goodput() {
	local wire
	for wire in $(unless_smoke "shaped distant" distant); do
		# shellcheck disable=SC2046 # words
		pairs_need "$wire" $(unless_smoke "switch tbf htb" switch)
		goodput_case "$wire" 1 94
		[ "$SMOKE" = yes ] || goodput_case "$wire" 4 99
	done
}

# goodput_case WIRE FLOWS LEAST
goodput_case() {
	local away="no delay"
	[ "$1" = shaped ] || away="$((2 * DISTANCE_MS)) ms away"
	case_add "goodput-$1-$2" "TCP at $GOODPUT_RATE, $away, flows: $2: payload of what the ceiling allows" % more
	bar_floor "goodput-$1-$2" "$3"
	by_turns goodput "goodput-$1-$2" "$2"
}

# goodput PAIR SIDE CASE FLOWS
goodput() {
	local times=(--omit 10 --time 10)
	[ "$SMOKE" = no ] || times=(--bytes 500K)
	others_use
	set_ceiling "$1" $GOODPUT_RATE
	cpu_begin "$1"
	in_ns "$1-a" timeout 40 iperf3 --client 10.0.0.2 "${times[@]}" --parallel "$4" --json >"$LAB_DIR/report.json" ||
		because "iperf3: $(jq -r '.error // "no report"' "$LAB_DIR/report.json" 2>/dev/null)" || return
	cpu_end "$1"
	sample "$3" "$2" "$(jq --argjson rate "$(bits_of $GOODPUT_RATE)" \
		'.end.sum_received.bits_per_second / ($rate * 1448 / 1514) * 100' "$LAB_DIR/report.json")" \
		cpu="$CPU" retransmits="$(jq .end.sum_sent.retransmits "$LAB_DIR/report.json")" "${LIMIT[@]}"
}
