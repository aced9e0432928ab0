#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs vswitchctl against a control daemon that answers as told: requests, exit codes, sentences.

test_vswitchctl.py VSWITCHCTL [unittest arguments]
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from fake_control import Answer, FakeControl, problem, status_body

VSWITCHCTL = os.path.abspath(sys.argv[1])
SECONDS = 60  # until a command counts as hung

TOPOLOGY = """version: 1
tenants:
  acme:
    segments:
      web:
        vni: 5001
        ports:
          web1: {type: tap, netns: web1}
uplinks:
  up0:
    type: veth
    trunk: acme/web=100
"""
TOPOLOGY_JSON = {
    "version": 1,
    "tenants": {
        "acme": {
            "segments": {"web": {"vni": 5001, "ports": {"web1": {"type": "tap", "netns": "web1"}}}}
        }
    },
    "uplinks": {"up0": {"type": "veth", "trunk": ["acme/web=100"]}},
}


def tenant_counters(name="a", scale=1):
    """What the API answers of a tenant whose ceiling to send is in use."""
    send = {
        "rate": 200000000, "offered_packets": 1100 * scale, "offered_bytes": 1500000 * scale,
        "passed_packets": 1050 * scale, "passed_bytes": 1400000 * scale, "queued_packets": 10,
        "queued_bytes": 15000, "dropped_packets": 40 * scale, "dropped_bytes": 60000 * scale,
        "marked_packets": 7 * scale, "delay_p50_us": 0, "delay_p99_us": 16384,
        "delays": [
            {"up_to_us": 0, "packets": 1030 * scale}, {"up_to_us": 32, "packets": 5 * scale},
            {"up_to_us": 16384, "packets": 15 * scale},
        ],
    }
    receive = {
        "rate": None, "offered_packets": 2000 * scale, "offered_bytes": 3000000 * scale,
        "passed_packets": 2000 * scale, "passed_bytes": 2800000 * scale, "queued_packets": 0,
        "queued_bytes": 0, "dropped_packets": 0, "dropped_bytes": 0, "marked_packets": 0,
        "delay_p50_us": 8192, "delay_p99_us": 524288,
        "delays": [
            {"up_to_us": 8192, "packets": 1900 * scale}, {"up_to_us": None, "packets": 100 * scale},
        ],
    }
    return {
        "name": name, "send_packets": 1000 * scale, "send_bytes": 1400000 * scale,
        "receive_packets": 2000 * scale, "receive_bytes": 2800000 * scale,
        "drops": {"queue-delay": 9 * scale, "tenant-send-queue": 31 * scale},
        "send": send, "receive": receive,
    }


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="vsctl-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.fake = FakeControl(self.dir)
        self.addCleanup(self.fake.close)

    def command(self, line, *more):
        return [VSWITCHCTL, "--run-dir", self.dir] + line.split() + list(more)

    def run_cli(self, line, *more, **options):
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run(
            self.command(line, *more), stderr=subprocess.PIPE, text=True, timeout=SECONDS, **options
        )

    def expect(self, line, *more, code=0, out="", err="", **options):
        """Runs a command and compares all that it gives. err is without "vswitchctl: "."""
        done = self.run_cli(line, *more, **options)
        self.assertEqual(done.stderr, "vswitchctl: %s\n" % err if err else "")
        self.assertEqual(done.returncode, code)
        if out is not None:
            self.assertEqual(done.stdout, out)
        return done

    def write(self, text, name="t.yaml"):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class Objects(Case):
    def test_add_asks_for_something_new(self):
        self.fake.on("PUT", "/v1/tenants/acme", Answer({"send": "1gbit"}, 201))
        self.expect("tenant add acme --send 1gbit")
        self.assertEqual(
            self.fake.requests,
            [("PUT", "/v1/tenants/acme", {"send": "1gbit"}), ("GET", "/v1/status", None)],
        )
        headers = self.fake.headers[0]
        self.assertEqual(headers["If-None-Match"], "*")
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertNotIn("Expect", headers)

    def test_json_prints_the_answer(self):
        body = {"send": "1gbit", "generation": 7, "status": {"ports": 0}}
        self.fake.on("PUT", "/v1/tenants/acme", Answer(body, 201))
        done = self.expect("tenant add acme --json", out=None)
        self.assertEqual(json.loads(done.stdout), body)

    def test_refusal_is_the_daemons_sentence(self):
        self.fake.on("PUT", "/v1/tenants/acme/segments/web", problem(409, "VNI 5001 is taken."))
        self.expect("segment add acme/web --vni 5001", code=1, err="VNI 5001 is taken.")
        self.assertEqual(self.fake.requests[0][2], {"vni": 5001})

    def test_refusal_cannot_forge_lines(self):
        self.fake.on("PUT", "/v1/tenants/acme", problem(409, "a\nb\x1b[31m"))
        self.expect("tenant add acme", code=1, err="a?b?[31m")

    def test_refusal_without_reason(self):
        self.fake.on("PUT", "/v1/tenants/a", Answer("nonsense", 500))
        self.fake.on(
            "PUT",
            "/v1/tenants/b",
            Answer(raw=b"HTTP/1.1 502 Bad\r\nContent-Length: 3\r\n\r\n<p>"),
        )
        sentence = "the control daemon refused with HTTP status %d and no reason: look at its log"
        self.expect("tenant add a", code=1, err=sentence % 500)
        self.expect("tenant add b", code=1, err=sentence % 502)

    def test_set_merges(self):
        self.fake.on("PATCH", "/v1/tenants/acme/segments/web", {})
        self.expect("segment set acme/web --vni none --vlan-transparent yes")
        self.assertEqual(self.fake.requests[0][2], {"vni": None, "vlan-transparent": True})
        self.expect(
            "segment set acme/web",
            code=2,
            err="'segment set' needs an option that says what to set: "
            "see 'vswitchctl help segment set'",
        )
        self.assertEqual(len(self.fake.requests), 2)

    def test_set_makes_only_what_there_is_one_of(self):
        self.fake.on("PATCH", "/v1/vtep", problem(404, "There is no vtep."))
        self.fake.on("PUT", "/v1/vtep", Answer({}, 201))
        self.expect("vtep set --local 172.31.0.1 --udp-port none")
        self.assertEqual(
            self.fake.requests[:2],
            [
                ("PATCH", "/v1/vtep", {"local": "172.31.0.1", "udp-port": None}),
                ("PUT", "/v1/vtep", {"local": "172.31.0.1"}),
            ],
        )
        self.fake.on("PATCH", "/v1/tenants/acme", problem(404, "tenant acme does not exist."))
        self.expect("tenant set acme --send 1gbit", code=1, err="tenant acme does not exist.")

    def test_del(self):
        self.fake.on("DELETE", "/v1/tenants/acme", problem(409, "tenant acme holds segments."))
        self.fake.on("DELETE", "/v1/tenants/acme?recursive=true", Answer(status=204))
        self.expect("tenant del acme", code=1, err="tenant acme holds segments.")
        self.expect("tenant del acme --recursive")
        self.fake.on("DELETE", "/v1/uplinks/up0", problem(404, "uplink up0 does not exist."))
        self.expect("port del up0", code=1, err="uplink up0 does not exist.")
        self.expect("port del up0 --if-exists")

    def test_json_is_everywhere(self):
        self.fake.on("DELETE", "/v1/tenants/acme", Answer(status=204, generation=9))
        self.fake.on("DELETE", "/v1/tenants/none", problem(404, "tenant none does not exist."))
        self.fake.on("DELETE", "/v1/fdb/a/s/02:00:00:00:00:01", Answer(status=204))
        self.fake.on("POST", "/v1/fdb/flush", Answer(status=204))
        self.fake.on("DELETE", "/v1/tenants/a/segments/s/peers/10.0.0.2", Answer(status=204))
        self.fake.on("GET", "/v1/status", status_body(**{"applied-generation": 9}))
        for line, generation in (
            ("tenant del acme", 9),
            ("tenant del none --if-exists", 7),
            ("fdb del --segment a/s 02:00:00:00:00:01", 7),
            ("fdb flush --all", 7),
            ("segment peer del a/s 10.0.0.2", 7),
        ):
            done = self.expect(line + " --json", out=None)
            self.assertEqual(json.loads(done.stdout), {"generation": generation})
            self.expect(line)
        text = self.expect("version", out=None).stdout.split()
        done = self.expect("version --json", out=None)
        self.assertEqual(json.loads(done.stdout), {"version": text[1]})

    def test_peers(self):
        self.fake.on("PUT", "/v1/tenants/acme/segments/web/peers/10.0.0.2", {})
        self.fake.on("DELETE", "/v1/tenants/acme/segments/web/peers/2001:db8::1", Answer(status=204))
        self.expect("segment peer add acme/web 10.0.0.2")
        self.expect("segment peer del acme/web 2001:db8::1")

    def test_list_and_show(self):
        ports = [
            {
                "name": "acme/web1",
                "type": "tap",
                "segment": "web",
                "ifname": "eth0",
                "ip": ["10.0.0.1/24", "fd00::1/64"],
                "send": "10mbit",
                "receive": "none",
                "status": {"state": "waiting", "reason": "no namespace web1", "mac": "02:0:\x07"},
            },
            {"name": "up0", "trunk": ["acme/web=100", "b/x=7"]},
        ]
        self.fake.on("GET", "/v1/ports", {"ports": ports})
        self.fake.on("GET", "/v1/tenants/acme/ports/web1", ports[0])
        done = self.expect("port list", out=None)
        rows = [line.split() for line in done.stdout.splitlines()]
        self.assertEqual(
            rows[1],
            "acme/web1 tap waiting web eth0 - 02:0:? 10.0.0.1/24,fd00::1/64 10mbit none "
            "no namespace web1".split(),
        )
        self.assertEqual(rows[2], "up0 - - acme/web=100,b/x=7 - - - - - - -".split())
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0].index("SEGMENT"), lines[2].index("acme/web=100"))
        done = self.expect("port show acme/web1", out=None)
        self.assertIn("\nstatus\n  state   waiting\n  reason  no namespace web1\n", done.stdout)
        self.assertIn("\nip        10.0.0.1/24,fd00::1/64\n", done.stdout)
        done = self.expect("port list --json", out=None)
        self.assertEqual(json.loads(done.stdout), {"ports": ports})
        self.fake.on("GET", "/v1/tenants", {"tenants": []})
        self.expect("tenant list", out="TENANT  SEND  SEND-MIN  RECEIVE  RECEIVE-MIN  WEIGHT  SEGMENTS  PORTS\n")


class Effect(Case):
    def setUp(self):
        super().setUp()
        self.path = "/v1/tenants/acme/ports/web1"
        self.waiting = {"status": {"state": "waiting", "reason": "no namespace web1"}}
        self.up = {"status": {"state": "up"}}
        self.fake.on("PUT", self.path, Answer(self.waiting, 201))
        self.fake.on("DELETE", self.path, Answer(status=204))

    def test_waits_until_the_generation_is_applied(self):
        late = status_body(**{"applied-generation": 6})
        self.fake.on("PUT", "/v1/tenants/acme", Answer({}, 201))
        self.fake.on("GET", "/v1/status", late, late, status_body())
        self.expect("tenant add acme")
        self.assertEqual(len(self.fake.requests), 4)
        self.fake.on("GET", "/v1/status", late)
        self.expect(
            "--wait 0.1 tenant add acme",
            code=4,
            err="accepted, but not in effect after 0.1 s: the switch is at generation 6 and "
            "this is 7: see 'vswitchctl status'",
        )
        self.fake.on("GET", "/v1/status", {**late, "problems": ["No route to 10.0.0.2."]})
        self.expect(
            "--wait 0 tenant add acme",
            code=4,
            err="accepted, but not in effect after 0 s: No route to 10.0.0.2.",
        )

    def test_no_datapath(self):
        self.fake.on("PUT", "/v1/tenants/acme", Answer({}, 201))
        self.fake.on("GET", "/v1/status", status_body(datapath={"state": "absent"}))
        self.expect(
            "--wait 0 tenant add acme",
            code=4,
            err="accepted, but not in effect after 0 s: no datapath is running: start it with "
            "'vswitch-datapath --run-dir %s'" % self.dir,
        )

    def test_vtep_that_waits(self):
        waiting = {"local": "10.9.9.9", "status": {
            "state": "waiting", "reason": "no interface has the address 10.9.9.9"}}
        up = {"local": "10.9.9.9", "status": {"state": "up"}}
        late = ("accepted, but not in effect after 0.1 s: the vtep waits: no interface has the "
                "address 10.9.9.9")
        self.fake.on("PATCH", "/v1/vtep", problem(404, "vtep is not configured."))
        self.fake.on("PUT", "/v1/vtep", Answer(waiting, 201))
        self.fake.on("GET", "/v1/vtep", waiting, waiting, up)
        self.expect("vtep set --local 10.9.9.9")
        self.fake.on("GET", "/v1/vtep", waiting)
        self.expect("--wait 0.1 vtep set --local 10.9.9.9", code=4, err=late)
        self.fake.on("PATCH", "/v1/vtep", Answer(waiting))
        self.expect("--wait 0.1 vtep set --local 10.9.9.9", code=4, err=late)
        # What does not touch it does not wait for it.
        self.fake.on("PUT", "/v1/tenants/acme", Answer({}, 201))
        self.expect("--wait 0.1 tenant add acme")

    def test_port_that_waits(self):
        self.fake.on("GET", self.path, self.waiting, self.waiting, self.up)
        self.expect("port add acme/web1 --type tap --segment web")
        self.fake.on("GET", self.path, self.waiting)
        self.expect(
            "port add acme/web1 --type tap --segment web --wait 0.1",
            code=4,
            err="accepted, but not in effect after 0.1 s: the port waits: no namespace web1",
        )
        self.assertNotIn(("DELETE", self.path, None), self.fake.requests)

    def test_port_of_a_machine(self):
        path = "/v1/tenants/acme/ports/vm"
        reason = "nobody listens on /run/vm.sock"
        waiting = {"name": "acme/vm", "type": "vhost-user", "socket": "/run/vm.sock", "server": False,
                   "status": {"state": "waiting", "reason": reason}}
        nic = {"name": "up", "type": "dpdk", "dev": "0000:00:04.0", "status": {"state": "up"}}
        self.fake.on("PUT", path, Answer(waiting, 201))
        self.fake.on("PATCH", path, waiting)
        self.fake.on("GET", path, waiting)
        self.fake.on("GET", "/v1/ports", {"ports": [waiting, nic]})
        late = "accepted, but not in effect after 0.1 s: the port waits: " + reason
        self.expect("--wait 0.1 port add acme/vm --type vhost-user --segment web --socket /run/vm.sock",
                    code=4, err=late)
        self.expect("--wait 0.1 port set acme/vm --client", code=4, err=late)
        self.assertEqual(
            [request for request in self.fake.requests if request[0] != "GET"],
            [
                ("PUT", path, {"type": "vhost-user", "segment": "web", "socket": "/run/vm.sock"}),
                ("PATCH", path, {"server": False}),
            ],
        )
        listed = self.expect("port list", out=None).stdout
        self.assertRegex(listed, r"acme/vm +vhost-user +waiting .* /run/vm.sock .*" + reason)
        self.assertRegex(listed, r"up +dpdk +up .* 0000:00:04.0 ")

    def test_port_that_is_down_does_not_wait(self):
        self.fake.on("PATCH", self.path, {})
        self.fake.on("GET", self.path, {"status": {"state": "down"}})
        self.expect("port down acme/web1")
        self.assertEqual(self.fake.requests[0], ("PATCH", self.path, {"admin": "down"}))

    def test_require_is_the_daemons_to_refuse(self):
        sentence = "port acme/web1 would wait: no namespace web1: see to that first."
        asked = self.path + "?require=true"
        self.fake.on("PUT", asked, problem(409, sentence, code="would-wait"))
        self.fake.on("PATCH", asked, problem(409, sentence, code="would-wait"))
        self.expect("port add acme/web1 --type tap --segment web --require", code=1, err=sentence)
        self.expect("port set acme/web1 --netns web1 --require", code=1, err=sentence)
        # Nothing is taken back, since nothing was done.
        self.assertEqual(
            self.fake.requests,
            [
                ("PUT", asked, {"type": "tap", "segment": "web"}),
                ("PATCH", asked, {"netns": "web1"}),
            ],
        )

    def test_required_port_is_waited_for(self):
        self.fake.on("PUT", self.path + "?require=true", Answer(self.waiting, 201))
        self.fake.on("GET", self.path, self.waiting, self.up)
        self.expect("port add acme/web1 --type tap --segment web --require")
        self.assertEqual(self.fake.requests[-1], ("GET", self.path, None))

    def test_wait_is_usage(self):
        self.fake.on("PUT", "/v1/tenants/acme", Answer({}, 201))
        for text in ("x", "", "-1", "1s", "1e3", ".", "1.", "inf", "1234567"):
            self.expect(
                "tenant add acme",
                "--wait=" + text,
                code=2,
                err="--wait '%s' is not a time: write seconds, as 2 or .5" % text,
            )
        self.assertEqual(self.fake.requests, [])
        for text in (".5", "0.5", "2", "0"):
            self.expect("tenant add acme", "--wait=" + text)
        late = status_body(**{"applied-generation": 6}, problems=["No route."])
        self.fake.on("GET", "/v1/status", late)
        self.expect(
            "tenant add acme --wait .1",
            code=4,
            err="accepted, but not in effect after 0.1 s: No route.",
        )


class Topology(Case):
    def setUp(self):
        super().setUp()
        self.changes = [{"action": "add", "kind": "segment", "name": "acme/web"}]
        self.fake.on("POST", "/v1/apply", {"generation": 7, "changes": self.changes})
        self.ports = [{"name": n, "status": {"state": "up"}} for n in ("acme/web1", "up0")]
        self.fake.on("GET", "/v1/ports", {"ports": self.ports})

    def test_apply(self):
        path = self.write(TOPOLOGY)
        self.expect("apply", path, out="add  segment  acme/web\n")
        self.assertEqual(self.fake.requests[0], ("POST", "/v1/apply", TOPOLOGY_JSON))
        with open(path, encoding="utf-8") as file:
            self.expect("apply -", stdin=file, out="add  segment  acme/web\n")
        self.fake.on("POST", "/v1/apply", {"changes": []})
        self.expect("apply", path, out="nothing to change\n")

    def test_queries(self):
        path = self.write(TOPOLOGY)
        for line, query in (
            ("apply --dry-run", "dry-run=true"),
            ("apply --prune", "prune=true"),
            ("apply --prune --tenant acme", "prune=true&tenant=acme"),
            ("apply --tenant acme --dry-run --prune", "dry-run=true&prune=true&tenant=acme"),
        ):
            self.fake.on("POST", "/v1/apply?" + query, {"changes": self.changes})
            self.expect(line, path, out="add  segment  acme/web\n")
        self.expect(
            "apply --tenant acme",
            path,
            code=2,
            err="--tenant narrows --prune: add --prune, or leave --tenant out",
        )

    def test_dry_run_waits_for_nothing(self):
        self.fake.on("POST", "/v1/apply?dry-run=true", {"changes": []})
        self.expect("apply --dry-run", self.write(TOPOLOGY), out="nothing to change\n")
        self.assertEqual(len(self.fake.requests), 1)

    def test_refusal_names_the_line(self):
        path = self.write(TOPOLOGY)
        sentence = "VNI 5001 is taken by segment b/db."
        for pointer, line in (
            ("/tenants/acme/segments/web/vni", 6),
            ("/tenants/acme/segments/web/ports/web1/segment", 8),
            ("/uplinks/up0/trunk/0", 12),
            ("/version/or/else", 1),
        ):
            self.fake.on("POST", "/v1/apply", problem(409, sentence, pointer=pointer))
            self.expect("apply", path, code=1, err="%s:%d: %s" % (path, line, sentence))
        with open(path, encoding="utf-8") as file:
            self.expect("apply -", stdin=file, code=1, err="<stdin>:1: " + sentence)
        self.fake.on("POST", "/v1/apply", problem(403, "You may not."))
        self.expect("apply", path, code=1, err="You may not.")

    def test_bad_file_is_not_sent(self):
        path = self.write("version: 1\ntenants:\n  acme:\n    colour: red\n")
        self.expect(
            "apply",
            path,
            code=1,
            err=path + ":4: there is no key 'colour' in acme: use one of send, send-min, "
            "send-burst, receive, receive-min, receive-burst, weight, overhead, segments, ports",
        )
        self.expect(
            "apply", self.write("#" * (2**24 + 1)), code=1,
            err=path + ":1: the file is larger than 16 MiB: split it",
        )
        self.expect(
            "apply /nowhere",
            code=1,
            err="/nowhere cannot be read (No such file or directory): name a topology file, or - "
            "for standard input",
        )
        self.expect(
            "apply", self.dir,
            code=1,
            err=self.dir + " cannot be read (Is a directory): name a topology file, or - for "
            "standard input",
        )
        self.assertEqual(self.fake.requests, [])

    def test_waits_for_the_vtep_of_the_file_only(self):
        waiting = {"status": {"state": "waiting", "reason": "no interface has the address"}}
        self.fake.on("GET", "/v1/vtep", waiting)
        path = self.write("version: 1\ntenants: {}\n")
        self.expect("--wait 0 apply", path, out=None)
        path = self.write("version: 1\nvtep: {local: 10.9.9.9}\n")
        self.expect(
            "--wait 0 apply", path, out=None, code=4,
            err="accepted, but not in effect after 0 s: the vtep waits: no interface has the "
            "address",
        )

    def test_waits_for_the_ports_of_the_file_only(self):
        path = self.write(TOPOLOGY)
        waiting = {"state": "waiting", "reason": "no namespace web1"}
        ports = [{"name": "other/p", "status": waiting}, *self.ports]
        self.fake.on("GET", "/v1/ports", {"ports": ports})
        self.expect("apply", path, out=None)
        ports[1]["status"] = waiting
        late = "accepted, but not in effect after 0 s: port acme/web1 waits: no namespace web1"
        self.fake.on("GET", "/v1/ports", {"ports": ports})
        self.expect("--wait 0 apply", path, code=4, out=None, err=late)
        ports[2]["status"] = waiting
        self.fake.on("GET", "/v1/ports", {"ports": ports})
        self.expect(
            "--wait 0 apply", path, code=4, out=None,
            err=late + "; so do 1 more, which 'vswitchctl status' lists",
        )

    def test_export_is_what_apply_takes(self):
        self.fake.on("GET", "/v1/config", TOPOLOGY_JSON)
        text = self.expect("export", out=None).stdout
        self.expect("apply", self.write(text), out=None)
        self.assertEqual(self.fake.requests[1], ("POST", "/v1/apply", TOPOLOGY_JSON))
        done = self.expect("export --json", out=None)
        self.assertEqual(json.loads(done.stdout), TOPOLOGY_JSON)
        # JSON is YAML, so that is taken as well.
        self.expect("apply", self.write(done.stdout), out=None)
        self.assertEqual(self.fake.requests[-3], ("POST", "/v1/apply", TOPOLOGY_JSON))

    def test_export_of_what_is_not_known(self):
        self.fake.on("GET", "/v1/config", {"version": 1, "colour": "red"})
        self.expect(
            "export", code=1, out=None,
            err="the control daemon's configuration has what this vswitchctl does not know: "
            "use the vswitchctl of its version, or --json",
        )


class Views(Case):
    def test_status(self):
        self.expect(
            "status",
            out="control     running, version 0.1.0, pid 11, up 3m20s\n"
            "datapath    connected, version 0.1.0, pid 12, up 1d01h, 1 worker\n"
            "generation  7, in effect\n"
            "objects     2 tenants, 3 segments, 6 ports, 1 uplink\n",
        )
        counts = {"tenants": 1, "segments": 1, "ports": 2, "waiting-ports": 1}
        body = status_body(
            datapath={"state": "absent"}, counts=counts, problems=["The disk is full."]
        )
        body["applied-generation"] = 6
        self.fake.on("GET", "/v1/status", body)
        waiting = {"state": "waiting", "reason": "no namespace web1"}
        self.fake.on("GET", "/v1/ports", {"ports": [{"name": "a/p", "status": waiting}]})
        self.expect(
            "status",
            out="control     running, version 0.1.0, pid 11, up 3m20s\n"
            "datapath    absent\n"
            "generation  7, but 6 is in effect\n"
            "objects     1 tenant, 1 segment, 2 ports, 0 uplinks, 1 waiting\n"
            "waiting     a/p: no namespace web1\n"
            "problem     The disk is full.\n",
        )
        done = self.expect("status --json", out=None)
        self.assertEqual(json.loads(done.stdout), body)
        self.fake.on("GET", "/v1/ports", {"ports": []})
        for datapath, text in (
            ({"state": "absent"}, "not in effect: no datapath is running"),
            ({"state": "connected"}, "not in effect yet"),
        ):
            body = status_body(datapath=datapath, **{"applied-generation": 0})
            self.fake.on("GET", "/v1/status", body)
            done = self.expect("status", out=None)
            self.assertIn("generation  7, %s\n" % text, done.stdout)

    def test_stats(self):
        port = {"name": "a/p", "rx_packets": 3, "rx_bytes": 1500000, "tx_packets": 0,
                "tx_bytes": 0, "queued": 0, "drops": {"no-buffer": 2, "port-down": 3}}
        tenant = {"name": "a", "send_packets": 1, "send_bytes": 999, "receive_packets": 2,
                  "receive_bytes": 2000, "drops": {}}
        self.fake.on("GET", "/v1/stats", {"tenants": [tenant], "segments": [], "ports": [port]})
        self.fake.on("GET", "/v1/stats/ports/a/p", port)
        self.fake.on("GET", "/v1/stats/tenants", {"tenants": [tenant]})
        self.expect(
            "stats",
            out="TENANT  SEND-PACKETS  SEND-BYTES  RECEIVE-PACKETS  RECEIVE-BYTES  DROPS\n"
            "a                  1       999 B                2        2.00 kB      0\n"
            "\n"
            "SEGMENT  PACKETS  BYTES  FLOODED  LEARNED  MOVED  DROPS\n"
            "\n"
            "PORT  RX-PACKETS  RX-BYTES  TX-PACKETS  TX-BYTES  QUEUED  DROPS\n"
            "a/p            3   1.50 MB           0       0 B       0      5\n",
        )
        done = self.expect("stats port a/p", out=None)
        self.assertIn("\ndrops              5\n  no-buffer        2\n", done.stdout)
        self.expect("stats tenant", out=None)
        self.assertEqual(
            [request[1] for request in self.fake.requests],
            ["/v1/stats", "/v1/stats/ports/a/p", "/v1/stats/tenants"],
        )
        self.expect("stats frob", code=1, err="kind 'frob' is not what has counters: "
                    "write tenant, segment or port")
        self.assertEqual(self.run_cli("stats segment a").returncode, 1)

    def test_stats_of_tenants(self):
        tenant = tenant_counters()
        self.fake.on("GET", "/v1/stats/tenants", {"tenants": [tenant, tenant_counters("b", 0)]})
        self.expect(
            "stats tenant",
            out="TENANT   SEND-RATE  OFFERED  DROPPED  MARKED    P99  RECEIVE-RATE  OFFERED  "
            "DROPPED  MARKED      P99\n"
            "a       200 Mbit/s  1.50 MB       40       7  16 ms          none  3.00 MB  "
            "      0       0  >262 ms\n"
            "b       200 Mbit/s      0 B        0       0      -          none      0 B  "
            "      0       0        -\n",
        )
        self.fake.on("GET", "/v1/stats/tenants/a", tenant)
        self.expect(
            "stats tenant a",
            out="tenant a               SEND  RECEIVE\n"
            "rate             200 Mbit/s     none\n"
            "all packets            1000     2000\n"
            "all bytes           1.40 MB  2.80 MB\n"
            "offered packets        1100     2000\n"
            "offered bytes       1.50 MB  3.00 MB\n"
            "passed packets         1050     2000\n"
            "passed bytes        1.40 MB  2.80 MB\n"
            "queued packets           10        0\n"
            "queued bytes        15.0 kB      0 B\n"
            "dropped packets          40        0\n"
            "dropped bytes       60.0 kB      0 B\n"
            "marked packets            7        0\n"
            "delay p50              0 us   8.2 ms\n"
            "delay p99             16 ms  >262 ms\n"
            "waited\n"
            "  not at all           1030        0\n"
            "  up to 32 us             5        0\n"
            "  up to 8.2 ms            0     1900\n"
            "  up to 16 ms            15        0\n"
            "  >262 ms                 0      100\n"
            "drops                40\n"
            "  queue-delay         9\n"
            "  tenant-send-queue  31\n",
        )
        # What an older or a newer daemon leaves out is shown as not known.
        del tenant["send"]["marked_packets"], tenant["send"]["delays"], tenant["receive"]["rate"]
        self.fake.on("GET", "/v1/stats/tenants", {"tenants": [tenant]})
        done = self.expect("stats tenant", out=None)
        self.assertEqual(
            done.stdout.split("\n")[1].split(),
            "a 200 Mbit/s 1.50 MB 40 - - - 3.00 MB 0 0 >262 ms".split(),
        )

    def test_watching_a_tenant_shows_what_came_since(self):
        looks = [tenant_counters("a", i) for i in range(100)]
        # At first most did not wait; since then all waited for long.
        looks[0]["send"]["delays"] = [{"up_to_us": 0, "packets": 10**6}]
        for i, look in enumerate(looks[1:], 1):
            look["send"]["delays"] = [
                {"up_to_us": 0, "packets": 10**6},
                {"up_to_us": 131072, "packets": 50 * i},
            ]
        self.fake.on("GET", "/v1/stats/tenants", *[{"tenants": [look]} for look in looks])
        self.fake.on("GET", "/v1/stats/tenants/a", *looks)
        first, second = self.watch("stats tenant --watch")
        self.assertEqual(first[1][:7], "a 200 Mbit/s 0 B 0 0".split())
        self.assertEqual(first[1][7:9], "0 us".split())
        self.assertEqual(second[0][:5], "TENANT SEND-RATE OFFERED DROPPED/S MARKED/S".split())
        self.assertEqual(second[1][:3], "a 200 Mbit/s".split())
        self.assertIn(second[1][4], ("Mbit/s", "kbit/s"))
        self.assertEqual(second[1][7:9], "131 ms".split())
        first, second = self.watch("stats tenant a --watch")
        rows = {" ".join(row[:-2]): row[-2:] for row in second}
        self.assertEqual(rows["queued packets"], ["10", "0"])
        self.assertEqual(rows["up to 131 ms"], ["50", "0"])
        self.assertEqual(rows["not at all"], ["0", "0"])

    def watch(self, line):
        """The first two looks, as lists of lines, as lists of words."""
        watch = subprocess.Popen(
            self.command(line), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        killer = threading.Timer(SECONDS, watch.kill)
        killer.start()
        looks = [[], []]
        for look in looks:
            for text in watch.stdout:
                if text == "\n":
                    break
                look.append(text.split())
        watch.send_signal(signal.SIGINT)
        _, err = watch.communicate()
        killer.cancel()
        self.assertEqual((watch.returncode, err), (0, ""))
        return looks

    def test_watch_shows_rates_and_ends_on_interrupt(self):
        answers = []
        for i in range(100):
            drops = {"no-buffer": 10 * i}
            port = {"name": "a/p", "rx_packets": 1000 * i, "rx_bytes": 10**6 * i, "drops": drops}
            answers.append({"ports": [port]})
        self.fake.on("GET", "/v1/stats/ports", *answers)
        looks = self.watch("stats port --watch")
        self.assertEqual(looks[0][1], "a/p 0 0 B - - - 0".split())
        self.assertEqual(looks[1][0], "PORT RX-PACKETS/S RX TX-PACKETS/S TX QUEUED DROPS/S".split())
        # About 8 Mbit/s: the second look is a second after the first, or later on a busy machine,
        # where the first may have come late as well.
        rate = float(looks[1][1][looks[1][1].index("Mbit/s") - 1])
        self.assertTrue(0 < rate <= 12, rate)

    def test_drops(self):
        drops = [{"port": "a/p", "tenant": "a", "reason": "no-buffer", "packets": 3,
                  "explanation": "It was full."},
                 {"tenant": "a", "reason": "x", "packets": 12345, "explanation": "Y."}]
        self.fake.on("GET", "/v1/drops", {"drops": drops})
        self.expect(
            "drops",
            out="PACKETS  REASON     WHERE     WHY, AND WHAT TO DO\n"
            "      3  no-buffer  port a/p  It was full.\n"
            "  12345  x          tenant a  Y.\n",
        )

    def test_fdb(self):
        entries = [
            {"segment": "a/s", "mac": "02:00:00:00:00:01", "port": "a/p", "static": True},
            {"segment": "a/s", "mac": "02:00:00:00:00:0a", "vtep": "10.0.0.2", "static": False,
             "age": 75},
        ]
        query = "/v1/fdb?segment=a/s&port=a/p&vtep=10.0.0.2"
        self.fake.on("GET", query, {"entries": entries})
        self.fake.on("GET", "/v1/fdb", {"entries": entries})
        self.fake.on("PUT", "/v1/fdb/a/s/02:00:00:00:00:01", Answer({}, 201))
        self.fake.on("DELETE", "/v1/fdb/a/s/02:00:00:00:00:01", Answer(status=204))
        self.fake.on("POST", "/v1/fdb/flush", {})
        self.expect(
            "fdb list --vtep 10.0.0.2 --segment a/s --port a/p",
            out="SEGMENT  MAC                BEHIND    STATIC  SEEN BEFORE\n"
            "a/s      02:00:00:00:00:01  a/p       yes               -\n"
            "a/s      02:00:00:00:00:0a  10.0.0.2  no            1m15s\n",
        )
        done = self.expect("fdb list --json 02:00:00:00:00:0A", out=None)
        self.assertEqual(json.loads(done.stdout), {"entries": entries[1:]})
        self.expect("fdb add --segment a/s --port a/p 02:00:00:00:00:01")
        self.assertEqual(self.fake.requests[2][2], {"port": "a/p"})
        self.expect("fdb del --segment a/s 02:00:00:00:00:01")
        self.expect("fdb flush --segment a/s --vtep 10.0.0.2")
        self.expect("fdb flush --all")
        bodies = [r[2] for r in self.fake.requests if r[0] == "POST"]
        self.assertEqual(bodies, [{"segment": "a/s", "vtep": "10.0.0.2"}, {"all": True}])
        sentence = "'fdb flush' needs --segment, --port or --vtep, or --all for everything"
        self.expect("fdb flush", code=2, err=sentence)
        self.expect("fdb flush --all --port a/p", code=2, err=sentence)
        self.assertEqual(
            self.run_cli("fdb add --segment a/s 02:00:00:00:00:01").returncode, 2)

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = self.run_cli("status", stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(
            done.stderr,
            "vswitchctl: standard output cannot be written: No space left on device\n",
        )


class Daemon(Case):
    def no_daemon(self, run_dir):
        return (
            "no control daemon answers at %s/control.sock: start it with 'vswitch-control "
            "--run-dir %s'" % (run_dir, run_dir)
        )

    def test_nobody_there(self):
        nowhere = self.dir + "/nowhere"
        self.expect("--json status", "--run-dir", self.dir, code=2,
                    err="--run-dir is given twice: give it once")
        done = subprocess.run([VSWITCHCTL, "status"], stderr=subprocess.PIPE, text=True,
                              env={"VSWITCH_RUN_DIR": nowhere}, timeout=SECONDS)
        self.assertEqual(done.stderr, "vswitchctl: %s\n" % self.no_daemon(nowhere))
        self.assertEqual(done.returncode, 3)

    def test_the_option_beats_the_environment(self):
        self.expect("status", env={"VSWITCH_RUN_DIR": "/nowhere"}, out=None)

    def test_socket_without_a_daemon(self):
        left = os.path.join(self.dir, "left")
        os.mkdir(left)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(left + "/control.sock")
        done = subprocess.run([VSWITCHCTL, "--run-dir", left, "status"], stderr=subprocess.PIPE,
                              text=True, timeout=SECONDS)
        self.assertEqual(done.stderr, "vswitchctl: %s\n" % self.no_daemon(left))
        self.assertEqual(done.returncode, 3)

    def test_daemon_that_goes_away(self):
        self.fake.on("GET", "/v1/status", Answer(raw=b""))
        done = self.run_cli("status")
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"^vswitchctl: the control daemon at .* went away .*\n$")
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_something_else_listens(self):
        self.fake.on("GET", "/v1/status",
                     Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<p>x"))
        done = self.run_cli("status")
        self.assertEqual(done.returncode, 3)
        self.assertIn("does not speak JSON", done.stderr)

    def test_answers_of_the_wrong_shape(self):
        """Whatever JSON comes, nothing breaks."""
        shapes = [[], "x", 1, None, {}, {"ports": 1}, {"ports": [1, None, [], {"name": []}]},
                  {"counts": [], "datapath": 3, "problems": {}}, {"drops": [{"packets": "x"}]}]
        paths = {"status": "/v1/status", "port list": "/v1/ports", "stats": "/v1/stats",
                 "drops": "/v1/drops", "fdb list": "/v1/fdb", "host show": "/v1/host"}
        for line, path in paths.items():
            for shape in shapes:
                self.fake.on("GET", path, Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                                                 % (len(json.dumps(shape)), json.dumps(shape).encode())))
                done = self.run_cli(line)
                self.assertIn(done.returncode, (0, 1), (line, shape, done.stderr))

    def test_run_dir_is_a_path(self):
        done = subprocess.run([VSWITCHCTL, "--run-dir", "", "status"], stderr=subprocess.PIPE,
                              text=True, timeout=SECONDS, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(
            done.stderr, "vswitchctl: --run-dir '' is not a directory: write its path\n"
        )

    def test_suggested_commands_can_be_pasted(self):
        run_dir = os.path.join(self.dir, 'a b;$(c)"`d\\')
        os.mkdir(run_dir)
        done = subprocess.run([VSWITCHCTL, "--run-dir", run_dir, "status"], stderr=subprocess.PIPE,
                              text=True, timeout=SECONDS, check=False)
        self.assertEqual(done.returncode, 3)
        command = done.stderr.rstrip("\n").split("start it with '", 1)[1][:-1]
        said = subprocess.run(["sh", "-c", "printf %s\\\\n " + command], stdout=subprocess.PIPE,
                              text=True, timeout=SECONDS, check=True)
        self.assertEqual(said.stdout.splitlines(), ["vswitch-control", "--run-dir", run_dir])

    def test_run_dir_too_long(self):
        done = subprocess.run([VSWITCHCTL, "--run-dir", "/" + "x" * 200, "status"],
                              stderr=subprocess.PIPE, text=True, timeout=SECONDS)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is too long for a socket: choose a shorter --run-dir", done.stderr)


class Help(Case):
    def test_help_needs_no_daemon(self):
        self.fake.close()
        self.addCleanup(lambda: None)
        for line in ("help", "--help", "help port add", "port add --help", "help segment",
                     "segment peer --help"):
            done = self.expect(line, out=None)
            self.assertTrue(done.stdout.strip())
        self.assertTrue(self.expect("version", out=None).stdout.startswith("vswitchctl "))
        self.expect("help frob", code=2, err="there is no command 'frob': see 'vswitchctl help'")

    def test_manual_page_renders(self):
        page = self.write(self.expect("help --man", out=None).stdout, "vswitchctl.1")
        if shutil.which("groff") is None:
            self.skipTest("no groff")
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-cbou", page], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=True)
        self.assertEqual(done.stderr, "")
        self.assertIn("EXIT STATUS", done.stdout)

    def complete(self, script, *words):
        bash = ". %s; COMP_WORDS=(vswitchctl %s); COMP_CWORD=%d; _vswitchctl; echo ${COMPREPLY[@]}"
        quoted = " ".join("'%s'" % word for word in words)
        done = subprocess.run(["bash", "-c", bash % (script, quoted, len(words))],
                              stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=True)
        return done.stdout.split()

    def test_completion(self):
        script = self.write(self.expect("help --bash-completion", out=None).stdout, "c.bash")
        self.assertEqual(self.complete(script, "ten"), ["tenant"])
        self.assertEqual(self.complete(script, "segment", "p"), ["peer"])
        self.assertEqual(self.complete(script, "segment", "peer", ""), ["add", "del"])
        self.assertEqual(self.complete(script, "--json", "port", "add", "a/b", "--ty"), ["--type"])
        self.assertEqual(self.complete(script, "port", "add", "a/b", "--type", "v"), ["veth", "vhost-user"])
        self.assertEqual(self.complete(script, "port", "list", "--j"), ["--json"])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:])
