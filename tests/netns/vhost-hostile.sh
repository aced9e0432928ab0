#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Frontends of vhost-user that break the protocol and the rings harm no other port. vhost_hostile.py has the attacks.
#
#     good (server)  good-tap   [ acme/web ]        evil0 … evil127 (server)  evil-tap   [ evil/web ]
#
# "server" is what the switch is: so attacks need not wait for it to connect.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
needs_dpdk
ns_add good-tap evil-tap
mkdir "$LAB_DIR/vm"
switch_start s
# vhost_port NAME: a line of the file
vhost_port() {
	echo "          $1: { type: vhost-user, socket: $LAB_DIR/vm/$1, server: true }"
}
{
	printf '%s\n' "version: 1" "tenants:"
	for tenant in acme evil; do
		printf '%s\n' "  $tenant:" "    segments:" "      web:" "        ports:"
		[ $tenant = evil ] || vhost_port good
		[ $tenant = acme ] || for number in {0..127}; do vhost_port "evil$number"; done
	done
} >"$LAB_DIR/file"
check_is "ports that wait, exit 4" 4 "$(ctl s --wait 0 apply "$LAB_DIR/file" >/dev/null 2>&1; echo $?)"
for port in acme/good-tap evil/evil-tap; do
	check "port $port" ctl s port add $port --type tap --segment web --ifname eth0 --netns "$LAB_PREFIX${port#*/}"
done
"$PYTHON" -B "$TOP/tests/netns/vhost_hostile.py" "$LAB_PREFIX" "$LAB_DIR/s" "$LAB_BUILD/cli/vswitchctl" "$LAB_DIR/vm" \
	"${@:2}" || LAB_FAILED=1
lab_finish
