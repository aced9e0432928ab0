# SPDX-License-Identifier: Apache-2.0
"""vhost_hostile.py PREFIX RUN_DIR VSWITCHCTL SOCKETS [WORDS]: see vhost-hostile.sh, which makes the switch. Frontends that break
every rule of the protocol and of the rings; after each, two bystanders exchange frames, and the datapath is the same
process. With words, only those attacks whose name has them."""

import itertools
import os
import random
import sys
import time

from vhost_attacks import CONNECTION_ATTACKS
from vhost_frontend import ALL, GET_FEATURES, Closed, Frontend
from vhost_lab import Lab
from vhost_ring_attacks import RING_ATTACKS
from wire import BROADCAST, ethernet

TYPE = 0x88B6
GOOD, OTHER, EVIL = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:66"
# A port whose guests do not last is given the next one after two seconds only: attacks go from port to port.
EVILS = [f"evil{number}" for number in range(128)]
AT_THE_END = EVILS[::16]
GROUPS = [["good", "good-tap"], ["evil-tap", *EVILS]]


class Hostility:
    def __init__(self, arguments):
        self.lab = Lab(*arguments, groups=GROUPS, guests={name: {} for name in ["good", *EVILS]})
        self.network, self.random, self.text = self.lab.network, random.Random(6), ""
        self.evils = itertools.cycle(EVILS)
        # Only the bystanders: what the attacked port does is its own business.
        self.all = self.network.groups, self.network.wires
        self.network.groups = self.network.groups[:1]
        self.tap = self.network.wires["evil-tap"]
        self.network.wires = {wire.name: wire for wire in self.network.groups[0]}
        self.pid, self.before = self.datapath()["pid"], None

    def datapath(self):
        return self.lab.ctl("status")["datapath"]

    def bystanders(self, text):
        """Whole and in order, both ways, and nothing else."""
        wrong = []
        for source, target, to, address in (("good", "good-tap", OTHER, GOOD), ("good-tap", "good", GOOD, OTHER)):
            frames = [ethernet(to, address, TYPE, f"{text} {number}".encode()).ljust(60, b"\0") for number in range(8)]
            seen = self.network.exchange(source, frames)
            if seen[target] != frames or seen[source]:
                wrong.append(f"{source}: {len(seen[target])} of {len(frames)} arrived, {len(seen[source])} came back")
        if self.datapath().get("pid") != self.pid:
            wrong.append(f"the datapath is another one: {self.datapath()}")
            self.pid = self.datapath().get("pid")
        self.network.result(f"{text}: the bystanders exchange their frames", wrong)

    def bystanders_beside(self, guest):
        """While that guest is connected, which costs no more than it does: what it left in its rings is no reason to
        look at them for ever."""
        self.bystanders(self.text)
        used, start = self.processor_time(), time.monotonic()
        time.sleep(0.1)
        used, seconds = self.processor_time() - used, time.monotonic() - start
        if used > seconds / 2:
            self.network.result(f"{self.text}: the datapath does not spin", [f"{used:.2f} s in {seconds:.2f} s"])
        guest.close()

    def processor_time(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def held(self):
        """What the datapath holds of guests, and how many descriptors."""
        with open(f"/proc/{self.pid}/maps", encoding="ascii") as maps:
            guests = sum(f"memfd:{name}" in line for line in maps for name in ("guest", "evil", "log", "inflight"))
        return f"{len(os.listdir(f'/proc/{self.pid}/fd'))} descriptors, {guests} maps of guests"

    def left_alone(self):
        """Waits until nobody is on the attacked ports any more."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            ports = [port for port in self.lab.ctl("port", "list")["ports"] if port["name"].split("/")[1] in EVILS]
            if all(port["status"]["state"] == "waiting" for port in ports):
                break
            time.sleep(0.02)
        return self.held()

    def dial(self):
        """A connection to an attacked port, which is served."""
        frontend = Frontend(os.path.join(self.lab.sockets, next(self.evils)))
        frontend.connect()
        frontend.ask(GET_FEATURES)
        return frontend

    def guest(self, **arguments):
        """A guest on an attacked port, up to the moment at which it goes wrong."""
        return self.lab.guest(next(self.evils), {"features": ALL, "ring_size": 32} | arguments)

    def flood(self, count=8):
        """Frames for the attacked guest."""
        for number in range(count):
            self.tap.send(ethernet(BROADCAST, OTHER, TYPE, b"flood %d" % number).ljust(200, b"\0"))

    def frame(self, destination=BROADCAST):
        """A header of virtio-net, and a frame from the attacked guest."""
        return bytes(12) + ethernet(destination, EVIL, TYPE, b"evil").ljust(60, b"\0")

    def run(self, text, attack):
        self.text = text
        try:
            attack(self)
        except (Closed, TimeoutError):
            pass  # The switch had enough of it.
        self.bystanders(text)

    def at_the_end(self):
        """A guest that keeps to the rules is served on the attacked port, and all that was taken is given back."""
        groups, wires = self.all
        groups[1] = [wire for wire in groups[1] if wire.name == "evil-tap" or wire.name in AT_THE_END]
        self.network.groups = groups
        self.network.wires = {name: wire for name, wire in wires.items() if name not in EVILS or name in AT_THE_END}
        for name in AT_THE_END:
            self.lab.start(name)
        self.lab.ready()
        frame = ethernet(BROADCAST, EVIL, TYPE, b"at last").ljust(60, b"\0")
        self.lab.expect("guests on the attacked ports", "evil-tap", [frame], {name: [frame] for name in AT_THE_END})
        self.lab.counted("good", self.network.wires["good"].counts)
        for name in AT_THE_END:
            self.network.wires[name].close()
        held = self.left_alone()
        self.network.result("the datapath holds no more than before",
                            [] if held == self.before else [f"{held}, before: {self.before}"])


def main():
    it = Hostility(sys.argv[1:5])
    words = " ".join(sys.argv[5:])
    it.network.wires["good"].start()
    it.lab.ready()
    it.guest().start().close()
    it.before = it.left_alone()
    for text, attack in CONNECTION_ATTACKS + RING_ATTACKS:
        if words in text:
            it.run(text, attack)
    it.at_the_end()
    it.network.finish()


main()
