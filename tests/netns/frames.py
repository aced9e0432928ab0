# SPDX-License-Identifier: Apache-2.0
"""frames.py PREFIX: see frames.sh, which makes the switch. Sends exact frames into every port and compares
what arrives at each, the sending one included."""

import struct
import sys

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw, bind_layers
from wire import BROADCAST, GSO_TCPV4, NEEDS_CSUM, Network, Wire, ethernet

bind_layers(Ether, Dot1AD, type=0x88A8)

TYPE = 0x88B6  # for local experiments
PORTS = ["tap1", "tap2", "veth1", "veth2"]
HOME = {name: f"02:00:00:00:00:0{number}" for number, name in enumerate(PORTS, 1)}
CLEAR = ["clear-tap", "clear-veth1", "clear-veth2"]


def frame(destination, source, text, size=60):
    return ethernet(destination, source, TYPE, text.encode()).ljust(size, b"\0")


def tagged(plain, *tags):
    """Tags as (TPID, TCI), the outer one first."""
    return plain[:12] + b"".join(struct.pack("!HH", *tag) for tag in tags) + plain[12:]


def others(source, ports=None):
    return [name for name in ports or PORTS if name != source]


def flooded(source, frames, ports=None):
    return {name: frames for name in others(source, ports)}


def unicast(network, source):
    other = next(name for name in PORTS if name != source)
    unknown = frame("02:00:00:00:0f:ff", HOME[source], "unknown")
    network.check(f"{source}: unknown unicast reaches every other port once",
                  network.exchange(source, [unknown]), flooded(source, [unknown]))
    network.exchange(other, [frame(BROADCAST, HOME[other], "here I am")])
    known = frame(HOME[other], HOME[source], "known")
    network.check(f"{source}: known unicast reaches its port only",
                  network.exchange(source, [known]), {other: [known]})
    itself = frame(HOME[source], "02:00:00:00:0e:01", "to my own port")
    network.check(f"{source}: unicast to an address of the same port goes nowhere",
                  network.exchange(source, [itself]), {})


def groups(network, source):
    for text, destination in (("broadcast", BROADCAST), ("multicast", "01:00:5e:01:02:03"),
                              ("the group after the link-local ones", "01:80:c2:00:00:10")):
        group = frame(destination, HOME[source], text)
        network.check(f"{source}: {text} reaches every other port once",
                      network.exchange(source, [group]), flooded(source, [group]))
    local = [frame(f"01:80:c2:00:00:{number:02x}", HOME[source], "link-local") for number in range(16)]
    network.check(f"{source}: the sixteen link-local groups go nowhere", network.exchange(source, local), {})


def sources(network, source):
    for text, address in (("zero", "00:00:00:00:00:00"), ("multicast", "01:00:5e:00:00:01"),
                          ("broadcast", BROADCAST)):
        bad = frame(BROADCAST, address, text)
        network.check(f"{source}: a {text} source address goes nowhere", network.exchange(source, [bad]), {})


def moves(network, source):
    other = others(source)[-1]
    mover = f"02:00:00:00:0d:{PORTS.index(source):02x}"
    to_it = frame(mover, HOME[others(source)[0]], "to the mover")
    network.exchange(source, [frame(BROADCAST, mover, "I am here")])
    network.exchange(other, [frame(BROADCAST, mover, "now here")])
    network.check(f"{source}: an address that moved is found at its new port",
                  network.exchange(others(source)[0], [to_it]), {other: [to_it]})


def tags(network, source):
    plain = frame(BROADCAST, HOME[source], "tag", 64)
    network.check(f"{source}: a priority tag (VID 0) comes off",
                  network.exchange(source, [tagged(plain, (0x8100, 5 << 13))]), flooded(source, [plain]))
    for text, tag in (("802.1Q", (0x8100, 5)), ("802.1ad", (0x88A8, 5)), ("VID 4095", (0x8100, 4095))):
        network.check(f"{source}: a tagged frame ({text}) on an access port goes nowhere",
                      network.exchange(source, [tagged(plain, tag)]), {})


def clear_tags(network, source):
    plain = frame(BROADCAST, "02:00:00:00:0c:01", "clear", 64)
    for text, chain in (("a tag", [(0x8100, 3 << 13 | 5)]), ("an 802.1ad tag", [(0x88A8, 7)]),
                        ("two tags", [(0x88A8, 7), (0x8100, 5)]), ("two 802.1Q tags", [(0x8100, 7), (0x8100, 5)])):
        sent = tagged(plain, *chain)
        network.check(f"{source}: {text} in a transparent segment arrives as sent",
                      network.exchange(source, [sent]), flooded(source, [sent], CLEAR))


def sizes(network, source):
    frames = [frame(BROADCAST, HOME[source], f"size {size}", size) for size in (14 + 46, 61, 128, 590, 1513, 1514)]
    network.check(f"{source}: frames of 60 to 1514 octets arrive as sent, in order",
                  network.exchange(source, frames), flooded(source, frames))
    short = [ethernet(BROADCAST, HOME[source], TYPE)]
    network.check(f"{source}: a frame that is nothing but its header arrives",
                  network.exchange(source, short), flooded(source, short))


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


def supers(network, source, chain, ports, address):
    payload, sent = super_packet(address, chain)
    seen = network.exchange(source, [sent])
    wrong = []
    for name, frames in seen.items():
        if name not in others(source, ports):
            wrong += [f"at {name}: {len(frames)} frames"] if frames else []
        else:
            wrong += [f"at {name}: {fault}" for fault in stream_faults(frames, payload, chain)]
    network.result(f"{source}: a TCP super-packet with {len(chain)} tags arrives whole", wrong)


def main():
    prefix = sys.argv[1]
    network = Network([[Wire(name, prefix + name) for name in PORTS],
                       [Wire(name, prefix + name) for name in CLEAR]])
    network.fence()
    for source in PORTS:
        for case in (unicast, groups, sources, moves, tags, sizes):
            case(network, source)
        supers(network, source, [], PORTS, HOME[source])
    for source in CLEAR:
        clear_tags(network, source)
        for chain in ([], [(0x8100, 5)], [(0x88A8, 7), (0x8100, 5)]):
            supers(network, source, chain, CLEAR, "02:00:00:00:0c:01")
    network.finish()


main()
