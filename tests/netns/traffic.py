# SPDX-License-Identifier: Apache-2.0
"""Traffic whose every octet or datagram is accounted for.

    traffic.py take PORT                        one TCP connection; prints the SHA-256 of all that came
    traffic.py give ADDRESS PORT MEGABYTES      sends that much of a fixed sequence; prints its SHA-256
    traffic.py push ADDRESS PORT SECONDS        sends for that long as much as TCP takes
    traffic.py meter tcp|udp PORT               one TCP connection, or numbered datagrams until the last; prints
                                                times and the octets that had come by then, 10 ms or more apart
    traffic.py count PORT                       numbered datagrams until the last; prints
                                                "sent N received N duplicated N reordered N"
    traffic.py number ADDRESS PORT SECONDS RATE SIZE [BURST]
                                                sends RATE numbered datagrams of SIZE octets a second, in bursts; until SIGTERM, if
                                that comes first
    traffic.py collect PORT FLOWS               numbered datagrams of so many source ports until the last of each;
                                                prints "flows N sent N received N reordered N"
    traffic.py spread ADDRESS PORT FLOWS COUNT  sends COUNT numbered datagrams from each of so many source ports
"""

import hashlib
import os
import random
import signal
import socket
import struct
import sys
import time

HEADER = struct.Struct("!QQ")  # number, and 0 or, in the last one, how many there were
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
QUIET = 15  # seconds without anything after which a receiver gives up


def take(port):
    with socket.create_server(("", int(port))) as server:
        server.settimeout(QUIET)
        connection, _ = server.accept()
        connection.settimeout(QUIET)
        digest = hashlib.sha256()
        while data := connection.recv(1 << 20):
            digest.update(data)
        connection.sendall(b"done")
    print(digest.hexdigest())


def give(address, port, megabytes):
    source = random.Random(int(megabytes))
    digest = hashlib.sha256()
    with socket.create_connection((address, int(port)), timeout=QUIET) as connection:
        for _ in range(int(megabytes)):
            block = source.randbytes(1 << 20)
            digest.update(block)
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        if connection.recv(16) != b"done":
            sys.exit("the receiver did not take all")
    print(digest.hexdigest())


def push(address, port, seconds):
    block = bytes(1 << 16)
    with socket.create_connection((address, int(port)), timeout=QUIET) as connection:
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            connection.sendall(block)


def meter(protocol, port):
    arrivals = tcp_arrivals(int(port)) if protocol == "tcp" else udp_arrivals(int(port))
    total, due, samples = 0, 0.0, []
    for now, size in arrivals:
        total += size
        if now >= due:
            samples.append((now, total))
            due = now + 0.01
    for now, total in samples:
        print(f"{now:.6f} {total}")


def tcp_arrivals(port):
    with socket.create_server(("", port)) as server:
        server.settimeout(QUIET)
        server.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        connection, _ = server.accept()
        connection.settimeout(QUIET)
        while (arrival := stamped(connection, 1 << 20))[1]:
            yield arrival[0], len(arrival[1])


def udp_arrivals(port):
    receiver = udp_receiver(port)
    receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    while True:
        arrived, data = stamped(receiver, 1 << 16)
        if HEADER.unpack_from(data)[1]:
            return
        yield arrived, len(data)


def stamped(receiver, size):
    """The time is when the kernel had the last of what is read: this process may be late."""
    data, ancillary, _, _ = receiver.recvmsg(size, 64)
    if not data:
        return 0.0, data
    seconds, nanoseconds = struct.unpack_from("qq", ancillary[0][2])
    return seconds + nanoseconds / 1e9, data


def udp_receiver(port):
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    receiver.settimeout(QUIET)
    receiver.bind(("", port))
    return receiver


def count(port):
    receiver = udp_receiver(int(port))
    seen, duplicated, reordered, newest = set(), 0, 0, -1
    while True:
        try:
            number, total = HEADER.unpack_from(receiver.recv(1 << 16))
        except TimeoutError:
            sys.exit(f"nothing for {QUIET} s, {len(seen)} received before")
        if total:
            break
        duplicated += number in seen
        reordered += number < newest
        newest = max(newest, number)
        seen.add(number)
    print(f"sent {total} received {len(seen)} duplicated {duplicated} reordered {reordered}")


def number(address, port, seconds, rate, size, burst="1"):
    # A sender that changes the processor may overtake itself in the kernel's queues, one for each.
    os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect((address, int(port)))
    total, step, ended = int(float(seconds) * int(rate)), int(burst), []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    start = time.monotonic()
    for index in range(total):
        if ended:
            total = index
            break
        if index % step == 0:
            time.sleep(max(0, start + index / int(rate) - time.monotonic()))
        sender.send(HEADER.pack(index, 0).ljust(int(size), b"\0"))
    # The end is said more than once, for nobody repeats it; the first one that comes counts.
    for _ in range(20):
        time.sleep(0.02)
        try:
            sender.send(HEADER.pack(total, total))
        except ConnectionRefusedError:
            break
    print(f"sent {total}")


def collect(port, flows):
    """Each flow's numbers must rise; a flow ends with how many there were."""
    receiver = udp_receiver(int(port))
    newest, received, totals, reordered = {}, 0, {}, 0
    while len(totals) < int(flows):
        try:
            data, source = receiver.recvfrom(1 << 16)
        except TimeoutError:
            sys.exit(f"nothing for {QUIET} s, {received} of {len(newest)} flows before, {len(totals)} ended")
        number, total = HEADER.unpack_from(data)
        if total:
            totals[source] = total
            continue
        received += 1
        reordered += number <= newest.get(source, -1)
        newest[source] = number
    print(f"flows {len(totals)} sent {sum(totals.values())} received {received} reordered {reordered}")


def spread(address, port, flows, count):
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(int(flows))]
    for sender in senders:
        sender.connect((address, int(port)))
    start, rate = time.monotonic(), 10000
    for number in range(int(count)):
        time.sleep(max(0, start + number * len(senders) / rate - time.monotonic()))
        for sender in senders:
            sender.send(HEADER.pack(number, 0).ljust(200, b"\0"))
    for _ in range(20):
        time.sleep(0.02)
        for sender in senders:
            try:
                sender.send(HEADER.pack(int(count), int(count)))
            except ConnectionRefusedError:
                return


def main():
    commands = {"take": (take, 1), "give": (give, 3), "push": (push, 3), "meter": (meter, 2),
                "count": (count, 1), "number": (number, 5),
                "collect": (collect, 2), "spread": (spread, 4)}
    function, arguments = commands.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if function is None or len(sys.argv) - 2 not in (arguments, arguments + (function is number)):
        sys.exit(__doc__)
    function(*sys.argv[2:])


main()
