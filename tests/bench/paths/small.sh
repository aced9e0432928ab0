# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Frames of 64 octets, one way: what the processes in between use of the processor for each, at a load that all of them
# carry, and when more comes than goes through.

SMALL_RATE=100000 # frames a second, evenly spaced

path_small() {
	side_is small switch "one worker, as it comes; both daemons count"
	side_is small loop "tests/bench/tap_loop.c, tests/bench/veth_loop.c"
	side_is small ovs "$(ovs_version), as on the paths tap and veth"
	# shellcheck disable=SC2046 # one word for each side
	pairs_make tap $(few switch loop ovs vde)
	small_wire tap "TAP to TAP"
	# shellcheck disable=SC2046 # one word for each side
	pairs_make veth $(few switch loop bridge ovs)
	small_wire veth "veth to veth"
}

# small_wire WIRE TITLE
small_wire() {
	case_add "small-$1-paced-cpu" "64-byte frames, $2, 0.1 Mpps: CPU per frame" µs less
	case_add "small-$1-paced-rate" "64-byte frames, $2, 0.1 Mpps: arrived" Mpps more
	case_add "small-$1-flood-cpu" "64-byte frames, $2, flood: CPU per frame" µs less
	case_add "small-$1-flood-rate" "64-byte frames, $2, flood: arrived" Mpps more
	bar_at_most "small-$1-paced-cpu" 1.15 loop
	bar_at_most "small-$1-flood-cpu" 1.15 loop
	by_turns small_frames "small-$1-paced" "$SMALL_RATE"
	by_turns small_frames "small-$1-flood" 0
}
