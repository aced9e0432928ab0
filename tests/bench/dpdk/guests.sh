# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Guests of vhost-user ports, and the hugepages that they and others need. Sourced by paths/dpdk.sh.
#
# A guest is a process (guest.c) with some ports, which reads what it is to do from a pipe, or one (relay.c) that
# joins one port to the network stack of a namespace.

GUEST_CORE=0 SWITCH_CORE=1
GUEST_MB=320 RELAY_MB=160

# ---- hugepages ----

HUGEPAGES=/proc/sys/vm/nr_hugepages
HUGEPAGES_ADDED=0

# What datapaths with devices of DPDK, which tests beside may start, take of them.
HUGEPAGES_SPARE_MB=128

# hugepages_reserve MEGABYTES: so much more than there is, and with the first some to spare. Nothing needs to be mounted for --in-memory.
hugepages_reserve() {
	local before after spare=$((HUGEPAGES_ADDED == 0 ? HUGEPAGES_SPARE_MB : 0))
	before=$(<$HUGEPAGES)
	echo $((before + ($1 + spare) / 2)) >$HUGEPAGES
	after=$(<$HUGEPAGES)
	HUGEPAGES_ADDED=$((HUGEPAGES_ADDED + after - before))
	[ $((after - before)) -ge $(($1 / 2)) ] || because "no $1 MB of hugepages are to be had"
}

# All of them. What is in use goes with the last process that uses it.
hugepages_return() {
	local rest=$(($(<$HUGEPAGES) - HUGEPAGES_ADDED))
	[ "$HUGEPAGES_ADDED" = 0 ] || echo $((rest > 0 ? rest : 0)) >$HUGEPAGES
	HUGEPAGES_ADDED=0
}

# ---- a guest with ports ----

# guest_start PAIR COUNT server|client DIRECTORY [tso]: its sockets are DIRECTORY/p0 and so on, on which it listens, or to
# which it connects. It is ready when all are connected.
guest_start() {
	local pair=$1 count=$2 mode=$3 directory=$4 devices=() port
	for ((port = 0; port < count; port++)); do
		devices+=(--vdev "$(guest_device "$port" "$directory/p$port" "$mode")")
	done
	mkfifo "$LAB_DIR/$pair.ask" || die "cannot make a pipe"
	# Open for writing as well, it has no end.
	taskset -c $GUEST_CORE "$LAB_BUILD/tests/bench/dpdk/guest" --lcores 0@$GUEST_CORE --no-pci --in-memory \
		--single-file-segments --no-telemetry -m $GUEST_MB "${devices[@]}" -- $SWITCH_CORE ${5:+"$5"} \
		<>"$LAB_DIR/$pair.ask" >"$LAB_DIR/$pair.answers" 2>"$LAB_DIR/$pair.guest.log" &
	PAIR_GUESTS["$pair"]=$!
	LAB_JOBS+=("$!")
}

# guest_device NUMBER SOCKET server|client
guest_device() {
	local server=0
	[ "$3" = client ] || server=1
	echo "virtio_user$1,path=$2,server=$server,queues=1"
}

# guest_is_ready PAIR COUNT: are so many ports there?
guest_is_ready() {
	grep -qx "ready $2" "$LAB_DIR/$1.answers"
}

# guest_ask PAIR WORD...: prints the answer. Returns 1 when there is none in time.
guest_ask() {
	local pair=$1 file=$LAB_DIR/$1.answers count
	shift
	count=$(wc -l <"$file")
	echo "$*" >"$LAB_DIR/$pair.ask"
	wait_until $((SECONDS_EACH + 90)) has_more_lines "$file" "$count" || return
	tail -n 1 "$file" | jq -ce 'select(.slices)'
}

has_more_lines() {
	[ "$(wc -l <"$1")" -gt "$2" ]
}

# ---- a guest with a network stack ----

# relay_start PAIR SIDE SOCKET: the guest's stack is that of namespace PAIR-SIDE, and its eth0 the port's.
relay_start() {
	"$LAB_BUILD/tests/bench/dpdk/relay" --lcores "0@0-$(($(nproc) - 1))" --no-pci --in-memory --single-file-segments \
		--no-telemetry -m $RELAY_MB --vdev "$(guest_device 0 "$3" server)" -- "$LAB_PREFIX$1-$2" eth0 \
		</dev/null >"$LAB_DIR/$1-$2.relay.log" 2>&1 &
	LAB_JOBS+=("$!")
	PAIR_GUESTS[$1]+=" $!"
}

relay_is_ready() {
	grep -q '^ready' "$LAB_DIR/$1.relay.log"
}
