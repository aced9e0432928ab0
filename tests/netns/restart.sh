#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Either daemon, or both, may be killed and started again at any time, in any order.
#
#     t1 10.0.0.1 (tap)   t2 10.0.0.2 (tap)   v1 10.0.0.3 (veth)   v2 10.0.0.4 (veth)
#              [ switch s: tenant acme, segment web ]
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
TRAFFIC=$TOP/tests/netns/traffic.py

lab_begin "${1:-}"
ns_add t1 t2 v1 v2

# counted_start FROM TO ADDRESS SECONDS: 1000 numbered datagrams a second, in the background. counted_end TO waits
# for them; what became of them is in $COUNTED.
counted_start() {
	job_in "$2" "$2.counted" "$PYTHON" "$TRAFFIC" count 7001
	COUNTER=$!
	wait_until 10 udp_open "$2" 7001 || die "no receiver in $2"
	job_in "$1" "$1.sent" "$PYTHON" "$TRAFFIC" number "$3" 7001 "$4" 1000 200
}
counted_end() {
	wait "$COUNTER"
	COUNTED=$(cat "$LAB_DIR/$1.counted")
}

forwarding() {
	can_ping t1 10.0.0.2 && can_ping v1 10.0.0.4 && can_ping t1 10.0.0.3
}

learned() {
	ctl s --json fdb list | jq -c '[.entries[] | {segment, mac, port}] | sort'
}

running() {
	! process_gone "${LAB_PID[s.$1]}"
}

# ---- start in either order ----
switch_new s
daemon_start s control
wait_until 10 ctl s status || die "the control daemon does not answer"
check_is "the control daemon alone says that there is no datapath" absent \
	"$(ctl s --json status | jq -r .datapath.state)"
daemon_start s datapath
check "the control daemon first, the datapath second" wait_until 10 switch_connected s
daemon_kill s control
check_is "SIGTERM ends the control daemon with 0" 0 $?
check "the datapath runs on" running datapath
daemon_kill s datapath
check_is "SIGTERM ends the datapath with 0" 0 $?
daemon_start s datapath
wait_until 10 test -S "$LAB_DIR/s/datapath.sock" || die "the datapath does not listen"
daemon_start s control
check "the datapath first, the control daemon second" wait_until 10 switch_connected s

ctl s host set --send-capacity 10gbit --receive-capacity 10gbit
ctl s tenant add acme --send 9gbit --send-min 1gbit --receive-min 500mbit --send-burst 1mb --receive-burst 2000kb \
	--weight 7 --overhead -4
ctl s segment add acme/web
number=0
for name in t1 t2 v1 v2; do
	number=$((number + 1))
	type=$([ ${name%?} = t ] && echo tap || echo veth)
	check "port acme/$name" ctl s port add "acme/$name" --type "$type" --segment web --ifname eth0 \
		--netns "$LAB_PREFIX$name" --ip "10.0.0.$number/24"
done
check "it forwards" forwarding
before=$(ctl s export)
check_is "what acme gets is in the configuration" "9gbit 1gbit 1mb none 500mbit 2000kb 7 -4" "$(ctl s --json tenant show acme |
	jq -r '[.send, ."send-min", ."send-burst", .receive, ."receive-min", ."receive-burst", .weight, .overhead] | join(" ")')"

# ---- the control daemon dies ----
counted_start t1 t2 10.0.0.2 4
daemon_kill s control KILL
check_is "without a control daemon vswitchctl exits with 3" 3 "$(ctl s status >/dev/null 2>&1; echo $?)"
check "without a control daemon it forwards" forwarding
daemon_start s control
check "the control daemon is back" wait_until 10 switch_settled s
check_is "and has the configuration" "$before" "$(ctl s export)"
check "and changes it" ctl s tenant set acme --send 1gbit
counted_end t2
check_is "no datagram was lost to its death, its return, or the change" \
	"sent 4000 received 4000 duplicated 0 reordered 0" "$COUNTED"
ctl s tenant set acme --send none
before=$(ctl s export)

# ---- the datapath dies ----
entries=$(learned)
packets=$(port_counter s acme/t1 rx_packets)
daemon_kill s datapath KILL
check_is "without a datapath a change is accepted and not in effect" 4 \
	"$(ctl s --wait 0.3 tenant set acme --receive 1gbit >/dev/null 2>&1; echo $?)"
daemon_start s datapath
check "the datapath is back" wait_until 10 switch_settled s
check_is "what was learned is still known" "$entries" "$(learned)"
check "it forwards" forwarding
check_between "counters go on" "$((packets + 6))" "$(port_counter s acme/t1 rx_packets)" 1000000
check_is "the change is there" 1gbit "$(ctl s --json tenant show acme | jq -r .receive)"
ctl s tenant set acme --receive none
check_is "and the configuration" "$before" "$(ctl s export)"

# ---- both die ----
for order in "control datapath" "datapath control"; do
	read -r first second <<<"$order"
	daemon_kill s control KILL
	daemon_kill s datapath KILL
	daemon_start s "$first"
	daemon_start s "$second"
	check "after the death of both, $first started first: settled" wait_until 10 switch_settled s
	check_is "the configuration is there" "$before" "$(ctl s export)"
	check "it forwards" wait_until 10 forwarding
done

# ---- what was answered is there ----
check "a change" ctl s segment add acme/last --vni 77
daemon_kill s control KILL
daemon_start s control
wait_until 10 switch_connected s
check_is "an answered change survives kill -9" 77 "$(ctl s --json segment show acme/last | jq -r .vni)"

# Ten deaths of each, at no particular moment of what the other does.
for round in 1 2 3 4 5 6 7 8 9 10; do
	daemon_kill s datapath KILL
	daemon_start s datapath
	daemon_kill s control KILL
	daemon_start s control
done
check "after ten more deaths of each: settled" wait_until 10 switch_settled s
check "after round $round it forwards" wait_until 10 forwarding
lab_finish
