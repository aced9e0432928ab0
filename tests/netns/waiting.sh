#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A port whose namespace is not there yet waits, is attached when the namespace appears, waits again when it
# vanishes, and comes back with it.
#
#     home 10.0.0.1 (tap)     late 10.0.0.2 (tap, then veth): its namespace comes and goes
#              [ switch s: tenant acme, segment web ]
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add home
switch_start s
ctl s tenant add acme
ctl s segment add acme/web
check "port acme/home" ctl s port add acme/home --type tap --segment web --ifname eth0 \
	--netns "${LAB_PREFIX}home" --ip 10.0.0.1/24

port_state() {
	ctl s --json port show acme/late | jq -r .status.state
}
port_is() {
	[ "$(port_state)" = "$1" ]
}
ns_vanish() {
	ip netns del "$LAB_PREFIX$1"
}

for type in tap veth; do
	check_is "$type: a port of a namespace that is not there is accepted, exit 4" 4 \
		"$(ctl s --wait 0.2 port add acme/late --type $type --segment web --ifname eth0 \
			--netns "${LAB_PREFIX}late" --mac 02:00:00:00:00:02 --ip 10.0.0.2/24 2>/dev/null >&2; echo $?)"
	check_is "$type: it waits" waiting "$(port_state)"
	check_is "$type: and says for what" "no namespace ${LAB_PREFIX}late" \
		"$(ctl s --json port show acme/late | jq -r .status.reason)"
	check "$type: status counts it" eval '[ "$(ctl s --json status | jq ".counts.\"waiting-ports\"")" = 1 ]'
	for round in first second; do
		ns_add late
		check "$type: the namespace appears, the $round time: up" wait_until 10 port_is up
		check "$type: ping" can_ping home 10.0.0.2
		check "$type: ping back" can_ping late 10.0.0.1
		ns_vanish late
		check "$type: the namespace vanishes: it waits" wait_until 10 port_is waiting
		check "$type: the switch is well" can_ping home 10.0.0.1
	done
	# The namespace comes back while nobody looks.
	daemon_kill s control KILL
	ns_add late
	daemon_start s control
	check "$type: the namespace appears while the control daemon is away: up" wait_until 10 port_is up
	check "$type: ping" can_ping home 10.0.0.2
	daemon_kill s control KILL
	ns_vanish late
	daemon_start s control
	wait_until 10 switch_connected s
	check "$type: the namespace vanishes while it is away: waiting" wait_until 10 port_is waiting
	check "$type: a waiting port is deleted" ctl s port del acme/late
done

before=$(ctl s export)
check_is "--require refuses a namespace that is not there, exit 1" 1 \
	"$(ctl s port add acme/late --type tap --segment web --netns "${LAB_PREFIX}late" --require 2>/dev/null >&2; echo $?)"
check_is "and nothing was changed" "$before" "$(ctl s export)"
lab_finish
