# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Traffic for the path "shaping", and what came of it. Sourced by paths/shaping.sh.

SHAPING_TOOLS=tests/bench/shaping # in the build
JOB=''   # the process of the last job
FOUND='' # what the last sink said
LIMIT=() # what stood in the way of a sample

# job_end PID...: waits for jobs that end by themselves, and forgets them.
job_end() {
	local pid
	for pid; do
		wait "$pid"
		job_forget "$pid"
	done
}

# job_stop PID...: ends them.
job_stop() {
	local pid
	for pid; do
		end_process "$pid"
		job_forget "$pid"
	done
}

# Another process may get its number.
job_forget() {
	local pid jobs=()
	for pid in "${LAB_JOBS[@]}"; do
		[ "$pid" = "$1" ] || jobs+=("$pid")
	done
	LAB_JOBS=("${jobs[@]}")
}

# sink_start NAMESPACE OUTPUT SETTING...: measures what arrives there (sink.c).
sink_start() {
	local namespace=$1 output=$2
	shift 2
	job_in "$namespace" "$output" "$LAB_BUILD/$SHAPING_TOOLS/sink" eth0 "$@"
	JOB=$!
	wait_until 5 grep -q ready "$LAB_DIR/$output" || die "sink in $namespace does not start"
}

# sink_said OUTPUT: what it found is FOUND. It fails when the sink had not kept up, or nothing came.
sink_said() {
	FOUND=$(tail -n 1 "$LAB_DIR/$1")
	if [ "$(member lost "$FOUND")" != 0 ] || [ "$(member rate "$FOUND")" = 0 ]; then
		because "the sink says ${FOUND:0:200}"
	fi
}

# member KEY JSON: a number of that name. jq takes longer to start than some measurements.
member() {
	[[ $2 =~ \"$1\":\ ([-+.e0-9]+) ]] && echo "${BASH_REMATCH[1]}"
}

# source_start NAMESPACE OUTPUT RATE SECONDS SETTING...: UDP to nobody (source.c), RATE in bit/s.
source_start() {
	local namespace=$1 output=$2
	shift 2
	job_in "$namespace" "$output" "$LAB_BUILD/$SHAPING_TOOLS/source" 10.0.0.250 "$@"
	JOB=$!
}

# others_use [PERCENT]: before traffic starts. LIMIT, members of a sample, tells when others use that part of the machine or more.
others_use() {
	local before share seconds=0.3
	LIMIT=()
	[ "$SMOKE" = no ] || return 0
	before=$(idle_ticks)
	sleep $seconds
	share=$(awk -v idle=$(($(idle_ticks) - before)) -v all="$(getconf CLK_TCK)" -v cores="$(nproc)" \
		"BEGIN { printf \"%.0f\", 100 - 100 * idle / all / cores / $seconds }")
	[ "$share" -lt "${1:-10}" ] || LIMIT=(limit="$(quote "others, who used $share % of the machine just before")")
}

# The time that no core had anything to do. The kernel counts that exactly, and what they did by looking now and then.
idle_ticks() {
	awk '/^cpu / { print $5 + $6; exit }' /proc/stat
}

# source_limit OUTPUT RATE: adds to LIMIT when a source that has ended offered no more than what it was to exceed.
source_limit() {
	local share
	share=$(awk -v rate="$(member rate "$(tail -n 1 "$LAB_DIR/$1")")" -v least="$2" 'BEGIN { print int(rate / least * 100) }')
	# shellcheck disable=SC2034 # who called it reads it
	[ "$share" -ge 102 ] || LIMIT=(limit="$(quote "its source, which offered $share % of that")")
}

# tcp_start NAMESPACE SECONDS OPTION...: iperf3 to the outside.
tcp_start() {
	local namespace=$1 seconds=$2
	shift 2
	job_in "$namespace" "$namespace.client" iperf3 --client 10.0.0.2 --time "$seconds" "$@"
	# shellcheck disable=SC2034 # who called it reads it
	JOB=$!
}

# times A B: their product, as a whole number.
times() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.0f", a * b }'
}
