# SPDX-License-Identifier: Apache-2.0
"""uplink.py PREFIX: see uplink.sh, which makes the switches. Sends tagged and untagged frames into every
member of every segment and compares what arrives everywhere, tag by tag."""

import select
import sys
import time

from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw
from wire import BROADCAST, Wire

TYPE = 0x88B6  # for local experiments

# Where each segment is, and with which VID; None: untagged.
SEGMENTS = {
    "acme/web": {"wire1": 100, "wire2": 300, "access": None, "trunk": 10, "remote": None},
    "acme/db": {"wire1": 200, "trunk": 20},
    "acme/manage": {"wire1": None, "trunk": None, "manage": None},
    "beta/web": {"wire2": 100, "beta": None},
}
NAMES = sorted({name for members in SEGMENTS.values() for name in members})
IFNAMES = {"wire1": "x1", "wire2": "x2"}
MACS = {name: f"02:00:00:00:01:{number:02x}" for number, name in enumerate(NAMES)}


def frame(destination, source, text, vid=None, pcp=0, inner=()):
    """An Ethernet frame with its tags, as octets."""
    packet = Ether(dst=destination, src=source)
    kinds = [] if vid is None else [(vid, pcp)]
    for tag, priority in kinds + list(inner):
        packet /= Dot1Q(vlan=tag, prio=priority)
    packet /= Raw(text.encode().ljust(46, b"\0"))
    last = packet.getlayer(Dot1Q, len(kinds) + len(inner)) or packet
    last.type = TYPE
    return bytes(packet)


class Lab:
    def __init__(self, prefix):
        self.wires = {name: Wire(name, prefix + name, IFNAMES.get(name, "eth0")) for name in NAMES}
        self.failed = 0

    def exchange(self, text, source, data, expected):
        """Sends one frame; exactly these arrive, {name: frame}. What comes too late, or twice, is found by the
        next exchange: nothing is ever thrown away unseen."""
        self.wires[source].send(data)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for wire in self.wires.values():
                wire.collect()
            if all(self.wires[name].arrived for name in expected):
                break
            select.select([wire.socket for wire in self.wires.values()], [], [], 0.05)
        wrong = []
        for name, wire in self.wires.items():
            wanted = [expected[name]] if name in expected else []
            if wire.arrived != wanted:
                wrong.append(f"at {name}, expected {[x.hex() for x in wanted]}, seen {wire.arrived}")
            wire.arrived = []
        print(("FAIL  " if wrong else "ok    ") + text, flush=True)
        for line in wrong:
            print("      | " + line, flush=True)
        self.failed += bool(wrong)


def flood(lab):
    """From every member of every segment, with a priority that a tagged member keeps."""
    for segment, members in SEGMENTS.items():
        for source, vid in members.items():
            pcp = 0 if vid is None else 5
            expected = {
                name: frame(BROADCAST, MACS[source], segment, tag, pcp)
                for name, tag in members.items() if name != source
            }
            # Through the overlay no tag goes, and no priority with it.
            if source == "remote":
                expected = {name: frame(BROADCAST, MACS[source], segment, tag) for name, tag in members.items()
                            if name != source}
            lab.exchange(f"{segment}: a broadcast from {source} reaches all others, and only them", source,
                         frame(BROADCAST, MACS[source], segment, vid, pcp), expected)


def unicast(lab):
    """What was learned by one tag is reached by it; the same address may be elsewhere in another segment."""
    for segment, members in SEGMENTS.items():
        for source, vid in members.items():
            for target, tag in members.items():
                if target != source:
                    lab.exchange(f"{segment}: from {source} to {target} only", source,
                                 frame(MACS[target], MACS[source], segment, vid),
                                 {target: frame(MACS[target], MACS[source], segment, tag)})


def odd_tags(lab):
    lab.exchange("a priority tag is the native segment's", "wire1",
                 frame(BROADCAST, MACS["wire1"], "priority", 0, 3),
                 {name: frame(BROADCAST, MACS["wire1"], "priority") for name in ("trunk", "manage")})
    for vid in (101, 300):
        lab.exchange(f"VID {vid} on wire1 is nobody's", "wire1", frame(BROADCAST, MACS["wire1"], "odd", vid), {})
    lab.exchange("VID 4095 is dropped", "wire1", frame(BROADCAST, MACS["wire1"], "odd", 4095), {})
    lab.exchange("untagged on an uplink without a native segment", "wire2",
                 frame(BROADCAST, MACS["wire2"], "odd"), {})
    lab.exchange("a tag on an access port", "access", frame(BROADCAST, MACS["access"], "odd", 100), {})
    lab.exchange("an uplink's VID on a workload's trunk", "trunk", frame(BROADCAST, MACS["trunk"], "odd", 100), {})
    lab.exchange("a second tag", "wire1", frame(BROADCAST, MACS["wire1"], "odd", 100, 0, [(7, 0)]), {})


def main():
    lab = Lab(sys.argv[1])
    flood(lab)
    unicast(lab)
    odd_tags(lab)
    flood(lab)
    sys.exit(1 if lab.failed else 0)


main()
