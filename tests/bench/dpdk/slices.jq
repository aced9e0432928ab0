# SPDX-License-Identifier: Apache-2.0
#
# What the slices of a guest's answer (guest.c) say together. Needs $nearest (ns, or null), $factor and $share, which
# circles.sh explains.

def median: sort | .[length / 2 | floor];

.slices as $all
| ([$nearest // empty] + [$all[].distance] | min) as $nearest
| [$all[] | select(.distance <= $nearest * $factor)] as $near
| (($near | length) < ($all | length) * $share) as $far
| (if $far then $all else $near end) as $used
| {
    nearest: $nearest,
    far: $far,
    slices: ($used | length),
    of: ($all | length),
    distance: ($used | map(.distance) | median),
    frames: ($used | map(.frames) | add),
    lost: ($all | map(.lost) | add),
    mpps: ($used | map(.frames / .seconds / 1e6) | median),
    gbits: ($used | map(.octets * 8 / .seconds / 1e9) | median),
    busy: ($used | map(.busy) | median)
  }
