# SPDX-License-Identifier: Apache-2.0
"""The frontend's side of vhost-user: a connection, a guest's memory, split rings. vhost_guest.py makes a guest of them;
tests that say what no guest would say use them as they are. Names are those of QEMU's "Vhost-user Protocol" and of
virtio 1.2."""

import array
import errno
import mmap
import os
import socket
import struct
import threading
import time

# Requests
GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE, SET_LOG_BASE, SET_LOG_FD = range(1, 8)
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL = range(8, 14)
SET_VRING_ERR, GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE = range(14, 19)
SET_SLAVE_REQ_FD, GET_INFLIGHT_FD, SET_INFLIGHT_FD = 21, 31, 32
REPLY, NEED_REPLY = 0x4, 0x8
NO_FD = 0x100
MESSAGE = struct.Struct("=III")  # request, flags with version 1, size of the payload

# Feature bits
CSUM, GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, HOST_TSO4, HOST_TSO6 = (1 << bit for bit in (0, 1, 7, 8, 11, 12))
MRG_RXBUF, INDIRECT_DESC, EVENT_IDX, PROTOCOL_FEATURES, VERSION_1 = (1 << bit for bit in (15, 28, 29, 30, 32))
MQ, IN_ORDER = 1 << 22, 1 << 35
OFFLOADS = CSUM | GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6 | HOST_TSO4 | HOST_TSO6
ALL = OFFLOADS | MRG_RXBUF | INDIRECT_DESC | EVENT_IDX | PROTOCOL_FEATURES | VERSION_1 | MQ
# Protocol feature bits
P_MQ, P_REPLY_ACK = 1 << 0, 1 << 3

# Flags of a descriptor
NEXT, WRITE, INDIRECT = 1, 2, 4
DESCRIPTOR = struct.Struct("=QIHH")  # address, size, flags, next
NO_NOTIFY = 1

LARGEST = 68 << 10  # a header and a super-packet
QUIET = 5  # seconds that an answer may take
BARRIER = threading.Lock()


def barrier():
    """Orders what was stored before what is loaded behind it, as taking a lock does."""
    with BARRIER:
        pass


class Closed(Exception):
    """The other side has ended the connection."""


class Frontend:
    """A connection, and messages on it."""

    def __init__(self, path, listen=False):
        """As a client it connects, which has to succeed; as a server it waits in accept()."""
        self.path, self.socket, self.server = path, None, None
        if listen:
            self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            if os.path.exists(path):
                os.unlink(path)
            self.server.bind(path)
            self.server.listen(1)
            self.server.settimeout(QUIET)

    def connect(self):
        if self.server:
            self.socket, _ = self.server.accept()
        else:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.queue_up()
        self.socket.settimeout(QUIET)

    def queue_up(self):
        """Connects; only so many may wait until they are accepted."""
        deadline = time.monotonic() + QUIET
        self.socket.setblocking(False)
        while (error := self.socket.connect_ex(self.path)) == errno.EAGAIN and time.monotonic() < deadline:
            time.sleep(0.005)
        if error:
            raise OSError(error, os.strerror(error))

    def send(self, octets, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.socket.sendmsg([octets], ancillary)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def receive(self):
        """Request and payload of one message; the descriptor that came with it, or None."""
        head, fd = self.exactly(MESSAGE.size)
        request, _, size = MESSAGE.unpack(head)
        payload, _ = self.exactly(size)
        return request, payload, fd

    def exactly(self, size):
        octets, fd = b"", None
        while len(octets) < size:
            try:
                more, fds, _, _ = socket.recv_fds(self.socket, size - len(octets), 8)
            except ConnectionResetError as error:
                raise Closed from error
            if not more:
                raise Closed
            octets, fd = octets + more, fds[0] if fds else fd
        return octets, fd

    def tell(self, request, payload=b"", fds=(), flags=0):
        self.send(MESSAGE.pack(request, 1 | flags, len(payload)) + payload, fds)

    def ask(self, request, payload=b"", fds=(), flags=0):
        """The answer's payload."""
        self.tell(request, payload, fds, flags)
        answered, answer, _ = self.receive()
        if answered != request:
            raise ValueError(f"request {request} was answered by {answered}")
        return answer

    def ask_u64(self, request):
        return struct.unpack("=Q", self.ask(request))[0]

    def ended(self, seconds=QUIET):
        """Does the other side end the connection within that time?"""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(4096):
                pass
        except TimeoutError:
            return False
        except ConnectionResetError:
            pass
        return True

    def close(self):
        for each in (self.socket, self.server):
            if each:
                each.close()
        self.socket = self.server = None


class Memory:
    """A guest's memory: regions of one file that lie apart in the guest's addresses, and apart again in the
    addresses that the frontend has for itself, so that one taken for another does not work."""

    GUEST, USER = (0x40000000, 0x100000000), (0x7F0000000000, 0x7E0000000000)

    def __init__(self, sizes=(16 << 20, 16 << 20)):
        self.sizes = sizes
        self.fd = os.memfd_create("guest")
        os.ftruncate(self.fd, sum(sizes))
        self.map = mmap.mmap(self.fd, sum(sizes))
        # What the other side looks at meanwhile is written at once; struct writes zeroes first, and octet by octet.
        self.words = memoryview(self.map).cast("H")
        self.taken = [0] * len(sizes)

    def take(self, size, region=0, align=4096):
        """Room in that region; returns where it is in the file."""
        at = -(-self.taken[region] // align) * align
        if at + size > self.sizes[region]:
            raise MemoryError("this guest's memory is too small")
        self.taken[region] = at + size
        return sum(self.sizes[:region]) + at

    def guest(self, at):
        return self.address(at, self.GUEST)

    def user(self, at):
        return self.address(at, self.USER)

    def address(self, at, bases):
        for size, base in zip(self.sizes, bases):
            if at < size:
                return base + at
            at -= size
        raise ValueError("not in this memory")

    def table(self):
        """The payload of SET_MEM_TABLE, and its descriptors."""
        regions, at = b"", 0
        for size, guest, user in zip(self.sizes, self.GUEST, self.USER):
            regions += struct.pack("=QQQQ", guest, size, user, at)
            at += size
        return struct.pack("=II", len(self.sizes), 0) + regions, [self.fd] * len(self.sizes)

    def close(self):
        self.words.release()
        self.map.close()
        os.close(self.fd)


class Ring:
    """A split virtqueue (virtio 1.2, 2.7), the driver's side. A chain is a list of (place in the file, size)."""

    def __init__(self, memory, index, size, call, event_idx, indirect):
        self.memory, self.map, self.index, self.size = memory, memory.map, index, size
        self.event_idx, self.indirect = event_idx, indirect
        self.descriptors = memory.take(16 * size)
        self.avail = memory.take(6 + 2 * size)
        self.used = memory.take(6 + 8 * size)
        self.tables = memory.take(16 * 64 * size) if indirect else None
        self.kick_fd, self.call_fd = os.eventfd(0, os.EFD_NONBLOCK), call
        self.free, self.chains = list(range(size)), {}
        self.avail_index = self.used_index = self.told = 0

    def u16(self, at):
        return self.memory.words[at // 2]

    def put_u16(self, at, value):
        self.memory.words[at // 2] = value & 0xFFFF

    def describe(self, slot, address, size, flags=0, following=0, table=None):
        """Writes a descriptor, of the ring's table or another one."""
        DESCRIPTOR.pack_into(self.map, (self.descriptors if table is None else table) + 16 * slot, address, size, flags,
                             following)

    def room(self, chain):
        return len(self.free) >= (1 if self.indirect else len(chain))

    def offer(self, chain, flags, key):
        """Makes a chain available; `key` comes back when it was used. Not before there is room for it."""
        slots = [self.free.pop() for _ in range(1 if self.indirect else len(chain))]
        table, places = None, slots
        if self.indirect:
            table, places = self.tables + 16 * 64 * slots[0], range(len(chain))
            self.describe(slots[0], self.memory.guest(table), 16 * len(chain), INDIRECT)
        for number, (at, size) in enumerate(chain):
            last = number == len(chain) - 1
            self.describe(places[number], self.memory.guest(at), size, flags | (0 if last else NEXT),
                          0 if last else places[number + 1], table)
        self.chains[slots[0]] = slots, key
        self.offer_head(slots[0])

    def offer_head(self, head):
        self.put_u16(self.avail + 4 + 2 * (self.avail_index % self.size), head)
        self.avail_index = (self.avail_index + 1) & 0xFFFF
        barrier()
        self.put_u16(self.avail + 2, self.avail_index)

    def kick(self, always=False):
        """Notifies as the device asked for it."""
        barrier()
        if self.event_idx:
            event = self.u16(self.used + 4 + 8 * self.size)
            wanted = (self.avail_index - event - 1) & 0xFFFF < (self.avail_index - self.told) & 0xFFFF
        else:
            wanted = not self.u16(self.used) & NO_NOTIFY
        self.told = self.avail_index
        if wanted or always:
            os.eventfd_write(self.kick_fd, 1)

    def hush(self):
        """Has it written as if the device did not want to be notified."""
        self.put_u16(self.used, NO_NOTIFY)
        self.put_u16(self.used + 4 + 8 * self.size, 0x7fff)

    def take_used(self):
        """The key of the next chain that was used and how much was written into it, or None."""
        if self.u16(self.used + 2) == self.used_index:
            if not self.event_idx:
                return None
            self.put_u16(self.avail + 4 + 2 * self.size, self.used_index)
            barrier()
            if self.u16(self.used + 2) == self.used_index:
                return None
        head, size = struct.unpack_from("=II", self.map, self.used + 4 + 8 * (self.used_index % self.size))
        self.used_index = (self.used_index + 1) & 0xFFFF
        if head not in self.chains:
            raise ValueError(f"ring {self.index}: the device used chain {head}, which it was not given")
        slots, key = self.chains.pop(head)
        self.free += slots
        return key, size

    def close(self):
        os.close(self.kick_fd)
