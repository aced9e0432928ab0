# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Overlay peers that are not this switch: the kernel's vxlan device, and Open vSwitch's userspace datapath from
# packages. Sourced by run.
#
#   web1 tap, web2 veth (10.0.0.1, 10.0.0.2)       kernel: vx0 10.0.0.9        ovs: br-int 10.0.0.9
#            \ /                                        |                        |
#       [ switch host-a ] 172.31.0.1             172.31.0.2               172.31.0.3
#                 \______________________ fabric (a bridge) _________________/
#                        VNI 5001 to the kernel, VNI 5002 to Open vSwitch (db1, 10.0.0.1)

# shellcheck source=tests/lib.sh
declare -F lab_begin >/dev/null || . tests/lib.sh

topology_make() {
	ns_add fabric host-a kernel ovs web1 web2 db1
	fabric_make
	kernel_make
	ovs_make
	switch_start host-a host-a
	ctl host-a apply "$TOP/topologies/kernel-peer.host-a.yaml" || die "cannot apply kernel-peer.host-a.yaml"
	wait_until 10 switch_settled host-a || die "host-a did not settle: $(ctl host-a status)"
	iperf_server kernel
	iperf_server ovs
}

fabric_make() {
	local fabric=${LAB_PREFIX}fabric name address=1
	ip -n "$fabric" link add br0 type bridge || die "cannot make a bridge"
	ip -n "$fabric" link set br0 up
	for name in host-a kernel ovs; do
		ip -n "$fabric" link add "$name" type veth peer name underlay netns "$LAB_PREFIX$name" ||
			die "cannot join $name"
		ip -n "$fabric" link set "$name" master br0 up
		[ "$name" = ovs ] || ip -n "$LAB_PREFIX$name" addr add "172.31.0.$address/24" dev underlay
		ip -n "$LAB_PREFIX$name" link set underlay up
		address=$((address + 1))
	done
}

kernel_make() {
	local kernel=${LAB_PREFIX}kernel
	ip -n "$kernel" link add vx0 mtu 1450 type vxlan id 5001 local 172.31.0.2 remote 172.31.0.1 dstport 4789 \
		dev underlay || die "cannot make a vxlan device"
	ip -n "$kernel" addr add 10.0.0.9/24 dev vx0
	ip -n "$kernel" link set vx0 up
}

# Open vSwitch reads frames from its veth without their offload state: it takes packets whose checksums are
# complete only, so that everybody's checksum offload towards it is switched off.
ovs_make() {
	local db=unix:$LAB_DIR/ovs/db.sock
	mkdir "$LAB_DIR/ovs"
	ip netns exec "${LAB_PREFIX}fabric" ethtool -K ovs tx off >/dev/null 2>&1 || die "cannot set up the veth of ovs"
	in_ns host-a ethtool -K underlay tx-udp-segmentation off tx-checksum-ip-generic off >/dev/null 2>&1
	ovsdb-tool create "$LAB_DIR/ovs/conf.db" /usr/share/openvswitch/vswitch.ovsschema || die "cannot make a database"
	job_in ovs ovsdb-server.log ovsdb-server "$LAB_DIR/ovs/conf.db" --remote="p$db" \
		--unixctl="$LAB_DIR/ovs/db.ctl" --pidfile="$LAB_DIR/ovs/db.pid"
	wait_until 10 test -S "$LAB_DIR/ovs/db.sock" || die "ovsdb-server did not start"
	job_in ovs ovs-vswitchd.log env OVS_RUNDIR="$LAB_DIR/ovs" ovs-vswitchd "$db" \
		--unixctl="$LAB_DIR/ovs/switch.ctl" --pidfile="$LAB_DIR/ovs/switch.pid"
	in_ns ovs ovs-vsctl --timeout=10 --db="$db" \
		-- add-br br-phy -- set bridge br-phy datapath_type=netdev \
		-- add-port br-phy underlay \
		-- add-br br-int -- set bridge br-int datapath_type=netdev \
		-- add-port br-int vx0 -- set interface vx0 type=vxlan options:remote_ip=172.31.0.1 options:key=5002 ||
		die "ovs-vswitchd did not start"
	ip -n "${LAB_PREFIX}ovs" addr add 172.31.0.3/24 dev br-phy
	ip -n "${LAB_PREFIX}ovs" link set br-phy up
	ip -n "${LAB_PREFIX}ovs" addr add 10.0.0.9/24 dev br-int
	ip -n "${LAB_PREFIX}ovs" link set br-int mtu 1450 up
}

topology_prove() {
	local name
	for name in web1 web2; do
		row "$name: pings to the kernel's vxlan device answered" 5 "$(peer_answers $name 10.0.0.9)"
		row_between "$name: TCP to it" 100 "$(peer_rate $name)" 99999 Mbit/s
		row_between "$name: TCP from it" 100 "$(peer_rate $name --reverse)" 99999 Mbit/s
	done
	row "db1: pings to Open vSwitch answered" 5 "$(peer_answers db1 10.0.0.9)"
	row_between "db1: TCP to it" 10 "$(peer_rate db1)" 99999 Mbit/s
	row_between "db1: TCP from it" 10 "$(peer_rate db1 --reverse)" 99999 Mbit/s
	row "web1 and db1 have one address: answers across" 0 "$(peer_answers web2 10.0.0.3)"
}

# The first packet waits for addresses to be resolved, in the underlay too.
peer_answers() {
	in_ns "$1" ping -q -n -c 1 -w 3 "$2" >/dev/null
	in_ns "$1" ping -n -i 0.05 -c 5 -w 3 "$2" | grep -c 'bytes from'
}

peer_rate() {
	local name=$1
	shift
	in_ns "$name" iperf3 --client 10.0.0.9 --time 2 --json "$@" |
		jq '.end.sum_received.bits_per_second / 1e6 | round'
}

topology_hints() {
	local ctl="${LAB_BUILD#"$TOP/"}/cli/vswitchctl --run-dir $LAB_DIR"
	cat <<END
Look around:
    $ctl/host-a fdb list
    $ctl/host-a drops
    ip netns exec ${LAB_PREFIX}web1 ping 10.0.0.9
    ip netns exec ${LAB_PREFIX}kernel bridge fdb show dev vx0
    ip netns exec ${LAB_PREFIX}ovs ovs-vsctl --db=unix:$LAB_DIR/ovs/db.sock show
END
}
