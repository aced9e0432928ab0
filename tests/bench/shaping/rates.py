# SPDX-License-Identifier: Apache-2.0
"""What sinks found in bins of time (sink.c), beside what sources did (source.c). Prints JSON.

    rates.py conserve CAPACITY "GUARANTEE..." SINK... SOURCE...   in Mbit/s; as many of each file; the first tenant
                                                                always has something to send, the others come and go
    rates.py change SINK REQUEST...                             each request is NS:MBIT: when a ceiling of so much
                                                                was asked for, in ns since the epoch
    rates.py series MS SINK...                                  Mbit/s of each in bins of so many ms, as long as the
                                                                first has some
"""
import json
import statistics
import sys

WINDOW_MS = 10        # over which a rate must hold
ENOUGH = 0.95         # of the rate that is waited for
CHANGE_WINDOW_MS = 4  # the same for a ceiling that was changed …
CHANGE_ENOUGH = 0.9   # … of the way from the former to the new one


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.loads(file.read().splitlines()[-1])


class Rates:
    """Octets in bins, numbered from the epoch."""

    def __init__(self, sinks, bin_ms):
        self.bin_ms = bin_ms
        self.first = min(sink["bin_first"] for sink in sinks)
        count = max(sink["bin_first"] + len(sink["bins"]) for sink in sinks) - self.first
        self.bins = [0] * count
        for sink in sinks:
            for number, octets in enumerate(sink["bins"], sink["bin_first"] - self.first):
                self.bins[number] += octets

    def number(self, ns):
        """The bin of a time, not before the first."""
        return max(0, int(ns // (self.bin_ms * 1e6)) - self.first)

    def mbits(self, number, bins):
        """The mean rate of so many bins from that one; None behind the end."""
        octets = self.bins[number:number + bins]
        return sum(octets) * 8e-3 / (bins * self.bin_ms) if len(octets) == bins else None

    def reached(self, since, wanted, window_ms=WINDOW_MS):
        """How many ms after a time, in ns, a window begins whose rate is as wanted; where none does, till the end."""
        bins = round(window_ms / self.bin_ms)
        number = self.number(since)
        while (rate := self.mbits(number, bins)) is not None and not wanted(rate):
            number += 1
        return max(0.0, (number + self.first) * self.bin_ms - since / 1e6)


def summary(times):
    return {"median": statistics.median(times), "max": max(times), "count": len(times)} if times else None


def in_use(total, capacity, since, until):
    """The share of the capacity in whole bins of ten ms, where what is more in one is not held for another: mean, first
    percentile, and the mean where it is."""
    bins = round(10 / total.bin_ms)
    rates = [total.mbits(number, bins) for number in range(total.number(since), total.number(until) - bins + 1, bins)]
    # None: behind the last that came at all.
    shares = [100 * (rate or 0) / capacity for rate in rates]
    used = sorted(min(100, share) for share in shares)
    return statistics.mean(used), used[len(used) // 100], statistics.mean(shares)


def conserve(capacity, guarantees, *paths):
    capacity, guarantees = float(capacity), [float(one) for one in guarantees.split()]
    files = [read(path) for path in paths]
    sinks, sources = files[:len(files) // 2], files[len(files) // 2:]
    total = Rates(sinks, 2)
    begin, end = sources[0]["begins"][0] + 2e8, sources[0]["ends"][-1] - 2e7
    taken, arrived = [], []
    for sink, source, guarantee in list(zip(sinks, sources, guarantees))[1:]:
        own = Rates([sink], 2)
        for came, went in zip(source["begins"], source["ends"]):
            if came > begin:
                arrived.append(own.reached(came, lambda rate, least=guarantee: rate >= ENOUGH * least))
            # What it left in its queue is still its own.
            last = own.number(went)
            while last < len(own.bins) and own.bins[last] > 0:
                last += 1
            if begin < went < end - 1e8:
                taken.append(total.reached((last + own.first) * 2e6, lambda rate: rate >= ENOUGH * capacity))
    mean, low, unbounded = in_use(total, capacity, begin, end)
    return {"in_use": mean, "in_use_p1": low, "carried": unbounded, "taken": summary(taken), "arrived": summary(arrived)}


def change(sink, *requests):
    rates = Rates([read(sink)], 1)
    requests = [[float(part) for part in request.split(":")] for request in requests]
    times = []
    for (_, before), (at, rate) in zip(requests, requests[1:]):
        def wanted(seen, before=before, way=rate - before):
            return (seen - before) / way >= CHANGE_ENOUGH

        times.append(rates.reached(at, wanted, CHANGE_WINDOW_MS))
    return summary(times)


def series(bin_ms, *paths):
    bin_ms = float(bin_ms)
    sinks = [read(path) for path in paths]
    first = min(sink["bin_first"] for sink in sinks)
    count = sinks[0]["bin_first"] + len(sinks[0]["bins"]) - 1 - first
    series = [[0] * (sink["bin_first"] - first) + [round(octets * 8e-3 / bin_ms, 2) for octets in sink["bins"]]
              for sink in sinks]
    return {"start": first * bin_ms / 1e3, "bin": bin_ms / 1e3,
            "series": [(values + [0] * count)[:count] for values in series]}


def main():
    commands = {"conserve": conserve, "change": change, "series": series}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    result = commands[sys.argv[1]](*sys.argv[2:])
    if result is None:
        sys.exit("nothing changed")
    print(json.dumps(result))


main()
