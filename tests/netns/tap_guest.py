# SPDX-License-Identifier: Apache-2.0
"""A machine behind a TAP, as QEMU has one: makes the interface, and answers ARP and ping until it
ends, when the interface goes.

    tap_guest.py IFNAME ADDRESS MAC
"""

import fcntl
import os
import socket
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 2, 0x1000


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def answer(frame, address, mac):
    """The answer to a frame, or None."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0806 and frame[20:22] == b"\0\1" and frame[38:42] == address:
        return (frame[6:12] + mac + frame[12:20] + b"\0\2" + mac + address + frame[22:32])
    if kind == 0x0800 and frame[23] == 1 and frame[30:34] == address and frame[34] == 8:
        icmp = b"\0\0\0\0" + frame[38:14 + struct.unpack_from("!H", frame, 16)[0]]
        if len(icmp) % 2:
            return None
        icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
        return frame[6:12] + mac + frame[12:26] + address + frame[26:30] + icmp
    return None


def main():
    name, address, mac = sys.argv[1:]
    address, mac = socket.inet_aton(address), bytes.fromhex(mac.replace(":", ""))
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    while True:
        reply = answer(os.read(tap, 65536), address, mac)
        if reply:
            os.write(tap, reply)


main()
