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
# The guest is vm-tap.init and busybox. It is emulated unless VSWITCH_KVM=1 is in the environment.

# shellcheck source=tests/lib.sh
declare -F lab_begin >/dev/null || . tests/lib.sh

GUEST_MAC=52:54:00:12:34:01
GUEST_MODULES='virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover
	virtio_net'
FILE_SIZE=20000000

topology_make() {
	[ "$(uname -m)" = x86_64 ] || skip "the guest is for x86-64"
	ns_add host-a services
	guest_prepare "$LAB_BUILD/guest"
	switch_start host-a host-a
	# Exit code 4: the port waits for QEMU's TAP.
	ctl host-a --wait 1 apply "$TOP/topologies/vm-tap.host-a.yaml" 2>"$LAB_DIR/apply.log"
	[ $? = 4 ] || die "vm-tap.host-a.yaml, applied without QEMU: $(cat "$LAB_DIR/apply.log")"
	services_start
}

# ---- the guest ----

# guest_prepare DIR: the kernel is downloaded once and kept in DIR; nothing is installed.
guest_prepare() {
	local root=$LAB_DIR/initramfs module
	if [ ! -f "$1/vmlinuz" ]; then
		guest_download "$1" >"$LAB_DIR/kernel.log" 2>&1 ||
			die "cannot get the guest's kernel: $(cat "$LAB_DIR/kernel.log")"
	fi
	mkdir -p "$root"/{bin,dev,modules,proc,sys,tmp}
	cp /bin/busybox "$root/bin/"
	ln -s busybox "$root/bin/sh"
	cp "$TOP/topologies/vm-tap.init" "$root/init"
	chmod +x "$root/init"
	for module in $GUEST_MODULES; do
		cp "$1/$module.ko" "$root/modules/" || die "the kernel in $1 has no $module: remove it"
	done
	(cd "$root" && find . | cpio --quiet -o -H newc) >"$LAB_DIR/initrd" || die "cannot make an initramfs"
	ln -s "$1/vmlinuz" "$LAB_DIR/vmlinuz"
}

# guest_download DIR: what the package of the newest cloud kernel has, complete or not at all.
guest_download() {
	local package work=$1.new
	rm -rf "$work"
	mkdir -p "$work"
	# The package lists of a machine may be older than the archive.
	kernel_package "$work" || { apt-get -q update && kernel_package "$work"; } || return
	package=$(echo "$work"/*.deb)
	dpkg-deb --fsys-tarfile "$package" | tar -C "$work" -x --wildcards './boot/vmlinuz-*' '*/virtio*.ko' \
		'*/failover.ko' '*/net_failover.ko' || return
	mkdir -p "$1"
	find "$work" -name '*.ko' -exec cp -t "$1" {} + || return
	# The last one: it says that all are there.
	mv "$work"/boot/vmlinuz-* "$1/vmlinuz" || return
	rm -rf "$work"
}

kernel_package() {
	local package
	package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
	(cd "$1" && apt-get -q -o APT::Sandbox::User=root download "${package:-linux-image-cloud-amd64}")
}

# The console is a FIFO, opened so that neither side waits for the other, and a log.
qemu_start() {
	local accel=tcg
	[ -z "${VSWITCH_KVM:-}" ] || accel=kvm
	[ -p "$LAB_DIR/console.in" ] || mkfifo "$LAB_DIR/console.in"
	# shellcheck disable=SC2016 # for the inner shell
	job_in host-a "$1" sh -c 'input=$1 && shift && exec qemu-system-x86_64 "$@" 0<>"$input"' \
		sh "$LAB_DIR/console.in" -accel $accel -cpu max -m 256 -nodefaults -no-user-config -display none -serial stdio \
		-kernel "$LAB_DIR/vmlinuz" -initrd "$LAB_DIR/initrd" -append 'console=ttyS0 quiet' \
		-netdev tap,id=net0,ifname=vm1,script=no,downscript=no \
		-device "virtio-net-pci,netdev=net0,mac=$GUEST_MAC,romfile="
	QEMU=$!
}

guest_do() {
	echo "$*" 1<>"$LAB_DIR/console.in"
}

# guest_said CONSOLE WORD COUNT: what it said behind that word the COUNTth time; waits for it.
guest_said() {
	wait_until 25 guest_line "$@"
	guest_line "$@" || echo nothing
}

guest_line() {
	tr -d '\r' <"$LAB_DIR/$1" | awk -v word="$2" -v count="$3" \
		'$1 == "guest:" && $2 == word && ++seen == count { print $3 == "" ? "nothing" : $3; found = 1 } END { exit !found }'
}

# ---- the services ----

services_start() {
	mkdir "$LAB_DIR/www"
	head -c $FILE_SIZE /dev/urandom >"$LAB_DIR/www/file"
	wait_until 5 in_ns services ip -4 addr show dev eth0 up || die "services has no eth0"
	job_in services dnsmasq.log dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=eth0 \
		--bind-interfaces --user=root --no-ping --dhcp-authoritative --dhcp-range=10.0.0.50,10.0.0.99,1h \
		--dhcp-leasefile="$LAB_DIR/leases" --pid-file
	job_in services httpd.log busybox httpd -f -p 10.0.0.1:80 -h "$LAB_DIR/www"
	wait_until 5 udp_open services 67 || die "dnsmasq does not listen"
	wait_until 5 port_listens services 80 || die "httpd does not listen"
}

leased_address() {
	awk -v mac=$GUEST_MAC '$2 == mac { print $3 "/24" }' "$LAB_DIR/leases"
}

# ---- what is proved ----

topology_prove() {
	local address
	row "port acme/vm1 before QEMU runs" waiting "$(vm_port)"
	qemu_start console.1
	address=$(guest_said console.1 address 1)
	row "port acme/vm1, the guest being up" up "$(vm_port)"
	row_between "the guest's address: last number" 50 "$(last_number "$address")" 99 ''
	row "the guest's address by dnsmasq's leases" "$address" "$(leased_address)"
	row "pings to the guest answered" 5 "$(guest_answers "$address")"
	prove_transfer "$address"
	prove_reboot "$address"
	prove_restart "$address"
}

vm_port() {
	ctl host-a --json port show acme/vm1 | jq -r '.status.state'
}

last_number() {
	sed 's/.*\.//; s,/.*,,' <<<"$1"
}

guest_answers() {
	in_ns services ping -n -i 0.05 -c 5 -w 3 "${1%/*}" | grep -c 'bytes from'
}

file_sum() {
	sha256sum | cut -c 1-16
}

# A file to the guest, and from the guest's own web server. The TAP carries it in super-packets, which guest and host
# both support.
prove_transfer() {
	local sum capture
	sum=$(file_sum <"$LAB_DIR/www/file")
	job_in host-a vm1.tcpdump tcpdump -i vm1 -p -n -q 'tcp and greater 1515'
	capture=$!
	wait_until 5 grep -q 'listening on' "$LAB_DIR/vm1.tcpdump" || die "tcpdump does not listen"
	guest_do fetch http://10.0.0.1/file
	row "20 MB to the guest by HTTP: SHA-256" "$sum" "$(guest_said console.1 fetched 1)"
	row "the same from the guest: SHA-256" "$sum" \
		"$(in_ns services timeout 20 busybox wget -q -O - "http://${1%/*}/file" | file_sum)"
	end_process "$capture"
	row_between "super-packets to the guest" 100 "$(tcpdump_lines 'IP 10\.0\.0\.1\.80 ')" 9999 frames
	row_between "super-packets from the guest" 100 "$(tcpdump_lines '\.80 > 10\.0\.0\.1\.')" 9999 frames
}

tcpdump_lines() {
	grep -c "$1" "$LAB_DIR/vm1.tcpdump"
}

# The guest boots again in the same QEMU.
prove_reboot() {
	guest_do reboot
	row "rebooted: the guest's address" "$1" "$(guest_said console.1 address 2)"
	row "rebooted: pings to the guest answered" 5 "$(guest_answers "$1")"
}

# QEMU is killed, and its TAP goes with it; another QEMU makes another TAP with that name.
prove_restart() {
	kill -KILL "$QEMU"
	{ wait "$QEMU"; } 2>/dev/null
	wait_until 5 vm_port_is waiting
	row "QEMU killed: port acme/vm1" waiting "$(vm_port)"
	qemu_start console.2
	row "QEMU again: the guest's address" "$1" "$(guest_said console.2 address 1)"
	row "QEMU again: port acme/vm1" up "$(vm_port)"
	guest_do fetch http://10.0.0.1/file
	row "QEMU again: the file's SHA-256" "$(file_sum <"$LAB_DIR/www/file")" "$(guest_said console.2 fetched 1)"
	row "boots, by the guests' boot numbers" 3 "$(cat "$LAB_DIR"/console.[12] | grep '^guest: boot' | sort -u | wc -l)"
}

vm_port_is() {
	[ "$(vm_port)" = "$1" ]
}

topology_hints() {
	local ctl="${LAB_BUILD#"$TOP/"}/cli/vswitchctl --run-dir $LAB_DIR"
	cat <<END
Look around:
    $ctl/host-a port list
    $ctl/host-a fdb list
    cat $LAB_DIR/leases
    ip netns exec ${LAB_PREFIX}services ping ADDRESS
    echo fetch http://10.0.0.1/file >$LAB_DIR/console.in; tail $LAB_DIR/console.2
    kill -KILL $QEMU; $ctl/host-a port list
END
}
