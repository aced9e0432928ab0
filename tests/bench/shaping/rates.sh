# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The README's picture: what three tenants get of one capacity while one's ceiling is changed, another arrives with a
# guarantee, and one leaves. A second or so each; one run, which is no measurement.

RATES_BIN_MS=20
RATES_STEP=1.4 # seconds

shaping_rates() {
	local n sinks=() sources=() events=() step sets=(ctl crew-switch tenant set)
	step=$(unless_smoke $RATES_STEP 0.15)
	progress rates
	crew_need switch
	divide_switch "${CREW_CAPACITY}mbit" none none 300mbit
	for n in "${CREW[@]}"; do
		sink_start "crew-switch-b$n" "crew.sink$n" bin=$((RATES_BIN_MS * 1000)) seconds=60
		sinks+=("$JOB")
	done
	rates_source 1
	rates_source 2
	sleep "$step"
	rates_event "beta gets a ceiling\nof 100 Mbit/s" "${sets[@]}" t2 --send 100mbit
	sleep "$step"
	rates_source 3
	sleep "$step"
	rates_event "acme gets\nweight 3" "${sets[@]}" t1 --weight 3
	sleep "$step"
	job_stop "${sources[2]}"
	rates_seen "gamma arrives,\n300 guaranteed" .begins[0]
	rates_seen "gamma stops\nsending" .ends[-1]
	sleep "$step"
	job_stop "${sinks[@]}" "${sources[@]:0:2}"
	divide_nothing
	record rates capacity="$CREW_CAPACITY" names="[\"acme\", \"beta\", \"gamma\"]" events="[$(IFS=,; echo "${events[*]}")]" \
		rates="$("$PYTHON" -B "$BENCH/shaping/rates.py" series $RATES_BIN_MS "$LAB_DIR"/crew.sink[123])"
}

# rates_source N: tenant N sends as much as the capacity and more.
rates_source() {
	source_start "crew-switch-a$1" "crew.source$1" "$(times "$CREW_CAPACITY" 1.1e6)" 30 segments=4
	sources+=("$JOB")
}

# rates_seen TEXT FILTER: adds to the caller's events what tenant 3's source says.
rates_seen() {
	events+=("{\"at\": $(tail -n 1 "$LAB_DIR/crew.source3" | jq "$2 / 1e9"), \"text\": $(quote "$1")}")
}

# rates_event TEXT COMMAND...: the same for what a command does.
rates_event() {
	events+=("{\"at\": $EPOCHREALTIME, \"text\": $(quote "$1")}")
	shift
	"$@" >/dev/null || fail "the picture: $*"
}
