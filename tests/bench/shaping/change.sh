# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# How long it takes to configure ten thousand tenants, and, beside a hundred thousand, until a change of one is in
# effect on the wire.

CHANGE_MANY=10000 CHANGE_MOST=100000
CHANGE_LOW=100 CHANGE_HIGH=300 # Mbit/s, by turns
CHANGES=10 CHANGE_GAP_MS=120   # of a sample

shaping_change() {
	local round
	case_add change-apply "apply of $CHANGE_MANY tenants" s less
	bar_limit change-apply 2
	for ((round = 1; round <= ROUNDS; round++)); do
		progress "change-apply ($round of $ROUNDS)"
		attempt change_apply || fail "change-apply: $WHY"
	done
	case_add change-wire "a ceiling set beside $CHANGE_MOST tenants: from the request until the wire shows it" ms less
	bar_limit change-wire 10
	pairs_need many switch
	tenants_file 1 "$(unless_smoke $CHANGE_MOST 200)" | ctl many-switch --wait 60 apply - >/dev/null || die "apply"
	by_turns change_wire
}

pair_many_switch() { pair_shaped_switch "$1"; }

# tenants_file FIRST LAST: with all that a tenant may be given.
tenants_file() {
	awk -v first="$1" -v last="$2" 'BEGIN {
		print "version: 1\nhost: { send-capacity: 400gbit, receive-capacity: 400gbit }\ntenants:"
		for (i = first; i <= last; i++)
			printf "  m%d: { send: 1gbit, receive: 1gbit, send-min: 1mbit, receive-min: 1mbit, weight: %d }\n",
				i, 1 + i % 100
	}'
}

# A switch of its own each time, that has nothing yet.
change_apply() {
	local before after
	rm -rf "$LAB_DIR/change"
	switch_start change
	tenants_file 1 "$(unless_smoke $CHANGE_MANY 100)" >"$LAB_DIR/tenants.yaml"
	before=${EPOCHREALTIME/[.,]/}
	ctl change --wait 60 apply "$LAB_DIR/tenants.yaml" >/dev/null || die "apply"
	after=${EPOCHREALTIME/[.,]/}
	daemon_kill change control
	daemon_kill change datapath
	sample change-apply switch "$(awk "BEGIN { print ($after - $before) / 1e6 }")"
}

# change_wire PAIR SIDE
change_wire() {
	local pair=$1 source sink asked found status=0
	set_ceiling "$pair" ${CHANGE_LOW}mbit
	source_start "$pair-a" "$pair.source" $((CHANGE_HIGH * 1300000)) 30 segments=4
	source=$JOB
	sink_start "$pair-b" "$pair.sink" bin=1000 seconds=60
	sink=$JOB
	asked=$("$PYTHON" -B "$BENCH/shaping/requests.py" "$LAB_DIR/$pair/control.sock" bench "$(unless_smoke $CHANGES 3)" $CHANGE_GAP_MS \
		$CHANGE_HIGH $CHANGE_LOW) || because "a request failed" || status=1
	sleep 0.1
	job_stop "$sink" "$source"
	set_ceiling "$pair" none
	[ "$status" = 0 ] || return
	# shellcheck disable=SC2046 # words
	found=$("$PYTHON" -B "$BENCH/shaping/rates.py" change "$LAB_DIR/$pair.sink" "0:$CHANGE_LOW" $(jq -r '.requests[]' <<<"$asked")) ||
		because "rates.py" || return
	sample change-wire "$2" "$(jq .median <<<"$found")" found="$found" asked="$asked"
}
