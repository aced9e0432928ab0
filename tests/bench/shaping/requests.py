# SPDX-License-Identifier: Apache-2.0
"""Changes a tenant's ceiling again and again, by requests over one connection as vswitchctl makes them, without the
time that a program takes to start.

    requests.py SOCKET TENANT COUNT GAP_MS MBIT MBIT    by turns; prints {"requests": ["NS:MBIT"...], "answered_us": [...]}
                                                        with the time of each, in ns since the epoch
"""
import http.client
import json
import socket
import sys
import time


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("vswitch", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def main():
    path, tenant, count, gap_ms, *rates = sys.argv[1:]
    connection = Connection(path)
    requests, answered = [], []
    for number in range(int(count)):
        rate = int(rates[number % len(rates)])
        time.sleep(float(gap_ms) / 1e3)
        at = time.time_ns()
        connection.request("PATCH", "/v1/tenants/" + tenant, json.dumps({"send": "%dmbit" % rate}),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            sys.exit(answer.decode())
        answered.append((time.time_ns() - at) / 1e3)
        requests.append("%d:%d" % (at, rate))
    print(json.dumps({"requests": requests, "answered_us": answered}))


main()
