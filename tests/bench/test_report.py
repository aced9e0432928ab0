# SPDX-License-Identifier: Apache-2.0
#
# What report.py makes of records: medians, ratios, bars, and who was the limit.
import json
import os
import subprocess
import sys
import tempfile
import unittest

REPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "report.py")
RUN = {"kind": "run", "kernel": "6.1.0-1", "machine": "m", "cores": 2, "rounds": 3, "seconds": 4, "smoke": False,
       "build": "cc, debug", "iperf3": "iperf 3"}


def case(name, better="more"):
    return {"kind": "case", "name": name, "title": "title of " + name, "unit": "u", "better": better}


def sample(case_name, side, value, own=0.9, source=0.3, sink=0.3, machine=1.5):
    processes = {} if own is None else {"p": own}
    return {"kind": "sample", "case": case_name, "side": side, "value": value,
            "cpu": {"seconds": 4, "processes": processes, "cores": own or 0, "machine_cores": machine, "stolen": 0,
                    "source": source, "sink": sink}}


def bar(case_name, **what):
    return dict({"kind": "bar", "case": case_name, "side": "switch"}, **what)


class Report(unittest.TestCase):
    def report(self, *records):
        with tempfile.TemporaryDirectory() as directory:
            paths = [os.path.join(directory, name) for name in ("j", "m")]
            done = subprocess.run([sys.executable, "-B", REPORT, "--json", paths[0], "--markdown", paths[1]], text=True,
                                  input="".join(json.dumps(record) + "\n" for record in (RUN,) + records),
                                  capture_output=True, check=True)
            with open(paths[0], encoding="utf-8") as file:
                self.json = json.load(file)
            with open(paths[1], encoding="utf-8") as file:
                self.markdown = file.read()
            self.text = done.stdout
        return self.json["cases"][0] if self.json["cases"] else None

    def test_median_of_samples_in_any_order(self):
        side = self.report(case("c"), *(sample("c", "loop", value) for value in (9, 1, 2)))["sides"]["loop"]
        self.assertEqual((side["median"], side["min"], side["max"]), (2, 1, 9))
        side = self.report(case("c"), *(sample("c", "loop", value) for value in (4, 1, 2, 9)))["sides"]["loop"]
        self.assertEqual(side["median"], 3)

    def test_samples_of_another_case_do_not_count(self):
        self.report(case("c"), case("d"), sample("c", "loop", 1), sample("d", "loop", 5))
        self.assertEqual([one["sides"]["loop"]["median"] for one in self.json["cases"]], [1, 5])

    def verdict(self, own, other, **what):
        records = [case("c"), bar("c", **what), sample("c", "switch", own)]
        if other is not None:
            records.append(sample("c", "loop", other))
        return self.report(*records)["bars"][0]["met"]

    def test_bar_at_least(self):
        self.assertIs(self.verdict(97, 100, at_least=0.97, of="loop"), True)
        self.assertIs(self.verdict(96.9, 100, at_least=0.97, of="loop"), False)
        self.assertIn("0.97, missed", self.text)
        self.assertIn("missed", self.markdown)

    def test_bar_at_most(self):
        self.assertIs(self.verdict(114.9, 100, at_most=1.15, of="loop", plus=0), True)
        self.assertIs(self.verdict(116, 100, at_most=1.15, of="loop", plus=0), False)
        self.assertIs(self.verdict(105, 100, at_most=1, of="loop", plus=5), True)
        self.assertIs(self.verdict(105.5, 100, at_most=1, of="loop", plus=5), False)

    def test_bar_limit(self):
        self.assertIs(self.verdict(0.49, None, limit=0.5), True)
        self.assertIs(self.verdict(0.5, None, limit=0.5), False)

    def test_bar_floor(self):
        self.assertIs(self.verdict(98, None, floor=98), True)
        self.assertIs(self.verdict(97.9, None, floor=98), False)
        self.assertIn("≥ 98: missed", self.text)

    def test_bar_near(self):
        for value, met in ((0.2, True), (-0.2, True), (0.21, False), (-0.21, False)):
            self.assertIs(self.verdict(value, None, near=0, within=0.2), met)
        self.assertIn("0 ± 0.2: missed", self.text)

    def test_no_ratio_of_what_is_to_be_near(self):
        self.report(case("c", "nearer to 0"), sample("c", "switch", 0.125), sample("c", "htb", 0.5))
        self.assertNotIn("0.25", self.text)

    def test_a_sample_names_its_limit(self):
        limited = dict(sample("c", "switch", 1), limit="its source")
        self.assertEqual(self.limit(sample("c", "switch", 1), limited)["limit"], "its source")

    def test_bar_without_the_other_side_is_not_met(self):
        self.assertIsNone(self.verdict(100, None, at_least=8, of="ovs"))
        self.assertIn("1 bars: 0 met, 0 missed, 1 not measured", self.text)

    def limit(self, *samples):
        return self.report(case("c"), *samples)["sides"]["switch"]

    def test_generator_is_the_limit_near_what_it_does_alone(self):
        direct = sample("c", "direct", 10, own=None)
        self.assertIn("limit", self.limit(sample("c", "switch", 9), direct))
        self.assertNotIn("limit", self.limit(sample("c", "switch", 8.9), direct))

    def test_generator_is_the_limit_when_the_switch_waits_on_a_busy_machine(self):
        self.assertIn("limit", self.limit(sample("c", "switch", 1, own=0.5, source=1, sink=0.5, machine=2)))
        self.assertNotIn("limit", self.limit(sample("c", "switch", 1, own=0.9, source=0.6, sink=0.5, machine=2)))
        self.assertNotIn("limit", self.limit(sample("c", "switch", 1, own=0.5, source=0.6, sink=0.5, machine=1.6)))

    def test_others_disturb_and_are_not_the_generator(self):
        side = self.limit(sample("c", "switch", 1, own=0.5, source=0.5, sink=0.5, machine=2))
        self.assertIn("disturbed", side)
        self.assertNotIn("limit", side)

    def circle(self, *slices):
        """Each (frames in a millisecond, distance[, waited]), and the guest is busy for half of it."""
        return dict(sample("c", "switch", None), circle={"slices": [
            {"seconds": 0.001, "frames": frames, "octets": frames * 60, "lost": 1, "busy": 0.5, "distance": distance,
             "waited": waited[0] if waited else 0}
            for frames, distance, *waited in slices]})

    def test_a_circle_counts_while_its_cores_are_near(self):
        side = self.limit(self.circle((9000, 50), (1000, 250), (8000, 60), (7000, 80), (1000, 81)))
        self.assertEqual(side["median"], 8)
        self.assertEqual((side["circle"]["lost"], side["left_out"], side["circle"]["poor"]), (5, 0, False))
        self.assertIn("its own limit is 16.0; 3.8 Gbit/s; 60 ns from core to core; 5 frames lost", self.text)

    def test_a_circle_of_far_cores_is_left_out(self):
        near, far = self.circle((9000, 50)), self.circle((1000, 250))
        side = self.limit(near, far, far)
        self.assertEqual((side["median"], side["left_out"]), (9, 2))
        self.assertIn("poor samples left out: 2", self.text)

    def test_a_side_that_saw_far_cores_only_says_so(self):
        other = dict(self.circle((9000, 50)), side="testpmd")
        side = self.limit(self.circle((1000, 250)), other)
        self.assertEqual((side["median"], side["left_out"], side["circle"]["poor"]), (1, 0, True))
        self.assertIn("250 ns from core to core; POOR", self.text)

    def test_a_bar_is_not_judged_by_poor_samples(self):
        near, far = self.circle((9000, 50)), dict(self.circle((1000, 250)), side="testpmd")
        for own, other in ((near, far), (dict(far, side="switch"), dict(near, side="testpmd"))):
            met = self.report(case("c"), bar("c", at_least=0.1, of="testpmd"), own, other)["bars"][0]["met"]
            self.assertIsNone(met)

    def test_a_few_near_slices_are_none(self):
        slices = [(1000, 250)] * 4 + [(9000, 50)]
        self.assertIs(self.limit(self.circle(*slices))["circle"]["poor"], True)
        self.assertIs(self.limit(self.circle(*slices[1:]))["circle"]["poor"], False)

    def test_a_circle_whose_cores_others_took_is_left_out(self):
        side = self.limit(self.circle((9000, 50), (5000, 50, 0.03), (7000, 50, 0.02)), self.circle((1, 50, 0.5)))
        self.assertEqual((side["median"], side["left_out"]), (8, 1))

    def test_a_busy_guest_is_the_limit(self):
        busy = self.circle((9000, 50))
        busy["circle"]["slices"][0]["busy"] = 0.95
        self.assertEqual(self.limit(busy)["limit"], "the guest: it is busy 95 % of the time")
        self.assertNotIn("limit", self.limit(self.circle((9000, 50))))

    def test_pipeline(self):
        rows = [{"name": "macs", "count": count, "best": best, "median": 99, "growth": best / 10}
                for count, best in ((1, 10), (1000, 12), (1000000, 41))]
        self.report({"kind": "pipeline", "data": {"rows": rows, "instructions": {"macs/1": 156}}})
        self.assertEqual([[met for _, _, met in row["bars"]] for row in self.json["pipeline"]],
                         [[True], [True], [False, False]])
        self.assertIn("4 bars: 2 met, 2 missed, 0 not measured", self.text)
        self.assertIn("≤ 40 ns: 41.0, missed", self.markdown)


unittest.main()
