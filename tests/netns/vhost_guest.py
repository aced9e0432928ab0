# SPDX-License-Identifier: Apache-2.0
"""A guest on a vhost-user port, as a wire (wire.py): send(), collect(), arrived, fences. Whatever a guest may choose is an
argument: features, who connects, how many queues, how frames lie in descriptors."""

import os
import select
import struct
import time

from segments import Headers
from vhost_frontend import (ALL, EVENT_IDX, GET_FEATURES, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, GET_VRING_BASE,
                            GUEST_TSO4, INDIRECT_DESC, LARGEST, MRG_RXBUF, NEED_REPLY, P_MQ, P_REPLY_ACK,
                            PROTOCOL_FEATURES, QUIET, SET_FEATURES, SET_MEM_TABLE, SET_OWNER, SET_PROTOCOL_FEATURES,
                            SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_CALL, SET_VRING_ENABLE, SET_VRING_KICK,
                            SET_VRING_NUM, VERSION_1, WRITE, Frontend, Memory, Ring)
from wire import Collector, Frame


def wire_count(data, vnet):
    """How many frames on the wire it stands for."""
    at = Headers.of(data) if vnet[1] and vnet[3] else None
    return -(-(len(data) - at.payload) // vnet[3]) if at else 1


def pieces(at, size, cuts):
    """A chain for `size` octets from `at` on, the first descriptors of these sizes, the last for the rest."""
    chain = []
    for piece in cuts:
        piece = min(piece, size)
        if piece:
            chain.append((at, piece))
        at, size = at + piece, size - piece
    return chain + ([(at, size)] if size else [])


def clear(event):
    try:
        os.eventfd_read(event)
    except BlockingIOError:
        pass


class Guest(Collector):
    """cuts: how what it sends lies in descriptors, the virtio-net header included; receive_cuts: the same for the
    buffers that it receives into. They are of 2 KiB with MRG_RXBUF, else of what may come. A guest that is `deaf`
    takes nothing out of its rings. One that is `hushed` was told not to kick, by a datapath that died then."""

    def __init__(self, name, path, listen=False, features=ALL, queues=1, ring_size=128, cuts=(), receive_cuts=(),
                 memory=64 << 20, hushed=False):
        super().__init__(name)
        self.wanted, self.queues, self.ring_size, self.memory_size = features, queues, ring_size, memory
        self.cuts, self.receive_cuts = cuts, receive_cuts
        self.frontend = Frontend(path, listen)
        # For select(): something has arrived; something was taken.
        self.socket, self.taken = (os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2))
        self.memory, self.deaf, self.hushed = None, False, hushed
        self.counts = {"rx": 0, "tx": 0}  # frames on the wire, from the switch's side

    def start(self):
        """Connects, and does what a driver does until its link is up."""
        self.frontend.connect()
        self.negotiate()
        self.make_rings()
        for ring in self.rings:
            if self.hushed:
                ring.hush()
            self.before_start(ring)
            self.start_ring(ring)
        for ring in self.rings[::2]:
            self.fill(ring)
        return self

    def reconnect(self):
        """After the other side has ended the connection: a new one, on the rings as they are. What was offered and not
        used is still offered."""
        self.frontend.socket.close()
        self.frontend.connect()
        self.negotiate()
        payload, fds = self.memory.table()
        self.confirmed(SET_MEM_TABLE, payload, fds)
        for ring in self.rings:
            self.start_ring(ring, ring.u16(ring.used + 2))
            ring.kick(always=True)

    def before_start(self, ring):
        """Room for a test to change it."""

    def negotiate(self):
        ask, tell = self.frontend.ask_u64, self.frontend.tell
        self.offered = ask(GET_FEATURES)
        self.features = self.offered & self.wanted
        if self.features & PROTOCOL_FEATURES:
            self.protocol = ask(GET_PROTOCOL_FEATURES) & (P_MQ | P_REPLY_ACK)
            tell(SET_PROTOCOL_FEATURES, struct.pack("=Q", self.protocol))
            if self.protocol & P_MQ and self.queues > ask(GET_QUEUE_NUM):
                raise ValueError("not so many queues")
        tell(SET_OWNER)
        tell(SET_FEATURES, struct.pack("=Q", self.features))
        self.mergeable = bool(self.features & MRG_RXBUF)
        self.header = 12 if self.features & (MRG_RXBUF | VERSION_1) else 10
        self.receive_size = 2048 if self.mergeable else LARGEST if self.features & GUEST_TSO4 else 1600

    def make_rings(self):
        if self.memory:
            self.memory.close()
        self.memory = Memory((self.memory_size, self.memory_size))
        self.rings = [Ring(self.memory, index, self.ring_size, self.taken if index % 2 else self.socket,
                           bool(self.features & EVENT_IDX), bool(self.features & INDIRECT_DESC))
                      for index in range(2 * self.queues)]
        self.buffers = {ring.index: [self.memory.take(LARGEST if ring.index % 2 else self.receive_size, ring.index % 2)
                                     for _ in range(self.ring_size)] for ring in self.rings}
        payload, fds = self.memory.table()
        self.confirmed(SET_MEM_TABLE, payload, fds)

    def confirmed(self, request, payload, fds=()):
        """With REPLY_ACK the other side says when it has done it."""
        if not self.features & PROTOCOL_FEATURES or not self.protocol & P_REPLY_ACK:
            self.frontend.tell(request, payload, fds)
        elif self.frontend.ask(request, payload, fds, NEED_REPLY) != bytes(8):
            raise ValueError(f"request {request} was refused")

    def start_ring(self, ring, base=0):
        tell, user = self.frontend.tell, self.memory.user
        tell(SET_VRING_NUM, struct.pack("=II", ring.index, ring.size))
        tell(SET_VRING_BASE, struct.pack("=II", ring.index, base))
        tell(SET_VRING_ADDR, struct.pack("=IIQQQQ", ring.index, 0, user(ring.descriptors), user(ring.used),
                                         user(ring.avail), 0))
        tell(SET_VRING_KICK, struct.pack("=Q", ring.index), [ring.kick_fd])
        tell(SET_VRING_CALL, struct.pack("=Q", ring.index), [ring.call_fd])
        if self.features & PROTOCOL_FEATURES:
            tell(SET_VRING_ENABLE, struct.pack("=II", ring.index, 1))

    def fill(self, ring):
        """Gives it all buffers that it can hold."""
        free = self.buffers[ring.index]
        while free:
            chain = pieces(free[-1], self.receive_size, self.receive_cuts)
            if not ring.room(chain):
                break
            ring.offer(chain, WRITE, free.pop())
        ring.kick()

    def send(self, data, vnet=(0, 0, 0, 0, 0, 0), queue=0):
        """A frame; waits for room in the ring."""
        ring = self.rings[2 * queue + 1]
        octets = struct.pack("<BBHHHH", *vnet).ljust(self.header, b"\0") + data
        deadline = time.monotonic() + QUIET
        while not self.sendable(ring, len(octets)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: what it sent is not taken")
            select.select([self.taken], [], [], 0.05)
        at = self.buffers[ring.index].pop()
        self.memory.map[at:at + len(octets)] = octets
        ring.offer(pieces(at, len(octets), self.cuts), 0, at)
        ring.kick()
        self.counts["rx"] += wire_count(data, vnet)

    def sendable(self, ring, size):
        """Is there room for so many octets? Buffers that were taken are free again."""
        clear(self.taken)
        while used := ring.take_used():
            self.buffers[ring.index].append(used[0])
        return self.buffers[ring.index] and ring.room(pieces(0, size, self.cuts))

    def sent(self, seconds=QUIET):
        """Waits until all that was sent was taken. Was it?"""
        deadline = time.monotonic() + seconds
        for ring in self.rings[1::2]:
            self.sendable(ring, 0)
            while ring.chains and time.monotonic() < deadline:
                select.select([self.taken], [], [], 0.05)
                self.sendable(ring, 0)
        return not any(ring.chains for ring in self.rings[1::2])

    def collect(self):
        """Takes in what has arrived."""
        clear(self.socket)
        for ring in [] if self.deaf else self.rings[::2]:
            while used := ring.take_used():
                self.take_frame(ring, *used)
            self.fill(ring)

    def take_frame(self, ring, at, size):
        octets = self.memory.map[at:at + size]
        self.buffers[ring.index].append(at)
        vnet = struct.unpack_from("<BBHHHH", octets)
        count = struct.unpack_from("<H", octets, 10)[0] if self.mergeable else 1
        for _ in range(count - 1):
            at, size = ring.take_used()
            octets += self.memory.map[at:at + size]
            self.buffers[ring.index].append(at)
        frame = Frame(octets[self.header:], vnet)
        frame.queue = ring.index // 2
        self.counts["tx"] += wire_count(frame.data, vnet)
        self.take(frame)

    def stop_ring(self, ring):
        """Stops it, and returns where the other side stands."""
        return struct.unpack("=II", self.frontend.ask(GET_VRING_BASE, struct.pack("=II", ring.index, 0)))[1]

    def close(self):
        """As when the process ends."""
        self.frontend.close()
        for ring in self.rings if self.memory else []:
            ring.close()
        os.close(self.socket)
        os.close(self.taken)
