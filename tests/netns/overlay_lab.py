# SPDX-License-Identifier: Apache-2.0
"""The switch of overlay-offload.sh from all sides: its ports, its underlay and its counters."""

import json
import select
import socket
import struct
import subprocess
import time

from segments import checksum, cut
from wire import FENCE_TYPE, Network, Wire, inside

SOL_UDP, UDP_SEGMENT = 17, 103
WEB, CLEAR = 5001, 5002
SWITCH = ("172.31.0.1", 4789)
ONE, TWO, STRANGER = "172.31.0.2", "172.31.0.3", "172.31.0.99"
UNKNOWN, REMOTE = "02:00:00:00:0f:01", "02:00:00:00:00:77"
TAP, VETH = "02:00:00:00:00:01", "02:00:00:00:00:02"
PORTS = ("tap", "veth", "wire")


def vxlan(frame, vni=WEB):
    return struct.pack("!II", 0x08000000, vni << 8) + frame


class Train:
    """What one send hands to the kernel: datagrams of one size, the last may be shorter, from one address."""

    def __init__(self, datagrams, address=ONE, tos=0):
        self.datagrams, self.address, self.tos = datagrams, address, tos

    @staticmethod
    def of(frames, vni=WEB, **where):
        return Train([vxlan(frame, vni) for frame in frames], **where)

    def send(self, source):
        size = len(self.datagrams[0])
        ancillary = [(socket.IPPROTO_IP, socket.IP_TOS, struct.pack("i", self.tos))]
        if len(self.datagrams) > 1:
            ancillary.append((SOL_UDP, UDP_SEGMENT, struct.pack("H", size)))
        assert all(len(datagram) == size for datagram in self.datagrams[:-1]) and len(self.datagrams[-1]) <= size
        source.sendmsg([b"".join(self.datagrams)], ancillary, 0, SWITCH)


class Pcap:
    """The file that a port records to."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.file.read(24)
        self.rest = b""

    def collect(self):
        frames, self.rest = [], self.rest + self.file.read()
        while len(self.rest) >= 16:
            size = struct.unpack_from("<I", self.rest, 8)[0]
            if len(self.rest) < 16 + size:
                break
            frames.append(self.rest[16:16 + size])
            self.rest = self.rest[16 + size:]
        return [frame for frame in frames if frame[12:14] != struct.pack("!H", FENCE_TYPE)]


class Fence:
    """Stands in for a wire in fences: a broadcast from the underlay into a segment."""

    fence_source = "02:fe:00:00:01:00"

    def __init__(self, source, vni):
        self.name, self.source, self.vni = f"VNI {vni}", source, vni

    def send(self, data):
        self.source.sendto(vxlan(data, self.vni), SWITCH)


class Lab:
    def __init__(self, prefix, run_dir, vswitchctl):
        self.prefix, self.command = prefix, [vswitchctl, "--run-dir", run_dir]
        self.network = Network([[Wire(name, prefix + name) for name in PORTS], [Wire("clear", prefix + "clear")]])
        self.pcap = Pcap(run_dir + "/state/pcap/out.pcap")
        self.sources = {}
        with inside(prefix + "wild"):
            for address in (ONE, TWO, STRANGER):
                self.sources[address] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self.sources[address].bind((address, 4789))
        self.underlay = Wire("underlay", prefix + "wild", "underlay")
        self.others = {"two": Wire("two", prefix + "two"), "kernel": Wire("kernel", prefix + "kernel", "vx0")}

    def ctl(self, *words):
        return json.loads(subprocess.run(self.command + ["--json", *words], check=True, capture_output=True).stdout)

    def counters(self):
        """{port: {counter: count}}, with drops as "drop REASON"."""
        found = {}
        for port in self.ctl("stats")["ports"] + [self.ctl("stats", "port", "vtep")]:
            drops = port.pop("drops")
            name = port.pop("name").split("/")[-1]
            found[name] = port | {"drop " + reason: count for reason, count in drops.items()}
        return found

    def counted(self, before, expected):
        """Waits until the counters have grown by what is expected, and returns where they have not. What is not
        named has not grown, but for octets and for what follows from the others."""
        deadline = time.monotonic() + 3
        while True:
            now, wrong = self.counters(), []
            for port, counters in now.items():
                for name, value in counters.items():
                    grown = value - before[port].get(name, 0)
                    if name.endswith("bytes") or name in ("forwarded", "copies"):
                        continue
                    if grown != expected.get(port, {}).get(name, 0):
                        wrong.append(f"{port} {name}: {grown} instead of {expected.get(port, {}).get(name, 0)}")
                sum_in = counters["rx_packets"] + counters["copies"]
                sum_out = counters["forwarded"] + counters["queued"] + sum(
                    value for name, value in counters.items() if name.startswith("drop "))
                if sum_in != sum_out:
                    wrong.append(f"{port}: {sum_in} in, {sum_out} out")
            wrong += [f"{port} {name}: nothing instead of {value}" for port in expected for name, value in
                      expected[port].items() if name not in now[port] and value != 0]
            if not wrong or time.monotonic() > deadline:
                return wrong
            time.sleep(0.01)

    def forget(self):
        for wire in [*self.network.wires.values(), self.underlay]:
            wire.collect()
            wire.arrived = []
        self.pcap.collect()


def wire_frames(arrived):
    frames, wrong = [], []
    for frame in arrived:
        try:
            frames += cut(frame.data, (frame.flags, frame.gso_type, frame.hdr_len, frame.gso_size, frame.csum_start,
                                       frame.csum_offset))
        except ValueError as error:
            wrong.append(f"{error}: {frame}")
    return frames, wrong


def wait_for(wire, count, seconds=3):
    """Until what has arrived stands for so many frames."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        wire.collect()
        if len(wire_frames(wire.arrived)[0]) >= count:
            return
        select.select([wire.socket], [], [], 0.05)


class Datagram:
    """One frame on the underlay, taken apart; ValueError when it is not what a VTEP sends."""

    def __init__(self, frame):
        self.size = len(frame) - 14
        ip, udp = frame[14:34], frame[34:42]
        self.tos, self.peer, self.port = ip[1], socket.inet_ntoa(ip[16:20]), int.from_bytes(udp[:2], "big")
        self.vni, self.frame = int.from_bytes(frame[46:49], "big"), frame[50:]
        facts = {"version": ip[0] == 0x45, "DF, and no fragment": ip[6:8] == b"\x40\0", "TTL 64": ip[8] == 64,
                 "UDP": ip[9] == 17, "from the VTEP": ip[12:16] == b"\xac\x1f\0\x01",
                 "length": int.from_bytes(ip[2:4], "big") == self.size,
                 "IPv4 checksum": checksum(ip) == 0, "UDP port": udp[2:4] == b"\x12\xb5",
                 "UDP length": int.from_bytes(udp[4:6], "big") == len(frame) - 34,
                 "UDP checksum": udp[6:8] != b"\0\0" and checksum(
                     ip[12:20] + struct.pack("!HH", 17, len(frame) - 34), frame[34:]) == 0,
                 "VXLAN header": frame[42:46] == b"\x08\0\0\0" and frame[49] == 0}
        for fact, holds in facts.items():
            if not holds:
                raise ValueError(f"not {fact}: {frame[:64].hex()}")


def underlay_datagrams(lab, count, seconds=3):
    """All that has come; waits for `count`, and then for what should not be there."""
    deadline, wrong, seen = time.monotonic() + seconds, [], []
    while time.monotonic() < deadline:
        lab.underlay.collect()
        if len(lab.underlay.arrived) >= count:
            break
        time.sleep(0.005)
    for frame in lab.underlay.arrived:
        if frame.data[12:14] != b"\x08\0" or frame.data[6:12] == frame.data[:6]:
            continue
        try:
            seen.append(Datagram(frame.data))
        except ValueError as error:
            wrong.append(str(error))
    return seen, wrong
