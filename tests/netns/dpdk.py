# SPDX-License-Identifier: Apache-2.0
"""dpdk.py PREFIX RUN_DIR VSWITCHCTL: see dpdk.sh, which makes the switches. Exact frames between DPDK's devices, a TAP and
the overlay, tags included."""

import select
import sys
import time

from frame_cases import Segment, frame, tagged
from wire import BROADCAST, Network, Wire

TAG = (0x8100, 100)


class Trunk(Wire):
    """The far end of an uplink: what is untagged in the segment has its tag there."""

    def send(self, data, vnet=(0, 0, 0, 0, 0, 0)):
        super().send(tagged(data, TAG), vnet)


def wait_for(network, expected, seconds=3):
    """Where a port is in no group with the sender, no fence says that it has everything."""
    deadline = time.monotonic() + seconds
    while not all(network.wires[name].arrived for name in expected) and time.monotonic() < deadline:
        select.select([network.wires[name].socket for name in expected], [], [], 0.05)
        for name in expected:
            network.wires[name].collect()


def uplink(network):
    """Tags are put on and taken off, whichever way the device hands them over."""
    plain, back = frame(BROADCAST, "02:00:00:00:00:01", "plain", 64), frame(BROADCAST, "02:00:00:00:00:05", "back", 64)
    wire = network.wires["wire"]
    network.check("t1: tagged on the uplink", network.exchange("t1", [plain]),
                  {"nic": [plain], "far": [plain], "wire": [tagged(plain, TAG)]})
    seen = network.exchange("t2", [plain])
    network.fence_from(network.wires["t2"], [wire])
    network.check("t2: with tag 200 on the uplink", seen, {"wire": [tagged(plain, (0x8100, 200))]})
    network.check("the uplink: tag 100 is web's", network.exchange("wire", [back]),
                  {"nic": [back], "far": [back], "t1": [back]})
    for text, tags, expected in (("tag 200 is db's", [(0x8100, 200)], {"t2": [back]}),
                                 ("tag 300 is nobody's", [(0x8100, 300)], {}), ("no tag is nobody's", [], {}),
                                 ("two tags are nobody's", [(0x8100, 100), (0x8100, 5)], {})):
        for each in network.wires.values():
            each.collect()
            each.arrived = []
        Wire.send(wire, tagged(back, *tags))
        network.fence("wire")
        wait_for(network, expected)
        network.check(f"the uplink: {text}", {name: each.arrived for name, each in network.wires.items()}, expected)


def main():
    prefix = sys.argv[1]
    wires = [Wire("t1", prefix + "t1"), Wire("nic", prefix + "peer", "nic0"), Wire("far", prefix + "far"),
             Trunk("wire", prefix + "peer", "nic1")]
    network = Network([[Wire("t2", prefix + "t2")], wires])
    network.fence()
    uplink(network)
    # The uplink hears all with its tag, which these cases do not know.
    network.groups[1].remove(wires[3])
    del network.wires["wire"]
    segment = Segment(network, 1)
    for source in ("t1", "nic"):
        for case in (segment.unicast, segment.groups, segment.sources, segment.moves, segment.tags, segment.sizes):
            case(source)
    segment.supers("t1", [])
    network.finish()


main()
