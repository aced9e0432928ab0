# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Frames that circulate between the ports of a guest through a switch, as many as both can do, and how the bars of
# vhost-user ports follow. Sourced by paths/dpdk.sh.
#
# The cores of a virtual machine move between near and far ones of its host, and others want them, too (../circles.py). A
# sample without enough slices that count is taken again.

CIRCLE_WINDOW=128 # frames under way in each direction: half a ring
NEAREST=''        # ns from core to core, of all slices so far
NEAR_TRIES=5

# circulate PAIR SIDE CASE WORD...: what the guest is told to do; a sample of Mpps.
circulate() { circulate_counting frames "$@"; }

# circulate_counting frames|octets PAIR SIDE CASE WORD...: octets: a sample of Gbit/s.
circulate_counting() {
	local what=$1 pair=$2 side=$3 name=$4 try words
	shift 4
	words=("$@")
	for ((try = 1; ; try++)); do
		circulate_once "$pair" "${words[@]}" || return
		NEAREST=$(jq --argjson before "${NEAREST:-null}" '[$before // empty, .slices[].distance] | min' <<<"$ANSWER")
		[ "$SMOKE" = no ] || break
		[ "$try" -lt "$NEAR_TRIES" ] || break
		! cores_were_near || break
		# What rests is put onto another core. The side is warm.
		words=("${words[@]/#warm=*/warm=0}")
		sleep 1
	done
	jq -e '[.slices[].frames] | add > 0' <<<"$ANSWER" >/dev/null || because "nothing came" || return
	# What it is worth is seen at the end.
	sample "$name" "$side" null cpu="$CPU" circle="$ANSWER" counts="$(quote "$what")"
}

# Near, and nobody else's, in enough slices?
cores_were_near() {
	jq -e --argjson nearest "$NEAREST" '.slices
		| (map(select(.distance <= 1.6 * $nearest and .waited <= 0.02)) | length) >= length / 4' <<<"$ANSWER" >/dev/null
}

# circulate_once PAIR WORD...: ANSWER is the guest's, CPU what it cost.
circulate_once() {
	local pair=$1 process=${PAIR_PROCESSES[$1]#*:}
	shift
	world_resume "$pair"
	cpu_begin "$pair"
	ANSWER=$(guest_ask "$pair" "$@" seconds="$(moment)" switch="${process%% *}") || because "the guest of $pair does not answer" || return
	cpu_end "$pair"
	world_pause "$pair"
}

# ---- the parts ----

dpdk_loop() {
	# shellcheck disable=SC2046 # one word for each side
	worlds_make loop 2 client $(unless_smoke "switch testpmd ovsdpdk" "switch testpmd")
	case_add dpdk-loop "64-byte frames from one vhost-user port to another and back" Mpps more
	bar_at_least dpdk-loop 0.85 testpmd
	bar_at_least dpdk-loop 1.25 ovsdpdk
	by_turns circulate dpdk-loop loop window=$CIRCLE_WINDOW
}

# TCP super-packets of the largest size, which are not cut on their way.
SUPER_SIZE=65000 SUPER_WINDOW=4

dpdk_super() {
	# shellcheck disable=SC2046 # one word for each side
	WORLD_GUEST=tso worlds_make super 2 client $(unless_smoke "switch ovsdpdktso" switch)
	case_add dpdk-super "super-packets of 64 KB from one vhost-user port to another and back" Gbit/s more
	by_turns super_turn dpdk-super
}

super_turn() {
	circulate_counting octets "$@" loop window=$SUPER_WINDOW size=$SUPER_SIZE mss=1448
}

# How many MACs there are, half of them behind each port; beside it, the same with one behind each.
MACS=(1000 10000 100000 1000000)
# The cost may be 1.3 times that with one.
MACS_SHARE=0.769
MACS_WARM_UP_MAX=50 # seconds

dpdk_macs() {
	local count ROUNDS=$ROUNDS
	[ "$ROUNDS" -le 3 ] || ROUNDS=3
	side_is dpdk one "the same with one MAC behind each port, which the guest writes again for each frame, too"
	# shellcheck disable=SC2046 # one word for each side
	worlds_make loop 2 client $(unless_smoke "switch ovsdpdk" switch)
	for count in $(unless_smoke "${MACS[*]}" 1000); do
		case_add "dpdk-macs-$count" "64-byte frames of $count MACs in turns, half of them behind each port" Mpps more
		bar_at_least "dpdk-macs-$count" $MACS_SHARE one
		by_turns macs_turn "dpdk-macs-$count" "$count"
	done
}

# macs_turn PAIR SIDE CASE COUNT
macs_turn() {
	[ "$2" != switch ] || circulate "$1" one "$3" loop window=$CIRCLE_WINDOW macs=1 || return
	circulate "$1" "$2" "$3" loop window=$CIRCLE_WINDOW macs=$(($4 / 2)) warm="$(macs_warm_up "$2" "$4")"
}

# macs_warm_up SIDE COUNT: Open vSwitch has a flow for each pair of MACs; it begins with room for 10,000 of them, and makes
# room for 1,000 more twice a second.
macs_warm_up() {
	local seconds=$(($2 / 2000))
	[ "$1" = ovsdpdk ] || seconds=0
	echo $((seconds < MACS_WARM_UP_MAX ? seconds : MACS_WARM_UP_MAX))
}

CEILING_RATE=1000gbit

dpdk_ceiling() {
	worlds_make loop 2 client switch
	case_add dpdk-ceiling "64-byte frames, the tenant's ceilings far above: $CEILING_RATE" Mpps more
	bar_at_least dpdk-ceiling 0.9 unshaped
	by_turns ceiling_turn dpdk-ceiling
}

# ceiling_turn PAIR SIDE CASE
ceiling_turn() {
	ceiling_set "$1" none
	circulate "$1" unshaped "$3" loop window=$CIRCLE_WINDOW || return
	ceiling_set "$1" $CEILING_RATE
	circulate "$1" "$2" "$3" loop window=$CIRCLE_WINDOW
}

ceiling_set() {
	ctl "$1" tenant set bench --send "$2" --receive "$2" >/dev/null || die "the ceiling of $1"
}

# The switch makes the sockets, since a guest waits for one after the other when it does.
FLOOD_PORTS=31 # DPDK has 32 in a process
FLOOD_WINDOW=4
FLOOD_SIZES=(60 1514)

dpdk_broadcast() {
	local size ports=$FLOOD_PORTS
	[ "$SMOKE" = no ] || ports=3
	# shellcheck disable=SC2046 # one word for each side
	worlds_make broadcast $((ports + 1)) server $(unless_smoke "switch ovsdpdk" switch)
	side_is dpdk unicast "the same ports, frames from the first to each of the others in turns"
	for size in "${FLOOD_SIZES[@]}"; do
		case_add "dpdk-broadcast-$size" "broadcasts of $((size + 4)) bytes to $ports vhost-user ports: copies" Mpps more
		bar_at_least "dpdk-broadcast-$size" 1 unicast
		by_turns broadcast_turn "dpdk-broadcast-$size" "$size"
	done
}

# broadcast_turn PAIR SIDE CASE SIZE
broadcast_turn() {
	[ "$2" != switch ] || circulate "$1" unicast "$3" spread window=$CIRCLE_WINDOW size="$4" || return
	circulate "$1" "$2" "$3" flood window=$FLOOD_WINDOW size="$4"
}
