# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Helpers for scripts that run real switches in network namespaces: tests/netns/*.sh, tests/bench/run
# and topologies/run source it. A script calls lab_begin, makes namespaces and switches, checks, and ends
# with lab_finish. Whatever way it ends, lab_end (the EXIT trap) removes all that was made.
#
# Names: a lab's namespaces are "$LAB_PREFIX$NAME", unique to this process unless the caller says
# otherwise, so that several scripts may run at once. A switch is known by a short name; its run
# directory is $LAB_DIR/NAME and its daemons write to $LAB_DIR/NAME.control.log and .datapath.log.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Debian's, which has Debian's scapy.
export PYTHON=/usr/bin/python3

# ---- building ----

# build_tree DIR CC [MESON_OPTION]...: configures DIR where needed, and builds it, or only BUILD_TARGETS.
build_tree() {
	local dir=$1 cc=$2 dpdk
	shift 2
	dpdk=$(pkg-config --modversion libdpdk 2>/dev/null)
	if [ ! -f "$dir/build.ninja" ] || ! meson configure "$dir" "$@" >/dev/null 2>&1; then
		rm -rf "$dir"
		CC=$cc meson setup "$dir" "$TOP" "$@" || return
	elif [ "$dpdk" != "$(cat "$dir/dpdk-version" 2>/dev/null)" ]; then
		# It was installed since, or is another: meson does not look again by itself.
		meson setup --reconfigure "$dir" || return
	fi
	echo "$dpdk" >"$dir/dpdk-version"
	# shellcheck disable=SC2086 # words
	ninja -C "$dir" -j "${BUILD_JOBS:-$(nproc)}" ${BUILD_TARGETS:-}
}

# ---- results ----

LAB_FAILED=0

pass() { printf 'ok    %s\n' "$1"; }

# fail TEXT [DETAIL]: counts a failed check; the script goes on.
fail() {
	printf 'FAIL  %s\n' "$1"
	[ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/      | /'
	LAB_FAILED=$((LAB_FAILED + 1))
}

# Ends the script: it cannot go on.
die() {
	printf 'FAIL  %s\n' "$1"
	LAB_FAILED=$((LAB_FAILED + 1))
	exit 1
}

skip() {
	printf 'skip  %s\n' "$1"
	exit 77
}

# check TEXT COMMAND...: the command must succeed.
check() {
	local text=$1 output
	shift
	if output=$("$@" 2>&1); then
		pass "$text"
	else
		fail "$text" "exit $? of: $*"$'\n'"$output"
	fi
}

# check_not TEXT COMMAND...: the command must fail.
check_not() {
	local text=$1 output
	shift
	if output=$("$@" 2>&1); then
		fail "$text" "succeeded: $*"$'\n'"$output"
	else
		pass "$text"
	fi
}

# check_is TEXT EXPECTED SEEN
check_is() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "expected: $2"$'\n'"seen:     $3"
	fi
}

# check_between TEXT LOW SEEN HIGH: numbers, ends included.
check_between() {
	if is_between "$2" "$3" "$4"; then
		pass "$1 ($3)"
	else
		fail "$1" "expected: $2 to $4"$'\n'"seen:     $3"
	fi
}

# is_between LOW SEEN HIGH: what is no number is not between any.
is_between() {
	awk -v low="$1" -v seen="${2:-none}" -v high="$3" \
		'BEGIN { exit !(seen ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/ && seen + 0 >= low + 0 && seen + 0 <= high + 0) }'
}

# wait_until SECONDS COMMAND...: polls until the command succeeds; fails at the deadline, which is for a machine that has
# other work, too.
wait_until() {
	local deadline=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000)) pause=20
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/[.,]/}" -lt "$deadline" ] || return 1
		sleep "$(printf 0.%03d $pause)"
		pause=$((pause < 160 ? pause * 2 : 160))
	done
}

# ---- a lab: namespaces, switches, background jobs ----

# lab_begin BUILD_DIR [PREFIX DIR]: with a prefix and a directory of the caller's choice, the lab can be found
# again by another process.
lab_begin() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	[ -n "${1:-}" ] || die "usage: $0 BUILD_DIR"
	LAB_BUILD=$(cd "$1" 2>/dev/null && pwd) || die "no build directory $1"
	LAB_PREFIX=${2:-vt$$-}
	if [ -n "${3:-}" ]; then
		LAB_DIR=$3
		mkdir "$LAB_DIR"
	else
		LAB_DIR=$(mktemp -d "${TMPDIR:-/tmp}/vswitch-lab.XXXXXX")
	fi || die "cannot make a directory"
	LAB_NAMESPACES=()
	LAB_JOBS=()
	: >"$LAB_DIR/pids"
	declare -gA LAB_PID=() LAB_HOST=() LAB_WORKERS=() LAB_ARGUMENTS=()
	exec </dev/null
	trap 'lab_end $?' EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# Ends the script by what its checks said.
lab_finish() {
	[ "$LAB_FAILED" = 0 ] || exit 1
	exit 0
}

# end_process PID: TERM, and KILL when it does not go within two seconds.
end_process() {
	kill -TERM "$1" 2>/dev/null || return 0
	if ! wait_until 2 process_gone "$1"; then
		kill -KILL "$1" 2>/dev/null
		wait_until 2 process_gone "$1"
	fi
	wait "$1" 2>/dev/null
	return 0
}

# A zombie of ours counts as gone: only its parent's wait is missing.
process_gone() {
	local state
	[ -r "/proc/$1/stat" ] || return 0
	state=$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) || return 0
	[ "$state" = Z ]
}

lab_end() {
	local status=$1
	trap - EXIT
	trap '' HUP INT TERM
	if [ "$status" != 0 ] && [ "$status" != 77 ]; then
		lab_show_logs
	fi
	lab_remove
	exit "$status"
}

# Removes all that was made; prints what would not go.
lab_remove() {
	local name pid mount
	for pid in "${LAB_JOBS[@]}" "${LAB_PID[@]}"; do
		end_process "$pid"
	done
	for name in "${LAB_NAMESPACES[@]}"; do
		# What runs in a namespace of ours is ours.
		for pid in $(ip netns pids "$name" 2>/dev/null); do
			end_process "$pid"
		done
		ip netns del "$name" 2>/dev/null
		[ ! -e "/run/netns/$name" ] || echo "namespace $name is still there"
	done
	for pid in "${LAB_JOBS[@]}" "${LAB_PID[@]}"; do
		process_gone "$pid" || echo "process $pid is still there"
	done
	# A mount below the lab's directory would keep it, and what is mounted, alive.
	while read -r mount; do
		umount -l "$mount"
	done < <(awk -v dir="$LAB_DIR/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo)
	rm -rf "$LAB_DIR"
	LAB_JOBS=() LAB_PID=() LAB_NAMESPACES=()
}

lab_show_logs() {
	local log
	for log in "$LAB_DIR"/*.log; do
		[ -s "$log" ] || continue
		printf '      --- %s\n' "${log##*/}"
		tail -n 20 "$log" | sed 's/^/      | /'
	done
}

# ns_add NAME...: namespaces for workloads and hosts. No IPv6, so that the only frames are the test's.
ns_add() {
	local name
	for name; do
		ip netns add "$LAB_PREFIX$name" || die "cannot make namespace $LAB_PREFIX$name"
		LAB_NAMESPACES+=("$LAB_PREFIX$name")
		in_ns "$name" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
			net.ipv6.conf.default.disable_ipv6=1 2>/dev/null
		ip -n "$LAB_PREFIX$name" link set lo up
	done
}

# in_ns NAME COMMAND...
in_ns() {
	local name=$1
	shift
	ip netns exec "$LAB_PREFIX$name" "$@"
}

# tcp_cubic NAME...: TCP as Linux has it by default, whatever this machine prefers, over the routes that are there. A
# namespace may not choose what the first one does not allow (net.ipv4.tcp_allowed_congestion_control), and what is
# set on a socket that is connected leaves it with the pacing of the one before; a route may.
tcp_cubic() {
	local name route
	for name; do
		while read -r route; do
			# shellcheck disable=SC2086 # the words of a route
			ip -n "$LAB_PREFIX$name" route change $route congctl cubic || die "cubic in $name"
		done < <(ip -n "$LAB_PREFIX$name" route show)
	done
}

# underlay HOST_A HOST_B [MTU]: joins two host namespaces, 172.31.0.1/24 and 172.31.0.2/24 on "underlay".
underlay() {
	local a=$LAB_PREFIX$1 b=$LAB_PREFIX$2 mtu=${3:-1500}
	ip -n "$a" link add underlay mtu "$mtu" type veth peer name underlay mtu "$mtu" netns "$b" ||
		die "cannot join $a and $b"
	ip -n "$a" addr add 172.31.0.1/24 dev underlay
	ip -n "$b" addr add 172.31.0.2/24 dev underlay
	ip -n "$a" link set underlay up
	ip -n "$b" link set underlay up
}

# job_in NAME OUTPUT COMMAND...: runs it in that namespace in the background, until the lab ends at the
# latest; what it prints goes to $LAB_DIR/OUTPUT, and $! is its process.
job_in() {
	local name=$1 output=$2
	shift 2
	ip netns exec "$LAB_PREFIX$name" "$@" </dev/null >"$LAB_DIR/$output" 2>&1 &
	LAB_JOBS+=("$!")
	echo "$!" >>"$LAB_DIR/pids"
}

# ---- switches ----

# switch_new NAME [HOST]: names a switch, to run in the namespace HOST or, without one, here.
switch_new() {
	[ -x "$LAB_BUILD/cli/vswitchctl" ] || die "$LAB_BUILD has no vswitchctl: build first"
	mkdir -p "$LAB_DIR/$1"
	LAB_HOST[$1]=${2:-}
}

# Skips the script where the build has no DPDK, and thus no ports of type vhost-user and dpdk.
needs_dpdk() {
	ldd "$LAB_BUILD/datapath/vswitch-datapath" 2>/dev/null | grep -q librte_vhost ||
		skip "the datapath in ${LAB_BUILD##*/} was built without DPDK"
}

# daemon_start NAME control|datapath: the datapath has as many workers as LAB_WORKERS[NAME] says, or one, and the
# options in LAB_ARGUMENTS[NAME.datapath].
daemon_start() {
	local name=$1 kind=$2 place=() arguments=()
	# shellcheck disable=SC2206 # words
	[ "$kind" != datapath ] || arguments=(--workers "${LAB_WORKERS[$name]:-1}" ${LAB_ARGUMENTS[$name.datapath]:-})
	[ -z "${LAB_HOST[$name]}" ] || place=(ip netns exec "$LAB_PREFIX${LAB_HOST[$name]}")
	"${place[@]}" "$LAB_BUILD/$kind/vswitch-$kind" --run-dir "$LAB_DIR/$name" "${arguments[@]}" \
		</dev/null >>"$LAB_DIR/$name.$kind.log" 2>&1 &
	LAB_PID[$name.$kind]=$!
	echo "$!" >>"$LAB_DIR/pids"
}

# daemon_kill NAME control|datapath [SIGNAL]: ends it and waits for it. Returns its exit status. Not for a
# subshell, as check and $(...) make one: only the script itself can wait for its daemons.
daemon_kill() {
	local pid=${LAB_PID[$1.$2]}
	kill "-${3:-TERM}" "$pid" 2>/dev/null || fail "the $2 daemon of $1 had ended by itself"
	# The shell would tell of a child that was killed.
	{
		wait_until 10 process_gone "$pid" || return 254
		wait "$pid"
	} 2>/dev/null
	set -- "$1" "$2" $?
	unset "LAB_PID[$1.$2]"
	return "$3"
}

# ctl NAME ARGUMENT...: vswitchctl for that switch.
ctl() {
	local name=$1
	shift
	"$LAB_BUILD/cli/vswitchctl" --run-dir "$LAB_DIR/$name" "$@"
}

switch_connected() {
	status_says "$1" '.datapath.state == "connected"'
}

# What is configured is in effect, and no port waits.
switch_settled() {
	status_says "$1" '.datapath.state == "connected" and ."applied-generation" >= .generation
		and .counts."waiting-ports" == 0'
}

# status_says NAME FILTER: is it true of the status?
status_says() {
	local status
	status=$(ctl "$1" --json status 2>/dev/null) && jq -e "$2" <<<"$status" >/dev/null
}

# switch_start NAME [HOST]: both daemons; returns when they are connected.
switch_start() {
	switch_new "$@"
	daemon_start "$1" datapath
	daemon_start "$1" control
	wait_until 10 switch_connected "$1" || die "switch $1 did not start"
}

# port_counter NAME PORT COUNTER, tenant_counter NAME TENANT COUNTER
port_counter() { object_counter "$1" port "$2" "$3"; }
tenant_counter() { object_counter "$1" tenant "$2" "$3"; }
object_counter() {
	ctl "$1" --json stats "$2" "$3" |
		jq -r --arg name "$3" --arg counter "$4" \
			'[.. | objects | select(.name? == $name) | .[$counter] | numbers] | first // "none"'
}

# drop_counter NAME PORT REASON: 0 when nothing was dropped for it.
drop_counter() {
	ctl "$1" --json drops | jq -r --arg port "$2" --arg reason "$3" \
		'[.drops[] | select(.port == $port and .reason == $reason) | .packets] | add // 0'
}

# ---- traffic ----

# can_ping NAME ADDRESS: three answers within three seconds.
can_ping() {
	in_ns "$1" ping -q -n -i 0.05 -c 3 -w 3 "$2"
}

# iperf_server NAME [PORT]: one iperf3 server in that namespace, until the lab ends; it reports tenths of a second.
iperf_server() {
	job_in "$1" "$1.iperf3" iperf3 --server --json --interval 0.1 --port "${2:-5201}"
	wait_until 10 port_listens "$1" "${2:-5201}" || die "iperf3 in $1 does not listen"
}

port_listens() {
	in_ns "$1" ss -Hltn "sport = :$2" | grep -q .
}

udp_open() {
	in_ns "$1" ss -Hlun "sport = :$2" | grep -q .
}
