# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# One measurement each, of one pair (pairs.sh). Sourced by tests/bench/run. On failure they return 1 with the reason in
# WHY, so that the others go on.

TRIES=3       # of a measurement
STALL_MAX=100 # ms that the machine may stand still meanwhile

# The watch on the machine (stalls.c), which each path starts.
watch_machine() {
	"$LAB_BUILD/tests/bench/stalls" >"$LAB_DIR/stalls" 2>&1 &
	LAB_JOBS+=("$!")
	wait_until 5 grep -q ready "$LAB_DIR/stalls" || die "stalls does not start"
}

# attempt FUNCTION ARGUMENT...: a measurement, which is made again, and what it recorded forgotten, when it failed or the
# machine stood still. Returns 1 when the last one failed, too.
attempt() {
	local try since size stood
	for ((try = 1; ; try++)); do
		since=${EPOCHREALTIME/[.,]/} size=$(stat -c %s "$RECORDS")
		if "$@"; then
			stood=$(stood_still "$since")
			[ "$stood" -gt "$STALL_MAX" ] || return 0
			[ "$try" -lt "$TRIES" ] || { stalled "$stood"; return 0; }
		else
			[ "$try" -lt "$TRIES" ] || return 1
		fi
		truncate -s "$size" "$RECORDS"
	done
}

# stood_still SINCE: for how many ms since then, in µs since the epoch.
stood_still() {
	awk -v since="$1" 'NF == 2 && $1 > since { us += $2 } END { printf "%.0f\n", us / 1000 }' "$LAB_DIR/stalls"
}

# How long a measurement is, in seconds.
moment() {
	[ "$SMOKE" = no ] && echo "$SECONDS_EACH" || echo 0.2
}

# unless_smoke VALUE SMOKE: the second in a smoke run.
unless_smoke() {
	[ "$SMOKE" = no ] && echo "$1" || echo "$2"
}

# ---- what it cost ----

CPU='' # after cpu_end: JSON with the cores that each process and the whole machine used
declare -A CPU_BEFORE=()

# cpu_begin PAIR ... cpu_end PAIR
cpu_begin() {
	local process
	CPU_BEFORE=([time]=${EPOCHREALTIME/[.,]/} [machine]=$(machine_ticks) [guests]=$(guests_ns "$1"))
	for process in ${PAIR_PROCESSES[$1]:-}; do
		CPU_BEFORE[$process]=$(process_ns "${process#*:}")
	done
}

cpu_end() {
	local process lines machine guests
	machine=$(machine_ticks)
	guests=$(($(guests_ns "$1") - CPU_BEFORE[guests]))
	# Two plugs of vde_switch have one name, and are added up.
	lines=$(for process in ${PAIR_PROCESSES[$1]:-}; do
		echo "${process%:*} $(($(process_ns "${process#*:}") - CPU_BEFORE[$process]))"
	done)
	CPU=$(awk -v wall="$((${EPOCHREALTIME/[.,]/} - CPU_BEFORE[time]))" -v hertz="$(getconf CLK_TCK)" \
		-v before="${CPU_BEFORE[machine]}" -v after="$machine" -v guests="$guests" '
		NF == 2 { used[$1] += $2; total += $2 }
		END {
			split(before, b, " "); split(after, a, " ")
			for (name in used)
				list = list sprintf("%s\"%s\": %.4f", list == "" ? "" : ", ", name, used[name] / wall / 1000)
			printf "{\"seconds\": %.4f, \"processes\": {%s}, \"cores\": %.4f, \"guests\": %.4f, ",
				wall / 1e6, list, total / wall / 1000, guests / wall / 1000
			printf "\"machine_cores\": %.3f, \"stolen\": %.3f}", (a[1] - b[1]) / hertz / wall * 1e6,
				(a[2] - b[2]) / hertz / wall * 1e6
		}' <<<"$lines")
}

# guests_ns PAIR: what its guests have run.
guests_ns() {
	local pid total=0
	for pid in ${PAIR_GUESTS[$1]:-}; do
		total=$((total + $(process_ns "$pid")))
	done
	echo "$total"
}

# process_ns PID: what all of its threads that are alive have run. /proc/PID/stat says the same in steps of 10 ms.
process_ns() {
	cat "/proc/$1/task/"*/schedstat 2>/dev/null | awk '{ ns += $1 } END { printf "%.0f\n", ns }'
}

# Ticks of all cores: busy, and stolen by the machine below.
machine_ticks() {
	awk '/^cpu / { print $2 + $3 + $4 + $7 + $8, $9; exit }' /proc/stat
}

# ---- TCP streams ----

# stream PAIR SIDE CASE COUNT [both|from]: Gbit/s of payload that COUNT streams bring, from a to b, from b to a, or in both
# directions at once, added up.
stream() {
	local pair=$1 options=(--parallel "$4")
	case ${5:-to} in
	both) options+=(--bidir) ;;
	from) options+=(--reverse) ;;
	esac
	cpu_begin "$pair"
	iperf "$pair" "${options[@]}" || return
	cpu_end "$pair"
	sample "$3" "$2" "$(report_gbits)" cpu="$(jq -c --argjson cpu "$CPU" \
		'$cpu + {source: (.end.cpu_utilization_percent.host_total / 100),
			sink: (.end.cpu_utilization_percent.remote_total / 100)}' "$LAB_DIR/report.json")"
}

# iperf PAIR OPTION...: its report is $LAB_DIR/report.json. In a smoke run, some megabytes instead of some seconds.
iperf() {
	local pair=$1 bounds=(--time "$SECONDS_EACH" --omit 1)
	shift
	[ "$SMOKE" = no ] || bounds=(--bytes 8M)
	in_ns "$pair-a" timeout "$((SECONDS_EACH + 20))" iperf3 --client 10.0.0.2 "${bounds[@]}" "$@" --json \
		>"$LAB_DIR/report.json" ||
		because "iperf3: $(jq -r '.error // "no report"' "$LAB_DIR/report.json" 2>/dev/null || echo "no answer")"
}

# What arrived, in all directions.
report_gbits() {
	jq '[.end | .sum_received, .sum_received_bidir_reverse | .bits_per_second? | numbers] | add / 1e9' \
		"$LAB_DIR/report.json"
}

# ---- round trips ----

# round_trips PAIR SIDE CASE RATE: as cases CASE-p50 and CASE-p99, in µs. RATE 0: one after the other.
round_trips() {
	local answers
	cpu_begin "$1"
	answers=$(ask "$1" "$4") || because "rtt" || return
	cpu_end "$1"
	trips_samples "$2" "$3" "$answers" "$CPU"
}

# round_trips_beside PAIR SIDE CASE RATE: beside one TCP stream of ${HALF[PAIR]} bit/s in the same direction.
round_trips_beside() {
	local answers before status=0 bulk bulk_seconds=$((SECONDS_EACH + 1))
	[ "$SMOKE" = no ] || bulk_seconds=1
	before=$(sink_count "$1" bytes)
	in_ns "$1-a" timeout $((bulk_seconds + 20)) iperf3 --client 10.0.0.2 --time "$bulk_seconds" \
		--bitrate "${HALF[$1]}" --json >"$LAB_DIR/bulk.json" 2>&1 &
	bulk=$!
	wait_until 10 carries_bulk "$1" "$before" || because "no bulk flow" || status=1
	cpu_begin "$1"
	answers=$(ask "$1" "$4") || because "rtt" || status=1
	cpu_end "$1"
	wait "$bulk" || because "the bulk flow: $(jq -r '.error // "ended"' "$LAB_DIR/bulk.json")" || status=1
	[ "$status" = 0 ] || return 1
	trips_samples "$2" "$3" "$answers" \
		"$(jq -c --argjson cpu "$CPU" '$cpu + {bulk_gbits: (.end.sum_received.bits_per_second / 1e9)}' \
			"$LAB_DIR/bulk.json")"
}

# ask PAIR RATE: what rtt says.
ask() {
	in_ns "$1-a" "$LAB_BUILD/tests/bench/rtt" 10.0.0.2 "$RTT_PORT" "$2" "$(moment)"
}

# trips_samples SIDE CASE TRIPS CPU [KEY=JSON...]
trips_samples() {
	local part
	for part in p50 p99; do
		sample "$2-$part" "$1" "$(jq ".$part" <<<"$3")" cpu="$4" trips="$3" "${@:5}"
	done
}

# carries_bulk PAIR BEFORE: has a megabyte arrived since?
carries_bulk() {
	[ "$(sink_count "$1" bytes)" -gt $(($2 + 1000000)) ]
}

# sink_count PAIR packets|bytes: what b received.
sink_count() {
	ip -n "$LAB_PREFIX$1-b" -s -j link show eth0 | jq ".[0].stats64.rx.$2"
}

# ---- small frames ----

# small_frames PAIR SIDE CASE RATE: CASE-cpu is µs of the pair's processes for each frame that arrived, CASE-rate what
# arrived, in Mpps. RATE 0: as many as go.
small_frames() {
	local before sent mac
	mac=$(ip -n "$LAB_PREFIX$1-b" -j link show eth0 | jq -r '.[0].address')
	before=$(sink_count "$1" packets)
	cpu_begin "$1"
	sent=$(in_ns "$1-a" "$LAB_BUILD/tests/bench/pace" eth0 "$mac" "$4" "$(moment)") || because "pace" || return
	wait_until 2 sink_is_quiet "$1"
	cpu_end "$1"
	small_samples "$2" "$3" $(($(sink_count "$1" packets) - before)) "$sent"
}

# small_samples SIDE CASE ARRIVED SENT
small_samples() {
	local more=(cpu="$CPU" arrived="$3" sent="$4")
	[ "$3" -gt 0 ] || because "nothing arrived" || return
	sample "$2-rate" "$1" "$(jq ".seconds | $3 / . / 1e6" <<<"$4")" "${more[@]}"
	# The kernel's bridge has no process of its own.
	[ "$(jq '.processes | length' <<<"$CPU")" = 0 ] ||
		sample "$2-cpu" "$1" "$(jq ".cores * .seconds * 1e6 / $3" <<<"$CPU")" "${more[@]}"
}

# Nothing arrived within the time of two looks.
sink_is_quiet() {
	local before=${SINK_BEFORE:-none}
	SINK_BEFORE=$(sink_count "$1" packets)
	[ "$SINK_BEFORE" = "$before" ]
}
