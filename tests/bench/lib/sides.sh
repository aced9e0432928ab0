# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The switch, the bare loops and the kernel. Sourced by tests/bench/run; pairs.sh says what a pair is. Other
# people's switches are in peers.sh.

WORKERS=1 # of the switches that are made

# ---- one switch, bridge or loop ----

pair_tap_switch() { switch_local "$1" tap tap; }
pair_veth_switch() { switch_local "$1" veth veth; }

# The same with two workers.
pair_tap_switch2() { with_workers pair_tap_switch "$1"; }
pair_veth_switch2() { with_workers pair_veth_switch "$1"; }
pair_vxlan_switch2() { with_workers pair_vxlan_switch "$1"; }

with_workers() {
	local WORKERS=2
	"$@"
}

# switch_local PAIR TYPE TYPE
switch_local() {
	switch_make "$1" "$1-host"
	ctl "$1" segment add bench/s >/dev/null || die "segment"
	switch_port "$1" a 1 "$2" "$1-a"
	switch_port "$1" b 2 "$3" "$1-b"
}

# switch_make NAME HOST [PAIR]: a switch with a tenant, whose processes are counted to that pair.
switch_make() {
	# shellcheck disable=SC2034 # daemon_start reads it
	LAB_WORKERS["$1"]=$WORKERS
	switch_start "$1" "$2"
	pair_process "${3:-$1}" vswitch-datapath "${LAB_PID[$1.datapath]}"
	pair_process "${3:-$1}" vswitch-control "${LAB_PID[$1.control]}"
	ctl "$1" tenant add bench >/dev/null || die "tenant"
}

# switch_port NAME PORT NUMBER TYPE NAMESPACE
switch_port() {
	ctl "$1" port add "bench/$2" --type "$4" --segment s --ifname eth0 --netns "$LAB_PREFIX$5" --ip "10.0.0.$3/24" \
		>/dev/null || die "port $2 of $1"
}

pair_tap_loop() {
	loop_start "$1" tap_loop "$LAB_PREFIX$1-a" eth0 "$LAB_PREFIX$1-b" eth0
	workload_up "$1-a" 10.0.0.1
	workload_up "$1-b" 10.0.0.2
}

pair_veth_loop() {
	workload_veth "$1-a" "$1-host" port-a 10.0.0.1
	workload_veth "$1-b" "$1-host" port-b 10.0.0.2
	loop_start "$1" veth_loop port-a port-b
}

# loop_start PAIR PROGRAM ARGUMENT...
loop_start() {
	local pair=$1 program=$2
	shift 2
	job_in "$pair-host" "$pair.log" "$LAB_BUILD/tests/bench/$program" "$@"
	pair_process "$pair" "$program" "$!"
	wait_until 5 grep -q ready "$LAB_DIR/$pair.log" || die "$program does not start"
}

# The kernel has no userspace TAP to TAP: the bridge is between two veths, whatever it is compared with.
pair_tap_bridge() { pair_veth_bridge "$1"; }

pair_veth_bridge() {
	bridge_make "$1-host"
	workload_veth "$1-a" "$1-host" port-a 10.0.0.1
	workload_veth "$1-b" "$1-host" port-b 10.0.0.2
	bridge_ports "$1-host" port-a port-b
}

bridge_make() {
	ip -n "$LAB_PREFIX$1" link add br0 type bridge || die "bridge"
	ip -n "$LAB_PREFIX$1" link set br0 up
}

# bridge_ports HOST IFNAME...
bridge_ports() {
	local host=$LAB_PREFIX$1 port
	shift
	for port; do
		ip -n "$host" link set "$port" master br0 up || die "bridge port $port"
	done
}

# Nothing in between: what source and sink can do by themselves on these cores.
pair_tap_direct() { pair_veth_direct "$1"; }
pair_vxlan_direct() { pair_veth_direct "$1" 1450; }

pair_veth_direct() {
	ip -n "$LAB_PREFIX$1-a" link add eth0 type veth peer name eth0 netns "$LAB_PREFIX$1-b" || die "veth"
	workload_up "$1-a" 10.0.0.1 "${2:-1500}"
	workload_up "$1-b" 10.0.0.2 "${2:-1500}"
}

# ---- over VXLAN: two of them, PAIR-host-a and PAIR-host-b, with an underlay of 1500 ----

pair_vxlan_switch() {
	local side number=1
	ns_add "$1-host-a" "$1-host-b"
	underlay "$1-host-a" "$1-host-b"
	for side in a b; do
		switch_vxlan "$1-host-$side" "$1-host-$side" "$1" $number
		switch_port "$1-host-$side" $side $number tap "$1-$side"
		number=$((number + 1))
	done
}

# switch_vxlan NAME HOST PAIR NUMBER: one with segment bench/s on the VTEP 172.31.0.NUMBER; its peer is the other.
switch_vxlan() {
	switch_make "$1" "$2" "$3"
	ctl "$1" vtep set --local "172.31.0.$4" >/dev/null || die "vtep"
	ctl "$1" segment add bench/s --vni 1 --peer "172.31.0.$((3 - $4))" >/dev/null || die "segment"
}

pair_vxlan_bridge() {
	local side number=1
	ns_add "$1-host-a" "$1-host-b"
	underlay "$1-host-a" "$1-host-b"
	for side in a b; do
		bridge_vxlan "$1" $side $number
		number=$((number + 1))
	done
}

# bridge_vxlan PAIR SIDE NUMBER: the workload's veth and a vxlan device on a bridge.
bridge_vxlan() {
	local host=$1-host-$2
	bridge_make "$host"
	vxlan_device "$host" vxlan0 "$3"
	workload_veth "$1-$2" "$host" port "10.0.0.$3" 1450
	bridge_ports "$host" vxlan0 port
}

# vxlan_device NAMESPACE IFNAME NUMBER
vxlan_device() {
	ip -n "$LAB_PREFIX$1" link add "$2" mtu 1450 type vxlan id 1 local "172.31.0.$3" remote "172.31.0.$((3 - $3))" \
		dstport 4789 dev underlay || die "vxlan device"
}

# ---- mixed: what the sender may send, the receiver does not take ----

# A receiver's port without offloads: an interface that neither segments nor fills in checksums. Whoever sends there must
# have cut a super-packet before.
limited_veth() {
	workload_veth "$1-b" "$1-host" port-b 10.0.0.2
	offloads_off "$1-host" port-b
	offloads_off "$1-b" eth0
}

# offloads_off NAMESPACE IFNAME
offloads_off() {
	in_ns "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null 2>&1 || die "cannot set offloads of $2"
}

pair_limited_switch() {
	limited_veth "$1"
	switch_make "$1" "$1-host"
	ctl "$1" segment add bench/s >/dev/null || die "segment"
	switch_port "$1" a 1 tap "$1-a"
	ctl "$1" port add bench/b --type netdev --segment s --ifname port-b >/dev/null || die "port b of $1"
}

pair_limited_bridge() {
	limited_veth "$1"
	bridge_make "$1-host"
	workload_veth "$1-a" "$1-host" port-a 10.0.0.1
	bridge_ports "$1-host" port-a port-b
}

# The workload b is a vxlan device of the kernel itself.
pair_peer_switch() {
	peer_underlay "$1"
	switch_vxlan "$1" "$1-host" "$1" 1
	switch_port "$1" a 1 tap "$1-a"
}

pair_peer_bridge() {
	peer_underlay "$1"
	bridge_make "$1-host"
	vxlan_device "$1-host" vxlan0 1
	workload_veth "$1-a" "$1-host" port 10.0.0.1 1450
	bridge_ports "$1-host" vxlan0 port
}

# peer_underlay PAIR: from PAIR-host, 172.31.0.1, to PAIR-b, which is 172.31.0.2 and has 10.0.0.2 on a vxlan device.
peer_underlay() {
	underlay "$1-host" "$1-b"
	vxlan_device "$1-b" eth0 2
	workload_up "$1-b" 10.0.0.2 1450
}
