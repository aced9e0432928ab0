#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Ports of type vhost-user, and exact frames on every port, the one they came in on included. The guests are vhost.py's
# own, with the features and the descriptors that it likes; it says what is expected.
#
#     g1 (client)  g2 (server)  g3 (client)  g-tap      [ acme/web  ]
#     b1 (server)  b2 (client)               b-tap      [ beta/web  ]  with the same addresses
#     y1 (client)                            y-tap      [ gamma/y ]--20--+
#                                                                        t (client), a trunk
#     x1 (client)                            x-tap      [ gamma/x ]------+
#     j1 (client)  j2 (server)               j-tap      [ jumbo/web ]  with an MTU of 9000
#     d0 (client)  d1 (server)  …  d13       d-tap      [ drivers/web ]
#
# "client" is what the switch is.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
needs_dpdk
ns_add g-tap b-tap y-tap x-tap j-tap d-tap
mkdir "$LAB_DIR/vm"
switch_start s

# vhost_port NAME client|server OPTION...
vhost_port() {
	ctl s --wait 0 port add "$1" --type vhost-user --socket "$LAB_DIR/vm/${1#*/}" "--$2" "${@:3}" >/dev/null 2>&1
	# In no server's case does anybody know whether it is connected: exit code 4, it waits.
	check_is "port $1, as a $2" "4 waiting" "$? $(ctl s --json port show "$1" | jq -r .status.state)"
}
tap_port() {
	check "port $1" ctl s port add "$1" --type tap --segment "$2" --ifname eth0 --netns "$LAB_PREFIX${1#*/}"
}

check "configuration" eval 'ctl s tenant add acme && ctl s tenant add beta && ctl s tenant add gamma &&
	ctl s tenant add jumbo && ctl s segment add acme/web && ctl s segment add beta/web &&
	ctl s segment add gamma/x && ctl s segment add gamma/y && ctl s segment add jumbo/web --mtu 9000 &&
	ctl s tenant add drivers && ctl s segment add drivers/web'
vhost_port acme/g1 client --segment web
vhost_port acme/g2 server --segment web
vhost_port acme/g3 client --segment web
vhost_port beta/b1 server --segment web
vhost_port beta/b2 client --segment web
vhost_port gamma/y1 client --segment y
vhost_port gamma/x1 client --segment x
vhost_port gamma/t client --native x --trunk y=20
vhost_port jumbo/j1 client --segment web
vhost_port jumbo/j2 server --segment web
for number in {0..13}; do
	vhost_port "drivers/d$number" "$([ $((number % 2)) = 0 ] && echo client || echo server)" --segment web
done
for port in acme/g-tap beta/b-tap jumbo/j-tap drivers/d-tap; do
	tap_port $port web
done
tap_port gamma/y-tap y
tap_port gamma/x-tap x

"$PYTHON" -B "$TOP/tests/netns/vhost.py" "$LAB_PREFIX" "$LAB_DIR/s" "$LAB_BUILD/cli/vswitchctl" "$LAB_DIR/vm" ||
	LAB_FAILED=1

# ---- more workers, more queues ----
daemon_kill s datapath
LAB_WORKERS[s]=2
daemon_start s datapath
wait_until 10 switch_connected s || die "the datapath did not come back"
"$PYTHON" -B "$TOP/tests/netns/vhost_queues.py" "$LAB_PREFIX" "$LAB_DIR/s" "$LAB_BUILD/cli/vswitchctl" \
	"$LAB_DIR/vm" || LAB_FAILED=1
lab_finish
