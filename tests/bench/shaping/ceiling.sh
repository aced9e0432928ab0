# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# How near to its ceiling a tenant is that has more to send, UDP and TCP, after a second: octets of frames after the
# first one divided by the time from the first to the last, over five seconds and a thousand frames.

# Ceiling, size of UDP's frames and frames that are sent at once, TCP's segments. Slow ones have small frames, or a
# thousand would take minutes.
CEILINGS=("64kbit 100 1 88" "1mbit 500 1 536" "10mbit 1514 1 1460" "100mbit 1514 1 1460" "1gbit 1514 1 1460"
	"5gbit 1514 40 1460")
CEILING_EXCESS=1.2 # times the ceiling is offered

shaping_ceiling() {
	local row
	# shellcheck disable=SC2046 # words
	pairs_need shaped $(unless_smoke "switch tbf htb" "switch tbf")
	for row in "${CEILINGS[@]}"; do
		# A smoke run has no time for slow ones, and its machine none for fast ones. TCP is among the workers'.
		[ "$SMOKE" = no ] || [[ $row == 10mbit* ]] || continue
		# shellcheck disable=SC2086 # words
		set -- $row
		ceiling_case "udp-$1" "UDP at $1" 0.2
		by_turns ceiling_udp "udp-$1" "$1" "$2" "$3" 1
		[ "$SMOKE" = no ] || continue
		ceiling_case "tcp-$1" "TCP at $1" 0.2
		by_turns ceiling_tcp "tcp-$1" "$1" "$4" 1
	done
}

# Both workers of a switch carry flows of one tenant.
shaping_workers() {
	local rate
	pairs_need shaped switch2
	for rate in 100mbit 1gbit; do
		ceiling_case "workers-tcp-$rate" "two workers, TCP of 8 flows at $rate" 0.5 switch2
		by_turns ceiling_tcp "workers-tcp-$rate" $rate 1460 8
		[ "$SMOKE" = no ] || break
		ceiling_case "workers-udp-$rate" "two workers, UDP of 16 flows at $rate" 0.5 switch2
		by_turns ceiling_udp "workers-udp-$rate" $rate 1514 1 16
	done
}

# ceiling_case NAME TITLE WITHIN [SIDE]
ceiling_case() {
	case_add "$1" "$2: off the ceiling by" % "nearer to 0"
	bar_near "$1" 0 "$3" "${4:-}"
}

# ceiling_udp PAIR SIDE CASE RATE SIZE SEGMENTS FLOWS
ceiling_udp() {
	ceiling_measure "$1" "$4" 1 source_start "$1-a" "$1.source" "$(times "$(bits_of "$4")" $CEILING_EXCESS)" 60 \
		size="$5" segments="$6" flows="$7" || return
	source_limit "$1.source" "$(bits_of "$4")"
	ceiling_sample "$2" "$3" "$4"
}

# ceiling_tcp PAIR SIDE CASE RATE SEGMENT FLOWS
ceiling_tcp() {
	# At 64 kbit/s what iperf3 says before it sends takes its time, too.
	ceiling_measure "$1" "$4" 2 tcp_start "$1-a" 60 --set-mss "$5" --parallel "$6" || return
	ceiling_sample "$2" "$3" "$4"
}

# ceiling_measure PAIR RATE SKIP FUNCTION ARGUMENT...: what the sink says of the traffic that the function starts is
# FOUND; what it cost is CPU, and the seconds that each thread of the datapath ran, THREADS.
ceiling_measure() {
	local pair=$1 rate=$2 skip=$3 sink before
	shift 3
	others_use
	set_ceiling "$pair" "$rate"
	sink_start "$pair-b" "$pair.sink" skip="$(unless_smoke "$skip" 0.2)" limit=40 \
		seconds="$(unless_smoke 5 0.3)" frames="$(unless_smoke 1000 50)"
	sink=$JOB before=$(threads_ns "$pair")
	cpu_begin "$pair"
	"$@"
	job_end "$sink"
	cpu_end "$pair"
	THREADS=$(paste -sd ' ' <<<"$before"$'\n'"$(threads_ns "$pair")" |
		awk '{ for (i = 1; i <= NF / 2; i++) printf "%s%.3f", (i > 1 ? ", " : ""), ($(i + NF / 2) - $i) / 1e9 }')
	set_ceiling "$pair" none
	job_stop "$JOB"
	sink_said "$pair.sink"
}

# threads_ns PAIR: what each thread of the datapath has run, one a line.
threads_ns() {
	[ -z "${LAB_PID[$1.datapath]:-}" ] || cut -d ' ' -f 1 "/proc/${LAB_PID[$1.datapath]}/task/"*/schedstat
}

# ceiling_sample SIDE CASE RATE
ceiling_sample() {
	[ "$(member frames "$FOUND")" -ge "$(unless_smoke 1000 50)" ] || because "too few frames: $FOUND" || return
	sample "$2" "$1" "$(off_by "$(member rate "$FOUND")" "$(bits_of "$3")")" cpu="$CPU" found="$FOUND" \
		threads="[$THREADS]" "${LIMIT[@]}"
}

# off_by RATE WANTED: in %.
off_by() {
	awk -v rate="$1" -v wanted="$2" 'BEGIN { printf "%.6f", (rate / wanted - 1) * 100 }'
}
