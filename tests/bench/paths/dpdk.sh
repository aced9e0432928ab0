# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# vhost-user ports beside dpdk-testpmd and Open vSwitch with DPDK. The parts are functions of ../dpdk/*.sh;
# "tests/bench/run dpdk/PART" measures one of them. The guests' core is 0, the switch's is 1.

DPDK_PARTS=(loop macs ceiling super broadcast tcp tap vxlan kernel)
DPDK_SMOKE_PARTS=(loop macs ceiling broadcast vxlan)

for dpdk_file in guests switches circles streams; do
	# shellcheck disable=SC1090 # a file of ../dpdk
	. "$BENCH/dpdk/$dpdk_file.sh"
done

# path_dpdk [PART]
path_dpdk() {
	local part parts=("${DPDK_PARTS[@]}")
	[ "$SMOKE" = no ] || parts=("${DPDK_SMOKE_PARTS[@]}")
	[ -x "$LAB_BUILD/tests/bench/dpdk/guest" ] || { absent dpdk switch "this build has no DPDK"; return; }
	[ "$(nproc)" -ge 2 ] || { absent dpdk switch "needs two cores"; return; }
	trap 'dpdk_end $?' EXIT
	side_is dpdk switch "one worker, as it comes (adaptive polling), without hugepages"
	side_is dpdk testpmd "$(testpmd_version) macswap, two net_vhost"
	side_is dpdk ovsdpdk "$(ovs_version) with DPDK, one PMD, datapath_type=netdev, ports of type dpdkvhostuserclient, NORMAL"
	for part in ${1:-"${parts[@]}"}; do
		[[ " ${DPDK_PARTS[*]} " == *" $part "* ]] || die "dpdk has no part $part, but ${DPDK_PARTS[*]}"
		"dpdk_$part"
	done
	worlds_end
}

# dpdk_end STATUS: the pages go back before the rest ends, and with those who still use them.
dpdk_end() {
	local pair
	hugepages_return
	# What is stopped would not end when it is told to.
	for pair in "${!WORLD_STOPPABLE[@]}"; do
		world_resume "$pair"
	done
	lab_end "$1"
}
