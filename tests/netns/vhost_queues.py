# SPDX-License-Identifier: Apache-2.0
"""vhost_queues.py PREFIX RUN_DIR VSWITCHCTL SOCKETS: see vhost.sh, which makes the switch, now with two workers. Guests
with one queue and with two: every frame arrives once, and a flow's frames in their order."""

import select
import struct
import sys
import time

from segments import UDP, Flow
from vhost_frontend import ALL, MRG_RXBUF
from vhost_lab import Lab
from wire import BROADCAST

GUESTS = {"g1": {"queues": 2}, "g2": {}, "g3": {"queues": 2, "features": ALL & ~MRG_RXBUF}}
FLOWS, COUNT = 32, 12


def flows(destination, source):
    """[flow][number]: frames that say which they are."""
    made = []
    for port in range(FLOWS):
        flow = Flow(destination, source, 3000 + port, UDP)
        made.append([flow.frame(64 + number) for number in range(COUNT)])
    return made


def collect(receiver, count, seconds=5):
    deadline = time.monotonic() + seconds
    while len(receiver.arrived) < count and time.monotonic() < deadline:
        select.select([receiver.socket], [], [], 0.05)
        receiver.collect()


def order_faults(arrived, sent):
    """Each flow's frames as they were sent, whatever the others do."""
    seen = {}
    for frame in arrived:
        seen.setdefault(struct.unpack_from("!H", frame.data, 34)[0], []).append(frame.data)
    return [f"flow {index}: {len(seen.get(3000 + index, []))} frames of {COUNT}, or not in order"
            for index, frames in enumerate(sent) if seen.get(3000 + index) != frames]


def exchange(lab, source, target, addresses):
    sender, receiver = lab.network.wires[source], lab.network.wires[target]
    for wire in lab.network.wires.values():
        wire.collect()
        wire.arrived = []
    sent = flows(addresses[target], addresses[source])
    queues = getattr(sender, "queues", 0)
    for number in range(COUNT):
        for index, frames in enumerate(sent):
            if queues:
                sender.send(frames[number], queue=index % queues)
            else:
                sender.send(frames[number])
        # No more than the receiver's ring holds are on their way.
        collect(receiver, FLOWS * (number + 1))
    wrong = order_faults(receiver.arrived, sent)
    wrong += [f"{len(wire.arrived)} frames at {name}" for name, wire in lab.network.wires.items()
              if wire is not receiver and wire.arrived]
    lab.network.result(f"{source} to {target}: {FLOWS} flows arrive whole, each in order", wrong)
    return {frame.queue for frame in receiver.arrived} if hasattr(receiver, "queues") else None


def main():
    lab = Lab(*sys.argv[1:], groups=[["g1", "g2", "g3", "g-tap"]], guests=GUESTS)
    before = {name: lab.counters(name) for name in GUESTS}
    for name in GUESTS:
        lab.start(name)
    lab.ready()
    names = list(lab.network.wires)
    addresses = {name: f"02:00:00:00:00:{number:02x}" for number, name in enumerate(names, 1)}
    for name in names:
        lab.network.wires[name].send(Flow(BROADCAST, addresses[name]).frame(20))
    lab.ready()
    used = {}
    for source in names:
        for target in names:
            if source != target:
                used.setdefault(target, set()).update(exchange(lab, source, target, addresses) or [])
    for name in ("g1", "g3"):
        lab.network.result(f"{name} is given frames in both queues", [] if used[name] == {0, 1} else [str(used[name])])
    for name in GUESTS:
        lab.counted(name, lab.network.wires[name].counts, before[name])
    lab.network.finish()


main()
