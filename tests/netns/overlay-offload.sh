#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Super-packets and the overlay: what arrives in trains of datagrams goes on as super-packets, and super-packets
# leave as datagrams; at every port it stands for the frames that were sent, octet for octet, and each is counted.
# overlay_offload.py says what is expected.
#
#      tap (tap)   veth (veth)   wire (adopted, a device without offloads)   out (pcap: records)    clear (tap)
#         |            |                       |                              |                       |
#      [ segment acme/web, VNI 5001                                           ]   [ acme/clear, VNI 5002, transparent ]
#                         switch s in namespace host, 172.31.0.1
#                                      |  underlay, MTU 1500, 9000, 1200
#      peers 172.31.0.2 and 172.31.0.3, and a stranger 172.31.0.99: sockets in namespace wild
#      172.31.0.4: another switch in namespace wild, with a tap in namespace two
#      172.31.1.2, on another interface: a kernel's vxlan device in namespace kernel
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add host wild tap veth wire clear two kernel
underlay host wild
for address in 3 4 99; do
	ip -n "${LAB_PREFIX}wild" addr add "172.31.0.$address/24" dev underlay
done
ip -n "${LAB_PREFIX}host" link add wire type veth peer name eth0 netns "${LAB_PREFIX}wire" || die "cannot make a veth"
ip -n "${LAB_PREFIX}host" link set wire up
ip -n "${LAB_PREFIX}wire" link set eth0 up
in_ns host ethtool -K wire tx off tso off gso off >/dev/null || die "ethtool"
# What is captured at the other end of the underlay is what a wire would carry.
in_ns host ethtool -K underlay tx-udp-segmentation off tx-checksum-ip-generic off >/dev/null || die "ethtool"
ip -n "${LAB_PREFIX}host" link add toward type veth peer name underlay netns "${LAB_PREFIX}kernel" || die "cannot make a veth"
ip -n "${LAB_PREFIX}host" addr add 172.31.1.1/24 dev toward
ip -n "${LAB_PREFIX}host" link set toward up
ip -n "${LAB_PREFIX}kernel" addr add 172.31.1.2/24 dev underlay
ip -n "${LAB_PREFIX}kernel" link set underlay up
ip -n "${LAB_PREFIX}kernel" route add 172.31.0.1 dev underlay
ip -n "${LAB_PREFIX}kernel" link add vx0 mtu 1450 type vxlan id 5001 local 172.31.1.2 remote 172.31.0.1 dstport 4789 \
	dev underlay || die "cannot make a vxlan device"
ip -n "${LAB_PREFIX}kernel" link set vx0 up
switch_start two wild
switch_start s host
sed "s/PREFIX-/$LAB_PREFIX/" >"$LAB_DIR/s.yaml" <<'END'
version: 1
vtep: { local: 172.31.0.1 }
tenants:
  acme:
    segments:
      web:
        vni: 5001
        mtu: 1450
        peers: [172.31.0.2, 172.31.0.3, 172.31.0.4, 172.31.1.2]
        ports:
          tap: { type: tap, netns: PREFIX-tap, ifname: eth0, mac: 02:00:00:00:00:01 }
          veth: { type: veth, netns: PREFIX-veth, ifname: eth0, mac: 02:00:00:00:00:02 }
          wire: { type: netdev, ifname: wire }
          out: { type: pcap, write: out.pcap }
      clear:
        vni: 5002
        mtu: 1450
        peers: [172.31.0.2]
        vlan-transparent: true
        ports:
          clear: { type: tap, netns: PREFIX-clear, ifname: eth0, mac: 02:00:00:00:00:04 }
END
sed "s/PREFIX-/$LAB_PREFIX/" >"$LAB_DIR/two.yaml" <<'END'
version: 1
vtep: { local: 172.31.0.4 }
tenants: { acme: { segments: { web: { vni: 5001, mtu: 1450, peers: [172.31.0.1], ports: {
  two: { type: tap, netns: PREFIX-two, ifname: eth0, mac: 02:00:00:00:00:22 } } } } } }
END
for name in s two; do
	check "configuration of $name" ctl $name apply "$LAB_DIR/$name.yaml"
	wait_until 10 switch_settled $name || die "switch $name does not settle"
done

"$PYTHON" -B "$TOP/tests/netns/overlay_offload.py" "$LAB_PREFIX" "$LAB_DIR/s" "$LAB_BUILD/cli/vswitchctl" ||
	fail "overlay_offload.py"
lab_finish
