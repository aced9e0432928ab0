# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Virtual machines on ports of type vhost-user: the switch reads and writes their memory, no kernel is between. Sourced by
# run.
#
#   QEMU: vm1, listens    QEMU: vm2, connects    services (10.0.0.1)              far (10.0.0.2)
#          |                     |                dnsmasq, httpd                   httpd
#          | vm1.sock            | vm2.sock          | TAP                           | TAP
#   [ switch host-a: segment acme/web                  ]                  [ switch host-b ]
#        172.31.0.1 ------------------------- underlay, VNI 5001 ----------- 172.31.0.2
#
# lib/guest.sh says what the guests are.

# shellcheck source=tests/lib.sh
declare -F lab_begin >/dev/null || . tests/lib.sh
# shellcheck source=topologies/lib/guest.sh
. "$TOP/topologies/lib/guest.sh"

MAC_VM1=52:54:00:12:34:01 MAC_VM2=52:54:00:12:34:02
# The underlay's 1500 less 50 for VXLAN.
MTU=1450

topology_make() {
	needs_dpdk
	ns_add host-a host-b services far
	underlay host-a host-b
	guest_prepare "$LAB_BUILD/guest"
	switch_start host-a host-a
	switch_start host-b host-b
	# Exit code 4: the ports wait for QEMU.
	ctl host-a --wait 1 apply "$TOP/topologies/vm-vhost.host-a.yaml" 2>"$LAB_DIR/apply.log"
	[ $? = 4 ] || die "vm-vhost.host-a.yaml, applied without QEMU: $(cat "$LAB_DIR/apply.log")"
	ctl host-b apply "$TOP/topologies/vm-vhost.host-b.yaml" || die "vm-vhost.host-b.yaml"
	web_start services 10.0.0.1
	web_start far 10.0.0.2
	dhcp_start services
}

# vm_start VM MAC CONSOLE CHARDEV_OPTION: memory that the switch can map, and a socket. QEMU waits for the switch before it
# boots. Where it emulates, QEMU 7.2 crashes with vhost-user and MSI-X, which vectors=0 takes away.
vm_start() {
	qemu_start "$1" "$3" -m 160,slots=2,maxmem=1G -object memory-backend-memfd,id=mem,size=160M,share=on \
		-machine memory-backend=mem -qmp "unix:$LAB_DIR/$1.qmp,server=on,wait=off" \
		-chardev "socket,id=vhost,path=$LAB_DIR/$1.sock,$4" -netdev vhost-user,id=net0,chardev=vhost \
		-device "virtio-net-pci,netdev=net0,mac=$2,host_mtu=$MTU,vectors=0,romfile="
}

vm1_start() {
	vm_start vm1 $MAC_VM1 "$1" server=on,wait=off
}

vm2_start() {
	vm_start vm2 $MAC_VM2 "$1" reconnect=1
}

# ---- what is proved ----

topology_prove() {
	local one two
	row "ports acme/vm1 and vm2 before QEMU runs" "waiting waiting" "$(port_state acme/vm1) $(port_state acme/vm2)"
	vm1_start vm1.1
	VM1=$QEMU
	vm2_start vm2.1
	one=$(guest_said vm1.1 address 1) two=$(guest_said vm2.1 address 1)
	row "both, the guests being up" "up up" "$(port_state acme/vm1) $(port_state acme/vm2)"
	row "the guests' addresses by dnsmasq's leases" "$one $two" "$(leased_address $MAC_VM1) $(leased_address $MAC_VM2)"
	row "pings to them answered, from services and far" "5 5 5 5" "$(for from in services far; do
		guest_answers $from "$one"; guest_answers $from "$two"; done | paste -sd ' ')"
	prove_offloads
	prove_transfer "$one" "$two"
	prove_restart "$one" "$two"
	prove_memory "$one"
	prove_reboot "$one" "$two"
	prove_end "$one"
}

# missing VM: the offloads that its driver and the switch have not agreed on
missing() {
	guest_said "$1.1" features 1 | awk '{
		count = split("0 csum 1 guest_csum 7 guest_tso4 8 guest_tso6 11 host_tso4 12 host_tso6 15 mrg_rxbuf", names, " ")
		for (i = 1; i <= count; i += 2)
			if (substr($1, names[i] + 1, 1) != 1)
				print names[i + 1] }' | paste -sd ' '
}

prove_offloads() {
	local vm
	for vm in vm1 vm2; do
		row "$vm: offloads that were not agreed on" "" "$(missing $vm)"
		row "$vm: its MTU" $MTU "$(guest_said $vm.1 mtu 1)"
	done
}

# In super-packets between guests and the TAP; over the overlay too, and between the guests.
prove_transfer() {
	local sum
	sum=$(file_sum <"$LAB_DIR/www/file")
	supers_begin services eth0
	guest_do vm1 fetch http://10.0.0.1/file
	row "20 MB from the TAP to vm1: SHA-256" "$sum" "$(guest_said vm1.1 fetched 1)"
	row "from vm1 to the TAP" "$sum" "$(fetched services "$1" file)"
	supers_end
	row_between "super-packets to vm1" 100 "$(supers 'IP 10\.0\.0\.1\.80 ')" 9999 frames
	row_between "super-packets from vm1" 100 "$(supers '\.80 > 10\.0\.0\.1\.')" 9999 frames
	guest_do vm2 fetch http://10.0.0.2/file
	row "over VXLAN to vm2" "$sum" "$(guest_said vm2.1 fetched 1)"
	row "over VXLAN from vm2" "$sum" "$(fetched far "$2" file)"
	guest_do vm2 fetch "http://${1%/*}/file"
	row "from vm1 to vm2" "$sum" "$(guest_said vm2.1 fetched 2)"
}

# has_sent PORT COUNT: packets, out of that port since the last forget_sent
has_sent() {
	[ $(($(port_counter host-a "$1" tx_packets) - SENT)) -ge "$2" ]
}
forget_sent() {
	SENT=$(port_counter host-a "$1" tx_packets)
}

# The datapath is killed in the midst of a transfer to each guest, which takes seconds at this ceiling; and so is the
# control daemon.
prove_restart() {
	local sum vm daemon
	sum=$(file_sum <"$LAB_DIR/www/file")
	ctl host-a tenant set acme --receive 80mbit
	forget_sent acme/vm1
	guest_do vm1 fetch http://10.0.0.1/file
	guest_do vm2 fetch http://10.0.0.2/file
	for daemon in datapath control; do
		wait_until 10 has_sent acme/vm1 1500 || break
		daemon_kill host-a $daemon KILL
		daemon_start host-a $daemon
		wait_until 10 switch_settled host-a
		row "$daemon killed, and started: settled" yes "$(switch_settled host-a && echo yes)"
		forget_sent acme/vm1
	done
	row "vm1 was fetching meanwhile: SHA-256" "$sum" "$(guest_said vm1.1 fetched 2)"
	row "vm2 was fetching meanwhile: SHA-256" "$sum" "$(guest_said vm2.1 fetched 3)"
	ctl host-a tenant set acme --receive none
	for vm in "vm1 $1" "vm2 $2"; do
		row "pings to ${vm% *} answered" 5 "$(guest_answers services "${vm#* }")"
	done
}

# qmp VM COMMAND...: says so on QEMU's monitor; prints what was answered to the last one.
qmp() {
	printf '%s\n' '{"execute": "qmp_capabilities"}' "${@:2}" |
		"$PYTHON" -c 'import socket, sys
monitor = socket.socket(socket.AF_UNIX)
monitor.settimeout(5)
monitor.connect(sys.argv[1])
answers = monitor.makefile()
answers.readline()
for command in sys.stdin:
	monitor.sendall(command.encode())
	while True:
		answer = answers.readline()
		if "return" in answer or "error" in answer or not answer:
			break
print(answer.strip())' "$LAB_DIR/$1.qmp"
}

# More memory while the guest runs, and frames that lie there: what it has had is filled up.
prove_memory() {
	local sum had
	sum=$(file_sum <"$LAB_DIR/www/file")
	guest_do vm1 memory
	had=$(guest_said vm1.1 memory 1)
	row "256 MB are added to vm1's $had MB" '{"return": {}}' "$(qmp vm1 \
		'{"execute": "object-add", "arguments": {"qom-type": "memory-backend-memfd", "id": "more", "size": 268435456, "share": true}}' \
		'{"execute": "device_add", "arguments": {"driver": "pc-dimm", "id": "dimm", "memdev": "more"}}')"
	wait_until 10 memory_is_more "$had"
	row_between "vm1's memory" $((had + 240)) "$(guest_memory)" $((had + 256)) MB
	guest_do vm1 fill 150
	row "vm1 fills 150 MB of them" 150 "$(guest_said vm1.1 filled 1)"
	guest_do vm1 fetch http://10.0.0.1/file
	row "vm1 fetches into the rest: SHA-256" "$sum" "$(guest_said vm1.1 fetched 3)"
	row "and is fetched from there: SHA-256" "$sum" "$(fetched services "$1" file)"
}

guest_memory() {
	tr -d '\r' <"$LAB_DIR/vm1.1" | awk '$1 == "guest:" && $2 == "memory" { last = $3 } END { print last }'
}
memory_is_more() {
	guest_do vm1 memory
	[ "$(guest_memory)" -gt $(($1 + 200)) ]
}

# The guests boot again, each in its QEMU.
prove_reboot() {
	guest_do vm1 reboot
	guest_do vm2 reboot
	row "rebooted: vm1's address" "$1" "$(guest_said vm1.1 address 2)"
	row "rebooted: vm2's address" "$2" "$(guest_said vm2.1 address 2)"
	row "rebooted: pings answered" "5 5" "$(guest_answers far "$1") $(guest_answers far "$2")"
}

prove_end() {
	kill -KILL "$VM1"
	{ wait "$VM1"; } 2>/dev/null
	wait_until 10 port_state_is acme/vm1 waiting
	row "vm1's QEMU killed: port acme/vm1" waiting "$(port_state acme/vm1)"
	row "vm2 is reached: pings answered" 5 "$(guest_answers services "$(leased_address $MAC_VM2)")"
	vm1_start vm1.2
	row "QEMU again: vm1's address" "$1" "$(guest_said vm1.2 address 1)"
	row "QEMU again: port acme/vm1" up "$(port_state acme/vm1)"
}

topology_hints() {
	local ctl="${LAB_BUILD#"$TOP/"}/cli/vswitchctl --run-dir $LAB_DIR"
	cat <<END
Look around:
    $ctl/host-a port list
    $ctl/host-a fdb list
    cat $LAB_DIR/leases
    ip netns exec ${LAB_PREFIX}services ping ADDRESS
    echo fetch http://10.0.0.2/file >$LAB_DIR/vm2.in; tail $LAB_DIR/vm2.1
    kill -KILL $QEMU; $ctl/host-a port list
END
}
