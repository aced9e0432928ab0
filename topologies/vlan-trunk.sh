# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Two switches joined by one uplink that carries segments of two tenants: three by tag, one untagged, and one that
# only host-a has. Everywhere the same addresses and MACs. Sourced by run.
#
#   web-a   db-a   beta-a   lab-a   solo-a            web-b   db-b   beta-b   lab-b   router-b (10: web, 20: db)
#     | tap   | veth | veth   | tap   | tap             | tap   | veth | veth   | tap   | tap, a trunk
#   [ switch host-a                        ]          [ switch host-b                          ]
#          uplink =================== 100 200 300 untagged (400) =================== uplink

# shellcheck source=tests/lib.sh
declare -F lab_begin >/dev/null || . tests/lib.sh

# Segment, its tag on the wire, and the number that its traffic is known by.
SEGMENTS='web:100:161 db:200:162 beta:300:163 lab:untagged:164'
WORKLOADS='web-a db-a beta-a lab-a solo-a web-b db-b beta-b lab-b router-b'
SOLO=165

topology_make() {
	local host name
	# shellcheck disable=SC2086 # names
	ns_add host-a host-b $WORKLOADS
	uplink_make
	for host in host-a host-b; do
		switch_start "$host" "$host"
		ctl "$host" apply "$TOP/topologies/vlan-trunk.$host.yaml" || die "cannot apply vlan-trunk.$host.yaml"
		wait_until 10 switch_settled "$host" || die "$host did not settle: $(ctl "$host" status)"
	done
	for name in $WORKLOADS; do
		# An address that nobody has is asked for three times in 300 ms; a neighbour is not asked again.
		in_ns "$name" sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=100 net.ipv4.neigh.eth0.delay_first_probe_time=60
	done
	iperf_server web-b
	iperf_server lab-b
}

# The hosts have IPv6, as hosts do, and speak on the uplink until it is adopted.
uplink_make() {
	local host
	for host in host-a host-b; do
		in_ns $host sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
	done
	ip -n "${LAB_PREFIX}host-a" link add uplink type veth peer name uplink netns "${LAB_PREFIX}host-b" ||
		die "cannot join the hosts"
	# Nothing is said before the other end is up.
	ip -n "${LAB_PREFIX}host-b" link set uplink up
	capture_start host-b uplink before
	ip -n "${LAB_PREFIX}host-a" link set uplink up
	wait_until 10 host_spoke
	HOST_FRAMES=$(frames before ip6)
}

host_spoke() {
	[ "$(frames before ip6)" -gt 0 ]
}

# ---- captures ----

CAPTURES=()

# capture_start NAME INTERFACE FILE
capture_start() {
	job_in "$1" "$3.tcpdump" tcpdump -i "$2" -p -U --immediate-mode -s 0 -w "$LAB_DIR/$3.pcap"
	CAPTURES+=("$!")
	wait_until 10 grep -q 'listening on' "$LAB_DIR/$3.tcpdump" || die "tcpdump in $1 does not listen"
}

# frames FILE FILTER
frames() {
	tcpdump -n -r "$LAB_DIR/$1.pcap" "$2" 2>/dev/null | wc -l
}

# A segment's echo requests and replies carry its number; it asks for the address that ends with it.
filter_of() {
	echo "(icmp and icmp[24] == $1 and icmp[25] == $1) or (arp[6:2] == 1 and arp[24:4] == 0x0a0000$(printf %02x "$1"))"
}

topology_prove() {
	prove_who_hears_whom
	prove_wire
	prove_host_is_silent
	prove_tcp
}

# Three frames for everybody in each segment, and five pings: 13 frames that all ports capture.
prove_who_hears_whom() {
	local segment name vid number
	for name in $WORKLOADS; do
		capture_start "$name" eth0 "$name"
	done
	capture_start host-b uplink wire
	for segment in $SEGMENTS; do
		IFS=: read -r name vid number <<<"$segment"
		in_ns "$name-a" ping -q -n -p "$(printf %02x "$number")" -i 0.02 -c 5 -w 5 10.0.0.2 >/dev/null
		in_ns "$name-a" ping -q -n -c 1 -W 1 "10.0.0.$number" >/dev/null
	done
	in_ns solo-a ping -q -n -c 1 -W 1 "10.0.0.$SOLO" >/dev/null
	wait_until 10 all_captured
	for name in "${CAPTURES[@]}"; do
		end_process "$name"
	done
	for segment in $SEGMENTS; do
		IFS=: read -r name vid number <<<"$segment"
		row "$name: frames at its ports on host-a and host-b" "13 13" \
			"$(frames "$name-a" "$(filter_of "$number")") $(frames "$name-b" "$(filter_of "$number")")"
		row "$name: frames at all other untagged ports" 0 "$(heard_elsewhere "$name" "$number")"
	done
	row "solo: frames at its port, and at all others" "3 0" \
		"$(frames solo-a "$(filter_of $SOLO)") $(heard_elsewhere solo $SOLO)"
	row "router-b: floods of web tagged 10, of db tagged 20" "3 3" \
		"$(frames router-b "vlan 10 and ($(filter_of 161))") $(frames router-b "vlan 20 and ($(filter_of 162))")"
	# The two besides: web-a and db-a asked for their peers before they pinged.
	row "router-b: frames in all" 8 "$(frames router-b '')"
}

# The captures' last frames are theirs a moment after they were sent.
all_captured() {
	local segment name number
	for segment in $SEGMENTS; do
		IFS=: read -r name _ number <<<"$segment"
		[ "$(frames "$name-a" "$(filter_of "$number")")" -ge 13 ] || return 1
		[ "$(frames "$name-b" "$(filter_of "$number")")" -ge 13 ] || return 1
	done
	[ "$(frames solo-a "$(filter_of $SOLO)")" -ge 3 ] && [ "$(frames wire '')" -ge 63 ] &&
		[ "$(frames router-b '')" -ge 8 ]
}

heard_elsewhere() {
	local name sum=0
	for name in $WORKLOADS; do
		[[ $name == "$1"-* || $name == router-b ]] || sum=$((sum + $(frames "$name" "$(filter_of "$2")")))
	done
	echo "$sum"
}

# Each frame once, with the tag of its segment and no other: 13 a segment, and 2 that resolved the peer's address.
prove_wire() {
	local segment name vid number tag
	for segment in $SEGMENTS; do
		IFS=: read -r name vid number <<<"$segment"
		tag="vlan $vid and "
		[ "$vid" != untagged ] || tag=''
		row "wire: frames of $name, $vid" 13 "$(frames wire "$tag($(filter_of "$number"))")"
		[ "$vid" = untagged ] || row "wire: all frames tagged $vid" 15 "$(frames wire "vlan $vid")"
	done
	row "wire: frames of solo, 400" 3 "$(frames wire "vlan 400 and ($(filter_of $SOLO))")"
	row "wire: frames in all (4 times 15, 3 of solo)" 63 "$(frames wire '')"
	row "host-b: drops of solo's, reason vlan-unknown" 3 "$(drop_counter host-b uplink0 vlan-unknown)"
}

# Adopted, the uplink is no more the hosts': no frame has its addresses.
prove_host_is_silent() {
	local host macs=()
	for host in host-a host-b; do
		macs+=("$(in_ns $host cat /sys/class/net/uplink/address)")
	done
	row_between "wire: the hosts' own frames before adoption" 1 "$HOST_FRAMES" 99 frames
	row "wire: the hosts' own frames since" 0 "$(frames wire "ip6 or ether src ${macs[0]} or ether src ${macs[1]}")"
}

prove_tcp() {
	local name
	for name in web lab; do
		row_between "$name: TCP from host-a to host-b" 100 "$(trunk_rate $name)" 99999 Mbit/s
	done
}

trunk_rate() {
	in_ns "$1-a" iperf3 --client 10.0.0.2 --time 2 --json | jq '.end.sum_received.bits_per_second / 1e6 | round'
}

topology_hints() {
	local ctl="${LAB_BUILD#"$TOP/"}/cli/vswitchctl --run-dir $LAB_DIR"
	cat <<END
Look around:
    $ctl/host-a port show uplink0
    $ctl/host-a fdb list
    $ctl/host-b drops
    ip netns exec ${LAB_PREFIX}host-b tcpdump -n -e -i uplink
    ip netns exec ${LAB_PREFIX}web-a ping 10.0.0.2
END
}
