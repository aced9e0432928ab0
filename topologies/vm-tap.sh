# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A virtual machine on a TAP that QEMU makes and the switch adopts. Its address comes from dnsmasq, its file
# from a web server, both in a namespace at another port. Sourced by run.
#
#   services (10.0.0.1)                    QEMU: a guest with Debian's cloud kernel, virtio-net with offloads
#     dnsmasq, httpd                          |
#         | veth                              | TAP vm1, made by QEMU
#   [ switch host-a: segment acme/web         | netdev ]
#
# lib/guest.sh says what the guest is.

# shellcheck source=tests/lib.sh
declare -F lab_begin >/dev/null || . tests/lib.sh
# shellcheck source=topologies/lib/guest.sh
. "$TOP/topologies/lib/guest.sh"

GUEST_MAC=52:54:00:12:34:01

topology_make() {
	ns_add host-a services
	guest_prepare "$LAB_BUILD/guest"
	switch_start host-a host-a
	# Exit code 4: the port waits for QEMU's TAP.
	ctl host-a --wait 1 apply "$TOP/topologies/vm-tap.host-a.yaml" 2>"$LAB_DIR/apply.log"
	[ $? = 4 ] || die "vm-tap.host-a.yaml, applied without QEMU: $(cat "$LAB_DIR/apply.log")"
	web_start services 10.0.0.1
	dhcp_start services
}

# vm1_start CONSOLE
vm1_start() {
	qemu_start vm1 "$1" -m 256 -netdev tap,id=net0,ifname=vm1,script=no,downscript=no \
		-device "virtio-net-pci,netdev=net0,mac=$GUEST_MAC,romfile="
}

# ---- what is proved ----

topology_prove() {
	local address
	row "port acme/vm1 before QEMU runs" waiting "$(port_state acme/vm1)"
	vm1_start console.1
	address=$(guest_said console.1 address 1)
	row "port acme/vm1, the guest being up" up "$(port_state acme/vm1)"
	row_between "the guest's address: last number" 50 "$(last_number "$address")" 99 ''
	row "the guest's address by dnsmasq's leases" "$address" "$(leased_address $GUEST_MAC)"
	row "pings to the guest answered" 5 "$(guest_answers services "$address")"
	prove_transfer "$address"
	prove_reboot "$address"
	prove_restart "$address"
}

# A file to the guest, and from the guest's own web server. The TAP carries it in super-packets, which guest and host
# both support.
prove_transfer() {
	local sum
	sum=$(file_sum <"$LAB_DIR/www/file")
	supers_begin host-a vm1
	guest_do vm1 fetch http://10.0.0.1/file
	row "20 MB to the guest by HTTP: SHA-256" "$sum" "$(guest_said console.1 fetched 1)"
	row "the same from the guest: SHA-256" "$sum" "$(fetched services "$1" file)"
	supers_end
	row_between "super-packets to the guest" 100 "$(supers 'IP 10\.0\.0\.1\.80 ')" 9999 frames
	row_between "super-packets from the guest" 100 "$(supers '\.80 > 10\.0\.0\.1\.')" 9999 frames
}

# The guest boots again in the same QEMU.
prove_reboot() {
	guest_do vm1 reboot
	row "rebooted: the guest's address" "$1" "$(guest_said console.1 address 2)"
	row "rebooted: pings to the guest answered" 5 "$(guest_answers services "$1")"
}

# QEMU is killed, and its TAP goes with it; another QEMU makes another TAP with that name.
prove_restart() {
	kill -KILL "$QEMU"
	{ wait "$QEMU"; } 2>/dev/null
	wait_until 10 port_state_is acme/vm1 waiting
	row "QEMU killed: port acme/vm1" waiting "$(port_state acme/vm1)"
	vm1_start console.2
	row "QEMU again: the guest's address" "$1" "$(guest_said console.2 address 1)"
	row "QEMU again: port acme/vm1" up "$(port_state acme/vm1)"
	guest_do vm1 fetch http://10.0.0.1/file
	row "QEMU again: the file's SHA-256" "$(file_sum <"$LAB_DIR/www/file")" "$(guest_said console.2 fetched 1)"
	row "boots, by the guests' boot numbers" 3 "$(cat "$LAB_DIR"/console.[12] | grep '^guest: boot' | sort -u | wc -l)"
}

topology_hints() {
	local ctl="${LAB_BUILD#"$TOP/"}/cli/vswitchctl --run-dir $LAB_DIR"
	cat <<END
Look around:
    $ctl/host-a port list
    $ctl/host-a fdb list
    cat $LAB_DIR/leases
    ip netns exec ${LAB_PREFIX}services ping ADDRESS
    echo fetch http://10.0.0.1/file >$LAB_DIR/vm1.in; tail $LAB_DIR/console.2
    kill -KILL $QEMU; $ctl/host-a port list
END
}
