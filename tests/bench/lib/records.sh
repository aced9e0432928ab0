# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What a run found, as lines of JSON that report.py reads. Sourced by tests/bench/run.
#
# A case is one comparison, in one unit; a side is one of those compared (switch, loop, bridge, ovs, vde, direct …);
# a bar says what a side must reach, by itself or beside another.

RECORDS='' # the file

# record KIND KEY=JSON...: one line. Not made by jq, whose start takes longer than some measurements.
record() {
	local line="{\"kind\": \"$1\"" member
	shift
	for member; do
		line+=", \"${member%%=*}\": ${member#*=}"
	done
	printf '%s}\n' "${line//$'\n'/ }" >>"$RECORDS" || fail "cannot record: $line"
}

# quote TEXT: as a string of JSON.
quote() {
	local text=${1//\\/\\\\}
	printf '"%s"' "${text//\"/\\\"}"
}

# What all figures depend on. No date: two runs of the same on the same machine differ in figures only.
record_run() {
	local machine is_smoke=false
	machine=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
	[ "$SMOKE" = no ] || is_smoke=true
	record run kernel="$(quote "$(uname -r)")" machine="$(quote "$machine")" cores="$(nproc)" rounds="$ROUNDS" \
		seconds="$SECONDS_EACH" smoke=$is_smoke build="$(quote "$(build_of "$BUILD")")" \
		iperf3="$(quote "$(iperf3 --version | head -n 1)")"
}

# build_of DIR: compiler and build type.
build_of() {
	printf '%s, %s' \
		"$("$(jq -r '.[0].target_sources[0].compiler[0]' "$1/meson-info/intro-targets.json")" --version | head -n 1)" \
		"$(meson introspect "$1" --buildoptions 2>/dev/null | jq -r '.[] | select(.name == "buildtype").value')"
}

# case_add NAME TITLE UNIT BETTER: which is better: more, less or "nearer to 0".
case_add() {
	record case name="$(quote "$1")" title="$(quote "$2")" unit="$(quote "$3")" better="$(quote "$4")"
}

# bar CASE SIDE KEY=JSON...
bar() {
	record bar case="$(quote "$1")" side="$(quote "$2")" "${@:3}"
}

# bar_at_least CASE FACTOR OF [SIDE]: the switch, or that side, reaches FACTOR times what the side OF does.
bar_at_least() {
	bar "$1" "${4:-switch}" at_least="$2" of="$(quote "$3")"
}

# bar_at_most CASE FACTOR OF [PLUS]: the switch needs at most FACTOR times what the side OF does, and PLUS.
bar_at_most() {
	bar "$1" switch at_most="$2" of="$(quote "$3")" plus="${4:-0}"
}

# bar_limit CASE LIMIT: the switch stays below, whatever others do.
bar_limit() {
	bar "$1" switch limit="$2"
}

# bar_floor CASE LEAST: the switch reaches that, whatever others do.
bar_floor() {
	bar "$1" switch floor="$2"
}

# bar_near CASE CENTRE WITHIN [SIDE]: the switch, or that side, is no further from it than that.
bar_near() {
	bar "$1" "${4:-switch}" near="$2" within="$3"
}

# sample CASE SIDE VALUE [KEY=JSON...]: one measurement, and what else is known of it.
sample() {
	record sample case="$(quote "$1")" side="$(quote "$2")" value="$3" "${@:4}"
}

# stalled MS: a sample was kept although the machine stood still for so long meanwhile.
stalled() {
	record stalled ms="$1"
}

# side_is PATH SIDE TEXT: how a side was configured on that path.
side_is() {
	record side path="$(quote "$1")" side="$(quote "$2")" text="$(quote "$3")"
}

# absent PATH SIDE REASON
absent() {
	record absent path="$(quote "$1")" side="$(quote "$2")" reason="$(quote "$3")"
}
