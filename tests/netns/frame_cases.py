# SPDX-License-Identifier: Apache-2.0
"""Exact frames in one segment: what is sent into every port, and what has to arrive at each, the sending one included.
Used by frames.py and vhost.py, which make the networks."""

import struct

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw, bind_layers
from wire import BROADCAST, GSO_TCPV4, NEEDS_CSUM, ethernet

bind_layers(Ether, Dot1AD, type=0x88A8)

TYPE = 0x88B6  # for local experiments


def frame(destination, source, text, size=60):
    return ethernet(destination, source, TYPE, text.encode()).ljust(size, b"\0")


def tagged(plain, *tags):
    """Tags as (TPID, TCI), the outer one first."""
    return plain[:12] + b"".join(struct.pack("!HH", *tag) for tag in tags) + plain[12:]


def super_packet(source, chain, segments=20, size=1400):
    """A TCP super-packet as a workload's stack makes it: one checksum for all, of the pseudo-header only."""
    payload = bytes(index * 7 % 251 for index in range(segments * size))
    inner = IP(src="10.0.0.1", dst="10.0.0.2", id=1, flags="DF") / TCP(
        sport=1000, dport=2000, seq=5000, ack=1, flags="PA")
    plain = bytes(Ether(src=source, dst=BROADCAST) / inner / Raw(payload))
    pseudo = sum(struct.unpack("!HHHH", plain[26:34])) + 6 + 20 + len(payload)
    while pseudo >> 16:
        pseudo = (pseudo & 0xFFFF) + (pseudo >> 16)
    plain = plain[:50] + struct.pack("!H", pseudo) + plain[52:]
    data = tagged(plain, *chain)
    start = 34 + 4 * len(chain)
    return payload, (data, (NEEDS_CSUM, GSO_TCPV4, start + 20, size, start, 16))


def stream_faults(frames, payload, chain):
    """What is wrong with frames that should carry this payload, whole or in segments."""
    faults, at = [], 0
    for seen in frames:
        packet = Ether(seen.data)
        tags_seen = [(0x88A8 if isinstance(layer, Dot1AD) else 0x8100, layer.prio << 13 | layer.vlan)
                     for layer in (packet.getlayer(index) for index in range(1, 1 + len(chain)))
                     if isinstance(layer, (Dot1Q, Dot1AD))]
        if tags_seen != list(chain) or TCP not in packet:
            return faults + [f"tags {tags_seen}, expected {list(chain)}: {seen}"]
        body = seen.data[14 + 4 * len(chain) + 40:]
        if packet[TCP].seq != 5000 + at or body != payload[at:at + len(body)]:
            faults.append(f"octets from {packet[TCP].seq - 5000} instead of {at}, or changed")
        at += len(body)
        faults += checksum_faults(seen, packet, 34 + 4 * len(chain))
    if at != len(payload):
        faults.append(f"{at} octets of {len(payload)} arrived in {len(frames)} frames")
    return faults


def checksum_faults(seen, packet, l4_offset):
    ip, tcp = packet[IP], packet[TCP]
    fresh = IP(bytes(ip))
    if seen.flags & NEEDS_CSUM:
        if (seen.csum_start, seen.csum_offset) != (l4_offset, 16):
            return [f"a partial checksum at {seen.csum_start}+{seen.csum_offset}, not {l4_offset}+16"]
        del fresh.chksum
    else:
        del fresh.chksum, fresh[TCP].chksum
    fresh = IP(bytes(fresh))
    if fresh.chksum != ip.chksum or fresh[TCP].chksum != tcp.chksum:
        return ["a wrong checksum"]
    return []


class Segment:
    """The members of one segment, one of the network's groups, each with an address of its own. The same addresses
    are in every segment."""

    def __init__(self, network, group=0):
        self.network, self.ports = network, [wire.name for wire in network.groups[group]]
        self.home = {name: f"02:00:00:00:00:{number:02x}" for number, name in enumerate(self.ports, 1)}

    def others(self, source):
        return [name for name in self.ports if name != source]

    def expect(self, text, source, frames, expected):
        self.network.check(f"{source}: {text}", self.network.exchange(source, frames), expected)

    def flooded(self, text, source, frames, arriving=None):
        self.expect(text, source, frames, {name: arriving or frames for name in self.others(source)})

    def every_case(self, source):
        for case in (self.unicast, self.groups, self.sources, self.moves, self.tags, self.sizes):
            case(source)
        self.supers(source, [])

    def unicast(self, source):
        home, other = self.home, self.others(source)[0]
        unknown = frame("02:00:00:00:0f:ff", home[source], "unknown")
        self.flooded("unknown unicast reaches every other port once", source, [unknown])
        self.network.exchange(other, [frame(BROADCAST, home[other], "here I am")])
        known = frame(home[other], home[source], "known")
        self.expect("known unicast reaches its port only", source, [known], {other: [known]})
        itself = frame(home[source], "02:00:00:00:0e:01", "to my own port")
        self.expect("unicast to an address of the same port goes nowhere", source, [itself], {})

    def groups(self, source):
        for text, destination in (("broadcast", BROADCAST), ("multicast", "01:00:5e:01:02:03"),
                                  ("the group after the link-local ones", "01:80:c2:00:00:10")):
            self.flooded(f"{text} reaches every other port once", source, [frame(destination, self.home[source], text)])
        local = [frame(f"01:80:c2:00:00:{number:02x}", self.home[source], "link-local") for number in range(16)]
        self.expect("the sixteen link-local groups go nowhere", source, local, {})

    def sources(self, source):
        for text, address in (("zero", "00:00:00:00:00:00"), ("multicast", "01:00:5e:00:00:01"),
                              ("broadcast", BROADCAST)):
            self.expect(f"a {text} source address goes nowhere", source, [frame(BROADCAST, address, "bad")], {})

    def moves(self, source):
        first, last = self.others(source)[0], self.others(source)[-1]
        mover = f"02:00:00:00:0d:{self.ports.index(source):02x}"
        to_it = frame(mover, self.home[first], "to the mover")
        self.network.exchange(source, [frame(BROADCAST, mover, "I am here")])
        self.network.exchange(last, [frame(BROADCAST, mover, "now here")])
        self.network.check(f"{source}: an address that moved is found at its new port",
                           self.network.exchange(first, [to_it]), {last: [to_it]})

    def tags(self, source):
        plain = frame(BROADCAST, self.home[source], "tag", 64)
        self.flooded("a priority tag (VID 0) comes off", source, [tagged(plain, (0x8100, 5 << 13))], [plain])
        for text, tag in (("802.1Q", (0x8100, 5)), ("802.1ad", (0x88A8, 5)), ("VID 4095", (0x8100, 4095))):
            self.expect(f"a tagged frame ({text}) on an access port goes nowhere", source, [tagged(plain, tag)], {})

    def clear_tags(self, source):
        plain = frame(BROADCAST, self.home[source], "clear", 64)
        for text, chain in (("a tag", [(0x8100, 3 << 13 | 5)]), ("an 802.1ad tag", [(0x88A8, 7)]),
                            ("two tags", [(0x88A8, 7), (0x8100, 5)]), ("two 802.1Q tags", [(0x8100, 7), (0x8100, 5)])):
            self.flooded(f"{text} in a transparent segment arrives as sent", source, [tagged(plain, *chain)])

    def sizes(self, source):
        frames = [frame(BROADCAST, self.home[source], f"size {size}", size)
                  for size in (14 + 46, 61, 128, 590, 1513, 1514)]
        self.flooded("frames of 60 to 1514 octets arrive as sent, in order", source, frames)
        short = [ethernet(BROADCAST, self.home[source], TYPE)]
        self.flooded("a frame that is nothing but its header arrives", source, short)

    def supers(self, source, chain):
        payload, sent = super_packet(self.home[source], chain)
        wrong = []
        for name, frames in self.network.exchange(source, [sent]).items():
            if name not in self.others(source):
                wrong += [f"at {name}: {len(frames)} frames"] if frames else []
            else:
                wrong += [f"at {name}: {fault}" for fault in stream_faults(frames, payload, chain)]
        self.network.result(f"{source}: a TCP super-packet with {len(chain)} tags arrives whole", wrong)
