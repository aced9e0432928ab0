# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Other people's userspace switches, from packages: Open vSwitch with its userspace datapath (netdev), and
# vde_switch. Sourced by tests/bench/run; pairs.sh says what a pair is. As they come, but for what docs/performance.md
# names. Side ovs is Open vSwitch as it comes, side ovstso with its experimental userspace TSO, and sides ovsdpdk and
# ovsdpdktso are its build with DPDK.

OVS_TSO=no OVS_DPDK=no
OVS_PMD_CORES=2 # with DPDK, as a mask: core 1
OVS_MB=512 # of hugepages, with DPDK

# ---- Open vSwitch ----

ovs_version() {
	ovs-vswitchd --version 2>/dev/null | sed -n '1s/.*(Open vSwitch) /Open vSwitch /p'
}

# The build with DPDK is beside the other one, whichever of them ovs-vswitchd is.
ovs_program() {
	[ "$OVS_DPDK" = no ] && echo ovs-vswitchd || echo /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk
}

# ovs_start NAME HOST PAIR: an instance of its own in that namespace, whose process is counted to the pair.
ovs_start() {
	local dir=$LAB_DIR/ovs-$1
	if ! command -v "$(ovs_program)" >/dev/null || ! command -v ovsdb-server >/dev/null; then
		because "$(ovs_program) or ovsdb-server is not installed"
		return
	fi
	mkdir "$dir"
	ovsdb-tool create "$dir/conf.db" /usr/share/openvswitch/vswitch.ovsschema || die "cannot make a database"
	job_in "$2" "ovsdb-$1.log" env OVS_RUNDIR="$dir" ovsdb-server "$dir/conf.db" --remote="punix:$dir/db.sock" \
		--unixctl="$dir/db.ctl" --pidfile="$dir/db.pid"
	wait_until 5 test -S "$dir/db.sock" || die "ovsdb-server did not start"
	# They are read once, at the start.
	[ "$OVS_TSO" = no ] || ovs "$1" "$2" --no-wait set open_vswitch . other_config:userspace-tso-enable=true
	[ "$OVS_DPDK" = no ] || ovs "$1" "$2" --no-wait set open_vswitch . other_config:dpdk-init=true \
		other_config:dpdk-lcore-mask=1 other_config:pmd-cpu-mask=$OVS_PMD_CORES other_config:dpdk-socket-mem=$OVS_MB \
		other_config:dpdk-extra="--no-pci --in-memory --no-telemetry"
	job_in "$2" "ovs-$1.log" env OVS_RUNDIR="$dir" "$(ovs_program)" "unix:$dir/db.sock" --unixctl="$dir/switch.ctl" \
		--pidfile="$dir/switch.pid"
	pair_process "$3" ovs-vswitchd "$!"
}

# ovs NAME HOST ARGUMENT...: ovs-vsctl of that instance, which returns when it is in effect.
ovs() {
	local name=$1 host=$2
	shift 2
	in_ns "$host" ovs-vsctl --timeout=10 --db="unix:$LAB_DIR/ovs-$name/db.sock" "$@" || die "ovs-vsctl $*"
}

# ovs_bridge NAME HOST BRIDGE
ovs_bridge() {
	ovs "$1" "$2" add-br "$3" -- set bridge "$3" datapath_type=netdev
}

# ovs_tap NAME HOST BRIDGE NAMESPACE ADDRESS [MTU]: a TAP that Open vSwitch makes, moved into the workload's namespace. It
# complains that it no longer sees the interface, and forwards.
ovs_tap() {
	local port=${4##*-}
	ovs "$1" "$2" add-port "$3" "tap-$port" -- set interface "tap-$port" type=tap
	ip -n "$LAB_PREFIX$2" link set "tap-$port" netns "$LAB_PREFIX$4" name eth0 || die "tap-$port"
	workload_up "$4" "$5" "${6:-1500}"
}

# ovs_veth NAME HOST BRIDGE NAMESPACE ADDRESS: without TSO it takes only packets whose checksums are complete, so that
# the workload's offloads must go.
ovs_veth() {
	workload_veth "$4" "$2" "port-${4##*-}" "$5"
	[ "$OVS_TSO" = yes ] || offloads_off "$4" eth0
	ovs "$1" "$2" add-port "$3" "port-${4##*-}"
}

# ovs_overlay NAME HOST NUMBER: bridge br-phy has the underlay, with 172.31.0.NUMBER, bridge br0 the tunnel.
ovs_overlay() {
	local name=$1 host=$2
	ip -n "$LAB_PREFIX$host" addr flush dev underlay
	ovs_bridge "$name" "$host" br-phy
	ovs_bridge "$name" "$host" br0
	ovs "$name" "$host" add-port br-phy underlay -- add-port br0 vxlan0 -- set interface vxlan0 type=vxlan \
		"options:remote_ip=172.31.0.$((3 - $3))" options:key=1
	ip -n "$LAB_PREFIX$host" addr add "172.31.0.$3/24" dev br-phy
	ip -n "$LAB_PREFIX$host" link set br-phy up
}

pair_tap_ovs() {
	ovs_start "$1" "$1-host" "$1" || return
	ovs_bridge "$1" "$1-host" br0
	ovs_tap "$1" "$1-host" br0 "$1-a" 10.0.0.1
	ovs_tap "$1" "$1-host" br0 "$1-b" 10.0.0.2
}

pair_veth_ovs() {
	ovs_start "$1" "$1-host" "$1" || return
	ovs_bridge "$1" "$1-host" br0
	ovs_veth "$1" "$1-host" br0 "$1-a" 10.0.0.1
	ovs_veth "$1" "$1-host" br0 "$1-b" 10.0.0.2
}

pair_vxlan_ovs() {
	local side number=1
	ns_add "$1-host-a" "$1-host-b"
	underlay "$1-host-a" "$1-host-b"
	for side in a b; do
		offloads_off "$1-host-$side" underlay
		ovs_start "$1-$side" "$1-host-$side" "$1" || return
		ovs_overlay "$1-$side" "$1-host-$side" $number
		ovs_tap "$1-$side" "$1-host-$side" br0 "$1-$side" 10.0.0.$number 1450
		number=$((number + 1))
	done
}

pair_tap_ovstso() { with_tso pair_tap_ovs "$1"; }
pair_veth_ovstso() { with_tso pair_veth_ovs "$1"; }
pair_limited_ovstso() { with_tso pair_limited_ovs "$1"; }
# Not over VXLAN: it drops what has offloads there, and says so.

with_tso() {
	local OVS_TSO=yes
	"$@"
}

pair_limited_ovs() {
	ovs_start "$1" "$1-host" "$1" || return
	ovs_bridge "$1" "$1-host" br0
	limited_veth "$1"
	ovs "$1" "$1-host" add-port br0 port-b
	ovs_tap "$1" "$1-host" br0 "$1-a" 10.0.0.1
}

pair_peer_ovs() {
	ovs_start "$1" "$1-host" "$1" || return
	peer_underlay "$1"
	offloads_off "$1-host" underlay
	offloads_off "$1-b" underlay
	ovs_overlay "$1" "$1-host" 1
	ovs_tap "$1" "$1-host" br0 "$1-a" 10.0.0.1 1450
}

# ---- vde_switch ----

vde_version() {
	vde_switch --version 2>/dev/null | sed -n '1p'
}

# It has TAPs only, each with a process of its own between it and the switch.
pair_tap_vde() {
	local dir=$LAB_DIR/vde-$1 side number=1
	if ! command -v vde_switch >/dev/null || ! command -v vde_plug2tap >/dev/null; then
		because "vde2 is not installed"
		return
	fi
	# It ends with its standard input; one that is open for writing has no end.
	mkfifo "$dir.console" || die "cannot make a pipe"
	ip netns exec "$LAB_PREFIX$1-host" vde_switch --sock "$dir" <>"$dir.console" >"$LAB_DIR/vde-$1.log" 2>&1 &
	LAB_JOBS+=("$!")
	pair_process "$1" vde_switch "$!"
	wait_until 5 test -S "$dir/ctl" || die "vde_switch does not start"
	for side in a b; do
		job_in "$1-$side" "vde-plug-$1-$side.log" vde_plug2tap --sock "$dir" eth0
		pair_process "$1" vde_plug2tap "$!"
		wait_until 5 in_ns "$1-$side" test -e /sys/class/net/eth0 || die "vde_plug2tap does not start"
		workload_up "$1-$side" 10.0.0.$number
		number=$((number + 1))
	done
}
