# SPDX-License-Identifier: Apache-2.0
"""Exact frames at the workload's end of ports: what is sent, and everything that arrives.

Used by frames.py and isolation.py, and from scripts:

    wire.py send NETNS COUNT DESTINATION SOURCE LENGTH    COUNT equal frames of LENGTH octets, on eth0
"""

import ctypes
import os
import select
import socket
import struct
import sys
import time

ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 8, 15, 23
STATUS_VLAN_VALID, STATUS_VLAN_TPID_VALID = 0x10, 0x40
CLONE_NEWNET = 0x40000000
VNET_HEADER = struct.Struct("<BBHHHH")  # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
NEEDS_CSUM, GSO_TCPV4 = 1, 1
FENCE_TYPE = 0x88B5  # IEEE 802: for local experiments
TAGS = (b"\x81\0", b"\x88\xa8")

BROADCAST = "ff:ff:ff:ff:ff:ff"
SO_RCVBUFFORCE = 33  # more than net.core.rmem_max, which root may


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ethernet(destination, source, ether_type, payload=b""):
    return mac(destination) + mac(source) + struct.pack("!H", ether_type) + payload


class inside:
    """with inside(NETNS): sockets are made in that namespace."""

    libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self, netns):
        self.path = "/run/netns/" + netns

    def enter(self, path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self.libc.setns(fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns " + path)
        finally:
            os.close(fd)

    def __enter__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.enter(self.path)

    def __exit__(self, *_):
        self.enter(f"/proc/self/fd/{self.home}")
        os.close(self.home)


class Frame:
    """A frame as it arrived: with its tag put back, and the offload state that came with it."""

    def __init__(self, data, vnet):
        self.data = data
        self.flags, self.gso_type, self.hdr_len, self.gso_size, self.csum_start, self.csum_offset = vnet

    def __eq__(self, other):
        return self.data == other

    def __repr__(self):
        text = self.data[:64].hex()
        return text + (f"...({len(self.data)})" if len(self.data) > 64 else "")


class Collector:
    """What has arrived somewhere, and which fences."""

    def __init__(self, name):
        self.name, self.arrived, self.fences = name, [], set()

    def take(self, frame):
        """Puts it where it belongs. A trunk has fences with tags."""
        at = 12
        while frame.data[at:at + 2] in TAGS:
            at += 4
        if frame.data[at:at + 2] == struct.pack("!H", FENCE_TYPE):
            self.fences.add(frame.data[at + 2:at + 10])
        else:
            self.arrived.append(frame)


class Wire(Collector):
    """The workload's interface of one port."""

    def __init__(self, name, netns, ifname="eth0"):
        super().__init__(name)
        with inside(netns):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self.socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            self.socket.bind((ifname, ETH_P_ALL))
        self.socket.setblocking(False)

    def send(self, data, vnet=(0, 0, 0, 0, 0, 0)):
        self.socket.setblocking(True)
        self.socket.send(VNET_HEADER.pack(*vnet) + data)
        self.socket.setblocking(False)

    def collect(self):
        """Takes in what has arrived; fences are kept apart."""
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(VNET_HEADER.size + (1 << 17), 256)
            except BlockingIOError:
                return
            vnet = VNET_HEADER.unpack_from(data)
            frame = data[VNET_HEADER.size:]
            for level, kind, value in ancillary:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    frame, vnet = self.put_tag_back(frame, vnet, value)
            self.take(Frame(frame, vnet))

    @staticmethod
    def put_tag_back(frame, vnet, auxdata):
        """The kernel takes the outer tag off, and counts offsets from the frame without it."""
        status, _, _, _, _, tci, tpid = struct.unpack_from("=IIIHHHH", auxdata)
        if not status & STATUS_VLAN_VALID:
            return frame, vnet
        if not status & STATUS_VLAN_TPID_VALID:
            tpid = 0x8100
        flags, gso_type, hdr_len, gso_size, csum_start, csum_offset = vnet
        vnet = (flags, gso_type, hdr_len and hdr_len + 4, gso_size, csum_start + 4, csum_offset)
        return frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:], vnet


class Network:
    """Ports in groups; those of one group, and only those, hear each other's broadcasts."""

    def __init__(self, groups):
        self.groups = groups
        self.wires = {wire.name: wire for group in groups for wire in group}
        for index, wire in enumerate(self.wires.values()):
            wire.fence_source = f"02:fe:00:00:00:{index:02x}"
        self.fence_count = 0
        self.failed = 0

    def exchange(self, source, frames):
        """Sends frames (octets, or octets and a virtio-net header) from one port. Returns all that arrived,
        by port, the sending one included: nothing of these frames is on its way any more."""
        for wire in self.wires.values():
            wire.collect()
            wire.arrived = []
        for frame in frames:
            if isinstance(frame, tuple):
                self.wires[source].send(*frame)
            else:
                self.wires[source].send(frame)
        self.fence(source)
        return {name: wire.arrived for name, wire in self.wires.items()}

    def fence(self, source=None):
        """A broadcast from the source overtakes nothing that it sent before: when all others of its group have
        it, they have everything. Then a second one, from another port, does the same for the source; and so in
        every group."""
        for group in self.groups:
            members = sorted(group, key=lambda wire: wire.name != source)
            for sender in members[:2]:
                self.fence_from(sender, [wire for wire in members if wire is not sender])

    def fence_from(self, sender, receivers, seconds=5):
        self.fence_count += 1
        number = struct.pack("!Q", self.fence_count)
        sender.send(ethernet(BROADCAST, sender.fence_source, FENCE_TYPE, number.ljust(46, b"\0")))
        deadline = time.monotonic() + seconds
        while True:
            for wire in receivers:
                wire.collect()
            missing = [wire for wire in receivers if number not in wire.fences]
            if not missing:
                return
            if time.monotonic() > deadline:
                names = ", ".join(wire.name for wire in missing)
                raise SystemExit(f"FAIL  a broadcast from {sender.name} did not reach {names}")
            select.select([wire.socket for wire in missing], [], [], 0.1)

    def check(self, text, seen, expected):
        """Compares all that arrived with what should have: {port: [frames]}; a port not named gets nothing."""
        wrong = []
        for name in self.wires:
            if seen[name] != expected.get(name, []):
                wrong.append(f"at {name}, expected {[x[:64].hex() for x in expected.get(name, [])]}, seen {seen[name]}")
        self.result(text, wrong)

    def result(self, text, wrong):
        print(("FAIL  " if wrong else "ok    ") + text, flush=True)
        for line in wrong:
            print("      | " + line, flush=True)
        self.failed += bool(wrong)

    def finish(self):
        sys.exit(1 if self.failed else 0)


def main():
    if len(sys.argv) != 7 or sys.argv[1] != "send":
        sys.exit(__doc__)
    netns, count, destination, source, length = sys.argv[2:]
    wire = Wire("wire", netns)
    for _ in range(int(count)):
        wire.send(ethernet(destination, source, FENCE_TYPE + 1, bytes(int(length) - 14)))


if __name__ == "__main__":
    main()
