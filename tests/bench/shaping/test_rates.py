# SPDX-License-Identifier: Apache-2.0
#
# What rates.py makes of bins: shares of a capacity, and times until a rate is there.
import json
import os
import subprocess
import sys
import tempfile
import unittest

RATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rates.py")
FIRST = 1000000  # a bin's number, with 2 ms bins at 2e12 ns
OCTETS = 250     # of a bin of 2 ms for each Mbit/s


def sink(bins, first=FIRST):
    return {"bin_first": first, "bins": bins}


def source(*phases):
    """Each (begin, end), in bins from the first."""
    return {"begins": [(FIRST + begin) * 2000000 for begin, _ in phases],
            "ends": [(FIRST + end) * 2000000 for _, end in phases]}


class Rates(unittest.TestCase):
    def run_with(self, files, *arguments):
        """Arguments that are numbers stand for those files."""
        with tempfile.TemporaryDirectory() as directory:
            for number, content in enumerate(files):
                with open(os.path.join(directory, str(number)), "w", encoding="utf-8") as file:
                    file.write("ready\n%s\n" % json.dumps(content))
            paths = [os.path.join(directory, str(one)) if isinstance(one, int) else one for one in arguments]
            return json.loads(subprocess.run([sys.executable, "-B", RATES] + paths, text=True, capture_output=True,
                                             check=True).stdout)

    def conserve(self, always, comer, come, went):
        files = [sink(always), sink(comer), source((0, len(always))), source((come, went))]
        return self.run_with(files, "conserve", "100", "0 50", 0, 1, 2, 3)

    def test_all_in_use(self):
        full, half = [100 * OCTETS], [50 * OCTETS]
        found = self.conserve(full * 400 + half * 200 + full * 400, [0] * 400 + half * 200, 400, 600)
        self.assertAlmostEqual(found["in_use"], 100)
        self.assertAlmostEqual(found["carried"], 100)
        self.assertEqual((found["taken"]["median"], found["arrived"]["median"]), (0, 0))

    def test_what_is_not_taken_is_not_in_use(self):
        full, half = [100 * OCTETS], [50 * OCTETS]
        # What was left lies idle for 20 ms, and the newcomer had to wait for 10 ms.
        found = self.conserve(full * 405 + half * 205 + full * 390, [0] * 405 + half * 195, 400, 600)
        self.assertLess(found["in_use"], 99.9)
        self.assertAlmostEqual(found["taken"]["median"], 20, delta=2)
        self.assertAlmostEqual(found["arrived"]["median"], 10, delta=2)

    def test_more_than_the_capacity_makes_up_for_nothing(self):
        found = self.conserve([0, 0, 0, 0, 0] * 100 + [200 * OCTETS] * 500, [0] * 1000, 950, 990)
        self.assertLess(found["in_use"], 60)

    def test_who_never_gets_it_waits_to_the_end(self):
        found = self.conserve([100 * OCTETS] * 1000, [0] * 400 + [10 * OCTETS] * 600, 400, 1000)
        self.assertGreater(found["arrived"]["median"], 1000)

    def test_change(self):
        octets = 125  # of a bin of 1 ms for each Mbit/s
        bins = [100 * octets] * 105 + [300 * octets] * 102 + [100 * octets] * 100
        asked = ["0:100"] + ["%d:%d" % ((FIRST + at) * 1000000, rate) for at, rate in ((100, 300), (200, 100))]
        found = self.run_with([sink(bins)], "change", 0, *asked)
        self.assertEqual((found["median"], found["max"], found["count"]), (6, 7, 2))

    def test_series_begin_and_end_together(self):
        found = self.run_with([sink([2500, 5000, 2500, 1]), sink([2500], FIRST + 1)], "series", "20", 0, 1)
        self.assertEqual(found["series"], [[1, 2, 1], [0, 1, 0]])


unittest.main()
