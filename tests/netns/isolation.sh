#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tenants with the same MACs do not hear each other, on one host or over the overlay; and what comes from the
# underlay is let in only from a segment's peers. isolation.py says what is expected.
#
#     a1 (tap)  a2 (veth)          b1 (tap)  b2 (veth)
#     [ acme/web, VNI 5001  ]      [ beta/web, VNI 5002  ]    switch s in namespace host
#       peer 172.31.0.2              peer 172.31.0.3
#                      172.31.0.1
#                          | underlay
#     wild: 172.31.0.2, 172.31.0.3, 172.31.0.99; no switch, only what isolation.py sends
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add host wild a1 a2 b1 b2
underlay host wild
ip -n "${LAB_PREFIX}wild" addr add 172.31.0.3/24 dev underlay
ip -n "${LAB_PREFIX}wild" addr add 172.31.0.99/24 dev underlay
switch_start s host
sed "s/PREFIX-/$LAB_PREFIX/" >"$LAB_DIR/s.yaml" <<'END'
version: 1
vtep: { local: 172.31.0.1 }
tenants:
  acme:
    segments:
      web:
        vni: 5001
        peers: [172.31.0.2]
        ports:
          p1: { type: tap, netns: PREFIX-a1, ifname: eth0, mac: 02:00:00:00:00:01 }
          p2: { type: veth, netns: PREFIX-a2, ifname: eth0, mac: 02:00:00:00:00:02 }
  beta:
    segments:
      web:
        vni: 5002
        peers: [172.31.0.3]
        ports:
          p1: { type: tap, netns: PREFIX-b1, ifname: eth0, mac: 02:00:00:00:00:01 }
          p2: { type: veth, netns: PREFIX-b2, ifname: eth0, mac: 02:00:00:00:00:02 }
END
check "configuration" ctl s apply "$LAB_DIR/s.yaml"

# drops_for REASON: over all ports.
drops_for() {
	ctl s --json drops | jq --arg reason "$1" '[.drops[] | select(.reason == $reason) | .packets] | add // 0'
}

# Each reason with the number of frames that isolation.py sends for it, tenants together.
"$PYTHON" -B "$TOP/tests/netns/isolation.py" "$LAB_PREFIX" || fail "isolation.py"
for expected in peer-unknown:2 vni-unknown:1 vxlan-header:2 vlan-tagged:1 source-mac:1; do
	check_is "drops for ${expected%:*} are counted" "${expected#*:}" "$(drops_for "${expected%:*}")"
done
for tenant in acme beta; do
	check_is "$tenant has its own entry for a MAC that both use" '["'$tenant/p1'"]' \
		"$(ctl s --json fdb list --segment $tenant/web |
			jq -c '[.entries[] | select(.mac == "02:00:00:00:00:01") | .port]')"
done
lab_finish
