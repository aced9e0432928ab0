# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A throw-away machine that runs systemd, for tests of an installed switch: namespaces of every kind around
# a root that is an overlay, so that nothing of what is installed in it reaches the machine below.
#
#     this machine ── cgroup of its own ── pid, mount, network, ipc, uts, cgroup namespaces
#                                              systemd as process 1, on
#                                              overlay: upper (tmpfs) over lower (a root file system)
#
# A script sources tests/lib.sh and this, calls machine_enter first of all (it starts the script anew in a
# mount namespace, with which all that is mounted goes away), lab_begin, and then machine_start.

# Units that a minimal boot has. What else the lower root would start is none of the test's business.
MACHINE_UNITS=(basic.target sysinit.target multi-user.target sockets.target paths.target timers.target
	slices.target shutdown.target umount.target local-fs.target network.target rescue.target emergency.target
	exit.target final.target poweroff.target systemd-poweroff.service -.slice
	systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket)

# What programs that an installation uses write for themselves.
# shellcheck disable=SC2034 # for machine_traces
MACHINE_OTHERS=('^/etc/machine-id$' '^/etc/(passwd|group|shadow|gshadow)-$' '^/etc/\.pwd\.lock$' '^/root($|/)'
	'^/var/(cache|lib)/(man|dpkg|apt|systemd/(catalog|random-seed|timers))($|/|-)')

# machine_enter ARGUMENT...: goes on in a mount namespace of its own.
machine_enter() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	[ "${MACHINE_ENTERED:-}" != $$ ] || return 0
	MACHINE_ENTERED=$$ exec unshare --mount --propagation private "$0" "$@"
}

# machine_start [LOWER [plain]]: boots a machine over that root, or over this machine's. With a root of its own
# it starts all that is enabled there, else only the journal; plain is without systemd.
machine_start() {
	local lower=${1:-/} run=$LAB_DIR/machine
	MACHINE=$run/root MACHINE_UPPER=$run/upper MACHINE_LOWER=${lower%/} MACHINE_PID='' MACHINE_CGROUP='' MACHINE_OUTER=''
	MACHINE_INIT=${2:-systemd}
	[ -x "$lower/lib/systemd/systemd" ] || skip "systemd is not installed"
	if [ "$lower" = / ] && command -v vswitchctl >/dev/null; then
		skip "a switch is installed on this machine"
	fi
	mkdir -p "$run"
	mount -t tmpfs -o size=2g machine "$run"
	mkdir "$run/root" "$run/upper" "$run/work"
	mount -t overlay machine -o "lowerdir=$lower,upperdir=$run/upper,workdir=$run/work" "$MACHINE" 2>/dev/null ||
		skip "no overlay file system here"
	machine_mounts
	[ "$lower" != / ] || machine_keep_units
	machine_cgroup
	machine_boot
}

# Everything but the root itself: nothing here is seen below.
machine_mounts() {
	local device
	mount -t tmpfs -o mode=755 run "$MACHINE/run"
	mount -t tmpfs tmp "$MACHINE/tmp"
	mount -t tmpfs log "$MACHINE/var/log"
	mount -t tmpfs -o mode=755 dev "$MACHINE/dev"
	mkdir -p "$MACHINE"/dev/{net,pts,shm} "$MACHINE/run/units"
	for device in null zero full random urandom tty net/tun; do
		: >"$MACHINE/dev/$device"
		mount --bind "/dev/$device" "$MACHINE/dev/$device"
	done
	mount -t devpts -o newinstance,ptmxmode=0666 devpts "$MACHINE/dev/pts"
	ln -s pts/ptmx "$MACHINE/dev/ptmx"
	ln -s /proc/self/fd "$MACHINE/dev/fd"
	mount -t tmpfs empty "$MACHINE/mnt"
	# Nobody looks for manual pages in there, and their index would be made anew with each package.
	rm -f "$MACHINE/var/lib/man-db/auto-update"
	# Containers have one that forbids packages to start services.
	[ ! -e "$MACHINE/usr/sbin/policy-rc.d" ] || mount --bind "$MACHINE/bin/true" "$MACHINE/usr/sbin/policy-rc.d"
}

machine_keep_units() {
	local unit kept=$MACHINE/run/units
	for unit in "${MACHINE_UNITS[@]}"; do
		! [ -f "$MACHINE/lib/systemd/system/$unit" ] || cp "$MACHINE/lib/systemd/system/$unit" "$kept"
	done
	mkdir "$kept/sockets.target.wants"
	ln -s ../systemd-journald.socket ../systemd-journald-dev-log.socket "$kept/sockets.target.wants"
	mount --bind "$kept" "$MACHINE/lib/systemd/system"
	mkdir -p "$MACHINE/etc/systemd/system"
	mount -t tmpfs units "$MACHINE/etc/systemd/system"
	mount -t tmpfs generators "$MACHINE/lib/systemd/system-generators"
	ln -s /lib/systemd/system/multi-user.target "$MACHINE/etc/systemd/system/default.target"
}

# systemd wants a part of the cgroup2 hierarchy for itself.
machine_cgroup() {
	local top
	top=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	[ -n "$top" ] || skip "no cgroup2 hierarchy here"
	MACHINE_CGROUP=$top/vswitch-test-$$
	mkdir "$MACHINE_CGROUP" 2>/dev/null || skip "no cgroup can be made here"
	trap 'MACHINE_STATUS=$?; machine_end; lab_end "$MACHINE_STATUS"' EXIT
}

# Settings of the kernel are written by nobody in there, those of its network excepted.
machine_boot() {
	(
		echo "$BASHPID" >"$MACHINE_CGROUP/cgroup.procs"
		exec unshare --fork --kill-child --pid --mount --uts --ipc --net --cgroup --propagation private bash -ec '
			mount -t proc proc "$1/proc"
			mount --bind "$1/proc/sys" "$1/proc/sys"
			mount --bind "$1/proc/sys/net" "$1/proc/sys/net"
			mount -o remount,ro,bind "$1/proc/sys"
			mount -t sysfs -o ro sysfs "$1/sys"
			mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
			hostname machine
			ip link set lo up
			cd "$1"
			mkdir mnt/below
			pivot_root . mnt/below
			umount -l /mnt/below
			mount --make-rshared /
			[ "$2" = systemd ] || exec bash -c "while sleep 1; do :; done"
			container=other exec /lib/systemd/systemd --log-target=journal' - "$MACHINE" "$MACHINE_INIT"
	) </dev/null >"$LAB_DIR/machine.log" 2>&1 &
	MACHINE_OUTER=$!
	wait_until 60 machine_is_up || die "the machine did not start"
}

machine_is_up() {
	MACHINE_PID=$(pgrep -P "$MACHINE_OUTER") || return
	if [ "$MACHINE_INIT" = systemd ]; then
		machine_run systemctl is-system-running | grep -qx -e running -e degraded
	else
		tr '\0' ' ' <"/proc/$MACHINE_PID/cmdline" | grep -q 'while sleep 1'
	fi
}

# machine_run COMMAND...
machine_run() {
	nsenter -t "$MACHINE_PID" -a env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		LC_ALL=C.UTF-8 HOME=/root "$@"
}

# copy_tree DIR: this tree, without what was built in it.
copy_tree() {
	mkdir "$1"
	tar -C "$TOP" --exclude=./.git --exclude='./build*' --exclude=__pycache__ -cf - . | tar -C "$1" -xf -
}

# install_here [OPTION]...: packaging/install of that tree in /mnt/vswitch. What it builds need not be fast.
install_here() {
	machine_run CFLAGS=-O0 /mnt/vswitch/packaging/install "$@"
}

# With process 1 of a pid namespace all others in it end.
machine_end() {
	[ -n "$MACHINE_CGROUP" ] || return 0
	if [ -n "$MACHINE_OUTER" ]; then
		kill -KILL "$MACHINE_OUTER" 2>/dev/null
		{ wait "$MACHINE_OUTER"; } 2>/dev/null
	fi
	umount -R -l "$LAB_DIR/machine"
	wait_until 10 machine_cgroup_gone || echo "cgroup $MACHINE_CGROUP is still there"
	MACHINE_CGROUP=''
}

machine_cgroup_gone() {
	[ ! -d "$MACHINE_CGROUP" ] || find "$MACHINE_CGROUP" -depth -type d -exec rmdir {} +
}

# Prints what differs from the machine's root before it started: files that are new, gone or changed.
# Directories that are there in both, what PATTERNs (of grep -E) match, and copies of the same do not count.
machine_traces() {
	local path patterns=()
	for path; do
		patterns+=(-e "$path")
	done
	(cd "$MACHINE_UPPER" && find . -mindepth 1 | sed 's/^\.//' | sort) | grep -vE "${patterns[@]}" | while read -r path; do
		if [ -c "$MACHINE_UPPER$path" ]; then
			echo "gone:    $path"
		elif [ -d "$MACHINE_UPPER$path" ] && [ -d "$MACHINE_LOWER$path" ]; then
			:
		elif [ ! -e "$MACHINE_LOWER$path" ] && [ ! -L "$MACHINE_LOWER$path" ]; then
			echo "new:     $path"
		elif [ -f "$MACHINE_UPPER$path" ] && ! cmp -s "$MACHINE_UPPER$path" "$MACHINE_LOWER$path"; then
			echo "changed: $path"
		fi
	done
}
