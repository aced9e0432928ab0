# SPDX-License-Identifier: Apache-2.0
"""fairness.py PREFIX SECONDS SOURCE SIZE: see fairness.sh, which makes the switch. Sends requests and responses
between t3 … t16 and v3 … v16, two by two, and meanwhile frames of SIZE octets from SOURCE (t1 to t2, v1 to v2, peer to
t2, or none), as many as the kernel takes. Prints how many requests and responses there were, and the median, the 99th
percentile and the most of the times that they took, in microseconds.

Times are from before a send until the kernel has the frame at its port, request and response added: that this
process had to wait for the processor is not held against the switch."""

import ctypes
import os
import select
import socket
import struct
import sys
import time

from segments import ACK, Flow
from wire import VNET_HEADER, ethernet, inside, mac

ETH_P_ALL, SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 3, 263, 15, 23
SO_TIMESTAMPNS = 35
TYPE = 0x88B6
SOL_UDP, UDP_SEGMENT = 17, 103
RATE = 200  # requests a second of each pair
REQUEST = struct.Struct("!BIQQ")  # is it a response; number; when it was sent; how long the request took
FLOOD_MOST, FLOOD_BATCH = 20000000, 64
DEADLINE = 5  # seconds for what is on its way in the end


def address(name):
    return f"02:00:00:00:0{'tv'.index(name[0]) + 1}:{int(name[1:]):02x}"


def listen(name):
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    made.bind((name, TYPE))
    made.setblocking(False)
    return made


def announce(name):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as made:
        made.bind((name, 0))
        made.send(ethernet("ff:ff:ff:ff:ff:ff", address(name), TYPE + 1).ljust(60, b"\0"))


class Message(ctypes.Structure):
    """struct mmsghdr, of one vector."""

    _fields_ = [("name", ctypes.c_void_p), ("name_size", ctypes.c_uint), ("iov", ctypes.c_void_p),
                ("iov_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("size", ctypes.c_uint)]


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def open_port(source, size):
    """A socket on a port's interface, and a message of one frame. Large ones are super-packets."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    made.bind((source, 0))
    if size > 1500:
        data, vnet = Flow(address(source[0] + "2"), address(source)).super_packet(size, 1400, ACK)
    else:
        data, vnet = ethernet(address(source[0] + "2"), address(source), TYPE).ljust(size, b"\0"), (0,) * 6
    return made, VNET_HEADER.pack(*vnet) + data


def open_peer(size):
    """A socket of the peer, and a message of 64 datagrams that arrive together."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("172.31.0.2", 4789))
    made.connect(("172.31.0.1", 4789))
    made.setsockopt(SOL_UDP, UDP_SEGMENT, size + 8)
    frame = ethernet(address("t2"), "02:00:00:00:03:01", TYPE).ljust(size, b"\0")
    return made, 64 * (struct.pack("!II", 0x08000000, 5001 << 8) + frame)


def flood(opened, seconds):
    """Runs in a process of its own."""
    made, message = opened
    octets = ctypes.create_string_buffer(message, len(message))
    vector = Vector(ctypes.addressof(octets), len(octets))
    messages = (Message * FLOOD_BATCH)(*[Message(None, 0, ctypes.addressof(vector), 1, None, 0, 0, 0)
                                         for _ in range(FLOOD_BATCH)])
    libc, sent, end = ctypes.CDLL(None, use_errno=True), 0, time.monotonic() + seconds
    while time.monotonic() < end and sent < FLOOD_MOST:
        sent += max(0, libc.sendmmsg(made.fileno(), messages, FLOOD_BATCH, 0))


def pairs():
    """Of one type and of two."""
    for number in range(3, 17, 2):
        one, other = ("t", "v") if number % 4 == 1 else ("v", "t")
        yield f"t{number}", f"{one}{number + 1}"
        yield f"v{number}", f"{other}{number + 1}"


class Exchange:
    def __init__(self, netns):
        self.pairs = list(pairs())
        with inside(netns):
            self.sockets = {name: listen(name) for pair in self.pairs for name in pair}
        self.poll = select.epoll()
        self.names = {made.fileno(): name for name, made in self.sockets.items()}
        for fd in self.names:
            self.poll.register(fd, select.EPOLLIN)
        self.requests, self.times = 0, {}

    def send(self, source, destination, response, number, took):
        frame = ethernet(address(destination), address(source), TYPE,
                         REQUEST.pack(response, number, time.time_ns(), took))
        self.sockets[source].send(frame.ljust(60, b"\0"))

    def request(self):
        self.send(*self.pairs[self.requests % len(self.pairs)], 0, self.requests, 0)
        self.requests += 1

    def take(self, name):
        own = mac(address(name))
        while True:
            try:
                data, ancillary, _, _ = self.sockets[name].recvmsg(2048, 64)
            except BlockingIOError:
                return
            response, number, sent, took = REQUEST.unpack_from(data, 14)
            seconds, nanoseconds = struct.unpack_from("qq", ancillary[0][2])
            took += seconds * 10**9 + nanoseconds - sent
            if data[:6] != own:
                continue
            if response:
                self.times.setdefault(number, []).append(took)
            else:
                self.send(name, f"{'tv'[data[10] - 1]}{data[11]}", 1, number, took)

    def wait(self, seconds):
        for fd, _ in self.poll.poll(max(0, seconds)):
            self.take(self.names[fd])

    def wait_for_all(self):
        deadline = time.monotonic() + DEADLINE
        while len(self.times) < self.requests and time.monotonic() < deadline:
            self.wait(0.1)

    def run(self, seconds):
        start, first = time.monotonic(), self.requests
        rate = RATE * len(self.pairs)
        while self.requests - first < seconds * rate:
            due = start + (self.requests - first) / rate
            if time.monotonic() < due:
                self.wait(due - time.monotonic())
            else:
                self.request()
        self.wait_for_all()


def main():
    prefix, seconds, source, size = sys.argv[1], float(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    exchange, child = Exchange(prefix + "work"), 0
    with inside(prefix + "work"):
        announce("t2")
        announce("v2")
    for _ in exchange.pairs:  # one each, after which every address is known
        exchange.request()
    exchange.wait_for_all()
    if source != "none":
        with inside(prefix + ("wild" if source == "peer" else "work")):
            opened = open_peer(size) if source == "peer" else open_port(source, size)
        child = os.fork()
        if child == 0:
            flood(opened, seconds)
            os._exit(0)
    exchange.run(seconds)
    if child:
        os.waitpid(child, 0)
    times = sorted(took // 1000 for each in exchange.times.values() for took in each)
    print(f"{exchange.requests} {len(times)} {times[len(times) // 2]} {times[len(times) * 99 // 100]} {times[-1]}")


main()
