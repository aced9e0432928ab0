# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What shaping adds to the processor time of each packet, with so many tenants that each have a ceiling of half more
# than they send, and send two frames in a row, of which one has to wait. For the switch that is time of its processes;
# for htb, time of the machine, with and without it on the bridge's port.
#
#     crowd-switch-a e0 e1 e2 ---- up0 up1 up2, uplinks [ switch crowd ] a memory port for each tenant
#     crowd-htb-a eth0 ---- [ bridge ] port-b ---- eth0 crowd-htb-b
#
# A memory port takes what it is sent, and costs next to nothing, so that ten thousand workloads may be there.

CROWD_SIZES=(10 100 1000 10000)
CROWD_VIDS=4000             # of an uplink, as crowd.c has it
CROWD_RATE=50000            # frames a second, in all
CROWD_OCTETS=500            # of a frame
CROWD_BURST=400             # octets: less than a frame, so that the second one waits
CROWD_MAC=02:00:00:00:00:02 # of each workload
CROWD_MANY=100000           # tenants that are configured besides

shaping_cost() {
	local size
	crowd_switch "$(unless_smoke 10000 20)"
	[ "$SMOKE" = yes ] || crowd_htb
	for size in $(unless_smoke "${CROWD_SIZES[*]}" 10); do
		case_add "cost-$size" "CPU that shaping adds for each packet, tenants: $size" µs less
		bar_at_most "cost-$size" 0.333 htb
		case_add "cost-machine-$size" "the same, of the whole machine" µs less
	done
	case_add cost-growth "CPU for each packet at 10,000 shaped tenants, of that at 10" × less
	bar_limit cost-growth 1.3
	case_add cost-configured "CPU for each packet at 1,000 shaped tenants of $CROWD_MANY, of that of 10,000" × less
	bar_limit cost-configured 1.1
	for ((round = 1; round <= ROUNDS; round++)); do
		cost_round
	done
	[ "$SMOKE" = yes ] || cost_configured
}

declare -A COST_TOTAL=() # µs for each packet, of a round, and the sum of a thousand's over all rounds

cost_round() {
	local size side
	for size in $(unless_smoke "${CROWD_SIZES[*]}" 10); do
		for side in $(unless_smoke "switch htb" switch); do
			progress "cost $size $side ($round of $ROUNDS)"
			attempt cost_sample "$side" "$size" || fail "cost-$size, $side: $WHY"
		done
	done
	[ -z "${COST_TOTAL[10000]:-}" ] ||
		sample cost-growth switch "$(awk "BEGIN { print ${COST_TOTAL[10000]} / ${COST_TOTAL[10]} }")"
}

# The same thousand tenants, beside a hundred thousand.
cost_configured() {
	local before=${COST_TOTAL[1000]} round
	crowd_idle | ctl crowd --wait 60 apply - >/dev/null || die "apply"
	crowd_ceilings switch 1000
	for ((round = 1; round <= ROUNDS; round++)); do
		attempt cost_of switch 1000 || { fail "cost-configured: $WHY"; continue; }
		sample cost-configured switch "$(awk "BEGIN { print $COST / $before }")" cpu="$CPU"
	done
}

# cost_sample SIDE TENANTS
cost_sample() {
	local without machine_without
	others_use 5
	crowd_open "$1" "$2"
	cost_of "$1" "$2" || return
	without=$COST machine_without=$COST_MACHINE
	crowd_ceilings "$1" "$2"
	cost_of "$1" "$2" || return
	[ "$1" != switch ] || COST_TOTAL[$2]=$COST
	cost_difference "cost-$2" "$1" "$COST" "$without"
	cost_difference "cost-machine-$2" "$1" "$COST_MACHINE" "$machine_without"
}

# cost_difference CASE SIDE WITH WITHOUT
cost_difference() {
	sample "$1" "$2" "$(awk "BEGIN { print $3 - $4 }")" cpu="$CPU" with="$3" without="$4" "${LIMIT[@]}"
}

# cost_of SIDE TENANTS: COST is µs of the side for each packet, COST_MACHINE those of the whole machine.
cost_of() {
	local before dropped sent links=(eth0) mac
	[ "$1" != switch ] || links=(e0 e1 e2)
	mac=$CROWD_MAC
	[ "$1" = switch ] || mac=$(mac_of crowd-htb-b)
	dropped=$(crowd_dropped "$1") before=$(idle_ticks)
	cpu_begin "crowd-$1"
	sent=$(in_ns "crowd-$1-a" "$LAB_BUILD/$SHAPING_TOOLS/crowd" "$mac" "$2" $CROWD_RATE "$(unless_smoke 3 0.2)" "${links[@]}") ||
		because "crowd" || return
	cpu_end "crowd-$1"
	COST_MACHINE=$(jq --argjson sent "$sent" --argjson idle $(($(idle_ticks) - before)) --argjson cores "$(nproc)" \
		--argjson hertz "$(getconf CLK_TCK)" '(.seconds * $cores - $idle / $hertz) * 1e6 / $sent.taken' <<<"$CPU")
	COST=$COST_MACHINE
	[ "$1" != switch ] || COST=$(jq --argjson sent "$sent" '.cores * .seconds * 1e6 / $sent.taken' <<<"$CPU")
	dropped=$(($(crowd_dropped "$1") - dropped))
	[ "$dropped" -le $(($(jq .taken <<<"$sent") / 100)) ] || because "$dropped of $sent dropped"
}

# crowd_dropped SIDE: packets, in all.
crowd_dropped() {
	if [ "$1" = switch ]; then
		ctl crowd --json drops | jq '[.drops[].packets] | add // 0'
	else
		tc -n "${LAB_PREFIX}crowd-htb-host" -s -j qdisc show dev port-b | jq 'map(select(.root) | .drops // 0) | add // 0'
	fi
}

# ---- the switch ----

# crowd_switch TENANTS
crowd_switch() {
	local n
	ns_add crowd-switch-a crowd-switch-host
	for n in 0 1 2; do
		ip -n "${LAB_PREFIX}crowd-switch-host" link add "up$n" type veth peer name "e$n" \
			netns "${LAB_PREFIX}crowd-switch-a" || die "veth"
		ip -n "${LAB_PREFIX}crowd-switch-host" link set "up$n" up
		ip -n "${LAB_PREFIX}crowd-switch-a" link set "e$n" up
	done
	switch_make crowd crowd-switch-host crowd-switch
	crowd_file "$1" | ctl crowd --wait 60 apply - >/dev/null || die "apply: $(ctl crowd status)"
}

# crowd_file TENANTS: each has a segment, and in it a workload; three uplinks carry them all.
crowd_file() {
	awk -v count="$1" -v vids=$CROWD_VIDS -v mac=$CROWD_MAC 'BEGIN {
		print "version: 1\nhost: { receive-capacity: 100gbit }\ntenants:"
		for (i = 0; i < count; i++)
			printf "  t%d: { segments: { s: { ports: { w: { type: memory } }, fdb: { %s: { port: t%d/w } } } } }\n", i, mac, i
		print "uplinks:"
		for (up = 0; up * vids < count || up < 3; up++) {
			printf "  up%d: { type: netdev, ifname: up%d, trunk: [", up, up
			for (i = up * vids; i < (up + 1) * vids && i < count; i++)
				printf "%st%d/s=%d", i % vids ? ", " : "", i, 2 + i % vids
			print "] }"
		}
	}'
}

# Tenants with all that a tenant may be given, and nothing to do.
crowd_idle() {
	tenants_file 10000 $CROWD_MANY
}

# ---- htb ----

crowd_htb() {
	ns_add crowd-htb-a crowd-htb-b crowd-htb-host
	bridge_make crowd-htb-host
	workload_veth crowd-htb-a crowd-htb-host port-a 10.0.0.1
	workload_veth crowd-htb-b crowd-htb-host port-b 10.0.0.2
	bridge_ports crowd-htb-host port-a port-b
}

# ---- both ----

# crowd_open SIDE TENANTS: without ceilings.
crowd_open() {
	if [ "$1" = switch ]; then
		crowd_tenants "$2" none
	else
		tc -n "${LAB_PREFIX}crowd-htb-host" qdisc del dev port-b root 2>/dev/null
		return 0
	fi
}

# crowd_ceilings SIDE TENANTS: each of half more than it sends.
crowd_ceilings() {
	local rate=$((CROWD_RATE * CROWD_OCTETS * 8 * 3 / 2 / $2))
	if [ "$1" = switch ]; then
		crowd_tenants "$2" "${rate}bit"
		return
	fi
	# The last two octets of the source MAC: 1:1 and on.
	htb_by_source crowd-htb-host "40 0 0 10"
	awk -v count="$2" -v rate="$rate" -v burst=$CROWD_BURST 'BEGIN {
		for (i = 1; i <= count; i++)
			printf "class add dev port-b parent 1: classid 1:%x htb rate %dbit burst %d cburst %d\n", i, rate, burst, burst
	}' | tc -n "${LAB_PREFIX}crowd-htb-host" -batch - 2>"$LAB_DIR/htb.log" || die "htb: $(grep -v quantum "$LAB_DIR/htb.log")"
}

# crowd_tenants TENANTS RATE|none
crowd_tenants() {
	local burst="receive-burst: $CROWD_BURST, "
	[ "$2" != none ] || burst="receive-burst: none, "
	awk -v count="$1" -v rate="$2" -v burst="$burst" 'BEGIN {
		print "version: 1\ntenants:"
		for (i = 0; i < count; i++)
			printf "  t%d: { %sreceive: %s }\n", i, burst, rate
	}' | ctl crowd --wait 60 apply - >/dev/null || die "ceilings of the crowd"
}
