#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A datapath that was built without DPDK: all that does not need it works, what does is refused with the way out, and a
# configuration that has such ports waits for another datapath.
#
#     t1 10.0.0.1 (tap)   t2 10.0.0.2 (tap)   vm (vhost-user), later     [ switch s: tenant acme, segment web ]
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
WITH=$LAB_BUILD WITHOUT=$TOP/build-without-dpdk
BUILD_TARGETS=datapath/vswitch-datapath \
	check "it builds" build_tree "$WITHOUT" gcc -Dwerror=true -Ddpdk=disabled -Dtests=false
check_not "and links with nothing of DPDK" eval 'ldd "$WITHOUT/datapath/vswitch-datapath" | grep librte'

# datapath_of DIR: the next one that is started
datapath_of() {
	LAB_BUILD=$LAB_DIR/build
	mkdir -p "$LAB_BUILD"
	ln -sfn "$WITH/cli" "$WITH/control" "$1/datapath" "$LAB_BUILD"
}
forwarding() {
	can_ping t1 10.0.0.2
}
reason_is() {
	# shellcheck disable=SC2053 # a pattern
	[[ $(ctl s --json port show acme/vm | jq -r '.status.state + " " + (.status.reason // "")') == $1 ]]
}

ns_add t1 t2
datapath_of "$WITHOUT"
switch_start s
check "configuration" eval 'ctl s tenant add acme && ctl s segment add acme/web'
for number in 1 2; do
	check "port acme/t$number" ctl s port add acme/t$number --type tap --segment web --ifname eth0 \
		--netns "${LAB_PREFIX}t$number" --ip 10.0.0.$number/24
done
check "it forwards" forwarding

before=$(ctl s export)
# refused WHAT ARGUMENT...
refused() {
	local what=$1 said
	shift
	said=$(ctl s --wait 1 "$@" 2>&1 >/dev/null)
	check_is "$what is refused, in one sentence that says why and what to do" "1, 1 line, acme/vm, libdpdk-dev, -Ddpdk=enabled" \
		"$?, $(wc -l <<<"$said") line, $(for word in acme/vm libdpdk-dev -Ddpdk=enabled; do
			grep -oFm1 -e "$word" <<<"$said" || echo "no $word in: $said"; done | paste -sd , | sed 's/,/, /g')"
}
refused "vhost-user" port add acme/vm --type vhost-user --segment web --socket "$LAB_DIR/vm"
refused "vhost-user as a server" port add acme/vm --type vhost-user --segment web --socket "$LAB_DIR/vm" --server
refused "dpdk" port add acme/vm --type dpdk --segment web --dev net_null0
cat >"$LAB_DIR/file" <<END
version: 1
tenants: { acme: { segments: { web: { ports: { vm: { type: vhost-user, socket: $LAB_DIR/vm } } } } } }
END
refused "a file with vhost-user" apply "$LAB_DIR/file"
check_is "nothing was changed" "$before" "$(ctl s export)"
check_not "nor made" test -e "$LAB_DIR/vm"

# ---- another datapath, and back ----
if ldd "$WITH/datapath/vswitch-datapath" | grep -q librte_vhost; then
	daemon_kill s datapath
	datapath_of "$WITH"
	daemon_start s datapath
	wait_until 10 switch_connected s || die "no datapath"
	check_is "with another datapath the port waits for its guest, exit 4" 4 "$(ctl s --wait 0.2 port add acme/vm --type vhost-user \
		--segment web --socket "$LAB_DIR/vm" >/dev/null 2>&1; echo $?)"
	check "for a guest" wait_until 10 reason_is "waiting *$LAB_DIR/vm*"
	daemon_kill s datapath
	datapath_of "$WITHOUT"
	daemon_start s datapath
	wait_until 10 switch_connected s || die "no datapath"
	check "back with the first one, it waits for DPDK" wait_until 10 reason_is "waiting *-Ddpdk=enabled*"
	check "and the others forward" wait_until 10 forwarding
fi
lab_finish
