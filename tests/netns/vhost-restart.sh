#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Guests come back: after the death of the datapath, of the control daemon, and of their own. The guests are ports of
# dpdk-testpmd, which send back every frame, with rings of all kinds, and two of vhost_prober.py, which asks them all.
#
#     tap   own1 (client)  own2 (server)   e1 … e7: virtio_user of one testpmd; e1, e2, e3, e4 (client), e5, e6, e7 (server)
#         [ switch s: tenant acme, segment web ]
#
# "client" is what the switch is. The other side of a server cannot come back in DPDK's virtio_user, but it can in QEMU,
# as own2 does here.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
needs_dpdk
command -v dpdk-testpmd >/dev/null || skip "dpdk-testpmd is not installed"
ns_add tap
mkdir "$LAB_DIR/vm"
LAB_WORKERS[s]=2
switch_start s

# What each virtio_user port is like; e1 is the first.
CLIENTS=("queues=2" "queues=2,packed_vq=1" "queues=2,in_order=1,mrg_rxbuf=0"
	"queues=1,packed_vq=1,in_order=1,vectorized=1")
SERVERS=("queues=2,mrg_rxbuf=0" "queues=2,packed_vq=1,mrg_rxbuf=0" "queues=1,in_order=1")

check "configuration" eval 'ctl s tenant add acme && ctl s segment add acme/web'
check "port acme/tap" ctl s port add acme/tap --type tap --segment web --ifname eth0 --netns "${LAB_PREFIX}tap"
vhost_port() {
	ctl s --wait 0 port add "acme/$1" --type vhost-user --segment web --socket "$LAB_DIR/vm/$1" "--$2" >/dev/null 2>&1
	check "the address of $1" ctl s fdb add --segment acme/web --port "acme/$1" "$3"
}
vhost_port own1 client 02:00:00:00:02:01
vhost_port own2 server 02:00:00:00:02:02
for number in 1 2 3 4 5 6 7; do
	vhost_port "e$number" "$([ $number -le ${#CLIENTS[@]} ] && echo client || echo server)" "02:00:00:00:01:0$number"
done

echo_start() {
	local number=0 options devices=()
	# A server of DPDK's leaves its socket behind when it is killed, and does not take it again.
	rm -f "$LAB_DIR"/vm/e[1-4]
	for options in "${CLIENTS[@]/#/server=1,}" "${SERVERS[@]}"; do
		number=$((number + 1))
		devices+=(--vdev "net_virtio_user$number,path=$LAB_DIR/vm/e$number,mac=02:00:00:00:01:0$number,$options")
	done
	nice dpdk-testpmd -l 0-1 --no-huge -m 256 --no-pci --no-shconf --no-telemetry --file-prefix "${LAB_PREFIX}echo" \
		"${devices[@]}" -- --forward-mode=macswap --port-topology=loop --auto-start --nb-cores=1 \
		--total-num-mbufs=8192 --stats-period 600 </dev/null >"$LAB_DIR/testpmd.log" 2>&1 &
	ECHO=$!
	LAB_JOBS+=("$ECHO")
	# Ports are connected long before it forwards.
	wait_until 20 grep -q packets/burst "$LAB_DIR/testpmd.log" || fail "testpmd does not run" "$(tail "$LAB_DIR/testpmd.log")"
}
state_of() {
	ctl s --json port show "acme/$1" | jq -r .status.state
}
all_are() {
	[ "$(for port in "${@:2}"; do state_of "$port"; done | sort -u)" = "$1" ]
}
ECHOES=(e1 e2 e3 e4 e5 e6 e7)

# asked_start, asked_end: what became of the questions is in $ASKED, a line for each guest.
asked_start() {
	rm -f "$LAB_DIR/asked"
	job_in tap asked "$PYTHON" -B "$TOP/tests/netns/vhost_prober.py" "$LAB_PREFIX" "$LAB_DIR/s" \
		"$LAB_BUILD/cli/vswitchctl" "$LAB_DIR/vm" tap
	PROBER=$!
	wait_until 10 grep -q running "$LAB_DIR/asked" || die "the prober does not run: $(cat "$LAB_DIR/asked")"
}
asked_end() {
	kill -TERM "$PROBER"
	wait "$PROBER"
	ASKED=$(grep -v running "$LAB_DIR/asked")
}
# of NAME WORD: the number behind that word
of() {
	awk -v name="$1" -v word="$2" '$1 == name { for (i = 2; i < NF; i++) if ($i == word) print $(i + 1) }' <<<"$ASKED"
}
# received: what each port has received so far, as JSON; answer BEFORE PORT...: did each receive 50 more?
received() {
	ctl s --json stats | jq -c '[.ports[] | {(.name | sub(".*/"; "")): .rx_packets}] | add'
}
answer() {
	local before=$1 now
	shift
	now=$(received) && jq -ne --argjson before "$before" --argjson now "$now" \
		'$ARGS.positional | all($now[.] >= $before[.] + 50)' --args "$@"
}
check_answers() {
	check "$1" wait_until 10 answer "$(received)" "${@:2}"
}
all_answered() {
	awk '!($3 == $5 && $3 >= 50 && $7 == 0 && $9 == 0) { print; bad = 1 } END { exit bad || NR != 9 }' <<<"$ASKED"
}

# ---- guests of all kinds ----
echo_start
check "testpmd's ports are up" wait_until 10 all_are up "${ECHOES[@]}"
asked_start
check_answers "every guest answers" "${ECHOES[@]}" own1 own2

# ---- the control daemon dies ----
daemon_kill s control KILL
daemon_start s control
check "the control daemon is back" wait_until 10 switch_settled s
check_answers "and every guest answers" "${ECHOES[@]}" own1 own2
asked_end
check "no frame was lost, changed, or came twice" all_answered

# ---- the datapath dies ----
# Less than a second without an answer, unless the machine had no processor for the switch: once more, then.
RETURNING=(e1 e2 e3 e4 own1 own2)
gaps() {
	local port
	for port in "${RETURNING[@]}"; do
		of "$port" longest-gap
	done
}
for attempt in 1 2 3; do
	asked_start
	for round in 1 2; do
		daemon_kill s datapath KILL
		daemon_start s datapath
		wait_until 10 switch_connected s
		check_answers "the datapath died, time $round: every guest that comes back answers again" "${RETURNING[@]}"
	done
	asked_end
	for port in "${RETURNING[@]}"; do
		check_is "$port: answers that were wrong" 0 "$(of "$port" wrong)"
	done
	longest=$(gaps | sort -n | tail -n 1)
	! is_between 0 "$longest" 0.999 || break
done
check_between "seconds without an answer, attempt $attempt" 0 "$longest" 0.999

# ---- a guest dies ----
kill -KILL "$ECHO"
{ wait "$ECHO"; } 2>/dev/null
check "testpmd is killed: its ports wait" wait_until 10 all_are waiting "${ECHOES[@]}"
echo_start
check "another one is started: they are up" wait_until 10 all_are up "${ECHOES[@]}"
asked_start
check_answers "every guest answers" "${ECHOES[@]}" own1 own2
asked_end
check "every frame, once" all_answered

# ---- the datapath's privileges, with guests ----
status=/proc/${LAB_PID[s.datapath]}/status
check_is "the datapath has no capabilities" "0000000000000000 0000000000000000 0000000000000000" \
	"$(awk '/^Cap(Prm|Eff|Bnd):/ { print $2 }' "$status" | paste -sd ' ')"
check_is "and cannot get new ones" 1 "$(awk '/^NoNewPrivs:/ { print $2 }' "$status")"
check_not "and is not root" grep -qE '^[UG]id:.*[[:space:]]0([[:space:]]|$)' "$status"
# What EAL wants to know of a machine, and nothing else.
check_is "and sees no file but these" "/sys/devices/system/cpu/cpu0/topology/core_id" \
	"$(cd "/proc/${LAB_PID[s.datapath]}/root/" && find . ! -type d | sed 's/^\.//')"

# ---- polling ----
# used KIND SECONDS: percent of a processor
used() {
	local before after
	before=$(ran "$1")
	sleep "$2"
	after=$(ran "$1")
	awk "BEGIN { printf \"%.2f\", ($after - $before) / $2 / 1e7 }"
}
ran() {
	cat "/proc/${LAB_PID[s.$1]}/task/"*/schedstat | awk '{ sum += $1 } END { print sum }'
}
check_between "nobody speaks: the datapath uses less than 1 % of a processor" 0 "$(used datapath 2)" 0.99
check_between "and the control daemon too" 0 "$(used control 1)" 0.99

LAB_ARGUMENTS[s.datapath]=--poll=always
daemon_kill s datapath
daemon_start s datapath
wait_until 10 switch_settled s
asked_start
check_answers "with --poll=always guests answer" e1 own1 own2
asked_end
check_between "and the datapath polls: percent of a processor, which it may have to share" 15 "$(used datapath 0.5)" 201
end_process "$ECHO"
lab_finish
