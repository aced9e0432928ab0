# SPDX-License-Identifier: Apache-2.0
"""What a guest may write into its rings that no driver should. Used by vhost_hostile.py; `it` is its Hostility."""

import os
import struct
import time

from segments import Flow
from vhost_frontend import (ALL, EVENT_IDX, GET_FEATURES, INDIRECT, INDIRECT_DESC, MRG_RXBUF, NEXT, SET_VRING_CALL,
                            WRITE, Closed)
from wire import BROADCAST

EVIL = "02:00:00:00:00:66"
NOWHERE = 0x7FFFFFFFF000
EVERYTHING = 0xFFFFFFFFFFFFFFFF
HUGE = 0xFFFFFFFF


class Sender:
    """A guest whose sending ring is about to be told something. A frame lies at `frame`, and there is room for a table."""

    def __init__(self, it):
        self.guest = it.guest().start()
        self.ring, self.memory = self.guest.rings[1], self.guest.memory
        self.at, self.frame_size = self.guest.buffers[1][0], len(it.frame())
        self.memory.map[self.at:self.at + self.frame_size] = it.frame()
        self.frame = self.memory.guest(self.at)
        self.table_at = self.ring.tables
        self.table = self.memory.guest(self.table_at)

    def describe(self, *descriptors):
        for slot, descriptor in enumerate(descriptors):
            self.ring.describe(slot, *descriptor)

    def indirect(self, *descriptors, size=None, address=None, flags=INDIRECT):
        for slot, descriptor in enumerate(descriptors):
            self.ring.describe(slot, *descriptor, table=self.table_at)
        self.ring.describe(0, address or self.table, 16 * len(descriptors) if size is None else size, flags)


# What descriptor 0 is, and those that it leads to.
CHAINS = {
    "no octets": lambda on: on.describe((on.frame, 0)),
    "half a header": lambda on: on.describe((on.frame, 6)),
    "nothing but a header": lambda on: on.describe((on.frame, 12)),
    "a frame of one octet": lambda on: on.describe((on.frame, 13)),
    "four billion octets": lambda on: on.describe((on.frame, HUGE)),
    "a frame that ends behind the memory": lambda on: on.describe((on.memory.guest(on.at) + (15 << 20), 2 << 20)),
    "a place outside of the memory": lambda on: on.describe((NOWHERE, 72)),
    "the last place that there is": lambda on: on.describe((EVERYTHING - 8, 72)),
    "place 0": lambda on: on.describe((0, 72)),
    "the other side's address": lambda on: on.describe((on.memory.user(on.at), 72)),
    "a descriptor to write into": lambda on: on.describe((on.frame, 72, WRITE)),
    "a header, and a body outside": lambda on: on.describe((on.frame, 12, NEXT, 1), (NOWHERE, 60)),
    "a body outside behind one inside": lambda on: on.describe((on.frame, 40, NEXT, 1), (on.frame, 40, NEXT, 2),
                                                               (EVERYTHING, 60)),
    "the next one behind the ring": lambda on: on.describe((on.frame, 40, NEXT, 32)),
    "the next one far behind the ring": lambda on: on.describe((on.frame, 40, NEXT, 0xFFFF)),
    "a chain that is a circle": lambda on: on.describe((on.frame, 40, NEXT, 1), (on.frame, 40, NEXT, 0)),
    "a chain that leads to itself": lambda on: on.describe((on.frame, 40, NEXT, 0)),
    "a circle of no octets": lambda on: on.describe((on.frame, 0, NEXT, 1), (on.frame, 0, NEXT, 0)),
    "a chain of all, too long for a frame": lambda on: on.describe(*[
        (on.frame, 60000, NEXT, slot + 1) for slot in range(31)], (on.frame, 60000)),
    "a table outside": lambda on: on.indirect(address=NOWHERE, size=64),
    "a table of no size": lambda on: on.indirect((on.frame, 72), size=0),
    "a table of half a descriptor": lambda on: on.indirect((on.frame, 72), size=8),
    "a table and a half": lambda on: on.indirect((on.frame, 72), size=24),
    "a table of four billion octets": lambda on: on.indirect((on.frame, 72), size=HUGE & ~15),
    "a table of a million": lambda on: on.indirect((on.frame, 16, NEXT, 1), (on.frame, 16, NEXT, 0), size=1 << 24),
    "a table in a table": lambda on: on.indirect((on.table, 16, INDIRECT)),
    "a table that is itself": lambda on: on.indirect((on.table, 16, INDIRECT), (on.table, 16, INDIRECT | NEXT, 0)),
    "a table with a next one": lambda on: on.indirect((on.frame, 72), flags=INDIRECT | NEXT),
    "a table that is a circle": lambda on: on.indirect((on.frame, 16, NEXT, 1), (on.frame, 16, NEXT, 0)),
    "a table that leads behind it": lambda on: on.indirect((on.frame, 16, NEXT, 700)),
    "a table to write into": lambda on: on.indirect((on.frame, 72, WRITE), flags=INDIRECT | WRITE),
}


def chain_attack(write):
    def attack(it):
        on = Sender(it)
        write(on)
        for _ in range(3):
            on.ring.offer_head(0)
        on.ring.kick(always=True)
        it.flood()
        it.bystanders_beside(on.guest)
    return attack


# How the index of what is available moves.
def heads(it):
    for head in (32, 33, 0x7FFF, 0xFFFF):
        on = Sender(it)
        on.describe((on.frame, 72))
        on.ring.offer_head(head)
        on.ring.offer_head(0)
        on.ring.kick(always=True)
        it.bystanders_beside(on.guest)


def jumps(it):
    """More than the ring has, which is what is in it over and over: a frame."""
    for number in (0, 1):
        for step in (33, 1000, 0x8000, 0xFFFF):
            on = Sender(it)
            on.describe((on.frame, 72))
            ring = on.guest.rings[number]
            ring.put_u16(ring.avail + 2, ring.avail_index + step)
            ring.kick(always=True)
            it.flood(40)
            it.bystanders(it.text)
            on.guest.close()


def itself(it):
    """What the switch writes into the ring lands in the descriptors, or in what is available."""
    for number in (0, 1):
        guest = it.guest()
        guest.before_start = lambda ring: setattr(ring, "used", ring.descriptors) if ring.index == number else None
        guest.start()
        for ring in guest.rings:
            ring.offer_head(0)
            ring.kick(always=True)
        it.flood(40)
        it.bystanders_beside(guest)


# Headers of virtio-net: (flags, gso_type, hdr_len, gso_size, csum_start, csum_offset)
def headers(it):
    guest = it.guest().start()
    flow = Flow(BROADCAST, EVIL)
    data, good = flow.super_packet(20000, 1400)
    flags, kind, size, gso, start, offset = good
    for vnet in ((0xFF, 0xFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF), (flags, kind, size, 0, start, offset),
                 (flags, kind, size, 1, start, offset), (flags, kind, size, 0xFFFF, start, offset),
                 (0, kind, size, gso, start, offset), (flags, 9, size, gso, start, offset),
                 (flags, kind | 0x80, size, gso, start, offset), (flags, 4, size, gso, start, offset),
                 (flags, 3, size, gso, start, offset), (flags, 5, size, gso, start, offset),
                 (flags, kind, 0, gso, start, offset), (flags, kind, 0xFFFF, gso, start, offset),
                 (flags, kind, 1, gso, start, offset), (flags, kind, size, gso, 0, 0),
                 (flags, kind, size, gso, len(data) - 1, offset), (flags, kind, size, gso, len(data), offset),
                 (flags, kind, size, gso, 0xFFFF, offset), (flags, kind, size, gso, start, 0xFFFF),
                 (flags, 0, 0, 0, start, 0xFFFF), (flags, 0, 0, 0, 0xFFFF, 0xFFFF), (2, 0, 0, 0, 0, 0)):
        for length in (len(data), 60, 30, 14, 13, 1):
            guest.send(data[:length], vnet)
    guest.send(bytes(guest.receive_size), good)
    guest.send(data + bytes(46000), good)
    it.network.result(f"{it.text}: all are taken", [] if guest.sent() else ["not so"])
    it.bystanders_beside(guest)


def nowhere_to_write(it):
    """Buffers to receive into that are none."""
    for address, size, flags in ((NOWHERE, 2048, WRITE), (EVERYTHING - 8, 2048, WRITE), (None, 0, WRITE), (None, 1, WRITE),
                                 (None, 11, WRITE), (None, 12, WRITE), (None, 13, WRITE), (None, HUGE, WRITE),
                                 (None, 2048, 0), (None, 2048, WRITE | NEXT), (0, 2048, WRITE)):
        for features in (ALL & ~INDIRECT_DESC, ALL & ~INDIRECT_DESC & ~MRG_RXBUF):
            guest = it.guest(features=features)
            guest.fill = lambda ring: None
            guest.start()
            ring = guest.rings[0]
            place = guest.memory.guest(guest.buffers[0][0]) if address is None else address
            for slot in range(ring.size):
                ring.describe(slot, place, size, flags, slot)
                ring.offer_head(slot)
            ring.kick(always=True)
            it.flood(40)
            it.bystanders_beside(guest)


def while_it_looks(it):
    """Descriptors that change while the switch reads them."""
    on = Sender(it)
    end = time.monotonic() + 0.4
    choices = [(on.frame, 72), (NOWHERE, 72), (on.frame, HUGE), (on.frame, 40, NEXT, 1), (on.frame, 0),
               (on.table, 16, INDIRECT), (on.table, HUGE, INDIRECT), (EVERYTHING, 72), (on.frame, 72, NEXT, 0xFFFF)]
    while time.monotonic() < end:
        for slot in range(4):
            on.ring.describe(slot, *it.random.choice(choices))
            on.ring.describe(slot, *it.random.choice(choices), table=on.table_at)
        for slot in range(4):
            on.ring.offer_head(slot)
        on.ring.kick(always=True)
        for slot in range(4):
            on.ring.describe(slot, *it.random.choice(choices))
    it.bystanders_beside(on.guest)


def full_files():
    """Files that whoever writes into them waits for ever, if they are left as they are."""
    event = os.eventfd(0)
    os.eventfd_write(event, EVERYTHING - 1)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while os.write(writer, bytes(65536)):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)
    return event, writer, reader


def calls(it):
    """The switch tells the guest of what it used, by a file that does not take it."""
    files = full_files()
    for file in files:
        guest = it.guest(features=ALL & ~EVENT_IDX).start()
        for ring in guest.rings:
            guest.frontend.tell(SET_VRING_CALL, struct.pack("=Q", ring.index), [file])
        guest.frontend.ask_u64(GET_FEATURES)
        for _ in range(4):
            guest.send(it.frame()[12:])
        it.flood()
        it.bystanders_beside(guest)
    for file in files:
        os.close(file)


def kicks(it):
    """Kicks without end."""
    on = Sender(it)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        on.ring.kick(always=True)
    it.bystanders_beside(on.guest)


def shrinks(it):
    """A guest's memory that is cut off while it is used."""
    for size in (0, 4096, 16 << 20):
        on = Sender(it)
        on.describe((on.frame, 72))
        os.ftruncate(on.memory.fd, size)
        os.eventfd_write(on.ring.kick_fd, 1)
        it.flood()
        it.bystanders_beside(on.guest)


def ends_in_the_midst(it):
    """A guest that ends with frames on their way in both directions."""
    for _ in range(20):
        guest = it.guest().start()
        it.flood(4)
        for _ in range(4):
            guest.send(it.frame()[12:])
        try:
            guest.frontend.tell(0xFFFF)
        except Closed:
            pass
        guest.close()
    it.bystanders("guests that end with frames on their way")


RING_ATTACKS = [(f"a chain: {text}", chain_attack(write)) for text, write in CHAINS.items()] + [
    ("heads that are none", heads), ("an index that jumps", jumps), ("rings on top of themselves", itself),
    ("headers of virtio-net", headers), ("buffers that are none", nowhere_to_write),
    ("descriptors that change", while_it_looks), ("kicks without end", kicks),
    ("guests that end", ends_in_the_midst), ("files that nobody can write into", calls),
    ("memory that shrinks", shrinks),
]
