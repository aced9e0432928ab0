# SPDX-License-Identifier: Apache-2.0
"""vhost_prober.py PREFIX RUN_DIR VSWITCHCTL SOCKETS TAP: asks guests that send every frame back, from a TAP, until SIGTERM;
see vhost-restart.sh. Each port of the tenant that has a name of the form e<number> is such a guest, with the address
02:00:00:00:01:<number>; "own1" and "own2", with 02:00:00:00:02:01 and :02, are run here. They come back by themselves
when their connection ends, with the rings that they had.

Prints "NAME sent N answered N twice N wrong N longest-gap SECONDS" for each."""

import select
import signal
import struct
import sys
import time

from vhost_frontend import EVENT_IDX, ALL, Closed
from vhost_lab import Lab
from wire import ethernet

TYPE = 0x88B6
HOME = "02:00:00:00:00:01"
PERIOD = 0.002  # between two rounds of questions


class Target:
    """A guest, and what it was asked and has answered."""

    def __init__(self, name):
        self.name = name
        number = int(name.lstrip("eown"))
        self.address = f"02:00:00:00:0{1 if name[0] == 'e' else 2}:{number:02x}"
        self.sent, self.answered, self.twice, self.wrong, self.gap = 0, set(), 0, 0, 0.0
        self.last = None

    def question(self):
        self.sent += 1
        return self.frame(self.address, HOME, self.sent)

    def frame(self, destination, source, number):
        payload = struct.pack("!Q", number) + bytes(number * 7 % 251 for _ in range(number * 37 % 1400))
        return ethernet(destination, source, TYPE, payload).ljust(60, b"\0")

    def answer(self, data, now):
        number = struct.unpack_from("!Q", data, 14)[0]
        self.twice += number in self.answered
        self.wrong += data != self.frame(HOME, self.address, number)
        self.answered.add(number)
        if self.last is not None:
            self.gap = max(self.gap, now - self.last)
        self.last = now

    def __str__(self):
        return (f"{self.name} sent {self.sent} answered {len(self.answered)} twice {self.twice} wrong {self.wrong}"
                f" longest-gap {self.gap:.3f}")


def swap(data):
    return data[6:12] + data[:6] + data[12:]


def serve(guest):
    """Sends back what a guest of ours has got, and lets it return when it was left."""
    connection = guest.frontend.socket
    if connection.fileno() < 0 or select.select([connection], [], [], 0)[0]:
        try:
            guest.reconnect()
        except (Closed, OSError):
            return
    guest.collect()
    for frame in guest.arrived:
        guest.send(swap(frame.data))
    guest.arrived = []


class Prober:
    def __init__(self, prefix, run_dir, vswitchctl, sockets, tap):
        lab = Lab(prefix, run_dir, vswitchctl, sockets, [[tap, "own1", "own2"]],
                  {"own1": {}, "own2": {"features": ALL & ~EVENT_IDX}})
        self.tap, *self.guests = lab.network.wires.values()
        for guest in self.guests:
            guest.start()
        lab.ready()
        self.targets = [Target(name) for name in lab.ports if name[0] == "e" or name.startswith("own")]
        self.by_address = {bytes.fromhex(target.address.replace(":", "")): target for target in self.targets}
        self.ending = False

    def end(self, *_):
        self.ending = True

    def turn(self, seconds):
        """For so long, whatever comes."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            events = [each for guest in self.guests for each in (guest.socket, guest.frontend.socket)]
            select.select([self.tap.socket] + [each for each in events if isinstance(each, int) or each.fileno() >= 0], [],
                          [], left)
            for guest in self.guests:
                serve(guest)
            self.tap.collect()
            for frame in self.tap.arrived:
                target = self.by_address.get(frame.data[6:12])
                if target:
                    target.answer(frame.data, time.monotonic())
            self.tap.arrived = []

    def run(self):
        print("running", flush=True)
        while not self.ending:
            for target in self.targets:
                self.tap.send(target.question())
            self.turn(PERIOD)
        deadline = time.monotonic() + 1
        while any(target.sent > len(target.answered) for target in self.targets) and time.monotonic() < deadline:
            self.turn(0.02)
        for target in self.targets:
            print(target, flush=True)


def main():
    prober = Prober(*sys.argv[1:])
    signal.signal(signal.SIGTERM, prober.end)
    prober.run()


main()
