#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Frontends of vhost-user that break the protocol and the rings harm no other port. vhost_hostile.py has the attacks.
#
#     good (server)  good-tap   [ acme/web ]        evil0 … evil15 (server)  evil-tap   [ evil/web ]
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
for tenant in acme evil; do
	check "tenant $tenant" eval "ctl s tenant add $tenant && ctl s segment add $tenant/web"
done
for port in acme/good-tap evil/evil-tap; do
	check "port $port" ctl s port add $port --type tap --segment web --ifname eth0 --netns "$LAB_PREFIX${port#*/}"
done
for port in acme/good evil/evil{0..15}; do
	ctl s --wait 0 port add "$port" --type vhost-user --segment web --socket "$LAB_DIR/vm/${port#*/}" --server \
		>/dev/null 2>&1
done
"$PYTHON" -B "$TOP/tests/netns/vhost_hostile.py" "$LAB_PREFIX" "$LAB_DIR/s" "$LAB_BUILD/cli/vswitchctl" "$LAB_DIR/vm" \
	"${@:2}" || LAB_FAILED=1
lab_finish
