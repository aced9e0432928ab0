# SPDX-License-Identifier: Apache-2.0
"""A control daemon that answers what a test tells it to, and remembers what it was asked."""

import http.server
import json
import socketserver
import threading


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "local"

    def log_message(self, *_):
        pass

    def _serve(self):
        size = int(self.headers.get("Content-Length", 0))
        text = self.rfile.read(size)
        fake = self.server.fake
        body = json.loads(text) if text else None
        with fake.lock:
            fake.requests.append((self.command, self.path, body))
            fake.headers.append(dict(self.headers))
            answer = fake.find(self.command, self.path)
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            self.close_connection = True
            return
        data = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("ETag", '"%d"' % answer.generation)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = _serve


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client may hang up


class Answer:
    def __init__(self, body=None, status=200, generation=7, raw=None):
        self.body, self.status, self.generation, self.raw = body, status, generation, raw


def problem(status, detail, **members):
    return Answer({"type": "about:blank", "status": status, "detail": detail, **members}, status)


def status_body(**members):
    body = {
        "version": "0.1.0",
        "generation": 7,
        "applied-generation": 7,
        "uptime": 200.5,
        "pid": 11,
        "datapath": {
            "state": "connected",
            "pid": 12,
            "workers": 1,
            "version": "0.1.0",
            "uptime": 90000,
        },
        "counts": {"tenants": 2, "segments": 3, "ports": 6, "uplinks": 1, "waiting-ports": 0},
        "problems": [],
    }
    body.update(members)
    return body


class FakeControl:
    """Serves run_dir/control.sock. Each answer of a list is given once, the last one for ever."""

    def __init__(self, run_dir):
        self.lock = threading.Lock()
        self.requests, self.headers = [], []
        self.answers = {}
        self.on("GET", "/v1/status", status_body())
        self.server = _Server(run_dir + "/control.sock", _Handler)
        self.server.fake = self
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def on(self, method, path, *answers):
        self.answers[method, path] = [
            a if isinstance(a, Answer) else Answer(a) for a in answers
        ]

    def find(self, method, path):
        answers = self.answers.get((method, path))
        if answers is None:
            return problem(404, "%s %s is not what the test expects." % (method, path))
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def asked(self, *but):
        """The requests, without those for these paths."""
        return [r for r in self.requests if r[1] not in but]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
