# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What a run found, as lines of JSON that report.py reads. Sourced by tests/bench/run.
#
# A case is one comparison, in one unit; a side is one of those compared (switch, loop, bridge, ovs, vde, direct);
# a bar says what a side must reach, by itself or beside another.

RECORDS='' # the file

# record FILTER [JQ_OPTION...]: one line, made by jq.
record() {
	local filter=$1
	shift
	jq -nc "$@" "$filter" >>"$RECORDS" || fail "cannot record: $*"
}

# What all figures depend on. No date: two runs of the same on the same machine differ in figures only.
record_run() {
	record '{kind: "run", kernel: $kernel, machine: $machine, cores: $cores, rounds: $rounds, seconds: $seconds,
			smoke: ($smoke == "yes"), build: $build, iperf3: $iperf3}' \
		--arg kernel "$(uname -r)" --arg machine "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
		--argjson cores "$(nproc)" --argjson rounds "$ROUNDS" --argjson seconds "$SECONDS_EACH" \
		--arg smoke "$SMOKE" --arg build "$(build_of "$BUILD")" --arg iperf3 "$(iperf3 --version | head -n 1)"
}

# build_of DIR: compiler and build type.
build_of() {
	printf '%s, %s' \
		"$("$(jq -r '.[0].target_sources[0].compiler[0]' "$1/meson-info/intro-targets.json")" --version | head -n 1)" \
		"$(meson introspect "$1" --buildoptions 2>/dev/null | jq -r '.[] | select(.name == "buildtype").value')"
}

# case_add NAME TITLE UNIT more|less: which is better.
case_add() {
	record '{kind: "case", name: $name, title: $title, unit: $unit, better: $better}' \
		--arg name "$1" --arg title "$2" --arg unit "$3" --arg better "$4"
}

# bar_at_least CASE FACTOR OF [SIDE]: the switch, or that side, reaches FACTOR times what the side OF does.
bar_at_least() {
	record '{kind: "bar", case: $case, side: $side, at_least: $factor, of: $of}' \
		--arg case "$1" --argjson factor "$2" --arg of "$3" --arg side "${4:-switch}"
}

# bar_at_most CASE FACTOR OF [PLUS]: the switch needs at most FACTOR times what the side OF does, and PLUS.
bar_at_most() {
	record '{kind: "bar", case: $case, side: "switch", at_most: $factor, of: $of, plus: $plus}' \
		--arg case "$1" --argjson factor "$2" --arg of "$3" --argjson plus "${4:-0}"
}

# bar_limit CASE LIMIT: the switch stays below, whatever others do.
bar_limit() {
	record '{kind: "bar", case: $case, side: "switch", limit: $limit}' --arg case "$1" --argjson limit "$2"
}

# sample CASE SIDE VALUE [JSON]: one measurement, and what else is known of it.
sample() {
	local more=${4:-"{}"}
	record '{kind: "sample", case: $case, side: $side, value: $value} + $more' \
		--arg case "$1" --arg side "$2" --argjson value "$3" --argjson more "$more"
}

# stalled MS: a sample was kept although the machine stood still for so long meanwhile.
stalled() {
	record '{kind: "stalled", ms: $ms}' --argjson ms "$1"
}

# side_is WHAT SIDE TEXT: how a side was configured on that path.
side_is() {
	record '{kind: "side", path: $path, side: $side, text: $text}' --arg path "$1" --arg side "$2" --arg text "$3"
}

# absent PATH SIDE REASON
absent() {
	record '{kind: "absent", path: $path, side: $side, reason: $reason}' --arg path "$1" --arg side "$2" --arg reason "$3"
}
