#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The Debian package: it builds, lintian has nothing to say, and what it installs starts, outlives its deaths
# and an upgrade, and goes without a trace. The machine is an overlay over this one, see machine.sh;
# tests/packaging/clean-root does the same on a Debian of its own.
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
check "packaging/build-deb" build_package
PACKAGE=$(echo "$LAB_DIR"/deb/vswitch_*.deb)
[ -f "$PACKAGE" ] || die "no package"
check_is "lintian has nothing to say" "" \
	"$(lintian --allow-root --display-level '>=warning' "$LAB_DIR"/deb/*.changes 2>&1)"

machine_start /
cp "$PACKAGE" "$MACHINE/mnt/vswitch.deb"
check "it installs" machine_run dpkg -i /mnt/vswitch.deb
check "the units verify" machine_run systemd-analyze verify vswitch-{control,datapath}.service
lifecycle
package_life
check_is "nothing is left" "" "$(machine_traces "${MACHINE_OTHERS[@]}")"
lab_finish
