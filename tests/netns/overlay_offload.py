# SPDX-License-Identifier: Apache-2.0
"""overlay_offload.py PREFIX RUN_DIR VSWITCHCTL: see overlay-offload.sh, which makes the switch. Sends trains of
datagrams from the underlay and super-packets from ports, and compares every frame and every counter."""

import sys

from overlay_lab import Lab
from overlay_receive import broken, congestion, joins, loads, mixes, tags
from overlay_send import jumbo, peers, sending, sizes, small, teach


def main():
    lab = Lab(*sys.argv[1:])
    lab.network.fence()
    for cases in (joins, mixes, congestion, broken, tags, loads):
        cases(lab)
    peers(lab)
    teach(lab)
    sending(lab, 1500, 1410, "MTU 1500")
    sizes(lab)
    jumbo(lab)
    small(lab)
    lab.network.finish()


main()
