# SPDX-License-Identifier: Apache-2.0
"""The switch of vhost*.sh from all sides: its guests, its TAPs and its counters."""

import json
import os
import select
import struct
import subprocess
import time

from segments import cut
from vhost_guest import Guest
from wire import BROADCAST, FENCE_TYPE, Network, Wire, ethernet


def wire_frames(frames):
    """The frames on the wire that these, octets and virtio-net headers, stand for, and what is wrong with any."""
    found, wrong = [], []
    for data, vnet in frames:
        try:
            found += cut(data, vnet)
        except ValueError as error:
            wrong.append(f"{error}, with {vnet}: {data[:80].hex()}...({len(data)})")
    return found, wrong


class Lab:
    """groups: ports by name, as Network has them; guests: those that are guests, and what Guest() is told of them. The
    others are TAPs in namespaces of their names."""

    def __init__(self, prefix, run_dir, vswitchctl, sockets, groups, guests):
        self.command, self.sockets, self.guests = [vswitchctl, "--run-dir", run_dir], sockets, guests
        self.ports = {port["name"].split("/")[1]: port for port in self.ctl("port", "list")["ports"]}
        self.network = Network([[self.guest(name, guests[name]) if name in guests else Wire(name, prefix + name)
                                 for name in group] for group in groups])

    def ctl(self, *words):
        done = subprocess.run(self.command + ["--json", *words], check=True, capture_output=True)
        return json.loads(done.stdout or b"{}")

    def guest(self, name, arguments):
        """A guest that does not run yet. It listens where the switch is the client."""
        return Guest(name, os.path.join(self.sockets, name), listen=not self.ports[name].get("server"), **arguments)

    def start(self, name):
        return self.network.wires[name].start()

    def replace(self, name, arguments):
        """The guest of this name ends, and another one begins that hears all others and is heard."""
        old = self.network.wires[name]
        new = self.guest(name, arguments)
        new.fence_source = old.fence_source
        for group in self.network.groups:
            group[:] = [new if wire is old else wire for wire in group]
        self.network.wires[name] = new
        old.close()
        new.start()
        self.ready()
        return new

    def ready(self, seconds=5):
        """Waits until every port hears all others of its group."""
        deadline = time.monotonic() + seconds
        for group in self.network.groups:
            for sender in group:
                sent, missing = set(), [wire for wire in group if wire is not sender]
                while missing:
                    if time.monotonic() > deadline:
                        raise SystemExit(f"FAIL  {[wire.name for wire in missing]} do not hear {sender.name}")
                    self.network.fence_count += 1
                    number = struct.pack("!Q", self.network.fence_count)
                    sent.add(number)
                    sender.send(ethernet(BROADCAST, sender.fence_source, FENCE_TYPE, number.ljust(46, b"\0")))
                    select.select([wire.socket for wire in missing], [], [], 0.05)
                    for wire in group:
                        wire.collect()
                    missing = [wire for wire in missing if not sent & wire.fences]

    def expect(self, text, source, frames, expected):
        """As Network.check(), where a port is in two groups: the second round comes behind the other group's frames."""
        seen = self.network.exchange(source, frames)
        self.network.fence(source)
        self.network.check(text, seen, expected)

    def counters(self, name):
        return self.ctl("stats", "port", self.ports[name]["name"])

    def until(self, name, true, seconds=3):
        """Waits until that is true of a port's counters, and returns them. Its guest takes meanwhile what has come."""
        deadline = time.monotonic() + seconds
        while True:
            self.network.wires[name].collect()
            counters = self.counters(name)
            if true(counters) or time.monotonic() > deadline:
                return counters
            time.sleep(0.01)

    def counted(self, name, counts, before=None):
        """The guest's own counts are those of its port since `before`, and these add up."""
        before = before or {}

        def grown(now):
            return {each: now[f"{each}_packets"] - before.get(f"{each}_packets", 0) for each in counts}

        def whole(now):
            return now["rx_packets"] + now["copies"] == now["forwarded"] + now["queued"] + sum(now["drops"].values())

        now = self.until(name, lambda now: grown(now) == counts and whole(now))
        wrong = [] if grown(now) == counts else [f"the guest: {counts}", f"the switch: {grown(now)}"]
        self.network.result(f"{name}: {counts['rx']} received and {counts['tx']} sent are counted, and add up",
                            wrong + ([] if whole(now) else [f"does not add up: {now}"]))
