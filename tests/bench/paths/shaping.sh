# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Bandwidth channels beside the kernel's shapers, tbf and htb on a port of its bridge. The parts are files of
# ../shaping; "tests/bench/run shaping/PART" measures one of them.

SHAPING_PARTS=(ceiling workers goodput guarantee conserve sparse cost change rates)
# More rounds than that say nothing more, and each takes minutes.
SHAPING_ROUNDS=3

# shellcheck source=tests/bench/shaping/worlds.sh
. "$BENCH/shaping/worlds.sh"
# shellcheck source=tests/bench/shaping/traffic.sh
. "$BENCH/shaping/traffic.sh"
for shaping_file in ceiling goodput guarantee conserve sparse cost change rates; do
	# shellcheck disable=SC1090 # a file of ../shaping
	. "$BENCH/shaping/$shaping_file.sh"
done

# path_shaping [PART]
path_shaping() {
	local part ROUNDS=$ROUNDS
	[ "$ROUNDS" -le "$SHAPING_ROUNDS" ] || ROUNDS=$SHAPING_ROUNDS
	side_is shaping switch "port a a TAP, the outside an adopted veth as uplink; ceilings and guarantees are the tenant's, send"
	side_is shaping switch2 "the same with --workers 2"
	side_is shaping tbf "$(tc -V | sed 's/,.*iproute2-/ of iproute2 /; s/,.*//'), on the bridge's port to the sink: burst of 4 ms, at least 1540 octets, latency 50 ms"
	side_is shaping htb "at the same place: a class for each tenant, burst and queue as they come"
	side_is shaping unshaped "vswitch without a ceiling; the source sends what the ceiling would let pass"
	for part in ${1:-"${SHAPING_PARTS[@]}"}; do
		[[ " ${SHAPING_PARTS[*]} " == *" $part "* ]] || die "shaping has no part $part, but ${SHAPING_PARTS[*]}"
		"shaping_$part"
	done
}
