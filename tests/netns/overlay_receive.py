# SPDX-License-Identifier: Apache-2.0
"""Trains of datagrams from the underlay, and what becomes of them at ports."""

from overlay_lab import CLEAR, ONE, STRANGER, TWO, WEB, Fence, Train, REMOTE, UNKNOWN, vxlan, wire_frames
from segments import ACK, CWR, ECE, FIN, PSH, UDP, Flow, differences, finish, put16
from wire import BROADCAST, ethernet


def receive(lab, text, trains, web=(), clear=(), drops=None, supers=None):
    """Sends trains; `web` and `clear` are the frames that every port of these segments gets. `supers` says how many
    frames with their offload state arrive at the TAPs, together; `drops` how many are dropped, and why."""
    lab.forget()
    before = lab.counters()
    for train in trains:
        train.send(lab.sources[train.address])
    for group, vni in zip(lab.network.groups, (WEB, CLEAR)):
        lab.network.fence_from(Fence(lab.sources[ONE], vni), group)
    wrong, expected = [], {"vtep": {"rx_packets": sum(len(train.datagrams) for train in trains) + 2}}
    for name, wire in lab.network.wires.items():
        frames, faults = wire_frames(wire.arrived)
        wanted = clear if name == "clear" else web
        wrong += [f"{name}: {fault}" for fault in faults + differences(frames, wanted)]
        expected[name] = {"tx_packets": len(wanted) + 1}
        if name == "wire" and any(frame.gso_type for frame in wire.arrived):
            wrong.append("wire: a super-packet")
    wrong += [f"pcap: {fault}" for fault in differences(lab.pcap.collect(), web)]
    expected["out"] = {"tx_packets": len(web) + 1}
    expected["vtep"] |= {"drop " + reason: count for reason, count in (drops or {}).items()}
    seen = len(lab.network.wires["tap"].arrived) + len(lab.network.wires["clear"].arrived)
    if supers is not None and seen != supers:
        wrong.append(f"{seen} frames arrived at TAPs instead of {supers}: "
                     f"{[len(frame.data) for frame in lab.network.wires['tap'].arrived]}")
    lab.network.result(text, wrong + lab.counted(before, expected))


def flow(port=1000, **kind):
    return Flow(UNKNOWN, REMOTE, port, **kind)


def interleaved(*trains):
    return [frame for group in zip(*trains) for frame in group]


def joins(lab):
    """Trains of one flow."""
    for text, kind, size in (("TCP", {}, 1380), ("TCP with options", {"options": b"\1\1\x08\x0a" + bytes(8)}, 1380),
                             ("TCP over IPv6", {"ipv6": True}, 1360), ("TCP with ECT(0)", {"tos": 2}, 1380),
                             ("UDP", {"protocol": UDP}, 1380),
                             ("UDP over IPv6", {"protocol": UDP, "ipv6": True}, 1360)):
        frames = flow(**kind).train(40, size)
        receive(lab, f"40 frames of {text} in one train are one super-packet", [Train.of(frames)], frames, supers=1)
    frames = flow().train(40, 1380, last=7)
    receive(lab, "the last is shorter", [Train.of(frames)], frames, supers=1)
    frames = flow().train(64, 1)
    receive(lab, "64 segments of one octet", [Train.of(frames)], frames, supers=1)
    one = flow()
    frames = one.train(20, 1000) + [one.frame(1000, ACK | PSH)] + one.train(20, 1000)
    receive(lab, "PSH in the middle ends a super-packet", [Train.of(frames)], frames, supers=2)
    one = flow(tos=2)
    frames = [one.frame(1000, ACK | CWR)] + one.train(20, 1000) + [one.frame(1000, ACK | CWR)] + one.train(10, 1000)
    receive(lab, "CWR begins one", [Train.of(frames)], frames, supers=2)
    one = flow(tos=2)
    frames = one.train(20, 1000) + one.train(10, 1000, flags=ACK | ECE) + [one.frame(1000, ACK | FIN | ECE)]
    receive(lab, "ECE from one on", [Train.of(frames)], frames, supers=2)
    # Two messages of one flow can be received together or apart.
    one = flow()
    trains = [one.train(40, 1380), one.train(40, 1380)]
    receive(lab, "two trains of a flow", [Train.of(frames) for frames in trains], sum(trains, []))


def mixes(lab):
    for count in (2, 8, 9):
        flows = [flow(1000 + index) for index in range(count)]
        frames = interleaved(*[one.train(60 // count, 900) for one in flows])
        receive(lab, f"{count} flows by turns keep their order", [Train.of(frames)], frames,
                supers=count if count <= 8 else None)
    tcp, udp, six = flow().train(20, 988), flow(protocol=UDP).train(20, 1000), flow(ipv6=True).train(20, 968)
    frames = interleaved(tcp, udp, six)
    receive(lab, "TCP, UDP and IPv6 by turns", [Train.of(frames)], frames, supers=3)
    one, other = flow(), flow(1001)
    web, clear = one.train(20, 1000), other.train(20, 1000)
    mixed = [datagram for pair in zip(web, clear) for datagram in (vxlan(pair[0]), vxlan(pair[1], CLEAR))]
    receive(lab, "two VNIs by turns", [Train(mixed)], web, clear, supers=2)
    # The same flow in two segments are two flows.
    web, clear = flow().train(20, 1000), flow().train(20, 1000)
    mixed = [datagram for pair in zip(web, clear) for datagram in (vxlan(pair[0]), vxlan(pair[1], CLEAR))]
    receive(lab, "one flow in two VNIs", [Train(mixed)], web, clear, supers=2)
    one = flow()
    trains = [one.train(10, 1000) for _ in range(6)]
    receive(lab, "one flow from two peers by turns",
            [Train.of(frames, address=(ONE, TWO)[index % 2]) for index, frames in enumerate(trains)], sum(trains, []))
    frames = flow().train(20, 1000)
    receive(lab, "a stranger's train", [Train.of(frames, address=STRANGER)], drops={"peer-unknown": 20}, supers=0)
    receive(lab, "a train of no VNI", [Train.of(frames, vni=7)], drops={"vni-unknown": 20}, supers=0)
    mixed = [vxlan(frame, (WEB, 7)[index % 2]) for index, frame in enumerate(frames)]
    receive(lab, "every other of no VNI", [Train(mixed)], frames[::2], drops={"vni-unknown": 10})


def congestion(lab):
    """RFC 6040: CE outside is CE inside, from where on it is said."""
    def marked(frames):
        changed = []
        for frame in frames:
            frame = bytearray(frame)
            frame[15] |= 3
            changed.append(finish(bytes(frame)))
        return changed
    one = flow(tos=2)
    first, second, third = one.train(10, 1000), one.train(10, 1000), one.train(10, 1000)
    receive(lab, "CE outside of the second of three trains",
            [Train.of(first, tos=2), Train.of(second, tos=3), Train.of(third, tos=2)], first + marked(second) + third,
            supers=3)
    frames = flow().train(10, 1000)
    receive(lab, "CE outside of what is not capable", [Train.of(frames, tos=3)], drops={"ecn-invalid": 10}, supers=0)


def broken(lab):
    """A bad frame in a train hurts no other."""
    for text, at in (("payload", 500), ("checksum", 34 + 16), ("window", 34 + 14)):
        frames = flow().train(30, 1000)
        bad = bytearray(frames[12])
        bad[at] ^= 0x10
        frames[12] = bytes(bad)
        receive(lab, f"a corrupted {text} in the middle stays as it is", [Train.of(frames)], frames, supers=3)
    frames = flow().train(30, 1000)
    bad = bytearray(frames[0])
    bad[500] ^= 1
    frames[0] = bytes(bad)
    receive(lab, "a corrupted first one", [Train.of(frames)], frames, supers=2)
    frames = flow().train(30, 1000)
    bad = bytearray(frames[12])
    put16(bad, 24, int.from_bytes(bad[24:26], "big") ^ 1)
    frames[12] = bytes(bad)
    receive(lab, "a corrupted IPv4 header checksum", [Train.of(frames)], frames, supers=3)
    frames = flow().train(30, 1000)
    receive(lab, "the last one is cut off", [Train([*map(vxlan, frames[:-1]), vxlan(frames[-1])[:600]])], frames[:-1],
            drops={"bad-header": 1}, supers=1)
    for size in range(1, 8):
        receive(lab, f"{size} octets behind a train", [Train([*map(vxlan, frames), b"\x08" * size])], frames,
                drops={"vxlan-header": 1}, supers=1)
    one = flow()
    trains, good = [], []
    for size in range(8):
        part = one.train(3, 1000)
        good += part
        trains += [Train.of(part), Train([b"\x08" * size])]
    receive(lab, "0 to 7 octets between trains", trains, good, drops={"vxlan-header": 8})
    mixed = [*map(vxlan, frames)]
    for index in (3, 4, 17):
        mixed[index] = bytes(8) + mixed[index][8:]
    receive(lab, "three without the I flag", [Train(mixed)],
            [frame for index, frame in enumerate(frames) if index not in (3, 4, 17)], drops={"vxlan-header": 3})
    one, other = flow(), ethernet(BROADCAST, REMOTE, 0x88B6, b"no IP").ljust(1054, b"\0")
    mixed = one.train(5, 1000) + [other] + one.train(5, 1000) + [other, other] + one.train(5, 1000)
    receive(lab, "frames without IP between segments", [Train.of(mixed)], mixed)


def tags(lab):
    for kind in ({}, {"protocol": UDP}, {"ipv6": True}):
        for chain in ([(0x8100, 0x6005)], [(0x88A8, 7)], [(0x88A8, 7), (0x8100, 5)]):
            frames = flow(tags=chain, **kind).train(10, 1000)
            count = len(chain)
            receive(lab, f"{count} tags in a transparent segment, {kind}", [Train.of(frames, vni=CLEAR)], clear=frames,
                    supers=1 if count == 1 else 10)
            receive(lab, f"{count} tags in a plain segment, {kind}", [Train.of(frames)], drops={"vlan-tagged": 10},
                    supers=0)
    frames, plain = flow(tags=[(0x8100, 0x6000)]).train(10, 1000), flow().train(10, 1000)
    receive(lab, "priority tags come off", [Train.of(frames)], plain, supers=1)
    one, other = flow(tags=[(0x8100, 5)]), flow()
    other.sequence, other.identification = one.sequence, one.identification
    mixed = interleaved(one.train(10, 1000), [frame + bytes(4) for frame in other.train(10, 1000)])
    receive(lab, "a flow with and without its tag", [Train.of(mixed, vni=CLEAR)], clear=mixed)


def loads(lab):
    """More than batches and runs hold."""
    for count, size in ((12, 1380), (3, 20)):
        flows = [flow(1000 + index, **({"protocol": UDP} if index % 3 == 0 else {})) for index in range(30)]
        trains, frames = [], []
        for _ in range(count):
            for one in flows:
                size_here = size + (12 if one.protocol == UDP else 0)
                part = one.train(8, size_here)
                frames += part
                trains.append(Train.of(part))
        receive(lab, f"{len(frames)} frames of 30 flows, {size} octets", trains, frames)
