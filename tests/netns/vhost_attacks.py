# SPDX-License-Identifier: Apache-2.0
"""What a frontend may say on its connection that no frontend should. Used by vhost_hostile.py; `it` is its Hostility."""

import os
import socket
import struct
import time

from vhost_frontend import (GET_FEATURES, GET_INFLIGHT_FD, GET_VRING_BASE, MESSAGE, NEED_REPLY, RESET_OWNER,
                            SET_FEATURES, SET_INFLIGHT_FD, SET_LOG_BASE, SET_LOG_FD, SET_MEM_TABLE, SET_OWNER,
                            SET_PROTOCOL_FEATURES, SET_SLAVE_REQ_FD, SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_CALL,
                            SET_VRING_ENABLE, SET_VRING_ERR, SET_VRING_KICK, SET_VRING_NUM, Closed, Frontend, Memory)

U64 = struct.Struct("=Q")
EVERYTHING = 0xFFFFFFFFFFFFFFFF


def said(frontend):
    """Waits until the switch has dealt with what was sent: it answers the next question, or ends the connection."""
    frontend.socket.settimeout(0.3)
    try:
        frontend.tell(GET_FEATURES)
        frontend.receive()
    except (Closed, TimeoutError, ValueError):
        pass
    frontend.close()


def say(it, *messages):
    """On one connection: (request, payload, descriptors)."""
    frontend = it.dial()
    try:
        for request, payload, *fds in messages:
            frontend.tell(request, payload, fds[0] if fds else ())
    except Closed:
        pass
    said(frontend)


def say_raw(it, octets, fds=()):
    frontend = it.dial()
    frontend.send(octets, fds)
    said(frontend)


def comes_and_goes(it):
    for _ in range(100):
        frontend = Frontend(os.path.join(it.lab.sockets, next(it.evils)))
        frontend.connect()
        frontend.close()
    it.dial().close()


def silent(it):
    frontend = it.dial()
    it.bystanders("a frontend that says nothing more")
    frontend.close()


def parts_of_messages(it):
    whole = MESSAGE.pack(SET_FEATURES, 1, 8) + bytes(8)
    for size in (1, 4, 11, 12, 13, 19):
        frontend = it.dial()
        frontend.send(whole[:size])
        if size == 13:
            it.bystanders("the first part of a message, and then silence")
        frontend.close()
    # Octet by octet is no attack, but nobody has to wait for it.
    frontend = it.dial()
    for octet in MESSAGE.pack(GET_FEATURES, 1, 0):
        frontend.send(bytes([octet]))
    frontend.close()


def garbage(it):
    for size in (12, 100, 4096, 60000):
        say_raw(it, it.random.randbytes(size))


def sizes(it):
    for size in (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 65536, 4097, 400):
        say_raw(it, MESSAGE.pack(SET_FEATURES, 1, size) + bytes(64))


def requests(it):
    for request in (0, 12345, 0xFFFFFFFF, 40, 41, 100):
        say_raw(it, MESSAGE.pack(request, 1 | NEED_REPLY, 0))
    for flags in (0, 2, 3, 5, 0xFFFFFFFF):
        say_raw(it, MESSAGE.pack(GET_FEATURES, flags, 0))


def payloads(it):
    """Each request with payloads that are not its own, of no size and of the largest."""
    for request in range(1, 41):
        for payload in (b"", b"\xff" * 8, b"\xff" * 256):
            say_raw(it, MESSAGE.pack(request, 1, len(payload)) + payload)


def region(size=1 << 20, guest=0x40000000, user=0x7F0000000000, offset=0):
    return struct.pack("=QQQQ", guest, size, user, offset)


def table(*regions, count=None):
    return struct.pack("=II", len(regions) if count is None else count, 0) + b"".join(regions)


def memory_tables(it):
    fd = os.memfd_create("evil")
    os.ftruncate(fd, 1 << 20)
    for payload, fds in (
            (table(), ()), (table(region()), ()), (table(region(), region()), [fd]), (table(region()), [fd] * 8),
            (table(*[region()] * 8), [fd] * 8), (table(region(), count=9), [fd] * 9),
            (table(region(), count=0xFFFFFFFF), [fd]), (table(region(size=0)), [fd]),
            (table(region(size=EVERYTHING)), [fd]), (table(region(size=1 << 62)), [fd]),
            (table(region(size=1 << 46)), [fd]), (table(region(size=1 << 20, offset=1 << 40)), [fd]),
            (table(region(offset=EVERYTHING)), [fd]), (table(region(offset=123)), [fd]),
            (table(region(guest=EVERYTHING - 100)), [fd]), (table(region(user=EVERYTHING - 100)), [fd]),
            (table(region(), region(guest=0x40000800)), [fd, fd])):
        say(it, (SET_OWNER, b""), (SET_MEM_TABLE, payload, fds))
    os.close(fd)


def other_files():
    """Descriptors that are not what they should be."""
    reader, writer = os.pipe()
    left, right = socket.socketpair()
    files = [os.open("/dev/null", os.O_RDWR), os.open("/dev/zero", os.O_RDWR), os.open("/", os.O_RDONLY), reader, writer,
             left.detach(), right.detach(), os.eventfd(0), os.memfd_create("empty"), os.open("/dev/full", os.O_WRONLY),
             os.open("/proc/self/mem", os.O_RDWR), os.open("/tmp", os.O_TMPFILE | os.O_RDWR)]
    return files


def memory_files(it):
    """Memory that is no memory, or that is too short: what is not there kills who looks at it."""
    files = other_files()
    for fd in files:
        say(it, (SET_OWNER, b""), (SET_MEM_TABLE, table(region()), [fd]),
            (SET_VRING_NUM, struct.pack("=II", 0, 256)),
            (SET_VRING_ADDR, struct.pack("=IIQQQQ", 0, 0, *[0x7F0000000000 + at for at in (0, 8192, 4096)], 0)))
        os.close(fd)


def ring_indices(it):
    memory = Memory((1 << 20,))
    payload, fds = memory.table()
    for index in (2, 3, 64, 255, 256, 257, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF):
        for request in (SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ENABLE, GET_VRING_BASE):
            say(it, (SET_MEM_TABLE, payload, fds), (request, struct.pack("=II", index, 1)))
        say(it, (SET_VRING_ADDR, struct.pack("=IIQQQQ", index, 0, *[0x7F0000000000] * 3, 0)))
        for request in (SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR):
            say(it, (request, U64.pack(index & 0xFF), [fds[0]]), (request, U64.pack(index | 0x100)))
    memory.close()


def ring_numbers(it):
    memory = Memory((1 << 20,))
    payload, fds = memory.table()
    for size in (0, 1, 3, 255, 32768, 65535, 65536, 0x80000000, 0xFFFFFFFF):
        say(it, (SET_MEM_TABLE, payload, fds), (SET_VRING_NUM, struct.pack("=II", 0, size)),
            (SET_VRING_ADDR, struct.pack("=IIQQQQ", 0, 0, *[0x7F0000000000] * 3, 0)),
            (SET_VRING_KICK, U64.pack(0), [os.eventfd(0)]), (SET_VRING_ENABLE, struct.pack("=II", 0, 1)))
    for address in (0, 1, 0x7F0000000001, 0x7F00000FFFF0, 0x7F0000100000, 0x40000000, EVERYTHING, EVERYTHING - 15):
        say(it, (SET_MEM_TABLE, payload, fds), (SET_VRING_NUM, struct.pack("=II", 0, 256)),
            (SET_VRING_ADDR, struct.pack("=IIQQQQ", 0, 1, address, address, address, address)),
            (SET_VRING_KICK, U64.pack(0), [os.eventfd(0)]), (SET_VRING_ENABLE, struct.pack("=II", 0, 1)))
    memory.close()


def event_files(it):
    """Something else where an eventfd is expected."""
    for request in (SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR, SET_LOG_FD, SET_SLAVE_REQ_FD):
        for fd in other_files():
            say(it, (SET_PROTOCOL_FEATURES, U64.pack(0x23)), (request, U64.pack(0), [fd]), (request, U64.pack(0), [fd]),
                (request, U64.pack(1), [fd, fd, fd]), (request, U64.pack(0)))
            os.close(fd)


def many_files(it):
    """More descriptors than a message may have, and with messages that have none."""
    fd = os.memfd_create("evil")
    for count in (1, 8, 9, 200, 253):
        say(it, (GET_FEATURES, b"", [fd] * count), (SET_OWNER, b"", [fd] * count),
            (SET_FEATURES, U64.pack(0), [fd] * count), (SET_VRING_NUM, struct.pack("=II", 0, 256), [fd] * count))
        say_raw(it, b"\1", [fd] * count)
    os.close(fd)


def logs(it):
    fd = os.memfd_create("log")
    os.ftruncate(fd, 4096)
    for size, offset in ((4096, 0), (0, 0), (EVERYTHING, 0), (4096, EVERYTHING), (1 << 46, 0), (4096, 4096)):
        say(it, (SET_FEATURES, U64.pack(1 << 30 | 1 << 26)), (SET_PROTOCOL_FEATURES, U64.pack(2)),
            (SET_LOG_BASE, struct.pack("=QQ", size, offset), [fd]), (SET_LOG_BASE, struct.pack("=QQ", size, offset)))
    os.close(fd)


def inflight(it):
    fd = os.memfd_create("inflight")
    os.ftruncate(fd, 4096)
    for queues, size in ((1, 256), (0, 0), (0xFFFF, 0xFFFF), (0xFFFF, 0x8000), (2, 0)):
        for length in (0, 4096, 1 << 40, EVERYTHING):
            say(it, (SET_PROTOCOL_FEATURES, U64.pack(1 << 12)), (GET_INFLIGHT_FD, struct.pack("=QQHH", 0, 0, queues, size)))
            say(it, (SET_PROTOCOL_FEATURES, U64.pack(1 << 12)),
                (SET_INFLIGHT_FD, struct.pack("=QQHH", length, 0, queues, size), [fd]))
    os.close(fd)


def order(it):
    """Requests that are good, at times that are not."""
    say(it, (SET_VRING_ENABLE, struct.pack("=II", 0, 1)), (GET_VRING_BASE, struct.pack("=II", 0, 0)),
        (RESET_OWNER, b""), (SET_VRING_KICK, U64.pack(0), [os.eventfd(1)]))
    say(it, (SET_FEATURES, U64.pack(EVERYTHING)), (SET_PROTOCOL_FEATURES, U64.pack(EVERYTHING)), (SET_OWNER, b""),
        (SET_OWNER, b""), (SET_FEATURES, U64.pack(0)))
    guest = it.guest().start()
    tell = guest.frontend.tell
    for request, payload in ((SET_VRING_NUM, struct.pack("=II", 1, 1024)), (SET_FEATURES, U64.pack(0)),
                             (SET_VRING_BASE, struct.pack("=II", 1, 0x8000)), (SET_MEM_TABLE, table()),
                             (RESET_OWNER, b""), (SET_VRING_ENABLE, struct.pack("=II", 1, 0))):
        try:
            tell(request, payload)
            guest.rings[1].offer_head(0)
            guest.rings[1].kick(always=True)
            it.flood(2)
        except Closed:
            break
    time.sleep(0.02)
    guest.close()


CONNECTION_ATTACKS = [
    ("connections that end at once", comes_and_goes), ("silence", silent), ("parts of messages", parts_of_messages),
    ("garbage", garbage), ("sizes of messages", sizes), ("requests that nobody knows", requests),
    ("payloads of the wrong size", payloads), ("memory tables", memory_tables),
    ("memory that is none", memory_files), ("indices of rings", ring_indices), ("sizes and places of rings", ring_numbers),
    ("files that are no eventfd", event_files), ("many descriptors", many_files), ("dirty logs", logs),
    ("memory for what is in flight", inflight), ("good requests at bad times", order),
]
