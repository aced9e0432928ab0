# SPDX-License-Identifier: Apache-2.0
"""frames.py PREFIX: see frames.sh, which makes the switch. Sends exact frames into every port and compares
what arrives at each, the sending one included."""

import sys

from frame_cases import Segment
from wire import Network, Wire

PORTS = ["tap1", "tap2", "veth1", "veth2"]
CLEAR = ["clear-tap", "clear-veth1", "clear-veth2"]


def main():
    prefix = sys.argv[1]
    network = Network([[Wire(name, prefix + name) for name in group] for group in (PORTS, CLEAR)])
    network.fence()
    web, clear = Segment(network, 0), Segment(network, 1)
    for source in PORTS:
        web.every_case(source)
    for source in CLEAR:
        clear.clear_tags(source)
        for chain in ([], [(0x8100, 5)], [(0x88A8, 7), (0x8100, 5)]):
            clear.supers(source, chain)
    network.finish()


main()
