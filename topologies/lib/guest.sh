# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Virtual machines for topologies, and the services that they use; sourced by those. A guest is Debian's cloud kernel,
# busybox and guest.init, in QEMU, which emulates it unless VSWITCH_KVM=1 is in the environment. All run in namespace
# host-a.

GUEST_MODULES='virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover
	virtio_net'
FILE_SIZE=20000000

# ---- guests ----

# guest_prepare DIR: the kernel is downloaded once and kept in DIR; nothing is installed.
guest_prepare() {
	local root=$LAB_DIR/initramfs module
	[ "$(uname -m)" = x86_64 ] || skip "the guest is for x86-64"
	if [ ! -f "$1/vmlinuz" ]; then
		guest_download "$1" >"$LAB_DIR/kernel.log" 2>&1 ||
			die "cannot get the guest's kernel: $(cat "$LAB_DIR/kernel.log")"
	fi
	mkdir -p "$root"/{bin,dev,modules,proc,sys,tmp}
	cp /bin/busybox "$root/bin/"
	ln -s busybox "$root/bin/sh"
	cp "$TOP/topologies/lib/guest.init" "$root/init"
	chmod +x "$root/init"
	for module in $GUEST_MODULES; do
		cp "$1/$module.ko" "$root/modules/" || die "the kernel in $1 has no $module: remove it"
	done
	(cd "$root" && find . | cpio --quiet -o -H newc) >"$LAB_DIR/initrd" || die "cannot make an initramfs"
	ln -s "$1/vmlinuz" "$LAB_DIR/vmlinuz"
}

# guest_download DIR: what the package of the newest cloud kernel has, complete or not at all. Two topologies may want
# it at once.
guest_download() {
	local package work=$1.$$
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

# qemu_start VM CONSOLE ARGUMENT...: memory and network are the caller's. The console is a FIFO, opened so that neither
# side waits for the other, and a log. The process is $QEMU.
qemu_start() {
	local vm=$1 accel=tcg
	[ -z "${VSWITCH_KVM:-}" ] || accel=kvm
	[ -p "$LAB_DIR/$vm.in" ] || mkfifo "$LAB_DIR/$vm.in"
	# shellcheck disable=SC2016 # for the inner shell
	job_in host-a "$2" sh -c 'input=$1 && shift && exec qemu-system-x86_64 "$@" 0<>"$input"' \
		sh "$LAB_DIR/$vm.in" -accel $accel -cpu max -nodefaults -no-user-config -display none -serial stdio \
		-kernel "$LAB_DIR/vmlinuz" -initrd "$LAB_DIR/initrd" \
		-append 'console=ttyS0 quiet memhp_default_state=online' "${@:3}"
	# shellcheck disable=SC2034 # the caller's
	QEMU=$!
}

# guest_do VM WORDS...: what guest.init is told.
guest_do() {
	echo "${*:2}" 1<>"$LAB_DIR/$1.in"
}

# guest_said CONSOLE WORD COUNT: what it said behind that word the COUNTth time; waits for it.
guest_said() {
	wait_until 60 guest_line "$@"
	guest_line "$@" || echo nothing
}

guest_line() {
	tr -d '\r' <"$LAB_DIR/$1" | awk -v word="$2" -v count="$3" \
		'$1 == "guest:" && $2 == word && ++seen == count { print $3 == "" ? "nothing" : $3; found = 1 } END { exit !found }'
}

# guest_answers NAMESPACE ADDRESS/BITS: how many of five pings from there
guest_answers() {
	in_ns "$1" ping -n -i 0.05 -c 5 -w 3 "${2%/*}" | grep -c 'bytes from'
}

# port_state PORT
port_state() {
	ctl host-a --json port show "$1" | jq -r '.status.state'
}

port_state_is() {
	[ "$(port_state "$1")" = "$2" ]
}

# ---- services ----

# web_start NAMESPACE ADDRESS: a web server that has one file.
web_start() {
	[ -d "$LAB_DIR/www" ] || {
		mkdir "$LAB_DIR/www"
		head -c $FILE_SIZE /dev/urandom >"$LAB_DIR/www/file"
	}
	wait_until 10 in_ns "$1" ip -4 addr show dev eth0 up || die "$1 has no eth0"
	job_in "$1" "$1.httpd.log" busybox httpd -f -p "$2:80" -h "$LAB_DIR/www"
	wait_until 10 port_listens "$1" 80 || die "httpd in $1 does not listen"
}

# dhcp_start NAMESPACE: gives 10.0.0.50 to 10.0.0.99.
dhcp_start() {
	job_in "$1" dnsmasq.log dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=eth0 \
		--bind-interfaces --user=root --no-ping --dhcp-authoritative --dhcp-range=10.0.0.50,10.0.0.99,1h \
		--dhcp-leasefile="$LAB_DIR/leases" --pid-file
	wait_until 10 udp_open "$1" 67 || die "dnsmasq does not listen"
}

# leased_address MAC
leased_address() {
	awk -v mac="$1" '$2 == mac { print $3 "/24" }' "$LAB_DIR/leases"
}

last_number() {
	sed 's/.*\.//; s,/.*,,' <<<"$1"
}

file_sum() {
	sha256sum | cut -c 1-16
}

# fetched NAMESPACE ADDRESS/BITS PATH: the sum of what a guest's web server has, as that namespace gets it
fetched() {
	in_ns "$1" timeout 30 busybox wget -q -O - "http://${2%/*}/$3" | file_sum
}

# supers_begin NAMESPACE INTERFACE, supers PATTERN, supers_end: TCP frames that are longer than any MTU here.
supers_begin() {
	job_in "$1" supers.tcpdump tcpdump -i "$2" -p -n -q 'tcp and greater 1515'
	SUPERS=$!
	wait_until 10 grep -q 'listening on' "$LAB_DIR/supers.tcpdump" || die "tcpdump does not listen"
}

supers_end() {
	end_process "$SUPERS"
}

supers() {
	grep -c "$1" "$LAB_DIR/supers.tcpdump"
}
