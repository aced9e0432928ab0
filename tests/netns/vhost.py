# SPDX-License-Identifier: Apache-2.0
"""vhost.py PREFIX RUN_DIR VSWITCHCTL SOCKETS: see vhost.sh, which makes the switch. Guests of many kinds, and every
frame at every port."""

import select
import sys
import time

from frame_cases import Segment, frame, tagged
from segments import TCP, UDP, Flow, Headers, differences, finish
from vhost_frontend import (ALL, CSUM, EVENT_IDX, GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, HOST_TSO4, HOST_TSO6, IN_ORDER,
                            INDIRECT_DESC, MQ, MRG_RXBUF, OFFLOADS, PROTOCOL_FEATURES, VERSION_1)
from vhost_lab import Lab, wire_frames
from wire import BROADCAST, NEEDS_CSUM

PLAIN = VERSION_1 | PROTOCOL_FEATURES
OLD = ALL & ~(MRG_RXBUF | INDIRECT_DESC | EVENT_IDX)
# Drivers that differ in what their descriptors look like, and in what they negotiate.
DRIVERS = {
    "a driver that takes all": {},
    "no buffers that are merged": {"features": ALL & ~MRG_RXBUF},
    "no indirect descriptors": {"features": ALL & ~INDIRECT_DESC, "cuts": (1, 11, 14)},
    "no event index": {"features": ALL & ~EVENT_IDX},
    "used in order": {"features": ALL | IN_ORDER},
    "checksums but no super-packets": {"features": PLAIN | CSUM | GUEST_CSUM},
    "no offloads": {"features": PLAIN | INDIRECT_DESC},
    "legacy, a header of 10 octets": {"features": OFFLOADS | INDIRECT_DESC | PROTOCOL_FEATURES, "cuts": (10,)},
    "legacy, nothing at all": {"features": 0, "cuts": (10, 1)},
    "no protocol features": {"features": ALL & ~PROTOCOL_FEATURES & ~MQ},
    "a frame in many pieces": {"cuts": tuple([12] + [97] * 30)},
    "buffers in many pieces": {"features": ALL & ~MRG_RXBUF, "receive_cuts": tuple([12, 2] + [3000] * 24)},
    "a ring of 64": {"ring_size": 64},
    "a ring of 1024": {"ring_size": 1024, "cuts": (12,), "memory": 96 << 20},
}
DRIVER_NAMES = [f"d{number}" for number in range(len(DRIVERS))]

GROUPS = [["y1", "y-tap"], ["x1", "x-tap", "t"], ["b1", "b2", "b-tap"], ["j1", "j2", "j-tap"],
          ["g1", "g2", "g3", "g-tap"], [*DRIVER_NAMES, "d-tap"]]
GUESTS = {
    "g1": {}, "g2": {"features": OLD, "cuts": (12,), "receive_cuts": (12,)},
    "g3": {"features": PLAIN | MRG_RXBUF, "cuts": (12, 14, 20)},
    "b1": {}, "b2": {}, "x1": {}, "y1": {}, "t": {}, "j1": {"cuts": (3, 4096, 5)}, "j2": {"features": OLD},
    **dict(zip(DRIVER_NAMES, DRIVERS.values())),
}
WEB, ALL_DRIVERS = 4, 5
ADDRESS, REMOTE = "02:00:00:00:00:01", "02:00:00:00:00:77"


def partial(flow, size):
    """A frame whose checksum is left to a device."""
    made = finish(flow.headers(0x10) + bytes(size), partial=True)
    at = Headers(made)
    flow.advance(size)
    return made, (NEEDS_CSUM, 0, 0, 0, at.l4, at.field - at.l4)


def offload_cases(segment, source, gso_size=1400):
    """What a workload's stack leaves to its device, with what it must be at the others: {text: frames}."""
    home = segment.home[source]
    cases = {"TCP super-packets": [Flow(BROADCAST, home).super_packet(40000, gso_size),
                                   Flow(BROADCAST, home, port=1001, ipv6=True).super_packet(60000, gso_size),
                                   Flow(BROADCAST, home, port=1002).super_packet(gso_size + 1, gso_size)]}
    cases["partial checksums"] = [partial(Flow(BROADCAST, home, port, protocol, ipv6), size) for port, protocol, ipv6, size
                                  in ((1, TCP, False, 1000), (2, TCP, True, 77), (3, UDP, False, 1), (4, UDP, True, 999))]
    return cases


def takes(wire, vnet):
    """Did that guest negotiate to be given such a frame as it is? A TAP takes all."""
    features = getattr(wire, "features", ALL)
    need = 0
    if vnet[0] & NEEDS_CSUM:
        need |= GUEST_CSUM
    need |= {1: GUEST_TSO4, 4: GUEST_TSO6}.get(vnet[1] & 0x7F, 0)
    return features & need == need


def with_tag(given, tag):
    """A frame with its virtio-net header, as a trunk has it."""
    data, (flags, kind, size, gso_size, start, offset) = given
    return tagged(data, tag), (flags, kind, size + 4 * (size > 0), gso_size, start + 4, offset)


def offloads(lab, segment, source, gso_size=1400, trunks=None):
    """trunks: {port: tag} for those that are in the segment with a tag."""
    sender = lab.network.wires[source]
    if getattr(sender, "features", ALL) & (CSUM | HOST_TSO4 | HOST_TSO6) != CSUM | HOST_TSO4 | HOST_TSO6:
        return
    for text, frames in offload_cases(segment, source, gso_size).items():
        wrong, seen = [], lab.network.exchange(source, frames)
        lab.network.fence(source)
        for name, arrived in seen.items():
            if name in (trunks or {}):
                expected, _ = wire_frames([with_tag(each, trunks[name]) for each in frames])
            elif name in segment.others(source):
                expected, _ = wire_frames(frames)
            else:
                wrong += [f"at {name}: {len(arrived)} frames"] if arrived else []
                continue
            given = [(one.data, (one.flags, one.gso_type, one.hdr_len, one.gso_size, one.csum_start, one.csum_offset))
                     for one in arrived]
            wire, (on_wire, faults) = lab.network.wires[name], wire_frames(given)
            wrong += [f"at {name}: {fault}" for fault in faults + differences(on_wire, expected)]
            wrong += [f"at {name}: a frame with {vnet}, which it does not take" for _, vnet in given
                      if not takes(wire, vnet)]
            if all(takes(wire, vnet) for _, vnet in frames) and len(given) != len(frames):
                wrong.append(f"at {name}: {len(frames)} frames became {len(given)}")
        lab.network.result(f"{source}: {text} arrive as what they stand for, and whole where taken", wrong)


def web(lab):
    segment = Segment(lab.network, WEB)
    for source in segment.ports:
        for case in (segment.unicast, segment.groups, segment.sources, segment.moves, segment.tags, segment.sizes):
            case(source)
        offloads(lab, segment, source)


def tenants(lab):
    """The same addresses in another tenant: each exchange looks at every port of both."""
    for group in (2, WEB):
        segment = Segment(lab.network, group)
        for source in segment.ports:
            segment.unicast(source)


def trunk(lab):
    x, y = Segment(lab.network, 1), Segment(lab.network, 0)
    plain, from_t = frame(BROADCAST, ADDRESS, "x", 64), frame(BROADCAST, REMOTE, "t", 64)
    in_y = (0x8100, 20)
    lab.expect("x1: native on the trunk", "x1", [plain], {"x-tap": [plain], "t": [plain]})
    lab.expect("y1: tagged on the trunk", "y1", [plain], {"y-tap": [plain], "t": [tagged(plain, in_y)]})
    lab.expect("t: untagged is x's", "t", [from_t], {"x1": [from_t], "x-tap": [from_t]})
    lab.expect("t: tag 20 is y's", "t", [tagged(from_t, in_y)], {"y1": [from_t], "y-tap": [from_t]})
    for tag in (19, 4095):
        lab.expect(f"t: tag {tag} is nobody's", "t", [tagged(from_t, (0x8100, tag))], {})
    to_t = frame(REMOTE, ADDRESS, "to t", 64)
    lab.expect("y1: unicast to the trunk", "y1", [to_t], {"t": [tagged(to_t, in_y)]})
    offloads(lab, x, "x1")
    offloads(lab, y, "y1", trunks={"t": in_y})


def jumbo(lab):
    segment = Segment(lab.network, 3)
    for source in segment.ports:
        home = segment.home[source]
        frames = [frame(BROADCAST, home, f"size {size}", size) for size in (60, 1515, 2036, 2037, 4096, 9013, 9014)]
        segment.flooded("frames of up to 9014 octets arrive as sent, in order", source, frames)
        if source in GUESTS:
            segment.expect("a frame of 9015 octets is dropped", source, [frame(BROADCAST, home, "long", 9015)], {})
        offloads(lab, segment, source, 8900)


def counters(lab, names):
    """What the guests sent and received is what is counted."""
    for name in names:
        lab.counted(name, lab.network.wires[name].counts)


def drivers(lab):
    """Whatever one driver sends reaches all others, each in its own way."""
    segment = Segment(lab.network, ALL_DRIVERS)
    for name, text in zip(DRIVER_NAMES, DRIVERS):
        print(f"      {name}: {text}, features {lab.network.wires[name].features:#x}", flush=True)
    for source in segment.ports:
        segment.sizes(source)
        offloads(lab, segment, source)


def takes_turns(lab):
    """Another guest takes the former one's place, with another driver, or with rings that a datapath left in haste."""
    segment = Segment(lab.network, WEB)
    for arguments in ({"features": PLAIN}, {"features": PLAIN, "hushed": True}, {"hushed": True}, {}):
        before = lab.counters("g2")
        guest = lab.replace("g2", arguments)
        for source in ("g1", "g2"):
            segment.sizes(source)
            offloads(lab, segment, source)
        lab.counted("g2", guest.counts, before)


def grown(now, before):
    """Drops since then, {reason: frames}."""
    return {reason: count - before["drops"].get(reason, 0) for reason, count in now["drops"].items()
            if count != before["drops"].get(reason, 0)}


def send_more_than_fits(lab, deaf):
    """Three times what g2's ring holds, while it looks away. Returns the frames, and what was counted."""
    segment, network = Segment(lab.network, WEB), lab.network
    sender, guest = network.wires["g1"], network.wires["g2"]
    network.exchange("g2", [frame(BROADCAST, segment.home["g2"], "I am here")])
    guest.arrived, guest.deaf = [], True
    before = lab.counters("g1")
    frames = [frame(segment.home["g2"], segment.home["g1"], f"number {number}") for number in range(3 * guest.ring_size)]
    for each in frames:
        sender.send(each)
    guest.deaf = deaf
    end = time.monotonic() + 0.5
    while not deaf and len(guest.arrived) < len(frames) and time.monotonic() < end:
        guest.collect()
    now = lab.until("g1", lambda now: now["rx_packets"] - before["rx_packets"] == len(frames) and now["queued"] == 0)
    guest.deaf = False
    guest.collect()
    return frames, grown(now, before)


def ring_full(lab):
    """What does not fit into a guest's ring waits for it, and is lost when it takes nothing."""
    guest = lab.network.wires["g2"]
    for _ in range(10):
        frames, lost = send_more_than_fits(lab, deaf=False)
        # Of a machine that stood still for as long as a guest has time it says nothing.
        if not lost:
            break
    lab.network.result("a guest gets more than its ring holds, in order", [] if guest.arrived == frames else [f"{len(guest.arrived)} frames, {lost}"])
    frames, lost = send_more_than_fits(lab, deaf=True)
    lab.network.result("a guest that takes nothing is given what its ring holds, in order",
                       [] if guest.arrived == frames[:guest.ring_size] else [f"{len(guest.arrived)} frames"])
    lab.network.result("the rest is dropped, and counted as such",
                       [] if lost == {"port-full": len(frames) - guest.ring_size} else [str(lost)])


def ceiling(lab, option, text, source, target):
    """Offered twice what may pass, for 1.3 s; the rate is taken at the receiver over the last second."""
    segment, network = Segment(lab.network, WEB), lab.network
    sender, receiver = network.wires[source], network.wires[target]
    network.exchange(target, [frame(BROADCAST, segment.home[target], "I am here")])
    lab.ctl("port", "set", "acme/g1", option, "10mbit")
    before, arrivals, sent = lab.counters(source), [], 0
    receiver.arrived = []
    data = frame(segment.home[target], segment.home[source], text, 1000)
    start = time.monotonic()
    while (now := time.monotonic() - start) < 1.3:
        while sent < now * 2500:
            sender.send(data)
            sent += 1
        receiver.collect()
        arrivals.append((now, len(receiver.arrived)))
        select.select([receiver.socket], [], [], 0.0004)
    early = next(each for each in arrivals if each[0] > 0.3)
    rate = (arrivals[-1][1] - early[1]) * 8e-3 / (arrivals[-1][0] - early[0])
    network.result(f"{text}: {rate:.2f} Mbit/s of 10", [] if 9.5 < rate < 10.5 else ["not within 5 %"])
    now = lab.until(source, lambda now: now["queued"] == 0 and now["rx_packets"] - before["rx_packets"] == sent)
    network.fence(source)
    passed, dropped = len(receiver.arrived), sum(grown(now, before).values())
    network.result(f"{text}: {sent} offered are {passed} passed and {dropped} dropped",
                   [] if sent == passed + dropped and dropped > 0 else [str(grown(now, before))])
    lab.ctl("port", "set", "acme/g1", option, "none")


def main():
    lab = Lab(*sys.argv[1:], groups=GROUPS, guests=GUESTS)
    for name in GUESTS:
        lab.start(name)
    lab.ready()
    web(lab)
    tenants(lab)
    trunk(lab)
    jumbo(lab)
    drivers(lab)
    counters(lab, GUESTS)
    takes_turns(lab)
    ring_full(lab)
    ceiling(lab, "--send", "a ceiling on what a guest sends", "g1", "g-tap")
    ceiling(lab, "--receive", "a ceiling on what a guest receives", "g-tap", "g1")
    lab.network.finish()


main()
