# SPDX-License-Identifier: Apache-2.0
"""Super-packets from ports, and what becomes of them on the underlay and at other peers."""

import subprocess

from overlay_lab import (ONE, REMOTE, SWITCH, TAP, TWO, VETH, WEB, Fence, Train, underlay_datagrams, vxlan, wait_for,
                         wire_frames)
from overlay_receive import flow, receive
from segments import ACK, CWR, FIN, PSH, UDP, Flow, Headers, cut, differences
from wire import BROADCAST, ethernet


def send(lab, text, sends, mtu, peers=(ONE,), source="tap", ports=(), elsewhere=0):
    """Sends (octets, virtio-net header) from a port; each frame it stands for arrives at each peer as one
    datagram, but for those that the underlay cannot carry. `elsewhere`: peers that are not seen from here."""
    lab.forget()
    before = lab.counters()
    frames = [frame for one in sends for frame in cut(*one)]
    small = [frame for frame in frames if len(frame) + 36 <= mtu]
    for one in sends:
        lab.network.wires[source].send(*one)
    seen, wrong = underlay_datagrams(lab, len(peers) * len(small))
    expected = {source: {"rx_packets": len(frames)}, "vtep": {"tx_packets": (len(peers) + elsewhere) * len(small)}}
    lost = (len(frames) - len(small)) * len(peers)
    if lost:
        expected[source]["drop oversize"] = lost
    for name in ports:
        expected[name] = {"tx_packets": len(frames)}
    wrong += lab.counted(before, expected)
    seen, more = underlay_datagrams(lab, 0)
    for peer in peers:
        wrong += [f"{peer}: {fault}" for fault in
                  differences([one.frame for one in seen if one.peer == peer], small) + more]
    for one in seen:
        at = Headers(one.frame)
        tos = one.frame[at.l3 + 1] if not at.ipv6 else int.from_bytes(one.frame[at.l3:at.l3 + 2], "big") >> 4 & 0xFF
        if one.size > mtu or one.vni != WEB or one.peer not in peers or one.tos != tos:
            wrong.append(f"{one.size} octets, VNI {one.vni}, TOS {one.tos} instead of {tos}, to {one.peer}")
    ports_seen = {one.port for one in seen}
    if len(sends) == 1 and len(ports_seen) > 1:
        wrong.append(f"one flow from ports {ports_seen}")
    lab.network.result(text, wrong)


def local(source, **kind):
    return Flow(REMOTE, source, **kind)


def sending(lab, mtu, gso_size, text):
    """Segments of gso_size octets fill the segment's MTU."""
    for source, address in (("tap", TAP), ("veth", VETH)):
        for kind_text, kind, flags in (("TCP", {}, ACK | PSH), ("TCP over IPv6", {"ipv6": True}, ACK),
                                       ("TCP with CWR and ECT(1)", {"tos": 0xB9}, ACK | CWR | FIN),
                                       ("UDP", {"protocol": UDP, "tos": 0x20}, 0),
                                       ("UDP over IPv6", {"protocol": UDP, "ipv6": True}, 0)):
            one = local(address, **kind)
            size = gso_size - (20 if one.ipv6 else 0)
            third = size // 3
            send(lab, f"{text}: {source}, {kind_text}: one", [one.super_packet(60000, size, flags)], mtu, source=source)
            send(lab, f"{text}: {source}, {kind_text}: three in a row",
                 [one.super_packet(size + 1, size, flags), one.super_packet(7 * size, size, flags),
                  one.super_packet(min(63, 60000 // third) * third + 5, third, flags)], mtu, source=source)


def sizes(lab):
    one = local(TAP)
    for gso_size, size in ((1371, 1371 * 9 + 1), (1371, 1371 * 9 - 1), (537, 65000), (9, 200), (1, 64), (1, 150),
                           (1410, 64000)):
        send(lab, f"tap: {size} octets in segments of {gso_size}", [one.super_packet(size, gso_size)], 1500)
    send(lab, "tap: 65,495 octets, the most there are", [one.super_packet(65495, 1410)], 1500)
    mixed = [one.super_packet(5000, 1000), (one.frame(1000), (0,) * 6), (one.frame(1000), (0,) * 6),
             one.super_packet(30000, 1400), (one.frame(10), (0,) * 6), one.super_packet(64000, 1400),
             one.super_packet(64000, 1400), one.super_packet(64000, 1400), (one.frame(1000), (0,) * 6)]
    send(lab, "tap: super-packets and plain frames in a row", mixed, 1500)
    flows = [local(TAP, port=1000 + index) for index in range(20)]
    send(lab, "tap: super-packets of twenty flows", [one.super_packet(20000, 1400) for one in flows], 1500)
    flood = Flow(BROADCAST, TAP)
    send(lab, "tap: a flooded super-packet", [flood.super_packet(60000, 1400)], 1500, peers=(ONE, TWO, "172.31.0.4"),
         ports=("veth", "wire", "out"), elsewhere=1)


def teach(lab):
    lab.sources[ONE].sendto(vxlan(ethernet(BROADCAST, REMOTE, 0x88B6).ljust(60, b"\0")), SWITCH)
    lab.network.fence_from(Fence(lab.sources[ONE], WEB), lab.network.groups[0])


def set_mtu(lab, underlay, segment):
    for netns in ("host", "wild"):
        subprocess.run(["ip", "-n", lab.prefix + netns, "link", "set", "underlay", "mtu", str(underlay)], check=True)
    subprocess.run(["ip", "-n", lab.prefix + "wire", "link", "set", "eth0", "mtu", str(segment)], check=True)
    subprocess.run(["ip", "-n", lab.prefix + "host", "link", "set", "wire", "mtu", str(segment)], check=True)
    subprocess.run(lab.command + ["segment", "set", "acme/web", "--mtu", str(segment)], check=True)


def jumbo(lab):
    set_mtu(lab, 9000, 8950)
    sending(lab, 9000, 8910, "MTU 9000")
    for kind, size in (({}, 8910), ({"protocol": UDP}, 8900), ({"ipv6": True}, 8890), ({}, 3000)):
        frames = flow(**kind).train(65000 // (size + 70), size)
        receive(lab, f"MTU 9000: frames of {size} octets are joined, {kind}", [Train.of(frames)], frames, supers=1)


def small(lab):
    set_mtu(lab, 1200, 1450)
    one = local(TAP)
    send(lab, "MTU 1200: segments of 1400", [one.super_packet(14000, 1400)], 1200)
    send(lab, "MTU 1200: segments of 1000", [one.super_packet(14001, 1000)], 1200)
    send(lab, "MTU 1200: some fit", [one.super_packet(14000, 1400), one.super_packet(5000, 1000),
                                     (one.frame(1300), (0,) * 6), (one.frame(1300), (0,) * 6),
                                     (one.frame(30), (0,) * 6),
                                     local(TAP, protocol=UDP).super_packet(9000, 1300)], 1200)
    send(lab, "MTU 1200: from the veth", [Flow(REMOTE, VETH).super_packet(14000, 1400)], 1200, source="veth")


def peers(lab):
    """Another switch's TAP, and a kernel's vxlan device."""
    lab.network.wires["tap"].send(ethernet(BROADCAST, TAP, 0x88B6).ljust(60, b"\0"))
    lab.network.fence("tap")
    for name, text, address in (("two", "another switch", "02:00:00:00:00:22"),
                                ("kernel", "a kernel's vxlan device", "02:00:00:00:00:33")):
        wire = lab.others[name]
        for kind in ({}, {"ipv6": True}, {"tos": 2}):
            one = Flow(TAP, address, **kind)
            size = 1390 if one.ipv6 else 1410
            for count in (1, 12, 43):
                data = one.super_packet(count * size - 5, size, ACK | PSH) if count > 1 else (one.frame(60), (0,) * 6)
                from_peer(lab, f"from {text}: {count} segments, {kind}", wire, data)
                to_peer(lab, f"to {text}: {count} segments, {kind}", wire, one, count)


def from_peer(lab, text, wire, data):
    lab.forget()
    before, frames = lab.counters(), cut(*data)
    wire.send(*data)
    tap = lab.network.wires["tap"]
    wait_for(tap, len(frames))
    wrong = lab.counted(before, {"vtep": {"rx_packets": len(frames)}, "tap": {"tx_packets": len(frames)}})
    tap.collect()
    seen, faults = wire_frames(tap.arrived)
    if len(tap.arrived) != 1:
        wrong.append(f"{len(tap.arrived)} frames instead of one super-packet")
    lab.network.result(text, wrong + faults + differences(seen, frames))


def to_peer(lab, text, wire, there, count):
    """To where the frames of `there` come from."""
    lab.forget()
    wire.collect()
    wire.arrived = []
    one = Flow("02:00:00:00:00:00", TAP, ipv6=there.ipv6, tos=there.tos)
    one.link = there.link[6:12] + there.link[:6]
    size = 1390 if one.ipv6 else 1410
    data = one.super_packet(count * size - 5, size, ACK) if count > 1 else (one.frame(60), (0,) * 6)
    before, frames = lab.counters(), cut(*data)
    lab.network.wires["tap"].send(*data)
    wait_for(wire, len(frames))
    wrong = lab.counted(before, {"tap": {"rx_packets": len(frames)}, "vtep": {"tx_packets": len(frames)}})
    wire.collect()
    seen, faults = wire_frames(wire.arrived)
    lab.network.result(text, wrong + faults + differences(seen, frames))
