#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Ports of type dpdk on devices that need no hardware, beside a TAP and the overlay; devices that are not there; and what
# needs a restart of the datapath. dpdk.py has the exact frames.
#
#     peer: nic0, nic1           t1              far
#        | veth   | veth         | tap            | tap
#     [ nic       uplink0   switch s, host ]   [ switch far, other ]
#       net_af_packet 0 and 1           +--VXLAN-+          nic later: net_af_xdp
#     cap: net_pcap     mem: net_memif, with dpdk-testpmd     null: net_null     none: a device that is not there
#
# acme/web has t1, nic, mem, cap, null, far by VNI 5001, and tag 100 on uplink0; acme/db has t2 and tag 200.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
needs_dpdk
ns_add host other peer t1 t2 far
underlay host other 1600
for number in 0 1; do
	ip -n "${LAB_PREFIX}host" link add nic$number type veth peer name nic$number netns "${LAB_PREFIX}peer"
	ip -n "${LAB_PREFIX}host" link set nic$number up
	ip -n "${LAB_PREFIX}peer" link set nic$number up
	# These devices hand frames on as they are: partial checksums too.
	in_ns peer ethtool -K nic$number tx off tso off >/dev/null || fail ethtool
done
switch_start s host
switch_start far other
FILES=$LAB_DIR/s
"$PYTHON" -B "$TOP/tests/netns/pcap.py" make "$FILES/replayed.pcap" 100 400 0 pcap

state_of() {
	ctl s --json port show "$1" | jq -r .status.state
}
reason_of() {
	ctl s --json port show "$1" | jq -r '.status.reason // ""'
}
# add_device PORT DEVICE OPTION...: it waits until a datapath opens it.
add_device() {
	ctl s --wait 0 port add "$1" --type dpdk --dev "$2" "${@:3}" >/dev/null 2>&1
	check_is "port $1 on $2" "4, vswitch-datapath has to be restarted to open $2" "$?, $(reason_of "$1")"
}
restart() {
	daemon_kill s datapath
	daemon_start s datapath
	wait_until 10 switch_connected s || die "the datapath did not come back"
}
forwarding() {
	can_ping t1 10.0.0.9
}

check "configuration" eval 'ctl s tenant add acme && ctl s segment add acme/web --vni 5001 --peer 172.31.0.2 &&
	ctl s segment add acme/db && ctl s vtep set --local 172.31.0.1 && ctl far tenant add acme &&
	ctl far segment add acme/web --vni 5001 --peer 172.31.0.1 && ctl far vtep set --local 172.31.0.2'
check "port acme/t1" ctl s port add acme/t1 --type tap --segment web --ifname eth0 --netns "${LAB_PREFIX}t1" --ip 10.0.0.1/24
check "port acme/t2" ctl s port add acme/t2 --type tap --segment db --ifname eth0 --netns "${LAB_PREFIX}t2"
check "port acme/far" ctl far port add acme/far --type tap --segment web --ifname eth0 --netns "${LAB_PREFIX}far" \
	--ip 10.0.0.9/24
check "TAP and overlay forward" wait_until 10 forwarding

# ---- devices need a restart ----
add_device acme/nic net_af_packet0,iface=nic0 --segment web
add_device uplink0 net_af_packet1,iface=nic1 --trunk acme/web=100,acme/db=200
add_device acme/null net_null0,no-rx=1 --segment web
add_device acme/none net_af_packet2,iface=nowhere --segment web
add_device acme/odd net_nothing0 --segment web
add_device acme/pci 0000:7f:1f.7 --segment web
for dev in class=eth bus=vdev,name=net_ring0 0000:03:00.0foo 0000:fff:00.0 03:00.0 'net_null0, no-rx=1' -a ',x'; do
	check_is "no device: $dev" 1 "$(ctl s --wait 0 port add acme/bad --type dpdk --segment web --dev="$dev" >/dev/null 2>&1; echo $?)"
done
pid=$(ctl s --json status | jq .datapath.pid)
check "and nothing else waits for it" forwarding
check_is "the datapath was left alone" "$pid" "$(ctl s --json status | jq .datapath.pid)"
restart
for port in acme/nic uplink0 acme/null; do
	check_is "$port, the datapath having been restarted" up "$(state_of $port)"
done
for port in acme/none acme/odd acme/pci; do
	check_is "$port has no device" waiting "$(state_of $port)"
	reason=$(reason_of $port)
	check "it says why: $reason" eval '[ -n "$reason" ] && [[ $reason != *restarted* ]]'
done
check_is "the datapath runs, once" 1 "$(grep -c 'is ready\|listening' "$LAB_DIR/s.datapath.log" | head -n 1 | sed 's/[0-9]*/1/')"
check "TAP and overlay forward" wait_until 10 forwarding
status=/proc/${LAB_PID[s.datapath]}/status
check_is "the datapath has no capabilities" "0000000000000000 0000000000000000 0000000000000000" \
	"$(awk '/^Cap(Prm|Eff|Bnd):/ { print $2 }' "$status" | paste -sd ' ')"
check_not "and is not root" grep -qE '^[UG]id:.*[[:space:]]0([[:space:]]|$)' "$status"

# ---- drivers that wait, and that crash ----
ctl s --wait 0 port add acme/waits --type dpdk --segment web --dev "net_virtio_user7,path=$LAB_DIR/s/waits,server=1" 2>/dev/null
daemon_kill s datapath
check_is "without a datapath no port asks for a restart" "no datapath is running" "$(reason_of acme/waits)"
daemon_start s datapath
check "a driver waits for another side" wait_until 10 test -S "$LAB_DIR/s/waits"
kill -SEGV "${LAB_PID[s.datapath]}"
check "it crashes: the datapath comes up without it" wait_until 10 switch_connected s
check_is "and its port says so" "DPDK cannot open net_virtio_user7,path=" "$(reason_of acme/waits | cut -c 1-39)"
check "that it crashed" eval '[[ $(reason_of acme/waits) = *": its driver crashed" ]]'
check "TAP and overlay forward" wait_until 10 forwarding
daemon_kill s datapath
rm "$LAB_DIR/s/waits"
daemon_start s datapath
check "it waits for too long: the datapath comes up without it" wait_until 30 switch_connected s
check "and its port says so" eval '[[ $(reason_of acme/waits) = *": its driver waits for something" ]]'
for port in acme/nic uplink0 acme/null; do
	check_is "$port is open" up "$(state_of $port)"
done
check "TAP and overlay forward" wait_until 10 forwarding
ctl s port del acme/waits

# ---- devices that are polled for ever, before anything came; 32 of them ----
LAB_ARGUMENTS[always.datapath]=--poll=always
switch_start always
ctl always tenant add acme && ctl always segment add acme/web
for number in {0..32}; do
	ctl always --wait 0 port add "acme/n$number" --type dpdk --segment web --dev "net_null$number,no-rx=1" >/dev/null 2>&1
done
daemon_kill always datapath
daemon_start always datapath
many_are_open() {
	[ "$(ctl always --json port list | jq -r '[.ports[].status] | map(select(.state == "up")) | length')" = 32 ]
}
check "32 devices are open" wait_until 10 many_are_open
check_is "and one more says why it is not" "there are 32 others already" \
	"$(ctl always --json port list | jq -r '.ports[].status | select(.state == "waiting").reason' | sed 's/.*: //')"
ticks() {
	awk '{ print $14 + $15 }' "/proc/${LAB_PID[always.datapath]}/stat"
}
before=$(ticks)
sleep 1
check_between "hundredths of a second that it is polled in one" 20 $(($(ticks) - before)) 400
daemon_kill always datapath

# ---- exact frames ----
ctl s port del acme/none
ctl s port del acme/odd
ctl s port del acme/pci
check_is "ports were deleted: the datapath was left alone" "${LAB_PID[s.datapath]}" "$(ctl s --json status | jq .datapath.pid)"
ip -n "${LAB_PREFIX}t1" addr flush dev eth0
ip -n "${LAB_PREFIX}far" addr flush dev eth0
"$PYTHON" -B "$TOP/tests/netns/dpdk.py" "$LAB_PREFIX" "$LAB_DIR/s" "$LAB_BUILD/cli/vswitchctl" || LAB_FAILED=1
check "null takes what floods" eval '[ "$(port_counter s acme/null tx_packets)" -gt 50 ]'
check_is "and gives nothing" 0 "$(port_counter s acme/null rx_packets)"
ctl s port del acme/null

# ---- a capture file, memif and af_xdp ----
ctl s port del acme/nic
add_device acme/nic net_af_xdp0,iface=nic0 --segment web
add_device acme/cap "net_pcap0,rx_pcap=$FILES/replayed.pcap,tx_pcap=$FILES/recorded.pcap" --segment web
add_device acme/mem "net_memif0,role=server,socket=$FILES/memif.sock,socket-abstract=no" --segment web
job_in t1 dump.log tcpdump -i eth0 -Q in -B 16384 --immediate-mode -U -w "$LAB_DIR/dump" ether proto 0x88b5
wait_until 10 grep -q listening "$LAB_DIR/dump.log" || die "tcpdump does not listen"
DUMP=${LAB_JOBS[-1]}
restart
for port in acme/cap acme/nic; do
	check_is "$port, the datapath having been restarted" up "$(state_of $port)"
done
replayed() {
	[ "$(port_counter s acme/cap rx_packets)" = 100 ]
}
check "the file is replayed" wait_until 10 replayed
end_process "$DUMP"
check_is "every frame reached the TAP" "same 100" "$("$PYTHON" -B "$TOP/tests/netns/pcap.py" compare \
	"$FILES/replayed.pcap" "$LAB_DIR/dump")"
command -v dpdk-testpmd >/dev/null || { echo "      dpdk-testpmd is not installed: no memif"; lab_finish; }
ctl s fdb add --segment acme/web --port acme/mem 02:00:00:00:01:01
nice dpdk-testpmd -l 0-1 --no-huge -m 128 --no-pci --no-shconf --no-telemetry --file-prefix "${LAB_PREFIX}memif" \
	--vdev "net_memif0,role=client,socket=$FILES/memif.sock,socket-abstract=no" -- --forward-mode=macswap \
	--port-topology=loop --auto-start --total-num-mbufs=2048 --stats-period 600 </dev/null >"$LAB_DIR/testpmd.log" 2>&1 &
LAB_JOBS+=("$!")
"$PYTHON" -B "$TOP/tests/netns/wire.py" send "${LAB_PREFIX}t1" 1 ff:ff:ff:ff:ff:ff 02:00:00:00:00:01 60
echoed() {
	"$PYTHON" -B "$TOP/tests/netns/wire.py" send "${LAB_PREFIX}t1" 50 02:00:00:00:01:01 02:00:00:00:00:01 300
	[ "$(port_counter s acme/mem rx_packets)" -ge 50 ]
}
check "frames come back from the other side of a memif" wait_until 10 echoed
end_process "${LAB_JOBS[-1]}"
daemon_kill s datapath KILL
daemon_start s datapath
wait_until 10 switch_connected s
check_is "memif, the datapath having died" up "$(state_of acme/mem)"
check "the other side having ended, TAP and uplink are as before, and af_xdp as af_packet" wait_until 10 eval \
	'"$PYTHON" -B "$TOP/tests/netns/dpdk.py" "$LAB_PREFIX" "$LAB_DIR/s" "$LAB_BUILD/cli/vswitchctl"'
lab_finish
