# SPDX-License-Identifier: Apache-2.0
"""isolation.py PREFIX: see isolation.sh, which makes the switch. Frames and VXLAN datagrams into every place,
and what arrives at every port and at the underlay's other end."""

import socket
import struct
import sys
import time

from wire import BROADCAST, FENCE_TYPE, Network, Wire, ethernet, inside

ACME, BETA, NOBODY = 5001, 5002, 5003
TYPE = 0x88B6
ONE, TWO, REMOTE = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:77"
SWITCH = ("172.31.0.1", 4789)


def frame(destination, source, text, size=60):
    return ethernet(destination, source, TYPE, text.encode()).ljust(size, b"\0")


def vxlan(vni, inner, flags=0x08, reserved=(0, 0)):
    return struct.pack("!BBHI", flags, reserved[0] & 0xFF, reserved[0] >> 8, vni << 8 | reserved[1]) + inner


class Underlay:
    """The other end of the underlay: one socket for every address there."""

    def __init__(self, netns, addresses):
        self.sockets = {}
        with inside(netns):
            for address in addresses:
                self.sockets[address] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self.sockets[address].bind((address, 4789))
                self.sockets[address].setblocking(False)

    def collect(self):
        """All that arrived, by address, fences left out; octets of the VXLAN datagrams."""
        arrived = {}
        for address, receiver in self.sockets.items():
            while True:
                try:
                    data = receiver.recv(1 << 16)
                except BlockingIOError:
                    break
                if data[20:22] != struct.pack("!H", FENCE_TYPE):
                    arrived.setdefault(address, []).append(data)
        return arrived

    def wait(self, address, seconds=5):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            arrived = self.collect()
            if arrived:
                return arrived
            time.sleep(0.01)
        return {}


class Overlay:
    """Stands in for a wire in fences: broadcasts into a segment, from its peer."""

    fence_source = "02:fe:00:00:01:00"

    def __init__(self, underlay, address, vni):
        self.name, self.underlay, self.address, self.vni = f"overlay {vni}", underlay, address, vni

    def send(self, data):
        self.underlay.sockets[self.address].sendto(vxlan(self.vni, data), SWITCH)


def local(network):
    for tenant, mine in (("a", ["a1", "a2"]), ("b", ["b1", "b2"])):
        for source in mine:
            other = next(name for name in mine if name != source)
            home, away = (ONE, TWO) if source.endswith("1") else (TWO, ONE)
            for text, destination in (("broadcast", BROADCAST), ("unknown unicast", "02:00:00:00:0f:01"),
                                      ("unicast", away)):
                sent = frame(destination, home, f"{tenant} {text}")
                network.check(f"{source}: {text} stays inside its tenant",
                              network.exchange(source, [sent]), {other: [sent]})


def from_underlay(network, underlay, text, address, data, expected):
    """One datagram from an address; what arrives at ports, and that nothing comes back to the underlay."""
    for wire in network.wires.values():
        wire.collect()
        wire.arrived = []
    underlay.collect()
    underlay.sockets[address].sendto(data, SWITCH)
    # The fence comes in behind the datagram, on the same socket of the switch.
    for group, peer, vni in zip(network.groups, ("172.31.0.2", "172.31.0.3"), (ACME, BETA)):
        network.fence_from(Overlay(underlay, peer, vni), group)
    network.check(text, {name: wire.arrived for name, wire in network.wires.items()}, expected)
    back = underlay.collect()
    network.result(f"{text}: nothing goes back to the underlay", [str(back)] if back else [])


def overlay(network, underlay):
    def case(text, address, data, expected):
        from_underlay(network, underlay, text, address, data, expected)

    inner = frame(BROADCAST, REMOTE, "from the overlay")
    case("a peer's broadcast for acme", "172.31.0.2", vxlan(ACME, inner), {"a1": [inner], "a2": [inner]})
    case("a peer's broadcast for beta", "172.31.0.3", vxlan(BETA, inner), {"b1": [inner], "b2": [inner]})
    case("reserved bits are ignored", "172.31.0.2", vxlan(ACME, inner, 0xFF, (0xABCDEF, 0x5A)),
         {"a1": [inner], "a2": [inner]})
    case("an unknown VTEP", "172.31.0.99", vxlan(ACME, inner), {})
    case("the peer of another tenant's segment", "172.31.0.2", vxlan(BETA, inner), {})
    case("an unknown VNI", "172.31.0.2", vxlan(NOBODY, inner), {})
    case("no I flag", "172.31.0.2", vxlan(ACME, inner, 0), {})
    case("half a VXLAN header", "172.31.0.2", vxlan(ACME, b"")[:4], {})
    case("a tag inside", "172.31.0.2", vxlan(ACME, inner[:12] + b"\x81\0\0\5" + inner[12:]), {})
    case("a multicast source inside", "172.31.0.2", vxlan(ACME, frame(BROADCAST, "01:00:5e:00:00:01", "x")), {})


def to_underlay(network, underlay):
    for source, peer, vni in (("a1", "172.31.0.2", ACME), ("b1", "172.31.0.3", BETA)):
        other = source[0] + "2"
        underlay.collect()
        sent = frame(BROADCAST, ONE, "to the overlay")
        network.check(f"{source}: a broadcast, at ports", network.exchange(source, [sent]), {other: [sent]})
        arrived = underlay.wait(peer)
        network.result(f"{source}: a broadcast, once to its own peer only",
                       [] if arrived == {peer: [vxlan(vni, sent)]} else [str(arrived)])
        known = frame(REMOTE, ONE, "to the overlay's station")
        network.check(f"{source}: what the overlay taught goes to no port", network.exchange(source, [known]), {})
        arrived = underlay.wait(peer)
        network.result(f"{source}: but to its peer, once", [] if arrived == {peer: [vxlan(vni, known)]} else
                       [str(arrived)])


def main():
    prefix = sys.argv[1]
    network = Network([[Wire(name, prefix + name) for name in names] for names in (["a1", "a2"], ["b1", "b2"])])
    underlay = Underlay(prefix + "wild", ["172.31.0.2", "172.31.0.3", "172.31.0.99"])
    network.fence()
    local(network)
    overlay(network, underlay)
    to_underlay(network, underlay)
    network.finish()


main()
