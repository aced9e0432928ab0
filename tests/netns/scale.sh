#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Many ports: one file makes them all or none, whenever the control daemon dies; nothing is left of what is made
# and deleted again; and a switch without traffic does nothing.
#
#     work: acme/p1 … acme/p100, every other one a tap, the others veths      switch s
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add work
switch_start s

# file COUNT: a configuration with that many ports.
file() {
	local number
	printf 'version: 1\ntenants: { acme: { segments: { web: { ports: {\n'
	for number in $(seq "$1"); do
		printf '  p%d: { type: %s, ifname: e%d, netns: %s },\n' "$number" \
			"$([ $((number % 2)) = 0 ] && echo tap || echo veth)" "$number" "${LAB_PREFIX}work"
	done
	printf '} } } } }\n'
}
port_count() {
	ctl s --json status | jq '.counts.ports'
}
interface_count() {
	ip -n "${LAB_PREFIX}work" -o link | grep -cv ' lo:'
}
interfaces_are() {
	[ "$(interface_count)" = "$1" ]
}
descriptors() {
	local fds=("/proc/${LAB_PID[s.$1]}/fd/"*)
	echo "${#fds[@]}"
}
# Without large pages, which come and go by 2 MiB as the kernel likes.
resident() {
	awk '/^Rss:/ { kib += $2 } /^(AnonHugePages|ShmemPmdMapped):/ { kib -= $2 } END { print kib }' \
		"/proc/${LAB_PID[s.$1]}/smaps_rollup"
}
processor() {
	awk '{ print $14 + $15 }' "/proc/${LAB_PID[s.$1]}/stat"
}

# ---- all or nothing ----
file 100 >"$LAB_DIR/hundred.yaml"
for delay in 0.005 0.03 0.2; do
	ctl s --wait 0 apply "$LAB_DIR/hundred.yaml" >/dev/null 2>&1 &
	client=$!
	sleep "$delay"
	daemon_kill s control KILL
	wait "$client"
	daemon_start s control
	wait_until 20 switch_settled s || fail "killed $delay s into apply: does not settle"
	ports=$(port_count)
	check "killed $delay s into apply: all ports or none ($ports)" test "$ports" = 0 -o "$ports" = 100
	check "killed $delay s into apply: as many interfaces" wait_until 10 interfaces_are "$ports"
	ctl s --wait 20 tenant del acme --recursive --if-exists || fail "cannot delete what was made"
	check "and none when they are deleted" wait_until 10 interfaces_are 0
done

# ---- a hundred at once ----
check "apply 100 ports" ctl s --wait 20 apply "$LAB_DIR/hundred.yaml"
check "and all are up" wait_until 20 switch_settled s
check_is "interfaces" 100 "$(interface_count)"
generation=$(ctl s --json status | jq .generation)
check "apply them again" ctl s apply "$LAB_DIR/hundred.yaml"
check_is "is no new generation" "$generation" "$(ctl s --json status | jq .generation)"
check "delete them" ctl s --wait 20 tenant del acme --recursive
check "their interfaces vanish" wait_until 20 interfaces_are 0

# ---- nothing is left ----
ctl s tenant add acme
ctl s segment add acme/web
# cycle COUNT: makes a port and deletes it, by turns a tap and a veth.
cycle() {
	local round type
	for round in $(seq "$1"); do
		type=$([ $((round % 2)) = 0 ] && echo tap || echo veth)
		ctl s port add acme/p --type "$type" --segment web --ifname eth0 --netns "${LAB_PREFIX}work" >/dev/null &&
			ctl s port del acme/p || return
	done
}
as_many() {
	[ "$(descriptors control) $(descriptors datapath)" = "$1" ]
}
check "a port comes and goes" cycle 4
before="$(descriptors control) $(descriptors datapath)"
memory="$(resident control) $(resident datapath)"
check "forty times" cycle 40
check "descriptors of both daemons: as many as before, $before" wait_until 10 as_many "$before"
read -r control datapath <<<"$memory"
check_between "the control daemon's memory grows, KiB" -100000 $(($(resident control) - control)) 300
check_between "the datapath's memory grows, KiB" -100000 $(($(resident datapath) - datapath)) 300

# ---- nothing to do, nothing done ----
file 20 >"$LAB_DIR/twenty.yaml"
ctl s --wait 20 apply "$LAB_DIR/twenty.yaml" >/dev/null || fail "cannot apply 20 ports"
wait_until 20 switch_settled s || fail "does not settle"
sleep 1
control=$(processor control) datapath=$(processor datapath)
sleep 3
check_between "the control daemon's processor time in 3 s with 20 ports, per cent" 0 \
	$((($(processor control) - control) / 3)) 1
check_between "the datapath's processor time in 3 s with 20 ports, per cent" 0 \
	$((($(processor datapath) - datapath) / 3)) 1
lab_finish
