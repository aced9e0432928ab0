# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Worlds: a guest with some ports (guests.sh) and one side of the comparison that joins them. Sourced by paths/dpdk.sh.
#
#     guest, core 0: p0 p1 ... ---- vhost-user ---- [ the side, core 1 ]
#
# Most sides poll, so that all worlds but the one that is measured rest. The function world_SIDE makes one; it
# returns 1, with the reason in WHY, when it cannot.

TESTPMD_MB=512
# Whoever connects to a socket that is not there yet tries once a second.
CONNECT_SECONDS=20
declare -A WORLD_STOPPABLE=() # of a pair: processes that spin
declare -A WORLD_OVS=()       # of a pair: its Open vSwitch

WORLD_GUEST='' # tso: guests with TCP's offloads
WORLD_WIRE=''

# worlds_make WIRE PORTS client|server SIDE...: PAIRS are those that could be made. The mode is the switch's. Those of
# another wire end.
worlds_make() {
	local wire=$1 ports=$2 mode=$3 side
	shift 3
	[ "$wire" = "$WORLD_WIRE" ] || worlds_end
	PAIRS=() WORLD_WIRE=$wire
	for side; do
		[ -z "${WORLD_STOPPABLE[$wire-$side]+is there}" ] || { PAIRS+=("$wire-$side"); continue; }
		WHY=''
		if world_make "$wire-$side" "$side" "$ports" "$mode"; then
			PAIRS+=("$wire-$side")
		else
			absent dpdk "$side" "$WHY"
			echo "$wire-$side is left out: $WHY"
			world_end "$wire-$side"
		fi
	done
}

# world_make PAIR SIDE PORTS MODE
world_make() {
	local pair=$1 sockets=$LAB_DIR/$1.sockets
	# shellcheck disable=SC2034 # cpu_begin reads it
	PAIR_PROCESSES["$pair"]=""
	WORLD_STOPPABLE["$pair"]=""
	mkdir "$sockets" || die "cannot make a directory"
	hugepages_reserve $((GUEST_MB + OVS_MB)) || return
	if [ "$4" = client ]; then
		guest_start "$pair" "$3" server "$sockets" "$WORLD_GUEST"
		"world_$2" "$pair" "$3" client "$sockets" || return
	else
		"world_$2" "$pair" "$3" server "$sockets" || return
		wait_until 10 sockets_are_there "$sockets" "$3" || die "$pair makes no sockets"
		guest_start "$pair" "$3" client "$sockets" "$WORLD_GUEST"
	fi
	wait_until "$CONNECT_SECONDS" guest_is_ready "$pair" "$3" || die "the guest of $pair is not connected"
	world_pause "$pair"
}

sockets_are_there() {
	local port
	for ((port = 0; port < $2; port++)); do
		[ -S "$1/p$port" ] || return
	done
}

# All worlds, and the hugepages that they had.
worlds_end() {
	local pair
	for pair in "${!WORLD_STOPPABLE[@]}"; do
		world_end "$pair"
	done
	hugepages_return
}

# A process that is stopped does not end when it is told to.
world_end() {
	local pid name
	world_resume "$1"
	for pid in ${PAIR_GUESTS[$1]:-} ${WORLD_STOPPABLE[$1]} ${WORLD_OVS[$1]:-}; do
		end_process "$pid"
	done
	for name in "$1" "$1-away"; do
		[ -z "${LAB_PID[$name.datapath]:-}" ] || { daemon_kill "$name" datapath; daemon_kill "$name" control; }
	done
	unset "WORLD_STOPPABLE[$1]" "PAIR_GUESTS[$1]" "WORLD_OVS[$1]"
}

world_pause() {
	local thread
	# shellcheck disable=SC2086 # words
	[ -z "${WORLD_STOPPABLE[$1]}" ] || kill -STOP ${WORLD_STOPPABLE[$1]} 2>/dev/null
	for thread in $(ovs_pollers "$1"); do
		chrt --idle --pid 0 "$thread" 2>/dev/null
	done
}

world_resume() {
	local thread
	# shellcheck disable=SC2086 # words
	[ -z "${WORLD_STOPPABLE[$1]}" ] || kill -CONT ${WORLD_STOPPABLE[$1]} 2>/dev/null
	for thread in $(ovs_pollers "$1"); do
		chrt --other --pid 0 "$thread" 2>/dev/null
	done
}

# ovs_pollers PAIR: threads of Open vSwitch that spin. It is not stopped: what measures its own time would take itself for
# slow, and make do with few flows.
ovs_pollers() {
	[ -z "${WORLD_OVS[$1]:-}" ] || grep -l '^pmd' "/proc/${WORLD_OVS[$1]}/task/"*/comm 2>/dev/null | cut -d / -f 5
}

# world_polls PAIR NAME PID: a process of the side, which spins.
world_polls() {
	pair_process "$1" "$2" "$3"
	WORLD_STOPPABLE[$1]+=" $3"
}

# ---- the sides: PAIR PORTS MODE SOCKETS ----

world_switch() {
	local port message
	ns_add "$1-host"
	switch_make "$1" "$1-host"
	ctl "$1" segment add bench/s >/dev/null || die "segment"
	for ((port = 0; port < $2; port++)); do
		message=$(vhost_port "$1" "p$port" "$4/p$port" "--$3") || because "$message" || return
	done
	taskset -acp "$SWITCH_CORE" "${LAB_PID[$1.datapath]}" >/dev/null || die "taskset"
}

# vhost_port NAME PORT SOCKET [OPTION...]: it may wait for its guest (exit 4).
vhost_port() {
	local status=0
	ctl "$1" --wait 0 port add "bench/$2" --type vhost-user --segment s --socket "$3" "${@:4}" 2>&1 || status=$?
	[ $status = 0 ] || [ $status = 4 ]
}

testpmd_version() {
	dpdk-testpmd --version 2>&1 | sed -n 's/.*RTE Version: .\(DPDK [0-9.]*\).*/\1/p' | head -n 1
}

world_testpmd() {
	local devices=() port client=1
	command -v dpdk-testpmd >/dev/null || because "dpdk-testpmd is not installed" || return
	[ "$3" = client ] || client=0
	for ((port = 0; port < $2; port++)); do
		devices+=(--vdev "net_vhost$port,iface=$4/p$port,client=$client,queues=1")
	done
	mkfifo "$LAB_DIR/$1.console" || die "cannot make a pipe"
	# Its threads: one that waits for commands, and one that forwards. It ends with its standard input.
	taskset -c "$SWITCH_CORE" dpdk-testpmd --lcores "0@$SWITCH_CORE,1@$SWITCH_CORE" --main-lcore 0 --no-pci --in-memory \
		--no-telemetry -m $TESTPMD_MB "${devices[@]}" -- --forward-mode=macswap --auto-start \
		<>"$LAB_DIR/$1.console" >"$LAB_DIR/$1.testpmd.log" 2>&1 &
	LAB_JOBS+=("$!")
	world_polls "$1" dpdk-testpmd "$!"
}

# Ports of the other mode are called as their sockets are, below the directory of the instance.
world_ovsdpdk() {
	local port
	ns_add "$1-host"
	OVS_DPDK=yes ovs_start "$1" "$1-host" "$1" || return
	WORLD_OVS[$1]=$!
	# What its table has no room for it floods.
	ovs_bridge "$1" "$1-host" br0
	ovs "$1" "$1-host" set bridge br0 other_config:mac-table-size=1000000
	[ "$3" = client ] || { rmdir "$4" && ln -s "$LAB_DIR/ovs-$1" "$4"; } || die "cannot link $4"
	for ((port = 0; port < $2; port++)); do
		if [ "$3" = client ]; then
			ovs "$1" "$1-host" add-port br0 "p$port" -- set interface "p$port" type=dpdkvhostuserclient \
				options:vhost-server-path="$4/p$port"
		else
			ovs "$1" "$1-host" add-port br0 "p$port" -- set interface "p$port" type=dpdkvhostuser
		fi
	done
}

world_ovsdpdktso() { with_tso world_ovsdpdk "$@"; }
