#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Exact frames on every port, the one they came in on included: flooding, learning, groups that are not
# forwarded, bad sources, tags, super-packets with and without tags. frames.py says what is expected.
#
#     tap1   tap2   veth1   veth2           clear-tap   clear-veth1   clear-veth2
#       |      |      |       |                  |           |             |
#     [ segment acme/web               ]   [ segment acme/clear, vlan-transparent ]   switch s
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add tap1 tap2 veth1 veth2 clear-tap clear-veth1 clear-veth2
switch_start s
check "configuration" eval 'ctl s tenant add acme && ctl s segment add acme/web &&
	ctl s segment add acme/clear --vlan-transparent yes'
number=0
for name in tap1 tap2 veth1 veth2 clear-tap clear-veth1 clear-veth2; do
	number=$((number + 1))
	type=tap segment=web
	case $name in *veth*) type=veth ;; esac
	case $name in clear*) segment=clear ;; esac
	check "port acme/$name" ctl s port add "acme/$name" --type $type --segment $segment --ifname eth0 \
		--netns "$LAB_PREFIX$name" --mac "02:00:00:00:00:0$number"
done

"$PYTHON" -B "$TOP/tests/netns/frames.py" "$LAB_PREFIX" || LAB_FAILED=1

# What frames.py sent with a bad source was not learned from.
check_is "no bad source was learned" 0 "$(ctl s --json fdb list | jq '[.entries[] | select(
	.mac == "00:00:00:00:00:00" or (.mac[1:2] | test("[13579bdf]")))] | length')"
for port in tap1 veth1; do
	check_is "acme/$port: link-local drops are counted" 16 "$(drop_counter s acme/$port link-local)"
	check_is "acme/$port: bad sources are counted" 3 "$(drop_counter s acme/$port source-mac)"
done
lab_finish
