#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# packaging/install and packaging/uninstall on a machine that runs systemd: what they install starts, outlives
# its deaths, and goes without a trace. Then on one where systemd does not run, and the daemons are plain processes. The
# machines are overlays over this one, see machine.sh.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/packaging/machine.sh
. "$HERE/machine.sh"
# shellcheck source=tests/packaging/lifecycle.sh
. "$HERE/lifecycle.sh"

machine_enter "$@"
lab_begin "${1:-}"
machine_start /
copy_tree "$MACHINE/mnt/vswitch"

check_is "before: nothing" "" "$(machine_traces "${MACHINE_OTHERS[@]}")"

check "packaging/install" install_here
check "the units verify" machine_run systemd-analyze verify \
	/usr/local/lib/systemd/system/vswitch-{control,datapath}.service
lifecycle

# ---- once more, over a switch that runs ----
before=$(interfaces)
machine_run sh -c 'echo "# mine" >>/etc/default/vswitch'
check "packaging/install again" install_here
check "settled" wait_until 10 installed_settled
check_is "the interfaces are the same" "$before" "$(interfaces)"
check "it forwards" wait_until 10 installed_ping
check "the edited configuration stays" machine_run grep -qx '# mine' /etc/default/vswitch

# ---- gone, and back ----
check "packaging/uninstall" machine_run /mnt/vswitch/packaging/uninstall
check_not "no daemon is left" machine_run pgrep vswitch
check_is "no interface is left" "lo lo" "$(interface_names)"
check_is "the adopted one is as it was" "$ADOPTED" "$(adopted)"
check_is "the state and the edited configuration are, and nothing else" \
	"new:     /etc/default/vswitch new:     /var/lib/vswitch" \
	"$(machine_traces "${MACHINE_OTHERS[@]}" ^/var/lib/vswitch/ | paste -sd ' ')"
check "packaging/install" install_here
check "settled, with the former state" wait_until 10 installed_settled
check "it forwards" wait_until 10 installed_ping
check "packaging/uninstall --purge" machine_run /mnt/vswitch/packaging/uninstall --purge
check_is "nothing is left" "" "$(machine_traces "${MACHINE_OTHERS[@]}")"
check_is "no unit is left, and none that failed" "" \
	"$(machine_run systemctl --all --no-legend list-units 'vswitch*')$(machine_run find /etc/systemd/system -name 'vswitch*')"
check_is "no account is left" "" "$(machine_run getent group vswitch vswitch-read vswitch-datapath)"
check_is "no file of a running switch is left" "" "$(machine_run find /run -name '*vswitch*')"

# ---- without systemd; what was built stays ----
cp -a "$MACHINE/mnt/vswitch" "$LAB_DIR/vswitch"
machine_end
machine_start / plain
cp -a "$LAB_DIR/vswitch" "$MACHINE/mnt/vswitch"

connected() {
	local status
	status=$(machine_run vswitchctl --json status) && jq -e '.datapath.state == "connected"' <<<"$status" >/dev/null
}
pids() { machine_run pgrep -d ' ' -f '^/usr/local/sbin/vswitch-'; }

check_not "a relative prefix is refused" install_here --prefix opt
check_not "an unknown option is refused" install_here --fast
check_not "nothing can be uninstalled yet" machine_run /mnt/vswitch/packaging/uninstall
check_not "nobody but root installs" machine_run setpriv --reuid nobody --clear-groups /mnt/vswitch/packaging/install
check_is "nothing happened" "" "$(machine_traces "${MACHINE_OTHERS[@]}")"

check "packaging/install" install_here
check "the daemons are connected" wait_until 10 connected
machine_run vswitchctl tenant add acme
machine_run vswitchctl segment add acme/web
check "a port in the host's namespace" machine_run vswitchctl port add acme/tap0 --type tap --segment web --ifname tap0
before=$(pids)
check_is "two daemons run" 2 "$(wc -w <<<"$before")"
check "packaging/install again" install_here
check "the daemons are connected" wait_until 10 connected
check_is "two daemons run" 2 "$(pids | wc -w)"
check_not "others than before" grep -qw -e "${before% *}" -e "${before#* }" <<<"$(pids)"
check "the port is there" machine_run ip link show tap0
check "packaging/uninstall --purge" machine_run /mnt/vswitch/packaging/uninstall --purge
check_is "no daemon is left" "" "$(pids)"
check_not "no interface is left" machine_run ip link show tap0
check_is "nothing is left" "" "$(machine_traces "${MACHINE_OTHERS[@]}")"
check_is "no file of a running switch is left" "" "$(machine_run find /run /var/log -name '*vswitch*')"

check "only files, elsewhere" install_here --destdir /mnt/stage --prefix /opt/vswitch
check "they are there" test -x "$MACHINE/mnt/stage/opt/vswitch/sbin/vswitch-control" \
	-a -f "$MACHINE/mnt/stage/etc/systemd/system/vswitch-control.service"
check "and go" machine_run /mnt/vswitch/packaging/uninstall --destdir /mnt/stage --prefix /opt/vswitch
check_is "without a trace" /mnt/stage "$(machine_run find /mnt/stage)"
lab_finish
