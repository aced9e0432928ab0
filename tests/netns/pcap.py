# SPDX-License-Identifier: Apache-2.0
"""Capture files for pcap.sh.

    pcap.py make FILE COUNT LENGTH GAP_US [pcap|ns|swapped]   numbered frames to everybody
    pcap.py other FILE pcapng|raw|cut                         files that are no such capture
    pcap.py numbers FILE          COUNT first FIRST last LAST missing N repeated N reordered N
    pcap.py seconds FILE          from the first numbered frame to the last, of frames that are evenly spaced
    pcap.py compare FILE FILE     the numbered frames of both: "same N", or how they differ
    pcap.py udp FILE              UDP datagrams: "datagrams N octets N bad-checksums N longest N"
    pcap.py burst ADDRESS SIZE SEGMENT   one sendmsg with UDP_SEGMENT
"""

import contextlib
import logging
import socket
import statistics
import struct
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.utils import RawPcapReader  # noqa: E402 (all of scapy, where it is needed, takes a second)

ETHER_TYPE = 0x88B5  # IEEE 802: for local experiments
HEADER = bytes.fromhex("ffffffffffff" "020000000099") + struct.pack("!H", ETHER_TYPE)
UDP_SEGMENT = 103


def frame(number, length):
    data = HEADER + struct.pack("!I", number)
    return data + bytes((number * 7 + i) % 256 for i in range(length - len(data)))


def make(path, count, length, gap, form="ns"):
    order = ">" if form == "swapped" else "<"
    magic, unit = (0xA1B2C3D4, 1000) if form == "pcap" else (0xA1B23C4D, 1)
    with open(path, "wb") as file:
        file.write(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, 1))
        for number in range(int(count)):
            stamp = 1_000_000_000 * 10**9 + number * int(gap) * 1000
            data = frame(number, int(length))
            file.write(struct.pack(order + "IIII", stamp // 10**9, stamp % 10**9 // unit,
                                   len(data), len(data)) + data)


def other(path, kind):
    from scapy.all import IP, UDP, Ether, PcapNgWriter, PcapWriter
    if kind == "pcapng":
        writer = PcapNgWriter(path)
        writer.write(Ether(frame(0, 60)))
        writer.close()
    elif kind == "raw":
        writer = PcapWriter(path, linktype=101)
        writer.write(IP(dst="10.0.0.1") / UDP())
        writer.close()
    else:
        make(path, 3, 100, 0)
        with open(path, "r+b") as file:
            file.truncate(24 + 2 * 116 + 50)


def numbered(path):
    """Time, number and octets of every frame of ours."""
    with contextlib.closing(RawPcapReader(path)) as reader:
        unit = 1e-9 if reader.nano else 1e-6
        for data, meta in reader:
            if data[:14] == HEADER:
                yield meta.sec + meta.usec * unit, struct.unpack("!I", data[14:18])[0], data


def numbers(path):
    seen = [number for _, number, _ in numbered(path)]
    if not seen:
        return "0"
    missing = max(seen) + 1 - min(seen) - len(set(seen))
    reordered = sum(1 for a, b in zip(seen, seen[1:]) if b < a)
    return (f"{len(seen)} first {seen[0]} last {seen[-1]} missing {missing} "
            f"repeated {len(seen) - len(set(seen))} reordered {reordered}")


def seconds(path):
    """Of their first and last fifth the medians count: a moment without a processor is nobody's fault."""
    times = [time for time, _, _ in numbered(path)]
    fifth = len(times) // 5
    between = statistics.median(times[-fifth:]) - statistics.median(times[:fifth])
    return f"{between / (len(times) - fifth) * (len(times) - 1):.4f}"


def compare(left, right):
    a, b = ([data for _, _, data in numbered(path)] for path in (left, right))
    if len(a) != len(b):
        return f"{len(a)} and {len(b)} frames"
    differ = [i for i in range(len(a)) if a[i] != b[i]]
    return f"differ at {differ[:5]}" if differ else f"same {len(a)}"


def udp(path):
    from scapy.all import IP, UDP, PcapReader, raw
    count = octets = bad = longest = 0
    with PcapReader(path) as reader:
        for packet in reader:
            if IP not in packet or UDP not in packet:
                continue
            fresh = packet.copy()
            del fresh[IP].chksum, fresh[UDP].chksum
            bad += raw(fresh) != raw(packet)
            count += 1
            octets += len(packet[UDP].payload)
            longest = max(longest, len(raw(packet)))
    return f"datagrams {count} octets {octets} bad-checksums {bad} longest {longest}"


def burst(address, size, segment):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_UDP, UDP_SEGMENT, int(segment))
    sender.sendto(bytes(i % 251 for i in range(int(size))), (address, 7000))


if __name__ == "__main__":
    answer = globals()[sys.argv[1]](*sys.argv[2:])
    if answer is not None:
        print(answer)
