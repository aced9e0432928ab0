# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Two hosts, two tenants with the same addresses and MACs, overlay, ceilings, real traffic. Sourced by run.
#
#   acme-1 (10.0.0.1)   beta-1 (10.0.0.1)        acme-2 (10.0.0.2)   beta-2 (10.0.0.2)   beta-3 (10.0.0.3)
#        tap \             / tap                      veth \              | veth             / tap
#           [ switch host-a ]                               [ switch host-b                 ]
#              172.31.0.1 ---- underlay, MTU 1500: VNI 5001 acme, 5002 beta ---- 172.31.0.2

# shellcheck source=tests/lib.sh
declare -F lab_begin >/dev/null || . tests/lib.sh

# A ceiling counts octets of Ethernet frames; at an MTU of 1450 (1500 less VXLAN's 50) a frame of 1464
# carries 1398 octets of TCP payload, 95.5 %.
GOODPUT=0.955

topology_make() {
	local host
	ns_add host-a host-b acme-1 acme-2 beta-1 beta-2 beta-3
	underlay host-a host-b
	for host in host-a host-b; do
		switch_start "$host" "$host"
		ctl "$host" apply "$TOP/topologies/two-tenants.$host.yaml" || die "cannot apply two-tenants.$host.yaml"
		wait_until 10 switch_settled "$host" || die "$host did not settle: $(ctl "$host" status)"
	done
	iperf_server acme-2
	iperf_server beta-2
}

topology_prove() {
	prove_pings
	prove_isolation
	prove_ceilings
	prove_live_change
	echo
	for host in host-a host-b; do
		echo "counters of $host:"
		ctl "$host" stats tenant | sed 's/^/    /'
	done
	echo
}

answers() {
	in_ns "$1" ping -n -i 0.05 -c 5 -w 3 "$2" | grep -c 'bytes from'
}

prove_pings() {
	local tenant
	for tenant in acme beta; do
		row "$tenant: pings from host-a to host-b answered" 5 "$(answers $tenant-1 10.0.0.2)"
	done
	row "beta: pings to 10.0.0.3, which only beta has" 5 "$(answers beta-1 10.0.0.3)"
	row "acme: pings to 10.0.0.3 answered" 0 "$(answers acme-1 10.0.0.3)"
}

# Each tenant pings with a payload of its own, and asks for an address that nobody has (ARP is flooded);
# every workload port captures all that reaches it.
prove_isolation() {
	local name seen tenant other
	local names=(acme-1 acme-2 beta-1 beta-2 beta-3) captures=()
	for name in "${names[@]}"; do
		job_in "$name" "$name.tcpdump" tcpdump -i eth0 -p -U -s 0 -w "$LAB_DIR/$name.pcap"
		captures+=("$!")
		wait_until 10 grep -q 'listening on' "$LAB_DIR/$name.tcpdump" || die "tcpdump in $name does not listen"
	done
	in_ns acme-1 ping -q -n -p ac -i 0.01 -c 100 -w 5 10.0.0.2 >/dev/null
	in_ns beta-1 ping -q -n -p be -i 0.01 -c 100 -w 5 10.0.0.2 >/dev/null
	in_ns acme-1 ping -q -n -c 1 -W 1 10.0.0.171 >/dev/null
	in_ns beta-1 ping -q -n -c 1 -W 1 10.0.0.190 >/dev/null
	for name in "${captures[@]}"; do
		end_process "$name"
	done
	for tenant in acme beta; do
		other=$([ $tenant = acme ] && echo beta || echo acme)
		seen=$(frames_of $tenant $tenant-2)
		row_between "$tenant: own frames at its port on host-b" 101 "$seen" 999 frames
		seen=0
		for name in "${names[@]}"; do
			case $name in "$other"-*) seen=$((seen + $(frames_of $tenant "$name"))) ;; esac
		done
		row "$tenant: frames at $other's ports" 0 "$seen"
	done
}

# frames_of TENANT NAME: echo requests and replies with the tenant's payload, and its ARP, in NAME's capture.
frames_of() {
	local octet=0xac address=10.0.0.171
	[ "$1" = acme ] || { octet=0xbe; address=10.0.0.190; }
	tcpdump -n -r "$LAB_DIR/$2.pcap" \
		"(icmp and icmp[24] == $octet and icmp[25] == $octet) or (arp and arp[24:4] == $(address_number $address))" \
		2>/dev/null | wc -l
}

address_number() {
	local IFS=.
	# shellcheck disable=SC2086 # split at the dots
	set -- $1
	echo $((($1 << 24) + ($2 << 16) + ($3 << 8) + $4))
}

# iperf_start TENANT SECONDS: $! is the process; the report is $LAB_DIR/TENANT.json. What counts is what the server
# saw: the client reports what it wrote, also when that still waits.
iperf_start() {
	job_in "$1-1" "$1.json" iperf3 --client 10.0.0.2 --time "$2" --omit 1 --interval 1 --json --get-server-output
}

# goodput TENANT [FROM TO]: Mbit/s of payload in that part of the run, in tenths of a second behind the first second; as many
# of the tenths had more as had less, so that a source that waited for the processor is not held against the switch.
goodput() {
	jq -r "[.server_output_json.intervals[].sum | select(.omitted | not) | .bits_per_second][${2:-0}:${3:-}]
		| sort | .[length / 2 | floor] | . / 1e5 | round / 10" "$LAB_DIR/$1.json"
}

# row_goodput TEXT RATE SEEN: what a ceiling of RATE Mbit/s allows, 4 % less or 2 % more.
row_goodput() {
	local what=$1 rate=$2 seen=$3
	row_between "$what" "$(awk "BEGIN { printf \"%.1f\", $rate * $GOODPUT * 0.96 }")" "$seen" \
		"$(awk "BEGIN { printf \"%.1f\", $rate * $GOODPUT * 1.02 }")" Mbit/s
}

prove_ceilings() {
	local acme beta
	iperf_start acme 4
	acme=$!
	iperf_start beta 4
	beta=$!
	wait "$acme" "$beta"
	row_goodput "acme: TCP, ceiling 200mbit, beside beta" 200 "$(goodput acme)"
	row_goodput "beta: TCP, ceiling 50mbit, beside acme" 50 "$(goodput beta)"
}

# The change comes a good second behind the start, and a good second before the end.
prove_live_change() {
	local client
	iperf_start acme 6
	client=$!
	sleep 3.5
	ctl host-a tenant set acme --send 100mbit || die "cannot change acme's ceiling"
	wait "$client"
	row_goodput "acme: before its ceiling changes" 200 "$(goodput acme 0 10)"
	row_goodput "acme: after tenant set acme --send 100mbit" 100 "$(goodput acme -10)"
	ctl host-a tenant set acme --send 200mbit || die "cannot change acme's ceiling back"
}

topology_hints() {
	local ctl="${LAB_BUILD#"$TOP/"}/cli/vswitchctl --run-dir $LAB_DIR"
	cat <<END
Look around:
    $ctl/host-a status
    $ctl/host-a stats tenant
    $ctl/host-b fdb list
    ip netns exec two-tenants-acme-1 ping 10.0.0.2
    ip netns exec two-tenants-beta-1 iperf3 -c 10.0.0.2
    $ctl/host-a tenant set beta --send 20mbit
END
}
