# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What an installed switch must do on a machine that runs systemd (machine.sh), however it was installed:
#
#     w1 10.0.0.1 (veth)   w2 10.0.0.2 (tap)   w3, which is not there   w4 10.0.0.4 ── up0 (netdev)
#         [ the installed switch: tenant acme, segment web ]

lifecycle() {
	lifecycle_started
	lifecycle_configured
	lifecycle_deaths
	lifecycle_restarts
	lifecycle_access
	lifecycle_guests
	lifecycle_journal
}

unit_says() { machine_run systemctl show --value -p "$2" "vswitch-$1"; }
installed_ctl() { machine_run vswitchctl "$@"; }

installed_settled() {
	local status
	status=$(installed_ctl --json status) || return
	jq -e '.datapath.state == "connected" and ."applied-generation" >= .generation
		and .counts."waiting-ports" <= 1' <<<"$status" >/dev/null
}

installed_ping() {
	machine_run ip netns exec w1 ping -q -n -i 0.05 -c 3 -w 3 10.0.0.2 &&
		machine_run ip netns exec w1 ping -q -n -i 0.05 -c 3 -w 3 10.0.0.4
}

# Everything that a workload can see of its interfaces.
interfaces() {
	local name
	for name in w1 w2; do
		machine_run ip -n "$name" -o addr show dev eth0
		machine_run ip -n "$name" -json link show dev eth0 | jq -c '.[] | {ifindex, address, mtu, ifalias}'
	done
}

installed_counter() {
	installed_ctl --json stats port acme/w1 | jq -r '[.. | objects | .rx_packets? | numbers] | first // "none"'
}

# Everything that the switch may change of an interface that it adopts, and has to put back.
adopted() {
	machine_run ip -json link show dev up0 | jq -c '.[] | {flags, promiscuity, ifalias}'
	machine_run tc qdisc show dev up0 | grep -v noqueue # the kernel gives one to what was ever up
	machine_run tc filter show dev up0 ingress
	machine_run tc filter show dev up0 egress
	machine_run cat /proc/sys/net/ipv6/conf/up0/disable_ipv6
}

lifecycle_started() {
	local kind
	for kind in datapath control; do
		check_is "vswitch-$kind is active" active "$(unit_says "$kind" ActiveState)"
		check_is "and enabled" enabled "$(unit_says "$kind" UnitFileState)"
	done
	wait_until 10 installed_settled || die "the daemons are not connected: $(journal -o cat | tail -n 20)"
	check_is "the datapath has its own user" vswitch-datapath \
		"$(machine_run stat -c %U "/proc/$(unit_says datapath MainPID)/task")"
	check_is "and no capability, in no set" 0000000000000000 \
		"$(machine_run sed -n 's/^Cap.*:\t//p' "/proc/$(unit_says datapath MainPID)/status" | sort -u)"
	check_is "the state is root's alone" "root 700" "$(machine_run stat -c '%U %a' /var/lib/vswitch)"
	check_is "the service manager keeps three descriptors" 3 "$(unit_says control NFileDescriptorStore)"
}

lifecycle_configured() {
	local name
	for name in w1 w2 w4; do
		machine_run ip netns add "$name"
		machine_run ip netns exec "$name" sysctl -qw net.ipv6.conf.{all,default}.disable_ipv6=1
		machine_run ip -n "$name" link set lo up
	done
	installed_ctl tenant add acme && installed_ctl segment add acme/web
	check "a veth in w1" installed_ctl port add acme/w1 --type veth --segment web --netns w1 --ifname eth0 \
		--ip 10.0.0.1/24
	check "a TAP in w2" installed_ctl port add acme/w2 --type tap --segment web --netns w2 --ifname eth0 \
		--ip 10.0.0.2/24
	machine_run ip link add up0 type veth peer name eth0 netns w4
	machine_run ip -n w4 addr add 10.0.0.4/24 dev eth0
	machine_run ip -n w4 link set eth0 up
	ADOPTED=$(adopted)
	check "an interface of the host" installed_ctl port add acme/w4 --type netdev --segment web --ifname up0
	check_not "is another now" test "$(adopted)" = "$ADOPTED"
	check "it forwards" wait_until 10 installed_ping
	check_is "a port whose namespace is not there is accepted, and not in effect" 4 \
		"$(installed_ctl --wait 0.2 port add acme/w3 --type tap --segment web --netns w3 --ifname eth0 \
			>/dev/null 2>&1; echo $?)"
	check_is "it says what it waits for" "no namespace w3" \
		"$(installed_ctl --json port show acme/w3 | jq -r .status.reason)"
}

# The units let a guest be served, and a device be opened by a datapath that is started again for it.
lifecycle_guests() {
	local pid
	if installed_ctl --wait 0 port add acme/vm --type vhost-user --segment web --socket /run/vm.sock --server 2>&1 |
		grep -q libdpdk-dev; then
		echo "NOTE guests and devices: the datapath was built without DPDK"
		return
	fi
	check "a frontend gets an answer" machine_run python3 -c '
import socket, struct
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(5)
connection.connect("/run/vm.sock")
connection.send(struct.pack("=III", 1, 1, 0))  # GET_FEATURES
request, flags, size = struct.unpack("=III", connection.recv(12))
assert (request, flags & 4, size) == (1, 4, 8), (request, flags, size)'
	pid=$(unit_says datapath MainPID)
	check "a port on a device of DPDK" installed_ctl --wait 10 port add acme/null --type dpdk --segment web \
		--dev net_null0
	check_not "has the datapath started again" test "$(unit_says datapath MainPID)" = "$pid"
	check "it forwards" wait_until 10 installed_ping
	check "both ports go" installed_ctl --wait 10 port del acme/vm
	check "both ports go" installed_ctl --wait 10 port del acme/null
	check_not "the socket is gone" machine_run test -e /run/vm.sock
}

# daemons_die KIND...: all at one moment.
daemons_die() {
	local kind pid pids=()
	for kind; do
		pid=$(unit_says "$kind" MainPID)
		# 0 would be the process group of this script.
		[ "${pid:-0}" -gt 1 ] || die "vswitch-$kind does not run"
		pids+=("$pid")
	done
	machine_run kill -KILL "${pids[@]}"
	wait_until 10 pids_replaced "$@" "${pids[@]}"
}

pids_replaced() {
	local count=$(($# / 2)) i kind pid
	for ((i = 1; i <= count; i++)); do
		kind=${!i}
		pid=$((i + count)) pid=${!pid}
		[ "$(unit_says "$kind" ActiveState)" = active ] && [ "$(unit_says "$kind" MainPID)" != "$pid" ] || return 1
	done
}

lifecycle_deaths() {
	local before counted fdb round kinds
	# What somebody added by hand to a veth would be gone if it were made anew.
	machine_run ip -n w1 addr add 192.0.2.1/32 dev eth0
	before=$(interfaces)
	for kinds in datapath control "datapath control" "control datapath"; do
		counted=$(installed_counter)
		fdb=$(installed_ctl --json fdb list | jq -c '[.entries[] | {segment, mac, port}] | sort')
		# shellcheck disable=SC2086 # several words
		check "death of $kinds: started again" daemons_die $kinds
		check "and settled" wait_until 10 installed_settled
		check_is "the interfaces are the same, addresses added by hand included" "$before" "$(interfaces)"
		check "it forwards" wait_until 10 installed_ping
		check_between "counters go on" "$((counted + 3))" "$(installed_counter)" 1000000
		check_is "what was learned is known" "$fdb" \
			"$(installed_ctl --json fdb list | jq -c '[.entries[] | {segment, mac, port}] | sort')"
	done
	for round in 1 2 3 4 5 6 7 8; do
		daemons_die datapath control
	done
	check "after $round more deaths of both at once: settled" wait_until 10 installed_settled
	check_is "the interfaces are still the same" "$before" "$(interfaces)"
	check_is "still three descriptors are kept" 3 "$(unit_says control NFileDescriptorStore)"
	check "it forwards" wait_until 10 installed_ping
}

lifecycle_restarts() {
	local control datapath before
	before=$(interfaces)
	control=$(unit_says control MainPID)
	machine_run sed -i 's/^#VSWITCH_WORKERS=.*/VSWITCH_WORKERS=2/' /etc/default/vswitch
	check "the datapath restarts" machine_run systemctl restart vswitch-datapath
	check "settled" wait_until 10 installed_settled
	check_is "with the workers of /etc/default/vswitch" 2 "$(installed_ctl --json status | jq .datapath.workers)"
	check_is "the control daemon was not restarted" "$control" "$(unit_says control MainPID)"
	datapath=$(unit_says datapath MainPID)
	check "the control daemon restarts" machine_run systemctl restart vswitch-control
	check "settled" wait_until 10 installed_settled
	check_is "the datapath was not restarted" "$datapath" "$(unit_says datapath MainPID)"
	check_is "a stop of the control daemon" 0 "$(machine_run systemctl stop vswitch-control >/dev/null 2>&1; echo $?)"
	check_is "leaves the datapath running" "$datapath" "$(unit_says datapath MainPID)"
	check "and forwarding" installed_ping
	check "the control daemon starts" machine_run systemctl start vswitch-control
	check "settled" wait_until 10 installed_settled
	check_is "the service manager has its descriptors again" 3 "$(unit_says control NFileDescriptorStore)"
	check_is "the interfaces are the same" "$before" "$(interfaces)"
	machine_run sed -i 's/^VSWITCH_WORKERS=.*/#VSWITCH_WORKERS=1/' /etc/default/vswitch
}

# as GROUP COMMAND...: an unprivileged user, with that group besides.
as() {
	local group=$1
	shift
	machine_run setpriv --reuid nobody --regid nogroup --groups "$group" "$@"
}

lifecycle_access() {
	check "group vswitch-read reads" as vswitch-read vswitchctl tenant list
	check_not "and changes nothing" as vswitch-read vswitchctl tenant add beta
	check "group vswitch changes" as vswitch vswitchctl tenant add beta
	check_not "others do not read" as nogroup vswitchctl tenant list
	installed_ctl tenant del beta
}

# journal FIELD=VALUE...: what was logged, one JSON object a line.
journal() { machine_run journalctl -q -o json --no-pager "$@"; }

lifecycle_journal() {
	check_is "the journal finds messages by port, with priority and sender" \
		'6 vswitch-control acme port acme/w3 waits: no namespace w3' \
		"$(journal VSWITCH_PORT=acme/w3 | jq -r '[.PRIORITY, .SYSLOG_IDENTIFIER, .VSWITCH_TENANT, .MESSAGE] | join(" ")' |
			head -n 1)"
	check "and by unit, from within the datapath's sandbox" \
		grep -q 'control daemon connected' <<<"$(journal -u vswitch-datapath SYSLOG_IDENTIFIER=vswitch-datapath)"
	check_is "nothing is an error" "" "$(journal -p err -t vswitch-control -t vswitch-datapath)"
	check_is "no call was refused" "" "$(journal -o cat -u vswitch-control -u vswitch-datapath | grep -i "not permitted")"
}

# Into $LAB_DIR/deb. Prints only the end of what a build prints, and only when it fails.
build_package() {
	# Nobody looks at debugging symbols here, and it need not be fast.
	DEB_BUILD_OPTIONS='noautodbgsym noopt' "$TOP/packaging/build-deb" "$LAB_DIR/deb" >"$LAB_DIR/deb.out" 2>&1 && return
	grep -e 'error' -e FAILED "$LAB_DIR/deb.out" | cut -c 1-200
	return 1
}

# package_life: what becomes of a switch that runs from the package /mnt/vswitch.deb, to its end.
package_life() {
	local before
	before=$(interfaces)
	check "an upgrade" machine_run dpkg -i /mnt/vswitch.deb
	check "settled" wait_until 10 installed_settled
	check_is "the interfaces are the same" "$before" "$(interfaces)"
	check "it forwards" wait_until 10 installed_ping

	check "it is removed" machine_run dpkg --remove vswitch
	check_not "no daemon is left" machine_run pgrep vswitch
	check_is "no interface is left" "lo lo" "$(interface_names)"
	check_is "the adopted one is as it was" "$ADOPTED" "$(adopted)"
	check_is "the state and its settings are there" "/etc/default/vswitch /var/lib/vswitch" \
		"$(machine_run ls -d /etc/default/vswitch /var/lib/vswitch | paste -sd ' ')"
	check "it is installed again" machine_run dpkg -i /mnt/vswitch.deb
	check "settled, with the former state" wait_until 10 installed_settled
	check "it forwards" wait_until 10 installed_ping
	check "it is purged" machine_run dpkg --purge vswitch
	check_is "no account is left" "" "$(machine_run getent group vswitch vswitch-read vswitch-datapath)"
	check_is "no unit is left, and none that failed" "" \
		"$(machine_run systemctl --all --no-legend list-units 'vswitch*')"
	check_is "no file of a running switch is left" "" "$(machine_run find /run -name '*vswitch*')"
}

interface_names() {
	local name
	for name in w1 w2; do
		machine_run ip -n "$name" -o link | awk -F': ' '{ print $2 }'
	done | paste -sd ' '
}
