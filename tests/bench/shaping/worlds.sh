# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What is shaped. Sourced by paths/shaping.sh; lib/pairs.sh says what a pair is.
#
#     WIRE-SIDE-a                                        WIRE-SIDE-b
#     eth0 10.0.0.1 ---- [ the side, in WIRE-SIDE-host ] ---- port-b, eth0 10.0.0.2
#
# Only a is a workload of the tenant; b is outside, so that what it answers is not charged. Wire "shaped" is as
# short as it can be, "distant" has 20 ms in each direction between a and the side.
#
#     crew-SIDE-a1 … a3, 10.0.0.11 … 13                   outside, 10.0.0.2
#     eth0 ---- [ the side, in crew-SIDE-host ] ---- switch: crew-switch-b1 … b3
#                                                    htb:    crew-htb-b
#
# A crew is three tenants of one capacity. Where the kernel has one port to the outside, the switch has an uplink for
# each tenant, since 10.0.0.2 is another one for each.

CREW=(1 2 3)
DISTANCE_MS=20

# ---- pairs ----

declare -A PAIR_IS_MADE=()

# pairs_need WIRE SIDE...: PAIRS are those; what is not there yet is made.
pairs_need() {
	local wire=$1 side pairs=()
	shift
	for side; do
		if [ -z "${PAIR_IS_MADE[$wire-$side]:-}" ]; then
			pairs_make "$wire" "$side"
			[ ${#PAIRS[@]} != 0 ] || continue
			nobody "$wire-$side-a" "$wire-$side-b"
			PAIR_IS_MADE[$wire-$side]=yes
		fi
		pairs+=("$wire-$side")
	done
	PAIRS=("${pairs[@]}")
}

# nobody FROM TO: 10.0.0.250 leads from one namespace to the other, whose kernel drops it without an answer.
nobody() {
	ip -n "$LAB_PREFIX$1" neigh replace 10.0.0.250 dev eth0 nud permanent lladdr "$(mac_of "$2")" || die "neighbour in $1"
}

# mac_of NAMESPACE: of its eth0.
mac_of() {
	in_ns "$1" cat /sys/class/net/eth0/address
}

pair_shaped_switch() {
	workload_veth "$1-b" "$1-host" port-b 10.0.0.2
	switch_make "$1" "$1-host"
	ctl "$1" segment add bench/s >/dev/null || die "segment"
	switch_port "$1" a 1 tap "$1-a"
	uplink "$1" uplink port-b bench/s
}

# uplink NAME PORT IFNAME SEGMENT
uplink() {
	ctl "$1" port add "$2" --type netdev --ifname "$3" --native "$4" >/dev/null || die "$2 of $1"
}

pair_shaped_switch2() { with_workers pair_shaped_switch "$1"; }
pair_shaped_tbf() { pair_veth_bridge "$1"; }
pair_shaped_htb() { pair_veth_bridge "$1"; }

pair_distant_switch() {
	far_workload "$1"
	workload_veth "$1-b" "$1-host" port-b 10.0.0.2
	switch_make "$1" "$1-host"
	ctl "$1" segment add bench/s >/dev/null || die "segment"
	ctl "$1" port add bench/a --type netdev --segment s --ifname port-a >/dev/null || die "port a of $1"
	uplink "$1" uplink port-b bench/s
}

pair_distant_tbf() {
	far_workload "$1"
	bridge_make "$1-host"
	workload_veth "$1-b" "$1-host" port-b 10.0.0.2
	bridge_ports "$1-host" port-a port-b
}

pair_distant_htb() { pair_distant_tbf "$1"; }

# far_workload PAIR: port-a in the host is as far from a as the relay says.
far_workload() {
	job_in "$1-host" "$1.relay.log" "$LAB_BUILD/tests/bench/shaping/delay_relay" "$LAB_PREFIX$1-a" eth0 \
		"$LAB_PREFIX$1-host" port-a "$DISTANCE_MS"
	wait_until 5 grep -q ready "$LAB_DIR/$1.relay.log" || die "delay_relay does not start"
	ip -n "$LAB_PREFIX$1-host" link set port-a up
	workload_up "$1-a" 10.0.0.1
}

# ---- ceilings ----

# set_ceiling PAIR RATE|none
set_ceiling() {
	local port=(-n "$LAB_PREFIX$1-host" qdisc)
	case ${1##*-} in
	switch | switch2)
		ctl "$1" tenant set bench --send "$2" >/dev/null || die "ceiling of $1"
		return
		;;
	esac
	tc "${port[@]}" del dev port-b root 2>/dev/null
	[ "$2" != none ] || return 0
	case ${1##*-} in
	tbf) tc "${port[@]}" add dev port-b root tbf rate "$2" burst "$(burst_of "$2")" latency 50ms ;;
	htb) tc "${port[@]}" add dev port-b root handle 1: htb default 1 && htb_class "$1-host" 1: 1:1 "$2" "$2" ;;
	esac || die "ceiling of $1"
}

# burst_of RATE: what 4 ms take at it, as the switch has by default, and no less than a frame.
burst_of() {
	awk -v bits="$(bits_of "$1")" 'BEGIN { octets = bits * 0.004 / 8; printf "%d", octets < 1540 ? 1540 : octets }'
}

# htb_class NAMESPACE PARENT CLASS RATE CEIL: made or changed. It complains of quanta, which are as they come.
htb_class() {
	tc -n "$LAB_PREFIX$1" class replace dev port-b parent "$2" classid "$3" htb rate "$4" ceil "$5" 2>/dev/null
}

# bits_of RATE: bit/s of a rate as tc writes it.
bits_of() {
	awk -v rate="$1" 'BEGIN {
		factor["kbit"] = 1e3; factor["mbit"] = 1e6; factor["gbit"] = 1e9
		unit = rate; sub(/^[0-9.]*/, "", unit); printf "%.0f", rate * factor[unit]
	}'
}

# ---- crews ----

declare -A CREW_IS_MADE=()

# crew_need SIDE
crew_need() {
	[ -z "${CREW_IS_MADE[$1]:-}" ] || return 0
	ns_add "crew-$1-host"
	"crew_$1"
	CREW_IS_MADE[$1]=yes
}

crew_switch() {
	local n name=crew-switch
	switch_make $name $name-host
	for n in "${CREW[@]}"; do
		ns_add "$name-a$n" "$name-b$n"
		workload_veth "$name-b$n" $name-host "port-b$n" 10.0.0.2
	done
	crew_file | ctl $name --wait 10 apply - >/dev/null || die "crew"
	for n in "${CREW[@]}"; do
		crew_member "$name-a$n" "$name-b$n"
	done
}

crew_file() {
	local n
	printf 'version: 1\ntenants:\n'
	for n in "${CREW[@]}"; do
		printf '  t%d: { segments: { s: { ports: { a: { type: tap, ifname: eth0, netns: %s, mac: %s, ip: %s } } } } }\n' \
			"$n" "${LAB_PREFIX}crew-switch-a$n" "02:00:00:00:00:1$n" "10.0.0.1$n/24"
	done
	printf 'uplinks:\n'
	printf '  uplink%d: { type: netdev, ifname: port-b%d, native: t%d/s }\n' 1 1 1 2 2 2 3 3 3
}

crew_htb() {
	local n name=crew-htb
	bridge_make $name-host
	ns_add $name-b
	workload_veth $name-b $name-host port-b 10.0.0.2
	bridge_ports $name-host port-b
	for n in "${CREW[@]}"; do
		ns_add "$name-a$n"
		workload_veth "$name-a$n" $name-host "port-a$n" "10.0.0.1$n"
		ip -n "$LAB_PREFIX$name-a$n" link set eth0 address "02:00:00:00:00:1$n"
		bridge_ports $name-host "port-a$n"
		crew_member "$name-a$n" $name-b
	done
	# The last octet of the source MAC: 1:11 to 1:13.
	htb_by_source $name-host "48 0 0 11"
}

# htb_by_source NAMESPACE LOAD: a frame's class is 1:N, where N is what that BPF instruction loads of it.
htb_by_source() {
	local port=(-n "$LAB_PREFIX$1")
	tc "${port[@]}" qdisc replace dev port-b root handle 1: htb default 1 || die "htb in $1"
	tc "${port[@]}" filter add dev port-b parent 1: bpf bytecode "3,$2,4 0 0 65536,22 0 0 0" || die "filter in $1"
}

# crew_member A B: can speak TCP with the outside, and send to nobody.
crew_member() {
	wait_until 10 can_ping "$1" 10.0.0.2 || die "$1 does not reach $2"
	tcp_cubic "$1" "$2"
	nobody "$1" "$2"
	port_listens "$2" 5201 || iperf_server "$2"
	udp_open "$2" "$RTT_PORT" || job_in "$2" "$2.rtt.log" "$LAB_BUILD/tests/bench/rtt" serve "$RTT_PORT"
}

# outside SIDE N: the namespace where tenant N's frames come out.
outside() {
	[ "$1" = htb ] && echo crew-htb-b || echo "crew-switch-b$2"
}

# divide SIDE CAPACITY MIN...: guarantees of the three tenants, out of so much, in Mbit/s.
divide() {
	local side=$1 capacity=$2 n
	shift 2
	if [ "$side" = switch ]; then
		divide_switch "${capacity}mbit" "${@/%/mbit}"
		return
	fi
	htb_class crew-htb-host 1: 1:1 "${capacity}mbit" "${capacity}mbit" || die "htb"
	for n in "${CREW[@]}"; do
		htb_class crew-htb-host 1:1 "1:1$n" "${!n}mbit" "${capacity}mbit" || die "htb"
	done
}

# divide_switch CAPACITY MIN MIN MIN: all that was set before is gone.
divide_switch() {
	printf '%s\n' "version: 1" "host: { send-capacity: $1 }" "tenants:" "  t1: { send: none, send-min: $2, weight: 1 }" \
		"  t2: { send: none, send-min: $3, weight: 1 }" "  t3: { send: none, send-min: $4, weight: 1 }" |
		ctl crew-switch apply - >/dev/null || die "guarantees of the crew"
}

divide_nothing() {
	divide_switch none none none none
}
