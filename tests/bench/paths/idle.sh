# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What both daemons use of a core when nothing is to be done: 50 TAPs and 50 veths in one segment, silent, and while one
# of them asks ten times a second by ARP for an address that nobody has, which goes to all others.

IDLE_PORTS=100 IDLE_ARP_RATE=10

path_idle() {
	local name=idle left=$ROUNDS length=30
	side_is idle switch "$IDLE_PORTS ports, half of them TAPs, half veths, in one namespace; both daemons count"
	[ "$SMOKE" = no ] || length=1
	ns_add idle idle-host
	switch_start idle idle-host
	pair_process $name vswitch-datapath "${LAB_PID[$name.datapath]}"
	pair_process $name vswitch-control "${LAB_PID[$name.control]}"
	idle_topology | ctl idle apply - >/dev/null || die "apply"
	wait_until 30 switch_settled idle || die "idle did not settle: $(ctl idle status)"
	case_add idle-silent "$IDLE_PORTS ports, silent: CPU of both daemons" "% of a core" less
	case_add idle-arp "$IDLE_PORTS ports, $IDLE_ARP_RATE ARP broadcasts a second: CPU of both daemons" "% of a core" less
	bar_limit idle-arp 0.5
	# Thirty seconds each: more than three rounds say nothing more.
	[ "$left" -le 3 ] || left=3
	for ((; left > 0; left--)); do
		attempt idle_sample idle-silent "$length" 0 || fail "idle: $WHY"
		attempt idle_sample idle-arp "$length" "$IDLE_ARP_RATE" || fail "idle: $WHY"
	done
}

idle_topology() {
	local number type
	printf 'version: 1\ntenants:\n  bench:\n    segments:\n      s:\n        ports:\n'
	for ((number = 1; number <= IDLE_PORTS; number++)); do
		type=tap
		[ "$number" -le $((IDLE_PORTS / 2)) ] || type=veth
		printf '          p%d: { type: %s, netns: %s, ifname: p%d }\n' $number $type "${LAB_PREFIX}idle" $number
	done
}

# idle_sample CASE SECONDS RATE: RATE ARP requests a second, or silence.
idle_sample() {
	progress "$1"
	cpu_begin idle
	if [ "$3" = 0 ]; then
		sleep "$2"
	else
		in_ns idle "$LAB_BUILD/tests/bench/pace" p1 ff:ff:ff:ff:ff:ff "$3" "$2" arp >/dev/null || because "pace" || return
	fi
	cpu_end idle
	sample "$1" switch "$(jq '.cores * 100' <<<"$CPU")" cpu="$CPU"
}
