# SPDX-License-Identifier: Apache-2.0
"""Frames of TCP and UDP flows, and the super-packets that stand for them, built and cut with code that shares
nothing with the switch's. Used by overlay_offload.py."""

import struct

from wire import NEEDS_CSUM, GSO_TCPV4, mac

GSO_TCPV6, GSO_UDP_L4, GSO_ECN = 4, 5, 0x80
TCP, UDP = 6, 17
FIN, PSH, ACK, ECE, CWR = 0x01, 0x08, 0x10, 0x40, 0x80
TAGS = (0x8100, 0x88A8)


def summed(*parts):
    """The one's-complement sum of 16-bit words (RFC 1071); each part but the last has an even size."""
    total = sum(int.from_bytes(part + b"\0" * (len(part) % 2), "big") for part in parts)
    return total % 0xFFFF or (0xFFFF if total else 0)


def checksum(*parts):
    return ~summed(*parts) & 0xFFFF


def octets(count, seed):
    """Some that repeat late only."""
    return b"".join(struct.pack("!I", (seed * 7919 + index) * 2654435761 & 0xFFFFFFFF)
                    for index in range((count + 3) // 4))[:count]


class Headers:
    """Where the headers of a frame of IP with TCP or UDP are."""

    def __init__(self, frame):
        self.l3 = 14
        while int.from_bytes(frame[self.l3 - 2:self.l3], "big") in TAGS:
            self.l3 += 4
        self.ipv6 = frame[self.l3 - 2:self.l3] == b"\x86\xdd"
        self.protocol = frame[self.l3 + (6 if self.ipv6 else 9)]
        self.l4 = self.l3 + (40 if self.ipv6 else (frame[self.l3] & 15) * 4)
        self.addresses = slice(self.l3 + 8, self.l3 + 40) if self.ipv6 else slice(self.l3 + 12, self.l3 + 20)
        self.field = self.l4 + (16 if self.protocol == TCP else 6)
        self.payload = self.l4 + ((frame[self.l4 + 12] >> 4) * 4 if self.protocol == TCP else 8)

    @staticmethod
    def of(frame):
        """None for a frame without these headers, or that may be too short for them."""
        if len(frame) < 62:
            return None
        found = Headers(frame)
        kind = frame[found.l3 - 2:found.l3]
        if kind not in (b"\x08\x00", b"\x86\xdd") or found.protocol not in (TCP, UDP) or len(frame) < found.payload:
            return None
        return found

    def pseudo(self, frame):
        return frame[self.addresses] + struct.pack("!II", len(frame) - self.l4, self.protocol)


def put16(frame, at, value):
    frame[at:at + 2] = struct.pack("!H", value & 0xFFFF)


def finish(frame, partial=False):
    """Writes the lengths and checksums of a frame; `partial`: as a stack does that leaves the rest to a device."""
    frame, at = bytearray(frame), Headers(frame)
    if at.ipv6:
        put16(frame, at.l3 + 4, len(frame) - at.l4)
    else:
        put16(frame, at.l3 + 2, len(frame) - at.l3)
        put16(frame, at.l3 + 10, 0)
        put16(frame, at.l3 + 10, checksum(bytes(frame[at.l3:at.l4])))
    if at.protocol == UDP:
        put16(frame, at.l4 + 4, len(frame) - at.l4)
    put16(frame, at.field, 0)
    if partial:
        put16(frame, at.field, summed(at.pseudo(frame)))
    else:
        value = checksum(at.pseudo(frame), bytes(frame[at.l4:]))
        put16(frame, at.field, 0xFFFF if at.protocol == UDP and value == 0 else value)
    return bytes(frame)


class Flow:
    """A flow of segments or datagrams, one behind the other."""

    def __init__(self, destination, source, port=1000, protocol=TCP, ipv6=False, tags=(), tos=0, options=b""):
        self.link = mac(destination) + mac(source) + b"".join(struct.pack("!HH", *tag) for tag in tags)
        self.port, self.protocol, self.ipv6, self.tos, self.options = port, protocol, ipv6, tos, options
        self.sequence, self.identification, self.seed = 0xFFFFF000, 0xFFF0, port

    def headers(self, flags):
        if self.ipv6:
            ip = struct.pack("!IHBB", 6 << 28 | self.tos << 20 | 0x12345, 0, self.protocol, 64)
            ip += bytes.fromhex("fd" + "0" * 29 + "1" + "fd" + "0" * 29 + "2")
        else:
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, self.tos, 0, self.identification, 0x4000, 64, self.protocol, 0,
                             b"\x0a\0\0\x01", b"\x0a\0\0\x02")
        if self.protocol == UDP:
            layer4 = struct.pack("!HHHH", self.port, 2000, 0, 0)
        else:
            layer4 = struct.pack("!HHIIBBHHH", self.port, 2000, self.sequence, 7, (20 + len(self.options)) << 2, flags,
                                 500, 0, 0) + self.options
        return self.link + (b"\x86\xdd" if self.ipv6 else b"\x08\x00") + ip + layer4

    def advance(self, size, frames=1):
        self.sequence = (self.sequence + size) & 0xFFFFFFFF
        self.identification = (self.identification + frames) & 0xFFFF
        self.seed += 1

    def frame(self, size, flags=ACK):
        made = finish(self.headers(flags) + octets(size, self.seed))
        self.advance(size)
        return made

    def train(self, count, size, last=None, flags=ACK):
        """`count` frames with `size` octets of payload, the last with `last`."""
        return [self.frame(size if last is None or index < count - 1 else last, flags) for index in range(count)]

    def super_packet(self, size, gso_size, flags=ACK):
        """Octets and a virtio-net header: `size` octets of payload in segments of `gso_size`."""
        made = finish(self.headers(flags) + octets(size, self.seed), partial=True)
        at = Headers(made)
        kind = GSO_UDP_L4 if self.protocol == UDP else GSO_TCPV6 if self.ipv6 else GSO_TCPV4
        kind |= GSO_ECN if flags & CWR and self.protocol == TCP else 0
        self.advance(size, -(-size // gso_size))
        return made, (NEEDS_CSUM, kind, at.payload, gso_size, at.l4, at.field - at.l4)


def cut(data, vnet):
    """The frames on the wire that a frame with its virtio-net header stands for, checksums complete."""
    flags, kind, _, gso_size, start, offset = vnet
    if not flags & NEEDS_CSUM:
        return [data]
    at = Headers(data)
    if (start, offset) != (at.l4, at.field - at.l4):
        raise ValueError(f"a partial checksum at {start}+{offset}")
    if data[at.field:at.field + 2] != struct.pack("!H", summed(at.pseudo(data))):
        raise ValueError("a wrong sum of the pseudo-header")
    if kind == 0:
        return [finish(data)]
    expected = GSO_UDP_L4 if at.protocol == UDP else GSO_TCPV6 if at.ipv6 else GSO_TCPV4
    if kind & ~GSO_ECN != expected:
        raise ValueError(f"GSO type {kind}")
    return [piece(data, at, offset, gso_size) for offset in range(0, len(data) - at.payload, gso_size)]


def piece(data, at, offset, gso_size):
    """The frame with the payload from `offset` on."""
    body = data[at.payload + offset:at.payload + offset + gso_size]
    frame = bytearray(data[:at.payload] + body)
    if not at.ipv6:
        put16(frame, at.l3 + 4, int.from_bytes(data[at.l3 + 4:at.l3 + 6], "big") + offset // gso_size)
    if at.protocol == TCP:
        sequence = int.from_bytes(data[at.l4 + 4:at.l4 + 8], "big") + offset
        frame[at.l4 + 4:at.l4 + 8] = struct.pack("!I", sequence & 0xFFFFFFFF)
        if offset > 0:
            frame[at.l4 + 13] &= ~CWR
        if at.payload + offset + gso_size < len(data):
            frame[at.l4 + 13] &= ~(FIN | PSH)
    return finish(frame)


def flow_of(frame):
    """What tells flows apart: only of one are frames in order."""
    at = Headers.of(frame)
    if at is None:
        return frame[:14]
    return frame[:at.l3] + frame[at.addresses] + frame[at.l4:at.l4 + 4] + bytes([at.protocol])


def by_flow(frames):
    flows = {}
    for frame in frames:
        flows.setdefault(flow_of(frame), []).append(frame)
    return flows


def differences(seen, expected):
    """What is wrong with these frames on the wire, which may be in any order but for those of a flow."""
    wrong = []
    seen, expected = by_flow(seen), by_flow(expected)
    for flow in seen.keys() | expected.keys():
        here, there = seen.get(flow, []), expected.get(flow, [])
        if here == there:
            continue
        first = next((i for i, (a, b) in enumerate(zip(here, there)) if a != b), min(len(here), len(there)))
        wrong.append(f"flow {flow.hex()}: {len(here)} frames instead of {len(there)}; the first that differs is"
                     f" {first}: {here[first][:80].hex() if first < len(here) else None}"
                     f" instead of {there[first][:80].hex() if first < len(there) else None}")
    return wrong
